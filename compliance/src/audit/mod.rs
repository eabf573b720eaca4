//! The audit log: entries before and after every operation, in a Merkle log that nodes witness.
//!
//! *In scope*: the C2SP tile log and its proofs (`tree`, `tile`, `note`, `checkpoint`, `proof`), the durable log with its
//! one committing thread (`log`), witnesses of a logged intent, tickets and their check, commitments and the erasable
//! store of what they hide, verification and export.
//!
//! *Out of scope*: what is lawful (`decide`), sockets, and what a node serves for a ticket.

mod bundle;
mod checkpoint;
mod commit;
mod config;
mod cosign;
mod event;
mod examine;
mod export;
mod frame;
mod inputs;
mod intent;
mod log;
mod memory;
mod note;
mod proof;
mod publish;
mod queue;
mod read;
mod recover;
mod replay;
mod side;
mod ticket;
mod tile;
mod tree;
mod values;
mod verify;
mod wal;
mod witness;
mod zeroed;

pub use bundle::{
    BUNDLE_FORMAT, BundleError, BundleFault, BundleReport, BundleRequest, FileNote, LOG_FOLDER, Manifest, Opened,
    SEEN_FILE, entries_between, verify_bundle, write_bundle,
};
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use commit::{Committed, FatalError, OnFatal};
pub use config::{Clock, LogConfig, LogLimits};
pub use cosign::{Cosigner, WitnessKey};
pub use event::Event;
pub use examine::{LogFault, SeenCheckpoint};
pub use export::{ExportError, export};
pub use inputs::{InputStore, InputsError};
pub use intent::{Intending, IntentDraft, LoggedIntent};
pub use log::{Appending, AuditLog, EraseError, KEY_FILE, OpenError, Recovery};
pub use memory::{CheckpointMemory, Observation};
pub use note::{
    KeyName, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, NoteError, NoteSignature, NoteSigner, SignedNote, VerifierKey,
};
pub use proof::{LogProof, PROOF_BYTES_MAX, ProofError};
pub use publish::PublishError;
pub use queue::AppendError;
pub use read::{ReadError, StoredEntry};
pub use replay::{Difference, PackShelf, Replay, ReplayError, Replayer, replay_bundle, replay_log};
pub use side::{CommitmentDomain, Opening, SideError, SideStore};
pub use ticket::{TICKET_BYTES_MAX, Ticket, TicketError, TicketRules, TicketVerifier, VerifiedTicket};
pub use tile::{
    BundleCut, TILE_HEIGHT, TILE_WIDTH, Tile, TileBuilder, TileError, TileKind, TileName, TileReader, bundle_entries,
    read_tile,
};
pub use tree::{
    EdgeTree, NodeSource, NotRemembered, TreeHash, consistency_holds, consistency_path, inclusion_holds,
    inclusion_path, root,
};
pub use values::ValuesError;
pub use verify::{VerifyReport, verify_export, verify_log};
pub use wal::WalFault;
pub use witness::{AddCheckpoint, Refusal, judge_checkpoint};

#[cfg(test)]
#[allow(clippy::as_conversions, reason = "the counts of tests are small")]
mod tests;
