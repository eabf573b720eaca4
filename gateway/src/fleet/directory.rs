//! What is known of the nodes: enrolment says who they are, announcements say where they listen and how much they hold,
//! the location databases say where that address is, and the [`super::Warden`] says how they stand.
//!
//! A judgement holds once it is logged. Until then, what speaks against a node keeps it from getting anything new: one that
//! is contradicted, or failed a connection just now, counts as suspect in the meantime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domicile_node_protocol::{Announcement, EvidenceLine, NodeCondition, ProtocolVersions};
use domicile_placement::{NodeRecord, NodeState, Roster};
use domicile_types::{EvidenceGrade, Located, NodeId, Place, UnixMillis};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use super::Locating;
use super::standing::{Claims, Delays, Dispute, Document, Mark, PlaceView, Reason, Seen, Standing};
use crate::clock::Clock;
use crate::config::EnrolledNode;

/// Failures within so many milliseconds have one cause and count as one: many requests are under way to a node at once.
const ONE_FAILURE_MILLIS: u64 = 1_000;
/// How long the roster may be old before it is made anew, in milliseconds. A node whose place changes is fenced within 5 s.
const ROSTER_MILLIS_MAX: u64 = 1_000;
/// How long a node gets nothing new after a connection to it failed, unless it announces itself meanwhile.
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
    /// What speaks for and against its place, a line each.
    pub evidence_lines: Vec<EvidenceLine>,
    /// Whether it may be used.
    pub state: NodeState,
    /// What was judged of it, and why.
    pub judged: Standing,
    /// Whether the databases' answer was set aside, as evidence on file shows it to be wrong.
    pub location_set_aside: bool,
    /// What contradicts its place or its party now.
    pub contradictions: BTreeSet<Mark>,
    /// The autonomous system of its address, where a database knows it.
    pub network: Option<u32>,
    /// How fast it answered challenges.
    pub delays: Delays,
    /// Documents about its place, also those that ended.
    pub documents: Vec<Document>,
    /// Disputes, also those that are settled.
    pub disputes: Vec<Dispute>,
}

/// What was heard of a node since this process started.
#[derive(Debug, Default)]
struct Heard {
    announced: Option<Announcement>,
    /// When the newest announcement came in, until the warden has taken it in.
    fresh: Option<UnixMillis>,
    failed: Option<UnixMillis>,
    answered: u32,
    unanswered: u32,
    /// When a failure was counted last.
    counted: Option<UnixMillis>,
}

/// What is on file of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct OnFile {
    pub(super) judged: Option<Standing>,
    pub(super) delays: Delays,
    pub(super) network: Option<u32>,
    pub(super) documents: Vec<Document>,
    pub(super) disputes: Vec<Dispute>,
}

/// The nodes, and what was heard of them.
pub struct Directory {
    enrolled: RwLock<Arc<BTreeMap<NodeId, EnrolledNode>>>,
    enrolments: watch::Sender<u64>,
    heard: RwLock<BTreeMap<NodeId, Heard>>,
    on_file: RwLock<BTreeMap<NodeId, OnFile>>,
    locating: Arc<Locating>,
    /// Where this gateway is: what delays are measured from.
    vantage: Place,
    clock: Clock,
    roster: Mutex<Option<(UnixMillis, Arc<Roster>)>>,
    changed: AtomicBool,
    changes: watch::Sender<u64>,
    news: Notify,
}

impl Directory {
    /// A directory of the enrolled nodes, none of them heard of.
    #[must_use]
    pub fn new(enrolled: Vec<EnrolledNode>, locating: Arc<Locating>, vantage: Place, clock: Clock) -> Self {
        Self {
            enrolled: RwLock::new(Arc::new(enrolled.into_iter().map(|node| (node.id, node)).collect())),
            enrolments: watch::Sender::new(0),
            heard: RwLock::default(),
            on_file: RwLock::default(),
            locating,
            vantage,
            clock,
            roster: Mutex::new(None),
            changed: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            news: Notify::new(),
        }
    }

    /// Replaces the enrolled nodes: placement and law go by them from the next question on. What was heard of a node that
    /// stays is kept, what was heard of others forgotten; what is on file of them stays.
    pub fn enrol(&self, nodes: Vec<EnrolledNode>) {
        let nodes: BTreeMap<NodeId, EnrolledNode> = nodes.into_iter().map(|node| (node.id, node)).collect();
        self.heard.write().retain(|node, _| nodes.contains_key(node));
        *self.enrolled.write() = Arc::new(nodes);
        self.enrolments.send_modify(|count| *count += 1);
        self.note_news();
    }

