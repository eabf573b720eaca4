//! The suite that every adapter runs. Each function is one sentence about any [`Store`]; [`conformance!`] makes tests of
//! them for one adapter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_types::UnixMillis;

use super::fault::{Fault, FaultyStore};
use super::*;

/// A clock that tests turn by hand.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn store_clock(&self) -> StoreClock {
        let clock = self.clone();
        Arc::new(move || UnixMillis(1_000_000 + clock.0.load(Ordering::SeqCst)))
    }
}

/// Makes empty stores for tests, and keeps alive what they stand on.
pub(crate) trait Fixture {
    type Store: Store + 'static;
    fn new(clock: &TestClock) -> Self;
    fn store(self) -> Self::Store;
}

pub(crate) struct InMemory(MemoryStore);

impl Fixture for InMemory {
    type Store = MemoryStore;

    fn new(clock: &TestClock) -> Self {
        Self(MemoryStore::new(clock.store_clock()))
    }

    fn store(self) -> MemoryStore {
        self.0
    }
}

/// A RocksDB store in a folder that goes when the store goes.
pub(crate) struct TemporaryRocks {
    store: RocksStore,
    _dir: tempfile::TempDir,
}

impl Store for TemporaryRocks {
    fn begin(&self) -> Result<Box<dyn Session + '_>, StoreError> {
        self.store.begin()
    }
}

impl Fixture for TemporaryRocks {
    type Store = Self;

    fn new(clock: &TestClock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(&RocksConfig::new(dir.path().join("state")), clock.store_clock()).unwrap();
        Self { store, _dir: dir }
    }

    fn store(self) -> Self {
        self
    }
}

type Done = Result<(), StoreError>;

