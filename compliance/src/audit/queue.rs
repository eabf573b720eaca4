//! Entries on their way to the committer.

use std::sync::Arc;

use futures_channel::oneshot;
use parking_lot::{Condvar, Mutex};

use super::commit::Committed;
use super::tree::TreeHash;

/// Why an entry was not recorded. The operation it stands for must not happen: answer 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Only the reserve for outcomes and incidents is left.
    #[error("the audit log is full: add disk space or raise its limit")]
    Full,
    /// The disk refused the write.
    #[error("the audit log cannot be written: see the gateway's log for the disk's answer")]
    Unwritable,
    /// More entries wait than the configured limit.
    #[error("too many entries wait for the audit log: try again")]
    Overloaded,
    /// The encoded record is longer than an entry may be.
    #[error("the entry has {bytes} bytes, more than 8192: name fewer shards or rules")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// An allowed intent without its permit.
    #[error("an allowed intent is logged with its permit, not appended")]
    NeedsPermit,
    /// The log was closed, or its disk failed to sync.
    #[error("the audit log is closed")]
    Closed,
}

/// Who may use the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryClass {
    /// Intents and denied attempts: refused first.
    Ordinary,
    /// Outcomes, erasures, starts, incidents: the reserve is kept for them.
    Control,
}

/// Called with the index of a durable entry that nobody waits for any more.
pub(super) type Abandoned = Box<dyn FnOnce(u64) + Send>;

/// One entry and who waits for it.
pub(super) struct Pending {
    pub(super) leaf: Arc<[u8]>,
    pub(super) hash: TreeHash,
    pub(super) class: EntryClass,
    pub(super) waiter: oneshot::Sender<Result<Committed, AppendError>>,
    pub(super) abandoned: Option<Abandoned>,
}

/// Where writers and committer meet.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    ordinary_max: usize,
}

#[derive(Default)]
struct State {
    waiting: Vec<Pending>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(ordinary_max: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), ordinary_max }
    }

    /// Hands an entry over. Control entries are let in beyond the limit: each stands for an intent that was, so that
    /// there are no more of them than there were intents.
    pub(super) fn push(
        &self,
        leaf: Arc<[u8]>,
        class: EntryClass,
        abandoned: Option<Abandoned>,
    ) -> Result<oneshot::Receiver<Result<Committed, AppendError>>, AppendError> {
        let (waiter, receiver) = oneshot::channel();
        let hash = TreeHash::of_leaf(&leaf);
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(AppendError::Closed);
        }
        if class == EntryClass::Ordinary && state.waiting.len() >= self.ordinary_max {
            return Err(AppendError::Overloaded);
        }
        state.waiting.push(Pending { leaf, hash, class, waiter, abandoned });
        if state.waiting.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Waits for entries and takes all there are, in the order they came; nothing once the queue is closed and empty.
    pub(super) fn take(&self) -> Vec<Pending> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.is_closed {
            self.arrived.wait(&mut state);
        }
        std::mem::take(&mut state.waiting)
    }

    /// Lets nothing more in. What is inside is still taken.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_all();
    }
}
