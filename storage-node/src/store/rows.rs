//! Rows of the index: fixed fields in little-endian order, no versions of their own (the index can be rebuilt).

use domicile_node_protocol::LeafHash;
use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};

use super::format::{Fields, StoreId};

/// Whether a shard's bytes are what they were, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardState {
    /// No reason for doubt.
    Live,
    /// Found damaged when read. A new put of the same CID heals it.
    Corrupt,
}

/// Where a shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardRow {
    /// Of the record that holds the bytes.
    pub(crate) sequence: u64,
    pub(crate) file: u32,
    pub(crate) payload_offset: u64,
    pub(crate) shard_bytes: u32,
    /// Data ids that refer to it; at least 1.
    pub(crate) claims: u32,
    pub(crate) state: ShardState,
    pub(crate) groups: Vec<u32>,
}

/// One data id's claim on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClaimRow {
    pub(crate) sequence: u64,
    pub(crate) file: u32,
    pub(crate) ticket: LeafHash,
    pub(crate) gateway: NodeId,
    pub(crate) time: UnixMillis,
}

/// What one segment file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// Shards whose bytes are here, plus claims recorded here: none left means the file is dead.
    pub(crate) live: u64,
    /// Bytes up to the end of its last batch.
    pub(crate) end: u64,
    /// Bytes of those that were punched out.
    pub(crate) punched: u64,
}

/// Up to where the index reflects the segment files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) file: u32,
    /// Where the last applied batch begins; equal to `end` when the file has none yet.
    pub(crate) batch_offset: u64,
    /// Where the next batch begins.
    pub(crate) end: u64,
    /// Sequence number of the last applied batch's first record.
    pub(crate) batch_sequence: u64,
    /// Sequence number of the next record.
    pub(crate) next_sequence: u64,
}

/// Sums over the whole store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Live shards.
    pub shards: u64,
    /// Their payload, in bytes.
    pub shard_bytes: u64,
    /// Shards known to be corrupt.
    pub corrupt_shards: u64,
    /// Bytes taken on disk: everything written, less what was punched out or removed.
    pub used_bytes: u64,
}

impl ShardRow {
    /// Whether its bytes are in its file; they are not once they were given up as damaged.
    pub(crate) fn has_bytes(&self) -> bool {
        !self.groups.is_empty()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + 4 * self.groups.len());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.file.to_le_bytes());
        out.extend_from_slice(&self.payload_offset.to_le_bytes());
        out.extend_from_slice(&self.shard_bytes.to_le_bytes());
        out.extend_from_slice(&self.claims.to_le_bytes());
        out.push(match self.state {
            ShardState::Live => 0,
            ShardState::Corrupt => 1,
        });
        out.extend(self.groups.iter().flat_map(|crc| crc.to_le_bytes()));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (sequence, file, payload_offset) = (fields.u64()?, fields.u32()?, fields.u64()?);
        let (shard_bytes, claims) = (fields.u32()?, fields.u32()?);
        let state = match fields.take::<1>()? {
            [0] => ShardState::Live,
            [1] => ShardState::Corrupt,
            _ => return None,
        };
        let table = fields.0.chunks_exact(4);
        if !table.remainder().is_empty() {
            return None;
        }
        let groups = table.filter_map(|crc| crc.try_into().ok().map(u32::from_le_bytes)).collect();
        Some(Self { sequence, file, payload_offset, shard_bytes, claims, state, groups })
    }
}

impl ClaimRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let sequence = self.sequence.to_le_bytes();
        let (file, time) = (self.file.to_le_bytes(), self.time.0.to_le_bytes());
        [&sequence[..], &file, self.ticket.digest(), self.gateway.public_key(), &time].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (sequence, file) = (fields.u64()?, fields.u32()?);
        let (ticket, gateway) = (LeafHash::from_digest(fields.take()?), NodeId::from_public_key(fields.take()?));
        let time = UnixMillis(fields.u64()?);
        fields.end(Self { sequence, file, ticket, gateway, time })
    }

    /// The claim that a key is of.
    pub(crate) fn of_key(key: &[u8]) -> Option<(ShardCid, DataId)> {
        let mut fields = Fields(key);
        let (cid, data) = (ShardCid::from_digest(fields.take()?), DataId::from_bytes(fields.take()?));
        fields.end((cid, data))
    }

    /// The key of a claim; its first 32 bytes are the key of the shard.
    pub(crate) fn key(cid: &ShardCid, data: &DataId) -> Vec<u8> {
        [&cid.digest()[..], data.as_bytes()].concat()
    }
}

