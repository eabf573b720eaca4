//! Checking a bundle from its files alone.
//!
//! First what the log says, then what its decisions stand on, last the list of files: so that a fault is named by what it
//! means, and a list that was made to fit what was altered hides nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use domicile_types::Salt;

use super::leaf::Leaf;
use super::manifest::{BUNDLE_FORMAT, FileNote, Manifest, files_of};
use super::{
    INPUTS_FILE, LOG_FOLDER, MANIFEST_FILE, OPENINGS_FILE, Opened, PACKS_FOLDER, PROOFS_FOLDER, SEEN_FILE,
    WITNESSED_FILE,
};
use crate::audit::cosign::WitnessKey;
use crate::audit::examine::LogFault;
use crate::audit::log::KEY_FILE;
use crate::audit::note::VerifierKey;
use crate::audit::proof::{LogProof, ProofError};
use crate::audit::side::CommitmentDomain;
use crate::audit::verify::{read_range, verify_export_visiting};
use crate::audit::{SeenCheckpoint, SignedCheckpoint, TreeHash};
use crate::pack::PackFiles;

/// The longest line of inputs or openings that is read, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// A bundle that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReport {
    /// What it is about.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's file, in hexadecimal: the gateway logged it when it made the bundle.
    pub seal: String,
    /// The public key that all of it was checked against.
    pub key: VerifierKey,
    /// SHA-256 of the key's text, in hexadecimal: for comparing over the telephone.
    pub fingerprint: String,
    /// Whether the key was given by whoever asked, and not taken from the bundle.
    pub key_was_given: bool,
    /// Entries whose bytes were checked.
    pub entries: u64,
    /// Among them: decisions whose inputs and packs are in the bundle.
    pub decisions: u64,
    /// Questions.
    pub inputs: u64,
    /// Versions of packs.
    pub packs: u64,
    /// Proofs of single entries.
    pub proofs: u64,
    /// Commitments that are opened.
    pub openings: u64,
    /// Checkpoints of others that the log is consistent with.
    pub seen: usize,
    /// The keys of witnesses whose cosignatures hold, with when they cosigned, in seconds since 1970.
    pub witnesses: Vec<(WitnessKey, u64)>,
}

