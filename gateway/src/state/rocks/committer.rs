//! The committer: checks, numbers and writes transactions, many to a synced batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use rocksdb::{WriteBatch, WriteOptions};

use super::window::Window;
use super::{Shared, VERSION_BYTES};
use crate::state::store::{CommitError, Reads, StoreError, Version, Writes};

/// Transactions of one batch at the most.
const BATCH_TRANSACTIONS_MAX: usize = 512;
/// Where a batch takes no more transactions. One transaction is at most 8 MiB.
const BATCH_BYTES_FULL: usize = 4 * 1024 * 1024;

/// A transaction that waits for its outcome.
pub(super) struct Submission {
    /// The commit that its session began at.
    pub(super) began_at: u64,
    pub(super) reads: Reads,
    pub(super) writes: Writes,
    pub(super) answer: SyncSender<Result<Version, CommitError>>,
}

/// The one writer of the database.
pub(super) struct Committer {
    shared: Arc<Shared>,
    window: Window,
    last: u64,
    value: Vec<u8>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let last = shared.applied.load(Ordering::Acquire);
        Self { shared, window: Window::starting_after(last), last, value: Vec::new() }
    }

    /// Waits for a transaction, takes what else waits by then, and commits those that do not conflict, with one sync.
    /// False when no more will come.
    pub(super) fn round(&mut self, queue: &Receiver<Submission>) -> bool {
        let Ok(first) = queue.recv() else { return false };
        let mut batch = WriteBatch::default();
        let mut accepted = Vec::new();
        let mut next = Some(first);
        while let Some(submission) = next.take() {
            if let Some(accept) = self.admit(submission, &mut batch) {
                accepted.push(accept);
            }
            if accepted.len() < BATCH_TRANSACTIONS_MAX && batch.size_in_bytes() < BATCH_BYTES_FULL {
                next = queue.try_recv().ok();
            }
        }
        if !accepted.is_empty() {
            self.write(batch, accepted);
        }
        self.window.prune(self.shared.oldest_session());
        true
    }

    /// Adds a transaction to the batch, or answers it at once.
    fn admit(
        &mut self,
        submission: Submission,
        batch: &mut WriteBatch,
    ) -> Option<(SyncSender<Result<Version, CommitError>>, Version)> {
        let Submission { began_at, reads, writes, answer } = submission;
        let refusal = match self.shared.stopped.get() {
            Some(reason) => Some(CommitError::Failed(StoreError::Stopped { reason: reason.clone() })),
            None if self.window.conflicts(began_at, &reads) => Some(CommitError::Conflict),
            None => None,
        };
        if let Some(refusal) = refusal {
            respond(&answer, Err(refusal));
            return None;
        }
        self.last += 1;
        let mut keys = Vec::with_capacity(writes.rows.len());
        for (key, value) in writes.rows {
            match value {
                Some(value) => {
                    self.value.clear();
                    self.value.reserve(VERSION_BYTES + value.len());
                    self.value.extend_from_slice(&self.last.to_be_bytes());
                    self.value.extend_from_slice(&value);
                    batch.put(&key, &self.value);
                }
                None => batch.delete(&key),
            }
            keys.push(key);
        }
        self.window.record(self.last, keys);
        Some((answer, Version(self.last)))
    }

    fn write(&mut self, batch: WriteBatch, accepted: Vec<(SyncSender<Result<Version, CommitError>>, Version)>) {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        match self.shared.db.write_opt(batch, &options) {
            Ok(()) => {
                self.shared.applied.store(self.last, Ordering::Release);
                self.shared.batches.fetch_add(1, Ordering::Relaxed);
                self.shared.commits.fetch_add(u64::try_from(accepted.len()).unwrap_or(0), Ordering::Relaxed);
                accepted.into_iter().for_each(|(answer, version)| respond(&answer, Ok(version)));
            }
            Err(error) => {
                // The log may hold the batch although memory does not. Only a restart, which reads the log, can tell.
                let reason = error.to_string();
                tracing::error!(%reason, "a write to the metadata store failed: no more are accepted until a restart");
                let reason = self.shared.stopped.get_or_init(|| reason);
                for (answer, _) in accepted {
                    respond(&answer, Err(CommitError::Unknown { reason: reason.clone() }));
                }
            }
        }
    }
}

/// Answers; that nobody waits any more is no fault.
fn respond(answer: &SyncSender<Result<Version, CommitError>>, outcome: Result<Version, CommitError>) {
    if answer.send(outcome).is_err() {
        tracing::debug!("a committed transaction's caller was gone");
    }
}
