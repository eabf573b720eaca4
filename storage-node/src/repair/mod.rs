//! A repair in a gateway's stead, because the gateway is not where the shards may be: fetch, check, rebuild, check, store.
//!
//! *In scope*: whether a job is what its ticket allows, and doing it. No key is needed and none is there: a repair is of
//! ciphertext.
//!
//! *Out of scope*: which shards to move where (the gateway planned and logged it), and dropping old copies (the gateway does
//! that, once it has the new holders' receipts).
//!
//! Every hop goes under the gateway's one ticket, which names this node as its worker: each source and each new holder judges
//! it anew, for its own place.

mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use domicile_chunker::{BufferPool, reconstruct};
use domicile_node_protocol::{
    Refusal, RefusalCode, RepairDone, RepairJob, RepairShard, RepairedShard, SHARD_BYTES_MAX,
};
use domicile_types::{CodeProfile, Intent, NodeId, OperationKind, Place};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

pub use self::peers::ClientError;
pub(crate) use self::peers::PeerClient;

/// Whether `job` is one that `intent` lets `worker`, which is in `place`, do.
pub(crate) fn judge(job: &RepairJob, intent: &Intent, worker: &NodeId, place: &Place) -> Result<(), Refusal> {
    let refuse = |code, message: String| Err(Refusal::new(code, message));
    if intent.operation != OperationKind::Repair {
        return refuse(RefusalCode::WrongOperation, "only the ticket of a repair is for repairing".to_owned());
    }
    if intent.worker.as_ref() != Some(worker) {
        let message = format!("the ticket does not name {worker} as its worker: log an intent that does");
        return refuse(RefusalCode::NotTheGateway, message);
    }
    if !intent.node_places.contains(place) {
        let message =
            format!("the ticket does not name {place}, where this node is: choose a worker the permit allows");
        return refuse(RefusalCode::WrongPlace, message);
    }
    if intent.data != Some(job.data) {
        return refuse(RefusalCode::WrongShard, "the job is for another data id than the ticket".to_owned());
    }
    let all = || job.sources.iter().chain(&job.targets);
    if let Some(stray) = all().find(|shard| !intent.shards.is_empty() && !intent.shards.contains(&shard.cid)) {
        return refuse(
            RefusalCode::WrongShard,
            format!("the ticket lists its shards and {} is none of them", stray.cid),
        );
    }
    match malformed(job) {
        Some(rule) => refuse(RefusalCode::BadRequest, format!("the job cannot be done: {rule}")),
        None => Ok(()),
    }
}

/// What is wrong with the shape of a job.
fn malformed(job: &RepairJob) -> Option<&'static str> {
    let n = job.profile.n();
    if job.targets.is_empty() {
        return Some("it has no targets");
    }
    if job.sources.iter().chain(&job.targets).any(|shard| usize::from(shard.shard) >= n) {
        return Some("a shard's index lies outside the profile");
    }
    let distinct =
        |shards: &[RepairShard]| shards.iter().map(|shard| shard.shard).collect::<BTreeSet<_>>().len() == shards.len();
    if !distinct(&job.sources) || !distinct(&job.targets) {
        return Some("a shard comes twice");
    }
    let holders: BTreeSet<NodeId> = job.targets.iter().map(|target| target.node).collect();
    if holders.len() < job.targets.len() || job.sources.iter().any(|source| holders.contains(&source.node)) {
        return Some("a new holder has another shard of the segment already");
    }
    None
}

