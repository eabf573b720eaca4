//! Who holds what: the index of pages by node, and all that a repair must know of a page, without a key.

use domicile_types::{CodeProfile, DataId, NodeId, ShardCid};
use serde::{Deserialize, Serialize};

use super::claim::{Claim, distinct_claims};
use super::extent::{Extent, ExtentPage, PageAt, ShardAt, StoredPage};
use super::history::{note_extent, note_holders};
use super::{Catalog, CatalogError, compact, keys};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, Tx, decode};

/// Index rows that one scan reads: a key of 53 bytes each.
const INDEX_ROWS_MAX: usize = 10_000;
/// Damaged shards of one page that are remembered: no page has more.
const DAMAGED_MAX: usize = 1_000;

/// What a repair must know of an extent: written when the extent becomes part of something, gone with its last page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    #[serde(with = "compact::data_id")]
    data: DataId,
    part: u16,
    extent: Extent,
}

impl StoredRow for Known {
    const NAME: &'static str = "known extent";
    const VERSION: u8 = 1;
}

/// Shards of a page that are known to be damaged where they lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Damaged {
    shards: Vec<([u8; 32], [u8; 32])>,
}

impl StoredRow for Damaged {
    const NAME: &'static str = "damaged shards";
    const VERSION: u8 = 1;
}

/// A page of a body that somebody needs, with what its repair is decided and planned by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mendable {
    /// Which page.
    pub at: PageAt,
    /// The shape of its extent.
    pub extent: Extent,
    /// What its shards are stored under.
    pub data: DataId,
    /// The part that the extent is; 0 for a body put whole.
    pub part: u16,
    /// Every different claim on the body: all must allow what is done.
    pub claims: Vec<Claim>,
    /// Where its shards lie; without its sealed records.
    pub page: ExtentPage,
    /// Which of them are damaged.
    pub damaged: Vec<ShardAt>,
}

impl Mendable {
    /// The segments of the page: position on the page, position in the extent, plaintext bytes, and shards in order.
    pub fn segments(&self) -> impl Iterator<Item = (usize, u64, u64, &[ShardAt])> + '_ {
        let first = u64::from(self.at.page) * u64::from(self.extent.segments_per_page.max(1));
        (0_usize..).zip(first..).zip(&self.page.segments).map(|((place, index), shards)| {
            (place, index, self.extent.segment_plaintext_bytes(index), shards.as_slice())
        })
    }

    /// The code of a segment of so many shards: one too short to be cut is kept in whole copies.
    #[must_use]
    pub fn profile_of(&self, shards: usize) -> Option<CodeProfile> {
        let coded = self.extent.profile;
        [coded, coded.whole_copies()].into_iter().find(|profile| profile.n() == shards)
    }
}

impl Catalog {
    /// At most `limit` (and 10,000) pages of which `node` holds, or may hold, shards: those behind `after`. Pages of garbage and
    /// of bodies that are being written are among them.
    pub async fn pages_of_node(
        &self,
        node: &NodeId,
        after: Option<PageAt>,
        limit: usize,
    ) -> Result<Vec<PageAt>, CatalogError> {
        let mut range = KeyRange::prefix(&keys::held_by(node));
        if let Some(after) = after {
            range = range.after(&keys::held_page(node.public_key(), after));
        }
        let limit = limit.clamp(1, INDEX_ROWS_MAX);
        self.read(move |view| {
            let rows = view.scan(&range, limit, Order::Ascending)?;
            rows.iter().map(|found| PageAt::from_key(&found.key)).collect()
        })
        .await
    }

    /// Of how many pages `node` holds, or may hold, shards.
    pub async fn count_pages_of_node(&self, node: &NodeId) -> Result<u64, CatalogError> {
        let (mut count, mut after) = (0_u64, None);
        loop {
            let pages = self.pages_of_node(node, after, INDEX_ROWS_MAX).await?;
            count = count.saturating_add(u64::try_from(pages.len()).unwrap_or(u64::MAX));
            match pages.last() {
                Some(last) if pages.len() == INDEX_ROWS_MAX => after = Some(*last),
                _ => return Ok(count),
            }
        }
    }

    /// At most `limit` (and 10,000) pages of all extents, those behind `after`, whoever holds them: for a look at everything.
    pub async fn all_pages(&self, after: Option<PageAt>, limit: usize) -> Result<Vec<PageAt>, CatalogError> {
        let mut range = KeyRange::prefix(keys::EXTENT_PAGES);
        if let Some(PageAt { extent, page }) = after {
            range = range.after(&keys::extent_page(extent, page));
        }
        let limit = limit.clamp(1, INDEX_ROWS_MAX);
        self.read(move |view| {
            let rows = view.scan(&range, limit, Order::Ascending)?;
            rows.iter().map(|found| PageAt::from_key(&found.key)).collect()
        })
        .await
    }

    /// At most `limit` (and 10,000) pages that have damaged shards, those behind `after`.
    pub async fn damaged_pages(&self, after: Option<PageAt>, limit: usize) -> Result<Vec<PageAt>, CatalogError> {
        let mut range = KeyRange::prefix(keys::DAMAGED);
        if let Some(after) = after {
            range = range.after(&keys::damaged(after));
        }
        let limit = limit.clamp(1, INDEX_ROWS_MAX);
        self.read(move |view| {
            let rows = view.scan(&range, limit, Order::Ascending)?;
            rows.iter().map(|found| PageAt::from_key(&found.key)).collect()
        })
        .await
    }

