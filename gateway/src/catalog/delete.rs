//! Deletion: a marker where versions are kept; else the row goes, and with it the wrapped key, and the shards become garbage.

use domicile_types::{DataId, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, same_bucket};
use super::claim::end_claim;
use super::deletion::begin_deletion;
use super::garbage::Debris;
use super::object::{Body, ObjectHead, Preconditions};
use super::version::{VersionEntry, VersionId, Versioning, tail_of};
use super::versions::{Change, newest};
use super::{Catalog, CatalogError, Stamp, compact, garbage};
use crate::state::Tx;

/// An object that is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What its shards are stored under.
    #[serde(with = "compact::data_id")]
    pub data: DataId,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: String,
}

/// What to delete.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// At which key.
    pub key: ObjectKey,
    /// This version, for good; or, with `None`, whatever is newest: by a marker above it where the bucket has versioning.
    pub version: Option<VersionId>,
    /// Only if this holds of the version named, or of the newest. Where there is none, there is nothing to hold it against.
    pub conditions: Preconditions,
    /// Whether retention for governance does not bind. The caller's right to that is the caller's to check.
    pub bypass_governance: bool,
}

impl Deletion {
    /// Of whatever is newest at `key`.
    #[must_use]
    pub fn of(key: ObjectKey) -> Self {
        Self { key, version: None, conditions: Preconditions::default(), bypass_governance: false }
    }

    /// Of one version, for good.
    #[must_use]
    pub fn of_version(key: ObjectKey, version: VersionId) -> Self {
        Self { version: Some(version), ..Self::of(key) }
    }
}

/// What a deletion did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The object whose bytes are garbage now; none is no error.
    pub removed: Option<Removed>,
    /// The marker that was written, or the version that was named; none in a bucket without versioning.
    pub version: Option<VersionId>,
    /// Whether `version` is a delete marker: written, or deleted.
    pub marker: bool,
}

/// Keys that one transaction deletes: six rows each stay well below what a transaction may write.
const KEYS_PER_TRANSACTION: usize = 90;

impl Catalog {
    /// Deletes the newest at `key`, if `conditions` allow: see [`Deletion`].
    pub async fn delete_object(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        conditions: &Preconditions,
    ) -> Result<Deleted, CatalogError> {
        self.delete(stamp, bucket, Deletion { conditions: conditions.clone(), ..Deletion::of(key.clone()) }).await
    }

    /// Deletes one version or object.
    ///
    /// # Errors
    /// [`CatalogError::PreconditionFailed`], [`CatalogError::ObjectLocked`].
    pub async fn delete(&self, stamp: Stamp, bucket: &Bucket, what: Deletion) -> Result<Deleted, CatalogError> {
        let [key, version] = named(&what);
        let once = stamp.once("delete-object", &[bucket.id.as_bytes(), key.as_bytes(), version.as_bytes()]);
        let due = self.sweep_due(stamp);
        let given = bucket.clone();
        self.write(once, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            delete_one(tx, stamp, &bucket, &what, 0, due)
        })
        .await
    }

    /// Deletes many, a transaction for every 125: those of one transaction go together. The outcomes stand in the order
    /// of the deletions; a condition that does not hold, or a lock, is an outcome of its entry alone.
    pub async fn delete_objects(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        deletions: Vec<Deletion>,
    ) -> Result<Vec<Result<Deleted, CatalogError>>, CatalogError> {
        let due = self.sweep_due(stamp);
        let mut outcomes = Vec::with_capacity(deletions.len());
        for batch in deletions.chunks(KEYS_PER_TRANSACTION) {
            let first = outcomes.len();
            let place = first.to_be_bytes();
            let named: Vec<[String; 2]> = batch.iter().map(named).collect();
            let subject: Vec<&[u8]> =
                [&place[..]].into_iter().chain(named.iter().flatten().map(String::as_bytes)).collect();
            let once = stamp.once("delete-objects", &subject);
            let (given, batch) = (bucket.clone(), batch.to_vec());
            let done: Vec<Refusable> = self
                .write(once, move |tx| {
                    let bucket = same_bucket(tx, &given)?;
                    let each = (first..).zip(&batch);
                    each.map(|(at, what)| refusable(delete_one(tx, stamp, &bucket, what, at, due))).collect()
                })
                .await?;
            outcomes.extend(done.into_iter().map(Refusable::into_result));
        }
        Ok(outcomes)
    }
}

