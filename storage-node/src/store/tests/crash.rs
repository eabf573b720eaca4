//! Power cuts, lost indexes, missing and damaged files.

use std::io::{Seek, SeekFrom, Write};

use super::faulty::{Fault, open_faulty};
use super::*;

#[test]
fn a_write_torn_anywhere_loses_nothing_that_was_acknowledged() {
    for torn_at in [0, 4096, 8192, 40_960, 98_304, 106_496] {
        let directory = tempfile::tempdir().unwrap();
        let (store, fault, _told) = open_faulty(&config(directory.path()));
        let cids: Vec<ShardCid> = (0..5).map(|seed| put(&store, &bytes(seed, 100_000), 1).unwrap()).collect();
        *fault.lock() = Fault::TornWrite(torn_at);
        assert_eq!(put(&store, &bytes(9, 100_000), 1), Err(PutError::DiskFault));
        drop(store);

        let store = open(directory.path());
        for (cid, seed) in cids.iter().zip(0..) {
            assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 100_000), "torn at {torn_at}");
        }
        let unfinished = ShardCid::of(&bytes(9, 100_000));
        match store.find(&unfinished, &data(1)).unwrap() {
            Found::Nowhere => {}
            // All of it reached the disk although nobody was told.
            Found::Here { .. } => assert_eq!(store.read(&unfinished, &data(1), None).unwrap(), bytes(9, 100_000)),
            other => panic!("torn at {torn_at}: {other:?}"),
        }
        let after = put(&store, &bytes(10, 100_000), 1).unwrap();
        drop(store);
        assert_eq!(open(directory.path()).read(&after, &data(1), None).unwrap(), bytes(10, 100_000));
    }
}

#[test]
fn an_index_thrown_back_by_a_power_cut_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let first = put(&store, &bytes(1, 100_000), 1).unwrap();
    let twice = put(&store, &bytes(2, 900_000), 1).unwrap();
    drop(store);
    copy_directory(&directory.path().join("index"), older.path());

    let store = open(directory.path());
    put(&store, &bytes(2, 900_000), 2).unwrap();
    delete(&store, first, 1).unwrap();
    let later: Vec<ShardCid> = (10..20).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
    let totals = store.totals();
    drop(store);
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    copy_directory(older.path(), &directory.path().join("index"));

    let store = open(directory.path());
    assert_eq!(store.find(&first, &data(1)).unwrap(), Found::Nowhere);
    assert_eq!(store.read(&twice, &data(2), None).unwrap(), bytes(2, 900_000));
    for (cid, seed) in later.iter().zip(10..) {
        assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 900_000));
    }
    put(&store, &bytes(50, 10), 1).unwrap();
    assert_eq!(store.totals().shards, totals.shards + 1);
}

#[test]
fn a_missing_index_refuses_the_start_and_is_rebuilt_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..12).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
    put(&store, &bytes(3, 900_000), 2).unwrap();
    delete(&store, cids[3], 1).unwrap();
    delete(&store, cids[5], 1).unwrap();
    put(&store, &bytes(99, 10), 1).unwrap();
    let totals = store.totals();
    drop(store);
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();

    assert!(matches!(open_at(directory.path()), Err(OpenError::IndexMissing { .. })));
    let rebuilding = StoreConfig { rebuild_index: true, ..config(directory.path()) };
    let Opened { store, rebuilt, .. } = super::super::open(&rebuilding, [8; 16]).unwrap();
    assert!(rebuilt);
    assert_eq!(store.find(&cids[3], &data(1)).unwrap(), Found::UnderOtherData);
    assert_eq!(store.read(&cids[3], &data(2), None).unwrap(), bytes(3, 900_000));
    assert_eq!(store.find(&cids[5], &data(1)).unwrap(), Found::Nowhere, "a deleted shard came back");
    assert_eq!(store.read(&cids[11], &data(1), None).unwrap(), bytes(11, 900_000));
    put(&store, &bytes(100, 10), 1).unwrap();
    assert_eq!(store.totals().shards, totals.shards + 1);
    drop(store);
    assert!(!open_at(directory.path()).unwrap().rebuilt);
}

#[test]
fn a_store_that_is_open_is_not_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert!(matches!(open_at(directory.path()), Err(OpenError::InUse { .. })));
    drop(store);
    assert!(open_at(directory.path()).is_ok());
}

#[test]
fn a_missing_segment_file_refuses_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for seed in 0..8 {
        put(&store, &bytes(seed, 900_000), 1).unwrap();
    }
    drop(store);
    std::fs::remove_file(directory.path().join("segments/00000001.seg")).unwrap();
    assert!(matches!(open_at(directory.path()), Err(OpenError::SegmentMissing { .. })));
}

#[test]
fn a_segment_file_that_was_cut_behind_the_index_refuses_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, &bytes(1, 100_000), 1).unwrap();
    put(&store, &bytes(2, 100_000), 1).unwrap();
    drop(store);
    let segment = directory.path().join("segments/00000001.seg");
    std::fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(4096 + 50_000).unwrap();
    assert!(matches!(open_at(directory.path()), Err(OpenError::SegmentDamaged { .. })));
}

#[test]
fn a_broken_batch_with_a_finished_one_behind_it_is_no_torn_tail() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, &bytes(1, 100_000), 1).unwrap();
    put(&store, &bytes(2, 100_000), 1).unwrap();
    put(&store, &bytes(3, 100_000), 1).unwrap();
    drop(store);
    // Without the index nothing else vouches for the batches.
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let segment = directory.path().join("segments/00000001.seg");
    let contents = std::fs::read(&segment).unwrap();
    let second =
        contents.windows(4).enumerate().filter(|(_, window)| window == b"DBAT").map(|(at, _)| at).nth(1).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.seek(SeekFrom::Start(second as u64 + 10)).unwrap();
    file.write_all(&[0xff]).unwrap();
    let rebuilding = StoreConfig { rebuild_index: true, ..config(directory.path()) };
    let refused = super::super::open(&rebuilding, [7; 16]);
    assert!(matches!(refused, Err(OpenError::SegmentDamaged { offset, .. }) if offset == second as u64));
}

#[test]
fn a_damaged_index_refuses_the_start_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, &bytes(1, 100_000), 1).unwrap();
    drop(store);
    let index = directory.path().join("index");
    for entry in std::fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST") {
            let mut contents = std::fs::read(&path).unwrap();
            let middle = contents.len() / 2;
            contents[middle] ^= 0xff;
            std::fs::write(&path, contents).unwrap();
        }
    }
    let refused = open_at(directory.path()).err().unwrap();
    assert!(refused.to_string().contains("rebuild_index"), "{refused}");
}

#[test]
fn an_index_of_another_store_refuses_the_start() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (directory, id) in [(&one, [1; 16]), (&other, [2; 16])] {
        let store = super::super::open(&config(directory.path()), id).unwrap().store;
        put(&store, &bytes(1, 100_000), 1).unwrap();
    }
    std::fs::remove_dir_all(one.path().join("segments")).unwrap();
    copy_directory(&other.path().join("segments"), &one.path().join("segments"));
    assert!(matches!(open_at(one.path()), Err(OpenError::SegmentDamaged { .. })));
}
