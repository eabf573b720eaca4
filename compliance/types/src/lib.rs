//! The nouns of Domicile: everything that appears on a wire or in an audit entry.
//!
//! *In scope*: places, parties, classifications, decisions, audit entries, identities, content names, and how each is
//! parsed and printed. Every type is parsed once, at the edge, and cannot hold an invalid value afterwards.
//!
//! *Out of scope*: behaviour, traits, clocks, sockets, disks. Nothing here decides anything.

mod approval;
mod cid;
mod classification;
mod code;
mod decision;
mod entry;
mod evidence;
mod identity;
mod names;
mod parse;
mod party;
mod place;
mod time;

pub use crate::approval::{
    ApprovalChange, ApprovalId, ApprovalRef, Charge, CountMethod, Counts, KeyChange, MechanismId, ProposalChange, Total,
};
pub use crate::cid::{ShardCid, ShardCidError};
pub use crate::classification::{Classification, DataClass};
pub use crate::code::{CodeProfile, SuiteId};
pub use crate::decision::{
    Action, Decision, Finding, Limb, Obligation, PackVersion, RuleRef, Subject, SubjectFacts, Verdict,
};
pub use crate::entry::{
    Budget, Commitment, ENTRY_BYTES_MAX, Entry, FleetChange, Intent, OperationKind, Outcome, OutcomeStatus, Record,
    RecordKind, Salt,
};
pub use crate::evidence::{EvidenceGrade, Located, LocationSource};
pub use crate::identity::{IdentityKey, NodeId, SignatureBytes};
pub use crate::names::{
    BucketName, ControllerId, DataId, ObjectKey, OperatorId, PackId, PartyId, RegionName, RequestId, SchemeId,
    TenantId, UploadId,
};
pub use crate::parse::ParseError;
pub use crate::party::{Certification, Ownership, Party};
pub use crate::place::{Country, Place};
pub use crate::time::UnixMillis;
