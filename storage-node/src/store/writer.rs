//! The one thread that writes: it drains what has queued up, writes it with one pwrite, syncs once, and answers all.
//!
//! There is no timer: while one batch is being synced the next one gathers, so the disk sets the pace.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;

use domicile_node_protocol::LeafHash;
use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::batch::{AlignedBlock, BatchBuffer, Payload};
use super::disk::{Disk, SegmentWriter, is_full, punch_hole, sync_directory};
use super::files::SegmentFiles;
use super::format::{
    BATCH_HEADER_BYTES, BLOCK_BYTES_U64, FileHeader, RECORD_HEADER_BYTES, RecordHeader, RecordKind, StoreId, file_bytes,
};
use super::incoming::VerifiedShard;
use super::index::{DeadBytes, Index, RecordPlace, Transaction};
use super::rows::{Applied, ClaimRow, FileRow, ShardState, Totals};
use super::{DeleteError, PutError};
use crate::database::{Database, DatabaseError};

/// The most that one batch writes, in bytes: eight full shards and a bit reach the disk's own speed.
const BATCH_BYTES_MAX: u64 = 9 << 20;
/// The most requests that one batch answers.
const BATCH_REQUESTS_MAX: usize = 1024;
/// Space is allocated in steps of this many bytes, so that few syncs change the file's length.
const ALLOCATE_STEP_BYTES: u64 = 32 << 20;
/// Allocated space that only releases may use: on a full disk they must still be possible.
const RESERVE_BYTES: u64 = 256 << 10;
/// What shards leave of the file system for the index and the evidence: those must be writable when shards are refused.
pub(crate) const DISK_RESERVE_BYTES: u64 = 128 << 20;

/// What the writer is asked to do.
pub(crate) enum Request {
    /// Keep a shard under a data id.
    Store { shard: VerifiedShard, note: Note, answer: oneshot::Sender<Result<(), PutError>> },
    /// Drop a data id's claim; answers the shard's length.
    Release { cid: ShardCid, note: Note, answer: oneshot::Sender<Result<u64, DeleteError>> },
    /// Record a shard again at the end, if record `sequence` still holds it; without bytes: they are damaged, give them up.
    Move { cid: ShardCid, sequence: u64, shard: Option<VerifiedShard>, answer: oneshot::Sender<Result<(), PutError>> },
    /// Record a claim again at the end, if it still stands in `file`.
    MoveClaim { cid: ShardCid, data: DataId, file: u32, answer: oneshot::Sender<Result<(), PutError>> },
    /// Remove the oldest files while nothing in them is live.
    RemoveDead { answer: oneshot::Sender<Result<(), PutError>> },
    /// The bytes of record `sequence` were found damaged.
    MarkCorrupt { cid: ShardCid, sequence: u64 },
}

/// On whose behalf, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    pub(crate) data: DataId,
    pub(crate) ticket: LeafHash,
    pub(crate) gateway: NodeId,
    pub(crate) time: UnixMillis,
}

/// What the store cannot go on after: nobody knows what is on the disk, or the index no longer says.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// A write or sync of a segment file failed.
    #[error(
        "cannot write segment file {file}: what is on the disk is unknown; check the disk, then start the node again"
    )]
    Disk {
        /// Which file.
        file: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// The index failed.
    #[error("cannot update the index")]
    Index(#[from] DatabaseError),
}

/// The file that batches go to.
pub(crate) struct CurrentFile {
    pub(crate) number: u32,
    pub(crate) end: u64,
    pub(crate) allocated: u64,
    pub(crate) writer: Box<dyn SegmentWriter>,
}

/// The writer's state; everything it owns, nobody else writes.
pub(crate) struct Writer {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) database: Arc<Database>,
    pub(crate) index: Index,
    pub(crate) store: StoreId,
    pub(crate) node: NodeId,
    pub(crate) capacity_bytes: u64,
    /// What shards may take of the capacity; above it, only releases and compaction write.
    pub(crate) high_water_bytes: u64,
    pub(crate) segment_bytes_max: u64,
    pub(crate) current: CurrentFile,
    pub(crate) next_sequence: u64,
    pub(crate) totals: Arc<Mutex<Totals>>,
    buffer: BatchBuffer,
}

