//! Versions: how they are named, how they are ordered, and the marker that a deletion leaves.

use std::fmt;

use domicile_types::UnixMillis;
use serde::{Deserialize, Serialize};

use super::object::ObjectHead;
use crate::state::StoredRow;

/// Whether a bucket keeps the versions that a write replaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It never did: every object has one version, "null".
    #[default]
    Never,
    /// It does: every write makes a version with an id of its own.
    Enabled,
    /// It did: what was kept stays, and every write replaces the version "null".
    Suspended,
}

/// How a request names a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VersionId {
    /// `null`: the one that was written while the bucket kept no versions.
    Null,
    /// One with an id of its own.
    Id([u8; 16]),
}

impl VersionId {
    /// Reads an id; `None` where it cannot have been given out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        <[u8; 16]>::try_from(bytes).ok().map(Self::Id)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(bytes) => f.write_str(&data_encoding::HEXLOWER.encode(bytes)),
        }
    }
}

/// A version among those of its key.
///
/// `order` grows with every version of a key: the time of its commit in 65,536ths of a millisecond, or one more than the
/// newest that was there, if that is later. So versions sort by age whatever clocks do. `tail` is random and belongs to
/// versions with an id of their own, so that an id never names two versions, even after a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    order: u64,
    tail: Option<[u8; 8]>,
}

impl Version {
    /// The next version of a key whose newest has order `newest`. Without `tail`, it is the null version.
    pub(super) fn next(now: UnixMillis, newest: Option<u64>, tail: Option<[u8; 8]>) -> Self {
        let by_time = now.0.saturating_mul(1 << 16);
        let order = newest.map_or(by_time, |newest| by_time.max(newest.saturating_add(1)));
        Self { order, tail }
    }

    /// Before its commit, a version has no place yet.
    pub(super) const fn unset() -> Self {
        Self { order: 0, tail: None }
    }

    /// The null version at `order`.
    pub(super) const fn null_at(order: u64) -> Self {
        Self { order, tail: None }
    }

    /// What clients call it.
    #[must_use]
    pub fn id(&self) -> VersionId {
        match self.tail {
            Some(tail) => VersionId::Id(joined(self.order, tail)),
            None => VersionId::Null,
        }
    }

    /// Whether it is the null version.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        self.tail.is_none()
    }

    /// Grows from version to version of a key.
    pub(super) const fn order(&self) -> u64 {
        self.order
    }

    /// Where it lies among the versions of its key: newest first. The null version's last eight bytes are zero.
    pub(super) fn position(&self) -> [u8; 16] {
        joined(!self.order, self.tail.unwrap_or_default())
    }
}

/// The position of the version with that id.
pub(super) fn position_of(id: [u8; 16]) -> [u8; 16] {
    let (order, tail) = halves(id);
    joined(!u64::from_be_bytes(order), tail)
}

/// Eight bytes for a version's id from bytes that are random as a whole. Never all zero, which is the null version's.
pub(super) fn tail_of(random: &[&[u8]]) -> [u8; 8] {
    let mut hash = blake3::Hasher::new();
    for piece in random {
        hash.update(piece);
    }
    let (tail, _) = halves(hash.finalize().as_bytes().first_chunk().copied().unwrap_or_default());
    if tail == [0; 8] { [1; 8] } else { tail }
}

fn joined(order: u64, tail: [u8; 8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let pieces = order.to_be_bytes().into_iter().chain(tail);
    bytes.iter_mut().zip(pieces).for_each(|(to, from)| *to = from);
    bytes
}

fn halves(bytes: [u8; 16]) -> ([u8; 8], [u8; 8]) {
    let [a, b, c, d, e, f, g, h, tail @ ..] = bytes;
    ([a, b, c, d, e, f, g, h], tail)
}

/// What a deletion without a version id leaves in a bucket with versioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteMarker {
    /// Which version it is.
    pub version: Version,
    /// When it was written.
    pub last_modified: UnixMillis,
}

/// A version that is no current object: a row of its own, newest first among those of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionEntry {
    /// An object.
    Object(Box<ObjectHead>),
    /// A delete marker.
    Marker(DeleteMarker),
}

impl StoredRow for VersionEntry {
    const NAME: &'static str = "version";
    const VERSION: u8 = 1;
}

impl VersionEntry {
    /// Which version it is.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Object(head) => head.version,
            Self::Marker(marker) => marker.version,
        }
    }

    /// When it was committed.
    #[must_use]
    pub fn last_modified(&self) -> UnixMillis {
        match self {
            Self::Object(head) => head.last_modified,
            Self::Marker(marker) => marker.last_modified,
        }
    }

    /// The object, if it is one.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectHead> {
        match self {
            Self::Object(head) => Some(head),
            Self::Marker(_) => None,
        }
    }
}

/// Where the null version of a key lies, where it is no current object: its id does not say.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct NullVersion {
    pub(super) order: u64,
}

impl StoredRow for NullVersion {
    const NAME: &'static str = "null version";
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_age_whatever_the_clock_says() {
        let first = Version::next(UnixMillis(5_000), None, Some([1; 8]));
        let back = Version::next(UnixMillis(4_000), Some(first.order()), None);
        let later = Version::next(UnixMillis(6_000), Some(back.order()), Some([2; 8]));
        let positions = [later, back, first].map(|version| version.position());
        assert!(positions.is_sorted(), "newest first");
    }

    #[test]
    fn an_id_says_where_its_version_lies() {
        let version = Version::next(UnixMillis(1_700_000_000_000), None, Some([0xab; 8]));
        let VersionId::Id(bytes) = version.id() else { panic!("null") };
        assert_eq!(position_of(bytes), version.position());
        assert_eq!(VersionId::parse(&version.id().to_string()), Some(version.id()));
        assert_eq!(VersionId::parse("null"), Some(VersionId::Null));
        for bad in ["", "NULL", "abc", "00", "../../etc", &"0".repeat(34)] {
            assert_eq!(VersionId::parse(bad), None, "{bad}");
        }
    }
}
