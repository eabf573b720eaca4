//! Encoding and decoding of segment files: see `FORMAT.md`, which this file follows in order.

use crc_fast::{CrcAlgorithm, Digest, checksum};
use domicile_node_protocol::LeafHash;
use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};

/// The unit of O_DIRECT, in bytes: every offset and length that is written is a multiple of it.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// [`BLOCK_BYTES`] as offsets count.
pub(crate) const BLOCK_BYTES_U64: u64 = 4096;
/// Bytes that one entry of the group table covers: a ciphertext chunk with its tag, so that a gateway's range read, which is
/// of whole chunks, is checked without reading more than it asks for.
pub(crate) const GROUP_BYTES: usize = 16_400;

const FILE_MAGIC: &[u8; 8] = b"DOMSEG2\n";
const BATCH_MAGIC: &[u8; 4] = b"DBAT";
const RECORD_MAGIC: &[u8; 4] = b"DREC";
/// Bytes of a batch before its first record.
pub(crate) const BATCH_HEADER_BYTES: usize = 64;
/// Bytes of a record before its group table.
pub(crate) const RECORD_HEADER_BYTES: usize = 152;
/// Where a batch header's checksum stands.
const CRC_AT: usize = 40;
/// Where a file header's checksum stands.
const FILE_CRC_AT: usize = 72;
const RECORD_CRC_AT: usize = 144;

/// Drawn at random when a store is made.
pub(crate) type StoreId = [u8; 16];

/// CRC-32C.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    // The CRC of a 32-bit algorithm is returned in 64 bits.
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or(0)
}

/// The group table of a payload that comes in pieces.
#[derive(Debug)]
pub(crate) struct GroupTable {
    done: Vec<u32>,
    group: Digest,
    group_bytes: usize,
}

impl GroupTable {
    pub(crate) fn new() -> Self {
        Self { done: Vec::new(), group: Digest::new(CrcAlgorithm::Crc32Iscsi), group_bytes: 0 }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(GROUP_BYTES.saturating_sub(self.group_bytes)));
            self.group.update(now);
            self.group_bytes += now.len();
            if self.group_bytes == GROUP_BYTES {
                self.close_group();
            }
            bytes = rest;
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u32> {
        if self.group_bytes > 0 {
            self.close_group();
        }
        self.done
    }

    fn close_group(&mut self) {
        self.done.push(u32::try_from(self.group.finalize_reset()).unwrap_or(0));
        self.group_bytes = 0;
    }
}

/// The first block of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) store: StoreId,
    pub(crate) file: u32,
    pub(crate) first_sequence: u64,
    /// Whose store it is.
    pub(crate) node: NodeId,
}

impl FileHeader {
    pub(crate) fn decode(block: &[u8]) -> Option<Self> {
        let mut fields = Fields(block.get(..FILE_CRC_AT)?);
        (fields.take::<8>()? == *FILE_MAGIC).then_some(())?;
        let (store, file, _, first_sequence) = (fields.take()?, fields.u32()?, fields.u32()?, fields.u64()?);
        let node = NodeId::from_public_key(fields.take()?);
        let crc = Fields(block.get(FILE_CRC_AT..)?).u32()?;
        (crc == crc32c(block.get(..FILE_CRC_AT)?)).then_some(Self { store, file, first_sequence, node })
    }

    /// One block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        block.extend_from_slice(FILE_MAGIC);
        block.extend_from_slice(&self.store);
        block.extend_from_slice(&self.file.to_le_bytes());
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&self.first_sequence.to_le_bytes());
        block.extend_from_slice(self.node.public_key());
        let crc = crc32c(&block);
        block.extend_from_slice(&crc.to_le_bytes());
        block.resize(BLOCK_BYTES, 0);
        block
    }
}

/// The first 64 bytes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) store: StoreId,
    /// Of the whole batch: a multiple of the block.
    pub(crate) length_bytes: u32,
    pub(crate) first_sequence: u64,
    pub(crate) records: u32,
}

