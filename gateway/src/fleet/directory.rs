//! What is known of the nodes: enrolment says who they are, announcements say where they listen and how much they hold,
//! the location databases say where that address is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domicile_compliance::Locator;
use domicile_node_protocol::Announcement;
use domicile_placement::{NodeRecord, NodeState, Roster};
use domicile_types::{EvidenceGrade, Located, NodeId, UnixMillis};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::EnrolledNode;

/// How long the roster may be old before it is made anew, in milliseconds. A node whose place changes is fenced within 5 s.
const ROSTER_MILLIS_MAX: u64 = 1_000;
/// How long a node counts as offline after a connection to it failed, unless it announces itself meanwhile.
const FAILURE_MILLIS: u64 = 5_000;

/// Everything this gateway knows of one node.
#[derive(Debug, Clone)]
pub struct NodeStanding {
    /// Who it is.
    pub enrolled: EnrolledNode,
    /// What it said last.
    pub announced: Option<Announcement>,
    /// Where the databases put the address it announced.
    pub located: Option<Located>,
    /// How well its place is evidenced.
    pub evidence: EvidenceGrade,
    /// Whether it may be used.
    pub state: NodeState,
}

#[derive(Debug, Default)]
struct Heard {
    announced: Option<Announcement>,
    failed: Option<UnixMillis>,
}

/// The nodes, and what was heard of them.
pub struct Directory {
    enrolled: RwLock<Arc<BTreeMap<NodeId, EnrolledNode>>>,
    enrolments: watch::Sender<u64>,
    heard: RwLock<BTreeMap<NodeId, Heard>>,
    locator: Arc<Locator>,
    clock: Clock,
    roster: Mutex<Option<(UnixMillis, Arc<Roster>)>>,
    changed: AtomicBool,
}

impl Directory {
    /// A directory of the enrolled nodes, none of them heard of.
    #[must_use]
    pub fn new(enrolled: Vec<EnrolledNode>, locator: Arc<Locator>, clock: Clock) -> Self {
        Self {
            enrolled: RwLock::new(Arc::new(enrolled.into_iter().map(|node| (node.id, node)).collect())),
            enrolments: watch::Sender::new(0),
            heard: RwLock::default(),
            locator,
            clock,
            roster: Mutex::new(None),
            changed: AtomicBool::new(false),
        }
    }

    /// Replaces the enrolled nodes: placement and law go by them from the next question on. What was heard of a node that
    /// stays is kept, what was heard of others forgotten.
    pub fn enrol(&self, nodes: Vec<EnrolledNode>) {
        let nodes: BTreeMap<NodeId, EnrolledNode> = nodes.into_iter().map(|node| (node.id, node)).collect();
        self.heard.write().retain(|node, _| nodes.contains_key(node));
        *self.enrolled.write() = Arc::new(nodes);
        self.changed.store(true, Ordering::Release);
        self.enrolments.send_modify(|count| *count += 1);
    }

    /// The enrolled nodes, by id.
    #[must_use]
    pub fn enrolled(&self) -> Arc<BTreeMap<NodeId, EnrolledNode>> {
        Arc::clone(&self.enrolled.read())
    }

    /// Counts how often the enrolled nodes were replaced: what was placed or allowed by the former must be judged again.
    #[must_use]
    pub fn enrolments(&self) -> watch::Receiver<u64> {
        self.enrolments.subscribe()
    }

    /// Takes in a verified announcement. One from a node that is not enrolled, or older than the last, changes nothing.
    pub fn hear(&self, announcement: Announcement) {
        if !self.enrolled().contains_key(&announcement.node) {
            return;
        }
        let mut heard = self.heard.write();
        let heard = heard.entry(announcement.node).or_default();
        if heard.announced.as_ref().is_none_or(|last| last.issued < announcement.issued) {
            heard.announced = Some(announcement);
            heard.failed = None;
            self.changed.store(true, Ordering::Release);
        }
    }

    /// Remembers that a connection to the node failed just now.
    pub fn note_failure(&self, node: &NodeId) {
        if let Some(heard) = self.heard.write().get_mut(node) {
            heard.failed = Some(self.clock.now());
            self.changed.store(true, Ordering::Release);
        }
    }

    /// Where the node's data plane listens, by its last announcement.
    #[must_use]
    pub fn address(&self, node: &NodeId) -> Option<SocketAddr> {
        self.heard.read().get(node)?.announced.as_ref().map(|announced| announced.data_plane)
    }

    /// The roster as of now, for placement and law. At most a second old.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        let now = self.clock.now();
        let mut cached = self.roster.lock();
        let changed = self.changed.swap(false, Ordering::AcqRel);
        match &*cached {
            Some((made, roster)) if !changed && now.millis_since(*made) < ROSTER_MILLIS_MAX => Arc::clone(roster),
            _ => {
                let records = self.standings_at(now).into_iter().filter_map(record);
                let roster = Arc::new(Roster::new(records).unwrap_or_default());
                *cached = Some((now, Arc::clone(&roster)));
                roster
            }
        }
    }

    /// Every enrolled node with what is known of it, by id.
    #[must_use]
    pub fn standings(&self) -> Vec<NodeStanding> {
        self.standings_at(self.clock.now())
    }

    fn standings_at(&self, now: UnixMillis) -> Vec<NodeStanding> {
        let enrolled = self.enrolled();
        let heard = self.heard.read();
        enrolled.values().map(|enrolled| self.standing(enrolled, heard.get(&enrolled.id), now)).collect()
    }

    fn standing(&self, enrolled: &EnrolledNode, heard: Option<&Heard>, now: UnixMillis) -> NodeStanding {
        let announced = heard.and_then(|heard| heard.announced.clone());
        let located = announced.as_ref().map(|announced| self.locator.locate(announced.data_plane.ip(), now));
        let agrees = |located: &Located| located.candidates.iter().all(|place| place.is_within(&enrolled.place));
        let declared_otherwise = announced.as_ref().is_some_and(|announced| announced.place != enrolled.place);
        let contradicted = declared_otherwise || located.as_ref().is_some_and(|located| !agrees(located));
        let alive = announced.as_ref().is_some_and(|announced| announced.expires > now);
        let failed = heard.and_then(|heard| heard.failed).is_some_and(|at| now.millis_since(at) < FAILURE_MILLIS);
        let state = match (contradicted, alive && !failed) {
            (true, _) => NodeState::Quarantined,
            (false, true) => NodeState::Online,
            (false, false) => NodeState::Offline,
        };
        let evidence = match &located {
            Some(located) if agrees(located) && !declared_otherwise => EvidenceGrade::Observed,
            _ => EvidenceGrade::Declared,
        };
        NodeStanding { enrolled: enrolled.clone(), announced, located, evidence, state }
    }
}

/// A node that was never heard of has no address and cannot be placed on; it is left out.
fn record(standing: NodeStanding) -> Option<NodeRecord> {
    let announced = standing.announced?;
    Some(NodeRecord {
        node: standing.enrolled.id,
        operator: standing.enrolled.operator,
        controller: standing.enrolled.controller,
        party: standing.enrolled.party,
        place: standing.enrolled.place,
        evidence: standing.evidence,
        located: standing.located,
        address: announced.data_plane.ip(),
        capacity_bytes: announced.capacity_bytes,
        free_bytes: announced.free_bytes,
        state: standing.state,
    })
}
