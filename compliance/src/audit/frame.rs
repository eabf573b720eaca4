//! Frames: how a leaf stands in a segment of the write-ahead log.
//!
//! ```text
//! 0   u32 bytes of the leaf, 1 to 8,192
//! 4   u32 CRC-32C over bytes 8 to the end of the leaf
//! 8   u64 index of the leaf
//! 16  u64 index of the first leaf of its batch
//! 24  leaf, then zeros up to a multiple of 8
//! ```

use crc_fast::CrcAlgorithm;
use domicile_types::ENTRY_BYTES_MAX;

/// Bytes before a leaf.
pub(super) const FRAME_HEAD_BYTES: usize = 24;
/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;

/// Bytes of the frame of a leaf of `leaf_bytes`.
pub(super) const fn framed_bytes(leaf_bytes: usize) -> usize {
    (FRAME_HEAD_BYTES + leaf_bytes).next_multiple_of(ALIGN)
}

/// Appends the frame of `leaf` to `out`.
pub(super) fn write_frame(out: &mut Vec<u8>, leaf: &[u8], index: u64, batch: u64) {
    let start = out.len();
    let length = u32::try_from(leaf.len()).unwrap_or_else(|_| unreachable!("leaves are at most 8 KiB"));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&batch.to_le_bytes());
    out.extend_from_slice(leaf);
    let crc = crc32c(out.get(start + 8..).unwrap_or(&[]));
    if let Some(slot) = out.get_mut(start + 4..start + 8) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
    out.resize(start + framed_bytes(leaf.len()), 0);
}

/// A frame as it stands in a segment.
pub(super) struct ParsedFrame<'a> {
    pub(super) index: u64,
    pub(super) batch: u64,
    pub(super) leaf: &'a [u8],
    /// The whole frame, with padding.
    pub(super) bytes: usize,
}

/// The whole length of a frame by its head.
pub(super) fn frame_bytes(head: &[u8]) -> Result<usize, &'static str> {
    let length = head.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    match usize::try_from(length) {
        Ok(length) if (1..=ENTRY_BYTES_MAX).contains(&length) => Ok(framed_bytes(length)),
        _ => Err("its length is not 1 to 8192"),
    }
}

/// The frame that `bytes` begin with, or what does not fit.
pub(super) fn parse_frame(bytes: &[u8]) -> Result<ParsedFrame<'_>, &'static str> {
    let whole = frame_bytes(bytes)?;
    let frame = bytes.get(..whole).ok_or("it runs beyond the end of its segment")?;
    let (Some((length, rest)), Some(checked)) = (frame.split_first_chunk::<4>(), frame.get(8..)) else {
        return Err("it has no head");
    };
    let leaf_bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(0);
    let crc = rest.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let (covered, padding) = checked.split_at_checked(16 + leaf_bytes).ok_or("it has no head")?;
    if crc32c(covered) != crc || padding.iter().any(|byte| *byte != 0) {
        return Err("its checksum does not fit its bytes");
    }
    let index = covered.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let batch = covered.get(8..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
    Ok(ParsedFrame { index, batch, leaf: covered.get(16..).unwrap_or(&[]), bytes: whole })
}

/// Whether anywhere in `bytes` a whole frame stands whose batch begins after leaf `index`.
pub(super) fn has_frame_of_batch_after(bytes: &[u8], index: u64) -> bool {
    (0..bytes.len())
        .step_by(ALIGN)
        .any(|at| bytes.get(at..).is_some_and(|rest| parse_frame(rest).is_ok_and(|frame| frame.batch > index)))
}

fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or(0)
}
