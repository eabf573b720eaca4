//! Reading: a head, and which pages of which extents hold a range.

use std::ops::Range;

use bytes::Bytes;
use domicile_types::{DataId, ObjectKey};
use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::extent::{Extent, ExtentPage, StoredPage};
use super::object::{Body, ObjectHead, PartIndex};
use super::upload::Part;
use super::{Catalog, CatalogError, keys};
use crate::state::{KeyRange, Order, Read, StoredRow, View, decode};

/// Pages that one call of [`Catalog::extent_pages`] reads: 4 MiB at the most.
const PAGES_AT_ONCE_MAX: u32 = 64;

/// The part of a range that lies in one extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The part's number; 0 for the body of a plain PUT.
    pub part: u16,
    /// Which extent.
    pub extent: Extent,
    /// Bytes of the extent's plaintext.
    pub range: Range<u64>,
}

impl Span {
    /// The pages of the extent that hold the range.
    #[must_use]
    pub fn pages(&self) -> Range<u32> {
        self.extent.pages_of(&self.range)
    }
}

/// Parts of a completed object, as many as fit a row, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartList {
    pub(super) parts: Vec<Part>,
}

impl StoredRow for PartList {
    const NAME: &'static str = "part list";
    const VERSION: u8 = 2;
}

impl Catalog {
    /// The current object at `key`.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchKey`].
    pub async fn get_object(&self, bucket: &Bucket, key: &ObjectKey) -> Result<ObjectHead, CatalogError> {
        let row = keys::object(bucket.id, key);
        self.read(move |view| view.get_row(&row)?.ok_or(CatalogError::NoSuchKey)).await
    }

    /// Where the bytes `range` of an object lie, in order. Of a multipart object only the lists that hold the range are
    /// read.
    ///
    /// # Errors
    /// [`CatalogError::Inconsistent`] when the object was replaced so long ago that it has been swept.
    pub async fn spans(&self, head: &ObjectHead, range: Range<u64>) -> Result<Vec<Span>, CatalogError> {
        let range = range.start..range.end.min(head.object.size);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match &head.body {
            Body::Whole(extent) => Ok(vec![Span { part: 0, extent: extent.clone(), range }]),
            Body::Parts(index) => {
                let (data, index) = (head.data, index.clone());
                self.read(move |view| part_spans(view, data, &index, &range)).await
            }
        }
    }

    /// Pages of an extent, at most 64 at a time.
    ///
    /// # Errors
    /// [`CatalogError::Inconsistent`] when a page is gone: the object was replaced and has been swept.
    pub async fn extent_pages(&self, extent: &Extent, pages: Range<u32>) -> Result<Vec<ExtentPage>, CatalogError> {
        let count = pages.end.saturating_sub(pages.start);
        if count > PAGES_AT_ONCE_MAX {
            return Err(CatalogError::Inconsistent { what: "more than 64 pages asked for at once" });
        }
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let range = KeyRange::new(keys::extent_page(extent.id, pages.start), keys::extent_page(extent.id, pages.end));
        self.read(move |view| {
            let rows = view.scan(&range, wanted, Order::Ascending)?;
            if rows.len() != wanted {
                return Err(CatalogError::Inconsistent { what: "pages of an extent that are gone" });
            }
            let missing = || CatalogError::Inconsistent { what: "sealed records of a page that are gone" };
            let mut loaded = Vec::with_capacity(rows.len());
            for found in rows {
                let stored: StoredPage = decode(&found.row.value)?;
                let sealed = match stored.is_apart() {
                    true => Some(Bytes::from(view.get(&keys::sealed_beside(&found.key))?.ok_or_else(missing)?.value)),
                    false => None,
                };
                loaded.push(stored.into_page(sealed)?);
            }
            Ok(loaded)
        })
        .await
    }

    /// At most `limit` parts of a completed multipart object, those after number `after`, and whether there are more.
    /// None for the object of a plain PUT.
    pub async fn object_parts(
        &self,
        head: &ObjectHead,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<Part>, bool), CatalogError> {
        let Body::Parts(index) = &head.body else { return Ok((Vec::new(), false)) };
        let (data, index) = (head.data, index.clone());
        self.read(move |view| {
            let mut parts = Vec::new();
            let nexts = index.pages.iter().skip(1).map(|next| next.first_number).chain([u16::MAX]);
            for (number, next) in (0_u32..).zip(nexts).take(index.pages.len()) {
                if next <= after.saturating_add(1) {
                    continue; // every part of this page is at or before `after`
                }
                parts.extend(part_list(view, data, number)?.parts.into_iter().filter(|part| part.number > after));
                if parts.len() > limit {
                    parts.truncate(limit);
                    return Ok((parts, true));
                }
            }
            Ok((parts, false))
        })
        .await
    }

    /// The part of that number of a completed multipart object, and the offset in the object at which it begins. None where
    /// there is no such part, and for the object of a plain PUT.
    pub async fn object_part(&self, head: &ObjectHead, number: u16) -> Result<Option<(u64, Part)>, CatalogError> {
        let Body::Parts(index) = &head.body else { return Ok(None) };
        let pages = (0_u32..).zip(&index.pages);
        let Some((page, first)) = pages.take_while(|(_, page)| page.first_number <= number).last() else {
            return Ok(None);
        };
        let (data, mut offset) = (head.data, first.starts_at);
        self.read(move |view| {
            for part in part_list(view, data, page)?.parts {
                if part.number == number {
                    return Ok(Some((offset, part)));
                }
                offset += part.extent.bytes;
            }
            Ok(None)
        })
        .await
    }

    /// The sealed root of a multipart object's manifest, page by page as it was given at completion.
    pub async fn manifest_root(&self, head: &ObjectHead) -> Result<Vec<Bytes>, CatalogError> {
        let Body::Parts(index) = &head.body else { return Ok(Vec::new()) };
        let wanted = usize::try_from(index.root_pages).unwrap_or(usize::MAX);
        let range = KeyRange::prefix(&keys::roots(head.data));
        self.read(move |view| {
            let rows = view.scan(&range, wanted, Order::Ascending)?;
            if rows.len() != wanted {
                return Err(CatalogError::Inconsistent { what: "a manifest root that is gone" });
            }
            Ok(rows.into_iter().map(|found| Bytes::from(found.row.value)).collect())
        })
        .await
    }
}

fn part_list(view: &mut View<'_>, data: DataId, page: u32) -> Result<PartList, CatalogError> {
    let row = view.get_row(&keys::part_list_page(data, page))?;
    row.ok_or(CatalogError::Inconsistent { what: "a list of parts that is gone" })
}

fn part_spans(
    view: &mut View<'_>,
    data: DataId,
    index: &PartIndex,
    range: &Range<u64>,
) -> Result<Vec<Span>, CatalogError> {
    let mut spans = Vec::new();
    let ends = index.pages.iter().skip(1).map(|next| next.starts_at).chain([u64::MAX]);
    for ((number, page), end) in (0_u32..).zip(&index.pages).zip(ends) {
        if end <= range.start || page.starts_at >= range.end {
            continue;
        }
        let mut offset = page.starts_at;
        for part in part_list(view, data, number)?.parts {
            let (start, end) = (offset, offset + part.extent.bytes);
            offset = end;
            let within = range.start.max(start)..range.end.min(end);
            if !within.is_empty() {
                let range = within.start - start..within.end - start;
                spans.push(Span { part: part.number, extent: part.extent, range });
            }
        }
    }
    Ok(spans)
}