/// Does `job` under the ticket `ticket`. What fails is said target by target; nothing is dropped anywhere.
pub(crate) async fn repair(job: &RepairJob, ticket: &str, peers: &PeerClient, pool: &Arc<BufferPool>) -> RepairDone {
    let mut work = Work { job, ticket, peers, slots: BTreeMap::new(), faults: Vec::new(), fetched_bytes: 0 };
    // A shard that only moves is fetched, not rebuilt: one shard comes in instead of k.
    let wanted: BTreeSet<u8> = job.targets.iter().map(|target| target.shard).collect();
    let (moving, others): (Vec<&RepairShard>, Vec<&RepairShard>) =
        job.sources.iter().partition(|source| wanted.contains(&source.shard));
    work.fetch(moving, job.targets.len()).await;
    if !wanted.iter().all(|shard| work.slots.contains_key(shard)) {
        work.fetch(others, job.profile.k()).await;
    }
    let (profile, slots, targets) =
        (job.profile, work.slots.clone(), wanted.iter().copied().map(usize::from).collect());
    let pool = Arc::clone(pool);
    let rebuilt = tokio::task::spawn_blocking(move || rebuild(profile, &slots, targets, &pool));
    let rebuilt = rebuilt.await.unwrap_or_else(|_| Err("the rebuilding broke off".to_owned()));
    let stored = job.targets.iter().map(|target| work.store(target, &rebuilt));
    let shards: Vec<(RepairedShard, u64)> = futures::future::join_all(stored).await;
    let stored_bytes = shards.iter().map(|(_, bytes)| bytes).sum();
    let shards = shards.into_iter().map(|(shard, _)| shard).collect();
    RepairDone { shards, fetched_bytes: work.fetched_bytes, stored_bytes, faults: work.faults }
}

struct Work<'a> {
    job: &'a RepairJob,
    ticket: &'a str,
    peers: &'a PeerClient,
    slots: BTreeMap<u8, Bytes>,
    faults: Vec<(NodeId, String)>,
    fetched_bytes: u64,
}

impl Work<'_> {
    /// Fetches from `sources` in their order until `enough` shards are at hand; as many at once as are still missing.
    async fn fetch(&mut self, sources: Vec<&RepairShard>, enough: usize) {
        let (peers, ticket) = (self.peers, self.ticket);
        let mut waiting = sources.into_iter();
        let mut running = FuturesUnordered::new();
        loop {
            while self.slots.len() + running.len() < enough
                && let Some(source) = waiting.next()
            {
                running.push(async move { (source, peers.fetch(source, ticket).await) });
            }
            let Some((source, fetched)) = running.next().await else { return };
            match fetched {
                Ok(bytes) => {
                    self.fetched_bytes = self.fetched_bytes.saturating_add(length(&bytes));
                    self.slots.insert(source.shard, bytes);
                }
                Err(error) => self.faults.push((source.node, error.in_words())),
            }
        }
    }

    async fn store(&self, target: &RepairShard, rebuilt: &Result<Vec<Option<Bytes>>, String>) -> (RepairedShard, u64) {
        let fault = |fault: String| (RepairedShard { shard: target.shard, receipt: None, fault: Some(fault) }, 0);
        let slots = match rebuilt {
            Ok(slots) => slots,
            Err(why) => return fault(why.clone()),
        };
        let Some(bytes) = slots.get(usize::from(target.shard)).cloned().flatten() else {
            return fault("it was not rebuilt".to_owned());
        };
        if let Err(error) = target.cid.verify(&bytes) {
            return fault(format!("what was rebuilt is not the shard ({error}): the job's names or sources are wrong"));
        }
        let count = length(&bytes);
        match self.peers.store(target, self.ticket, self.job.data, bytes).await {
            Ok(receipt) => {
                let receipt = Some(receipt.as_str().to_owned());
                (RepairedShard { shard: target.shard, receipt, fault: None }, count)
            }
            Err(error) => fault(error.in_words()),
        }
    }
}

/// All shards that are at hand, and the `wanted` ones rebuilt; why not, where not.
fn rebuild(
    profile: CodeProfile,
    at_hand: &BTreeMap<u8, Bytes>,
    wanted: Vec<usize>,
    pool: &BufferPool,
) -> Result<Vec<Option<Bytes>>, String> {
    let at = |shard: usize| u8::try_from(shard).ok().and_then(|shard| at_hand.get(&shard)).cloned();
    let mut slots: Vec<Option<Bytes>> = (0..profile.n()).map(at).collect();
    if !wanted.iter().all(|shard| slots.get(*shard).is_some_and(Option::is_some)) {
        reconstruct(profile, &mut slots, &wanted, pool).map_err(|error| error.to_string())?;
    }
    Ok(slots)
}

/// The most memory that a job takes, in bytes: its sources and what is rebuilt from them.
pub(crate) fn memory_bytes(job: &RepairJob) -> u64 {
    let shards = job.profile.k().saturating_add(job.targets.len()).saturating_add(1);
    u64::try_from(shards).unwrap_or(u64::MAX).saturating_mul(SHARD_BYTES_MAX)
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
