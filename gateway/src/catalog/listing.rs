//! Listings: sorted by the bytes of the keys, grouped by a delimiter, resumed where they stopped.
//!
//! A page costs what it shows: groups are passed by seeking behind them, never by reading what is inside.

use domicile_types::{ObjectKey, UnixMillis};

use super::bucket::Bucket;
use super::object::{ChecksumAlgorithm, ChecksumKind, ObjectHead};
use super::token::{self, Resume};
use super::{Catalog, CatalogError, keys};
use crate::state::{KeyRange, KeyedRow, Order, Read, View, decode};

/// Most entries of one page; S3 answers with fewer when asked for more.
pub(super) const PAGE_ENTRIES_MAX: usize = 1_000;
/// Rows read at first where groups are likely: one shows the next group, one more whether there is anything behind.
const GROUPED_ROWS: usize = 2;

/// Which objects to list.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that contain this after the prefix are shown as one group, up to and with it. Empty counts as none.
    pub delimiter: Option<String>,
    /// Where to begin.
    pub start: ListStart,
    /// Most entries, keys and groups together; above 1,000 counts as 1,000.
    pub max_keys: usize,
}

/// Where a listing begins.
#[derive(Debug, Clone)]
pub enum ListStart {
    /// At the first key.
    Beginning,
    /// After this key: `marker`, `key-marker` or `start-after`. A marker that is a group goes on behind the group.
    After(String),
    /// Where the listing that gave this token stopped.
    Token(String),
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was committed.
    pub last_modified: UnixMillis,
    /// The checksums it has.
    pub checksums: Vec<(ChecksumAlgorithm, ChecksumKind)>,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects, sorted by the bytes of their keys. Each is the newest version of its key.
    pub objects: Vec<ListedObject>,
    /// Groups, sorted; each ends in the delimiter.
    pub common_prefixes: Vec<String>,
    /// Whether there is more.
    pub truncated: bool,
    /// `NextMarker`, where truncated: the last key or group shown.
    pub next_marker: Option<String>,
    /// `NextContinuationToken`, where truncated.
    pub next_token: Option<String>,
}

impl Catalog {
    /// One page of the current objects of a bucket.
    ///
    /// # Errors
    /// [`CatalogError::InvalidToken`].
    pub async fn list_objects(&self, bucket: &Bucket, query: ListQuery) -> Result<ListPage, CatalogError> {
        let delimiter = query.delimiter.filter(|delimiter| !delimiter.is_empty());
        let listing = listing_name(bucket, &query.prefix, delimiter.as_deref());
        let resume = match query.start {
            ListStart::Beginning => None,
            ListStart::After(marker) => Some(after_marker(marker, &query.prefix, delimiter.as_deref())),
            ListStart::Token(token) => Some(token::open(&self.config.token_key, &listing, &token)?),
        };
        let walk = Walk {
            base: keys::objects(bucket.id),
            prefix: query.prefix,
            delimiter,
            entries_max: query.max_keys.min(PAGE_ENTRIES_MAX),
        };
        let start = resume.map(|resume| walk.start_of(&resume));
        let mut page = ListPage::default();
        let (mut page, last) = self
            .read(move |view| {
                let walked = walk.run(view, start, |key, found| {
                    page.objects.push(listed(key, &found)?);
                    Ok(())
                })?;
                page.common_prefixes = walked.groups;
                page.truncated = walked.truncated;
                Ok((page, walked.last))
            })
            .await?;
        if let (true, Some(last)) = (page.truncated, last) {
            page.next_token = Some(token::seal(&self.config.token_key, &listing, &last)?);
            let (Resume::AfterKey(shown) | Resume::AfterPrefix(shown)) = last;
            page.next_marker = Some(shown);
        }
        Ok(page)
    }
}

fn listed(key: &str, found: &KeyedRow) -> Result<ListedObject, CatalogError> {
    let head: ObjectHead = decode(&found.row.value)?;
    Ok(ListedObject {
        key: key.to_owned(),
        size: head.object.size,
        etag: head.object.etag,
        last_modified: head.last_modified,
        checksums: head.object.checksums.iter().map(|checksum| (checksum.algorithm, checksum.kind)).collect(),
    })
}

