//! Multipart uploads: begun, filled with parts in any order, listed, given up. Completion is in `complete`.

use bytes::Bytes;
use domicile_types::{Classification, DataId, ObjectKey, PackId, SuiteId, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Tags, same_bucket, split_upload_key, unchanged_bucket};
use super::claim::{Claim, put_claim};
use super::extent::{Extent, ExtentPage};
use super::garbage::Debris;
use super::holders::put_known;
use super::judging::{JudgingEpoch, still_judged_by};
use super::listing::{PAGE_ENTRIES_MAX, Walk, after_marker};
use super::object::{Checksum, ChecksumAlgorithm, ChecksumKind, ContentHeaders, HEAD_BYTES_MAX};
use super::protection::Protection;
use super::put::{NewBody, Pending, begin, fits, put_pages, take_pending};
use super::token::Resume;
use super::{Catalog, CatalogError, Stamp, compact, garbage, keys};
use crate::state::{IfLost, KeyRange, KeyedRow, Order, Read, StoredRow, decode, encode};

/// Highest part number (Amazon S3's user guide, "Amazon S3 multipart upload limits").
pub const PART_NUMBER_MAX: u16 = 10_000;
/// Most parts that one call of [`Catalog::list_parts`] returns.
pub const PARTS_LISTED_MAX: usize = 1_000;

/// What the object of an upload will be, as far as it is known at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUpload {
    /// The upload's id. Drawn as a version-7 UUID, so that uploads of one key are listed in the order they were begun.
    #[serde(with = "compact::upload_id")]
    pub upload: UploadId,
    /// What the shards of all parts are stored under.
    #[serde(with = "compact::data_id")]
    pub data: DataId,
    /// The data key, wrapped; opaque here.
    pub wrapped_key: Bytes,
    /// Content headers.
    pub headers: ContentHeaders,
    /// User metadata.
    pub metadata: Vec<(String, String)>,
    /// Tags.
    pub tags: Tags,
    /// The effective classification.
    #[serde(with = "compact::classification")]
    pub classification: Classification,
    /// The checksum that the client announced: `x-amz-checksum-algorithm` and `x-amz-checksum-type`.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// The AEAD of its segments.
    pub suite: SuiteId,
    /// The packs that it was decided by.
    pub packs: Vec<PackId>,
    /// What will guard the object.
    pub protection: Protection,
}

/// An upload in progress. Its key is in the row's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// What was said at the beginning.
    pub new: NewUpload,
    /// When it was begun.
    pub initiated: UnixMillis,
}

impl StoredRow for Upload {
    const NAME: &'static str = "multipart upload";
    const VERSION: u8 = 2;
}

/// A stored part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    /// Its body.
    pub extent: Extent,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its verified checksums.
    pub checksums: Vec<Checksum>,
    /// When it was committed.
    pub last_modified: UnixMillis,
    /// By what its placement was judged.
    pub judged: JudgingEpoch,
}

impl StoredRow for Part {
    const NAME: &'static str = "part";
    const VERSION: u8 = 2;
}

/// Everything that the commit of a part needs.
#[derive(Debug, Clone)]
pub struct PartCommit {
    /// The shape of its body.
    pub extent: Extent,
    /// Pages that are not recorded yet in their final form.
    pub pages: Vec<(u32, ExtentPage)>,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its verified checksums.
    pub checksums: Vec<Checksum>,
    /// By what its placement was judged: the commit fails when that has changed.
    pub judged: JudgingEpoch,
}

/// A page of an upload's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPageOf {
    /// The upload.
    pub upload: Upload,
    /// Parts by number.
    pub parts: Vec<Part>,
    /// Whether there are more after the last of them.
    pub truncated: bool,
}

/// Which uploads to list.
#[derive(Debug, Clone)]
pub struct ListUploadsQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that contain this after the prefix are shown as one group.
    pub delimiter: Option<String>,
    /// `key-marker`, with `upload-id-marker` where given.
    pub after: Option<(String, Option<UploadId>)>,
    /// Most entries; above 1,000 counts as 1,000.
    pub max_uploads: usize,
}

