//! Who may ask: tenants, their users, access keys and roles. Few rows, read whole into memory by whoever authenticates.
//!
//! Secrets come sealed and stay so here. Every change raises an epoch, which tells a reader by one row whether to read again.

use bytes::Bytes;
use domicile_types::{TenantId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogError, keys};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, Tx, decode};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub tenant: TenantId,
    /// When it was made.
    pub created: UnixMillis,
    /// Whether its keys work.
    pub enabled: bool,
}

/// Somebody at a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Whose.
    pub tenant: TenantId,
    /// Name, unique in the tenant.
    pub name: String,
    /// When it was made.
    pub created: UnixMillis,
    /// Whether its keys work.
    pub enabled: bool,
    /// What it may do, as a policy document; none: all that its tenant may.
    pub policy: Option<String>,
}

/// An access key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Access key id, unique over all tenants.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Of which user; none: of the tenant itself.
    pub user: Option<String>,
    /// The secret, sealed.
    pub sealed_secret: Bytes,
    /// When it was made.
    pub created: UnixMillis,
    /// From when on it works no more.
    pub expires: Option<UnixMillis>,
    /// Whether it works.
    pub enabled: bool,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// What a session may be bound to: keys of one bucket that begin so, asked for from these places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Whose.
    pub tenant: TenantId,
    /// Name, unique in the tenant.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// Beginning of the keys; empty: all.
    pub prefix: String,
    /// Where a requester must be; empty: wherever the bucket's packs allow.
    pub places: Vec<String>,
    /// When it was made.
    pub created: UnixMillis,
}

/// Any of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// A tenant.
    Tenant(Tenant),
    /// A user.
    User(User),
    /// An access key.
    Key(AccessKey),
    /// A role.
    Role(Role),
}

impl StoredRow for Identity {
    const NAME: &'static str = "identity";
    const VERSION: u8 = 1;
}

/// Names one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityName {
    /// A tenant.
    Tenant(TenantId),
    /// A user of a tenant.
    User(TenantId, String),
    /// An access key.
    Key(String),
    /// A role of a tenant.
    Role(TenantId, String),
}

/// A change of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityChange {
    /// Of a tenant, user or key: whether it works.
    Enabled(bool),
    /// Of a key: from when on it works no more.
    Expires(Option<UnixMillis>),
    /// Of a user: what it may do.
    Policy(Option<String>),
}

/// All identities, as of an epoch.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Grows with every change.
    pub epoch: u64,
    /// All of them.
    pub all: Vec<Identity>,
}

/// Identities read at once.
const PAGE: usize = 1_000;

impl Identity {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> IdentityName {
        match self {
            Self::Tenant(tenant) => IdentityName::Tenant(tenant.tenant.clone()),
            Self::User(user) => IdentityName::User(user.tenant.clone(), user.name.clone()),
            Self::Key(key) => IdentityName::Key(key.id.clone()),
            Self::Role(role) => IdentityName::Role(role.tenant.clone(), role.name.clone()),
        }
    }
}

