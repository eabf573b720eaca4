//! Copies that nodes are to delete: moved away from, replaced, or stored by nobody's order. Each stays on the list until its
//! node has signed that it is deleted, has said that it does not have it, or its end is attested.

use std::collections::BTreeMap;

use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};
use serde::{Deserialize, Serialize};

use super::deletion::change_deletion;
use super::extent::ShardAt;
use super::garbage::Origin;
use super::{Catalog, CatalogError, keys};
use crate::state::{Held, IfLost, KeyRange, Order, Read, StoredRow, Tx, decode, require_lease};

/// Receipts that one row keeps: some 450 bytes each.
const RECEIPTS_PER_ROW: usize = 64;
/// Rows that are read, or deleted, at once.
const ROWS_AT_ONCE_MAX: usize = 900;

/// Why a copy is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidueCause {
    /// The law does not allow it where it is, or its node's place is contradicted.
    Unlawful,
    /// Its node is leaving.
    Drained,
    /// Its node was lost, and it was rebuilt elsewhere.
    Lost,
    /// It is damaged.
    Damaged,
    /// It was sent and not counted on: the put failed, or its answer did not come.
    Stray,
    /// What it belonged to was deleted.
    Deleted,
    /// Nothing in the catalog knows of it.
    Orphan,
}

impl ResidueCause {
    /// The name that people and programs are shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unlawful => "unlawful",
            Self::Drained => "drained",
            Self::Lost => "lost",
            Self::Damaged => "damaged",
            Self::Stray => "stray",
            Self::Deleted => "deleted",
            Self::Orphan => "orphan",
        }
    }
}

/// A copy that its node is to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residue {
    /// Whose it is: what its deletion is decided and logged by.
    pub origin: Origin,
    /// Since when it is to go.
    pub since: UnixMillis,
    /// Why.
    pub cause: ResidueCause,
}

impl StoredRow for Residue {
    const NAME: &'static str = "residue";
    const VERSION: u8 = 1;
}

/// A [`Residue`] with what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToDelete {
    /// Which copy.
    pub shard: ShardAt,
    /// What it is stored under.
    pub data: DataId,
    /// What is known of it.
    pub residue: Residue,
}

/// A copy that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// What it was stored under.
    pub data: DataId,
    /// Which.
    pub shard: ShardAt,
    /// The node's signed receipt; none where it said that it does not have the copy.
    pub receipt: Option<String>,
}

/// Receipts for copies that were deleted, as text. Kept for whoever asks what became of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptReceipts {
    pub(super) receipts: Vec<String>,
}

impl StoredRow for KeptReceipts {
    const NAME: &'static str = "deletion receipts";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// Which nodes have copies to delete.
    pub async fn nodes_with_residue(&self) -> Result<Vec<NodeId>, CatalogError> {
        self.read(move |view| {
            let mut nodes = Vec::new();
            let mut range = KeyRange::prefix(keys::RESIDUE);
            while let Some(found) = view.scan(&range, 1, Order::Ascending)?.pop() {
                let (node, _, _) = names(&found.key)?;
                range = range.after(&[&keys::residue_at(&node)[..], &[0xff; 48]].concat());
                nodes.push(node);
            }
            Ok(nodes)
        })
        .await
    }

    /// At most `limit` (and 900) copies that `node` is to delete, by data id: those behind `after`.
    pub async fn residue_of(
        &self,
        node: &NodeId,
        after: Option<(DataId, ShardCid)>,
        limit: usize,
    ) -> Result<Vec<ToDelete>, CatalogError> {
        let mut range = KeyRange::prefix(&keys::residue_at(node));
        if let Some((data, cid)) = after {
            range = range.after(&keys::residue(node, data, &cid));
        }
        let limit = limit.clamp(1, ROWS_AT_ONCE_MAX);
        self.read(move |view| {
            let rows = view.scan(&range, limit, Order::Ascending)?;
            rows.iter()
                .map(|found| {
                    let (node, data, cid) = names(&found.key)?;
                    Ok(ToDelete { shard: ShardAt { cid, node }, data, residue: decode(&found.row.value)? })
                })
                .collect()
        })
        .await
    }