/// Everything of a [`Writer`] but its buffer.
pub(crate) struct WriterParts {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) database: Arc<Database>,
    pub(crate) store: StoreId,
    pub(crate) node: NodeId,
    pub(crate) capacity_bytes: u64,
    pub(crate) high_water_bytes: u64,
    pub(crate) segment_bytes_max: u64,
    pub(crate) current: CurrentFile,
    pub(crate) next_sequence: u64,
    pub(crate) totals: Arc<Mutex<Totals>>,
}

/// An answer that waits for its batch.
enum Answer {
    Store(oneshot::Sender<Result<(), PutError>>, Result<(), PutError>),
    Release(oneshot::Sender<Result<u64, DeleteError>>, Result<u64, DeleteError>),
    Nothing,
}

impl Answer {
    /// A receiver that is gone has lost interest; the batch is durable all the same.
    fn send(self) {
        match self {
            Self::Store(to, result) => drop(to.send(result)),
            Self::Release(to, result) => drop(to.send(result)),
            Self::Nothing => {}
        }
    }

    /// The same answer after the disk turned out to be full.
    fn refused_full(self) -> Self {
        match self {
            Self::Store(to, Ok(())) => Self::Store(to, Err(PutError::Full)),
            Self::Release(to, Ok(_)) => Self::Release(to, Err(DeleteError::Full)),
            other => other,
        }
    }
}

impl Writer {
    pub(crate) fn new(parts: WriterParts) -> Self {
        let WriterParts {
            disk,
            files,
            database,
            store,
            node,
            capacity_bytes,
            high_water_bytes,
            segment_bytes_max,
            current,
            next_sequence,
            totals,
        } = parts;
        let index = Index::new(Arc::clone(&database));
        let buffer = BatchBuffer::new(usize::try_from(batch_bytes_max(segment_bytes_max)).unwrap_or(usize::MAX));
        Self {
            disk,
            files,
            database,
            index,
            store,
            node,
            capacity_bytes,
            high_water_bytes,
            segment_bytes_max,
            current,
            next_sequence,
            totals,
            buffer,
        }
    }

