//! What a store holds for one gateway, page by page.

use std::ops::ControlFlow;

use domicile_node_protocol::{Holding, PAGE_ROWS_MAX};
use domicile_types::{DataId, NodeId, ShardCid};

use super::index::Index;
use super::rows::ShardState;
use crate::database::DatabaseError;

/// Claims that are looked at for one page, at the most: those of other gateways are passed over.
const SCANNED_MAX: usize = 50 * PAGE_ROWS_MAX;

/// A page of holdings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingsPage {
    /// In the order of shard and data id.
    pub holdings: Vec<Holding>,
    /// Where the next page begins (behind this); `None`: this is the last.
    pub next: Option<(ShardCid, DataId)>,
}

pub(super) fn page(
    index: &Index,
    gateway: &NodeId,
    after: Option<(ShardCid, DataId)>,
) -> Result<HoldingsPage, DatabaseError> {
    let (mut claims, mut last, mut scanned, mut more) = (Vec::new(), after, 0, false);
    index.claims_after(after.as_ref(), |key, claim| {
        if claims.len() >= PAGE_ROWS_MAX || scanned >= SCANNED_MAX {
            more = true;
            return ControlFlow::Break(());
        }
        scanned += 1;
        last = Some(key);
        if claim.gateway == *gateway {
            claims.push((key, claim));
        }
        ControlFlow::Continue(())
    })?;
    let mut holdings = Vec::with_capacity(claims.len());
    for ((cid, data), claim) in claims {
        // Deleted since the claims were read.
        let Some(shard) = index.shard(&cid)? else { continue };
        holdings.push(Holding {
            cid,
            data,
            bytes: u64::from(shard.shard_bytes),
            since: claim.time,
            ticket: claim.ticket,
            corrupt: shard.state == ShardState::Corrupt,
        });
    }
    Ok(HoldingsPage { holdings, next: last.filter(|_| more) })
}
