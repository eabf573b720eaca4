//! The repair of one page: its segments planned, checked, recorded, made, and counted on.

use std::collections::BTreeSet;

use domicile_chunker::SegmentLayout;
use domicile_compliance::Permit;
use domicile_compliance::audit::LoggedIntent;
use domicile_node_protocol::SHARD_BYTES_MAX;
use domicile_placement::{
    Aim, Assignment, Cause, Mending, NodeState, PlacementSeed, RepairPlan, Roster, SegmentState, Thresholds, check,
    plan_repair,
};
use domicile_types::{Action, CodeProfile, NodeId, OperationKind, OutcomeStatus, RequestId, Subject, SubjectFacts};

use super::bytes::{Job, Made, make};
use super::hands::make_by;
use super::roster::everyone;
use super::{RepairError, Tally, WORKER, lease};
use crate::catalog::{
    Announced, CatalogError, Claim, JudgingEpoch, Mendable, Move, PageAt, Residue, ResidueCause, ShardAt, ToDelete,
};
use crate::fleet::Ticketed;
use crate::objects::{Error, Gateway, Matter, Scope};
use crate::state::Held;

/// Segments that are repaired under one intent.
const SEGMENTS_AT_ONCE: usize = 16;
/// Nodes of a page that are considered for doing its repair in the gateway's stead.
const WORKERS_TRIED: usize = 3;
/// How often targets are chosen anew because they are still to delete an old copy.
const PLANS_MAX: usize = 4;

/// What became of a page.
pub(super) enum Ending {
    /// Some of it lies elsewhere now.
    Done,
    /// Nothing was to be done.
    Nothing,
    /// It was changed by somebody else meanwhile: look again.
    Changed,
    /// Something is to be done and cannot: an incident of that name.
    Stuck(&'static str),
}

/// What a repair rests on.
struct Decided<'a> {
    permit: &'a Permit,
    request: RequestId,
    by: JudgingEpoch,
    /// The node that does the work, where the gateway's place does not allow it to.
    hands: Option<NodeId>,
}

/// A segment with what is to be done for it.
struct Planned {
    segment: usize,
    plan: RepairPlan,
    targets: Vec<Assignment>,
    shards: Vec<ShardAt>,
    profile: CodeProfile,
}

/// Repairs what is due on a page, some segments at a time; `promise` says how many lost shards a code waits for.
pub(super) async fn mend_page(
    gateway: &Gateway,
    held: &Held,
    at: PageAt,
    mut promise: impl FnMut(CodeProfile) -> Thresholds,
) -> Result<Ending, RepairError> {
    let Some(page) = gateway.catalog.mendable(at).await? else { return Ok(Ending::Nothing) };
    let roster = everyone(gateway);
    let request = RequestId::from_bytes(gateway.clock.random());
    let by = gateway.judging.law().epoch;
    let (permit, hands) = permit_somewhere(gateway, &page, &roster, request, by).await?;
    let strays = strays_to_drop(&page, &roster, &permit);
    let mut avoid: Vec<NodeId> = Vec::new();
    for _ in 0..PLANS_MAX {
        let (planned, stuck) = plan(&page, &roster, &permit, &mut promise, &avoid);
        if planned.is_empty() && strays.is_empty() {
            return Ok(stuck.map_or(Ending::Nothing, Ending::Stuck));
        }
        let targets = planned.iter().flat_map(targets_of).map(|(_, _, to)| to).collect();
        let announced = match gateway.catalog.announce_copies(held, &page, by, targets).await {
            Err(CatalogError::JudgedBefore { .. }) => return Ok(Ending::Changed),
            announced => announced?,
        };
        match announced {
            Announced::Recorded => {
                let decided = Decided { permit: &permit, request, by, hands };
                let done = carry_out(gateway, &page, &decided, planned, strays).await?;
                return Ok(match (done, stuck) {
                    (false, _) => Ending::Changed,
                    (true, Some(what)) => Ending::Stuck(what),
                    (true, None) => Ending::Done,
                });
            }
            Announced::Changed => return Ok(Ending::Changed),
            Announced::BeingDeleted(nodes) => avoid.extend(nodes),
        }
    }
    Ok(Ending::Stuck("repair-waits-for-deletions"))
}

