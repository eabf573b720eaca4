//! Verification: whole logs pass, and every kind of tampering is named by its place.

use std::fs;

use super::*;

const COUNT: u64 = 150;
const SIZE: u64 = 2 * COUNT + 1;

/// A log of 301 entries and an export of it.
fn log_and_export() -> (tempfile::TempDir, tempfile::TempDir) {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path());
    fill(&log, COUNT);
    let report = export(&log, copy.path(), None).unwrap();
    assert_eq!((report.entries, report.checkpoint.size()), (SIZE, SIZE));
    (dir, copy)
}

fn seen(dir: &Path) -> SeenCheckpoint {
    let text = fs::read_to_string(dir.join("checkpoint")).unwrap();
    SeenCheckpoint { by: "node 12D3".to_owned(), checkpoint: SignedCheckpoint::parse(&text).unwrap() }
}

/// Changes the bundles of an export as one sequence of entries.
fn edit_bundles(dir: &Path, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let names: Vec<_> = TileName::all(SIZE).take_while(|name| name.kind == TileKind::Entries).collect();
    let mut entries: Vec<Vec<u8>> = names
        .iter()
        .flat_map(|name| {
            let bundle = fs::read(name.path(dir)).unwrap();
            bundle_entries(&bundle).map(|entry| entry.unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    edit(&mut entries);
    let mut rest = &entries[..];
    for name in names {
        let (these, after) = rest.split_at(rest.len().min(usize::from(name.width)));
        rest = after;
        let bundle: Vec<u8> = these
            .iter()
            .flat_map(|entry| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat())
            .collect();
        fs::write(name.path(dir), bundle).unwrap();
    }
}

#[test]
fn a_live_log_and_its_export_verify() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, COUNT);
    let early = log.publish().unwrap();
    fill(&log, 10);
    log.publish().unwrap();
    let seen = [SeenCheckpoint { by: "node".to_owned(), checkpoint: (*early).clone() }];
    let report = verify_log(dir.path(), &key(), &seen).unwrap();
    assert_eq!((report.entries, report.seen), (SIZE + 20, 1));
    assert_eq!(report.tiles, TileName::all(report.checkpoint.size()).count() as u64);
    let copy = tempfile::tempdir().unwrap();
    export(&log, copy.path(), None).unwrap();
    assert_eq!(verify_export(copy.path(), &key(), &seen).unwrap().entries, SIZE + 20);
    assert!(matches!(export(&log, copy.path(), None), Err(ExportError::NotEmpty { .. })));
}

#[test]
fn a_changed_byte_in_an_exported_entry_is_named_by_its_index() {
    for index in [0usize, 7, 255, 256, 300] {
        let (_dir, copy) = log_and_export();
        edit_bundles(copy.path(), |entries| *entries[index].last_mut().unwrap() ^= 1);
        let fault = verify_export(copy.path(), &key(), &[]).unwrap_err();
        assert!(matches!(&fault, LogFault::AlteredEntry { index: found, .. } if *found == index as u64), "{fault:?}");
        assert!(fault.to_string().contains(&format!("entry {index} was changed")));
    }
}

#[test]
fn an_entry_removed_from_an_export_is_named_by_its_index() {
    for index in [0usize, 7, 254, 257, 299] {
        let (_dir, copy) = log_and_export();
        edit_bundles(copy.path(), |entries| drop(entries.remove(index)));
        let fault = verify_export(copy.path(), &key(), &[]).unwrap_err();
        assert!(matches!(&fault, LogFault::RemovedEntry { index: found, .. } if *found == index as u64), "{fault:?}");
    }
}

/// What a node has seen is compared before the tile that holds the entry is full: the entry is named all the same.
#[test]
fn what_was_changed_or_removed_before_a_seen_checkpoint_is_named_by_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 122);
    let early = log.publish().unwrap();
    fill(&log, COUNT - 122);
    let seen = [SeenCheckpoint { by: "node".to_owned(), checkpoint: (*early).clone() }];
    type Edit = fn(&mut Vec<Vec<u8>>);
    let edits: [(Edit, &str); 2] = [
        (|entries| *entries[128].last_mut().unwrap() ^= 1, "entry 128 was changed"),
        (|entries| drop(entries.remove(128)), "entry 128 was removed"),
    ];
    for (edit, named) in edits {
        let copy = tempfile::tempdir().unwrap();
        export(&log, copy.path(), None).unwrap();
        edit_bundles(copy.path(), edit);
        let fault = verify_export(copy.path(), &key(), &seen).unwrap_err();
        assert!(fault.to_string().contains(named), "{fault:?}");
    }
}

#[test]
fn every_changed_byte_of_an_exported_file_is_found() {
    let (_dir, copy) = log_and_export();
    let mut files: Vec<_> = TileName::all(SIZE).map(|name| name.path(copy.path())).collect();
    files.push(copy.path().join("checkpoint"));
    for path in files {
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 61).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut bad = whole.clone();
            bad[at] ^= 0x04;
            fs::write(&path, &bad).unwrap();
            assert!(verify_export(copy.path(), &key(), &[]).is_err(), "{} byte {at}", path.display());
        }
        fs::write(&path, &whole).unwrap();
    }
    verify_export(copy.path(), &key(), &[]).unwrap();
}

#[test]
fn a_missing_file_of_an_export_is_named() {
    for name in TileName::all(SIZE) {
        let (_dir, copy) = log_and_export();
        let path = name.path(copy.path());
        fs::remove_file(&path).unwrap();
        let fault = verify_export(copy.path(), &key(), &[]).unwrap_err();
        assert!(matches!(&fault, LogFault::MissingTile { path: named } if *named == path), "{fault:?}");
    }
}

