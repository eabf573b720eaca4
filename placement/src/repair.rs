//! The plan of a repair: which shards of a segment are to be elsewhere, from what they are made, and where they go.
//!
//! Pure. The plan proves nothing: its targets pass [`check`](crate::check) like those of any upload, under the repair's
//! permit, before one byte moves. Nothing here orders a deletion: what is moved away from is deleted by whoever has seen that
//! the new copy is durable and counted on.

use std::collections::BTreeSet;

use domicile_compliance::Permit;
use domicile_types::{Action, CodeProfile, ControllerId, NodeId, Subject};

use crate::{
    HeldBy, HeldShard, NodeState, PlacementRefusal, PlacementRequest, PlacementSeed, Plan, Roster, Shortage,
    Thresholds, place, read_order,
};

/// A segment as it is counted on.
#[derive(Debug, Clone, Copy)]
pub struct SegmentState<'a> {
    /// Its code; whole copies for a segment that is kept in such.
    pub profile: CodeProfile,
    /// The node of every shard, by index.
    pub holders: &'a [NodeId],
    /// Shards whose bytes are known not to be what they should.
    pub damaged: &'a [u8],
    /// Length of every shard.
    pub shard_bytes: u64,
    /// What the choice among equals depends on.
    pub seed: PlacementSeed,
}

/// Why a shard is to be elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The law does not allow it where it is, or its node's place is contradicted.
    Unlawful,
    /// Its node is lost, does not keep what it holds, or is not enrolled.
    Lost,
    /// Its bytes are damaged.
    Damaged,
    /// Its controller holds more shards of the segment than the collusion limit allows: two have become one.
    Crowded,
    /// Its node is leaving.
    Leaving,
}

/// One shard that gets a new holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mending {
    /// Its index.
    pub shard: u8,
    /// Who holds it, or held it.
    pub from: NodeId,
    /// Who shall hold it.
    pub to: NodeId,
    /// Why.
    pub cause: Cause,
    /// Whether it is to be had from its holder, as it is; otherwise it is rebuilt from `k` others.
    pub copied: bool,
}

/// What to do for one segment.
#[derive(Debug, Clone)]
pub struct RepairPlan {
    /// The shards that move, by index.
    pub mendings: Vec<Mending>,
    /// Where to ask for shards to rebuild from, in order.
    pub sources: Vec<HeldBy>,
    /// What the targets are to be checked against.
    pub request: PlacementRequest,
    /// The targets, to be checked.
    pub targets: Plan,
    /// Shards that ought to move and cannot, for want of room or of enough others to rebuild from, and why they ought to.
    pub left: Vec<(u8, Cause)>,
    /// What is short, where something is left.
    pub shortage: Option<Box<Shortage>>,
}

/// What a repair comes to.
#[derive(Debug, Clone)]
pub enum Aim {
    /// All is where it should be, or may wait.
    Nothing,
    /// To be done, in full or as far as there is room.
    Mend(Box<RepairPlan>),
    /// Something ought to move and there is no room for any of it.
    NoRoom(Vec<(u8, Cause)>, Box<Shortage>),
    /// Something is to be rebuilt and fewer than `k` shards can be had.
    Unreadable {
        /// How many can be had.
        readable: usize,
        /// What is lost until more can be.
        lost: Vec<(u8, Cause)>,
    },
}