    /// The enrolled nodes, by id.
    #[must_use]
    pub fn enrolled(&self) -> Arc<BTreeMap<NodeId, EnrolledNode>> {
        Arc::clone(&self.enrolled.read())
    }

    /// The clock that it goes by.
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Counts how often the enrolled nodes were replaced: what was placed or allowed by the former must be judged again.
    #[must_use]
    pub fn enrolments(&self) -> watch::Receiver<u64> {
        self.enrolments.subscribe()
    }

    /// Takes in a verified announcement. One from a node that is not enrolled, or older than the last, changes nothing.
    /// What follows from it for the node's standing follows when the warden has stepped.
    pub fn hear(&self, announcement: Announcement) {
        if !self.enrolled().contains_key(&announcement.node) {
            return;
        }
        let mut all = self.heard.write();
        let heard = all.entry(announcement.node).or_default();
        if heard.announced.as_ref().is_none_or(|last| last.issued < announcement.issued) {
            heard.announced = Some(announcement);
            heard.fresh = Some(self.clock.now());
            heard.failed = None;
            drop(all);
            self.note_news();
        }
    }

    /// Remembers that a connection to the node failed just now.
    pub fn note_failure(&self, node: &NodeId) {
        if let Some(heard) = self.heard.write().get_mut(node) {
            let now = self.clock.now();
            heard.failed = Some(now);
            if heard.counted.is_none_or(|counted| now.millis_since(counted) >= ONE_FAILURE_MILLIS) {
                heard.counted = Some(now);
                heard.unanswered = heard.unanswered.saturating_add(1);
            }
            self.changed.store(true, Ordering::Release);
        }
    }

    /// Whether a connection to the node failed a moment ago, and it was not heard of since: others are asked first.
    #[must_use]
    pub fn failed_lately(&self, node: &NodeId) -> bool {
        let failed = self.heard.read().get(node).and_then(|heard| heard.failed);
        failed.is_some_and(|at| self.clock.now().millis_since(at) < FAILURE_MILLIS)
    }

    /// Remembers that the node answered a request, whatever it answered.
    pub fn note_answer(&self, node: &NodeId) {
        if let Some(heard) = self.heard.write().get_mut(node) {
            heard.answered = heard.answered.saturating_add(1);
        }
    }

    /// Where the node's data plane listens, by its last announcement.
    #[must_use]
    pub fn address(&self, node: &NodeId) -> Option<SocketAddr> {
        self.heard.read().get(node)?.announced.as_ref().map(|announced| announced.data_plane)
    }

    /// Tells when a standing, an enrolment or the evidence changed: its value counts the changes. What changed is in
    /// [`Directory::standings`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
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

    /// What is known of one node.
    #[must_use]
    pub fn standing(&self, node: &NodeId) -> Option<NodeStanding> {
        let enrolled = self.enrolled();
        Some(self.standing_of(enrolled.get(node)?, self.clock.now()))
    }

    fn standings_at(&self, now: UnixMillis) -> Vec<NodeStanding> {
        self.enrolled().values().map(|enrolled| self.standing_of(enrolled, now)).collect()
    }

    fn standing_of(&self, enrolled: &EnrolledNode, now: UnixMillis) -> NodeStanding {
        let (announced, failed) = match self.heard.read().get(&enrolled.id) {
            Some(heard) => (heard.announced.clone(), heard.failed),
            None => (None, None),
        };
        let on_file = self.on_file(&enrolled.id);
        let (located, view) = self.weigh(enrolled, announced.as_ref(), &on_file, now);
        let judged = on_file.judged.clone().unwrap_or_else(|| Standing::new(now));
        let is_heard = announced.as_ref().is_some_and(|announced| announced.expires > now);
        let failed_now = failed.is_some_and(|at| now.millis_since(at) < FAILURE_MILLIS);
        let state = match judged.state {
            NodeState::Online | NodeState::Suspect | NodeState::ReadOnly if !is_heard => NodeState::Offline,
            NodeState::Online if failed_now || !view.contradictions.is_empty() => NodeState::Suspect,
            state => state,
        };
        NodeStanding {
            enrolled: enrolled.clone(),
            announced,
            located,
            evidence: view.grade,
            location_set_aside: view.sets_location_aside(),
            evidence_lines: view.lines,
            contradictions: view.contradictions,
            state,
            judged,
            network: on_file.network,
            delays: on_file.delays,
            documents: on_file.documents,
            disputes: on_file.disputes,
        }
    }

