//! Follows the lifecycle rules of all buckets: what they say is due ends here, each page of it decided and logged before.
//!
//! One gateway at a time does it, under a lease. Versions are listed in pages and judged by [`crate::lifecycle`]; the catalog
//! ends them in transactions that look again: a version that changed since, that is locked, or whose bucket has other rules
//! by now stays. Uploads that nobody completes are given up here, too, by a bucket's rules or by the configuration's limit.
//!
//! Where a large bucket is left half-way, the next round (or the next process) goes on there.

use std::time::Duration;

use domicile_compliance::audit::LoggedIntent;
use domicile_types::{BucketName, ObjectKey, OperationKind, RequestId, UnixMillis};

use crate::admin::with_causes;
use crate::catalog::{
    Bucket, CatalogError, Deleted, Due, Ending, ListUploadsQuery, ListVersionsQuery, ListedVersion, Setting, Stamp,
    UploadPage, VersionMarker, VersionPage, Walk,
};
use crate::lifecycle::{DAY_MILLIS, Facts, Judge, Rules, Schedule, Verdict};
use crate::notify::Happening;
use crate::objects::{Gateway, Matter, Scope, settle};
use crate::state::{Held, LeaseName};

/// Who does it, in the log and in messages; and the name of its lease.
const WORKER: &str = "lifecycle";
/// How long the lease is taken for; taken anew before every page.
const LEASE_MILLIS: u64 = 60_000;
/// Buckets that are read at once.
const BUCKETS_AT_ONCE: usize = 100;
/// Versions or uploads that are judged at once.
const PAGE_ENTRIES: usize = 500;
/// The shortest pause between two rounds.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let schedule = schedule(&gateway);
    if schedule != Schedule::default() {
        tracing::warn!(day_millis = schedule.day_millis(), "lifecycle days are not days: only for tests");
    }
    // Four looks a day are enough for what is due at midnight, and for days that are made short.
    let pause = Duration::from_millis(schedule.day_millis() / 4)
        .min(Duration::from_secs(gateway.config.lifecycle.interval_seconds))
        .max(PAUSE_MIN);
    loop {
        if let Err(error) = round(&gateway, schedule).await {
            tracing::warn!(error = with_causes(&error), "lifecycle put off");
        }
        tokio::time::sleep(pause).await;
    }
}

fn schedule(gateway: &Gateway) -> Schedule {
    Schedule::with_days_of(gateway.config.lifecycle.day_seconds.saturating_mul(1_000))
}

