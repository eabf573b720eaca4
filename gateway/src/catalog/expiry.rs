//! What a worker that follows lifecycle rules changes: versions and uploads that were judged before, each only if it still
//! is what was judged, and only while the rules are those that it was judged by.

use domicile_types::{BucketName, ObjectKey, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, same_bucket};
use super::delete::{Deleted, Deletion, delete_one};
use super::settings::Setting;
use super::upload::Upload;
use super::version::VersionEntry;
use super::versions::{Change, newest};
use super::{Catalog, CatalogError, Stamp, garbage, keys};
use crate::state::{Held, IfLost, KeyRange, Order, Read, StoredRow, Tx, decode, require_lease};

/// Versions or uploads that one transaction ends: six rows each stay well below what a transaction may write.
const ENDED_PER_TRANSACTION: usize = 90;

/// How a version ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As a deletion that names no version: the newest goes or is hidden by a marker.
    Expire,
    /// For good, if it is not the newest.
    Remove,
    /// For good, if it is a marker and all that is left of its key.
    RemoveMarker,
}

/// A version that is to end.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its key.
    pub key: ObjectKey,
    /// What was judged. If anything of it has changed since, it stays.
    pub entry: VersionEntry,
    /// How it ends.
    pub ending: Ending,
}

/// Where a walk over all buckets stands, so that the next process goes on there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// In this bucket.
    pub bucket: BucketName,
    /// Behind this key and all its versions.
    pub key: String,
}

impl StoredRow for Walk {
    const NAME: &'static str = "walk";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// At most `limit` buckets of all tenants, in the order of their names, those from `first` on.
    pub async fn all_buckets(&self, first: Option<&BucketName>, limit: usize) -> Result<Vec<Bucket>, CatalogError> {
        let mut range = KeyRange::prefix(keys::BUCKETS);
        if let Some(first) = first {
            range = range.starting_at(keys::bucket(first));
        }
        self.read(move |view| {
            let rows = view.scan(&range, limit, Order::Ascending)?;
            rows.iter().map(|found| Ok(decode(&found.row.value)?)).collect()
        })
        .await
    }

    /// Ends versions that were judged by the rules in `setting`. The outcomes stand in the order of `due`; `None` where a
    /// version is not what was judged any more, is locked, or the rules are others.
    pub async fn end_versions<R: Serialize>(
        &self,
        stamp: Stamp,
        lease: &Held,
        bucket: &Bucket,
        rules: (Setting, &R),
        due: Vec<Due>,
    ) -> Result<Vec<Option<Deleted>>, CatalogError> {
        let (row, judged_by) = (keys::setting(bucket.id, rules.0.code()), judged_by(rules.1)?);
        let swept = self.sweep_due(stamp);
        let mut outcomes = Vec::with_capacity(due.len());
        for batch in due.chunks(ENDED_PER_TRANSACTION) {
            let first = outcomes.len();
            let once = stamp.once("end-versions", &[bucket.id.as_bytes(), &first.to_be_bytes()]);
            let (given, lease, batch) = (bucket.clone(), lease.clone(), batch.to_vec());
            let (row, judged_by) = (row.clone(), judged_by.clone());
            let done: Vec<Option<Deleted>> = self
                .write(once, move |tx| {
                    require_lease(tx, &lease)?;
                    let bucket = same_bucket(tx, &given)?;
                    if tx.get(&row)?.is_none_or(|found| found.value != judged_by) {
                        return Ok(vec![None; batch.len()]);
                    }
                    let each = (first..).zip(&batch);
                    each.map(|(at, due)| end_version(tx, stamp, &bucket, due, at, swept)).collect()
                })
                .await?;
            outcomes.extend(done);
        }
        Ok(outcomes)
    }

