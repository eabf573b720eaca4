//! What an export stands on: approvals, and the running totals that thresholds are held against.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use crate::names::{random_id, slug};
use crate::parse::string_form;
use crate::{PackId, ParseError, PartyId, UnixMillis};

random_id!(
    /// One approval, from its request on.
    ApprovalId,
    "approval id"
);
slug!(
    /// A legal mechanism that a pack's rules know: `cac-security-assessment`, `scc-2021-914`.
    MechanismId,
    "mechanism"
);

/// An approval that a request may stand on: in force, and matching who asks, from where, for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRef {
    /// Which.
    pub id: ApprovalId,
    /// By which pack's mechanism.
    pub pack: PackId,
    /// The mechanism.
    pub mechanism: MechanismId,
    /// When it ends.
    pub expires: UnixMillis,
}

/// How much data, in the units that regimes count in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Distinct individuals.
    pub subjects: u64,
    /// Distinct individuals with sensitive personal information.
    pub sensitive: u64,
    /// Bytes of plaintext.
    pub bytes: u64,
}

impl Counts {
    /// The sum. A count beyond `u64` stays at its greatest, which is beyond every threshold.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            subjects: self.subjects.saturating_add(more.subjects),
            sensitive: self.sensitive.saturating_add(more.sensitive),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

/// How individuals were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountMethod {
    /// By salted hashes of identifiers that a manifest gave: every individual once.
    Exact,
    /// By adding up what objects state: an individual in two objects counts twice.
    Sum,
}

/// What a ledger of a pack says at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// Whose ledger.
    pub pack: PackId,
    /// Which one: a name of `[ledgers]` in `pack.toml`.
    pub ledger: String,
    /// When its window began.
    pub since: UnixMillis,
    /// What had been provided in the window before this request.
    pub before: Counts,
    /// What will have been, if this request is served. Rules see these.
    pub after: Counts,
    /// How individuals were counted.
    pub method: CountMethod,
}

/// What serving one intent charges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Who receives, as approvals and identities state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<PartyId>,
    /// The approvals that are charged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalId>,
    /// What is charged: the whole object's individuals, this intent's bytes.
    pub counts: Counts,
    /// The ledgers, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<Total>,
}

/// What became of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalChange {
    /// A maker asked for it.
    Requested,
    /// A checker, who is another person, put it in force.
    Approved,
    /// A checker turned it down.
    Rejected,
    /// Its maker took the request back.
    Withdrawn,
    /// Out of force until it is resumed.
    Suspended,
    /// In force again.
    Resumed,
    /// Out of force for good; reads under it end at their next segment.
    Revoked,
    /// A request to renew it was filed.
    Renewed,
    /// Its quota is used up.
    Consumed,
    /// Its time is over.
    Expired,
    /// A quota or a threshold is used beyond a mark (70 or 90%).
    Warned,
    /// Put in force by two people in an emergency, before the usual check; must be reviewed.
    BrokeGlass,
    /// An emergency was reviewed.
    Reviewed,
}

/// What became of a version of a pack that somebody proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalChange {
    /// A maker proposed it.
    Proposed,
    /// A checker, who is another person, agreed: it takes force on its day.
    Agreed,
    /// A checker turned it down.
    Rejected,
    /// Its maker took it back.
    Withdrawn,
    /// It took force.
    InForce,
}

/// What became of a key that others hang from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChange {
    /// Made, or first used by this gateway.
    Made,
    /// Rows were wrapped anew under a successor.
    Rotated,
    /// Gone: what hung from it alone cannot be read.
    Shredded,
}
