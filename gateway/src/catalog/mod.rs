//! The catalog: buckets, objects, uploads, where every shard lies, and what is garbage. Written once above
//! [`crate::state::Store`], for every engine alike.
//!
//! *In scope*: rows and their layout (`keys`), the transactions that keep them consistent, listings, conditional writes,
//! what must be swept. *Out of scope*: S3 types, XML, permits, ciphers, sockets: sealed and wrapped bytes are opaque here.
//!
//! # The life of a body
//!
//! Bytes are written as an **extent**: the segments of one body, a plain PUT's or one part's. [`Catalog::begin_put`] (or
//! [`Catalog::begin_part`]) writes a *pending* row; [`Catalog::record_pages`] writes, before the shards of a segment leave,
//! which shards go to which nodes; [`Catalog::commit_put`] (or [`Catalog::commit_part`]) turns the extent into an object or
//! part and removes the pending row, in one transaction with the garbage of what it replaces. A crash anywhere before leaves
//! a pending row of a process that is gone: [`Catalog::reap_orphans`] makes garbage of it, and its pages say exactly
//! which shards may exist.
//!
//! # Who holds what, and for whom
//!
//! Every page is indexed by the nodes that hold, or may hold, shards of it, in the transaction that writes the page; every
//! extent that is part of something has a row with its shape and its data id; every version, and every upload in progress,
//! has a claim on the body that it names, with the packs and the classification that the body is under. So a repair, a
//! re-scan of the law, or the end of a node finds what it must look at, and needs no key (`holders`, `claim`, `mend`).
//!
//! # Large objects
//!
//! A transaction writes at most 1,000 rows, and an object of 5 TiB has over a million segments, so nothing is written at
//! the end that could be written on the way: extent pages are stored as parts are stored, a completion writes the list of
//! parts (at most 10,000, some 600 to a row), never their pages, and garbage is a row that *refers* to parts or pages, which
//! the sweeper unfolds in transactions of bounded size ([`Catalog::next_sweeps`]).

mod account_rows;
mod acl;
mod approval_rows;
mod bucket;
mod bucket_versioning;
mod claim;
mod compact;
mod complete;
mod delete;
mod deletion;
mod error;
mod expiry;
mod extent;
mod fleet_rows;
#[doc(hidden)]
pub mod fuzzing;
mod garbage;
mod history;
mod holders;
mod identity;
mod judging;
mod keys;
mod leaving;
mod ledger_rows;
mod listing;
mod mend;
mod object;
mod outbox;
mod proposal;
mod protection;
mod put;
mod read;
mod residue;
mod settings;
mod share;
mod standing;
mod token;
mod upload;
mod version;
mod versions;
mod versions_list;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domicile_types::{RequestId, UnixMillis};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use acl::{Acl, Grantee, Permission};
pub use bucket::{Bucket, BucketId, BucketPage, NewBucket, Tags};
pub use claim::Claim;
pub use complete::{Completed, CompletionPlan, NewCompletion, PlannedCompletion, RequestedPart};
pub use delete::{Deleted, Deletion, Removed};
pub use deletion::{DeletionRecord, ReceiptPage};
pub use error::CatalogError;
pub use expiry::{Due, Ending, Walk};
pub use extent::{Extent, ExtentId, ExtentPage, PageAt, ShardAt};
pub use fleet_rows::{FleetEdit, FleetKind, FleetName, FleetRecord, FleetRecords, InvitationRow, RequestRow};
pub use garbage::{Debris, Garbage, Origin, Sweep};
pub use history::Holding;
pub use holders::Mendable;
pub use identity::{AccessKey, Identities, Identity, IdentityChange, IdentityName, Role, Tenant, User};
pub use judging::{InForce, JudgingEpoch};
pub use ledger_rows::{AccountState, Bill, Charged, Receipt, Standing, Tally};
pub use listing::{ListPage, ListQuery, ListStart, ListedObject};
pub use mend::{Announced, Move};
pub use object::{
    Body, Checksum, ChecksumAlgorithm, ChecksumKind, ContentHeaders, EtagMatch, NewObject, ObjectHead, PartIndex,
    PartPage, Preconditions,
};
pub use outbox::{Message, Queued};
pub use proposal::{PacksSince, Proposal, ProposalFault, ProposalState, ProposalVerdict};
pub use protection::{Encryption, Lock, Protection, Retention, RetentionMode};
pub use put::{NewBody, Pending, PutCommit, PutOutcome};
pub use read::Span;
pub use residue::{Gone, Residue, ResidueCause, ToDelete};
pub use settings::{Setting, StoredSetting};
pub use share::{SealedAs, ShareSource, SharingCopy};
pub use standing::{NodeFile, StandingRows};
pub use upload::{
    ListUploadsQuery, NewUpload, PART_NUMBER_MAX, PARTS_LISTED_MAX, Part, PartCommit, PartPageOf, Upload, UploadPage,
};
pub use version::{DeleteMarker, Version, VersionEntry, VersionId, Versioning};
pub use versions_list::{ListVersionsQuery, ListedVersion, VersionMarker, VersionPage};