/// Why something could not be ended now.
#[derive(Debug, thiserror::Error)]
enum ExpireError {
    #[error("the catalog refused")]
    Catalog(#[from] CatalogError),
    #[error("what is due could not be decided or logged")]
    Logged(#[from] crate::objects::Error),
}

async fn lease(gateway: &Gateway) -> Result<Held, ExpireError> {
    let owner = gateway.catalog.process();
    Ok(gateway.catalog.acquire_lease(&LeaseName::new(WORKER), owner, LEASE_MILLIS).await?)
}

/// One look at every bucket, from where the last round stopped.
async fn round(gateway: &Gateway, schedule: Schedule) -> Result<(), ExpireError> {
    let mut resumed = gateway.catalog.walk(&lease(gateway).await?).await?;
    let mut first: Option<BucketName> = resumed.as_ref().map(|walk| walk.bucket.clone());
    let was_half_way = resumed.is_some();
    loop {
        let buckets = gateway.catalog.all_buckets(first.as_ref(), BUCKETS_AT_ONCE + 1).await?;
        for bucket in buckets.iter().take(BUCKETS_AT_ONCE) {
            let behind = resumed.take().filter(|walk| walk.bucket == bucket.name).map(|walk| walk.key);
            // A bucket that cannot be looked after must not keep the others waiting.
            if let Err(error) = look_after(gateway, schedule, bucket, behind).await {
                tracing::warn!(bucket = %bucket.name, error = with_causes(&error), "lifecycle of a bucket put off");
            }
        }
        match buckets.into_iter().nth(BUCKETS_AT_ONCE) {
            Some(next) => first = Some(next.name),
            None => break,
        }
    }
    if was_half_way {
        gateway.catalog.note_walk(&lease(gateway).await?, None).await?;
    }
    Ok(())
}

/// Ends what is due in one bucket.
async fn look_after(
    gateway: &Gateway,
    schedule: Schedule,
    bucket: &Bucket,
    behind: Option<String>,
) -> Result<(), ExpireError> {
    let rules: Option<Rules> = gateway.catalog.setting(bucket, Setting::Lifecycle).await?;
    let rules = rules.unwrap_or_default();
    let (now, days_max) = (gateway.clock.now(), gateway.config.lifecycle.upload_days_max);
    if rules.abort_uploads() || days_max > 0 {
        end_uploads(gateway, bucket, |key, initiated| {
            let too_old = days_max > 0 && initiated.plus_millis(u64::from(days_max) * DAY_MILLIS) <= now;
            too_old || rules.aborting(schedule, key, initiated).is_some_and(|aborting| aborting.at <= now)
        })
        .await?;
    }
    if rules.expire_objects() {
        end_versions(gateway, bucket, &rules, Judge::new(&rules, schedule, now), behind).await?;
    }
    Ok(())
}

async fn end_versions(
    gateway: &Gateway,
    bucket: &Bucket,
    rules: &Rules,
    mut judge: Judge<'_>,
    behind: Option<String>,
) -> Result<(), ExpireError> {
    let prefix = rules.common_prefix();
    let mut after = behind.map(|key| (key, None));
    let mut noted = false;
    loop {
        let query =
            ListVersionsQuery { prefix: prefix.clone(), delimiter: None, after: after.take(), max_keys: PAGE_ENTRIES };
        let mut page = gateway.catalog.list_versions(bucket, query).await?;
        // The last version of a page does not show whether it is the only one of its key; the next page begins with it.
        let undecided = if page.truncated { page.versions.pop() } else { None };
        let due = due(&mut judge, &page);
        if !due.is_empty() {
            end_page(gateway, &lease(gateway).await?, bucket, rules, due).await?;
        }
        let (Some(undecided), Some(last)) = (undecided, page.versions.last()) else { break };
        let marker = VersionMarker::parse(&VersionMarker::of(&last.entry.version()));
        after = Some((last.key.clone(), marker));
        if last.key != undecided.key {
            let walk = Walk { bucket: bucket.name.clone(), key: last.key.clone() };
            gateway.catalog.note_walk(&lease(gateway).await?, Some(walk)).await?;
            noted = true;
        }
    }
    if noted {
        gateway.catalog.note_walk(&lease(gateway).await?, None).await?;
    }
    Ok(())
}

/// What of a page has come to its end.
fn due(judge: &mut Judge<'_>, page: &VersionPage) -> Vec<Due> {
    let mut due = Vec::new();
    for (place, version) in page.versions.iter().enumerate() {
        let followed = page.versions.get(place + 1).is_some_and(|next| next.key == version.key);
        let ending = match judge.next(&facts(version, version.is_latest && !followed)) {
            Verdict::Keep => continue,
            Verdict::Expire => Ending::Expire,
            Verdict::Remove => Ending::Remove,
            Verdict::RemoveMarker => Ending::RemoveMarker,
        };
        if let Ok(key) = ObjectKey::parse(&version.key) {
            due.push(Due { key, entry: version.entry.clone(), ending });
        }
    }
    due
}

fn facts(version: &ListedVersion, alone: bool) -> Facts<'_> {
    let object = version.entry.object().map(|head| &head.object);
    Facts {
        key: &version.key,
        alone,
        marker: object.is_none(),
        size: object.map_or(0, |object| object.size),
        tags: object.map_or(&[], |object| &object.tags),
        modified: version.entry.last_modified(),
        noncurrent_since: version.noncurrent_since,
    }
}

/// Decides, logs and ends what is due of one page.
async fn end_page(
    gateway: &Gateway,
    lease: &Held,
    bucket: &Bucket,
    rules: &Rules,
    due: Vec<Due>,
) -> Result<(), ExpireError> {
    let request = RequestId::from_bytes(gateway.clock.random());
    let only = if let [only] = due.as_slice() { Some(only.key.clone()) } else { None };
    let key = only.as_ref().map(ObjectKey::as_str);
    let intent = intend(gateway, lease, bucket, OperationKind::DeleteObject, key, request).await?;
    let stamp = Stamp { now: gateway.clock.now(), request };
    let judged: Vec<(ObjectKey, Ending)> = due.iter().map(|due| (due.key.clone(), due.ending)).collect();
    let ended = gateway.catalog.end_versions(stamp, lease, bucket, (Setting::Lifecycle, rules), due).await;
    settle(intent, ended.is_ok());
    let mut count = 0_usize;
    for ((key, ending), deleted) in judged.into_iter().zip(ended?) {
        let Some(deleted) = deleted else { continue };
        count += 1;
        announce(gateway, bucket, stamp, (&key, ending), &deleted).await;
    }
    tracing::info!(bucket = %bucket.name, versions = count, "ended by lifecycle rules");
    Ok(())
}

/// Tells those whom the bucket's owner wants to know.
async fn announce(
    gateway: &Gateway,
    bucket: &Bucket,
    stamp: Stamp,
    (key, ending): (&ObjectKey, Ending),
    deleted: &Deleted,
) {
    let hidden = ending == Ending::Expire && deleted.marker;
    let happening = Happening {
        event: if hidden { "LifecycleExpiration:DeleteMarkerCreated" } else { "LifecycleExpiration:Delete" },
        key,
        version: deleted.version.map(|version| version.to_string()),
        packs: &bucket.packs,
        classification: &bucket.classification,
        object: None,
        at: stamp.now,
        request: stamp.request,
        principal: WORKER.to_owned(),
    };
    gateway.announce(bucket, happening).await;
}

async fn end_uploads(
    gateway: &Gateway,
    bucket: &Bucket,
    is_due: impl Fn(&str, UnixMillis) -> bool,
) -> Result<(), ExpireError> {
    let mut after = None;
    loop {
        let query = ListUploadsQuery { prefix: String::new(), delimiter: None, after, max_uploads: PAGE_ENTRIES };
        let UploadPage { uploads, truncated, .. } = gateway.catalog.list_uploads(bucket, query).await?;
        after = uploads.last().map(|(key, upload)| (key.as_str().to_owned(), Some(upload.new.upload)));
        let due = uploads.into_iter().filter(|(key, upload)| is_due(key.as_str(), upload.initiated));
        let due: Vec<_> = due.map(|(key, upload)| (key, upload.new.upload)).collect();
        if !due.is_empty() {
            let lease = lease(gateway).await?;
            let request = RequestId::from_bytes(gateway.clock.random());
            let key = if let [(only, _)] = due.as_slice() { Some(only.as_str()) } else { None };
            let intent = intend(gateway, &lease, bucket, OperationKind::AbortMultipartUpload, key, request).await?;
            let stamp = Stamp { now: gateway.clock.now(), request };
            let ended = gateway.catalog.end_uploads(stamp, lease, bucket, &due).await;
            settle(intent, ended.is_ok());
            tracing::info!(bucket = %bucket.name, uploads = ended?, "uploads that nobody completed were given up");
        }
        if !truncated {
            return Ok(());
        }
    }
}

/// The decision and its entry in the log, for all that is ended at once.
async fn intend(
    gateway: &Gateway,
    lease: &Held,
    bucket: &Bucket,
    operation: OperationKind,
    key: Option<&str>,
    request: RequestId,
) -> Result<LoggedIntent, ExpireError> {
    let matter = Matter { key, ..Matter::of_bucket(operation, bucket) };
    let scope = Scope { epoch: lease.epoch(), ..Scope::default() };
    Ok(gateway.authorize_background(&bucket.owner, WORKER, request, &matter, scope).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use domicile_types::{Classification, RegionName, TenantId};

    use super::*;
    use crate::catalog::{BucketId, Catalog, CatalogConfig, NewBucket, Preconditions};
    use crate::lifecycle::{Expiration, Filter, Rule};
    use crate::state::conformance::TestClock;
    use crate::state::{MemoryStore, Owner};

    /// A bucket with versioning in which keys are nothing but markers, which need no bodies: one per mention of a key.
    async fn markers(keys: &[&str]) -> (Catalog, Bucket) {
        let store = Arc::new(MemoryStore::new(TestClock::default().store_clock()));
        let config = CatalogConfig { token_key: [7; 32], process: Owner([1; 16]), sweep_grace_millis: 0 };
        let catalog = Catalog::new(store, config);
        let new = NewBucket {
            id: BucketId::from_bytes([1; 16]),
            name: BucketName::parse("bucket").unwrap(),
            owner: TenantId::parse("tenant").unwrap(),
            region: RegionName::parse("cn").unwrap(),
            packs: Vec::new(),
            tags: Vec::new(),
            classification: Classification::default(),
            wrapped_key: Bytes::new(),
            object_lock: true,
        };
        let stamp = |number: u8| Stamp { now: UnixMillis(1_000), request: RequestId::from_bytes([number; 16]) };
        let bucket = catalog.create_bucket(stamp(0), new).await.unwrap();
        for (number, key) in (1..).zip(keys) {
            let key = ObjectKey::parse(key).unwrap();
            catalog.delete_object(stamp(number), &bucket, &key, &Preconditions::default()).await.unwrap();
        }
        (catalog, bucket)
    }

    #[tokio::test]
    async fn a_marker_is_alone_only_where_no_other_version_of_its_key_follows() {
        let (catalog, bucket) = markers(&["a", "b", "b", "c"]).await;
        let query = ListVersionsQuery { prefix: String::new(), delimiter: None, after: None, max_keys: 10 };
        let page = catalog.list_versions(&bucket, query).await.unwrap();
        let rule = Rule {
            id: "r".to_owned(),
            enabled: true,
            filter: Filter::default(),
            expiration: Some(Expiration::LoneMarkers(true)),
            noncurrent: None,
            abort: None,
        };
        let rules = Rules { rules: vec![rule] };
        let due = due(&mut Judge::new(&rules, Schedule::default(), UnixMillis(2_000)), &page);
        let ends: Vec<_> = due.iter().map(|due| (due.key.as_str(), due.ending)).collect();
        assert_eq!(ends, [("a", Ending::RemoveMarker), ("c", Ending::RemoveMarker)]);
    }
}
