//! Proof that a shard is held: a range of its bytes with the BLAKE3 hashes that lead from them to the shard's name.
//!
//! *In scope*: cutting a slice out of a shard, and checking one against a name without having the shard. Pure: nodes cut,
//! gateways check.
//!
//! *Out of scope*: which range to ask for, what a failure means, and the bytes' journey.
//!
//! A slice is what the bao format puts after its length: the hash pairs on the way to the range, in pre-order, each followed
//! by what lies below it. The length is not in it, because the gateway knows it and must not take it from the node. Leaves are
//! groups of [`GROUP_BYTES`]; a range is rounded out to whole groups. A group of 4 KiB with its eight pairs of hashes
//! fits the first flight of a TCP connection (ten packets, RFC 6928), so that one round trip is one round trip.

use std::io;

use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::{DecodeResponseIter, encode_ranges};
use bao_tree::io::{BaoContentItem, DecodeError};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use bytes::Bytes;
use domicile_node_protocol::ResolvedRange;
use domicile_types::ShardCid;

/// What a slice is made of: ranges are rounded out to whole groups of so many bytes.
pub const GROUP_BYTES: u64 = 4096;
const GROUP: BlockSize = BlockSize::from_chunk_log(2);

/// Why a slice proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// The range does not lie within the shard.
    #[error("the range lies outside the {shard_bytes} bytes of the shard")]
    OutOfRange {
        /// The shard's length.
        shard_bytes: u64,
    },
    /// It ends before it is whole.
    #[error("the slice ends before it is whole")]
    Truncated,
    /// Bytes follow on what was asked for.
    #[error("{bytes} bytes follow on the slice")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// Hashes or bytes do not lead to the shard's name.
    #[error("the slice is not of this shard: it does not hash to its name at byte {offset}")]
    NotTheShard {
        /// From where on in the shard: of the first bytes that do not check, or that the hashes which do not check are of.
        offset: u64,
    },
}

/// `range` rounded out to whole groups: the bytes that a slice of it carries, and that its ticket is charged with.
#[must_use]
pub fn slice_range(range: ResolvedRange, shard_bytes: u64) -> ResolvedRange {
    let start = range.start / GROUP_BYTES * GROUP_BYTES;
    ResolvedRange { start, end: range.end.next_multiple_of(GROUP_BYTES).min(shard_bytes) }
}

/// The slice of `range` of `shard`, and the name that it leads to. The caller holds that name against the one it knows:
/// the whole shard was hashed for it.
pub fn cut_slice(shard: &[u8], range: ResolvedRange) -> Result<(ShardCid, Vec<u8>), SliceError> {
    let ranges = chunks(range, length(shard))?;
    let outboard = PreOrderMemOutboard::create(shard, GROUP);
    let carried = slice_range(range, length(shard)).bytes();
    let mut slice = Vec::with_capacity(usize::try_from(carried).unwrap_or(0).saturating_add(1024));
    encode_ranges(shard, &outboard, &ranges, &mut slice).map_err(|_| SliceError::Truncated)?;
    Ok((ShardCid::from_digest(*outboard.root.as_bytes()), slice))
}

/// The bytes of `range` of the shard `cid`, `shard_bytes` long, if `slice` proves them. Nothing else is accepted: not a byte
/// more, not a byte less.
pub fn verify_slice(cid: &ShardCid, shard_bytes: u64, range: ResolvedRange, slice: &[u8]) -> Result<Bytes, SliceError> {
    let ranges = chunks(range, shard_bytes)?;
    let carried = slice_range(range, shard_bytes);
    let mut left = slice;
    let tree = BaoTree::new(shard_bytes, GROUP);
    let mut proved = Vec::with_capacity(usize::try_from(carried.bytes()).unwrap_or(0).min(slice.len()));
    for item in DecodeResponseIter::new(blake3::Hash::from_bytes(*cid.digest()), tree, &mut left, &ranges) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(|error| not_proved(&error))? {
            proved.extend_from_slice(&leaf.data);
        }
    }
    if !left.is_empty() {
        return Err(SliceError::TooLong { bytes: left.len() });
    }
    let within = |at: u64| usize::try_from(at.saturating_sub(carried.start)).unwrap_or(usize::MAX);
    let wanted = proved.get(within(range.start)..within(range.end)).ok_or(SliceError::Truncated)?;
    Ok(Bytes::copy_from_slice(wanted))
}

fn not_proved(error: &DecodeError) -> SliceError {
    match error {
        DecodeError::ParentNotFound(_) | DecodeError::LeafNotFound(_) => SliceError::Truncated,
        DecodeError::ParentHashMismatch(node) => {
            SliceError::NotTheShard { offset: node.chunk_range().start.to_bytes() }
        }
        DecodeError::LeafHashMismatch(chunk) => SliceError::NotTheShard { offset: chunk.to_bytes() },
        DecodeError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => SliceError::Truncated,
        DecodeError::Io(_) => SliceError::NotTheShard { offset: 0 },
    }
}

