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

/// Where a transaction's caller waits.
pub(super) type Answer = SyncSender<Result<Version, CommitError>>;

/// A transaction that waits for its outcome.
pub(super) struct Submission {
    /// The commit that its session began at.
    pub(super) began_at: u64,
    pub(super) reads: Reads,
    pub(super) writes: Writes,
    pub(super) answer: Answer,
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
    ///
    /// Conflicts are answered with the rest, after the write: a transaction that was told before would begin anew below the
    /// very commit that it conflicts with, and conflict again, for as long as others keep the committer busy.
    pub(super) fn round(&mut self, queue: &Receiver<Submission>) -> bool {
        let Ok(first) = queue.recv() else { return false };
        let mut batch = WriteBatch::default();
        let mut outcomes = Vec::new();
        let mut next = Some(first);
        while let Some(submission) = next.take() {
            outcomes.push(self.admit(submission, &mut batch));
            if outcomes.len() < BATCH_TRANSACTIONS_MAX && batch.size_in_bytes() < BATCH_BYTES_FULL {
                next = queue.try_recv().ok();
            }
        }
        let accepted = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        let lost = if accepted > 0 { self.write(batch, accepted).err() } else { None };
        for (answer, outcome) in outcomes {
            let outcome = match &lost {
                Some(reason) => outcome.and(Err(CommitError::Unknown { reason: reason.clone() })),
                None => outcome,
            };
            if answer.send(outcome).is_err() {
                tracing::debug!("the caller of a transaction was gone before its answer");
            }
        }
        self.window.prune(self.shared.oldest_session());
        true
    }

    /// Adds a transaction to the batch, if it may be committed.
    fn admit(&mut self, submission: Submission, batch: &mut WriteBatch) -> (Answer, Result<Version, CommitError>) {
        let Submission { began_at, reads, writes, answer } = submission;
        if let Some(reason) = self.shared.stopped.get() {
            return (answer, Err(CommitError::Failed(StoreError::Stopped { reason: reason.clone() })));
        }
        if self.window.conflicts(began_at, &reads) {
            return (answer, Err(CommitError::Conflict));
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
        (answer, Ok(Version(self.last)))
    }

    /// Writes and syncs the batch of so many transactions, and lets new sessions see it. An error says why their outcome is
    /// unknown.
    fn write(&mut self, batch: WriteBatch, transactions: usize) -> Result<(), String> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        if let Err(error) = self.shared.db.write_opt(batch, &options) {
            // The log may hold the batch although memory does not. Only a restart, which reads the log, can tell.
            let reason = error.to_string();
            tracing::error!(%reason, "a write to the metadata store failed: no more are accepted until a restart");
            return Err(self.shared.stopped.get_or_init(|| reason).clone());
        }
        self.shared.applied.store(self.last, Ordering::Release);
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        self.shared.commits.fetch_add(u64::try_from(transactions).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }
}