/// A page of uploads in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// Sorted by key, then by id.
    pub uploads: Vec<(ObjectKey, Upload)>,
    /// Groups, sorted.
    pub common_prefixes: Vec<String>,
    /// Whether there is more.
    pub truncated: bool,
    /// `NextKeyMarker`, where truncated: the last key or group shown.
    pub next_key_marker: Option<String>,
    /// `NextUploadIdMarker`, where the last entry shown is an upload.
    pub next_upload_marker: Option<UploadId>,
}

impl Catalog {
    /// Begins a multipart upload.
    pub async fn create_upload(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        new: NewUpload,
    ) -> Result<Upload, CatalogError> {
        let (given, key) = (bucket.clone(), key.clone());
        let upload = Upload { new, initiated: stamp.now };
        let row = upload.clone();
        self.write(IfLost::Repeat, move |tx| {
            let bucket = unchanged_bucket(tx, &given)?;
            let value = encode(&row)?;
            fits("an upload's metadata and tags", value.len(), HEAD_BYTES_MAX)?;
            put_claim(tx, row.new.data, row.new.upload, &Claim::of(&bucket, &row.new.packs, &row.new.classification))?;
            Ok(tx.put(keys::upload(bucket.id, &key, row.new.upload), value)?)
        })
        .await?;
        Ok(upload)
    }

    /// The upload in progress.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchUpload`].
    pub async fn upload(&self, bucket: &Bucket, key: &ObjectKey, upload: UploadId) -> Result<Upload, CatalogError> {
        let row = keys::upload(bucket.id, key, upload);
        self.read(move |view| view.get_row(&row)?.ok_or(CatalogError::NoSuchUpload)).await
    }

