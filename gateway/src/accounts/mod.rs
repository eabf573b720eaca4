//! Whose access keys work: those of the configuration, those of the catalog, and sessions.
//!
//! *In scope*: finding the secret and the holder of a key, sealing secrets and session tokens. *Out of scope*: signatures,
//! and what a holder may do. A request reads a table in memory and nothing else; the table follows the catalog, at once where
//! this gateway makes a change and within seconds where another does.

mod seal;
mod session;
mod table;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domicile_types::{TenantId, UnixMillis};
use parking_lot::RwLock;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use seal::Seals;
pub use session::{IssuedSession, SESSION_SECONDS_MAX, SESSION_SECONDS_MIN, SessionRequest};
pub(crate) use table::Table;

use crate::catalog::{AccessKey, Catalog, CatalogError, Identities, Role, Tenant, User};
use crate::config::Credential;
use crate::objects::{KeyHolder, Limits};
use session::Session;

/// Why a key does not work. The answer says no more than S3's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is none, or it is disabled or expired, or its user or tenant is disabled.
    #[error("the access key does not exist, is disabled, or has expired")]
    Key,
    /// A session's key came without its token, or with one that was not issued for it, or that was revoked; or a token
    /// came with a key that needs none.
    #[error("the session token does not belong to this access key, or was revoked")]
    Token,
    /// The session is over.
    #[error("the session has ended; assume the role again")]
    TokenExpired,
}

/// Access keys and their holders. Cheap to clone: all clones are the same.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    configured: Vec<Credential>,
    seals: Seals,
    table: RwLock<Arc<Table>>,
}

impl Accounts {
    /// With the keys of the configuration; those of the catalog come with [`Accounts::refresh`].
    #[must_use]
    pub fn new(configured: Vec<Credential>, seals: Seals) -> Self {
        Self(Arc::new(Inner { configured, seals, table: RwLock::default() }))
    }

    /// Reads the catalog again, if something changed in it.
    pub async fn refresh(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        let epoch = self.table().epoch;
        if let Some(identities) = catalog.identities_since(epoch).await? {
            self.take(identities);
        }
        Ok(())
    }

    pub(crate) fn take(&self, identities: Identities) {
        *self.0.table.write() = Arc::new(Table::of(identities));
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.0.table.read())
    }

    pub(crate) fn seals(&self) -> &Seals {
        &self.0.seals
    }

    /// Whether a tenant is one of the configuration's.
    pub(crate) fn is_configured(&self, tenant: &TenantId) -> bool {
        self.0.configured.iter().any(|credential| credential.tenant == *tenant)
    }

    /// Whether a request that names this key can be authentic. Proves nothing.
    #[must_use]
    pub fn knows(&self, access_key: &str) -> bool {
        self.configured(access_key).is_some()
            || self.table().keys.contains_key(access_key)
            || session::is_key_id(access_key)
    }

    /// The secret of a key that works. For a session's key it proves nothing yet: see [`Accounts::holder`].
    pub fn secret(&self, access_key: &str, now: UnixMillis) -> Result<Zeroizing<String>, Unusable> {
        if let Some(credential) = self.configured(access_key) {
            return Ok(Zeroizing::new(credential.secret_key.clone()));
        }
        let table = self.table();
        if let Some(key) = table.keys.get(access_key) {
            table.usable(key, now)?;
            return self.0.seals.open_secret(&key.id, &key.sealed_secret).ok_or(Unusable::Key);
        }
        if session::is_key_id(access_key) { Ok(self.0.seals.session_secret(access_key)) } else { Err(Unusable::Key) }
    }

    /// Who holds a key that a signature was verified with, and within which limits.
    pub fn holder(&self, access_key: &str, token: Option<&str>, now: UnixMillis) -> Result<KeyHolder, Unusable> {
        let token = token.filter(|token| !token.is_empty());
        let table = self.table();
        match (token, session::is_key_id(access_key) && !table.keys.contains_key(access_key)) {
            (None, false) => self.lasting(&table, access_key, now),
            (Some(token), true) => self.of_session(&table, access_key, token, now),
            (Some(_), false) | (None, true) => Err(Unusable::Token),
        }
    }

    fn lasting(&self, table: &Table, access_key: &str, now: UnixMillis) -> Result<KeyHolder, Unusable> {
        if let Some(credential) = self.configured(access_key) {
            return Ok(KeyHolder::of_tenant(credential.tenant.clone(), access_key));
        }
        let key = table.keys.get(access_key).ok_or(Unusable::Key)?;
        table.usable(key, now)?;
        let mut holder = KeyHolder::of_tenant(key.tenant.clone(), access_key);
        if let Some(user) = &key.user {
            let known = table.users.get(&(key.tenant.clone(), user.clone())).ok_or(Unusable::Key)?;
            holder.user = Some(user.clone());
            holder.limits = Arc::new(Limits { policies: known.policy.clone().into_iter().collect(), scope: None });
        }
        Ok(holder)
    }

    fn of_session(&self, table: &Table, access_key: &str, token: &str, now: UnixMillis) -> Result<KeyHolder, Unusable> {
        let session = Session::open(&self.0.seals, access_key, token).ok_or(Unusable::Token)?;
        if now.0 >= session.expires.0 {
            return Err(Unusable::TokenExpired);
        }
        // What revokes a session: its role is gone or made anew, or the key that assumed it works no more.
        let role = table.roles.get(&(session.tenant.clone(), session.role.clone()));
        role.filter(|role| role.created == session.role_created).ok_or(Unusable::Token)?;
        let mut holder = self.lasting(table, &session.assumed_by, now).map_err(|_| Unusable::Token)?;
        if holder.tenant != session.tenant {
            return Err(Unusable::Token);
        }
        let mut limits = Limits::clone(&holder.limits);
        limits.policies.extend(session.policy().map_err(|_| Unusable::Token)?);
        limits.scope = Some(session.scope().ok_or(Unusable::Token)?);
        holder.limits = Arc::new(limits);
        holder.session = Some(format!("{}/{}", session.role, session.name));
        access_key.clone_into(&mut holder.access_key);
        Ok(holder)
    }

    /// The configuration's credential of that key. Every one is compared, in a time that does not depend on where they differ.
    fn configured(&self, access_key: &str) -> Option<&Credential> {
        self.0.configured.iter().fold(None, |found, credential| {
            let same = bool::from(credential.access_key.as_bytes().ct_eq(access_key.as_bytes()));
            if same { Some(credential) } else { found }
        })
    }
}
