//! Who is behind a node: node -> operator -> owners -> controller. Records as enrolment states them, each with its source.
//!
//! *In scope*: the records, what makes them contradict themselves, and what follows from them (control, attributed shares).
//! *Out of scope*: rows, sockets, clocks. `today` is an argument.

mod graph;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use domicile_types::{Certification, ControllerId, NodeId, OperatorId, ParseError, PartyId, Place, UnixMillis};
use serde::{Deserialize, Deserializer, Serialize};

pub use graph::{Graph, RecordError};

/// A calendar day, `2026-05-31`. Sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Day(String);

impl Day {
    /// Parses `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let form = time::macros::format_description!("[year]-[month]-[day]");
        match time::Date::parse(text, form) {
            Ok(_) if text.len() == 10 => Ok(Self(text.to_owned())),
            _ => Err(ParseError::new("day", text, "YYYY-MM-DD")),
        }
    }

    /// The day of `time`, in UTC.
    #[must_use]
    pub fn of(time: UnixMillis) -> Self {
        let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
        let date = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        Self(format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()))
    }

    /// The day as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// How far a statement can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The party says so itself.
    Stated,
    /// A document says so: a register's extract, a filing.
    Documented,
    /// Somebody here compared the document with its register.
    Verified,
}

/// Where a statement comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Who or what says so: `operator`, `configuration`, a register's name.
    pub source: String,
    /// As of which day.
    #[schemars(with = "String")]
    pub as_of: Day,
    /// How far it can be relied on.
    pub confidence: Confidence,
}

/// A legal entity on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Identifier within this installation.
    #[schemars(with = "String")]
    pub id: PartyId,
    /// Registered name.
    pub name: String,
    /// Where it is incorporated.
    #[schemars(with = "String")]
    pub incorporated: Place,
    /// Where its headquarters are.
    #[schemars(with = "String")]
    pub headquartered: Place,
    /// Schemes it is certified under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub certifications: Vec<Certification>,
    /// Its direct owners, as far as they are known.
    #[serde(default, rename = "owner", skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<Owner>,
    /// Who controls it by other means than shares: a contract, a golden share, a trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controlled_by: Option<Control>,
    /// Where this comes from.
    pub from: Source,
}

/// A direct owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Who: an entity on record, or a person or entity of whom no more is known than this.
    #[schemars(with = "String")]
    pub id: PartyId,
    /// Where the owner is organised, or resides.
    #[schemars(with = "String")]
    pub place: Place,
    /// Direct share, in hundredths of a percent.
    pub share_basis_points: u16,
    /// Where this comes from.
    pub from: Source,
}

/// Control by other means than shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Who controls: an entity on record.
    #[schemars(with = "String")]
    pub id: PartyId,
    /// Where this comes from.
    pub from: Source,
}

/// Who runs nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Its name here.
    pub id: OperatorId,
    /// The legal entity.
    pub party: PartyId,
    /// Whom to write to. Personal data: never in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The controller as the configuration names it; counts where no owner or controller is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_controller: Option<ControllerId>,
    /// Where this comes from.
    pub from: Source,
}

/// A node on the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Its identity.
    pub node: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// Declared place.
    pub place: Place,
    /// The building or data centre, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Where its control plane listens, to dial it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SocketAddr>,
    /// Where this comes from.
    pub from: Source,
}

/// What [`Source::source`] says of what the gateway's configuration states.
pub const CONFIGURATION: &str = "configuration";

impl Source {
    /// What the gateway's configuration states, as of the day it was read first.
    #[must_use]
    pub fn configuration(day: Day) -> Self {
        Self { source: CONFIGURATION.to_owned(), as_of: day, confidence: Confidence::Verified }
    }

    /// Whether the gateway's configuration states it.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        self.source == CONFIGURATION
    }
}

/// BLAKE3 of a record's canonical JSON, in hexadecimal: how the log names what stands from now on.
#[must_use]
pub fn record_hash<T: Serialize>(record: &T) -> String {
    blake3::hash(&serde_json::to_vec(record).unwrap_or_default()).to_hex().to_string()
}
