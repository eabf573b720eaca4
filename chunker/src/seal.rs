//! Sealing: plaintext of one segment in, n named shards and their record out.
//!
//! Two steps, so that a server can run the second on another thread: [`SegmentSealer`] encrypts chunk by chunk as bytes
//! arrive (each is read once, while it is still in cache, and written to its final place), then [`CipherSegment::code`]
//! adds parity and names, strip by strip.

use bytes::Bytes;
use domicile_types::{CodeProfile, ShardCid, SuiteId};
use zeroize::Zeroizing;

use crate::buffer::{BufferPool, PooledBuffer};
use crate::erasure::Codec;
use crate::keys::DataKey;
use crate::layout::{
    CHUNK_BYTES, CODED_CHUNK_BYTES, LayoutError, SHARD_BYTES_MAX, SegmentLayout, TAG_BYTES, segment_bytes_max,
};
use crate::message::{MessageKey, SALT_BYTES};
use crate::segment::{SegmentContext, SegmentRecord};

/// A segment ready to be sent: shard i is slice i of one buffer.
#[derive(Debug, Clone)]
pub struct SealedSegment {
    /// What the manifest keeps.
    pub record: SegmentRecord,
    /// The n shards by position. Slices of one buffer: cloning and sending copies nothing.
    pub shards: Vec<Bytes>,
}

/// The most memory that sealing one segment of `profile` takes: n shards. The size for its [`BufferPool`].
#[must_use]
pub const fn sealed_bytes_max(profile: CodeProfile) -> usize {
    let shards = if profile.k() == 1 { 1 } else { profile.n() };
    shards * SHARD_BYTES_MAX
}

/// Seals one segment of 1 to k MiB. `salt` is 24 random bytes and is used once: a retry takes a fresh one.
pub fn seal_segment(
    key: &DataKey,
    context: &SegmentContext,
    suite: SuiteId,
    profile: CodeProfile,
    salt: [u8; SALT_BYTES],
    plaintext: &[u8],
    pool: &BufferPool,
) -> Result<SealedSegment, LayoutError> {
    SegmentLayout::new(profile, plaintext.len())?;
    let mut sealer = SegmentSealer::new(key, context, suite, profile, salt, plaintext.len(), pool);
    sealer.push(plaintext);
    Ok(sealer.finish(profile)?.code())
}

/// Encrypts one segment as its bytes arrive.
pub(crate) struct SegmentSealer {
    index: u32,
    suite: SuiteId,
    message: MessageKey,
    salt: [u8; SALT_BYTES],
    profile: CodeProfile,
    buffer: PooledBuffer,
    /// Chunks sealed so far, each at its place in `buffer`.
    chunks: usize,
    /// Plaintext that does not fill a chunk yet.
    partial: Zeroizing<Vec<u8>>,
}

