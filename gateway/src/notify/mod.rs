//! Notifications: what happens to the objects of a bucket, told to webhooks that an operator has declared.
//!
//! A happening becomes one row for each webhook that the bucket's configuration names ([`rules`], [`event`]); a worker for
//! each webhook ([`worker`]) takes them from its queue in order, asks the law whether whoever is in the webhook's place may be
//! told of the object, and sends them signed ([`sender`]). What did not arrive is tried again, less and less often.
//!
//! *In scope*: objects created, removed, tagged and expired. *Out of scope*: exactly-once delivery. A message that arrived but
//! was not acknowledged comes again under the same id, and a gateway that is killed between a commit and the row loses one.

mod address;
mod event;
mod rules;
mod sender;
mod siem;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use event::{Happening, Scene, message, test_message};
pub use rules::{ARN_PREFIX, EVENTS, NotificationRule, Notifications, StatedAs};
pub(crate) use siem::run_siems;
pub(crate) use worker::{Hooks, run};
