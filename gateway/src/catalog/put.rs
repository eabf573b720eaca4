//! Plain PUT: pending, pages, commit.

use domicile_types::{DataId, ObjectKey, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, unchanged_bucket};
use super::claim::{Claim, put_claim};
use super::delete::Removed;
use super::extent::{Extent, ExtentId, ExtentPage, PageAt, StoredPage};
use super::garbage::{Debris, Origin};
use super::holders::{index_holders, put_known};
use super::judging::{JudgingEpoch, still_judged_by};
use super::object::{Body, HEAD_BYTES_MAX, NewObject, ObjectHead, Preconditions};
use super::version::{Version, VersionEntry, VersionId, Versioning, tail_of};
use super::versions::{Change, newest};
use super::{Catalog, CatalogError, Stamp, compact, garbage, keys};
use crate::state::{IfLost, Owner, Read, StoredRow, Tx, encode, limits};

/// A body that is about to be sent to nodes.
#[derive(Debug, Clone)]
pub struct NewBody {
    /// Drawn at random, for this attempt alone.
    pub extent: ExtentId,
    /// What its shards are stored under.
    pub data: DataId,
    /// The upload: drawn at random for a plain PUT (a multipart upload has its own).
    pub upload: UploadId,
    /// Pages whose shards are sent first, with their numbers: a small body's only page saves a transaction here.
    pub pages: Vec<(u32, ExtentPage)>,
}

/// A body in progress. Ends in a commit, or in [`Catalog::abandon`]; if the process ends first, in the sweeper.
#[derive(Debug)]
pub struct Pending {
    pub(super) bucket: Bucket,
    pub(super) key: ObjectKey,
    pub(super) extent: ExtentId,
    pub(super) data: DataId,
    pub(super) upload: UploadId,
    /// The part that it will be, or none.
    pub(super) part: Option<u16>,
}

impl Pending {
    /// Which extent is being written.
    #[must_use]
    pub fn extent(&self) -> ExtentId {
        self.extent
    }

    /// What its shards are stored under.
    #[must_use]
    pub fn data(&self) -> DataId {
        self.data
    }

    /// The upload that it belongs to.
    #[must_use]
    pub fn upload(&self) -> UploadId {
        self.upload
    }

    /// The part number, for a part.
    #[must_use]
    pub fn part(&self) -> Option<u16> {
        self.part
    }
}

/// The row that makes an unfinished body findable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PendingRow {
    pub(super) origin: Origin,
    #[serde(with = "compact::data_id")]
    pub(super) data: DataId,
    pub(super) owner: Owner,
    pub(super) started: UnixMillis,
}

impl StoredRow for PendingRow {
    const NAME: &'static str = "pending body";
    const VERSION: u8 = 1;
}

/// Everything that a commit needs.
#[derive(Debug, Clone)]
pub struct PutCommit {
    /// What the object is.
    pub object: NewObject,
    /// The shape of its body.
    pub extent: Extent,
    /// Pages that are not recorded yet in their final form.
    pub pages: Vec<(u32, ExtentPage)>,
    /// Judged once more, in the transaction.
    pub conditions: Preconditions,
    /// By what its placement was judged: the commit fails when that has changed.
    pub judged: JudgingEpoch,
}

/// What a committed put did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOutcome {
    /// When the object was committed.
    pub last_modified: UnixMillis,
    /// Which version it is; none where versioning is not enabled, as S3 tells no id of the null version to who writes it.
    pub version: Option<VersionId>,
    /// The object that it replaced, whose bytes are garbage now. A version that is kept is not replaced.
    pub replaced: Option<Removed>,
}

impl Catalog {
    /// Announces a body, durably, before any of its shards is sent.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchBucket`], [`CatalogError::PolicyChanged`], and what `conditions` refuse already.
    pub async fn begin_put(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        body: NewBody,
        conditions: &Preconditions,
    ) -> Result<Pending, CatalogError> {
        let NewBody { extent, data, upload, pages } = body;
        let pending = Pending { bucket: bucket.clone(), key: key.clone(), extent, data, upload, part: None };
        let (given, key, conditions) = (bucket.clone(), key.clone(), conditions.clone());
        let owner = self.config.process;
        self.write(IfLost::Repeat, move |tx| {
            let bucket = unchanged_bucket(tx, &given)?;
            if conditions != Preconditions::default() {
                conditions.check(tx.get_row(&keys::object(bucket.id, &key))?.as_ref())?;
            }
            begin(tx, &bucket, extent, data, owner, stamp.now)?;
            put_pages(tx, extent, &pages)
        })
        .await?;
        Ok(pending)
    }

    /// Writes pages of a pending body, or writes them anew: before shards are sent, with where they will go; when a page
    /// is full, with its sealed records.
    ///
    /// # Errors
    /// [`CatalogError::NotPending`] when the body was swept or abandoned meanwhile.
    pub async fn record_pages(&self, pending: &Pending, pages: Vec<(u32, ExtentPage)>) -> Result<(), CatalogError> {
        let extent = pending.extent;
        self.write(IfLost::Repeat, move |tx| {
            take_pending(tx, extent)?;
            put_pages(tx, extent, &pages)
        })
        .await
    }