/// What is wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleFault {
    /// Not a bundle, or of another form.
    #[error("{path} is not the manifest of an evidence bundle that this version reads: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Of another log than the one asked about.
    #[error("the bundle is of another log: it is signed by {found}, and the key that you trust is {trusted}")]
    OtherLog {
        /// The bundle's key.
        found: String,
        /// The key that was given.
        trusted: String,
    },
    /// The checkpoint is not the one that the bundle was made with.
    #[error(
        "the checkpoint was swapped: the manifest says that the bundle was made at {manifest} entries, and \
         log/checkpoint is of {checkpoint}"
    )]
    SwappedCheckpoint {
        /// By the manifest.
        manifest: u64,
        /// By the checkpoint.
        checkpoint: u64,
    },
    /// The log in it.
    #[error("the log in the bundle does not hold")]
    Log(#[from] LogFault),
    /// The range of entries.
    #[error("the manifest speaks of entries {manifest:?}, and the log's copy is of {copy:?}")]
    Range {
        /// By the manifest.
        manifest: Range<u64>,
        /// By the copy.
        copy: Range<u64>,
    },
    /// An entry is not a record.
    #[error("entry {index} is not a record that this version reads: {reason}")]
    Unreadable {
        /// Its index.
        index: u64,
        /// Why.
        reason: String,
    },
    /// A question is not the one that was asked.
    #[error("the inputs {name} were altered (line {line} of inputs.jsonl): they hash to {found}")]
    AlteredInputs {
        /// The name that the line bears.
        name: String,
        /// Which line, from 1.
        line: u64,
        /// What its JSON hashes to.
        found: String,
    },
    /// A decision's question is not there.
    #[error("the inputs {name} of the decision in entry {index} are missing from inputs.jsonl")]
    MissingInputs {
        /// The entry.
        index: u64,
        /// The question's hash.
        name: String,
    },
    /// A pack's files are not those that decided.
    #[error("the pack in packs/{hash} was altered: its files hash to {found}")]
    AlteredPack {
        /// By the folder's name.
        hash: String,
        /// By its files.
        found: String,
    },
    /// A pack that decided is not there, or not whole.
    #[error("the version {hash} of pack {pack}, which decided entry {index}, is missing from packs/")]
    MissingPack {
        /// The entry.
        index: u64,
        /// The pack.
        pack: String,
        /// Its version.
        hash: String,
    },
    /// A proof of a single entry does not hold.
    #[error("{path} does not prove its entry")]
    Proof {
        /// The file.
        path: PathBuf,
        /// Why; where there is nothing, it proves an entry that the bundle does not hold.
        source: Option<ProofError>,
    },
    /// A cosignature is not the witness's.
    #[error("a cosignature in log/witnessed.json does not hold: {reason}")]
    Cosignature {
        /// Which, and why.
        reason: String,
    },
    /// An opening opens something else.
    #[error("line {line} of openings.jsonl does not open the commitment that it names")]
    Opening {
        /// Which line, from 1.
        line: u64,
    },
    /// The manifest names a file that is not there.
    #[error("the manifest does not match: {path} is missing")]
    MissingFile {
        /// The file.
        path: String,
    },
    /// A file is there that the manifest does not name.
    #[error("the manifest does not match: {path} is not listed in it")]
    Unlisted {
        /// The file.
        path: String,
    },
    /// A file has other contents than the manifest says.
    #[error("the manifest does not match: {path} has {bytes} bytes and SHA-256 {found}, and it says {listed}")]
    Altered {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
        /// Its SHA-256.
        found: String,
        /// What the manifest says.
        listed: String,
    },
    /// A file cannot be read, or its form is broken.
    #[error("{path} cannot be read: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> BundleFault + use<> {
    let path = path.to_owned();
    move |error| BundleFault::Io { path: path.clone(), reason: error.to_string() }
}

/// Checks a bundle's folder, against `trusted` where the log's key is known by another way.
pub fn verify_bundle(bundle: &Path, trusted: Option<&VerifierKey>) -> Result<BundleReport, BundleFault> {
    let manifest = read_manifest(bundle)?;
    // Before anything is followed: nothing but files and folders.
    let files = files_of(bundle).map_err(|(path, error)| io_at(&path)(error))?;
    let key = check_key(bundle, &manifest, trusted)?;
    let (range, mut seen) = check_form(bundle, &manifest)?;
    let witnesses = check_witnesses(bundle, &mut seen)?;
    let inputs = read_inputs(bundle)?;
    let packs = read_packs(bundle)?;
    let mut walk = Walk::new(&manifest, range, &inputs, &packs, read_proofs(bundle)?);
    let report = verify_export_visiting(&bundle.join(LOG_FOLDER), &key, &seen, |index, leaf| walk.entry(index, leaf))?;
    let (decisions, proofs) = walk.finish(&key)?;
    let openings = check_openings(bundle)?;
    check_files(&manifest, &files)?;
    Ok(BundleReport {
        seal: Manifest::seal(bundle).map_err(io_at(&bundle.join(MANIFEST_FILE)))?,
        fingerprint: fingerprint(&key),
        key_was_given: trusted.is_some(),
        key,
        entries: report.entries,
        decisions,
        inputs: u64::try_from(inputs.len()).unwrap_or(u64::MAX),
        packs: u64::try_from(packs.len()).unwrap_or(u64::MAX),
        proofs,
        openings,
        seen: seen.len(),
        witnesses,
        manifest,
    })
}

fn fingerprint(key: &VerifierKey) -> String {
    use sha2::{Digest, Sha256};
    HEXLOWER.encode(&Sha256::digest(key.to_string().as_bytes()))
}

