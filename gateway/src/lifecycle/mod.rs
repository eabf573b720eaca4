//! Lifecycle: what a bucket's rules say should happen to its objects, versions, markers and uploads, and when.
//!
//! *In scope*: the rules as they are stored ([`Rules`]), and the judgement ([`Judge`]): given rules, facts and the time, what is
//! due. No IO, no clock. *Out of scope*: XML and its validation (`s3::lifecycle`); walking a bucket, deciding, logging and
//! carrying out (`expire`).
//!
//! # Days
//!
//! A day has 86,400 seconds, and what falls due in the middle of a day is due at the next midnight UTC, as on Amazon S3. For
//! tests a day can be made shorter ([`Schedule`]); then nothing is rounded.

mod judge;
mod rules;
mod schedule;

pub use judge::{Facts, Judge, Verdict};
pub use rules::{AbortUploads, Expiration, Expiring, Filter, NoncurrentExpiration, Rule, Rules};
pub use schedule::{DAY_MILLIS, Schedule};
