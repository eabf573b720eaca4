//! The examination of a plan: every constraint derived again, by other means than the choice was made with.
//!
//! Nothing here calls the code of `place`, nor the request's own arithmetic: a fault there must not be repeated
//! here. It is short and slow on purpose, and it runs on every plan, whoever made it.

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_compliance::Permit;
use domicile_types::{Action, CodeProfile, ControllerId, NodeId, OperationKind, Place, RuleRef, Subject, Verdict};

use crate::{HeldShard, NodeRecord, NodeState, PlacementRequest, Plan, Roster};

/// Proof that this shard may be sent to this node: its plan passed [`check`] under a permit.
///
/// Sending takes it by value or by reference and takes nothing else for a destination. It is made here alone, so it
/// cannot be copied, read from a file, or conjured up:
///
/// ```
/// fn copy<T: Clone>() {}
/// fn read<T: serde::de::DeserializeOwned>() {}
/// copy::<domicile_placement::Plan>();
/// read::<domicile_placement::Plan>();
/// ```
///
/// ```compile_fail,E0277
/// fn copy<T: Clone>() {}
/// copy::<domicile_placement::Assignment>();
/// ```
///
/// ```compile_fail,E0277
/// fn read<T: serde::de::DeserializeOwned>() {}
/// read::<domicile_placement::Assignment>();
/// ```
///
/// ```compile_fail,E0277
/// fn make<T: Default>() {}
/// make::<domicile_placement::Assignment>();
/// ```
///
/// ```compile_fail,E0451
/// use domicile_placement::Assignment;
/// use domicile_types::{Action, CodeProfile, NodeId};
/// fn conjure(node: NodeId, profile: CodeProfile) -> Assignment {
///     Assignment { shard: 0, node, profile, action: Action::Store, decision: "".into() }
/// }
/// ```
#[derive(Debug)]
#[must_use = "an assignment is for one sending"]
pub struct Assignment {
    shard: u8,
    node: NodeId,
    profile: CodeProfile,
    action: Action,
    decision: Arc<str>,
}

impl Assignment {
    /// Index of the shard in its segment, from 0; data shards first.
    #[must_use]
    pub fn shard(&self) -> u8 {
        self.shard
    }

    /// Where it goes.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The erasure code of the segment.
    #[must_use]
    pub fn profile(&self) -> CodeProfile {
        self.profile
    }

    /// What the node was permitted: [`Action::Store`], or [`Action::Repair`].
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The decision it rests on: `Decision::inputs` of the permit. Whoever logs the intent can see that both stand on the
    /// same decision.
    #[must_use]
    pub fn decision(&self) -> &str {
        &self.decision
    }
}

/// The checked placement of one segment. Not `Clone`: see [`Assignment`].
#[derive(Debug)]
#[must_use = "what was assigned is to be sent"]
pub struct Assignments {
    profile: CodeProfile,
    shards: Vec<Assignment>,
    held: Vec<HeldShard>,
}

impl Assignments {
    /// The erasure code of the segment.
    #[must_use]
    pub fn profile(&self) -> CodeProfile {
        self.profile
    }

    /// The shards to send, in the order of their indices.
    #[must_use]
    pub fn shards(&self) -> &[Assignment] {
        &self.shards
    }

    /// The shards to send, for sending one by one.
    #[must_use]
    pub fn into_shards(self) -> Vec<Assignment> {
        self.shards
    }

