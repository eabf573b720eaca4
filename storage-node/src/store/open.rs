//! Opening a store: what is there, what is missing, and the thread that writes.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_types::NodeId;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::disk::{Disk, RealDisk};
use super::files::SegmentFiles;
use super::format::{FileHeader, StoreId};
use super::index::Index;
use super::recovery::{OpenError, Recovered, Tail, check_index, recover};
use super::writer::{CurrentFile, StoreFault, Writer, WriterParts, create_file};
use super::{QUEUE_REQUESTS_MAX, ShardStore};
use crate::database::Database;
use crate::health::Health;

/// The least length of a segment file, in bytes: three full shards and their headers.
const SEGMENT_BYTES_MIN: u64 = 4 << 20;

/// Where a store is and how large it may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Whose store it is: segment files of another node are refused.
    pub node: NodeId,
    /// Holds `segments/` and `index/`; made if there is none.
    pub directory: PathBuf,
    /// Bytes it may take on disk.
    pub capacity_bytes: u64,
    /// What shards may take of that, in hundredths; the rest is for releases and for compaction.
    pub high_water_percent: u8,
    /// Where one segment file ends and the next begins, in bytes.
    pub segment_bytes_max: u64,
    /// If there are segment files but no index: make the index from them instead of refusing.
    pub rebuild_index: bool,
}

impl StoreConfig {
    fn high_water_bytes(&self) -> u64 {
        self.capacity_bytes / 100 * u64::from(self.high_water_percent.min(100))
    }
}

/// An open store.
pub struct Opened {
    /// The store.
    pub store: ShardStore,
    /// Whether its index was made from the segment files just now. Tickets and counters are then gone: every ticket from
    /// before must be refused, or it could be spent twice.
    pub rebuilt: bool,
    pub(crate) database: Arc<Database>,
    pub(crate) health: Arc<Health>,
}

/// Opens the store, bringing the index up to date with the segment files. `fresh_id` names it if it is new.
pub fn open(config: &StoreConfig, fresh_id: [u8; 16]) -> Result<Opened, OpenError> {
    open_with(Box::new(RealDisk), config, fresh_id)
}

/// [`open`] on any disk.
pub(crate) fn open_with(disk: Box<dyn Disk>, config: &StoreConfig, fresh_id: StoreId) -> Result<Opened, OpenError> {
    open_on(disk, config, fresh_id, |fault| {
        let error: &dyn std::error::Error = &fault;
        tracing::error!(error, "the shard store takes nothing more: what it has can still be read");
    })
}

/// [`open`] on any disk, with any end.
pub(crate) fn open_on(
    disk: Box<dyn Disk>,
    config: &StoreConfig,
    fresh_id: StoreId,
    on_fault: impl FnOnce(StoreFault) + Send + 'static,
) -> Result<Opened, OpenError> {
    if config.segment_bytes_max < SEGMENT_BYTES_MIN {
        return Err(OpenError::SegmentsTooSmall { bytes: config.segment_bytes_max, bytes_min: SEGMENT_BYTES_MIN });
    }
    let directory = &config.directory;
    let io = |source| OpenError::Io { path: directory.clone(), source };
    let lock = lock(directory)?;
    let files = Arc::new(SegmentFiles::new(directory.join("segments")).map_err(io)?);
    let index_directory = directory.join("index");
    let on_disk = files.list().map_err(io)?;
    refuse_files_of_others(&files, &on_disk, config.node)?;
    let rebuilt = !has_database(&index_directory) && !on_disk.is_empty();
    if rebuilt && !config.rebuild_index {
        return Err(OpenError::IndexMissing { path: index_directory });
    }
    let damaged = |source| OpenError::IndexDamaged { path: index_directory.clone(), source };
    let create = !has_database(&index_directory);
    let database = Arc::new(Database::open(&index_directory, create).map_err(damaged)?);
    let index = Index::new(Arc::clone(&database));
    let store_id = match index.store_id().map_err(damaged)? {
        Some(id) => id,
        None => {
            let id = if rebuilt { id_of_files(&files)? } else { fresh_id };
            index.set_store_id(id).and_then(|()| database.sync()).map_err(damaged)?;
            id
        }
    };
    check_index(&index, &index_directory)?;
    let Recovered { tail, dead } = recover(&files, &index, store_id)?;
    let (current, next_sequence) = current_file(disk.as_ref(), &files, store_id, tail, config).map_err(io)?;
    let high_water_bytes = config.high_water_bytes();
    let health = Arc::new(Health::new(directory));
    let totals = Arc::new(Mutex::new(index.totals().map_err(damaged)?));
    let mut writer = Writer::new(WriterParts {
        disk,
        files: Arc::clone(&files),
        database: Arc::clone(&database),
        store: store_id,
        node: config.node,
        capacity_bytes: config.capacity_bytes,
        high_water_bytes,
        segment_bytes_max: config.segment_bytes_max,
        current,
        next_sequence,
        totals: Arc::clone(&totals),
    });
    let (queue, requests) = mpsc::channel(QUEUE_REQUESTS_MAX);
    let of_writer = Arc::clone(&health);
    let run = move || {
        if let Err(fault) = writer.reclaim(&dead).and_then(|()| writer.run(requests)) {
            // Nobody may retry a failed sync, and nothing may be acknowledged after one.
            of_writer.fail(&fault);
            on_fault(fault);
        }
    };
    let thread = std::thread::Builder::new().name("shard-writer".to_owned()).spawn(run).map_err(io)?;
    let store = ShardStore {
        files,
        index,
        queue: Mutex::new(Some(queue)),
        writer: Mutex::new(Some(thread)),
        totals,
        capacity_bytes: config.capacity_bytes,
        high_water_bytes,
        health: Arc::clone(&health),
        _lock: lock,
    };
    Ok(Opened { store, rebuilt, database, health })
}

