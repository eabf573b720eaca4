//! The committer: one thread that makes entries durable, signs for them, and wakes who waits.
//!
//! Drain the queue, assign indices, one write, one `fdatasync`, one signature over the batch. There is no timer: while
//! the disk syncs one batch, the next one gathers.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::frame::{framed_bytes, write_frame};
use super::note::NoteSigner;
use super::proof::LogProof;
use super::queue::{AppendError, EntryClass, Pending, Queue};
use super::ticket::Ticket;
use super::tree::{EdgeTree, TreeHash, inclusion_path};
use super::wal::{Position, WalFault, WalWriter};

/// The most bytes of one write.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Where every how many leaves the position is remembered, for reading by index: 16 bytes of memory each.
pub(super) const POSITION_EVERY: u64 = 256;

/// An entry that is durable, and the proof of it.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its index in the log.
    pub index: u64,
    /// The hash of its leaf: the identity of the ticket made from it.
    pub leaf_hash: TreeHash,
    /// The checkpoint over its batch.
    pub checkpoint: Arc<SignedCheckpoint>,
    pub(super) leaf: Arc<[u8]>,
    pub(super) path: Vec<TreeHash>,
}

impl Committed {
    /// The proof that the entry is in the log.
    #[must_use]
    pub fn proof(&self) -> LogProof {
        LogProof { index: self.index, path: self.path.clone(), checkpoint: Arc::clone(&self.checkpoint) }
    }

    /// The entry with its proof, as a node demands it. Nodes refuse tickets of entries that are no allowed intent.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket::new(&self.leaf, self.proof())
    }

    /// The entry's bytes.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }
}

/// The newest signed state of the log, shared by committer, publisher and readers.
pub(super) struct Head {
    state: Mutex<HeadState>,
    moved: Condvar,
}

#[derive(Clone)]
pub(super) struct HeadState {
    pub(super) checkpoint: Arc<SignedCheckpoint>,
    /// Where the next frame goes.
    pub(super) end: Position,
    pub(super) is_closing: bool,
    /// The size that somebody waits to see published.
    pub(super) wanted: u64,
}

