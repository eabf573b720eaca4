//! What only the embedded store promises: persistence, refusal of damage, shared syncs.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::state::{IfLost, Read, transact, view};

fn clock() -> StoreClock {
    Arc::new(|| UnixMillis(7))
}

fn open(dir: &Path) -> Result<RocksStore, OpenError> {
    RocksStore::open(&RocksConfig::new(dir), clock())
}

fn put(store: &RocksStore, key: &str, value: &[u8]) {
    transact(store, IfLost::Report, |tx| tx.put(key.into(), value.to_vec())).unwrap();
}

fn get(store: &RocksStore, key: &str) -> Option<Row> {
    view(store, |view| view.get(key.as_bytes())).unwrap()
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().contains(suffix));
    files.sort();
    files
}

fn flip_byte(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x40;
    fs::write(file, bytes).unwrap();
}

/// A database of fifty rows, closed; its rows are in the log alone, or in table files, too.
fn closed_database(dir: &Path, in_tables: bool) {
    let store = open(dir).unwrap();
    for n in 0..50 {
        put(&store, &format!("row/{n:02}"), &[n; 300]);
    }
    if in_tables {
        store.shared.db.flush().unwrap();
    }
}

#[test]
fn what_was_committed_is_there_after_a_reopen_and_versions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = {
        let store = open(dir.path()).unwrap();
        put(&store, "a", b"1");
        put(&store, "b", b"1");
        transact(&store, IfLost::Report, |tx| tx.delete(b"b".to_vec())).unwrap();
        get(&store, "a").unwrap()
    };
    let store = open(dir.path()).unwrap();
    assert_eq!(get(&store, "a"), Some(first.clone()));
    assert_eq!(get(&store, "b"), None);
    put(&store, "a", b"2");
    assert!(get(&store, "a").unwrap().version > first.version.map(|Version(version)| Version(version + 2)));
}

#[test]
fn a_copy_of_the_files_of_a_running_store_holds_every_acknowledged_commit() {
    // What `kill -9` leaves: the files as they are, nothing closed.
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path()).unwrap();
    for n in 0..50 {
        put(&store, &format!("row/{n:02}"), &[n; 300]);
        if n == 25 {
            store.shared.db.flush().unwrap();
        }
    }
    for file in files(dir.path(), "") {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    let copied = open(copy.path()).unwrap();
    assert!((0..50).all(|n| get(&copied, &format!("row/{n:02}")).is_some_and(|row| row.value == [n; 300])));
}

#[test]
fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::InUse { .. })));
}

#[test]
fn a_damaged_log_is_refused_until_told_to_drop_its_tail() {
    let dir = tempfile::tempdir().unwrap();
    closed_database(dir.path(), false);
    let log = files(dir.path(), ".log").pop().unwrap();
    flip_byte(&log, usize::try_from(fs::metadata(&log).unwrap().len()).unwrap() / 2);
    let refusal = open(dir.path()).err().unwrap();
    assert!(matches!(refusal, OpenError::Damaged { .. }), "{refusal}");
    assert!(refusal.to_string().contains("backup"));
    let config = RocksConfig { drop_damaged_log_tail: true, ..RocksConfig::new(dir.path()) };
    let store = RocksStore::open(&config, clock()).unwrap();
    assert!(get(&store, "row/00").is_some());
    assert!(get(&store, "row/49").is_none());
}

#[test]
fn an_unfinished_last_record_is_forgotten_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    closed_database(dir.path(), false);
    let log = files(dir.path(), ".log").pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 100]).unwrap();
    let store = open(dir.path()).unwrap();
    assert!(get(&store, "row/48").is_some());
    assert!(get(&store, "row/49").is_none());
}

#[test]
fn missing_files_are_damage_and_nothing_is_made_over_them() {
    for (victim, in_tables) in [("CURRENT", true), ("MANIFEST-", true), (".sst", true)] {
        let dir = tempfile::tempdir().unwrap();
        closed_database(dir.path(), in_tables);
        files(dir.path(), victim).iter().for_each(|file| fs::remove_file(file).unwrap());
        let refusal = open(dir.path()).err().unwrap_or_else(|| panic!("opened without {victim}"));
        assert!(matches!(refusal, OpenError::Damaged { .. }), "{victim}: {refusal}");
    }
}

