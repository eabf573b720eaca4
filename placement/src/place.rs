//! The choice of nodes for a segment.

use std::collections::{BTreeMap, BTreeSet};

use domicile_compliance::Permit;
use domicile_types::{Action, CodeProfile, ControllerId, NodeId, OperationKind, Subject};

use crate::refusal::removals;
use crate::rendezvous::Draw;
use crate::{
    Census, HeldFault, HeldShard, Network, NodeRecord, NodeState, PlacementRefusal, PlacementRequest, Plan,
    PlannedShard, Removed, Roster, Shortage,
};

/// Chooses a node for every shard of the segment that is not held already.
///
/// Shards are given to nodes in the order of choice, so data shards lie spread the widest. A refusal says where the nodes
/// went and what would help; see [`Shortage::is_lawful`] for whether trying again makes sense.
///
/// The plan still has to pass [`check`](crate::check).
pub fn place(roster: &Roster, permit: &Permit, request: &PlacementRequest) -> Result<Plan, PlacementRefusal> {
    let profile = match request.profile {
        Some(profile) => request.effective(profile),
        // Too few controllers for the narrowest coded profile may still do for the copies of a small object.
        None if request.whole_copies => {
            let coded = PlacementRequest { whole_copies: false, ..request.clone() };
            auto_profile(roster, permit, &coded).unwrap_or(CodeProfile::RS_4_2).whole_copies()
        }
        None => auto_profile(roster, permit, request)?,
    };
    let survey = Survey::new(roster, permit, request);
    let held = held_nodes(roster, permit, request, profile)?;
    let limit = request.shards_per_controller(profile);
    let wanted = wanted(request, profile, &held);
    if room(&survey.eligible, &held, limit) < wanted {
        return Err(PlacementRefusal::TooFew(Box::new(survey.shortage(request, profile, &held))));
    }
    let chosen = choose(&survey.eligible, &held, request, wanted, limit);
    let kept: BTreeSet<u8> = request.held.iter().map(|held| held.shard).chain(request.waived.iter().copied()).collect();
    let missing = (0u8..).take(profile.n()).filter(|shard| !kept.contains(shard));
    let shards = missing.zip(chosen).map(|(shard, node)| PlannedShard { shard, node }).collect();
    Ok(Plan { profile, shards })
}

/// [`place`], passing over `avoid` besides: for another try after a put failed there.
pub fn place_excluding(
    roster: &Roster,
    permit: &Permit,
    request: &PlacementRequest,
    avoid: &[NodeId],
) -> Result<Plan, PlacementRefusal> {
    place(roster, permit, &request.clone().avoiding(avoid))
}

/// The coded profile that `auto` means for this roster, permit and request: the widest on offer whose shards the eligible nodes
/// can take. `request.profile` does not matter. A gateway asks once per upload and names the answer from then on.
pub fn auto_profile(
    roster: &Roster,
    permit: &Permit,
    request: &PlacementRequest,
) -> Result<CodeProfile, PlacementRefusal> {
    let survey = Survey::new(roster, permit, request);
    let mut refusal = None;
    for profile in CodeProfile::CODED {
        let held = held_nodes(roster, permit, request, profile)?;
        if survey.fits(request, profile, &held) {
            return Ok(profile);
        }
        // The last of them is the narrowest: what is missing there is what is missing.
        refusal = Some((profile, held));
    }
    let (profile, held) = refusal.unwrap_or((CodeProfile::RS_4_2, Vec::new()));
    Err(PlacementRefusal::TooFew(Box::new(survey.shortage(request, profile, &held))))
}

/// The action that a node needs a permit for: repairs are judged apart from writes.
fn action_of(operation: OperationKind) -> Action {
    if operation == OperationKind::Repair { Action::Repair } else { Action::Store }
}

/// The roster, sorted by what stands in each node's way.
struct Survey<'a> {
    /// Nodes that can take a shard now.
    eligible: Vec<&'a NodeRecord>,
    /// Nodes that the law allows, whatever their state.
    lawful: Vec<&'a NodeRecord>,
    census: Census,
}

