//! The index itself: a RocksDB database in a folder of its own. The only file of the registers that names it.
//!
//! Position and rows go into one batch, so that a crash leaves an index that is behind, never one that is wrong. Batches are
//! not synced: what a crash loses is followed again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use domicile_compliance::audit::{CommitmentDomain, ReadError, StoredEntry};
use domicile_types::{Commitment, Entry};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, Options, ReadOptions,
    WriteBatch,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::facts::{Facts, facts};
use super::layout::{self, Dimension, Stamp, ValueHash};
use super::row::{Common, Ended, Hidden, Row};
use super::sources::Sources;

/// Raised when rows change: an index of another version is made anew.
const FORMAT: u8 = 1;
/// Memory for blocks read from disk.
const CACHE_BYTES: usize = 32 << 20;
/// Memory for rows not yet in a table file; three of these at the most.
const WRITE_BUFFER_BYTES: usize = 32 << 20;
/// Commitments, and rows in common, that an index remembers having written.
const REMEMBERED: usize = 65_536;
/// Postings that one batch of an erasure removes.
const ERASED_AT_ONCE: usize = 10_000;

/// Why a register cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The question cannot be answered as it stands.
    #[error("{0}")]
    BadQuery(String),
    /// The index is still being made.
    #[error("the index of the registers is at entry {at} of {of}: ask again in a moment")]
    Behind {
        /// Entries that it has.
        at: u64,
        /// Entries of the log.
        of: u64,
    },
    /// Another process has the index.
    #[error("the index of the registers in {} is in use by another process: stop that gateway first", dir.display())]
    InUse {
        /// Its folder.
        dir: PathBuf,
    },
    /// The database does not answer.
    #[error(
        "the index of the registers cannot be used ({reason}): `domicile register rebuild` makes it anew from the log"
    )]
    Index {
        /// What it said.
        reason: String,
    },
    /// A row is not what was written.
    #[error("the index of the registers holds a {row} that cannot be read: `domicile register rebuild` makes it anew")]
    Row {
        /// Which kind of row.
        row: &'static str,
    },
    /// The log does not answer.
    #[error("the audit log cannot be read")]
    Log(#[from] ReadError),
    /// What was made cannot be written.
    #[error("the rows of a register cannot be written")]
    Write(#[from] std::io::Error),
    /// A format's writer refuses.
    #[error("the rows of a register cannot be written as {format}: {reason}")]
    Format {
        /// Which format.
        format: &'static str,
        /// Why.
        reason: String,
    },
    /// A view that cannot be logged does not happen.
    #[error("that commitments are opened cannot be logged, so they stay closed")]
    Unlogged(#[source] domicile_compliance::audit::AppendError),
}

impl From<rocksdb::Error> for RegisterError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Index { reason: error.into_string() }
    }
}

/// An index over one log.
pub struct Index {
    db: DB,
    dir: PathBuf,
    secret: [u8; 32],
    written: parking_lot::Mutex<Written>,
}

/// What is known to be in the database already.
#[derive(Default)]
struct Written {
    commons: HashSet<[u8; 16]>,
    hidden: HashMap<Commitment, Hidden>,
}

/// What a batch is given.
struct Filling<'a, S> {
    batch: WriteBatch,
    sources: &'a S,
}

