//! Segments from end to end: streamed in, sealed, coded, named, and any range back from what is left of the shards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "all of this file is tests, of which the lints see only the functions marked so"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use domicile_chunker::*;
use domicile_types::{CodeProfile, DataId, SuiteId, TenantId, UploadId};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn context() -> PartContext {
    PartContext {
        tenant: TenantId::parse("tenant-a").unwrap(),
        data: DataId::from_bytes([1; 16]),
        upload: UploadId::from_bytes([2; 16]),
        part: PART_WHOLE,
    }
}

fn key() -> DataKey {
    DataKey::from_bytes([3; 32])
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(bytes).collect()
}

/// Sends `plain` through an encoder in pieces of `piece` bytes.
fn encode(plain: &[u8], piece: usize, suite: SuiteId, profile: CodeProfile, seed: u8) -> Vec<SealedSegment> {
    let pool = BufferPool::new(sealed_bytes_max(profile), 1);
    // Known, unknown, and wrongly announced.
    let bytes_expected = [Some(plain.len() as u64), None, Some(10)][piece % 3];
    let config = EncoderConfig { context: context(), suite, profile, bytes_expected, pool };
    let mut encoder = Encoder::new(&key(), config, SaltSeed::from_random([seed; 32]));
    let mut sealed = Vec::new();
    for mut rest in plain.chunks(piece) {
        while let Some(segment) = encoder.push(&mut rest).unwrap() {
            sealed.push(segment.code());
        }
    }
    assert_eq!(encoder.bytes(), plain.len() as u64);
    sealed.extend(encoder.finish().unwrap().map(CipherSegment::code));
    sealed
}

fn any_suite() -> impl Strategy<Value = SuiteId> {
    prop_oneof![Just(SuiteId::ChaCha20Poly1305), Just(SuiteId::Aes256Gcm)]
}

fn any_profile() -> impl Strategy<Value = CodeProfile> {
    prop_oneof![
        4 => Just(CodeProfile::RS_4_2),
        1 => Just(CodeProfile::RS_8_4),
        1 => Just(CodeProfile::RS_16_8),
        1 => Just(CodeProfile::RS_29_51),
        2 => Just(CodeProfile::new(1, 2).unwrap()),
        2 => Just(CodeProfile::new(3, 5).unwrap()),
    ]
}

/// Lengths around every edge: of a chunk, of whole copies, of a full segment.
fn any_length(profile: CodeProfile) -> impl Strategy<Value = usize> {
    let full = segment_bytes_max(profile).min(4 << 20);
    let edges = [1, CHUNK_BYTES, 2 * CHUNK_BYTES, WHOLE_COPY_BYTES_MAX, full / 2, full];
    prop_oneof![
        1..full,
        (prop::sample::select(edges.to_vec()), 0usize..3).prop_map(move |(edge, d)| (edge + d).clamp(2, full + 1) - 1),
    ]
}

/// A segment and a range of it.
fn any_read() -> impl Strategy<Value = (CodeProfile, SuiteId, usize, std::ops::Range<usize>)> {
    any_profile().prop_flat_map(|profile| {
        (any_length(profile), any_suite(), any::<(u32, u32)>(), any::<bool>()).prop_map(
            move |(length, suite, (a, b), is_small)| {
                let start = a as usize % length;
                let longest = if is_small { 70_000.min(length - start) } else { length - start };
                (profile, suite, length, start..start + 1 + b as usize % longest)
            },
        )
    })
}

fn seal(profile: CodeProfile, suite: SuiteId, plain: &[u8]) -> (SegmentRead, Vec<Bytes>) {
    let pool = BufferPool::new(0, 0);
    let sealed = seal_segment(&key(), &context().segment(5), suite, profile, [9; 24], plain, &pool).unwrap();
    (SegmentRead::whole(context().segment(5), Arc::new(sealed.record), 1000), sealed.shards)
}

