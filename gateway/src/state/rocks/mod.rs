//! The embedded store: RocksDB, with our own optimistic concurrency control and group commit in front of it.
//!
//! # Why not RocksDB's transactions
//!
//! `OptimisticTransactionDB` holds a lock on each key that a transaction *read* while it writes and syncs. Every put reads
//! its bucket's row, so all puts of a bucket would go one by one, a sync each: the group commit that it has would never
//! form. `TransactionDB` has shared locks, but both know keys only: a range that was scanned is not protected, and a bucket
//! could be deleted while an object appears in it. Here one **committer** thread ([`committer`]) takes what waits, checks
//! each transaction's keys *and ranges* against what was committed since it began ([`window`]), and writes all that pass in
//! one batch with one `fdatasync`. No timer: while one batch syncs, the next gathers. Cost: the check runs on one thread
//! (microseconds per transaction), and the database is one process's, as RocksDB's is anyway.
//!
//! # On disk
//!
//! A value is eight bytes of version (big-endian) and what was put. Versions go on from RocksDB's own sequence number at
//! open, which counts every row written and so is never behind. No compression: rows are mostly hashes and ciphertext.

mod committer;
mod window;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use domicile_types::UnixMillis;
use parking_lot::Mutex;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, DBRecoveryMode, ErrorKind,
    Options, ReadOptions, Snapshot,
};

use self::committer::{Committer, Submission};
use super::store::{
    CommitError, KeyRange, KeyedRow, Order, Reads, Row, Session, Store, StoreClock, StoreError, Version, Writes,
};

/// Bytes of version before each value.
const VERSION_BYTES: usize = 8;
/// Transactions that may wait for the committer; more wait to get in line.
const QUEUE_TRANSACTIONS_MAX: usize = 1_024;

/// Where the database is and how much memory it may use.
#[derive(Debug, Clone)]
pub struct RocksConfig {
    /// Its folder; made if absent.
    pub dir: PathBuf,
    /// Memory for blocks read from disk.
    pub block_cache_bytes: usize,
    /// Memory for rows not yet in a table file; two of these at the most.
    pub write_buffer_bytes: usize,
    /// Start although the log ends in damage, without what lies behind it. See [`OpenError::Damaged`].
    pub drop_damaged_log_tail: bool,
}

impl RocksConfig {
    /// The defaults for a gateway: 32 MiB of cache, 8 MiB per write buffer.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            block_cache_bytes: 32 * 1024 * 1024,
            write_buffer_bytes: 8 * 1024 * 1024,
            drop_damaged_log_tail: false,
        }
    }
}

