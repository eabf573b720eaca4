//! All identities of the catalog, by name.

use std::collections::HashMap;
use std::sync::Arc;

use domicile_types::{TenantId, UnixMillis};

use super::{AccessKey, Identities, Role, Tenant, Unusable, User};
use crate::catalog::Identity;
use crate::policy::Policy;

/// Identities as of an epoch.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) epoch: u64,
    pub(crate) tenants: HashMap<TenantId, Tenant>,
    pub(crate) users: HashMap<(TenantId, String), KnownUser>,
    pub(crate) keys: HashMap<String, AccessKey>,
    pub(crate) roles: HashMap<(TenantId, String), Role>,
}

/// A user, with its policy read.
pub(crate) struct KnownUser {
    pub(crate) user: User,
    /// None where the user may do all that its tenant may.
    pub(crate) policy: Option<Arc<Policy>>,
}

impl Table {
    pub(super) fn of(identities: Identities) -> Self {
        let mut table = Self { epoch: identities.epoch, ..Self::default() };
        for identity in identities.all {
            match identity {
                Identity::Tenant(tenant) => drop(table.tenants.insert(tenant.tenant.clone(), tenant)),
                Identity::User(user) => {
                    let Some(known) = KnownUser::of(user) else { continue };
                    table.users.insert((known.user.tenant.clone(), known.user.name.clone()), known);
                }
                Identity::Key(key) => drop(table.keys.insert(key.id.clone(), key)),
                Identity::Role(role) => drop(table.roles.insert((role.tenant.clone(), role.name.clone()), role)),
            }
        }
        table
    }

    /// Whether a key works: it, its user, and its tenant.
    pub(super) fn usable(&self, key: &AccessKey, now: UnixMillis) -> Result<(), Unusable> {
        let expired = key.expires.is_some_and(|expires| now.0 >= expires.0);
        // A tenant that is only in the configuration has no row; one that has a row is what the row says.
        let tenant_works = self.tenants.get(&key.tenant).is_none_or(|tenant| tenant.enabled);
        let user_works = key.user.as_ref().is_none_or(|user| {
            self.users.get(&(key.tenant.clone(), user.clone())).is_some_and(|known| known.user.enabled)
        });
        if key.enabled && !expired && tenant_works && user_works { Ok(()) } else { Err(Unusable::Key) }
    }
}

impl KnownUser {
    /// None where the policy is not understood, which no policy is that this program stored: then the user does not exist.
    fn of(user: User) -> Option<Self> {
        let policy = match &user.policy {
            None => None,
            Some(document) => match Policy::of_identity(document) {
                Ok(policy) => Some(Arc::new(policy)),
                Err(error) => {
                    tracing::error!(tenant = %user.tenant, user = user.name, %error, "a user's policy is not understood");
                    return None;
                }
            },
        };
        Some(Self { user, policy })
    }
}
