//! The trait that an adapter implements, and what passes through it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use domicile_types::UnixMillis;

use super::encoding::DecodeError;
use super::limits;

/// Reads the store's clock. Leases end by it, so an embedded store takes one when it is opened; a shared database would
/// use its own.
pub type StoreClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// An ordered key-value store with serializable transactions.
///
/// Every implementation runs the conformance suite beside this module. Implementations do not retry and do not enforce
/// limits: [`super::transact`] does, once.
pub trait Store: Send + Sync {
    /// Begins at what is committed now. Sessions live for milliseconds: an open one holds back cleaning.
    fn begin(&self) -> Result<Box<dyn Session + '_>, StoreError>;
}

/// One snapshot, and the way to commit changes on the condition that what was read still holds.
pub trait Session {
    /// The row at `key`.
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// At most `limit` rows of `range`, from its start (or from its end, in descending order).
    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError>;

    /// Now, by the store's clock.
    fn store_time(&self) -> UnixMillis;

    /// Applies `writes` in full and durably, if no commit since this session began changed anything in `reads`.
    ///
    /// After `Ok`, every later session sees the writes. The version returned is the one that all of them carry.
    fn commit(self: Box<Self>, reads: Reads, writes: Writes) -> Result<Version, CommitError>;
}

/// A number that grows with every commit: the version of the rows that the commit wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A value and the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was put.
    pub value: Vec<u8>,
    /// The commit that put it; `None` for a put of the transaction that reads it.
    pub version: Option<Version>,
}

/// A row with its key, as scans return it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRow {
    /// The whole key.
    pub key: Vec<u8>,
    /// The row.
    pub row: Row,
}

/// Which end of a range a scan begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first key up.
    Ascending,
    /// From the last key down.
    Descending,
}

/// A range as `BTreeMap::range` takes it.
pub type KeyBounds<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// Keys from `start` (included) to `end` (excluded; `None`: to the last key there is).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// From `start` to before `end`. Empty when `end` does not lie after `start`.
    #[must_use]
    pub fn new(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.to_vec(), end: after_prefix(prefix) }
    }

    /// The same range from `start` on, where that lies further.
    #[must_use]
    pub fn starting_at(mut self, start: Vec<u8>) -> Self {
        if start > self.start {
            self.start = start;
        }
        self
    }

    /// The same range from the first key after `key` on, where that lies further.
    #[must_use]
    pub fn after(self, key: &[u8]) -> Self {
        self.starting_at([key, &[0]].concat())
    }

    /// The same range up to and with `key`, where that ends earlier.
    #[must_use]
    pub fn through(mut self, key: &[u8]) -> Self {
        let end = [key, &[0]].concat();
        if self.end.as_ref().is_none_or(|present| end < *present) {
            self.end = Some(end);
        }
        self
    }

    /// The first key included.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first key no longer included.
    #[must_use]
    pub fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    /// Whether no key can lie in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` lies in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }

    /// As the bounds that `BTreeMap::range` takes; `None` when empty (which it would panic on).
    #[must_use]
    pub fn bounds(&self) -> Option<KeyBounds<'_>> {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (!self.is_empty()).then_some((Bound::Included(self.start.as_slice()), end))
    }
}

/// The first key after all that begin with `prefix`; `None` when there is none.
#[must_use]
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// What a transaction read and therefore depends on.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// Keys read one by one, present or absent.
    pub keys: BTreeSet<Vec<u8>>,
    /// Stretches that scans covered: up to the last row returned, where a limit stopped them.
    pub ranges: Vec<KeyRange>,
}

/// What a transaction changes: values to put, `None` to delete.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    /// By key.
    pub rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Why a commit did not return a version.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Something that was read has changed. Nothing was written; run the transaction again.
    #[error("a row that the transaction read was changed by another commit")]
    Conflict,
    /// It may or may not have been applied: the answer was lost.
    #[error("the outcome of the commit is unknown: {reason}")]
    Unknown {
        /// What the engine said.
        reason: String,
    },
    /// It was not applied.
    #[error("the store refused the commit")]
    Failed(#[source] StoreError),
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key beyond [`limits::KEY_BYTES_MAX`].
    #[error("a key of {bytes} bytes is longer than the {} that every store takes", limits::KEY_BYTES_MAX)]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A value beyond [`limits::VALUE_BYTES_MAX`].
    #[error("a value of {bytes} bytes is larger than the {} that every store takes", limits::VALUE_BYTES_MAX)]
    ValueTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// More than [`limits::WRITES_MAX`] writes.
    #[error("a transaction writes at most {} rows: split it", limits::WRITES_MAX)]
    TooManyWrites,
    /// More than [`limits::TRANSACTION_BYTES_MAX`].
    #[error("a transaction writes at most {} bytes: split it", limits::TRANSACTION_BYTES_MAX)]
    TransactionTooLarge,
    /// A scan of more than [`limits::SCAN_ROWS_MAX`] rows.
    #[error("a scan returns at most {} rows, {asked} were asked for: go page by page", limits::SCAN_ROWS_MAX)]
    ScanTooLong {
        /// The limit that was asked for.
        asked: usize,
    },
    /// [`super::Tx::require`] found another version.
    #[error("a required row is gone or was changed: read it again and decide anew")]
    RequirementFailed,
    /// The commit's answer was lost and no idempotency key was given to find out by.
    #[error("whether the change was made is unknown: {reason}; read before doing it again")]
    CommitUnknown {
        /// What the engine said.
        reason: String,
    },
    /// Conflicts without end.
    #[error("gave up after {attempts} conflicts with other transactions: try again with fewer at a time")]
    Contention {
        /// How often it was tried.
        attempts: u32,
    },
    /// A row that does not decode.
    #[error("a row of the store does not decode")]
    Decode(#[from] DecodeError),
    /// The engine failed.
    #[error("the metadata store failed: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
    /// An earlier write to disk failed; nothing more is accepted, as the engine's memory and its log may differ.
    #[error("the metadata store stopped after a failed write ({reason}): check the disk, then restart the gateway")]
    Stopped {
        /// What the engine said then.
        reason: String,
    },
}
