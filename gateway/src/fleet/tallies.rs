//! The gateway's own sums of what nodes stored, served, deleted and proved: from their receipts, kept in memory until they
//! are written down. A gateway that is killed forgets the last seconds, which reconciliation tolerates.

use std::collections::BTreeMap;

use domicile_node_protocol::Receipt;
use domicile_storage_node::accounting::{Month, Tally};
use domicile_types::{NodeId, UnixMillis};
use parking_lot::Mutex;

use crate::clock::Clock;

/// How far a receipt's time may be from this gateway's before it is not believed, in milliseconds: a node that could date its
/// receipts as it liked could lengthen its months.
const SKEW_MILLIS_MAX: u64 = 120_000;

/// Sums of each node and month.
type Sums = BTreeMap<(NodeId, Month), Tally>;

/// What is not written down yet.
pub struct Tallies {
    sums: Mutex<Sums>,
    clock: Clock,
}

impl Tallies {
    /// Nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { sums: Mutex::default(), clock }
    }

    /// Counts a receipt that was verified.
    pub fn note(&self, receipt: &Receipt) {
        let time = believed(receipt.time, self.clock.now());
        let month = Month::of(time);
        self.change(receipt.node, month, |tally| tally.note(month, &Receipt { time, ..receipt.clone() }));
    }

    /// Counts shard bytes that a node served. Receipts for these are not verified one by one: the bytes were.
    pub fn served(&self, node: NodeId, bytes: u64) {
        self.change(node, Month::of(self.clock.now()), |tally| tally.served(bytes));
    }

    /// Counts a challenge that a node did not meet.
    pub fn failed(&self, node: NodeId) {
        self.change(node, Month::of(self.clock.now()), |tally| tally.failures = tally.failures.saturating_add(1));
    }

    /// Takes out what is to be written down.
    #[must_use]
    pub fn take(&self) -> BTreeMap<(NodeId, Month), Tally> {
        std::mem::take(&mut *self.sums.lock())
    }

    /// Puts back what could not be written down.
    pub fn give_back(&self, sums: &BTreeMap<(NodeId, Month), Tally>) {
        for ((node, month), tally) in sums {
            self.change(*node, *month, |known| known.add(tally));
        }
    }

    fn change(&self, node: NodeId, month: Month, change: impl FnOnce(&mut Tally)) {
        change(self.sums.lock().entry((node, month)).or_default());
    }
}

fn believed(time: UnixMillis, now: UnixMillis) -> UnixMillis {
    let off = time.millis_since(now).max(now.millis_since(time));
    if off > SKEW_MILLIS_MAX { now } else { time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_dated_far_away_counts_from_now() {
        let now = UnixMillis(1_795_305_600_000);
        assert_eq!(believed(UnixMillis(now.0 - 100_000), now), UnixMillis(now.0 - 100_000));
        assert_eq!(believed(UnixMillis(now.0 - 10_000_000), now), now);
        assert_eq!(believed(now.plus_millis(10_000_000), now), now);
    }
}
