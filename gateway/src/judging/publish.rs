//! How a new version of the law comes into force.
//!
//! In this order, and the old version judges until the last step: it loads; its scenarios, and those of all other packs, come
//! out as they say; no pack is missing that data may lie under; its files are durable; the log says that it is in force;
//! the epoch is raised, so that nothing commits that was judged before; it judges.

use std::path::PathBuf;
use std::sync::Arc;

use domicile_compliance::audit::{CommitmentDomain, Event};
use domicile_compliance::pack::{Pack, PackFiles, PackLoadError};
use domicile_compliance::{CaseReport, Lawbook, run_cases};
use domicile_types::{PackId, PackVersion, Salt};
use serde::{Deserialize, Serialize};

use super::Law;
use super::kept::keep_in_force;
use super::packs::{check_regions, published_folder, versions, write_published};
use crate::catalog::{CatalogError, InForce, JudgingEpoch, Stamp};
use crate::objects::{Caller, Gateway};

/// The files of a pack, as they are sent.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackUpload {
    /// `pack.toml`.
    pub facts: String,
    /// `rules.cedar`.
    pub rules: String,
    /// `cases.toml`.
    pub cases: String,
    /// `SOURCES.md`.
    pub sources: String,
}

impl PackUpload {
    /// The files, as if they came from the folder `name`.
    #[must_use]
    pub fn into_files(self, name: &PackId) -> PackFiles {
        let Self { facts, rules, cases, sources } = self;
        PackFiles { folder: PathBuf::from(name.as_str()), facts, rules, cases, sources }
    }
}

impl From<PackFiles> for PackUpload {
    fn from(files: PackFiles) -> Self {
        let PackFiles { facts, rules, cases, sources, folder: _ } = files;
        Self { facts, rules, cases, sources }
    }
}

/// What came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Published {
    /// The epoch from now on.
    #[schemars(with = "u64")]
    pub epoch: JudgingEpoch,
    /// Whether anything changed.
    pub changed: bool,
    /// Every pack in force.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub packs: Vec<PackVersion>,
    /// Index of the entry in the log.
    pub log_index: Option<u64>,
}

