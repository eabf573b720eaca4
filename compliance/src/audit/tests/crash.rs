//! Crashes: whatever was acknowledged is there afterwards, and what cannot be trusted is not started on.

use std::fs;
use std::path::PathBuf;

use super::*;

const SEGMENT: &str = "wal/000000000000.wal";

/// A closed log of `count` incidents after its start, each its own batch, published up to `published` of them.
fn closed_log(dir: &Path, published: u64, count: u64) {
    let mut config = config();
    config.limits.publish_millis_min = 3_600_000;
    let (log, _) = AuditLog::open(dir, config).unwrap();
    for n in 1..=published {
        log.incident(request(n), "test", None, None).wait().unwrap();
    }
    log.publish().unwrap();
    for n in published + 1..=count {
        log.incident(request(n), "test", None, None).wait().unwrap();
    }
    // The files as a power cut leaves them: the last publication is not waited for.
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir, copy.path());
    drop(log);
    fs::remove_dir_all(dir).unwrap();
    copy_dir(copy.path(), dir);
}

/// Where the frames of a segment start, and where the last ends.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut starts = vec![32];
    loop {
        let at = *starts.last().unwrap();
        let length = u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        if length == 0 {
            return starts;
        }
        starts.push(at + super::super::frame::framed_bytes(length));
    }
}

fn reopen(dir: &Path, segment: &[u8]) -> Result<(AuditLog, Recovery), OpenError> {
    fs::write(dir.join(SEGMENT), segment).unwrap();
    AuditLog::open(dir, config())
}

#[test]
fn a_batch_torn_at_any_byte_is_dropped_and_everything_before_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 3, 6);
    let whole = fs::read(dir.path().join(SEGMENT)).unwrap();
    let starts = frames(&whole);
    let (last, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    let padding = whole[..end].iter().rev().take_while(|byte| **byte == 0).count();
    let kept = tempfile::tempdir().unwrap();
    for cut in last..end - padding {
        let work = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), work.path());
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        let (log, recovery) = reopen(work.path(), &torn).unwrap();
        assert_eq!(recovery.entries, 6, "cut at {cut}");
        assert_eq!(recovery.dropped_bytes > 0, cut > last, "cut at {cut}");
        assert_eq!(log.read(5).unwrap().request, request(5));
        drop(log);
        // What was torn is gone for good, and the log goes on after it.
        let (_, recovery) = open(work.path());
        assert_eq!((recovery.entries, recovery.dropped_bytes), (7, 0), "cut at {cut}");
    }
    drop(kept);
}

#[test]
fn a_batch_whose_first_page_was_lost_is_dropped_although_later_frames_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 2, 2);
    let mut segment = fs::read(dir.path().join(SEGMENT)).unwrap();
    let mut at = *frames(&segment).last().unwrap();
    // A batch of three leaves, of which the first never reached the disk.
    let mut batch = Vec::new();
    let leaf = format!("{{\"kind\":\"incident\",\"what\":\"{}\"}}", "x".repeat(1000));
    for index in 3..6 {
        super::super::frame::write_frame(&mut batch, leaf.as_bytes(), index, 3);
    }
    let frame = super::super::frame::framed_bytes(leaf.len());
    batch[..frame].fill(0);
    segment[at..at + batch.len()].copy_from_slice(&batch);
    at += batch.len();
    let (log, recovery) = reopen(dir.path(), &segment).unwrap();
    assert_eq!((recovery.entries, recovery.dropped_bytes > 0), (3, true));
    drop(log);
    let after = fs::read(dir.path().join(SEGMENT)).unwrap();
    assert!(after[at - frame..].iter().all(|byte| *byte == 0), "the torn frames were not wiped");
}

#[test]
fn a_changed_byte_in_an_entry_that_was_durable_is_refused_by_its_index() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 2, 6);
    let whole = fs::read(dir.path().join(SEGMENT)).unwrap();
    let starts = frames(&whole);
    // Entry 1 is published, entry 4 only acknowledged.
    for index in [1u64, 4] {
        let (start, end) = (starts[index as usize], starts[index as usize + 1]);
        for at in start..end {
            let mut bad = whole.clone();
            bad[at] ^= 0x40;
            let work = tempfile::tempdir().unwrap();
            copy_dir(dir.path(), work.path());
            let error = reopen(work.path(), &bad).map(drop).unwrap_err();
            let OpenError::Damaged(LogFault::Wal(WalFault::CorruptEntry { index: found, offset, .. })) = &error else {
                panic!("byte {at}: {error:?}")
            };
            assert_eq!((*found, *offset), (index, start as u64), "byte {at}");
        }
    }
}

#[test]
fn an_entry_cut_out_of_the_file_is_refused_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 2, 6);
    let whole = fs::read(dir.path().join(SEGMENT)).unwrap();
    let starts = frames(&whole);
    let mut bad = whole[..starts[4]].to_vec();
    bad.extend_from_slice(&whole[starts[5]..]);
    bad.resize(whole.len(), 0);
    let error = reopen(dir.path(), &bad).map(drop).unwrap_err();
    assert!(
        matches!(&error, OpenError::Damaged(LogFault::Wal(WalFault::MissingEntry { index: 4, found: 5, .. }))),
        "{error:?}"
    );
}