impl SegmentSealer {
    /// `bytes_expected` sizes the buffer; it grows when more arrive.
    pub(crate) fn new(
        key: &DataKey,
        context: &SegmentContext,
        suite: SuiteId,
        profile: CodeProfile,
        salt: [u8; SALT_BYTES],
        bytes_expected: usize,
        pool: &BufferPool,
    ) -> Self {
        let message = MessageKey::derive(suite, key.bytes(), &salt, context.fields(suite).as_bytes());
        let expected = bytes_expected.clamp(1, segment_bytes_max(profile));
        let buffer = pool.take(memory_for(profile, expected));
        let partial = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES));
        Self { index: context.segment, suite, message, salt, profile, buffer, chunks: 0, partial }
    }

    /// Position in the part.
    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    /// Plaintext taken so far.
    pub(crate) fn plaintext_bytes(&self) -> usize {
        self.chunks * CHUNK_BYTES + self.partial.len()
    }

    /// Whether the segment holds k MiB.
    pub(crate) fn is_full(&self) -> bool {
        self.plaintext_bytes() == segment_bytes_max(self.profile)
    }

    /// Takes what fits of `plaintext` and returns how much that was.
    pub(crate) fn push(&mut self, plaintext: &[u8]) -> usize {
        let room = segment_bytes_max(self.profile) - self.plaintext_bytes();
        let (mut rest, _) = plaintext.split_at(room.min(plaintext.len()));
        let taken = rest.len();
        if !self.partial.is_empty() {
            let (head, tail) = rest.split_at((CHUNK_BYTES - self.partial.len()).min(rest.len()));
            self.partial.extend_from_slice(head);
            rest = tail;
            if self.partial.len() == CHUNK_BYTES {
                let chunk = std::mem::take(&mut self.partial);
                self.seal(&chunk);
                self.partial = chunk;
                self.partial.clear();
            }
        }
        let mut whole = rest.chunks_exact(CHUNK_BYTES);
        for chunk in &mut whole {
            self.seal(chunk);
        }
        self.partial.extend_from_slice(whole.remainder());
        taken
    }

    /// Ends the segment. `profile` is the one it was begun with, or its whole copies.
    pub(crate) fn finish(mut self, profile: CodeProfile) -> Result<CipherSegment, LayoutError> {
        let layout = SegmentLayout::new(profile, self.plaintext_bytes())?;
        let mut final_tag = [0; TAG_BYTES];
        let coded_bytes = layout.coded_bytes();
        if layout.is_full() {
            self.message.seal_chunk(self.chunks, &[], &mut final_tag);
        } else {
            let chunk = std::mem::take(&mut self.partial);
            self.seal(&chunk);
        }
        self.buffer.resize(memory_for(profile, layout.plaintext_bytes()));
        let data_bytes = profile.k() * layout.shard_bytes();
        if let Some(padding) = self.buffer.get_mut(coded_bytes..data_bytes) {
            padding.fill(0);
        }
        let record = SegmentRecord {
            index: self.index,
            layout,
            suite: self.suite,
            salt: self.salt,
            commitment: *self.message.commitment(),
            final_tag,
            cids: Vec::new(),
        };
        Ok(CipherSegment { record, buffer: self.buffer })
    }

    fn seal(&mut self, chunk: &[u8]) {
        let start = self.chunks * CODED_CHUNK_BYTES;
        let end = start + chunk.len() + TAG_BYTES;
        if self.buffer.len() < end {
            let doubled = memory_for(self.profile, segment_bytes_max(self.profile).min(2 * self.plaintext_bytes()));
            self.buffer.resize(end.max(doubled));
        }
        let (_, rest) = self.buffer.split_at_mut(start);
        let (coded, _) = rest.split_at_mut(chunk.len() + TAG_BYTES);
        self.message.seal_chunk(self.chunks, chunk, coded);
        self.chunks += 1;
    }
}

/// Buffer for a segment of `plaintext_bytes` (at least 1, at most k MiB): its n shards, or the one copy.
fn memory_for(profile: CodeProfile, plaintext_bytes: usize) -> usize {
    let shards = if profile.k() == 1 { 1 } else { profile.n() };
    SegmentLayout::new(profile, plaintext_bytes.max(1)).map_or(0, |layout| layout.shard_bytes() * shards)
}

/// A segment that is encrypted and has no parity and names yet.
#[derive(Debug)]
pub struct CipherSegment {
    record: SegmentRecord,
    buffer: PooledBuffer,
}

impl CipherSegment {
    /// Position in the part, from zero.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.record.index
    }

    /// Adds parity, names every shard. Pure computation, about a third of a segment's work: it may run on another thread
    /// while the next segment is encrypted.
    #[must_use]
    pub fn code(self) -> SealedSegment {
        let Self { mut record, mut buffer } = self;
        let (profile, shard_bytes) = (record.profile(), record.shard_bytes());
        if profile.k() == 1 {
            record.cids = vec![ShardCid::of(&buffer)];
            let copy = buffer.freeze();
            return SealedSegment { record, shards: vec![copy; profile.n()] };
        }
        record.cids = Codec::of(profile).encode_and_name(&mut buffer, shard_bytes);
        let all = buffer.freeze();
        let shards = (0..profile.n()).map(|i| all.slice(i * shard_bytes..(i + 1) * shard_bytes)).collect();
        SealedSegment { record, shards }
    }
}
