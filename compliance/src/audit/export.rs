//! Copies for an auditor: checkpoint, tiles, bundles and public key, in the layout that every C2SP tool reads.
//!
//! ```text
//! <to>/checkpoint  <to>/log.vkey  <to>/tile/...  [<to>/exported-range]
//! ```
//!
//! A copy of a range holds every hash, and of the entries the bundles that the range touches: what lies outside stays
//! unread by the auditor, and is proved to be what it was all the same.
//!
//! Commitments stay closed: the copy holds no plaintext of the side store.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::checkpoint::SignedCheckpoint;
use super::examine::{CHECKPOINT_FILE, LogFault};
use super::log::{AuditLog, KEY_FILE};
use super::publish::{PublishError, create_dirs};
use super::tile::{TILE_WIDTH, TileKind, TileName};
use super::verify::{RANGE_FILE, VerifyReport, verify_export};
use super::zeroed::replace_file;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is something already.
    #[error("{to} is not empty: name a new directory")]
    NotEmpty {
        /// Where the copy was to go.
        to: PathBuf,
    },
    /// The log cannot be brought to its tiles.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy does not verify.
    #[error("the copy does not verify: the log's tiles are damaged")]
    Damaged(#[from] LogFault),
}

/// Copies the log as of now to `to`, whole or the bundles of a range of entries, and verifies the copy. Blocks on the
/// disk.
pub fn export(log: &AuditLog, to: &Path, range: Option<Range<u64>>) -> Result<VerifyReport, ExportError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ExportError::Io { path: path.clone(), source }
    };
    create_dirs(to).map_err(io(to))?;
    if fs::read_dir(to).map_err(io(to))?.next().is_some() {
        return Err(ExportError::NotEmpty { to: to.to_owned() });
    }
    loop {
        let checkpoint = log.publish()?;
        match copy_tiles(log.dir(), to, &checkpoint, range.as_ref()) {
            Ok(()) => {
                let path = to.join(CHECKPOINT_FILE);
                replace_file(&path, checkpoint.to_string().as_bytes()).map_err(io(&path))?;
                break;
            }
            // A partial tile gave way to a newer one while we copied: begin again from the newer checkpoint.
            Err((_, error)) if error.kind() == io::ErrorKind::NotFound && log.len() > checkpoint.size() => {}
            Err((path, source)) => return Err(ExportError::Io { path, source }),
        }
    }
    if let Some(range) = &range {
        let path = to.join(RANGE_FILE);
        replace_file(&path, format!("{} {}\n", range.start, range.end).as_bytes()).map_err(io(&path))?;
    }
    let path = to.join(KEY_FILE);
    replace_file(&path, format!("{}\n", log.verifier()).as_bytes()).map_err(io(&path))?;
    Ok(verify_export(to, log.verifier(), &[])?)
}

fn copy_tiles(
    from: &Path,
    to: &Path,
    checkpoint: &SignedCheckpoint,
    range: Option<&Range<u64>>,
) -> Result<(), (PathBuf, io::Error)> {
    let is_wanted = |name: &TileName| {
        let first = name.index * u64::from(TILE_WIDTH);
        let touches = |range: &Range<u64>| first < range.end && range.start < first + u64::from(name.width);
        name.kind != TileKind::Entries || range.is_none_or(touches)
    };
    for name in TileName::all(checkpoint.size()).filter(is_wanted) {
        let path = name.path(to);
        let copy = || {
            create_dirs(path.parent().unwrap_or(to))?;
            fs::copy(name.path(from), &path)
        };
        copy().map_err(|error| (name.path(from), error))?;
    }
    Ok(())
}
