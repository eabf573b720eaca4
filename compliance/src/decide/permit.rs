//! Permits: an allow that code can hold.

use std::collections::BTreeSet;

use domicile_types::{
    Action, Decision, Finding, NodeId, Obligation, OperationKind, PackVersion, Place, Subject, SuiteId, UnixMillis,
    Verdict,
};

use crate::decide::{AskClass, Question};
use crate::pack::PackSet;

/// The witness of an allow, for one operation at one time. Placement, log and data path demand one; only
/// [`Lawbook::decide`](crate::Lawbook::decide) makes one.
///
/// It cannot be copied, invented or read from outside:
///
/// ```compile_fail
/// fn twice(permit: domicile_compliance::Permit) -> (domicile_compliance::Permit, domicile_compliance::Permit) {
///     (permit.clone(), permit)
/// }
/// ```
/// ```compile_fail
/// let permit = domicile_compliance::Permit::default();
/// ```
/// ```compile_fail
/// let permit: domicile_compliance::Permit = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Debug)]
pub struct Permit {
    operation: OperationKind,
    decided_at: UnixMillis,
    decision: Decision,
    allowed: BTreeSet<(Action, Subject)>,
    node_places: Vec<Place>,
    denied: Vec<Finding>,
    suite: SuiteId,
    retention_days: u32,
    key_jurisdiction: String,
}

impl Permit {
    /// Only for a decision that allows.
    pub(crate) fn grant(question: &Question, decision: &Decision, findings: &[Finding], packs: &PackSet) -> Self {
        let mut allowed = BTreeSet::new();
        let mut places = BTreeSet::new();
        let mut denied = Vec::new();
        for (ask, finding) in question.asks.iter().zip(findings) {
            if finding.verdict == Verdict::Deny {
                denied.push(finding.clone());
                continue;
            }
            allowed.insert((ask.action, ask.facts.subject));
            if ask.class == AskClass::Candidate {
                places.extend(ask.facts.places.iter().copied());
            }
        }
        Self {
            operation: question.operation,
            decided_at: question.now,
            decision: decision.clone(),
            allowed,
            node_places: places.into_iter().collect(),
            denied,
            suite: packs.suite(),
            retention_days: packs.retention_days(),
            key_jurisdiction: packs.key_jurisdiction(),
        }
    }

    /// The decision, for the log.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The operation it is for.
    #[must_use]
    pub const fn operation(&self) -> OperationKind {
        self.operation
    }

    /// The instant it was decided at.
    #[must_use]
    pub const fn decided_at(&self) -> UnixMillis {
        self.decided_at
    }

    /// Whether `subject` may do `action`. What was not asked is not allowed.
    #[must_use]
    pub fn allows(&self, action: Action, subject: Subject) -> bool {
        self.allowed.contains(&(action, subject))
    }

    /// The nodes that may act in any way, each once, sorted.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let nodes: BTreeSet<NodeId> = self.allowed.iter().filter_map(|(_, subject)| node_of(*subject)).collect();
        nodes.into_iter()
    }

    /// The nodes that may do `action`, sorted.
    pub fn nodes_for(&self, action: Action) -> impl Iterator<Item = NodeId> + '_ {
        self.allowed.iter().filter(move |(allowed, _)| *allowed == action).filter_map(|(_, subject)| node_of(*subject))
    }

    /// Where the allowed nodes may be, sorted, each once: what a ticket names, and nodes elsewhere refuse.
    #[must_use]
    pub fn node_places(&self) -> Vec<Place> {
        self.node_places.clone()
    }

    /// The packs that allowed, in their versions.
    #[must_use]
    pub fn packs(&self) -> &[PackVersion] {
        &self.decision.packs
    }

    /// What must be done by whoever uses the permit.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.decision.obligations
    }

    /// What removed which candidate: a refusal for want of nodes lists these, with counts. Nothing else is in here.
    #[must_use]
    pub fn denied(&self) -> &[Finding] {
        &self.denied
    }

    /// What segments are sealed with.
    #[must_use]
    pub const fn suite(&self) -> SuiteId {
        self.suite
    }

    /// How long log entries about the operation are kept, in days.
    #[must_use]
    pub const fn retention_days(&self) -> u32 {
        self.retention_days
    }

    /// Which root key the data keys hang from.
    #[must_use]
    pub fn key_jurisdiction(&self) -> &str {
        &self.key_jurisdiction
    }
}

fn node_of(subject: Subject) -> Option<NodeId> {
    match subject {
        Subject::Node(node) => Some(node),
        Subject::Gateway(_) | Subject::Requester | Subject::KeyService => None,
    }
}
