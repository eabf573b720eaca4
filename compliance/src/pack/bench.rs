//! Which rules can decide about which action of whom, ready to be evaluated.
//!
//! Of a pack's twenty rules some five have anything to say about one action of one kind of subject: the scopes of the others
//! do not fit. Those are found once, when the pack is loaded, and terms are replaced by what they are defined as, so that
//! one evaluation answers a question.

use std::collections::BTreeMap;

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint};
use domicile_types::Action;
use serde_json::Value;

use crate::pack::definitions::Definitions;
use crate::pack::schema::{Actor, roles};
use crate::pack::wants::Wants;

/// The rules of a pack by whom and what they are about.
#[derive(Debug)]
pub(crate) struct Benches(BTreeMap<(Action, Actor), Bench>);

/// The rules about one action of one kind of subject.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    pub(crate) rules: PolicySet,
    /// What they read of the context.
    pub(crate) wants: Wants,
}

/// What keeps a rule from being put to use, and its `@id`.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) rule: String,
    pub(crate) problem: String,
}

impl Benches {
    /// Seats every rule wherever its scope fits.
    pub(crate) fn of(policies: &PolicySet, definitions: &Definitions) -> Result<Self, Unfit> {
        let rules = policies.policies().map(|policy| spelt_out(policy, definitions)).collect::<Result<Vec<_>, _>>()?;
        Self::seat(&rules)
    }

    /// From rules whose terms are replaced already.
    pub(crate) fn seat(rules: &[Policy]) -> Result<Self, Unfit> {
        let mut benches = BTreeMap::new();
        for (action, actor) in roles() {
            let role = Role::of(action, actor)?;
            let mut bench = Bench::default();
            for rule in rules.iter().filter(|rule| role.fits(rule)) {
                bench.wants.read(&rule.to_json().map_err(|error| unfit(rule.id(), &error))?);
                bench.rules.add(rule.clone()).map_err(|error| unfit(rule.id(), &error))?;
            }
            benches.insert((action, actor), bench);
        }
        Ok(Self(benches))
    }

    /// The rules about `action` of `actor`; `None` where no such actor takes it.
    pub(crate) fn about(&self, action: Action, actor: Actor) -> Option<&Bench> {
        self.0.get(&(action, actor))
    }
}

/// An action and an actor, as Cedar names them.
struct Role {
    action: EntityUid,
    actor: EntityTypeName,
}

impl Role {
    fn of(action: Action, actor: Actor) -> Result<Self, Unfit> {
        let action = format!("Action::\"{}\"", action.name()).parse();
        let action = action.map_err(|error| unfit(&PolicyId::new("(schema)"), &error))?;
        let actor = actor.name().parse().map_err(|error| unfit(&PolicyId::new("(schema)"), &error))?;
        Ok(Self { action, actor })
    }

    /// Whether the scope of `rule` leaves room for this role. Scopes that are not understood leave room.
    fn fits(&self, rule: &Policy) -> bool {
        let acts = match rule.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => action == self.action,
            // No action is in another: the schema has no groups.
            ActionConstraint::In(actions) => actions.contains(&self.action),
        };
        let by = match rule.principal_constraint() {
            PrincipalConstraint::Is(kind) => kind == self.actor,
            _ => true,
        };
        acts && by
    }
}

/// A rule with every `context.term.<name>` replaced by what the name is defined as.
pub(crate) fn spelt_out(rule: &Policy, definitions: &Definitions) -> Result<Policy, Unfit> {
    let mut json = rule.to_json().map_err(|error| unfit(rule.id(), &error))?;
    if !replace_terms(&mut json, definitions) {
        return Err(Unfit {
            rule: rule.id().to_string(),
            problem: "reads context.term otherwise than as context.term.<name>".to_owned(),
        });
    }
    Policy::from_json(Some(rule.id().clone()), json).map_err(|error| unfit(rule.id(), &error))
}

/// False where `context.term` is read in any other way than one term by name.
fn replace_terms(json: &mut Value, definitions: &Definitions) -> bool {
    if let Some(name) = term_of(json) {
        let Some(expression) = definitions.get(name) else { return false };
        *json = expression.clone();
        // Terms are not defined by terms.
        return true;
    }
    match json {
        Value::Object(fields) => {
            let is_term_itself = ["left", "attr"].iter().all(|field| fields.contains_key(*field))
                && fields.get("attr").and_then(Value::as_str) == Some("term")
                && fields.get("left").is_some_and(is_context);
            !is_term_itself && fields.values_mut().all(|field| replace_terms(field, definitions))
        }
        Value::Array(items) => items.iter_mut().all(|item| replace_terms(item, definitions)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// The name in `context.term.<name>`.
fn term_of(json: &Value) -> Option<&str> {
    let (left, name) = attribute(json)?;
    let (context, term) = attribute(left)?;
    (term == "term" && is_context(context)).then_some(name)
}

fn attribute(json: &Value) -> Option<(&Value, &str)> {
    let access = json.as_object()?.get(".")?.as_object()?;
    Some((access.get("left")?, access.get("attr")?.as_str()?))
}

fn is_context(json: &Value) -> bool {
    json.as_object().and_then(|fields| fields.get("Var")).and_then(Value::as_str) == Some("context")
}

fn unfit(rule: &PolicyId, error: &impl std::fmt::Display) -> Unfit {
    Unfit { rule: rule.to_string(), problem: error.to_string() }
}