fn config(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn a_healthy_read_opens_any_range_from_exactly_the_bytes_it_names((profile, suite, length, range) in any_read()) {
        let plain = noise(length);
        let (whole, shards) = seal(profile, suite, &plain);
        let read = SegmentRead::new(whole.context().clone(), whole.record().clone().into(), 0, range.clone());
        let ranges = read.shard_ranges();
        let fetched: usize = ranges.iter().map(|range| range.bytes.len()).sum();
        prop_assert_eq!(fetched, read.chunks().map(|c| whole.record().layout.chunk_coded(c).len()).sum::<usize>());
        prop_assert!(read.chunks().len() <= range.len() / CHUNK_BYTES + 2);
        let pieces: Vec<_> = ranges
            .iter()
            .map(|range| ShardPiece {
                shard: range.shard,
                offset: range.bytes.start,
                bytes: shards[range.shard].slice(range.bytes.clone()),
            })
            .collect();
        let mut output = vec![0; range.len()];
        open_chunks(&key(), &read, &pieces, &mut output).unwrap();
        prop_assert!(output == plain[range.clone()]);

        // The same in windows of three chunks.
        let mut windows = Vec::new();
        for window in read.split(3) {
            prop_assert!(window.plaintext_bytes() <= 3 * CHUNK_BYTES && window.chunks().len() <= 4);
            prop_assert_eq!(window.object_offset(), windows.len() as u64);
            let mut output = vec![0; window.plaintext_bytes()];
            open_chunks(&key(), &window, &pieces, &mut output).unwrap();
            windows.extend(output);
        }
        prop_assert!(windows == plain[range]);

        // One byte less of any piece is noticed.
        let mut short = pieces.clone();
        let last = short.last_mut().unwrap();
        last.bytes.truncate(last.bytes.len() - 1);
        let missing = open_chunks(&key(), &read, &short, &mut output);
        prop_assert!(matches!(missing, Err(OpenError::PieceMissing { .. })), "{:?}", missing);
    }

    #[test]
    fn any_range_comes_back_from_the_same_bytes_of_any_k_shards(
        (profile, suite, length, range) in any_read(),
        order in any::<[u32; 80]>(),
    ) {
        let plain = noise(length);
        let (whole, shards) = seal(profile, suite, &plain);
        let read = SegmentRead::new(whole.context().clone(), whole.record().clone().into(), 0, range.clone());
        let mut kept: Vec<usize> = (0..profile.n()).collect();
        kept.sort_by_key(|shard| order[*shard]);
        let lost = kept.split_off(profile.k());
        let column = read.column(&lost);
        let mut slots: Vec<Option<Bytes>> = (0..profile.n())
            .map(|shard| kept.contains(&shard).then(|| shards[shard].slice(column.clone())))
            .collect();
        reconstruct(profile, &mut slots, &lost, &BufferPool::new(0, 0)).unwrap();
        let rebuilt = slots.into_iter().enumerate().filter(|(shard, _)| lost.contains(shard));
        let mut pieces: Vec<_> = rebuilt
            .map(|(shard, bytes)| ShardPiece { shard, offset: column.start, bytes: bytes.unwrap() })
            .collect();
        pieces.extend(read.shard_ranges().into_iter().filter(|range| kept.contains(&range.shard)).map(|range| {
            let bytes = shards[range.shard].slice(range.bytes.clone());
            ShardPiece { shard: range.shard, offset: range.bytes.start, bytes }
        }));
        let mut output = vec![0; range.len()];
        open_chunks(&key(), &read, &pieces, &mut output).unwrap();
        prop_assert!(output == plain[range]);
    }

    #[test]
    fn a_whole_segment_opens_from_any_k_shards_and_names_the_corrupt_ones(
        (profile, suite, length, range) in any_read(),
        order in any::<[u32; 80]>(),
        damage in any::<u32>(),
    ) {
        let plain = noise(length);
        let (whole, shards) = seal(profile, suite, &plain);
        let read = SegmentRead::new(whole.context().clone(), whole.record().clone().into(), 0, range.clone());
        let mut lost: Vec<usize> = (0..profile.n()).collect();
        lost.sort_by_key(|shard| order[*shard]);
        lost.truncate(profile.m());
        let mut corrupt = lost.split_off(lost.len() / 2);
        corrupt.sort_unstable();
        let mut slots: Vec<_> = shards.iter().cloned().map(Some).collect();
        lost.iter().for_each(|shard| slots[*shard] = None);
        for shard in &corrupt {
            let mut bytes = shards[*shard].to_vec();
            let at = damage as usize % bytes.len();
            bytes[at] ^= 0x40;
            slots[*shard] = Some(bytes.into());
        }
        let pool = BufferPool::new(0, 0);
        let mut output = vec![0; range.len()];
        prop_assert_eq!(open_segment(&key(), &read, &mut slots, &pool, &mut output).unwrap(), corrupt.clone());
        prop_assert!(output == plain[range]);

        // Repair gives back the very shards, without a key.
        let all: Vec<usize> = lost.into_iter().chain(corrupt).collect();
        for (shard, bytes) in rebuild_shards(whole.record(), &mut slots, &all, &pool).unwrap() {
            prop_assert!(bytes == shards[shard]);
        }
    }

    #[test]
    fn bytes_pushed_in_any_pieces_give_the_same_segments(
        length in prop_oneof![Just(0usize), 1usize..40_000, 30_000usize..9_000_000, Just(4 << 20), Just(8 << 20)],
        piece in prop_oneof![1000usize..40_000, 40_000usize..5_000_000, Just(CHUNK_BYTES)],
        suite in any_suite(),
    ) {
        let plain = noise(length);
        let streamed = encode(&plain, piece, suite, CodeProfile::RS_4_2, 7);
        let at_once = encode(&plain, length.max(1), suite, CodeProfile::RS_4_2, 7);
        prop_assert_eq!(streamed.len(), length.div_ceil(4 << 20));
        let mut opened = Vec::new();
        for (segment, same) in streamed.iter().zip(&at_once) {
            prop_assert_eq!(&segment.record, &same.record);
            prop_assert!(segment.shards == same.shards);
            let is_copy = length <= WHOLE_COPY_BYTES_MAX;
            prop_assert_eq!(segment.record.profile().to_string(), if is_copy { "1+2" } else { "4+2" });
            let place = context().segment(segment.record.index);
            let read = SegmentRead::whole(place, Arc::new(segment.record.clone()), 0);
            let mut slots: Vec<_> = segment.shards.iter().cloned().map(Some).collect();
            let mut output = vec![0; read.plaintext_bytes()];
            open_segment(&key(), &read, &mut slots, &BufferPool::new(0, 0), &mut output).unwrap();
            opened.extend(output);
        }
        prop_assert!(opened == plain);
    }
}