impl<'a> Survey<'a> {
    fn new(roster: &'a Roster, permit: &Permit, request: &PlacementRequest) -> Self {
        let action = action_of(permit.operation());
        let denied: BTreeSet<NodeId> = denied_nodes(permit, action).collect();
        let holders: BTreeSet<&NodeId> = request.held.iter().map(|held| &held.node).collect();
        let mut census = Census { enrolled: roster.len(), ..Census::default() };
        let (mut eligible, mut lawful) = (Vec::new(), Vec::new());
        let mut removed: BTreeMap<Cause, Vec<&NodeRecord>> = BTreeMap::new();
        for record in roster.iter() {
            let cause = if denied.contains(&record.node) {
                Some(Cause::Denied)
            } else if !permit.allows(action, Subject::Node(record.node)) {
                Some(Cause::Unasked)
            } else {
                lawful.push(record);
                cause_of_state(record, request, &holders)
            };
            match cause {
                Some(cause) => removed.entry(cause).or_default().push(record),
                None => eligible.push(record),
            }
        }
        let mut served: BTreeSet<&ControllerId> = eligible.iter().map(|record| &record.controller).collect();
        census.eligible = Removed { nodes: eligible.len(), controllers: served.len() };
        served.extend(request.held.iter().filter_map(|held| Some(&roster.get(&held.node)?.controller)));
        for (cause, records) in removed {
            let controllers: BTreeSet<&ControllerId> = records
                .iter()
                .map(|record| &record.controller)
                .filter(|controller| !served.contains(controller))
                .collect();
            *cause.field(&mut census) = Removed { nodes: records.len(), controllers: controllers.len() };
        }
        let enrolled = permit.denied().iter().filter(|finding| match finding.subject {
            Subject::Node(node) => finding.action == action && roster.get(&node).is_some(),
            Subject::Gateway(_) | Subject::Requester | Subject::KeyService => false,
        });
        census.rules = removals(enrolled);
        Self { eligible, lawful, census }
    }

    fn fits(&self, request: &PlacementRequest, profile: CodeProfile, held: &[&NodeRecord]) -> bool {
        room(&self.eligible, held, request.shards_per_controller(profile)) >= wanted(request, profile, held)
    }

    fn shortage(self, request: &PlacementRequest, profile: CodeProfile, held: &[&NodeRecord]) -> Shortage {
        let limit = request.shards_per_controller(profile);
        let lawful: Vec<&NodeRecord> =
            self.lawful.iter().copied().filter(|record| held.iter().all(|held| held.node != record.node)).collect();
        let narrower = |other: &CodeProfile| {
            profile.k() > 1 && other.n() < profile.n() && held.is_empty() && self.fits(request, *other, held)
        };
        Shortage {
            profile,
            shards_wanted: wanted(request, profile, held),
            shards_per_controller: limit,
            room: room(&self.eligible, held, limit),
            room_if_all_served: room(&lawful, held, limit),
            narrower: CodeProfile::CODED.into_iter().find(narrower),
            census: self.census,
        }
    }
}

/// What stands in a node's way, in the order of asking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Denied,
    Unasked,
    Quarantined,
    Corrupt,
    Draining,
    Offline,
    Suspect,
    Avoided,
    Full,
    Holding,
}

impl Cause {
    fn field(self, census: &mut Census) -> &mut Removed {
        match self {
            Self::Denied => &mut census.denied,
            Self::Unasked => &mut census.unasked,
            Self::Quarantined => &mut census.quarantined,
            Self::Corrupt => &mut census.corrupt,
            Self::Draining => &mut census.draining,
            Self::Offline => &mut census.offline,
            Self::Suspect => &mut census.suspect,
            Self::Avoided => &mut census.avoided,
            Self::Full => &mut census.full,
            Self::Holding => &mut census.holding,
        }
    }
}

/// What stands in the way of a node that the law allows.
fn cause_of_state(record: &NodeRecord, request: &PlacementRequest, holders: &BTreeSet<&NodeId>) -> Option<Cause> {
    match record.state {
        NodeState::Quarantined => Some(Cause::Quarantined),
        NodeState::Corrupt => Some(Cause::Corrupt),
        NodeState::Draining => Some(Cause::Draining),
        NodeState::Offline | NodeState::Lost => Some(Cause::Offline),
        NodeState::Suspect => Some(Cause::Suspect),
        NodeState::ReadOnly => Some(Cause::Full),
        NodeState::Online if request.avoid.contains(&record.node) => Some(Cause::Avoided),
        NodeState::Online if record.free_bytes < request.shard_bytes => Some(Cause::Full),
        NodeState::Online if holders.contains(&record.node) => Some(Cause::Holding),
        NodeState::Online => None,
    }
}

/// The nodes that the decision denied `action`.
fn denied_nodes(permit: &Permit, action: Action) -> impl Iterator<Item = NodeId> {
    permit.denied().iter().filter(move |finding| finding.action == action).filter_map(|finding| match finding.subject {
        Subject::Node(node) => Some(node),
        Subject::Gateway(_) | Subject::Requester | Subject::KeyService => None,
    })
}

