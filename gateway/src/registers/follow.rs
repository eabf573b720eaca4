//! The registers of a gateway: an index that follows its log, and answers from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domicile_compliance::audit::AuditLog;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use super::index::{Index, RegisterError};
use super::layout::Stamp;
use super::query::Query;
use super::record::{EventRecord, Reader, Sight};
use super::sources::LogSources;
use crate::admin::with_causes;
use crate::clock::Clock;

/// Entries of one batch.
const ENTRIES_AT_ONCE: u64 = 2_000;
/// How far behind an index may be for a question to wait for it.
const CATCH_UP_MAX: u64 = 20_000;
/// Rows of a page, at the most.
pub(super) const PAGE_ROWS_MAX: usize = 1_000;
/// How often the log is looked at for more.
const PAUSE: Duration = Duration::from_millis(500);
/// How long following rests when the index or the log do not answer.
const TROUBLE: Duration = Duration::from_secs(10);

/// The registers of one gateway.
pub struct Registers {
    log: Arc<AuditLog>,
    origin: String,
    dir: PathBuf,
    clock: Clock,
    sources: LogSources,
    index: RwLock<Index>,
    following: Mutex<()>,
}

/// Some rows, and where to go on.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Page {
    /// The rows.
    pub rows: Vec<EventRecord>,
    /// The cursor of the next page; absent on the last one. A page may have fewer rows than asked for, or none, and still have
    /// a next one.
    pub next: Option<String>,
}

impl Registers {
    /// Opens the index in `dir`, which is made if absent. `clock` draws what its hashes are keyed with.
    ///
    /// # Errors
    /// [`RegisterError::Index`].
    pub fn open(dir: PathBuf, log: Arc<AuditLog>, clock: Clock) -> Result<Self, RegisterError> {
        let origin = log.checkpoint().checkpoint().origin.to_string();
        let index = Index::open(&dir, &origin, clock.random())?;
        let sources = LogSources::new(Arc::clone(&log));
        Ok(Self { log, origin, dir, clock, sources, index: RwLock::new(index), following: Mutex::new(()) })
    }

    /// Takes in what the log has more, at most so many entries. Says how many entries it has and the log has. Blocks on the disk.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn catch_up(&self, entries_max: u64) -> Result<(u64, u64), RegisterError> {
        let _only_one = self.following.lock();
        let index = self.index.read();
        let size = self.log.len();
        let mut at = index.position()?;
        let end = size.min(at.saturating_add(entries_max));
        while at < end {
            let mut batch = Vec::new();
            self.log.entries(at..end.min(at.saturating_add(ENTRIES_AT_ONCE)), |entry| {
                batch.push(entry);
                true
            })?;
            let Some(last) = batch.last() else { break };
            at = last.index.saturating_add(1);
            index.apply(&batch, &self.sources)?;
        }
        Ok((at, size))
    }

    /// Forgets the index and makes it anew from the log. Blocks until the first entries are in; the rest follows.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn rebuild(&self) -> Result<(u64, u64), RegisterError> {
        {
            let _only_one = self.following.lock();
            let mut index = self.index.write();
            index.empty()?;
            index.begin(self.clock.random())?;
        }
        self.catch_up(CATCH_UP_MAX)
    }

    /// The folder of the index.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// A page of at most `limit` rows (and 1,000): the first one, or the one that `cursor` names. What was logged before the
    /// call is in it.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn page(&self, query: &Query, cursor: Option<&str>, limit: usize, sight: Sight) -> Result<Page, RegisterError> {
        let resume = cursor.map(|cursor| query.resume(cursor)).transpose()?;
        self.be_current()?;
        let (rows, next) = self.some(query, resume, limit.clamp(1, PAGE_ROWS_MAX), sight)?;
        Ok(Page { rows, next: next.map(|next| query.cursor(next)) })
    }

    /// Every row that answers `query`, in chunks that are read as they are asked for.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn events(self: &Arc<Self>, query: Query, sight: Sight) -> Result<Events, RegisterError> {
        self.be_current()?;
        Ok(Events { registers: Arc::clone(self), query, sight, next: Some(None), chunk: Vec::new().into_iter() })
    }

    /// The record of one entry, if it is in a register.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn record(&self, index: u64, sight: Sight) -> Result<Option<EventRecord>, RegisterError> {
        self.be_current()?;
        let rows = self.index.read();
        Reader::new(&rows, Some(self.log.side()), &self.origin, sight).numbered(index)
    }

    fn be_current(&self) -> Result<(), RegisterError> {
        let wanted = self.log.len();
        match self.catch_up(CATCH_UP_MAX)? {
            (at, of) if at < wanted => Err(RegisterError::Behind { at, of }),
            _ => Ok(()),
        }
    }

    fn some(
        &self,
        query: &Query,
        resume: Option<Stamp>,
        limit: usize,
        sight: Sight,
    ) -> Result<(Vec<EventRecord>, Option<Stamp>), RegisterError> {
        let index = self.index.read();
        let mut reader = Reader::new(&index, Some(self.log.side()), &self.origin, sight);
        answer(&index, &mut reader, query, resume, limit)
    }

    /// Up to which entry a SIEM was told; nothing for one that is new.
    pub(crate) fn told(&self, siem: &str) -> Result<Option<u64>, RegisterError> {
        self.index.read().told(siem)
    }

    /// Notes up to which entry a SIEM was told.
    pub(crate) fn note_told(&self, siem: &str, next: u64) -> Result<(), RegisterError> {
        self.index.read().note_told(siem, next)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl Index {
    /// A page of an index by itself, with pseudonyms: what a benchmark measures. `log` is the log's name.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn page(&self, log: &str, query: &Query, cursor: Option<&str>, limit: usize) -> Result<Page, RegisterError> {
        let resume = cursor.map(|cursor| query.resume(cursor)).transpose()?;
        let mut reader = Reader::new(self, None, log, Sight::Pseudonyms);
        let (rows, next) = answer(self, &mut reader, query, resume, limit.clamp(1, PAGE_ROWS_MAX))?;
        Ok(Page { rows, next: next.map(|next| query.cursor(next)) })
    }
}