fn put_all(store: &dyn Store, rows: &[(&str, &str)]) -> Done {
    transact(store, IfLost::Report, |tx| rows.iter().try_for_each(|(key, value)| tx.put(bytes(key), bytes(value))))
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn keys_of(rows: &[KeyedRow]) -> Vec<&str> {
    rows.iter().map(|found| std::str::from_utf8(&found.key).unwrap()).collect()
}

fn value_of(store: &dyn Store, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    view(store, |view| Ok(view.get(key.as_bytes())?.map(|row| row.value)))
}

/// Commits at the level of sessions, with the reads that a transaction would have recorded.
fn commit(session: Box<dyn Session + '_>, reads: Reads, put: &str) -> Result<Version, CommitError> {
    let mut writes = Writes::default();
    writes.rows.insert(bytes(put), Some(bytes("x")));
    session.commit(reads, writes)
}

fn reads(keys: &[&str], ranges: Vec<KeyRange>) -> Reads {
    Reads { keys: keys.iter().map(|key| bytes(key)).collect(), ranges }
}

pub(crate) fn rows_come_back_in_the_order_of_their_bytes(store: &dyn Store) -> Done {
    put_all(store, &[("b", "2"), ("a", "1"), ("ab", "3"), ("a\u{0}", "4"), ("\u{e9}", "5"), ("c", "6")])?;
    view(store, |view| {
        let all = view.scan(&KeyRange::prefix(b""), 10, Order::Ascending)?;
        assert_eq!(keys_of(&all), ["a", "a\u{0}", "ab", "b", "c", "\u{e9}"]);
        let back = view.scan(&KeyRange::prefix(b""), 3, Order::Descending)?;
        assert_eq!(keys_of(&back), ["\u{e9}", "c", "b"]);
        assert_eq!(keys_of(&view.scan(&KeyRange::prefix(b"a"), 2, Order::Ascending)?), ["a", "a\u{0}"]);
        assert_eq!(keys_of(&view.scan(&KeyRange::prefix(b"a"), 2, Order::Descending)?), ["ab", "a\u{0}"]);
        assert_eq!(keys_of(&view.scan(&KeyRange::new("ab", "c"), 10, Order::Ascending)?), ["ab", "b"]);
        assert!(view.scan(&KeyRange::new("c", "a"), 10, Order::Ascending)?.is_empty());
        assert!(view.scan(&KeyRange::prefix(b""), 0, Order::Ascending)?.is_empty());
        Ok(())
    })
}

pub(crate) fn empty_values_are_values(store: &dyn Store) -> Done {
    put_all(store, &[("a", "")])?;
    assert_eq!(value_of(store, "a")?, Some(Vec::new()));
    assert_eq!(value_of(store, "b")?, None);
    Ok(())
}

pub(crate) fn a_transaction_reads_its_own_writes(store: &dyn Store) -> Done {
    put_all(store, &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")])?;
    transact(store, IfLost::Report, |tx| {
        tx.put(bytes("bb"), bytes("2"))?;
        tx.delete(bytes("a"))?;
        tx.delete(bytes("c"))?;
        tx.put(bytes("d"), bytes("2"))?;
        assert_eq!(tx.get(b"a")?, None);
        assert_eq!(tx.get(b"d")?.map(|row| row.value), Some(bytes("2")));
        assert_eq!(keys_of(&tx.scan(&KeyRange::prefix(b""), 10, Order::Ascending)?), ["b", "bb", "d"]);
        assert_eq!(keys_of(&tx.scan(&KeyRange::prefix(b""), 1, Order::Ascending)?), ["b"]);
        assert_eq!(keys_of(&tx.scan(&KeyRange::prefix(b""), 2, Order::Descending)?), ["d", "bb"]);
        Ok::<(), StoreError>(())
    })?;
    assert_eq!(value_of(store, "c")?, None);
    assert_eq!(value_of(store, "bb")?, Some(bytes("2")));
    Ok(())
}

pub(crate) fn a_session_sees_one_snapshot(store: &dyn Store) -> Done {
    put_all(store, &[("a", "1")])?;
    let mut session = store.begin()?;
    put_all(store, &[("a", "2"), ("b", "2")])?;
    transact(store, IfLost::Report, |tx| tx.delete(bytes("a")))?;
    assert_eq!(session.get(b"a")?.map(|row| row.value), Some(bytes("1")));
    assert_eq!(session.get(b"b")?, None);
    assert_eq!(keys_of(&session.scan(&KeyRange::prefix(b""), 10, Order::Ascending)?), ["a"]);
    drop(session);
    assert_eq!(value_of(store, "a")?, None);
    Ok(())
}

pub(crate) fn a_changed_read_is_a_conflict(store: &dyn Store) -> Done {
    put_all(store, &[("a", "1")])?;
    for (read, changed) in [("a", true), ("absent", true), ("other", false)] {
        let session = store.begin()?;
        put_all(store, &[("a", "2"), ("absent", "2")])?;
        let outcome = commit(session, reads(&[read], vec![]), "mine");
        assert_eq!(matches!(outcome, Err(CommitError::Conflict)), changed, "{read}");
        transact(store, IfLost::Report, |tx| tx.delete(bytes("absent")))?;
    }
    Ok(())
}

pub(crate) fn a_deleted_read_is_a_conflict(store: &dyn Store) -> Done {
    put_all(store, &[("a", "1")])?;
    let session = store.begin()?;
    transact(store, IfLost::Report, |tx| tx.delete(bytes("a")))?;
    assert!(matches!(commit(session, reads(&["a"], vec![]), "mine"), Err(CommitError::Conflict)));
    Ok(())
}

pub(crate) fn a_phantom_is_a_conflict(store: &dyn Store) -> Done {
    let session = store.begin()?;
    put_all(store, &[("room/1", "taken")])?;
    let empty_room = reads(&[], vec![KeyRange::prefix(b"room/")]);
    assert!(matches!(commit(session, empty_room, "sold"), Err(CommitError::Conflict)));
    assert_eq!(value_of(store, "sold")?, None);
    Ok(())
}

pub(crate) fn write_skew_is_a_conflict(store: &dyn Store) -> Done {
    put_all(store, &[("doctor/1", "on call"), ("doctor/2", "on call")])?;
    let (first, second) = (store.begin()?, store.begin()?);
    let both = || reads(&["doctor/1", "doctor/2"], vec![]);
    assert!(commit(first, both(), "doctor/1").is_ok());
    assert!(matches!(commit(second, both(), "doctor/2"), Err(CommitError::Conflict)));
    Ok(())
}

pub(crate) fn a_scan_depends_only_on_what_it_saw(store: &dyn Store) -> Done {
    put_all(store, &[("a", "1"), ("b", "1"), ("y", "1"), ("z", "1")])?;
    for (order, beyond, within) in [(Order::Ascending, "c", "ab"), (Order::Descending, "b", "yy")] {
        for (intruder, runs) in [(beyond, 1), (within, 2)] {
            let mut count = 0;
            transact(store, IfLost::Report, |tx| {
                count += 1;
                let seen = tx.scan(&KeyRange::prefix(b""), 2, order)?;
                if count == 1 {
                    put_all(store, &[(intruder, "new")])?;
                }
                tx.put(bytes("m"), seen.into_iter().flat_map(|found| found.key).collect())
            })?;
            assert_eq!(count, runs, "{order:?} {intruder}");
            transact(store, IfLost::Report, |tx| tx.delete(bytes(intruder)))?;
            transact(store, IfLost::Report, |tx| tx.delete(bytes("m")))?;
        }
        put_all(store, &[("b", "1")])?;
    }
    Ok(())
}

pub(crate) fn blind_writes_do_not_conflict(store: &dyn Store) -> Done {
    let (first, second) = (store.begin()?, store.begin()?);
    assert!(commit(first, Reads::default(), "a").is_ok());
    assert!(commit(second, Reads::default(), "a").is_ok());
    Ok(())
}

pub(crate) fn a_crowd_on_one_counter_loses_no_increment_and_nobody_gives_up(store: &dyn Store) -> Done {
    let increment = |key: &str| {
        transact(store, IfLost::Report, |tx| {
            let count = tx.get(key.as_bytes())?.map_or(0, |row| u64::from_be_bytes(row.value.try_into().unwrap()));
            tx.put(bytes(key), (count + 1).to_be_bytes().to_vec())
        })
    };
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(move || (0..8).for_each(|_| increment("visits").unwrap()));
        }
    });
    assert_eq!(value_of(store, "visits")?, Some(256_u64.to_be_bytes().to_vec()));
    Ok(())
}

