//! Starting: hold the index against the segment files, apply what the index missed, cut off a torn tail, and refuse
//! everything that cannot be told from loss of acknowledged shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domicile_types::NodeId;

use super::files::SegmentFiles;
use super::format::{
    BATCH_HEADER_BYTES, BLOCK_BYTES, BLOCK_BYTES_U64, BatchHeader, FileHeader, GROUP_BYTES, RecordHeader, StoreId,
    crc32c, file_bytes,
};
use super::index::{DeadBytes, Index, RecordPlace};
use super::rows::{Applied, ShardState};
use crate::database::DatabaseError;

/// Why a store does not open. Each says what to do; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("cannot use the store in {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process, or another node of this one, has it open.
    #[error("{path} is in use by another node: stop that one first, or give this one a data directory of its own")]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// Segment files of another node.
    #[error(
        "{path} is of the store of node {owner}, and this is node {node}: give each node a data directory of its own; to move \
         a node, move its whole directory, identity and all"
    )]
    OtherNode {
        /// The segment file.
        path: PathBuf,
        /// Whose it is.
        owner: NodeId,
        /// Who was to start with it.
        node: NodeId,
    },
    /// The index does not open.
    #[error(
        "the index in {path} does not open: restore it from a copy, or move it away and start once with \
         rebuild_index = true; shards are kept by that, tickets and counters are not"
    )]
    IndexDamaged {
        /// Where the index is.
        path: PathBuf,
        /// What the database said.
        source: DatabaseError,
    },
    /// The rows of the index contradict each other.
    #[error(
        "the index contradicts itself ({what}): move it away and start once with rebuild_index = true; shards are kept \
         by that, tickets and counters are not"
    )]
    IndexInconsistent {
        /// What does not add up.
        what: String,
    },
    /// There are segment files and no index.
    #[error(
        "there are segment files but no index in {path}: restore it from a copy, or start once with \
         rebuild_index = true; shards are kept by that, tickets and counters are not"
    )]
    IndexMissing {
        /// Where the index should be.
        path: PathBuf,
    },
    /// A segment file that holds live shards is gone.
    #[error("segment file {path} is missing: restore it from a copy; without it, acknowledged shards are lost")]
    SegmentMissing {
        /// The file.
        path: PathBuf,
    },
    /// A segment file is damaged where damage cannot be an unfinished write.
    #[error(
        "segment file {path} is damaged at byte {offset} ({what}): restore it from a copy; to go on without it, move the \
         whole data directory away, start empty, and let the gateways repair their shards"
    )]
    SegmentDamaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The configured limits cannot work.
    #[error("segment_bytes_max is {bytes}: it must be at least {bytes_min}")]
    SegmentsTooSmall {
        /// What was configured.
        bytes: u64,
        /// The least that works.
        bytes_min: u64,
    },
}

/// Where writing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) file: u32,
    pub(crate) end: u64,
    pub(crate) next_sequence: u64,
}

/// What recovery found.
pub(crate) struct Recovered {
    /// Where writing goes on; `None` if there is nothing yet.
    pub(crate) tail: Option<Tail>,
    /// What died in the batches that were applied again: to be punched out (again).
    pub(crate) dead: Vec<DeadBytes>,
}

/// A batch that was read back.
struct ReadBatch {
    header: BatchHeader,
    bytes: Vec<u8>,
    records: Vec<(RecordHeader, usize)>,
}

/// Brings `index` up to date with `files`.
pub(crate) fn recover(files: &SegmentFiles, index: &Index, store: StoreId) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery { files, index, store, dead: Vec::new() };
    let applied = index.applied().map_err(|source| recovery.damaged_index(source))?;
    let known = index.files().map_err(|source| recovery.damaged_index(source))?;
    let mut on_disk = files.list().map_err(|source| recovery.io(source))?;
    recovery.drop_unfinished_file(&mut on_disk, applied.map_or(0, |applied| applied.file))?;
    let start = match applied {
        Some(applied) => {
            recovery.check_known_files(&known.keys().copied().collect(), &mut on_disk, applied)?;
            recovery.check_applied(applied)?;
            Tail { file: applied.file, end: applied.end, next_sequence: applied.next_sequence }
        }
        None => match recovery.first_file(&on_disk)? {
            Some(tail) => tail,
            None => return Ok(Recovered { tail: None, dead: Vec::new() }),
        },
    };
    let tail = recovery.replay(start, &on_disk)?;
    recovery.cut_tail(tail)?;
    Ok(Recovered { tail: Some(tail), dead: recovery.dead })
}

