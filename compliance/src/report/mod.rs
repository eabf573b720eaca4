//! Reports that officers file: facts from the log, with the entries behind every figure, in English and in Chinese.
//!
//! *In scope*: reading a period of the log once ([`Gathering`]), and a [`Report`] from what it said ([`report`]): a pure function,
//! printed as JSON (`serde`) or HTML ([`html`]); `domicile-render` makes PDF/A of the JSON. *Out of scope*: legal conclusions. A report
//! has fields for people to fill, and no way to fill them.

mod build;
mod html;
mod kind;
mod kinds;
mod map;
mod material;
mod model;
pub mod places;
mod tally;
#[cfg(test)]
mod tests;
mod text;

pub use html::html;
pub use kind::ReportKind;
pub use kinds::report;
pub use material::{Deletion, FLOWS_MAX, Flow, Gathered, Gathering, Happening, Material, NodeFacts, ReportError};
pub use model::{
    Block, Column, Drawn, Fact, Field, Footnote, LogState, Mark, Places, Report, Row, SCHEMA, Section, Table, Words,
};
pub use text::Language;