/// Why a database was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the metadata store {} is in use by another process ({reason}): stop that one first", dir.display())]
    InUse {
        /// Its folder.
        dir: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
    /// It is not what was written.
    #[error(
        "the metadata store {} is damaged ({reason}): keep a copy of the folder, then restore it from a backup; if the \
         machine lost power while writing, what is damaged may be the unacknowledged end of the log: start once with \
         drop_damaged_log_tail = true, which forgets everything behind the damage",
        dir.display()
    )]
    Damaged {
        /// Its folder.
        dir: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
    /// The folder or the disk does not do.
    #[error("the metadata store {} cannot be opened ({reason}): check the folder, its owner and the disk", dir.display())]
    Unusable {
        /// Its folder.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// What sessions and the committer share.
struct Shared {
    db: DB,
    /// The last commit that every new session sees.
    applied: AtomicU64,
    /// How many sessions began at each commit and are open.
    sessions: Mutex<BTreeMap<u64, usize>>,
    /// Why nothing is accepted any more.
    stopped: OnceLock<String>,
    /// Batches written, and transactions in them.
    batches: AtomicU64,
    commits: AtomicU64,
}

/// A store in a RocksDB database.
pub struct RocksStore {
    shared: Arc<Shared>,
    clock: StoreClock,
    queue: Option<SyncSender<Submission>>,
    committer: Option<JoinHandle<()>>,
}

impl RocksStore {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// [`OpenError`]; damage anywhere but in an unfinished last record refuses.
    pub fn open(config: &RocksConfig, clock: StoreClock) -> Result<Self, OpenError> {
        let dir = config.dir.clone();
        refuse_headless(&dir)?;
        let db = DB::open(&options(config), &dir).map_err(|error| open_error(&dir, &error))?;
        let shared = Arc::new(Shared {
            applied: AtomicU64::new(db.latest_sequence_number()),
            db,
            sessions: Mutex::default(),
            stopped: OnceLock::new(),
            batches: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        });
        let (queue, submissions) = mpsc::sync_channel(QUEUE_TRANSACTIONS_MAX);
        let mut committer = Committer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("domicile-state".to_owned());
        let committer = thread
            .spawn(move || while committer.round(&submissions) {})
            .map_err(|error| OpenError::Unusable { dir, reason: error.to_string() })?;
        Ok(Self { shared, clock, queue: Some(queue), committer: Some(committer) })
    }

    /// How many transactions were committed since the start, and in how many synced writes.
    #[must_use]
    pub fn commits_and_batches(&self) -> (u64, u64) {
        (self.shared.commits.load(Ordering::Relaxed), self.shared.batches.load(Ordering::Relaxed))
    }

    /// Makes a consistent copy in the folder `to`, which must not exist: a backup, or the start of one. Table files are
    /// linked, not copied, where `to` is on the same file system.
    pub fn checkpoint(&self, to: &Path) -> Result<(), StoreError> {
        Checkpoint::new(&self.shared.db).and_then(|checkpoint| checkpoint.create_checkpoint(to)).map_err(engine)
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        drop(self.queue.take()); // the committer answers what waits and ends
        if let Some(committer) = self.committer.take()
            && committer.join().is_err()
        {
            tracing::error!("the committer of the metadata store had panicked");
        }
    }
}

fn options(config: &RocksConfig) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(config.block_cache_bytes));
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Indexes and filters in pieces of their own. Whole, those of a few million rows are more than the cache, and every seek
    // reads some 600 KiB of them from the disk again.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 * 1024);
    table.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(config.write_buffer_bytes);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(64 * 1024 * 1024);
    options.set_max_background_jobs(2);
    options.set_level_compaction_dynamic_level_bytes(true);
    // Queues (garbage, pending rows) are read from their beginning, where the deleted rows are: drop those early.
    options.add_compact_on_deletion_collector_factory(4_096, 2_048, 0.5);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(1024 * 1024);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_wal_recovery_mode(match config.drop_damaged_log_tail {
        false => DBRecoveryMode::TolerateCorruptedTailRecords,
        true => DBRecoveryMode::PointInTime,
    });
    options
}

/// RocksDB makes a new database where it finds no `CURRENT` file, over what is left of an old one. Refuse that.
fn refuse_headless(dir: &Path) -> Result<(), OpenError> {
    let unusable = |error: std::io::Error| OpenError::Unusable { dir: dir.to_owned(), reason: error.to_string() };
    if dir.join("CURRENT").exists() || !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(unusable)? {
        let name = entry.map_err(unusable)?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("MANIFEST-") || name.ends_with(".sst") {
            let reason = format!("the file CURRENT is missing beside {name}");
            return Err(OpenError::Damaged { dir: dir.to_owned(), reason });
        }
    }
    Ok(())
}

fn open_error(dir: &Path, error: &rocksdb::Error) -> OpenError {
    let (dir, reason) = (dir.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::IOError if reason.contains("lock") => OpenError::InUse { dir, reason },
        // A file that the manifest names and that is gone is an I/O error to RocksDB, and damage to us.
        ErrorKind::IOError if !reason.contains("No such file") => OpenError::Unusable { dir, reason },
        ErrorKind::InvalidArgument | ErrorKind::NotSupported => OpenError::Unusable { dir, reason },
        _ => OpenError::Damaged { dir, reason },
    }
}

fn engine(error: rocksdb::Error) -> StoreError {
    StoreError::Engine { reason: error.to_string() }
}

impl Shared {
    /// Counts a session in, at what is applied now.
    fn enter(&self) -> u64 {
        let mut sessions = self.sessions.lock();
        let at = self.applied.load(Ordering::Acquire);
        *sessions.entry(at).or_default() += 1;
        at
    }

    fn leave(&self, at: u64) {
        let mut sessions = self.sessions.lock();
        if let Some(count) = sessions.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&at);
            }
        }
    }

    /// The commit at which the oldest open session began; what is applied, when none is open.
    fn oldest_session(&self) -> u64 {
        let sessions = self.sessions.lock();
        sessions.keys().next().copied().unwrap_or_else(|| self.applied.load(Ordering::Acquire))
    }
}

