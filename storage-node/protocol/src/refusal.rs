//! Refusals: why a node did not do what it was asked, and what to do about it.

use std::fmt;

use domicile_types::ParseError;
use serde::{Deserialize, Serialize};

/// The reason of a refusal, as a short name that programs act on and operators count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// No ticket came with the request.
    NoTicket,
    /// The ticket does not parse, its proof does not hold, or its checkpoint is not signed by the log.
    ForgedTicket,
    /// The ticket is of a log that this node is not enrolled with.
    UnknownLog,
    /// The ticket's time is over, or has not come.
    StaleTicket,
    /// The ticket's bytes for this node are spent.
    ReplayedTicket,
    /// The ticket is for other shards, or for another data id than the shard is stored under.
    WrongShard,
    /// The ticket does not name this node's place.
    WrongPlace,
    /// The ticket's operation does not include this verb.
    WrongOperation,
    /// The peer is not the gateway whose log the ticket is of, or is not enrolled here.
    NotTheGateway,
    /// The ticket carries a lease epoch that a newer one has replaced.
    StaleEpoch,
    /// The ticket's checkpoint contradicts one that this node saw: the log was forked.
    ForkedLog,
    /// No space: by the configured capacity, or by the disk.
    Full,
    /// No such shard here.
    NotFound,
    /// The shard is here, but its bytes are not what they were.
    Corrupt,
    /// The byte range does not parse or lies outside the shard.
    BadRange,
    /// The body is larger than a shard may be.
    TooLarge,
    /// The body does not hash to the CID in the path.
    WrongBytes,
    /// The body ended before its declared length, or came too slowly.
    Incomplete,
    /// The request is malformed: CID, data id, length, method or path.
    BadRequest,
    /// The node cannot serve now: too busy, or shutting down.
    Unavailable,
}

impl RefusalCode {
    /// Every code, in the order of the declaration.
    pub const ALL: [Self; 20] = [
        Self::NoTicket,
        Self::ForgedTicket,
        Self::UnknownLog,
        Self::StaleTicket,
        Self::ReplayedTicket,
        Self::WrongShard,
        Self::WrongPlace,
        Self::WrongOperation,
        Self::NotTheGateway,
        Self::StaleEpoch,
        Self::ForkedLog,
        Self::Full,
        Self::NotFound,
        Self::Corrupt,
        Self::BadRange,
        Self::TooLarge,
        Self::WrongBytes,
        Self::Incomplete,
        Self::BadRequest,
        Self::Unavailable,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTicket => "no-ticket",
            Self::ForgedTicket => "forged-ticket",
            Self::UnknownLog => "unknown-log",
            Self::StaleTicket => "stale-ticket",
            Self::ReplayedTicket => "replayed-ticket",
            Self::WrongShard => "wrong-shard",
            Self::WrongPlace => "wrong-place",
            Self::WrongOperation => "wrong-operation",
            Self::NotTheGateway => "not-the-gateway",
            Self::StaleEpoch => "stale-epoch",
            Self::ForkedLog => "forked-log",
            Self::Full => "full",
            Self::NotFound => "not-found",
            Self::Corrupt => "corrupt",
            Self::BadRange => "bad-range",
            Self::TooLarge => "too-large",
            Self::WrongBytes => "wrong-bytes",
            Self::Incomplete => "incomplete",
            Self::BadRequest => "bad-request",
            Self::Unavailable => "unavailable",
        }
    }

    /// Parses a name on the wire.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|code| code.name() == text);
        found.ok_or_else(|| ParseError::new("refusal code", text, "one of the names of the node protocol"))
    }

    /// The HTTP status that goes with it (RFC 9110; 507 is RFC 4918's Insufficient Storage).
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::NoTicket => 401,
            Self::ForgedTicket
            | Self::UnknownLog
            | Self::StaleTicket
            | Self::ReplayedTicket
            | Self::WrongShard
            | Self::WrongPlace
            | Self::WrongOperation
            | Self::NotTheGateway => 403,
            Self::NotFound => 404,
            Self::StaleEpoch | Self::ForkedLog => 409,
            Self::TooLarge => 413,
            Self::BadRange => 416,
            Self::WrongBytes => 422,
            Self::Incomplete | Self::BadRequest => 400,
            Self::Corrupt => 500,
            Self::Unavailable => 503,
            Self::Full => 507,
        }
    }

    /// Whether the same request may succeed at another node: a gateway then tries there, and otherwise stops.
    #[must_use]
    pub const fn concerns_this_node_only(self) -> bool {
        matches!(self, Self::Full | Self::NotFound | Self::Corrupt | Self::Unavailable | Self::Incomplete)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The body of every 4xx and 5xx of the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: RefusalCode,
    /// Why and what to do, for people. Never holds a name, an address or a key.
    pub message: String,
}

impl Refusal {
    /// A refusal with a message that says what to do. Cut to what [`crate::REFUSAL_BYTES_MAX`] certainly holds.
    #[must_use]
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.chars().count() > MESSAGE_CHARS_MAX {
            message = message.chars().take(MESSAGE_CHARS_MAX).collect();
        }
        Self { code, message }
    }

    /// The JSON body.
    #[must_use]
    pub fn to_body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a body of at most [`crate::REFUSAL_BYTES_MAX`] bytes; `None` if it is no refusal.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Option<Self> {
        if body.len() > crate::REFUSAL_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(body).ok()
    }
}

/// JSON may write one character as six bytes: 500 of them fit [`crate::REFUSAL_BYTES_MAX`].
const MESSAGE_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_every_code_is_what_json_writes_and_parses_back() {
        for code in RefusalCode::ALL {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.name()));
            assert_eq!(RefusalCode::parse(code.name()), Ok(code));
            assert!((400..600).contains(&code.http_status()));
        }
    }

    #[test]
    fn a_refusal_round_trips_and_is_cut_to_its_limit() {
        let refusal = Refusal::new(RefusalCode::Full, "\u{1}".repeat(10_000));
        assert!(refusal.to_body().len() <= crate::REFUSAL_BYTES_MAX);
        assert_eq!(Refusal::from_body(refusal.to_body().as_bytes()), Some(refusal));
        assert_eq!(Refusal::from_body(&[b' '; crate::REFUSAL_BYTES_MAX + 1]), None);
    }
}
