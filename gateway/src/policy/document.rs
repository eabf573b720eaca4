//! From a document to a [`Policy`], or to what is wrong with it.

use domicile_types::BucketName;

use super::actions::{self, Scope};
use super::condition::Condition;
use super::json::Json;
use super::keys::Key;
use super::pattern::{Pattern, Syntax};
use super::principal::{Principal, principals, strings};

/// The longest document, in bytes: Amazon S3's limit for bucket policies.
pub const POLICY_BYTES_MAX: usize = 20 * 1024;

/// What is wrong with a document, for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedPolicy(pub(super) String);

/// A policy that was understood in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) allows: bool,
    /// `None` in policies of identities: they mean whom they belong to.
    pub(super) principals: Option<Listed<Principal>>,
    pub(super) actions: Listed<Pattern>,
    pub(super) resources: Listed<Pattern>,
    pub(super) conditions: Vec<Condition>,
}

/// An element, or its `Not` form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed<T> {
    pub(super) list: Vec<T>,
    /// `NotPrincipal`, `NotAction`, `NotResource`: all but these.
    pub(super) others: bool,
}

/// Before every resource that is a bucket or in one.
pub(super) const ARN_PREFIX: &str = "arn:aws:s3:::";

impl Policy {
    /// Reads the policy of a bucket.
    ///
    /// # Errors
    /// [`MalformedPolicy`] for all that is no policy of this bucket or that this gateway does not honour.
    pub fn of_bucket(document: &str, bucket: &BucketName) -> Result<Self, MalformedPolicy> {
        parse(document, Some(bucket)).map_err(MalformedPolicy)
    }

    /// Reads the policy of an identity or a session: its statements name no principal, and resources of any bucket.
    ///
    /// # Errors
    /// The same.
    pub fn of_identity(document: &str) -> Result<Self, MalformedPolicy> {
        parse(document, None).map_err(MalformedPolicy)
    }

    /// Whether it asks for tags of the object that is there.
    #[must_use]
    pub fn mentions_existing_tags(&self) -> bool {
        let conditions =
            |statement: &'_ Statement| statement.conditions.iter().any(|c| c.keys().any(Key::is_existing_tag));
        let resources = |statement: &'_ Statement| {
            statement.resources.list.iter().any(|pattern| pattern.variables().any(Key::is_existing_tag))
        };
        self.statements.iter().any(|statement| conditions(statement) || resources(statement))
    }
}

fn parse(document: &str, bucket: Option<&BucketName>) -> Result<Policy, String> {
    if document.len() > POLICY_BYTES_MAX {
        return Err(format!("the policy has {} bytes; it may have {POLICY_BYTES_MAX}", document.len()));
    }
    let json: Json = serde_json::from_str(document).map_err(|error| format!("the policy is not JSON: {error}"))?;
    let Json::Object(members) = json else { return Err(format!("the policy is {}, not an object", json.kind())) };
    let (mut variables, mut statements) = (false, None);
    for (name, value) in &members {
        match (name.as_str(), value) {
            ("Version", Json::Text(version)) => match version.as_str() {
                "2012-10-17" => variables = true,
                "2008-10-17" => {}
                other => return Err(format!("the version {other:?} is neither 2012-10-17 nor 2008-10-17")),
            },
            ("Id", Json::Text(_)) => {}
            ("Statement", value) => statements = Some(value),
            ("Version" | "Id", other) => return Err(format!("{name} is {}", other.kind())),
            _ => return Err(format!("the element {name:?} is not known")),
        }
    }
    let statements: Vec<&Json> = match statements.ok_or("the policy has no Statement")? {
        Json::List(list) => list.iter().collect(),
        one => vec![one],
    };
    if statements.is_empty() {
        return Err("the policy has no statement".to_owned());
    }
    let read = |(number, stated): (usize, &Json)| {
        statement(stated, bucket, variables).map_err(|why| format!("statement {}: {why}", number + 1))
    };
    Ok(Policy { statements: (0..).zip(statements).map(read).collect::<Result<_, _>>()? })
}

fn statement(stated: &Json, bucket: Option<&BucketName>, variables: bool) -> Result<Statement, String> {
    let Json::Object(members) = stated else { return Err(format!("it is {}, not an object", stated.kind())) };
    let (mut allows, mut who, mut actions, mut resources) = (None, None, None, None);
    let mut conditions = Vec::new();
    for (name, value) in members {
        let others = name.starts_with("Not");
        match name.as_str() {
            "Sid" => {
                let Json::Text(_) = value else { return Err(format!("Sid is {}", value.kind())) };
            }
            "Effect" => {
                allows = match value {
                    Json::Text(text) if text == "Allow" => Some(true),
                    Json::Text(text) if text == "Deny" => Some(false),
                    _ => return Err("Effect is neither \"Allow\" nor \"Deny\"".to_owned()),
                };
            }
            "Principal" | "NotPrincipal" => once(&mut who, Listed { list: principals(name, value)?, others }, name)?,
            "Action" | "NotAction" => once(&mut actions, Listed { list: read_actions(name, value)?, others }, name)?,
            "Resource" | "NotResource" => {
                let list = read_resources(name, value, bucket, variables)?;
                once(&mut resources, Listed { list, others }, name)?;
            }
            "Condition" => conditions = read_conditions(value, variables)?,
            _ => return Err(format!("the element {name:?} is not known")),
        }
    }
    let statement = Statement {
        allows: allows.ok_or("it has no Effect")?,
        principals: who,
        actions: actions.ok_or("it has neither Action nor NotAction")?,
        resources: resources.ok_or("it has neither Resource nor NotResource")?,
        conditions,
    };
    check_principal(&statement, bucket.is_some())?;
    if let Some(bucket) = bucket.filter(|_| !statement.allows) {
        denies_something(&statement, bucket)?;
    }
    Ok(statement)
}

