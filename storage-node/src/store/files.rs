//! The segment files by number: their names, their handles for reading, their removal.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::disk::sync_directory;

/// The directory of segment files, with the files that were read from kept open.
pub(crate) struct SegmentFiles {
    directory: PathBuf,
    open: RwLock<HashMap<u32, Arc<File>>>,
}

impl SegmentFiles {
    /// Uses `directory`, creating it if there is none.
    pub(crate) fn new(directory: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory, open: RwLock::new(HashMap::new()) })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, file: u32) -> PathBuf {
        self.directory.join(format!("{file:08}.seg"))
    }

    /// Numbers of the files that are there. Names of other forms are not ours and are left alone.
    pub(crate) fn list(&self) -> io::Result<BTreeSet<u32>> {
        let mut numbers = BTreeSet::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number: Option<u32> =
                name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|stem| stem.parse().ok());
            numbers.extend(number);
        }
        Ok(numbers)
    }

    /// A handle for reading `file`.
    pub(crate) fn handle(&self, file: u32) -> io::Result<Arc<File>> {
        if let Some(handle) = self.open.read().get(&file) {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(File::open(self.path(file))?);
        self.open.write().insert(file, Arc::clone(&handle));
        Ok(handle)
    }

    /// Removes `file`, durably.
    pub(crate) fn remove(&self, file: u32) -> io::Result<()> {
        self.open.write().remove(&file);
        std::fs::remove_file(self.path(file))?;
        sync_directory(&self.directory)
    }
}
