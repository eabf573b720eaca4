//! Two times of the law: what was *known* at a moment (the packs in force then), and what *was so* on a day (the law's own dates).

use std::sync::Arc;

use domicile_compliance::Lawbook;
use domicile_compliance::pack::Pack;
use domicile_types::UnixMillis;

use super::kept::kept_pack;
use super::publish::{PublishError, blocking};
use crate::objects::Gateway;

impl Gateway {
    /// The packs as they were in force at `known`; none: no gateway had run by then.
    pub async fn lawbook_as_known(&self, known: UnixMillis) -> Result<Option<Arc<Lawbook>>, PublishError> {
        let Some(since) = self.catalog.packs_at(known).await? else { return Ok(None) };
        let data_dir = self.config.data_dir.clone();
        let lawbook = blocking(move || {
            let mut packs = Vec::new();
            for version in since.packs {
                let files = kept_pack(&data_dir, &version.hash)
                    .ok_or_else(|| PublishError::NotKept { pack: version.pack.clone(), hash: version.hash.clone() })?;
                packs.push(Pack::parse(version.pack, &files)?);
            }
            Ok(Lawbook::of(packs))
        });
        Ok(Some(Arc::new(lawbook.await?)))
    }
}
