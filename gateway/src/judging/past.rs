//! What would have been decided under other packs: every decision of a time, from its recorded inputs, decided again.
//!
//! Each is judged as of its own moment by the versions that it was judged by, with the supposed packs in the place of those of
//! their names. The log is read once, entry by entry; what is kept is counts, and a few examples of each kind of change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use domicile_compliance::Lawbook;
use domicile_compliance::audit::StoredEntry;
use domicile_compliance::pack::{Pack, PackFiles};
use domicile_types::{Decision, Entry, Intent, PackId, PackVersion, Record, UnixMillis, Verdict};
use serde::{Deserialize, Serialize};

use super::kept::kept_pack;
use super::publish::{PackUpload, PublishError, blocking};
use crate::objects::Gateway;

/// Kinds of change that are told apart.
const CHANGES_MAX: usize = 500;
/// Examples of each.
const EXAMPLES_MAX: usize = 10;
/// Combinations of packs that are kept loaded.
const LAWBOOKS_MAX: usize = 64;

/// What is supposed of the past.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastSupposed {
    /// From when on.
    #[schemars(with = "u64")]
    pub from: UnixMillis,
    /// Until when, exclusive.
    #[schemars(with = "u64")]
    pub to: UnixMillis,
    /// The packs that would have judged, by name.
    #[schemars(with = "BTreeMap<String, PackUpload>")]
    pub packs: BTreeMap<PackId, PackUpload>,
}

/// What would have been decided otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PastImpact {
    /// Entries of the time.
    pub entries: u64,
    /// Decisions that were decided again.
    pub decisions: u64,
    /// Those that come out the same, by the same rules.
    pub same: u64,
    /// Allowed then, denied under the supposed packs.
    pub would_be_denied: u64,
    /// Denied then, allowed under the supposed packs.
    pub would_be_allowed: u64,
    /// The same verdict, by other rules or otherwise an export.
    pub by_other_rules: u64,
    /// Decisions whose regions have none of the supposed packs: they cannot change.
    pub of_other_packs: u64,
    /// Refusals of roles, which no pack decides.
    pub of_roles: u64,
    /// Decisions whose inputs were not kept, or were erased.
    pub without_inputs: u64,
    /// Decisions of which a version that judged is not kept: the one in force now took its place.
    pub approximated: u64,
    /// What changes, most frequent first.
    pub changes: Vec<PastChange>,
    /// Decisions that change in kinds beyond those listed.
    pub unlisted: u64,
    /// By rule of the supposed packs (`pack/rule`): how many changed decisions it determines.
    pub rules: BTreeMap<String, u64>,
}

/// One kind of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PastChange {
    /// What was being done.
    pub operation: String,
    /// How it was decided, and by which rules.
    pub was: String,
    /// How it would have been.
    pub would_be: String,
    /// How many decisions.
    pub decisions: u64,
    /// Indices of the first of them in the log.
    pub examples: Vec<u64>,
}

impl Gateway {
    /// What would have been decided under `supposed`. Changes nothing.
    pub async fn past_impact(&self, supposed: PastSupposed) -> Result<PastImpact, PublishError> {
        let gateway = self.clone();
        blocking(move || {
            let mut packs = Vec::new();
            for (id, upload) in supposed.packs {
                let files = upload.into_files(&id);
                // What does not load is refused before anything is read.
                Pack::parse(id.clone(), &files)?;
                packs.push((id, files));
            }
            let mut again = Again::new(packs);
            let end = gateway.log.len();
            let first = first_at(&gateway, supposed.from, end)?;
            let mut fault = None;
            let read = gateway.log.entries(first..end, |stored| match again.look(&gateway, &stored, supposed.to) {
                Ok(more) => more,
                Err(error) => {
                    fault = Some(error);
                    false
                }
            });
            read.map_err(|error| PublishError::Log(Box::new(error)))?;
            fault.map_or_else(|| Ok(again.told()), Err)
        })
        .await
    }
}

