//! The store on real files and a real RocksDB.

mod compact;
mod crash;
pub(crate) mod faulty;
mod model;
mod scrub;

use std::path::Path;

use bytes::Bytes;
use domicile_node_protocol::{LeafHash, NodeCondition, ResolvedRange};
use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};
use futures::executor::block_on;

use super::open::open_on;
use super::{
    DeleteError, Errand, Found, OpenError, Opened, PutError, ReadError, ShardStore, StoreConfig, VerifiedShard,
};

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        node: gateway(200),
        directory: directory.to_owned(),
        capacity_bytes: 256 * MIB,
        high_water_percent: 95,
        segment_bytes_max: 4 * MIB,
        rebuild_index: false,
    }
}

pub(crate) fn open_at(directory: &Path) -> Result<Opened, OpenError> {
    super::open(&config(directory), [7; 16])
}

pub(crate) fn open(directory: &Path) -> ShardStore {
    open_at(directory).unwrap().store
}

pub(crate) fn gateway(seed: u8) -> NodeId {
    NodeId::from_public_key([seed; 32])
}

pub(crate) fn errand(data: u8) -> Errand {
    Errand {
        data: DataId::from_bytes([data; 16]),
        ticket: LeafHash::from_digest([9; 32]),
        gateway: gateway(1),
        now: UnixMillis(1_000),
    }
}

pub(crate) fn data(data: u8) -> DataId {
    errand(data).data
}

/// Bytes that differ from shard to shard and within one.
pub(crate) fn bytes(seed: u64, length: usize) -> Bytes {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    Bytes::from(out)
}

pub(crate) fn put(store: &ShardStore, bytes: &Bytes, data: u8) -> Result<ShardCid, PutError> {
    let cid = ShardCid::of(bytes);
    let shard = VerifiedShard::of(&cid, bytes.clone()).unwrap();
    block_on(store.put(shard, errand(data))).map(|()| cid)
}

pub(crate) fn delete(store: &ShardStore, cid: ShardCid, data: u8) -> Result<u64, DeleteError> {
    block_on(store.delete(cid, errand(data)))
}

/// Changes one byte of the file that holds `payload`, `at` bytes into it.
pub(crate) fn damage(directory: &Path, payload: &[u8], at: usize) {
    for entry in std::fs::read_dir(directory.join("segments")).unwrap() {
        let path = entry.unwrap().path();
        let mut contents = std::fs::read(&path).unwrap();
        let needle = &payload[..64.min(payload.len())];
        if let Some(found) = contents.windows(needle.len()).position(|window| window == needle) {
            contents[found + at] ^= 1;
            std::fs::write(&path, contents).unwrap();
            return;
        }
    }
    panic!("no segment file holds these bytes");
}

pub(crate) fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_shard_reads_back_whole_and_in_any_range_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let shards: Vec<Bytes> = [1, 15, 16_400, 16_401, 300_000, 1_049_600].map(|n| bytes(n as u64, n)).to_vec();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = shards.iter().map(|shard| put(&store, shard, 1).unwrap()).collect();
    let check = |store: &ShardStore| {
        for (cid, shard) in cids.iter().zip(&shards) {
            let length = shard.len();
            assert_eq!(store.find(cid, &data(1)).unwrap(), Found::Here { bytes: length as u64 });
            assert_eq!(store.read(cid, &data(1), None).unwrap(), *shard);
            for (start, end) in [(0, 1), (length - 1, length), (length / 3, length / 2 + 1), (length / 7, length)] {
                let range = ResolvedRange { start: start as u64, end: end as u64 };
                assert_eq!(store.read(cid, &data(1), Some(range)).unwrap(), shard[start..end]);
            }
            let outside = ResolvedRange { start: 0, end: length as u64 + 1 };
            assert!(matches!(store.read(cid, &data(1), Some(outside)), Err(ReadError::OutOfRange { .. })));
        }
    };
    check(&store);
    let totals = store.totals();
    drop(store);
    let store = open(directory.path());
    check(&store);
    assert_eq!(store.totals(), totals);
    assert_eq!(totals.shards, shards.len() as u64);
}

#[test]
fn a_shard_under_two_data_ids_is_kept_once_and_until_both_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let shard = bytes(1, 500_000);
    let cid = put(&store, &shard, 1).unwrap();
    let used = store.totals().used_bytes;
    put(&store, &shard, 2).unwrap();
    assert!(store.totals().used_bytes - used <= 4096, "the bytes were stored twice");
    assert_eq!(store.find(&cid, &data(3)).unwrap(), Found::UnderOtherData);
    assert!(matches!(store.read(&cid, &data(3), None), Err(ReadError::NotFound)));

    assert_eq!(delete(&store, cid, 1), Ok(500_000));
    assert_eq!(delete(&store, cid, 1), Err(DeleteError::NotFound));
    assert_eq!(store.find(&cid, &data(1)).unwrap(), Found::UnderOtherData);
    assert_eq!(store.read(&cid, &data(2), None).unwrap(), shard);
    drop(store);

    let store = open(directory.path());
    assert_eq!(store.read(&cid, &data(2), None).unwrap(), shard);
    assert_eq!(delete(&store, cid, 2), Ok(500_000));
    assert_eq!(store.find(&cid, &data(2)).unwrap(), Found::Nowhere);
    assert_eq!(store.totals().shards, 0);
}