/// Reads the whole index once: every row must decode (RocksDB checks its blocks on the way), and the sums must agree.
pub(crate) fn check_index(index: &Index, directory: &Path) -> Result<(), OpenError> {
    let damaged = |source| OpenError::IndexDamaged { path: directory.to_owned(), source };
    let mut live = BTreeMap::<u32, u64>::new();
    let (mut shards, mut shard_bytes, mut corrupt, mut claims) = (0u64, 0u64, 0u64, 0u64);
    index
        .each_shard(|row| {
            shards += 1;
            shard_bytes += u64::from(row.shard_bytes);
            corrupt += u64::from(row.state == ShardState::Corrupt);
            claims += u64::from(row.claims);
            *live.entry(row.file).or_default() += 1;
        })
        .map_err(damaged)?;
    let mut claim_rows = 0u64;
    index
        .each_claim(|row| {
            claim_rows += 1;
            *live.entry(row.file).or_default() += 1;
        })
        .map_err(damaged)?;
    let totals = index.totals().map_err(damaged)?;
    let files = index.files().map_err(damaged)?;
    let file_live: BTreeMap<u32, u64> =
        files.iter().filter(|(_, row)| row.live > 0).map(|(file, row)| (*file, row.live)).collect();
    let used_bytes: u64 = files.values().map(|row| row.used_bytes()).sum();
    let wrong = |what: String| Err(OpenError::IndexInconsistent { what });
    if (shards, shard_bytes, corrupt) != (totals.shards, totals.shard_bytes, totals.corrupt_shards) {
        return wrong(format!("it holds {shards} shards and says {}", totals.shards));
    }
    if claims != claim_rows {
        return wrong(format!("its shards count {claims} claims and there are {claim_rows}"));
    }
    if file_live != live || used_bytes != totals.used_bytes {
        return wrong("the sums of its files do not agree with its shards".to_owned());
    }
    Ok(())
}

struct Recovery<'a> {
    files: &'a SegmentFiles,
    index: &'a Index,
    store: StoreId,
    dead: Vec<DeadBytes>,
}

