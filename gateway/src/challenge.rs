//! Challenges: nodes are asked, now and then, to prove that they hold their shards, each decided, logged and ticketed.
//!
//! A round takes the node that was asked longest ago, draws a page that it holds, draws a segment of that page, and asks all
//! holders of the segment under one intent, each for another random group of 4 KiB of its shard. The answer carries the
//! hashes that lead from those bytes to the shard's name, so the gateway needs no copy. A node that keeps a share `p` of what it
//! should passes `n` challenges with probability `p^n`.
//!
//! What a challenge costs is constant: one intent for all holders, and at most 5 KiB from each.

use std::collections::BTreeMap;
use std::time::Duration;

use domicile_chunker::SegmentLayout;
use domicile_node_protocol::{RefusalCode, ResolvedRange};
use domicile_storage_node::proof::GROUP_BYTES;
use domicile_types::{NodeId, OperationKind, OutcomeStatus, RequestId, ShardCid, UnixMillis};
use futures::future::join_all;
use tokio::time::Instant;

use crate::admin::with_causes;
use crate::catalog::{CatalogError, ExtentId, Mendable, PageAt, ShardAt};
use crate::fleet::standing::{Failure, Fault};
use crate::fleet::{NodeError, Ticketed};
use crate::objects::{Gateway, Matter, Scope};
use crate::state::{Held, LeaseName};

/// How long the lease is taken for; taken anew before every round.
const LEASE_MILLIS: u64 = 120_000;

/// What a round came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Challenges that were met.
    pub(crate) met: usize,
    /// Challenges that were not, and by whom.
    pub(crate) unmet: Vec<(NodeId, Fault)>,
    /// Bytes of shards that came in.
    pub(crate) bytes: u64,
}

/// Why a round did not take place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChallengeError {
    #[error("the catalog refused")]
    Catalog(#[from] CatalogError),
    #[error("the challenge could not be decided or logged")]
    Logged(#[from] crate::objects::Error),
}

/// One shard to be proved.
struct Challenge {
    shard: ShardAt,
    range: ResolvedRange,
}

/// Runs until it is aborted. Never, where the configuration says so.
pub(crate) async fn run(gateway: Gateway) {
    let pause = gateway.config.standing.challenge_interval_seconds;
    if pause == 0 {
        return;
    }
    let mut asked = BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        match round(&gateway, &mut asked).await {
            Ok(Round { met, unmet, .. }) if !unmet.is_empty() => tracing::info!(met, ?unmet, "challenges were not met"),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = with_causes(&error), "nobody was challenged"),
        }
    }
}

/// Challenges all holders of one segment. `asked` is when each node was asked last.
pub(crate) async fn round(
    gateway: &Gateway,
    asked: &mut BTreeMap<NodeId, UnixMillis>,
) -> Result<Round, ChallengeError> {
    let owner = gateway.catalog.process();
    let lease = gateway.catalog.acquire_lease(&LeaseName::new("challenge"), owner, LEASE_MILLIS).await?;
    let now = gateway.clock.now();
    let standings = gateway.directory.standings();
    let heard = standings.iter().filter(|it| it.announced.as_ref().is_some_and(|said| said.expires > now));
    let mut heard: Vec<NodeId> = heard.map(|it| it.enrolled.id).collect();
    heard.retain(|node| gateway.directory.address(node).is_some());
    heard.sort_by_key(|node| asked.get(node).copied().unwrap_or(UnixMillis(0)));
    for node in heard {
        asked.insert(node, now);
        let Some(page) = draw_page(gateway, &node).await? else { continue };
        let Some((page, segment)) = draw_segment(gateway, page, &node).await? else { continue };
        return challenge(gateway, &lease, &page, segment, asked).await;
    }
    Ok(Round::default())
}

