//! All approvals, and which of them a reader stands on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_types::{ApprovalId, BucketName, PackId, Place, TenantId, UnixMillis};

use super::record::{Actor, Approval, State, Use, same_person};

/// Every approval there is, as of one epoch.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Grows with every change.
    pub epoch: u64,
    all: BTreeMap<ApprovalId, Arc<Approval>>,
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Whose bucket.
    pub owner: &'a TenantId,
    /// Which.
    pub bucket: &'a BucketName,
    /// The object's key, or the prefix that is listed; none where the bucket itself is asked about.
    pub key: Option<&'a str>,
    /// Where the reader may be.
    pub places: &'a [Place],
    /// Whose key it reads with.
    pub tenant: &'a TenantId,
    /// Which key.
    pub access_key: &'a str,
    /// Whose in the tenant.
    pub user: Option<&'a str>,
    /// `role/session`.
    pub session: Option<&'a str>,
    /// What it does.
    pub wants: Use,
}

/// What speaks for a reader, and what would if it were in force.
#[derive(Debug, Default)]
pub struct Found {
    /// In force, by id.
    pub in_force: Vec<Arc<Approval>>,
    /// Not in force, by id.
    pub out_of_force: Vec<Arc<Approval>>,
}

impl Table {
    /// A table of these approvals.
    #[must_use]
    pub fn new(epoch: u64, all: impl IntoIterator<Item = Approval>) -> Self {
        Self { epoch, all: all.into_iter().map(|approval| (approval.id, Arc::new(approval))).collect() }
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Approval>> {
        self.all.values()
    }

    /// The approval of that id.
    #[must_use]
    pub fn get(&self, id: &ApprovalId) -> Option<&Arc<Approval>> {
        self.all.get(id)
    }

    /// Those of `packs` that match a reader.
    #[must_use]
    pub fn matching(&self, asker: &Asker<'_>, packs: &BTreeSet<&PackId>, now: UnixMillis) -> Found {
        let mut found = Found::default();
        for approval in self.all.values() {
            if !packs.contains(&approval.terms.pack) || !matches(approval, asker) {
                continue;
            }
            match approval.state {
                _ if approval.is_in_force(now) => found.in_force.push(Arc::clone(approval)),
                State::Rejected | State::Withdrawn => {}
                _ => found.out_of_force.push(Arc::clone(approval)),
            }
        }
        found
    }

    /// Whether a read that was allowed under these may go on: what is used up serves what was reserved of it.
    #[must_use]
    pub fn may_go_on(&self, approvals: &[ApprovalId], now: UnixMillis) -> bool {
        approvals.iter().all(|id| {
            self.all.get(id).is_some_and(|approval| {
                matches!(approval.state, State::Active | State::Consumed) && now < approval.terms.expires
            })
        })
    }
}

/// Whether an approval is about this reader, bucket, key, place and use.
fn matches(approval: &Approval, asker: &Asker<'_>) -> bool {
    let terms = &approval.terms;
    terms.tenant == *asker.owner
        && terms.bucket == *asker.bucket
        && asker.key.is_none_or(|key| key.starts_with(&terms.prefix))
        && terms.operations.contains(&asker.wants)
        && !asker.places.is_empty()
        && asker.places.iter().all(|place| terms.recipient.places.iter().any(|within| place.is_within(within)))
        && terms.actors.iter().any(|actor| is_actor(actor, terms.tenant == *asker.tenant, asker))
        // Whoever asked or decided must not be who reads, whatever became of keys since.
        && !asker.user.is_some_and(|user| approval.has_hand(user))
}

fn is_actor(actor: &Actor, is_own: bool, asker: &Asker<'_>) -> bool {
    match actor {
        Actor::AccessKey(key) => key == asker.access_key,
        Actor::User(user) => is_own && asker.user == Some(user),
        Actor::Role(role) => is_own && asker.session.and_then(|name| name.split('/').next()) == Some(role),
    }
}

/// The recipient's approvals to stand on, out of those that match: of one recipient, one per mechanism, the one that ends
/// first. The recipient that brings most mechanisms goes first, then the one whose id is least.
#[must_use]
pub fn choose(found: Vec<Arc<Approval>>) -> Vec<Arc<Approval>> {
    let mut by_recipient: BTreeMap<_, BTreeMap<_, Arc<Approval>>> = BTreeMap::new();
    for approval in found {
        let chosen = by_recipient.entry(approval.terms.recipient.party.id.clone()).or_default();
        let mechanism = (approval.terms.pack.clone(), approval.terms.mechanism.clone());
        let first = chosen.entry(mechanism).or_insert_with(|| Arc::clone(&approval));
        if (approval.terms.expires, approval.id) < (first.terms.expires, first.id) {
            *first = approval;
        }
    }
    let best = by_recipient.into_values().reduce(|best, next| if next.len() > best.len() { next } else { best });
    best.map(|chosen| chosen.into_values().collect()).unwrap_or_default()
}

/// Whether `person` is one of those who act under these terms, as far as their names say.
#[must_use]
pub fn acts(actors: &BTreeSet<Actor>, person: &str) -> bool {
    actors.iter().any(|actor| match actor {
        Actor::User(name) | Actor::AccessKey(name) => same_person(name, person),
        Actor::Role(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approvals::record::tests::{NOW, place, requested};

    const NOBODY: [u8; 0] = [];

    fn approval(id: u8, change: impl FnOnce(&mut Approval)) -> Approval {
        let mut approval = requested();
        approval.id = ApprovalId::from_bytes([id; 16]);
        approval.state = State::Active;
        approval.checker = Some("anna".to_owned());
        change(&mut approval);
        approval
    }

    fn ids(found: &[Arc<Approval>]) -> Vec<u8> {
        found.iter().map(|approval| approval.id.as_bytes()[0]).collect()
    }

    fn found(table: &Table, change: impl FnOnce(&mut Asker<'_>)) -> Vec<u8> {
        let tenant = TenantId::parse("a").unwrap();
        let bucket = BucketName::parse("training").unwrap();
        let (germany, berlin_or_france) = ([place("DE")], [place("DE-BE"), place("FR")]);
        let mut asker = Asker {
            owner: &tenant,
            bucket: &bucket,
            key: Some("set/1"),
            places: &germany,
            tenant: &tenant,
            access_key: "AKID",
            user: None,
            session: None,
            wants: Use::Retrieve,
        };
        change(&mut asker);
        if asker.key == Some("two places") {
            asker.key = Some("set/1");
            asker.places = &berlin_or_france;
        }
        let pack = PackId::parse("cn-data-export").unwrap();
        ids(&table.matching(&asker, &BTreeSet::from([&pack]), NOW).in_force)
    }

    #[test]
    fn an_approval_reaches_its_readers_at_its_places_and_nobody_else() {
        let table = Table::new(1, [approval(1, |_| {})]);
        let other_tenant = TenantId::parse("b").unwrap();
        let other_bucket = BucketName::parse("other").unwrap();
        assert_eq!(found(&table, |_| {}), [1]);
        assert_eq!(found(&table, |asker| asker.key = None), [1], "HeadBucket");
        assert_eq!(found(&table, |asker| asker.wants = Use::Query), [1]);
        assert_eq!(found(&table, |asker| asker.key = Some("se")), NOBODY, "another prefix");
        assert_eq!(found(&table, |asker| asker.access_key = "OTHER"), NOBODY);
        assert_eq!(found(&table, |asker| asker.places = &[]), NOBODY);
        assert_eq!(found(&table, |asker| asker.places = &[Place::Unknown]), NOBODY);
        assert_eq!(found(&table, |asker| asker.key = Some("two places")), NOBODY, "one candidate is elsewhere");
        assert_eq!(found(&table, |asker| asker.user = Some("Anna")), NOBODY, "the checker reads");
        let owner = other_tenant.clone();
        let tables = Table::new(1, [approval(1, |approval| approval.terms.tenant = owner)]);
        assert_eq!(found(&tables, |_| {}), NOBODY);
        let tables = Table::new(1, [approval(1, |approval| approval.terms.bucket = other_bucket)]);
        assert_eq!(found(&tables, |_| {}), NOBODY);
    }

    #[test]
    fn users_and_roles_are_the_tenants_own() {
        let table = Table::new(
            1,
            [
                approval(1, |approval| approval.terms.actors = [Actor::User("eve".to_owned())].into()),
                approval(2, |approval| approval.terms.actors = [Actor::Role("train".to_owned())].into()),
            ],
        );
        assert_eq!(found(&table, |asker| asker.user = Some("eve")), [1]);
        assert_eq!(found(&table, |asker| asker.session = Some("train/7")), [2]);
        assert_eq!(found(&table, |asker| asker.session = Some("training/7")), NOBODY);
    }

    #[test]
    fn only_what_is_in_force_counts_and_the_rest_is_told() {
        let table = Table::new(
            1,
            [
                approval(1, |approval| approval.state = State::Suspended),
                approval(2, |approval| approval.terms.effective = Some(NOW.plus_millis(1))),
                approval(3, |approval| approval.terms.expires = NOW),
                approval(4, |approval| approval.state = State::Requested),
            ],
        );
        assert_eq!(found(&table, |_| {}), NOBODY);
        let may = |id: u8| table.may_go_on(&[ApprovalId::from_bytes([id; 16])], NOW);
        assert!(!may(1) && !may(3) && !may(4) && !may(9));
        let consumed = Table::new(1, [approval(1, |approval| approval.state = State::Consumed)]);
        assert!(consumed.may_go_on(&[ApprovalId::from_bytes([1; 16])], NOW));
    }

    #[test]
    fn one_recipient_one_approval_per_mechanism_the_soonest_to_end() {
        let arc = |approval| Arc::new(approval);
        let sooner = approval(2, |approval| approval.terms.expires = NOW.plus_millis(5));
        assert_eq!(ids(&choose(vec![arc(approval(1, |_| {})), arc(sooner)])), [2]);
        let other = |id, mechanism: &str| {
            approval(id, |approval| {
                approval.terms.recipient.party.id = domicile_types::PartyId::parse("zeta").unwrap();
                approval.terms.mechanism = domicile_types::MechanismId::parse(mechanism).unwrap();
            })
        };
        let chosen = choose(vec![arc(approval(1, |_| {})), arc(other(3, "contract")), arc(other(4, "consent"))]);
        assert_eq!(ids(&chosen), [4, 3]);
        assert_eq!(ids(&choose(vec![arc(approval(1, |_| {})), arc(other(3, "contract"))])), [1]);
        assert!(choose(Vec::new()).is_empty());
    }
}
