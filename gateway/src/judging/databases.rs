//! Location databases that change while the gateway runs: what was in force stays so until the new ones are read and whole.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domicile_compliance::audit::{AppendError, Event};
use domicile_types::RequestId;

use super::Law;
use super::packs::versions;
use crate::admin::with_causes;
use crate::catalog::{CatalogError, Stamp};
use crate::fleet::{Databases, DatabasesError};
use crate::objects::Gateway;

/// How often the files are looked at. A node that they contradict is fenced within 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why the databases in force stay.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new ones cannot be used.
    #[error(transparent)]
    Databases(#[from] DatabasesError),
    /// The change cannot be logged.
    #[error("the change of the location databases cannot be logged")]
    Log(#[from] AppendError),
    /// The change cannot be written down.
    #[error("the change of the location databases cannot be kept")]
    Catalog(#[from] CatalogError),
    /// The gateway is stopping.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

impl Gateway {
    /// Reads the location databases again and judges by them from now on: logged first, and everything that was judged
    /// before is judged again before it commits. Where one of them is damaged, those in force stay.
    pub async fn reload_databases(&self) -> Result<(), ReloadError> {
        let change = self.judging.change().await;
        let (config, now) = (self.clone(), self.clock.now());
        let databases = tokio::task::spawn_blocking(move || Databases::open(&config.config, now)).await;
        let databases = databases.map_err(|_| ReloadError::ShuttingDown)??;
        let law = self.judging.law();
        let event = Event::Judging { packs: versions(&law.lawbook), databases: databases.sources(), by: None };
        let request = RequestId::from_bytes(self.clock.random());
        self.log.note(request, event).await?;
        let epoch = self.catalog.advance_judging(Stamp { now: self.clock.now(), request }, None).await?;
        self.locator.replace(databases);
        self.directory.judge_again();
        change.put_in_force(Law { epoch, lawbook: Arc::clone(&law.lawbook) });
        tracing::info!(epoch = epoch.0, "new location databases are in force");
        Ok(())
    }
}

/// What tells a file from the one that was there before: inode, length, time of change.
type Seen = Vec<Option<(u64, u64, i64, i64)>>;

/// Follows the files until it is aborted. One that changed is read when it has been still for a look, so that one that is
/// being copied is not taken for damaged.
pub(crate) async fn follow_databases(gateway: Gateway) {
    let mut in_force = look(&gateway).await;
    let mut before = in_force.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = look(&gateway).await;
        let still = seen == before;
        before.clone_from(&seen);
        if seen == in_force || !still {
            continue;
        }
        in_force = seen;
        if let Err(error) = gateway.reload_databases().await {
            tracing::error!(error = with_causes(&error), "the location databases in force stay");
            let request = RequestId::from_bytes(gateway.clock.random());
            drop(gateway.log.incident(request, "location-database-refused", None, None));
        }
    }
}

async fn look(gateway: &Gateway) -> Seen {
    let config = &gateway.config;
    let files = config.location_databases.iter().chain(&config.network_databases).chain(&config.place_overrides_file);
    let files: Vec<PathBuf> = files.cloned().collect();
    let look = move || files.iter().map(seen).collect();
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

fn seen(path: &PathBuf) -> Option<(u64, u64, i64, i64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}
