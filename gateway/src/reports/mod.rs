//! Reports: what a gateway knows, put into the material that `domicile_compliance::report` makes reports from.
//!
//! *In scope*: reading a period of the log, opening what the officer asked to see, the PDF renderer as a process of its own.
//! *Out of scope*: what reports say (`compliance/report`), who may ask (`admin`), deciding and logging (`objects/reports`).

mod gather;
mod renderer;

pub(crate) use gather::{ReportFault, classes, first_at, gather, names};
pub(crate) use renderer::{RenderError, Renderer};

use domicile_compliance::report::{Language, ReportKind};
use domicile_types::{BucketName, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReportFormat {
    /// PDF/A-2a.
    Pdf,
    /// One HTML page.
    Html,
    /// The report as data.
    Json,
}

impl ReportFormat {
    /// The name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Html => "html",
            Self::Json => "json",
        }
    }

    /// The media type of the file.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// A report to be made.
#[derive(Debug, Clone)]
pub(crate) struct ReportOrder {
    pub(crate) kind: ReportKind,
    pub(crate) language: Language,
    pub(crate) format: ReportFormat,
    /// The period: from, to (exclusive).
    pub(crate) period: (UnixMillis, UnixMillis),
    /// Of which bucket alone.
    pub(crate) bucket: Option<BucketName>,
    /// Of which object: where it lies, or how it was deleted.
    pub(crate) object: Option<(BucketName, ObjectKey)>,
    /// Whether people and buckets are named.
    pub(crate) open: bool,
}

/// A report that was made and sealed.
#[derive(Debug)]
pub(crate) struct SealedReport {
    /// The file.
    pub(crate) file: Vec<u8>,
    /// Its SHA-256, in hexadecimal: what the log has.
    pub(crate) hash: String,
    /// The entry that has it.
    pub(crate) index: u64,
}
