//! Transactions above any [`Store`]: own writes over the snapshot, limits, retries, idempotency.

use std::time::Duration;

use domicile_types::UnixMillis;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::encoding::{StoredRow, decode, encode};
use super::limits;
use super::store::{CommitError, KeyRange, KeyedRow, Order, Reads, Row, Session, Store, StoreError, Version, Writes};

/// A transaction that met this many conflicts waits for its turn among those that did, so that a crowd on one row gets through
/// in order: then only newcomers can be in its way.
const CONFLICTS_BEFORE_TURN: u32 = 8;
/// How long it waits before it tries without.
const TURN_WAIT: Duration = Duration::from_secs(1);
/// How much longer each of the first retries waits; the first goes at once.
const BACK_OFF: Duration = Duration::from_micros(100);
static TURN: Mutex<()> = Mutex::new(());

/// The first byte of idempotency rows' keys.
const IDEMPOTENCY_TABLE: u8 = b'i';

/// Names one change, so that a change whose commit was lost is not made twice.
///
/// Begins with the time it was issued at, so that old rows lie together and are forgotten in one sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Vec<u8>);

impl IdempotencyKey {
    /// `name` is unique among what is issued in the same millisecond: a random identifier of at least 16 bytes.
    #[must_use]
    pub fn new(issued: UnixMillis, name: &[u8]) -> Self {
        Self([&[IDEMPOTENCY_TABLE], &issued.0.to_be_bytes()[..], name].concat())
    }
}

/// What to do when a commit's outcome is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfLost {
    /// Report [`StoreError::CommitUnknown`]: the caller finds out by itself.
    Report,
    /// Run the closure again: made twice, the change is the same as made once.
    Repeat,
    /// Look for the idempotency row of this key, which is written with the change and holds its result; without one, run
    /// the closure again.
    LookUp(IdempotencyKey),
}

/// The result of a committed transaction, as its idempotency row keeps it.
#[derive(Serialize, Deserialize)]
struct Recorded {
    result: Vec<u8>,
}

impl StoredRow for Recorded {
    const NAME: &'static str = "idempotency";
    const VERSION: u8 = 1;
}

/// What both a transaction and a plain view can do, so that look-ups are written once.
pub trait Read {
    /// The row at `key`.
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError>;
    /// At most `limit` rows of `range` in `order`; `limit` is at most [`limits::SCAN_ROWS_MAX`].
    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError>;

    /// The row at `key`, decoded.
    fn get_row<R: StoredRow>(&mut self, key: &[u8]) -> Result<Option<R>, StoreError>
    where
        Self: Sized,
    {
        Ok(self.get(key)?.map(|row| decode(&row.value)).transpose()?)
    }
}

/// A snapshot to read from; nothing it returns can change while it lives.
pub struct View<'s> {
    session: Box<dyn Session + 's>,
}

impl Read for View<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.session.get(key)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError> {
        check_scan(limit)?;
        self.session.scan(range, limit, order)
    }
}

/// Reads from one snapshot.
pub fn view<T, E: From<StoreError>>(
    store: &dyn Store,
    body: impl FnOnce(&mut View<'_>) -> Result<T, E>,
) -> Result<T, E> {
    body(&mut View { session: store.begin()? })
}

/// A transaction in progress.
pub struct Tx<'s> {
    session: Box<dyn Session + 's>,
    reads: Reads,
    writes: Writes,
    bytes: usize,
}

impl Tx<'_> {
    /// Puts `value` at `key` when the transaction commits; this transaction reads it at once.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        if value.len() > limits::VALUE_BYTES_MAX {
            return Err(StoreError::ValueTooLarge { bytes: value.len() });
        }
        self.write(key, Some(value))
    }

    /// Puts an encoded row.
    pub fn put_row<R: StoredRow>(&mut self, key: Vec<u8>, row: &R) -> Result<(), StoreError> {
        let value = encode(row)?;
        self.put(key, value)
    }

    /// Deletes what is at `key`, if anything.
    pub fn delete(&mut self, key: Vec<u8>) -> Result<(), StoreError> {
        self.write(key, None)
    }

    /// Goes on only if the row at `key` is of `version` (`None`: is absent), now and when this commits.
    pub fn require(&mut self, key: &[u8], version: Option<Version>) -> Result<(), StoreError> {
        self.reads.keys.insert(key.to_vec());
        let present = self.session.get(key)?.and_then(|row| row.version);
        if present == version { Ok(()) } else { Err(StoreError::RequirementFailed) }
    }

    /// Now, by the store's clock.
    #[must_use]
    pub fn store_time(&self) -> UnixMillis {
        self.session.store_time()
    }

    /// How many rows are written so far, of [`limits::WRITES_MAX`].
    #[must_use]
    pub fn writes(&self) -> usize {
        self.writes.rows.len()
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        if key.len() > limits::KEY_BYTES_MAX {
            return Err(StoreError::KeyTooLong { bytes: key.len() });
        }
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.writes.rows.insert(key, value);
        if self.writes.rows.len() > limits::WRITES_MAX {
            return Err(StoreError::TooManyWrites);
        }
        if self.bytes > limits::TRANSACTION_BYTES_MAX {
            return Err(StoreError::TransactionTooLarge);
        }
        Ok(())
    }

    fn commit(self) -> Result<(), CommitError> {
        if self.writes.rows.is_empty() {
            return Ok(()); // it read one snapshot: nothing to check, nothing to write
        }
        self.session.commit(self.reads, self.writes).map(drop)
    }
}