/// What a token is bound to.
fn listing_name(bucket: &Bucket, prefix: &str, delimiter: Option<&str>) -> Vec<u8> {
    // Neither prefix nor delimiter can match anything with a NUL, as keys have none: NUL separates safely.
    [bucket.id.as_bytes(), prefix.as_bytes(), &[0], delimiter.unwrap_or_default().as_bytes()].concat()
}

/// A marker that is itself a group (as `NextMarker` may be) goes on behind the group; any other, behind the key.
pub(super) fn after_marker(marker: String, prefix: &str, delimiter: Option<&str>) -> Resume {
    let group = delimiter.and_then(|delimiter| group_of(&marker, prefix, delimiter)).map(str::len);
    if group == Some(marker.len()) { Resume::AfterPrefix(marker) } else { Resume::AfterKey(marker) }
}

/// The group that `key` belongs to: up to and with the first delimiter after the prefix.
pub(super) fn group_of<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    let rest = key.strip_prefix(prefix)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// A walk over rows whose keys are `base`, an object key, and perhaps a NUL and more.
pub(super) struct Walk {
    pub(super) base: Vec<u8>,
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) entries_max: usize,
}

/// How a walk ended.
pub(super) struct Walked {
    pub(super) groups: Vec<String>,
    pub(super) truncated: bool,
    /// The last entry shown.
    pub(super) last: Option<Resume>,
}

impl Walk {
    /// The row at which a walk goes on.
    pub(super) fn start_of(&self, resume: &Resume) -> Vec<u8> {
        match resume {
            Resume::AfterKey(key) => [&self.base, key.as_bytes(), &[0]].concat(),
            Resume::AfterPrefix(group) => {
                // No byte of UTF-8 is 0xff, so a group always has a successor.
                crate::state::after_prefix(&[&self.base, group.as_bytes()].concat()).unwrap_or_default()
            }
        }
    }

    /// Calls `show` for each row outside of groups, in order, until `entries_max` entries are shown.
    pub(super) fn run(
        &self,
        view: &mut View<'_>,
        start: Option<Vec<u8>>,
        mut show: impl FnMut(&str, KeyedRow) -> Result<(), CatalogError>,
    ) -> Result<Walked, CatalogError> {
        let mut walked = Walked { groups: Vec::new(), truncated: false, last: None };
        let mut range = KeyRange::prefix(&[&self.base, self.prefix.as_bytes()].concat());
        if let Some(start) = start {
            range = range.starting_at(start);
        }
        let mut entries = 0;
        let mut batch = if self.delimiter.is_some() { GROUPED_ROWS } else { usize::MAX };
        // No key has a NUL or is longer than this; an upload's row has more behind its key, which must not match.
        let impossible = self.prefix.contains('\0') || self.prefix.len() > ObjectKey::BYTES_MAX;
        if self.entries_max == 0 || impossible {
            return Ok(walked);
        }
        loop {
            let limit = batch.min(self.entries_max - entries + 1);
            let rows = view.scan(&range, limit, Order::Ascending)?;
            let exhausted = rows.len() < limit;
            let mut seek = None;
            for found in rows {
                if entries == self.entries_max {
                    walked.truncated = true;
                    return Ok(walked);
                }
                entries += 1;
                let key = self.object_key(&found.key)?;
                let group = self.delimiter.as_deref().and_then(|delimiter| group_of(key, &self.prefix, delimiter));
                if let Some(group) = group {
                    let resume = Resume::AfterPrefix(group.to_owned());
                    walked.groups.push(group.to_owned());
                    seek = Some(self.start_of(&resume));
                    walked.last = Some(resume);
                    break;
                }
                walked.last = Some(Resume::AfterKey(key.to_owned()));
                range = range.after(&found.key);
                let key = key.to_owned();
                show(&key, found)?;
            }
            match seek {
                Some(start) => {
                    range = range.starting_at(start);
                    batch = GROUPED_ROWS;
                }
                None if exhausted => return Ok(walked),
                None => batch = batch.saturating_mul(2),
            }
        }
    }

    fn object_key<'r>(&self, row: &'r [u8]) -> Result<&'r str, CatalogError> {
        let rest = row.get(self.base.len()..).unwrap_or_default();
        let key = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(key).map_err(|_| CatalogError::Inconsistent { what: "an object row's key" })
    }
}
