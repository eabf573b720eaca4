//! Why a segment cannot be placed: what each constraint left over, and what would help.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domicile_types::{CodeProfile, Finding, NodeId, RuleRef, Subject, Verdict};
use serde::Serialize;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementRefusal {
    /// Too few nodes are left by law, state, space and the collusion limit.
    #[error("{0}")]
    TooFew(Box<Shortage>),
    /// The request says that a shard stays where it may not, or cannot, be.
    #[error(
        "shard {shard} cannot stay on node {node}: {fault}; leave it out of the held shards to have it placed anew"
    )]
    HeldShard {
        /// Index of the shard.
        shard: u8,
        /// Who holds it.
        node: NodeId,
        /// What is wrong.
        fault: HeldFault,
    },
}

/// What is wrong with a shard that shall stay where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeldFault {
    /// The profile has no such index.
    #[error("the profile has no shard of that index")]
    NoSuchShard,
    /// The index, or the node, is named twice.
    #[error("the shard, or the node, is named twice")]
    Twice,
    /// The node is not on the roster.
    #[error("the node is not enrolled")]
    NotEnrolled,
    /// The permit does not allow the node.
    #[error("the permit does not allow the node")]
    NotPermitted,
    /// The node is quarantined.
    #[error("the node is quarantined")]
    Quarantined,
    /// The node is lost, or does not keep what it holds.
    #[error("the node is lost, or does not keep what it holds")]
    Gone,
    /// Its controller holds as many as it may.
    #[error("its controller would hold more shards than the collusion limit allows")]
    ControllerFull,
}

/// How far short the roster falls of one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// What was to be placed.
    pub profile: CodeProfile,
    /// Shards to place: all of the profile's but those held.
    pub shards_wanted: usize,
    /// How many one controller may hold.
    pub shards_per_controller: usize,
    /// How many shards the eligible nodes can take within that limit.
    pub room: usize,
    /// How many they could take if every node that the law allows were online, empty and not avoided.
    pub room_if_all_served: usize,
    /// A narrower coded profile that would fit as things are, if there is one.
    pub narrower: Option<CodeProfile>,
    /// Where the nodes went.
    pub census: Census,
}

impl Shortage {
    /// Whether it is the law that leaves too few: true when even with every allowed node online and empty the
    /// segment would not fit. Otherwise the same request may succeed later.
    #[must_use]
    pub fn is_lawful(&self) -> bool {
        self.room_if_all_served < self.shards_wanted
    }

    /// What would help, most promising first: each a sentence for whoever runs the gateway.
    #[must_use]
    pub fn remedies(&self) -> Vec<String> {
        let census = &self.census;
        let mut remedies = Vec::new();
        let causes = [
            (census.offline, "bring offline nodes back"),
            (census.suspect, "wait for nodes that answer unsteadily"),
            (census.full, "free or add space on full nodes"),
            (census.draining, "keep draining nodes"),
            (census.quarantined, "settle the evidence of quarantined nodes"),
            (census.corrupt, "repair the disks of nodes that failed their audits"),
            (census.avoided, "try nodes again that failed a put"),
            (census.unasked, "ask for a new decision that covers nodes enrolled since"),
        ];
        for (removed, remedy) in causes {
            if removed.controllers > 0 {
                remedies.push(format!("{remedy} ({})", Counted(removed.controllers, "more controller")));
            }
        }
        if let Some(narrower) = self.narrower {
            remedies.push(format!("choose the profile {narrower}, which would fit"));
        }
        if self.is_lawful() {
            let missing = (self.shards_wanted - self.room_if_all_served).div_ceil(self.shards_per_controller.max(1));
            let more = Counted(missing, "more controller");
            remedies.push(format!("enrol nodes of at least {more}, in places and of parties that the rules allow"));
        }
        remedies
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let census = &self.census;
        write!(
            f,
            "no placement for {}: {} to place, at most {} per controller, but the {} of {} that are left have room for {}. Of {}",
            self.profile,
            Counted(self.shards_wanted, "shard"),
            self.shards_per_controller,
            Counted(census.eligible.nodes, "node"),
            Counted(census.eligible.controllers, "controller"),
            self.room,
            Counted(census.enrolled, "enrolled node"),
        )?;
        write!(f, " the law removes {}", census.denied.nodes)?;
        if !census.rules.is_empty() {
            let rules: Vec<String> = census.rules.iter().map(ToString::to_string).collect();
            write!(f, " ({})", rules.join("; "))?;
        }
        for (removed, what) in [
            (census.unasked, "were not asked about"),
            (census.quarantined, "are quarantined"),
            (census.corrupt, "failed their audits"),
            (census.draining, "are draining"),
            (census.offline, "are offline or lost"),
            (census.suspect, "answer unsteadily"),
            (census.avoided, "are passed over after a failure"),
            (census.full, "are full"),
            (census.holding, "hold a shard already"),
        ] {
            if removed.nodes > 0 {
                write!(f, ", {} {what}", removed.nodes)?;
            }
        }
        let remedies = self.remedies();
        if remedies.is_empty() { Ok(()) } else { write!(f, ". What would help: {}", remedies.join("; or ")) }
    }
}

