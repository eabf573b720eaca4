//! Versioning and object lock of a bucket.

use super::bucket::{Bucket, same_bucket};
use super::version::Versioning;
use super::{Catalog, CatalogError, keys};
use crate::state::IfLost;

impl Catalog {
    /// Enables or suspends versioning. A bucket never comes back to [`Versioning::Never`].
    ///
    /// # Errors
    /// [`CatalogError::InvalidBucketState`] when versions can be locked: then none may be overwritten.
    pub async fn set_versioning(&self, bucket: &Bucket, enabled: bool) -> Result<(), CatalogError> {
        let given = bucket.clone();
        self.write(IfLost::Repeat, move |tx| {
            let mut bucket = same_bucket(tx, &given)?;
            if bucket.object_lock && !enabled {
                return Err(CatalogError::InvalidBucketState {
                    what: "versioning cannot be suspended where object lock is enabled",
                });
            }
            bucket.versioning = if enabled { Versioning::Enabled } else { Versioning::Suspended };
            Ok(tx.put_row(keys::bucket(&bucket.name), &bucket)?)
        })
        .await
    }

    /// Lets versions be locked from now on, for good.
    ///
    /// # Errors
    /// [`CatalogError::InvalidBucketState`] unless versioning is enabled.
    pub async fn enable_object_lock(&self, bucket: &Bucket) -> Result<(), CatalogError> {
        let given = bucket.clone();
        self.write(IfLost::Repeat, move |tx| {
            let mut bucket = same_bucket(tx, &given)?;
            if bucket.versioning != Versioning::Enabled {
                return Err(CatalogError::InvalidBucketState { what: "object lock needs versioning to be enabled" });
            }
            bucket.object_lock = true;
            Ok(tx.put_row(keys::bucket(&bucket.name), &bucket)?)
        })
        .await
    }
}