    /// What a repair of the page must know. None where nobody needs it: it is garbage, being written, or gone.
    pub async fn mendable(&self, at: PageAt) -> Result<Option<Mendable>, CatalogError> {
        self.read(move |view| mendable(view, at)).await
    }

    /// Every shard that a page names, counted on or not, with its data id where that is known: a body that is being written, or
    /// was given up, may have no row that says it.
    pub async fn named_by(&self, at: PageAt) -> Result<Vec<(Option<DataId>, ShardAt)>, CatalogError> {
        self.read(move |view| {
            let known: Option<Known> = view.get_row(&keys::extent_known(at.extent))?;
            let data = known.map(|known| known.data);
            let Some(stored) = view.get_row::<StoredPage>(&keys::extent_page(at.extent, at.page))? else {
                return Ok(Vec::new());
            };
            Ok(stored.into_page(None)?.shards().map(|shard| (data, shard)).collect())
        })
        .await
    }

    /// Every different claim on a body; none for one that nobody needs.
    pub async fn claims(&self, data: DataId) -> Result<Vec<Claim>, CatalogError> {
        self.read(move |view| distinct_claims(view, data)).await
    }

    /// Loses a page, as a restored backup would.
    #[cfg(test)]
    pub(crate) async fn forget_page(&self, at: PageAt) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let row = keys::extent_page(at.extent, at.page);
            let nodes = tx.get_row::<StoredPage>(&row)?.map(|stored| stored.nodes().to_vec()).unwrap_or_default();
            index_holders(tx, at, &nodes, &[])?;
            Ok(tx.delete(row)?)
        })
        .await
    }

    /// Notes that a shard of an extent is damaged where it lies. Whether a page that counts on it was found.
    pub async fn note_damaged(&self, at: PageAt, shard: ShardAt) -> Result<bool, CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let Some(stored) = tx.get_row::<StoredPage>(&keys::extent_page(at.extent, at.page))? else {
                return Ok(false);
            };
            if !stored.into_page(None)?.segments.iter().flatten().any(|held| *held == shard) {
                return Ok(false);
            }
            let row = keys::damaged(at);
            let mut damaged: Damaged = tx.get_row(&row)?.unwrap_or_default();
            let entry = (compact::cid_bytes(&shard.cid), compact::node_bytes(&shard.node));
            if !damaged.shards.contains(&entry) && damaged.shards.len() < DAMAGED_MAX {
                damaged.shards.push(entry);
                tx.put_row(row, &damaged)?;
            }
            Ok(true)
        })
        .await
    }
}

/// What a repair of the page must know; see [`Catalog::mendable`].
pub(super) fn mendable(read: &mut impl Read, at: PageAt) -> Result<Option<Mendable>, CatalogError> {
    let Some(Known { data, part, extent }) = read.get_row(&keys::extent_known(at.extent))? else { return Ok(None) };
    let claims = distinct_claims(read, data)?;
    if claims.is_empty() {
        return Ok(None);
    }
    let Some(row) = read.get(&keys::extent_page(at.extent, at.page))? else { return Ok(None) };
    let page = decode::<StoredPage>(&row.value)?.into_page(None)?;
    let damaged = damaged_of(read, at)?;
    Ok(Some(Mendable { at, extent, data, part, claims, page, damaged }))
}

fn damaged_of(read: &mut impl Read, at: PageAt) -> Result<Vec<ShardAt>, CatalogError> {
    let damaged: Damaged = read.get_row(&keys::damaged(at))?.unwrap_or_default();
    let shard = |(cid, node)| ShardAt { cid: ShardCid::from_digest(cid), node: NodeId::from_public_key(node) };
    Ok(damaged.shards.into_iter().map(shard).collect())
}

/// Keeps of the damages of a page those that the page still counts on.
pub(super) fn forget_damages(tx: &mut Tx<'_>, at: PageAt, page: &ExtentPage) -> Result<(), CatalogError> {
    let damaged = damaged_of(tx, at)?;
    if damaged.is_empty() {
        return Ok(());
    }
    let counted = |shard: &&ShardAt| page.segments.iter().flatten().any(|held| held == *shard);
    let left = damaged.iter().filter(counted);
    let shards: Vec<_> = left.map(|shard| (compact::cid_bytes(&shard.cid), compact::node_bytes(&shard.node))).collect();
    match shards.is_empty() {
        true => Ok(tx.delete(keys::damaged(at))?),
        false => Ok(tx.put_row(keys::damaged(at), &Damaged { shards })?),
    }
}

/// Remembers the shape of an extent that is now part of something.
pub(super) fn put_known(tx: &mut Tx<'_>, data: DataId, part: u16, extent: &Extent) -> Result<(), CatalogError> {
    note_extent(tx, data, extent.id)?;
    Ok(tx.put_row(keys::extent_known(extent.id), &Known { data, part, extent: extent.clone() })?)
}

/// Brings the index of a page's holders from `before` to `after`, and adds the change to the page's history.
pub(super) fn index_holders(
    tx: &mut Tx<'_>,
    at: PageAt,
    before: &[[u8; 32]],
    after: &[[u8; 32]],
) -> Result<(), CatalogError> {
    note_holders(tx, at, before, after)?;
    for gone in before.iter().filter(|node| !after.contains(node)) {
        tx.delete(keys::held_page(gone, at))?;
    }
    for new in after.iter().filter(|node| !before.contains(node)) {
        tx.put(keys::held_page(new, at), Vec::new())?;
    }
    Ok(())
}