    /// The holder of every shard, by index, once all are sent: what the segment's manifest row keeps.
    #[must_use]
    pub fn holders(&self) -> Vec<NodeId> {
        let sent = self.shards.iter().map(|assignment| (assignment.shard, assignment.node));
        let by_index: BTreeMap<u8, NodeId> = self.held.iter().map(|held| (held.shard, held.node)).chain(sent).collect();
        by_index.into_values().collect()
    }
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Another erasure code than the request named.
    #[error("the plan is for {planned}, the request for {asked}")]
    OtherProfile {
        /// Asked for.
        asked: CodeProfile,
        /// Planned.
        planned: CodeProfile,
    },
    /// An erasure code that `auto` does not choose from.
    #[error("{planned} is not a profile on offer")]
    ProfileNotOffered {
        /// Planned.
        planned: CodeProfile,
    },
    /// A shard index beyond the profile.
    #[error("{profile} has no shard {shard}")]
    NoSuchShard {
        /// The index.
        shard: u8,
        /// The profile.
        profile: CodeProfile,
    },
    /// A shard with several nodes.
    #[error("shard {shard} is placed more than once")]
    ShardTwice {
        /// The index.
        shard: u8,
    },
    /// A shard with no node.
    #[error("shard {shard} is not placed")]
    ShardMissing {
        /// The index.
        shard: u8,
    },
    /// A node with several shards.
    #[error("node {node} would hold {shards} shards of one segment")]
    NodeTwice {
        /// The node.
        node: NodeId,
        /// How many.
        shards: usize,
    },
    /// A node that nobody enrolled.
    #[error("node {node} is not enrolled")]
    NotEnrolled {
        /// The node.
        node: NodeId,
    },
    /// A node that the permit does not allow.
    #[error("the permit does not allow node {node}{}", by_rules(.rules))]
    NotPermitted {
        /// The node.
        node: NodeId,
        /// The rules that denied it; none where the decision did not ask about it.
        rules: Vec<RuleRef>,
    },
    /// A node in a place that no permitted node was in when the decision was made: it has moved since.
    #[error("node {node} is in {place}, where the permit allows no node: ask for a new decision")]
    PlaceNotPermitted {
        /// The node.
        node: NodeId,
        /// Where it is.
        place: Place,
    },
    /// A node that may be given nothing in its state.
    #[error("node {node} is {state:?}")]
    NotInService {
        /// The node.
        node: NodeId,
        /// Its state.
        state: NodeState,
    },
    /// A node that is to be passed over.
    #[error("node {node} is to be passed over")]
    Avoided {
        /// The node.
        node: NodeId,
    },
    /// A node without space.
    #[error("node {node} has {free_bytes} bytes left and the shard takes {shard_bytes}")]
    Full {
        /// The node.
        node: NodeId,
        /// What it has left.
        free_bytes: u64,
        /// What the shard takes.
        shard_bytes: u64,
    },
    /// A controller above its share.
    #[error("controller {controller} would hold {shards} shards of one segment, the limit is {limit}")]
    ControllerOverLimit {
        /// The controller.
        controller: ControllerId,
        /// How many.
        shards: usize,
        /// How many it may hold.
        limit: usize,
    },
}

/// Examines `plan` against everything that must hold, and finds every violation, not the first alone.
///
/// `request` is what was asked for: its profile, shard length, held shards, nodes to avoid and limit are the measure.
pub fn check(
    roster: &Roster,
    permit: &Permit,
    request: &PlacementRequest,
    plan: Plan,
) -> Result<Assignments, Vec<Violation>> {
    let action = match permit.operation() {
        OperationKind::Repair => Action::Repair,
        _ => Action::Store,
    };
    let mut violations = Vec::new();
    profile_violations(request, &plan, &mut violations);
    shard_violations(request, &plan, &mut violations);
    for planned in &plan.shards {
        let Some(record) = roster.get(&planned.node) else {
            violations.push(Violation::NotEnrolled { node: planned.node });
            continue;
        };
        permit_violations(permit, action, record, &mut violations);
        service_violations(request, record, &mut violations);
    }
    for held in &request.held {
        let Some(record) = roster.get(&held.node) else {
            violations.push(Violation::NotEnrolled { node: held.node });
            continue;
        };
        permit_violations(permit, action, record, &mut violations);
        if matches!(record.state, NodeState::Quarantined | NodeState::Lost | NodeState::Corrupt) {
            violations.push(Violation::NotInService { node: record.node, state: record.state });
        }
    }
    sharing_violations(roster, request, &plan, &mut violations);
    if !violations.is_empty() {
        return Err(violations);
    }
    let decision: Arc<str> = permit.decision().inputs.as_str().into();
    let profile = plan.profile;
    let mut shards: Vec<Assignment> = plan
        .shards
        .into_iter()
        .map(|planned| Assignment {
            shard: planned.shard,
            node: planned.node,
            profile,
            action,
            decision: Arc::clone(&decision),
        })
        .collect();
    shards.sort_by_key(|assignment| assignment.shard);
    Ok(Assignments { profile, shards, held: request.held.clone() })
}

fn profile_violations(request: &PlacementRequest, plan: &Plan, violations: &mut Vec<Violation>) {
    let planned = plan.profile;
    match (request.profile, request.whole_copies) {
        (Some(asked), false) if planned != asked => violations.push(Violation::OtherProfile { asked, planned }),
        (Some(asked), true) if planned.k() != 1 || planned.m() != asked.m() => {
            violations.push(Violation::OtherProfile { asked: asked.whole_copies(), planned });
        }
        (None, whole) => {
            let offered = CodeProfile::CODED
                .iter()
                .any(|on_offer| planned.m() == on_offer.m() && planned.k() == if whole { 1 } else { on_offer.k() });
            if !offered {
                violations.push(Violation::ProfileNotOffered { planned });
            }
        }
        (Some(_), _) => {}
    }
}

