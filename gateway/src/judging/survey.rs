//! What a law makes of where shards lie: page by page of everything stored, without keys.
//!
//! Used on the law in force, to find what has to move, and on a law that is only proposed, to tell what would. It asks the law
//! the question that a repair would ask, for every claim on a body, and counts room by itself; nothing is logged, as nothing
//! is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_chunker::SegmentLayout;
use domicile_compliance::{Circumstances, Grounds, Lawbook};
use domicile_placement::{NodeRecord, Roster};
use domicile_types::{
    Action, ControllerId, Finding, NodeId, OperationKind, RuleRef, Subject, SubjectFacts, UnixMillis, Verdict,
};

use crate::catalog::{Claim, Mendable, ShardAt};
use crate::config::EnrolledNode;
use crate::objects::Gateway;

/// A law before the fleet.
pub(super) struct Survey<'a> {
    lawbook: &'a Lawbook,
    roster: &'a Roster,
    enrolled: Arc<BTreeMap<NodeId, EnrolledNode>>,
    gateway: SubjectFacts,
    nodes: Vec<SubjectFacts>,
    now: UnixMillis,
    rulings: BTreeMap<Vec<u8>, Arc<Ruled>>,
}

/// What the law says of nodes for one claim: who may not hold its shards, and by which rules.
#[derive(Debug, Default)]
struct Ruled {
    denied: BTreeMap<NodeId, Vec<RuleRef>>,
}

/// A shard that may not lie where it lies.
#[derive(Debug, Clone)]
pub(super) struct Misplaced {
    /// Which, and where.
    pub(super) shard: ShardAt,
    /// Its length.
    pub(super) bytes: u64,
    /// The rules that deny it.
    pub(super) rules: Vec<RuleRef>,
}

/// A segment of which some shards may not lie where they lie.
#[derive(Debug, Clone)]
pub(super) struct Misplacement {
    /// Those shards.
    pub(super) shards: Vec<Misplaced>,
    /// Whether there is room for all of them with nodes that are well, allowed, and of controllers that hold none.
    pub(super) has_room: bool,
}

impl<'a> Survey<'a> {
    pub(super) fn new(gateway: &Gateway, lawbook: &'a Lawbook, roster: &'a Roster) -> Self {
        let nodes = roster.iter().map(NodeRecord::facts).collect();
        let (enrolled, now) = (gateway.directory.enrolled(), gateway.clock.now());
        Self { lawbook, roster, enrolled, gateway: gateway.facts(), nodes, now, rulings: BTreeMap::new() }
    }

    /// Segments of the page that do not lie as this law lets them.
    pub(super) fn misplacements(&mut self, page: &Mendable) -> Vec<Misplacement> {
        let ruled: Vec<Arc<Ruled>> = page.claims.iter().map(|claim| self.ruled(claim)).collect();
        let rules = |node: &NodeId| -> Option<Vec<RuleRef>> {
            let denying = ruled.iter().filter_map(|ruled| ruled.denied.get(node));
            let rules: BTreeSet<&RuleRef> = denying.flatten().collect();
            // Of a node that was not heard of since this gateway started nothing can be said yet.
            let struck_off = !self.enrolled.contains_key(node);
            let denied = struck_off || ruled.iter().any(|ruled| ruled.denied.contains_key(node));
            denied.then(|| rules.into_iter().cloned().collect())
        };
        let mut found = Vec::new();
        for (_, _, plaintext_bytes, shards) in page.segments() {
            let bytes = shard_bytes(page, shards.len(), plaintext_bytes);
            let misplaced: Vec<Misplaced> = shards
                .iter()
                .filter_map(|shard| Some(Misplaced { shard: *shard, bytes, rules: rules(&shard.node)? }))
                .collect();
            if !misplaced.is_empty() {
                let stays: Vec<NodeId> =
                    shards.iter().map(|shard| shard.node).filter(|node| rules(node).is_none()).collect();
                let room = self.room(&stays, bytes, |node| rules(node).is_none());
                found.push(Misplacement { has_room: room >= misplaced.len(), shards: misplaced });
            }
        }
        found
    }

    /// How many controllers could take a shard beside those that keep theirs.
    fn room(&self, stays: &[NodeId], bytes: u64, allowed: impl Fn(&NodeId) -> bool) -> usize {
        let keeping: BTreeSet<&ControllerId> =
            stays.iter().filter_map(|node| Some(&self.roster.get(node)?.controller)).collect();
        let takes = |record: &&NodeRecord| {
            record.state.takes_shards()
                && record.free_bytes >= bytes
                && !keeping.contains(&record.controller)
                && allowed(&record.node)
        };
        self.roster.iter().filter(takes).map(|record| &record.controller).collect::<BTreeSet<_>>().len()
    }

    fn ruled(&mut self, claim: &Claim) -> Arc<Ruled> {
        let key = serde_json::to_vec(claim).unwrap_or_default();
        if let Some(ruled) = self.rulings.get(&key) {
            return Arc::clone(ruled);
        }
        let packs = claim.all_packs();
        let question = Circumstances {
            packs: &packs,
            classification: &claim.classification,
            gateway: &self.gateway,
            requester: None,
            nodes: &self.nodes,
            now: self.now,
            located_warnings: &[],
            grounds: Grounds::NONE,
        }
        .question(OperationKind::Repair);
        let denied = self.lawbook.decide(&question).findings.into_iter().filter_map(|finding| match finding {
            Finding { subject: Subject::Node(node), action: Action::Repair, verdict: Verdict::Deny, rules } => {
                Some((node, rules))
            }
            _ => None,
        });
        let ruled = Arc::new(Ruled { denied: denied.collect() });
        self.rulings.insert(key, Arc::clone(&ruled));
        ruled
    }
}

fn shard_bytes(page: &Mendable, shards: usize, plaintext_bytes: u64) -> u64 {
    let layout = page
        .profile_of(shards)
        .zip(usize::try_from(plaintext_bytes).ok())
        .and_then(|(profile, bytes)| SegmentLayout::new(profile, bytes).ok());
    layout.map_or(0, |layout| u64::try_from(layout.shard_bytes()).unwrap_or(u64::MAX))
}