    /// Serves `queue` until every sender is gone.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Request>) -> Result<(), StoreFault> {
        let mut left_over = None;
        while let Some(first) = left_over.take().or_else(|| queue.blocking_recv()) {
            let mut bytes = record_bytes_bound(&first);
            let mut requests = vec![first];
            let bytes_max = batch_bytes_max(self.segment_bytes_max).saturating_sub(BLOCK_BYTES_U64);
            while requests.len() < BATCH_REQUESTS_MAX {
                let Ok(next) = queue.try_recv() else { break };
                let more = record_bytes_bound(&next);
                if bytes + more > bytes_max {
                    left_over = Some(next);
                    break;
                }
                bytes += more;
                requests.push(next);
            }
            self.commit(requests, bytes)?;
        }
        self.database.sync()?;
        Ok(())
    }

    fn commit(&mut self, requests: Vec<Request>, bytes: u64) -> Result<(), StoreFault> {
        let stores = requests.iter().any(|request| matches!(request, Request::Store { .. } | Request::Move { .. }));
        let removes = requests.iter().any(|request| matches!(request, Request::RemoveDead { .. }));
        let room = self.make_room(bytes, stores)?;
        let mut transaction = self.index.begin()?;
        self.buffer.clear();
        let first_sequence = self.next_sequence;
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.plan(request, &mut transaction, room)?);
        }
        let mut applied = None;
        if !self.buffer.is_empty() {
            match self.write_batch(first_sequence) {
                Ok(written) => {
                    transaction.extend_file(written.file, written.end)?;
                    applied = Some(written);
                }
                Err(StoreFault::Disk { source, .. }) if is_full(&source) => {
                    tracing::warn!("the disk is full: refusing what was to be written");
                    self.next_sequence = first_sequence;
                    answers.into_iter().map(Answer::refused_full).for_each(Answer::send);
                    return Ok(());
                }
                Err(fault) => return Err(fault),
            }
        }
        let totals = transaction.totals();
        let dead = transaction.commit(applied)?;
        *self.totals.lock() = totals;
        if removes {
            self.remove_dead_files()?;
        }
        answers.into_iter().for_each(Answer::send);
        self.reclaim(&dead)
    }

    /// Decides what a request needs, and puts its record, if any, into the buffer.
    fn plan(&mut self, request: Request, index: &mut Transaction, room: Room) -> Result<Answer, StoreFault> {
        match request {
            Request::Store { shard, note, answer } => {
                let result = self.plan_store(shard, note, index, room)?;
                Ok(Answer::Store(answer, result))
            }
            Request::Release { cid, note, answer } => {
                let result = self.plan_release(cid, note, index)?;
                Ok(Answer::Release(answer, result))
            }
            Request::Move { cid, sequence, shard, answer } => {
                let result = self.plan_move(cid, sequence, shard, index, room)?;
                Ok(Answer::Store(answer, result))
            }
            Request::MoveClaim { cid, data, file, answer } => {
                let result = self.plan_move_claim(cid, data, file, index, room)?;
                Ok(Answer::Store(answer, result))
            }
            Request::RemoveDead { answer } => Ok(Answer::Store(answer, Ok(()))),
            Request::MarkCorrupt { cid, sequence } => {
                if index.mark_corrupt(&cid, sequence)? {
                    tracing::error!(shard = %cid, "shard is corrupt on disk: refusing to serve it until it is stored again");
                }
                Ok(Answer::Nothing)
            }
        }
    }

    fn plan_store(
        &mut self,
        shard: VerifiedShard,
        note: Note,
        index: &mut Transaction,
        room: Room,
    ) -> Result<Result<(), PutError>, StoreFault> {
        let VerifiedShard { cid, bytes, groups, payload } = shard;
        let sound = index.shard(&cid)?.is_some_and(|row| row.state == ShardState::Live);
        if sound && index.claim(&cid, &note.data)?.is_some() {
            return Ok(Ok(()));
        }
        if room == Room::ReleasesOnly {
            return Ok(Err(PutError::Full));
        }
        // Replacing damaged bytes does not make the claim any younger.
        let time = index.claim(&cid, &note.data)?.map_or(note.time, |claim| claim.time);
        let note = Note { time, ..note };
        let kind = if sound { RecordKind::Claimed } else { RecordKind::Stored };
        let (groups, payload) = if sound { (Vec::new(), Payload::default()) } else { (groups, payload) };
        let record = self.record(kind, cid, note, bytes, groups);
        let batch_bytes = file_bytes(self.buffer.bytes_with(record.record_bytes()));
        let used_bytes = index.totals().used_bytes.saturating_add(batch_bytes);
        if used_bytes > self.high_water_bytes {
            return Ok(Err(PutError::Full));
        }
        self.push_bytes(&record, &payload, index)
    }

    /// Records bytes, and behind them every other claim on them: the file that holds those may go before this one, and a
    /// rebuilt index must find the claims behind the bytes.
    fn push_bytes(
        &mut self,
        record: &RecordHeader,
        payload: &Payload,
        index: &mut Transaction,
    ) -> Result<Result<(), PutError>, StoreFault> {
        let known = index.shard(&record.cid)?.is_some();
        let claims = if known { index.claims_of(&record.cid)? } else { Vec::new() };
        let others: Vec<_> = claims.into_iter().filter(|(data, _)| *data != record.data).collect();
        let claims_bytes = others.len().saturating_mul(RECORD_HEADER_BYTES);
        let batch_bytes = file_bytes(self.buffer.bytes_with(record.record_bytes().saturating_add(claims_bytes)));
        let fits_file = self.current.end.saturating_add(batch_bytes) <= self.segment_bytes_max;
        if batch_bytes > batch_bytes_max(self.segment_bytes_max) || !(others.is_empty() || fits_file) {
            return Ok(Err(PutError::Full));
        }
        self.push(record, payload, index)?;
        for (data, ClaimRow { ticket, gateway, time, .. }) in others {
            let note = Note { data, ticket, gateway, time };
            let claimed = self.record(RecordKind::Claimed, record.cid, note, record.shard_bytes, Vec::new());
            self.push(&claimed, &Payload::default(), index)?;
        }
        Ok(Ok(()))
    }

    /// A shard that compaction moves: its bytes, and one of its claims.
    fn plan_move(
        &mut self,
        cid: ShardCid,
        sequence: u64,
        shard: Option<VerifiedShard>,
        index: &mut Transaction,
        room: Room,
    ) -> Result<Result<(), PutError>, StoreFault> {
        let Some(shard_bytes) = index.shard(&cid)?.filter(|row| row.sequence == sequence).map(|row| row.shard_bytes)
        else {
            return Ok(Ok(()));
        };
        let Some((data, ClaimRow { ticket, gateway, time, .. })) = index.claims_of(&cid)?.pop() else {
            return Ok(Ok(()));
        };
        let note = Note { data, ticket, gateway, time };
        let (kind, groups, payload) = match shard {
            Some(VerifiedShard { groups, payload, .. }) => (RecordKind::Stored, groups, payload),
            None => (RecordKind::Damaged, Vec::new(), Payload::default()),
        };
        let record = self.record(kind, cid, note, shard_bytes, groups);
        let batch_bytes = file_bytes(self.buffer.bytes_with(record.record_bytes()));
        let used_bytes = index.totals().used_bytes.saturating_add(batch_bytes);
        if room == Room::ReleasesOnly || used_bytes > self.capacity_bytes {
            return Ok(Err(PutError::Full));
        }
        self.push_bytes(&record, &payload, index)
    }

    fn plan_move_claim(
        &mut self,
        cid: ShardCid,
        data: DataId,
        file: u32,
        index: &mut Transaction,
        room: Room,
    ) -> Result<Result<(), PutError>, StoreFault> {
        let Some(claim) = index.claim(&cid, &data)?.filter(|claim| claim.file == file) else { return Ok(Ok(())) };
        let Some(shard_bytes) = index.shard(&cid)?.map(|row| row.shard_bytes) else { return Ok(Ok(())) };
        let full = file_bytes(self.buffer.bytes_with(RECORD_HEADER_BYTES)) > batch_bytes_max(self.segment_bytes_max);
        if full || room == Room::ReleasesOnly {
            return Ok(Err(PutError::Full));
        }
        let note = Note { data, ticket: claim.ticket, gateway: claim.gateway, time: claim.time };
        let record = self.record(RecordKind::Claimed, cid, note, shard_bytes, Vec::new());
        self.push(&record, &Payload::default(), index)?;
        Ok(Ok(()))
    }

    fn plan_release(
        &mut self,
        cid: ShardCid,
        note: Note,
        index: &mut Transaction,
    ) -> Result<Result<u64, DeleteError>, StoreFault> {
        if index.claim(&cid, &note.data)?.is_none() {
            return Ok(Err(DeleteError::NotFound));
        }
        let bytes = index.shard(&cid)?.map_or(0, |row| row.shard_bytes);
        if file_bytes(self.buffer.bytes_with(RECORD_HEADER_BYTES)) > batch_bytes_max(self.segment_bytes_max) {
            return Ok(Err(DeleteError::Full));
        }
        let record = self.record(RecordKind::Released, cid, note, bytes, Vec::new());
        self.push(&record, &Payload::default(), index)?;
        Ok(Ok(u64::from(bytes)))
    }

    fn record(&self, kind: RecordKind, cid: ShardCid, note: Note, shard_bytes: u32, groups: Vec<u32>) -> RecordHeader {
        let Note { data, ticket, gateway, time } = note;
        RecordHeader { kind, sequence: self.next_sequence, time, cid, data, ticket, gateway, shard_bytes, groups }
    }

    fn push(&mut self, record: &RecordHeader, payload: &Payload, index: &mut Transaction) -> Result<(), StoreFault> {
        // `run` bounds what it takes by the capacity of the buffer, so a record that does not fit is our own bug.
        let Some(payload_at) = self.buffer.push(record, payload) else {
            return Err(self.fault(io::Error::other("a record does not fit the batch buffer")));
        };
        let place = RecordPlace {
            file: self.current.number,
            payload_offset: self.current.end.saturating_add(file_bytes(payload_at)),
        };
        index.apply(record, place)?;
        self.next_sequence += 1;
        Ok(())
    }

    /// One pwrite, one fdatasync.
    fn write_batch(&mut self, first_sequence: u64) -> Result<Applied, StoreFault> {
        let batch = self.buffer.seal(self.store, first_sequence);
        let (file, offset) = (self.current.number, self.current.end);
        let end = offset.saturating_add(file_bytes(batch.len()));
        let written = self.current.writer.write_at(batch, offset).and_then(|()| match self.current.writer.sync() {
            // After a failed sync nothing may be tried again, full disk or not.
            Err(error) if is_full(&error) => Err(io::Error::other(error)),
            other => other,
        });
        if let Err(source) = written {
            if !is_full(&source) {
                // Nobody was told of it, and a read might find it in memory although it is not on the disk: away with it,
                // as far as the disk still obeys.
                cut_off(&self.files.path(file), offset);
            }
            return Err(StoreFault::Disk { file, source });
        }
        self.current.end = end;
        let next_sequence = self.next_sequence;
        Ok(Applied { file, batch_offset: offset, end, batch_sequence: first_sequence, next_sequence })
    }

    /// Finds space for a batch of `bytes`: in the current file, in an extension of it, or in a new one.
    fn make_room(&mut self, bytes: u64, stores: bool) -> Result<Room, StoreFault> {
        let batch_bytes = bytes.saturating_add(file_bytes(BATCH_HEADER_BYTES)).next_multiple_of(BLOCK_BYTES_U64);
        let reserve = if stores { RESERVE_BYTES } else { 0 };
        let needed = self.current.end.saturating_add(batch_bytes).saturating_add(reserve);
        if needed <= self.current.allocated {
            return Ok(Room::Plenty);
        }
        let made = if stores && !self.disk_has_room()? {
            Err(io::ErrorKind::StorageFull.into())
        } else if needed <= self.segment_bytes_max {
            let end = needed.div_ceil(ALLOCATE_STEP_BYTES).saturating_mul(ALLOCATE_STEP_BYTES);
            let end = end.min(self.segment_bytes_max);
            self.current.writer.allocate(self.current.allocated, end).map(|()| self.current.allocated = end)
        } else {
            self.next_file()
        };
        match made {
            Ok(()) => Ok(Room::Plenty),
            Err(error) if is_full(&error) => {
                tracing::warn!("the disk is full: refusing shards until space is freed");
                Ok(Room::ReleasesOnly)
            }
            Err(error) => Err(self.fault(error)),
        }
    }

    fn disk_has_room(&self) -> Result<bool, StoreFault> {
        let available = self.disk.available_bytes(self.files.directory()).map_err(|source| self.fault(source))?;
        Ok(available >= ALLOCATE_STEP_BYTES.saturating_add(DISK_RESERVE_BYTES))
    }

    fn next_file(&mut self) -> io::Result<()> {
        let number = self.current.number + 1;
        let header =
            FileHeader { store: self.store, file: number, first_sequence: self.next_sequence, node: self.node };
        let made = create_file(self.disk.as_ref(), &self.files, header, self.segment_bytes_max);
        if let Err(error) = &made
            && is_full(error)
            && self.files.path(number).exists()
        {
            self.files.remove(number)?;
        }
        self.current = made?;
        Ok(())
    }

    /// Gives dead bytes back to the file system, then removes the oldest files while nothing in them is live.
    pub(crate) fn reclaim(&mut self, dead: &[DeadBytes]) -> Result<(), StoreFault> {
        if dead.is_empty() {
            return Ok(());
        }
        let mut transaction = self.index.begin()?;
        for DeadBytes { file, start, end } in dead {
            match punch_hole(&self.files.path(*file), *start, *end, BLOCK_BYTES_U64) {
                Ok(bytes) => transaction.punched(*file, bytes)?,
                Err(error) => tracing::warn!(file, %error, "cannot give dead bytes back to the file system"),
            }
        }
        *self.totals.lock() = transaction.totals();
        transaction.commit(None)?;
        self.remove_dead_files()
    }

    fn remove_dead_files(&mut self) -> Result<(), StoreFault> {
        for (file, FileRow { live, .. }) in self.index.files()? {
            if live > 0 || file >= self.current.number {
                break;
            }
            let mut transaction = self.index.begin()?;
            transaction.remove_file(file)?;
            *self.totals.lock() = transaction.totals();
            transaction.commit(None)?;
            // An index that a power cut threw back must not name a file that is gone.
            self.database.sync()?;
            self.files.remove(file).map_err(|source| StoreFault::Disk { file, source })?;
            tracing::info!(file, "removed a segment file without live shards");
        }
        Ok(())
    }

    fn fault(&self, source: io::Error) -> StoreFault {
        StoreFault::Disk { file: self.current.number, source }
    }
}