fn read_manifest(bundle: &Path) -> Result<Manifest, BundleFault> {
    let path = bundle.join(MANIFEST_FILE);
    let not = |reason: String| BundleFault::Manifest { path: path.clone(), reason };
    let text = fs::read(&path).map_err(|error| not(error.to_string()))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| not(error.to_string()))?;
    if manifest.format == BUNDLE_FORMAT { Ok(manifest) } else { Err(not(format!("its format is {}", manifest.format))) }
}

/// The key to check by: the one that is trusted, else the bundle's own.
fn check_key(bundle: &Path, manifest: &Manifest, trusted: Option<&VerifierKey>) -> Result<VerifierKey, BundleFault> {
    let path = bundle.join(LOG_FOLDER).join(KEY_FILE);
    let found = fs::read_to_string(&path).map_err(io_at(&path))?;
    let found = found.trim_end();
    let other = |trusted: String| BundleFault::OtherLog { found: found.chars().take(200).collect(), trusted };
    if let Some(trusted) = trusted.filter(|trusted| trusted.to_string() != found) {
        return Err(other(trusted.to_string()));
    }
    if manifest.key != found {
        return Err(other(format!("{} by the manifest", manifest.key)));
    }
    VerifierKey::parse(found).map_err(|error| BundleFault::Io { path, reason: error.to_string() })
}

/// What the manifest says of the log's copy is so; and what others hold of the log.
fn check_form(bundle: &Path, manifest: &Manifest) -> Result<(Range<u64>, Vec<SeenCheckpoint>), BundleFault> {
    let log = bundle.join(LOG_FOLDER);
    let path = log.join("checkpoint");
    let text = fs::read_to_string(&path).map_err(io_at(&path))?;
    let unreadable = |error: &dyn std::error::Error| BundleFault::Io { path: path.clone(), reason: error.to_string() };
    let checkpoint = SignedCheckpoint::parse(&text).map_err(|error| unreadable(&error))?;
    if checkpoint.size() != manifest.size {
        return Err(BundleFault::SwappedCheckpoint { manifest: manifest.size, checkpoint: checkpoint.size() });
    }
    let (copy, stated) = (read_range(&log, manifest.size)?, manifest.entries.0..manifest.entries.1);
    if copy != stated || stated.is_empty() || stated.end > manifest.size {
        return Err(BundleFault::Range { manifest: stated, copy });
    }
    let path = log.join(SEEN_FILE);
    let unreadable = |reason: String| BundleFault::Io { path: path.clone(), reason };
    let text = fs::read(&path).map_err(io_at(&path))?;
    let seen: Vec<(String, String)> = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    let parse = |(by, note): (String, String)| match SignedCheckpoint::parse(&note) {
        Ok(checkpoint) => Ok(SeenCheckpoint { by, checkpoint }),
        Err(error) => Err(unreadable(error.to_string())),
    };
    Ok((copy, seen.into_iter().map(parse).collect::<Result<_, _>>()?))
}

/// What witnesses cosigned is theirs, and joins what others hold of the log.
fn check_witnesses(bundle: &Path, seen: &mut Vec<SeenCheckpoint>) -> Result<Vec<(WitnessKey, u64)>, BundleFault> {
    let path = bundle.join(LOG_FOLDER).join(WITNESSED_FILE);
    let text = fs::read(&path).map_err(io_at(&path))?;
    let witnessed: Vec<(String, String)> =
        serde_json::from_slice(&text).map_err(|error| BundleFault::Io { path, reason: error.to_string() })?;
    let mut witnesses = Vec::with_capacity(witnessed.len());
    for (key, note) in witnessed {
        let fault = |error: &dyn std::error::Error| BundleFault::Cosignature { reason: format!("{key}: {error}") };
        let witness = WitnessKey::parse(&key).map_err(|error| fault(&error))?;
        let checkpoint = SignedCheckpoint::parse(&note).map_err(|error| fault(&error))?;
        let time = witness.verify(checkpoint.note()).map_err(|error| fault(&error))?;
        seen.push(SeenCheckpoint { by: format!("the witness {}", witness.name()), checkpoint });
        witnesses.push((witness, time));
    }
    Ok(witnesses)
}

