//! The write-ahead log: every leaf, in order, in segment files of one size.
//!
//! ```text
//! wal/<sequence, 12 digits>.wal
//!   0   16  "domicile-wal/1\n\0"
//!   16  u64 sequence
//!   24  u64 bytes of the file
//!   32  frames (`frame`), each at a multiple of 8; then zeros
//! ```
//!
//! All integers are little-endian. A batch is one write and one `fdatasync`, and a batch is written only after the one
//! before it is durable. So a bad frame that is followed by a frame of a *later* batch was durable once: it is corrupt.
//! A bad frame in the last batch is what a crash leaves: it was never acknowledged, and is dropped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_types::ENTRY_BYTES_MAX;

use super::frame::{ALIGN, FRAME_HEAD_BYTES, frame_bytes, has_frame_of_batch_after, parse_frame};
use super::zeroed::{Device, create_zeroed, open_read_write, sync_dir, write_zeros};

const MAGIC: &[u8; 16] = b"domicile-wal/1\n\0";
/// Bytes before the first frame.
pub(super) const SEGMENT_HEAD_BYTES: u64 = 32;

/// What is wrong with the stored leaves.
#[derive(Debug, thiserror::Error)]
pub enum WalFault {
    /// A leaf's bytes are not those that were written.
    #[error(
        "entry {index} is corrupt: {path} at byte {offset}: {reason}; restore the file from a backup or from an export"
    )]
    CorruptEntry {
        /// Its index.
        index: u64,
        /// The segment file.
        path: PathBuf,
        /// Where its frame starts.
        offset: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// A whole entry stands where another should.
    #[error("entry {index} is missing: {path} holds entry {found} at byte {offset}, where entry {index} should be")]
    MissingEntry {
        /// The index that was expected.
        index: u64,
        /// The index that was found.
        found: u64,
        /// The segment file.
        path: PathBuf,
        /// Where the frame starts.
        offset: u64,
    },
    /// A segment file that is not one, or not the next.
    #[error("{path} is not the log segment it should be: {reason}")]
    BadSegment {
        /// The segment file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// The disk did not answer.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where a frame starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Sequence number of the segment.
    pub(super) segment: u64,
    /// Byte in the segment.
    pub(super) offset: u64,
}

/// One leaf as it was read.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) index: u64,
    pub(super) position: Position,
    pub(super) leaf: &'a [u8],
}

/// Where the leaves end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WalEnd {
    /// The number of leaves.
    pub(super) size: u64,
    /// Where the next frame belongs.
    pub(super) position: Position,
    /// The last segment there is; later than `position` when it was prepared and not yet used.
    pub(super) last_segment: Option<u64>,
    /// Bytes after the end that are not zero: the torn last batch.
    pub(super) torn_bytes: u64,
}

/// The segment files of one log, for reading.
#[derive(Debug, Clone)]
pub(super) struct WalDir {
    dir: PathBuf,
}

impl WalDir {
    pub(super) fn new(log_dir: &Path) -> Self {
        Self { dir: log_dir.join("wal") }
    }