/// A page of which the node holds shards. Extents are drawn by their random names, then a page of the extent.
async fn draw_page(gateway: &Gateway, node: &NodeId) -> Result<Option<PageAt>, ChallengeError> {
    let before = PageAt { extent: ExtentId::from_bytes(gateway.clock.random()), page: u32::MAX };
    let first = |after| async move {
        Ok::<_, ChallengeError>(gateway.catalog.pages_of_node(node, after, 1).await?.first().copied())
    };
    let Some(found) = (match first(Some(before)).await? {
        Some(page) => Some(page),
        None => first(None).await?,
    }) else {
        return Ok(None);
    };
    let Some(known) = gateway.catalog.mendable(found).await? else { return Ok(Some(found)) };
    match draw(gateway, u64::from(known.extent.pages())) {
        0 => Ok(Some(found)),
        page => {
            let after = PageAt { extent: found.extent, page: u32::try_from(page - 1).unwrap_or(0) };
            let later = first(Some(after)).await?;
            Ok(later.filter(|page| page.extent == found.extent).or(Some(found)))
        }
    }
}

/// A segment of the page of which the node holds a shard; `None` where nobody needs the page any more.
async fn draw_segment(
    gateway: &Gateway,
    at: PageAt,
    node: &NodeId,
) -> Result<Option<(Mendable, usize)>, ChallengeError> {
    let Some(page) = gateway.catalog.mendable(at).await? else { return Ok(None) };
    let held = |shards: &[ShardAt]| shards.iter().any(|shard| shard.node == *node);
    let segments: Vec<usize> = page.segments().filter(|(.., shards)| held(shards)).map(|(place, ..)| place).collect();
    let drawn = draw(gateway, u64::try_from(segments.len()).unwrap_or(0));
    let drawn = usize::try_from(drawn).ok().and_then(|drawn| segments.get(drawn).copied());
    Ok(drawn.map(|segment| (page, segment)))
}

async fn challenge(
    gateway: &Gateway,
    lease: &Held,
    page: &Mendable,
    segment: usize,
    asked: &mut BTreeMap<NodeId, UnixMillis>,
) -> Result<Round, ChallengeError> {
    let Some((shards, shard_bytes)) = shape(page, segment) else { return Ok(Round::default()) };
    let roster = gateway.directory.roster();
    let mut holders: BTreeMap<NodeId, usize> = BTreeMap::new();
    for shard in &shards {
        *holders.entry(shard.node).or_default() += 1;
    }
    let most = u64::try_from(holders.values().copied().max().unwrap_or(0)).unwrap_or(u64::MAX);
    let scope = Scope {
        data: Some(page.data),
        node_bytes_max: GROUP_BYTES.saturating_mul(most),
        epoch: lease.epoch(),
        ..Scope::default()
    };
    let mut ticketed = None;
    for claim in &page.claims {
        let packs = claim.all_packs();
        let matter = Matter {
            operation: OperationKind::Challenge,
            packs: &packs,
            classification: &claim.classification,
            bucket: Some(&claim.origin.bucket),
            key: None,
            nodes: holders.keys().filter_map(|node| roster.get(node)).map(|record| record.facts()).collect(),
        };
        let request = RequestId::from_bytes(gateway.clock.random());
        let intent = gateway.authorize_background(&claim.origin.tenant, "challenger", request, &matter, scope).await?;
        if let Some(before) = ticketed.replace(intent) {
            // Every claim is decided and logged; the last one's ticket is used.
            drop(before.finish(OutcomeStatus::Completed, 0, 0));
        }
    }
    let Some(intent) = ticketed else { return Ok(Round::default()) };
    let log_index = intent.index();
    let places = intent.intent().node_places.clone();
    let unfit = || crate::objects::Error::Unavailable("the ticket does not fit a header".to_owned());
    let ticketed = Ticketed::new(intent).ok_or_else(unfit)?;
    let now = gateway.clock.now();
    let alive = |node: &NodeId| {
        let standing = gateway.directory.standing(node);
        standing.is_some_and(|it| {
            places.contains(&it.enrolled.place) && it.announced.is_some_and(|said| said.expires > now)
        })
    };
    let drawn: Vec<Challenge> = shards
        .into_iter()
        .filter(|shard| alive(&shard.node))
        .map(|shard| Challenge { shard, range: draw_range(gateway, shard_bytes) })
        .collect();
    let answers = drawn.iter().map(|challenge| prove(gateway, &ticketed, challenge, shard_bytes));
    let mut round = Round::default();
    for (challenge, answer) in drawn.iter().zip(join_all(answers).await) {
        let ShardAt { cid, node } = challenge.shard;
        asked.insert(node, now);
        match answer {
            Ok(micros) => {
                round.met += 1;
                round.bytes = round.bytes.saturating_add(challenge.range.bytes());
                gateway.warden.challenged(node, Ok(micros));
            }
            Err(error) => {
                let fault = fault_of(&error);
                // What was moved meanwhile is nobody's failure.
                if fault.loses_the_shard() && !gateway.catalog.note_damaged(page.at, challenge.shard).await? {
                    continue;
                }
                tracing::info!(%node, %cid, error = with_causes(&error), "a challenge was not met");
                if fault.loses_the_shard() {
                    incident(gateway, node, cid).await;
                }
                let failure = Failure { time: gateway.clock.now(), cid, data: page.data, fault, log_index };
                gateway.warden.challenged(node, Err(failure));
                round.unmet.push((node, fault));
            }
        }
    }
    let status = if round.unmet.is_empty() { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
    drop(ticketed.finish(status, round.bytes, 0));
    Ok(round)
}

/// How many microseconds the proof took. A connection is made first, so that what is measured is one exchange.
async fn prove(
    gateway: &Gateway,
    ticketed: &Ticketed,
    challenge: &Challenge,
    shard_bytes: u64,
) -> Result<u32, NodeError> {
    let ShardAt { cid, node } = challenge.shard;
    gateway.nodes.status(node).await?;
    let asked = Instant::now();
    gateway.nodes.challenge(node, ticketed, &cid, shard_bytes, challenge.range).await?;
    Ok(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX))
}

