//! Settings of a bucket: one row for each kind, a document in the form of whoever sets it.
//!
//! What every request needs (owner, packs, versioning) is in the bucket's own row; these are read by those who act on them.
//! The row also counts their changes, so that settings that were read before need not be read again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use domicile_types::BucketName;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bucket::{Bucket, BucketId, find_bucket, same_bucket};
use super::put::fits;
use super::{Catalog, CatalogError, keys};
use crate::state::{IfLost, KeyRange, Order, Read, Tx, View, limits};

/// Buckets whose settings are kept in memory.
const KEPT_MAX: usize = 1024;

/// Settings of one bucket that are kept: longer ones are read every time.
const KEPT_BYTES_MAX: usize = 32 * 1024;

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
pub struct StoredSetting(Option<Bytes>);

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

/// All settings of a bucket as they were under one version of them.
#[derive(Default)]
struct Documents {
    version: u64,
    by_code: Vec<(u8, Bytes)>,
}

impl Documents {
    fn get(&self, setting: Setting) -> StoredSetting {
        let found = self.by_code.iter().find(|(code, _)| *code == setting.code());
        StoredSetting(found.map(|(_, document)| document.clone()))
    }
}

/// Settings that were read before. A bucket's row says which version of them is in force, so that what is kept here is used
/// only where the row was read and says the same: nothing has to be told of a change, also where others change the store.
#[derive(Clone, Default)]
pub(super) struct ReadBefore(Arc<Mutex<HashMap<BucketId, Arc<Documents>>>>);

impl ReadBefore {
    fn get(&self, bucket: &Bucket) -> Option<Arc<Documents>> {
        if bucket.settings_version == 0 {
            return Some(Arc::default());
        }
        self.0.lock().get(&bucket.id).filter(|kept| kept.version == bucket.settings_version).cloned()
    }

    fn keep(&self, bucket: BucketId, read: &Arc<Documents>) {
        if read.by_code.iter().map(|(_, document)| document.len()).sum::<usize>() > KEPT_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock();
        // Nothing is lost with what is forgotten here, and which buckets are busy shows again at once.
        if kept.len() >= KEPT_MAX && !kept.contains_key(&bucket) {
            kept.clear();
        }
        kept.insert(bucket, Arc::clone(read));
    }

    /// The settings of a bucket whose row is of the same moment as `view`.
    fn or_read(&self, view: &mut View<'_>, bucket: &Bucket) -> Result<Arc<Documents>, CatalogError> {
        if let Some(kept) = self.get(bucket) {
            return Ok(kept);
        }
        let base = keys::settings(bucket.id);
        let rows = view.scan(&KeyRange::prefix(&base), Setting::ALL.len(), Order::Ascending)?;
        let by_code = rows.into_iter().filter_map(|found| {
            let code = *found.key.get(base.len())?;
            Some((code, Bytes::from(found.row.value)))
        });
        let read = Arc::new(Documents { version: bucket.settings_version, by_code: by_code.collect() });
        self.keep(bucket.id, &read);
        Ok(read)
    }
}

