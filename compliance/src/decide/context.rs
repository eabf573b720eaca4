//! What a rule sees: the requests that are put to Cedar. The schema of [`crate::pack::schema`] is its type.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Expr, Schema};
use domicile_types::{
    Action, ApprovalRef, Classification, Counts, OperationKind, Party, Place, Subject, Total, UnixMillis,
};

use crate::decide::{Ask, Question};
use crate::pack::schema::{Actor, attribute_of};
use crate::pack::{Pack, PackFacts};
use crate::place::{Standing, Window};

/// One ask at one of its candidate places, as one pack reads it.
pub(crate) struct Reading<'a> {
    pub(crate) pack: &'a Pack,
    pub(crate) operation: OperationKind,
    pub(crate) classification: &'a Classification,
    pub(crate) approvals: &'a [ApprovalRef],
    pub(crate) totals: &'a [Total],
    pub(crate) ask: &'a Ask,
    pub(crate) place: Place,
    pub(crate) now: UnixMillis,
}

impl<'a> Reading<'a> {
    /// `ask` at `place`, as `pack` reads it.
    pub(crate) fn of(pack: &'a Pack, question: &'a Question, ask: &'a Ask, place: Place) -> Self {
        let Question { operation, classification, approvals, totals, now, .. } = question;
        Self { pack, operation: *operation, classification, approvals, totals, ask, place, now: *now }
    }

    /// What rules are asked, and what is so. Narrows `window` by every date that it looked at.
    ///
    /// It is of the type that the pack's schema states by construction, which tests check for every case of every pack:
    /// checking it again for every request would take longer than all the rules.
    pub(crate) fn request(&self, window: &mut Window) -> Result<Request, String> {
        self.request_by(None, window)
    }

    /// The same, held against a schema.
    pub(crate) fn request_by(&self, schema: Option<&Schema>, window: &mut Window) -> Result<Request, String> {
        let facts = &self.ask.facts;
        let law = self.pack.facts();
        let party = facts.party.as_ref();
        let mut pairs = vec![
            pair("operation", string(operation_name(self.operation))),
            pair("place", self.place(law, self.place, party, window)?),
            pair("ambiguous", Expr::new_bool(facts.places.len() > 1)),
            pair("evidence", Expr::new_long(i64::from(facts.evidence.number()))),
            pair("data", self.data(law, window)?),
            pair("pack", pack(law)?),
            pair("approved", self.approved(window)?),
            pair("total", self.totals()?),
        ];
        if let Some(party) = party {
            pairs.push(pair("party", self.party(law, party, window)?));
        }
        if schema.is_some() {
            // Terms are part of the type of rules, but replaced in the rules that are evaluated.
            let terms = law.definitions.keys().map(|name| pair(name, Expr::new_bool(false)));
            pairs.push(pair("term", record(terms)?));
        }
        let context = Context::from_pairs(pairs).map_err(told)?;
        let names = NAMES.as_ref().map_err(Clone::clone)?;
        let (principal, action) = (names.principal(&facts.subject), names.action(self.ask.action));
        Request::new(principal, action, names.data.clone(), context, schema).map_err(told)
    }

    /// Which mechanisms of the pack an approval in force stands on.
    fn approved(&self, window: &mut Window) -> Result<Expr, String> {
        let id = self.pack.id();
        let stands = self.pack.facts().mechanisms.keys().map(|mechanism| {
            let mut in_force = false;
            for held in self.approvals.iter().filter(|held| held.pack == *id && held.mechanism == *mechanism) {
                window.narrow(held.expires, self.now);
                in_force |= self.now < held.expires;
            }
            pair(&attribute_of(mechanism.as_str()), Expr::new_bool(in_force))
        });
        let stands: Vec<_> = stands.collect();
        record(stands)
    }

    /// What every ledger of the pack comes to if this request is served; unknown where nobody said.
    fn totals(&self) -> Result<Expr, String> {
        let id = self.pack.id();
        let tallies = self.pack.facts().ledgers.keys().map(|ledger| {
            let total = self.totals.iter().find(|total| total.pack == *id && total.ledger == *ledger);
            let counts = total.map_or_else(Counts::default, |total| total.after);
            let tally = record([
                pair("known", Expr::new_bool(total.is_some())),
                pair("subjects", long(counts.subjects)),
                pair("sensitive", long(counts.sensitive)),
                pair("bytes", long(counts.bytes)),
            ])?;
            Ok(pair(ledger, tally))
        });
        record(tallies.collect::<Result<Vec<_>, String>>()?)
    }

