//! Disks that fill up, refuse and fail.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domicile_types::OutcomeStatus;

use super::super::wal::open_file;
use super::super::zeroed::Device;
use super::*;

/// A disk with switches.
#[derive(Default)]
struct Faults {
    writes_fail: AtomicBool,
    syncs_fail: AtomicBool,
    syncs: AtomicUsize,
}

struct Faulty(Box<dyn Device>, Arc<Faults>);

impl Device for Faulty {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.1.writes_fail.load(Ordering::SeqCst) {
            // Half of it arrives, as it may.
            self.0.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if self.1.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("medium error"));
        }
        self.0.sync()
    }
}

fn faulty(faults: &Arc<Faults>) -> LogConfig {
    let faults = Arc::clone(faults);
    let mut config = config();
    config.open_device = Arc::new(move |path| Ok(Box::new(Faulty(open_file(path)?, Arc::clone(&faults)))));
    config
}

#[test]
fn a_write_that_fails_refuses_its_entries_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let (log, _) = AuditLog::open(dir.path(), faulty(&faults)).unwrap();
    fill(&log, 2);
    faults.writes_fail.store(true, Ordering::SeqCst);
    let refused = log.intend(request(9), intent(Verdict::Allow)).wait();
    assert!(matches!(refused, Err(AppendError::Unwritable)));
    faults.writes_fail.store(false, Ordering::SeqCst);
    fill(&log, 2);
    assert_eq!(log.incident(request(1), "test", None, None).wait().unwrap().index, 9);
    drop(log);
    let (log, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.dropped_bytes), (10, 0));
    assert_eq!(recovery.closed_intents, []);
    drop(log);
    verify_log(dir.path(), &key(), &[]).unwrap();
}

#[test]
fn a_sync_that_fails_ends_everything_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let calls = Arc::new(AtomicUsize::new(0));
    let mut config = faulty(&faults);
    let counted = Arc::clone(&calls);
    config.on_fatal = Arc::new(move |error| {
        assert!(matches!(error, FatalError::Sync(_)));
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let (log, _) = AuditLog::open(dir.path(), config).unwrap();
    fill(&log, 2);
    faults.syncs_fail.store(true, Ordering::SeqCst);
    assert!(matches!(log.intend(request(9), intent(Verdict::Allow)).wait(), Err(AppendError::Closed)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    faults.syncs_fail.store(false, Ordering::SeqCst);
    assert!(matches!(log.intend(request(9), intent(Verdict::Allow)).wait(), Err(AppendError::Closed)));
}

#[test]
fn entries_that_wait_together_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let (log, _) = AuditLog::open(dir.path(), faulty(&faults)).unwrap();
    let before = faults.syncs.load(Ordering::SeqCst);
    let waiting: Vec<_> = (0..500).map(|n| log.incident(request(n), "test", None, None)).collect();
    for entry in waiting {
        entry.wait().unwrap();
    }
    let syncs = faults.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs < 250, "{syncs} syncs for 500 entries");
}

#[test]
fn a_full_log_refuses_intents_and_still_takes_the_outcomes_of_those_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.limits.log_bytes_max = 64 << 10;
    config.limits.reserve_bytes = 24 << 10;
    let (log, _) = AuditLog::open(dir.path(), config).unwrap();
    let mut open_ones = Vec::new();
    let refused = loop {
        match log.intend(request(1), intent(Verdict::Allow)).wait() {
            Ok(logged) => open_ones.push(logged),
            Err(error) => break error,
        }
        assert!(open_ones.len() < 200);
    };
    assert_eq!(refused, AppendError::Full);
    assert!(open_ones.len() > 20);
    for logged in open_ones {
        logged.finish(OutcomeStatus::Completed, 1, 200).wait().unwrap();
    }
    assert!(matches!(log.intend(request(1), intent(Verdict::Allow)).wait(), Err(AppendError::Full)));
    drop(log);
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.closed_intents, []);
    // With the limit raised, it goes on.
    fill(&log, 10);
}

#[test]
fn a_disk_without_room_for_the_next_segment_refuses_intents_before_the_reserve_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    log.publish().unwrap();
    // A directory in the way of the segment after the next: making it fails, as on a full disk.
    for n in 1..40 {
        let path = dir.path().join(format!("wal/{n:012}.wal"));
        if !path.exists() {
            std::fs::create_dir_all(dir.path().join(format!("wal/{n:012}.unfinished"))).unwrap();
            break;
        }
    }
    let mut taken = Vec::new();
    let refused = loop {
        match log.intend(request(1), intent(Verdict::Allow)).wait() {
            Ok(logged) => taken.push(logged),
            Err(error) => break error,
        }
        assert!(taken.len() < 1000);
    };
    assert_eq!(refused, AppendError::Full);
    for logged in taken.into_iter().take(20) {
        logged.finish(OutcomeStatus::Completed, 1, 200).wait().unwrap();
    }
}

#[test]
fn more_waiting_entries_than_the_limit_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.limits.queue_entries_max = 1;
    let (log, _) = AuditLog::open(dir.path(), config).unwrap();
    let waiting: Vec<_> = (0..2000).map(|n| log.intend(request(n), intent(Verdict::Allow))).collect();
    let results: Vec<_> = waiting.into_iter().map(Intending::wait).collect();
    assert!(results.iter().any(Result::is_ok));
    assert!(results.iter().any(|result| matches!(result, Err(AppendError::Overloaded))));
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(AppendError::Overloaded))));
}
