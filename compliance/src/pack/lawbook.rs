//! All packs of an installation, and the ones a region is under.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use domicile_types::{EvidenceGrade, PackId, Place, SuiteId, UnixMillis};

use crate::decide::Memo;
use crate::pack::{Algorithms, KeyCustody, Locus, Pack, PackFiles, PackLoadError};
use crate::place::{Standing, Window};

/// Every pack of an installation. Cheap to share behind an `Arc`; never changes once loaded.
#[derive(Debug)]
pub struct Lawbook {
    packs: BTreeMap<PackId, Arc<Pack>>,
    pub(crate) memo: Memo,
}

/// A pack that no folder holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no pack {pack} is loaded: name one of {known}, or add policies/{pack}")]
pub struct UnknownPack {
    pack: PackId,
    known: String,
}

impl Lawbook {
    /// Reads every folder of `policies`, but for hidden ones. Any fault in any pack refuses the whole.
    pub fn load(policies: &Path) -> Result<Self, PackLoadError> {
        let unlisted = |source| PackLoadError::Folder { path: policies.to_owned(), source };
        let mut folders = Vec::new();
        for entry in fs::read_dir(policies).map_err(unlisted)? {
            let path = entry.map_err(unlisted)?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && !hidden {
                folders.push(path);
            }
        }
        folders.sort();
        let mut packs = Vec::with_capacity(folders.len());
        for path in folders {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let id = PackId::parse(&name).map_err(|source| PackLoadError::Name { path: path.clone(), source })?;
            packs.push(Pack::parse(id, &PackFiles::read(&path)?)?);
        }
        if packs.is_empty() {
            return Err(PackLoadError::NoPacks { path: policies.to_owned() });
        }
        Ok(Self::of(packs))
    }

    /// From packs that were parsed already.
    #[must_use]
    pub fn of(packs: Vec<Pack>) -> Self {
        let packs = packs.into_iter().map(|pack| (pack.id().clone(), Arc::new(pack))).collect();
        Self { packs, memo: Memo::default() }
    }

    /// The same, with `pack` in the place of the version that it replaces, or beside the others where it is new. What this
    /// one remembers of answers given stays with it.
    #[must_use]
    pub fn with(&self, pack: Pack) -> Self {
        let mut packs = self.packs.clone();
        packs.insert(pack.id().clone(), Arc::new(pack));
        Self { packs, memo: Memo::default() }
    }

    /// Every pack, in the order of names.
    pub fn packs(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.values()
    }

    /// One pack.
    #[must_use]
    pub fn pack(&self, id: &PackId) -> Option<&Arc<Pack>> {
        self.packs.get(id)
    }

    /// The packs of a region, in the order given.
    pub fn pack_set(&self, ids: &[PackId]) -> Result<PackSet, UnknownPack> {
        let known = || self.packs.keys().map(PackId::as_str).collect::<Vec<_>>().join(", ");
        let find =
            |id: &PackId| self.packs.get(id).cloned().ok_or_else(|| UnknownPack { pack: id.clone(), known: known() });
        ids.iter().map(find).collect::<Result<_, _>>().map(|packs| PackSet { packs })
    }
}

/// The packs that a region is under, together: what they demand united.
#[derive(Debug, Clone)]
pub struct PackSet {
    packs: Vec<Arc<Pack>>,
}

impl PackSet {
    /// The packs, in order.
    pub fn packs(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.iter()
    }

    /// Their names, in order: what a [`Question`](crate::Question) asks.
    #[must_use]
    pub fn ids(&self) -> Vec<PackId> {
        self.packs.iter().map(|pack| pack.id().clone()).collect()
    }

    /// The suite that satisfies all: AES-256-GCM as soon as one demands FIPS-approved algorithms.
    #[must_use]
    pub fn suite(&self) -> SuiteId {
        let strictest = self.packs.iter().map(|pack| pack.facts().algorithms).max();
        strictest.unwrap_or(Algorithms::Any).suite()
    }

    /// The longest retention of any, in days.
    #[must_use]
    pub fn retention_days(&self) -> u32 {
        self.packs.iter().map(|pack| pack.facts().retention_days).max().unwrap_or(0)
    }

    /// The longest that any demands for logs of access and operation, in days. Records may be kept longer still.
    #[must_use]
    pub fn log_retention_days(&self) -> u32 {
        self.packs.iter().map(|pack| pack.facts().log_retention_days).max().unwrap_or(0)
    }

    /// The strictest grade of evidence of a node's place that any demands.
    #[must_use]
    pub fn evidence_minimum(&self) -> EvidenceGrade {
        let strictest = self.packs.iter().map(|pack| pack.facts().evidence_minimum).max_by_key(|grade| grade.number());
        strictest.unwrap_or(EvidenceGrade::Audited)
    }

    /// Whether one encrypted shard is data to any of them.
    #[must_use]
    pub fn shard_is_data(&self) -> bool {
        self.packs.is_empty() || self.packs.iter().any(|pack| pack.facts().shard_is_data)
    }

    /// Who may hold keys, by the strictest.
    #[must_use]
    pub fn key_custody(&self) -> KeyCustody {
        self.packs.iter().map(|pack| pack.facts().key_custody).max().unwrap_or(KeyCustody::Own)
    }

    /// Whether every pack lets `locus` be at `place`, for want of any approval. No pack: nowhere.
    #[must_use]
    pub fn admits(&self, locus: Locus, place: Place, now: UnixMillis) -> bool {
        !self.packs.is_empty()
            && self.packs.iter().all(|pack| {
                let facts = pack.facts();
                let place = facts.territory.read(place);
                let holds = |name: &String| {
                    let standing =
                        |group: &crate::place::Group| group.standing(place, None, now, &mut Window::ALWAYS.clone());
                    facts.groups.get(name).is_some_and(|group| standing(group) == Standing::Within)
                };
                facts.loci.get(&locus).is_none_or(|groups| groups.iter().any(holds))
            })
    }

    /// Which root key the data keys hang from: the jurisdictions of all packs, sorted, joined by `+`.
    #[must_use]
    pub fn key_jurisdiction(&self) -> String {
        let mut names: Vec<&str> = self.packs.iter().map(|pack| pack.facts().key_jurisdiction.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join("+")
    }

    /// Whether `place` is home territory for all of them.
    #[must_use]
    pub fn is_home(&self, place: Place, now: UnixMillis) -> bool {
        !self.packs.is_empty()
            && self.packs.iter().all(|pack| {
                let facts = pack.facts();
                let place = facts.territory.read(place);
                let standing =
                    |group: &crate::place::Group| group.standing(place, None, now, &mut Window::ALWAYS.clone());
                facts.groups.get(&facts.home).is_some_and(|home| standing(home) == Standing::Within)
            })
    }
}
