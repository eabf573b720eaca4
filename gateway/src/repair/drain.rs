//! Emptying a node in good order: ordered by a person, done by the repair worker, ended with a statement.
//!
//! A node that drains serves what it has and gets nothing new. Its shards are copied to others; what it held before is
//! deleted with receipts. When nothing counts on it and nothing is left to delete, the node is asked what it holds; the
//! statement says so, is logged, and is kept until the node is put back into service.

use domicile_compliance::audit::Event;
use domicile_placement::NodeState;
use domicile_types::{FleetChange, NodeId, OperatorId, RequestId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::RepairError;
use crate::catalog::Gone;
use crate::objects::{Caller, Error, Gateway};

/// Orders that are struck off in one step.
const ATTESTED_AT_ONCE: usize = 400;

/// How far a node is emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct DrainView {
    /// Which node.
    #[schemars(with = "String")]
    pub(crate) node: NodeId,
    /// Its state.
    pub(crate) state: String,
    /// Pages of segments of which it holds, or may hold, shards.
    pub(crate) pages: u64,
    /// Copies that it is still to delete.
    pub(crate) to_delete: u64,
    /// What was stated when it was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) statement: Option<LeavingStatement>,
}

/// The end of a drain: nothing counts on the node any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LeavingStatement {
    /// Which node.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Who runs it.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// Whose shards it held.
    #[schemars(with = "String")]
    pub gateway: NodeId,
    /// When nothing was left.
    #[schemars(with = "u64")]
    pub time: UnixMillis,
    /// Live shards by its own account, of all gateways; absent where it did not answer.
    pub shards: Option<u64>,
    /// Shards that it has ever deleted, by its own account.
    pub deleted: Option<u64>,
}

impl Gateway {
    /// Orders a node emptied, or with `leaving` false puts it back into service.
    pub(crate) async fn drain(&self, caller: &Caller, node: &NodeId, leaving: bool) -> Result<(), Error> {
        self.order_node(
            caller,
            node,
            if leaving { FleetChange::Draining } else { FleetChange::NodeChanged },
            move |it| {
                it.orders.drain = leaving;
            },
        )
        .await?;
        if !leaving {
            self.catalog.put_statement(node, None).await?;
        }
        self.repairs.wake();
        Ok(())
    }

    /// Takes somebody's word for it that a node which cannot be reached any more holds nothing: what it was still to delete is
    /// struck off. Logged with who said so before. Returns how many copies that were.
    pub(crate) async fn attest_end(&self, caller: &Caller, node: &NodeId) -> Result<u64, Error> {
        let count = self.catalog.count_residue_of(node).await?;
        self.order_node(caller, node, FleetChange::Left, |_| {}).await?;
        loop {
            let orders = self.catalog.residue_of(node, None, ATTESTED_AT_ONCE).await?;
            if orders.is_empty() {
                return Ok(count);
            }
            let gone = orders.into_iter().map(|order| Gone { data: order.data, shard: order.shard, receipt: None });
            let lease = super::lease(self).await?;
            self.catalog.finish_deletions(&lease, gone.collect()).await?;
        }
    }

    /// How far a node is emptied.
    pub(crate) async fn drained(&self, node: &NodeId) -> Result<DrainView, Error> {
        let standings = self.directory.standings();
        let standing = standings.into_iter().find(|standing| standing.enrolled.id == *node);
        let standing = standing.ok_or_else(|| Error::InvalidArgument(format!("no node {node} is enrolled")))?;
        Ok(DrainView {
            node: *node,
            state: format!("{:?}", standing.state).to_lowercase(),
            pages: self.catalog.count_pages_of_node(node).await?,
            to_delete: self.catalog.count_residue_of(node).await?,
            statement: self.catalog.statement(node).await?,
        })
    }
}

/// States the end of drains that are done.
pub(super) async fn state_ends(gateway: &Gateway) -> Result<(), RepairError> {
    for standing in gateway.directory.standings() {
        let node = standing.enrolled.id;
        if standing.state != NodeState::Draining || gateway.catalog.statement(&node).await?.is_some() {
            continue;
        }
        let holds = !gateway.catalog.pages_of_node(&node, None, 1).await?.is_empty()
            || !gateway.catalog.residue_of(&node, None, 1).await?.is_empty();
        if holds {
            continue;
        }
        let status = gateway.nodes.status(node).await.ok();
        let statement = LeavingStatement {
            node,
            operator: standing.enrolled.operator.clone(),
            gateway: gateway.identity,
            time: gateway.clock.now(),
            shards: status.as_ref().map(|status| status.shards),
            deleted: status.as_ref().map(|status| status.deleted.requests),
        };
        let canonical = serde_json::to_vec(&statement).unwrap_or_default();
        let event = Event::Fleet {
            what: FleetChange::Left,
            operator: Some(statement.operator.clone()),
            node: Some(node),
            reasons: vec!["drained".to_owned()],
            record: Some(blake3::hash(&canonical).to_hex().to_string()),
            by: None,
        };
        let request = RequestId::from_bytes(gateway.clock.random());
        gateway.log.note(request, event).await.map_err(|error| Error::LogUnavailable(Box::new(error)))?;
        gateway.catalog.put_statement(&node, Some(statement)).await?;
        tracing::info!(%node, "a drained node holds nothing any more");
    }
    Ok(())
}