    /// How many copies `node` is still to delete.
    pub async fn count_residue_of(&self, node: &NodeId) -> Result<u64, CatalogError> {
        let (mut count, mut after) = (0_u64, None);
        loop {
            let rows = self.residue_of(node, after, ROWS_AT_ONCE_MAX).await?;
            count = count.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
            match rows.last() {
                Some(last) if rows.len() == ROWS_AT_ONCE_MAX => after = Some((last.data, last.shard.cid)),
                _ => return Ok(count),
            }
        }
    }

    /// Orders copies to be deleted that nothing counts on.
    pub async fn order_deletions(&self, lease: &Held, orders: Vec<ToDelete>) -> Result<(), CatalogError> {
        for batch in orders.chunks(ROWS_AT_ONCE_MAX) {
            let (lease, batch) = (lease.clone(), batch.to_vec());
            self.write(IfLost::Repeat, move |tx| {
                require_lease(tx, &lease)?;
                batch.iter().try_for_each(|order| put_residue(tx, order.data, order.shard, &order.residue))
            })
            .await?;
        }
        Ok(())
    }

    /// Takes copies off the list that are gone, and keeps their receipts.
    pub async fn finish_deletions(&self, lease: &Held, gone: Vec<Gone>) -> Result<(), CatalogError> {
        for batch in gone.chunks(ROWS_AT_ONCE_MAX / 2) {
            let (lease, batch) = (lease.clone(), batch.to_vec());
            self.write(IfLost::Repeat, move |tx| {
                require_lease(tx, &lease)?;
                for gone in &batch {
                    let row = keys::residue(&gone.shard.node, gone.data, &gone.shard.cid);
                    if tx.get(&row)?.is_some() {
                        tx.delete(row)?;
                        change_deletion(tx, gone.data, |record| record.residue = record.residue.saturating_sub(1))?;
                    }
                }
                keep_receipts(tx, &batch)
            })
            .await?;
        }
        Ok(())
    }

    /// Keeps the receipts of what is gone of a page that is being swept.
    pub async fn keep_deletion_receipts(&self, lease: &Held, gone: Vec<Gone>) -> Result<(), CatalogError> {
        for batch in gone.chunks(ROWS_AT_ONCE_MAX) {
            let (lease, batch) = (lease.clone(), batch.to_vec());
            self.write(IfLost::Repeat, move |tx| {
                require_lease(tx, &lease)?;
                keep_receipts(tx, &batch)
            })
            .await?;
        }
        Ok(())
    }
}

/// Keeps the receipts for copies that are gone, many to a row. The same receipts make the same row.
fn keep_receipts(tx: &mut Tx<'_>, gone: &[Gone]) -> Result<(), CatalogError> {
    let mut by_body: BTreeMap<DataId, Vec<String>> = BTreeMap::new();
    for gone in gone {
        if let Some(receipt) = &gone.receipt {
            by_body.entry(gone.data).or_default().push(receipt.clone());
        }
    }
    for (data, receipts) in by_body {
        for receipts in receipts.chunks(RECEIPTS_PER_ROW) {
            let mut hasher = blake3::Hasher::new();
            for receipt in receipts {
                hasher.update(receipt.as_bytes());
            }
            let name = hasher.finalize();
            let name = name.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
            tx.put_row(keys::receipt(data, &name), &KeptReceipts { receipts: receipts.to_vec() })?;
        }
    }
    Ok(())
}

/// Writes the order to delete a copy.
pub(super) fn put_residue(
    tx: &mut Tx<'_>,
    data: DataId,
    shard: ShardAt,
    residue: &Residue,
) -> Result<(), CatalogError> {
    let row = keys::residue(&shard.node, data, &shard.cid);
    if tx.get(&row)?.is_none() {
        change_deletion(tx, data, |record| record.residue = record.residue.saturating_add(1))?;
    }
    Ok(tx.put_row(row, residue)?)
}

/// Node, data id and shard of a residue row's key.
fn names(key: &[u8]) -> Result<(NodeId, DataId, ShardCid), CatalogError> {
    let damaged = || CatalogError::Inconsistent { what: "a residue row's key" };
    let rest = key.strip_prefix(keys::RESIDUE).ok_or_else(damaged)?;
    let (node, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
    let (data, rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
    let cid = <[u8; 32]>::try_from(rest).map_err(|_| damaged())?;
    Ok((NodeId::from_public_key(*node), DataId::from_bytes(*data), ShardCid::from_digest(cid)))
}