impl BatchHeader {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..CRC_AT)?);
        (fields.take::<4>()? == *BATCH_MAGIC).then_some(())?;
        let (length_bytes, first_sequence, records) = (fields.u32()?, fields.u64()?, fields.u32()?);
        let (_, store) = (fields.u32()?, fields.take()?);
        let crc = Fields(bytes.get(CRC_AT..)?).u32()?;
        let whole_blocks = length_bytes > 0 && usize::try_from(length_bytes).ok()? % BLOCK_BYTES == 0;
        let valid = whole_blocks && records > 0 && crc == crc32c(bytes.get(..CRC_AT)?);
        valid.then_some(Self { store, length_bytes, first_sequence, records })
    }

    pub(crate) fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = Vec::with_capacity(BATCH_HEADER_BYTES);
        out.extend_from_slice(BATCH_MAGIC);
        out.extend_from_slice(&self.length_bytes.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.store);
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let mut header = [0; BATCH_HEADER_BYTES];
        for (to, from) in header.iter_mut().zip(out) {
            *to = from;
        }
        header
    }
}

/// What a record says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// These bytes, under this data id.
    Stored,
    /// Another data id refers to bytes that are already there.
    Claimed,
    /// A data id refers to them no longer.
    Released,
    /// The bytes are damaged and were given up; whoever refers to them still does.
    Damaged,
}

/// A record without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    pub(crate) sequence: u64,
    pub(crate) time: UnixMillis,
    pub(crate) cid: ShardCid,
    pub(crate) data: DataId,
    pub(crate) ticket: LeafHash,
    /// Whose log the ticket is of.
    pub(crate) gateway: NodeId,
    /// Of the shard, whether its bytes follow or not.
    pub(crate) shard_bytes: u32,
    /// The group table: empty unless the kind is `Stored`.
    pub(crate) groups: Vec<u32>,
}

impl RecordHeader {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..RECORD_HEADER_BYTES)?);
        (fields.take::<4>()? == *RECORD_MAGIC).then_some(())?;
        let [kind, _, _, _] = fields.take::<4>()?;
        let kind = match kind {
            1 => RecordKind::Stored,
            2 => RecordKind::Claimed,
            3 => RecordKind::Released,
            4 => RecordKind::Damaged,
            _ => return None,
        };
        let (sequence, time) = (fields.u64()?, UnixMillis(fields.u64()?));
        let (cid, data) = (ShardCid::from_digest(fields.take()?), DataId::from_bytes(fields.take()?));
        let ticket = LeafHash::from_digest(fields.take()?);
        let gateway = NodeId::from_public_key(fields.take()?);
        let (shard_bytes, group_count, crc) = (fields.u32()?, fields.u32()?, fields.u32()?);
        if usize::try_from(group_count).ok()? != group_count_of(kind, shard_bytes)? {
            return None;
        }
        let table_end = RECORD_HEADER_BYTES.checked_add(usize::try_from(group_count).ok()?.checked_mul(4)?)?;
        let table = bytes.get(RECORD_HEADER_BYTES..table_end)?;
        let groups = table.chunks_exact(4).filter_map(|entry| entry.try_into().ok().map(u32::from_le_bytes)).collect();
        let header = Self { kind, sequence, time, cid, data, ticket, gateway, shard_bytes, groups };
        (crc == header_crc(bytes.get(..RECORD_CRC_AT)?, table)).then_some(header)
    }

    /// Appends header and table; the payload, then [`padding_bytes`] zeros, follow.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(RECORD_MAGIC);
        let kind = match self.kind {
            RecordKind::Stored => 1,
            RecordKind::Claimed => 2,
            RecordKind::Released => 3,
            RecordKind::Damaged => 4,
        };
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.time.0.to_le_bytes());
        out.extend_from_slice(self.cid.digest());
        out.extend_from_slice(self.data.as_bytes());
        out.extend_from_slice(self.ticket.digest());
        out.extend_from_slice(self.gateway.public_key());
        out.extend_from_slice(&self.shard_bytes.to_le_bytes());
        let table: Vec<u8> = self.groups.iter().flat_map(|crc| crc.to_le_bytes()).collect();
        out.extend_from_slice(&u32::try_from(self.groups.len()).unwrap_or(u32::MAX).to_le_bytes());
        let crc = header_crc(out.get(start..).unwrap_or_default(), &table);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&table);
    }

    /// Header and table, in bytes: where the payload begins within the record.
    pub(crate) fn header_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + 4 * self.groups.len()
    }

    /// The payload's bytes in the file; zero unless the kind is `Stored`.
    pub(crate) fn payload_bytes(&self) -> usize {
        match self.kind {
            RecordKind::Stored => usize::try_from(self.shard_bytes).unwrap_or(usize::MAX),
            RecordKind::Claimed | RecordKind::Released | RecordKind::Damaged => 0,
        }
    }

    /// The whole record with its padding, in bytes.
    pub(crate) fn record_bytes(&self) -> usize {
        let bytes = self.header_bytes().saturating_add(self.payload_bytes());
        bytes.saturating_add(padding_bytes(bytes))
    }
}

