//! Groups of places with effective dates and recipient conditions.

use domicile_types::{Party, Place, SchemeId, UnixMillis};

use crate::place::{TerritoryMap, Window};

/// A named set of places: the EEA, the adequate countries, the countries of concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name in rules: `context.place.within.<name>`.
    pub name: String,
    /// Who belongs to it, when, and on what condition.
    pub members: Vec<Membership>,
    /// The share from which an owner's place counts as the party's, in hundredths of a percent. Absent: ownership by this
    /// group is not looked at.
    pub ownership_at_least_basis_points: Option<u32>,
}

/// Places that belong to a group for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Countries or subdivisions, as the territory map reads them.
    pub places: Vec<Place>,
    /// The first instant; absent: always.
    pub from: Option<UnixMillis>,
    /// The first instant after; absent: never ends.
    pub until: Option<UnixMillis>,
    /// The certification that the recipient must hold.
    pub recipient: Option<SchemeId>,
    /// The kill switch: a suspended membership counts for nothing, whatever its dates.
    pub suspended: bool,
}

/// How a place stands to a group at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not a member. Unknown places are members of nothing.
    Outside,
    /// A member for certified recipients, and this one is not certified.
    Conditional,
    /// A member.
    Within,
}

impl Group {
    /// How `place`, as the territory map read it, stands at `now` for `party`. Narrows `window` by every date looked at.
    #[must_use]
    pub fn standing(&self, place: Place, party: Option<&Party>, now: UnixMillis, window: &mut Window) -> Standing {
        let members = self.members.iter().filter(|member| member.covers(place));
        members.map(|member| member.standing(party, now, window)).max().unwrap_or(Standing::Outside)
    }

    /// Whether owners in this group hold at least the threshold together. An owner whose place is unknown counts as one
    /// of the group; a share that enrolment did not find out counts as nobody's.
    #[must_use]
    pub fn owns(&self, party: &Party, territory: &TerritoryMap, now: UnixMillis, window: &mut Window) -> bool {
        let Some(threshold) = self.ownership_at_least_basis_points else { return false };
        let mut held: u32 = 0;
        for owner in &party.owners {
            let place = territory.read(owner.place);
            let counts = place == Place::Unknown || self.standing(place, None, now, window) != Standing::Outside;
            if counts {
                held = held.saturating_add(u32::from(owner.share_basis_points));
            }
        }
        held >= threshold
    }
}

impl Membership {
    /// A place that both are about, for the same recipients and at one time, of which one says that it is suspended and the
    /// other that it is not.
    pub(crate) fn contradicts(&self, other: &Self) -> Option<Place> {
        let begins_before_end = |from: Option<UnixMillis>, until: Option<UnixMillis>| match (from, until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        let overlap = begins_before_end(self.from, other.until) && begins_before_end(other.from, self.until);
        if !overlap || self.recipient != other.recipient || self.suspended == other.suspended {
            return None;
        }
        self.places
            .iter()
            .find(|place| other.covers(**place) || other.places.iter().any(|its| its.is_within(place)))
            .copied()
    }

    fn covers(&self, place: Place) -> bool {
        self.places.iter().any(|member| place.is_within(member))
    }

    fn standing(&self, party: Option<&Party>, now: UnixMillis, window: &mut Window) -> Standing {
        for change in [self.from, self.until].into_iter().flatten() {
            window.narrow(change, now);
        }
        let in_force =
            !self.suspended && self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until);
        match &self.recipient {
            _ if !in_force => Standing::Outside,
            Some(scheme) if !is_certified(party, scheme, now, window) => Standing::Conditional,
            _ => Standing::Within,
        }
    }
}

