//! Byte ranges (RFC 9110 section 14): a single range per request, which is all that shards need.

use std::fmt;

/// A parsed `Range` header, not yet held against a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last`, both included, `first <= last`.
    FromTo(u64, u64),
    /// `bytes=first-`.
    From(u64),
    /// `bytes=-length`: the last `length` bytes.
    Suffix(u64),
}

/// A range that lies within a body: `start < end <= length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// Why a range cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not `bytes=` and a single range.
    #[error("range is not bytes=first-last, bytes=first- or bytes=-length; ask for one range at a time")]
    NotASingleRange,
    /// Beyond the end.
    #[error("range lies outside the {length} bytes there are")]
    Outside {
        /// How many bytes there are.
        length: u64,
    },
}

impl ByteRange {
    /// The longest header value that is looked at, in bytes.
    const TEXT_BYTES_MAX: usize = 64;

    /// Parses a header value.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let error = RangeError::NotASingleRange;
        if text.len() > Self::TEXT_BYTES_MAX {
            return Err(error);
        }
        let spec = text.strip_prefix("bytes=").ok_or(RangeError::NotASingleRange)?;
        let (first, last) = spec.split_once('-').ok_or(RangeError::NotASingleRange)?;
        match (first, last) {
            ("", length) => Ok(Self::Suffix(number(length).ok_or(error)?)),
            (first, "") => Ok(Self::From(number(first).ok_or(error)?)),
            (first, last) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => Ok(Self::FromTo(first, last)),
                _ => Err(error),
            },
        }
    }

    /// Holds the range against a body of `length` bytes. A last byte beyond the end is cut to the end (RFC 9110 14.1.2).
    pub fn resolve(self, length: u64) -> Result<ResolvedRange, RangeError> {
        let (start, end) = match self {
            Self::FromTo(first, last) => (first, last.saturating_add(1).min(length)),
            Self::From(first) => (first, length),
            Self::Suffix(wanted) => (length.saturating_sub(wanted), length),
        };
        if start < end { Ok(ResolvedRange { start, end }) } else { Err(RangeError::Outside { length }) }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Suffix(length) => write!(f, "bytes=-{length}"),
        }
    }
}

impl ResolvedRange {
    /// How many bytes; at least one.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The header that asks for exactly this range.
    #[must_use]
    pub const fn to_request(self) -> ByteRange {
        ByteRange::FromTo(self.start, self.end.saturating_sub(1))
    }
}

/// The value of a `Content-Range` header of a 206: `bytes first-last/length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Which bytes.
    pub range: ResolvedRange,
    /// Of how many.
    pub length: u64,
}

impl ContentRange {
    /// Parses a header value; `None` if it is not of this form or contradicts itself.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = ResolvedRange { start: number(first)?, end: number(last)?.checked_add(1)? };
        let length = number(length)?;
        (range.start < range.end && range.end <= length).then_some(Self { range, length })
    }

    /// The `Content-Range` of a 416: `bytes */length`.
    #[must_use]
    pub fn unsatisfied(length: u64) -> String {
        format!("bytes */{length}")
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.range.start, self.range.end.saturating_sub(1), self.length)
    }
}

/// Digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_resolve_as_rfc_9110_says() {
        let cases = [
            ("bytes=0-499", 10_000, Ok((0, 500))),
            ("bytes=500-999", 10_000, Ok((500, 1000))),
            ("bytes=-500", 10_000, Ok((9500, 10_000))),
            ("bytes=9500-", 10_000, Ok((9500, 10_000))),
            ("bytes=9500-20000", 10_000, Ok((9500, 10_000))),
            ("bytes=-20000", 10_000, Ok((0, 10_000))),
            ("bytes=10000-", 10_000, Err(RangeError::Outside { length: 10_000 })),
            ("bytes=-0", 10_000, Err(RangeError::Outside { length: 10_000 })),
            ("bytes=0-0", 0, Err(RangeError::Outside { length: 0 })),
            ("bytes=0-18446744073709551615", 3, Ok((0, 3))),
        ];
        for (text, length, expected) in cases {
            let resolved = ByteRange::parse(text).and_then(|range| range.resolve(length));
            assert_eq!(resolved.map(|range| (range.start, range.end)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_range_is_refused() {
        for text in [
            "",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
            "bytes= 0-1",
            "bytes=a-b",
            "bytes=0-18446744073709551616",
        ] {
            assert_eq!(ByteRange::parse(text), Err(RangeError::NotASingleRange), "{text:?}");
        }
        let long = format!("bytes=0-{}", "0".repeat(64));
        assert_eq!(ByteRange::parse(&long), Err(RangeError::NotASingleRange));
    }

    proptest! {
        #[test]
        fn a_resolved_range_lies_within_the_body_and_survives_both_headers(
            first in 0u64..5000, bytes in 1u64..5000, length in 1u64..6000,
        ) {
            let asked = ByteRange::FromTo(first, first + bytes - 1);
            prop_assert_eq!(ByteRange::parse(&asked.to_string()), Ok(asked));
            if let Ok(range) = asked.resolve(length) {
                prop_assert!(range.start < range.end && range.end <= length);
                prop_assert_eq!(range.to_request().resolve(length), Ok(range));
                let answered = ContentRange { range, length };
                prop_assert_eq!(ContentRange::parse(&answered.to_string()), Some(answered));
            } else {
                prop_assert!(first >= length);
            }
        }
    }
}
