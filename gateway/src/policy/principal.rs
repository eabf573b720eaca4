//! Who asks, and whom a statement means.

use domicile_types::TenantId;

use super::json::Json;

/// Who asks, in the words of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// Nobody that is known: the request is not signed.
    Anonymous,
    /// A tenant by its own keys, which policies call the root of an account.
    Account(TenantId),
    /// A user of a tenant.
    User {
        /// Whose user.
        tenant: TenantId,
        /// Its name.
        name: String,
    },
    /// The gateway itself, in a task such as the delivery of access logs.
    Service(&'static str),
}

/// The services that act by themselves and that a policy may name.
const SERVICES: &[&str] = &["logging.s3.amazonaws.com"];

impl Asker {
    /// The tenant, if there is one.
    #[must_use]
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Account(tenant) | Self::User { tenant, .. } => Some(tenant),
            Self::Anonymous | Self::Service(_) => None,
        }
    }

    /// The ARN that policies name it by.
    #[must_use]
    pub fn arn(&self) -> Option<String> {
        match self {
            Self::Account(tenant) => Some(format!("arn:aws:iam::{tenant}:root")),
            Self::User { tenant, name } => Some(format!("arn:aws:iam::{tenant}:user/{name}")),
            Self::Anonymous | Self::Service(_) => None,
        }
    }
}

/// Whom a statement means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principal {
    /// `*`: everybody, signed or not.
    Everybody,
    /// All of a tenant.
    Account(TenantId),
    /// One user.
    User(TenantId, String),
    /// A service of the gateway.
    Service(&'static str),
}

impl Principal {
    /// Whether it means who asks.
    pub(super) fn means(&self, asker: &Asker) -> bool {
        match self {
            Self::Everybody => true,
            Self::Account(account) => asker.tenant() == Some(account),
            Self::User(account, user) => {
                matches!(asker, Asker::User { tenant, name } if tenant == account && name == user)
            }
            Self::Service(service) => *asker == Asker::Service(service),
        }
    }
}

/// Reads `"*"` or `{"AWS": .., "CanonicalUser": .., "Service": ..}`.
pub(super) fn principals(element: &str, stated: &Json) -> Result<Vec<Principal>, String> {
    match stated {
        Json::Text(text) if text == "*" => Ok(vec![Principal::Everybody]),
        Json::Object(members) => {
            let mut found = Vec::new();
            for (kind, names) in members {
                for name in strings(names).ok_or_else(|| format!("{element}.{kind} is {}", names.kind()))? {
                    found.push(principal(element, kind, name)?);
                }
            }
            if found.is_empty() { Err(format!("{element} names nobody")) } else { Ok(found) }
        }
        Json::Text(text) => Err(format!("{element} is {text:?}; it is \"*\" or an object")),
        other => Err(format!("{element} is {}", other.kind())),
    }
}

fn principal(element: &str, kind: &str, name: &str) -> Result<Principal, String> {
    let unknown = || format!("{element}.{kind} names {name:?}, which is no principal that this gateway knows");
    let tenant = |text: &str| TenantId::parse(text).map_err(|_| unknown());
    match kind {
        "AWS" if name == "*" => Ok(Principal::Everybody),
        "AWS" => match name.strip_prefix("arn:aws:iam::") {
            None => tenant(name).map(Principal::Account),
            Some(rest) => {
                let (account, who) = rest.split_once(':').ok_or_else(unknown)?;
                let account = tenant(account)?;
                match who.strip_prefix("user/") {
                    Some(user) if is_user_name(user) => Ok(Principal::User(account, user.to_owned())),
                    None if who == "root" => Ok(Principal::Account(account)),
                    _ => Err(unknown()),
                }
            }
        },
        "CanonicalUser" => tenant(name).map(Principal::Account),
        "Service" => {
            SERVICES.iter().find(|known| **known == name).map(|known| Principal::Service(known)).ok_or_else(unknown)
        }
        _ => Err(format!("{element}.{kind} is not a kind of principal that this gateway knows")),
    }
}

/// Names of users (Amazon IAM's quotas): no wildcard can hide in one.
fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte))
}

/// A string or a list of strings.
pub(super) fn strings(stated: &Json) -> Option<Vec<&str>> {
    let one = |value| match value {
        &Json::Text(ref text) => Some(text.as_str()),
        _ => None,
    };
    match stated {
        Json::List(list) => list.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}
