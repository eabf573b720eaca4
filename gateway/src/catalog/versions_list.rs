//! Listing versions: objects and delete markers in the order of their keys, newest first within a key.
//!
//! Current objects and everything else lie in two tables that sort alike, so a listing is a merge of two walks. A page costs
//! what it shows: groups are passed by seeking behind them in both.

use std::collections::VecDeque;

use domicile_types::{ObjectKey, UnixMillis};

use super::bucket::Bucket;
use super::listing::{PAGE_ENTRIES_MAX, after_marker, group_of};
use super::object::ObjectHead;
use super::token::Resume;
use super::version::{Version, VersionEntry, VersionId, position_of};
use super::{Catalog, CatalogError, keys};
use crate::state::{KeyRange, KeyedRow, Order, Read, View, after_prefix, decode};

/// Rows read at first from each table where groups are likely to end the reading.
const GROUPED_ROWS: usize = 2;

/// Which versions to list.
#[derive(Debug, Clone)]
pub struct ListVersionsQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that contain this after the prefix are shown as one group, up to and with it. Empty counts as none.
    pub delimiter: Option<String>,
    /// `key-marker`, with `version-id-marker` where given.
    pub after: Option<(String, Option<VersionMarker>)>,
    /// Most entries, versions and groups together; above 1,000 counts as 1,000.
    pub max_keys: usize,
}

/// A place among the versions of a key, where a listing stopped. Unlike its version it is never gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMarker {
    /// Behind the null version, wherever it is now.
    Null,
    /// Behind this place.
    At([u8; 16]),
}

impl VersionMarker {
    /// Reads what [`VersionMarker::of`] wrote, or a version's id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match VersionId::parse(text)? {
            VersionId::Null => Some(Self::Null),
            VersionId::Id(id) => Some(Self::At(position_of(id))),
        }
    }

    /// The text for behind `version`: its id, or for the null version its place in the form of an id.
    #[must_use]
    pub fn of(version: &Version) -> String {
        VersionId::Id(position_of(version.position())).to_string()
    }
}

/// A version in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its key.
    pub key: String,
    /// The object or marker.
    pub entry: VersionEntry,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// When the version above it was written, since when it is noncurrent; none for the newest.
    pub noncurrent_since: Option<UnixMillis>,
}

/// One page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// Versions, by key, newest first.
    pub versions: Vec<ListedVersion>,
    /// Groups, sorted; each ends in the delimiter.
    pub common_prefixes: Vec<String>,
    /// Whether there is more.
    pub truncated: bool,
    /// `NextKeyMarker`, where truncated: the last key or group shown.
    pub next_key_marker: Option<String>,
    /// `NextVersionIdMarker`, where the last entry shown is a version.
    pub next_version_marker: Option<String>,
}

impl Catalog {
    /// One page of a bucket's versions and delete markers.
    pub async fn list_versions(&self, bucket: &Bucket, query: ListVersionsQuery) -> Result<VersionPage, CatalogError> {
        let bucket = bucket.clone();
        self.read(move |view| page(view, &bucket, query)).await
    }
}

/// One of the two tables, read ahead.
struct Cursor {
    base: Vec<u8>,
    /// Bytes that follow the object key in a row's key: NUL and position, or nothing.
    suffix_bytes: usize,
    range: KeyRange,
    batch: usize,
    ahead: VecDeque<(String, KeyedRow)>,
    exhausted: bool,
}

impl Cursor {
    fn new(base: Vec<u8>, suffix_bytes: usize, prefix: &str, batch: usize) -> Self {
        let range = KeyRange::prefix(&[&base, prefix.as_bytes()].concat());
        Self { base, suffix_bytes, range, batch, ahead: VecDeque::new(), exhausted: false }
    }

    /// Passes all rows before `suffix` (object key and more).
    fn seek(&mut self, suffix: &[u8]) {
        let start = [&self.base, suffix].concat();
        self.ahead.retain(|(_, found)| found.key >= start);
        if self.ahead.is_empty() {
            self.range = self.range.clone().starting_at(start);
            self.batch = GROUPED_ROWS;
        }
    }

    /// The key of the next row.
    fn peek(&mut self, view: &mut View<'_>) -> Result<Option<&str>, CatalogError> {
        if self.ahead.is_empty() && !self.exhausted {
            let rows = view.scan(&self.range, self.batch, Order::Ascending)?;
            self.exhausted = rows.len() < self.batch;
            self.batch = self.batch.saturating_mul(2).min(PAGE_ENTRIES_MAX + 1);
            for found in rows {
                self.range = self.range.clone().after(&found.key);
                let damaged = || CatalogError::Inconsistent { what: "a version row's key" };
                let end = found.key.len().checked_sub(self.suffix_bytes).ok_or_else(damaged)?;
                let key = found.key.get(self.base.len()..end).ok_or_else(damaged)?;
                let key = std::str::from_utf8(key).map_err(|_| damaged())?.to_owned();
                self.ahead.push_back((key, found));
            }
        }
        Ok(self.ahead.front().map(|(key, _)| key.as_str()))
    }
}

/// The two tables as one sequence.
struct Merge {
    current: Cursor,
    aside: Cursor,
}