/// Every index of the profile at most once, held or planned; those that wait need not be either.
fn shard_violations(request: &PlacementRequest, plan: &Plan, violations: &mut Vec<Violation>) {
    let mut seen: BTreeMap<u8, usize> = BTreeMap::new();
    for shard in plan.shards.iter().map(|planned| planned.shard).chain(request.held.iter().map(|held| held.shard)) {
        *seen.entry(shard).or_default() += 1;
    }
    for (shard, times) in &seen {
        if usize::from(*shard) >= plan.profile.k() + plan.profile.m() {
            violations.push(Violation::NoSuchShard { shard: *shard, profile: plan.profile });
        }
        if *times > 1 {
            violations.push(Violation::ShardTwice { shard: *shard });
        }
    }
    for shard in (0u8..).take(plan.profile.k() + plan.profile.m()) {
        if !seen.contains_key(&shard) && !request.waived.contains(&shard) {
            violations.push(Violation::ShardMissing { shard });
        }
    }
}

/// The permit names the node, no finding denies it, and it is where some permitted node was judged to be.
fn permit_violations(permit: &Permit, action: Action, record: &NodeRecord, violations: &mut Vec<Violation>) {
    let node = record.node;
    let denying =
        permit.denied().iter().filter(|finding| (finding.subject, finding.action) == (Subject::Node(node), action));
    let rules: Vec<RuleRef> = denying.clone().flat_map(|finding| finding.rules.iter().cloned()).collect();
    let allowed = permit.decision().verdict == Verdict::Allow
        && denying.count() == 0
        && permit.nodes_for(action).any(|permitted| permitted == node);
    if !allowed {
        violations.push(Violation::NotPermitted { node, rules });
    } else if !permit.node_places().contains(&record.place) {
        violations.push(Violation::PlaceNotPermitted { node, place: record.place });
    }
}

fn service_violations(request: &PlacementRequest, record: &NodeRecord, violations: &mut Vec<Violation>) {
    let node = record.node;
    match record.state {
        NodeState::Online => {}
        state @ (NodeState::Suspect
        | NodeState::ReadOnly
        | NodeState::Draining
        | NodeState::Offline
        | NodeState::Lost
        | NodeState::Corrupt
        | NodeState::Quarantined) => violations.push(Violation::NotInService { node, state }),
    }
    if request.avoid.iter().any(|avoided| *avoided == node) {
        violations.push(Violation::Avoided { node });
    }
    if request.shard_bytes > record.free_bytes {
        let (free_bytes, shard_bytes) = (record.free_bytes, request.shard_bytes);
        violations.push(Violation::Full { node, free_bytes, shard_bytes });
    }
}

/// One shard per node, and no controller that could rebuild the segment, destroy it, or holds more than was asked.
fn sharing_violations(roster: &Roster, request: &PlacementRequest, plan: &Plan, violations: &mut Vec<Violation>) {
    let mut by_node: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut by_controller: BTreeMap<&ControllerId, usize> = BTreeMap::new();
    for node in plan.shards.iter().map(|planned| planned.node).chain(request.held.iter().map(|held| held.node)) {
        *by_node.entry(node).or_default() += 1;
        if let Some(record) = roster.get(&node) {
            *by_controller.entry(&record.controller).or_default() += 1;
        }
    }
    for (node, shards) in by_node {
        if shards > 1 {
            violations.push(Violation::NodeTwice { node, shards });
        }
    }
    let (k, m) = (plan.profile.k(), plan.profile.m());
    let asked = if request.shards_per_controller_max == 0 { 1 } else { request.shards_per_controller_max };
    for (controller, shards) in by_controller {
        // One shard is always allowed: with k = 1 or m = 0 there is no other way to store anything.
        let rebuilds = shards >= k;
        let destroys = shards > m;
        if shards > 1 && (rebuilds || destroys || shards > asked) {
            let limit = asked.min(k.max(2) - 1).min(m.max(1));
            violations.push(Violation::ControllerOverLimit { controller: controller.clone(), shards, limit });
        }
    }
}

/// How a node came to be denied.
fn by_rules(rules: &[RuleRef]) -> String {
    if rules.is_empty() {
        return ": the decision did not ask about it".to_owned();
    }
    let rules: Vec<String> = rules.iter().map(|rule| format!("{}/{}, {}", rule.pack, rule.rule, rule.cite)).collect();
    format!(" by {}", rules.join("; "))
}
