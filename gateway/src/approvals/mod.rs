//! Approvals: what people agreed may leave, to whom, how much, until when; and the ledgers that exports are counted in.
//!
//! *In scope*: what a request must say ([`record`]), who may do what to it in which state ([`change`]), which approvals a
//! reader stands on ([`table`]), when a renewal is due ([`days`]), how exports add up ([`ledger`]). All of it is pure: the time
//! is an argument. *Out of scope*: rows and transactions (`catalog/approval_rows.rs`, `catalog/ledger_rows.rs`), entries of the
//! log and use cases (`objects/approvals.rs`, `objects/grounds.rs`).
//!
//! ```text
//!                    approve (another person)          suspend
//!   requested ────────────────────────────────> active ────────> suspended
//!    │  │  │                                    │ │ │ <──────── │ │
//!    │  │  └ withdraw (its maker) > withdrawn   │ │ │   resume    │ │
//!    │  └ reject > rejected                     │ │ └ revoke ─────┴─┼──> revoked
//!    └──────────── its time is over ────────────┴─┼─────────────────┴──> expired
//!                                                 └ quota used up ─────> consumed
//! ```

mod board;
pub mod change;
pub mod days;
pub mod ledger;
pub mod record;
pub mod table;

pub use board::Board;
pub use change::{Order, Refusal};
pub use record::{
    Actor, Approval, Emergency, Quota, Recipient, Review, State, Terms, TermsError, Use, Used, same_person,
};
pub use table::{Asker, Table};