    fn place(&self, law: &PackFacts, place: Place, party: Option<&Party>, window: &mut Window) -> Result<Expr, String> {
        let place = law.territory.read(place);
        let mut within = Vec::with_capacity(law.groups.len());
        let mut conditional = Vec::with_capacity(law.groups.len());
        for (name, group) in &law.groups {
            let standing = group.standing(place, party, self.now, window);
            within.push(pair(name, Expr::new_bool(standing == Standing::Within)));
            conditional.push(pair(name, Expr::new_bool(standing == Standing::Conditional)));
        }
        let country = place.country().map_or_else(|| Place::Unknown.to_string(), |country| country.to_string());
        record([
            pair("name", string(place)),
            pair("country", string(country)),
            pair("unknown", Expr::new_bool(place == Place::Unknown)),
            pair("within", record(within)?),
            pair("conditional", record(conditional)?),
        ])
    }

    fn party(&self, law: &PackFacts, party: &Party, window: &mut Window) -> Result<Expr, String> {
        let mut owned = Vec::with_capacity(law.groups.len());
        for (name, group) in &law.groups {
            owned.push(pair(name, Expr::new_bool(group.owns(party, &law.territory, self.now, window))));
        }
        record([
            pair("id", string(&party.id)),
            pair("incorporated", self.place(law, party.incorporated, Some(party), window)?),
            pair("headquartered", self.place(law, party.headquartered, Some(party), window)?),
            pair("owned", record(owned)?),
            pair("controlled", Expr::new_bool(party.controlled_by.is_some())),
        ])
    }

    fn data(&self, law: &PackFacts, window: &mut Window) -> Result<Expr, String> {
        let data = self.classification;
        let class = law
            .classes
            .iter()
            .map(|class| pair(&attribute_of(class.as_str()), Expr::new_bool(data.classes.contains(class))));
        let mut pairs = vec![
            pair("classes", Expr::new_set(data.classes.iter().map(string))),
            pair("class", record(class)?),
            pair("unclassified", Expr::new_bool(data.classes.is_empty())),
            pair("unrecognised", Expr::new_bool(!data.classes.is_subset(&law.classes))),
            pair("origin", self.place(law, data.origin.unwrap_or(Place::Unknown), None, window)?),
        ];
        pairs.extend(data.subjects.map(|count| pair("subjects", long(count))));
        pairs.extend(data.sensitive_subjects.map(|count| pair("sensitive", long(count))));
        pairs.extend(data.important.map(|flag| pair("important", Expr::new_bool(flag))));
        record(pairs)
    }
}

fn pack(law: &PackFacts) -> Result<Expr, String> {
    let thresholds = law.thresholds.iter().map(|(name, value)| pair(name, Expr::new_long(*value)));
    record([
        pair("shard_is_data", Expr::new_bool(law.shard_is_data)),
        pair("evidence_minimum", Expr::new_long(i64::from(law.evidence_minimum.number()))),
        pair("thresholds", record(thresholds)?),
    ])
}

/// Names of entities, parsed once: Cedar's parser takes longer than a rule.
static NAMES: LazyLock<Result<Names, String>> = LazyLock::new(Names::parse);

struct Names {
    node: EntityTypeName,
    gateway: EntityTypeName,
    requester: EntityUid,
    key_service: EntityUid,
    data: EntityUid,
    action: EntityTypeName,
}

impl Names {
    fn parse() -> Result<Self, String> {
        let kind = |name: &str| EntityTypeName::from_str(name).map_err(told);
        Ok(Self {
            node: kind(Actor::Node.name())?,
            gateway: kind(Actor::Gateway.name())?,
            requester: entity(&kind(Actor::Requester.name())?, "requester"),
            key_service: entity(&kind(Actor::KeyService.name())?, "key-service"),
            data: entity(&kind("Data")?, "data"),
            action: kind("Action")?,
        })
    }

    /// No rule names a node or a gateway: rules judge by facts, so one stands for all.
    fn principal(&self, subject: &Subject) -> EntityUid {
        match subject {
            Subject::Node(_) => entity(&self.node, "node"),
            Subject::Gateway(_) => entity(&self.gateway, "gateway"),
            Subject::Requester => self.requester.clone(),
            Subject::KeyService => self.key_service.clone(),
        }
    }

    fn action(&self, action: Action) -> EntityUid {
        entity(&self.action, action.name())
    }
}

fn entity(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// `GetObject` is `get-object` in rules, as on the wire.
pub(crate) fn operation_name(operation: OperationKind) -> String {
    match serde_json::to_value(operation) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{operation:?}"),
    }
}

fn pair(name: &str, value: Expr) -> (String, Expr) {
    (name.to_owned(), value)
}

fn record(pairs: impl IntoIterator<Item = (String, Expr)>) -> Result<Expr, String> {
    Expr::new_record(pairs).map_err(told)
}

fn string(text: impl ToString) -> Expr {
    Expr::new_string(text.to_string())
}

/// Cedar counts in i64; a count beyond that is beyond every threshold as well.
fn long(count: u64) -> Expr {
    Expr::new_long(i64::try_from(count).unwrap_or(i64::MAX))
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