/// (key, nonce) pairs are unique when (salt, context) pairs are: every segment's key derives from both.
#[test]
fn a_retry_seals_every_segment_under_another_salt_and_gives_no_byte_twice() {
    let plain = noise(9 << 20);
    let mut salts = BTreeSet::new();
    let mut commitments = BTreeSet::new();
    let mut chunks = BTreeSet::new();
    for attempt in 0..2 {
        for segment in encode(&plain, 1 << 20, SuiteId::default(), CodeProfile::RS_4_2, attempt) {
            salts.insert(segment.record.salt);
            commitments.insert(segment.record.commitment);
            let layout = segment.record.layout;
            for range in layout.shard_ranges(&(0..layout.coded_bytes())) {
                // The first 64 bytes of chunks show the key stream, were the plaintext known: none may repeat.
                for chunk in segment.shards[range.shard].chunks(CODED_CHUNK_BYTES) {
                    chunks.insert(chunk[..64.min(chunk.len())].to_vec());
                }
            }
        }
    }
    assert_eq!((salts.len(), commitments.len()), (6, 6));
    assert!(chunks.len() >= 2 * (9 << 20) / CHUNK_BYTES);
}

#[test]
fn equal_plaintext_in_two_segments_gives_unequal_shards() {
    let plain = vec![0; 8 << 20];
    let segments = encode(&plain, 1 << 20, SuiteId::default(), CodeProfile::RS_4_2, 1);
    let names: BTreeSet<_> = segments.iter().flat_map(|segment| &segment.record.cids).collect();
    assert_eq!(names.len(), 12);
}

#[test]
fn a_64_kib_read_of_a_full_segment_touches_one_or_two_shards_and_five_chunks_at_the_most() {
    let (whole, _) = seal(CodeProfile::RS_4_2, SuiteId::default(), &noise(4 << 20));
    for start in [0, 1, 16_384, (1 << 20) - 1000, (4 << 20) - (64 << 10)] {
        let read =
            SegmentRead::new(whole.context().clone(), whole.record().clone().into(), 0, start..start + (64 << 10));
        let ranges = read.shard_ranges();
        let fetched: usize = ranges.iter().map(|range| range.bytes.len()).sum();
        assert!(ranges.len() <= 2 && fetched <= 5 * CODED_CHUNK_BYTES, "{start}: {ranges:?}");
    }
}

#[test]
fn shards_of_a_segment_are_slices_of_one_buffer_that_returns_to_its_pool() {
    let pool = BufferPool::new(sealed_bytes_max(CodeProfile::RS_4_2), 1);
    let plain = noise(4 << 20);
    let seal = |salt| {
        let (suite, profile) = (SuiteId::default(), CodeProfile::RS_4_2);
        seal_segment(&key(), &context().segment(0), suite, profile, salt, &plain, &pool).unwrap()
    };
    let first = seal([1; 24]);
    let address = first.shards[0].as_ptr();
    assert!(first.shards.windows(2).all(|pair| pair[0].as_ptr_range().end == pair[1].as_ptr_range().start));
    drop(first);
    assert_eq!(pool.spare(), 1);
    assert_eq!(seal([2; 24]).shards[0].as_ptr(), address);
}

#[test]
fn nothing_of_a_reused_buffer_shows_in_the_padding() {
    let pool = BufferPool::new(sealed_bytes_max(CodeProfile::RS_4_2), 1);
    drop({
        let mut dirty = pool.take(sealed_bytes_max(CodeProfile::RS_4_2));
        dirty.fill(0xee);
        dirty
    });
    let plain = noise(3 << 20);
    let (suite, profile) = (SuiteId::default(), CodeProfile::RS_4_2);
    let place = context().segment(0);
    let reused = seal_segment(&key(), &place, suite, profile, [9; 24], &plain, &pool).unwrap();
    let fresh = seal_segment(&key(), &place, suite, profile, [9; 24], &plain, &BufferPool::new(0, 0)).unwrap();
    assert_eq!(pool.spare(), 0, "the dirty buffer must be in use");
    assert_eq!(reused.record, fresh.record);
    assert!(reused.shards == fresh.shards);
}

#[test]
fn an_output_of_another_length_is_refused() {
    let (whole, _) = seal(CodeProfile::RS_4_2, SuiteId::default(), &noise(100));
    let refused = open_chunks(&key(), &whole, &[], &mut [0; 99]);
    assert_eq!(refused, Err(OpenError::OutputLength { expected: 100, given: 99 }));
}
