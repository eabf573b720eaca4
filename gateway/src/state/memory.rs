//! The store in memory: every version of every row that an open session may still read. The oracle of the tests.

use std::collections::BTreeMap;

use domicile_types::UnixMillis;
use parking_lot::Mutex;

use super::store::{
    CommitError, KeyRange, KeyedRow, Order, Reads, Row, Session, Store, StoreClock, StoreError, Version, Writes,
};

/// A store that is gone when the program ends.
pub struct MemoryStore {
    clock: StoreClock,
    state: Mutex<State>,
}

/// Values of one key by the commit that wrote them, oldest first; `None`: deleted.
type History = Vec<(u64, Option<Vec<u8>>)>;

#[derive(Default)]
struct State {
    committed: u64,
    rows: BTreeMap<Vec<u8>, History>,
    /// How many sessions are open at each commit.
    sessions: BTreeMap<u64, usize>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: StoreClock) -> Self {
        Self { clock, state: Mutex::default() }
    }
}

impl Store for MemoryStore {
    fn begin(&self) -> Result<Box<dyn Session + '_>, StoreError> {
        let mut state = self.state.lock();
        let at = state.committed;
        *state.sessions.entry(at).or_default() += 1;
        Ok(Box::new(MemorySession { store: self, at }))
    }
}

struct MemorySession<'s> {
    store: &'s MemoryStore,
    at: u64,
}

impl MemorySession<'_> {
    fn visible(&self, history: &[(u64, Option<Vec<u8>>)]) -> Option<Row> {
        let (version, value) = history.iter().rev().find(|(version, _)| *version <= self.at)?;
        value.clone().map(|value| Row { value, version: Some(Version(*version)) })
    }
}

impl Session for MemorySession<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        Ok(self.store.state.lock().rows.get(key).and_then(|history| self.visible(history)))
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError> {
        let Some(bounds) = range.bounds() else { return Ok(Vec::new()) };
        let state = self.store.state.lock();
        let rows = state.rows.range::<[u8], _>(bounds);
        let found =
            |(key, history): (&Vec<u8>, &Vec<_>)| self.visible(history).map(|row| KeyedRow { key: key.clone(), row });
        Ok(match order {
            Order::Ascending => rows.filter_map(found).take(limit).collect(),
            Order::Descending => rows.rev().filter_map(found).take(limit).collect(),
        })
    }

    fn store_time(&self) -> UnixMillis {
        (self.store.clock)()
    }

    fn commit(self: Box<Self>, reads: Reads, writes: Writes) -> Result<Version, CommitError> {
        let mut state = self.store.state.lock();
        let changed = |history: &History| history.last().is_some_and(|(v, _)| *v > self.at);
        let key_changed = reads.keys.iter().any(|key| state.rows.get(key).is_some_and(changed));
        let range_changed = reads
            .ranges
            .iter()
            .filter_map(KeyRange::bounds)
            .any(|bounds| state.rows.range::<[u8], _>(bounds).any(|(_, history)| changed(history)));
        if key_changed || range_changed {
            return Err(CommitError::Conflict);
        }
        state.committed += 1;
        let version = state.committed;
        let oldest = state.sessions.keys().next().copied().unwrap_or(version);
        let alone = state.sessions.values().sum::<usize>() == 1;
        for (key, value) in writes.rows {
            if alone && value.is_none() {
                state.rows.remove(&key); // no other session is open that could see what was there, or must conflict
                continue;
            }
            let history = state.rows.entry(key).or_default();
            history.push((version, value));
            // What no open session can see any more: all before the last that the oldest session sees.
            let seen = history.iter().rposition(|(v, _)| *v <= oldest).unwrap_or(0);
            history.drain(..seen);
        }
        Ok(Version(version))
    }
}

impl Drop for MemorySession<'_> {
    fn drop(&mut self) {
        let mut state = self.store.state.lock();
        if let Some(count) = state.sessions.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                state.sessions.remove(&self.at);
            }
        }
    }
}
