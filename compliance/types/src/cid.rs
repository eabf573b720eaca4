//! The name of a shard: CIDv1, codec raw (0x55), multihash BLAKE3-256 (0x1e).

use std::fmt;

use ::cid::Cid;
use multihash::Multihash;

use crate::ParseError;
use crate::parse::string_form;

/// Multicodec `raw`.
const CODEC_RAW: u64 = 0x55;
/// Multicodec `blake3`.
const HASH_BLAKE3: u64 = 0x1e;

/// The content name of a shard's bytes. Text form: base32 CIDv1 (`bafkr4i...`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardCid([u8; 32]);

/// Bytes that are not what their name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shard bytes hash to {actual}, not to the name {expected} they were asked by")]
pub struct ShardCidError {
    /// The name that was asked for.
    pub expected: ShardCid,
    /// The name that the bytes have.
    pub actual: ShardCid,
}

impl ShardCid {
    /// Names `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// From a BLAKE3-256 digest that was computed elsewhere (streamed, say).
    #[must_use]
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The BLAKE3-256 digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that `bytes` have this name.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), ShardCidError> {
        let actual = Self::of(bytes);
        if actual == *self { Ok(()) } else { Err(ShardCidError { expected: *self, actual }) }
    }

    /// Parses any multibase text of a CIDv1 raw BLAKE3-256.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("shard CID", text, "a CIDv1 with codec raw and a BLAKE3-256 multihash");
        let cid = Cid::try_from(text).map_err(|_| error())?;
        if cid.codec() != CODEC_RAW || cid.hash().code() != HASH_BLAKE3 {
            return Err(error());
        }
        cid.hash().digest().try_into().map(Self).map_err(|_| error())
    }
}

impl fmt::Display for ShardCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = Multihash::<64>::wrap(HASH_BLAKE3, &self.0).map_err(|_| fmt::Error)?;
        Cid::new_v1(CODEC_RAW, hash).fmt(f)
    }
}

string_form!(ShardCid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_base32_cid_v1_and_round_trips() {
        let cid = ShardCid::of(b"domicile");
        assert!(cid.to_string().starts_with("bafkr4i"));
        assert_eq!(ShardCid::parse(&cid.to_string()), Ok(cid));
    }

    #[test]
    fn a_sha256_cid_is_refused() {
        assert!(ShardCid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").is_err());
    }
}