/// Asks the law for the gateway itself, or, where its place is denied, for a node that does the work in its stead.
async fn permit_somewhere(
    gateway: &Gateway,
    page: &Mendable,
    roster: &Roster,
    request: RequestId,
    by: JudgingEpoch,
) -> Result<(Permit, Option<NodeId>), RepairError> {
    let under = (by, page.claims.iter().flat_map(Claim::all_packs).collect());
    let denied = if gateway.repairs.is_denied_here(&under) {
        None
    } else {
        match permit(gateway, page, roster, request, None).await {
            Ok(permit) => return Ok((permit, None)),
            Err(RepairError::Logged(Error::Denied(denial))) => Some(denial),
            Err(error) => return Err(error),
        }
    };
    gateway.repairs.note_denied_here(under);
    // Those that hold shards of the page are where it may be, mostly.
    let holders: BTreeSet<NodeId> = page.page.shards().map(|shard| shard.node).collect();
    let online = holders.iter().filter(|node| roster.get(node).is_some_and(|it| it.state == NodeState::Online));
    let mut last = denied;
    for node in online.take(WORKERS_TRIED) {
        match permit(gateway, page, roster, request, Some(*node)).await {
            Ok(permit) => return Ok((permit, Some(*node))),
            Err(RepairError::Logged(Error::Denied(denial))) => last = Some(denial),
            Err(error) => return Err(error),
        }
    }
    Err(last.map_or_else(|| Error::Unavailable("no node may do the repair".to_owned()), Error::Denied).into())
}

/// Asks the law, once for every claim on the body: all must allow. What one forbids a node is not asked of the next.
async fn permit(
    gateway: &Gateway,
    page: &Mendable,
    roster: &Roster,
    request: RequestId,
    hands: Option<NodeId>,
) -> Result<Permit, RepairError> {
    let mut nodes: Vec<SubjectFacts> = roster.iter().map(domicile_placement::NodeRecord::facts).collect();
    let hands = hands.and_then(|node| roster.get(&node)).map(domicile_placement::NodeRecord::facts);
    let mut last = None;
    for claim in &page.claims {
        let packs = claim.all_packs();
        let matter = matter(claim, &packs, nodes.clone());
        let tenant = &claim.origin.tenant;
        let permit = match &hands {
            None => gateway.permit_background(tenant, WORKER, request, &matter).await?,
            Some(hands) => gateway.permit_by_node(tenant, WORKER, request, &matter, hands).await?,
        };
        nodes.retain(|facts| {
            permit.allows(Action::Repair, facts.subject) || permit.allows(Action::Relay, facts.subject)
        });
        last = Some(permit);
    }
    last.ok_or_else(|| Error::Unavailable("nobody needs the body any more".to_owned()).into())
}

fn matter<'a>(claim: &'a Claim, packs: &'a [domicile_types::PackId], nodes: Vec<SubjectFacts>) -> Matter<'a> {
    Matter {
        operation: OperationKind::Repair,
        packs,
        classification: &claim.classification,
        bucket: Some(&claim.origin.bucket),
        key: None,
        nodes,
    }
}

