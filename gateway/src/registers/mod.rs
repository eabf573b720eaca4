//! Registers: what an officer asks of the log, as tables that can be filtered, paged and handed on.
//!
//! ```text
//! AuditLog --follow--> Index (RocksDB beside the log) --scan--> stamps --> EventRecord --> JSON, CSV, Parquet, OCSF, CEF
//! ```
//!
//! The log is the truth. The index is made from it, may be deleted at any time and is made again; every record names its log
//! index, whose proof `domicile audit show` gives. Commitments stay closed in it: it knows values by a hash under a secret of
//! its own, and forgets that, too, when a value is erased.
//!
//! *In scope*: the index, queries and their cursors, records, the formats. *Out of scope*: who may ask (`admin`), what a legal
//! conclusion would be.

pub mod columns;
mod facts;
mod follow;
mod formats;
mod index;
mod layout;
pub(crate) mod placements;
mod query;
mod record;
mod register;
mod row;
mod scan;
mod sources;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::example;

pub(crate) use follow::run;
pub use follow::{Events, Page, Registers};
pub use formats::{Format, Writer};
pub use index::{Index, RegisterError};
pub(crate) use query::stretch;
pub use query::{Order, Query};
pub use record::{EventRecord, Sight, State};
pub use register::Register;
pub use sources::{Inputs, Sources};
