//! Random histories against a map, with restarts, indexes thrown back, and indexes rebuilt in between.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Put { shard: u64, data: u8 },
    Delete { shard: u64, data: u8 },
    Damage { shard: u64 },
    Compact,
    Restart,
    KeepIndex,
    ThrowIndexBack,
    RebuildIndex,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u64..6, 1u8..4).prop_map(|(shard, data)| Step::Put { shard, data }),
        6 => (0u64..6, 1u8..4).prop_map(|(shard, data)| Step::Delete { shard, data }),
        1 => (0u64..6).prop_map(|shard| Step::Damage { shard }),
        2 => Just(Step::Compact),
        1 => Just(Step::Restart),
        1 => Just(Step::KeepIndex),
        1 => Just(Step::ThrowIndexBack),
        1 => Just(Step::RebuildIndex),
    ];
    proptest::collection::vec(step, 1..60)
}

fn shard(number: u64) -> Bytes {
    // From a part of a block to many blocks, so that batches share blocks and files fill up.
    bytes(number, [40, 4_000, 20_000, 300_000, 900_000, 1_049_600][number as usize])
}

/// What must hold of every shard and data id, by the model.
fn check(store: &ShardStore, claims: &BTreeSet<(u64, u8)>, damaged: &BTreeSet<u64>) {
    for number in 0..6 {
        let cid = ShardCid::of(&shard(number));
        for claimant in 1..4 {
            let read = store.read(&cid, &data(claimant), None);
            if !claims.contains(&(number, claimant)) {
                assert!(matches!(read, Err(ReadError::NotFound)), "shard {number} data {claimant}: {read:?}");
            } else if damaged.contains(&number) {
                assert!(
                    matches!(read, Err(ReadError::Damaged { .. } | ReadError::Corrupt)),
                    "shard {number}: {read:?}"
                );
            } else {
                assert_eq!(read.unwrap(), shard(number), "shard {number} data {claimant}");
            }
        }
    }
    let shards: BTreeSet<u64> = claims.iter().map(|(number, _)| *number).collect();
    assert_eq!(store.totals().shards, shards.len() as u64);
}

fn run(steps: &[Step]) {
    let directory = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    let (index, kept) = (directory.path().join("index"), older.path().join("index"));
    let mut store = open(directory.path());
    let mut claims = BTreeSet::new();
    let mut damaged = BTreeSet::new();
    // Whether what was written last may be damaged: without an index that knows it, no store can tell it from a torn write.
    let mut torn = false;
    for step in steps {
        match step {
            Step::Put { shard: number, data } => {
                // A damage that nobody noticed yet is not healed by a put: notice it first, as a scrub would.
                let cid = ShardCid::of(&shard(*number));
                for claimant in 1..4 {
                    let _ = store.read(&cid, &super::data(claimant), None);
                }
                put(&store, &shard(*number), *data).unwrap();
                torn &= !claims.insert((*number, *data));
                damaged.remove(number);
            }
            Step::Delete { shard: number, data } => {
                let deleted = delete(&store, ShardCid::of(&shard(*number)), *data);
                assert_eq!(deleted.is_ok(), claims.remove(&(*number, *data)));
                torn &= deleted.is_err();
                if !claims.iter().any(|(other, _)| other == number) {
                    damaged.remove(number);
                }
            }
            Step::Damage { shard: number } => {
                if claims.iter().any(|(other, _)| other == number) && damaged.insert(*number) {
                    drop(store);
                    // An older, dead copy may still stand in a partial block: change every copy there is.
                    damage_every_copy(directory.path(), &shard(*number));
                    torn = true;
                    store = open(directory.path());
                }
            }
            Step::Compact => {
                super::compact::compact(&store).unwrap();
            }
            Step::Restart => {
                drop(store);
                store = open(directory.path());
            }
            Step::KeepIndex => {
                drop(store);
                let _ = std::fs::remove_dir_all(&kept);
                copy_directory(&index, &kept);
                store = open(directory.path());
            }
            // A real index is synced before a file goes, so it is never thrown back to before that.
            Step::ThrowIndexBack if kept.exists() && !torn && files_of(directory.path()).contains("00000001.seg") => {
                drop(store);
                std::fs::remove_dir_all(&index).unwrap();
                copy_directory(&kept, &index);
                store = open(directory.path());
            }
            Step::ThrowIndexBack => {}
            Step::RebuildIndex if torn => {}
            Step::RebuildIndex => {
                drop(store);
                std::fs::remove_dir_all(&index).unwrap();
                let _ = std::fs::remove_dir_all(&kept);
                let rebuilding = StoreConfig { rebuild_index: true, ..config(directory.path()) };
                store = super::super::open(&rebuilding, [7; 16]).unwrap().store;
            }
        }
        check(&store, &claims, &damaged);
    }
}

fn files_of(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory.join("segments")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn damage_every_copy(directory: &Path, payload: &[u8]) {
    for name in files_of(directory) {
        let path = directory.join("segments").join(name);
        let mut contents = std::fs::read(&path).unwrap();
        let tail = &payload[payload.len() - payload.len().min(32)..];
        let found: Vec<usize> =
            contents.windows(tail.len()).enumerate().filter(|(_, w)| *w == tail).map(|(at, _)| at).collect();
        for at in &found {
            contents[*at] ^= 0x55;
        }
        if !found.is_empty() {
            std::fs::write(&path, contents).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_map_whatever_happens_to_its_index(steps in steps()) {
        run(&steps);
    }
}
