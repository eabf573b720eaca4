//! What a log is opened with.

use std::sync::Arc;

use domicile_types::{IdentityKey, NodeId, PackVersion, UnixMillis};

use super::commit::OnFatal;
use super::note::{KeyName, NoteError, NoteSigner};
use super::wal::{OpenDevice, open_file};

/// Reads the gateway's clock.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Bounds of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of one file of the write-ahead log; written with zeros ahead of use. At least 64 KiB.
    pub segment_bytes: u64,
    /// Bytes that the write-ahead log may take in all.
    pub log_bytes_max: u64,
    /// Bytes of that kept for outcomes, incidents and erasures. At most half a segment.
    pub reserve_bytes: u64,
    /// Intents and denials that may wait for the committer.
    pub queue_entries_max: usize,
    /// The shortest time between two publications of tiles and checkpoint, in milliseconds.
    pub publish_millis_min: u64,
}

impl Default for LogLimits {
    /// Segments of 32 MiB (3 seconds at 10,000 entries a second), 256 GiB in all, 4 MiB kept, 16,384 waiting, 1 s.
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            log_bytes_max: 256 << 30,
            reserve_bytes: 4 << 20,
            queue_entries_max: 16_384,
            publish_millis_min: 1000,
        }
    }
}

/// What a log is opened with.
pub struct LogConfig {
    /// The log's name: a schema-less URL without spaces and `+`.
    pub origin: KeyName,
    /// Signs the checkpoints.
    pub signer: NoteSigner,
    /// Whose log it is.
    pub gateway: NodeId,
    /// The packs that the gateway judges by: recorded at every start.
    pub packs: Vec<PackVersion>,
    /// The clock that entries are dated by.
    pub clock: Clock,
    /// Bounds.
    pub limits: LogLimits,
    /// What is done when the disk fails to sync. The default ends the process, which is the only safe answer: after a
    /// failed `fdatasync` the kernel may have dropped what it could not write.
    pub on_fatal: OnFatal,
    pub(super) open_device: OpenDevice,
}

impl LogConfig {
    /// A log named `origin`, signed with the gateway's identity key.
    pub fn new(origin: &str, identity: &IdentityKey, clock: Clock) -> Result<Self, NoteError> {
        let origin = KeyName::parse(origin)?;
        Ok(Self {
            signer: NoteSigner::from_identity(origin.clone(), identity),
            origin,
            gateway: identity.id(),
            packs: Vec::new(),
            clock,
            limits: LogLimits::default(),
            on_fatal: Arc::new(|_| std::process::abort()),
            open_device: Arc::new(open_file),
        })
    }
}

impl LogLimits {
    /// What contradicts itself, if anything does.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let rule = if self.segment_bytes < 64 << 10 || self.segment_bytes > 1 << 30 {
            "segment_bytes is 64 KiB to 1 GiB"
        } else if !self.segment_bytes.is_multiple_of(8) {
            "segment_bytes is a multiple of 8"
        } else if self.reserve_bytes > self.segment_bytes / 2 {
            "reserve_bytes is at most half of segment_bytes"
        } else if self.queue_entries_max == 0 {
            "queue_entries_max is at least 1"
        } else {
            return None;
        };
        Some(rule)
    }
}
