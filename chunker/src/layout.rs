//! Where things lie: object bytes in segments, segment bytes in chunks, chunks in shards. Arithmetic only.
//!
//! ```text
//! plaintext   | chunk 0: 16,384 | chunk 1: 16,384 | ... | final chunk: 0 to 16,383 |
//! coded       | chunk 0: 16,400 | chunk 1: 16,400 | ... | final chunk + 16         | zeros |
//! shards      | 0: shard_bytes | 1: shard_bytes | ... | k-1: shard_bytes                 | parity k .. n |
//! ```
//!
//! A *full* segment holds exactly k x 64 chunks; the tag of its (empty) final chunk stands in the manifest instead, so
//! each of its data shards is exactly 64 whole chunks: 1,049,600 bytes.

use std::ops::Range;

use domicile_types::CodeProfile;

/// Plaintext of a chunk that is not the final one (C2SP chunked-encryption v1: 16 KiB).
pub const CHUNK_BYTES: usize = 16_384;
/// The authentication tag of both suites.
pub const TAG_BYTES: usize = 16;
/// A whole chunk with its tag.
pub const CODED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// Chunks in a data shard of a full segment.
pub const CHUNKS_PER_SHARD: usize = 64;
/// Plaintext that a data shard of a full segment carries: 1 MiB.
pub const SHARD_PLAINTEXT_BYTES: usize = CHUNKS_PER_SHARD * CHUNK_BYTES;
/// The largest shard: 64 whole chunks, 1,049,600 bytes.
pub const SHARD_BYTES_MAX: usize = CHUNKS_PER_SHARD * CODED_CHUNK_BYTES;
/// Shard lengths are multiples of this, the block of SIMD code and of BLAKE3.
pub const SHARD_ALIGN_BYTES: usize = 64;
/// Objects (and parts) up to this long are kept as `m + 1` whole copies.
pub const WHOLE_COPY_BYTES_MAX: usize = 32 * 1024;

/// The most plaintext that a segment of `profile` holds: k MiB.
#[must_use]
pub const fn segment_bytes_max(profile: CodeProfile) -> usize {
    profile.k() * SHARD_PLAINTEXT_BYTES
}

/// A length that no segment of the profile can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a segment of profile {profile} holds 1 to {} bytes, not {plaintext_bytes}", segment_bytes_max(*.profile))]
pub struct LayoutError {
    /// The profile asked for.
    pub profile: CodeProfile,
    /// The length asked for.
    pub plaintext_bytes: usize,
}

/// Bytes of one data shard: what a read asks of the node that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRange {
    /// Position of the shard, `0..k`.
    pub shard: usize,
    /// Bytes within the shard.
    pub bytes: Range<usize>,
}

/// The geometry of one segment, which its length and profile determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentLayout {
    profile: CodeProfile,
    plaintext_bytes: usize,
}

impl SegmentLayout {
    /// The layout of a segment of 1 to k MiB.
    pub fn new(profile: CodeProfile, plaintext_bytes: usize) -> Result<Self, LayoutError> {
        if (1..=segment_bytes_max(profile)).contains(&plaintext_bytes) {
            Ok(Self { profile, plaintext_bytes })
        } else {
            Err(LayoutError { profile, plaintext_bytes })
        }
    }

    /// The code of the segment.
    #[must_use]
    pub const fn profile(&self) -> CodeProfile {
        self.profile
    }

    /// Plaintext length.
    #[must_use]
    pub const fn plaintext_bytes(&self) -> usize {
        self.plaintext_bytes
    }

    /// Whether the segment holds exactly k x 64 chunks, so that its final chunk is empty and its tag is in the manifest.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.plaintext_bytes == segment_bytes_max(self.profile)
    }

    /// Chunks that lie in shards: all of them, except the empty final chunk of a full segment.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        let whole = self.plaintext_bytes / CHUNK_BYTES;
        if self.is_full() { whole } else { whole + 1 }
    }

    /// Coded bytes that lie in shards, before padding.
    #[must_use]
    pub const fn coded_bytes(&self) -> usize {
        self.plaintext_bytes + self.chunks() * TAG_BYTES
    }

    /// Length of every shard: coded bytes / k, rounded up to 64.
    #[must_use]
    pub const fn shard_bytes(&self) -> usize {
        self.coded_bytes().div_ceil(self.profile.k()).next_multiple_of(SHARD_ALIGN_BYTES)
    }

    /// Plaintext bytes of chunk `chunk`; empty past the end.
    #[must_use]
    pub fn chunk_plaintext(&self, chunk: usize) -> Range<usize> {
        let start = chunk.saturating_mul(CHUNK_BYTES).min(self.plaintext_bytes);
        start..start.saturating_add(CHUNK_BYTES).min(self.plaintext_bytes)
    }

    /// Coded bytes of chunk `chunk`, tag included; empty past the end.
    #[must_use]
    pub fn chunk_coded(&self, chunk: usize) -> Range<usize> {
        let end = self.coded_bytes();
        let start = chunk.saturating_mul(CODED_CHUNK_BYTES).min(end);
        start..start.saturating_add(CODED_CHUNK_BYTES).min(end)
    }

    /// The chunks to open for plaintext bytes `wanted`: those they touch and, when they reach the segment's end, the final
    /// chunk also if it is empty, because only its tag shows that the segment ends there. An empty range needs none.
    #[must_use]
    pub fn chunks_of(&self, wanted: &Range<usize>) -> Range<usize> {
        let end = wanted.end.min(self.plaintext_bytes);
        if wanted.start >= end {
            return 0..0;
        }
        let last = if end == self.plaintext_bytes { self.chunks() } else { end.div_ceil(CHUNK_BYTES) };
        wanted.start / CHUNK_BYTES..last
    }

    /// Coded bytes of the chunks `chunks`, which lie one after the other.
    #[must_use]
    pub fn coded_of(&self, chunks: &Range<usize>) -> Range<usize> {
        if chunks.is_empty() {
            return 0..0;
        }
        self.chunk_coded(chunks.start).start..self.chunk_coded(chunks.end.saturating_sub(1)).end
    }

    /// The slices of data shards that coded bytes `coded` lie in, by position.
    pub fn shard_ranges(&self, coded: &Range<usize>) -> impl Iterator<Item = ShardRange> + use<> {
        let shard_bytes = self.shard_bytes();
        let end = coded.end.min(self.coded_bytes());
        let mut start = coded.start;
        std::iter::from_fn(move || {
            if start >= end {
                return None;
            }
            let (shard, from) = (start / shard_bytes, start % shard_bytes);
            let to = shard_bytes.min(from + (end - start));
            start += to - from;
            Some(ShardRange { shard, bytes: from..to })
        })
    }
}

