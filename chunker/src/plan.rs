//! From a byte range of an object to the segments that hold it, opening only the pages of the manifest that it touches.

use std::ops::Range;
use std::sync::Arc;

use crate::keys::DataKey;
use crate::layout::widen;
use crate::manifest::{
    Content, Manifest, ManifestError, PageName, PartEntry, Table, open_parts_page, open_segments_page,
};
use crate::read::SegmentRead;
use crate::segment::SegmentRecord;

/// What a plan wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep {
    /// Load this page of the manifest and [`supply`](ReadPlan::supply) it.
    Page(PageName),
    /// Fetch and open this.
    Segment(SegmentRead),
    /// The range is complete.
    Done,
}

/// Why a range cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The range does not lie in the object.
    #[error("bytes {start} to {end} do not lie in an object of {bytes}")]
    OutOfRange {
        /// First byte wanted.
        start: u64,
        /// Byte after the last wanted.
        end: u64,
        /// Length of the object.
        bytes: u64,
    },
    /// A page was supplied that the plan does not wait for.
    #[error("page {} of {} was not asked for", .page.page, .page.seal)]
    PageNotAsked {
        /// The page supplied.
        page: PageName,
    },
    /// A page does not open.
    #[error("page {} of {} of the manifest cannot be used", .page.page, .page.seal)]
    Page {
        /// The page.
        page: PageName,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// Pages that open but do not fit together: a defect of the release that wrote them.
    #[error("manifest has no record for byte {at}")]
    NoRecord {
        /// The byte of the object.
        at: u64,
    },
}

/// A read in progress: a state machine without IO that holds one page of entries and one of records at the most.
///
/// ```
/// # use domicile_chunker::*;
/// // `load` reads a page from the store, `fetch_and_open` asks the nodes for `SegmentRead::shard_ranges`.
/// fn read(
///     key: &DataKey,
///     mut plan: ReadPlan,
///     load: impl Fn(PageName) -> Vec<u8>,
///     fetch_and_open: impl Fn(&SegmentRead),
/// ) -> Result<(), ReadError> {
///     loop {
///         match plan.step()? {
///             ReadStep::Page(name) => plan.supply(key, name, &load(name))?,
///             ReadStep::Segment(read) => fetch_and_open(&read),
///             ReadStep::Done => return Ok(()),
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ReadPlan {
    manifest: Arc<Manifest>,
    /// What is still to be planned.
    rest: Range<u64>,
    entries: Option<Loaded<(u64, PartEntry)>>,
    records: Option<Loaded<Arc<SegmentRecord>>>,
    awaited: Option<Awaited>,
}

#[derive(Debug, Clone)]
struct Loaded<T> {
    name: PageName,
    items: Vec<T>,
}

#[derive(Debug, Clone)]
enum Awaited {
    Entries(PageName),
    Records(PageName, PartEntry),
}

impl Manifest {
    /// Plans the read of bytes `range` of the object; an empty range plans nothing.
    pub fn plan_read(self: &Arc<Self>, range: Range<u64>) -> Result<ReadPlan, ReadError> {
        let Range { start, end } = range;
        if start > end || end > self.bytes() {
            return Err(ReadError::OutOfRange { start, end, bytes: self.bytes() });
        }
        Ok(ReadPlan { manifest: Arc::clone(self), rest: start..end, entries: None, records: None, awaited: None })
    }

    /// Plans the read of all bytes: what repair, scrub, copy and deletion walk.
    #[must_use]
    pub fn plan_all(self: &Arc<Self>) -> ReadPlan {
        ReadPlan { manifest: Arc::clone(self), rest: 0..self.bytes(), entries: None, records: None, awaited: None }
    }
}

impl ReadPlan {
    /// What is not planned yet.
    #[must_use]
    pub fn rest(&self) -> Range<u64> {
        self.rest.clone()
    }

