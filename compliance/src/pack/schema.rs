//! The Cedar schema that a pack's rules are validated against: made from its facts, so that a group, a class or a
//! threshold that the pack does not have is an error at load, not a rule that never fires.

use std::fmt::Write;

use cedar_policy::Schema;
use domicile_types::Action;

use crate::pack::PackFacts;

/// Who may be asked about for an action.
const PRINCIPALS: [(Action, &str); 10] = [
    (Action::Store, "Node"),
    (Action::Process, "Gateway"),
    (Action::Relay, "Node, Gateway"),
    (Action::HoldKey, "Gateway, KeyService"),
    (Action::Index, "Gateway"),
    (Action::Log, "Gateway"),
    (Action::Retrieve, "Requester"),
    (Action::Query, "Requester"),
    (Action::Repair, "Node"),
    (Action::Administer, "Requester, Gateway, Node"),
];

/// The schema as text, in Cedar's own notation; `domicile policy list --schema` can print it for those who write rules.
#[must_use]
pub fn schema_text(facts: &PackFacts) -> String {
    let groups = record(facts.groups.keys().map(String::as_str), "Bool");
    let classes: Vec<String> = facts.classes.iter().map(|class| attribute_of(class.as_str())).collect();
    let classes = record(classes.iter().map(String::as_str), "Bool");
    let thresholds = record(facts.thresholds.keys().map(String::as_str), "Long");
    let mut text = format!(
        "entity Node, Gateway, Requester, KeyService, Data;
type Groups = {groups};
type Classes = {classes};
type Thresholds = {thresholds};
type Place = {{ name: String, country: String, unknown: Bool, within: Groups, conditional: Groups }};
type Party = {{ id: String, incorporated: Place, headquartered: Place, owned: Groups, controlled: Bool }};
type Classification = {{
  classes: Set<String>, class: Classes, unclassified: Bool, unrecognised: Bool,
  origin: Place, subjects?: Long, sensitive?: Long, important?: Bool
}};
type Pack = {{ shard_is_data: Bool, evidence_minimum: Long, thresholds: Thresholds }};
type Ask = {{
  operation: String, place: Place, ambiguous: Bool, evidence: Long, party?: Party, data: Classification, pack: Pack
}};
"
    );
    for (action, principals) in PRINCIPALS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "action {} appliesTo {{ principal: [{principals}], resource: [Data], context: Ask }};",
            action.name()
        );
    }
    text
}

/// The schema, parsed. `Err` holds the parser's words; it would be our own mistake, and still refuses the pack.
pub(crate) fn schema(facts: &PackFacts) -> Result<Schema, String> {
    Schema::from_cedarschema_str(&schema_text(facts)).map(|(schema, _)| schema).map_err(|error| error.to_string())
}

/// The attribute that stands for a class: `human-genomic` is `context.data.class.human_genomic`.
pub(crate) fn attribute_of(class: &str) -> String {
    class.replace('-', "_")
}

fn record<'a>(names: impl Iterator<Item = &'a str>, kind: &str) -> String {
    let fields: Vec<String> = names.map(|name| format!("\"{name}\": {kind}")).collect();
    format!("{{ {} }}", fields.join(", "))
}