/// Takes the directory for this store alone. The lock goes with the process, however it ends.
fn lock(directory: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(io)?;
    let path = directory.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(error) => Err(io(error.into())),
    }
}

/// A segment file that says of itself that it is another node's: a directory that was copied or mixed up. What does not say
/// anything readable is recovery's to judge.
fn refuse_files_of_others(files: &SegmentFiles, on_disk: &BTreeSet<u32>, node: NodeId) -> Result<(), OpenError> {
    for file in on_disk {
        let Some(FileHeader { node: owner, .. }) = header_of(files, *file) else { continue };
        if owner != node {
            return Err(OpenError::OtherNode { path: files.path(*file), owner, node });
        }
    }
    Ok(())
}

fn header_of(files: &SegmentFiles, file: u32) -> Option<FileHeader> {
    let mut block = vec![0; super::format::BLOCK_BYTES];
    let handle = File::open(files.path(file)).ok()?;
    std::os::unix::fs::FileExt::read_exact_at(&handle, &mut block, 0).ok()?;
    FileHeader::decode(&block)
}

/// RocksDB's own sign that a database was made here.
fn has_database(directory: &Path) -> bool {
    directory.join("CURRENT").exists()
}

/// The id that the oldest file carries; recovery checks that the others agree.
fn id_of_files(files: &SegmentFiles) -> Result<StoreId, OpenError> {
    let io = |source| OpenError::Io { path: files.directory().to_owned(), source };
    let Some(file) = files.list().map_err(io)?.first().copied() else {
        return Err(OpenError::SegmentMissing { path: files.path(1) });
    };
    header_of(files, file).map(|header| header.store).ok_or_else(|| OpenError::SegmentDamaged {
        path: files.path(file),
        offset: 0,
        what: "its header does not hold",
    })
}

/// The file that writing goes on in, and the next sequence number.
fn current_file(
    disk: &dyn Disk,
    files: &SegmentFiles,
    store: StoreId,
    tail: Option<Tail>,
    config: &StoreConfig,
) -> io::Result<(CurrentFile, u64)> {
    match tail {
        Some(Tail { file, end, next_sequence }) => {
            let writer = disk.open(&files.path(file))?;
            // Allocated anew by the first batch: recovery cut off everything behind the end.
            Ok((CurrentFile { number: file, end, allocated: end, writer }, next_sequence))
        }
        None => {
            let header = FileHeader { store, file: 1, first_sequence: 1, node: config.node };
            Ok((create_file(disk, files, header, config.segment_bytes_max)?, 1))
        }
    }
}
