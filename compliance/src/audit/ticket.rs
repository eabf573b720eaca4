//! Tickets: what a node demands before it touches a shard, and how it checks one.
//!
//! ```text
//! base64url(entry) "." base64url(tlog-proof)        unpadded; the value of the header `domicile-ticket`
//! ```
//!
//! A ticket is the intent's leaf and the proof that it is in the gateway's log. It is not secret and not single-use:
//! what bounds its use is its place list, its expiry, and the byte budget that a node counts by [`VerifiedTicket::leaf_hash`].

use std::collections::HashSet;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use domicile_types::{ENTRY_BYTES_MAX, Entry, Intent, Record, UnixMillis, Verdict};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::note::VerifierKey;
use super::proof::{LogProof, PROOF_BYTES_MAX, ProofError};
use super::tree::TreeHash;

/// The longest ticket, in bytes: both parts at their longest, in base64, and the dot.
pub const TICKET_BYTES_MAX: usize = (ENTRY_BYTES_MAX + PROOF_BYTES_MAX) * 4 / 3 + 8;

/// An entry with its proof. Parsed, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    entry: Arc<[u8]>,
    proof: LogProof,
}

/// Why a ticket opens nothing. Each is a different refusal for a node to count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Longer than any ticket.
    #[error("the ticket has {bytes} bytes, more than {TICKET_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not of the form of a ticket.
    #[error("not a ticket: {rule}")]
    Malformed {
        /// What is missing.
        rule: &'static str,
    },
    /// The proof does not parse, or does not prove.
    #[error("the ticket is forged or damaged")]
    Forged(#[source] ProofError),
    /// The checkpoint is of a log that this node does not serve.
    #[error("the ticket is of the log {origin}, which this node does not serve")]
    UnknownLog {
        /// The origin line of its checkpoint.
        origin: String,
    },
    /// The entry is in the log, and is no intent that was allowed.
    #[error("the entry is no allowed intent: it is {kind}")]
    NotAnIntent {
        /// What it is.
        kind: &'static str,
    },
    /// The entry does not name the gateway whose log it is in.
    #[error("the entry is of another gateway than the log it is in")]
    OtherGateway,
    /// Its time is over.
    #[error("the ticket ended at {expires}, now it is {now}")]
    Expired {
        /// When it ended.
        expires: UnixMillis,
        /// The node's time.
        now: UnixMillis,
    },
    /// It is dated later than the node's clock allows.
    #[error("the ticket is of {issued}, now it is {now}: the clocks of gateway and node differ too much")]
    NotYet {
        /// When the entry was recorded, by the gateway's clock.
        issued: UnixMillis,
        /// The node's time.
        now: UnixMillis,
    },
    /// It is from before the node started: what it has been used for is forgotten.
    #[error("the ticket is of {issued}, before this node began to count at {not_before}: ask with a new one")]
    BeforeStart {
        /// When the entry was recorded.
        issued: UnixMillis,
        /// When the node began to count.
        not_before: UnixMillis,
    },
    /// It runs longer than a node remembers budgets.
    #[error("the ticket runs for {millis} ms, longer than {max} ms")]
    TooLongLived {
        /// Its lifetime.
        millis: u64,
        /// The node's limit.
        max: u64,
    },
}

impl Ticket {
    /// From an entry's bytes and its proof.
    #[must_use]
    pub fn new(entry: &[u8], proof: LogProof) -> Self {
        Self { entry: entry.into(), proof }
    }

    /// Parses the wire text; the size is checked before anything is decoded.
    pub fn parse(text: &str) -> Result<Self, TicketError> {
        if text.len() > TICKET_BYTES_MAX {
            return Err(TicketError::TooLong { bytes: text.len() });
        }
        let malformed = |rule| TicketError::Malformed { rule };
        let (entry, proof) = text.split_once('.').ok_or_else(|| malformed("it has no dot"))?;
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes());
        let entry = decode(entry).map_err(|_| malformed("its entry is not base64url"))?;
        let proof = decode(proof).map_err(|_| malformed("its proof is not base64url"))?;
        if entry.is_empty() || entry.len() > ENTRY_BYTES_MAX {
            return Err(malformed("its entry is not of 1 to 8192 bytes"));
        }
        let proof = std::str::from_utf8(&proof).map_err(|_| malformed("its proof is not text"))?;
        Ok(Self { entry: entry.into(), proof: LogProof::parse(proof).map_err(TicketError::Forged)? })
    }

    /// The entry's bytes, as the log holds them.
    #[must_use]
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The proof.
    #[must_use]
    pub const fn proof(&self) -> &LogProof {
        &self.proof
    }

    /// The hash of the leaf: the ticket's identity. Receipts name it.
    #[must_use]
    pub fn leaf_hash(&self) -> TreeHash {
        TreeHash::of_leaf(&self.entry)
    }
}

impl fmt::Display for Ticket {
    /// The wire text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = self.proof.to_string();
        write!(f, "{}.{}", BASE64URL_NOPAD.encode(&self.entry), BASE64URL_NOPAD.encode(proof.as_bytes()))
    }
}