/// The records of the nodes whose shards stay, or what is wrong with one of them.
fn held_nodes<'a>(
    roster: &'a Roster,
    permit: &Permit,
    request: &PlacementRequest,
    profile: CodeProfile,
) -> Result<Vec<&'a NodeRecord>, PlacementRefusal> {
    let action = action_of(permit.operation());
    let limit = request.shards_per_controller(profile);
    let mut kept: Vec<&NodeRecord> = Vec::with_capacity(request.held.len());
    let mut shards = BTreeSet::new();
    for HeldShard { shard, node } in request.held.iter().copied() {
        let refuse = |fault| Err(PlacementRefusal::HeldShard { shard, node, fault });
        if usize::from(shard) >= profile.n() {
            return refuse(HeldFault::NoSuchShard);
        }
        if !shards.insert(shard) || kept.iter().any(|record| record.node == node) {
            return refuse(HeldFault::Twice);
        }
        let Some(record) = roster.get(&node) else { return refuse(HeldFault::NotEnrolled) };
        if !permit.allows(action, Subject::Node(node)) {
            return refuse(HeldFault::NotPermitted);
        }
        match record.state {
            NodeState::Quarantined => return refuse(HeldFault::Quarantined),
            NodeState::Lost | NodeState::Corrupt => return refuse(HeldFault::Gone),
            NodeState::Online | NodeState::Suspect | NodeState::ReadOnly | NodeState::Draining | NodeState::Offline => {
            }
        }
        if kept.iter().filter(|other| other.controller == record.controller).count() >= limit {
            return refuse(HeldFault::ControllerFull);
        }
        kept.push(record);
    }
    Ok(kept)
}

/// How many shards are to be placed: all but those that stay and those that wait.
fn wanted(request: &PlacementRequest, profile: CodeProfile, held: &[&NodeRecord]) -> usize {
    let waits = |shard: &u8| request.waived.contains(shard) && request.held.iter().all(|held| held.shard != *shard);
    let waiting = (0u8..).take(profile.n()).filter(waits).count();
    profile.n().saturating_sub(held.len()).saturating_sub(waiting)
}

/// How many shards `nodes` can take, one each, with no controller above `limit` when those on `held` are counted.
fn room(nodes: &[&NodeRecord], held: &[&NodeRecord], limit: usize) -> usize {
    let mut by_controller: BTreeMap<&ControllerId, usize> = BTreeMap::new();
    for record in nodes {
        *by_controller.entry(&record.controller).or_default() += 1;
    }
    let rooms = by_controller.into_iter().map(|(controller, count)| {
        let taken = held.iter().filter(|record| record.controller == *controller).count();
        count.min(limit.saturating_sub(taken))
    });
    rooms.sum()
}

/// A node that may be chosen, and how many shards its surroundings have already.
struct Candidate<'a> {
    record: &'a NodeRecord,
    network: Network,
    load: Load,
}

/// Shards that share something with a node. The order of the fields is the order in which spread matters.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    controller: usize,
    operator: usize,
    network: usize,
    place: usize,
}

impl Candidate<'_> {
    fn count_shard_on(&mut self, chosen: &NodeRecord, network: Network) {
        self.load.controller += usize::from(self.record.controller == chosen.controller);
        self.load.operator += usize::from(self.record.operator == chosen.operator);
        self.load.network += usize::from(self.network == network);
        self.load.place += usize::from(self.record.place == chosen.place);
    }
}

/// `wanted` nodes, one after the other: each time the least loaded surroundings, then the best draw.
fn choose(
    eligible: &[&NodeRecord],
    held: &[&NodeRecord],
    request: &PlacementRequest,
    wanted: usize,
    limit: usize,
) -> Vec<NodeId> {
    let mut records = eligible.to_vec();
    records.sort_by_cached_key(|record| Draw::new(&request.seed, &record.node, record.capacity_bytes));
    let mut candidates: Vec<Candidate<'_>> = records
        .into_iter()
        .map(|record| Candidate { record, network: record.network(), load: Load::default() })
        .collect();
    for record in held {
        let network = record.network();
        candidates.iter_mut().for_each(|candidate| candidate.count_shard_on(record, network));
    }
    let mut chosen = Vec::with_capacity(wanted);
    while chosen.len() < wanted {
        let open = candidates.iter().enumerate().filter(|(_, candidate)| candidate.load.controller < limit);
        // The position is the rank of the draw.
        let Some((position, _)) = open.min_by_key(|(position, candidate)| (candidate.load, *position)) else { break };
        let Candidate { record, network, .. } = candidates.remove(position);
        candidates.iter_mut().for_each(|candidate| candidate.count_shard_on(record, network));
        chosen.push(record.node);
    }
    chosen
}