impl Store for RocksStore {
    fn begin(&self) -> Result<Box<dyn Session + '_>, StoreError> {
        // In this order: the snapshot may hold more than `at` says, which at worst makes a conflict of what is none.
        let at = self.shared.enter();
        Ok(Box::new(RocksSession { store: self, at, cursor: None, snapshot: self.shared.db.snapshot() }))
    }
}

struct RocksSession<'s> {
    store: &'s RocksStore,
    at: u64,
    /// Before the snapshot that it reads, so that it is dropped first.
    cursor: Option<Cursor<'s>>,
    snapshot: Snapshot<'s>,
}

/// An iterator that goes up, kept for the next scan: a listing by groups seeks a thousand times to one end, and making an
/// iterator costs several times what a seek does.
struct Cursor<'s> {
    /// The first key beyond what it shows: it never reads on through rows, or the remains of rows, that nobody asked for.
    end: Option<Vec<u8>>,
    iterator: DBRawIterator<'s>,
}

impl<'s> RocksSession<'s> {
    /// The cursor, at the first row of `range`.
    fn cursor_at(&mut self, range: &KeyRange) -> &mut DBRawIterator<'s> {
        let end = range.end();
        let cursor = match self.cursor.take().filter(|cursor| cursor.end.as_deref() == end) {
            Some(cursor) => cursor,
            None => {
                let mut options = ReadOptions::default();
                options.set_snapshot(&self.snapshot);
                if let Some(end) = end {
                    options.set_iterate_upper_bound(end);
                }
                let iterator = self.store.shared.db.raw_iterator_opt(options);
                Cursor { end: end.map(<[u8]>::to_vec), iterator }
            }
        };
        let iterator = &mut self.cursor.insert(cursor).iterator;
        iterator.seek(range.start());
        iterator
    }

    fn scan_down(&self, range: &KeyRange, limit: usize) -> Result<Vec<KeyedRow>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.start());
        if let Some(end) = range.end() {
            options.set_iterate_upper_bound(end);
        }
        let mut iterator = self.snapshot.raw_iterator_opt(options);
        iterator.seek_to_last();
        collect(&mut iterator, limit, DBRawIterator::prev)
    }
}

/// At most `limit` rows from where the iterator stands.
fn collect<'s>(
    iterator: &mut DBRawIterator<'s>,
    limit: usize,
    step: impl Fn(&mut DBRawIterator<'s>),
) -> Result<Vec<KeyedRow>, StoreError> {
    let mut rows = Vec::new();
    while let Some((key, stored)) = iterator.item() {
        rows.push(KeyedRow { key: key.to_vec(), row: row(stored)? });
        if rows.len() == limit {
            return Ok(rows);
        }
        step(iterator);
    }
    iterator.status().map_err(engine)?;
    Ok(rows)
}

impl Drop for RocksSession<'_> {
    fn drop(&mut self) {
        self.store.shared.leave(self.at);
    }
}

fn row(stored: &[u8]) -> Result<Row, StoreError> {
    let Some((version, value)) = stored.split_first_chunk::<VERSION_BYTES>() else {
        return Err(StoreError::Engine { reason: "a stored value is shorter than its version".to_owned() });
    };
    Ok(Row { value: value.to_vec(), version: Some(Version(u64::from_be_bytes(*version))) })
}

impl Session for RocksSession<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.snapshot.get_pinned(key).map_err(engine)?.map(|stored| row(&stored)).transpose()
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError> {
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        match order {
            Order::Ascending => collect(self.cursor_at(range), limit, DBRawIterator::next),
            Order::Descending => self.scan_down(range, limit),
        }
    }

    fn store_time(&self) -> UnixMillis {
        (self.store.clock)()
    }

    fn commit(self: Box<Self>, reads: Reads, writes: Writes) -> Result<Version, CommitError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let submission = Submission { began_at: self.at, reads, writes, answer };
        let sent = self.store.queue.as_ref().is_some_and(|queue| queue.send(submission).is_ok());
        let stopped = || StoreError::Stopped { reason: "the committer has ended".to_owned() };
        if !sent {
            return Err(CommitError::Failed(stopped()));
        }
        // The session stays open until here, so the window still knows everything since it began.
        answered.recv().unwrap_or_else(|_| Err(CommitError::Unknown { reason: stopped().to_string() }))
    }
}

#[cfg(test)]
mod tests;
