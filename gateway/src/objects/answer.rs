//! What a use case answers.

use domicile_types::{BucketName, ObjectKey, RegionName, TenantId, UnixMillis, UploadId};

use crate::catalog::{Encryption, Protection, VersionId, Versioning};
use crate::lifecycle::Expiring;

use super::request::{BodyStream, Checksum, ChecksumAlgorithm, ObjectHeaders, Tags};

/// A bucket, as ListBuckets, HeadBucket and GetBucketLocation show it.
#[derive(Debug, Clone)]
pub struct BucketView {
    /// Its name.
    pub name: BucketName,
    /// When it was created.
    pub created: UnixMillis,
    /// Its residency region.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Whether it keeps replaced versions.
    pub versioning: Versioning,
    /// Whether its versions can be locked.
    pub object_lock: bool,
}

/// An object without its bytes.
#[derive(Debug, Clone)]
pub struct ObjectView {
    /// Its key.
    pub key: ObjectKey,
    /// Which version it is; none where its bucket never had versioning.
    pub version: Option<VersionId>,
    /// Plaintext bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was committed.
    pub modified: UnixMillis,
    /// Stored headers.
    pub headers: ObjectHeaders,
    /// The checksum it is stored with.
    pub checksum: Option<StoredChecksum>,
    /// Number of its tags.
    pub tag_count: usize,
    /// Parts of a multipart object; `None` for a plain one.
    pub parts_count: Option<u32>,
    /// What guards it.
    pub protection: Protection,
    /// When a lifecycle rule ends it; known where it was read as the newest of its key.
    pub expiring: Option<Expiring>,
}

/// A checksum as S3 shows it again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredChecksum {
    /// Algorithm and value.
    pub checksum: Checksum,
    /// `Some(parts)`: COMPOSITE over that many parts (shown as `value-parts`). `None`: FULL_OBJECT.
    pub composite_parts: Option<u32>,
}

/// What HeadObject tells.
#[derive(Debug, Clone)]
pub struct ObjectHead {
    /// What it is.
    pub object: ObjectView,
    /// Plaintext bytes `[start, end)` that GetObject would bring.
    pub range: std::ops::Range<u64>,
    /// Whether that would be partial (206).
    pub partial: bool,
    /// The checksum of the part that was asked for by its number, of the kind that the whole has.
    pub part_checksum: Option<StoredChecksum>,
}

/// An object on its way out.
pub struct ObjectRead {
    /// What it is.
    pub object: ObjectView,
    /// Plaintext bytes `[start, end)` that the body brings.
    pub range: std::ops::Range<u64>,
    /// Whether the answer is partial (206).
    pub partial: bool,
    /// The checksum of the part that was asked for by its number, of the kind that the whole has.
    pub part_checksum: Option<StoredChecksum>,
    /// The bytes.
    pub body: BodyStream,
}

/// After PutObject, UploadPart, CopyObject, UploadPartCopy, CompleteMultipartUpload.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Which version it became; none for a part, and where the bucket never had versioning.
    pub version: Option<VersionId>,
    /// Without quotes.
    pub etag: String,
    /// The checksum that was verified or computed.
    pub checksum: Option<StoredChecksum>,
    /// What its data key is wrapped under.
    pub encryption: Encryption,
    /// When it was committed.
    pub modified: UnixMillis,
    /// Plaintext bytes.
    pub size: u64,
    /// When a lifecycle rule ends it.
    pub expiring: Option<Expiring>,
}

/// After CreateMultipartUpload.
#[derive(Debug, Clone)]
pub struct UploadCreated {
    /// The upload's id.
    pub upload: UploadId,
    /// When a lifecycle rule gives it up, if it is not completed before.
    pub aborting: Option<Expiring>,
    /// The algorithm its parts will be checked by.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// Whether the whole object's checksum is FULL_OBJECT.
    pub full_object_checksum: bool,
    /// What its data key is wrapped under.
    pub encryption: Encryption,
}

/// A page of a listing. Objects and common prefixes are sorted by UTF-8 bytes.
#[derive(Debug, Clone, Default)]
pub struct ObjectPage {
    /// Objects of this page.
    pub objects: Vec<ObjectView>,
    /// Common prefixes of this page.
    pub common_prefixes: Vec<String>,
    /// Begin after this for the next page; `None` on the last.
    pub next_after: Option<String>,
}

/// What a deletion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeletedView {
    /// The marker that was written, or the version that was named.
    pub version: Option<VersionId>,
    /// Whether that is a delete marker.
    pub marker: bool,
}

/// A version or delete marker, as ListObjectVersions shows it.
#[derive(Debug, Clone)]
pub struct VersionView {
    /// Its key.
    pub key: ObjectKey,
    /// Its id.
    pub version: VersionId,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// When it was committed.
    pub modified: UnixMillis,
    /// The object; none for a delete marker.
    pub object: Option<ObjectView>,
}

/// A page of versions, by key, newest first.
#[derive(Debug, Clone, Default)]
pub struct VersionPage {
    /// Versions and delete markers.
    pub versions: Vec<VersionView>,
    /// Common prefixes of this page.
    pub common_prefixes: Vec<String>,
    /// Begin after this for the next page; `None` on the last.
    pub next_after: Option<(String, Option<String>)>,
}

/// One part, as ListParts shows it.
#[derive(Debug, Clone)]
pub struct PartView {
    /// 1 to 10,000.
    pub part_number: u32,
    /// Plaintext bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was stored.
    pub modified: UnixMillis,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// What GetObjectAttributes tells.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// What it is.
    pub object: ObjectView,
    /// A page of its parts, where it has any.
    pub parts: Vec<PartView>,
    /// Whether there are more after the last of them.
    pub truncated: bool,
}

/// A page of parts.
#[derive(Debug, Clone)]
pub struct PartPage {
    /// Whose the object will be.
    pub owner: TenantId,
    /// The parts.
    pub parts: Vec<PartView>,
    /// Begin after this number for the next page; `None` on the last.
    pub next_after: Option<u32>,
    /// The upload's algorithm.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// Whether the whole object's checksum is FULL_OBJECT.
    pub full_object_checksum: bool,
}

/// One upload, as ListMultipartUploads shows it.
#[derive(Debug, Clone)]
pub struct UploadView {
    /// Its key.
    pub key: ObjectKey,
    /// Its id.
    pub upload: UploadId,
    /// When it was created.
    pub initiated: UnixMillis,
    /// Its algorithm.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
}

/// A page of uploads.
#[derive(Debug, Clone, Default)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<UploadView>,
    /// Common prefixes of this page.
    pub common_prefixes: Vec<String>,
    /// Begin after this for the next page; `None` on the last.
    pub next_after: Option<(String, Option<UploadId>)>,
}
