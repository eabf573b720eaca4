//! The terms of a pack: conditions that several rules share, named once, as a statute defines its terms.
//!
//! A definition is a Cedar expression over `context`. Rules refer to it as `context.term.<name>`, and before they are put to
//! Cedar it is written in its place ([`crate::pack::bench`]). It is validated as strictly as a rule; one that errors makes the
//! rule error that asked for it, which denies.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{PolicyId, PolicySet, ValidationMode, Validator};
use serde_json::Value;

use crate::pack::rules::told;
use crate::pack::{PackFacts, PackFiles, PackLoadError, schema};

/// The definitions of a pack, each as Cedar's JSON form of its expression.
#[derive(Debug, Clone)]
pub(crate) struct Definitions(BTreeMap<String, Value>);

impl Definitions {
    pub(super) fn parse(facts: &PackFacts, files: &PackFiles) -> Result<Self, PackLoadError> {
        let fault = |name: &str, problem: String| PackLoadError::Fact {
            path: files.path("pack.toml"),
            fact: format!("definitions.{name}"),
            problem,
        };
        let mut policies = PolicySet::new();
        let mut expressions = BTreeMap::new();
        for (name, expression) in &facts.definitions {
            let text = format!("permit (principal, action, resource) when {{\n{expression}\n}};");
            let parsed = PolicySet::from_str(&text)
                .map_err(|errors| fault(name, errors.iter().next().map_or_else(String::new, |error| told(error))))?;
            // An expression that closes the brace and goes on would be a rule in disguise.
            let mut all = parsed.policies();
            let (Some(policy), None, 0) = (all.next(), all.next(), parsed.num_of_templates()) else {
                return Err(fault(name, "is not one expression: write a condition over context, and no more".into()));
            };
            let expression = policy.to_json().map_err(|error| fault(name, error.to_string()))?;
            let expression = expression.pointer("/conditions/0/body").cloned();
            let expression =
                expression.ok_or_else(|| fault(name, "is not one expression: write a condition".into()))?;
            expressions.insert(name.clone(), expression);
            let added = policies.add(policy.new_id(PolicyId::new(name)));
            added.map_err(|error| fault(name, error.to_string()))?;
        }
        let schema = schema::parse(&schema::definition_schema_text(facts), files)?;
        let result = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(fault(error.policy_id().as_ref(), told(error)));
        }
        if let Some(warning) = result.validation_warnings().next() {
            return Err(fault(warning.policy_id().as_ref(), told(warning)));
        }
        Ok(Self(expressions))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The same, with another expression for one term.
    #[cfg(test)]
    pub(crate) fn with(&self, name: &str, expression: Value) -> Self {
        let mut changed = self.0.clone();
        changed.insert(name.to_owned(), expression);
        Self(changed)
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
