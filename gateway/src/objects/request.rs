//! What a use case is asked. Parsed by the protocol in front; everything here is already valid in form.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use domicile_types::{BucketName, ObjectKey, RegionName, RequestId, TenantId, UnixMillis, UploadId};
use futures::Stream;

use super::access::Stated;
use super::encryption::EncryptionClaims;
use super::limits::Limits;
use crate::catalog::{Protection, VersionId, VersionMarker};

/// Who asks, from where: authenticated by the protocol in front.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose credentials signed the request.
    pub principal: Principal,
    /// Whether it is the gateway itself, at work that nobody asked for just now: then it asks from where the gateway is.
    pub is_gateway: bool,
    /// Whether the request came over TLS.
    pub secure: bool,
    /// The requester's address: the socket's peer, or what a trusted proxy said; `None` when a trusted proxy's word was
    /// malformed, which the law treats as an unknown place.
    pub address: Option<IpAddr>,
    /// What the request says of encryption, and the keys that it brings.
    pub encryption: Arc<EncryptionClaims>,
    /// The request's id, which the answer shows as `x-amz-request-id` and every audit entry carries.
    pub request: RequestId,
    /// What its head states that the rules of access ask about.
    pub stated: Arc<Stated>,
}

/// Whom a request's signature names.
#[derive(Debug, Clone, PartialEq)]
pub enum Principal {
    /// Nobody: the request is not signed.
    Anonymous,
    /// The holder of an access key.
    Key(KeyHolder),
}

/// The holder of an access key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyHolder {
    /// Whose key it is.
    pub tenant: TenantId,
    /// Which of the tenant's access keys.
    pub access_key: String,
    /// Whose in the tenant; none: a key of the tenant itself.
    pub user: Option<String>,
    /// `role/session` of a session; none for keys that last.
    pub session: Option<String>,
    /// What the key may do at most.
    pub limits: Arc<Limits>,
}

impl KeyHolder {
    /// The holder of a key of the tenant itself, which may do all that the tenant may.
    #[must_use]
    pub fn of_tenant(tenant: TenantId, access_key: &str) -> Self {
        let access_key = access_key.to_owned();
        Self { tenant, access_key, user: None, session: None, limits: Arc::default() }
    }
}

impl Caller {
    /// The gateway itself, at work for `tenant` as `worker`, from where it stands.
    #[must_use]
    pub(crate) fn worker(tenant: &TenantId, worker: &str, request: RequestId) -> Self {
        Self {
            principal: Principal::Key(KeyHolder::of_tenant(tenant.clone(), worker)),
            is_gateway: true,
            secure: true,
            address: None,
            encryption: Arc::default(),
            stated: Arc::default(),
            request,
        }
    }

    /// The tenant, if the request was signed.
    #[must_use]
    pub const fn tenant(&self) -> Option<&TenantId> {
        match &self.principal {
            Principal::Anonymous => None,
            Principal::Key(holder) => Some(&holder.tenant),
        }
    }

    /// What the key may do at most; none where the request is not signed.
    #[must_use]
    pub fn limits(&self) -> Option<&Limits> {
        match &self.principal {
            Principal::Anonymous => None,
            Principal::Key(holder) => Some(&holder.limits),
        }
    }

    /// What the log's side store keeps as the actor: tenant and key, and the user and session where there are any.
    #[must_use]
    pub fn actor(&self) -> String {
        let Principal::Key(holder) = &self.principal else { return "anonymous".to_owned() };
        let mut actor = format!("{}/{}", holder.tenant, holder.access_key);
        for (what, name) in [("user", &holder.user), ("session", &holder.session)] {
            if let Some(name) = name {
                actor.push_str(&format!(" {what} {name}"));
            }
        }
        actor
    }
}

/// Object bytes in flight, in either direction.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client left, or its framing broke.
    #[error("the request body ended before its declared end")]
    Incomplete(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// A signed chunk or trailer does not bear the right signature.
    #[error("a chunk of the request body does not bear the signature that it should")]
    BadSignature(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The object could not be read back, after the answer had begun.
    #[error("the object could not be read to its end")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The checksum algorithms of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// A checksum's raw value: 4, 8, 20 or 32 bytes by its algorithm.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checksum {
    /// Which algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// The digest, big-endian as S3 encodes it before base64.
    pub value: Vec<u8>,
}

/// What the client claims about the body. Checked against the bytes before anything is committed.
#[derive(Default)]
pub struct ExpectedDigests {
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-content-sha256`, where it is a digest.
    pub sha256: Option<[u8; 32]>,
    /// `x-amz-checksum-*` in a header.
    pub checksum: Option<Checksum>,
    /// The algorithm announced for a trailer (`x-amz-trailer`) or by `x-amz-sdk-checksum-algorithm`.
    pub algorithm: Option<ChecksumAlgorithm>,
    /// Reads the trailing checksum; called once, after the body has ended.
    pub trailer: Option<TrailerReader>,
}

/// Reads the checksum that came after the body; `Err` says what is wrong with the trailer.
pub type TrailerReader = Box<dyn FnOnce() -> Result<Option<Checksum>, String> + Send>;

/// Headers that are stored with an object and come back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`.
    pub expires: Option<String>,
    /// `x-amz-meta-*`, names in lower case without the prefix.
    pub user_metadata: BTreeMap<String, String>,
}

/// Tags, by name.
pub type Tags = BTreeMap<String, String>;

/// An entity tag in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagMatch {
    /// `*`
    Any,
    /// Any of these, without quotes.
    OneOf(Vec<String>),
}