    /// Makes the pending body the current object of its key: head, pages, the garbage of what it replaces, and the end of
    /// the pending row, in one transaction.
    ///
    /// # Errors
    /// What `conditions` refuse; [`CatalogError::PolicyChanged`]; [`CatalogError::JudgedBefore`];
    /// [`CatalogError::NotPending`]. The body is still pending
    /// then: place again, or [`Catalog::abandon`] it.
    pub async fn commit_put(
        &self,
        stamp: Stamp,
        pending: &Pending,
        commit: PutCommit,
    ) -> Result<PutOutcome, CatalogError> {
        if pending.part.is_some() || commit.extent.id != pending.extent || commit.extent.bytes != commit.object.size {
            return Err(CatalogError::Inconsistent { what: "a put whose extent is not the one begun" });
        }
        let once = stamp.once("commit-put", &[pending.extent.as_bytes()]);
        let due = self.sweep_due(stamp);
        let (given, key, extent) = (pending.bucket.clone(), pending.key.clone(), pending.extent);
        let PutCommit { object, extent: shape, pages, conditions, judged } = commit;
        let head = ObjectHead {
            version: Version::unset(),
            object,
            last_modified: stamp.now,
            data: pending.data,
            upload: pending.upload,
            body: Body::Whole(shape),
            sealed_as: None,
        };
        self.write(once, move |tx| {
            let bucket = unchanged_bucket(tx, &given)?;
            still_judged_by(tx, judged)?;
            take_pending(tx, extent)?;
            put_pages(tx, extent, &pages)?;
            tx.delete(keys::pending(extent))?;
            if let Body::Whole(shape) = &head.body {
                put_known(tx, head.data, 0, shape)?;
            }
            put_head(tx, &bucket, &key, head.clone(), &conditions, due).map(|(_, outcome)| outcome)
        })
        .await
    }

    /// Gives up a pending body: what was sent of it becomes garbage at once. Nothing, when that is done already.
    pub async fn abandon(&self, stamp: Stamp, pending: &Pending) -> Result<(), CatalogError> {
        let extent = pending.extent;
        self.write(IfLost::Repeat, move |tx| match tx.get_row::<PendingRow>(&keys::pending(extent))? {
            Some(row) => discard_pending(tx, extent, row, stamp.now),
            None => Ok(()),
        })
        .await
    }
}

/// Writes the pending row of a new extent.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    extent: ExtentId,
    data: DataId,
    owner: Owner,
    started: UnixMillis,
) -> Result<(), CatalogError> {
    Ok(tx.put_row(keys::pending(extent), &PendingRow { origin: bucket.origin(), data, owner, started })?)
}

/// The pending row, which must be there.
pub(super) fn take_pending(tx: &mut Tx<'_>, extent: ExtentId) -> Result<PendingRow, CatalogError> {
    tx.get_row(&keys::pending(extent))?.ok_or(CatalogError::NotPending)
}

/// Turns a pending row into garbage.
pub(super) fn discard_pending(
    tx: &mut Tx<'_>,
    extent: ExtentId,
    row: PendingRow,
    due: UnixMillis,
) -> Result<(), CatalogError> {
    tx.delete(keys::pending(extent))?;
    garbage::discard(tx, &row.origin, row.data, Debris::Extent(extent), due)
}

pub(super) fn put_pages(tx: &mut Tx<'_>, extent: ExtentId, pages: &[(u32, ExtentPage)]) -> Result<(), CatalogError> {
    for (number, page) in pages {
        let (row, apart) = page.to_rows();
        let at = PageAt { extent, page: *number };
        let before: Option<StoredPage> = tx.get_row(&keys::extent_page(extent, *number))?;
        index_holders(tx, at, before.as_ref().map_or(&[], StoredPage::nodes), row.nodes())?;
        let value = encode(&row)?;
        fits("an extent page", value.len(), limits::VALUE_BYTES_MAX)?;
        tx.put(keys::extent_page(extent, *number), value)?;
        if let Some(sealed) = apart {
            fits("the sealed records of an extent page", sealed.len(), limits::VALUE_BYTES_MAX)?;
            tx.put(keys::sealed_page(extent, *number), sealed.into())?;
        }
    }
    Ok(())
}

/// Puts `head` at `key` as its newest version if `conditions` allow; makes garbage of what it replaces. The version is drawn
/// here: its order is that of commits.
pub(super) fn put_head(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    mut head: ObjectHead,
    conditions: &Preconditions,
    due: UnixMillis,
) -> Result<(Version, PutOutcome), CatalogError> {
    // Before the version that is replaced is taken away: that one may share the body.
    put_claim(tx, head.data, head.upload, &Claim::of(bucket, &head.object.packs, &head.object.classification))?;
    let newest = newest(tx, bucket, key)?;
    conditions.check(newest.as_ref().and_then(VersionEntry::object))?;
    let change = Change { bucket, key, now: head.last_modified, due, bypass_governance: false };
    head.version = change.next_version(newest.as_ref(), tail_of(&[head.upload.as_bytes()]));
    let replaced = change.make_way(tx, newest, head.version)?;
    let value = encode(&head)?;
    fits("an object's metadata and tags", value.len(), HEAD_BYTES_MAX)?;
    tx.put(keys::object(bucket.id, key), value)?;
    let version = (bucket.versioning == Versioning::Enabled).then_some(head.version.id());
    Ok((head.version, PutOutcome { last_modified: head.last_modified, version, replaced }))
}

/// Refuses what is too large for its row.
pub(super) fn fits(what: &'static str, bytes: usize, maximum: usize) -> Result<(), CatalogError> {
    if bytes <= maximum { Ok(()) } else { Err(CatalogError::TooLarge { what, bytes, maximum }) }
}
