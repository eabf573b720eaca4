//! What opening a log does with what it finds.

use std::collections::BTreeSet;
use std::path::Path;

use domicile_types::{Commitment, Entry, Intent, Outcome, OutcomeStatus};
use serde::Deserialize;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::commit::POSITION_EVERY;
use super::examine::{Examined, Examiner, LogFault, read_checkpoint};
use super::log::OpenError;
use super::note::{NoteSigner, VerifierKey};
use super::read::ReadError;
use super::tree::EdgeTree;
use super::wal::{Position, SEGMENT_HEAD_BYTES, WalDir, WalEnd, WalFault};

/// A log whose files are whole.
pub(super) struct Replayed {
    pub(super) examined: Examined,
    pub(super) end: WalEnd,
    /// Where the first leaf that is not published stands.
    pub(super) next: Position,
    /// Where leaf `256 * n` stands, for published leaves.
    pub(super) positions: Vec<Position>,
    /// Intents without outcome, ascending.
    pub(super) open_intents: Vec<u64>,
    /// What was recorded as erased.
    pub(super) erased: Vec<Commitment>,
}

/// Just enough of a record to pair intents and outcomes.
#[derive(Deserialize)]
struct Peek<'a> {
    kind: &'a str,
    /// Of an outcome: the intent's index.
    #[serde(default)]
    intent: Option<u64>,
    /// Of an erasure: what was erased.
    #[serde(default)]
    commitment: Option<Commitment>,
}

/// Reads and checks everything.
pub(super) fn replay(dir: &Path, log: &VerifierKey) -> Result<Replayed, OpenError> {
    let published = read_checkpoint(dir, log)?;
    let published_size = published.as_ref().map_or(0, SignedCheckpoint::size);
    let mut examiner = Examiner::new(dir, published, Vec::new());
    let (mut positions, mut open, mut erased) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut next = None;
    let end = WalDir::new(dir).scan(|frame| -> Result<(), OpenError> {
        if frame.index < published_size {
            if frame.index.is_multiple_of(POSITION_EVERY) {
                positions.push(frame.position);
            }
        } else {
            next.get_or_insert(frame.position);
        }
        let peek: Peek<'_> = serde_json::from_slice(frame.leaf)
            .map_err(|source| OpenError::Unreadable { index: frame.index, source })?;
        match (peek.kind, peek.intent, peek.commitment) {
            ("intent", _, _) => drop(open.insert(frame.index)),
            ("outcome", Some(intent), _) => drop(open.remove(&intent)),
            ("erased", _, Some(commitment)) => erased.push(commitment),
            _ => {}
        }
        Ok(examiner.leaf(frame.leaf)?)
    })?;
    if end.size < published_size && end.torn_bytes > 0 {
        let path = WalDir::new(dir).path(end.position.segment);
        let reason = "it is torn, although a signed checkpoint covers it";
        let fault = WalFault::CorruptEntry { index: end.size, path, offset: end.position.offset, reason };
        return Err(LogFault::from(fault).into());
    }
    let examined = examiner.finish()?;
    if end.torn_bytes > 0 {
        tracing::warn!(entries = end.size, bytes = end.torn_bytes, "dropped a torn batch at the end of the audit log");
    }
    let start = Position { segment: 0, offset: SEGMENT_HEAD_BYTES };
    let next = next.unwrap_or(if end.size == 0 { start } else { end.position });
    Ok(Replayed { examined, end, next, positions, open_intents: open.into_iter().collect(), erased })
}

/// Signs for everything that was found.
pub(super) fn sign_head(tree: &EdgeTree, signer: &NoteSigner) -> SignedCheckpoint {
    let origin = signer.verifier().name().clone();
    Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(signer)
}

/// The outcome of an intent whose end nobody saw: whatever may have left is taken to have left.
pub(super) fn assumed_whole(index: u64, intent: &Intent) -> Entry {
    let bytes = intent.range.map_or(0, |(start, end)| end.saturating_sub(start));
    Entry::Outcome(Outcome { intent: index, status: OutcomeStatus::AssumedWhole, bytes, http_status: 0 })
}

pub(super) fn unreadable(index: u64, error: ReadError) -> OpenError {
    match error {
        ReadError::Wal(fault) => fault.into(),
        ReadError::Unreadable { source, .. } => OpenError::Unreadable { index, source },
        ReadError::Beyond { .. } | ReadError::Tile(_) | ReadError::Publish(_) => {
            unreachable!("entry {index} was read a moment ago")
        }
    }
}