#[test]
fn the_same_put_again_takes_no_space() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let shard = bytes(1, 50_000);
    put(&store, &shard, 1).unwrap();
    let totals = store.totals();
    put(&store, &shard, 1).unwrap();
    assert_eq!(store.totals(), totals);
}

#[test]
fn a_full_store_refuses_and_takes_shards_again_after_a_delete() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { capacity_bytes: 3_000_000, ..config(directory.path()) };
    let store = super::open(&config, [7; 16]).unwrap().store;
    let first = put(&store, &bytes(1, 1_000_000), 1).unwrap();
    put(&store, &bytes(2, 1_000_000), 1).unwrap();
    assert_eq!(put(&store, &bytes(3, 1_000_000), 1), Err(PutError::Full));
    assert!(store.totals().used_bytes <= 3_000_000);
    delete(&store, first, 1).unwrap();
    // The writer gives space back after it answered; the next request finds it done.
    put(&store, &bytes(4, 10), 1).unwrap();
    put(&store, &bytes(3, 1_000_000), 1).unwrap();
}

#[test]
fn space_that_was_given_back_stays_given_back_when_the_file_grows() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let store = super::open(&StoreConfig { segment_bytes_max: 128 * MIB, ..config(directory.path()) }, [7; 16]);
    let store = store.unwrap().store;
    let cids: Vec<ShardCid> = (0..20).map(|seed| put(&store, &bytes(seed, 1_000_000), 1).unwrap()).collect();
    for cid in &cids[1..] {
        delete(&store, *cid, 1).unwrap();
    }
    // Past the first allocation.
    for seed in 100..116 {
        put(&store, &bytes(seed, 1_000_000), 1).unwrap();
    }
    let file = std::fs::metadata(directory.path().join("segments/00000001.seg")).unwrap();
    let unused = file.len() - (17 + 19) * 1_003_520;
    let taken = file.blocks() * 512;
    assert!(taken < 17 * 1_003_520 + unused + MIB, "{taken} bytes are taken of {}", file.len());
}

#[test]
fn segment_files_without_live_shards_are_removed_oldest_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..12).map(|seed| put(&store, &bytes(seed, 1_000_000), 1).unwrap()).collect();
    let files = || std::fs::read_dir(directory.path().join("segments")).unwrap().count();
    let before = files();
    assert!(before >= 3, "{before} files");
    // The newest first: nothing may go while an older file has something live.
    for cid in cids.iter().skip(1).rev() {
        delete(&store, *cid, 1).unwrap();
    }
    put(&store, &bytes(100, 10), 1).unwrap();
    assert!(directory.path().join("segments/00000001.seg").exists());
    assert_eq!(store.read(&cids[0], &data(1), None).unwrap(), bytes(0, 1_000_000));
    delete(&store, cids[0], 1).unwrap();
    let survivor = put(&store, &bytes(101, 10), 1).unwrap();
    assert!(files() < before, "{} files of {before}", files());
    assert!(store.totals().used_bytes < MIB, "{:?}", store.totals());
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.read(&survivor, &data(1), None).unwrap(), bytes(101, 10));
}

#[test]
fn a_changed_byte_on_disk_is_found_by_whole_reads_and_by_the_ranges_that_touch_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let shard = bytes(1, 100_000);
    let cid = put(&store, &shard, 1).unwrap();
    put(&store, &shard, 2).unwrap();
    drop(store);
    damage(directory.path(), &shard, 50_000);

    let store = open(directory.path());
    let apart = ResolvedRange { start: 0, end: 16_400 };
    assert_eq!(store.read(&cid, &data(1), Some(apart)).unwrap(), shard[..16_400]);
    let touching = ResolvedRange { start: 49_000, end: 49_300 };
    assert!(matches!(store.read(&cid, &data(1), Some(touching)), Err(ReadError::Damaged { .. })));
    // The mark travels through the writer, which the next answered request has passed.
    put(&store, &bytes(2, 10), 1).unwrap();
    assert!(matches!(store.read(&cid, &data(2), Some(apart)), Err(ReadError::Corrupt)));
    assert_eq!(store.find(&cid, &data(2)).unwrap(), Found::Corrupt);
    assert_eq!(store.totals().corrupt_shards, 1);
    drop(store);

    let store = open(directory.path());
    assert_eq!(store.find(&cid, &data(1)).unwrap(), Found::Corrupt);
    put(&store, &shard, 1).unwrap();
    assert_eq!(store.totals().corrupt_shards, 0);
    for claimant in [1, 2] {
        assert_eq!(store.read(&cid, &data(claimant), None).unwrap(), shard, "stored anew for every claim");
    }
}

#[test]
fn many_writers_at_once_are_all_served() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    std::thread::scope(|scope| {
        for writer in 0..8u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..20 {
                    let shard = bytes(writer * 1000 + number, 30_000);
                    let cid = put(store, &shard, 1).unwrap();
                    assert_eq!(store.read(&cid, &data(1), None).unwrap(), shard);
                    if number % 2 == 0 {
                        delete(store, cid, 1).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(store.totals().shards, 80);
    drop(store);
    assert_eq!(open(directory.path()).totals().shards, 80);
}
