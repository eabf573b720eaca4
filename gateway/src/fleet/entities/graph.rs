//! What follows from the records, and what makes them contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{ControllerId, OperatorId, Ownership, Party, PartyId, Place};

use super::{Day, Entity, Operator, Source};

/// All of a party, in hundredths of a percent.
const WHOLE: u16 = 10_000;
/// A share above this moves control.
const HALF: u16 = 5_000;
/// How long a chain of owners may be.
const DEPTH_MAX: usize = 16;
/// How many owners a party may name.
const OWNERS_MAX: usize = 64;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Entities by id, known not to contradict each other.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    entities: BTreeMap<PartyId, Entity>,
}

/// Why records cannot stand as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Two records of one party that say different things.
    #[error("party {party} is on record with other facts: leave it out, or have its record changed first")]
    PartyDiffers {
        /// Which party.
        party: PartyId,
    },
    /// More than all of it is owned.
    #[error(
        "the owners of {party} hold {basis_points} hundredths of a percent together, 10000 are all: correct the shares"
    )]
    OverOwned {
        /// Which party.
        party: PartyId,
        /// The sum.
        basis_points: u32,
    },
    /// An owner with nothing.
    #[error("owner {owner} of {party} has no share: state one from 1 to 10000, or leave the owner out")]
    NoShare {
        /// Which party.
        party: PartyId,
        /// Which owner.
        owner: PartyId,
    },
    /// The same owner twice.
    #[error("owner {owner} of {party} is listed twice: add the shares up")]
    OwnerTwice {
        /// Which party.
        party: PartyId,
        /// Which owner.
        owner: PartyId,
    },
    /// A circle.
    #[error("{party} owns or controls itself, by way of others: state who stands at the end of the chain")]
    Circle {
        /// A party of the circle.
        party: PartyId,
    },
    /// A chain without end.
    #[error("the chain of owners above {party} has more than {DEPTH_MAX} links")]
    TooDeep {
        /// Where it begins.
        party: PartyId,
    },
    /// Control is said to lie with one, and most shares with another.
    #[error("{party} is said to be controlled by {stated}, and {majority} holds more than half of it: which is it?")]
    ControlContradicted {
        /// Which party.
        party: PartyId,
        /// Who is said to control it.
        stated: PartyId,
        /// Who owns most.
        majority: PartyId,
    },
    /// An owner said to be in one place, on record in another.
    #[error("owner {owner} of {party} is said to be in {stated}, and its record says {recorded}")]
    PlaceContradicted {
        /// Which party.
        party: PartyId,
        /// Which owner.
        owner: PartyId,
        /// Where the share's line puts it.
        stated: Place,
        /// Where its record puts it.
        recorded: Place,
    },
    /// A party that is named and not on record.
    #[error("{party} is named and has no record: add one")]
    NoSuchParty {
        /// Which party.
        party: PartyId,
    },
    /// A statement from the future.
    #[error("the record of {party} is dated {day}, after today")]
    FromTheFuture {
        /// Which party.
        party: PartyId,
        /// The date.
        day: Day,
    },
    /// A text that is empty or too long, or a list that is too long.
    #[error("the record of {party}: {what}")]
    Form {
        /// Which party.
        party: PartyId,
        /// What is wrong.
        what: &'static str,
    },
}

impl Graph {
    /// The graph of `entities`. Refuses what contradicts itself.
    pub fn new(entities: impl IntoIterator<Item = Entity>, today: &Day) -> Result<Self, RecordError> {
        Self::default().with(entities, today)
    }

    /// The graph of entities that were checked when they were written.
    #[must_use]
    pub fn of_checked(entities: impl IntoIterator<Item = Entity>) -> Self {
        Self { entities: entities.into_iter().map(|entity| (entity.id.clone(), entity)).collect() }
    }

    /// This graph with more entities. One that is there already must say the same.
    pub fn with(mut self, entities: impl IntoIterator<Item = Entity>, today: &Day) -> Result<Self, RecordError> {
        for entity in entities {
            match self.entities.get(&entity.id) {
                Some(known) if *known == entity => {}
                Some(known) => return Err(RecordError::PartyDiffers { party: known.id.clone() }),
                None => drop(self.entities.insert(entity.id.clone(), entity)),
            }
        }
        self.check(today)?;
        Ok(self)
    }

    /// This graph with the record of one entity replaced.
    pub fn with_change(mut self, entity: Entity, today: &Day) -> Result<Self, RecordError> {
        self.entities.insert(entity.id.clone(), entity);
        self.check(today)?;
        Ok(self)
    }