use crate::state::{
    Held, IdempotencyKey, IfLost, LeaseName, Owner, Store, Tx, View, acquire_lease, forget_idempotency_rows, limits,
    release_lease, renew_lease, transact, view,
};

/// What a catalog is opened with.
#[derive(Debug, Clone)]
pub struct CatalogConfig {
    /// Seals continuation tokens; the same on every gateway that serves the same store. Derived from the root key.
    pub token_key: [u8; 32],
    /// This process: sixteen random bytes, drawn at start. Pending rows carry it, so that those of a process that is gone
    /// are known as orphans.
    pub process: Owner,
    /// How long replaced and deleted bytes stay on nodes, so that reads in flight end well.
    pub sweep_grace_millis: u64,
}

/// When and for which request a change is made.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Now, by the caller's clock: creation and modification times.
    pub now: UnixMillis,
    /// Names the request: a change that is found to be made by the same request already is not made again.
    pub request: RequestId,
}

impl Stamp {
    /// Once, even if its commit is lost: names one change of the request, `operation` on what `subject` says.
    fn once(&self, operation: &str, subject: &[&[u8]]) -> IfLost {
        let mut hash = blake3::Hasher::new();
        hash.update(self.request.as_bytes());
        for piece in [operation.as_bytes()].iter().chain(subject) {
            // Lengths keep ("ab", "c") apart from ("a", "bc").
            hash.update(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(piece);
        }
        let name = hash.finalize();
        IfLost::LookUp(IdempotencyKey::new(self.now, name.as_bytes().get(..16).unwrap_or_default()))
    }
}

/// The catalog over a store. Cheap to clone.
///
/// Every method runs one transaction (few, where it says so) on tokio's blocking pool. A caller that goes away while it
/// runs does not stop it: it commits or it does not, never half.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    config: Arc<CatalogConfig>,
    read_before: settings::ReadBefore,
}

impl Catalog {
    /// A catalog over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: CatalogConfig) -> Self {
        Self { store, config: Arc::new(config), read_before: settings::ReadBefore::default() }
    }

    /// The store below: for leases and maintenance.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// This process: whose pending bodies are not orphans.
    #[must_use]
    pub fn process(&self) -> Owner {
        self.config.process
    }

    /// The lease that says that process `owner` lives; [`Catalog::reap_orphans`] is given the owners whose lease is held.
    #[must_use]
    pub fn process_lease(owner: Owner) -> LeaseName {
        LeaseName::new(&format!("process/{}", data_encoding::HEXLOWER.encode(&owner.0)))
    }

    /// Takes a lease; see [`acquire_lease`].
    pub async fn acquire_lease(&self, name: &LeaseName, owner: Owner, ttl_millis: u64) -> Result<Held, CatalogError> {
        let name = name.clone();
        self.blocking(move |store| Ok(acquire_lease(store, &name, owner, ttl_millis)?)).await
    }

    /// Extends a lease; see [`renew_lease`].
    pub async fn renew_lease(&self, held: &Held, ttl_millis: u64) -> Result<Held, CatalogError> {
        let held = held.clone();
        self.blocking(move |store| Ok(renew_lease(store, &held, ttl_millis)?)).await
    }

    /// Gives a lease back; see [`release_lease`].
    pub async fn release_lease(&self, held: Held) -> Result<(), CatalogError> {
        self.blocking(move |store| Ok(release_lease(store, &held)?)).await
    }

    /// Forgets which requests issued before `before` made which changes, at most 1,000 at a time; returns how many. An hour
    /// is long enough: a request is not tried again by this program after minutes.
    pub async fn forget_requests(&self, before: UnixMillis) -> Result<usize, CatalogError> {
        self.blocking(move |store| Ok(forget_idempotency_rows(store, before, limits::WRITES_MAX)?)).await
    }

    /// When what `stamp` discards may be swept.
    fn sweep_due(&self, stamp: Stamp) -> UnixMillis {
        stamp.now.plus_millis(self.config.sweep_grace_millis)
    }

    async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut View<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.blocking(move |store| view(store, body)).await
    }

    async fn write<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        if_lost: IfLost,
        body: impl FnMut(&mut Tx<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.blocking(move |store| transact(store, if_lost, body)).await
    }

    /// Runs `body` on tokio's blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        body: impl FnOnce(&dyn Store) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || body(&*store)).await.map_err(|_| CatalogError::ShuttingDown)?
    }
}