impl Merge {
    /// The next version and its key: the current object of a key comes before its other versions.
    fn next(&mut self, view: &mut View<'_>) -> Result<Option<(String, VersionEntry)>, CatalogError> {
        let current = self.current.peek(view)?.map(str::to_owned);
        let aside = self.aside.peek(view)?;
        let takes_current = match (&current, aside) {
            (Some(current), Some(aside)) => current.as_str() <= aside,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if takes_current {
            let Some((key, found)) = self.current.ahead.pop_front() else { return Ok(None) };
            let head: ObjectHead = decode(&found.row.value)?;
            return Ok(Some((key, VersionEntry::Object(Box::new(head)))));
        }
        let Some((key, found)) = self.aside.ahead.pop_front() else { return Ok(None) };
        Ok(Some((key, decode(&found.row.value)?)))
    }

    /// Goes on behind every key that begins with `group`.
    fn skip_group(&mut self, group: &str) {
        // No byte of UTF-8 is 0xff, so a group always has a successor.
        let behind = after_prefix(group.as_bytes()).unwrap_or_default();
        self.current.seek(&behind);
        self.aside.seek(&behind);
    }

    /// Goes on behind `key` and all its versions.
    fn skip_key(&mut self, key: &str) {
        self.current.seek(&[key.as_bytes(), &[0]].concat());
        self.aside.seek(&[key.as_bytes(), &[1]].concat());
    }

    /// Goes on behind one place among the versions of `key`.
    fn skip_version(&mut self, key: &str, position: [u8; 16]) {
        self.current.seek(&[key.as_bytes(), &[0]].concat());
        self.aside.seek(&[key.as_bytes(), &[0], &position, &[0]].concat());
    }
}

fn page(view: &mut View<'_>, bucket: &Bucket, query: ListVersionsQuery) -> Result<VersionPage, CatalogError> {
    let ListVersionsQuery { prefix, delimiter, after, max_keys } = query;
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    let entries_max = max_keys.min(PAGE_ENTRIES_MAX);
    let mut page = VersionPage::default();
    // No key has a NUL or is longer than this.
    if entries_max == 0 || prefix.contains('\0') || prefix.len() > ObjectKey::BYTES_MAX {
        return Ok(page);
    }
    let batch = if delimiter.is_some() { GROUPED_ROWS } else { entries_max + 1 };
    let mut merge = Merge {
        current: Cursor::new(keys::objects(bucket.id), 0, &prefix, batch),
        aside: Cursor::new(keys::versions(bucket.id), 17, &prefix, batch),
    };
    // The key whose versions are being shown, and when the one shown last was written.
    let mut above: Option<(String, Option<UnixMillis>)> = None;
    if let Some((key, marker)) = after {
        match (after_marker(key, &prefix, delimiter.as_deref()), marker) {
            (Resume::AfterPrefix(group), _) => merge.skip_group(&group),
            (Resume::AfterKey(key), marker) => match place(view, bucket, &key, marker)? {
                Some(position) => {
                    merge.skip_version(&key, position);
                    let newer = written_above(view, bucket, &key, position)?;
                    above = Some((key, newer));
                }
                None => merge.skip_key(&key),
            },
        }
    }
    let mut entries = 0;
    while let Some((key, entry)) = merge.next(view)? {
        if entries == entries_max {
            page.truncated = true;
            break;
        }
        entries += 1;
        let group = delimiter.as_deref().and_then(|delimiter| group_of(&key, &prefix, delimiter));
        if let Some(group) = group {
            merge.skip_group(group);
            page.common_prefixes.push(group.to_owned());
            page.next_key_marker = Some(group.to_owned());
            page.next_version_marker = None;
            continue;
        }
        let noncurrent_since = above.as_ref().filter(|(above, _)| *above == key).and_then(|(_, written)| *written);
        above = Some((key.clone(), Some(entry.last_modified())));
        page.next_key_marker = Some(key.clone());
        page.next_version_marker = Some(VersionMarker::of(&entry.version()));
        page.versions.push(ListedVersion { key, is_latest: noncurrent_since.is_none(), entry, noncurrent_since });
    }
    if !page.truncated {
        (page.next_key_marker, page.next_version_marker) = (None, None);
    }
    Ok(page)
}

/// The place among the versions of `key` that a marker names; none where it names none.
fn place(
    view: &mut View<'_>,
    bucket: &Bucket,
    key: &str,
    marker: Option<VersionMarker>,
) -> Result<Option<[u8; 16]>, CatalogError> {
    let (Some(marker), Ok(key)) = (marker, ObjectKey::parse(key)) else { return Ok(None) };
    match marker {
        VersionMarker::At(position) => Ok(Some(position)),
        VersionMarker::Null => match super::versions::null_version(view, bucket, &key)? {
            Some(version) => Ok(Some(version.position())),
            None => Ok(None),
        },
    }
}

/// When the version next above a place was written; none where the place is above all versions.
fn written_above(
    view: &mut View<'_>,
    bucket: &Bucket,
    key: &str,
    position: [u8; 16],
) -> Result<Option<UnixMillis>, CatalogError> {
    let Ok(key) = ObjectKey::parse(key) else { return Ok(None) };
    let range =
        KeyRange::new(keys::versions_of(bucket.id, &key), [keys::version(bucket.id, &key, position), vec![0]].concat());
    if let Some(found) = view.scan(&range, 1, Order::Descending)?.pop() {
        return Ok(Some(decode::<VersionEntry>(&found.row.value)?.last_modified()));
    }
    let current: Option<ObjectHead> = view.get_row(&keys::object(bucket.id, &key))?;
    Ok(current.map(|head| head.last_modified))
}
