//! The file system under the segment files: O_DIRECT where it is to be had, buffered writes where it is refused.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate, statvfs};

/// Where segment files are written. Two implementations: [`RealDisk`], and the faulty one of the tests.
///
/// Errors are the operating system's. After a failed [`SegmentWriter::sync`] nobody may sync again: the kernel has
/// forgotten which pages were lost (PostgreSQL's "fsyncgate", 2018), so the process must end.
pub(crate) trait Disk: Send {
    /// Opens `path` for writing, creating it if there is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentWriter>>;
    /// Bytes that the file system of `directory` still has for us.
    fn available_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// One segment file that is being written.
pub(crate) trait SegmentWriter: Send {
    /// Makes the file at least `end` bytes long; `[start, end)` is zeros with space of its own. Not from the beginning:
    /// that would take back what was punched out.
    fn allocate(&mut self, start: u64, end: u64) -> io::Result<()>;
    /// Writes whole blocks at a block boundary, all of them.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentWriter>> {
        let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(direct).open(path);
        let (file, direct) = match opened {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => (open_buffered(path)?, false),
            Err(error) => return Err(error),
        };
        Ok(Box::new(RealWriter { file, direct, path: path.to_owned() }))
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        let file_system = statvfs(directory)?;
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }
}

struct RealWriter {
    file: File,
    direct: bool,
    path: PathBuf,
}

impl SegmentWriter for RealWriter {
    fn allocate(&mut self, start: u64, end: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), start, end.saturating_sub(start)) {
            Ok(()) => Ok(()),
            // No fallocate on this file system: the writes themselves will find the space, or not.
            Err(error) if unsupported(error.into()) => {
                if self.file.metadata()?.len() < end {
                    self.file.set_len(end)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.file.write_all_at(bytes, offset) {
            // Some file systems take O_DIRECT at open and refuse it at the write.
            Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => {
                tracing::warn!(path = %self.path.display(), "direct writes are refused here: falling back to buffered ones");
                self.file = open_buffered(&self.path)?;
                self.direct = false;
                self.file.write_all_at(bytes, offset)
            }
            other => other,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn open_buffered(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Gives the blocks of `[start, end)` back to the file system; the bytes that were given back: whole blocks only.
/// Zero where the file system cannot do it: the space then stays taken until the file goes.
pub(crate) fn punch_hole(path: &Path, start: u64, end: u64, block_bytes: u64) -> io::Result<u64> {
    let (first, last) = (start.div_ceil(block_bytes) * block_bytes, end / block_bytes * block_bytes);
    if first >= last {
        return Ok(0);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    let bytes = last - first;
    match fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, first, bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if unsupported(error.into()) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Makes a directory's entries durable: a new file is not there until its directory is synced.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn unsupported(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// Whether `error` says that there is no space: an answer for the client, not a fault of the disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_punched_hole_reads_as_zeros_and_leaves_its_neighbours() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![7; 5 * 4096]).unwrap();
        let given_back = punch_hole(&path, 100, 3 * 4096 + 50, 4096).unwrap();
        assert!(given_back == 2 * 4096 || given_back == 0);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 5 * 4096);
        assert!(bytes[..4096].iter().chain(&bytes[3 * 4096..]).all(|byte| *byte == 7));
        if given_back > 0 {
            assert!(bytes[4096..3 * 4096].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_directory_without_direct_writes_is_written_all_the_same() {
        // /dev/shm is tmpfs, which refused O_DIRECT before Linux 6.6.
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = directory.path().join("file");
        let mut writer = RealDisk.open(&path).unwrap();
        writer.allocate(0, 1 << 16).unwrap();
        let mut buffer = vec![3; 3 * 4096];
        let start = buffer.as_ptr().align_offset(4096);
        writer.write_at(&buffer[start..start + 4096], 4096).unwrap();
        writer.sync().unwrap();
        buffer.truncate(4096);
        assert_eq!(std::fs::read(&path).unwrap()[4096..8192], buffer);
    }
}
