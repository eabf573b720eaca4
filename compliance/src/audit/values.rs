//! A file of values by key, append-only but for erasure: what entries refer to and the log itself must not hold.
//!
//! ```text
//! 0   16  "domicile-val/1\n\0", then zeros up to 64
//! 64  frames, each at a multiple of 8; then zeros
//! frame
//!   0   u32 bytes of the value
//!   4   u32 CRC-32C over bytes 0 to 4, 16 to 56
//!   8   u8  state: 1 = live, 2 = erased; then zeros up to 12
//!   12  u32 CRC-32C over the value
//!   16  32  key
//!   48  u64 up to where the file was durable when this frame was written
//!   56  value, then zeros up to a multiple of 8
//! ```
//!
//! All integers are little-endian. A bad frame with a later frame that knew it to be durable is corrupt: the file is
//! refused. A bad frame at the end is what a crash leaves: nothing acknowledged refers to it, and it is dropped.
//!
//! Erasing writes the state, syncs, writes zeros over the value, syncs. A crash in between is finished at the next open.
//! What a solid-state disk or a copy-on-write file system keeps of overwritten blocks is out of this file's reach:
//! encrypt the disk below.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc_fast::CrcAlgorithm;
use parking_lot::{Mutex, RwLock};

use super::commit::SyncedTogether;
use super::zeroed::{create_zeroed, open_read_write, write_zeros};

const MAGIC: &[u8; 16] = b"domicile-val/1\n\0";
const FILE_HEAD_BYTES: u64 = 64;
const FRAME_HEAD_BYTES: usize = 56;
const LIVE: u8 = 1;
const ERASED: u8 = 2;
/// The longest value, in bytes.
pub(super) const VALUE_BYTES_MAX: usize = 256 * 1024;
/// By how much the file grows, in zeros. A multiple of 8.
const GROWTH_BYTES: u64 = 1 << 20;

/// What names a value.
pub(super) type ValueKey = [u8; 32];

/// Why a store of values cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The disk did not answer.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value that was durable is damaged.
    #[error("{path} is corrupt at byte {offset}: restore it from a backup, or move it away and lose what it holds")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the frame starts.
        offset: u64,
    },
    /// The value is longer than a store takes.
    #[error("a value of {bytes} bytes is longer than {VALUE_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// What a store says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Live(Vec<u8>),
    Erased,
    Absent,
}

/// The file. Readers and writers share it. Memory: about 50 bytes per value.
pub(super) struct Values {
    path: PathBuf,
    file: File,
    /// Held for the length of a sync, so that nobody takes another's unfinished sync for done.
    syncing: Mutex<()>,
    tail: Mutex<Tail>,
    index: RwLock<HashMap<[u8; 16], u64>>,
}

struct Tail {
    end: u64,
    capacity: u64,
    durable: u64,
}

/// One frame's head.
struct Head {
    bytes: usize,
    state: u8,
    value_crc: u32,
    key: ValueKey,
    durable: u64,
}

impl Values {
    /// Opens or creates the file; reads all of it.
    pub(super) fn open(path: &Path) -> Result<Self, ValuesError> {
        let io = |source| ValuesError::Io { path: path.to_owned(), source };
        if !path.exists() {
            let mut head = MAGIC.to_vec();
            head.resize(usize::try_from(FILE_HEAD_BYTES).unwrap_or(0), 0);
            create_zeroed(path, &head, FILE_HEAD_BYTES + GROWTH_BYTES).map_err(io)?;
        }
        let file = open_read_write(path).map_err(io)?;
        let capacity = file.metadata().map_err(io)?.len();
        let mut opened = Self {
            path: path.to_owned(),
            file,
            syncing: Mutex::new(()),
            tail: Mutex::new(Tail { end: FILE_HEAD_BYTES, capacity, durable: FILE_HEAD_BYTES }),
            index: RwLock::default(),
        };
        opened.scan()?;
        Ok(opened)
    }