/// What tells one deletion of a request from another.
fn named(what: &Deletion) -> [String; 2] {
    [what.key.as_str().to_owned(), what.version.map(|version| version.to_string()).unwrap_or_default()]
}

/// The outcome for one entry of many, in a form that an idempotency row can keep.
#[derive(Serialize, Deserialize)]
enum Refusable {
    Done(Deleted),
    PreconditionFailed,
    ObjectLocked,
}

impl Refusable {
    fn into_result(self) -> Result<Deleted, CatalogError> {
        match self {
            Self::Done(deleted) => Ok(deleted),
            Self::PreconditionFailed => Err(CatalogError::PreconditionFailed),
            Self::ObjectLocked => Err(CatalogError::ObjectLocked),
        }
    }
}

fn refusable(outcome: Result<Deleted, CatalogError>) -> Result<Refusable, CatalogError> {
    match outcome {
        Ok(deleted) => Ok(Refusable::Done(deleted)),
        Err(CatalogError::PreconditionFailed) => Ok(Refusable::PreconditionFailed),
        Err(CatalogError::ObjectLocked) => Ok(Refusable::ObjectLocked),
        Err(error) => Err(error),
    }
}

/// Deletes what entry `at` of a request says. What is refused is refused before anything of it is written.
pub(super) fn delete_one(
    tx: &mut Tx<'_>,
    stamp: Stamp,
    bucket: &Bucket,
    what: &Deletion,
    at: usize,
    due: UnixMillis,
) -> Result<Deleted, CatalogError> {
    let Deletion { key, version, conditions, bypass_governance } = what;
    let change = Change { bucket, key, now: stamp.now, due, bypass_governance: *bypass_governance };
    if let Some(id) = version {
        let found = change.remove_version(tx, *id, |entry| conditions.check_removal(Some(entry)))?;
        let shown = (bucket.versioning != Versioning::Never || found.is_some()).then_some(*id);
        let marker = matches!(found, Some((VersionEntry::Marker(_), _)));
        return Ok(Deleted { removed: found.and_then(|(_, removed)| removed), version: shown, marker });
    }
    let newest = newest(tx, bucket, key)?;
    conditions.check_removal(newest.as_ref())?;
    if newest.is_none() && conditions.requires_one() {
        return Ok(Deleted::default());
    }
    let tail = tail_of(&[stamp.request.as_bytes(), key.as_str().as_bytes(), &at.to_be_bytes()]);
    let next = change.next_version(newest.as_ref(), tail);
    let removed = change.make_way(tx, newest, next)?;
    if bucket.versioning == Versioning::Never {
        return Ok(Deleted { removed, version: None, marker: false });
    }
    change.put_marker(tx, next)?;
    Ok(Deleted { removed, version: Some(next.id()), marker: true })
}

/// Makes garbage of an object's body, unless other versions share it. Its head is the caller's to delete or to overwrite.
pub(super) fn discard_object(
    tx: &mut Tx<'_>,
    (bucket, key): (&Bucket, &ObjectKey),
    head: &ObjectHead,
    now: UnixMillis,
    due: UnixMillis,
) -> Result<Removed, CatalogError> {
    let debris = match &head.body {
        Body::Whole(extent) => Debris::Extent(extent.id),
        Body::Parts(_) => Debris::Parts,
    };
    if end_claim(tx, head.data, head.upload)? {
        begin_deletion(tx, bucket, key, head, now)?;
        garbage::discard_body(tx, &bucket.origin(), head.data, debris, due)?;
    }
    Ok(Removed { data: head.data, size: head.object.size, etag: head.object.etag.clone() })
}
