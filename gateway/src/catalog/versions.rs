//! The versions of one key: what a write moves aside, what a deletion brings back, and changes of one version.
//!
//! The newest version is the row in `o` where it is an object. Where it is a delete marker there is no such row, and the
//! marker is the first row of the key in `v`; everything older lies behind it. `n` says where in `v` the null version is,
//! whose id does not tell. Every function here keeps these three, in a transaction of its caller.

use bytes::Bytes;
use domicile_types::{Classification, ObjectKey, UnixMillis};

use super::acl::Acl;
use super::bucket::{Bucket, Tags, same_bucket};
use super::claim::{Claim, put_claim};
use super::delete::{Removed, discard_object};
use super::object::{HEAD_BYTES_MAX, ObjectHead};
use super::protection::Retention;
use super::put::fits;
use super::version::{DeleteMarker, NullVersion, Version, VersionEntry, VersionId, Versioning, position_of};
use super::{Catalog, CatalogError, Stamp, keys};
use crate::state::{KeyRange, Order, Read, Tx, decode, encode};

impl Catalog {
    /// The version of an object that `version` names, or else the newest.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchKey`], [`CatalogError::NoSuchVersion`], [`CatalogError::DeleteMarker`].
    pub async fn object_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<ObjectHead, CatalogError> {
        let (bucket, key) = (bucket.clone(), key.clone());
        self.read(move |view| object_version(view, &bucket, &key, version)).await
    }

    /// Sets or, with `None`, ends the retention of a version.
    ///
    /// # Errors
    /// [`CatalogError::ObjectLocked`] when the retention that it has does not allow it, as [`Retention`] says;
    /// [`CatalogError::InvalidBucketState`] when the bucket's versions cannot be locked.
    pub async fn set_retention(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        retention: Option<Retention>,
        bypass_governance: bool,
    ) -> Result<(), CatalogError> {
        self.change(stamp, "set-retention", bucket, key, version, move |bucket, head| {
            lockable(bucket)?;
            let present = head.object.protection.lock.retention;
            if present.is_some_and(|old| !old.may_become(retention.as_ref(), stamp.now, bypass_governance)) {
                return Err(CatalogError::ObjectLocked);
            }
            head.object.protection.lock.retention = retention;
            Ok(())
        })
        .await
    }

    /// Puts a legal hold on a version, or lifts it.
    ///
    /// # Errors
    /// [`CatalogError::InvalidBucketState`] when the bucket's versions cannot be locked.
    pub async fn set_legal_hold(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        hold: bool,
    ) -> Result<(), CatalogError> {
        self.change(stamp, "set-legal-hold", bucket, key, version, move |bucket, head| {
            lockable(bucket)?;
            head.object.protection.lock.legal_hold = hold;
            Ok(())
        })
        .await
    }

    /// Replaces the access control list of a version.
    pub async fn set_object_acl(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        acl: Option<Acl>,
    ) -> Result<(), CatalogError> {
        self.change(stamp, "set-object-acl", bucket, key, version, move |_, head| {
            head.object.protection.acl.clone_from(&acl);
            Ok(())
        })
        .await
    }

    /// Replaces the tags of a version and the classification that follows.
    pub async fn set_object_tags(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        tags: Tags,
        classification: Classification,
    ) -> Result<(), CatalogError> {
        self.change(stamp, "set-object-tags", bucket, key, version, move |_, head| {
            head.object.tags.clone_from(&tags);
            head.object.classification = classification.clone();
            Ok(())
        })
        .await
    }

    /// Replaces the wrapped data key of a version, if it is still the `old` one: rotation of the bucket's key.
    pub async fn rewrap_object(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        wrapped: (Bytes, Bytes),
    ) -> Result<(), CatalogError> {
        let (old, new) = wrapped;
        self.change(stamp, "rewrap-object", bucket, key, version, move |_, head| {
            if head.object.wrapped_key != old {
                return Err(CatalogError::PreconditionFailed);
            }
            head.object.wrapped_key = new.clone();
            Ok(())
        })
        .await
    }

    /// Changes one version's row where it lies. A request makes one change of a kind to one version, so what it changes to
    /// need not name it.
    pub(super) async fn change(
        &self,
        stamp: Stamp,
        operation: &'static str,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        mut apply: impl FnMut(&Bucket, &mut ObjectHead) -> Result<(), CatalogError> + Send + 'static,
    ) -> Result<(), CatalogError> {
        let named = version.map(|version| version.to_string()).unwrap_or_default();
        let subject = [&bucket.id.as_bytes()[..], key.as_str().as_bytes(), named.as_bytes()];
        let once = stamp.once(operation, &subject);
        let (given, key) = (bucket.clone(), key.clone());
        self.write(once, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            let (row, mut head, is_current) = locate(tx, &bucket, &key, version)?;
            apply(&bucket, &mut head)?;
            let claim = Claim::of(&bucket, &head.object.packs, &head.object.classification);
            put_claim(tx, head.data, head.upload, &claim)?;
            let value = if is_current { encode(&*head)? } else { encode(&VersionEntry::Object(head))? };
            fits("an object's metadata and tags", value.len(), HEAD_BYTES_MAX)?;
            Ok(tx.put(row, value)?)
        })
        .await
    }
}

