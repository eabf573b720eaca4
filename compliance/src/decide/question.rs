//! Questions: everything a decision depends on, in one serialisable value.

use domicile_types::{Action, ApprovalRef, Classification, OperationKind, PackId, SubjectFacts, Total, UnixMillis};
use serde::{Deserialize, Serialize};

/// What is to be decided. Its canonical JSON (compact, fields in the order declared, absent instead of null) is hashed into
/// the decision, so a stored question proves what the decision was made from, and can be decided again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is being done.
    pub operation: OperationKind,
    /// The packs of the region. All must allow.
    pub packs: Vec<PackId>,
    /// What is known of the data.
    pub classification: Classification,
    /// Who would do what, one by one.
    pub asks: Vec<Ask>,
    /// When.
    pub now: UnixMillis,
    /// What the locating of the subjects had to warn of; carried into the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub located_warnings: Vec<String>,
    /// Approvals that match who asks, from where, for what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalRef>,
    /// What the packs' ledgers come to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<Total>,
}

/// What an export would stand on: approvals that match, and what is charged already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grounds {
    /// Approvals in force that match who asks, from where, for what.
    pub approvals: Vec<ApprovalRef>,
    /// What the packs' ledgers come to. A ledger that is not among them is unknown to rules.
    pub totals: Vec<Total>,
}

impl Grounds {
    /// Nothing: how everything is judged that is no export.
    pub const NONE: &'static Self = &Self { approvals: Vec::new(), totals: Vec::new() };
}

/// One subject, one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What it would do.
    pub action: Action,
    /// Who, where, on what evidence.
    pub facts: SubjectFacts,
    /// What a deny means.
    pub class: AskClass,
}

/// What a deny of one ask means for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskClass {
    /// The whole is denied.
    Required,
    /// This subject is left out of the permit.
    Candidate,
}

impl Question {
    /// The canonical JSON.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // Nothing in a question fails to serialise; were it otherwise, the hash would be of nothing, and a replay would show
        // the difference.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// BLAKE3 of the canonical JSON, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        blake3::hash(&self.canonical()).to_hex().to_string()
    }
}

/// Which actions an operation makes each subject take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedActions {
    /// Of the gateway: required.
    pub gateway: &'static [Action],
    /// Of the requester: required.
    pub requester: &'static [Action],
    /// Of each node: candidate.
    pub nodes: &'static [Action],
}

impl AskedActions {
    /// What `operation` asks of whom.
    ///
    /// A PUT asks nothing of the requester: data that comes in leaves no territory, whoever sends it. A DELETE asks
    /// `Administer` of nodes, which every pack permits everywhere: a shard must be removable from where it should not be.
    #[must_use]
    pub const fn of(operation: OperationKind) -> Self {
        use Action::{Administer, HoldKey, Index, Log, Process, Query, Relay, Repair, Retrieve, Store};
        use OperationKind as Op;
        const PLAINTEXT: &[Action] = &[Process, HoldKey, Index, Log];
        const NAMES: &[Action] = &[HoldKey, Index, Log];
        let (gateway, requester, nodes): (&[Action], &[Action], &[Action]) = match operation {
            Op::PutObject | Op::UploadPart => (PLAINTEXT, &[], &[Store]),
            Op::CreateMultipartUpload | Op::CompleteMultipartUpload => (PLAINTEXT, &[], &[]),
            Op::GetObject => (PLAINTEXT, &[Retrieve], &[Relay]),
            Op::CopyObject => (PLAINTEXT, &[Query], &[Relay, Store]),
            Op::HeadObject | Op::ListObjects | Op::ListUploads | Op::ListBuckets | Op::HeadBucket => {
                (NAMES, &[Query], &[])
            }
            Op::DeleteObject | Op::AbortMultipartUpload => (&[Index, Log], &[Administer], &[Administer]),
            Op::TagObject | Op::DeleteBucket | Op::ConfigureBucket => (&[Index, Log], &[Administer], &[]),
            Op::CreateBucket => (PLAINTEXT, &[Administer], &[Store]),
            Op::Sweep => (&[Log], &[], &[Administer]),
            Op::Repair => (&[Relay, Log], &[], &[Relay, Repair]),
            // A few KiB of ciphertext come to the gateway with their proof.
            Op::Challenge => (&[Relay, Log], &[], &[Relay]),
            Op::Administer => (&[Log], &[Administer], &[]),
        };
        Self { gateway, requester, nodes }
    }
}

/// Who takes part in an operation, and what is known of them: the usual way to a [`Question`].
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// The packs of the region.
    pub packs: &'a [PackId],
    /// What is known of the data.
    pub classification: &'a Classification,
    /// The gateway.
    pub gateway: &'a SubjectFacts,
    /// Whoever asks; absent for background work.
    pub requester: Option<&'a SubjectFacts>,
    /// The nodes that might act.
    pub nodes: &'a [SubjectFacts],
    /// When.
    pub now: UnixMillis,
    /// What the locating had to warn of.
    pub located_warnings: &'a [String],
    /// What an export would stand on.
    pub grounds: &'a Grounds,
}

impl Circumstances<'_> {
    /// The question that `operation` raises in these circumstances.
    #[must_use]
    pub fn question(&self, operation: OperationKind) -> Question {
        let asked = AskedActions::of(operation);
        let required = asked.gateway.iter().map(|action| (*action, self.gateway));
        let required = required.chain(
            self.requester.into_iter().flat_map(|facts| asked.requester.iter().map(move |action| (*action, facts))),
        );
        let candidates = self.nodes.iter().flat_map(|facts| asked.nodes.iter().map(move |action| (*action, facts)));
        let ask = |class| move |(action, facts): (Action, &SubjectFacts)| Ask { action, facts: facts.clone(), class };
        Question {
            operation,
            packs: self.packs.to_vec(),
            classification: self.classification.clone(),
            asks: required.map(ask(AskClass::Required)).chain(candidates.map(ask(AskClass::Candidate))).collect(),
            now: self.now,
            located_warnings: self.located_warnings.to_vec(),
            approvals: self.grounds.approvals.clone(),
            totals: self.grounds.totals.clone(),
        }
    }
}
