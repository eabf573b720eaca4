//! Opening: shard bytes in, plaintext out, and never a byte of plaintext whose tag did not verify.

use std::ops::Range;

use bytes::Bytes;
use domicile_types::ShardCidError;
use zeroize::Zeroizing;

use crate::buffer::BufferPool;
use crate::erasure::{ReconstructError, reconstruct};
use crate::keys::DataKey;
use crate::layout::{CHUNK_BYTES, CODED_CHUNK_BYTES, SegmentLayout};
use crate::message::MessageKey;
use crate::read::SegmentRead;
use crate::segment::{SegmentContext, SegmentRecord};

/// Bytes of one shard, as fetched or rebuilt; may be more than a read wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPiece {
    /// Position of the shard, `0..n`.
    pub shard: usize,
    /// Where in the shard the bytes begin.
    pub offset: usize,
    /// The bytes.
    pub bytes: Bytes,
}

/// Why a segment does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another key, another place, or an altered head: the commitment is not this key's.
    #[error("segment {segment} was not sealed under this key and place: commitment differs")]
    CommitmentMismatch {
        /// Position in the part.
        segment: u32,
    },
    /// The tag of the empty final chunk of a full segment does not verify: the segment was cut or lengthened.
    #[error("segment {segment} does not end where its record says: final tag differs")]
    FinalTagForged {
        /// Position in the part.
        segment: u32,
    },
    /// A chunk does not verify: some shard bytes are not those that were sealed.
    #[error("chunk {chunk} of segment {segment} was altered: verify whole shards by name, rebuild from others")]
    ChunkForged {
        /// Position in the part.
        segment: u32,
        /// Position in the segment.
        chunk: usize,
    },
    /// Bytes that the read wants were not given.
    #[error("segment {segment} lacks bytes {from} to {to} of shard {shard}")]
    PieceMissing {
        /// Position in the part.
        segment: u32,
        /// The data shard.
        shard: usize,
        /// First byte wanted.
        from: usize,
        /// Byte after the last wanted.
        to: usize,
    },
    /// The output is not as long as the read.
    #[error("the read gives {expected} bytes, the output takes {given}")]
    OutputLength {
        /// What the read gives.
        expected: usize,
        /// What was offered.
        given: usize,
    },
    /// Too few good shards.
    #[error("segment {segment} cannot be rebuilt")]
    Rebuild {
        /// Position in the part.
        segment: u32,
        /// Why.
        #[source]
        source: ReconstructError,
    },
    /// A shard that was rebuilt from shards of the right names has another name than the record says: the record is wrong.
    #[error("rebuilt shard {shard} of segment {segment} is not the recorded one")]
    RebuiltShardDiffers {
        /// Position in the part.
        segment: u32,
        /// Position of the shard.
        shard: usize,
        /// The names.
        #[source]
        source: ShardCidError,
    },
}

/// One segment, its commitment checked, ready to open chunks.
pub struct SegmentOpener {
    message: MessageKey,
    layout: SegmentLayout,
    segment: u32,
}

impl SegmentOpener {
    /// Derives the segment's key, checks the commitment and, for a full segment, that it ends where the record says.
    pub fn new(key: &DataKey, context: &SegmentContext, record: &SegmentRecord) -> Result<Self, OpenError> {
        let segment = record.index;
        let fields = context.fields(record.suite);
        let message = MessageKey::derive(record.suite, key.bytes(), &record.salt, fields.as_bytes());
        if context.segment != segment || !message.is_committed_to(&record.commitment) {
            return Err(OpenError::CommitmentMismatch { segment });
        }
        let layout = record.layout;
        if layout.is_full() {
            let last = message.open_chunk(layout.chunks(), &record.final_tag, &mut []);
            last.map_err(|_| OpenError::FinalTagForged { segment })?;
        }
        Ok(Self { message, layout, segment })
    }