fn lockable(bucket: &Bucket) -> Result<(), CatalogError> {
    let what = "object lock is not enabled for the bucket";
    if bucket.object_lock { Ok(()) } else { Err(CatalogError::InvalidBucketState { what }) }
}

/// The newest version of a key.
pub(super) fn newest(
    read: &mut impl Read,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Option<VersionEntry>, CatalogError> {
    if let Some(head) = read.get_row::<ObjectHead>(&keys::object(bucket.id, key))? {
        return Ok(Some(VersionEntry::Object(Box::new(head))));
    }
    if bucket.versioning == Versioning::Never {
        return Ok(None);
    }
    match newest_aside(read, bucket, key)? {
        Some((_, VersionEntry::Object(_))) => {
            Err(CatalogError::Inconsistent { what: "an object that is newest, but not current" })
        }
        found => Ok(found.map(|(_, marker)| marker)),
    }
}

/// The newest version of a key that is no current object, and its row's key.
fn newest_aside(
    read: &mut impl Read,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Option<(Vec<u8>, VersionEntry)>, CatalogError> {
    let range = KeyRange::prefix(&keys::versions_of(bucket.id, key));
    let found = read.scan(&range, 1, Order::Ascending)?.pop();
    found.map(|found| Ok((found.key, decode(&found.row.value)?))).transpose()
}

/// The key of the row in which a version lies that is no current object.
fn row_aside(
    read: &mut impl Read,
    bucket: &Bucket,
    key: &ObjectKey,
    id: VersionId,
) -> Result<Option<Vec<u8>>, CatalogError> {
    let position = match id {
        VersionId::Id(id) => position_of(id),
        VersionId::Null => match read.get_row::<NullVersion>(&keys::null_version(bucket.id, key))? {
            Some(NullVersion { order }) => Version::null_at(order).position(),
            None => return Ok(None),
        },
    };
    Ok(Some(keys::version(bucket.id, key, position)))
}

/// The null version of a key, if there is one.
pub(super) fn null_version(
    read: &mut impl Read,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Option<Version>, CatalogError> {
    if let Some(NullVersion { order }) = read.get_row(&keys::null_version(bucket.id, key))? {
        return Ok(Some(Version::null_at(order)));
    }
    let current: Option<ObjectHead> = read.get_row(&keys::object(bucket.id, key))?;
    Ok(current.map(|head| head.version).filter(Version::is_null))
}

/// Where the object that is asked for lies, the object, and whether it is the current one.
fn locate(
    read: &mut impl Read,
    bucket: &Bucket,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> Result<(Vec<u8>, Box<ObjectHead>, bool), CatalogError> {
    let current_row = keys::object(bucket.id, key);
    let current: Option<ObjectHead> = read.get_row(&current_row)?;
    let Some(id) = version else {
        if let Some(head) = current {
            return Ok((current_row, Box::new(head), true));
        }
        return Err(match newest(read, bucket, key)? {
            Some(VersionEntry::Marker(marker)) => CatalogError::DeleteMarker { marker, newest: true },
            _ => CatalogError::NoSuchKey,
        });
    };
    if let Some(head) = current.filter(|head| head.version.id() == id) {
        return Ok((current_row, Box::new(head), true));
    }
    let row = row_aside(read, bucket, key, id)?.ok_or(CatalogError::NoSuchVersion)?;
    match read.get_row(&row)? {
        Some(VersionEntry::Object(head)) => Ok((row, head, false)),
        Some(VersionEntry::Marker(marker)) => Err(CatalogError::DeleteMarker { marker, newest: false }),
        None => Err(CatalogError::NoSuchVersion),
    }
}

/// The object that is asked for.
pub(super) fn object_version(
    read: &mut impl Read,
    bucket: &Bucket,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> Result<ObjectHead, CatalogError> {
    locate(read, bucket, key, version).map(|(_, head, _)| *head)
}

/// What a change to a key's versions happens under.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) key: &'a ObjectKey,
    pub(super) now: UnixMillis,
    /// When what is discarded may be swept.
    pub(super) due: UnixMillis,
    /// Whether retention for governance does not bind.
    pub(super) bypass_governance: bool,
}

impl Change<'_> {
    /// The version that a write makes above `newest`.
    pub(super) fn next_version(&self, newest: Option<&VersionEntry>, tail: [u8; 8]) -> Version {
        let tail = (self.bucket.versioning == Versioning::Enabled).then_some(tail);
        Version::next(self.now, newest.map(|entry| entry.version().order()), tail)
    }

    /// Makes room for a version above `newest`: what is to be kept is moved aside, and a null version that a new one
    /// replaces is discarded.
    pub(super) fn make_way(
        &self,
        tx: &mut Tx<'_>,
        newest: Option<VersionEntry>,
        next: Version,
    ) -> Result<Option<Removed>, CatalogError> {
        // Locks refuse first, while nothing is written: in a transaction of many deletions the others go on.
        let current = newest.as_ref().and_then(VersionEntry::object);
        let replaces_current = next.is_null() && current.is_some_and(|head| head.version.is_null());
        let removed = match current {
            Some(head) if replaces_current => Some(self.discard(tx, head)?),
            _ if next.is_null() && self.bucket.versioning != Versioning::Never => self.discard_null_aside(tx)?,
            _ => None,
        };
        if let Some(VersionEntry::Object(head)) = newest {
            tx.delete(keys::object(self.bucket.id, self.key))?;
            if !replaces_current {
                self.put_aside(tx, &VersionEntry::Object(head))?;
            }
        }
        Ok(removed)
    }

    /// Writes a delete marker as the newest version.
    pub(super) fn put_marker(&self, tx: &mut Tx<'_>, version: Version) -> Result<(), CatalogError> {
        self.put_aside(tx, &VersionEntry::Marker(DeleteMarker { version, last_modified: self.now }))
    }

    /// Deletes the version `id` for good. `judge` may refuse once it is found. What was deleted, if it was there.
    pub(super) fn remove_version(
        &self,
        tx: &mut Tx<'_>,
        id: VersionId,
        judge: impl FnOnce(&VersionEntry) -> Result<(), CatalogError>,
    ) -> Result<Option<(VersionEntry, Option<Removed>)>, CatalogError> {
        let current_row = keys::object(self.bucket.id, self.key);
        let current: Option<ObjectHead> = tx.get_row(&current_row)?;
        let is_current = current.as_ref().is_some_and(|head| head.version.id() == id);
        let (row, entry) = match current {
            Some(head) if is_current => (current_row, VersionEntry::Object(Box::new(head))),
            _ if self.bucket.versioning == Versioning::Never => return Ok(None),
            _ => {
                let Some(row) = row_aside(tx, self.bucket, self.key, id)? else { return Ok(None) };
                let Some(entry) = tx.get_row::<VersionEntry>(&row)? else { return Ok(None) };
                (row, entry)
            }
        };
        judge(&entry)?;
        let removed = entry.object().map(|head| self.discard(tx, head)).transpose()?;
        tx.delete(row)?;
        if !is_current && id == VersionId::Null {
            tx.delete(keys::null_version(self.bucket.id, self.key))?;
        }
        self.promote(tx)?;
        Ok(Some((entry, removed)))
    }

    /// Makes an object current that has become the newest of its key.
    fn promote(&self, tx: &mut Tx<'_>) -> Result<(), CatalogError> {
        let current_row = keys::object(self.bucket.id, self.key);
        if self.bucket.versioning == Versioning::Never || tx.get(&current_row)?.is_some() {
            return Ok(());
        }
        let Some((row, VersionEntry::Object(head))) = newest_aside(tx, self.bucket, self.key)? else { return Ok(()) };
        tx.delete(row)?;
        if head.version.is_null() {
            tx.delete(keys::null_version(self.bucket.id, self.key))?;
        }
        Ok(tx.put_row(current_row, &*head)?)
    }

    fn put_aside(&self, tx: &mut Tx<'_>, entry: &VersionEntry) -> Result<(), CatalogError> {
        let version = entry.version();
        if version.is_null() {
            let row = keys::null_version(self.bucket.id, self.key);
            tx.put_row(row, &NullVersion { order: version.order() })?;
        }
        Ok(tx.put_row(keys::version(self.bucket.id, self.key, version.position()), entry)?)
    }

    fn discard_null_aside(&self, tx: &mut Tx<'_>) -> Result<Option<Removed>, CatalogError> {
        let Some(row) = row_aside(tx, self.bucket, self.key, VersionId::Null)? else { return Ok(None) };
        let entry: Option<VersionEntry> = tx.get_row(&row)?;
        let object = entry.as_ref().and_then(VersionEntry::object);
        let removed = object.map(|head| self.discard(tx, head)).transpose()?;
        tx.delete(row)?;
        tx.delete(keys::null_version(self.bucket.id, self.key))?;
        Ok(removed)
    }

    /// Makes garbage of a version's body, unless it is locked. Its row is the caller's to delete.
    fn discard(&self, tx: &mut Tx<'_>, head: &ObjectHead) -> Result<Removed, CatalogError> {
        head.object.protection.lock.permits_removal(self.now, self.bypass_governance)?;
        discard_object(tx, (self.bucket, self.key), head, self.now, self.due)
    }
}
