//! The law of Domicile: what a place counts as, what a pack's rules say, and the permit that follows.
//!
//! *In scope*: territory maps and groups of places ([`place`]), jurisdiction packs written in Cedar ([`pack`]), decisions
//! and permits ([`decide`]), scenarios that packs are tested by ([`cases`]), where an address is ([`geo`]), and the log of
//! what was decided and done ([`audit`]), and the reports that officers file from it ([`report`]).
//!
//! *Out of scope*: bytes, sockets, clocks. Law knows no bytes: `now` is an argument, and a decision is a pure function of
//! its question and of the packs.
//!
//! The whole in five lines: read the packs with [`Lawbook::load`], state what is wanted and what is known as a
//! [`Question`], and [`Lawbook::decide`] it. The [`Ruling`] holds the [`Decision`](domicile_types::Decision) for the log
//! and, when everything required is allowed, the [`Permit`] that other crates demand before they act.

pub mod audit;
pub mod cases;
pub mod decide;
pub mod geo;
pub mod pack;
pub mod place;
pub mod report;

pub use crate::cases::{CaseReport, run_cases};
pub use crate::decide::{Ask, AskClass, AskedActions, Circumstances, Explanation, Grounds, Permit, Question, Ruling};
pub use crate::geo::{ClientAddressError, Locator, LocatorError, Networks, client_address};
pub use crate::pack::{Lawbook, Pack, PackLoadError, PackSet};