    /// The entity of that id.
    #[must_use]
    pub fn get(&self, party: &PartyId) -> Option<&Entity> {
        self.entities.get(party)
    }

    /// All of them, by id.
    pub fn entities(&self) -> impl Iterator<Item = &Entity> {
        self.entities.values()
    }

    /// Who controls `party` in the end: stated control first, else who owns more than half, and so on upwards. Itself, where
    /// nobody does.
    #[must_use]
    pub fn ultimate(&self, party: &PartyId) -> PartyId {
        let mut at = party.clone();
        for _ in 0..DEPTH_MAX {
            match self.entities.get(&at).and_then(above) {
                Some(next) => at = next.clone(),
                None => break,
            }
        }
        at
    }

    /// Who controls `operator`: spread and the collusion limit count this. Where no controller and no majority owner is on
    /// record, what the configuration names.
    #[must_use]
    pub fn controller(&self, operator: &Operator) -> Option<ControllerId> {
        let ultimate = self.ultimate(&operator.party);
        match &operator.stated_controller {
            Some(stated) if ultimate == operator.party => Some(stated.clone()),
            // Every party id is a controller id: both are the same slug.
            _ => ControllerId::parse(ultimate.as_str()).ok(),
        }
    }

    /// The party as the law sees it: owners with what they hold directly and through others.
    ///
    /// A slice whose holder has an owner of its own, or seats in two places, is told at every one of these places. A pack
    /// that has several of them in one group may count the slice twice: that refuses too much, never too little.
    pub fn party(&self, id: &PartyId) -> Result<Party, RecordError> {
        let entity = self.entities.get(id).ok_or_else(|| RecordError::NoSuchParty { party: id.clone() })?;
        let mut owners = Vec::new();
        for (owner, share) in self.attributed(entity, &mut BTreeMap::new()) {
            let stated = entity.owners.iter().find(|direct| direct.id == owner).map(|direct| direct.place);
            let places: BTreeSet<Place> = match self.entities.get(&owner) {
                Some(known) => [known.incorporated, known.headquartered].into(),
                None => [stated.or_else(|| self.stated_place(&owner)).unwrap_or(Place::Unknown)].into(),
            };
            owners.extend(places.into_iter().map(|place| Ownership {
                owner: owner.clone(),
                place,
                share_basis_points: share,
            }));
        }
        let ultimate = self.ultimate(id);
        Ok(Party {
            id: entity.id.clone(),
            name: entity.name.clone(),
            incorporated: entity.incorporated,
            headquartered: entity.headquartered,
            owners,
            controlled_by: (ultimate != *id).then_some(ultimate),
            certifications: entity.certifications.clone(),
        })
    }