/// Shows each line of a file with its number, from 1. Nothing where the file is not there.
pub(in crate::audit) fn each_line(
    path: &Path,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), BundleFault>,
) -> Result<(), BundleFault> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_at(path)(error)),
    };
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut limited = io::Read::take(&mut reader, LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line).map_err(io_at(path))? == 0 {
            break;
        }
        let Some(text) = line.strip_suffix(b"\n") else {
            return Err(BundleFault::Io { path: path.to_owned(), reason: format!("line {number} does not end") });
        };
        visit(number, text)?;
    }
    Ok(())
}

/// The name and the JSON of a line of inputs, which must hash to it.
pub(in crate::audit) fn input_line(number: u64, line: &[u8]) -> Result<([u8; 32], &[u8]), BundleFault> {
    let (name, json) = match line.iter().position(|byte| *byte == b' ') {
        Some(at) => line.split_at(at),
        None => (line, &[][..]),
    };
    let json = json.strip_prefix(b" ").unwrap_or(json);
    let hash = blake3::hash(json);
    if hash.to_hex().as_bytes() == name {
        return Ok((*hash.as_bytes(), json));
    }
    let name = String::from_utf8_lossy(name).chars().take(80).collect();
    Err(BundleFault::AlteredInputs { name, line: number, found: hash.to_hex().to_string() })
}

fn read_inputs(bundle: &Path) -> Result<HashSet<[u8; 32]>, BundleFault> {
    let mut inputs = HashSet::new();
    each_line(&bundle.join(INPUTS_FILE), |number, line| {
        inputs.insert(input_line(number, line)?.0);
        Ok(())
    })?;
    Ok(inputs)
}

/// The hashes of the packs that are there and whole.
fn read_packs(bundle: &Path) -> Result<BTreeSet<String>, BundleFault> {
    let mut packs = BTreeSet::new();
    for (hash, files) in pack_files(bundle)? {
        let found = files.hash();
        if found != hash {
            return Err(BundleFault::AlteredPack { hash, found });
        }
        packs.insert(hash);
    }
    Ok(packs)
}

/// The packs of a bundle by the names of their folders. What is not a whole pack is a fault.
pub(in crate::audit) fn pack_files(bundle: &Path) -> Result<BTreeMap<String, PackFiles>, BundleFault> {
    let folder = bundle.join(PACKS_FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(io_at(&folder)(error)),
    };
    let mut packs = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(io_at(&folder))?;
        let files = PackFiles::read(&entry.path())
            .map_err(|error| BundleFault::Io { path: entry.path(), reason: error.to_string() })?;
        packs.insert(entry.file_name().to_string_lossy().into_owned(), files);
    }
    Ok(packs)
}

fn read_proofs(bundle: &Path) -> Result<BTreeMap<u64, (PathBuf, LogProof)>, BundleFault> {
    let folder = bundle.join(PROOFS_FOLDER);
    let mut proofs = BTreeMap::new();
    for entry in fs::read_dir(&folder).map_err(io_at(&folder))? {
        let path = entry.map_err(io_at(&folder))?.path();
        let text = fs::read_to_string(&path).map_err(io_at(&path))?;
        let proof =
            LogProof::parse(&text).map_err(|source| BundleFault::Proof { path: path.clone(), source: Some(source) })?;
        proofs.insert(proof.index, (path, proof));
    }
    Ok(proofs)
}

/// What is looked at entry by entry, while the tree is checked.
struct Walk<'a> {
    manifest: &'a Manifest,
    range: Range<u64>,
    inputs: &'a HashSet<[u8; 32]>,
    packs: &'a BTreeSet<String>,
    lacking: HashSet<&'a str>,
    proofs: BTreeMap<u64, (PathBuf, LogProof)>,
    proved: Vec<(PathBuf, LogProof, TreeHash)>,
    decisions: u64,
    fault: Option<BundleFault>,
}

