//! Which attributes of the context rules read.
//!
//! A regime states a hundred facts about a question, and the rules about one action read ten of them. Making the others for
//! Cedar would take longer than all the rules.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is read of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wants {
    /// All of it.
    All,
    /// These attributes, and of them that. None: at most whether the record is there.
    Some(BTreeMap<String, Wants>),
}

impl Default for Wants {
    fn default() -> Self {
        Self::Some(BTreeMap::new())
    }
}

impl Wants {
    /// What is read of the attribute `name`; `None`: not even whether it is there.
    pub(crate) fn at(&self, name: &str) -> Option<&Self> {
        match self {
            Self::All => Some(self),
            Self::Some(attributes) => attributes.get(name),
        }
    }

    /// Whether the attribute `name` is read.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.at(name).is_some()
    }

    /// Adds what an expression, in Cedar's JSON form, reads of `context`.
    pub(crate) fn read(&mut self, json: &Value) {
        if let Some(path) = path(json) {
            self.add(&path, Self::All);
            return;
        }
        if let Some((left, name)) = access(json, "has")
            && let Some(mut path) = path(left)
        {
            path.push(name);
            self.add(&path, Self::default());
            return;
        }
        match json {
            Value::Object(fields) => fields.values().for_each(|field| self.read(field)),
            Value::Array(items) => items.iter().for_each(|item| self.read(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn add(&mut self, path: &[&str], what: Self) {
        match (self, path.split_first()) {
            (Self::All, _) => {}
            (wants, None) => {
                if what == Self::All {
                    *wants = Self::All;
                }
            }
            (Self::Some(attributes), Some((name, rest))) => {
                attributes.entry((*name).to_owned()).or_default().add(rest, what);
            }
        }
    }
}

/// `["place", "within", "eea"]` of `context.place.within.eea`.
fn path(json: &Value) -> Option<Vec<&str>> {
    if json.as_object()?.get("Var").and_then(Value::as_str) == Some("context") {
        return Some(Vec::new());
    }
    let (left, name) = access(json, ".")?;
    let mut path = path(left)?;
    path.push(name);
    Some(path)
}

fn access<'a>(json: &'a Value, operator: &str) -> Option<(&'a Value, &'a str)> {
    let access = json.as_object()?.get(operator)?.as_object()?;
    Some((access.get("left")?, access.get("attr")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn wants(condition: &str) -> Wants {
        let policy: Policy = format!("permit (principal, action, resource) when {{ {condition} }};").parse().unwrap();
        let mut wants = Wants::default();
        wants.read(&policy.to_json().unwrap());
        wants
    }

    fn reads(wants: &Wants, path: &str) -> bool {
        path.split('.').try_fold(wants, |wants, name| wants.at(name)).is_some()
    }

    #[test]
    fn only_what_a_condition_reads_is_wanted() {
        let wants = wants("!context.place.within.eea || (context.data has subjects && context.data.subjects > 3)");
        for (path, read) in [
            ("place.within.eea", true),
            ("place.within.adequate", false),
            ("place.unknown", false),
            ("data.subjects", true),
            ("data.sensitive", false),
            ("party", false),
        ] {
            assert_eq!(reads(&wants, path), read, "{path}");
        }
    }

    #[test]
    fn asking_whether_a_record_is_there_wants_nothing_of_it() {
        let there = wants("context has party");
        assert!(reads(&there, "party") && !reads(&there, "party.id"));
        let both = wants("context has party && context.party.owned.concern");
        assert!(reads(&both, "party.owned.concern") && !reads(&both, "party.incorporated"));
    }

    #[test]
    fn a_record_that_is_read_whole_is_wanted_whole() {
        assert!(reads(&wants("context.place == context.data.origin"), "place.within.anything"));
        assert_eq!(wants("context == context"), Wants::All);
        assert!(reads(&wants("[context.place.name].contains(\"DE\")"), "place.name"));
    }
}
