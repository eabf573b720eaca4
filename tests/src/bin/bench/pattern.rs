//! Bodies: bytes that do not compress, are made without cost, and are known again when they come back.
//!
//! A block of random bytes, repeated; every object begins at another byte of it. The block's length is prime, so a range
//! that comes back from the wrong megabyte, shard or chunk differs.

use bytes::Bytes;
use futures::Stream;

use crate::stopwatch::widen;

/// The largest prime below 4 MiB.
const BLOCK_BYTES: usize = 4_194_301;
/// Bodies go out in pieces of at most this: what a client's file reads are like.
const PIECE_BYTES: u64 = 256 * 1024;

/// Where all bodies come from.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    block: Bytes,
}

impl Pattern {
    pub(crate) fn new() -> Self {
        let words = (0..).map(splitmix64).flat_map(u64::to_le_bytes);
        Self { block: words.take(BLOCK_BYTES).collect::<Vec<u8>>().into() }
    }

    /// Bytes `at..at + length` of object `object`, or fewer: as far as they lie together.
    fn piece(&self, object: u64, at: u64, length: u64) -> Bytes {
        let start = (splitmix64(object) >> 1).wrapping_add(at) % widen(BLOCK_BYTES);
        let start = usize::try_from(start).unwrap_or(0);
        let length = usize::try_from(length.min(PIECE_BYTES)).unwrap_or(0);
        self.block.slice(start..BLOCK_BYTES.min(start + length))
    }

    /// The body of object `object`, piece by piece, copying nothing.
    pub(crate) fn pieces(&self, object: u64, bytes: u64) -> impl Iterator<Item = Bytes> + use<> {
        let pattern = self.clone();
        let mut at = 0;
        std::iter::from_fn(move || {
            let piece = (at < bytes).then(|| pattern.piece(object, at, bytes - at))?;
            at += widen(piece.len());
            Some(piece)
        })
    }

    /// The same as a stream of a request body.
    pub(crate) fn stream(&self, object: u64, bytes: u64) -> impl Stream<Item = Result<Bytes, std::io::Error>> + use<> {
        futures::stream::iter(self.pieces(object, bytes).map(Ok))
    }

    /// Whether `bytes` are what object `object` holds from `at` on.
    pub(crate) fn holds(&self, object: u64, mut at: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let expected = self.piece(object, at, widen(bytes.len()));
            let Some(rest) = bytes.strip_prefix(&*expected) else { return false };
            at += widen(expected.len());
            bytes = rest;
        }
        true
    }
}

/// Sebastiano Vigna's SplitMix64 (public domain): the `index`-th number of the sequence that begins at zero.
pub(crate) const fn splitmix64(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_asked_and_known_again_from_any_byte_on() {
        let pattern = Pattern::new();
        let bytes = 2 * widen(BLOCK_BYTES) + 12_345;
        let body: Vec<u8> = pattern.pieces(3, bytes).flatten().collect();
        assert_eq!(widen(body.len()), bytes);
        for at in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, body.len() - 1] {
            assert!(pattern.holds(3, widen(at), &body[at..]));
        }
    }

    #[test]
    fn another_object_another_offset_or_an_altered_byte_is_noticed() {
        let pattern = Pattern::new();
        let mut body: Vec<u8> = pattern.pieces(3, 100_000).flatten().collect();
        assert!(!pattern.holds(4, 0, &body));
        assert!(!pattern.holds(3, 1 << 20, &body));
        body[99_999] ^= 1;
        assert!(!pattern.holds(3, 0, &body));
    }

    #[test]
    fn the_sequence_is_the_published_one() {
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(1), 0x6e78_9e6a_a1b9_65f4);
    }
}
