//! Commitments, and the erasable store of what they hide.
//!
//! ```text
//! commitment = SHA-256(domain || 0x00 || salt (32 bytes) || value)
//! ```
//!
//! The log holds commitments; salt and value lie here, under the same roof as the data. Erasing both leaves a number
//! that nobody can open, and a tree that still verifies.
//!
//! One value keeps one commitment for as long as this process remembers it, so that the entries of one actor or one
//! object can be told to belong together without opening them. After an erasure, a new commitment is drawn.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use domicile_types::{Commitment, Salt};
use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::values::{SharedValues, Stored, Values, ValuesError};

/// What kind of value is committed to. The same text in two domains gives unrelated commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitmentDomain {
    /// Who asks: tenant and access key.
    Actor,
    /// A socket address.
    Address,
    /// A bucket's name.
    Bucket,
    /// An object key or listing prefix.
    Key,
}

impl CommitmentDomain {
    /// Every domain.
    pub const ALL: [Self; 4] = [Self::Actor, Self::Address, Self::Bucket, Self::Key];

    /// What is hashed before the salt.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Actor => "domicile/commitment/1/actor",
            Self::Address => "domicile/commitment/1/address",
            Self::Bucket => "domicile/commitment/1/bucket",
            Self::Key => "domicile/commitment/1/key",
        }
    }

    /// Its name in records that are kept outside the store: the last word of the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Address => "address",
            Self::Bucket => "bucket",
            Self::Key => "key",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Actor => 1,
            Self::Address => 2,
            Self::Bucket => 3,
            Self::Key => 4,
        }
    }

    /// The commitment to `value` under `salt`.
    #[must_use]
    pub fn commit(self, salt: &Salt, value: &[u8]) -> Commitment {
        let digest = Sha256::new()
            .chain_update(self.label().as_bytes())
            .chain_update([0])
            .chain_update(salt.0)
            .chain_update(value)
            .finalize();
        Commitment::from_digest(digest.into())
    }
}

/// What a commitment opens to.
#[derive(Clone, PartialEq, Eq)]
pub enum Opening {
    /// What was committed to.
    Value {
        /// What kind of value.
        domain: CommitmentDomain,
        /// What hid it.
        salt: Salt,
        /// The value.
        value: Vec<u8>,
    },
    /// It was erased.
    Erased,
    /// This store never held it.
    Unknown,
}

/// Why the side store cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The file.
    #[error("the store of committed values cannot be used")]
    Values(#[from] ValuesError),
    /// The commitment is not to that value.
    #[error("{commitment} is not the commitment to the value given with it")]
    Mismatch {
        /// The commitment.
        commitment: Commitment,
    },
}

/// How many values a process remembers the commitment of. About 150 bytes each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(32_767);

/// The erasable store. Everything put is durable when the entry that is appended after it is.
pub struct SideStore {
    values: SharedValues,
    recent: Mutex<LruCache<(CommitmentDomain, [u8; 32]), Commitment>>,
}

impl SideStore {
    pub(super) fn open(path: &Path) -> Result<Self, SideError> {
        Ok(Self { values: Arc::new(Values::open(path)?), recent: Mutex::new(LruCache::new(REMEMBERED)) })
    }

    pub(super) fn values(&self) -> SharedValues {
        Arc::clone(&self.values)
    }

    /// The commitment to `value`: the one it has, or a new one under a salt that `fresh` draws at random.
    pub fn commit(
        &self,
        domain: CommitmentDomain,
        value: &[u8],
        fresh: impl FnOnce() -> Salt,
    ) -> Result<Commitment, SideError> {
        let name = (domain, Sha256::digest(value).into());
        // Held throughout, so that two requests for one new value get one commitment.
        let mut recent = self.recent.lock();
        if let Some(commitment) = recent.get(&name) {
            return Ok(*commitment);
        }
        let salt = fresh();
        let commitment = domain.commit(&salt, value);
        self.store(&commitment, &salt, domain, value)?;
        recent.put(name, commitment);
        Ok(commitment)
    }

    /// Keeps what opens `commitment`, which must be the commitment to it.
    pub fn put(
        &self,
        commitment: &Commitment,
        salt: &Salt,
        domain: CommitmentDomain,
        value: &[u8],
    ) -> Result<(), SideError> {
        if domain.commit(salt, value) != *commitment {
            return Err(SideError::Mismatch { commitment: *commitment });
        }
        self.store(commitment, salt, domain, value)
    }

    fn store(
        &self,
        commitment: &Commitment,
        salt: &Salt,
        domain: CommitmentDomain,
        value: &[u8],
    ) -> Result<(), SideError> {
        let stored = [&[domain.code()], &salt.0[..], value].concat();
        Ok(self.values.put(commitment.digest(), &stored)?)
    }

