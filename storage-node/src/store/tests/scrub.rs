//! Scrubbing finds what nobody asked for.

use super::*;
use crate::store::ScrubStep;

/// One pass over everything, in steps of about `step_bytes`.
fn pass(store: &ShardStore, step_bytes: u64) -> ScrubStep {
    let mut sum = ScrubStep::default();
    loop {
        let step = store.scrub_step(sum.last.as_ref(), step_bytes).unwrap();
        let Some(last) = step.last else { return sum };
        sum = ScrubStep {
            last: Some(last),
            checked: sum.checked + step.checked,
            bytes: sum.bytes + step.bytes,
            damaged: sum.damaged + step.damaged,
        };
    }
}

#[test]
fn a_pass_reads_every_shard_once_and_marks_exactly_the_damaged_ones() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cids: Vec<ShardCid> = (0..10).map(|seed| put(&store, &bytes(seed, 200_000), 1).unwrap()).collect();
    let sound = pass(&store, 300_000);
    assert_eq!((sound.checked, sound.bytes, sound.damaged), (10, 2_000_000, 0));
    drop(store);
    damage(directory.path(), &bytes(3, 200_000), 150_000);
    damage(directory.path(), &bytes(7, 200_000), 0);

    let store = open(directory.path());
    let found = pass(&store, 1);
    assert_eq!((found.checked, found.damaged), (10, 2));
    // The marks travel through the writer, which the next answered request has passed.
    put(&store, &bytes(100, 10), 1).unwrap();
    for (cid, seed) in cids.iter().zip(0..) {
        let expected = if [3, 7].contains(&seed) { Found::Corrupt } else { Found::Here { bytes: 200_000 } };
        assert_eq!(store.find(cid, &data(1)).unwrap(), expected, "shard {seed}");
    }
    let held = store.holdings(&gateway(1), None).unwrap().holdings;
    assert_eq!(held.iter().filter(|held| held.corrupt).count(), 2, "told to the gateway");
    let again = pass(&store, u64::MAX);
    assert_eq!((again.checked, again.damaged), (9, 0), "known ones are not counted again");
}

#[test]
fn an_empty_store_is_scrubbed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(pass(&open(directory.path()), 1), ScrubStep::default());
}
