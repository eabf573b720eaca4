//! Packs at start: those of the folder, and over them those that were published while the gateway ran. And every version that
//! ever judged, kept by the hash of its files in `packs/<hash>/`, so that a past decision can be made again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use domicile_compliance::Lawbook;
use domicile_compliance::pack::{Pack, PackFiles};
use domicile_types::PackId;

use crate::catalog::{Catalog, InForce, JudgingEpoch, Stamp};
use crate::config::Config;

use super::Law;
use super::kept::keep_in_force;

/// The packs' file names, in the order of [`texts`].
const NAMES: [&str; 4] = ["pack.toml", "rules.cedar", "cases.toml", "SOURCES.md"];

/// Loads what is in force: the folder's packs, and those published before, which precede them.
pub(crate) async fn open_packs(config: &Config, catalog: &Catalog, stamp: Stamp) -> anyhow::Result<Law> {
    let folder = Lawbook::load(&config.policies_dir).context("the packs cannot be loaded")?;
    let (epoch, known) = catalog.judging().await.context("the packs in force cannot be read")?;
    let published = known.as_ref().map(|known| known.published.clone()).unwrap_or_default();
    let lawbook = match &known {
        Some(known) if super::proposals::has_approvers(config) => as_agreed(folder, known, config)?,
        _ => with_published(folder, &published, config)?,
    };
    check_regions(config, &lawbook)?;
    keep_in_force(&lawbook, &config.policies_dir, &config.data_dir).context("the packs in force cannot be kept")?;
    let in_force = InForce { packs: versions(&lawbook), published };
    let epoch = remember(catalog, stamp, epoch, known, in_force).await?;
    Ok(Law { epoch, lawbook: lawbook.into() })
}

fn with_published(folder: Lawbook, published: &[(PackId, String)], config: &Config) -> anyhow::Result<Lawbook> {
    published.iter().try_fold(folder, |lawbook, (id, hash)| {
        let path = published_folder(&config.data_dir, hash);
        let pack = read_published(id, hash, &path)
            .with_context(|| format!("pack {id} was published, and its files in {} cannot be used", path.display()))?;
        anyhow::Ok(lawbook.with(pack))
    })
}

/// Where packs change with four eyes, a folder that was changed while no gateway ran changes nothing: the versions that were in
/// force judge on. A pack that is new in the folder comes in with it; no region was under it.
fn as_agreed(folder: Lawbook, known: &InForce, config: &Config) -> anyhow::Result<Lawbook> {
    known.packs.iter().try_fold(folder, |lawbook, version| {
        if lawbook.pack(&version.pack).is_some_and(|pack| pack.version().hash == version.hash) {
            return Ok(lawbook);
        }
        let path = published_folder(&config.data_dir, &version.hash);
        let pack = read_published(&version.pack, &version.hash, &path).with_context(|| {
            format!(
                "pack {} of {} was in force, and its files in {} cannot be used: put that version back into the folder of packs",
                version.pack,
                version.as_of,
                path.display()
            )
        })?;
        let published = known.published.iter().any(|(id, hash)| *id == version.pack && *hash == version.hash);
        if !published {
            tracing::warn!(pack = %version.pack, in_force = version.hash,
                "the folder has a version of this pack that nobody agreed to: the one in force judges on; domicile policy propose");
        }
        Ok(lawbook.with(pack))
    })
}

/// Raises the epoch where the packs changed while no gateway ran.
async fn remember(
    catalog: &Catalog,
    stamp: Stamp,
    epoch: JudgingEpoch,
    known: Option<InForce>,
    in_force: InForce,
) -> anyhow::Result<JudgingEpoch> {
    match known {
        Some(known) if known.packs == in_force.packs => Ok(epoch),
        Some(_) => Ok(catalog.advance_judging(stamp, Some(in_force)).await?),
        None => {
            catalog.remember_packs(stamp.now, in_force).await?;
            Ok(epoch)
        }
    }
}

/// Every region's packs are there.
pub(super) fn check_regions(config: &Config, lawbook: &Lawbook) -> anyhow::Result<()> {
    config.regions.iter().try_for_each(|region| {
        let packs = lawbook.pack_set(&region.packs);
        packs.map(drop).with_context(|| format!("region {} names a pack that is not there", region.name))
    })
}

/// What judges, for the log and the rows.
pub(super) fn versions(lawbook: &Lawbook) -> Vec<domicile_types::PackVersion> {
    lawbook.packs().map(|pack| pack.version().clone()).collect()
}

/// Where the files of a published pack lie: by their hash, so that no two versions meet.
pub(super) fn published_folder(data_dir: &Path, hash: &str) -> PathBuf {
    data_dir.join("packs").join(hash)
}

fn read_published(id: &PackId, hash: &str, folder: &Path) -> anyhow::Result<Pack> {
    let files = PackFiles::read(folder)?;
    ensure!(files.hash() == hash, "they were changed since: publish the pack again");
    Ok(Pack::parse(id.clone(), &files)?)
}

/// Writes the files of a pack down, durably. Nothing reads them until a row names their hash.
pub(super) fn write_published(files: &PackFiles, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in NAMES.into_iter().zip(texts(files)) {
        let mut file = fs::File::create(folder.join(name))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    let above = folder.ancestors().take(3);
    above.into_iter().try_for_each(|folder| fs::File::open(folder)?.sync_all())
}

fn texts(files: &PackFiles) -> [&str; 4] {
    [&files.facts, &files.rules, &files.cases, &files.sources]
}
