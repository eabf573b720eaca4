//! Where shards were, and when: who asks "where was this object on 3 May?" is answered from here.
//!
//! In the transaction that changes which nodes hold, or may hold, shards of a page, the change is added to the page's history;
//! in the one that changes a node's record, its place. Nothing of it is ever changed or deleted: that shards were somewhere
//! stays true when they are not there any more. A node's time with a page begins before the first shard is sent to it, and ends
//! when nothing counts on what it holds and its copies are ordered deleted, or are.

use std::collections::BTreeMap;

use domicile_types::{DataId, NodeId, Place, UnixMillis};
use serde::{Deserialize, Serialize};

use super::extent::{ExtentId, PageAt};
use super::{Catalog, CatalogError, keys};
use crate::state::{KeyRange, Order, Read, StoredRow, Tx, decode};

/// Changes of one row: 45 bytes each, and a row has 64 KiB at most.
const CHANGES_PER_ROW: usize = 1_000;
/// Rows read at once.
const ROWS_AT_ONCE: usize = 1_000;

/// Changes of a page's holders, oldest first: when, which node, whether it holds something since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Changes(Vec<(u64, [u8; 32], bool)>);

impl StoredRow for Changes {
    const NAME: &'static str = "history of a page";
    const VERSION: u8 = 1;
}

/// What one node held of a body in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Which node.
    pub node: NodeId,
    /// Where it was recorded to be in that time; none where no record says so.
    pub places: Vec<Place>,
    /// Of how many pages it held, or may have held, shards.
    pub pages: u64,
    /// Since when; it may be before the stretch.
    pub from: UnixMillis,
    /// Until when; none: still.
    pub until: Option<UnixMillis>,
}

/// Adds to a page's history who is not among its holders any more, and who is now.
pub(super) fn note_holders(
    tx: &mut Tx<'_>,
    at: PageAt,
    before: &[[u8; 32]],
    after: &[[u8; 32]],
) -> Result<(), CatalogError> {
    let now = tx.store_time().0;
    let gone = before.iter().filter(|node| !after.contains(node)).map(|node| (now, *node, false));
    let new = after.iter().filter(|node| !before.contains(node)).map(|node| (now, *node, true));
    let changes: Vec<_> = gone.chain(new).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let last = tx.scan(&KeyRange::prefix(&keys::page_history(at)), 1, Order::Descending)?.pop();
    let (number, mut row) = match last {
        Some(last) => {
            let number = last.key.last_chunk::<4>().map_or(0, |number| u32::from_be_bytes(*number));
            (number, decode::<Changes>(&last.row.value)?)
        }
        None => (0, Changes::default()),
    };
    if row.0.len().saturating_add(changes.len()) > CHANGES_PER_ROW && !row.0.is_empty() {
        return Ok(tx.put_row(keys::page_history_row(at, number.saturating_add(1)), &Changes(changes))?);
    }
    row.0.extend(changes);
    Ok(tx.put_row(keys::page_history_row(at, number), &row)?)
}

/// Remembers that an extent is, or was, part of a body.
pub(super) fn note_extent(tx: &mut Tx<'_>, data: DataId, extent: ExtentId) -> Result<(), CatalogError> {
    Ok(tx.put(keys::body_extent(data, extent), Vec::new())?)
}

/// Adds to a node's history where its record says that it is from now on.
pub(super) fn note_place(tx: &mut Tx<'_>, node: &NodeId, place: Place) -> Result<(), CatalogError> {
    let last = tx.scan(&KeyRange::prefix(&keys::places_of(node)), 1, Order::Descending)?.pop();
    let place = place.to_string().into_bytes();
    if last.is_some_and(|last| last.row.value == place) {
        return Ok(());
    }
    let now = tx.store_time();
    Ok(tx.put(keys::place_since(node, now), place)?)
}

