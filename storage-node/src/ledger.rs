//! What a node remembers of what it was asked: tickets and what they spent, checkpoints, lease epochs, receipts, counts.
//!
//! All of it is evidence against a gateway (or for it), so it is written down before the answer leaves.

mod counters;
mod memory;
mod pages;
mod retention;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_compliance::audit::VerifiedTicket;
use domicile_node_protocol::{CheckpointSeen, LeafHash, Receipt, ReceiptVerb, Refusal, RefusalCode, SignedReceipt};
use domicile_types::{NodeId, OperationKind, UnixMillis};
use parking_lot::Mutex;

use crate::admission::{Gateways, leaf_of};
use crate::database::{Change, Database, DatabaseError, Table};
use crate::health::Health;

pub(crate) use self::counters::Counters;
use self::memory::{Memories, Seen};

/// Tickets whose spending is kept in memory; all of it is in the database as well.
const TICKETS_CACHED_MAX: usize = 65_536;

/// A node's memory.
pub(crate) struct Ledger {
    database: Arc<Database>,
    state: Mutex<State>,
    health: Arc<Health>,
    /// When the newest ticket of this run was issued: what the gateways' clocks say.
    newest_ticket: AtomicU64,
    pub(crate) counters: Counters,
}

struct State {
    tickets: HashMap<TicketKey, Spending>,
    memories: Memories,
    epochs: HashMap<Vec<u8>, u64>,
}

/// Whose log, and where in it.
type TicketKey = (NodeId, u64);

#[derive(Debug, Clone, Copy)]
struct Spending {
    leaf: LeafHash,
    spent_bytes: u64,
}

/// Why a ticket was not charged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChargeError {
    /// The ticket does not stand.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node cannot write it down, so it does not act on it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What to charge a ticket with.
pub(crate) struct Charge<'a> {
    pub(crate) gateway: NodeId,
    pub(crate) ticket: &'a VerifiedTicket,
    /// As it came, to be kept.
    pub(crate) text: &'a str,
    pub(crate) bytes: u64,
    pub(crate) now: UnixMillis,
}

impl Ledger {
    /// Reads what was remembered of `gateways`.
    pub(crate) fn open(
        database: Arc<Database>,
        gateways: &Gateways,
        health: Arc<Health>,
    ) -> Result<Self, DatabaseError> {
        let memories = Memories::open(Arc::clone(&database), gateways)?;
        let counters = Counters::open(Arc::clone(&database))?;
        let state = State { tickets: HashMap::new(), memories, epochs: HashMap::new() };
        Ok(Self { database, state: Mutex::new(state), health, newest_ticket: AtomicU64::new(0), counters })
    }

    /// Writes evidence down before the answer leaves. A node whose disk fails is just the one that others must read from, so
    /// then memory has to do: the mark that the fault left makes the next start believe no earlier ticket.
    fn keep(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        if changes.is_empty() || self.health.failed() && self.health.was_marked() {
            return Ok(());
        }
        self.database.write(changes).or_else(|error| {
            self.health.fail(&error);
            if self.health.was_marked() { Ok(()) } else { Err(error) }
        })
    }

    /// Takes note of the checkpoint that came with a verified ticket, whatever becomes of the ticket.
    pub(crate) fn witness(&self, gateway: NodeId, ticket: &VerifiedTicket) -> Result<(), ChargeError> {
        let mut changes = Vec::new();
        let seen = {
            let mut state = self.state.lock();
            let seen = state.memories.observe(gateway, &ticket.checkpoint, &mut changes)?;
            self.keep(&changes)?;
            seen
        };
        match seen {
            Seen::Consistent => Ok(()),
            Seen::Forked => {
                let size = ticket.checkpoint.size();
                let message = format!(
                    "the ticket's checkpoint of size {size} contradicts one that this node saw: the log was forked; \
                     both are kept, verify the log"
                );
                tracing::error!(%gateway, size, "a gateway showed two different logs");
                Err(Refusal::new(RefusalCode::ForkedLog, message).into())
            }
        }
    }

    /// Counts `bytes` against the ticket before they move, and keeps the ticket. One at a time: two requests cannot spend
    /// the same bytes.
    pub(crate) fn charge(&self, charge: &Charge<'_>) -> Result<(), ChargeError> {
        let Charge { gateway, ticket, .. } = *charge;
        let mut state = self.state.lock();
        let mut changes = Vec::new();
        self.check_epoch(&mut state, gateway, ticket)?;
        let spending = self.spend(&state, charge, &mut changes)?;
        self.keep(&changes)?;
        self.newest_ticket.fetch_max(ticket.record.time.0, Ordering::Relaxed);
        if state.tickets.len() >= TICKETS_CACHED_MAX {
            if self.health.failed() {
                let message = "the node's disk failed and its memory for tickets is full: use another node";
                return Err(Refusal::new(RefusalCode::Unavailable, message).into());
            }
            state.tickets.clear();
        }
        state.tickets.insert((gateway, ticket.index), spending);
        Ok(())
    }

    /// Gives back what a put was charged with that stored nothing. Never for a read: bytes may have left.
    pub(crate) fn refund(&self, gateway: NodeId, index: u64, bytes: u64) -> Result<(), DatabaseError> {
        let mut state = self.state.lock();
        let Some(mut spending) = self.spending(&state, &(gateway, index))? else { return Ok(()) };
        spending.spent_bytes = spending.spent_bytes.saturating_sub(bytes);
        let value = Some(spending.spent_bytes.to_le_bytes().to_vec());
        self.keep(&[Change { table: Table::Spent, key: ticket_key(&gateway, index), value }])?;
        state.tickets.insert((gateway, index), spending);
        Ok(())
    }

