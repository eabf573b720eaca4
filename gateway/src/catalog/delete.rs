//! Deletion: the row goes, and with it the wrapped key; the shards become garbage.

use domicile_types::{DataId, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, same_bucket};
use super::garbage::Debris;
use super::object::{Body, ObjectHead, Preconditions};
use super::{Catalog, CatalogError, Stamp, compact, garbage, keys};
use crate::state::{Read, Tx};

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

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The object that was there; none is no error.
    pub removed: Option<Removed>,
}

/// Keys that one transaction deletes: three rows each stay well below what a transaction may write.
const KEYS_PER_TRANSACTION: usize = 250;

impl Catalog {
    /// Deletes the object at `key`, if `conditions` allow. That there is none is no error, unless they require one.
    pub async fn delete_object(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        conditions: &Preconditions,
    ) -> Result<Deleted, CatalogError> {
        let once = stamp.once("delete-object", &[bucket.id.as_bytes(), key.as_str().as_bytes()]);
        let due = self.sweep_due(stamp);
        let (given, key, conditions) = (bucket.clone(), key.clone(), conditions.clone());
        self.write(once, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            delete_one(tx, &bucket, &key, &conditions, due)
        })
        .await
    }

    /// Deletes many, a transaction for every 250: those of one transaction go together. The outcomes stand in the order
    /// of the keys; a condition that does not hold is an outcome of its key alone.
    pub async fn delete_objects(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        objects: Vec<(ObjectKey, Preconditions)>,
    ) -> Result<Vec<Result<Deleted, CatalogError>>, CatalogError> {
        let due = self.sweep_due(stamp);
        let mut outcomes = Vec::with_capacity(objects.len());
        for batch in objects.chunks(KEYS_PER_TRANSACTION) {
            let subject: Vec<&[u8]> = batch.iter().map(|(key, _)| key.as_str().as_bytes()).collect();
            let once = stamp.once("delete-objects", &subject);
            let (given, batch) = (bucket.clone(), batch.to_vec());
            let done: Vec<Refusable> = self
                .write(once, move |tx| {
                    let bucket = same_bucket(tx, &given)?;
                    batch.iter().map(|(key, conditions)| refusable(tx, &bucket, key, conditions, due)).collect()
                })
                .await?;
            outcomes.extend(done.into_iter().map(Refusable::into_result));
        }
        Ok(outcomes)
    }
}

/// The outcome for one key of many, in a form that an idempotency row can keep.
#[derive(Serialize, Deserialize)]
enum Refusable {
    Done(Deleted),
    NoSuchKey,
    PreconditionFailed,
}

impl Refusable {
    fn into_result(self) -> Result<Deleted, CatalogError> {
        match self {
            Self::Done(deleted) => Ok(deleted),
            Self::NoSuchKey => Err(CatalogError::NoSuchKey),
            Self::PreconditionFailed => Err(CatalogError::PreconditionFailed),
        }
    }
}

fn refusable(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    conditions: &Preconditions,
    due: UnixMillis,
) -> Result<Refusable, CatalogError> {
    match delete_one(tx, bucket, key, conditions, due) {
        Ok(deleted) => Ok(Refusable::Done(deleted)),
        Err(CatalogError::NoSuchKey) => Ok(Refusable::NoSuchKey),
        Err(CatalogError::PreconditionFailed) => Ok(Refusable::PreconditionFailed),
        Err(error) => Err(error),
    }
}

fn delete_one(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    conditions: &Preconditions,
    due: UnixMillis,
) -> Result<Deleted, CatalogError> {
    let row = keys::object(bucket.id, key);
    let present: Option<ObjectHead> = tx.get_row(&row)?;
    conditions.check(present.as_ref())?;
    let Some(present) = present else { return Ok(Deleted { removed: None }) };
    tx.delete(row)?;
    Ok(Deleted { removed: Some(discard_object(tx, bucket, &present, due)?) })
}

/// Makes garbage of an object's body. Its head is the caller's to delete or to overwrite.
pub(super) fn discard_object(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    head: &ObjectHead,
    due: UnixMillis,
) -> Result<Removed, CatalogError> {
    let debris = match &head.body {
        Body::Whole(extent) => Debris::Extent(extent.id),
        Body::Parts(_) => Debris::Parts,
    };
    garbage::discard(tx, &bucket.origin(), head.data, debris, due)?;
    Ok(Removed { data: head.data, size: head.object.size, etag: head.object.etag.clone() })
}
