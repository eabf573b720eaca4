//! The use cases: one file per S3 verb or family, free of any protocol crate.
//!
//! Each begins with a [`Caller`] and a request of [`request`], ends with an answer of [`answer`] or an [`Error`], and holds
//! to one order: find the rows, ask the law, log the intent, move the bytes, commit, log the outcome.

pub mod answer;
pub mod digest;
pub mod error;
pub mod request;

pub use answer::*;
pub use error::{Denial, Error};
pub use request::*;
