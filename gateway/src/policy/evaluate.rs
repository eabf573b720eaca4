//! Decides a request by policies.

use super::document::{ARN_PREFIX, Listed, Policy, Statement};
use super::keys::Facts;
use super::pattern::{Pattern, Unresolved};
use super::principal::Asker;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// By whom.
    pub asker: &'a Asker,
    /// To do what, such as `s3:GetObject`.
    pub action: &'a str,
    /// To which bucket; empty where the action is about none.
    pub bucket: &'a str,
    /// To which object in it.
    pub key: Option<&'a str>,
    /// What else the request says.
    pub facts: &'a Facts,
}

/// What policies say to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it, which no other can overrule.
    Deny,
    /// No statement means it.
    NoMatch,
}

/// What `policies` together say to `request`.
pub fn evaluate<'a>(policies: impl IntoIterator<Item = &'a Policy>, request: &Request<'_>) -> Verdict {
    let resource = match request.key {
        Some(key) => format!("{ARN_PREFIX}{}/{key}", request.bucket),
        None => format!("{ARN_PREFIX}{}", request.bucket),
    };
    let action = request.action.to_lowercase();
    let mut verdict = Verdict::NoMatch;
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        // Where a variable has no value, what the statement means cannot be told: it does not allow, and it does deny.
        let applies = means(statement, request, &action, &resource).unwrap_or(!statement.allows);
        match (applies, statement.allows) {
            (true, false) => return Verdict::Deny,
            (true, true) => verdict = Verdict::Allow,
            (false, _) => {}
        }
    }
    verdict
}

fn means(statement: &Statement, request: &Request<'_>, action: &str, resource: &str) -> Result<bool, Unresolved> {
    if let Some(who) = &statement.principals
        && who.list.iter().any(|principal| principal.means(request.asker)) == who.others
    {
        return Ok(false);
    }
    if !listed(&statement.actions, action, request.facts)? || !listed(&statement.resources, resource, request.facts)? {
        return Ok(false);
    }
    for condition in &statement.conditions {
        if !condition.holds(request.facts)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn listed(patterns: &Listed<Pattern>, text: &str, facts: &Facts) -> Result<bool, Unresolved> {
    for pattern in &patterns.list {
        if pattern.matches(text, facts, false)? {
            return Ok(!patterns.others);
        }
    }
    Ok(patterns.others)
}