    /// Announces the body of a part, durably, before any of its shards is sent. `body.data` and `body.upload` are the upload's.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchUpload`], [`CatalogError::PartNumberOutOfRange`].
    pub async fn begin_part(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        number: u16,
        body: NewBody,
    ) -> Result<Pending, CatalogError> {
        check_number(number)?;
        let NewBody { extent, data, upload, pages } = body;
        let pending = Pending { bucket: bucket.clone(), key: key.clone(), extent, data, upload, part: Some(number) };
        let (given, key, owner) = (bucket.clone(), key.clone(), self.config.process);
        self.write(IfLost::Repeat, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            let present: Option<Upload> = tx.get_row(&keys::upload(bucket.id, &key, upload))?;
            if present.ok_or(CatalogError::NoSuchUpload)?.new.data != data {
                return Err(CatalogError::Inconsistent { what: "a part under another data id than its upload's" });
            }
            begin(tx, &bucket, extent, data, owner, stamp.now)?;
            put_pages(tx, extent, &pages)
        })
        .await?;
        Ok(pending)
    }

    /// Makes the pending body a part of its upload, in place of an earlier one of that number, which becomes garbage.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchUpload`] when the upload was completed or aborted meanwhile, [`CatalogError::NotPending`].
    pub async fn commit_part(&self, stamp: Stamp, pending: &Pending, commit: PartCommit) -> Result<Part, CatalogError> {
        let Some(number) = pending.part.filter(|_| commit.extent.id == pending.extent) else {
            return Err(CatalogError::Inconsistent { what: "a part whose extent is not the one begun" });
        };
        let once = stamp.once("commit-part", &[pending.extent.as_bytes()]);
        let PartCommit { extent, pages, etag, checksums, judged } = commit;
        let part = Part { number, extent, etag, checksums, last_modified: stamp.now, judged };
        let (given, key) = (pending.bucket.clone(), pending.key.clone());
        let (upload, data) = (pending.upload, pending.data);
        self.write(once, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            let present: Option<Upload> = tx.get_row(&keys::upload(bucket.id, &key, upload))?;
            present.ok_or(CatalogError::NoSuchUpload)?;
            still_judged_by(tx, judged)?;
            take_pending(tx, part.extent.id)?;
            put_pages(tx, part.extent.id, &pages)?;
            tx.delete(keys::pending(part.extent.id))?;
            put_known(tx, data, number, &part.extent)?;
            let row = keys::part(upload, number);
            if let Some(replaced) = tx.get_row::<Part>(&row)? {
                // Nobody reads parts of an upload in progress, so nothing has to wait.
                tx.delete(keys::extent_known(replaced.extent.id))?;
                garbage::discard(tx, &bucket.origin(), data, Debris::Extent(replaced.extent.id), stamp.now)?;
            }
            tx.put_row(row, &part)?;
            Ok(part.clone())
        })
        .await
    }

    /// At most `limit` (and 1,000) parts of an upload, those after number `after`.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchUpload`].
    pub async fn list_parts(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartPageOf, CatalogError> {
        let row = keys::upload(bucket.id, key, upload);
        let limit = limit.min(PARTS_LISTED_MAX);
        let range = KeyRange::prefix(&keys::parts(upload)).after(&keys::part(upload, after));
        self.read(move |view| {
            let upload: Upload = view.get_row(&row)?.ok_or(CatalogError::NoSuchUpload)?;
            let rows = view.scan(&range, limit + 1, Order::Ascending)?;
            let truncated = rows.len() > limit;
            let parts = rows.iter().take(limit).map(|found| decode(&found.row.value)).collect::<Result<_, _>>()?;
            Ok(PartPageOf { upload, parts, truncated })
        })
        .await
    }

    /// One page of a bucket's uploads in progress.
    pub async fn list_uploads(&self, bucket: &Bucket, query: ListUploadsQuery) -> Result<UploadPage, CatalogError> {
        let ListUploadsQuery { prefix, delimiter, after, max_uploads } = query;
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        let base = keys::uploads(bucket.id);
        let start = after.map(|(key, id)| uploads_start(&base, key, id, &prefix, delimiter.as_deref()));
        let walk = Walk { base: base.clone(), prefix, delimiter, entries_max: max_uploads.min(PAGE_ENTRIES_MAX) };
        self.read(move |view| {
            let mut page = UploadPage::default();
            let walked = walk.run(view, start, |_, found: KeyedRow| {
                let (key, _) = split_upload_key(&base, &found.key)?;
                page.uploads.push((key, decode(&found.row.value)?));
                Ok(())
            })?;
            page.common_prefixes = walked.groups;
            page.truncated = walked.truncated;
            match walked.last.filter(|_| walked.truncated) {
                Some(Resume::AfterPrefix(group)) => page.next_key_marker = Some(group),
                Some(Resume::AfterKey(key)) => {
                    page.next_key_marker = Some(key);
                    page.next_upload_marker = page.uploads.last().map(|(_, upload)| upload.new.upload);
                }
                None => {}
            }
            Ok(page)
        })
        .await
    }

    /// Gives up an upload: its parts become garbage.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchUpload`].
    pub async fn abort_upload(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<(), CatalogError> {
        let once = stamp.once("abort-upload", &[upload.as_bytes()]);
        let (given, row) = (bucket.clone(), keys::upload(bucket.id, key, upload));
        self.write(once, move |tx| {
            let bucket = same_bucket(tx, &given)?;
            let upload: Upload = tx.get_row(&row)?.ok_or(CatalogError::NoSuchUpload)?;
            garbage::give_up_upload(tx, &bucket.origin(), &upload, stamp.now)?;
            Ok(tx.delete(row.clone())?)
        })
        .await
    }
}

pub(super) fn check_number(number: u16) -> Result<(), CatalogError> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        Ok(())
    } else {
        Err(CatalogError::PartNumberOutOfRange { number: number.into() })
    }
}

/// The row after which a listing of uploads begins.
fn uploads_start(base: &[u8], key: String, id: Option<UploadId>, prefix: &str, delimiter: Option<&str>) -> Vec<u8> {
    let walk = Walk { base: base.to_vec(), prefix: String::new(), delimiter: None, entries_max: 0 };
    match (after_marker(key, prefix, delimiter), id) {
        (Resume::AfterKey(key), Some(id)) => [base, key.as_bytes(), &[0], id.as_bytes(), &[0]].concat(),
        // Uploads of the key itself lie behind its NUL; 0x01 lies behind all of them.
        (Resume::AfterKey(key), None) => [base, key.as_bytes(), &[1]].concat(),
        (group @ Resume::AfterPrefix(_), _) => walk.start_of(&group),
    }
}