#[test]
fn an_export_without_checkpoint_is_no_log() {
    let (_dir, copy) = log_and_export();
    fs::remove_file(copy.path().join("checkpoint")).unwrap();
    assert!(matches!(verify_export(copy.path(), &key(), &[]), Err(LogFault::NoCheckpoint { .. })));
}

/// A log rolled back by its owner: an older state of all files, consistent in itself.
#[test]
fn a_tail_cut_off_after_a_checkpoint_that_a_node_has_seen_is_named() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path());
    fill(&log, 20);
    export(&log, old.path(), None).unwrap();
    fill(&log, 20);
    log.publish().unwrap();
    let seen = seen(dir.path());
    let fault = verify_export(old.path(), &key(), std::slice::from_ref(&seen)).unwrap_err();
    let LogFault::TailCut { by, size: 81, stored: 41, last: 80 } = &fault else { panic!("{fault:?}") };
    assert_eq!(by, "node 12D3");
    assert!(verify_export(old.path(), &key(), &[]).is_ok(), "without the node's memory, nothing shows");
}

#[test]
fn a_fork_is_found_by_the_checkpoint_that_a_node_has_seen() {
    let (dir, branch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path());
    fill(&log, 20);
    let common = log.publish().unwrap();
    drop(log);
    copy_dir(dir.path(), branch.path());
    let (log, _) = open(dir.path());
    fill(&log, 5);
    drop(log);
    let (log, _) = open(branch.path());
    log.incident(request(1), "another history", None, None).wait().unwrap();
    fill(&log, 10);
    drop(log);
    let common = SeenCheckpoint { by: "node A".to_owned(), checkpoint: (*common).clone() };
    let fault = verify_log(branch.path(), &key(), &[seen(dir.path()), common]).unwrap_err();
    assert!(matches!(&fault, LogFault::Forked { size: 52, agreed: 41, .. }), "{fault:?}");
}

#[test]
fn a_leaf_rewritten_with_a_good_checksum_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 10);
    drop(log);
    let path = dir.path().join("wal/000000000000.wal");
    let mut segment = fs::read(&path).unwrap();
    // Entry 1 is the first intent: 1000 bytes may leave; make that 9000.
    let at = segment.windows(9).position(|window| window == b"[0,1000],").unwrap();
    segment[at + 3] = b'9';
    let start = 32 + super::super::frame::framed_bytes(first_leaf_bytes(&segment));
    let length = u32::from_le_bytes(segment[start..start + 4].try_into().unwrap()) as usize;
    let mut frame = Vec::new();
    let leaf = segment[start + 24..start + 24 + length].to_vec();
    super::super::frame::write_frame(&mut frame, &leaf, 1, 1);
    segment[start..start + frame.len()].copy_from_slice(&frame);
    fs::write(&path, &segment).unwrap();
    let fault = verify_log(dir.path(), &key(), &[]).unwrap_err();
    assert!(matches!(fault, LogFault::AlteredEntry { index: 1, .. }), "{fault:?}");
    assert!(matches!(AuditLog::open(dir.path(), config()), Err(OpenError::Damaged(LogFault::AlteredEntry { .. }))));
}

fn first_leaf_bytes(segment: &[u8]) -> usize {
    u32::from_le_bytes(segment[32..36].try_into().unwrap()) as usize
}

#[test]
fn a_checkpoint_of_a_stranger_is_not_held_against_the_log() {
    let (dir, _copy) = log_and_export();
    let other = NoteSigner::from_identity(KeyName::parse(ORIGIN).unwrap(), &IdentityKey::from_seed(&[1; 32]));
    let origin = KeyName::parse(ORIGIN).unwrap();
    let forged = Checkpoint { origin, size: 999, root: TreeHash::of_nothing() }.sign(&other);
    let seen = [SeenCheckpoint { by: "liar".to_owned(), checkpoint: forged }];
    let fault = verify_log(dir.path(), &key(), &seen).unwrap_err();
    assert!(matches!(&fault, LogFault::Checkpoint { what, .. } if what == "liar"), "{fault:?}");
}

#[test]
fn an_export_of_a_range_holds_its_entries_only_and_is_proved_by_hashes_outside() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path());
    fill(&log, 500);
    let report = export(&log, copy.path(), Some(300..310)).unwrap();
    assert_eq!((report.entries, report.checkpoint.size()), (256, 1001));
    assert!(!copy.path().join("tile/entries/000").exists());
    let path = copy.path().join("tile/entries/001");
    let whole = fs::read(&path).unwrap();
    let mut bad = whole.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&path, &bad).unwrap();
    let fault = verify_export(copy.path(), &key(), &[]).unwrap_err();
    assert!(matches!(fault, LogFault::AlteredEntry { index: 511, .. }), "{fault:?}");
    fs::remove_file(&path).unwrap();
    assert!(matches!(verify_export(copy.path(), &key(), &[]), Err(LogFault::MissingTile { .. })));
    fs::write(&path, &whole).unwrap();
    let tile = copy.path().join("tile/0/000");
    let mut hashes = fs::read(&tile).unwrap();
    hashes[64] ^= 1;
    fs::write(&tile, &hashes).unwrap();
    let fault = verify_export(copy.path(), &key(), &[]).unwrap_err();
    assert!(matches!(fault, LogFault::AlteredSpan { first: 0, last: 255, .. }), "{fault:?}");
}