    /// Keeps a receipt for something stored, deleted or proved. Those for what was served are counted in the ticket's spending.
    pub(crate) fn keep_receipt(&self, receipt: &Receipt, signed: &SignedReceipt) -> Result<(), DatabaseError> {
        let verb = verb_code(receipt.verb);
        let time = receipt.time.0.to_be_bytes();
        let key = [&receipt.cid.digest()[..], receipt.data.as_bytes(), &[verb], &time].concat();
        self.keep(&[Change { table: Table::Receipts, key, value: Some(signed.as_str().as_bytes().to_vec()) }])
    }

    /// The largest checkpoint of each gateway that ever showed one.
    pub(crate) fn checkpoints(&self) -> Vec<CheckpointSeen> {
        self.state.lock().memories.largest()
    }

    /// A lease epoch below the largest seen for this kind of work belongs to a worker that lost its lease.
    fn check_epoch(&self, state: &mut State, gateway: NodeId, ticket: &VerifiedTicket) -> Result<(), ChargeError> {
        let (operation, epoch) = (ticket.intent().operation, ticket.intent().epoch);
        if epoch == 0 {
            return Ok(());
        }
        let key = epoch_key(&gateway, operation);
        let seen = match state.epochs.get(&key) {
            Some(seen) => *seen,
            None => {
                let row = self.database.get(Table::Epochs, &key)?;
                row.map(|row| number(Table::Epochs, &row)).transpose()?.unwrap_or(0)
            }
        };
        if epoch < seen {
            let message =
                format!("the ticket's lease epoch is {epoch}, {seen} was seen: the lease passed to another worker");
            return Err(Refusal::new(RefusalCode::StaleEpoch, message).into());
        }
        if epoch > seen {
            // Written at once, whatever becomes of the ticket: the newer lease exists.
            let value = Some(epoch.to_le_bytes().to_vec());
            self.keep(&[Change { table: Table::Epochs, key: key.clone(), value }])?;
        }
        state.epochs.insert(key, epoch);
        Ok(())
    }

    /// What the ticket will have spent; the rows that say so.
    fn spend(&self, state: &State, charge: &Charge<'_>, changes: &mut Vec<Change>) -> Result<Spending, ChargeError> {
        let Charge { gateway, ticket, text, bytes, now } = *charge;
        let leaf = leaf_of(ticket);
        let key = ticket_key(&gateway, ticket.index);
        let known = self.spending(state, &(gateway, ticket.index))?;
        if known.is_some_and(|known| known.leaf != leaf) {
            let message = format!("this node holds another entry {} of this log: the log was forked", ticket.index);
            return Err(Refusal::new(RefusalCode::ForkedLog, message).into());
        }
        let spent_before = known.map_or(0, |known| known.spent_bytes);
        let bytes_max = ticket.intent().budget.node_bytes_max;
        let spent_bytes = spent_before.saturating_add(bytes);
        if spent_bytes > bytes_max {
            let message = format!(
                "{spent_before} of the ticket's {bytes_max} bytes for this node are spent, {bytes} more are asked: \
                 log a new intent"
            );
            return Err(Refusal::new(RefusalCode::ReplayedTicket, message).into());
        }
        if known.is_none() {
            let value = [&leaf.digest()[..], &now.0.to_le_bytes(), text.as_bytes()].concat();
            changes.push(Change { table: Table::Tickets, key: key.clone(), value: Some(value) });
        }
        if known.is_none() || bytes > 0 {
            changes.push(Change { table: Table::Spent, key, value: Some(spent_bytes.to_le_bytes().to_vec()) });
        }
        Ok(Spending { leaf, spent_bytes })
    }

    fn spending(&self, state: &State, key: &TicketKey) -> Result<Option<Spending>, DatabaseError> {
        if let Some(spending) = state.tickets.get(key) {
            return Ok(Some(*spending));
        }
        let row_key = ticket_key(&key.0, key.1);
        let Some(ticket) = self.database.get(Table::Tickets, &row_key)? else { return Ok(None) };
        let (leaf, _) = ticket.split_first_chunk::<32>().ok_or_else(|| Table::Tickets.bad_row())?;
        let spent = self.database.get(Table::Spent, &row_key)?;
        let spent_bytes = spent.map(|row| number(Table::Spent, &row)).transpose()?.unwrap_or(0);
        Ok(Some(Spending { leaf: LeafHash::from_digest(*leaf), spent_bytes }))
    }
}

/// How a verb is written in the key of a receipt.
const fn verb_code(verb: ReceiptVerb) -> u8 {
    match verb {
        ReceiptVerb::Stored => 1,
        ReceiptVerb::Served => 2,
        ReceiptVerb::Deleted => 3,
        ReceiptVerb::Proved => 4,
    }
}

fn ticket_key(gateway: &NodeId, index: u64) -> Vec<u8> {
    [&gateway.public_key()[..], &index.to_be_bytes()].concat()
}

fn epoch_key(gateway: &NodeId, operation: OperationKind) -> Vec<u8> {
    let operation = serde_json::to_vec(&operation).unwrap_or_default();
    [&gateway.public_key()[..], &operation].concat()
}

fn number(table: Table, row: &[u8]) -> Result<u64, DatabaseError> {
    row.try_into().map(u64::from_le_bytes).map_err(|_| table.bad_row())
}
