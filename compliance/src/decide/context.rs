//! What a rule sees: the requests that are put to Cedar. The schema of [`crate::pack::schema`] is its type.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Expr, Schema};
use domicile_types::{
    Action, ApprovalRef, Classification, Counts, OperationKind, Party, Place, Subject, Total, UnixMillis,
};

use crate::decide::{Ask, Question};
use crate::pack::schema::{Actor, attribute_of};
use crate::pack::wants::Wants;
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

    /// What rules are asked, and of what is so, what they want to know. Narrows `window` by every date that it looked at.
    ///
    /// It is of the type that the pack's schema states by construction, which tests check for every case of every pack:
    /// holding it against the schema for every request would take longer than all the rules.
    pub(crate) fn request(
        &self,
        wants: &Wants,
        schema: Option<&Schema>,
        window: &mut Window,
    ) -> Result<Request, String> {
        let facts = &self.ask.facts;
        let law = self.pack.facts();
        let party = facts.party.as_ref();
        let mut pairs = Vec::new();
        if wants.has("operation") {
            pairs.push(pair("operation", string(operation_name(self.operation))));
        }
        if let Some(wants) = wants.at("place") {
            pairs.push(pair("place", self.place(wants, law, self.place, party, window)?));
        }
        if wants.has("ambiguous") {
            pairs.push(pair("ambiguous", Expr::new_bool(facts.places.len() > 1)));
        }
        if wants.has("evidence") {
            pairs.push(pair("evidence", Expr::new_long(i64::from(facts.evidence.number()))));
        }
        if let Some(wants) = wants.at("data") {
            pairs.push(pair("data", self.data(wants, law, window)?));
        }
        if let Some(wants) = wants.at("pack") {
            pairs.push(pair("pack", pack(wants, law)?));
        }
        if let Some(wants) = wants.at("approved") {
            pairs.push(pair("approved", self.approved(wants, window)?));
        }
        if let Some(wants) = wants.at("total") {
            pairs.push(pair("total", self.totals(wants)?));
        }
        if let (Some(wants), Some(party)) = (wants.at("party"), party) {
            pairs.push(pair("party", self.party(wants, law, party, window)?));
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
    fn approved(&self, wants: &Wants, window: &mut Window) -> Result<Expr, String> {
        let id = self.pack.id();
        let mut stands = Vec::new();
        for mechanism in self.pack.facts().mechanisms.keys() {
            let name = attribute_of(mechanism.as_str());
            if !wants.has(&name) {
                continue;
            }
            let mut in_force = false;
            for held in self.approvals.iter().filter(|held| held.pack == *id && held.mechanism == *mechanism) {
                window.narrow(held.expires, self.now);
                in_force |= self.now < held.expires;
            }
            stands.push((name, Expr::new_bool(in_force)));
        }
        record(stands)
    }

    /// What every ledger of the pack comes to if this request is served; unknown where nobody said.
    fn totals(&self, wants: &Wants) -> Result<Expr, String> {
        let id = self.pack.id();
        let tallies = self.pack.facts().ledgers.keys().filter(|ledger| wants.has(ledger)).map(|ledger| {
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

    fn place(
        &self,
        wants: &Wants,
        law: &PackFacts,
        place: Place,
        party: Option<&Party>,
        window: &mut Window,
    ) -> Result<Expr, String> {
        let place = law.territory.read(place);
        let mut pairs = Vec::new();
        for (attribute, wanted) in [("within", Standing::Within), ("conditional", Standing::Conditional)] {
            let Some(wants) = wants.at(attribute) else { continue };
            let mut stands = Vec::new();
            for (name, group) in law.groups.iter().filter(|(name, _)| wants.has(name)) {
                let standing = group.standing(place, party, self.now, window);
                stands.push(pair(name, Expr::new_bool(standing == wanted)));
            }
            pairs.push(pair(attribute, record(stands)?));
        }
        if wants.has("name") {
            pairs.push(pair("name", string(place)));
        }
        if wants.has("country") {
            let unknown = || Place::Unknown.to_string();
            pairs.push(pair("country", string(place.country().map_or_else(unknown, |country| country.to_string()))));
        }
        if wants.has("unknown") {
            pairs.push(pair("unknown", Expr::new_bool(place == Place::Unknown)));
        }
        record(pairs)
    }

    fn party(&self, wants: &Wants, law: &PackFacts, party: &Party, window: &mut Window) -> Result<Expr, String> {
        let mut pairs = Vec::new();
        if wants.has("id") {
            pairs.push(pair("id", string(&party.id)));
        }
        for (attribute, place) in [("incorporated", party.incorporated), ("headquartered", party.headquartered)] {
            if let Some(wants) = wants.at(attribute) {
                pairs.push(pair(attribute, self.place(wants, law, place, Some(party), window)?));
            }
        }
        if let Some(wants) = wants.at("owned") {
            let mut owned = Vec::new();
            for (name, group) in law.groups.iter().filter(|(name, _)| wants.has(name)) {
                owned.push(pair(name, Expr::new_bool(group.owns(party, &law.territory, self.now, window))));
            }
            pairs.push(pair("owned", record(owned)?));
        }
        if wants.has("controlled") {
            pairs.push(pair("controlled", Expr::new_bool(party.controlled_by.is_some())));
        }
        record(pairs)
    }

    fn data(&self, wants: &Wants, law: &PackFacts, window: &mut Window) -> Result<Expr, String> {
        let data = self.classification;
        let mut pairs = Vec::new();
        if wants.has("classes") {
            pairs.push(pair("classes", Expr::new_set(data.classes.iter().map(string))));
        }
        if let Some(wants) = wants.at("class") {
            let class = law.classes.iter().map(|class| (attribute_of(class.as_str()), data.classes.contains(class)));
            let class = class.filter(|(name, _)| wants.has(name)).map(|(name, held)| (name, Expr::new_bool(held)));
            pairs.push(pair("class", record(class)?));
        }
        if wants.has("unclassified") {
            pairs.push(pair("unclassified", Expr::new_bool(data.classes.is_empty())));
        }
        if wants.has("unrecognised") {
            pairs.push(pair("unrecognised", Expr::new_bool(!data.classes.is_subset(&law.classes))));
        }
        if let Some(wants) = wants.at("origin") {
            let origin = data.origin.unwrap_or(Place::Unknown);
            pairs.push(pair("origin", self.place(wants, law, origin, None, window)?));
        }
        // Whether these are there is what rules ask first, so they are made wherever they are stated.
        pairs.extend(data.subjects.map(|count| pair("subjects", long(count))));
        pairs.extend(data.sensitive_subjects.map(|count| pair("sensitive", long(count))));
        pairs.extend(data.important.map(|flag| pair("important", Expr::new_bool(flag))));
        record(pairs)
    }
}

fn pack(wants: &Wants, law: &PackFacts) -> Result<Expr, String> {
    let mut pairs = Vec::new();
    if let Some(wants) = wants.at("thresholds") {
        let thresholds = law.thresholds.iter().filter(|(name, _)| wants.has(name));
        pairs.push(pair("thresholds", record(thresholds.map(|(name, value)| pair(name, Expr::new_long(*value))))?));
    }
    pairs.push(pair("shard_is_data", Expr::new_bool(law.shard_is_data)));
    pairs.push(pair("evidence_minimum", Expr::new_long(i64::from(law.evidence_minimum.number()))));
    record(pairs)
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
