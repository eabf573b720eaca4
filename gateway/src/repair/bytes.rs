//! The bytes of a repair: shards fetched, rebuilt and stored, each checked by its name. No key is needed, none is here.

use bytes::Bytes;
use domicile_chunker::reconstruct;
use domicile_node_protocol::RefusalCode;
use domicile_placement::{Assignment, HeldBy, Mending};
use domicile_types::{CodeProfile, RequestId};
use futures::future::join_all;

use crate::catalog::{PageAt, ShardAt};
use crate::fleet::Ticketed;
use crate::objects::Gateway;

/// One segment to be worked on.
pub(super) struct Job<'a> {
    /// Its page.
    pub(super) at: PageAt,
    /// Its code.
    pub(super) profile: CodeProfile,
    /// All its shards, by index.
    pub(super) shards: Vec<ShardAt>,
    /// Where to ask, in order.
    pub(super) sources: Vec<HeldBy>,
    /// What is to be made: from where, where to.
    pub(super) moving: &'a [(Mending, ShardAt, ShardAt)],
    /// The permission to store each.
    pub(super) targets: Vec<Assignment>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Shards that are durable with their new holders.
    pub(super) stored: Vec<u8>,
    /// Shard bytes that came in.
    pub(super) fetched_bytes: u64,
    /// Shard bytes that were stored.
    pub(super) stored_bytes: u64,
}

/// Fetches what is needed, rebuilds what is lost, stores all of it. What could not be made is not among what is stored.
pub(super) async fn make(gateway: &Gateway, ticketed: &Ticketed, job: Job<'_>) -> Made {
    let kib = job.profile.n().saturating_mul(1025);
    let _room = gateway.buffers.acquire_many(u32::try_from(kib).unwrap_or(u32::MAX)).await;
    let mut made = Made::default();
    let mut slots: Vec<Option<Bytes>> = vec![None; job.profile.n()];
    let mut asked = vec![false; job.profile.n()];
    let copies: Vec<u8> = job.moving.iter().filter(|(mending, ..)| mending.copied).map(|(it, ..)| it.shard).collect();
    gather(gateway, ticketed, &job, &copies, (&mut slots, &mut asked), &mut made).await;
    let wanted: Vec<usize> = job.moving.iter().map(|(mending, ..)| usize::from(mending.shard)).collect();
    let missing = |slots: &[Option<Bytes>]| wanted.iter().any(|shard| slots.get(*shard).is_none_or(Option::is_none));
    // What must be rebuilt takes any k: those in reach first, more as some fail.
    while missing(&slots) && slots.iter().flatten().count() < job.profile.k() {
        let short = job.profile.k() - slots.iter().flatten().count();
        let unasked = |shard: &u8| asked.get(usize::from(*shard)).is_some_and(|asked| !asked);
        let next: Vec<u8> = job.sources.iter().map(|held| held.shard).filter(unasked).take(short).collect();
        if next.is_empty() {
            break;
        }
        gather(gateway, ticketed, &job, &next, (&mut slots, &mut asked), &mut made).await;
    }
    let slots = if missing(&slots) { rebuild(gateway, &job, slots, wanted).await } else { slots };
    store(gateway, ticketed, job, &slots, &mut made).await;
    made
}

/// Fetches `shards` from their holders, all at once, and keeps those that are what their names say.
async fn gather(
    gateway: &Gateway,
    ticketed: &Ticketed,
    job: &Job<'_>,
    shards: &[u8],
    (slots, asked): (&mut [Option<Bytes>], &mut [bool]),
    made: &mut Made,
) {
    let gets = shards.iter().filter_map(|shard| {
        let at = *job.shards.get(usize::from(*shard))?;
        Some(async move { (*shard, at, gateway.nodes.get_whole(at.node, ticketed, &at.cid).await) })
    });
    for (shard, at, got) in join_all(gets).await {
        if let Some(asked) = asked.get_mut(usize::from(shard)) {
            *asked = true;
        }
        match got {
            Ok(bytes) if at.cid.verify(&bytes).is_ok() => {
                made.fetched_bytes = made.fetched_bytes.saturating_add(length(&bytes));
                if let Some(slot) = slots.get_mut(usize::from(shard)) {
                    *slot = Some(bytes);
                }
            }
            Ok(_) => report_damaged(gateway, job.at, at).await,
            Err(error) => {
                tracing::warn!(node = %at.node, shard, %error, "a shard could not be had for a repair");
                if matches!(error.refusal(), Some(RefusalCode::Corrupt | RefusalCode::NotFound)) {
                    report_damaged(gateway, job.at, at).await;
                }
            }
        }
    }
}

async fn rebuild(
    gateway: &Gateway,
    job: &Job<'_>,
    slots: Vec<Option<Bytes>>,
    wanted: Vec<usize>,
) -> Vec<Option<Bytes>> {
    let (profile, pool) = (job.profile, gateway.pool.clone());
    let had = slots.clone();
    let names: Vec<_> = job.shards.iter().map(|shard| shard.cid).collect();
    let rebuilt = tokio::task::spawn_blocking(move || {
        let mut slots = slots;
        reconstruct(profile, &mut slots, &wanted, &pool)?;
        for (slot, name) in slots.iter_mut().zip(&names) {
            // A shard that does not have its name is not the shard, whatever the arithmetic says.
            if slot.as_ref().is_some_and(|bytes| name.verify(bytes).is_err()) {
                *slot = None;
            }
        }
        Ok::<_, domicile_chunker::ReconstructError>(slots)
    });
    match rebuilt.await {
        Ok(Ok(slots)) => slots,
        Ok(Err(error)) => {
            tracing::warn!(%error, "shards could not be rebuilt");
            had
        }
        Err(_) => had,
    }
}

/// Stores what was made with its new holders.
async fn store(gateway: &Gateway, ticketed: &Ticketed, job: Job<'_>, slots: &[Option<Bytes>], made: &mut Made) {
    let puts = job.targets.into_iter().filter_map(|assignment| {
        let shard = usize::from(assignment.shard());
        let (bytes, at) = (slots.get(shard)?.clone()?, *job.shards.get(shard)?);
        Some(async move {
            let sent = gateway.nodes.put(&assignment, ticketed, &at.cid, bytes.clone()).await;
            (assignment, bytes, sent)
        })
    });
    for (assignment, bytes, sent) in join_all(puts).await {
        match sent {
            Ok(_) => {
                made.stored.push(assignment.shard());
                made.stored_bytes = made.stored_bytes.saturating_add(length(&bytes));
            }
            Err(error) => {
                tracing::warn!(node = %assignment.node(), shard = assignment.shard(), %error, "a repaired shard was not stored");
            }
        }
    }
}

/// A shard that is not what it should be where it is: an incident, and work for the next round.
pub(super) async fn report_damaged(gateway: &Gateway, at: PageAt, shard: ShardAt) {
    tracing::error!(node = %shard.node, "damaged shard");
    let request = RequestId::from_bytes(gateway.clock.random());
    drop(gateway.log.incident(request, "corrupt-shard", Some(shard.node), Some(shard.cid)));
    if let Err(error) = gateway.catalog.note_damaged(at, shard).await {
        tracing::warn!(%error, "a damaged shard could not be noted");
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
