//! The shard store: append-only segment files, an index in RocksDB, one writer thread.
//!
//! *In scope*: keeping shards under data ids, durably before acknowledgement; reading them back whole or in part, checked;
//! giving space back; starting after a crash.
//!
//! *Out of scope*: who may do so (`admission`), HTTP, receipts, clocks. `now` comes with every call.
//!
//! INVARIANT: an acknowledged put is in the segment files and synced. The index never says more than they do.

mod batch;
mod compact;
mod disk;
mod files;
mod format;
mod holdings;
mod incoming;
mod index;
mod open;
mod read;
mod recovery;
mod rows;
mod scrub;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use domicile_node_protocol::{LeafHash, NodeCondition, ResolvedRange};
use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::database::DatabaseError;
use crate::health::Health;

pub use self::compact::{CompactError, Compaction};
pub use self::holdings::HoldingsPage;
pub use self::incoming::{IncomingError, IncomingShard, VerifiedShard};
pub use self::open::{Opened, StoreConfig, open};
pub use self::read::ReadError;
pub use self::recovery::OpenError;
pub use self::rows::Totals;
pub use self::scrub::ScrubStep;
pub use self::writer::StoreFault;

#[cfg(test)]
pub(crate) use self::tests::faulty::{Fault, FaultyDisk};

pub(crate) use self::disk::{Disk, RealDisk};
pub(crate) use self::open::open_with;

use self::files::SegmentFiles;
use self::index::Index;
use self::writer::{DISK_RESERVE_BYTES, Note, Request};

/// Free bytes with less than which a store counts as full: one whole shard may not fit.
const ROOM_BYTES_MIN: u64 = 2 << 20;
/// Requests that may wait for the writer.
const QUEUE_REQUESTS_MAX: usize = 1024;

/// An open shard store. Cheap calls, from any thread; [`ShardStore::read`] blocks on the disk.
pub struct ShardStore {
    files: Arc<SegmentFiles>,
    index: Index,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    totals: Arc<Mutex<Totals>>,
    capacity_bytes: u64,
    high_water_bytes: u64,
    health: Arc<Health>,
    /// Held while the store is open: nobody else may write here.
    _lock: File,
}

/// On whose behalf, under which ticket, and when.
#[derive(Debug, Clone, Copy)]
pub struct Errand {
    /// What the shard is stored under.
    pub data: DataId,
    /// Leaf hash of the ticket's intent.
    pub ticket: LeafHash,
    /// Whose log the ticket is of.
    pub gateway: NodeId,
    /// By the node's clock.
    pub now: UnixMillis,
}

/// Why a put was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// No space: by the configured capacity, or by the disk.
    #[error("no space for the shard: use another node, or raise the node's capacity_bytes if the disk has room")]
    Full,
    /// The disk failed a write: the store only reads until it is started again.
    #[error("the node's disk failed a write: it serves what it has and takes nothing; use another node")]
    DiskFault,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Why a delete was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// The data id has no claim on such a shard.
    #[error("no such shard under this data id")]
    NotFound,
    /// Not even space for the record of the release.
    #[error("no space to record the deletion: free space on the node's disk")]
    Full,
    /// The disk failed a write: the store only reads until it is started again.
    #[error("the node's disk failed a write: nothing can be deleted until its operator looked after it")]
    DiskFault,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// What the index knows of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Here, under the data id.
    Here {
        /// Its length.
        bytes: u64,
    },
    /// Here, under the data id, but its bytes are damaged.
    Corrupt,
    /// Here, under other data ids only.
    UnderOtherData,
    /// Not here.
    Nowhere,
}