impl Catalog {
    /// All identities, if there has been a change since `epoch`.
    pub async fn identities_since(&self, epoch: u64) -> Result<Option<Identities>, CatalogError> {
        self.read(move |view| {
            let current = epoch_of(view)?;
            if current == epoch {
                return Ok(None);
            }
            let mut found = Identities { epoch: current, all: Vec::new() };
            let mut range = KeyRange::prefix(keys::IDENTITIES);
            loop {
                let rows = view.scan(&range, PAGE, Order::Ascending)?;
                for row in &rows {
                    found.all.push(decode::<Identity>(&row.row.value)?);
                }
                match rows.last() {
                    Some(last) if rows.len() == PAGE => range = range.after(&last.key),
                    _ => return Ok(Some(found)),
                }
            }
        })
        .await
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`CatalogError::IdentityExists`]; [`CatalogError::NoSuchIdentity`] where its user does not exist.
    pub async fn add_identity(&self, identity: Identity) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let row = keys::identity(&identity.name());
            if let Some(present) = tx.get_row::<Identity>(&row)? {
                // The same row is this change, found done.
                return if present == identity { Ok(()) } else { Err(CatalogError::IdentityExists) };
            }
            if let Identity::Key(AccessKey { tenant, user: Some(user), .. }) = &identity {
                let owner = keys::identity(&IdentityName::User(tenant.clone(), user.clone()));
                tx.get_row::<Identity>(&owner)?.ok_or(CatalogError::NoSuchIdentity)?;
            }
            tx.put_row(row, &identity)?;
            changed(tx)
        })
        .await
    }

    /// Changes one.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchIdentity`].
    pub async fn change_identity(&self, name: IdentityName, change: IdentityChange) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let row = keys::identity(&name);
            let mut identity = tx.get_row::<Identity>(&row)?.ok_or(CatalogError::NoSuchIdentity)?;
            match (&mut identity, change.clone()) {
                (Identity::Tenant(tenant), IdentityChange::Enabled(enabled)) => tenant.enabled = enabled,
                (Identity::User(user), IdentityChange::Enabled(enabled)) => user.enabled = enabled,
                (Identity::Key(key), IdentityChange::Enabled(enabled)) => key.enabled = enabled,
                (Identity::Key(key), IdentityChange::Expires(expires)) => key.expires = expires,
                (Identity::User(user), IdentityChange::Policy(policy)) => user.policy = policy,
                _ => return Err(CatalogError::Inconsistent { what: "a change that this identity cannot have" }),
            }
            tx.put_row(row, &identity)?;
            changed(tx)
        })
        .await
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchIdentity`]; [`CatalogError::IdentityInUse`] for a tenant that has users, keys, roles or buckets,
    /// and for a user that has keys.
    pub async fn remove_identity(&self, name: IdentityName) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let row = keys::identity(&name);
            tx.get_row::<Identity>(&row)?.ok_or(CatalogError::NoSuchIdentity)?;
            if in_use(tx, &name)? {
                return Err(CatalogError::IdentityInUse);
            }
            tx.delete(row)?;
            changed(tx)
        })
        .await
    }
}

fn in_use(tx: &mut Tx<'_>, name: &IdentityName) -> Result<bool, CatalogError> {
    let (tenant, user) = match name {
        IdentityName::Tenant(tenant) => (tenant, None),
        IdentityName::User(tenant, user) => (tenant, Some(user)),
        IdentityName::Key(_) | IdentityName::Role(..) => return Ok(false),
    };
    if user.is_none() && !tx.scan(&KeyRange::prefix(&keys::tenant_buckets(tenant)), 1, Order::Ascending)?.is_empty() {
        return Ok(true);
    }
    let mut range = KeyRange::prefix(keys::IDENTITIES);
    loop {
        let rows = tx.scan(&range, PAGE, Order::Ascending)?;
        for row in &rows {
            let uses = match decode::<Identity>(&row.row.value)? {
                Identity::Tenant(_) => false,
                Identity::Key(key) => key.tenant == *tenant && user.is_none_or(|user| key.user.as_ref() == Some(user)),
                Identity::User(other) => user.is_none() && other.tenant == *tenant,
                Identity::Role(role) => user.is_none() && role.tenant == *tenant,
            };
            if uses {
                return Ok(true);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => range = range.after(&last.key),
            _ => return Ok(false),
        }
    }
}

fn epoch_of(read: &mut impl Read) -> Result<u64, CatalogError> {
    let row = read.get(keys::IDENTITY_EPOCH)?;
    let bytes = row.and_then(|row| row.value.as_slice().try_into().ok());
    Ok(bytes.map_or(0, u64::from_be_bytes))
}

fn changed(tx: &mut Tx<'_>) -> Result<(), CatalogError> {
    let next = epoch_of(tx)?.saturating_add(1);
    Ok(tx.put(keys::IDENTITY_EPOCH.to_vec(), next.to_be_bytes().to_vec())?)
}
