//! The Cedar schema that a pack's rules are validated against: made from its facts, so that a group, a class or a
//! threshold that the pack does not have is an error at load, not a rule that never fires.

use std::fmt::Write;

use cedar_policy::Schema;
use domicile_types::{Action, Subject};

use crate::pack::{PackFacts, PackFiles, PackLoadError};

/// Who may be asked about for an action.
const PRINCIPALS: [(Action, &[Actor]); 10] = [
    (Action::Store, &[Actor::Node]),
    (Action::Process, &[Actor::Gateway]),
    (Action::Relay, &[Actor::Node, Actor::Gateway]),
    (Action::HoldKey, &[Actor::Gateway, Actor::KeyService]),
    (Action::Index, &[Actor::Gateway]),
    (Action::Log, &[Actor::Gateway]),
    (Action::Retrieve, &[Actor::Requester]),
    (Action::Query, &[Actor::Requester]),
    (Action::Repair, &[Actor::Node]),
    (Action::Administer, &[Actor::Requester, Actor::Gateway, Actor::Node]),
];

/// What kind of subject acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    /// A storage node.
    Node,
    /// A gateway.
    Gateway,
    /// Whoever sent the request.
    Requester,
    /// A key service.
    KeyService,
}

impl Actor {
    pub(crate) const fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Node(_) => Self::Node,
            Subject::Gateway(_) => Self::Gateway,
            Subject::Requester => Self::Requester,
            Subject::KeyService => Self::KeyService,
        }
    }

    /// Its entity type in rules.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Gateway => "Gateway",
            Self::Requester => "Requester",
            Self::KeyService => "KeyService",
        }
    }
}

/// Every action with every actor that may take it.
pub(crate) fn roles() -> impl Iterator<Item = (Action, Actor)> {
    PRINCIPALS.iter().flat_map(|(action, actors)| actors.iter().map(|actor| (*action, *actor)))
}

/// What the rules of a pack see, in Cedar's own notation.
#[must_use]
pub fn schema_text(facts: &PackFacts) -> String {
    text(facts, facts.definitions.keys().map(String::as_str))
}

/// What the definitions of a pack see: the same without the terms, so that no term is defined by terms.
#[must_use]
pub fn definition_schema_text(facts: &PackFacts) -> String {
    text(facts, std::iter::empty())
}

fn text<'a>(facts: &PackFacts, terms: impl Iterator<Item = &'a str>) -> String {
    let groups = record(facts.groups.keys().map(String::as_str), "Bool");
    let classes: Vec<String> = facts.classes.iter().map(|class| attribute_of(class.as_str())).collect();
    let classes = record(classes.iter().map(String::as_str), "Bool");
    let terms = record(terms, "Bool");
    let thresholds = record(facts.thresholds.keys().map(String::as_str), "Long");
    let mechanisms: Vec<String> = facts.mechanisms.keys().map(|name| attribute_of(name.as_str())).collect();
    let approved = record(mechanisms.iter().map(String::as_str), "Bool");
    let totals = record(facts.ledgers.keys().map(String::as_str), "Tally");
    let mut text = format!(
        "entity Node, Gateway, Requester, KeyService, Data;
type Groups = {groups};
type Classes = {classes};
type Thresholds = {thresholds};
type Terms = {terms};
type Approved = {approved};
type Tally = {{ known: Bool, subjects: Long, sensitive: Long, bytes: Long }};
type Totals = {totals};
type Place = {{ name: String, country: String, unknown: Bool, within: Groups, conditional: Groups }};
type Party = {{ id: String, incorporated: Place, headquartered: Place, owned: Groups, controlled: Bool }};
type Classification = {{
  classes: Set<String>, class: Classes, unclassified: Bool, unrecognised: Bool,
  origin: Place, subjects?: Long, sensitive?: Long, important?: Bool
}};
type Pack = {{ shard_is_data: Bool, evidence_minimum: Long, thresholds: Thresholds }};
type Ask = {{
  operation: String, place: Place, ambiguous: Bool, evidence: Long, party?: Party, data: Classification, pack: Pack,
  approved: Approved, total: Totals, term: Terms
}};
"
    );
    for (action, actors) in PRINCIPALS {
        let principals = actors.iter().map(|actor| actor.name()).collect::<Vec<_>>().join(", ");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "action {} appliesTo {{ principal: [{principals}], resource: [Data], context: Ask }};",
            action.name()
        );
    }
    text
}

/// A schema, parsed. It would be our own mistake if it failed, and it still refuses the pack.
pub(crate) fn parse(text: &str, files: &PackFiles) -> Result<Schema, PackLoadError> {
    let schema = Schema::from_cedarschema_str(text).map(|(schema, _)| schema);
    schema.map_err(|error| PackLoadError::Fact {
        path: files.path("pack.toml"),
        fact: "the schema that the facts make".to_owned(),
        problem: error.to_string(),
    })
}

/// The attribute that stands for a class: `human-genomic` is `context.data.class.human_genomic`.
pub(crate) fn attribute_of(class: &str) -> String {
    class.replace('-', "_")
}

fn record<'a>(names: impl Iterator<Item = &'a str>, kind: &str) -> String {
    let fields: Vec<String> = names.map(|name| format!("\"{name}\": {kind}")).collect();
    format!("{{ {} }}", fields.join(", "))
}