    fn io(&self) -> impl Fn(io::Error) -> ValuesError + use<'_> {
        |source| ValuesError::Io { path: self.path.clone(), source }
    }

    fn scan(&mut self) -> Result<(), ValuesError> {
        let bytes = fs::read(&self.path).map_err(self.io())?;
        if !bytes.starts_with(MAGIC) {
            return Err(ValuesError::Corrupt { path: self.path.clone(), offset: 0 });
        }
        let (mut index, mut at) = (HashMap::new(), to_usize(FILE_HEAD_BYTES));
        loop {
            let rest = bytes.get(at..).unwrap_or(&[]);
            if rest.iter().all(|byte| *byte == 0) {
                break;
            }
            let Some((head, value)) = parse(rest) else {
                let is_known_durable = (0..rest.len())
                    .step_by(8)
                    .filter_map(|skip| parse(rest.get(skip..)?))
                    .any(|(head, _)| head.durable > to_u64(at));
                if is_known_durable {
                    return Err(ValuesError::Corrupt { path: self.path.clone(), offset: to_u64(at) });
                }
                tracing::warn!(path = %self.path.display(), offset = at, "dropped a torn value");
                write_zeros(&self.file, to_u64(at), to_u64(bytes.len())).map_err(self.io())?;
                break;
            };
            index.insert(short(&head.key), to_u64(at));
            if head.state == ERASED && value.iter().any(|byte| *byte != 0) {
                let start = to_u64(at + FRAME_HEAD_BYTES);
                write_zeros(&self.file, start, start + to_u64(value.len())).map_err(self.io())?;
            }
            at += framed(head.bytes);
        }
        self.file.sync_data().map_err(self.io())?;
        let tail = self.tail.get_mut();
        tail.end = to_u64(at);
        tail.durable = tail.end;
        *self.index.get_mut() = index;
        Ok(())
    }

    /// Adds a value, unless the key is there already. Durable after the next [`Values::sync`].
    pub(super) fn put(&self, key: &ValueKey, value: &[u8]) -> Result<(), ValuesError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(ValuesError::TooLong { bytes: value.len() });
        }
        if self.index.read().contains_key(&short(key)) {
            return Ok(());
        }
        let mut tail = self.tail.lock();
        if self.index.read().contains_key(&short(key)) {
            return Ok(());
        }
        let frame = frame(key, value, tail.durable);
        let bytes = to_u64(frame.len());
        if tail.end + bytes > tail.capacity {
            let grown = (tail.end + bytes).next_multiple_of(GROWTH_BYTES) + GROWTH_BYTES;
            write_zeros(&self.file, tail.capacity, grown).map_err(self.io())?;
            tail.capacity = grown;
        }
        self.file.write_all_at(&frame, tail.end).map_err(self.io())?;
        self.index.write().insert(short(key), tail.end);
        tail.end += bytes;
        Ok(())
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &ValueKey) -> Result<Stored, ValuesError> {
        let Some(offset) = self.index.read().get(&short(key)).copied() else { return Ok(Stored::Absent) };
        let corrupt = || ValuesError::Corrupt { path: self.path.clone(), offset };
        let mut frame = vec![0; FRAME_HEAD_BYTES];
        self.file.read_exact_at(&mut frame, offset).map_err(self.io())?;
        let head = parse_head(&frame).ok_or_else(corrupt)?;
        if head.key != *key {
            return Ok(Stored::Absent);
        }
        if head.state == ERASED {
            return Ok(Stored::Erased);
        }
        frame.resize(framed(head.bytes), 0);
        self.file.read_exact_at(&mut frame, offset).map_err(self.io())?;
        match parse(&frame) {
            // Erased between the two reads.
            Some((head, _)) if head.state == ERASED => Ok(Stored::Erased),
            Some((_, value)) => Ok(Stored::Live(value.to_owned())),
            None => Err(corrupt()),
        }
    }

    /// Overwrites the value of a key with zeros; durable when it returns. Says whether there was one.
    pub(super) fn erase(&self, key: &ValueKey) -> Result<bool, ValuesError> {
        if !matches!(self.get(key)?, Stored::Live(_)) {
            return Ok(false);
        }
        let Some(offset) = self.index.read().get(&short(key)).copied() else { return Ok(false) };
        let mut head = [0; FRAME_HEAD_BYTES];
        self.file.read_exact_at(&mut head, offset).map_err(self.io())?;
        let bytes = parse_head(&head).map_or(0, |head| to_u64(head.bytes));
        self.file.write_all_at(&[ERASED], offset + 8).map_err(self.io())?;
        self.sync_all().map_err(self.io())?;
        let start = offset + to_u64(FRAME_HEAD_BYTES);
        write_zeros(&self.file, start, start + bytes).map_err(self.io())?;
        self.sync_all().map_err(self.io())?;
        Ok(true)
    }

    /// Every live value, in the order they were put, until `visit` says false.
    pub(super) fn each(&self, mut visit: impl FnMut(&ValueKey, &[u8]) -> bool) -> Result<(), ValuesError> {
        let end = self.tail.lock().end;
        let mut at = FILE_HEAD_BYTES;
        let mut frame = Vec::new();
        while at < end {
            let corrupt = || ValuesError::Corrupt { path: self.path.clone(), offset: at };
            frame.resize(FRAME_HEAD_BYTES, 0);
            self.file.read_exact_at(&mut frame, at).map_err(self.io())?;
            let head = parse_head(&frame).ok_or_else(corrupt)?;
            if head.state == LIVE {
                frame.resize(framed(head.bytes), 0);
                self.file.read_exact_at(&mut frame, at).map_err(self.io())?;
                let (head, value) = parse(&frame).ok_or_else(corrupt)?;
                if head.state == LIVE && !visit(&head.key, value) {
                    break;
                }
            }
            at += to_u64(framed(head.bytes));
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let _syncing = self.syncing.lock();
        let end = self.tail.lock().end;
        self.file.sync_data()?;
        let mut tail = self.tail.lock();
        tail.durable = tail.durable.max(end);
        Ok(())
    }
}

