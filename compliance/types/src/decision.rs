//! Decisions: what was asked of the law, what it said, and which rules said it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ApprovalId, EvidenceGrade, NodeId, PackId, Party, Place};

/// What somebody wants to do with data, at one locus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Keep a shard on a node.
    Store,
    /// Handle plaintext at a gateway.
    Process,
    /// Pass ciphertext on.
    Relay,
    /// Hold or use a key.
    HoldKey,
    /// Keep names, sizes and manifests.
    Index,
    /// Keep the audit log.
    Log,
    /// Hand object bytes to a requester.
    Retrieve,
    /// Tell a requester of objects: HEAD, LIST.
    Query,
    /// Rebuild or move shards.
    Repair,
    /// Change buckets, nodes, policies.
    Administer,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 10] = [
        Self::Store,
        Self::Process,
        Self::Relay,
        Self::HoldKey,
        Self::Index,
        Self::Log,
        Self::Retrieve,
        Self::Query,
        Self::Repair,
        Self::Administer,
    ];

    /// The name in Cedar rules: `Action::"Store"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "Store",
            Self::Process => "Process",
            Self::Relay => "Relay",
            Self::HoldKey => "HoldKey",
            Self::Index => "Index",
            Self::Log => "Log",
            Self::Retrieve => "Retrieve",
            Self::Query => "Query",
            Self::Repair => "Repair",
            Self::Administer => "Administer",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who acts: the principal of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A storage node.
    Node(NodeId),
    /// A gateway.
    Gateway(NodeId),
    /// Whoever sent the request.
    Requester,
    /// A key service.
    KeyService,
}

/// What is known of a subject when a decision is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectFacts {
    /// Who.
    pub subject: Subject,
    /// Where it may be: every candidate must be allowed. Never empty; `[unknown]` when nothing is known.
    pub places: Vec<Place>,
    /// How well that is evidenced.
    pub evidence: EvidenceGrade,
    /// The legal entity behind it, where known.
    pub party: Option<Party>,
}

/// What a decision came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may happen.
    Allow,
    /// It may not.
    Deny,
}

/// Which limb of a pack's definition of export an operation falls under, counted from 1 (China's guideline on applying for
/// security assessment of data export: 1 storing abroad, 2 query, retrieval, download or export from abroad, 3 other).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limb(pub u8);

/// A rule that determined a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// Whose rule.
    pub pack: PackId,
    /// The rule's `@id`; `no-rule-permits` where nothing permitted; `rule-error:<id>` where one failed to evaluate.
    pub rule: String,
    /// The article it stands on, from `@cite`.
    pub cite: String,
    /// The limb of export it recognises, from `@limb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limb: Option<Limb>,
}

/// What must be done by whoever uses an allow, from `@obligation`: `log`, `keep-copy-in:CN`, and so on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Obligation(pub String);

/// One answer within a decision: one subject, one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Who.
    pub subject: Subject,
    /// Doing what.
    pub action: Action,
    /// Whether it may.
    pub verdict: Verdict,
    /// The rules that settled it.
    pub rules: Vec<RuleRef>,
}

/// The version of a pack that a decision was made by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackVersion {
    /// Which pack.
    pub pack: PackId,
    /// The day its law was read, `YYYY-MM-DD`.
    pub as_of: String,
    /// BLAKE3 of its files, in hexadecimal.
    pub hash: String,
}

/// A decision as the log keeps it. Compact: the findings per subject stay with the inputs, which `inputs` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allow or deny.
    pub verdict: Verdict,
    /// Whether data becomes available outside its home territory, by any limb of any pack: set on attempts, too.
    pub export: bool,
    /// The determining rules, sorted, without duplicates. On a deny: those that denied.
    pub rules: Vec<RuleRef>,
    /// United over the packs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
    /// The approvals that the request may stand on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalId>,
    /// The packs that were asked, in their versions.
    pub packs: Vec<PackVersion>,
    /// BLAKE3 of the canonical JSON of all inputs, in hexadecimal.
    pub inputs: String,
    /// What a reader must know: stale databases, disagreement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