    /// Gives up uploads that are still in progress. How many there were.
    pub async fn end_uploads(
        &self,
        stamp: Stamp,
        lease: Held,
        bucket: &Bucket,
        due: &[(ObjectKey, UploadId)],
    ) -> Result<usize, CatalogError> {
        let mut ended = 0;
        for batch in due.chunks(ENDED_PER_TRANSACTION) {
            let (given, lease, batch) = (bucket.clone(), lease.clone(), batch.to_vec());
            ended += self
                .write(IfLost::Repeat, move |tx| {
                    require_lease(tx, &lease)?;
                    let bucket = same_bucket(tx, &given)?;
                    let mut ended = 0;
                    for (key, id) in &batch {
                        let row = keys::upload(bucket.id, key, *id);
                        let Some(upload) = tx.get_row::<Upload>(&row)? else { continue };
                        garbage::give_up_upload(tx, &bucket.origin(), &upload, stamp.now)?;
                        tx.delete(row)?;
                        ended += 1;
                    }
                    Ok(ended)
                })
                .await?;
        }
        Ok(ended)
    }

    /// Where the walk that `lease` is for stands; none at its beginning.
    pub async fn walk(&self, lease: &Held) -> Result<Option<Walk>, CatalogError> {
        let row = keys::walk(lease.name());
        self.read(move |view| Ok(view.get_row(&row)?)).await
    }

    /// Notes where the walk stands; `None`: at its beginning.
    pub async fn note_walk(&self, lease: &Held, walk: Option<Walk>) -> Result<(), CatalogError> {
        let lease = lease.clone();
        self.write(IfLost::Repeat, move |tx| {
            require_lease(tx, &lease)?;
            let row = keys::walk(lease.name());
            match &walk {
                Some(walk) => Ok(tx.put_row(row, walk)?),
                None => Ok(tx.delete(row)?),
            }
        })
        .await
    }
}

/// What the row of a setting holds while the rules are these.
fn judged_by<R: Serialize>(rules: &R) -> Result<Vec<u8>, CatalogError> {
    serde_json::to_vec(rules).map_err(|_| CatalogError::Inconsistent { what: "rules that have no JSON form" })
}

/// Ends one version, if it still is what was judged. What is refused is refused before anything of it is written.
fn end_version(
    tx: &mut Tx<'_>,
    stamp: Stamp,
    bucket: &Bucket,
    due: &Due,
    at: usize,
    swept: UnixMillis,
) -> Result<Option<Deleted>, CatalogError> {
    let newest = newest(tx, bucket, &due.key)?;
    let id = due.entry.version().id();
    let is_newest = newest.is_some_and(|newest| newest == due.entry);
    let ended = match due.ending {
        Ending::Expire if is_newest => delete_one(tx, stamp, bucket, &Deletion::of(due.key.clone()), at, swept),
        Ending::RemoveMarker if is_newest && is_alone(tx, bucket, &due.key)? => remove(tx, stamp, bucket, due, swept),
        Ending::Remove if !is_newest => remove(tx, stamp, bucket, due, swept),
        _ => return Ok(None),
    };
    match ended {
        // Not found is not ended.
        Ok(deleted) => Ok((deleted.version.is_some() || deleted.removed.is_some()).then_some(deleted)),
        Err(CatalogError::PreconditionFailed | CatalogError::ObjectLocked) => {
            tracing::debug!(bucket = %bucket.name, version = %id, "kept: locked, or changed since it was judged");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn remove(
    tx: &mut Tx<'_>,
    stamp: Stamp,
    bucket: &Bucket,
    due: &Due,
    swept: UnixMillis,
) -> Result<Deleted, CatalogError> {
    let change = Change { bucket, key: &due.key, now: stamp.now, due: swept, bypass_governance: false };
    let id = due.entry.version().id();
    let same = |found: &VersionEntry| match *found == due.entry {
        true => Ok(()),
        false => Err(CatalogError::PreconditionFailed),
    };
    let Some((entry, removed)) = change.remove_version(tx, id, same)? else { return Ok(Deleted::default()) };
    Ok(Deleted { removed, version: Some(id), marker: matches!(entry, VersionEntry::Marker(_)) })
}

/// Whether nothing is left of a key but the marker that is its newest version.
fn is_alone(tx: &mut Tx<'_>, bucket: &Bucket, key: &ObjectKey) -> Result<bool, CatalogError> {
    Ok(tx.scan(&KeyRange::prefix(&keys::versions_of(bucket.id, key)), 2, Order::Ascending)?.len() == 1)
}