/// An element may not stand beside its `Not` form.
fn once<T>(slot: &mut Option<Listed<T>>, value: Listed<T>, name: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} stands beside its opposite")),
    }
}

fn check_principal(statement: &Statement, of_bucket: bool) -> Result<(), String> {
    match (&statement.principals, of_bucket) {
        (None, true) => Err("it has no Principal".to_owned()),
        (Some(_), false) => Err("a policy of an identity names no Principal: it means whom it belongs to".to_owned()),
        // It would allow everybody else, anonymous callers among them.
        (Some(who), true) if who.others && statement.allows => {
            Err("NotPrincipal goes with the effect Deny only".to_owned())
        }
        _ => Ok(()),
    }
}

/// A Deny whose actions and resources never come together protects nothing, whatever its author thinks.
fn denies_something(statement: &Statement, bucket: &BucketName) -> Result<(), String> {
    let of_bucket = format!("{ARN_PREFIX}{bucket}");
    let in_bucket = format!("{of_bucket}/");
    if statement.actions.others || statement.resources.others {
        return Ok(());
    }
    let named = |scope: Scope| actions::all().any(|(name, about)| about == scope && lists(&statement.actions, name));
    let is_object = |pattern: &Pattern| pattern.may_begin(&in_bucket);
    let objects = named(Scope::Object) && statement.resources.list.iter().any(is_object);
    let buckets = named(Scope::Bucket) && statement.resources.list.iter().any(|pattern| pattern.may_match(&of_bucket));
    match objects || buckets {
        true => Ok(()),
        false => Err("its actions do not apply to any of its resources".to_owned()),
    }
}

fn lists(actions: &Listed<Pattern>, name: &str) -> bool {
    actions.list.iter().any(|pattern| pattern.may_match(&name.to_lowercase()))
}

/// Actions, in lower case: they are compared without regard to case.
fn read_actions(element: &str, stated: &Json) -> Result<Vec<Pattern>, String> {
    let names = strings(stated).ok_or_else(|| format!("{element} is {}, not a string or strings", stated.kind()))?;
    if names.is_empty() {
        return Err(format!("{element} names nothing"));
    }
    let read = |name: &str| {
        let pattern = Pattern::parse(&name.to_lowercase(), Syntax { wildcards: true, variables: false })?;
        match actions::all().any(|(known, _)| pattern.may_match(&known.to_lowercase())) {
            true => Ok(pattern),
            false => Err(format!("{element} names {name:?}, which is no action that this gateway knows")),
        }
    };
    names.into_iter().map(read).collect()
}

fn read_resources(
    element: &str,
    stated: &Json,
    bucket: Option<&BucketName>,
    variables: bool,
) -> Result<Vec<Pattern>, String> {
    let names = strings(stated).ok_or_else(|| format!("{element} is {}, not a string or strings", stated.kind()))?;
    if names.is_empty() {
        return Err(format!("{element} names nothing"));
    }
    let read = |name: &str| {
        if name != "*" && !name.starts_with(ARN_PREFIX) {
            return Err(format!("{element} names {name:?}, which is not \"*\" and does not begin with {ARN_PREFIX}"));
        }
        let pattern = Pattern::parse(name, Syntax { wildcards: true, variables })?;
        let reaches = |bucket: &BucketName| {
            let of_bucket = format!("{ARN_PREFIX}{bucket}");
            pattern.may_match(&of_bucket) || pattern.may_begin(&format!("{of_bucket}/"))
        };
        match bucket.is_none_or(reaches) {
            true => Ok(pattern),
            false => Err(format!("{element} names {name:?}, which is not of this bucket")),
        }
    };
    names.into_iter().map(read).collect()
}

fn read_conditions(stated: &Json, variables: bool) -> Result<Vec<Condition>, String> {
    let Json::Object(operators) = stated else { return Err(format!("Condition is {}", stated.kind())) };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else { return Err(format!("Condition.{operator} is {}", keys.kind())) };
        for (key, values) in keys {
            conditions.push(Condition::parse(operator, key, values, variables)?);
        }
    }
    Ok(conditions)
}
