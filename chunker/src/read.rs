//! One segment's share of a read: which bytes of which shards are wanted, and how they become plaintext.

use std::ops::Range;
use std::sync::Arc;

use domicile_types::ShardCid;

use crate::layout::{CHUNK_BYTES, ShardRange, widen};
use crate::segment::{SegmentContext, SegmentRecord};

/// Plaintext bytes of one segment that a read wants, and all that is needed to fetch and open them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRead {
    context: SegmentContext,
    record: Arc<SegmentRecord>,
    object_offset: u64,
    wanted: Range<usize>,
}

impl SegmentRead {
    /// `wanted` plaintext bytes of the segment, the first of which is byte `object_offset` of the object. The range is cut to
    /// the segment's length.
    #[must_use]
    pub fn new(context: SegmentContext, record: Arc<SegmentRecord>, object_offset: u64, wanted: Range<usize>) -> Self {
        let end = wanted.end.min(record.plaintext_bytes());
        let wanted = wanted.start.min(end)..end;
        Self { context, record, object_offset, wanted }
    }

    /// All of a segment.
    #[must_use]
    pub fn whole(context: SegmentContext, record: Arc<SegmentRecord>, object_offset: u64) -> Self {
        Self::new(context, record, object_offset, 0..usize::MAX)
    }

    /// The segment's place.
    #[must_use]
    pub const fn context(&self) -> &SegmentContext {
        &self.context
    }

    /// The segment's record.
    #[must_use]
    pub fn record(&self) -> &SegmentRecord {
        &self.record
    }

    /// Where the first wanted byte lies in the object.
    #[must_use]
    pub const fn object_offset(&self) -> u64 {
        self.object_offset
    }

    /// The wanted plaintext bytes, within the segment.
    #[must_use]
    pub fn wanted(&self) -> Range<usize> {
        self.wanted.clone()
    }

    /// How many plaintext bytes are wanted: the length of the output.
    #[must_use]
    pub fn plaintext_bytes(&self) -> usize {
        self.wanted.len()
    }

    /// The chunks that must be opened.
    #[must_use]
    pub fn chunks(&self) -> Range<usize> {
        self.record.layout.chunks_of(&self.wanted)
    }

    /// The bytes of data shards to fetch for a healthy read: those of the touched chunks and no more. At most one range per
    /// shard, in order. With whole copies (k = 1) position 0 stands for any copy.
    #[must_use]
    pub fn shard_ranges(&self) -> Vec<ShardRange> {
        let layout = &self.record.layout;
        layout.shard_ranges(&layout.coded_of(&self.chunks())).collect()
    }

    /// The name of the shard that a range is of.
    #[must_use]
    pub fn cid(&self, shard: usize) -> Option<ShardCid> {
        self.record.cid(shard)
    }

    /// When the shards `lost` cannot be had: the bytes to fetch, of any k others alike, so that
    /// [`reconstruct`](crate::reconstruct) gives back what this read wants of the lost ones. Empty when it wants nothing of
    /// them.
    #[must_use]
    pub fn column(&self, lost: &[usize]) -> Range<usize> {
        self.shard_ranges()
            .into_iter()
            .filter(|range| lost.contains(&range.shard))
            .map(|range| range.bytes)
            .reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))
            .unwrap_or(0..0)
    }

    /// The same read in pieces of at most `chunks_max` chunks of plaintext (at least 1), in order: bounds what is in memory at
    /// once.
    #[must_use]
    pub fn split(&self, chunks_max: usize) -> Vec<Self> {
        let chunks_max = chunks_max.max(1);
        let end = self.wanted.end.div_ceil(CHUNK_BYTES);
        (self.wanted.start / CHUNK_BYTES..end)
            .step_by(chunks_max)
            .map(|first| {
                let start = self.wanted.start.max(first * CHUNK_BYTES);
                let end = self.wanted.end.min(first.saturating_add(chunks_max).saturating_mul(CHUNK_BYTES));
                let object_offset = self.object_offset + widen(start - self.wanted.start);
                Self { wanted: start..end, object_offset, ..self.clone() }
            })
            .collect()
    }
}