/// By what a node judges the time of a ticket. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketRules {
    /// Since when this node counts budgets: its start. Older tickets may have been used up before, so they are refused.
    pub not_before: UnixMillis,
    /// How far the clocks of gateway and node may differ.
    pub skew_millis_max: u64,
    /// The longest lifetime of a ticket: how long a node must remember what it served under one.
    pub lifetime_millis_max: u64,
}

impl TicketRules {
    /// The rules of a node that starts at `not_before`: 30 seconds of skew, tickets of 6 hours at the most.
    #[must_use]
    pub const fn starting_at(not_before: UnixMillis) -> Self {
        Self { not_before, skew_millis_max: 30_000, lifetime_millis_max: 6 * 3_600_000 }
    }
}

/// How many checkpoints a verifier remembers as verified. One is 72 bytes.
const CHECKPOINTS_REMEMBERED_MAX: usize = 4096;

/// A node's check of the tickets of one gateway.
#[derive(Debug)]
pub struct TicketVerifier {
    log: VerifierKey,
    gateway: domicile_types::NodeId,
    rules: TicketRules,
    verified: Mutex<Remembered>,
}

/// SHA-256 of checkpoints whose signature was verified, the oldest first.
#[derive(Debug, Default)]
struct Remembered {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

/// A ticket that may be believed. Whether it fits the shard, the node's place and the verb is the node's to check.
#[derive(Debug, Clone)]
pub struct VerifiedTicket {
    /// Who, when, which request.
    pub record: Arc<Record>,
    /// The ticket's identity: what budgets are counted by.
    pub leaf_hash: TreeHash,
    /// The intent's index in the gateway's log.
    pub index: u64,
    /// What proves it. A node keeps the largest it sees ([`CheckpointMemory`](super::CheckpointMemory)).
    pub checkpoint: Arc<SignedCheckpoint>,
    intent: Intent,
}

impl VerifiedTicket {
    /// What was allowed.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }
}

impl TicketVerifier {
    /// Checks tickets of the gateway whose log has the key `log` and whose entries name `gateway`.
    #[must_use]
    pub fn new(log: VerifierKey, gateway: domicile_types::NodeId, rules: TicketRules) -> Self {
        Self { log, gateway, rules, verified: Mutex::default() }
    }

    /// The log's key.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// Whether the ticket's entry is in the gateway's log, was an allowed intent, and is in force at `now`.
    pub fn verify(&self, ticket: &Ticket, now: UnixMillis) -> Result<VerifiedTicket, TicketError> {
        let checkpoint = &ticket.proof.checkpoint;
        self.verify_checkpoint(checkpoint)?;
        let leaf_hash = ticket.leaf_hash();
        ticket.proof.verify_inclusion(&leaf_hash).map_err(TicketError::Forged)?;
        let malformed = |_| TicketError::Malformed { rule: "its entry is not a record of this version" };
        let record: Record = serde_json::from_slice(&ticket.entry).map_err(malformed)?;
        let intent = self.judge(&record, now)?.clone();
        Ok(VerifiedTicket {
            record: Arc::new(record),
            leaf_hash,
            index: ticket.proof.index,
            checkpoint: Arc::clone(checkpoint),
            intent,
        })
    }

    fn verify_checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), TicketError> {
        let digest: [u8; 32] = Sha256::digest(checkpoint.to_string()).into();
        if self.verified.lock().known.contains(&digest) {
            return Ok(());
        }
        checkpoint.verify(&self.log).map_err(|error| match error {
            CheckpointError::OtherLog { actual, .. } => TicketError::UnknownLog { origin: actual.to_string() },
            error => TicketError::Forged(error.into()),
        })?;
        let mut verified = self.verified.lock();
        if verified.known.insert(digest) {
            verified.order.push_back(digest);
        }
        if verified.order.len() > CHECKPOINTS_REMEMBERED_MAX
            && let Some(oldest) = verified.order.pop_front()
        {
            verified.known.remove(&oldest);
        }
        Ok(())
    }

    fn judge<'a>(&self, record: &'a Record, now: UnixMillis) -> Result<&'a Intent, TicketError> {
        let intent = match &record.entry {
            Entry::Intent(intent) if intent.decision.verdict == Verdict::Allow => intent,
            Entry::Intent(_) => return Err(TicketError::NotAnIntent { kind: "denied" }),
            entry => return Err(TicketError::NotAnIntent { kind: entry.kind() }),
        };
        if record.v != Record::VERSION {
            return Err(TicketError::Malformed { rule: "its entry is not a record of this version" });
        }
        if record.gateway != self.gateway {
            return Err(TicketError::OtherGateway);
        }
        let (issued, expires, rules) = (record.time, intent.expires, &self.rules);
        if issued < rules.not_before {
            return Err(TicketError::BeforeStart { issued, not_before: rules.not_before });
        }
        if issued > now.plus_millis(rules.skew_millis_max) {
            return Err(TicketError::NotYet { issued, now });
        }
        if now > expires.plus_millis(rules.skew_millis_max) {
            return Err(TicketError::Expired { expires, now });
        }
        let millis = expires.millis_since(issued);
        if millis > rules.lifetime_millis_max {
            return Err(TicketError::TooLongLived { millis, max: rules.lifetime_millis_max });
        }
        Ok(intent)
    }
}
