//! A part as a stream: bytes in, sealed segments out, one segment in memory.

use domicile_types::{CodeProfile, SuiteId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::buffer::BufferPool;
use crate::derive::{Fields, expand};
use crate::keys::DataKey;
use crate::layout::{LayoutError, WHOLE_COPY_BYTES_MAX, segment_bytes_max, widen};
use crate::message::SALT_BYTES;
use crate::seal::{CipherSegment, SegmentSealer};
use crate::segment::PartContext;

/// 32 random bytes from which the salts of one encoder's segments derive. It is spent by the encoder: a retry of the same
/// part must draw another, so that no segment is sealed twice under one (key, salt) and no (key, nonce) repeats.
///
/// ```compile_fail
/// fn spent_once(seed: domicile_chunker::SaltSeed) -> [domicile_chunker::SaltSeed; 2] {
///     [seed.clone(), seed]
/// }
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SaltSeed([u8; 32]);

impl SaltSeed {
    /// From 32 bytes just drawn at random.
    #[must_use]
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn salt(&self, segment: u32) -> [u8; SALT_BYTES] {
        let mut salt = [0; SALT_BYTES];
        let info = Fields::new("domicile/salt/1").with(&segment.to_be_bytes());
        expand(&self.0, &[info.as_bytes()], &mut salt);
        salt
    }
}

/// What stays the same over all segments of a part.
#[derive(Debug, Clone)]
pub struct EncoderConfig {
    /// The place of the part.
    pub context: PartContext,
    /// The cipher.
    pub suite: SuiteId,
    /// The code of parts over 32 KiB; shorter ones are kept as its whole copies.
    pub profile: CodeProfile,
    /// Length of the part if it is known: sizes the first buffer, promises nothing.
    pub bytes_expected: Option<u64>,
    /// Where buffers come from.
    pub pool: BufferPool,
}

/// A part that is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More than 2^32 segments; 5 GiB, the most that S3 allows a part, are 5,120.
    #[error("a part has at most 2^32 segments")]
    TooManySegments,
    /// A segment length that cannot be.
    #[error("segment {segment} cannot be laid out")]
    Layout {
        /// Position in the part.
        segment: u32,
        /// The length.
        #[source]
        source: LayoutError,
    },
}

/// Encrypts one part. Holds at most one segment; what was taken out is the caller's to bound.
///
/// ```
/// # use domicile_chunker::*;
/// # use domicile_types::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = PartContext { tenant: TenantId::parse("t")?, data: DataId::from_bytes([1; 16]),
/// #     upload: UploadId::from_bytes([2; 16]), part: PART_WHOLE };
/// # let key = DataKey::from_bytes([3; 32]);
/// # let body = [vec![7; 5 << 20], vec![8; 10]];
/// let profile = CodeProfile::RS_4_2;
/// let pool = BufferPool::new(sealed_bytes_max(profile), 2);
/// let config = EncoderConfig { context, suite: SuiteId::default(), profile, bytes_expected: None, pool };
/// let mut encoder = Encoder::new(&key, config, SaltSeed::from_random([4; 32]));
/// let mut records = Vec::new();
/// for piece in &body {
///     let mut rest = &piece[..];
///     while let Some(segment) = encoder.push(&mut rest)? {
///         let sealed = segment.code(); // on another thread, if you like
///         records.push(sealed.record); // after sealed.shards were stored
///     }
/// }
/// if let Some(last) = encoder.finish()? {
///     records.push(last.code().record);
/// }
/// assert_eq!(records.len(), 2);
/// # Ok(()) }
/// ```
pub struct Encoder {
    key: DataKey,
    config: EncoderConfig,
    salts: SaltSeed,
    /// The segment being filled; none between segments.
    current: Option<SegmentSealer>,
    /// Index of the next segment to begin.
    next: u64,
    /// Plaintext in the segments handed out.
    done_bytes: u64,
}

impl Encoder {
    /// Begins a part.
    #[must_use]
    pub fn new(key: &DataKey, config: EncoderConfig, salts: SaltSeed) -> Self {
        Self { key: key.duplicate(), config, salts, current: None, next: 0, done_bytes: 0 }
    }

    /// Plaintext taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.done_bytes + widen(self.current.as_ref().map_or(0, SegmentSealer::plaintext_bytes))
    }

    /// Takes bytes from the front of `input` until it is empty (`None`) or a segment is full.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<CipherSegment>, EncodeError> {
        while !input.is_empty() {
            let mut sealer = match self.current.take() {
                Some(sealer) => sealer,
                None => self.begin()?,
            };
            let (_, rest) = input.split_at(sealer.push(input));
            *input = rest;
            if sealer.is_full() {
                return self.end(sealer, self.config.profile).map(Some);
            }
            self.current = Some(sealer);
        }
        Ok(None)
    }

    /// Ends the part. `None` when the last segment was full, or when the part is empty: an empty object has no segments.
    pub fn finish(mut self) -> Result<Option<CipherSegment>, EncodeError> {
        let Some(sealer) = self.current.take() else { return Ok(None) };
        let is_short = self.next == 1 && sealer.plaintext_bytes() <= WHOLE_COPY_BYTES_MAX;
        let profile = self.config.profile;
        self.end(sealer, if is_short { profile.whole_copies() } else { profile }).map(Some)
    }

    fn begin(&mut self) -> Result<SegmentSealer, EncodeError> {
        let index = u32::try_from(self.next).map_err(|_| EncodeError::TooManySegments)?;
        self.next += 1;
        let EncoderConfig { context, suite, profile, bytes_expected, pool } = &self.config;
        let longest = segment_bytes_max(*profile);
        let expected = bytes_expected
            .map_or(longest, |bytes| usize::try_from(bytes.saturating_sub(self.done_bytes)).unwrap_or(longest));
        let salt = self.salts.salt(index);
        Ok(SegmentSealer::new(&self.key, &context.segment(index), *suite, *profile, salt, expected, pool))
    }

    fn end(&mut self, sealer: SegmentSealer, profile: CodeProfile) -> Result<CipherSegment, EncodeError> {
        self.done_bytes += widen(sealer.plaintext_bytes());
        let segment = sealer.index();
        sealer.finish(profile).map_err(|source| EncodeError::Layout { segment, source })
    }
}