fn is_certified(party: Option<&Party>, scheme: &SchemeId, now: UnixMillis, window: &mut Window) -> bool {
    let held = party.into_iter().flat_map(|party| &party.certifications).filter(|held| held.scheme == *scheme);
    let mut certified = false;
    for certification in held {
        if let Some(expires) = certification.expires {
            window.narrow(expires, now);
        }
        certified |= certification.expires.is_none_or(|expires| now < expires);
    }
    certified
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domicile_types::{Certification, Ownership, PartyId};

    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    fn party() -> Party {
        Party {
            id: PartyId::parse("acme").unwrap(),
            name: "Acme".into(),
            incorporated: place("US"),
            headquartered: place("US"),
            owners: Vec::new(),
            controlled_by: None,
            certifications: Vec::new(),
        }
    }

    fn membership(places: &[&str]) -> Membership {
        Membership {
            places: places.iter().map(|text| place(text)).collect(),
            from: None,
            until: None,
            recipient: None,
            suspended: false,
        }
    }

    fn group(members: Vec<Membership>) -> Group {
        Group { name: "adequate".into(), members, ownership_at_least_basis_points: None }
    }

    fn standing(group: &Group, text: &str, party: Option<&Party>, now: u64) -> Standing {
        group.standing(place(text), party, UnixMillis(now), &mut Window::ALWAYS.clone())
    }

    #[test]
    fn a_membership_holds_only_between_its_dates() {
        let uk = Membership { from: Some(UnixMillis(10)), until: Some(UnixMillis(20)), ..membership(&["GB"]) };
        let group = group(vec![uk]);
        let at = [9, 10, 19, 20].map(|now| standing(&group, "GB", None, now));
        assert_eq!(at, [Standing::Outside, Standing::Within, Standing::Within, Standing::Outside]);
        let mut window = Window::ALWAYS;
        let _ = group.standing(place("GB"), None, UnixMillis(15), &mut window);
        assert!(window.contains(UnixMillis(19)) && !window.contains(UnixMillis(20)) && !window.contains(UnixMillis(9)));
    }

    #[test]
    fn an_uncertified_recipient_is_only_conditionally_within() {
        let dpf = SchemeId::parse("eu-us-dpf").unwrap();
        let group = group(vec![Membership { recipient: Some(dpf.clone()), ..membership(&["US"]) }]);
        assert_eq!(standing(&group, "US", None, 0), Standing::Conditional);
        let mut certified = party();
        certified.certifications.push(Certification { scheme: dpf, expires: Some(UnixMillis(50)) });
        assert_eq!(standing(&group, "US", Some(&certified), 49), Standing::Within);
        assert_eq!(standing(&group, "US", Some(&certified), 50), Standing::Conditional);
        assert_eq!(standing(&group, "CA", Some(&certified), 49), Standing::Outside);
    }

    #[test]
    fn a_suspended_membership_counts_for_nothing() {
        let group = group(vec![Membership { suspended: true, ..membership(&["US"]) }]);
        assert_eq!(standing(&group, "US", Some(&party()), 0), Standing::Outside);
    }

    #[test]
    fn unknown_is_within_nothing() {
        assert_eq!(standing(&group(vec![membership(&["CN", "HK"])]), "unknown", None, 0), Standing::Outside);
    }

    #[test]
    fn shares_of_owners_are_summed_by_what_their_places_count_as() {
        let territory = TerritoryMap::new(BTreeMap::from([(place("HK"), place("CN"))])).unwrap();
        let mut concern = group(vec![membership(&["CN", "RU"])]);
        concern.ownership_at_least_basis_points = Some(5000);
        let owned = |owners: &[(&str, u16)]| {
            let mut party = party();
            party.owners = owners
                .iter()
                .map(|(at, share)| Ownership {
                    owner: PartyId::parse("owner").unwrap(),
                    place: place(at),
                    share_basis_points: *share,
                })
                .collect();
            concern.owns(&party, &territory, UnixMillis(0), &mut Window::ALWAYS.clone())
        };
        assert!(owned(&[("HK", 2500), ("RU", 2500)]));
        assert!(!owned(&[("HK", 2500), ("RU", 2499), ("US", 5001)]));
        assert!(owned(&[("unknown", 5000)]), "an owner nobody can place counts against the party");
        assert!(!owned(&[]), "what enrolment did not find out counts as nobody's");
    }
}