/// The index of the first entry at or after `time`; entries are in the order of the gateway's clock.
fn first_at(gateway: &Gateway, time: UnixMillis, end: u64) -> Result<u64, PublishError> {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut at = None;
        let read = gateway.log.entries(middle..middle + 1, |stored| {
            at = stored.record().ok().map(|record| record.time);
            false
        });
        read.map_err(|error| PublishError::Log(Box::new(error)))?;
        match at {
            Some(at) if at < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Decides again.
struct Again {
    supposed: Vec<(PackId, PackFiles)>,
    names: BTreeSet<PackId>,
    /// Law by the versions that judged, and whether they are all kept.
    lawbooks: HashMap<Vec<String>, (Arc<Lawbook>, bool)>,
    found: PastImpact,
    changes: BTreeMap<(String, String, String), (u64, Vec<u64>)>,
}

impl Again {
    fn new(supposed: Vec<(PackId, PackFiles)>) -> Self {
        let names = supposed.iter().map(|(id, _)| id.clone()).collect();
        Self { supposed, names, lawbooks: HashMap::new(), found: PastImpact::default(), changes: BTreeMap::new() }
    }

    /// Whether there is more to look at.
    fn look(&mut self, gateway: &Gateway, stored: &StoredEntry, to: UnixMillis) -> Result<bool, PublishError> {
        let Record { time, entry, .. } = stored.record().map_err(|error| PublishError::Log(Box::new(error)))?;
        if time >= to {
            return Ok(false);
        }
        self.found.entries += 1;
        if let Entry::Intent(intent) | Entry::Denied(intent) = entry {
            self.decide(gateway, stored.index, &intent)?;
        }
        Ok(true)
    }

    fn decide(&mut self, gateway: &Gateway, index: u64, intent: &Intent) -> Result<(), PublishError> {
        let was = &intent.decision;
        if was.rules.iter().any(|rule| rule.pack.as_str() == "role") {
            self.found.of_roles += 1;
            return Ok(());
        }
        if !was.packs.iter().any(|version| self.names.contains(&version.pack)) {
            self.found.of_other_packs += 1;
            return Ok(());
        }
        let inputs = gateway.log.inputs().get(&was.inputs).map_err(|error| PublishError::Log(Box::new(error)))?;
        let Some(question) = inputs else {
            self.found.without_inputs += 1;
            return Ok(());
        };
        let (lawbook, exact) = self.lawbook(gateway, &was.packs)?;
        let would_be = lawbook.decide(&question).decision;
        self.found.approximated += u64::from(!exact);
        self.count(index, intent, &would_be);
        Ok(())
    }

    fn count(&mut self, index: u64, intent: &Intent, would_be: &Decision) {
        let was = &intent.decision;
        self.found.decisions += 1;
        let (before, after) = (super::diff::outcome(was), super::diff::outcome(would_be));
        if before == after {
            self.found.same += 1;
            return;
        }
        match (was.verdict, would_be.verdict) {
            (Verdict::Allow, Verdict::Deny) => self.found.would_be_denied += 1,
            (Verdict::Deny, Verdict::Allow) => self.found.would_be_allowed += 1,
            _ => self.found.by_other_rules += 1,
        }
        for rule in would_be.rules.iter().filter(|rule| self.names.contains(&rule.pack)) {
            *self.found.rules.entry(format!("{}/{}", rule.pack, rule.rule)).or_default() += 1;
        }
        let operation = serde_json::to_value(intent.operation).ok();
        let operation = operation.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let kind = (operation, before, after);
        if !self.changes.contains_key(&kind) && self.changes.len() >= CHANGES_MAX {
            self.found.unlisted += 1;
            return;
        }
        let (count, examples) = self.changes.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(index);
        }
    }

    /// The law that judged, with what is supposed in it.
    fn lawbook(&mut self, gateway: &Gateway, judged: &[PackVersion]) -> Result<(Arc<Lawbook>, bool), PublishError> {
        let key: Vec<String> = judged.iter().map(|version| format!("{}@{}", version.pack, version.hash)).collect();
        if let Some((lawbook, exact)) = self.lawbooks.get(&key) {
            return Ok((Arc::clone(lawbook), *exact));
        }
        let (mut lawbook, mut exact) = (gateway.judging.lawbook(), true);
        for version in judged.iter().filter(|version| !self.names.contains(&version.pack)) {
            if lawbook.pack(&version.pack).is_some_and(|pack| pack.version() == version) {
                continue;
            }
            match kept_pack(&gateway.config.data_dir, &version.hash) {
                Some(files) => lawbook = Arc::new(lawbook.with(Pack::parse(version.pack.clone(), &files)?)),
                None => exact = false,
            }
        }
        for (id, files) in &self.supposed {
            lawbook = Arc::new(lawbook.with(Pack::parse(id.clone(), files)?));
        }
        if self.lawbooks.len() >= LAWBOOKS_MAX {
            self.lawbooks.clear();
        }
        self.lawbooks.insert(key, (Arc::clone(&lawbook), exact));
        Ok((lawbook, exact))
    }

    fn told(self) -> PastImpact {
        let change = |((operation, was, would_be), (decisions, examples))| PastChange {
            operation,
            was,
            would_be,
            decisions,
            examples,
        };
        let mut changes: Vec<PastChange> = self.changes.into_iter().map(change).collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.decisions));
        PastImpact { changes, ..self.found }
    }
}