/// Logs that the repair begins: the key to the nodes.
async fn ticket(
    gateway: &Gateway,
    page: &Mendable,
    Decided { permit, request, hands, .. }: &Decided<'_>,
    epoch: u64,
    segments: usize,
) -> Result<Ticketed, RepairError> {
    let unfit = |what: &str| Error::Unavailable(what.to_owned());
    let claim = page.claims.last().ok_or_else(|| unfit("nobody needs the body any more"))?;
    let packs = claim.all_packs();
    let matter = matter(claim, &packs, Vec::new());
    // A node gives one shard of a segment, or takes one.
    let node_bytes_max = u64::try_from(segments).unwrap_or(u64::MAX).saturating_mul(SHARD_BYTES_MAX);
    let scope = Scope { data: Some(page.data), node_bytes_max, epoch, worker: *hands, ..Scope::default() };
    let intent: LoggedIntent =
        gateway.intend_background(&claim.origin.tenant, WORKER, *request, &matter, permit, scope).await?;
    Ok(Ticketed::new(intent).ok_or_else(|| unfit("the ticket does not fit a header"))?)
}

/// Plans the segments that are due, at most [`SEGMENTS_AT_ONCE`]; and what cannot be done, if anything.
fn plan(
    page: &Mendable,
    roster: &Roster,
    permit: &Permit,
    promise: &mut impl FnMut(CodeProfile) -> Thresholds,
    avoid: &[NodeId],
) -> (Vec<Planned>, Option<&'static str>) {
    let (mut planned, mut stuck) = (Vec::new(), None);
    for (place, index, plaintext_bytes, shards) in page.segments() {
        if planned.len() >= SEGMENTS_AT_ONCE {
            break;
        }
        let Some(profile) = page.profile_of(shards.len()) else { continue };
        let layout = usize::try_from(plaintext_bytes).ok().and_then(|bytes| SegmentLayout::new(profile, bytes).ok());
        let holders: Vec<NodeId> = shards.iter().map(|shard| shard.node).collect();
        let damaged = (0u8..).zip(shards).filter(|(_, shard)| page.damaged.contains(shard)).map(|(index, _)| index);
        let damaged: Vec<u8> = damaged.collect();
        let segment = SegmentState {
            profile,
            holders: &holders,
            damaged: &damaged,
            shard_bytes: layout
                .map_or(SHARD_BYTES_MAX, |layout| u64::try_from(layout.shard_bytes()).unwrap_or(u64::MAX)),
            seed: PlacementSeed::of_segment(&page.data, u32::from(page.part), u32::try_from(index).unwrap_or(u32::MAX)),
        };
        match plan_repair(roster, permit, &segment, promise(profile), avoid) {
            Aim::Nothing => {}
            Aim::NoRoom(left, _) => {
                let unlawful = left.iter().any(|(_, cause)| *cause == Cause::Unlawful);
                stuck = Some(if unlawful { "unlawful-and-no-room" } else { "repair-has-no-room" });
            }
            Aim::Unreadable { .. } => stuck = Some("segment-unreadable"),
            Aim::Mend(plan) => {
                if !plan.left.is_empty() {
                    stuck = Some("repair-has-no-room");
                }
                match check(roster, permit, &plan.request, plan.targets.clone()) {
                    Ok(assigned) => planned.push(Planned {
                        segment: place,
                        targets: assigned.into_shards(),
                        plan: *plan,
                        shards: shards.to_vec(),
                        profile,
                    }),
                    Err(violations) => {
                        tracing::error!(?violations, "a plan of a repair was refused");
                        stuck = Some("repair-plan-refused");
                    }
                }
            }
        }
    }
    (planned, stuck)
}

/// Strays where nothing of this body should be: at nodes that are being emptied, or that the law does not allow.
fn strays_to_drop(page: &Mendable, roster: &Roster, permit: &Permit) -> Vec<(ShardAt, ResidueCause)> {
    let cause = |stray: &ShardAt| {
        let state = roster.get(&stray.node).map(|record| record.state);
        let emptied = state.is_none_or(|state| state.is_emptied());
        let lawful = permit.allows(Action::Repair, Subject::Node(stray.node));
        match (lawful, emptied) {
            (false, _) => Some(ResidueCause::Unlawful),
            (true, true) => Some(ResidueCause::Stray),
            (true, false) => None,
        }
    };
    page.page.strays.iter().filter_map(|stray| Some((*stray, cause(stray)?))).collect()
}

