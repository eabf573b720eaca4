//! Building one batch in memory that O_DIRECT will take as it is.

use bytes::Bytes;

use super::format::{BATCH_HEADER_BYTES, BLOCK_BYTES, BatchHeader, RecordHeader, StoreId, padding_bytes, whole_blocks};

/// A shard's bytes as they came from the connection, in pieces; copied once, into the batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload(Vec<Bytes>);

impl Payload {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.0.push(piece);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(vec![bytes])
    }
}

/// `block` (one block) at a block boundary of memory: a file header that O_DIRECT takes.
pub(crate) struct AlignedBlock {
    storage: Vec<u8>,
    start: usize,
}

impl AlignedBlock {
    pub(crate) fn new(block: &[u8]) -> Self {
        let mut storage = vec![0; 2 * BLOCK_BYTES];
        let start = storage.as_ptr().align_offset(BLOCK_BYTES);
        for (to, from) in storage.iter_mut().skip(start).take(BLOCK_BYTES).zip(block) {
            *to = *from;
        }
        Self { storage, start }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.storage.get(self.start..).and_then(|rest| rest.get(..BLOCK_BYTES)).unwrap_or_default()
    }
}

/// A batch under construction, at a block boundary of memory. Reused from batch to batch: its memory stays mapped.
pub(crate) struct BatchBuffer {
    /// One block more than the capacity, so that an aligned slice of the whole capacity always exists.
    storage: Vec<u8>,
    start: usize,
    length: usize,
    records: u32,
}

impl BatchBuffer {
    /// A buffer for batches of up to `capacity_bytes`.
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        let storage = vec![0; whole_blocks(capacity_bytes) + BLOCK_BYTES];
        let start = storage.as_ptr().align_offset(BLOCK_BYTES);
        Self { storage, start, length: BATCH_HEADER_BYTES, records: 0 }
    }

    /// Empties the buffer for the next batch.
    pub(crate) fn clear(&mut self) {
        self.length = BATCH_HEADER_BYTES;
        self.records = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// What the batch comes to in the file if `more_bytes` of records are added.
    pub(crate) fn bytes_with(&self, more_bytes: usize) -> usize {
        whole_blocks(self.length.saturating_add(more_bytes))
    }

    /// Appends a record; where its payload begins within the batch. `None` if it does not fit.
    pub(crate) fn push(&mut self, header: &RecordHeader, payload: &Payload) -> Option<usize> {
        let mut encoded = Vec::with_capacity(header.header_bytes());
        header.encode(&mut encoded);
        let payload_bytes = payload.len();
        let padding = padding_bytes(encoded.len() + payload_bytes);
        let start = self.start + self.length;
        let record_bytes = encoded.len() + payload_bytes + padding;
        let mut free = self.storage.get_mut(start..start.checked_add(record_bytes)?)?;
        for piece in std::iter::once(encoded.as_slice()).chain(payload.0.iter().map(Bytes::as_ref)) {
            let (to, rest) = free.split_at_mut_checked(piece.len())?;
            to.copy_from_slice(piece);
            free = rest;
        }
        free.fill(0);
        let payload_at = self.length + encoded.len();
        self.length += record_bytes;
        self.records += 1;
        Some(payload_at)
    }

    /// Writes the batch header and the zeros at the end: the bytes to write, whole blocks at a block boundary.
    pub(crate) fn seal(&mut self, store: StoreId, first_sequence: u64) -> &[u8] {
        let whole = whole_blocks(self.length);
        let length_bytes = u32::try_from(whole).unwrap_or(u32::MAX);
        let header = BatchHeader { store, length_bytes, first_sequence, records: self.records }.encode();
        let batch = self.storage.get_mut(self.start..).and_then(|rest| rest.get_mut(..whole)).unwrap_or_default();
        if let Some((head, _)) = batch.split_first_chunk_mut::<BATCH_HEADER_BYTES>() {
            *head = header;
        }
        if let Some(tail) = batch.get_mut(self.length..) {
            tail.fill(0);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use domicile_node_protocol::LeafHash;
    use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};

    use super::super::format::{RecordKind, crc32c};
    use super::*;

    #[test]
    fn a_batch_is_whole_blocks_at_a_block_boundary_and_reads_back() {
        let mut buffer = BatchBuffer::new(1 << 20);
        for round in 0..3u8 {
            buffer.clear();
            let bytes = vec![round + 1; 10_001 + usize::from(round)];
            let header = RecordHeader {
                kind: RecordKind::Stored,
                sequence: 5,
                time: UnixMillis(1),
                cid: ShardCid::of(&bytes),
                data: DataId::from_bytes([1; 16]),
                ticket: LeafHash::from_digest([2; 32]),
                gateway: NodeId::from_public_key([3; 32]),
                shard_bytes: u32::try_from(bytes.len()).unwrap(),
                groups: vec![crc32c(&bytes)],
            };
            let (left, right) = bytes.split_at(4_000);
            let mut payload = Payload::from(Bytes::copy_from_slice(left));
            payload.push(Bytes::copy_from_slice(right));
            let first = buffer.push(&header, &payload).unwrap();
            let second = buffer.push(&header, &payload).unwrap();
            let batch = buffer.seal([9; 16], 5);
            assert_eq!(batch.as_ptr().align_offset(BLOCK_BYTES), 0);
            assert_eq!(batch.len() % BLOCK_BYTES, 0);
            let head = BatchHeader::decode(batch).unwrap();
            assert_eq!((head.records, head.first_sequence), (2, 5));
            for at in [first, second] {
                assert_eq!(RecordHeader::decode(&batch[at - header.header_bytes()..]), Some(header.clone()));
                assert_eq!(&batch[at..at + bytes.len()], bytes.as_slice());
            }
            let end = second + bytes.len();
            assert!(batch[end..].iter().all(|byte| *byte == 0), "stale bytes behind the last record");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_not_taken() {
        let mut buffer = BatchBuffer::new(BLOCK_BYTES);
        let bytes = vec![1; 2 * BLOCK_BYTES + 1];
        let header = RecordHeader {
            kind: RecordKind::Stored,
            sequence: 5,
            time: UnixMillis(1),
            cid: ShardCid::of(&bytes),
            data: DataId::from_bytes([1; 16]),
            ticket: LeafHash::from_digest([2; 32]),
            gateway: NodeId::from_public_key([3; 32]),
            shard_bytes: u32::try_from(bytes.len()).unwrap(),
            groups: vec![crc32c(&bytes)],
        };
        assert_eq!(buffer.push(&header, &Payload::from(Bytes::from(bytes))), None);
        assert!(buffer.is_empty());
    }
}