    /// Opens plaintext bytes `wanted` of the segment into `output`, which is as long, out of `pieces`, in which every byte of
    /// the touched chunks lies once or more. On error `output` holds nothing of use.
    pub fn open(&self, wanted: Range<usize>, pieces: &[ShardPiece], output: &mut [u8]) -> Result<(), OpenError> {
        if output.len() != wanted.len() {
            return Err(OpenError::OutputLength { expected: wanted.len(), given: output.len() });
        }
        let mut gathered = Vec::new();
        let mut rest = output;
        for chunk in self.layout.chunks_of(&wanted) {
            let coded_range = self.layout.chunk_coded(chunk);
            let coded = self.find(pieces, coded_range, &mut gathered)?;
            let plain = self.layout.chunk_plaintext(chunk);
            let keep = wanted.start.max(plain.start)..wanted.end.min(plain.end);
            let (to, tail) = std::mem::take(&mut rest).split_at_mut(keep.len());
            rest = tail;
            let forged = |_| OpenError::ChunkForged { segment: self.segment, chunk };
            if keep == plain {
                self.message.open_chunk(chunk, coded, to).map_err(forged)?;
            } else {
                let mut scratch = Zeroizing::new([0; CHUNK_BYTES]);
                let (whole, _) = scratch.split_at_mut(plain.len());
                self.message.open_chunk(chunk, coded, whole).map_err(forged)?;
                let (_, from) = whole.split_at(keep.start - plain.start);
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }

    /// Coded bytes `coded` (one chunk): a slice of a piece if they lie in one, else put together in `gathered`.
    fn find<'a>(
        &self,
        pieces: &'a [ShardPiece],
        coded: Range<usize>,
        gathered: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], OpenError> {
        gathered.clear();
        let mut only = None;
        for range in self.layout.shard_ranges(&coded) {
            let (shard, from, to) = (range.shard, range.bytes.start, range.bytes.end);
            let is_copy = self.layout.profile().k() == 1;
            let bytes = pieces
                .iter()
                .filter(|piece| is_copy || piece.shard == shard)
                .find_map(|piece| {
                    let start = from.checked_sub(piece.offset)?;
                    piece.bytes.get(start..start.checked_add(to - from)?)
                })
                .ok_or(OpenError::PieceMissing { segment: self.segment, shard, from, to })?;
            if bytes.len() == coded.len() {
                only = Some(bytes);
            } else {
                gathered.reserve(CODED_CHUNK_BYTES);
                gathered.extend_from_slice(bytes);
            }
        }
        Ok(only.unwrap_or(gathered))
    }
}

/// Opens what `read` wants out of the pieces fetched for it into `output`, which is [`SegmentRead::plaintext_bytes`] long.
pub fn open_chunks(
    key: &DataKey,
    read: &SegmentRead,
    pieces: &[ShardPiece],
    output: &mut [u8],
) -> Result<(), OpenError> {
    SegmentOpener::new(key, read.context(), read.record())?.open(read.wanted(), pieces, output)
}

/// Drops from `slots` (whole shards, by position) those that do not have their recorded name, and says which those were.
pub fn discard_corrupt(record: &SegmentRecord, slots: &mut [Option<Bytes>]) -> Vec<usize> {
    let mut corrupt = Vec::new();
    for (shard, slot) in slots.iter_mut().enumerate() {
        let Some(bytes) = slot else { continue };
        if record.cid(shard).is_none_or(|cid| cid.verify(bytes).is_err()) {
            corrupt.push(shard);
            *slot = None;
        }
    }
    corrupt
}

/// Opens a segment from whole shards, any k of n: drops those that are not what their name says, rebuilds the data shards
/// that `read` wants and that are missing, opens. Returns the positions that were corrupt, to be reported and repaired.
pub fn open_segment(
    key: &DataKey,
    read: &SegmentRead,
    slots: &mut [Option<Bytes>],
    pool: &BufferPool,
    output: &mut [u8],
) -> Result<Vec<usize>, OpenError> {
    let record = read.record();
    let opener = SegmentOpener::new(key, read.context(), record)?;
    let corrupt = discard_corrupt(record, slots);
    let wanted: Vec<usize> = read.shard_ranges().into_iter().map(|range| range.shard).collect();
    reconstruct(record.profile(), slots, &wanted, pool)
        .map_err(|source| OpenError::Rebuild { segment: record.index, source })?;
    let pieces: Vec<ShardPiece> = slots
        .iter()
        .enumerate()
        .filter_map(|(shard, slot)| Some(ShardPiece { shard, offset: 0, bytes: slot.clone()? }))
        .collect();
    opener.open(read.wanted(), &pieces, output)?;
    Ok(corrupt)
}

/// Repair: rebuilds the shards `lost`, data or parity, from any k others, and checks each against its recorded name. Needs
/// no key. Shards given that do not have their name are not used.
pub fn rebuild_shards(
    record: &SegmentRecord,
    slots: &mut [Option<Bytes>],
    lost: &[usize],
    pool: &BufferPool,
) -> Result<Vec<(usize, Bytes)>, OpenError> {
    let segment = record.index;
    discard_corrupt(record, slots);
    reconstruct(record.profile(), slots, lost, pool).map_err(|source| OpenError::Rebuild { segment, source })?;
    let mut rebuilt = Vec::with_capacity(lost.len());
    for shard in lost.iter().copied() {
        let (Some(bytes), Some(cid)) = (slots.get(shard).cloned().flatten(), record.cid(shard)) else { continue };
        cid.verify(&bytes).map_err(|source| OpenError::RebuiltShardDiffers { segment, shard, source })?;
        rebuilt.push((shard, bytes));
    }
    Ok(rebuilt)
}
