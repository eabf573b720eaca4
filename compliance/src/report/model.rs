//! A report as data: what PDF, HTML and JSON are all made from. Its JSON form is the `json` format of `domicile report`.
//!
//! There is no place in it where a legal conclusion could be filled in: a [`Field`] has a label and no value.

use domicile_types::{NodeId, Place, UnixMillis};
use serde::{Deserialize, Serialize};

use super::kind::ReportKind;
use super::text::Language;

/// The name of this form, with its version. Fields may be added; none changes its meaning under the same name.
pub const SCHEMA: &str = "domicile-report/1";

/// A report, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Which report.
    pub kind: ReportKind,
    /// The language of all labels and texts. Keys and values are the same in every language.
    pub language: Language,
    /// The title.
    pub title: String,
    /// What it is made for: the provisions, in a line.
    pub purpose: String,
    /// From when on (inclusive).
    pub from: UnixMillis,
    /// Until when (exclusive).
    pub to: UnixMillis,
    /// When it was made, by the gateway's clock.
    pub made: UnixMillis,
    /// The log that it is made from.
    pub log: LogState,
    /// The cover: what, when, from which log.
    pub cover: Vec<Fact>,
    /// What a reader must know before any figure.
    pub notes: Vec<String>,
    /// The body.
    pub sections: Vec<Section>,
    /// The entries behind the figures, by number.
    pub footnotes: Vec<Footnote>,
    /// Words that the page itself needs.
    pub words: Words,
}

/// Where the log stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogState {
    /// Whose log: the gateway's identity.
    pub gateway: NodeId,
    /// Where the gateway is.
    pub place: Place,
    /// The log's public key, as a C2SP verifier key.
    pub key: String,
    /// How many entries it had when the report was made.
    pub size: u64,
    /// The root hash over them, in base64 as checkpoints have it.
    pub root: String,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its name in every language.
    pub key: String,
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Block {
    /// A remark.
    Note {
        /// The remark.
        text: String,
    },
    /// Facts from the log.
    Facts {
        /// One a line.
        facts: Vec<Fact>,
    },
    /// What a person has to write and sign.
    Fields {
        /// One after another.
        fields: Vec<Field>,
    },
    /// A table of facts.
    Table(Table),
    /// Where shards lie.
    Places(Places),
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Its name in every language.
    pub key: String,
    /// What it is.
    pub label: String,
    /// The value for machines: a number, a text, a list.
    pub value: serde_json::Value,
    /// The value for people.
    pub shown: String,
    /// The number of the footnote with the entries behind it. Absent: it is of the report, not of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footnote: Option<u32>,
}

/// Something that a person must write. It has no value, and nothing fills it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in every language.
    pub key: String,
    /// What to write.
    pub label: String,
    /// How to go about it.
    pub hint: String,
    /// Lines to leave on paper.
    pub lines: u8,
}

/// A table of facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name in every language.
    pub key: String,
    /// Its caption.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell a column.
    pub rows: Vec<Row>,
    /// What to say where there are no rows.
    pub empty: String,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in every language.
    pub key: String,
    /// Its heading.
    pub label: String,
    /// Whether it holds figures, which are set flush right.
    pub figures: bool,
    /// How wide it is against the others.
    pub width: u8,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// For people, by column.
    pub cells: Vec<String>,
    /// The entries behind it, as inclusive ranges of indices.
    pub entries: Vec<(u64, u64)>,
    /// The number of the footnote with them. Absent where its first cell is the entry, or where none is behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footnote: Option<u32>,
}

/// Where shards lie: marks, and the same in a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// Whether marks are drawn on a graticule, or tiles in a grid.
    pub drawn: Drawn,
    /// What is drawn, for who cannot see it.
    pub description: String,
    /// The marks, the heaviest first.
    pub marks: Vec<Mark>,
    /// The same as a table.
    pub table: Table,
}

/// How places are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drawn {
    /// Marks on lines of latitude and longitude, without any border.
    Map,
    /// Equal tiles without geography.
    Grid,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Which.
    pub place: Place,
    /// What it is called.
    pub label: String,
    /// How much is there, in the unit of the table.
    pub weight: u64,
    /// Across the drawing, 0 (180 degrees west) to 1. Absent: it is nowhere on a map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<f64>,
    /// Down the drawing, 0 (85 degrees north) to 1 (60 degrees south).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<f64>,
}

/// The entries behind a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footnote {
    /// Its number, from 1.
    pub number: u32,
    /// The key of the first fact or table that it stands behind.
    pub key: String,
    /// How many entries.
    pub count: u64,
    /// Which: inclusive ranges of indices, ascending. All of them.
    pub entries: Vec<(u64, u64)>,
    /// For people; long lists are cut short there, and only there.
    pub shown: String,
}

/// Words that renderers need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the word that it is named for")]
pub struct Words {
    pub page_of: String,
    pub period: String,
    pub contents: String,
    pub notes: String,
    pub from_the_log: String,
    pub to_be_completed: String,
    pub name: String,
    pub title: String,
    pub signature: String,
    pub date: String,
    pub footnotes: String,
    pub footnotes_intro: String,
}