impl SyncedTogether for Values {
    fn is_dirty(&self) -> bool {
        let tail = self.tail.lock();
        tail.durable < tail.end
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A store that several owners share.
pub(super) type SharedValues = Arc<Values>;

fn frame(key: &ValueKey, value: &[u8], durable: u64) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or_else(|_| unreachable!("values are at most 256 KiB"));
    let tail = [&key[..], &durable.to_le_bytes()].concat();
    let mut frame = Vec::with_capacity(framed(value.len()));
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&head_crc(length, &tail).to_le_bytes());
    frame.extend_from_slice(&[LIVE, 0, 0, 0]);
    frame.extend_from_slice(&crc32c(value).to_le_bytes());
    frame.extend_from_slice(&tail);
    frame.extend_from_slice(value);
    frame.resize(framed(value.len()), 0);
    frame
}

fn parse_head(bytes: &[u8]) -> Option<Head> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let ([state, ..], rest) = rest.split_first_chunk::<4>()?;
    let (value_crc, rest) = rest.split_first_chunk::<4>()?;
    let tail = rest.get(..40)?;
    let (key, durable) = tail.split_first_chunk::<32>()?;
    let length = u32::from_le_bytes(*length);
    let is_whole = head_crc(length, tail) == u32::from_le_bytes(*crc) && (*state == LIVE || *state == ERASED);
    let bytes = usize::try_from(length).ok().filter(|bytes| is_whole && *bytes <= VALUE_BYTES_MAX)?;
    let durable = u64::from_le_bytes(*durable.first_chunk::<8>()?);
    Some(Head { bytes, state: *state, value_crc: u32::from_le_bytes(*value_crc), key: *key, durable })
}

/// A whole frame: its head and its value. The value of an erased frame may be half zeros.
fn parse(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let head = parse_head(bytes)?;
    let value = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + head.bytes)?;
    let is_whole = head.state == ERASED || crc32c(value) == head.value_crc;
    is_whole.then_some((head, value))
}

const fn framed(value_bytes: usize) -> usize {
    (FRAME_HEAD_BYTES + value_bytes).next_multiple_of(8)
}

fn head_crc(length: u32, tail: &[u8]) -> u32 {
    crc32c(&[&length.to_le_bytes(), tail].concat())
}

fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or(0)
}

/// Keys are digests, so that half of one tells them apart; [`Values::get`] compares the whole.
fn short(key: &ValueKey) -> [u8; 16] {
    key.first_chunk::<16>().copied().unwrap_or_default()
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> ValueKey {
        [n; 32]
    }

    fn filled(path: &Path) -> Values {
        let values = Values::open(path).unwrap();
        for n in 1..=3 {
            values.put(&key(n), format!("value of {n}").as_bytes()).unwrap();
            values.sync().unwrap();
        }
        values
    }

    #[test]
    fn values_are_found_again_after_a_restart_and_grow_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        let values = filled(&path);
        values.put(&key(9), &vec![7; VALUE_BYTES_MAX]).unwrap();
        for n in 10..20 {
            values.put(&key(n), &vec![n; 200_000]).unwrap();
        }
        values.sync().unwrap();
        drop(values);
        let values = Values::open(&path).unwrap();
        assert_eq!(values.get(&key(2)).unwrap(), Stored::Live(b"value of 2".to_vec()));
        assert_eq!(values.get(&key(19)).unwrap(), Stored::Live(vec![19; 200_000]));
        assert_eq!(values.get(&key(99)).unwrap(), Stored::Absent);
        let mut keys = Vec::new();
        values
            .each(|key, _| {
                keys.push(key[0]);
                true
            })
            .unwrap();
        assert_eq!(keys, [1, 2, 3, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn an_erased_value_is_gone_from_the_file_and_stays_erased() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        let values = filled(&path);
        assert!(values.erase(&key(2)).unwrap());
        assert!(!values.erase(&key(2)).unwrap());
        assert_eq!(values.get(&key(2)).unwrap(), Stored::Erased);
        let on_disk = fs::read(&path).unwrap();
        assert!(!on_disk.windows(10).any(|window| window == b"value of 2"));
        assert!(on_disk.windows(10).any(|window| window == b"value of 3"));
        drop(values);
        let values = Values::open(&path).unwrap();
        assert_eq!(values.get(&key(2)).unwrap(), Stored::Erased);
        assert_eq!(values.get(&key(3)).unwrap(), Stored::Live(b"value of 3".to_vec()));
    }

    #[test]
    fn an_erasure_that_a_crash_cut_short_is_finished_at_the_next_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        drop(filled(&path));
        let second = FILE_HEAD_BYTES + to_u64(framed(10));
        let file = open_read_write(&path).unwrap();
        file.write_all_at(&[ERASED], second + 8).unwrap();
        drop(file);
        drop(Values::open(&path).unwrap());
        assert!(!fs::read(&path).unwrap().windows(10).any(|window| window == b"value of 2"));
    }

    #[test]
    fn a_torn_last_value_is_dropped_wherever_it_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        drop(filled(&path));
        let whole = fs::read(&path).unwrap();
        let third = to_usize(FILE_HEAD_BYTES) + 2 * framed(10);
        for cut in third..third + framed(10) - 6 {
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            fs::write(&path, &torn).unwrap();
            let values = Values::open(&path).unwrap();
            assert_eq!(values.get(&key(3)).unwrap(), Stored::Absent, "cut at {cut}");
            assert_eq!(values.get(&key(2)).unwrap(), Stored::Live(b"value of 2".to_vec()));
            values.put(&key(3), b"value of 3").unwrap();
            assert_eq!(values.get(&key(3)).unwrap(), Stored::Live(b"value of 3".to_vec()));
        }
    }

    #[test]
    fn a_changed_byte_before_a_durable_value_is_refused_by_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        drop(filled(&path));
        let whole = fs::read(&path).unwrap();
        let second = to_usize(FILE_HEAD_BYTES) + framed(10);
        for at in (second..second + FRAME_HEAD_BYTES + 10).filter(|at| !(second + 8..second + 12).contains(at)) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let error = Values::open(&path).map(drop).unwrap_err();
            assert!(matches!(error, ValuesError::Corrupt { offset, .. } if offset == to_u64(second)), "byte {at}");
        }
    }
}
