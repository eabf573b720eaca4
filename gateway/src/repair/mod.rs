//! Repair: shards of nodes that are lost, corrupt, contradicted or leaving, and shards that are damaged, are made anew where the
//! law allows; the old copies are deleted. On ciphertext, without keys.
//!
//! What is pure is elsewhere: [`domicile_placement::plan_repair`] says what moves and where to, [`domicile_placement::risk()`]
//! what comes first, and [`domicile_placement::check`] examines every plan. Here is what obeys: `queue` finds what is to be
//! done and puts it in order, `page` does it for one page, `bytes` fetches and rebuilds, `residue` has copies deleted that are
//! to be deleted, `drain` empties a node.
//!
//! # The order of a repair
//!
//! Permit (the law is asked as for every claim on the body), plan, check, where the new copies will be (recorded), intent,
//! ticket, fetch, rebuild, store, receipts; then one transaction in which the page counts on the new copies and the old ones
//! become orders to delete; then those, each decided, logged and receipted. A crash anywhere leaves the old copies in place,
//! or both.

mod bytes;
mod drain;
mod hands;
mod orphans;
mod page;
mod queue;
mod residue;
mod roster;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domicile_types::PackId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::admin::with_causes;
use crate::catalog::{CatalogError, JudgingEpoch, PageAt, ShardAt};
use crate::objects::Gateway;
use crate::state::{Held, LeaseName};

pub(crate) use drain::DrainView;
pub(crate) use drain::LeavingStatement;
pub(crate) use orphans::run as run_orphans;
#[cfg(test)]
pub(crate) use queue::Queue;
#[cfg(test)]
pub(crate) use residue::round as residue_round;
pub(crate) use residue::run as run_residue;

/// Who does it, in the log; and the name of its lease.
const WORKER: &str = "repair";
/// How long the lease is taken for; taken anew before every page.
const LEASE_MILLIS: u64 = 60_000;
/// How often the worker looks for work without being told of any.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// How long after its start a gateway repairs nothing: nodes announce themselves first.
const SETTLING: Duration = Duration::from_secs(10);
/// Pages that are asked for and wait, at the most. The scan finds what does not fit.
const ASKED_MAX: usize = 100_000;
/// Pages that are asked for in one step of a look at everything.
const PAGES_ASKED_AT_ONCE: usize = 1_000;

/// Why a page was not repaired now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("the catalog refused")]
    Catalog(#[from] CatalogError),
    #[error("the repair could not be decided or logged")]
    Logged(#[from] crate::objects::Error),
}

/// What repairs there were, and what is asked for. One per gateway.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    /// What was done since this process started.
    pub(crate) done: Tally,
    /// Pages that somebody found in need, whatever the states of their holders say.
    asked: Mutex<BTreeSet<PageAt>>,
    /// Under what law and which packs this gateway may not do repairs itself: asked once, not for every page.
    denied_here: Mutex<BTreeSet<Under>>,
    wake: Notify,
}

/// A version of the law, and packs.
type Under = (JudgingEpoch, BTreeSet<PackId>);

/// Counts of repairs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Shards that have a new holder.
    pub(crate) shards: AtomicU64,
    /// Their bytes.
    pub(crate) shard_bytes: AtomicU64,
    /// Shard bytes that came in for it.
    pub(crate) fetched_bytes: AtomicU64,
    /// Old copies that nodes have signed to have deleted.
    pub(crate) deleted: AtomicU64,
    /// Pages that could not be put in order: no room, unreadable, or denied.
    pub(crate) stuck: AtomicU64,
}

impl Tally {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// The figures, in the order of the fields.
    pub(crate) fn figures(&self) -> [u64; 5] {
        [&self.shards, &self.shard_bytes, &self.fetched_bytes, &self.deleted, &self.stuck]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl Repairs {
    /// Asks that these pages be looked at soon: something says that they are not where they may be. Pages beyond the queue's
    /// limit are left to the scan.
    pub(crate) fn ask(&self, pages: impl IntoIterator<Item = PageAt>) {
        let mut asked = self.asked.lock();
        for page in pages {
            if asked.len() < ASKED_MAX {
                asked.insert(page);
            }
        }
        drop(asked);
        self.wake.notify_one();
    }

    /// Wakes the worker: the fleet changed.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn is_denied_here(&self, under: &Under) -> bool {
        self.denied_here.lock().contains(under)
    }

    fn note_denied_here(&self, under: Under) {
        let mut denied = self.denied_here.lock();
        // What was denied by law that is not in force any more is of no interest.
        denied.retain(|(by, _)| *by == under.0);
        denied.insert(under);
    }

    fn take_asked(&self, limit: usize) -> Vec<PageAt> {
        let mut asked = self.asked.lock();
        let pages: Vec<PageAt> = asked.iter().take(limit).copied().collect();
        asked.retain(|page| !pages.contains(page));
        pages
    }
}

impl Gateway {
    /// Asks that every page be judged again, by the law in force. How many there are.
    pub(crate) async fn look_at_everything(&self) -> Result<u64, CatalogError> {
        let (mut count, mut after) = (0_u64, None);
        loop {
            let pages = self.catalog.all_pages(after, PAGES_ASKED_AT_ONCE).await?;
            after = pages.last().copied();
            count = count.saturating_add(u64::try_from(pages.len()).unwrap_or(u64::MAX));
            let last = pages.len() < PAGES_ASKED_AT_ONCE;
            self.repairs.ask(pages);
            if last {
                return Ok(count);
            }
        }
    }
}

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    tokio::time::sleep(SETTLING).await;
    let mut queue = queue::Queue::default();
    let mut changes = gateway.directory.changes();
    loop {
        let round = async {
            let done = queue.round(&gateway).await?;
            drain::state_ends(&gateway).await?;
            Ok::<_, RepairError>(done)
        };
        match round.await {
            Ok(true) => {}
            Ok(false) => {
                let news = async {
                    tokio::select! {
                        () = gateway.repairs.wake.notified() => {}
                        _ = changes.changed() => {}
                    }
                };
                drop(tokio::time::timeout(IDLE_INTERVAL, news).await);
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "repair put off");
                tokio::time::sleep(IDLE_INTERVAL).await;
            }
        }
    }
}

/// One round of repairs and one of deletions, for tests in which time is theirs. Whether anything was done.
#[cfg(test)]
pub(crate) async fn step(gateway: &Gateway, queue: &mut Queue) -> Result<bool, RepairError> {
    let repaired = queue.round(gateway).await?;
    let deleted = residue::round(gateway, &mut std::collections::BTreeMap::new()).await?;
    drain::state_ends(gateway).await?;
    Ok(repaired || deleted)
}

/// Notes that a reader found a shard damaged: it is made anew soon.
pub(crate) fn note_damaged(gateway: &Gateway, at: PageAt, shard: ShardAt) {
    let gateway = gateway.clone();
    tokio::spawn(async move {
        match gateway.catalog.note_damaged(at, shard).await {
            Ok(_) => gateway.repairs.wake(),
            Err(error) => tracing::warn!(%error, "a damaged shard could not be noted"),
        }
    });
}

async fn lease(gateway: &Gateway) -> Result<Held, CatalogError> {
    let owner = gateway.catalog.process();
    gateway.catalog.acquire_lease(&LeaseName::new(WORKER), owner, LEASE_MILLIS).await
}
