//! Where a data directory lies: a copy of it is noticed, because a copy remembers what tickets spent only up to when it was
//! made.
//!
//! What a store holds is bound to its node's identity by every segment file's header. This here notices the rest: the same
//! directory, identity and all, in another place. Moving it is fine, so it starts; but no earlier ticket is believed, and the
//! operator is told what a second copy would mean.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::fstatvfs;

use crate::database::{Database, DatabaseError, Table};

const WHEREABOUTS: &[u8] = b"whereabouts";

/// What names the place of `directory`: the machine, the file system, and a file in it that stays for good. Survives restarts
/// and renaming; a copy differs.
pub(crate) fn whereabouts(directory: &Path) -> io::Result<Vec<u8>> {
    let lock = File::open(directory.join("lock"))?;
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let inode = lock.metadata()?.ino().to_le_bytes();
    let file_system = fstatvfs(&lock)?.f_fsid.to_le_bytes();
    Ok([&inode[..], &file_system, machine.trim_ascii()].concat())
}

/// Whether the directory is elsewhere than at its last start. Takes note of where it is.
pub(crate) fn has_moved(database: &Database, here: &[u8]) -> Result<bool, DatabaseError> {
    let before = database.get(Table::Meta, WHEREABOUTS)?;
    if before.as_deref() == Some(here) {
        return Ok(false);
    }
    database.put(Table::Meta, WHEREABOUTS, here)?;
    Ok(before.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_directory_is_elsewhere_and_a_renamed_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let (first, renamed, copy) = (parent.path().join("a"), parent.path().join("b"), parent.path().join("c"));
        for directory in [&first, &copy] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("lock"), "").unwrap();
        }
        let database = Database::open(&parent.path().join("index"), true).unwrap();
        assert!(!has_moved(&database, &whereabouts(&first).unwrap()).unwrap(), "the first start");
        assert!(!has_moved(&database, &whereabouts(&first).unwrap()).unwrap());
        std::fs::rename(&first, &renamed).unwrap();
        assert!(!has_moved(&database, &whereabouts(&renamed).unwrap()).unwrap());
        assert!(has_moved(&database, &whereabouts(&copy).unwrap()).unwrap());
        assert!(!has_moved(&database, &whereabouts(&copy).unwrap()).unwrap(), "noted");
    }
}
