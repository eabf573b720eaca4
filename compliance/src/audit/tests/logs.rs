//! Appending, proving, reading.

use std::collections::BTreeMap;

use domicile_types::{Entry, OutcomeStatus};

use super::*;

#[test]
fn a_new_log_records_its_start_and_every_entry_is_proved_by_its_own_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery::default());
    assert!(matches!(log.read(0).unwrap().entry, Entry::Started { closed_intents: 0, .. }));
    for n in 1..50 {
        let committed = log.incident(request(n), "test", None, None).wait().unwrap();
        assert_eq!(committed.index, n);
        assert_eq!(committed.proof().verify(&committed.leaf_hash, &key()), Ok(()));
        assert_eq!(log.read(n).unwrap().request, request(n));
    }
}

#[test]
fn sixty_four_writers_get_distinct_indices_and_good_proofs_and_all_checkpoints_are_consistent() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let committed: Vec<Committed> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64u64)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    let record = |n| log.incident(request(thread * 1000 + n), "test", None, None).wait().unwrap();
                    (0..25).map(record).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let indices: BTreeMap<u64, &Committed> = committed.iter().map(|entry| (entry.index, entry)).collect();
    assert_eq!(indices.keys().copied().collect::<Vec<_>>(), (1..=1600).collect::<Vec<_>>());
    for entry in &committed {
        assert_eq!(entry.proof().verify(&entry.leaf_hash, &key()), Ok(()));
    }
    log.publish().unwrap();
    let tiles = TileReader::new(dir.path(), log.len());
    let checkpoints: BTreeMap<u64, _> = committed.iter().map(|c| (c.checkpoint.size(), &c.checkpoint)).collect();
    assert!(checkpoints.len() > 1);
    for (old_size, old) in &checkpoints {
        for (size, new) in checkpoints.range(old_size..) {
            let path = consistency_path(*old_size, *size, &tiles).unwrap();
            assert!(consistency_holds(*old_size, old.root(), *size, new.root(), &path), "{old_size} to {size}");
        }
    }
}

#[test]
fn a_log_goes_on_after_a_restart_with_its_history_proved() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 150);
    let before = log.checkpoint();
    drop(log);
    let (log, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.dropped_bytes), (301, 0));
    assert_eq!(recovery.closed_intents, []);
    fill(&log, 150);
    let (path, now) = log.prove_consistency(before.size()).unwrap();
    assert!(consistency_holds(before.size(), before.root(), now.size(), now.root(), &path));
    for index in [0, 1, 255, 256, 257, 300, 301, 302, 600] {
        let proof = log.prove(index).unwrap();
        let mut leaf_hash = None;
        log.entries(index..index + 1, |entry| {
            leaf_hash = Some(entry.leaf_hash);
            true
        })
        .unwrap();
        assert_eq!(proof.verify(&leaf_hash.unwrap(), &key()), Ok(()), "{index}");
    }
}

#[test]
fn entries_are_listed_in_order_within_the_range_and_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 300);
    log.publish().unwrap();
    let list = |range| {
        let mut indices = Vec::new();
        log.entries(range, |entry| {
            assert_eq!(entry.leaf_hash, TreeHash::of_leaf(&entry.leaf));
            indices.push(entry.index);
            true
        })
        .unwrap();
        indices
    };
    assert_eq!(list(500..503), [500, 501, 502]);
    assert_eq!(list(598..10_000), [598, 599, 600]);
    assert_eq!(list(10_000..10_001), [0; 0]);
    assert!(matches!(log.read(601), Err(ReadError::Beyond { index: 601, size: 601 })));
}

#[test]
fn the_published_files_are_those_of_the_specification_and_old_partial_tiles_go() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for n in 0..20 {
        drop(log.incident(request(n), "test", None, None).wait().unwrap());
        log.publish().unwrap();
    }
    let widths = std::fs::read_dir(dir.path().join("tile/0/000.p")).unwrap().count();
    assert!(widths <= 2, "{widths} widths of one partial tile");
    fill(&log, 200);
    let checkpoint = log.publish().unwrap();
    for name in TileName::all(checkpoint.size()) {
        assert!(name.path(dir.path()).is_file(), "{name}");
    }
    assert!(!dir.path().join("tile/0/000.p").exists());
    let text = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    assert_eq!(SignedCheckpoint::parse(&text).unwrap(), *checkpoint);
    assert_eq!(std::fs::read_to_string(dir.path().join(KEY_FILE)).unwrap(), format!("{}\n", key()));
}

