//! Counts over a node's whole life.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_node_protocol::{RefusalCode, VerbCount};
use parking_lot::Mutex;

use crate::database::{Change, Database, DatabaseError, Table};

/// Requests and bytes of one verb.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    pub(crate) fn add(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> VerbCount {
        VerbCount { requests: self.requests.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// All counts of a node.
pub(crate) struct Counters {
    database: Arc<Database>,
    pub(crate) stored: Tally,
    pub(crate) served: Tally,
    pub(crate) deleted: Tally,
    pub(crate) proved: Tally,
    refused: BTreeMap<RefusalCode, AtomicU64>,
    /// Of the runs before this one.
    refused_handshakes_before: u64,
    /// What was last written down.
    saved: Mutex<Vec<u64>>,
}

impl Counters {
    pub(crate) fn open(database: Arc<Database>) -> Result<Self, DatabaseError> {
        let read = |name: &str| -> Result<u64, DatabaseError> {
            let row = database.get(Table::Counters, name.as_bytes())?;
            Ok(row.map(|row| super::number(Table::Counters, &row)).transpose()?.unwrap_or(0))
        };
        let tally = |verb: &str| -> Result<Tally, DatabaseError> {
            let (requests, bytes) = (read(&format!("{verb}/requests"))?, read(&format!("{verb}/bytes"))?);
            Ok(Tally { requests: AtomicU64::new(requests), bytes: AtomicU64::new(bytes) })
        };
        let refused = RefusalCode::ALL
            .into_iter()
            .map(|code| Ok((code, AtomicU64::new(read(&refusal_name(code))?))))
            .collect::<Result<_, DatabaseError>>()?;
        let refused_handshakes_before = read(HANDSHAKES)?;
        let (stored, served) = (tally("stored")?, tally("served")?);
        let (deleted, proved) = (tally("deleted")?, tally("proved")?);
        Ok(Self {
            database,
            stored,
            served,
            deleted,
            proved,
            refused,
            refused_handshakes_before,
            saved: Mutex::default(),
        })
    }

    /// Counts a refusal, and writes it down at once: refusals are evidence.
    pub(crate) fn refuse(&self, code: RefusalCode) {
        let Some(count) = self.refused.get(&code) else { return };
        let count = count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let written = self.database.put(Table::Counters, refusal_name(code).as_bytes(), &count.to_le_bytes());
        if let Err(error) = written {
            tracing::error!(%code, %error, "cannot write a refusal down");
        }
    }

    /// Refusals by code; codes that never occurred are left out.
    pub(crate) fn refused(&self) -> BTreeMap<RefusalCode, u64> {
        let counts = self.refused.iter().map(|(code, count)| (*code, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Handshakes refused in all, given those of this run.
    pub(crate) fn refused_handshakes(&self, this_run: u64) -> u64 {
        self.refused_handshakes_before.saturating_add(this_run)
    }

    /// Writes down what is not written at once. A killed node forgets what it counted since, at the most a second's worth.
    pub(crate) fn save(&self, refused_handshakes_this_run: u64) -> Result<(), DatabaseError> {
        let (mut changes, mut counts) = (Vec::new(), Vec::new());
        let mut set = |name: String, count: u64| {
            counts.push(count);
            let value = Some(count.to_le_bytes().to_vec());
            changes.push(Change { table: Table::Counters, key: name.into_bytes(), value });
        };
        let tallies =
            [("stored", &self.stored), ("served", &self.served), ("deleted", &self.deleted), ("proved", &self.proved)];
        for (verb, tally) in tallies {
            let VerbCount { requests, bytes } = tally.count();
            set(format!("{verb}/requests"), requests);
            set(format!("{verb}/bytes"), bytes);
        }
        set(HANDSHAKES.to_owned(), self.refused_handshakes(refused_handshakes_this_run));
        let mut saved = self.saved.lock();
        if *saved != counts {
            self.database.write(&changes)?;
            *saved = counts;
        }
        Ok(())
    }
}

const HANDSHAKES: &str = "refused-handshakes";

fn refusal_name(code: RefusalCode) -> String {
    format!("refused/{code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_where_the_last_run_ended() {
        let directory = tempfile::tempdir().unwrap();
        {
            let database = Arc::new(Database::open(directory.path(), true).unwrap());
            let counters = Counters::open(database).unwrap();
            counters.served.add(100);
            counters.served.add(50);
            counters.refuse(RefusalCode::StaleTicket);
            counters.save(3).unwrap();
            counters.refuse(RefusalCode::StaleTicket);
        }
        let database = Arc::new(Database::open(directory.path(), false).unwrap());
        let counters = Counters::open(database).unwrap();
        assert_eq!(counters.served.count(), VerbCount { requests: 2, bytes: 150 });
        assert_eq!(counters.stored.count(), VerbCount::default());
        assert_eq!(counters.refused(), BTreeMap::from([(RefusalCode::StaleTicket, 2)]));
        assert_eq!(counters.refused_handshakes(2), 5);
    }
}