#[test]
fn a_damaged_table_is_an_error_to_whoever_reads_it_and_no_absent_row() {
    let dir = tempfile::tempdir().unwrap();
    closed_database(dir.path(), true);
    flip_byte(&files(dir.path(), ".sst").pop().unwrap(), 2_000);
    let store = open(dir.path()).unwrap();
    let read = |n: usize| view(&store, |view| view.get(format!("row/{n:02}").as_bytes()));
    let outcomes: Vec<_> = (0..50).map(read).collect();
    assert!(outcomes.iter().any(Result::is_err));
    assert!(outcomes.iter().all(|outcome| !matches!(outcome, Ok(None))));
}

#[test]
fn transactions_that_wait_together_share_one_synced_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let (queue, submissions) = mpsc::sync_channel(100);
    let mut committer = Committer::new(Arc::clone(&store.shared));
    let answers: Vec<_> = (0..64)
        .map(|n: u64| {
            let (answer, answered) = mpsc::sync_channel(1);
            let mut writes = Writes::default();
            writes.rows.insert(format!("row/{n}").into_bytes(), Some(vec![1]));
            // All read the bucket's row, as puts do; two also claim the same key.
            let claim = Reads { keys: [b"bucket".to_vec(), b"row/7".to_vec()].into(), ranges: vec![] };
            let reads = if n == 8 { claim } else { Reads { keys: [b"bucket".to_vec()].into(), ranges: vec![] } };
            queue.send(Submission { began_at: 0, reads, writes, answer }).unwrap();
            answered
        })
        .collect();
    assert!(committer.round(&submissions));
    let outcomes: Vec<_> = answers.into_iter().map(|answered| answered.recv().unwrap()).collect();
    assert_eq!(store.commits_and_batches(), (63, 1));
    assert!(matches!(outcomes[8], Err(CommitError::Conflict)));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 63);
    assert!(get(&store, "row/63").is_some());
}

#[test]
fn a_stopped_store_refuses_commits_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    put(&store, "a", b"1");
    store.shared.stopped.set("disk gone".to_owned()).unwrap();
    let outcome = transact(&store, IfLost::Report, |tx| tx.put(b"a".to_vec(), b"2".to_vec()));
    assert!(matches!(outcome, Err(StoreError::Stopped { reason }) if reason == "disk gone"));
    assert_eq!(get(&store, "a").map(|row| row.value), Some(b"1".to_vec()));
}

#[test]
fn a_checkpoint_opens_as_a_store_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state")).unwrap();
    put(&store, "a", b"1");
    store.checkpoint(&dir.path().join("backup")).unwrap();
    put(&store, "a", b"2");
    let backup = open(&dir.path().join("backup")).unwrap();
    assert_eq!(get(&backup, "a").map(|row| row.value), Some(b"1".to_vec()));
}

#[test]
fn scans_of_one_session_see_one_snapshot_wherever_they_begin_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for key in ["a/1", "a/2", "b/1", "b/2", "c/1"] {
        put(&store, key, b"1");
    }
    let keys =
        |rows: Vec<KeyedRow>| rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect::<Vec<_>>();
    view(&store, |view| {
        let mut scan = |range: KeyRange, limit, order| keys(view.scan(&range, limit, order).unwrap());
        let (up, down) = (Order::Ascending, Order::Descending);
        let all = KeyRange::new("a", "d");
        assert_eq!(scan(all.clone(), 1, up), ["a/1"]);
        // What is committed meanwhile is seen by none of the scans, not even behind the cursor that is used again.
        put(&store, "b/0", b"2");
        transact(&store, IfLost::Report, |tx| tx.delete(b"c/1".to_vec())).unwrap();
        store.shared.db.flush().unwrap();
        assert_eq!(scan(all.clone().starting_at(b"b".to_vec()), 2, up), ["b/1", "b/2"]);
        assert_eq!(
            scan(all.clone().starting_at(b"a/2".to_vec()), 9, up),
            ["a/2", "b/1", "b/2", "c/1"],
            "and back again"
        );
        assert_eq!(scan(all.clone(), 2, down), ["c/1", "b/2"]);
        assert_eq!(scan(KeyRange::prefix(b"a/"), 9, up), ["a/1", "a/2"], "with another end");
        assert_eq!(scan(all, 9, up), ["a/1", "a/2", "b/1", "b/2", "c/1"]);
        Ok::<_, StoreError>(())
    })
    .unwrap();
    assert_eq!(keys(view(&store, |view| view.scan(&KeyRange::prefix(b"b"), 9, Order::Ascending)).unwrap()).len(), 3);
}
