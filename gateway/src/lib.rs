//! The Domicile gateway: S3 in front, storage nodes behind, law and log in between.
//!
//! Data flows one way. A request enters through [`s3`] which parses it into the nouns of
//! [`objects::request`]; a use case in [`objects`] asks the law for a permit, logs the intent, and moves bytes through the
//! chunker to the nodes of [`fleet`]; [`catalog`] commits what is so, last.
//!
//! *Absent on purpose*: no s3s type passes [`s3`], no SQL or RocksDB type passes [`state`], no clock is read outside
//! [`clock`], and nothing reaches a node without a logged intent.

pub mod access_log;
pub mod accounts;
pub mod admin;
pub mod approvals;
pub mod catalog;
mod challenge;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
mod expire;
pub mod fleet;
pub mod judging;
pub mod keys;
pub mod lifecycle;
pub(crate) mod log_care;
pub mod notify;
pub mod objects;
pub mod open;
pub mod policy;
pub mod reconcile;
pub mod registers;
mod repair;
pub(crate) mod reports;
pub mod s3;
#[cfg(test)]
mod sim;
pub mod state;
mod sweep;
#[cfg(test)]
mod testing;
pub mod witness;
