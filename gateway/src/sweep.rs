//! The sweeper: takes the shards of what is no more away from the nodes, each deletion decided, logged and receipted.
//!
//! The data key of a deleted object is gone the moment its row is; what is left on nodes cannot be read any more. Sweeping
//! frees their space. A node that does not answer is asked again later, for as long as it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use domicile_types::{Classification, NodeId, OperationKind, OutcomeStatus, RequestId, UnixMillis};
use futures::future::join_all;

use crate::admin::with_causes;
use crate::catalog::{CatalogError, Gone, Residue, ResidueCause, ShardAt, Sweep, ToDelete};
use crate::fleet::Ticketed;
use crate::objects::{Gateway, Matter, Scope};
use crate::state::{Held, LeaseName};

/// How often the sweeper looks for work when there is none.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the lease is taken for; taken anew before every page.
const LEASE_MILLIS: u64 = 60_000;
/// How long a node that did not answer is left alone.
const RETRY_MILLIS: u64 = 60_000;

/// How long it is remembered that a request was carried out.
const REQUESTS_KEPT_MILLIS: u64 = 3_600_000;
/// Pages that one round takes on.
const PAGES_AT_ONCE: usize = 16;

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let mut reaped = false;
    loop {
        let round = async {
            if !reaped {
                reap(&gateway).await?;
                reaped = true;
            }
            sweep_some(&gateway).await
        };
        match round.await {
            Ok(true) => {}
            Ok(false) => {
                forget_requests(&gateway).await;
                tokio::time::sleep(IDLE_INTERVAL).await;
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "sweep put off");
                tokio::time::sleep(IDLE_INTERVAL).await;
            }
        }
    }
}

/// Drops the notes of which requests were carried out, once they are too old for a client to repeat them.
async fn forget_requests(gateway: &Gateway) {
    let now = gateway.clock.now();
    let before = UnixMillis(now.0.saturating_sub(REQUESTS_KEPT_MILLIS));
    if let Err(error) = gateway.catalog.forget_requests(before).await {
        tracing::warn!(%error, "old requests could not be forgotten");
    }
}

