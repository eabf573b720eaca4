//! A shard on its way in: hashed while its pieces are still in the cache, and nothing until its name is proved.

use bytes::Bytes;
use domicile_node_protocol::SHARD_BYTES_MAX;
use domicile_types::{ShardCid, ShardCidError};

use super::batch::Payload;
use super::format::GroupTable;

/// Pieces of a shard that has not been checked yet.
#[derive(Debug)]
pub struct IncomingShard {
    hasher: blake3::Hasher,
    groups: GroupTable,
    payload: Payload,
    bytes: u64,
}

/// A shard whose bytes have the name it came by. Only [`IncomingShard::finish`] makes one.
#[derive(Debug)]
pub struct VerifiedShard {
    pub(super) cid: ShardCid,
    pub(super) bytes: u32,
    pub(super) groups: Vec<u32>,
    pub(super) payload: Payload,
}

/// Why incoming bytes are no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingError {
    /// More than a shard may hold, or than was declared.
    #[error("the body is longer than the {bytes_max} bytes allowed")]
    TooLong {
        /// How many bytes were allowed.
        bytes_max: u64,
    },
    /// No bytes at all.
    #[error("the body is empty: a shard has at least one byte")]
    Empty,
    /// The bytes have another name.
    #[error(transparent)]
    WrongBytes(#[from] ShardCidError),
}

impl IncomingShard {
    /// Nothing received yet.
    #[must_use]
    pub fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), groups: GroupTable::new(), payload: Payload::default(), bytes: 0 }
    }

    /// Takes the next piece, up to [`SHARD_BYTES_MAX`] in all.
    pub fn push(&mut self, piece: Bytes) -> Result<(), IncomingError> {
        let bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if bytes > SHARD_BYTES_MAX {
            return Err(IncomingError::TooLong { bytes_max: SHARD_BYTES_MAX });
        }
        self.bytes = bytes;
        self.hasher.update(&piece);
        self.groups.update(&piece);
        self.payload.push(piece);
        Ok(())
    }

    /// How many bytes came so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Checks that what came is `cid`.
    pub fn finish(self, cid: &ShardCid) -> Result<VerifiedShard, IncomingError> {
        if self.bytes == 0 {
            return Err(IncomingError::Empty);
        }
        let actual = ShardCid::from_digest(*self.hasher.finalize().as_bytes());
        if actual != *cid {
            return Err(ShardCidError { expected: *cid, actual }.into());
        }
        let bytes = u32::try_from(self.bytes).map_err(|_| IncomingError::TooLong { bytes_max: SHARD_BYTES_MAX })?;
        Ok(VerifiedShard { cid: actual, bytes, groups: self.groups.finish(), payload: self.payload })
    }
}

impl Default for IncomingShard {
    fn default() -> Self {
        Self::new()
    }
}

impl VerifiedShard {
    /// Checks `bytes` in one piece.
    pub fn of(cid: &ShardCid, bytes: Bytes) -> Result<Self, IncomingError> {
        let mut incoming = IncomingShard::new();
        incoming.push(bytes)?;
        incoming.finish(cid)
    }

    /// Its name.
    #[must_use]
    pub fn cid(&self) -> ShardCid {
        self.cid
    }

    /// Its length, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_in_pieces_is_the_shard_in_one_piece() {
        let bytes = Bytes::from(vec![3; 40_000]);
        let cid = ShardCid::of(&bytes);
        let mut incoming = IncomingShard::new();
        for piece in bytes.chunks(777) {
            incoming.push(Bytes::copy_from_slice(piece)).unwrap();
        }
        let shard = incoming.finish(&cid).unwrap();
        assert_eq!(shard.groups, VerifiedShard::of(&cid, bytes).unwrap().groups);
        assert_eq!((shard.bytes(), shard.payload.len()), (40_000, 40_000));
    }

    #[test]
    fn other_bytes_empty_bodies_and_overlong_ones_are_no_shards() {
        let cid = ShardCid::of(b"shard");
        let other = VerifiedShard::of(&cid, Bytes::from_static(b"shart"));
        assert!(matches!(other, Err(IncomingError::WrongBytes(_))));
        assert_eq!(IncomingShard::new().finish(&ShardCid::of(b"")).err(), Some(IncomingError::Empty));
        let long = Bytes::from(vec![0; usize::try_from(SHARD_BYTES_MAX).unwrap()]);
        let mut incoming = IncomingShard::new();
        incoming.push(long).unwrap();
        assert_eq!(incoming.push(Bytes::from_static(b"x")), Err(IncomingError::TooLong { bytes_max: SHARD_BYTES_MAX }));
    }
}
