//! Shards that nodes hold and the catalog knows nothing of: left by crashes in between, restored backups, faults.
//!
//! A node is asked first what it holds, and then the index is read: where a shard will be is recorded before it is sent, so what
//! a node holds already and the index does not name is nobody's. No clock is compared. Each is ordered deleted like any residue.

use std::collections::BTreeSet;
use std::time::Duration;

use domicile_node_protocol::Holding;
use domicile_placement::NodeState;
use domicile_types::{DataId, NodeId, PackId, ShardCid};

use super::{RepairError, lease};
use crate::admin::with_causes;
use crate::catalog::{Origin, Residue, ResidueCause, ShardAt, ToDelete};
use crate::objects::{Error, Gateway};

/// How often every node is asked.
const INTERVAL: Duration = Duration::from_secs(6 * 3_600);
/// How long after its start a gateway asks for the first time.
const FIRST: Duration = Duration::from_secs(600);
/// Holdings that are compared with the index at once: some 10 MB of names.
const COMPARED_AT_ONCE: usize = 100_000;
/// Pages of the index that are read at once.
const INDEX_AT_ONCE: usize = 500;

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    tokio::time::sleep(FIRST).await;
    loop {
        if let Err(error) = gateway.sweep_orphans().await {
            tracing::warn!(error = with_causes(&error), "the search for orphans was put off");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Gateway {
    /// Compares what every node in reach holds with what it should; orders the rest deleted. How many that were.
    pub(crate) async fn sweep_orphans(&self) -> Result<u64, RepairError> {
        let mut found = 0_u64;
        for standing in self.directory.standings() {
            if matches!(standing.state, NodeState::Offline | NodeState::Lost) {
                continue;
            }
            let node = standing.enrolled.id;
            match self.orphans_at(node).await {
                Ok(count) => found = found.saturating_add(count),
                Err(error) => tracing::debug!(%node, error = with_causes(&error), "a node was not compared"),
            }
        }
        Ok(found)
    }

    async fn orphans_at(&self, node: NodeId) -> Result<u64, RepairError> {
        let (mut found, mut after) = (0_u64, None);
        loop {
            let mut held: BTreeSet<(DataId, ShardCid)> = BTreeSet::new();
            let mut bytes = std::collections::BTreeMap::new();
            while held.len() < COMPARED_AT_ONCE {
                let page = self.nodes.holdings(node, after.as_deref()).await;
                let page = page.map_err(|error| Error::Unavailable(error.to_string()))?;
                for Holding { cid, data, bytes: length, .. } in page.holdings {
                    held.insert((data, cid));
                    bytes.insert((data, cid), length);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            self.strike_known(node, &mut held).await?;
            if !held.is_empty() {
                let garbage: u64 = held.iter().filter_map(|key| bytes.get(key)).sum();
                tracing::warn!(%node, shards = held.len(), bytes = garbage, "shards that nothing counts on");
                found = found.saturating_add(u64::try_from(held.len()).unwrap_or(u64::MAX));
                self.order_orphans(node, held).await?;
            }
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Takes out of `held` what the index, or an order to delete, names.
    async fn strike_known(&self, node: NodeId, held: &mut BTreeSet<(DataId, ShardCid)>) -> Result<(), RepairError> {
        let mut after = None;
        while !held.is_empty() {
            let pages = self.catalog.pages_of_node(&node, after, INDEX_AT_ONCE).await?;
            after = pages.last().copied();
            for at in &pages {
                // Of bodies that are being written, and of garbage, the page is there as well.
                for (data, shard) in self.catalog.named_by(*at).await? {
                    if shard.node == node {
                        match data {
                            Some(data) => drop(held.remove(&(data, shard.cid))),
                            None => held.retain(|(_, cid)| *cid != shard.cid),
                        }
                    }
                }
            }
            if pages.len() < INDEX_AT_ONCE {
                break;
            }
        }
        let mut after = None;
        while !held.is_empty() {
            let orders = self.catalog.residue_of(&node, after, INDEX_AT_ONCE).await?;
            for order in &orders {
                held.remove(&(order.data, order.shard.cid));
            }
            match orders.last() {
                Some(last) if orders.len() == INDEX_AT_ONCE => after = Some((last.data, last.shard.cid)),
                _ => break,
            }
        }
        Ok(())
    }

    async fn order_orphans(&self, node: NodeId, held: BTreeSet<(DataId, ShardCid)>) -> Result<(), RepairError> {
        let held_lease = lease(self).await?;
        let mut orders = Vec::with_capacity(held.len());
        for (data, cid) in held {
            let claim = self.catalog.claims(data).await?.into_iter().next();
            let origin = match claim {
                Some(claim) => claim.origin,
                None => self.nobodys()?,
            };
            let residue = Residue { origin, since: self.clock.now(), cause: ResidueCause::Orphan };
            orders.push(ToDelete { shard: ShardAt { cid, node }, data, residue });
        }
        Ok(self.catalog.order_deletions(&held_lease, orders).await?)
    }

    /// What the deletion is decided by of shards that nobody knows: every pack of this gateway.
    fn nobodys(&self) -> Result<Origin, RepairError> {
        let mut packs: Vec<PackId> = self.config.regions.iter().flat_map(|region| region.packs.clone()).collect();
        packs.sort_unstable();
        packs.dedup();
        let name = |error: domicile_types::ParseError| Error::Unavailable(error.to_string());
        Ok(Origin {
            tenant: domicile_types::TenantId::parse("domicile").map_err(name)?,
            bucket: domicile_types::BucketName::parse("orphans").map_err(name)?,
            region: self.config.default_region.clone(),
            packs,
        })
    }
}
