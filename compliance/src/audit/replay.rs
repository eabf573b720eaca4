//! Replay: every decision decided again, from its recorded inputs, by the packs of its time.
//!
//! A decision is a pure function of its question and of the packs that it was put to, so a second look must come to the same:
//! verdict, rules, obligations, approvals, versions, hash. What does not is told by the entry's index.
//!
//! Some attempts are denied though the law allows: by a role that holds only for requesters elsewhere, by a quota. Their rule
//! is of no pack that was asked. For these, the replay checks that the law did allow, and counts them apart.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use domicile_types::{Decision, PackVersion, Verdict};
use lru::LruCache;
use serde::Deserialize;

use super::bundle::{BundleFault, INPUTS_FILE, LOG_FOLDER, Leaf, Manifest, each_line, input_line, pack_files};
use super::inputs::InputsError;
use super::log::AuditLog;
use super::note::VerifierKey;
use super::read::ReadError;
use super::verify::verify_export_visiting;
use crate::decide::Question;
use crate::pack::{Lawbook, Pack, PackFiles};

/// Decisions that are remembered: requests repeat, and so do their questions within one millisecond.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// Differences that are told one by one; all are counted.
const DIFFERENCES_MAX: usize = 1_000;

/// Where the packs of the past are: files by their hash.
pub type PackShelf<'a> = &'a dyn Fn(&str) -> Option<PackFiles>;

/// What came of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Replay {
    /// The first entry, and the end (exclusive).
    pub entries: (u64, u64),
    /// Decisions that were decided again.
    pub decisions: u64,
    /// Of these, how many came to the same.
    pub same: u64,
    /// Of these, how many the law allows and something else denied, by what: `role`, and others that are no packs.
    #[serde(default)]
    pub denied_by: BTreeMap<String, u64>,
    /// How many came to something else, or could not be decided again.
    pub different: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// A decision that came to something else.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// The entry.
    pub index: u64,
    /// What is otherwise, or what is lacking.
    pub what: String,
}

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An entry cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The inputs of a decision cannot be read.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The bundle does not hold.
    #[error(transparent)]
    Bundle(#[from] BundleFault),
}

/// Decides again.
pub struct Replayer<'a> {
    shelf: PackShelf<'a>,
    /// By the versions of their packs.
    lawbooks: HashMap<Vec<String>, Result<Lawbook, String>>,
    recent: LruCache<String, Decision>,
    report: Replay,
}

/// An entry with a decision.
#[derive(Deserialize)]
struct Decided {
    decision: Decision,
}

impl<'a> Replayer<'a> {
    /// With the packs of `shelf`.
    #[must_use]
    pub fn new(shelf: PackShelf<'a>, entries: Range<u64>) -> Self {
        let report = Replay { entries: (entries.start, entries.end), ..Replay::default() };
        Self { shelf, lawbooks: HashMap::new(), recent: LruCache::new(REMEMBERED), report }
    }

    /// Looks at one entry; `question` finds inputs by their name.
    fn entry<E>(
        &mut self,
        index: u64,
        leaf: &[u8],
        mut question: impl FnMut(&str) -> Result<Option<Question>, E>,
    ) -> Result<(), E> {
        let is_decision = Leaf::parse(leaf).is_ok_and(|leaf| leaf.decision.is_some());
        let Some(Decided { decision: recorded }) = serde_json::from_slice(leaf).ok().filter(|_| is_decision) else {
            return Ok(());
        };
        self.report.decisions += 1;
        // The same question by the same packs: what came of it is known.
        let name = [&recorded.inputs, " ", &versions_of(&recorded.packs).join(" ")].concat();
        if !self.recent.contains(&name) {
            let Some(question) = question(&recorded.inputs)? else {
                self.differs(index, format!("its inputs {} are not kept", recorded.inputs));
                return Ok(());
            };
            match self.lawbook(&recorded.packs) {
                Ok(lawbook) => {
                    let again = lawbook.decide(&question).decision;
                    self.recent.put(name.clone(), again);
                }
                Err(lacking) => {
                    let lacking = lacking.clone();
                    self.differs(index, lacking);
                    return Ok(());
                }
            }
        }
        let Some(again) = self.recent.get(&name) else { return Ok(()) };
        match compare(&recorded, again) {
            Same::All => self.report.same += 1,
            Same::DeniedBy(what) => *self.report.denied_by.entry(what).or_default() += 1,
            Same::Not(what) => self.differs(index, what),
        }
        Ok(())
    }

    fn differs(&mut self, index: u64, what: String) {
        self.report.different += 1;
        if self.report.differences.len() < DIFFERENCES_MAX {
            self.report.differences.push(Difference { index, what });
        }
    }

    /// The packs in the versions that decided; or which of them is lacking.
    fn lawbook(&mut self, packs: &[PackVersion]) -> Result<&Lawbook, &String> {
        let shelf = self.shelf;
        let versions = versions_of(packs);
        self.lawbooks.entry(versions).or_insert_with(|| open(packs, shelf)).as_ref()
    }
}

fn versions_of(packs: &[PackVersion]) -> Vec<String> {
    packs.iter().map(|pack| format!("{}/{}", pack.pack, pack.hash)).collect()
}