/// Zeros after `bytes` bytes of a record: records start at multiples of 8.
pub(crate) const fn padding_bytes(bytes: usize) -> usize {
    bytes.wrapping_neg() % 8
}

/// `bytes` up to whole blocks.
pub(crate) const fn whole_blocks(bytes: usize) -> usize {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// A length in memory as a length in a file.
pub(crate) fn file_bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn group_count_of(kind: RecordKind, shard_bytes: u32) -> Option<usize> {
    match kind {
        RecordKind::Stored => Some(usize::try_from(shard_bytes).ok()?.div_ceil(GROUP_BYTES)),
        RecordKind::Claimed | RecordKind::Released | RecordKind::Damaged => Some(0),
    }
}

fn header_crc(fixed: &[u8], table: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(fixed);
    digest.update(table);
    u32::try_from(digest.finalize()).unwrap_or(0)
}

/// Reads fixed-width fields from the front.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// `row`, if nothing is left over.
    pub(crate) fn end<T>(self, row: T) -> Option<T> {
        self.0.is_empty().then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: RecordKind, shard_bytes: u32) -> RecordHeader {
        let groups = match kind {
            RecordKind::Stored => usize::try_from(shard_bytes).unwrap().div_ceil(GROUP_BYTES),
            _ => 0,
        };
        RecordHeader {
            kind,
            sequence: 77,
            time: UnixMillis(1_795_000_000_000),
            cid: ShardCid::of(b"x"),
            data: DataId::from_bytes([5; 16]),
            ticket: LeafHash::from_digest([6; 32]),
            gateway: NodeId::from_public_key([7; 32]),
            shard_bytes,
            groups: (0..u32::try_from(groups).unwrap()).collect(),
        }
    }

    #[test]
    fn crc32c_is_castagnoli() {
        // RFC 3720 appendix B.4: 32 bytes of zeros, and the check value of "123456789".
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn headers_round_trip_and_any_changed_byte_is_noticed() {
        let node = NodeId::from_public_key([8; 32]);
        let file = FileHeader { store: [1; 16], file: 9, first_sequence: 12, node };
        let batch = BatchHeader { store: [1; 16], length_bytes: 8192, first_sequence: 12, records: 3 };
        assert_eq!(FileHeader::decode(&file.encode()), Some(file));
        assert_eq!(BatchHeader::decode(&batch.encode()), Some(batch));
        for at in 0..FILE_CRC_AT + 4 {
            let mut bytes = file.encode();
            bytes[at] ^= 1;
            assert_eq!(FileHeader::decode(&bytes), None, "file byte {at}");
        }
        for at in 0..CRC_AT + 4 {
            let mut bytes = batch.encode();
            bytes[at] ^= 1;
            assert_eq!(BatchHeader::decode(&bytes), None, "batch byte {at}");
        }
    }

    #[test]
    fn records_of_every_kind_round_trip_and_any_changed_byte_is_noticed() {
        for (kind, shard_bytes) in [
            (RecordKind::Stored, 1_049_600),
            (RecordKind::Stored, 1),
            (RecordKind::Claimed, 9),
            (RecordKind::Released, 9),
            (RecordKind::Damaged, 9),
        ] {
            let header = record(kind, shard_bytes);
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            assert_eq!(bytes.len(), header.header_bytes());
            assert_eq!(RecordHeader::decode(&bytes), Some(header));
            for at in (0..148).chain(RECORD_HEADER_BYTES..bytes.len()) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x80;
                assert_eq!(RecordHeader::decode(&changed), None, "{kind:?} byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_group_table_does_not_depend_on_how_the_payload_was_cut(
            payload in proptest::collection::vec(any::<u8>(), 0..50_000),
            cut in 1usize..20_000,
        ) {
            let mut table = GroupTable::new();
            payload.chunks(cut).for_each(|piece| table.update(piece));
            let whole: Vec<u32> = payload.chunks(GROUP_BYTES).map(crc32c).collect();
            prop_assert_eq!(table.finish(), whole);
        }

        #[test]
        fn decoding_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = FileHeader::decode(&bytes);
            let _ = BatchHeader::decode(&bytes);
            let _ = RecordHeader::decode(&bytes);
        }
    }
}
