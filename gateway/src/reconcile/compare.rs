//! The tickets that nodes kept, held against the log: pure.

use std::collections::{BTreeMap, BTreeSet};

use domicile_node_protocol::{KeptTicket, LeafHash};
use domicile_types::{Entry, Outcome, OutcomeStatus, Record, RequestId, UnixMillis};

/// What does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// A node acted on a ticket that the log has no entry for.
    NoEntry,
    /// At its index the log has another entry.
    OtherEntry,
    /// The entry opens no shard: it is no intent, or names no data.
    NoTicket,
    /// A node moved more than the entry allows one.
    Overspent,
    /// Bytes moved, says the log, and no node that was asked knows of it.
    Unseen,
}

impl Fault {
    /// The incident's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoEntry => "ticket-without-entry",
            Self::OtherEntry => "ticket-of-another-entry",
            Self::NoTicket => "ticket-of-no-intent",
            Self::Overspent => "ticket-overspent",
            Self::Unseen => "entry-without-ticket",
        }
    }
}

/// What is needed of an entry that is an intent with data.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    request: RequestId,
    time: UnixMillis,
    node_bytes_max: u64,
}

/// Some consecutive entries of the log, as tickets see them.
#[derive(Debug, Default)]
pub(crate) struct Window {
    leaves: BTreeMap<u64, LeafHash>,
    terms: BTreeMap<u64, Terms>,
    /// Plaintext bytes that moved, by the intent that they moved under.
    moved: BTreeMap<u64, u64>,
}

impl Window {
    /// Takes in the entry at `index`.
    pub(crate) fn add(&mut self, index: u64, leaf: LeafHash, record: &Record) {
        self.leaves.insert(index, leaf);
        match &record.entry {
            Entry::Intent(intent) if intent.data.is_some() => {
                let node_bytes_max = intent.budget.node_bytes_max;
                self.terms.insert(index, Terms { request: record.request, time: record.time, node_bytes_max });
            }
            Entry::Outcome(Outcome { intent, status: OutcomeStatus::Completed, bytes, .. }) if *bytes > 0 => {
                self.moved.insert(*intent, *bytes);
            }
            _ => {}
        }
    }

    /// Whose request an entry is.
    pub(crate) fn request(&self, index: u64) -> Option<RequestId> {
        self.terms.get(&index).map(|terms| terms.request)
    }

    /// What is wrong with a ticket that a node kept. `len`: how many entries the log has. A ticket outside of the window is
    /// looked at with another.
    pub(crate) fn examine(&self, ticket: &KeptTicket, len: u64) -> Option<Fault> {
        if ticket.index >= len {
            return Some(Fault::NoEntry);
        }
        let leaf = self.leaves.get(&ticket.index)?;
        if *leaf != ticket.leaf {
            return Some(Fault::OtherEntry);
        }
        let Some(terms) = self.terms.get(&ticket.index) else { return Some(Fault::NoTicket) };
        (ticket.spent_bytes > terms.node_bytes_max).then_some(Fault::Overspent)
    }

    /// Intents under which bytes moved, says the log, and of which no node has a ticket: `seen` are those that some node has.
    /// A request that reads around a failed node has several intents; one ticket stands for all of them.
    /// Entries from before `since` are left out: nodes forget tickets that are long over.
    pub(crate) fn unseen(&self, seen: &BTreeSet<u64>, since: UnixMillis) -> Vec<u64> {
        let witnessed: BTreeSet<RequestId> = seen.iter().filter_map(|index| self.request(*index)).collect();
        let is_unseen = |index: &&u64| {
            // What names no bytes for nodes moves none: a copy that shares, a deletion, a judgement made again.
            let moves = |terms: &Terms| terms.node_bytes_max > 0 && terms.time >= since;
            self.terms.get(index).is_some_and(|terms| moves(terms) && !witnessed.contains(&terms.request))
        };
        self.moved.keys().filter(is_unseen).copied().collect()
    }
}
