//! Copies that are to be deleted: asked of their nodes until each has signed that it did, or has said that it does not have it.
//!
//! Whoever enrolled a node may have its shards deleted wherever it is, so the ticket also names the place that the node itself
//! claims: a node that moved abroad can still be told to delete. A node that does not answer keeps its orders; they are what
//! may still lie there.

use std::collections::BTreeMap;
use std::time::Duration;

use domicile_node_protocol::RefusalCode;
use domicile_placement::NodeState;
use domicile_types::{
    Classification, DataId, NodeId, OperationKind, OutcomeStatus, Place, RequestId, SubjectFacts, UnixMillis,
};

use super::{RepairError, Tally};
use crate::admin::with_causes;
use crate::catalog::{Gone, Origin, ResidueCause, ToDelete};
use crate::fleet::Ticketed;
use crate::objects::{Error, Gateway, Matter, Scope};
use crate::state::{Held, LeaseName};

/// How often the list is looked at.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// How long the lease is taken for.
const LEASE_MILLIS: u64 = 60_000;
/// How long a copy stays that may have been read when it was moved from.
const GRACE_MILLIS: u64 = 5_000;
/// Orders that one node is given at once.
const ORDERS_AT_ONCE: usize = 256;
/// How long a node that did not answer, or is away, is left alone.
const RETRY_MILLIS: u64 = 30_000;

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let mut retry: BTreeMap<NodeId, UnixMillis> = BTreeMap::new();
    loop {
        match round(&gateway, &mut retry).await {
            Ok(true) => gateway.repairs.wake(),
            Ok(false) => tokio::time::sleep(IDLE_INTERVAL).await,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "deletions put off");
                tokio::time::sleep(IDLE_INTERVAL).await;
            }
        }
    }
}

/// Gives every node in reach some of its orders. Whether any was carried out.
pub(crate) async fn round(gateway: &Gateway, retry: &mut BTreeMap<NodeId, UnixMillis>) -> Result<bool, RepairError> {
    let mut done = false;
    for node in gateway.catalog.nodes_with_residue().await? {
        let now = gateway.clock.now();
        if retry.get(&node).is_some_and(|until| *until > now) {
            continue;
        }
        let mut orders = gateway.catalog.residue_of(&node, None, ORDERS_AT_ONCE).await?;
        // Reads that began before the move end well. From where it is unlawful nobody reads.
        let ripe = |order: &ToDelete| {
            order.residue.cause == ResidueCause::Unlawful || now.millis_since(order.residue.since) >= GRACE_MILLIS
        };
        orders.retain(ripe);
        if orders.is_empty() {
            continue;
        }
        let (carried_out, all) = carry_out(gateway, node, orders).await?;
        done |= carried_out;
        if !all {
            retry.insert(node, now.plus_millis(RETRY_MILLIS));
        }
    }
    Ok(done)
}

/// Has a node delete copies, those of each body under a decision of their own. Whether some, and whether all are gone.
async fn carry_out(gateway: &Gateway, node: NodeId, orders: Vec<ToDelete>) -> Result<(bool, bool), RepairError> {
    let Some(facts) = facts(gateway, node) else { return Ok((false, false)) };
    let mut by_body: BTreeMap<DataId, Vec<ToDelete>> = BTreeMap::new();
    orders.into_iter().for_each(|order| by_body.entry(order.data).or_default().push(order));
    let (mut some, mut all) = (false, true);
    for (data, orders) in by_body {
        let Some(origin) = orders.first().map(|order| order.residue.origin.clone()) else { continue };
        let owner = gateway.catalog.process();
        let lease = gateway.catalog.acquire_lease(&LeaseName::new("sweep"), owner, LEASE_MILLIS).await?;
        let ticketed = ticket(gateway, &lease, data, &origin, facts.clone()).await?;
        let mut gone = Vec::new();
        for order in &orders {
            match gateway.nodes.delete(node, &ticketed, &order.shard.cid).await {
                Ok(receipt) => {
                    Tally::add(&gateway.repairs.done.deleted, u64::from(receipt.is_some()));
                    gone.push(Gone {
                        data,
                        shard: order.shard,
                        receipt: receipt.map(|receipt| receipt.as_str().to_owned()),
                    });
                }
                // The shard is there for another body: not this copy.
                Err(error) if error.refusal() == Some(RefusalCode::WrongShard) => {
                    gone.push(Gone { data, shard: order.shard, receipt: None });
                }
                Err(error) => {
                    tracing::debug!(%node, %error, "a copy could not be deleted yet");
                    all = false;
                    break;
                }
            }
        }
        let status = if all { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
        drop(ticketed.finish(status, 0, 0));
        some |= !gone.is_empty();
        gateway.catalog.finish_deletions(&lease, gone).await?;
        if !all {
            break;
        }
    }
    Ok((some, all))
}

/// What the law is told of the node; none for one that is not enrolled, or that nobody can reach.
fn facts(gateway: &Gateway, node: NodeId) -> Option<SubjectFacts> {
    let standing = gateway.directory.standings().into_iter().find(|standing| standing.enrolled.id == node)?;
    if matches!(standing.state, NodeState::Offline | NodeState::Lost) {
        return None;
    }
    let announced = standing.announced?;
    let located = standing.located.iter().flat_map(|located| located.candidates.iter().copied());
    let mut places: Vec<Place> = located.chain([standing.enrolled.place, announced.place]).collect();
    places.sort_unstable();
    places.dedup();
    let party = Some(standing.enrolled.party);
    Some(SubjectFacts { subject: domicile_types::Subject::Node(node), places, evidence: standing.evidence, party })
}

async fn ticket(
    gateway: &Gateway,
    lease: &Held,
    data: DataId,
    origin: &Origin,
    facts: SubjectFacts,
) -> Result<Ticketed, RepairError> {
    let matter = Matter {
        operation: OperationKind::Sweep,
        packs: &origin.packs,
        classification: &Classification::default(),
        bucket: Some(&origin.bucket),
        key: None,
        nodes: vec![facts],
    };
    let scope = Scope { data: Some(data), epoch: lease.epoch(), ..Scope::default() };
    let request = RequestId::from_bytes(gateway.clock.random());
    let intent = gateway.authorize_background(&origin.tenant, "sweeper", request, &matter, scope).await?;
    let unfit = || Error::Unavailable("the ticket does not fit a header".to_owned());
    Ok(Ticketed::new(intent).ok_or_else(unfit)?)
}
