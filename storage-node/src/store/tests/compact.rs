//! Compaction: space comes back, nothing is lost, in whatever order things happen.

use super::faulty::{Fault, open_faulty};
use super::*;
use crate::store::CompactError;

/// Empties the oldest file; whether there was one to empty.
pub(crate) fn compact(store: &ShardStore) -> Result<bool, CompactError> {
    let Some(mut plan) = store.plan_compaction().unwrap() else { return Ok(false) };
    while store.compact_step(&mut plan)?.is_some() {}
    Ok(true)
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_oldest_file_goes_and_what_lived_in_it_is_read_as_before_also_from_a_rebuilt_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..12).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
    put(&store, &bytes(0, 900_000), 2).unwrap();
    delete(&store, cids[1], 1).unwrap();
    assert!(files(directory.path()).contains(&"00000001.seg".to_owned()));
    let (shards, held) = (store.totals().shards, store.holdings(&gateway(1), None).unwrap());
    assert!(compact(&store).unwrap());
    assert!(!files(directory.path()).contains(&"00000001.seg".to_owned()), "{:?}", files(directory.path()));
    let check = |store: &ShardStore| {
        assert_eq!(store.totals().shards, shards);
        assert_eq!(store.find(&cids[1], &data(1)).unwrap(), Found::Nowhere, "a deleted shard came back");
        for (cid, seed) in cids.iter().zip(0..).filter(|(_, seed)| *seed != 1) {
            assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 900_000), "shard {seed}");
        }
        assert_eq!(store.read(&cids[0], &data(2), None).unwrap(), bytes(0, 900_000));
        assert_eq!(store.holdings(&gateway(1), None).unwrap(), held, "tickets and times stay what they were");
    };
    check(&store);
    drop(store);
    let store = open(directory.path());
    check(&store);
    drop(store);
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let rebuilding = StoreConfig { rebuild_index: true, ..config(directory.path()) };
    check(&super::super::open(&rebuilding, [7; 16]).unwrap().store);
}

#[test]
fn small_shards_that_each_took_a_block_are_packed_together() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..1_500).map(|seed| put(&store, &bytes(seed, 50), 1).unwrap()).collect();
    let before = store.totals().used_bytes;
    assert!(before >= 1_500 * 4_096 && store.garbage_bytes() > before / 2);
    while files(directory.path()).contains(&"00000001.seg".to_owned()) {
        assert!(compact(&store).unwrap());
    }
    assert!(store.totals().used_bytes < before * 2 / 3, "{} of {before}", store.totals().used_bytes);
    for (cid, seed) in cids.iter().zip(0..) {
        assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 50));
    }
}

#[test]
fn a_damaged_shard_is_given_up_by_compaction_stays_known_as_corrupt_and_can_be_healed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..6).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
    put(&store, &bytes(0, 900_000), 2).unwrap();
    drop(store);
    damage(directory.path(), &bytes(0, 900_000), 500_000);
    let store = open(directory.path());
    assert!(compact(&store).unwrap());
    let check = |store: &ShardStore| {
        for claimant in [1, 2] {
            assert_eq!(store.find(&cids[0], &data(claimant)).unwrap(), Found::Corrupt);
        }
        assert_eq!((store.totals().corrupt_shards, store.totals().shards), (1, 6));
        assert_eq!(store.read(&cids[1], &data(1), None).unwrap(), bytes(1, 900_000));
    };
    check(&store);
    drop(store);
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let rebuilding = StoreConfig { rebuild_index: true, ..config(directory.path()) };
    let store = super::super::open(&rebuilding, [7; 16]).unwrap().store;
    check(&store);
    put(&store, &bytes(0, 900_000), 1).unwrap();
    assert_eq!(store.read(&cids[0], &data(2), None).unwrap(), bytes(0, 900_000), "healed for every claim");
    assert_eq!(store.totals().corrupt_shards, 0);
}

#[test]
fn what_changes_while_its_file_is_emptied_is_not_undone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..8).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
    let mut plan = store.plan_compaction().unwrap().unwrap();
    delete(&store, cids[0], 1).unwrap();
    delete(&store, cids[2], 1).unwrap();
    put(&store, &bytes(2, 900_000), 3).unwrap();
    put(&store, &bytes(1, 900_000), 3).unwrap();
    while store.compact_step(&mut plan).unwrap().is_some() {}
    assert_eq!(store.find(&cids[0], &data(1)).unwrap(), Found::Nowhere);
    assert_eq!(store.find(&cids[2], &data(1)).unwrap(), Found::UnderOtherData);
    for (shard, claimant) in [(1, 1), (1, 3), (2, 3), (3, 1)] {
        let read = store.read(&cids[shard], &data(claimant), None).unwrap();
        assert_eq!(read, bytes(shard as u64, 900_000), "shard {shard} data {claimant}");
    }
    assert_eq!(store.totals().shards, 7);
}

#[test]
fn compaction_torn_anywhere_loses_nothing() {
    for torn_at in [0, 4_096, 1_000_000, 2_000_000] {
        let directory = tempfile::tempdir().unwrap();
        let (store, fault, _told) = open_faulty(&config(directory.path()));
        let cids: Vec<ShardCid> = (0..6).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
        *fault.lock() = Fault::TornWrite(torn_at);
        assert!(matches!(compact(&store), Err(CompactError::Store(PutError::DiskFault))));
        drop(store);
        let store = open(directory.path());
        for (cid, seed) in cids.iter().zip(0..) {
            assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 900_000), "torn at {torn_at}");
        }
        assert!(compact(&store).unwrap());
        for (cid, seed) in cids.iter().zip(0..) {
            assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 900_000), "torn at {torn_at}");
        }
    }
}

#[test]
fn a_disk_without_space_stops_compaction_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, fault, _told) = open_faulty(&config(directory.path()));
    let cids: Vec<ShardCid> = (0..10).map(|seed| put(&store, &bytes(seed, 900_000), 1).unwrap()).collect();
    *fault.lock() = Fault::Full;
    // The allocated rest of the last file may still do for a file or two.
    let stopped = (0..10).any(|_| matches!(compact(&store), Err(CompactError::Store(PutError::Full))));
    assert!(stopped);
    for (cid, seed) in cids.iter().zip(0..) {
        assert_eq!(store.read(cid, &data(1), None).unwrap(), bytes(seed, 900_000));
    }
    *fault.lock() = Fault::None;
    assert!(compact(&store).unwrap());
}
