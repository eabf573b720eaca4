//! State: the narrow trait behind which all metadata sits, and the transactions written once above it.
//!
//! *In scope*: ordered byte keys, snapshot reads, serializable transactions ([`transact`]), limits, idempotency, leases,
//! the adapters [`MemoryStore`] and [`RocksStore`].
//!
//! *Out of scope*: what the rows mean (`catalog`), any S3 notion, any policy.
//!
//! # Guarantees
//!
//! - A transaction is **serializable**, phantoms included: it commits only if nothing that it read, no key, no stretch of
//!   a scan, has been changed by a commit since it began. [`transact`] runs its closure again on a conflict, so a closure
//!   has no effect but through its transaction.
//! - A commit that returned is **durable** and visible to every transaction that begins later.
//! - A transaction reads one snapshot, and its own writes above it.
//! - Limits hold on every adapter, so that rows written on one fit all: see [`limits`].
//! - A commit whose outcome is lost ([`CommitError::Unknown`]) is resolved by the idempotency row that the transaction
//!   wrote with its changes: [`transact`] reads it and either returns the recorded result or runs the closure again.
//!   What to do without such a row is the caller's to say: [`IfLost`].
//!
//! # Why the trait is synchronous
//!
//! RocksDB reads and its log's `fdatasync` block, so they belong on blocking threads, whatever the trait looks like. With a
//! synchronous [`Session`] domain logic is plain code over `&mut Tx`, with borrowed rows and early returns; an async
//! closure that is run again would need boxed futures tied to the transaction's lifetime. The async face is one level up:
//! `Catalog` runs each transaction on tokio's blocking pool. An adapter for PostgreSQL keeps a pool of connections and a
//! runtime handle, and each call of its session is `Handle::block_on(statement)` on that same blocking thread. Rejected:
//! closures that return lists of operations (reads that depend on reads need rounds), an async trait (costs above). Cost:
//! one thread hop per transaction (about 10 microseconds) and one parked thread per transaction in flight.

#[cfg(test)]
pub(crate) mod conformance;
mod encoding;
#[cfg(test)]
pub(crate) mod fault;
mod lease;
pub mod limits;
mod memory;
mod rocks;
mod store;
mod transact;

pub use encoding::{DecodeError, StoredRow, decode, encode};
pub use lease::{Held, LeaseError, LeaseName, Owner, acquire_lease, release_lease, renew_lease, require_lease};
pub use memory::MemoryStore;
pub use rocks::{OpenError, RocksConfig, RocksStore};
pub(crate) use store::after_prefix;
pub use store::{
    CommitError, KeyBounds, KeyRange, KeyedRow, Order, Reads, Row, Session, Store, StoreClock, StoreError, Version,
    Writes,
};
pub use transact::{IdempotencyKey, IfLost, Read, Tx, View, forget_idempotency_rows, transact, view};