#[test]
fn a_checkpoint_beyond_the_stored_entries_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 6, 6);
    let whole = fs::read(dir.path().join(SEGMENT)).unwrap();
    let starts = frames(&whole);
    for kept in 0..7usize {
        let mut cut = whole.clone();
        cut[starts[kept]..].fill(0);
        let error = reopen(dir.path(), &cut).map(drop).unwrap_err();
        let OpenError::Damaged(LogFault::TailCut { size: 7, stored, last: 6, .. }) = error else {
            panic!("{kept}: {error:?}")
        };
        assert_eq!(stored, kept as u64);
    }
    let mut torn = whole.clone();
    torn[starts[6] + 30..].fill(0);
    let error = reopen(dir.path(), &torn).map(drop).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged(LogFault::Wal(WalFault::CorruptEntry { index: 6, .. }))), "{error:?}");
}

#[test]
fn a_crash_between_tiles_and_checkpoint_is_made_good() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 100);
    log.publish().unwrap();
    let old = fs::read(dir.path().join("checkpoint")).unwrap();
    fill(&log, 200);
    log.publish().unwrap();
    drop(log);
    // Tiles of 601 entries and more, some torn; the checkpoint of 201.
    fs::write(dir.path().join("checkpoint"), &old).unwrap();
    fs::write(dir.path().join("tile/0/001"), b"torn").unwrap();
    fs::write(dir.path().join("tile/entries/001"), b"").unwrap();
    // The partial tiles of 201 were replaced by full ones meanwhile.
    let (log, recovery) = open(dir.path());
    assert!(recovery.rewritten_tiles.iter().all(|tile| tile.contains(".p/201")), "{:?}", recovery.rewritten_tiles);
    log.publish().unwrap();
    verify_log(dir.path(), &key(), &[]).unwrap();
}

#[test]
fn a_missing_tile_is_written_anew_and_a_corrupt_one_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 300);
    drop(log);
    let tiles: Vec<PathBuf> =
        TileName::all(601).filter(|name| name.width == 256).map(|name| name.path(dir.path())).collect();
    assert_eq!(tiles.len(), 4);
    for path in &tiles {
        let whole = fs::read(path).unwrap();
        for at in [0, 31, 32, whole.len() / 2, whole.len() - 1] {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(path, &bad).unwrap();
            let error = AuditLog::open(dir.path(), config()).map(drop).unwrap_err();
            let OpenError::Damaged(LogFault::CorruptTile { path: named, byte, .. }) = &error else {
                panic!("{error:?}")
            };
            assert_eq!((named, *byte), (path, at));
        }
        fs::remove_file(path).unwrap();
        let (log, recovery) = open(dir.path());
        assert_eq!(recovery.rewritten_tiles.len(), 1);
        drop(log);
        assert_eq!(fs::read(path).unwrap(), whole);
    }
}

#[test]
fn a_forged_or_damaged_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 6, 6);
    let path = dir.path().join("checkpoint");
    let text = fs::read_to_string(&path).unwrap();
    for bad in [text.replacen("\n7\n", "\n6\n", 1), text.replacen(ORIGIN, "domicile.example/x", 1), String::new()] {
        fs::write(&path, bad).unwrap();
        let error = AuditLog::open(dir.path(), config()).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Damaged(LogFault::Checkpoint { .. })), "{error:?}");
    }
}

#[test]
fn a_missing_or_foreign_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 200);
    drop(log);
    let (first, second) = (dir.path().join(SEGMENT), dir.path().join("wal/000000000001.wal"));
    let whole = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    let damaged = |dir: &Path| match AuditLog::open(dir, config()).map(drop).unwrap_err() {
        OpenError::Damaged(LogFault::Wal(WalFault::BadSegment { path, .. })) => path,
        error => panic!("{error:?}"),
    };
    assert_eq!(damaged(dir.path()), second);
    fs::copy(&second, &first).unwrap();
    assert_eq!(damaged(dir.path()), first);
    fs::write(&first, &whole[..whole.len() - 8]).unwrap();
    assert_eq!(damaged(dir.path()), first);
    fs::write(&first, &whole).unwrap();
    open(dir.path());
}

#[test]
fn an_entry_of_an_unknown_form_is_refused_by_its_index() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 2, 2);
    let mut segment = fs::read(dir.path().join(SEGMENT)).unwrap();
    let at = *frames(&segment).last().unwrap();
    let mut frame = Vec::new();
    super::super::frame::write_frame(&mut frame, b"not JSON", 3, 3);
    segment[at..at + frame.len()].copy_from_slice(&frame);
    let error = reopen(dir.path(), &segment).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { index: 3, .. }), "{error:?}");
}

#[test]
fn published_partial_tiles_are_not_written_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 150);
    drop(log);
    // One level-1 hash, of the first 256 entries; the next publication has the same.
    let partial = dir.path().join("tile/1/000.p/1");
    let before = fs::metadata(&partial).unwrap().modified().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 10);
    log.publish().unwrap();
    assert_eq!(fs::metadata(&partial).unwrap().modified().unwrap(), before);
}
