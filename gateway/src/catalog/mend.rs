//! The catalog's half of a repair: where new copies will be is recorded before they are sent, and a page counts on them only
//! once they are durable, in one transaction with the order to delete the old ones.
//!
//! Each step is under the repairer's lease, and sees the page as it is then: a page that became garbage, or was moved by
//! another, refuses.

use domicile_types::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::extent::{ExtentPage, PageAt, ShardAt, StoredPage};
use super::holders::{Mendable, forget_damages, index_holders, mendable};
use super::judging::{JudgingEpoch, still_judged_by};
use super::put::fits;
use super::residue::{Residue, ResidueCause, put_residue};
use super::{Catalog, CatalogError, keys};
use crate::state::{Held, IfLost, Read, Tx, encode, limits, require_lease};

/// One shard that has a new holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where the page counts on it, by segment of the page and index.
    pub segment: usize,
    /// Index in the segment.
    pub shard: usize,
    /// Where it was.
    pub from: ShardAt,
    /// Where it is, durably.
    pub to: ShardAt,
    /// Why it moved: what the old holder's copy is to be deleted for.
    pub cause: ResidueCause,
}

/// Whether new copies may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Announced {
    /// They may: it is recorded where they will be.
    Recorded,
    /// The page, or what it is under, is not any more what was judged: judge and plan again.
    Changed,
    /// These nodes are still to delete a copy of the same shard, and the order might reach them after the new copy: choose
    /// others.
    BeingDeleted(Vec<NodeId>),
}

impl Catalog {
    /// Records, before anything is sent, that copies of a page's shards may come to lie at `targets`.
    ///
    /// # Errors
    /// [`CatalogError::Lease`] when `lease` is lost; [`CatalogError::JudgedBefore`] when the law has changed since.
    pub async fn announce_copies(
        &self,
        lease: &Held,
        judged: &Mendable,
        by: JudgingEpoch,
        targets: Vec<ShardAt>,
    ) -> Result<Announced, CatalogError> {
        let (lease, judged) = (lease.clone(), judged.clone());
        self.write(IfLost::Repeat, move |tx| {
            require_lease(tx, &lease)?;
            still_judged_by(tx, by)?;
            let Some(present) = mendable(tx, judged.at)? else { return Ok(Announced::Changed) };
            if present.claims != judged.claims || present.page.segments != judged.page.segments {
                return Ok(Announced::Changed);
            }
            let mut page = present.page;
            let mut busy = Vec::new();
            for target in &targets {
                if tx.get(&keys::residue(&target.node, judged.data, &target.cid))?.is_some() {
                    busy.push(target.node);
                }
                if !page.strays.contains(target) {
                    page.strays.push(*target);
                }
            }
            if !busy.is_empty() {
                return Ok(Announced::BeingDeleted(busy));
            }
            rewrite(tx, judged.at, &page).map(|()| Announced::Recorded)
        })
        .await
    }

    /// Counts on the new copies of `moves` from now on, orders the old ones deleted, and so what of `given_up` may lie
    /// where it was not kept. False, and nothing changed, where the page is not any more what `judged` says.
    ///
    /// # Errors
    /// [`CatalogError::Lease`] when `lease` is lost; [`CatalogError::JudgedBefore`] when the law has changed since.
    pub async fn commit_moves(
        &self,
        lease: &Held,
        judged: &Mendable,
        by: JudgingEpoch,
        moves: Vec<Move>,
        given_up: Vec<(ShardAt, ResidueCause)>,
        now: UnixMillis,
    ) -> Result<bool, CatalogError> {
        let (lease, judged) = (lease.clone(), judged.clone());
        self.write(IfLost::Repeat, move |tx| {
            require_lease(tx, &lease)?;
            still_judged_by(tx, by)?;
            let Some(Mendable { claims, mut page, data, .. }) = mendable(tx, judged.at)? else { return Ok(false) };
            if claims != judged.claims || !apply(&mut page, &moves) {
                return Ok(false);
            }
            let moved = moves.iter().map(|moved| (moved.from, moved.cause));
            let dropped: Vec<(ShardAt, ResidueCause)> = moved.chain(given_up.iter().copied()).collect();
            page.strays.retain(|stray| {
                let counted = page.segments.iter().flatten().any(|held| held == stray);
                !counted && !dropped.iter().any(|(shard, _)| shard == stray)
            });
            let Some(origin) = claims.first().map(|claim| claim.origin.clone()) else { return Ok(false) };
            for (shard, cause) in dropped {
                // Whole copies share a name: what the page counts on at that node stays.
                if !page.shards().any(|kept| kept == shard) {
                    let residue = Residue { origin: origin.clone(), since: now, cause };
                    put_residue(tx, data, shard, &residue)?;
                }
            }
            forget_damages(tx, judged.at, &page)?;
            rewrite(tx, judged.at, &page).map(|()| true)
        })
        .await
    }
}

/// Puts every move into the page, if each shard is where the move says that it was.
fn apply(page: &mut ExtentPage, moves: &[Move]) -> bool {
    moves.iter().all(|moved| {
        let slot = page.segments.get_mut(moved.segment).and_then(|shards| shards.get_mut(moved.shard));
        match slot {
            Some(slot) if *slot == moved.from && moved.to.cid == moved.from.cid => {
                *slot = moved.to;
                true
            }
            _ => false,
        }
    })
}

/// Writes a page with shards elsewhere than before, and brings the index along.
fn rewrite(tx: &mut Tx<'_>, at: PageAt, page: &ExtentPage) -> Result<(), CatalogError> {
    let key = keys::extent_page(at.extent, at.page);
    let gone = CatalogError::Inconsistent { what: "a page that is gone while it is written" };
    let stored: StoredPage = tx.get_row(&key)?.ok_or(gone)?;
    let before = stored.nodes().to_vec();
    let stored = stored.relocated(page);
    index_holders(tx, at, &before, stored.nodes())?;
    let value = encode(&stored)?;
    fits("an extent page", value.len(), limits::VALUE_BYTES_MAX)?;
    Ok(tx.put(key, value)?)
}
