//! The terms of a pack: conditions that several rules share, named once, as a statute defines its terms.
//!
//! A definition is a Cedar expression over `context`. It is evaluated before the rules and reaches them as
//! `context.term.<name>`. It is validated as strictly as a rule, and one that errors denies as a rule that errors does.

use std::str::FromStr;

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::pack::rules::told;
use crate::pack::{PackFacts, PackFiles, PackLoadError, schema};

/// The definitions of a pack: one permit each, satisfied exactly when the term holds.
#[derive(Debug)]
pub(crate) struct Definitions {
    policies: PolicySet,
    schema: Schema,
}

impl Definitions {
    pub(super) fn parse(facts: &PackFacts, files: &PackFiles) -> Result<Self, PackLoadError> {
        let fault = |name: &str, problem: String| PackLoadError::Fact {
            path: files.path("pack.toml"),
            fact: format!("definitions.{name}"),
            problem,
        };
        let mut policies = PolicySet::new();
        for (name, expression) in &facts.definitions {
            let text = format!("permit (principal, action, resource) when {{\n{expression}\n}};");
            let parsed = PolicySet::from_str(&text)
                .map_err(|errors| fault(name, errors.iter().next().map_or_else(String::new, |error| told(error))))?;
            // An expression that closes the brace and goes on would be a rule in disguise.
            let mut all = parsed.policies();
            let (Some(policy), None, 0) = (all.next(), all.next(), parsed.num_of_templates()) else {
                return Err(fault(name, "is not one expression: write a condition over context, and no more".into()));
            };
            let added = policies.add(policy.new_id(PolicyId::new(name)));
            added.map_err(|error| fault(name, error.to_string()))?;
        }
        let schema = schema::parse(&schema::definition_schema_text(facts), files)?;
        let result = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(fault(error.policy_id().as_ref(), told(error)));
        }
        if let Some(warning) = result.validation_warnings().next() {
            return Err(fault(warning.policy_id().as_ref(), told(warning)));
        }
        Ok(Self { policies, schema })
    }

    pub(crate) const fn policies(&self) -> &PolicySet {
        &self.policies
    }

    pub(crate) const fn schema(&self) -> &Schema {
        &self.schema
    }
}
