//! Leases: who may do a piece of background work now, with an epoch that fences whoever had it before.
//!
//! A lease ends by the store's clock. A transaction that acts under one calls [`require_lease`]: it commits only if the
//! lease is still that holder's in that epoch, so a batch that was in flight when the lease passed on cannot land.

use serde::{Deserialize, Serialize};

use domicile_types::UnixMillis;

use super::encoding::StoredRow;
use super::store::{Store, StoreError};
use super::transact::{IfLost, Read, Tx, transact};

/// The first byte of lease rows' keys.
const LEASE_TABLE: u8 = b'l';

/// What a lease is for: `sweep`, `repair`, a gateway's own life. At most 64 bytes count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseName(String);

impl LeaseName {
    /// A name of the program's own choosing.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.chars().take(64).collect())
    }

    fn key(&self) -> Vec<u8> {
        [&[LEASE_TABLE], self.0.as_bytes()].concat()
    }
}

/// Who holds a lease: sixteen random bytes that a process draws when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner(pub [u8; 16]);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseRow {
    owner: Owner,
    epoch: u64,
    expires: UnixMillis,
}

impl StoredRow for LeaseRow {
    const NAME: &'static str = "lease";
    const VERSION: u8 = 1;
}

/// A lease as its holder knows it. Holding this value proves nothing: [`require_lease`] does, at commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    name: String,
    owner: Owner,
    epoch: u64,
    expires: UnixMillis,
}

impl Held {
    /// What it is for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Grows each time the lease changes hands or lapses; tickets carry it, so that nodes fence late writers.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When it ends, by the store's clock, unless renewed.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        self.expires
    }

    fn key(&self) -> Vec<u8> {
        LeaseName(self.name.clone()).key()
    }
}

/// Why a lease was not had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error("another process holds the lease until {expires}")]
    Busy {
        /// When it ends, unless renewed.
        expires: UnixMillis,
    },
    /// It lapsed or passed on.
    #[error("the lease has lapsed or passed to another process: stop the work and acquire it again")]
    Lost,
    /// The store failed.
    #[error("the lease could not be read or written")]
    Store(#[from] StoreError),
}

/// Takes the lease `name` for `ttl_millis`, if it is free, lapsed, or `owner`'s already.
///
/// A live lease of the same owner keeps its epoch; every other way of getting it makes a new one.
pub fn acquire_lease(store: &dyn Store, name: &LeaseName, owner: Owner, ttl_millis: u64) -> Result<Held, LeaseError> {
    transact(store, IfLost::Repeat, |tx| {
        let now = tx.store_time();
        let present: Option<LeaseRow> = tx.get_row(&name.key())?;
        let epoch = match &present {
            Some(row) if row.expires > now && row.owner != owner => {
                return Err(LeaseError::Busy { expires: row.expires });
            }
            Some(row) if row.expires > now => row.epoch,
            Some(row) => row.epoch + 1,
            None => 1,
        };
        let row = LeaseRow { owner, epoch, expires: now.plus_millis(ttl_millis) };
        tx.put_row(name.key(), &row)?;
        Ok(Held { name: name.0.clone(), owner, epoch, expires: row.expires })
    })
}

/// Extends a lease that is still held to `ttl_millis` from now.
pub fn renew_lease(store: &dyn Store, held: &Held, ttl_millis: u64) -> Result<Held, LeaseError> {
    transact(store, IfLost::Repeat, |tx| {
        require_lease(tx, held)?;
        let expires = tx.store_time().plus_millis(ttl_millis);
        tx.put_row(held.key(), &LeaseRow { owner: held.owner, epoch: held.epoch, expires })?;
        Ok(Held { expires, ..held.clone() })
    })
}

/// Gives a lease back. The row stays, so that the next epoch is a new one.
pub fn release_lease(store: &dyn Store, held: &Held) -> Result<(), LeaseError> {
    transact(store, IfLost::Report, |tx| {
        require_lease(tx, held)?;
        tx.put_row(held.key(), &LeaseRow { owner: held.owner, epoch: held.epoch, expires: UnixMillis(0) })?;
        Ok(())
    })
}

/// Lets `tx` commit only if `held` is still held.
pub fn require_lease(tx: &mut Tx<'_>, held: &Held) -> Result<(), LeaseError> {
    let now = tx.store_time();
    match tx.get_row::<LeaseRow>(&held.key())? {
        Some(row) if row.owner == held.owner && row.epoch == held.epoch && row.expires > now => Ok(()),
        _ => Err(LeaseError::Lost),
    }
}