pub(crate) fn versions_grow_and_can_be_required(store: &dyn Store) -> Done {
    let version = |key: &str| view(store, |view| Ok::<_, StoreError>(view.get(key.as_bytes())?.unwrap().version));
    put_all(store, &[("a", "1")])?;
    let first = version("a")?;
    put_all(store, &[("a", "1"), ("b", "1")])?;
    let second = version("a")?;
    assert!(first.is_some() && first < second);
    assert_eq!(second, version("b")?);
    let require = |wanted| {
        transact(store, IfLost::Report, |tx| {
            tx.require(b"a", wanted)?;
            tx.put(bytes("c"), bytes("1"))
        })
    };
    assert!(matches!(require(first), Err(StoreError::RequirementFailed)));
    assert!(matches!(require(None), Err(StoreError::RequirementFailed)));
    assert_eq!(value_of(store, "c")?, None);
    require(second)?;
    assert_eq!(value_of(store, "c")?, Some(bytes("1")));
    Ok(())
}

pub(crate) fn a_required_row_that_changes_before_the_commit_is_found_out(store: &dyn Store) -> Done {
    put_all(store, &[("lease", "1")])?;
    let held = view(store, |view| Ok::<_, StoreError>(view.get(b"lease")?.unwrap().version))?;
    let mut runs = 0;
    let outcome = transact(store, IfLost::Report, |tx| {
        runs += 1;
        tx.require(b"lease", held)?;
        put_all(store, &[("lease", "2")])?;
        tx.put(bytes("work"), bytes("done"))
    });
    assert!(matches!(outcome, Err(StoreError::RequirementFailed)));
    assert_eq!((runs, value_of(store, "work")?), (2, None));
    Ok(())
}

pub(crate) fn limits_hold(store: &dyn Store) -> Done {
    let put = |key: usize, value: usize| transact(store, IfLost::Report, |tx| tx.put(vec![b'k'; key], vec![0; value]));
    put(limits::KEY_BYTES_MAX, limits::VALUE_BYTES_MAX)?;
    assert!(matches!(put(limits::KEY_BYTES_MAX + 1, 1), Err(StoreError::KeyTooLong { bytes: 2049 })));
    assert!(matches!(put(1, limits::VALUE_BYTES_MAX + 1), Err(StoreError::ValueTooLarge { bytes: 65_537 })));
    let puts = |count: usize, value: usize| {
        transact(store, IfLost::Report, |tx| {
            (0..count).try_for_each(|n| tx.put(format!("many/{n:04}").into_bytes(), vec![0; value]))
        })
    };
    puts(limits::WRITES_MAX, 1)?;
    assert!(matches!(puts(limits::WRITES_MAX + 1, 1), Err(StoreError::TooManyWrites)));
    assert!(matches!(puts(130, limits::VALUE_BYTES_MAX), Err(StoreError::TransactionTooLarge)));
    view(store, |view| {
        let rows = view.scan(&KeyRange::prefix(b"many/"), limits::SCAN_ROWS_MAX, Order::Ascending)?;
        assert_eq!(rows.len(), limits::WRITES_MAX);
        assert!(rows.iter().all(|found| found.row.value.len() == 1));
        let too_long = view.scan(&KeyRange::prefix(b""), limits::SCAN_ROWS_MAX + 1, Order::Ascending);
        assert!(matches!(too_long, Err(StoreError::ScanTooLong { .. })));
        Ok(())
    })
}

