//! Writing a bundle from an open log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use domicile_types::{Commitment, Entry, LocationSource, Record, UnixMillis};

use super::leaf::Leaf;
use super::manifest::{BUNDLE_FORMAT, FileNote, Manifest, files_of};
use super::{
    DATABASES_FILE, INPUTS_FILE, LOG_FOLDER, MANIFEST_FILE, OPENINGS_FILE, Opened, PACKS_FOLDER, PROOFS_FOLDER,
    SEEN_FILE, WITNESSED_FILE, readme,
};
use crate::audit::examine::{CHECKPOINT_FILE, LogFault, read_checkpoint};
use crate::audit::export::{ExportError, export};
use crate::audit::inputs::InputsError;
use crate::audit::log::AuditLog;
use crate::audit::proof::LogProof;
use crate::audit::read::ReadError;
use crate::audit::side::{Opening, SideError};
use crate::audit::{SeenCheckpoint, SignedCheckpoint, TileReader, TreeHash, inclusion_path};
use crate::pack::PackFiles;

/// Proofs of single entries are written out where there are no more entries than this; tiles prove the others.
const PROOFS_MAX: u64 = 1_000;

/// What a bundle is to be about.
pub struct BundleRequest<'a> {
    /// The entries. See [`super::entries_between`].
    pub entries: Range<u64>,
    /// The time that was asked for.
    pub from: Option<UnixMillis>,
    /// The time that was asked for (exclusive).
    pub to: Option<UnixMillis>,
    /// The commitments of the one bucket that it is about, where it is about one.
    pub bucket: Option<Vec<Commitment>>,
    /// Whether commitments are opened. Whether the asker may is the caller's to decide, and to log.
    pub open: bool,
    /// Now.
    pub made: UnixMillis,
    /// Checkpoints of the log that others hold.
    pub seen: Vec<SeenCheckpoint>,
    /// What witnesses cosigned: their keys, and the notes.
    pub witnessed: Vec<(String, String)>,
    /// The location databases in use now.
    pub databases: Vec<LocationSource>,
    /// The files of a pack by their hash, where the gateway kept them.
    pub packs: &'a dyn Fn(&str) -> Option<PackFiles>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is nothing to be evidence.
    #[error("no entry was recorded in that time: name another --from and --to")]
    Nothing,
    /// The export of the log.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An entry cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The inputs of a decision cannot be read.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// What a commitment hides cannot be read.
    #[error(transparent)]
    Side(#[from] SideError),
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> BundleError + use<> {
    let path = path.to_owned();
    move |source| BundleError::Io { path: path.clone(), source }
}

/// What the entries of a range refer to, in the order they first do.
#[derive(Default)]
struct Referred {
    inputs: Vec<String>,
    packs: BTreeSet<String>,
    commitments: BTreeSet<Commitment>,
    /// Location databases, by the entry since which they were in use.
    databases: Vec<(u64, Vec<LocationSource>)>,
    leaves: BTreeMap<u64, TreeHash>,
}

/// Writes a bundle into `to`, which must be empty or not there, and returns its manifest. Blocks on the disk. Memory: the
/// hashes of the inputs that the range refers to.
pub fn write_bundle(log: &AuditLog, to: &Path, request: &BundleRequest<'_>) -> Result<Manifest, BundleError> {
    let Range { start, end } = request.entries;
    if start >= end {
        return Err(BundleError::Nothing);
    }
    let copy = to.join(LOG_FOLDER);
    export(log, &copy, Some(start..end))?;
    let checkpoint = read_checkpoint(&copy, log.verifier())
        .and_then(|found| found.ok_or_else(|| LogFault::NoCheckpoint { path: copy.join(CHECKPOINT_FILE) }))
        .map_err(ExportError::Damaged)?;
    let checkpoint = Arc::new(checkpoint);
    let referred = refer(log, request)?;
    let mut lacking = write_inputs(log, to, &referred.inputs)?;
    lacking.extend(write_packs(to, &referred.packs, request.packs)?);
    write_proofs(to, &copy, &referred.leaves, &checkpoint)?;
    let seen: Vec<(&str, String)> =
        request.seen.iter().map(|seen| (seen.by.as_str(), seen.checkpoint.to_string())).collect();
    write_json(&copy.join(SEEN_FILE), &seen)?;
    write_json(&copy.join(WITNESSED_FILE), &request.witnessed)?;
    write_databases(to, &referred.databases, &request.databases)?;
    if request.open {
        write_openings(log, to, &referred.commitments)?;
    }
    let mut manifest = Manifest {
        format: BUNDLE_FORMAT.to_owned(),
        origin: log.verifier().name().to_string(),
        key: log.verifier().to_string(),
        size: checkpoint.size(),
        entries: (start, end),
        from: request.from,
        to: request.to,
        bucket: request.bucket.clone(),
        opened: request.open,
        lacking,
        made: request.made,
        files: BTreeMap::new(),
    };
    let path = to.join("README.md");
    fs::write(&path, readme::text(&manifest)).map_err(io_at(&path))?;
    for (name, path) in files_of(to).map_err(|(path, source)| BundleError::Io { path, source })? {
        manifest.files.insert(name, FileNote::of(&path).map_err(io_at(&path))?);
    }
    write_json(&to.join(MANIFEST_FILE), &manifest)?;
    Ok(manifest)
}

/// Reads the range once.
fn refer(log: &AuditLog, request: &BundleRequest<'_>) -> Result<Referred, BundleError> {
    let Range { start, end } = request.entries;
    let mut referred = Referred::default();
    let mut known = BTreeSet::new();
    let mut fault = None;
    let is_few = end - start <= PROOFS_MAX;
    log.entries(0..end, |stored| {
        let mut take = || -> Result<(), serde_json::Error> {
            let leaf = Leaf::parse(&stored.leaf)?;
            if leaf.kind == "judging" {
                let record: Record = serde_json::from_slice(&stored.leaf)?;
                if let Entry::Judging { databases, .. } = record.entry {
                    // Only the last before the range matters.
                    if stored.index < start {
                        referred.databases.clear();
                    }
                    referred.databases.push((stored.index, databases));
                }
            }
            if stored.index < start || !leaf.is_about(request.bucket.as_deref()) {
                return Ok(());
            }
            if is_few || stored.index == start || stored.index + 1 == end {
                referred.leaves.insert(stored.index, stored.leaf_hash);
            }
            if let Some(decision) = leaf.decision {
                if known.insert(decision.inputs.to_string()) {
                    referred.inputs.push(decision.inputs.into_owned());
                }
                referred.packs.extend(decision.packs.into_iter().map(|pack| pack.hash.into_owned()));
            }
            if request.open {
                let record: Record = serde_json::from_slice(&stored.leaf)?;
                referred.commitments.extend(commitments(&record.entry));
            }
            Ok(())
        };
        if let Err(source) = take() {
            fault = Some(ReadError::Unreadable { index: stored.index, source });
        }
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(referred),
    }
}

/// Every commitment that an entry holds.
pub(in crate::audit) fn commitments(entry: &Entry) -> Vec<Commitment> {
    match entry {
        Entry::Intent(intent) | Entry::Denied(intent) => {
            [Some(intent.actor), Some(intent.address), intent.bucket, intent.key].into_iter().flatten().collect()
        }
        Entry::Erased { commitment, .. } => vec![*commitment],
        Entry::Fleet { by, .. }
        | Entry::Judging { by, .. }
        | Entry::Approval { by, .. }
        | Entry::Proposal { by, .. }
        | Entry::Report { by, .. } => by.iter().copied().collect(),
        Entry::Viewed { by, .. } | Entry::Correction { by, .. } => vec![*by],
        Entry::Deleted { bucket, .. } => vec![*bucket],
        Entry::Outcome(_) | Entry::Started { .. } | Entry::Incident { .. } | Entry::Key { .. } => Vec::new(),
    }
}

/// Writes the questions; returns those that are not kept.
fn write_inputs(log: &AuditLog, to: &Path, names: &[String]) -> Result<Vec<String>, BundleError> {
    let path = to.join(INPUTS_FILE);
    let mut file = BufWriter::new(File::create(&path).map_err(io_at(&path))?);
    let mut lacking = Vec::new();
    for name in names {
        match log.inputs().get(name)? {
            Some(question) => {
                let line = [name.as_bytes(), b" ", &question.canonical(), b"\n"].concat();
                file.write_all(&line).map_err(io_at(&path))?;
            }
            None => lacking.push(format!("inputs {name}")),
        }
    }
    file.flush().map_err(io_at(&path))?;
    Ok(lacking)
}

/// Writes the packs; returns those that are not kept.
fn write_packs(
    to: &Path,
    hashes: &BTreeSet<String>,
    kept: &dyn Fn(&str) -> Option<PackFiles>,
) -> Result<Vec<String>, BundleError> {
    let mut lacking = Vec::new();
    for hash in hashes {
        let Some(files) = kept(hash).filter(|files| files.hash() == *hash) else {
            lacking.push(format!("pack {hash}"));
            continue;
        };
        let folder = to.join(PACKS_FOLDER).join(hash);
        fs::create_dir_all(&folder).map_err(io_at(&folder))?;
        let texts = [
            ("pack.toml", &files.facts),
            ("rules.cedar", &files.rules),
            ("cases.toml", &files.cases),
            ("SOURCES.md", &files.sources),
        ];
        for (name, text) in texts {
            let path = folder.join(name);
            fs::write(&path, text).map_err(io_at(&path))?;
        }
    }
    Ok(lacking)
}

fn write_proofs(
    to: &Path,
    copy: &Path,
    leaves: &BTreeMap<u64, TreeHash>,
    checkpoint: &Arc<SignedCheckpoint>,
) -> Result<(), BundleError> {
    let folder = to.join(PROOFS_FOLDER);
    fs::create_dir_all(&folder).map_err(io_at(&folder))?;
    let tiles = TileReader::new(copy, checkpoint.size());
    for index in leaves.keys() {
        let path = inclusion_path(*index, checkpoint.size(), &tiles).map_err(ReadError::from)?;
        let proof = LogProof { index: *index, path, checkpoint: Arc::clone(checkpoint) };
        let file = folder.join(format!("{index}.tlog-proof"));
        fs::write(&file, proof.to_string()).map_err(io_at(&file))?;
    }
    Ok(())
}

fn write_databases(
    to: &Path,
    changes: &[(u64, Vec<LocationSource>)],
    now: &[LocationSource],
) -> Result<(), BundleError> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Databases<'a> {
        in_use_when_this_was_made: &'a [LocationSource],
        changes: Vec<Change<'a>>,
    }
    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Change<'a> {
        since_entry: u64,
        databases: &'a [LocationSource],
    }
    let changes = changes.iter().map(|(since_entry, databases)| Change { since_entry: *since_entry, databases });
    let databases = Databases { in_use_when_this_was_made: now, changes: changes.collect() };
    write_json(&to.join(DATABASES_FILE), &databases)
}

/// Writes what commitments hide. What was erased, or was never this store's, stays closed.
fn write_openings(log: &AuditLog, to: &Path, commitments: &BTreeSet<Commitment>) -> Result<(), BundleError> {
    let path = to.join(OPENINGS_FILE);
    let mut file = BufWriter::new(File::create(&path).map_err(io_at(&path))?);
    for commitment in commitments {
        let Opening::Value { domain, salt, value } = log.side().open_commitment(commitment)? else { continue };
        // Every value that is committed to is text.
        let Ok(value) = String::from_utf8(value) else { continue };
        let opened =
            Opened { commitment: *commitment, domain: domain.name().to_owned(), salt: HEXLOWER.encode(&salt.0), value };
        let line = serde_json::to_vec(&opened).map_err(|error| io_at(&path)(error.into()))?;
        file.write_all(&[&line, &b"\n"[..]].concat()).map_err(io_at(&path))?;
    }
    file.flush().map_err(io_at(&path))
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), BundleError> {
    let json = serde_json::to_vec_pretty(value).map_err(|error| io_at(path)(error.into()))?;
    fs::write(path, [&json, &b"\n"[..]].concat()).map_err(io_at(path))
}