impl Index {
    /// Opens the index of the log called `origin`, or makes it. One that is damaged, of another version or of another log is
    /// made anew: it holds nothing that the log does not. `secret` is kept for a new one.
    ///
    /// # Errors
    /// [`RegisterError::Index`]: the folder or the disk does not do, or another process has it.
    pub fn open(dir: &Path, origin: &str, secret: [u8; 32]) -> Result<Self, RegisterError> {
        match Self::open_as_is(dir, origin, secret) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => tracing::info!(dir = %dir.display(), "the index of the registers is made anew"),
            Err(RegisterError::Index { reason }) if reason.contains("lock") => {
                return Err(RegisterError::InUse { dir: dir.to_owned() });
            }
            Err(error) => {
                tracing::warn!(error = %error, dir = %dir.display(), "the index of the registers is damaged: made anew");
            }
        }
        Self::destroy(dir)?;
        Self::open_as_is(dir, origin, secret)?
            .ok_or_else(|| RegisterError::Index { reason: "a new index is not empty".to_owned() })
    }

    /// Removes an index that nobody has open.
    fn destroy(dir: &Path) -> Result<(), RegisterError> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn open_as_is(dir: &Path, origin: &str, secret: [u8; 32]) -> Result<Option<Self>, RegisterError> {
        std::fs::create_dir_all(dir)?;
        let db = DB::open(&options(), dir)?;
        let secret = match (db.get(layout::VERSION)?, db.get(layout::SECRET)?, db.get(layout::LOG)?) {
            (None, None, None) => {
                let mut batch = WriteBatch::default();
                batch.put(layout::VERSION, [FORMAT]);
                batch.put(layout::SECRET, secret);
                batch.put(layout::LOG, origin);
                db.write(batch)?;
                secret
            }
            (Some(version), Some(secret), Some(log)) if version == [FORMAT] && log == origin.as_bytes() => {
                let Ok(secret) = secret.as_slice().try_into() else { return Ok(None) };
                secret
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { db, dir: dir.to_owned(), secret, written: parking_lot::Mutex::default() }))
    }

    /// Removes every row: the index is as if it were new, but for its secret, which [`Index::begin`] draws anew. How far SIEMs
    /// were told stays: they were.
    pub(super) fn empty(&self) -> Result<(), RegisterError> {
        *self.written.lock() = Written::default();
        let mut batch = WriteBatch::default();
        batch.delete(layout::POSITION);
        for table in layout::TABLES {
            batch.delete_range(table.to_vec(), layout::end_of(table));
        }
        self.db.write(batch)?;
        for table in layout::TABLES {
            self.db.compact_range(Some(table), Some(&layout::end_of(table)));
        }
        Ok(())
    }

    /// Keys the hashes of an empty index with another secret.
    pub(super) fn begin(&mut self, secret: [u8; 32]) -> Result<(), RegisterError> {
        self.db.put(layout::SECRET, secret)?;
        self.secret = secret;
        Ok(())
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How many entries of the log are in it.
    ///
    /// # Errors
    /// [`RegisterError::Index`].
    pub fn position(&self) -> Result<u64, RegisterError> {
        self.number(layout::POSITION)
    }

    fn number(&self, key: &[u8]) -> Result<u64, RegisterError> {
        let bytes = self.db.get(key)?;
        let number = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(u64::from_be_bytes);
        Ok(number.unwrap_or(0))
    }

    /// Up to which entry a SIEM was told; nothing for one that was never told.
    pub(super) fn told(&self, siem: &str) -> Result<Option<u64>, RegisterError> {
        let key = layout::told(siem);
        if self.db.get(&key)?.is_none() { Ok(None) } else { self.number(&key).map(Some) }
    }

    /// Notes up to which entry a SIEM was told.
    pub(super) fn note_told(&self, siem: &str, next: u64) -> Result<(), RegisterError> {
        Ok(self.db.put(layout::told(siem), next.to_be_bytes())?)
    }

    /// Takes in `entries`, which follow on what it has, in one batch; in several where something was erased.
    ///
    /// # Errors
    /// [`RegisterError`]: nothing of the batch counts, and it may be tried again.
    pub fn apply(&self, entries: &[StoredEntry], sources: &impl Sources) -> Result<(), RegisterError> {
        let applied = self.try_apply(entries, sources);
        if applied.is_err() {
            *self.written.lock() = Written::default();
        }
        applied
    }

    fn try_apply(&self, entries: &[StoredEntry], sources: &impl Sources) -> Result<(), RegisterError> {
        let mut filling = Filling { batch: WriteBatch::default(), sources };
        for entry in entries {
            let record = entry.record()?;
            match &record.entry {
                Entry::Outcome(outcome) => {
                    let ended = Ended {
                        index: entry.index,
                        time: record.time.0,
                        status: outcome.status,
                        bytes: outcome.bytes,
                        http_status: outcome.http_status,
                    };
                    filling.batch.put(layout::outcome(outcome.intent), encode(&ended));
                }
                Entry::Erased { commitment, .. } => {
                    // What hides behind it may be in this very batch.
                    self.db.write(std::mem::take(&mut filling.batch))?;
                    self.erase(commitment)?;
                }
                Entry::Correction { of, .. } => {
                    filling.batch.put(layout::correction(*of, entry.index), []);
                }
                _ => {}
            }
            if let Some(facts) = facts(&record, *entry.leaf_hash.digest(), sources) {
                self.put(&mut filling, entry.index, facts)?;
            }
            filling.batch.put(layout::POSITION, entry.index.saturating_add(1).to_be_bytes());
        }
        Ok(self.db.write(filling.batch)?)
    }

    fn put<S: Sources>(&self, filling: &mut Filling<'_, S>, index: u64, facts: Facts) -> Result<(), RegisterError> {
        let Facts { mut row, common, found_by } = facts;
        let stamp = Stamp::new(row.time(), index);
        row.common = self.put_common(filling, &common);
        for (dimension, value) in found_by {
            let value = self.hash(dimension, value.as_bytes());
            filling.batch.put(layout::posting(dimension.code(), &value, stamp), []);
        }
        for commitment in row.commitments() {
            for (dimension, value) in self.hidden(filling, &Commitment::from_digest(commitment))? {
                filling.batch.put(layout::posting(dimension, &value, stamp), []);
            }
        }
        filling.batch.put(layout::row(index), encode(&row));
        Ok(())
    }

    fn put_common<S>(&self, filling: &mut Filling<'_, S>, common: &Common) -> [u8; 16] {
        let json = serde_json::to_vec(common).unwrap_or_default();
        let hash = blake3::hash(&json);
        let name = hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        let mut written = self.written.lock();
        if written.commons.len() >= REMEMBERED {
            written.commons.clear();
        }
        if written.commons.insert(name) {
            filling.batch.put(layout::common(&name), json);
        }
        name
    }

    /// The postings of what a commitment hides; none once it is erased.
    fn hidden<S: Sources>(
        &self,
        filling: &mut Filling<'_, S>,
        commitment: &Commitment,
    ) -> Result<Hidden, RegisterError> {
        if let Some(known) = self.written.lock().hidden.get(commitment) {
            return Ok(known.clone());
        }
        let hidden = match self.hidden_of(commitment)? {
            Some(hidden) => hidden,
            None => {
                let Some((domain, value)) = filling.sources.opened(commitment) else { return Ok(Hidden::new()) };
                let hidden = self.hashes(domain, &value);
                filling.batch.put(layout::committed(commitment), encode(&hidden));
                hidden
            }
        };
        let mut written = self.written.lock();
        if written.hidden.len() >= REMEMBERED {
            written.hidden.clear();
        }
        written.hidden.insert(*commitment, hidden.clone());
        Ok(hidden)
    }

    /// The postings of what a commitment hides, as far as the index knows.
    pub(super) fn hidden_of(&self, commitment: &Commitment) -> Result<Option<Hidden>, RegisterError> {
        self.get(&layout::committed(commitment), "commitment")
    }

    fn hashes(&self, domain: CommitmentDomain, value: &[u8]) -> Hidden {
        let of = |dimension: Dimension, value: &[u8]| (dimension.code(), self.hash(dimension, value));
        match domain {
            CommitmentDomain::Bucket => vec![of(Dimension::Bucket, value)],
            CommitmentDomain::Key => vec![of(Dimension::Key, value)],
            // An address is shown under a pseudonym, and nobody asks by it.
            CommitmentDomain::Address => vec![(0, self.hash(Dimension::Actor, &[b"address ", value].concat()))],
            CommitmentDomain::Actor => {
                let text = String::from_utf8_lossy(value);
                let key = text.split(' ').next().unwrap_or_default();
                let mut hidden = vec![of(Dimension::Actor, value)];
                if key.len() != text.len() {
                    hidden.push(of(Dimension::Actor, key.as_bytes()));
                }
                hidden.extend(key.split_once('/').map(|(tenant, _)| of(Dimension::Tenant, tenant.as_bytes())));
                hidden
            }
        }
    }

    /// Forgets what a commitment hid: which entries are that value's, and that they belong together.
    fn erase(&self, commitment: &Commitment) -> Result<(), RegisterError> {
        let Some(hidden) = self.hidden_of(commitment)? else { return Ok(()) };
        let Some((dimension, value)) = hidden.first().copied() else { return Ok(()) };
        let mut batch = WriteBatch::default();
        let list = layout::list(dimension, &value);
        let mut postings = self.iterate(&list);
        postings.seek(&list);
        while let Some(stamp) = postings.key().and_then(Stamp::of_posting) {
            let row: Option<Row> = self.get(&layout::row(stamp.index()), "row")?;
            if row.is_some_and(|row| row.commitments().any(|hidden| hidden == *commitment.digest())) {
                hidden.iter().for_each(|(dimension, value)| batch.delete(layout::posting(*dimension, value, stamp)));
            }
            if batch.len() >= ERASED_AT_ONCE {
                self.db.write(std::mem::take(&mut batch))?;
            }
            postings.next();
        }
        postings.status()?;
        drop(postings);
        // What stays says that there was something. An entry that was under way when the value went finds nothing to hash.
        batch.put(layout::committed(commitment), encode(&Hidden::new()));
        self.db.write(batch)?;
        self.written.lock().hidden.remove(commitment);
        // A deleted row stays in its file until that is compacted.
        for (dimension, value) in &hidden {
            let list = layout::list(*dimension, value);
            self.db.compact_range(Some(&list), Some(&layout::end_of(&list)));
        }
        let row = layout::committed(commitment);
        self.db.compact_range(Some(&row), Some(&layout::end_of(&row)));
        Ok(())
    }

    /// A value as the index knows it.
    pub(super) fn hash(&self, dimension: Dimension, value: &[u8]) -> ValueHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&[dimension.code()]).update(value);
        hasher.finalize().as_bytes().first_chunk::<8>().copied().unwrap_or_default()
    }

    /// A walk over the keys that begin with `prefix`, and no further.
    pub(super) fn iterate(&self, prefix: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(prefix.to_vec());
        options.set_iterate_upper_bound(layout::end_of(prefix));
        self.db.raw_iterator_opt(options)
    }

    pub(super) fn row(&self, index: u64) -> Result<Option<Row>, RegisterError> {
        self.get(&layout::row(index), "row")
    }

    pub(super) fn ended(&self, intent: u64) -> Result<Option<Ended>, RegisterError> {
        self.get(&layout::outcome(intent), "outcome")
    }

    pub(super) fn common(&self, name: &[u8; 16]) -> Result<Common, RegisterError> {
        let missing = RegisterError::Row { row: "common row" };
        let json = self.db.get(layout::common(name))?.ok_or(missing)?;
        serde_json::from_slice(&json).map_err(|_| RegisterError::Row { row: "common row" })
    }

    /// The entries that correct entry `of`.
    pub(super) fn corrections(&self, of: u64) -> Result<Vec<u64>, RegisterError> {
        let prefix = layout::corrections(of);
        let (mut found, mut rows) = (Vec::new(), self.iterate(&prefix));
        rows.seek(prefix);
        while let Some(key) = rows.key() {
            found.extend(key.last_chunk::<8>().copied().map(u64::from_be_bytes));
            rows.next();
        }
        rows.status()?;
        Ok(found)
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8], row: &'static str) -> Result<Option<T>, RegisterError> {
        let Some(bytes) = self.db.get_pinned(key)? else { return Ok(None) };
        postcard::from_bytes(&bytes).map(Some).map_err(|_| RegisterError::Row { row })
    }

    /// Brings everything into few files, as time would.
    pub fn settle(&self) {
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("rows are plain data: {error}"))
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    blocks.set_bloom_filter(10.0, false);
    // In pieces of their own, as in the catalog: whole, they are more than the cache, and every walk reads them again.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(4 << 10);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::None);
    options.set_max_background_jobs(2);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}