impl Catalog {
    /// A setting of the bucket as `bucket` was read, or as it is since, or none.
    ///
    /// # Errors
    /// [`CatalogError::Inconsistent`] when the document is not of the form `T`.
    pub async fn setting<T: DeserializeOwned + Send + 'static>(
        &self,
        bucket: &Bucket,
        setting: Setting,
    ) -> Result<Option<T>, CatalogError> {
        if let Some(kept) = self.read_before.get(bucket) {
            return kept.get(setting).read();
        }
        let (given, before) = (bucket.clone(), self.read_before.clone());
        let read = self.read(move |view| {
            let bucket = same_bucket(view, &given)?;
            before.or_read(view, &bucket)
        });
        match read.await {
            Ok(documents) => documents.get(setting).read(),
            // With the bucket its settings are gone.
            Err(CatalogError::NoSuchBucket { .. }) => Ok(None),
            Err(error) => Err(error),
        }
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
        let (name, before) = (name.clone(), self.read_before.clone());
        self.read(move |view| {
            let bucket = find_bucket(view, &name)?;
            let documents = before.or_read(view, &bucket)?;
            Ok((bucket, wanted.map(|setting| documents.get(setting))))
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
            let mut bucket = same_bucket(tx, &given)?;
            bucket.settings_version += 1;
            tx.put_row(keys::bucket(&bucket.name), &bucket)?;
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

#[cfg(test)]
mod tests {
    use domicile_types::{Classification, RegionName, RequestId, TenantId, UnixMillis};

    use super::*;
    use crate::catalog::{CatalogConfig, NewBucket, Stamp};
    use crate::state::{MemoryStore, Owner};

    /// Two catalogs over one store, as two processes have them, and a bucket.
    async fn world() -> (Catalog, Catalog, Bucket) {
        let store = Arc::new(MemoryStore::new(Arc::new(|| UnixMillis(0))));
        let config = CatalogConfig { token_key: [1; 32], process: Owner([2; 16]), sweep_grace_millis: 0 };
        let catalogs = [0, 1].map(|_| Catalog::new(Arc::clone(&store) as _, config.clone()));
        let new = NewBucket {
            id: BucketId::from_bytes([3; 16]),
            name: BucketName::parse("training").unwrap(),
            owner: TenantId::parse("tenant-a").unwrap(),
            region: RegionName::parse("cn").unwrap(),
            packs: Vec::new(),
            tags: Vec::new(),
            classification: Classification::default(),
            wrapped_key: Bytes::new(),
            object_lock: false,
        };
        let stamp = Stamp { now: UnixMillis(1), request: RequestId::from_bytes([4; 16]) };
        let bucket = catalogs[0].create_bucket(stamp, new).await.unwrap();
        let [one, other] = catalogs;
        (one, other, bucket)
    }

    async fn policy(catalog: &Catalog) -> Option<String> {
        let name = BucketName::parse("training").unwrap();
        let (bucket, [policy]) = catalog.bucket_with_settings(&name, [Setting::Policy]).await.unwrap();
        let alone: Option<String> = catalog.setting(&bucket, Setting::Policy).await.unwrap();
        assert_eq!(policy.read::<String>().unwrap(), alone);
        alone
    }

    #[tokio::test]
    async fn what_was_read_before_is_never_told_for_what_is_in_force() {
        let (one, other, bucket) = world().await;
        assert_eq!((policy(&one).await, policy(&other).await), (None, None));
        for (writer, value) in [(&one, Some("first")), (&other, Some("second")), (&one, None), (&other, Some("last"))] {
            writer.set_setting(&bucket, Setting::Policy, value.as_ref()).await.unwrap();
            let expected = value.map(str::to_owned);
            assert_eq!((policy(&one).await, policy(&other).await), (expected.clone(), expected));
        }
        one.set_setting(&bucket, Setting::Cors, Some(&"cors")).await.unwrap();
        assert_eq!(policy(&other).await.as_deref(), Some("last"), "another setting took this one along");
    }

    #[tokio::test]
    async fn settings_go_with_their_bucket() {
        let (one, other, bucket) = world().await;
        one.set_setting(&bucket, Setting::Policy, Some(&"first")).await.unwrap();
        assert_eq!(policy(&other).await.as_deref(), Some("first"));
        let read = other.bucket(&bucket.name).await.unwrap();
        let stamp = Stamp { now: UnixMillis(2), request: RequestId::from_bytes([5; 16]) };
        one.delete_bucket(stamp, &read).await.unwrap();
        assert!(matches!(
            other.bucket_with_settings(&bucket.name, [Setting::Policy]).await,
            Err(CatalogError::NoSuchBucket { .. })
        ));
        assert_eq!(one.setting::<String>(&read, Setting::Cors).await.unwrap(), None);
    }
}
