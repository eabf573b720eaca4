//! Reading entries back, with proofs.

use std::ops::Range;
use std::sync::Arc;

use domicile_types::Record;

use super::checkpoint::SignedCheckpoint;
use super::commit::POSITION_EVERY;
use super::log::AuditLog;
use super::proof::LogProof;
use super::publish::PublishError;
use super::tile::{TileError, TileReader};
use super::tree::{TreeHash, consistency_path, inclusion_path};
use super::wal::{Position, SEGMENT_HEAD_BYTES, WalDir, WalFault};

/// Why an entry cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such entry.
    #[error("there is no entry {index}: the log has {size}")]
    Beyond {
        /// What was asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// The entry is damaged.
    #[error(transparent)]
    Wal(#[from] WalFault),
    /// The entry is not a record that this version reads.
    #[error("entry {index} is not a record that this version reads")]
    Unreadable {
        /// Its index.
        index: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A proof needs a tile that cannot be read.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// A proof needs tiles that cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// An entry as `audit list` and `audit show` print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its index.
    pub index: u64,
    /// The hash of its leaf.
    pub leaf_hash: TreeHash,
    /// Its bytes, as they were hashed.
    pub leaf: Vec<u8>,
}

impl StoredEntry {
    /// The record in it.
    pub fn record(&self) -> Result<Record, ReadError> {
        serde_json::from_slice(&self.leaf).map_err(|source| ReadError::Unreadable { index: self.index, source })
    }
}

impl AuditLog {
    /// How many entries are acknowledged.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.checkpoint().size()
    }

    /// Whether nothing is. An open log holds its own start, so this is false.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One record. Blocks on the disk.
    pub fn read(&self, index: u64) -> Result<Record, ReadError> {
        let mut found = Err(ReadError::Beyond { index, size: self.len() });
        self.entries(index..index.saturating_add(1), |entry| {
            found = entry.record();
            false
        })?;
        found
    }

    /// Shows the entries of a range, ascending, to `visit`, until it says false. What lies beyond the log is left out.
    /// Blocks on the disk; memory: one entry.
    pub fn entries(&self, range: Range<u64>, mut visit: impl FnMut(StoredEntry) -> bool) -> Result<(), ReadError> {
        let wal = WalDir::new(self.dir());
        let end = range.end.min(self.len());
        if range.start >= end {
            return Ok(());
        }
        let (first, position) = self.position_before(range.start);
        wal.read_from(position, first, end - first, |frame| {
            frame.index < range.start
                || visit(StoredEntry {
                    index: frame.index,
                    leaf_hash: TreeHash::of_leaf(frame.leaf),
                    leaf: frame.leaf.to_owned(),
                })
        })?;
        Ok(())
    }

    /// A proof that entry `index` is in the log, against the newest checkpoint, which is published first.
    pub fn prove(&self, index: u64) -> Result<LogProof, ReadError> {
        let checkpoint = self.publish()?;
        if index >= checkpoint.size() {
            return Err(ReadError::Beyond { index, size: checkpoint.size() });
        }
        let tiles = TileReader::new(self.dir(), checkpoint.size());
        let path = inclusion_path(index, checkpoint.size(), &tiles)?;
        Ok(LogProof { index, path, checkpoint })
    }

    /// A proof that the log still begins as it did when it had `old_size` entries, and the checkpoint it leads to.
    pub fn prove_consistency(&self, old_size: u64) -> Result<(Vec<TreeHash>, Arc<SignedCheckpoint>), ReadError> {
        let checkpoint = self.publish()?;
        if old_size > checkpoint.size() {
            return Err(ReadError::Beyond { index: old_size, size: checkpoint.size() });
        }
        let tiles = TileReader::new(self.dir(), checkpoint.size());
        Ok((consistency_path(old_size, checkpoint.size(), &tiles)?, checkpoint))
    }

    /// A leaf at or before `index` whose position is known.
    fn position_before(&self, index: u64) -> (u64, Position) {
        let positions = self.core.positions.lock();
        let known = usize::try_from(index / POSITION_EVERY).unwrap_or(usize::MAX);
        let slot = known.min(positions.len().saturating_sub(1));
        match positions.get(slot) {
            Some(position) => (u64::try_from(slot).unwrap_or(0) * POSITION_EVERY, *position),
            None => (0, Position { segment: 0, offset: SEGMENT_HEAD_BYTES }),
        }
    }
}
