//! How a node stands with a gateway: told to the node, for its operator.

use domicile_types::{EvidenceGrade, NodeId, Place, UnixMillis};
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/notices`. The newest of each gateway replaces what was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose view.
    pub gateway: NodeId,
    /// When, by the gateway's clock.
    pub time: UnixMillis,
    /// The node's state: `online`, `suspect`, `read-only`, `draining`, `offline`, `lost`, `corrupt`, `quarantined`.
    pub state: String,
    /// Why: reason codes.
    pub reasons: Vec<String>,
    /// The declared place.
    pub place: Place,
    /// How well it is evidenced.
    pub evidence: EvidenceGrade,
    /// What speaks for and against it, a line each, and when each lapses.
    pub evidence_lines: Vec<EvidenceLine>,
    /// Shares of challenges and requests answered lately, in hundredths of a percent.
    pub score_basis_points: u16,
    /// Challenges that cost score, newest first.
    pub failures: Vec<AuditFailure>,
    /// What is asked of the operator: a line each.
    pub asks: Vec<String>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceLine {
    /// What: `declared`, `location-database`, `network`, `delay`, `possession`, `attestation`, `site-audit`.
    pub kind: String,
    /// In words.
    pub says: String,
    /// Whether it contradicts the declared place.
    pub contradicts: bool,
    /// When it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixMillis>,
}

/// A challenge that was not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFailure {
    /// When.
    pub time: UnixMillis,
    /// The shard, as text.
    pub shard: String,
    /// Why: a reason code.
    pub reason: String,
    /// Index of the intent in the gateway's log.
    pub log_index: u64,
}
