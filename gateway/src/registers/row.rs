//! What the index keeps of an entry: enough to make its record of without reading the log.

use domicile_types::{Commitment, UnixMillis};
use serde::{Deserialize, Serialize};

use super::layout::ValueHash;

/// What an entry has by itself. In postcard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) time: u64,
    pub(super) leaf: [u8; 32],
    pub(super) request: [u8; 16],
    pub(super) gateway: [u8; 32],
    pub(super) actor: Option<[u8; 32]>,
    pub(super) address: Option<[u8; 32]>,
    pub(super) bucket: Option<[u8; 32]>,
    pub(super) key: Option<[u8; 32]>,
    pub(super) data: Option<[u8; 16]>,
    pub(super) subjects: Option<u64>,
    pub(super) sensitive: Option<u64>,
    pub(super) range: Option<(u64, u64)>,
    pub(super) inputs: Option<String>,
    /// JSON: it has fields that are absent.
    pub(super) charge: Option<String>,
    pub(super) node: Option<[u8; 32]>,
    pub(super) operator: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) reasons: Vec<String>,
    pub(super) record: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) started: Option<u64>,
    pub(super) ended: Option<u64>,
    pub(super) common: [u8; 16],
}

impl Row {
    /// What it says that is hidden.
    pub(super) fn commitments(&self) -> impl Iterator<Item = [u8; 32]> {
        [self.actor, self.address, self.bucket, self.key].into_iter().flatten()
    }

    pub(super) const fn time(&self) -> UnixMillis {
        UnixMillis(self.time)
    }
}

/// What entries share with many others. Kept once, in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Common {
    pub(super) kind: String,
    pub(super) operation: String,
    pub(super) verdict: Option<domicile_types::Verdict>,
    pub(super) export: bool,
    pub(super) limbs: Vec<u8>,
    pub(super) classes: Vec<String>,
    pub(super) origin: Option<String>,
    pub(super) important: Option<bool>,
    pub(super) from_places: Vec<String>,
    pub(super) to_places: Vec<String>,
    pub(super) requester_places: Vec<String>,
    pub(super) gateway_place: Option<String>,
    pub(super) node_places: Vec<String>,
    pub(super) requester_evidence: Option<u8>,
    pub(super) nodes_evidence: Option<u8>,
    pub(super) packs: Vec<String>,
    pub(super) rules: Vec<String>,
    pub(super) cites: Vec<String>,
    pub(super) obligations: Vec<String>,
    pub(super) mechanisms: Vec<String>,
    pub(super) approvals: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// How an operation ended. In postcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) status: domicile_types::OutcomeStatus,
    pub(super) bytes: u64,
    pub(super) http_status: u16,
}

/// The postings of a commitment's value: dimension and hash, the value's own first. In postcard.
pub(super) type Hidden = Vec<(u8, ValueHash)>;

/// A digest of a row as the noun it is.
pub(super) const fn commitment(digest: &[u8; 32]) -> Commitment {
    Commitment::from_digest(*digest)
}