/// Why the old version stays in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It does not load.
    #[error("it does not load, and the old version stays in force")]
    Unloadable(#[from] PackLoadError),
    /// Its scenarios say something else than it does.
    #[error("its scenarios do not hold, and the old version stays in force:\n{report}")]
    CasesFail {
        /// What came of them.
        report: CaseReport,
    },
    /// A pack that judges now is not among the new ones.
    #[error("{} would be without a pack to judge by: data may lie under it, so it can be replaced, and not taken away", join(.packs))]
    Missing {
        /// Which packs.
        packs: Vec<PackId>,
    },
    /// A region would name what is not there.
    #[error("{0}")]
    Region(String),
    /// Its files cannot be kept.
    #[error("its files cannot be written down, and the old version stays in force")]
    Disk(#[source] std::io::Error),
    /// A version that judged once is not among those that are kept.
    #[error("the files of {pack} {hash}, which was in force then, are not kept any more")]
    NotKept {
        /// Which pack.
        pack: PackId,
        /// Of which version.
        hash: String,
    },
    /// The log takes no entry.
    #[error("the change cannot be logged, and the old version stays in force")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The epoch cannot be raised.
    #[error("the change cannot be stored, and the old version stays in force")]
    Catalog(#[from] CatalogError),
    /// The gateway stops.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

impl PublishError {
    /// Whether the cause is what was published, and not the gateway.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Unloadable(_) | Self::CasesFail { .. } | Self::Missing { .. } | Self::Region(_))
    }
}

fn join(packs: &[PackId]) -> String {
    packs.iter().map(PackId::as_str).collect::<Vec<_>>().join(", ")
}

impl Gateway {
    /// Puts a new version of one pack, or a pack that was not there, in force.
    pub async fn publish_pack(&self, caller: &Caller, id: PackId, files: PackFiles) -> Result<Published, PublishError> {
        let change = self.judging.change().await;
        let law = self.judging.law();
        let hash = files.hash();
        let (_, known) = self.catalog.judging().await?;
        let mut published = known.map(|known| known.published).unwrap_or_default();
        let folder = published_folder(&self.config.data_dir, &hash);
        published.retain(|(other, _)| *other != id);
        published.push((id.clone(), hash));
        let lawbook = Arc::clone(&law.lawbook);
        let lawbook = blocking(move || {
            let lawbook = tested(lawbook.with(Pack::parse(id, &files)?))?;
            write_published(&files, &folder).map_err(PublishError::Disk)?;
            Ok(lawbook)
        })
        .await?;
        self.put_in_force(caller, change, &law, lawbook, published).await
    }

    /// Puts in force what the folder of packs holds now, instead of what was published since.
    pub async fn reload_packs(&self, caller: &Caller) -> Result<Published, PublishError> {
        let change = self.judging.change().await;
        let law = self.judging.law();
        let (folder, data_dir) = (self.config.policies_dir.clone(), self.config.data_dir.clone());
        let lawbook = blocking(move || {
            let lawbook = tested(Lawbook::load(&folder)?)?;
            let unkept = |error: anyhow::Error| PublishError::Disk(std::io::Error::other(format!("{error:#}")));
            keep_in_force(&lawbook, &folder, &data_dir).map_err(unkept)?;
            Ok(lawbook)
        })
        .await?;
        self.put_in_force(caller, change, &law, lawbook, Vec::new()).await
    }

    async fn put_in_force(
        &self,
        caller: &Caller,
        change: super::Change<'_>,
        law: &Law,
        lawbook: Lawbook,
        published: Vec<(PackId, String)>,
    ) -> Result<Published, PublishError> {
        let missing: Vec<PackId> =
            law.lawbook.packs().map(|pack| pack.id()).filter(|id| lawbook.pack(id).is_none()).cloned().collect();
        if !missing.is_empty() {
            return Err(PublishError::Missing { packs: missing });
        }
        check_regions(&self.config, &lawbook).map_err(|error| PublishError::Region(format!("{error:#}")))?;
        let packs = versions(&lawbook);
        let changed = packs != versions(&law.lawbook);
        let log_index = match changed {
            true => Some(self.log_judging(caller, packs.clone()).await?),
            false => None,
        };
        let stamp = Stamp { now: self.clock.now(), request: caller.request };
        let in_force = InForce { packs: packs.clone(), published };
        if !changed {
            self.catalog.remember_packs(stamp.now, in_force).await?;
            return Ok(Published { epoch: law.epoch, changed, packs, log_index });
        }
        let epoch = match self.catalog.advance_judging(stamp, Some(in_force)).await {
            Ok(epoch) => epoch,
            Err(error) => {
                // The log says that it is in force: it has to say, too, that it is not.
                drop(self.log_judging(caller, versions(&law.lawbook)).await);
                return Err(error.into());
            }
        };
        change.put_in_force(Law { epoch, lawbook: Arc::new(lawbook) });
        tracing::info!(epoch = epoch.0, log_index, "new packs are in force");
        Ok(Published { epoch, changed, packs, log_index })
    }

    /// Records what judges from now on, durably.
    async fn log_judging(&self, caller: &Caller, packs: Vec<PackVersion>) -> Result<u64, PublishError> {
        let fresh = || Salt(self.clock.random());
        let by = self.log.side().commit(CommitmentDomain::Actor, caller.actor().as_bytes(), fresh);
        let by = by.map_err(|error| PublishError::Log(Box::new(error)))?;
        let event = Event::Judging { packs, databases: self.locator.current().sources(), by: Some(by) };
        let logged = self.log.note(caller.request, event).await.map_err(|error| PublishError::Log(Box::new(error)))?;
        Ok(logged.index)
    }
}

/// Refuses a law whose scenarios do not hold.
pub(super) fn tested(lawbook: Lawbook) -> Result<Lawbook, PublishError> {
    let report = run_cases(&lawbook);
    if report.passed() { Ok(lawbook) } else { Err(PublishError::CasesFail { report }) }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PublishError::ShuttingDown)?
}