impl Recovery<'_> {
    /// A file whose header was never completed holds no batch: its making was interrupted.
    fn drop_unfinished_file(&self, on_disk: &mut BTreeSet<u32>, applied_file: u32) -> Result<(), OpenError> {
        let Some(last) = on_disk.last().copied().filter(|last| *last > applied_file) else { return Ok(()) };
        if self.file_header(last)?.is_some() || self.later_batch(last, 0, 0)?.is_some() {
            return Ok(());
        }
        tracing::warn!(file = last, "removing a segment file whose making was interrupted");
        self.files.remove(last).map_err(|source| self.io(source))?;
        on_disk.remove(&last);
        Ok(())
    }

    fn check_known_files(
        &self,
        known: &BTreeSet<u32>,
        on_disk: &mut BTreeSet<u32>,
        applied: Applied,
    ) -> Result<(), OpenError> {
        if let Some(missing) = known.difference(on_disk).next() {
            return Err(OpenError::SegmentMissing { path: self.files.path(*missing) });
        }
        let left_over: Vec<u32> = on_disk.difference(known).copied().filter(|file| *file < applied.file).collect();
        for file in left_over {
            // The index forgot it, durably, before it was to be removed: nothing in it is live.
            self.files.remove(file).map_err(|source| self.io(source))?;
            on_disk.remove(&file);
        }
        for file in on_disk.iter() {
            match self.file_header(*file)? {
                Some(header) if header.store == self.store && header.file == *file => {}
                Some(_) => return Err(self.damaged(*file, 0, "it belongs to another store or number")),
                None => return Err(self.damaged(*file, 0, "its header does not hold")),
            }
        }
        Ok(())
    }

    /// The last batch that the index reflects must be where the index says.
    fn check_applied(&self, applied: Applied) -> Result<(), OpenError> {
        if applied.batch_offset == applied.end {
            return Ok(());
        }
        let header = self.batch_header(applied.file, applied.batch_offset)?;
        let there = header.is_some_and(|header| {
            let end = applied.batch_offset.saturating_add(u64::from(header.length_bytes));
            header.first_sequence == applied.batch_sequence && end == applied.end
        });
        if there {
            Ok(())
        } else {
            Err(self.damaged(applied.file, applied.batch_offset, "a batch that the index knows is not there"))
        }
    }

    /// Where to begin without an index: the oldest file, as every file says of itself.
    fn first_file(&self, on_disk: &BTreeSet<u32>) -> Result<Option<Tail>, OpenError> {
        let Some(first) = on_disk.first().copied() else { return Ok(None) };
        match self.file_header(first)? {
            Some(header) if header.store == self.store && header.file == first => {
                Ok(Some(Tail { file: first, end: BLOCK_BYTES_U64, next_sequence: header.first_sequence }))
            }
            _ => Err(self.damaged(first, 0, "its header does not hold")),
        }
    }

    /// Applies batch after batch, file after file.
    fn replay(&mut self, mut tail: Tail, on_disk: &BTreeSet<u32>) -> Result<Tail, OpenError> {
        loop {
            // Asked first: a batch that a full disk refused may still stand whole at the end of the file before.
            if let Some(next) = self.next_file(tail, on_disk)? {
                tail = next;
                continue;
            }
            if let Some(batch) = self.read_batch(tail)? {
                let after = Tail {
                    end: tail.end.saturating_add(u64::from(batch.header.length_bytes)),
                    next_sequence: tail.next_sequence.saturating_add(u64::from(batch.header.records)),
                    ..tail
                };
                let last = !self.goes_on(after, on_disk)?;
                if !last || payloads_hold(&batch) {
                    self.apply(&batch, tail, after)?;
                    tail = after;
                    continue;
                }
            }
            self.check_nothing_follows(tail, on_disk)?;
            return Ok(tail);
        }
    }

    /// Whether a batch or a file follows on `tail`: then what is before it was synced.
    fn goes_on(&self, tail: Tail, on_disk: &BTreeSet<u32>) -> Result<bool, OpenError> {
        let next = self.batch_header(tail.file, tail.end)?;
        let follows = next.is_some_and(|next| next.first_sequence == tail.next_sequence);
        Ok(follows || self.next_file(tail, on_disk)?.is_some())
    }

    fn next_file(&self, tail: Tail, on_disk: &BTreeSet<u32>) -> Result<Option<Tail>, OpenError> {
        let file = tail.file.saturating_add(1);
        if !on_disk.contains(&file) {
            return Ok(None);
        }
        let follows = self.file_header(file)?.is_some_and(|header| {
            header.store == self.store && header.file == file && header.first_sequence == tail.next_sequence
        });
        Ok(follows.then_some(Tail { file, end: BLOCK_BYTES_U64, next_sequence: tail.next_sequence }))
    }

    /// What lies behind the end must be an unfinished write, not something that was finished.
    fn check_nothing_follows(&self, tail: Tail, on_disk: &BTreeSet<u32>) -> Result<(), OpenError> {
        if on_disk.last().is_some_and(|last| *last > tail.file) {
            return Err(self.damaged(tail.file, tail.end, "it ends before the next file begins"));
        }
        match self.later_batch(tail.file, tail.end.saturating_add(BLOCK_BYTES_U64), tail.next_sequence)? {
            None => Ok(()),
            Some(_) => Err(self.damaged(tail.file, tail.end, "a finished batch follows on a broken one")),
        }
    }

    fn apply(&mut self, batch: &ReadBatch, from: Tail, to: Tail) -> Result<(), OpenError> {
        let applied = Applied {
            file: from.file,
            batch_offset: from.end,
            end: to.end,
            batch_sequence: from.next_sequence,
            next_sequence: to.next_sequence,
        };
        let commit = || {
            let mut transaction = self.index.begin()?;
            for (record, payload_at) in &batch.records {
                let payload_offset = from.end.saturating_add(file_bytes(*payload_at));
                transaction.apply(record, RecordPlace { file: from.file, payload_offset })?;
            }
            transaction.extend_file(from.file, to.end)?;
            transaction.commit(Some(applied))
        };
        let dead = commit().map_err(|source| self.damaged_index(source))?;
        self.dead.extend(dead);
        Ok(())
    }

    /// Cuts off whatever lies behind the end; the writer allocates anew, so it reads as zeros.
    fn cut_tail(&self, tail: Tail) -> Result<(), OpenError> {
        let cut = || {
            let file = OpenOptions::new().write(true).open(self.files.path(tail.file))?;
            file.set_len(tail.end)?;
            file.sync_all()
        };
        cut().map_err(|source| self.io(source))
    }

    fn file_header(&self, file: u32) -> Result<Option<FileHeader>, OpenError> {
        Ok(self.read(file, 0, BLOCK_BYTES)?.as_deref().and_then(FileHeader::decode))
    }

    fn batch_header(&self, file: u32, offset: u64) -> Result<Option<BatchHeader>, OpenError> {
        let header = self.read(file, offset, BATCH_HEADER_BYTES)?.as_deref().and_then(BatchHeader::decode);
        Ok(header.filter(|header| header.store == self.store))
    }

    /// The batch at `at`, if its headers hold and it is the one that comes next.
    fn read_batch(&self, at: Tail) -> Result<Option<ReadBatch>, OpenError> {
        let Some(header) = self.batch_header(at.file, at.end)? else { return Ok(None) };
        let length = usize::try_from(header.length_bytes).unwrap_or(usize::MAX);
        if header.first_sequence != at.next_sequence {
            return Ok(None);
        }
        let Some(bytes) = self.read(at.file, at.end, length)? else { return Ok(None) };
        let records = records_of(&header, &bytes);
        Ok(records.map(|records| ReadBatch { header, bytes, records }))
    }

    /// The first valid batch header at a block from `offset` on with a sequence number of at least `sequence`.
    fn later_batch(&self, file: u32, offset: u64, sequence: u64) -> Result<Option<u64>, OpenError> {
        /// Blocks that are read at once.
        const STRIDE_BYTES: usize = 256 * BLOCK_BYTES;
        let handle = self.open(file)?;
        let mut at = offset;
        let mut buffer = vec![0; STRIDE_BYTES];
        loop {
            let got = read_up_to(&handle, &mut buffer, at).map_err(|source| self.io(source))?;
            let blocks = buffer.get(..got).unwrap_or_default().chunks(BLOCK_BYTES);
            for (block, number) in blocks.zip(0u64..) {
                let found = BatchHeader::decode(block);
                if found.is_some_and(|found| found.store == self.store && found.first_sequence >= sequence) {
                    return Ok(Some(at.saturating_add(number * BLOCK_BYTES_U64)));
                }
            }
            if got < STRIDE_BYTES {
                return Ok(None);
            }
            at = at.saturating_add(file_bytes(got));
        }
    }

    /// `length` bytes at `offset`; `None` if the file ends before.
    fn read(&self, file: u32, offset: u64, length: usize) -> Result<Option<Vec<u8>>, OpenError> {
        let handle = self.open(file)?;
        let end = offset.saturating_add(file_bytes(length));
        if handle.metadata().map_err(|source| self.io(source))?.len() < end {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        handle.read_exact_at(&mut bytes, offset).map_err(|source| self.io(source))?;
        Ok(Some(bytes))
    }

    fn open(&self, file: u32) -> Result<File, OpenError> {
        let path = self.files.path(file);
        File::open(&path).map_err(|source| OpenError::Io { path, source })
    }

    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { path: self.files.directory().to_owned(), source }
    }

    fn damaged(&self, file: u32, offset: u64, what: &'static str) -> OpenError {
        OpenError::SegmentDamaged { path: self.files.path(file), offset, what }
    }

    fn damaged_index(&self, source: DatabaseError) -> OpenError {
        OpenError::IndexDamaged { path: self.files.directory().with_file_name("index"), source }
    }
}

