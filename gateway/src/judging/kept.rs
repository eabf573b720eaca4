//! Packs of the past: every version that ever judged is kept, by the hash of its files, so that its decisions can be shown with
//! their rules and decided again.

use std::path::Path;

use anyhow::{Context, ensure};
use domicile_compliance::Lawbook;
use domicile_compliance::pack::PackFiles;

use super::packs::{published_folder, write_published};

/// Keeps the files of every pack of `lawbook`, durably, before it judges: from the folder of packs, where they are not kept yet.
pub(super) fn keep_in_force(lawbook: &Lawbook, policies: &Path, data_dir: &Path) -> anyhow::Result<()> {
    for pack in lawbook.packs() {
        let hash = &pack.version().hash;
        if kept_pack(data_dir, hash).is_some() {
            continue;
        }
        let files = PackFiles::read(&policies.join(pack.id().as_str()))?;
        ensure!(
            files.hash() == *hash,
            "the files of pack {} in {} changed while they were read: try again",
            pack.id(),
            policies.display()
        );
        let folder = published_folder(data_dir, hash);
        write_published(&files, &folder).with_context(|| format!("{} cannot be written", folder.display()))?;
    }
    Ok(())
}

/// The files of a version of a pack by their hash; nothing where it is not kept, or not what it was.
pub(crate) fn kept_pack(data_dir: &Path, hash: &str) -> Option<PackFiles> {
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let files = PackFiles::read(&published_folder(data_dir, if is_hash { hash } else { return None })).ok()?;
    (files.hash() == hash).then_some(files)
}