    /// Operators whose party stands below `party`, or is it.
    pub fn operators_below<'a>(
        &'a self,
        party: &'a PartyId,
        operators: impl Iterator<Item = &'a Operator> + 'a,
    ) -> impl Iterator<Item = &'a OperatorId> + 'a {
        operators.filter(move |operator| self.reaches(&operator.party, party)).map(|operator| &operator.id)
    }

    fn reaches(&self, from: &PartyId, to: &PartyId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            if seen.insert(at) {
                open.extend(self.entities.get(at).into_iter().flat_map(named));
            }
        }
        false
    }

    /// Shares in `entity`, direct and through others: who owns at least half of a holder is taken to hold all of what the
    /// holder has (the rule of 28 CFR 202.211 and of OFAC's 50 Percent Rule); who owns less, its part, rounded up.
    fn attributed(
        &self,
        entity: &Entity,
        known: &mut BTreeMap<PartyId, BTreeMap<PartyId, u16>>,
    ) -> BTreeMap<PartyId, u16> {
        if let Some(shares) = known.get(&entity.id) {
            return shares.clone();
        }
        // Rows are checked before they are written; should they hold a circle all the same, it ends here.
        known.insert(entity.id.clone(), BTreeMap::new());
        let mut shares: BTreeMap<PartyId, u32> = BTreeMap::new();
        for direct in &entity.owners {
            let slice = u32::from(direct.share_basis_points);
            *shares.entry(direct.id.clone()).or_default() += slice;
            let Some(holder) = self.entities.get(&direct.id) else { continue };
            for (owner, share) in self.attributed(holder, known) {
                let through = if share >= HALF { slice } else { (slice * u32::from(share)).div_ceil(u32::from(WHOLE)) };
                *shares.entry(owner).or_default() += through;
            }
        }
        let capped = |(owner, share): (PartyId, u32)| (owner, u16::try_from(share).unwrap_or(WHOLE).min(WHOLE));
        let shares: BTreeMap<PartyId, u16> = shares.into_iter().map(capped).collect();
        known.insert(entity.id.clone(), shares.clone());
        shares
    }

    fn stated_place(&self, owner: &PartyId) -> Option<Place> {
        self.entities.values().flat_map(|entity| &entity.owners).find(|line| line.id == *owner).map(|line| line.place)
    }

    fn check(&self, today: &Day) -> Result<(), RecordError> {
        for entity in self.entities.values() {
            check_alone(entity, today)?;
            self.check_places(entity)?;
            self.check_chain(entity)?;
        }
        for entity in self.entities.values() {
            self.check_control(entity)?;
        }
        Ok(())
    }

    fn check_places(&self, entity: &Entity) -> Result<(), RecordError> {
        for line in &entity.owners {
            let Some(owner) = self.entities.get(&line.id) else { continue };
            if line.place != owner.incorporated {
                return Err(RecordError::PlaceContradicted {
                    party: entity.id.clone(),
                    owner: line.id.clone(),
                    stated: line.place,
                    recorded: owner.incorporated,
                });
            }
        }
        match &entity.controlled_by {
            // The configuration names controllers without records of their own.
            Some(control) if !self.entities.contains_key(&control.id) && !control.from.is_configuration() => {
                Err(RecordError::NoSuchParty { party: control.id.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Walks everything above `entity`, level by level: a circle would lead back to it.
    fn check_chain(&self, entity: &Entity) -> Result<(), RecordError> {
        let mut level: BTreeSet<&PartyId> = named(entity).collect();
        for _ in 0..DEPTH_MAX {
            if level.contains(&entity.id) {
                return Err(RecordError::Circle { party: entity.id.clone() });
            }
            if level.is_empty() {
                return Ok(());
            }
            level = level.iter().filter_map(|id| self.entities.get(*id)).flat_map(named).collect();
        }
        Err(RecordError::TooDeep { party: entity.id.clone() })
    }

    fn check_control(&self, entity: &Entity) -> Result<(), RecordError> {
        let (Some(control), Some(majority)) = (&entity.controlled_by, majority(entity)) else { return Ok(()) };
        if control.id == *majority || self.ultimate(majority) == control.id {
            return Ok(());
        }
        Err(RecordError::ControlContradicted {
            party: entity.id.clone(),
            stated: control.id.clone(),
            majority: majority.clone(),
        })
    }
}

/// Everybody that the record of an entity puts above it.
fn named(entity: &Entity) -> impl Iterator<Item = &PartyId> {
    entity.owners.iter().map(|owner| &owner.id).chain(entity.controlled_by.iter().map(|control| &control.id))
}

fn majority(entity: &Entity) -> Option<&PartyId> {
    entity.owners.iter().find(|owner| owner.share_basis_points > HALF).map(|owner| &owner.id)
}

fn above(entity: &Entity) -> Option<&PartyId> {
    entity.controlled_by.as_ref().map(|control| &control.id).or_else(|| majority(entity))
}

fn check_alone(entity: &Entity, today: &Day) -> Result<(), RecordError> {
    let party = || entity.id.clone();
    let fits =
        |text: &str| !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    if !fits(&entity.name) {
        return Err(RecordError::Form { party: party(), what: "its name has 1 to 256 bytes, in one line" });
    }
    if entity.incorporated == Place::Unknown || entity.headquartered == Place::Unknown {
        let what = "state where it is incorporated and where its headquarters are";
        return Err(RecordError::Form { party: party(), what });
    }
    if entity.owners.len() > OWNERS_MAX {
        return Err(RecordError::Form { party: party(), what: "it names at most 64 owners" });
    }
    let sources = entity.owners.iter().map(|owner| &owner.from).chain(entity.controlled_by.iter().map(|c| &c.from));
    for Source { source, as_of, .. } in sources.chain([&entity.from]) {
        if !fits(source) {
            return Err(RecordError::Form { party: party(), what: "a source has 1 to 256 bytes, in one line" });
        }
        if as_of > today {
            return Err(RecordError::FromTheFuture { party: party(), day: as_of.clone() });
        }
    }
    let mut seen = BTreeSet::new();
    for owner in &entity.owners {
        if owner.share_basis_points == 0 {
            return Err(RecordError::NoShare { party: party(), owner: owner.id.clone() });
        }
        if !seen.insert(&owner.id) {
            return Err(RecordError::OwnerTwice { party: party(), owner: owner.id.clone() });
        }
    }
    let basis_points: u32 = entity.owners.iter().map(|owner| u32::from(owner.share_basis_points)).sum();
    if basis_points > u32::from(WHOLE) {
        return Err(RecordError::OverOwned { party: party(), basis_points });
    }
    Ok(())
}