    pub(super) fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(format!("{segment:012}.wal"))
    }

    fn io(&self, segment: u64) -> impl Fn(io::Error) -> WalFault + use<> {
        let path = self.path(segment);
        move |source| WalFault::Io { path: path.clone(), source }
    }

    /// The sequence numbers of all segments, ascending. Files of other names are not looked at.
    pub(super) fn segments(&self) -> Result<Vec<u64>, WalFault> {
        let io = |source| WalFault::Io { path: self.dir.clone(), source };
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".wal"));
            if let Some(sequence) = digits.filter(|digits| digits.len() == 12).and_then(|d| d.parse().ok()) {
                segments.push(sequence);
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// Reads every leaf in order and checks each; `visit` gets them one by one and may stop the walk with an error.
    pub(super) fn scan<E: From<WalFault>>(
        &self,
        mut visit: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<WalEnd, E> {
        let segments = self.segments()?;
        let mut end = WalEnd {
            size: 0,
            position: Position { segment: 0, offset: SEGMENT_HEAD_BYTES },
            last_segment: segments.last().copied(),
            torn_bytes: 0,
        };
        for (expected, segment) in (0u64..).zip(segments.iter().copied()) {
            let path = self.path(segment);
            if segment != expected {
                return Err(WalFault::BadSegment { path, reason: "the segment before it is missing" }.into());
            }
            let bytes = fs::read(&path).map_err(self.io(segment))?;
            check_head(&bytes, segment).map_err(|reason| WalFault::BadSegment { path, reason })?;
            let later = segments.get(usize::try_from(expected + 1).unwrap_or(usize::MAX)..).unwrap_or(&[]);
            if self.has_frames(&bytes) {
                end.position = Position { segment, offset: SEGMENT_HEAD_BYTES };
            }
            self.scan_segment(&bytes, segment, later, &mut end, &mut visit)?;
            if end.torn_bytes > 0 {
                break;
            }
        }
        Ok(end)
    }

    fn scan_segment<E: From<WalFault>>(
        &self,
        bytes: &[u8],
        segment: u64,
        later: &[u64],
        end: &mut WalEnd,
        visit: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = to_usize(SEGMENT_HEAD_BYTES);
        loop {
            let rest = bytes.get(at..).unwrap_or(&[]);
            if rest.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            let position = Position { segment, offset: to_u64(at) };
            match parse_frame(rest) {
                Ok(frame) if frame.index == end.size => {
                    visit(Frame { index: frame.index, position, leaf: frame.leaf })?;
                    end.size += 1;
                    at += frame.bytes;
                    end.position = Position { segment, offset: to_u64(at) };
                }
                Ok(frame) => {
                    let (index, found, path) = (end.size, frame.index, self.path(segment));
                    return Err(WalFault::MissingEntry { index, found, path, offset: position.offset }.into());
                }
                Err(reason) => {
                    if has_frame_of_batch_after(rest, end.size) || self.any_frames(later)? {
                        let (index, path) = (end.size, self.path(segment));
                        return Err(WalFault::CorruptEntry { index, path, offset: position.offset, reason }.into());
                    }
                    end.torn_bytes = to_u64(rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                    return Ok(());
                }
            }
        }
    }

    fn has_frames(&self, segment: &[u8]) -> bool {
        segment.get(to_usize(SEGMENT_HEAD_BYTES)..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
    }

    fn any_frames(&self, segments: &[u64]) -> Result<bool, WalFault> {
        for segment in segments {
            if self.has_frames(&fs::read(self.path(*segment)).map_err(self.io(*segment))?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads `count` leaves from a known position on, or fewer, where `visit` says false. Returns where the next stands.
    pub(super) fn read_from(
        &self,
        mut position: Position,
        first: u64,
        count: u64,
        mut visit: impl FnMut(Frame<'_>) -> bool,
    ) -> Result<Position, WalFault> {
        let mut file = File::open(self.path(position.segment)).map_err(self.io(position.segment))?;
        let mut head = [0; FRAME_HEAD_BYTES];
        let mut buffer = Vec::with_capacity(FRAME_HEAD_BYTES + ENTRY_BYTES_MAX + ALIGN);
        for index in first..first.saturating_add(count) {
            loop {
                let got = read_some(&file, &mut head, position.offset).map_err(self.io(position.segment))?;
                if got == head.len() && head != [0; FRAME_HEAD_BYTES] {
                    break;
                }
                // A segment that ends here: the next frame opens the next segment.
                position = Position { segment: position.segment + 1, offset: SEGMENT_HEAD_BYTES };
                file = File::open(self.path(position.segment)).map_err(self.io(position.segment))?;
            }
            let corrupt = |reason| WalFault::CorruptEntry {
                index,
                path: self.path(position.segment),
                offset: position.offset,
                reason,
            };
            let bytes = frame_bytes(&head).map_err(corrupt)?;
            buffer.resize(bytes, 0);
            file.read_exact_at(&mut buffer, position.offset).map_err(self.io(position.segment))?;
            let frame = parse_frame(&buffer).map_err(corrupt)?;
            if frame.index != index {
                return Err(corrupt("it holds another entry's index"));
            }
            let goes_on = visit(Frame { index, position, leaf: frame.leaf });
            position.offset += to_u64(bytes);
            if !goes_on {
                break;
            }
        }
        Ok(position)
    }
}

/// The open end of the write-ahead log. Owned by the committer.
pub(super) struct WalWriter {
    wal: WalDir,
    /// Length of the current segment's file; another than the configured one after the configuration changed.
    current_bytes: u64,
    end: Position,
    device: Box<dyn Device>,
    /// Made ahead of need by [`WalSpare`].
    spare: Arc<WalSpare>,
    open: OpenDevice,
}

/// Opens the device of a segment file: the file itself, or in tests one that fails.
pub(super) type OpenDevice = Arc<dyn Fn(&Path) -> io::Result<Box<dyn Device>> + Send + Sync>;

/// The plain file.
pub(super) fn open_file(path: &Path) -> io::Result<Box<dyn Device>> {
    Ok(Box::new(open_read_write(path)?))
}

/// The segment after the current one, prepared off the commit path.
pub(super) struct WalSpare {
    wal: WalDir,
    segment_bytes: u64,
    /// Held while a segment is made, which takes as long as writing its zeros.
    making: parking_lot::Mutex<()>,
    last_segment: AtomicU64,
}

impl WalSpare {
    /// Makes the segment after `current` where it does not exist yet.
    pub(super) fn prepare_after(&self, current: u64) -> Result<(), WalFault> {
        let _making = self.making.lock();
        if self.last_segment() > current {
            return Ok(());
        }
        let next = current + 1;
        create_segment(&self.wal.path(next), next, self.segment_bytes).map_err(self.wal.io(next))?;
        self.last_segment.store(next, Ordering::Release);
        Ok(())
    }

    /// The last segment that exists.
    fn last_segment(&self) -> u64 {
        self.last_segment.load(Ordering::Acquire)
    }
}

impl WalWriter {
    /// Continues after `end`, which a scan found. Zeros what a torn batch left, so that it cannot come back.
    pub(super) fn open(wal: WalDir, end: &WalEnd, segment_bytes: u64, open: OpenDevice) -> Result<Self, WalFault> {
        let last_segment = match end.last_segment {
            Some(last) => last,
            None => {
                create_segment(&wal.path(0), 0, segment_bytes).map_err(wal.io(0))?;
                0
            }
        };
        let path = wal.path(end.position.segment);
        let io = wal.io(end.position.segment);
        if end.torn_bytes > 0 {
            let file = open_read_write(&path).map_err(&io)?;
            write_zeros(&file, end.position.offset, end.position.offset + end.torn_bytes).map_err(&io)?;
            file.sync_data().map_err(&io)?;
        }
        let device = open(&path).map_err(&io)?;
        let current_bytes = fs::metadata(&path).map_err(&io)?.len();
        let making = parking_lot::Mutex::new(());
        let last_segment = AtomicU64::new(last_segment);
        let spare = Arc::new(WalSpare { wal: wal.clone(), segment_bytes, making, last_segment });
        Ok(Self { wal, current_bytes, end: end.position, device, spare, open })
    }

    pub(super) fn spare(&self) -> Arc<WalSpare> {
        Arc::clone(&self.spare)
    }

    /// Where the next frame goes.
    pub(super) const fn end(&self) -> Position {
        self.end
    }

    /// Bytes left in the current segment.
    pub(super) const fn room_bytes(&self) -> u64 {
        self.current_bytes.saturating_sub(self.end.offset)
    }

    /// Bytes left in all segments that exist.
    pub(super) fn prepared_bytes(&self) -> u64 {
        let segments = self.spare.last_segment().saturating_sub(self.end.segment);
        self.room_bytes() + segments * (self.spare.segment_bytes - SEGMENT_HEAD_BYTES)
    }

    /// Makes the next segment now, where it does not exist.
    pub(super) fn prepare(&self) -> Result<(), WalFault> {
        self.spare.prepare_after(self.end.segment)
    }

    /// Goes on in the next segment, making it where that was not done ahead.
    pub(super) fn rotate(&mut self) -> Result<(), WalFault> {
        self.spare.prepare_after(self.end.segment)?;
        let segment = self.end.segment + 1;
        let path = self.wal.path(segment);
        self.current_bytes = fs::metadata(&path).map_err(self.wal.io(segment))?.len();
        self.device = (self.open)(&path).map_err(self.wal.io(segment))?;
        self.end = Position { segment, offset: SEGMENT_HEAD_BYTES };
        Ok(())
    }

    /// Writes a batch of frames; they must fit in [`WalWriter::room_bytes`]. Nothing is durable before
    /// [`WalWriter::sync`], and a failed write leaves the end where it was.
    pub(super) fn write(&mut self, frames: &[u8]) -> Result<(), WalFault> {
        self.device.write_at(frames, self.end.offset).map_err(self.wal.io(self.end.segment))?;
        self.end.offset += to_u64(frames.len());
        Ok(())
    }

    /// One `fdatasync`. After an error nothing is known of the disk: the caller must end the process.
    pub(super) fn sync(&self) -> Result<(), WalFault> {
        self.device.sync().map_err(self.wal.io(self.end.segment))
    }
}

fn create_segment(path: &Path, sequence: u64, bytes: u64) -> io::Result<()> {
    let head = [&MAGIC[..], &sequence.to_le_bytes(), &bytes.to_le_bytes()].concat();
    create_zeroed(path, &head, bytes)?;
    sync_dir(path)
}

fn check_head(bytes: &[u8], sequence: u64) -> Result<(), &'static str> {
    let head = bytes.strip_prefix(MAGIC).ok_or("it does not begin as one")?;
    let (Some(named), Some(length)) = (head.first_chunk::<8>(), head.get(8..).and_then(|rest| rest.first_chunk::<8>()))
    else {
        return Err("it is cut off in its head");
    };
    if u64::from_le_bytes(*named) != sequence {
        return Err("its head names another sequence number");
    }
    if u64::from_le_bytes(*length) != to_u64(bytes.len()) {
        return Err("its length is not the one in its head");
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; the count that was read.
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + to_u64(filled))? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