impl FileRow {
    pub(crate) fn encode(self) -> Vec<u8> {
        [self.live, self.end, self.punched].iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (live, end, punched) = (fields.u64()?, fields.u64()?, fields.u64()?);
        fields.end(Self { live, end, punched })
    }

    /// Bytes it takes on disk.
    pub(crate) const fn used_bytes(self) -> u64 {
        self.end.saturating_sub(self.punched)
    }

    /// The key of a file: big-endian, so that a scan is in order.
    pub(crate) const fn key(file: u32) -> [u8; 4] {
        file.to_be_bytes()
    }

    pub(crate) fn file_of_key(key: &[u8]) -> Option<u32> {
        key.try_into().ok().map(u32::from_be_bytes)
    }
}

impl Applied {
    pub(crate) fn encode(self) -> Vec<u8> {
        let file = u64::from(self.file);
        let fields = [file, self.batch_offset, self.end, self.batch_sequence, self.next_sequence];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (file, batch_offset, end) = (u32::try_from(fields.u64()?).ok()?, fields.u64()?, fields.u64()?);
        let (batch_sequence, next_sequence) = (fields.u64()?, fields.u64()?);
        fields.end(Self { file, batch_offset, end, batch_sequence, next_sequence })
    }
}

impl Totals {
    pub(crate) fn encode(self) -> Vec<u8> {
        let fields = [self.shards, self.shard_bytes, self.corrupt_shards, self.used_bytes];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (shards, shard_bytes) = (fields.u64()?, fields.u64()?);
        let (corrupt_shards, used_bytes) = (fields.u64()?, fields.u64()?);
        fields.end(Self { shards, shard_bytes, corrupt_shards, used_bytes })
    }
}

/// Keys of the table `Meta`.
pub(crate) mod meta {
    pub(crate) const STORE_ID: &[u8] = b"store-id";
    pub(crate) const APPLIED: &[u8] = b"applied";
    pub(crate) const TOTALS: &[u8] = b"totals";
}

pub(crate) fn decode_store_id(bytes: &[u8]) -> Option<StoreId> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_other_lengths_do_not_decode() {
        let shard = ShardRow {
            sequence: 1,
            file: 2,
            payload_offset: 3,
            shard_bytes: 4,
            claims: 5,
            state: ShardState::Corrupt,
            groups: vec![6, 7],
        };
        assert_eq!(ShardRow::decode(&shard.encode()), Some(shard.clone()));
        assert_eq!(ShardRow::decode(&shard.encode()[..shard.encode().len() - 1]), None);
        let (ticket, gateway) = (LeafHash::from_digest([3; 32]), NodeId::from_public_key([5; 32]));
        let claim = ClaimRow { sequence: 1, file: 2, ticket, gateway, time: UnixMillis(4) };
        assert_eq!(ClaimRow::decode(&claim.encode()), Some(claim));
        let file = FileRow { live: 1, end: 2, punched: 3 };
        assert_eq!(FileRow::decode(&file.encode()), Some(file));
        assert_eq!(FileRow::file_of_key(&FileRow::key(9)), Some(9));
        let applied = Applied { file: 1, batch_offset: 2, end: 3, batch_sequence: 4, next_sequence: 5 };
        assert_eq!(Applied::decode(&applied.encode()), Some(applied));
        assert_eq!(Applied::decode(&[0; 41]), None);
        let totals = Totals { shards: 1, shard_bytes: 2, corrupt_shards: 3, used_bytes: 4 };
        assert_eq!(Totals::decode(&totals.encode()), Some(totals));
    }
}
