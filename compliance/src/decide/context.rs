//! What a rule sees: the requests that are put to Cedar. The schema of [`crate::pack::schema`] is its type.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Expr, Schema};
use domicile_types::{
    ApprovalRef, Classification, Counts, OperationKind, Party, Place, Subject, SubjectFacts, Total, UnixMillis,
};

use crate::decide::Ask;
use crate::pack::schema::attribute_of;
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

/// The facts of one reading, before the terms.
pub(crate) struct Facts {
    pairs: Vec<(String, Expr)>,
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
}

impl Facts {
    /// The request that definitions are put to, validated against their schema.
    pub(crate) fn for_definitions(&self, pack: &Pack) -> Result<Request, String> {
        self.request(&BTreeMap::new(), pack.rules().definitions().schema())
    }

    /// The request that rules are put to, with every term and whether it holds, validated against their schema.
    pub(crate) fn for_rules(&self, terms: &BTreeMap<&str, bool>, pack: &Pack) -> Result<Request, String> {
        self.request(terms, pack.rules().schema())
    }

    fn request(&self, terms: &BTreeMap<&str, bool>, schema: &Schema) -> Result<Request, String> {
        let terms = record(terms.iter().map(|(name, holds)| pair(name, Expr::new_bool(*holds))))?;
        let pairs = self.pairs.iter().cloned().chain([pair("term", terms)]);
        let context = Context::from_pairs(pairs).map_err(told)?;
        let (principal, action, resource) = (self.principal.clone(), self.action.clone(), self.resource.clone());
        Request::new(principal, action, resource, context, Some(schema)).map_err(told)
    }
}

impl Reading<'_> {
    /// What is so. Narrows `window` by every date that it looked at.
    pub(crate) fn facts(&self, window: &mut Window) -> Result<Facts, String> {
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
        let (action, resource) = (entity("Action", self.ask.action.name())?, entity("Data", "data")?);
        Ok(Facts { pairs, principal: principal(facts)?, action, resource })
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

fn principal(facts: &SubjectFacts) -> Result<EntityUid, String> {
    match facts.subject {
        Subject::Node(node) => entity("Node", &node.to_string()),
        Subject::Gateway(gateway) => entity("Gateway", &gateway.to_string()),
        Subject::Requester => entity("Requester", "requester"),
        Subject::KeyService => entity("KeyService", "key-service"),
    }
}

fn entity(kind: &str, id: &str) -> Result<EntityUid, String> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).map_err(told)?, EntityId::new(id)))
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