/// Plans the repair of `segment` under `permit`, which is for the operation `Repair` and says of every node whether it may hold
/// and pass on shards of it. `avoid` are nodes to pass over as targets.
///
/// Lost and damaged shards wait until the lazy threshold is reached, all others move at once. What stays counts
/// against one shard per node and the collusion limit. Where there is not room for all, what lies unlawfully goes first,
/// then what is lost; a shard of a leaving node stays where it is meanwhile.
///
/// Of a node that is away the law is not held against its shards: what evidence there is of its place lapses with its
/// announcements. It comes back and is judged, or it is lost.
#[must_use]
pub fn plan_repair(
    roster: &Roster,
    permit: &Permit,
    segment: &SegmentState<'_>,
    thresholds: Thresholds,
    avoid: &[NodeId],
) -> Aim {
    let survey = Survey::new(roster, permit, segment);
    let lost = survey.ailing.iter().filter(|ailing| ailing.is_lost()).count();
    let waits = lost < thresholds.lazy.max(1);
    let (waiting, ailing): (Vec<Ailing>, Vec<Ailing>) =
        survey.ailing.iter().copied().partition(|ailing| waits && ailing.is_lost());
    if ailing.is_empty() {
        return Aim::Nothing;
    }
    let readable = survey.sources.len();
    let (mut possible, hopeless): (Vec<Ailing>, Vec<Ailing>) =
        ailing.into_iter().partition(|ailing| ailing.copied || readable >= segment.profile.k());
    if possible.is_empty() {
        return Aim::Unreadable {
            readable,
            lost: hopeless.iter().map(|ailing| (ailing.shard, ailing.cause)).collect(),
        };
    }
    possible.sort_unstable_by_key(|ailing| (ailing.cause, ailing.shard));
    let named: Vec<(u8, Cause)> = hopeless.iter().map(|ailing| (ailing.shard, ailing.cause)).collect();
    let unplanned: Vec<Ailing> = waiting.into_iter().chain(hopeless).collect();
    let mut aim = survey.fit(&possible, &unplanned, avoid);
    match &mut aim {
        Aim::Mend(plan) => plan.left.extend(named),
        Aim::NoRoom(left, _) => left.extend(named),
        Aim::Nothing | Aim::Unreadable { .. } => {}
    }
    aim
}

/// A shard that ought to be elsewhere.
#[derive(Debug, Clone, Copy)]
struct Ailing {
    shard: u8,
    node: NodeId,
    cause: Cause,
    copied: bool,
}

impl Ailing {
    fn is_lost(&self) -> bool {
        matches!(self.cause, Cause::Lost | Cause::Damaged)
    }
}

/// A segment sorted by what is to become of its shards.
struct Survey<'a> {
    roster: &'a Roster,
    permit: &'a Permit,
    segment: &'a SegmentState<'a>,
    staying: Vec<HeldShard>,
    /// Away, and not permitted as far as is known of them now: neither counted on for a new placement nor moved.
    away: Vec<HeldShard>,
    ailing: Vec<Ailing>,
    sources: Vec<HeldBy>,
}

impl<'a> Survey<'a> {
    fn new(roster: &'a Roster, permit: &'a Permit, segment: &'a SegmentState<'a>) -> Self {
        let is_source = |held: &HeldBy| {
            let serves = roster.get(&held.node).is_some_and(|record| {
                !matches!(record.state, NodeState::Offline | NodeState::Lost | NodeState::Corrupt)
            });
            serves && !segment.damaged.contains(&held.shard) && permit.allows(Action::Relay, Subject::Node(held.node))
        };
        let mut sources = read_order(roster, segment.profile, segment.holders, |_| None);
        sources.retain(is_source);
        let limit = limit_of(segment);
        let mut survey =
            Self { roster, permit, segment, staying: Vec::new(), away: Vec::new(), ailing: Vec::new(), sources };
        let mut used: Vec<(&NodeId, &ControllerId)> = Vec::new();
        for (shard, node) in (0u8..).zip(segment.holders).take(segment.profile.n()) {
            let away = roster.get(node).is_some_and(|record| record.state == NodeState::Offline);
            if away && !permit.allows(Action::Repair, Subject::Node(*node)) {
                survey.away.push(HeldShard { shard, node: *node });
                continue;
            }
            let crowded = |controller: &ControllerId| {
                used.iter().any(|(other, _)| *other == node)
                    || used.iter().filter(|(_, other)| *other == controller).count() >= limit
            };
            let cause = match (survey.ailment(shard, node), roster.get(node)) {
                (None, Some(record)) if crowded(&record.controller) => Some(Cause::Crowded),
                (cause, _) => cause,
            };
            match (cause, roster.get(node)) {
                (None, Some(record)) => {
                    used.push((node, &record.controller));
                    survey.staying.push(HeldShard { shard, node: *node });
                }
                (cause, _) => {
                    let copied = survey.sources.iter().any(|held| held.shard == shard);
                    let cause = cause.unwrap_or(Cause::Lost);
                    survey.ailing.push(Ailing { shard, node: *node, cause, copied });
                }
            }
        }
        survey
    }

