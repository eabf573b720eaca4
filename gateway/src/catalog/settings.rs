//! Settings of a bucket: one row for each kind, a document in the form of whoever sets it.
//!
//! What every request needs (owner, packs, versioning) is in the bucket's own row; these are read by those who act on them.

use domicile_types::BucketName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bucket::{Bucket, BucketId, find_bucket, same_bucket};
use super::put::fits;
use super::{Catalog, CatalogError, keys};
use crate::state::{IfLost, KeyRange, Order, Read, Tx, limits};

/// Which setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// Bucket policy.
    Policy,
    /// Public access block.
    PublicAccessBlock,
    /// Ownership controls.
    Ownership,
    /// Cross-origin resource sharing.
    Cors,
    /// Lifecycle rules.
    Lifecycle,
    /// Default encryption.
    Encryption,
    /// Event notifications.
    Notification,
    /// Access logging.
    Logging,
    /// Default retention of object lock.
    ObjectLock,
    /// Access control list.
    Acl,
}

impl Setting {
    const ALL: [Self; 10] = [
        Self::Policy,
        Self::PublicAccessBlock,
        Self::Ownership,
        Self::Cors,
        Self::Lifecycle,
        Self::Encryption,
        Self::Notification,
        Self::Logging,
        Self::ObjectLock,
        Self::Acl,
    ];

    /// The byte that names it in a row's key.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Policy => b'p',
            Self::PublicAccessBlock => b'a',
            Self::Ownership => b'o',
            Self::Cors => b'c',
            Self::Lifecycle => b'l',
            Self::Encryption => b'e',
            Self::Notification => b'n',
            Self::Logging => b'g',
            Self::ObjectLock => b'k',
            Self::Acl => b'r',
        }
    }
}

/// A setting as it was found, not yet read.
#[derive(Debug, Clone)]
pub struct StoredSetting(Option<Vec<u8>>);

impl StoredSetting {
    /// What it says; none where it is not set.
    ///
    /// # Errors
    /// [`CatalogError::Inconsistent`] when the document is not of the form `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, CatalogError> {
        let read = self.0.as_deref().map(serde_json::from_slice).transpose();
        read.map_err(|_| CatalogError::Inconsistent { what: "a setting of a bucket" })
    }
}

impl Catalog {
    /// A setting of the bucket, or none.
    ///
    /// # Errors
    /// [`CatalogError::Inconsistent`] when the document is not of the form `T`.
    pub async fn setting<T: DeserializeOwned + Send + 'static>(
        &self,
        bucket: &Bucket,
        setting: Setting,
    ) -> Result<Option<T>, CatalogError> {
        let row = keys::setting(bucket.id, setting.code());
        self.read(move |view| match view.get(&row)? {
            Some(found) => serde_json::from_slice(&found.value)
                .map(Some)
                .map_err(|_| CatalogError::Inconsistent { what: "a setting of a bucket" }),
            None => Ok(None),
        })
        .await
    }

    /// The bucket of that name with some of its settings, all as they were at one moment.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchBucket`].
    pub async fn bucket_with_settings<const N: usize>(
        &self,
        name: &BucketName,
        wanted: [Setting; N],
    ) -> Result<(Bucket, [StoredSetting; N]), CatalogError> {
        let name = name.clone();
        self.read(move |view| {
            let bucket = find_bucket(view, &name)?;
            let mut found = [const { StoredSetting(None) }; N];
            for (slot, setting) in found.iter_mut().zip(wanted) {
                let row = view.get(&keys::setting(bucket.id, setting.code()))?;
                slot.0 = row.map(|row| row.value.to_vec());
            }
            Ok((bucket, found))
        })
        .await
    }

    /// Sets or, with `None`, removes a setting.
    ///
    /// # Errors
    /// [`CatalogError::TooLarge`] above 64 KiB; [`CatalogError::NoSuchBucket`].
    pub async fn set_setting<T: Serialize>(
        &self,
        bucket: &Bucket,
        setting: Setting,
        value: Option<&T>,
    ) -> Result<(), CatalogError> {
        let value = value.map(serde_json::to_vec).transpose();
        let value = value.map_err(|_| CatalogError::Inconsistent { what: "a setting that has no JSON form" })?;
        let given = bucket.clone();
        self.write(IfLost::Repeat, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            let row = keys::setting(bucket.id, setting.code());
            match &value {
                Some(value) => {
                    fits("a setting of a bucket", value.len(), limits::VALUE_BYTES_MAX)?;
                    Ok(tx.put(row, value.clone())?)
                }
                None => Ok(tx.delete(row)?),
            }
        })
        .await
    }
}

/// Removes all settings of a bucket that is being deleted.
pub(super) fn delete_all(tx: &mut Tx<'_>, bucket: BucketId) -> Result<(), CatalogError> {
    for found in tx.scan(&KeyRange::prefix(&keys::settings(bucket)), Setting::ALL.len(), Order::Ascending)? {
        tx.delete(found.key)?;
    }
    Ok(())
}