    /// What the evidence of a node's place comes to now.
    pub(super) fn view(&self, node: &NodeId, now: UnixMillis) -> Option<PlaceView> {
        let enrolled = self.enrolled();
        let announced = self.heard.read().get(node).and_then(|heard| heard.announced.clone());
        Some(self.weigh(enrolled.get(node)?, announced.as_ref(), &self.on_file(node), now).1)
    }

    fn weigh(
        &self,
        enrolled: &EnrolledNode,
        announced: Option<&Announcement>,
        on_file: &OnFile,
        now: UnixMillis,
    ) -> (Option<Located>, PlaceView) {
        let located = announced.map(|announced| self.locating.locate(announced.data_plane.ip(), now));
        let claims = Claims {
            declared: enrolled.place,
            operator: &enrolled.operator,
            party: &enrolled.party.id,
            announced,
            located: located.as_ref(),
            network: on_file.network,
            delays: &on_file.delays,
            vantage: self.vantage,
            documents: &on_file.documents,
        };
        let view = PlaceView::of(&claims, now);
        (located, view)
    }

    fn on_file(&self, node: &NodeId) -> OnFile {
        self.on_file.read().get(node).cloned().unwrap_or_default()
    }

    /// Changes what is on file of a node, in force at once.
    pub(super) fn file<T>(&self, node: &NodeId, change: impl FnOnce(&mut OnFile) -> T) -> T {
        let result = change(self.on_file.write().entry(*node).or_default());
        self.changed.store(true, Ordering::Release);
        result
    }

    /// What is on file of every enrolled node.
    pub(super) fn files(&self) -> Vec<(NodeId, OnFile)> {
        let on_file = self.on_file.read();
        self.enrolled().keys().map(|node| (*node, on_file.get(node).cloned().unwrap_or_default())).collect()
    }

    /// What was seen of the node since this was asked last. Contradictions are judged afresh.
    pub(super) fn take_seen(&self, node: &NodeId, now: UnixMillis) -> Seen {
        let contradictions: BTreeSet<Reason> = self.view(node, now).map(|view| view.reasons()).unwrap_or_default();
        let mut all = self.heard.write();
        let Some(heard) = all.get_mut(node) else { return Seen { contradictions, ..Seen::default() } };
        let announced = heard.announced.as_ref();
        Seen {
            heard: heard.fresh.take(),
            condition: announced.map_or(NodeCondition::Serving, |announced| announced.condition),
            other_protocol: announced.is_some_and(|it| it.speaks.common(ProtocolVersions::SPOKEN).is_none()),
            contradictions,
            answered: std::mem::take(&mut heard.answered),
            failed: std::mem::take(&mut heard.unanswered),
            ..Seen::default()
        }
    }

    /// The autonomous system of the address that the node announced last, where a database knows it.
    pub(super) fn network(&self, node: &NodeId) -> Option<u32> {
        self.locating.network(self.address(node)?.ip())
    }

    /// Has every node judged again now: what it is judged by has changed.
    pub fn judge_again(&self) {
        self.note_news();
    }

    /// Wakes whoever waits for news: the warden judges at once.
    pub(super) fn note_news(&self) {
        self.changed.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Ends with the next news.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Tells all who listen that something changed.
    pub(super) fn publish(&self) {
        self.changed.store(true, Ordering::Release);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// A node that was never heard of has no address and cannot be placed on; it is left out.
fn record(standing: NodeStanding) -> Option<NodeRecord> {
    let announced = standing.announced?;
    let located = match standing.location_set_aside {
        true => Some(Located {
            candidates: vec![standing.enrolled.place],
            sources: Vec::new(),
            warnings: vec!["the location databases were set aside: evidence on file contradicts them".to_owned()],
        }),
        false => standing.located,
    };
    Some(NodeRecord {
        node: standing.enrolled.id,
        operator: standing.enrolled.operator,
        controller: standing.enrolled.controller,
        party: standing.enrolled.party,
        place: standing.enrolled.place,
        evidence: standing.evidence,
        located,
        address: announced.data_plane.ip(),
        capacity_bytes: announced.capacity_bytes,
        free_bytes: announced.free_bytes,
        state: standing.state,
    })
}