fn answer(
    index: &Index,
    reader: &mut Reader<'_>,
    query: &Query,
    resume: Option<Stamp>,
    limit: usize,
) -> Result<(Vec<EventRecord>, Option<Stamp>), RegisterError> {
    let found = index.walk(&query.walk(index, resume), limit)?;
    let mut rows = Vec::with_capacity(found.stamps.len());
    for stamp in found.stamps {
        rows.extend(reader.at(stamp)?);
    }
    Ok((rows, found.next))
}

/// The rows of a query, one by one. Memory: one chunk.
pub struct Events {
    registers: Arc<Registers>,
    query: Query,
    sight: Sight,
    /// Where the next chunk begins; nothing at the end.
    next: Option<Option<Stamp>>,
    chunk: std::vec::IntoIter<EventRecord>,
}

impl Events {
    /// Which register they are of.
    #[must_use]
    pub const fn register(&self) -> super::Register {
        self.query.register
    }

    /// The next rows together; nothing at the end.
    pub fn next_chunk(&mut self) -> Option<Result<Vec<EventRecord>, RegisterError>> {
        loop {
            let resume = self.next?;
            match self.registers.some(&self.query, resume, PAGE_ROWS_MAX, self.sight) {
                Ok((rows, next)) => {
                    self.next = next.map(Some);
                    if !rows.is_empty() {
                        return Some(Ok(rows));
                    }
                }
                Err(error) => {
                    self.next = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<EventRecord, RegisterError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(row) = self.chunk.next() {
            return Some(Ok(row));
        }
        match self.next_chunk()? {
            Ok(rows) => {
                self.chunk = rows.into_iter();
                self.chunk.next().map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Follows the log until it is aborted.
pub(crate) async fn run(registers: Arc<Registers>) {
    loop {
        let following = Arc::clone(&registers);
        let caught_up = tokio::task::spawn_blocking(move || following.catch_up(CATCH_UP_MAX)).await;
        match caught_up {
            Ok(Ok((at, of))) if at < of => {}
            Ok(Ok(_)) => tokio::time::sleep(PAUSE).await,
            Ok(Err(error)) => {
                tracing::error!(error = with_causes(&error), "the registers do not follow the log");
                tokio::time::sleep(TROUBLE).await;
            }
            // The task is cancelled: the gateway stops.
            Err(_) => return,
        }
    }
}