impl ShardStore {
    /// Keeps `shard` under `errand.data`. Acknowledged once it is durable; again the same is acknowledged at once.
    pub async fn put(&self, shard: VerifiedShard, errand: Errand) -> Result<(), PutError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Store { shard, note: errand.into(), answer }).await.ok_or_else(|| self.gone())?;
        answered.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Drops the claim of `errand.data` on a shard; its length. The last claim takes the bytes with it.
    pub async fn delete(&self, cid: ShardCid, errand: Errand) -> Result<u64, DeleteError> {
        let (answer, answered) = oneshot::channel();
        let gone = || match self.gone() {
            PutError::DiskFault => DeleteError::DiskFault,
            PutError::Full | PutError::Closed => DeleteError::Closed,
        };
        self.send(Request::Release { cid, note: errand.into(), answer }).await.ok_or_else(gone)?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// What the index knows of `cid` under `data`. Reads the index only.
    pub fn find(&self, cid: &ShardCid, data: &DataId) -> Result<Found, DatabaseError> {
        read::find(&self.index, cid, data)
    }

    /// The bytes of `range` of a shard, or all of it, checked: a whole shard against its name, a part against the
    /// checksums of the 16,400-byte groups it touches. Blocks on the disk: not for an event loop.
    pub fn read(&self, cid: &ShardCid, data: &DataId, range: Option<ResolvedRange>) -> Result<Bytes, ReadError> {
        self.note_damage(cid, read::read(&self.files, &self.index, cid, data, range))
    }

    /// The slice of `range` that proves that the shard is held (see [`crate::proof`]). Reads and checks all of it. Blocks on
    /// the disk: not for an event loop.
    pub fn prove(&self, cid: &ShardCid, data: &DataId, range: ResolvedRange) -> Result<Bytes, ReadError> {
        self.note_damage(cid, read::prove(&self.files, &self.index, cid, data, range))
    }

    /// Has a shard that was just found damaged marked as such.
    fn note_damage(&self, cid: &ShardCid, result: Result<Bytes, ReadError>) -> Result<Bytes, ReadError> {
        if let Err(ReadError::Damaged { sequence }) = result {
            self.mark_corrupt(cid, sequence);
        }
        result
    }

    fn mark_corrupt(&self, cid: &ShardCid, sequence: u64) {
        let queue = self.queue.lock().clone();
        if let Some(queue) = queue
            && queue.try_send(Request::MarkCorrupt { cid: *cid, sequence }).is_err()
        {
            tracing::warn!(shard = %cid, "cannot mark a corrupt shard now: its next reader will");
        }
    }

    /// Why the writer does not answer: it is there no longer. Only [`ShardStore::close`] takes its queue away.
    fn gone(&self) -> PutError {
        if self.queue.lock().is_some() { PutError::DiskFault } else { PutError::Closed }
    }

    /// Whether shards are taken; if not, why.
    #[must_use]
    pub fn condition(&self) -> NodeCondition {
        if self.health.failed() {
            NodeCondition::DiskFault
        } else if self.free_bytes() < ROOM_BYTES_MIN {
            NodeCondition::Full
        } else {
            NodeCondition::Serving
        }
    }

    /// What is stored under `gateway`'s tickets behind `after`, a page of it. Reads the index only; blocks on the disk.
    pub fn holdings(&self, gateway: &NodeId, after: Option<(ShardCid, DataId)>) -> Result<HoldingsPage, DatabaseError> {
        holdings::page(&self.index, gateway, after)
    }

    /// Sums over the whole store, as of the last batch.
    #[must_use]
    pub fn totals(&self) -> Totals {
        *self.totals.lock()
    }

    /// Bytes it may take on disk.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Bytes that are still free for shards: of its capacity up to the high-water mark, and of the disk it is on.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let of_capacity = self.high_water_bytes.saturating_sub(self.totals().used_bytes);
        let of_disk = RealDisk.available_bytes(self.files.directory()).unwrap_or(u64::MAX);
        of_capacity.min(of_disk.saturating_sub(DISK_RESERVE_BYTES))
    }

    /// Finishes what was asked, then ends the writer. Blocks; later puts and deletes are refused.
    pub fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the shard store ended in a panic");
        }
    }

    async fn send(&self, request: Request) -> Option<()> {
        let queue = self.queue.lock().clone()?;
        queue.send(request).await.ok()
    }
}

impl Drop for ShardStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl From<Errand> for Note {
    fn from(errand: Errand) -> Self {
        Self { data: errand.data, ticket: errand.ticket, gateway: errand.gateway, time: errand.now }
    }
}