impl Head {
    pub(super) fn new(state: HeadState) -> Self {
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    pub(super) fn get(&self) -> HeadState {
        self.state.lock().clone()
    }

    /// Changes the state and wakes who waits for it.
    pub(super) fn update(&self, change: impl FnOnce(&mut HeadState)) {
        change(&mut self.state.lock());
        self.moved.notify_all();
    }

    /// Waits until `enough` or, where given, a time has passed.
    pub(super) fn wait(&self, at_most: Option<std::time::Duration>, enough: impl Fn(&HeadState) -> bool) -> HeadState {
        let mut state = self.state.lock();
        match at_most {
            None => self.moved.wait_while(&mut state, |state| !enough(state)),
            Some(time) => {
                self.moved.wait_while_for(&mut state, |state| !enough(state), time);
            }
        }
        state.clone()
    }
}

/// Stores that entries refer to: durable together with them.
pub(super) trait SyncedTogether: Send + Sync {
    /// Whether something was put since the last sync.
    fn is_dirty(&self) -> bool;
    /// Makes everything put so far durable.
    fn sync(&self) -> Result<(), std::io::Error>;
}

/// What must end the process: after it, nothing is known of what the disk holds.
#[derive(Debug, thiserror::Error)]
pub enum FatalError {
    /// `fdatasync` of the log failed.
    #[error(
        "the audit log could not be brought to the disk; the process must end, and replay the log when it restarts"
    )]
    Sync(#[source] WalFault),
    /// `fdatasync` of a store that entries refer to failed.
    #[error("the store beside the audit log could not be brought to the disk; the process must end")]
    SideSync(#[source] std::io::Error),
    /// What was read back is not what was committed.
    #[error("the audit log reads back otherwise than it was written; the process must end, and the disk be checked")]
    ReadBack(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What is done about a [`FatalError`]: by default `std::process::abort`.
pub type OnFatal = Arc<dyn Fn(&FatalError) + Send + Sync>;

/// Bounds on the log's space.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpaceLimits {
    pub(super) segment_bytes: u64,
    pub(super) log_bytes_max: u64,
    pub(super) reserve_bytes: u64,
}

/// The state of the committing thread.
pub(super) struct Committer {
    pub(super) queue: Arc<Queue>,
    pub(super) head: Arc<Head>,
    pub(super) wal: WalWriter,
    pub(super) tree: EdgeTree,
    pub(super) signer: NoteSigner,
    pub(super) space: SpaceLimits,
    pub(super) synced_together: Vec<Arc<dyn SyncedTogether>>,
    pub(super) on_fatal: OnFatal,
}

/// The log's disk failed; the thread ends.
struct Dead;

/// Entries that go to the disk together.
#[derive(Default)]
struct Batch {
    entries: Vec<Pending>,
    frames: Vec<u8>,
}

impl Committer {
    /// Runs until the queue is closed and empty, or the disk fails.
    pub(super) fn run(mut self) {
        loop {
            let pending = self.queue.take();
            if pending.is_empty() {
                break;
            }
            if self.commit_all(pending).is_err() {
                self.queue.close();
                for left in self.queue.take() {
                    refuse(left, AppendError::Closed);
                }
                break;
            }
        }
        self.head.update(|head| head.is_closing = true);
    }

    fn commit_all(&mut self, pending: Vec<Pending>) -> Result<(), Dead> {
        let mut batch = Batch::default();
        let mut pending = pending.into_iter();
        while let Some(entry) = pending.next() {
            let bytes = to_u64(framed_bytes(entry.leaf.len()));
            if !self.admits(entry.class, to_u64(batch.frames.len()) + bytes) {
                refuse(entry, AppendError::Full);
                continue;
            }
            if to_u64(batch.frames.len()) + bytes > self.wal.room_bytes().min(BATCH_BYTES_MAX)
                && let Err(dead) = self.commit(std::mem::take(&mut batch))
            {
                std::iter::once(entry).chain(pending).for_each(|left| refuse(left, AppendError::Closed));
                return Err(dead);
            }
            if bytes > self.wal.room_bytes()
                && let Err(fault) = self.wal.rotate()
            {
                tracing::error!(error = %chain(&fault), "the audit log cannot grow");
                refuse(entry, AppendError::Full);
                continue;
            }
            let index = self.tree.size() + to_u64(batch.entries.len());
            write_frame(&mut batch.frames, &entry.leaf, index, self.tree.size());
            batch.entries.push(entry);
        }
        self.commit(batch)
    }

    /// Whether there is room for `bytes` more, and for a newcomer of `class` among them.
    fn admits(&self, class: EntryClass, bytes: u64) -> bool {
        let reserve = match class {
            EntryClass::Ordinary => self.space.reserve_bytes,
            EntryClass::Control => 0,
        };
        let used = self.wal.end().segment.saturating_mul(self.space.segment_bytes) + self.wal.end().offset;
        let fits_limit = used + bytes + reserve <= self.space.log_bytes_max;
        // An intent may not use the last of the space before there is more: its outcome must fit, too. The publisher has
        // made the next segment long before, or found that it cannot.
        let fits_disk = || bytes + reserve <= self.wal.prepared_bytes() || self.wal.prepare().is_ok();
        fits_limit && (class == EntryClass::Control || fits_disk())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Dead> {
        if batch.entries.is_empty() {
            return Ok(());
        }
        if let Err(fault) = self.wal.write(&batch.frames) {
            tracing::error!(error = %chain(&fault), entries = batch.entries.len(), "the audit log cannot be written");
            batch.entries.into_iter().for_each(|entry| refuse(entry, AppendError::Unwritable));
            return Ok(());
        }
        if let Err(error) = self.sync() {
            return self.die(&error, batch);
        }
        self.acknowledge(batch.entries);
        Ok(())
    }

    /// One `fdatasync` of the log; at the same time one of each store that holds something new. Their order does not
    /// matter: nothing is acknowledged before all are done, and without it neither an entry nor a value counts.
    fn sync(&self) -> Result<(), FatalError> {
        let dirty: Vec<_> = self.synced_together.iter().filter(|store| store.is_dirty()).collect();
        let (stores, log) = std::thread::scope(|scope| {
            let stores: Vec<_> = dirty.iter().map(|store| scope.spawn(|| store.sync())).collect();
            let log = self.wal.sync();
            let join = |thread: std::thread::ScopedJoinHandle<'_, std::io::Result<()>>| {
                thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the syncing thread panicked")))
            };
            (stores.into_iter().map(join).collect::<Vec<_>>(), log)
        });
        log.map_err(FatalError::Sync)?;
        stores.into_iter().collect::<Result<(), _>>().map_err(FatalError::SideSync)
    }

    /// The batch is durable: sign for it, and wake everybody with a proof.
    fn acknowledge(&mut self, entries: Vec<Pending>) {
        let first = self.tree.size();
        entries.iter().for_each(|entry| self.tree.push(entry.hash));
        let (size, origin) = (self.tree.size(), self.signer.verifier().name().clone());
        let checkpoint = Arc::new(Checkpoint { origin, size, root: self.tree.root() }.sign(&self.signer));
        let end = self.wal.end();
        // Before anybody is woken: whoever is told that an entry is durable finds it.
        self.head.update(|head| {
            head.checkpoint = Arc::clone(&checkpoint);
            head.end = end;
        });
        for (index, entry) in (first..).zip(entries) {
            let path = inclusion_path(index, size, &self.tree)
                .unwrap_or_else(|missing| unreachable!("a batch is remembered until it is proved: {missing}"));
            let committed =
                Committed { index, leaf_hash: entry.hash, checkpoint: Arc::clone(&checkpoint), leaf: entry.leaf, path };
            // Whoever no longer waits has given up on the operation; the entry stands.
            if entry.waiter.send(Ok(committed)).is_err()
                && let Some(abandoned) = entry.abandoned
            {
                abandoned(index);
            }
        }
        self.tree.forget_before(size);
    }

    fn die(&self, error: &FatalError, batch: Batch) -> Result<(), Dead> {
        tracing::error!(error = %chain(error), "audit log: fatal");
        (self.on_fatal)(error);
        batch.entries.into_iter().for_each(|entry| refuse(entry, AppendError::Closed));
        Err(Dead)
    }
}

fn refuse(entry: Pending, error: AppendError) {
    drop(entry.waiter.send(Err(error)));
}

/// An error with its sources, for a log line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