/// The shards of a plan that move: how, from where, and where to.
fn targets_of(planned: &Planned) -> impl Iterator<Item = (Mending, ShardAt, ShardAt)> + '_ {
    planned.plan.mendings.iter().filter_map(|mending| {
        let from = planned.shards.get(usize::from(mending.shard))?;
        Some((*mending, *from, ShardAt { cid: from.cid, node: mending.to }))
    })
}

/// Makes the new copies, counts on those that are durable, and orders the rest deleted. False: the page changed meanwhile.
async fn carry_out(
    gateway: &Gateway,
    page: &Mendable,
    decided: &Decided<'_>,
    planned: Vec<Planned>,
    mut given_up: Vec<(ShardAt, ResidueCause)>,
) -> Result<bool, RepairError> {
    let mut moves = Vec::new();
    let mut made_all = true;
    if !planned.is_empty() {
        let epoch = lease(gateway).await?.epoch();
        let ticketed = ticket(gateway, page, decided, epoch, planned.len()).await?;
        for one in planned {
            let moving: Vec<(Mending, ShardAt, ShardAt)> = targets_of(&one).collect();
            let Planned { segment, plan, targets, shards, profile } = one;
            let job = Job { at: page.at, profile, shards, sources: plan.sources, moving: &moving, targets };
            let Made { stored, fetched_bytes, stored_bytes } = match decided.hands {
                None => make(gateway, &ticketed, job).await,
                Some(worker) => make_by(gateway, worker, &ticketed, job).await,
            };
            Tally::add(&gateway.repairs.done.fetched_bytes, fetched_bytes);
            Tally::add(&gateway.repairs.done.shard_bytes, stored_bytes);
            for (mending, from, to) in &moving {
                if stored.contains(&mending.shard) {
                    let (shard, cause) = (usize::from(mending.shard), residue_of(mending.cause));
                    moves.push(Move { segment, shard, from: *from, to: *to, cause });
                } else {
                    made_all = false;
                    given_up.push((*to, ResidueCause::Stray));
                }
            }
        }
        let status = if made_all { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
        drop(ticketed.finish(status, 0, 0));
    }
    let count = u64::try_from(moves.len()).unwrap_or(u64::MAX);
    let now = gateway.clock.now();
    let orders: Vec<ShardAt> = moves.iter().map(|moved| moved.to).chain(given_up.iter().map(|(at, _)| *at)).collect();
    let held = lease(gateway).await?;
    let committed = match gateway.catalog.commit_moves(&held, page, decided.by, moves, given_up, now).await {
        Err(CatalogError::JudgedBefore { .. }) => false,
        committed => committed?,
    };
    if committed {
        Tally::add(&gateway.repairs.done.shards, count);
        if count > 0 {
            tracing::info!(shards = count, "shards have new holders");
        }
        return Ok(true);
    }
    // Nothing counts on what was sent.
    let origin = page.claims.first().map(|claim| claim.origin.clone());
    let Some(origin) = origin else { return Ok(false) };
    let distinct: BTreeSet<ShardAt> = orders.into_iter().collect();
    let order = |shard| {
        let residue = Residue { origin: origin.clone(), since: now, cause: ResidueCause::Stray };
        ToDelete { shard, data: page.data, residue }
    };
    gateway.catalog.order_deletions(&held, distinct.into_iter().map(order).collect()).await?;
    Ok(false)
}

const fn residue_of(cause: Cause) -> ResidueCause {
    match cause {
        Cause::Unlawful => ResidueCause::Unlawful,
        Cause::Lost => ResidueCause::Lost,
        Cause::Damaged => ResidueCause::Damaged,
        Cause::Crowded => ResidueCause::Stray,
        Cause::Leaving => ResidueCause::Drained,
    }
}
