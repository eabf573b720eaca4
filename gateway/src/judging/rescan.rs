//! After a change: everything stored is looked at again. What may not lie where it lies goes to the queue of repair; if it has
//! nowhere to go, it is an incident.
//!
//! A scan that is overtaken by another change begins anew.

use std::time::Duration;

use domicile_types::RequestId;

use super::survey::Survey;
use crate::admin::with_causes;
use crate::catalog::{CatalogError, PageAt};
use crate::objects::Gateway;

/// How often everything is looked at without a change: groups of places have dates.
const SCAN_INTERVAL: Duration = Duration::from_secs(3_600);
/// How long after a start the first scan begins: nodes announce themselves first.
const SETTLING: Duration = Duration::from_secs(15);
/// The incident of a page with shards that may not lie where they lie, and have nowhere to go.
const UNLAWFUL: &str = "unlawful-and-no-room";
/// Pages that are read from the index at once.
const PAGES_AT_ONCE: usize = 500;

/// Scans after every change, until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let mut laws = gateway.judging.changes();
    let mut enrolments = gateway.directory.enrolments();
    tokio::time::sleep(SETTLING).await;
    loop {
        laws.mark_unchanged();
        enrolments.mark_unchanged();
        match scan(&gateway).await {
            Ok(Some(found)) if found > 0 => tracing::info!(pages = found, "shards may not lie where they lie any more"),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "placements could not be looked at: tried again");
                tokio::time::sleep(SETTLING).await;
                continue;
            }
        }
        tokio::select! {
            _ = laws.changed() => {}
            _ = enrolments.changed() => {}
            () = tokio::time::sleep(SCAN_INTERVAL) => {}
        }
    }
}

/// Looks at everything once, and tells of each page once that has shards which can go nowhere: how many pages are not as the law
/// in force lets them be. None: the law changed meanwhile.
pub(crate) async fn scan(gateway: &Gateway) -> Result<Option<u64>, CatalogError> {
    let law = gateway.judging.law();
    let roster = gateway.directory.roster();
    let mut survey = Survey::new(gateway, &law.lawbook, &roster);
    let (mut found, mut after): (u64, Option<PageAt>) = (0, None);
    loop {
        let pages = gateway.catalog.all_pages(after, PAGES_AT_ONCE).await?;
        after = pages.last().copied();
        for at in &pages {
            let Some(page) = gateway.catalog.mendable(*at).await? else { continue };
            let misplacements = survey.misplacements(&page);
            if misplacements.is_empty() {
                gateway.judging.told.lock().remove(at);
                continue;
            }
            found = found.saturating_add(1);
            gateway.repairs.ask([*at]);
            let stuck = misplacements.iter().find(|misplacement| !misplacement.has_room);
            let Some(shard) = stuck.and_then(|stuck| stuck.shards.first()).map(|stuck| stuck.shard) else { continue };
            let is_new = gateway.judging.told.lock().insert(*at);
            if is_new {
                let request = RequestId::from_bytes(gateway.clock.random());
                let logged = gateway.log.incident(request, UNLAWFUL, Some(shard.node), Some(shard.cid)).await;
                if let Err(error) = logged {
                    tracing::error!(%error, "an incident could not be logged");
                }
            }
        }
        if gateway.judging.law().epoch != law.epoch {
            return Ok(None);
        }
        if pages.len() < PAGES_AT_ONCE {
            return Ok(Some(found));
        }
    }
}
