//! The fleet as this gateway sees it: who is enrolled, who was heard of lately and from where, how each node stands, and how
//! to talk to them.
//!
//! [`Directory`] is what is known; [`standing`] judges it; [`Warden`] logs, keeps and publishes the judgement; [`NodeClient`]
//! is the HTTPS data plane; [`membership`] feeds the directory from the control plane; [`entities`] is who is behind a node,
//! and [`enrolment`] how the roster follows from the records.

mod client;
mod directory;
pub mod enrolment;
pub mod entities;
pub mod joining;
mod locating;
pub mod membership;
pub mod notices;
mod papers;
pub mod standing;
pub mod statement;
mod tallies;
#[cfg(test)]
pub(crate) mod tests;
mod ticketed;
mod warden;

#[cfg(test)]
pub(crate) use client::Wire;
pub use client::{NodeClient, NodeError};
pub use directory::{Directory, NodeStanding};
pub use locating::{Databases, DatabasesError, Locating};
pub use papers::Verdict;
pub use tallies::Tallies;
pub use ticketed::Ticketed;
pub use warden::{Warden, WardenError, watch};