/// The conditional headers of RFC 9110 section 13, for reads and for the sources of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<EtagMatch>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagMatch>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<UnixMillis>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<UnixMillis>,
    /// `If-Range`: where it does not hold, the range is not meant, and the whole is answered.
    pub if_range: Option<IfRange>,
}

/// What `If-Range` knows of the object (RFC 9110 section 13.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfRange {
    /// Its entity tag, without quotes.
    Etag(String),
    /// Its date of modification.
    Modified(UnixMillis),
    /// Nothing that could be compared strongly.
    Nothing,
}

/// The conditional headers of writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// `If-Match`: the current object must have this tag.
    pub if_match: Option<EtagMatch>,
    /// `If-None-Match: *`: there must be no current object.
    pub if_none_match: Option<EtagMatch>,
}

/// A range as the client stated it (RFC 9110 section 14.1.2), before the object's size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// `bytes=first-last`, `bytes=first-`; both inclusive.
    From {
        /// First byte.
        first: u64,
        /// Last byte; `None` means to the end.
        last: Option<u64>,
    },
    /// `bytes=-length`.
    Suffix {
        /// Bytes from the end.
        length: u64,
    },
}

/// CreateBucket.
#[derive(Debug, Clone)]
pub struct CreateBucket {
    /// Its name.
    pub bucket: BucketName,
    /// `LocationConstraint`: the residency region. `None`: the gateway's configured default.
    pub region: Option<RegionName>,
    /// Tags given at creation; `domicile:` tags set the default classification.
    pub tags: Tags,
    /// `x-amz-bucket-object-lock-enabled`: versions can be locked, and versioning is enabled.
    pub object_lock: bool,
}

/// PutObject.
pub struct PutObject {
    /// Into which bucket.
    pub bucket: BucketName,
    /// Under which key.
    pub key: ObjectKey,
    /// The bytes.
    pub body: BodyStream,
    /// Decoded length, where the client declared one.
    pub content_length: Option<u64>,
    /// What they must hash to.
    pub expected: ExpectedDigests,
    /// Stored headers.
    pub headers: ObjectHeaders,
    /// Tags; `domicile:` tags classify.
    pub tags: Tags,
    /// What is to guard the version: object lock, access control list, encryption.
    pub protection: Protection,
    /// Conditions on the object that is there now.
    pub conditions: WriteConditions,
}

impl PutObject {
    /// A text that the gateway itself stores.
    pub(crate) fn plain(bucket: BucketName, key: ObjectKey, text: String) -> Self {
        let content_length = u64::try_from(text.len()).ok();
        let piece = Ok::<_, BodyError>(Bytes::from(text));
        Self {
            bucket,
            key,
            body: Box::pin(futures::stream::iter([piece])),
            content_length,
            expected: ExpectedDigests::default(),
            headers: ObjectHeaders { content_type: Some("text/plain".to_owned()), ..ObjectHeaders::default() },
            tags: Tags::new(),
            protection: Protection::default(),
            conditions: WriteConditions::default(),
        }
    }
}

/// GetObject and HeadObject.
#[derive(Debug, Clone)]
pub struct GetObject {
    /// From which bucket.
    pub bucket: BucketName,
    /// Which key.
    pub key: ObjectKey,
    /// Which version; `None`: the newest.
    pub version: Option<VersionId>,
    /// A part of it.
    pub range: Option<RangeSpec>,
    /// A part by its number; excludes `range`.
    pub part_number: Option<u32>,
    /// Conditions.
    pub conditions: ReadConditions,
}

/// One object of DeleteObject and DeleteObjects.
#[derive(Debug, Clone)]
pub struct DeleteTarget {
    /// Which key.
    pub key: ObjectKey,
    /// Which version, for good; `None`: the newest, by a delete marker where the bucket has versioning.
    pub version: Option<VersionId>,
    /// `If-Match`.
    pub if_match: Option<EtagMatch>,
    /// `x-amz-if-match-last-modified-time`.
    pub if_modified_at: Option<UnixMillis>,
    /// `x-amz-if-match-size`.
    pub if_size: Option<u64>,
}

