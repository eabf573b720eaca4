//! Whether this node's disk still takes writes.
//!
//! After one failed write or sync nobody knows what is on the disk (the kernel forgets which pages were lost), so nothing
//! more is written in this run: the node serves what it has, takes nothing, and says so. A mark beside the data tells the
//! next start, which then believes no earlier ticket: what was spent of them may not have been written down.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of the mark in a data directory.
const MARK_FILE: &str = "disk-fault";

/// The disk's state, as far as this run knows.
#[derive(Debug)]
pub(crate) struct Health {
    failed: AtomicBool,
    mark: PathBuf,
}

impl Health {
    /// Of the disk under `directory`; sound until something fails.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { failed: AtomicBool::new(false), mark: directory.join(MARK_FILE) }
    }

    /// Whether a write failed in this run.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// A write failed: nothing is written from here on.
    pub(crate) fn fail(&self, error: &(dyn std::error::Error + 'static)) {
        if self.failed.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!(error, "the disk failed a write: serving only, taking nothing; check it, then start again");
        if let Err(error) = std::fs::write(&self.mark, "a write failed\n") {
            tracing::error!(%error, "cannot leave a mark of it either");
        }
    }

    /// Whether an earlier run left a mark.
    pub(crate) fn was_marked(&self) -> bool {
        self.mark.exists()
    }

    /// Takes the mark away: the disk took and synced a write since.
    pub(crate) fn clear_mark(&self) {
        if self.was_marked()
            && let Err(error) = std::fs::remove_file(&self.mark)
        {
            tracing::warn!(%error, "cannot take the mark of a failed write away");
        }
    }
}