impl<'a> Walk<'a> {
    fn new(
        manifest: &'a Manifest,
        range: Range<u64>,
        inputs: &'a HashSet<[u8; 32]>,
        packs: &'a BTreeSet<String>,
        proofs: BTreeMap<u64, (PathBuf, LogProof)>,
    ) -> Self {
        let lacking = manifest.lacking.iter().map(String::as_str).collect();
        Self { manifest, range, inputs, packs, lacking, proofs, proved: Vec::new(), decisions: 0, fault: None }
    }

    fn entry(&mut self, index: u64, leaf: &[u8]) {
        if !self.range.contains(&index) || self.fault.is_some() {
            return;
        }
        if let Some((path, proof)) = self.proofs.remove(&index) {
            self.proved.push((path, proof, TreeHash::of_leaf(leaf)));
        }
        self.fault = self.stands(index, leaf).err();
    }

    /// Whether everything that the entry stands on is there.
    fn stands(&mut self, index: u64, leaf: &[u8]) -> Result<(), BundleFault> {
        let unreadable = |error: serde_json::Error| BundleFault::Unreadable { index, reason: error.to_string() };
        let leaf = Leaf::parse(leaf).map_err(unreadable)?;
        let Some(decision) = leaf.decision.as_ref().filter(|_| leaf.is_about(self.manifest.bucket.as_deref())) else {
            return Ok(());
        };
        let mut name = [0; 32];
        let is_name = HEXLOWER.decode_len(decision.inputs.len()) == Ok(name.len())
            && HEXLOWER.decode_mut(decision.inputs.as_bytes(), &mut name).is_ok();
        if !is_name || !self.inputs.contains(&name) {
            let missing = decision.inputs.to_string();
            if !self.lacking.contains(format!("inputs {missing}").as_str()) {
                return Err(BundleFault::MissingInputs { index, name: missing });
            }
        }
        for pack in &decision.packs {
            let is_there = self.packs.contains(pack.hash.as_ref());
            if !is_there && !self.lacking.contains(format!("pack {}", pack.hash).as_str()) {
                let (pack, hash) = (pack.pack.to_string(), pack.hash.to_string());
                return Err(BundleFault::MissingPack { index, pack, hash });
            }
        }
        self.decisions += 1;
        Ok(())
    }

    /// The log held: now what was found on the way counts.
    fn finish(self, key: &VerifierKey) -> Result<(u64, u64), BundleFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Some((_, (path, _))) = self.proofs.into_iter().next() {
            return Err(BundleFault::Proof { path, source: None });
        }
        let mut count = 0;
        for (path, proof, leaf) in self.proved {
            proof.verify(&leaf, key).map_err(|source| BundleFault::Proof { path, source: Some(source) })?;
            count += 1;
        }
        Ok((self.decisions, count))
    }
}

fn check_openings(bundle: &Path) -> Result<u64, BundleFault> {
    let mut count = 0;
    each_line(&bundle.join(OPENINGS_FILE), |line, text| {
        let opens = || {
            let opened: Opened = serde_json::from_slice(text).ok()?;
            let domain = CommitmentDomain::ALL.into_iter().find(|domain| domain.name() == opened.domain)?;
            let salt = HEXLOWER.decode(opened.salt.as_bytes()).ok()?.try_into().ok()?;
            (domain.commit(&Salt(salt), opened.value.as_bytes()) == opened.commitment).then_some(())
        };
        count += 1;
        opens().ok_or(BundleFault::Opening { line })
    })?;
    Ok(count)
}

fn check_files(manifest: &Manifest, files: &BTreeMap<String, PathBuf>) -> Result<(), BundleFault> {
    if let Some(path) = files.keys().find(|path| !manifest.files.contains_key(*path)) {
        return Err(BundleFault::Unlisted { path: path.clone() });
    }
    for (path, listed) in &manifest.files {
        let Some(file) = files.get(path) else { return Err(BundleFault::MissingFile { path: path.clone() }) };
        let found = FileNote::of(file).map_err(io_at(file))?;
        if found != *listed {
            let (path, listed) = (path.clone(), listed.sha256.clone());
            return Err(BundleFault::Altered { path, bytes: found.bytes, found: found.sha256, listed });
        }
    }
    Ok(())
}