/// CopyObject.
#[derive(Debug, Clone)]
pub struct CopyObject {
    /// Where from; its range stays `None`.
    pub source: GetObject,
    /// Where to.
    pub bucket: BucketName,
    /// Under which key.
    pub key: ObjectKey,
    /// `Some` replaces the headers (`x-amz-metadata-directive: REPLACE`).
    pub replace_headers: Option<ObjectHeaders>,
    /// `Some` replaces the tags (`x-amz-tagging-directive: REPLACE`).
    pub replace_tags: Option<Tags>,
    /// A checksum to compute for the copy, beside the source's own.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// What is to guard the copy. Nothing of it is taken from the source.
    pub protection: Protection,
    /// Conditions on the destination.
    pub conditions: WriteConditions,
}

/// CreateMultipartUpload.
#[derive(Debug, Clone)]
pub struct CreateUpload {
    /// Into which bucket.
    pub bucket: BucketName,
    /// Under which key.
    pub key: ObjectKey,
    /// Stored headers of the object to be.
    pub headers: ObjectHeaders,
    /// Tags of the object to be.
    pub tags: Tags,
    /// What is to guard the object to be.
    pub protection: Protection,
    /// `x-amz-checksum-algorithm`.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// `x-amz-checksum-type: FULL_OBJECT`.
    pub full_object_checksum: bool,
}

/// Which upload.
#[derive(Debug, Clone)]
pub struct UploadRef {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Its id.
    pub upload: UploadId,
}

/// UploadPart.
pub struct PutPart {
    /// Of which upload.
    pub upload: UploadRef,
    /// 1 to 10,000.
    pub part_number: u32,
    /// The bytes.
    pub body: BodyStream,
    /// Decoded length, where the client declared one.
    pub content_length: Option<u64>,
    /// What they must hash to.
    pub expected: ExpectedDigests,
}

/// UploadPartCopy.
#[derive(Debug, Clone)]
pub struct CopyPart {
    /// Where from; its range is `x-amz-copy-source-range`.
    pub source: GetObject,
    /// Of which upload.
    pub upload: UploadRef,
    /// 1 to 10,000.
    pub part_number: u32,
}

/// CompleteMultipartUpload.
#[derive(Debug, Clone)]
pub struct CompleteUpload {
    /// Which upload.
    pub upload: UploadRef,
    /// The parts, in the client's order.
    pub parts: Vec<CompletedPart>,
    /// A claim about the whole object.
    pub checksum: Option<Checksum>,
    /// `x-amz-mp-object-size`.
    pub object_size: Option<u64>,
    /// Conditions on the object that is there now.
    pub conditions: WriteConditions,
}

/// One part as CompleteMultipartUpload lists it.
#[derive(Debug, Clone)]
pub struct CompletedPart {
    /// 1 to 10,000, ascending.
    pub part_number: u32,
    /// Without quotes.
    pub etag: String,
    /// A claim about the part.
    pub checksum: Option<Checksum>,
}

/// ListObjects v1 and v2, in one form.
#[derive(Debug, Clone)]
pub struct ListObjects {
    /// Which bucket.
    pub bucket: BucketName,
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that share the text up to this become one common prefix. `None` and empty: no grouping.
    pub delimiter: Option<String>,
    /// Begin after this key or common prefix (`marker`, `start-after`, or what a continuation token holds).
    pub after: Option<String>,
    /// 0 to 1,000.
    pub keys_max: usize,
}

/// ListObjectVersions.
#[derive(Debug, Clone)]
pub struct ListVersions {
    /// Which bucket.
    pub bucket: BucketName,
    /// Only keys that begin so.
    pub prefix: String,
    /// Grouping, as in [`ListObjects`].
    pub delimiter: Option<String>,
    /// Begin after this key, or after one place among its versions.
    pub after: Option<(String, Option<VersionMarker>)>,
    /// 0 to 1,000.
    pub keys_max: usize,
}

/// ListParts.
#[derive(Debug, Clone)]
pub struct ListParts {
    /// Which upload.
    pub upload: UploadRef,
    /// Begin after this part number.
    pub after: u32,
    /// 1 to 1,000.
    pub parts_max: usize,
}

/// ListMultipartUploads.
#[derive(Debug, Clone)]
pub struct ListUploads {
    /// Which bucket.
    pub bucket: BucketName,
    /// Only keys that begin so.
    pub prefix: String,
    /// Grouping, as in [`ListObjects`].
    pub delimiter: Option<String>,
    /// Begin after this key.
    pub key_after: Option<String>,
    /// And, of that key, after this upload.
    pub upload_after: Option<UploadId>,
    /// 1 to 1,000.
    pub uploads_max: usize,
}
