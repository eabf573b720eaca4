//! Folders that are measured in, and whether the disk holds what is to be written.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::stopwatch::float;

/// Bytes per GiB.
pub(crate) const GIB: f64 = 1_073_741_824.0;

/// Makes `folder`, with nothing in it.
pub(crate) fn empty(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made: give --data-dir", folder.display()))
}

/// Removes `folder` and everything in it.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

/// An error if fewer than `bytes` are free where `folder` is.
pub(crate) fn must_hold(folder: &Path, bytes: u64) -> Result<()> {
    let found = rustix::fs::statvfs(folder).with_context(|| format!("{} cannot be looked at", folder.display()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < bytes {
        bail!(
            "{} has {:.1} GiB free and {:.1} are needed: give --data-dir on another disk, or a smaller --upload-gib",
            folder.display(),
            float(free) / GIB,
            float(bytes) / GIB
        );
    }
    Ok(())
}