pub(crate) fn an_error_writes_nothing(store: &dyn Store) -> Done {
    let outcome: Result<(), StoreError> = transact(store, IfLost::Report, |tx| {
        tx.put(bytes("a"), bytes("1"))?;
        Err(StoreError::RequirementFailed)
    });
    assert!(outcome.is_err());
    assert_eq!(value_of(store, "a")?, None);
    Ok(())
}

/// Adds one to a counter and returns what it came to.
fn add_one(store: &dyn Store, key: Option<&IdempotencyKey>) -> Result<u64, StoreError> {
    let if_lost = key.cloned().map_or(IfLost::Report, IfLost::LookUp);
    transact(store, if_lost, |tx| {
        let count = tx.get(b"count")?.map_or(0, |row| u64::from_be_bytes(row.value.try_into().unwrap())) + 1;
        tx.put(bytes("count"), count.to_be_bytes().to_vec())?;
        Ok(count)
    })
}

pub(crate) fn a_change_is_made_once_per_idempotency_key(store: &dyn Store) -> Done {
    let (first, second) = (IdempotencyKey::new(UnixMillis(5), b"one"), IdempotencyKey::new(UnixMillis(9), b"two"));
    assert_eq!(add_one(store, Some(&first))?, 1);
    assert_eq!(add_one(store, Some(&second))?, 2);
    assert_eq!(add_one(store, Some(&first))?, 1);
    assert_eq!(forget_idempotency_rows(store, UnixMillis(9), 10)?, 1);
    assert_eq!(add_one(store, Some(&second))?, 2);
    assert_eq!(add_one(store, Some(&first))?, 3);
    Ok(())
}

pub(crate) fn a_lost_commit_is_resolved_by_its_idempotency_row(store: impl Store) -> Done {
    let faults = [Fault::LoseAnswer, Fault::LoseCommit, Fault::None, Fault::LoseCommit, Fault::LoseAnswer];
    let store = FaultyStore::new(store, faults);
    let key = |name: &[u8]| IdempotencyKey::new(UnixMillis(5), name);
    assert_eq!(add_one(&store, Some(&key(b"answer lost")))?, 1);
    assert_eq!(add_one(&store, Some(&key(b"commit lost")))?, 2);
    assert_eq!(add_one(&store, Some(&key(b"first one, then the other")))?, 3);
    assert_eq!(store.faults_left(), 0);
    assert_eq!(value_of(&store, "count")?, Some(3_u64.to_be_bytes().to_vec()));
    Ok(())
}

pub(crate) fn a_lost_commit_without_an_idempotency_key_is_reported(store: impl Store) -> Done {
    let store = FaultyStore::new(store, [Fault::LoseAnswer, Fault::LoseCommit]);
    assert!(matches!(add_one(&store, None), Err(StoreError::CommitUnknown { .. })));
    assert!(matches!(add_one(&store, None), Err(StoreError::CommitUnknown { .. })));
    assert_eq!(value_of(&store, "count")?, Some(1_u64.to_be_bytes().to_vec()));
    Ok(())
}

pub(crate) fn a_lease_passes_on_when_it_lapses_and_fences_its_holder(store: &dyn Store, clock: &TestClock) {
    let name = LeaseName::new("sweep");
    let (one, two) = (Owner([1; 16]), Owner([2; 16]));
    let held = acquire_lease(store, &name, one, 1_000).unwrap();
    assert_eq!(held.epoch(), 1);
    assert!(matches!(acquire_lease(store, &name, two, 1_000), Err(LeaseError::Busy { .. })));
    clock.advance(900);
    let renewed = renew_lease(store, &held, 1_000).unwrap();
    assert!(renewed.expires() > held.expires() && renewed.epoch() == 1);
    assert_eq!(acquire_lease(store, &name, one, 1_000).unwrap().epoch(), 1);
    clock.advance(1_000);
    assert!(matches!(renew_lease(store, &renewed, 1_000), Err(LeaseError::Lost)));
    let taken = acquire_lease(store, &name, two, 1_000).unwrap();
    assert_eq!(taken.epoch(), 2);
    let work = |held: &Held| {
        transact(store, IfLost::Report, |tx| {
            require_lease(tx, held)?;
            Ok::<(), LeaseError>(tx.put(bytes("work"), bytes("done"))?)
        })
    };
    assert!(matches!(work(&renewed), Err(LeaseError::Lost)));
    work(&taken).unwrap();
    release_lease(store, &taken).unwrap();
    assert!(matches!(work(&taken), Err(LeaseError::Lost)));
    assert_eq!(acquire_lease(store, &name, one, 1_000).unwrap().epoch(), 3);
}