/// Where the nodes of the roster went. Each is counted once, at the first constraint that removes it, in the order of
/// the fields; only `rules` counts a node under every rule that denied it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// All of them.
    pub enrolled: usize,
    /// Denied by the decision.
    pub denied: Removed,
    /// By which rule, most nodes first.
    pub rules: Vec<RuleRemoval>,
    /// Not in the decision at all: enrolled since, or not asked about.
    pub unasked: Removed,
    /// Quarantined.
    pub quarantined: Removed,
    /// Failed to prove what they hold.
    pub corrupt: Removed,
    /// Draining.
    pub draining: Removed,
    /// Offline or lost.
    pub offline: Removed,
    /// Answering unsteadily.
    pub suspect: Removed,
    /// On the request's list of nodes to pass over.
    pub avoided: Removed,
    /// Less free space than a shard needs, or read-only.
    pub full: Removed,
    /// Holding a shard of this segment already.
    pub holding: Removed,
    /// What is left.
    pub eligible: Removed,
}

/// How many nodes a constraint removed, or left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Nodes.
    pub nodes: usize,
    /// Controllers of theirs that have no eligible node besides (of eligible nodes: all of their controllers).
    pub controllers: usize,
}

/// How many nodes a rule removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleRemoval {
    /// The rule.
    pub rule: RuleRef,
    /// How many nodes it denied.
    pub nodes: usize,
}

impl fmt::Display for RuleRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}/{}", self.nodes, self.rule.pack, self.rule.rule)?;
        if self.rule.cite.is_empty() { Ok(()) } else { write!(f, ", {}", self.rule.cite) }
    }
}

/// How many nodes each rule denied, most nodes first; a node under several rules counts under each. Also for a ruling
/// without a permit, where the law leaves no node at all and placement is never asked.
#[must_use]
pub fn removals<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<RuleRemoval> {
    let mut denied: BTreeMap<&RuleRef, BTreeSet<NodeId>> = BTreeMap::new();
    for finding in findings {
        if let (Verdict::Deny, Subject::Node(node)) = (finding.verdict, finding.subject) {
            finding.rules.iter().for_each(|rule| {
                denied.entry(rule).or_default().insert(node);
            });
        }
    }
    let counted = denied.into_iter().map(|(rule, nodes)| RuleRemoval { rule: rule.clone(), nodes: nodes.len() });
    let mut removals: Vec<RuleRemoval> = counted.collect();
    removals.sort_by(|a, b| b.nodes.cmp(&a.nodes).then_with(|| a.rule.cmp(&b.rule)));
    removals
}

/// `1 node`, `2 nodes`.
struct Counted(usize, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}