impl Catalog {
    /// Which nodes held, or may have held, shards of a body at any time from `from` on and before `to`; by node.
    pub async fn holders_between(
        &self,
        data: DataId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Holding>, CatalogError> {
        let mut found: BTreeMap<NodeId, Holding> = BTreeMap::new();
        let mut extents = KeyRange::prefix(&keys::body_extents(data));
        loop {
            let range = extents.clone();
            let rows = self.read(move |view| Ok(view.scan(&range, ROWS_AT_ONCE, Order::Ascending)?)).await?;
            for row in &rows {
                let extent = row.key.last_chunk::<16>().copied();
                let extent = extent.ok_or(CatalogError::Inconsistent { what: "an extent of a body" })?;
                self.add_holders(ExtentId::from_bytes(extent), (from, to), &mut found).await?;
            }
            match rows.last() {
                Some(last) if rows.len() == ROWS_AT_ONCE => extents = extents.after(&last.key),
                _ => break,
            }
        }
        let mut holdings: Vec<Holding> = found.into_values().collect();
        for holding in &mut holdings {
            let begin = holding.from.max(from);
            let end = holding.until.unwrap_or(to).min(to);
            holding.places = self.places_between(holding.node, begin, end).await?;
        }
        Ok(holdings)
    }

    async fn add_holders(
        &self,
        extent: ExtentId,
        (from, to): (UnixMillis, UnixMillis),
        found: &mut BTreeMap<NodeId, Holding>,
    ) -> Result<(), CatalogError> {
        let mut range = KeyRange::prefix(&keys::extent_history(extent));
        let mut page = None;
        let mut open: BTreeMap<[u8; 32], UnixMillis> = BTreeMap::new();
        let mut spans = Vec::new();
        loop {
            let next = range.clone();
            let rows = self.read(move |view| Ok(view.scan(&next, ROWS_AT_ONCE, Order::Ascending)?)).await?;
            for row in &rows {
                let of = row.key.get(..row.key.len().saturating_sub(4)).map(<[u8]>::to_vec);
                if of != page {
                    spans.extend(std::mem::take(&mut open).into_iter().map(|(node, since)| (node, since, None)));
                    page = of;
                }
                for (time, node, holds) in decode::<Changes>(&row.row.value)?.0 {
                    match holds {
                        true => drop(open.entry(node).or_insert(UnixMillis(time))),
                        false => {
                            spans.extend(open.remove(&node).map(|since| (node, since, Some(UnixMillis(time)))));
                        }
                    }
                }
            }
            match rows.last() {
                Some(last) if rows.len() == ROWS_AT_ONCE => range = range.after(&last.key),
                _ => break,
            }
        }
        spans.extend(open.into_iter().map(|(node, since)| (node, since, None)));
        for (node, since, until) in spans {
            if since < to && until.is_none_or(|until| until > from) {
                let node = NodeId::from_public_key(node);
                let new = Holding { node, places: Vec::new(), pages: 0, from: since, until: Some(UnixMillis(0)) };
                let holding = found.entry(node).or_insert(new);
                holding.pages = holding.pages.saturating_add(1);
                holding.from = holding.from.min(since);
                holding.until = holding.until.and_then(|known| until.map(|until| known.max(until)));
            }
        }
        Ok(())
    }

    async fn places_between(&self, node: NodeId, from: UnixMillis, to: UnixMillis) -> Result<Vec<Place>, CatalogError> {
        self.read(move |view| {
            let rows = view.scan(&KeyRange::prefix(&keys::places_of(&node)), ROWS_AT_ONCE, Order::Ascending)?;
            let (mut before, mut during) = (None, Vec::new());
            for row in &rows {
                let since = row.key.last_chunk::<8>().map_or(0, |since| u64::from_be_bytes(*since));
                let text = String::from_utf8_lossy(&row.row.value);
                let place = Place::parse(&text);
                let place = place.map_err(|_| CatalogError::Inconsistent { what: "a place of a node's history" })?;
                if since <= from.0 {
                    before = Some(place);
                } else if since < to.0 {
                    during.push(place);
                }
            }
            let mut places: Vec<Place> = before.into_iter().chain(during).collect();
            places.sort_unstable();
            places.dedup();
            Ok(places)
        })
        .await
    }
}
