//! Copies that share their bytes: one body, and several versions that name it, each with a wrapping of its own of the one
//! data key.
//!
//! Versions of the same data id have the same body, and each has a claim on it (`claim`): made in the transaction that writes
//! a sharing version, which has seen there that the version it copies is still what it was; ended in that which takes the
//! version away. Who ends the last claim makes garbage of the body. So a body is garbage if and only if no version names
//! it, wherever a crash falls; and no version can begin to name a body that is garbage already.

use domicile_types::{BucketName, ObjectKey, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, same_bucket, unchanged_bucket};
use super::judging::{JudgingEpoch, still_judged_by};
use super::object::{NewObject, ObjectHead, Preconditions};
use super::put::{PutOutcome, put_head};
use super::version::Version;
use super::versions::object_version;
use super::{Catalog, CatalogError, Stamp, compact};
use crate::state::Tx;

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