/// The shards of a segment and how long each is.
fn shape(page: &Mendable, segment: usize) -> Option<(Vec<ShardAt>, u64)> {
    let (_, _, plaintext, shards) = page.segments().find(|(place, ..)| *place == segment)?;
    let profile = page.profile_of(shards.len())?;
    let layout = SegmentLayout::new(profile, usize::try_from(plaintext).ok()?).ok()?;
    Some((shards.to_vec(), u64::try_from(layout.shard_bytes()).ok()?))
}

/// A random group of the shard.
fn draw_range(gateway: &Gateway, shard_bytes: u64) -> ResolvedRange {
    let start = draw(gateway, shard_bytes.div_ceil(GROUP_BYTES)).saturating_mul(GROUP_BYTES);
    ResolvedRange { start, end: start.saturating_add(GROUP_BYTES).min(shard_bytes) }
}

/// A number below `count`; zero where there is none. The bias of the remainder is below 2^-40.
fn draw(gateway: &Gateway, count: u64) -> u64 {
    u64::from_be_bytes(gateway.clock.random()).checked_rem(count).unwrap_or(0)
}

fn fault_of(error: &NodeError) -> Fault {
    match error {
        NodeError::Refused { refusal, .. } => match refusal.code {
            RefusalCode::NotFound => Fault::Missing,
            RefusalCode::Corrupt => Fault::Damaged,
            _ => Fault::Refused,
        },
        NodeError::BadProof { .. } | NodeError::BadReceipt { .. } => Fault::Wrong,
        NodeError::OutsideProtocol { .. } => Fault::Refused,
        _ => Fault::Unreachable,
    }
}

/// Durable before the node's standing is judged by it.
async fn incident(gateway: &Gateway, node: NodeId, cid: ShardCid) {
    let request = RequestId::from_bytes(gateway.clock.random());
    if let Err(error) = gateway.log.incident(request, "shard-not-proved", Some(node), Some(cid)).await {
        tracing::error!(%node, %cid, %error, "a challenge that was not met could not be logged as an incident");
    }
}

#[cfg(test)]
mod tests;
