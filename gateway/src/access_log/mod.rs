//! Access logging: a line about each request to a bucket, written as objects into another bucket of the same owner.
//!
//! [`record`] is the line, [`target`] says where it goes, [`collector`] gathers lines and writes them through the ordinary put
//! use case, so that the target bucket's packs, quota and log apply to them. Records are best effort, as S3's are: a gateway
//! that is killed loses those of the last minutes. Those that are refused are counted and reported in the gateway's log. What
//! must not be lost is in the audit log, which is another thing.

mod collector;
mod record;
mod target;

pub(crate) use collector::{AccessLogs, run, write_all};
pub(crate) use record::Record;
pub use target::{AccessLogging, KeyFormat};
