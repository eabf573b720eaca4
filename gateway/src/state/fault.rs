//! A store that fails as a network would: for tests.

use std::collections::VecDeque;

use domicile_types::UnixMillis;
use parking_lot::Mutex;

use super::store::{CommitError, KeyRange, KeyedRow, Order, Reads, Row, Session, Store, StoreError, Version, Writes};

/// What happens to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is applied, and its answer is lost.
    LoseAnswer,
    /// It never arrives, and neither does an answer.
    LoseCommit,
}

/// A store whose next commits meet the faults it was told of, in order.
pub(crate) struct FaultyStore<S> {
    inner: S,
    faults: Mutex<VecDeque<Fault>>,
}

impl<S: Store> FaultyStore<S> {
    pub(crate) fn new(inner: S, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { inner, faults: Mutex::new(faults.into_iter().collect()) }
    }

    /// Faults that no commit has met yet.
    pub(crate) fn faults_left(&self) -> usize {
        self.faults.lock().len()
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn begin(&self) -> Result<Box<dyn Session + '_>, StoreError> {
        Ok(Box::new(FaultySession { session: self.inner.begin()?, faults: &self.faults }))
    }
}

struct FaultySession<'s> {
    session: Box<dyn Session + 's>,
    faults: &'s Mutex<VecDeque<Fault>>,
}

impl Session for FaultySession<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.session.get(key)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError> {
        self.session.scan(range, limit, order)
    }

    fn store_time(&self) -> UnixMillis {
        self.session.store_time()
    }

    fn commit(self: Box<Self>, reads: Reads, writes: Writes) -> Result<Version, CommitError> {
        let unknown = || CommitError::Unknown { reason: "connection reset".to_owned() };
        let fault = self.faults.lock().pop_front();
        match fault {
            Some(Fault::LoseCommit) => Err(unknown()),
            Some(Fault::LoseAnswer) => self.session.commit(reads, writes).and(Err(unknown())),
            Some(Fault::None) | None => self.session.commit(reads, writes),
        }
    }
}
