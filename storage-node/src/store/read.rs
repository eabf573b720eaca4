//! Reading shards back, checked.

use std::fs::File;
use std::io;

use bytes::Bytes;
use domicile_node_protocol::ResolvedRange;
use domicile_types::{DataId, ShardCid};

use super::Found;
use super::files::SegmentFiles;
use super::format::{GROUP_BYTES, crc32c, file_bytes};
use super::index::Index;
use super::rows::{ShardRow, ShardState};
use crate::database::DatabaseError;
use crate::proof::cut_slice;

/// Why a shard was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such shard under this data id.
    #[error("no such shard under this data id")]
    NotFound,
    /// The range does not lie within the shard.
    #[error("the range lies outside the {bytes} bytes of the shard")]
    OutOfRange {
        /// The shard's length.
        bytes: u64,
    },
    /// Known to be damaged since an earlier read.
    #[error("the shard is corrupt on disk")]
    Corrupt,
    /// Just now found to be damaged.
    #[error("the shard is corrupt on disk (found by this read, record {sequence})")]
    Damaged {
        /// Sequence number of the record that held it.
        sequence: u64,
    },
    /// The file system failed.
    #[error("cannot read the shard's segment file")]
    Io(#[from] io::Error),
    /// The index failed.
    #[error("cannot look the shard up")]
    Index(#[from] DatabaseError),
}

pub(crate) fn find(index: &Index, cid: &ShardCid, data: &DataId) -> Result<Found, DatabaseError> {
    let Some(row) = index.shard(cid)? else { return Ok(Found::Nowhere) };
    if index.claim(cid, data)?.is_none() {
        return Ok(Found::UnderOtherData);
    }
    Ok(match row.state {
        ShardState::Live => Found::Here { bytes: u64::from(row.shard_bytes) },
        ShardState::Corrupt => Found::Corrupt,
    })
}

pub(crate) fn read(
    files: &SegmentFiles,
    index: &Index,
    cid: &ShardCid,
    data: &DataId,
    range: Option<ResolvedRange>,
) -> Result<Bytes, ReadError> {
    read_checked(index, cid, data, range, |row| read_row(files, row, cid, range))
}

/// The slice of `range` that proves that the shard is held: all of it is read and hashed.
pub(crate) fn prove(
    files: &SegmentFiles,
    index: &Index,
    cid: &ShardCid,
    data: &DataId,
    range: ResolvedRange,
) -> Result<Bytes, ReadError> {
    read_checked(index, cid, data, Some(range), |row| {
        let file = files.handle(row.file)?;
        let bytes = pread(&file, row.payload_offset, u64::from(row.shard_bytes))?;
        let slice = cut_slice(&bytes, range).map_err(io::Error::other)?;
        Ok(Some(slice).filter(|(named, _)| named == cid).map(|(_, slice)| Bytes::from(slice)))
    })
}

/// What `read_row` makes of the shard's place; it gives `None` where the bytes do not check.
fn read_checked(
    index: &Index,
    cid: &ShardCid,
    data: &DataId,
    range: Option<ResolvedRange>,
    read_row: impl Fn(&ShardRow) -> io::Result<Option<Bytes>>,
) -> Result<Bytes, ReadError> {
    // A shard may be deleted, or stored anew, between looking it up and reading it: its old place is then punched out
    // and does not check. Only a place that the index still names is damaged.
    let mut failed_at = None;
    loop {
        if index.claim(cid, data)?.is_none() {
            return Err(ReadError::NotFound);
        }
        let row = index.shard(cid)?.ok_or(ReadError::NotFound)?;
        if row.state == ShardState::Corrupt {
            return Err(ReadError::Corrupt);
        }
        if failed_at == Some(row.sequence) {
            return Err(ReadError::Damaged { sequence: row.sequence });
        }
        let bytes = u64::from(row.shard_bytes);
        if range.is_some_and(|range| range.start >= range.end || range.end > bytes) {
            return Err(ReadError::OutOfRange { bytes });
        }
        match read_row(&row) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(error) if is_damage(&error) => tracing::error!(shard = %cid, %error, "cannot read a shard"),
            Err(error) => return Err(error.into()),
        }
        failed_at = Some(row.sequence);
    }
}

/// What reading a shard at the place of a record came to.
pub(crate) enum Soundness {
    /// Its bytes, held against its name.
    Bytes(Bytes),
    /// They are not what they were, or known not to be.
    Damaged,
    /// The record is the shard's no longer: deleted, or stored anew.
    Elsewhere,
}

/// Reads a shard whole where record `sequence` put it, under whatever data id.
pub(crate) fn sound(
    files: &SegmentFiles,
    index: &Index,
    cid: &ShardCid,
    sequence: u64,
) -> Result<Soundness, ReadError> {
    let current = |index: &Index| -> Result<Option<ShardRow>, DatabaseError> {
        Ok(index.shard(cid)?.filter(|row| row.sequence == sequence))
    };
    let Some(row) = current(index)? else { return Ok(Soundness::Elsewhere) };
    if row.state == ShardState::Corrupt {
        return Ok(Soundness::Damaged);
    }
    match read_row(files, &row, cid, None) {
        Ok(Some(bytes)) => return Ok(Soundness::Bytes(bytes)),
        Ok(None) => {}
        Err(error) if is_damage(&error) => tracing::error!(shard = %cid, %error, "cannot read a shard"),
        Err(error) => return Err(error.into()),
    }
    // Deleted or stored anew while it was read: its old place is then punched out.
    Ok(if current(index)?.is_some() { Soundness::Damaged } else { Soundness::Elsewhere })
}

/// A lost sector, a shortened or a vanished file: the bytes are gone as surely as if they were changed.
fn is_damage(error: &io::Error) -> bool {
    /// `EIO` on every Linux.
    const EIO: i32 = 5;
    error.raw_os_error() == Some(EIO) || matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

/// The bytes, or `None` if they do not check.
fn read_row(
    files: &SegmentFiles,
    row: &ShardRow,
    cid: &ShardCid,
    range: Option<ResolvedRange>,
) -> io::Result<Option<Bytes>> {
    let length = u64::from(row.shard_bytes);
    let file = files.handle(row.file)?;
    let whole = ResolvedRange { start: 0, end: length };
    let range = range.unwrap_or(whole);
    if range == whole {
        let bytes = pread(&file, row.payload_offset, length)?;
        return Ok(cid.verify(&bytes).is_ok().then(|| Bytes::from(bytes)));
    }
    let group_bytes = file_bytes(GROUP_BYTES);
    let (first, last) = (range.start / group_bytes, range.end.div_ceil(group_bytes));
    let (start, end) = (first * group_bytes, (last * group_bytes).min(length));
    let bytes = pread(&file, row.payload_offset.saturating_add(start), end - start)?;
    let expected = row.groups.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
    let holds = bytes.chunks(GROUP_BYTES).zip(expected).filter(|(group, crc)| crc32c(group) == **crc).count();
    if file_bytes(holds) != last - first {
        return Ok(None);
    }
    let from = usize::try_from(range.start - start).unwrap_or(usize::MAX);
    let to = usize::try_from(range.end - start).unwrap_or(usize::MAX);
    Ok(Some(Bytes::from(bytes).slice(from..to)))
}

/// `length` bytes at `offset`, into memory that was not zeroed before.
fn pread(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset.saturating_add(file_bytes(bytes.len()));
        let got =
            rustix::io::retry_on_intr(|| rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at))?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}