impl Read for Tx<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        if let Some(own) = self.writes.rows.get(key) {
            return Ok(own.clone().map(|value| Row { value, version: None }));
        }
        self.reads.keys.insert(key.to_vec());
        self.session.get(key)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, order: Order) -> Result<Vec<KeyedRow>, StoreError> {
        check_scan(limit)?;
        let Some(bounds) = range.bounds() else { return Ok(Vec::new()) };
        let own: Vec<_> = self.writes.rows.range::<[u8], _>(bounds).map(|(k, v)| (k.clone(), v.clone())).collect();
        // Own deletes may hide as many rows of the snapshot as there are own writes: ask for that many more.
        let asked = limit + own.len();
        let stored = self.session.scan(range, asked, order)?;
        self.reads.ranges.push(covered(range, &stored, asked, order));
        if own.is_empty() {
            return Ok(stored);
        }
        let mut merged: std::collections::BTreeMap<Vec<u8>, Row> =
            stored.into_iter().map(|found| (found.key, found.row)).collect();
        for (key, value) in own {
            match value {
                Some(value) => drop(merged.insert(key, Row { value, version: None })),
                None => drop(merged.remove(&key)),
            }
        }
        let rows = merged.into_iter().map(|(key, row)| KeyedRow { key, row });
        Ok(match order {
            Order::Ascending => rows.take(limit).collect(),
            Order::Descending => rows.rev().take(limit).collect(),
        })
    }
}

fn check_scan(limit: usize) -> Result<(), StoreError> {
    if limit > limits::SCAN_ROWS_MAX { Err(StoreError::ScanTooLong { asked: limit }) } else { Ok(()) }
}

/// The stretch of `range` that a scan has seen: all of it, unless its limit stopped it.
fn covered(range: &KeyRange, rows: &[KeyedRow], asked: usize, order: Order) -> KeyRange {
    match (rows.last(), order) {
        (Some(last), Order::Ascending) if rows.len() >= asked => range.clone().through(&last.key),
        (Some(last), Order::Descending) if rows.len() >= asked => range.clone().starting_at(last.key.clone()),
        _ => range.clone(),
    }
}

/// Runs `body` in a transaction and commits it; runs it again as long as it conflicts with others. Blocks: not for async
/// code.
///
/// An error of `body` writes nothing. With [`IfLost::LookUp`], a change that is found to be made already is not made again:
/// the result that was recorded with it is returned.
pub fn transact<T, E>(
    store: &dyn Store,
    if_lost: IfLost,
    mut body: impl FnMut(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: From<StoreError>,
{
    for attempt in 0..limits::ATTEMPTS_MAX {
        let _turn = match attempt {
            0 => None,
            few if few < CONFLICTS_BEFORE_TURN => {
                std::thread::sleep(BACK_OFF * (few - 1));
                None
            }
            _ => TURN.try_lock_for(TURN_WAIT),
        };
        let mut tx = Tx { session: store.begin()?, reads: Reads::default(), writes: Writes::default(), bytes: 0 };
        if let IfLost::LookUp(key) = &if_lost
            && let Some(recorded) = tx.get_row::<Recorded>(&key.0)?
        {
            return Ok(read_result(&recorded)?);
        }
        let result = body(&mut tx)?;
        if let IfLost::LookUp(key) = &if_lost
            && tx.writes() > 0
        {
            tx.put_row(key.0.clone(), &Recorded { result: write_result(&result)? })?;
        }
        match tx.commit() {
            Ok(()) => return Ok(result),
            Err(CommitError::Conflict) => {}
            Err(CommitError::Unknown { reason }) if if_lost == IfLost::Report => {
                return Err(StoreError::CommitUnknown { reason }.into());
            }
            // The next attempt finds the idempotency row, or makes the change: never both, as both would write that row.
            Err(CommitError::Unknown { reason }) => {
                tracing::warn!(%reason, "a commit's outcome was lost: finding out, or doing it again");
            }
            Err(CommitError::Failed(error)) => return Err(error.into()),
        }
    }
    Err(StoreError::Contention { attempts: limits::ATTEMPTS_MAX }.into())
}

fn write_result<T: Serialize>(result: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(result).map_err(|error| StoreError::Engine { reason: error.to_string() })
}

fn read_result<T: DeserializeOwned>(recorded: &Recorded) -> Result<T, StoreError> {
    postcard::from_bytes(&recorded.result).map_err(|error| {
        let reason = error.to_string();
        StoreError::Decode(super::DecodeError::Damaged { row: Recorded::NAME, reason })
    })
}

/// Forgets idempotency rows that were issued before `before`, at most `limit` (and at most [`limits::WRITES_MAX`]) of them.
/// Returns how many.
pub fn forget_idempotency_rows(store: &dyn Store, before: UnixMillis, limit: usize) -> Result<usize, StoreError> {
    let end = [&[IDEMPOTENCY_TABLE], &before.0.to_be_bytes()[..]].concat();
    let range = KeyRange::new(vec![IDEMPOTENCY_TABLE], end);
    transact(store, IfLost::Repeat, |tx| {
        let rows = tx.scan(&range, limit.min(limits::WRITES_MAX), Order::Ascending)?;
        let count = rows.len();
        rows.into_iter().try_for_each(|found| tx.delete(found.key))?;
        Ok(count)
    })
}
