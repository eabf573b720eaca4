//! The use cases: one file per S3 verb or family, free of any protocol crate.
//!
//! Each begins with a [`Caller`] and a request of [`request`], ends with an answer of [`answer`] or an [`Error`], and holds
//! to one order: find the rows, ask the law, log the intent, move the bytes, commit, log the outcome.
//!
//! Bytes come in through `intake` (sealed and hashed off the request's thread), `sender` (placed, checked, sent) and `writer`
//! (the order of it all); they go out through `reader` (windows, budgets) and `fetch` (nodes, rebuilding).

mod access;
mod administer;
pub mod answer;
mod approvals;
#[cfg(test)]
mod approvals_tests;
mod authorize;
mod bucket;
mod catalog_error;
mod conditions;
mod copy;
mod cors;
mod customer_key;
mod delete;
mod deletion;
pub mod digest;
mod encryption;
pub mod error;
mod fetch;
mod fleet;
#[cfg(test)]
mod fleet_tests;
mod gateway;
mod get;
mod grounds;
mod identity;
mod intake;
mod lifecycle;
mod limits;
mod list;
mod lock;
mod logging;
mod multipart;
mod node_orders;
mod notifications;
mod object_lock;
mod parts;
mod proofs;
mod put;
mod reader;
mod rejudge;
#[cfg(test)]
pub(crate) mod rejudge_tests;
mod reports;
pub mod request;
mod rows;
mod sender;
mod settings;
#[cfg(test)]
mod settings_tests;
mod share;
mod stand_in;
mod standing;
#[cfg(test)]
mod standing_tests;
mod statements;
mod tags;
mod versions;
mod whereabouts;
mod writer;

pub use crate::catalog::Encryption;
pub use access::{AclRequest, AclView, CannedAcl, PublicAccessBlock, Stated};
pub use answer::*;
pub(crate) use approvals::follow as follow_approvals;
pub use approvals::{ApprovalError, RenewalTerms};
pub(crate) use authorize::{Matter, Scope};
pub(crate) use bucket::settle;
pub use cors::{CorsRule, CorsRules, CrossOrigin, names as header_names};
pub use customer_key::{CustomerClaims, CustomerKey};
pub use encryption::{DefaultEncryption, EncryptionClaims, SSE_KMS, SSE_S3};
pub use error::{Denial, Error};
pub use fleet::{JoinRefusal, NewInvitation, NodeChange};
pub use gateway::{Gateway, Parts};
pub(crate) use identity::follow as follow_identities;
pub use identity::{AssumeRole, MadeKey, NewKey, NewRole, NewUser};
pub use limits::{Limits, RoleScope};
pub use object_lock::{DefaultRetention, RetentionPeriod};
pub(crate) use proofs::BundleWanted;
pub use proofs::Erasure;
pub(crate) use reports::ReportRefusal;
pub use request::*;
pub use standing::{NewDispute, NewDocument, NewVerdict};
pub(crate) use statements::run as write_accounts;
pub use whereabouts::{PlacedShard, Placement};