    /// What is behind a commitment.
    pub fn open_commitment(&self, commitment: &Commitment) -> Result<Opening, SideError> {
        match self.values.get(commitment.digest())? {
            Stored::Absent => Ok(Opening::Unknown),
            Stored::Erased => Ok(Opening::Erased),
            Stored::Live(stored) => {
                let (domain, salt, value) = split(&stored).ok_or(SideError::Mismatch { commitment: *commitment })?;
                Ok(Opening::Value { domain, salt, value: value.to_owned() })
            }
        }
    }

    /// Every commitment to `value`, in the order they were made: what an erasure request is about. Reads the whole store.
    pub fn find(&self, domain: CommitmentDomain, value: &[u8]) -> Result<Vec<Commitment>, SideError> {
        let mut found = Vec::new();
        self.values.each(|key, stored| {
            if split(stored).is_some_and(|(its_domain, _, its_value)| its_domain == domain && its_value == value) {
                found.push(Commitment::from_digest(*key));
            }
            true
        })?;
        Ok(found)
    }

    /// Overwrites value and salt. The log's own record of it is [`AuditLog::erase`](super::AuditLog::erase)'s.
    pub(super) fn erase(&self, commitment: &Commitment) -> Result<bool, SideError> {
        let mut recent = self.recent.lock();
        if let Opening::Value { domain, value, .. } = self.open_commitment(commitment)? {
            recent.pop(&(domain, Sha256::digest(value).into()));
        }
        Ok(self.values.erase(commitment.digest())?)
    }
}

fn split(stored: &[u8]) -> Option<(CommitmentDomain, Salt, &[u8])> {
    let (code, rest) = stored.split_first()?;
    let (salt, value) = rest.split_first_chunk::<32>()?;
    let domain = CommitmentDomain::ALL.into_iter().find(|domain| domain.code() == *code)?;
    Some((domain, Salt(*salt), value))
}

impl std::fmt::Debug for SideStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SideStore")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salt(n: u8) -> Salt {
        Salt([n; 32])
    }

    #[test]
    fn a_value_keeps_its_commitment_and_domains_and_salts_make_others() {
        let dir = tempfile::tempdir().unwrap();
        let side = SideStore::open(&dir.path().join("values")).unwrap();
        let first = side.commit(CommitmentDomain::Key, b"scan.dcm", || salt(1)).unwrap();
        assert_eq!(side.commit(CommitmentDomain::Key, b"scan.dcm", || salt(2)).unwrap(), first);
        let bucket = side.commit(CommitmentDomain::Bucket, b"scan.dcm", || salt(1)).unwrap();
        assert_ne!(bucket, first);
        assert!(
            side.open_commitment(&first).unwrap()
                == Opening::Value { domain: CommitmentDomain::Key, salt: salt(1), value: b"scan.dcm".to_vec() }
        );
        assert!(side.open_commitment(&Commitment::from_digest([0; 32])).unwrap() == Opening::Unknown);
    }

    #[test]
    fn what_is_erased_opens_no_more_and_gets_a_new_commitment() {
        let dir = tempfile::tempdir().unwrap();
        let side = SideStore::open(&dir.path().join("values")).unwrap();
        let first = side.commit(CommitmentDomain::Key, b"scan.dcm", || salt(1)).unwrap();
        assert_eq!(side.find(CommitmentDomain::Key, b"scan.dcm").unwrap(), [first]);
        assert!(side.erase(&first).unwrap());
        assert!(side.open_commitment(&first).unwrap() == Opening::Erased);
        assert_eq!(side.find(CommitmentDomain::Key, b"scan.dcm").unwrap(), []);
        let second = side.commit(CommitmentDomain::Key, b"scan.dcm", || salt(3)).unwrap();
        assert_ne!(second, first);
    }

    #[test]
    fn a_commitment_to_something_else_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let side = SideStore::open(&dir.path().join("values")).unwrap();
        let commitment = CommitmentDomain::Key.commit(&salt(1), b"one");
        assert!(matches!(
            side.put(&commitment, &salt(1), CommitmentDomain::Key, b"two"),
            Err(SideError::Mismatch { .. })
        ));
        assert!(side.put(&commitment, &salt(1), CommitmentDomain::Key, b"one").is_ok());
    }

    #[test]
    fn sixty_four_threads_commit_without_losing_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let side = SideStore::open(&dir.path().join("values")).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..64u8 {
                let side = &side;
                scope.spawn(move || {
                    for n in 0..20u8 {
                        let value = [thread % 8, n];
                        let commitment = side.commit(CommitmentDomain::Key, &value, || salt(thread)).unwrap();
                        assert!(matches!(side.open_commitment(&commitment).unwrap(), Opening::Value { .. }));
                    }
                });
            }
        });
        assert_eq!(side.find(CommitmentDomain::Key, &[3, 7]).unwrap().len(), 1);
    }
}
