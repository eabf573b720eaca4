//! The hash of a log entry: how a receipt names the ticket it was given for.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use domicile_types::ParseError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The RFC 6962 leaf hash (SHA-256 over 0x00 and the entry) of a ticket's intent. Text form: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafHash([u8; 32]);

impl LeafHash {
    /// From a digest; `domicile-compliance` computes it.
    #[must_use]
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseError::new("leaf hash", text, "64 hexadecimal digits"))
    }
}

impl fmt::Display for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafHash({self})")
    }
}

impl Serialize for LeafHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeafHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_other_lengths_are_refused() {
        let leaf = LeafHash::from_digest([0xa5; 32]);
        assert_eq!(LeafHash::parse(&leaf.to_string()), Ok(leaf));
        assert!(LeafHash::parse("a5").is_err());
    }
}