/// Every record of a batch and where its payload begins; `None` unless all of them hold and are in sequence.
fn records_of(header: &BatchHeader, bytes: &[u8]) -> Option<Vec<(RecordHeader, usize)>> {
    let mut records = Vec::new();
    let mut at = BATCH_HEADER_BYTES;
    for number in 0..u64::from(header.records) {
        let record = RecordHeader::decode(bytes.get(at..)?)?;
        let payload_at = at.checked_add(record.header_bytes())?;
        let end = at.checked_add(record.record_bytes())?;
        if record.sequence != header.first_sequence.checked_add(number)? || end > bytes.len() {
            return None;
        }
        records.push((record, payload_at));
        at = end;
    }
    Some(records)
}

fn payloads_hold(batch: &ReadBatch) -> bool {
    batch.records.iter().all(|(record, payload_at)| {
        let payload = batch.bytes.get(*payload_at..).and_then(|rest| rest.get(..record.payload_bytes()));
        payload.is_some_and(|payload| payload.chunks(GROUP_BYTES).map(crc32c).eq(record.groups.iter().copied()))
    })
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(free) = buffer.get_mut(got..).filter(|free| !free.is_empty()) {
        match file.read_at(free, offset.saturating_add(file_bytes(got)))? {
            0 => break,
            read => got += read,
        }
    }
    Ok(got)
}
