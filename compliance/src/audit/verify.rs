//! Verification from files alone, without the gateway: `domicile audit verify`.
//!
//! Every leaf and checksum of the write-ahead log, every tile and bundle, the root, the signature, and every checkpoint
//! that somebody else holds. What is wrong is named by its place ([`LogFault`]).

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::checkpoint::{SignedCheckpoint, parse_decimal};
use super::examine::{CHECKPOINT_FILE, Examined, Examiner, LogFault, SeenCheckpoint, read_checkpoint};
use super::note::VerifierKey;
use super::tile::{BundleCut, TILE_WIDTH, TileError, TileKind, TileName, bundle_entries, read_tile};
use super::tree::TreeHash;
use super::wal::WalDir;

/// A log that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The published checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// Entries whose bytes were checked: those of the checkpoint, and in a live log those committed since.
    pub entries: u64,
    /// Tiles and bundles compared.
    pub tiles: u64,
    /// Checkpoints of others that the log is consistent with.
    pub seen: usize,
    /// Bytes at the end of a live log that are no entry yet: a batch being written, or torn by a crash.
    pub unfinished_bytes: u64,
}

/// Checks a gateway's log in `dir` against its public key and what others have seen. The gateway may be running.
pub fn verify_log(dir: &Path, log: &VerifierKey, seen: &[SeenCheckpoint]) -> Result<VerifyReport, LogFault> {
    match verify_once(dir, log, seen) {
        // A running gateway writes while we read, so that a segment and its successor may be seen at different times.
        // What is really damaged is still damaged when looked at again.
        Err(LogFault::Wal(_)) => verify_once(dir, log, seen),
        verified => verified,
    }
}

fn verify_once(dir: &Path, log: &VerifierKey, seen: &[SeenCheckpoint]) -> Result<VerifyReport, LogFault> {
    let checkpoint = begin(dir, log, seen)?;
    let mut examiner = Examiner::new(dir, Some(checkpoint.clone()), seen.to_vec());
    let end = WalDir::new(dir).scan(|frame| examiner.leaf(frame.leaf))?;
    let mut examined = examiner.finish()?;
    if read_checkpoint(dir, log)?.is_some_and(|newest| newest.size() > checkpoint.size()) {
        // The gateway has published since, and taken away the partial tiles of our checkpoint.
        examined.missing.retain(|tile| tile.name.width == TILE_WIDTH);
    }
    report(checkpoint, examined, seen.len(), end.torn_bytes, dir)
}

/// Checks an exported copy: checkpoint and tiles only, the form that every C2SP tool reads.
///
/// Where the copy is of a range, entries outside of it are checked by their hashes only, and not counted.
pub fn verify_export(dir: &Path, log: &VerifierKey, seen: &[SeenCheckpoint]) -> Result<VerifyReport, LogFault> {
    verify_export_visiting(dir, log, seen, |_, _| ())
}

