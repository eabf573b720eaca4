//! Access policies: JSON documents that say who may do what, in the form that bucket policies of Amazon S3 have.
//!
//! *In scope*: reading documents, refusing whatever is not honoured, deciding a request, telling whether a policy makes a
//! bucket public. *Out of scope*: where policies are kept, who asks, ACLs, the law. Nothing here does IO or reads a clock.
//!
//! A document is read once into a [`Policy`]; [`evaluate`] decides a [`Request`] by any number of policies. Whatever a
//! document says that this engine does not know (an action, operator, condition key, form of principal, element) makes
//! [`Policy::of_bucket`] fail with words that name it: a condition that is silently skipped would be a hole.
//!
//! Spec: Amazon IAM's user guide, "JSON policy element reference"; Amazon S3's service authorization reference.

mod actions;
mod condition;
mod document;
mod evaluate;
mod json;
mod keys;
mod operator;
mod pattern;
mod principal;
mod public;
mod values;

#[cfg(test)]
mod tests;

pub use actions::{Scope, scope_of, version_action};
pub use document::{MalformedPolicy, POLICY_BYTES_MAX, Policy};
pub use evaluate::{Request, Verdict, evaluate};
pub use keys::Facts;
pub use principal::Asker;