/// Why a page could not be swept now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error("the catalog refused")]
    Catalog(#[from] CatalogError),
    #[error("the deletion could not be decided or logged")]
    Logged(#[from] crate::objects::Error),
}

/// Bodies that a process before this one began and did not end become garbage. A metadata store on this machine's disk has
/// one process at a time, so whoever is not this one is gone.
pub(crate) async fn reap(gateway: &Gateway) -> Result<(), SweepError> {
    let lease = lease(gateway).await?;
    let alive = vec![gateway.catalog.process()];
    while gateway.catalog.reap_orphans(&lease, alive.clone(), gateway.clock.now()).await? > 0 {}
    Ok(())
}

async fn lease(gateway: &Gateway) -> Result<Held, SweepError> {
    let owner = gateway.catalog.process();
    Ok(gateway.catalog.acquire_lease(&LeaseName::new("sweep"), owner, LEASE_MILLIS).await?)
}

/// Sweeps some pages of shards; `false` when nothing is due.
pub(crate) async fn sweep_some(gateway: &Gateway) -> Result<bool, SweepError> {
    let lease = lease(gateway).await?;
    let sweeps = gateway.catalog.next_sweeps(&lease, gateway.clock.now(), PAGES_AT_ONCE).await?;
    let mut done = Vec::new();
    for sweep in &sweeps {
        let Swept { gone, left } = delete_shards(gateway, sweep, &lease).await?;
        if sweep.garbage.attempts == 0 && !left.is_empty() {
            let due = gateway.clock.now().plus_millis(RETRY_MILLIS);
            gateway.catalog.postpone_sweep(&lease, sweep, due).await?;
            continue;
        }
        // What a node has not deleted by now is its order, and does not hold up the rest.
        let residue =
            Residue { origin: sweep.garbage.origin.clone(), since: gateway.clock.now(), cause: ResidueCause::Deleted };
        let order = |shard| ToDelete { shard, data: sweep.garbage.data, residue: residue.clone() };
        gateway.catalog.order_deletions(&lease, left.into_iter().map(order).collect()).await?;
        gateway.catalog.keep_deletion_receipts(&lease, gone).await?;
        done.push(sweep.clone());
    }
    gateway.catalog.finish_sweeps(&lease, &done).await?;
    state_deletions(gateway, &lease).await?;
    Ok(!sweeps.is_empty())
}

/// What became of the shards of a page.
#[derive(Default)]
struct Swept {
    gone: Vec<Gone>,
    left: Vec<ShardAt>,
}

/// Has every node delete its shards of the page.
async fn delete_shards(gateway: &Gateway, sweep: &Sweep, lease: &Held) -> Result<Swept, SweepError> {
    let mut by_node: BTreeMap<NodeId, Vec<ShardAt>> = BTreeMap::new();
    for shard in &sweep.shards {
        by_node.entry(shard.node).or_default().push(*shard);
    }
    if by_node.is_empty() {
        return Ok(Swept::default());
    }
    let ticketed = ticket(gateway, sweep, lease, by_node.keys()).await?;
    let deletions = by_node.into_values().map(|shards| delete_at(gateway, &ticketed, shards));
    let mut swept = Swept::default();
    for at_node in join_all(deletions).await {
        swept.gone.extend(at_node.gone);
        swept.left.extend(at_node.left);
    }
    let status = if swept.left.is_empty() { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
    drop(ticketed.finish(status, 0, 0));
    Ok(swept)
}

/// Has one node delete its shards. The first that it does not delete leaves the rest for later.
async fn delete_at(gateway: &Gateway, ticketed: &Ticketed, shards: Vec<ShardAt>) -> Swept {
    let mut swept = Swept::default();
    for shard in shards {
        if !swept.left.is_empty() {
            swept.left.push(shard);
            continue;
        }
        match gateway.nodes.delete(shard.node, ticketed, &shard.cid).await {
            Ok(receipt) => {
                let receipt = receipt.map(|receipt| receipt.as_str().to_owned());
                swept.gone.push(Gone { data: ticketed.data(), shard, receipt });
            }
            Err(error) => {
                tracing::debug!(node = %shard.node, cid = %shard.cid, %error, "a shard could not be deleted yet");
                swept.left.push(shard);
            }
        }
    }
    swept
}

/// States in the log what was deleted of bodies whose nodes were all asked.
async fn state_deletions(gateway: &Gateway, lease: &Held) -> Result<(), SweepError> {
    for (data, record) in gateway.catalog.deletions_to_state(PAGES_AT_ONCE).await? {
        let log_index = gateway.state_deletion(data, &record).await?;
        gateway.catalog.note_stated(lease, data, &record, log_index).await?;
    }
    Ok(())
}

/// Decides and logs the deletion. Whoever enrolled a node may have its shards deleted, wherever it is.
async fn ticket<'a>(
    gateway: &Gateway,
    sweep: &Sweep,
    lease: &Held,
    nodes: impl Iterator<Item = &'a NodeId>,
) -> Result<Ticketed, SweepError> {
    let origin = &sweep.garbage.origin;
    let roster = gateway.directory.roster();
    let matter = Matter {
        operation: OperationKind::Sweep,
        packs: &origin.packs,
        classification: &Classification::default(),
        bucket: Some(&origin.bucket),
        key: None,
        nodes: nodes.filter_map(|node| roster.get(node)).map(domicile_placement::NodeRecord::facts).collect(),
    };
    let scope = Scope { data: Some(sweep.garbage.data), epoch: lease.epoch(), ..Scope::default() };
    let request = RequestId::from_bytes(gateway.clock.random());
    let intent = gateway.authorize_background(&origin.tenant, "sweeper", request, &matter, scope).await?;
    let unfit = || crate::objects::Error::Unavailable("the ticket does not fit a header".to_owned());
    Ok(Ticketed::new(intent).ok_or_else(unfit)?)
}