    /// What is wrong with a shard where it is.
    fn ailment(&self, shard: u8, node: &NodeId) -> Option<Cause> {
        let Some(record) = self.roster.get(node) else { return Some(Cause::Lost) };
        // Of what is gone nobody asks whether it was lawful.
        if matches!(record.state, NodeState::Lost | NodeState::Corrupt) {
            return Some(Cause::Lost);
        }
        let lawful = self.permit.allows(Action::Repair, Subject::Node(*node));
        if !lawful || record.state == NodeState::Quarantined {
            return Some(Cause::Unlawful);
        }
        if self.segment.damaged.contains(&shard) {
            return Some(Cause::Damaged);
        }
        (record.state == NodeState::Draining).then_some(Cause::Leaving)
    }

    /// Places as many of `possible` as there is room for, the first of them first.
    fn fit(&self, possible: &[Ailing], unplanned: &[Ailing], avoid: &[NodeId]) -> Aim {
        let mut shortage: Option<Box<Shortage>> = None;
        let mut count = possible.len();
        while count > 0 {
            let (placing, left) = possible.split_at_checked(count).unwrap_or((possible, &[]));
            let request = self.request(placing, left, unplanned, avoid);
            match place(self.roster, self.permit, &request) {
                Ok(targets) => return Aim::Mend(Box::new(self.plan(placing, left, request, targets, shortage))),
                Err(PlacementRefusal::TooFew(found)) => {
                    count = found.room.min(count - 1);
                    shortage.get_or_insert(found);
                }
                // What stays was chosen so that it may: were it otherwise, nothing is planned on it.
                Err(PlacementRefusal::HeldShard { .. }) => return Aim::Nothing,
            }
        }
        let left = possible.iter().map(|ailing| (ailing.shard, ailing.cause)).collect();
        shortage.map_or(Aim::Nothing, |shortage| Aim::NoRoom(left, shortage))
    }

    fn request(&self, placing: &[Ailing], left: &[Ailing], unplanned: &[Ailing], avoid: &[NodeId]) -> PlacementRequest {
        let segment = self.segment;
        let mut request = PlacementRequest::new(Some(segment.profile), segment.seed, segment.shard_bytes);
        request.held.clone_from(&self.staying);
        for ailing in left.iter().chain(unplanned) {
            if ailing.cause == Cause::Leaving && self.may_also_stay(&request, ailing) {
                request.held.push(HeldShard { shard: ailing.shard, node: ailing.node });
            } else {
                request.waived.push(ailing.shard);
            }
        }
        request.waived.extend(self.away.iter().map(|away| away.shard));
        request.avoid.extend(self.away.iter().map(|away| away.node));
        let moved = placing.iter().chain(left).chain(unplanned).map(|ailing| ailing.node);
        let moved: BTreeSet<NodeId> = moved.chain(avoid.iter().copied()).collect();
        request.avoid.extend(moved);
        request
    }

    /// Whether a shard of a leaving node may stay with it for now, beside those that stay.
    fn may_also_stay(&self, request: &PlacementRequest, ailing: &Ailing) -> bool {
        let Some(record) = self.roster.get(&ailing.node) else { return false };
        let with_controller =
            |held: &&HeldShard| self.roster.get(&held.node).is_some_and(|other| other.controller == record.controller);
        request.held.iter().all(|held| held.node != ailing.node)
            && request.held.iter().filter(with_controller).count() < limit_of(self.segment)
    }

    fn plan(
        &self,
        placing: &[Ailing],
        left: &[Ailing],
        request: PlacementRequest,
        targets: Plan,
        shortage: Option<Box<Shortage>>,
    ) -> RepairPlan {
        let mut mendings: Vec<Mending> = targets
            .shards
            .iter()
            .filter_map(|planned| {
                let Ailing { shard, node, cause, copied } =
                    *placing.iter().find(|ailing| ailing.shard == planned.shard)?;
                Some(Mending { shard, from: node, to: planned.node, cause, copied })
            })
            .collect();
        mendings.sort_unstable_by_key(|mending| mending.shard);
        RepairPlan {
            mendings,
            sources: self.sources.clone(),
            request,
            targets,
            left: left.iter().map(|ailing| (ailing.shard, ailing.cause)).collect(),
            shortage,
        }
    }
}

/// How many shards of the segment one controller may hold.
fn limit_of(segment: &SegmentState<'_>) -> usize {
    PlacementRequest::new(Some(segment.profile), segment.seed, 0).shards_per_controller(segment.profile)
}
