//! Compaction: what is live in the oldest segment file is recorded again at the end, and the file goes.
//!
//! Dead payloads are given back to the file system at once, as holes. What stays behind are headers, partial blocks, small
//! shards, and everything where the file system has no holes. Only the oldest file is ever emptied, because a release may
//! stand in a file behind the bytes that it released: removed out of order, it would bring them back (see `FORMAT.md`).
//!
//! Crash-safe without any state of its own: a shard recorded again replaces itself, durable before its old place dies.

use domicile_types::{DataId, ShardCid};
use tokio::sync::oneshot;

use super::format::{GROUP_BYTES, RECORD_HEADER_BYTES, file_bytes};
use super::incoming::VerifiedShard;
use super::rows::Totals;
use super::writer::Request;
use super::{PutError, ShardStore, read};
use crate::database::DatabaseError;

/// Bytes that one step moves: enough for one batch of the writer.
const STEP_BYTES: u64 = 4 << 20;
/// Records that one step moves.
const STEP_RECORDS: usize = 512;

/// What is still to be moved out of a file.
#[derive(Debug)]
pub struct Compaction {
    file: u32,
    /// With the sequence number of the record that holds the bytes.
    shards: Vec<(ShardCid, u64)>,
    claims: Vec<(ShardCid, DataId)>,
}

/// Why compaction did not go on.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// No space for the new copies, the store is closed, or its disk failed.
    #[error("the store takes nothing now")]
    Store(#[from] PutError),
    /// The index failed.
    #[error("cannot read the index")]
    Index(#[from] DatabaseError),
    /// A shard's bytes could not be read, for a reason other than damage.
    #[error("cannot read a segment file")]
    Read(#[from] read::ReadError),
}

impl ShardStore {
    /// Bytes on disk that hold nothing live and that no hole gave back.
    #[must_use]
    pub fn garbage_bytes(&self) -> u64 {
        let Totals { shards, shard_bytes, used_bytes, .. } = self.totals();
        let tables = shard_bytes / file_bytes(GROUP_BYTES) * 4;
        let headers = shards.saturating_mul(file_bytes(RECORD_HEADER_BYTES) + 8);
        used_bytes.saturating_sub(shard_bytes.saturating_add(tables).saturating_add(headers))
    }

    /// What there is to move out of the oldest file, if it is not the one being written to. Reads the whole index: blocks.
    pub fn plan_compaction(&self) -> Result<Option<Compaction>, DatabaseError> {
        let files = self.index.files()?;
        let (Some(oldest), Some(newest)) = (files.keys().next().copied(), files.keys().next_back().copied()) else {
            return Ok(None);
        };
        if oldest == newest {
            return Ok(None);
        }
        let (mut shards, mut claims) = (Vec::new(), Vec::new());
        self.index.each_shard_named(|cid, row| {
            if row.file == oldest {
                shards.push((cid, row.sequence));
            }
        })?;
        self.index.each_claim_named(|key, row| {
            if row.file == oldest {
                claims.push(key);
            }
        })?;
        Ok(Some(Compaction { file: oldest, shards, claims }))
    }

    /// Moves the next few shards; how many bytes, `None` when nothing is left and the file is gone. Blocks.
    pub fn compact_step(&self, plan: &mut Compaction) -> Result<Option<u64>, CompactError> {
        let (mut answers, mut bytes) = (Vec::new(), 0);
        while bytes < STEP_BYTES && answers.len() < STEP_RECORDS {
            let Some((cid, sequence)) = plan.shards.pop() else { break };
            let read = read::sound(&self.files, &self.index, &cid, sequence)?;
            let read::Soundness::Bytes(shard) = read else {
                if matches!(read, read::Soundness::Damaged) {
                    answers.push(self.ask_to_move(cid, sequence, None)?);
                }
                continue;
            };
            bytes += file_bytes(shard.len());
            // The name was checked just now, so this cannot fail but by our own mistake; then the shard stays where it is.
            let Ok(shard) = VerifiedShard::of(&cid, shard) else { continue };
            answers.push(self.ask_to_move(cid, sequence, Some(shard))?);
        }
        if answers.is_empty() {
            for (cid, data) in plan.claims.split_off(plan.claims.len().saturating_sub(STEP_RECORDS)) {
                let (answer, answered) = oneshot::channel();
                self.ask(Request::MoveClaim { cid, data, file: plan.file, answer })?;
                answers.push(answered);
            }
        }
        if answers.is_empty() {
            let (answer, answered) = oneshot::channel();
            self.ask(Request::RemoveDead { answer })?;
            self.wait(answered)?;
            return Ok(None);
        }
        for answered in answers {
            self.wait(answered)?;
        }
        Ok(Some(bytes))
    }

    fn ask_to_move(
        &self,
        cid: ShardCid,
        sequence: u64,
        shard: Option<VerifiedShard>,
    ) -> Result<oneshot::Receiver<Result<(), PutError>>, PutError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Move { cid, sequence, shard, answer })?;
        Ok(answered)
    }

    fn ask(&self, request: Request) -> Result<(), PutError> {
        let queue = self.queue.lock().clone().ok_or(PutError::Closed)?;
        queue.blocking_send(request).map_err(|_| self.gone())
    }

    fn wait(&self, answered: oneshot::Receiver<Result<(), PutError>>) -> Result<(), PutError> {
        answered.blocking_recv().unwrap_or_else(|_| Err(self.gone()))
    }
}
