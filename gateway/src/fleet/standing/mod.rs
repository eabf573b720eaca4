//! How a node stands, and why: pure, so that a simulated fleet steps through it as a real one does.
//!
//! *In scope*: the states and what leads from one to another ([`Standing`]), scores that forgive ([`Score`]), reason codes
//! ([`Reason`]), and what speaks for and against a declared place ([`place`]). *Out of scope*: hearing, asking, logging,
//! keeping: [`super::Warden`] does these.

pub mod delay;
pub mod document;
mod geography;
mod machine;
pub mod place;
mod reason;
mod score;

#[cfg(test)]
mod tests;

pub use delay::Delays;
pub use document::{Dispute, Document, DocumentKind, Mark, Settlement};
pub use machine::{FAILURES_MAX, Failure, Fault, Orders, Patience, Seen, Standing};
pub use place::{Claims, PlaceView};
pub use reason::Reason;
pub use score::Score;
