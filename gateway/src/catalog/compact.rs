//! Compact stored forms of nouns whose serde form is made for JSON: identifiers as raw bytes instead of text, and the
//! classification with every field present (a format without field names cannot skip one).

use std::collections::BTreeSet;

use domicile_types::{Classification, CodeProfile, DataClass, DataId, NodeId, Place, ShardCid, UploadId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A module for `#[serde(with)]` that stores a type as the byte array it wraps.
macro_rules! raw_bytes {
    ($module:ident, $type:ty, $bytes:ty, $to:expr, $from:expr) => {
        pub(super) mod $module {
            use super::*;

            pub(in crate::catalog) fn serialize<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
                let bytes: &$bytes = $to(value);
                bytes.serialize(to)
            }

            pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                <$bytes>::deserialize(from).map($from)
            }
        }
    };
}

raw_bytes!(data_id, DataId, [u8; 16], DataId::as_bytes, DataId::from_bytes);
raw_bytes!(upload_id, UploadId, [u8; 16], UploadId::as_bytes, UploadId::from_bytes);

/// A shard's name and node as the 32 bytes of each.
pub(super) fn cid_bytes(cid: &ShardCid) -> [u8; 32] {
    *cid.digest()
}

pub(super) fn node_bytes(node: &NodeId) -> [u8; 32] {
    *node.public_key()
}

pub(super) mod profile {
    use super::*;

    pub(in crate::catalog) fn serialize<S: Serializer>(value: &CodeProfile, to: S) -> Result<S::Ok, S::Error> {
        // k + m is at most 128, so both fit a byte.
        let byte = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        (byte(value.k()), byte(value.m())).serialize(to)
    }

    pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<CodeProfile, D::Error> {
        let (k, m) = <(u8, u8)>::deserialize(from)?;
        CodeProfile::new(k, m).map_err(D::Error::custom)
    }
}

pub(super) mod classification {
    use super::*;

    type Stored = (BTreeSet<DataClass>, Option<Place>, Option<u64>, Option<u64>, Option<bool>);

    pub(in crate::catalog) fn serialize<S: Serializer>(value: &Classification, to: S) -> Result<S::Ok, S::Error> {
        let Classification { classes, origin, subjects, sensitive_subjects, important } = value;
        (classes, origin, subjects, sensitive_subjects, important).serialize(to)
    }

    pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Classification, D::Error> {
        let (classes, origin, subjects, sensitive_subjects, important) = Stored::deserialize(from)?;
        Ok(Classification { classes, origin, subjects, sensitive_subjects, important })
    }
}
