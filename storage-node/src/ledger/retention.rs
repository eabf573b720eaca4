//! Forgetting: tickets that are long over, and receipts of what is no longer held.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use domicile_node_protocol::ReceiptVerb;
use domicile_types::UnixMillis;

use super::{Ledger, verb_code};
use crate::database::{Change, DatabaseError, Table};
use crate::run_marker;

/// Rows that are looked at between two writes.
const STEP_ROWS: usize = 10_000;
/// A claim's key: shard and data id, with which the key of a receipt begins.
const CLAIM_KEY_BYTES: usize = 48;

impl Ledger {
    /// Forgets tickets that were first used more than `keep_millis` before `now`, and receipts from before: but not those
    /// of a shard that is still held, which say since when. How many rows.
    ///
    /// A forgotten ticket has long expired. That it stays so whatever becomes of the clock, the fence sees to: no ticket
    /// from before is believed after the next start.
    pub(crate) fn forget_before(&self, now: UnixMillis, keep_millis: u64) -> Result<usize, DatabaseError> {
        // A clock that runs years ahead must not make a node forget everything; no ticket is believed by it.
        let now = now.min(UnixMillis(self.newest_ticket.load(Ordering::Relaxed)));
        let Some(before) = now.0.checked_sub(keep_millis).map(UnixMillis) else { return Ok(0) };
        let tickets = self.forget(Table::Tickets, |_, value| {
            let first_used = value.get(32..40)?.try_into().map(u64::from_le_bytes).ok()?;
            Some(first_used < before.0)
        })?;
        if tickets > 0 && run_marker::fence(&self.database)? < before {
            run_marker::set_fence(&self.database, before)?;
        }
        let receipts = self.forget(Table::Receipts, |key, _| {
            let (claim, rest) = key.split_at_checked(CLAIM_KEY_BYTES)?;
            let (verb, time) = rest.split_first()?;
            let old = time.try_into().map(u64::from_be_bytes).ok()? < before.0;
            let needed = *verb == verb_code(ReceiptVerb::Stored)
                && old
                && self.database.get(Table::Claims, claim).ok().flatten().is_some();
            Some(old && !needed)
        })?;
        Ok(tickets + receipts)
    }

    /// Deletes the rows of `table` that `past` says are past their time, step by step; a ticket's spending goes with it.
    fn forget(&self, table: Table, past: impl Fn(&[u8], &[u8]) -> Option<bool>) -> Result<usize, DatabaseError> {
        let (mut from, mut forgotten) = (Some(Vec::new()), 0);
        while let Some(start) = from.take() {
            let (mut changes, mut seen) = (Vec::new(), 0);
            self.database.visit_from(table, &start, |key, value| {
                if seen >= STEP_ROWS {
                    from = Some(key.to_vec());
                    return Some(ControlFlow::Break(()));
                }
                seen += 1;
                if past(key, value)? {
                    changes.push(Change { table, key: key.to_vec(), value: None });
                }
                Some(ControlFlow::Continue(()))
            })?;
            forgotten += changes.len();
            if table == Table::Tickets {
                let spent = changes.iter().map(|change| Change { table: Table::Spent, ..change.clone() });
                let spent: Vec<Change> = spent.collect();
                changes.extend(spent);
                let mut state = self.state.lock();
                self.database.write(&changes)?;
                state.tickets.clear();
            } else if !changes.is_empty() {
                self.database.write(&changes)?;
            }
        }
        Ok(forgotten)
    }
}
