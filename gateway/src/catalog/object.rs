//! What is kept of an object: everything HEAD shows, and where its bytes are.

use bytes::Bytes;
use domicile_types::{Classification, DataId, PackId, SuiteId, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::Tags;
use super::extent::Extent;
use super::protection::Protection;
use super::share::SealedAs;
use super::version::{Version, VersionEntry};
use super::{CatalogError, compact};
use crate::state::StoredRow;

/// Largest stored head. S3 allows 2 KiB of user metadata and ten tags of up to 384 characters.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The content headers that S3 stores and gives back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub encoding: Option<String>,
    /// `Content-Disposition`.
    pub disposition: Option<String>,
    /// `Content-Language`.
    pub language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as the client wrote it.
    pub expires: Option<String>,
}

/// The checksum algorithms of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Over what a checksum was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// All bytes in order.
    FullObject,
    /// The parts' checksums in order.
    Composite,
}

/// A verified checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// Which algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Over what.
    pub kind: ChecksumKind,
    /// The value, raw (S3 shows it in base64).
    pub value: Bytes,
}

/// Where an object's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// One extent: a plain PUT.
    Whole(Extent),
    /// The parts of a completed multipart upload, in rows of their own.
    Parts(PartIndex),
}

/// Which row holds which parts of a multipart object, so that a range read loads only the rows it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartIndex {
    /// How many parts there are.
    pub parts: u32,
    /// The rows, in order.
    pub pages: Vec<PartPage>,
    /// How many rows the sealed root of the manifest takes.
    pub root_pages: u32,
}

/// One row of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartPage {
    /// Number of its first part.
    pub first_number: u16,
    /// Offset in the object of its first byte.
    pub starts_at: u64,
}

/// What the caller says of a new object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewObject {
    /// Bytes of plaintext.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: String,
    /// Content headers.
    pub headers: ContentHeaders,
    /// `x-amz-meta-*`: names in lower case without that prefix, and values.
    pub metadata: Vec<(String, String)>,
    /// Verified checksums.
    pub checksums: Vec<Checksum>,
    /// Tags.
    pub tags: Tags,
    /// The effective classification: what the tags state, with what was inherited.
    #[serde(with = "compact::classification")]
    pub classification: Classification,
    /// The data key, wrapped under the bucket's key; opaque here. Deleting the row shreds the object.
    pub wrapped_key: Bytes,
    /// The AEAD of its segments.
    pub suite: SuiteId,
    /// The packs that its placement was decided by.
    pub packs: Vec<PackId>,
    /// Object lock, access control list, encryption as it was asked.
    pub protection: Protection,
}

/// A version of an object as it is stored. Its key is in the row's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// Which version it is.
    pub version: Version,
    /// What the client and the use case said of it.
    pub object: NewObject,
    /// When it was committed.
    pub last_modified: UnixMillis,
    /// What its shards are stored under.
    #[serde(with = "compact::data_id")]
    pub data: DataId,
    /// The upload that brought it: a multipart upload's id, or the one drawn for a plain PUT. What its data key and its
    /// manifest are bound to, as every version has one of its own and it is known before the version is.
    #[serde(with = "compact::upload_id")]
    pub upload: UploadId,
    /// Where its bytes are.
    pub body: Body,
    /// What its manifest was sealed as, where the version shares the body of another; else the version's own name.
    pub sealed_as: Option<SealedAs>,
}

impl StoredRow for ObjectHead {
    const NAME: &'static str = "object";
    const VERSION: u8 = 3;
}

/// Which ETags a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagMatch {
    /// `*`
    Any,
    /// Any of these, without quotes.
    OneOf(Vec<String>),
}

impl EtagMatch {
    fn names(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(etags) => etags.iter().any(|named| named == etag),
        }
    }
}

/// What must hold of the present object when a change is made. Judged inside the transaction that makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`: there is an object, with one of these ETags.
    pub if_match: Option<EtagMatch>,
    /// `If-None-Match`: there is no object with one of these ETags (`*`: none at all).
    pub if_none_match: Option<EtagMatch>,
    /// `x-amz-if-match-last-modified-time`: to the second.
    pub if_last_modified: Option<UnixMillis>,
    /// `x-amz-if-match-size`.
    pub if_size: Option<u64>,
}

impl Preconditions {
    /// Whether the change may be made to `present`.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchKey`] where a present object is required and there is none, else
    /// [`CatalogError::PreconditionFailed`].
    pub fn check(&self, present: Option<&ObjectHead>) -> Result<(), CatalogError> {
        let Some(present) = present else {
            return if self.requires_one() { Err(CatalogError::NoSuchKey) } else { Ok(()) };
        };
        let etag = &present.object.etag;
        self.hold_of(etag, present.last_modified, present.object.size)
    }

    /// Whether `present`, or nothing, may be deleted. Nothing may: there is nothing that the conditions could be about. A
    /// delete marker has no ETag, so of tags only `*` names it.
    ///
    /// # Errors
    /// [`CatalogError::PreconditionFailed`].
    pub fn check_removal(&self, present: Option<&VersionEntry>) -> Result<(), CatalogError> {
        match present {
            Some(VersionEntry::Object(head)) => self.hold_of(&head.object.etag, head.last_modified, head.object.size),
            Some(VersionEntry::Marker(marker)) => self.hold_of("", marker.last_modified, 0),
            None => Ok(()),
        }
    }

    /// Whether they ask for something to be there.
    #[must_use]
    pub fn requires_one(&self) -> bool {
        self.if_match.is_some() || self.if_last_modified.is_some() || self.if_size.is_some()
    }

    fn hold_of(&self, etag: &str, last_modified: UnixMillis, size: u64) -> Result<(), CatalogError> {
        let holds = self.if_match.as_ref().is_none_or(|wanted| wanted.names(etag))
            && self.if_none_match.as_ref().is_none_or(|refused| !refused.names(etag))
            && self.if_last_modified.is_none_or(|time| time.0 / 1_000 == last_modified.0 / 1_000)
            && self.if_size.is_none_or(|expected| expected == size);
        if holds { Ok(()) } else { Err(CatalogError::PreconditionFailed) }
    }
}
