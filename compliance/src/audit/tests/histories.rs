//! Histories at random: whatever happens to a log, it keeps what it acknowledged and every checkpoint it signed.

use std::fs;

use domicile_types::{Entry, OutcomeStatus};
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Intents, of which some are finished and the rest dropped.
    Intents {
        finished: u64,
        dropped: u64,
    },
    Publish,
    /// Closed and opened again.
    Restart,
    /// The files as they are at an instant, with a torn batch after their end.
    PowerCut {
        torn: Vec<u8>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..40, 0u64..3).prop_map(|(finished, dropped)| Step::Intents { finished, dropped }),
        2 => Just(Step::Publish),
        1 => Just(Step::Restart),
        2 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(|torn| Step::PowerCut { torn }),
    ];
    proptest::collection::vec(step, 1..12)
}

/// Writes `torn` where the next batch would have gone.
fn tear(dir: &Path, torn: &[u8]) {
    let mut segments: Vec<_> = fs::read_dir(dir.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let used = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        (end > 32).then(|| ((end + 1).next_multiple_of(8), bytes))
    };
    let (path, (end, mut bytes)) = segments.iter().rev().find_map(|path| Some((path, used(path)?))).unwrap();
    let torn = &torn[..torn.len().min(bytes.len() - end)];
    bytes[end..end + torn.len()].copy_from_slice(torn);
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_history_keeps_its_entries_and_its_checkpoints(steps in steps()) {
        let mut dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let mut seen = Vec::new();
        let mut acknowledged = std::collections::BTreeMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Intents { finished, dropped } => {
                    for one in 0..finished + dropped {
                        let logged = log.intend(request(n as u64), intent(Verdict::Allow)).wait().unwrap();
                        acknowledged.insert(logged.index(), logged.leaf_hash());
                        if one < finished {
                            drop(logged.finish(OutcomeStatus::Completed, 1, 200));
                        }
                    }
                    let one = log.intend(request(n as u64), intent(Verdict::Allow)).wait().unwrap();
                    one.finish(OutcomeStatus::Completed, 1, 200).wait().unwrap();
                }
                Step::Publish => drop(log.publish().unwrap()),
                Step::Restart => {
                    drop(log);
                    log = open(dir.path()).0;
                }
                Step::PowerCut { torn } => {
                    let copy = tempfile::tempdir().unwrap();
                    copy_dir(dir.path(), copy.path());
                    drop(log);
                    tear(copy.path(), &torn);
                    dir = copy;
                    log = open(dir.path()).0;
                }
            }
            let checkpoint = (*log.checkpoint()).clone();
            seen.push(SeenCheckpoint { by: format!("step {n}"), checkpoint });
        }
        log.publish().unwrap();
        let report = verify_log(dir.path(), &key(), &seen).unwrap();
        prop_assert_eq!(report.seen, seen.len());
        let (mut open_intents, mut found) = (std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
        log.entries(0..report.checkpoint.size(), |entry| {
            found.insert(entry.index, entry.leaf_hash);
            match entry.record().unwrap().entry {
                Entry::Intent(_) => drop(open_intents.insert(entry.index)),
                Entry::Outcome(outcome) => assert!(open_intents.remove(&outcome.intent), "an outcome without its intent"),
                _ => {}
            }
            true
        })
        .unwrap();
        for (index, hash) in acknowledged {
            prop_assert_eq!(found.get(&index), Some(&hash));
        }
    }
}