    /// The next thing to do. Asking again while a page is awaited gives the same page.
    pub fn step(&mut self) -> Result<ReadStep, ReadError> {
        let at = self.rest.start;
        if self.rest.is_empty() {
            return Ok(ReadStep::Done);
        }
        let (start, entry) = match self.part_at(at)? {
            Found::Item(found) => found,
            Found::Page(name) => {
                self.awaited = Some(Awaited::Entries(name));
                return Ok(ReadStep::Page(name));
            }
        };
        let segment = (at - start) / entry.cut().segment_bytes();
        let record = match self.record_of(&entry, segment, at)? {
            Found::Item(record) => record,
            Found::Page(name) => {
                self.awaited = Some(Awaited::Records(name, entry));
                return Ok(ReadStep::Page(name));
            }
        };
        let segment_start = start + segment * entry.cut().segment_bytes();
        let segment_end = segment_start + widen(record.plaintext_bytes());
        let end = self.rest.end.min(segment_end);
        let within = |byte: u64| usize::try_from(byte - segment_start).map_err(|_| ReadError::NoRecord { at });
        let wanted = within(at)?..within(end)?;
        let context = self.manifest.part_context(entry.number()).segment(record.index);
        self.rest.start = end;
        Ok(ReadStep::Segment(SegmentRead::new(context, record, at, wanted)))
    }

    /// Gives the page that [`step`](ReadPlan::step) asked for.
    pub fn supply(&mut self, key: &DataKey, name: PageName, sealed: &[u8]) -> Result<(), ReadError> {
        let failed = |source| ReadError::Page { page: name, source };
        match (&self.awaited, self.manifest.content()) {
            (Some(Awaited::Entries(awaited)), Content::Tabled(table)) if *awaited == name => {
                let items = open_parts_page(key, &self.manifest, table, name.page, sealed).map_err(failed)?;
                self.entries = Some(Loaded { name, items });
            }
            (Some(Awaited::Records(awaited, entry)), _) if *awaited == name => {
                let context = self.manifest.part_context(entry.number());
                let records = open_segments_page(key, &context, entry, name.page, sealed).map_err(failed)?;
                self.records = Some(Loaded { name, items: records.into_iter().map(Arc::new).collect() });
            }
            _ => return Err(ReadError::PageNotAsked { page: name }),
        }
        self.awaited = None;
        Ok(())
    }

    /// The part that byte `at` lies in, with its offset.
    fn part_at(&self, at: u64) -> Result<Found<(u64, PartEntry)>, ReadError> {
        let found = match self.manifest.content() {
            Content::Inline(part) => Some((0, *part.entry())),
            Content::Paged(entry) => Some((0, *entry)),
            Content::Listed(entries) => last_begun(entries, at),
            Content::Tabled(table) => {
                let name = table_page(table, at).ok_or(ReadError::NoRecord { at })?;
                match &self.entries {
                    Some(loaded) if loaded.name == name => last_begun(&loaded.items, at),
                    _ => return Ok(Found::Page(name)),
                }
            }
        };
        let holds = |(start, entry): &(u64, PartEntry)| at - start < entry.bytes();
        found.filter(holds).map(Found::Item).ok_or(ReadError::NoRecord { at })
    }

    fn record_of(&self, entry: &PartEntry, segment: u64, at: u64) -> Result<Found<Arc<SegmentRecord>>, ReadError> {
        if let Content::Inline(part) = self.manifest.content() {
            let record = usize::try_from(segment).ok().and_then(|segment| part.records().get(segment));
            return record.cloned().map(Arc::new).map(Found::Item).ok_or(ReadError::NoRecord { at });
        }
        let (name, on_page) = entry.page_of(segment);
        match &self.records {
            Some(loaded) if loaded.name == name => {
                let record = usize::try_from(on_page).ok().and_then(|at| loaded.items.get(at));
                record.cloned().map(Found::Item).ok_or(ReadError::NoRecord { at })
            }
            _ => Ok(Found::Page(name)),
        }
    }
}

enum Found<T> {
    Item(T),
    Page(PageName),
}

/// The last part that begins at or before `at`: of empty parts at one offset, none; the part that holds the byte.
fn last_begun(entries: &[(u64, PartEntry)], at: u64) -> Option<(u64, PartEntry)> {
    entries.get(entries.partition_point(|(start, _)| *start <= at).checked_sub(1)?).copied()
}

/// The page of the table whose parts hold byte `at`.
fn table_page(table: &Table, at: u64) -> Option<PageName> {
    let page = table.starts.partition_point(|start| *start <= at).checked_sub(1)?;
    Some(PageName { seal: table.seal, page: u32::try_from(page).ok()? })
}
