//! Where each row of the index lies.
//!
//! ```text
//! m name                      position, secret, version, log; and how far each SIEM was told
//! r index                     what a record is made of: `row::Row`
//! o index                     how the operation of an intent ended
//! k index index               that an entry was corrected by a later one
//! b hash                      what many rows have in common: `row::Common`, by its BLAKE3
//! c commitment                which postings are its value's: deleted with the value
//! p dimension value stamp     that the entry at `stamp` has that value
//! ```
//!
//! A stamp is the time in milliseconds and the index, six bytes each: postings of one value lie in the order of time, so
//! that filters are intersected by walking, and a page begins where its cursor says. A value is eight bytes of a BLAKE3
//! keyed with the index's secret. Integers are big-endian.

use domicile_types::{Commitment, UnixMillis};

/// Bytes of a stamp.
const STAMP_BYTES: usize = 12;
/// The largest number of six bytes.
const SIX_BYTES_MAX: u64 = (1 << 48) - 1;
/// Bytes of `p dimension value`.
pub(super) const LIST_BYTES: usize = 10;

pub(super) const POSITION: &[u8] = b"mposition";
pub(super) const SECRET: &[u8] = b"msecret";
pub(super) const VERSION: &[u8] = b"mversion";
pub(super) const LOG: &[u8] = b"mlog";

/// Every table that follows from the log.
pub(super) const TABLES: [&[u8]; 6] = [b"b", b"c", b"k", b"o", b"p", b"r"];

/// By what an entry is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Register,
    Tenant,
    Bucket,
    Key,
    Actor,
    Operation,
    Verdict,
    Class,
    FromPlace,
    ToPlace,
    Basis,
    Node,
    Data,
}

impl Dimension {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Register => 1,
            Self::Tenant => 2,
            Self::Bucket => 3,
            Self::Key => 4,
            Self::Actor => 5,
            Self::Operation => 6,
            Self::Verdict => 7,
            Self::Class => 8,
            Self::FromPlace => 9,
            Self::ToPlace => 10,
            Self::Basis => 11,
            Self::Node => 12,
            Self::Data => 13,
        }
    }
}

/// A value, as the index knows it.
pub(super) type ValueHash = [u8; 8];

/// When, and which of the entries of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(u128);

impl Stamp {
    pub(super) const FIRST: Self = Self(0);
    pub(super) const LAST: Self = Self((1 << 96) - 1);

    pub(super) fn new(time: UnixMillis, index: u64) -> Self {
        Self(u128::from(time.0.min(SIX_BYTES_MAX)) << 48 | u128::from(index.min(SIX_BYTES_MAX)))
    }

    /// The log index in it.
    pub(super) fn index(self) -> u64 {
        u64::try_from(self.0 & u128::from(SIX_BYTES_MAX)).unwrap_or(SIX_BYTES_MAX)
    }

    pub(super) const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before; none before the first.
    pub(super) fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    pub(super) fn bytes(self) -> [u8; STAMP_BYTES] {
        let bytes = self.0.to_be_bytes();
        bytes.last_chunk::<STAMP_BYTES>().copied().unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: [u8; STAMP_BYTES]) -> Self {
        let mut wide = [0; 16];
        wide.iter_mut().skip(16 - STAMP_BYTES).zip(bytes).for_each(|(to, from)| *to = from);
        Self(u128::from_be_bytes(wide))
    }

    /// The stamp at the end of a posting.
    pub(super) fn of_posting(key: &[u8]) -> Option<Self> {
        key.get(LIST_BYTES..)?.try_into().ok().map(Self::from_bytes)
    }
}

fn numbered(table: u8, number: u64) -> [u8; 9] {
    let mut key = [table; 9];
    key.iter_mut().skip(1).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    key
}

pub(super) fn row(index: u64) -> [u8; 9] {
    numbered(b'r', index)
}

pub(super) fn outcome(intent: u64) -> [u8; 9] {
    numbered(b'o', intent)
}

pub(super) fn corrections(of: u64) -> [u8; 9] {
    numbered(b'k', of)
}

pub(super) fn correction(of: u64, by: u64) -> Vec<u8> {
    [&corrections(of)[..], &by.to_be_bytes()].concat()
}

pub(super) fn common(hash: &[u8; 16]) -> Vec<u8> {
    [&b"b"[..], hash].concat()
}

pub(super) fn committed(commitment: &Commitment) -> Vec<u8> {
    [&b"c"[..], commitment.digest()].concat()
}

pub(super) fn told(siem: &str) -> Vec<u8> {
    [&b"mtold-"[..], siem.as_bytes()].concat()
}

/// Where the postings of a value begin.
pub(super) fn list(dimension: u8, value: &ValueHash) -> Vec<u8> {
    [&[b'p', dimension][..], value].concat()
}

pub(super) fn posting(dimension: u8, value: &ValueHash, stamp: Stamp) -> Vec<u8> {
    [&list(dimension, value)[..], &stamp.bytes()].concat()
}

/// The first key behind all that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0xff; 24]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_order_by_time_then_index_and_come_back_from_their_bytes() {
        let stamps = [
            Stamp::FIRST,
            Stamp::new(UnixMillis(1), 9),
            Stamp::new(UnixMillis(2), 0),
            Stamp::new(UnixMillis(2), 7),
            Stamp::new(UnixMillis(u64::MAX), u64::MAX),
        ];
        for pair in stamps.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].bytes() < pair[1].bytes());
        }
        for stamp in stamps {
            assert_eq!(Stamp::from_bytes(stamp.bytes()), stamp);
            let key = posting(3, &[7; 8], stamp);
            assert_eq!(Stamp::of_posting(&key), Some(stamp));
            assert!(key.starts_with(&list(3, &[7; 8])) && key < end_of(&list(3, &[7; 8])));
        }
        assert_eq!(stamps[3].index(), 7);
        assert_eq!(stamps[4], Stamp::LAST);
        assert_eq!(Stamp::FIRST.before(), None);
        assert_eq!(stamps[1].after().before(), Some(stamps[1]));
    }
}
