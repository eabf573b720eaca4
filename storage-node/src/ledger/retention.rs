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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domicile_types::{DataId, IdentityKey, ShardCid};

    use super::super::ticket_key;
    use super::*;
    use crate::admission::Gateways;
    use crate::database::Database;
    use crate::health::Health;

    const DAY: u64 = 86_400_000;
    const NOW: UnixMillis = UnixMillis(1_000 * DAY);

    fn ledger(directory: &std::path::Path) -> (Arc<Database>, Ledger) {
        let database = Arc::new(Database::open(&directory.join("index"), true).unwrap());
        let gateways = Gateways::new([], UnixMillis(0)).unwrap();
        let ledger = Ledger::open(Arc::clone(&database), &gateways, Arc::new(Health::new(directory))).unwrap();
        (database, ledger)
    }

    fn keep_ticket(database: &Database, index: u64, first_used: u64) -> Vec<u8> {
        let key = ticket_key(&IdentityKey::from_seed(&[1; 32]).id(), index);
        let value = [&[0; 32][..], &first_used.to_le_bytes(), b"ticket"].concat();
        database.put(Table::Tickets, &key, &value).unwrap();
        database.put(Table::Spent, &key, &5u64.to_le_bytes()).unwrap();
        key
    }

    #[test]
    fn old_tickets_go_with_their_spending_and_what_was_before_is_fenced_off() {
        let directory = tempfile::tempdir().unwrap();
        let (database, ledger) = ledger(directory.path());
        let old = keep_ticket(&database, 1, 500 * DAY);
        let young = keep_ticket(&database, 2, 700 * DAY);
        assert_eq!(ledger.forget_before(NOW, 400 * DAY).unwrap(), 0, "no ticket says yet what the time is");
        ledger.newest_ticket.store(NOW.0, Ordering::Relaxed);
        assert_eq!(ledger.forget_before(UnixMillis(9_000 * DAY), 400 * DAY).unwrap(), 1, "a clock years ahead");
        for table in [Table::Tickets, Table::Spent] {
            assert_eq!(database.get(table, &old).unwrap(), None);
            assert!(database.get(table, &young).unwrap().is_some());
        }
        assert_eq!(run_marker::fence(&database).unwrap(), UnixMillis(600 * DAY));
    }

    #[test]
    fn receipts_go_when_they_are_old_and_the_shard_is_no_longer_held() {
        let directory = tempfile::tempdir().unwrap();
        let (database, ledger) = ledger(directory.path());
        ledger.newest_ticket.store(NOW.0, Ordering::Relaxed);
        let data = DataId::from_bytes([1; 16]);
        let claim = |shard: &[u8]| [&ShardCid::of(shard).digest()[..], data.as_bytes()].concat();
        let receipt = |shard: &[u8], verb: ReceiptVerb, day: u64| {
            let key = [&claim(shard)[..], &[verb_code(verb)], &(day * DAY).to_be_bytes()].concat();
            database.put(Table::Receipts, &key, b"receipt").unwrap();
            key
        };
        database.put(Table::Claims, &claim(b"held"), b"row").unwrap();
        let kept = [
            receipt(b"held", ReceiptVerb::Stored, 100),
            receipt(b"gone", ReceiptVerb::Stored, 700),
            receipt(b"gone", ReceiptVerb::Deleted, 701),
        ];
        let past = [
            receipt(b"held", ReceiptVerb::Proved, 100),
            receipt(b"lost", ReceiptVerb::Stored, 100),
            receipt(b"lost", ReceiptVerb::Deleted, 200),
        ];
        assert_eq!(ledger.forget_before(NOW, 400 * DAY).unwrap(), past.len());
        assert!(kept.iter().all(|key| database.get(Table::Receipts, key).unwrap().is_some()));
        assert!(past.iter().all(|key| database.get(Table::Receipts, key).unwrap().is_none()));
    }
}