/// The BLAKE3 chunks of `range`, in whole groups.
fn chunks(range: ResolvedRange, shard_bytes: u64) -> Result<ChunkRanges, SliceError> {
    if range.start >= range.end || range.end > shard_bytes {
        return Err(SliceError::OutOfRange { shard_bytes });
    }
    let carried = slice_range(range, shard_bytes);
    Ok(ChunkRanges::from(ChunkNum::full_chunks(carried.start)..ChunkNum::chunks(carried.end)))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().update(b"shard").finalize_xof().fill(&mut out);
        out
    }

    fn range(start: u64, end: u64) -> ResolvedRange {
        ResolvedRange { start, end }
    }

    #[test]
    fn a_slice_of_any_range_proves_exactly_its_bytes_and_names_its_shard() {
        for bytes in [1, 1023, 1024, 1025, 4096, 4097, 16_400, 262_400, 1_049_600] {
            let shard = shard(bytes);
            let (cid, length) = (ShardCid::of(&shard), bytes as u64);
            for (start, end) in [(0, 1), (length - 1, length), (length / 2, length / 2 + 1), (length / 3, length)] {
                let (named, slice) = cut_slice(&shard, range(start, end)).unwrap();
                assert_eq!(named, cid, "{bytes} bytes");
                let proved = verify_slice(&cid, length, range(start, end), &slice).unwrap();
                assert_eq!(proved, shard[start as usize..end as usize], "{start}..{end} of {bytes}");
            }
        }
    }

    #[test]
    fn a_slice_of_one_byte_of_a_full_shard_fits_the_first_flight_of_a_connection() {
        let shard = shard(1_049_600);
        for at in [0, 500_000, 1_049_599] {
            let (_, slice) = cut_slice(&shard, range(at, at + 1)).unwrap();
            assert!(slice.len() <= 4096 + 9 * 64, "{} bytes", slice.len());
        }
    }

    #[test]
    fn what_is_not_exactly_the_slice_of_this_shard_proves_nothing() {
        let (one, other) = (shard(300_000), vec![7; 300_000]);
        let cid = ShardCid::of(&one);
        let wanted = range(100_000, 100_100);
        let (_, slice) = cut_slice(&one, wanted).unwrap();
        let verify = |slice: &[u8]| verify_slice(&cid, 300_000, wanted, slice);
        for at in [0, 63, 64, slice.len() - 1] {
            let mut changed = slice.clone();
            changed[at] ^= 1;
            assert!(matches!(verify(&changed), Err(SliceError::NotTheShard { .. })), "changed at {at}");
        }
        for kept in [0, 1, 64, slice.len() - 1] {
            assert_eq!(verify(&slice[..kept]), Err(SliceError::Truncated), "{kept} bytes kept");
        }
        assert_eq!(verify(&[&slice[..], b"x"].concat()), Err(SliceError::TooLong { bytes: 1 }));
        let (_, of_another) = cut_slice(&other, wanted).unwrap();
        assert!(matches!(verify(&of_another), Err(SliceError::NotTheShard { offset: 0 })));
        let (_, of_another_range) = cut_slice(&one, range(200_000, 200_100)).unwrap();
        assert!(verify(&of_another_range).is_err());
    }

    #[test]
    fn a_range_outside_the_shard_is_refused_by_both_sides() {
        let shard = shard(10);
        let error = SliceError::OutOfRange { shard_bytes: 10 };
        for (start, end) in [(0, 0), (5, 5), (6, 5), (0, 11), (10, 11)] {
            assert_eq!(cut_slice(&shard, range(start, end)), Err(error.clone()));
            assert_eq!(verify_slice(&ShardCid::of(&shard), 10, range(start, end), &[]), Err(error.clone()));
        }
        assert_eq!(cut_slice(&[], range(0, 1)), Err(SliceError::OutOfRange { shard_bytes: 0 }));
    }

    proptest! {
        #[test]
        fn slices_of_random_ranges_prove_their_bytes(bytes in 1usize..80_000, a in 0u64..80_000, b in 0u64..80_000) {
            let shard = shard(bytes);
            let (a, b) = (a % bytes as u64, b % bytes as u64);
            let wanted = range(a.min(b), a.max(b) + 1);
            let (cid, slice) = cut_slice(&shard, wanted).unwrap();
            let proved = verify_slice(&cid, bytes as u64, wanted, &slice).unwrap();
            prop_assert_eq!(&proved[..], &shard[wanted.start as usize..wanted.end as usize]);
        }

        #[test]
        fn no_bytes_from_the_wire_panic(bytes in 0u64..2_000_000, a in 0u64..80_000, slice in any::<Vec<u8>>()) {
            let _ = verify_slice(&ShardCid::of(b"shard"), bytes, range(a, a + 1), &slice);
        }
    }
}