/// `usize` as `u64`.
#[expect(clippy::as_conversions, reason = "usize has at most 64 bits on every target of Rust")]
pub(crate) const fn widen(n: usize) -> u64 {
    n as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The layout by brute force: the chunk of every coded byte, laid out one after the other, and the shard length.
    fn slow_layout(profile: CodeProfile, plaintext_bytes: usize) -> (usize, Vec<u16>) {
        let mut coded = Vec::new();
        let mut left = plaintext_bytes;
        let mut chunk = 0;
        loop {
            let take = left.min(CHUNK_BYTES);
            let full_segment_is_done = plaintext_bytes == segment_bytes_max(profile) && left == 0;
            if full_segment_is_done {
                break;
            }
            coded.extend(std::iter::repeat_n(chunk, take + TAG_BYTES));
            left -= take;
            chunk += 1;
            if take < CHUNK_BYTES {
                break;
            }
        }
        let mut shard_bytes = coded.len() / profile.k();
        while shard_bytes * profile.k() < coded.len() || !shard_bytes.is_multiple_of(64) {
            shard_bytes += 1;
        }
        (shard_bytes, coded)
    }

    fn any_layout() -> impl Strategy<Value = SegmentLayout> {
        let edges = prop_oneof![
            Just(0usize),
            Just(1),
            Just(CHUNK_BYTES - 1),
            Just(CHUNK_BYTES),
            Just(SHARD_PLAINTEXT_BYTES),
            Just(usize::MAX),
            any::<usize>()
        ];
        (prop_oneof![1u8..6, Just(16), Just(29)], 0u8..6, edges).prop_map(|(k, m, bytes)| {
            let profile = CodeProfile::new(k, m).unwrap();
            let max = segment_bytes_max(profile);
            let bytes = if bytes == usize::MAX { max } else { 1 + bytes % max };
            SegmentLayout::new(profile, bytes).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn layout_agrees_with_laying_out_byte_by_byte(layout in any_layout()) {
            let (shard_bytes, chunks) = slow_layout(layout.profile(), layout.plaintext_bytes());
            prop_assert_eq!(layout.shard_bytes(), shard_bytes);
            prop_assert_eq!(layout.coded_bytes(), chunks.len());
            prop_assert!(shard_bytes <= SHARD_BYTES_MAX);
            prop_assert_eq!(layout.is_full(), layout.plaintext_bytes() == segment_bytes_max(layout.profile()));
            for chunk in [0, layout.chunks() / 2, layout.chunks() - 1] {
                let coded = layout.chunk_coded(chunk);
                prop_assert!(chunks[coded.clone()].iter().all(|of| usize::from(*of) == chunk));
                prop_assert_eq!(coded.len(), layout.chunk_plaintext(chunk).len() + TAG_BYTES);
                let mut at = coded.start;
                for range in layout.shard_ranges(&coded) {
                    prop_assert_eq!(at, range.shard * shard_bytes + range.bytes.start);
                    prop_assert!(range.bytes.end <= shard_bytes);
                    at += range.bytes.len();
                }
                prop_assert_eq!(at, coded.end);
            }
        }
    }

    #[test]
    fn a_full_data_shard_is_exactly_64_whole_chunks() {
        let layout = SegmentLayout::new(CodeProfile::RS_4_2, 4 << 20).unwrap();
        assert_eq!((layout.shard_bytes(), layout.chunks()), (1_049_600, 256));
        for chunk in 0..256 {
            let ranges: Vec<_> = layout.shard_ranges(&layout.chunk_coded(chunk)).collect();
            assert_eq!(
                ranges,
                [ShardRange { shard: chunk / 64, bytes: (chunk % 64) * 16_400..(chunk % 64 + 1) * 16_400 }]
            );
        }
    }

    #[test]
    fn a_segment_is_neither_empty_nor_longer_than_k_mebibytes() {
        assert!(SegmentLayout::new(CodeProfile::RS_4_2, 0).is_err());
        assert!(SegmentLayout::new(CodeProfile::RS_4_2, (4 << 20) + 1).is_err());
    }
}