#[test]
fn a_log_is_opened_by_one_process_and_under_one_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    assert!(matches!(AuditLog::open(dir.path(), config()), Err(OpenError::InUse { .. })));
    drop(log);
    let other = LogConfig::new(ORIGIN, &IdentityKey::from_seed(&[43; 32]), Arc::new(|| NOW)).unwrap();
    assert!(matches!(AuditLog::open(dir.path(), other), Err(OpenError::OtherLog { .. })));
    let renamed = LogConfig::new("domicile.example/gateway/eu", &identity(), Arc::new(|| NOW)).unwrap();
    assert!(matches!(AuditLog::open(dir.path(), renamed), Err(OpenError::OtherLog { .. })));
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let good = config().limits;
    for bad in [
        LogLimits { segment_bytes: 1000, ..good },
        LogLimits { segment_bytes: (64 << 10) + 1, ..good },
        LogLimits { reserve_bytes: good.segment_bytes, ..good },
        LogLimits { queue_entries_max: 0, ..good },
    ] {
        let config = LogConfig { limits: bad, ..config() };
        assert!(matches!(AuditLog::open(dir.path(), config), Err(OpenError::Limits { .. })), "{bad:?}");
    }
}

#[test]
fn nothing_is_appended_to_a_closed_log() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    log.close();
    assert_eq!(log.incident(request(1), "test", None, None).wait().map(drop), Err(AppendError::Closed));
}

#[test]
fn an_erasure_is_recorded_and_what_it_concerns_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let salt = || domicile_types::Salt([7; 32]);
    let commitment = log.side().commit(CommitmentDomain::Key, b"patients/zhang-san.dcm", salt).unwrap();
    let committed = log.erase(request(1), commitment, "request of the data subject").unwrap();
    let Entry::Erased { commitment: erased, .. } = log.read(committed.index).unwrap().entry else {
        panic!("not an erasure")
    };
    assert_eq!(erased, commitment);
    assert!(log.side().open_commitment(&commitment).unwrap() == Opening::Erased);
    assert!(matches!(log.erase(request(2), commitment, "again"), Err(EraseError::Erased { .. })));
    let values = std::fs::read(dir.path().join("side/values")).unwrap();
    assert!(!values.windows(9).any(|window| window == b"zhang-san"));
    log.publish().unwrap();
    assert!(verify_log(dir.path(), &key(), &[]).is_ok());
}

#[test]
fn an_erasure_that_was_recorded_and_not_done_is_done_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let commitment =
        log.side().commit(CommitmentDomain::Actor, b"zhang-san", || domicile_types::Salt([7; 32])).unwrap();
    let erased = Entry::Erased { commitment, reason: "request of the data subject".to_owned() };
    log.core.append(request(1), erased).wait().unwrap();
    drop(log);
    let (log, _) = open(dir.path());
    assert!(log.side().open_commitment(&commitment).unwrap() == Opening::Erased);
}

#[test]
fn a_value_put_before_an_entry_is_durable_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let commitment =
        log.side().commit(CommitmentDomain::Actor, b"zhang-san", || domicile_types::Salt([7; 32])).unwrap();
    let logged = log.intend(request(1), intent(Verdict::Allow)).wait().unwrap();
    // As after a power cut: a copy of the files, taken before anything is closed.
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    let (restored, recovery) = open(copy.path());
    assert_eq!(recovery.closed_intents.len(), 1);
    assert!(matches!(restored.side().open_commitment(&commitment).unwrap(), Opening::Value { .. }));
    drop(logged.finish(OutcomeStatus::Completed, 0, 200));
}

#[test]
fn a_log_goes_on_after_its_segment_size_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    for (round, segment_bytes) in [128 << 10, 64 << 10, 256 << 10, 64 << 10].into_iter().enumerate() {
        let mut config = config();
        config.limits.segment_bytes = segment_bytes;
        let (log, recovery) = AuditLog::open(dir.path(), config).unwrap();
        assert_eq!(recovery.entries, round as u64 * 401);
        fill(&log, 200);
        log.publish().unwrap();
    }
    verify_log(dir.path(), &key(), &[]).unwrap();
}

#[test]
fn a_running_log_verifies_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    log.publish().unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| fill(&log, 2000));
        let mut verified = 0;
        while !writing.is_finished() {
            verify_log(dir.path(), &key(), &[]).unwrap();
            verified += 1;
        }
        writing.join().unwrap();
        assert!(verified > 0);
    });
}