/// Whether there is space for shards, or only the reserve for releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Plenty,
    ReleasesOnly,
}

/// Makes a segment file: allocated, its header durable, its name durable.
pub(crate) fn create_file(
    disk: &dyn Disk,
    files: &SegmentFiles,
    header: FileHeader,
    segment_bytes_max: u64,
) -> io::Result<CurrentFile> {
    let mut writer = disk.open(&files.path(header.file))?;
    let allocated = ALLOCATE_STEP_BYTES.min(segment_bytes_max);
    writer.allocate(0, allocated)?;
    writer.write_at(AlignedBlock::new(&header.encode()).as_slice(), 0)?;
    writer.sync()?;
    sync_directory(files.directory())?;
    Ok(CurrentFile { number: header.file, end: BLOCK_BYTES_U64, allocated, writer })
}

/// Batches fit a file at least twice.
fn batch_bytes_max(segment_bytes_max: u64) -> u64 {
    BATCH_BYTES_MAX.min(segment_bytes_max / 2)
}

/// The most that a request's record takes, in bytes.
fn record_bytes_bound(request: &Request) -> u64 {
    let header = file_bytes(RECORD_HEADER_BYTES) + 8;
    match request {
        Request::Store { shard, .. } => header + u64::from(shard.bytes) + 4 * file_bytes(shard.groups.len()),
        Request::Move { shard: Some(shard), .. } => {
            header + u64::from(shard.bytes) + 4 * file_bytes(shard.groups.len())
        }
        Request::Move { shard: None, .. } | Request::MoveClaim { .. } | Request::Release { .. } => header,
        Request::RemoveDead { .. } => 0,
        Request::MarkCorrupt { .. } => 0,
    }
}

fn cut_off(path: &Path, end: u64) {
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(end));
    if let Err(error) = cut {
        tracing::error!(%error, "cannot cut an unfinished write off");
    }
}
