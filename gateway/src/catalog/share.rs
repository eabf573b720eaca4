//! Copies that share their bytes: one body, and several versions that name it, each with a wrapping of its own of the one
//! data key.
//!
//! Versions of the same data id have the same body. Where there is more than one, a row counts how many more there are: up
//! in the transaction that writes a sharing version, which has seen there that the version it copies is still what it was;
//! down in each that takes one of them away. Who finds no such row takes away the last, and makes garbage of the body. So a
//! body is garbage if and only if no version names it, wherever a crash falls; and no version can begin to name a body that
//! is garbage already.

use domicile_types::{BucketName, DataId, ObjectKey, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, same_bucket, unchanged_bucket};
use super::judging::{JudgingEpoch, still_judged_by};
use super::object::{NewObject, ObjectHead, Preconditions};
use super::put::{PutOutcome, put_head};
use super::version::Version;
use super::versions::object_version;
use super::{Catalog, CatalogError, Stamp, compact, keys};
use crate::state::{Read, StoredRow, Tx};

/// The name that a manifest was sealed under, where that is another than its version's own: the first that named the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAs {
    /// In which bucket of the same tenant.
    pub bucket: BucketName,
    /// Under which key.
    pub key: String,
    /// By which upload.
    #[serde(with = "compact::upload_id")]
    pub upload: UploadId,
}

/// A version whose body a copy is to share, as it was when the copy was decided.
#[derive(Debug, Clone)]
pub struct ShareSource {
    /// Its bucket.
    pub bucket: Bucket,
    /// Its key.
    pub key: ObjectKey,
    /// Its row.
    pub head: ObjectHead,
}

/// What a sharing copy says for itself.
#[derive(Debug, Clone)]
pub struct SharingCopy {
    /// What the object is; its size, suite and checksums are its source's.
    pub object: NewObject,
    /// Drawn at random: what the copy's wrapped key is bound to.
    pub upload: UploadId,
    /// Judged in the transaction.
    pub conditions: Preconditions,
    /// By what it was judged that the copy may share: the commit fails when that has changed.
    pub judged: JudgingEpoch,
}

/// How many versions name a body beside one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Sharers {
    others: u32,
}

impl StoredRow for Sharers {
    const NAME: &'static str = "sharers of a body";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// Makes a version at `key` that shares the body of `source`. None, and nothing changed, where the source is not there
    /// any more as it was: then its bytes are to be copied, if at all.
    ///
    /// # Errors
    /// What the conditions refuse; [`CatalogError::PolicyChanged`].
    pub async fn commit_sharing_copy(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        source: ShareSource,
        copy: SharingCopy,
    ) -> Result<Option<PutOutcome>, CatalogError> {
        let SharingCopy { object, upload, conditions, judged } = copy;
        if object.size != source.head.object.size || object.suite != source.head.object.suite {
            return Err(CatalogError::Inconsistent { what: "a sharing copy of another size or cipher" });
        }
        let once = stamp.once("commit-sharing-copy", &[upload.as_bytes()]);
        let due = self.sweep_due(stamp);
        let (given, key) = (bucket.clone(), key.clone());
        let head = ObjectHead {
            version: Version::unset(),
            object,
            last_modified: stamp.now,
            data: source.head.data,
            upload,
            body: source.head.body.clone(),
            sealed_as: Some(source.sealed_as()),
        };
        self.write(once, move |tx| {
            let bucket = unchanged_bucket(tx, &given)?;
            still_judged_by(tx, judged)?;
            if !source.is_there(tx)? {
                return Ok(None);
            }
            // Before the version that is replaced is taken away: that one may share the body, too, or be the source itself.
            add_sharer(tx, head.data)?;
            let (_, outcome) = put_head(tx, &bucket, &key, head.clone(), &conditions, due)?;
            Ok(Some(outcome))
        })
        .await
    }
}

impl ShareSource {
    fn sealed_as(&self) -> SealedAs {
        self.head.sealed_as.clone().unwrap_or_else(|| SealedAs {
            bucket: self.bucket.name.clone(),
            key: self.key.as_str().to_owned(),
            upload: self.head.upload,
        })
    }

    /// Whether the version still names the body.
    fn is_there(&self, tx: &mut Tx<'_>) -> Result<bool, CatalogError> {
        let bucket = match same_bucket(tx, &self.bucket) {
            Err(CatalogError::NoSuchBucket { .. }) => return Ok(false),
            bucket => bucket?,
        };
        match object_version(tx, &bucket, &self.key, Some(self.head.version.id())) {
            Ok(present) => Ok(present.data == self.head.data && present.upload == self.head.upload),
            Err(CatalogError::NoSuchKey | CatalogError::NoSuchVersion | CatalogError::DeleteMarker { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn add_sharer(tx: &mut Tx<'_>, data: DataId) -> Result<(), CatalogError> {
    let row = keys::sharers(data);
    let present = tx.get_row::<Sharers>(&row)?.map_or(0, |sharers| sharers.others);
    let overflow = CatalogError::Inconsistent { what: "the number of versions that share a body" };
    let others = present.checked_add(1).ok_or(overflow)?;
    Ok(tx.put_row(row, &Sharers { others })?)
}

/// Takes one version's claim to a body away. Whether it was the last: then the body is garbage.
pub(super) fn was_last_sharer(tx: &mut Tx<'_>, data: DataId) -> Result<bool, CatalogError> {
    let row = keys::sharers(data);
    match tx.get_row::<Sharers>(&row)? {
        None => return Ok(true),
        Some(Sharers { others: 0 | 1 }) => tx.delete(row)?,
        Some(Sharers { others }) => tx.put_row(row, &Sharers { others: others - 1 })?,
    }
    Ok(false)
}