fn open(packs: &[PackVersion], shelf: PackShelf<'_>) -> Result<Lawbook, String> {
    let parse = |version: &PackVersion| {
        let PackVersion { pack, hash, .. } = version;
        let files = shelf(hash).ok_or_else(|| format!("the version {hash} of pack {pack} is not kept"))?;
        if files.hash() != *hash {
            return Err(format!("the version {hash} of pack {pack} was altered since"));
        }
        Pack::parse(pack.clone(), &files).map_err(|error| format!("the version {hash} of pack {pack}: {error}"))
    };
    packs.iter().map(parse).collect::<Result<Vec<_>, _>>().map(Lawbook::of)
}

enum Same {
    All,
    DeniedBy(String),
    Not(String),
}

fn compare(recorded: &Decision, again: &Decision) -> Same {
    if recorded == again {
        return Same::All;
    }
    // The law allowed, and a rule that is of no pack denied.
    let is_foreign = |rule: &domicile_types::RuleRef| !recorded.packs.iter().any(|pack| pack.pack == rule.pack);
    if recorded.verdict == Verdict::Deny && again.verdict == Verdict::Allow && recorded.rules.iter().all(is_foreign) {
        let Decision { verdict, rules, obligations, .. } = recorded.clone();
        let by = rules.first().map(|rule| rule.pack.to_string());
        if let (Some(by), true) = (by, *recorded == Decision { verdict, rules, obligations, ..again.clone() }) {
            return Same::DeniedBy(by);
        }
    }
    let parts = [
        ("verdict", format!("{:?}", recorded.verdict), format!("{:?}", again.verdict)),
        ("rules", rules(recorded), rules(again)),
        ("export", recorded.export.to_string(), again.export.to_string()),
        ("obligations", format!("{:?}", recorded.obligations), format!("{:?}", again.obligations)),
        ("approvals", format!("{:?}", recorded.approvals), format!("{:?}", again.approvals)),
        ("packs", versions_of(&recorded.packs).join(" "), versions_of(&again.packs).join(" ")),
        ("inputs", recorded.inputs.clone(), again.inputs.clone()),
        ("warnings", recorded.warnings.join("; "), again.warnings.join("; ")),
    ];
    let cites = (recorded.rules != again.rules && rules(recorded) == rules(again)).then(|| "cites of rules".to_owned());
    let told = parts.into_iter().filter(|(_, before, now)| before != now);
    let told = told.map(|(part, before, now)| format!("{part}: recorded {before}, decided again {now}"));
    Same::Not(told.chain(cites).collect::<Vec<_>>().join("; "))
}

fn rules(decision: &Decision) -> String {
    decision.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect::<Vec<_>>().join(" ")
}

/// Decides every decision among `entries` of an open log again. Blocks on the disk.
pub fn replay_log(log: &AuditLog, entries: Range<u64>, shelf: PackShelf<'_>) -> Result<Replay, ReplayError> {
    let entries = entries.start..entries.end.min(log.len());
    let mut replayer = Replayer::new(shelf, entries.clone());
    let mut fault = None;
    log.entries(entries, |stored| {
        fault = replayer.entry(stored.index, &stored.leaf, |name| log.inputs().get(name)).err();
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(replayer.report),
    }
}

/// Decides every decision of a bundle again. The bundle must have been checked: see [`super::verify_bundle`].
pub fn replay_bundle(bundle: &Path, key: &VerifierKey, manifest: &Manifest) -> Result<Replay, ReplayError> {
    let packs = pack_files(bundle)?;
    let shelf = |hash: &str| packs.get(hash).cloned();
    let path = bundle.join(INPUTS_FILE);
    let (mut inputs, mut at) = (HashMap::new(), 0u64);
    each_line(&path, |number, line| {
        let (name, json) = input_line(number, line)?;
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let skipped = length - u64::try_from(json.len()).unwrap_or(length);
        inputs.insert(name, (at + skipped, json.len()));
        at += length + 1;
        Ok(())
    })?;
    let unreadable = |error: std::io::Error| BundleFault::Io { path: path.clone(), reason: error.to_string() };
    let file = File::open(&path).map_err(unreadable)?;
    let find = |name: &str| -> Result<Option<Question>, BundleFault> {
        let name = blake3::Hash::from_hex(name).ok();
        let Some((offset, length)) = name.and_then(|name| inputs.get(name.as_bytes())) else { return Ok(None) };
        let mut json = vec![0; *length];
        file.read_exact_at(&mut json, *offset).map_err(unreadable)?;
        let question = serde_json::from_slice(&json).map_err(|error| unreadable(error.into()))?;
        Ok(Some(question))
    };
    let (first, end) = manifest.entries;
    let mut replayer = Replayer::new(&shelf, first..end);
    let mut fault = None;
    verify_export_visiting(&bundle.join(LOG_FOLDER), key, &[], |index, leaf| {
        let is_about = || Leaf::parse(leaf).is_ok_and(|leaf| leaf.is_about(manifest.bucket.as_deref()));
        if fault.is_none() && (first..end).contains(&index) && is_about() {
            fault = replayer.entry(index, leaf, find).err();
        }
    })
    .map_err(BundleFault::from)?;
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(replayer.report),
    }
}
