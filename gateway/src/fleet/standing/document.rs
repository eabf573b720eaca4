//! Documents on file: who vouches for a node's place, until when.

use domicile_types::{NodeId, Place, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Reason;

/// The longest name or note on a document, in characters.
pub const TEXT_CHARS_MAX: usize = 500;

/// Sixteen random bytes that name a document or a dispute, as 32 hexadecimal digits.
pub type PaperId = String;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// Somebody vouches for the host: grade 3.
    HostAttestation,
    /// A report of a visit to the site: with a contract, grade 4.
    SiteAudit,
    /// A contract that binds the operator to the place: with a site audit, grade 4.
    Contract,
}

impl DocumentKind {
    /// The name in lines of evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostAttestation => "attestation",
            Self::SiteAudit => "site-audit",
            Self::Contract => "contract",
        }
    }
}

/// A document on file. The document itself stays with whoever keeps it; its hash tells it from any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Document {
    /// Its name here.
    pub id: PaperId,
    /// What it is.
    pub kind: DocumentKind,
    /// The node that it is about.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// The place that it gives.
    #[schemars(with = "String")]
    pub place: Place,
    /// SHA-256 of the document, in hexadecimal.
    pub sha256: String,
    /// Who vouches for it. May name a person; the log has a salted hash alone.
    pub vouched_by: String,
    /// When it was filed.
    #[schemars(with = "u64")]
    pub filed: UnixMillis,
    /// From when on it counts no more.
    #[schemars(with = "u64")]
    pub expires: UnixMillis,
    /// When it lapsed or was withdrawn.
    #[schemars(with = "Option<u64>")]
    pub ended: Option<UnixMillis>,
    /// Contradictions that it settles, by [`Mark`]; filled where a dispute was upheld.
    pub settles: Vec<Mark>,
    /// Random, so that the log's hash of this record tells nobody who vouched.
    pub salt: String,
}

/// A contradiction as it can be set aside: another answer of a database is another mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mark {
    /// What contradicts.
    pub reason: Reason,
    /// How, in words that stay the same while the contradiction does.
    pub how: String,
}

impl Document {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn is_valid(&self, now: UnixMillis) -> bool {
        self.ended.is_none() && now < self.expires
    }

    /// BLAKE3 of its canonical JSON, in hexadecimal: what the log keeps.
    #[must_use]
    pub fn record(&self) -> String {
        record(self)
    }
}

/// What became of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// Nobody has decided yet.
    Open,
    /// The operator is right: what contradicted is set aside while its document holds.
    Upheld,
    /// What contradicted stands.
    Dismissed,
}

/// An operator contests how its node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Dispute {
    /// Its name here.
    pub id: PaperId,
    /// Which node.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// What the operator says.
    pub statement: String,
    /// SHA-256 of what the operator shows for it, in hexadecimal.
    pub sha256: Option<String>,
    /// When it was opened.
    #[schemars(with = "u64")]
    pub opened: UnixMillis,
    /// What contradicted the node's place then.
    pub contests: Vec<Mark>,
    /// What became of it.
    pub settlement: Settlement,
    /// When it was settled.
    #[schemars(with = "Option<u64>")]
    pub settled: Option<UnixMillis>,
    /// Why, in the words of whoever settled it.
    pub answer: Option<String>,
    /// Random, as with documents.
    pub salt: String,
}

impl Dispute {
    /// BLAKE3 of its canonical JSON, in hexadecimal: what the log keeps.
    #[must_use]
    pub fn record(&self) -> String {
        record(self)
    }
}

fn record(value: &impl Serialize) -> String {
    // Plain data always serialises; were it otherwise, the hash would be of nothing and match no record.
    blake3::hash(&serde_json::to_vec(value).unwrap_or_default()).to_hex().to_string()
}