/// [`verify_export`], which shows every entry of the copy with its index to `visit`, ascending. What was shown is to be
/// believed only when this has returned well.
pub(super) fn verify_export_visiting(
    dir: &Path,
    log: &VerifierKey,
    seen: &[SeenCheckpoint],
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<VerifyReport, LogFault> {
    let checkpoint = begin(dir, log, seen)?;
    let range = read_range(dir, checkpoint.size())?;
    let mut examiner = Examiner::of_export(dir, checkpoint.clone(), seen.to_vec());
    let (mut bundles, mut entries) = (0, 0);
    for name in TileName::all(checkpoint.size()).take_while(|name| name.kind == TileKind::Entries) {
        let first = name.index * u64::from(TILE_WIDTH);
        let is_exported = first < range.end && range.start < first + u64::from(name.width);
        let path = name.path(dir);
        match std::fs::read(&path) {
            Ok(bundle) => {
                examiner = feed_bundle(examiner, &name, path, &bundle, &mut visit)?;
                bundles += 1;
                entries += u64::from(name.width);
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !is_exported => {
                feed_hashes(&mut examiner, dir, &name)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(LogFault::MissingTile { path }),
            Err(error) => return Err(LogFault::io(&path)(error)),
        }
    }
    let report = report(checkpoint, examiner.finish()?, seen.len(), 0, dir)?;
    Ok(VerifyReport { entries, tiles: report.tiles + bundles, ..report })
}

fn feed_bundle(
    mut examiner: Examiner,
    name: &TileName,
    path: PathBuf,
    bundle: &[u8],
    visit: &mut impl FnMut(u64, &[u8]),
) -> Result<Examiner, LogFault> {
    let mut count = 0;
    for entry in bundle_entries(bundle) {
        match entry {
            Ok(entry) if count < name.width => {
                visit(examiner.tree.size(), entry);
                examiner.leaf(entry)?;
            }
            // More entries than the name promises, or a last one that is cut: the tiles may say where it begins.
            Ok(_) | Err(BundleCut { .. }) => {
                count = 0;
                break;
            }
        }
        count += 1;
    }
    if count == name.width {
        return Ok(examiner);
    }
    let entry = examiner.tree.size();
    Err(examiner.blame(LogFault::BundleShape { path, entry }))
}

/// The leaf hashes of a bundle that is not part of the export.
fn feed_hashes(examiner: &mut Examiner, dir: &Path, name: &TileName) -> Result<(), LogFault> {
    let tile = TileName { kind: TileKind::Hashes { level: 0 }, ..*name };
    let bytes = read_tile(dir, &tile).map_err(|error| match error {
        TileError::Io { path, source } if source.kind() == ErrorKind::NotFound => LogFault::MissingTile { path },
        TileError::Io { path, source } => LogFault::Io { path, source },
        TileError::Length { path, expected, actual } => {
            let byte = expected.min(actual);
            LogFault::CorruptTile { path, byte, entry: name.index * u64::from(TILE_WIDTH) }
        }
        TileError::Beyond { .. } => LogFault::MissingTile { path: tile.path(dir) },
    })?;
    let (hashes, _) = bytes.as_chunks::<{ TreeHash::BYTES }>();
    hashes.iter().try_for_each(|digest| examiner.leaf_hash(TreeHash::from_digest(*digest)))
}

fn begin(dir: &Path, log: &VerifierKey, seen: &[SeenCheckpoint]) -> Result<SignedCheckpoint, LogFault> {
    let checkpoint =
        read_checkpoint(dir, log)?.ok_or_else(|| LogFault::NoCheckpoint { path: dir.join(CHECKPOINT_FILE) })?;
    for held in seen {
        held.checkpoint.verify(log).map_err(|source| LogFault::Checkpoint { what: held.by.clone(), source })?;
    }
    Ok(checkpoint)
}

fn report(
    checkpoint: SignedCheckpoint,
    examined: Examined,
    seen: usize,
    unfinished_bytes: u64,
    dir: &Path,
) -> Result<VerifyReport, LogFault> {
    if let Some(missing) = examined.missing.first() {
        return Err(LogFault::MissingTile { path: missing.name.path(dir) });
    }
    let (entries, tiles) = (examined.tree.size(), examined.tiles_checked);
    Ok(VerifyReport { checkpoint, entries, tiles, seen, unfinished_bytes })
}

/// In an export of a range: `<first> <end>`, the entries whose bundles are part of it.
pub(super) const RANGE_FILE: &str = "exported-range";

pub(super) fn read_range(dir: &Path, size: u64) -> Result<Range<u64>, LogFault> {
    let path = dir.join(RANGE_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let range = text.trim_end().split_once(' ');
            let range = range.and_then(|(first, end)| Some(parse_decimal(first)?..parse_decimal(end)?));
            range.ok_or(LogFault::Range { path })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0..size),
        Err(error) => Err(LogFault::io(&path)(error)),
    }
}