pub(crate) fn a_lease_that_passes_on_in_mid_transaction_stops_the_commit(store: &dyn Store, clock: &TestClock) {
    let name = LeaseName::new("repair");
    let held = acquire_lease(store, &name, Owner([1; 16]), 1_000).unwrap();
    let mut taken = false;
    let outcome = transact(store, IfLost::Report, |tx| {
        require_lease(tx, &held)?;
        if !taken {
            taken = true;
            clock.advance(2_000);
            acquire_lease(store, &name, Owner([2; 16]), 1_000)?;
        }
        Ok::<(), LeaseError>(tx.put(bytes("late"), bytes("write"))?)
    });
    assert!(matches!(outcome, Err(LeaseError::Lost)));
    assert_eq!(value_of(store, "late").unwrap(), None);
}

pub(crate) fn a_lost_commit_that_is_harmless_is_made_again(store: impl Store) -> Done {
    let store = FaultyStore::new(store, [Fault::LoseAnswer, Fault::LoseCommit]);
    transact(&store, IfLost::Repeat, |tx| tx.put(bytes("a"), bytes("1")))?;
    assert_eq!((store.faults_left(), value_of(&store, "a")?), (0, Some(bytes("1"))));
    Ok(())
}

/// Makes the suite's tests for one adapter.
macro_rules! conformance {
    ($module:ident, $fixture:ty) => {
        mod $module {
            use super::*;

            conformance!(@shared $fixture:
                rows_come_back_in_the_order_of_their_bytes, empty_values_are_values, a_transaction_reads_its_own_writes,
                a_session_sees_one_snapshot, a_changed_read_is_a_conflict, a_deleted_read_is_a_conflict,
                a_phantom_is_a_conflict, write_skew_is_a_conflict, a_scan_depends_only_on_what_it_saw,
                blind_writes_do_not_conflict, a_crowd_on_one_counter_loses_no_increment_and_nobody_gives_up, versions_grow_and_can_be_required,
                a_required_row_that_changes_before_the_commit_is_found_out, limits_hold, an_error_writes_nothing,
                a_change_is_made_once_per_idempotency_key);

            #[test]
            fn a_lost_commit_is_resolved_by_its_idempotency_row() -> Done {
                super::a_lost_commit_is_resolved_by_its_idempotency_row(<$fixture>::new(&TestClock::default()).store())
            }

            #[test]
            fn a_lost_commit_without_an_idempotency_key_is_reported() -> Done {
                super::a_lost_commit_without_an_idempotency_key_is_reported(
                    <$fixture>::new(&TestClock::default()).store(),
                )
            }

            #[test]
            fn a_lost_commit_that_is_harmless_is_made_again() -> Done {
                super::a_lost_commit_that_is_harmless_is_made_again(<$fixture>::new(&TestClock::default()).store())
            }

            #[test]
            fn a_lease_passes_on_when_it_lapses_and_fences_its_holder() {
                let clock = TestClock::default();
                super::a_lease_passes_on_when_it_lapses_and_fences_its_holder(&<$fixture>::new(&clock).store(), &clock);
            }

            #[test]
            fn a_lease_that_passes_on_in_mid_transaction_stops_the_commit() {
                let clock = TestClock::default();
                super::a_lease_that_passes_on_in_mid_transaction_stops_the_commit(
                    &<$fixture>::new(&clock).store(),
                    &clock,
                );
            }
        }
    };
    (@shared $fixture:ty: $($sentence:ident),*) => {
        $(
            #[test]
            fn $sentence() -> Done {
                super::$sentence(&<$fixture>::new(&TestClock::default()).store())
            }
        )*
    };
}

conformance!(memory, InMemory);
conformance!(rocks, TemporaryRocks);
