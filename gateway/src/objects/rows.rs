//! Between the use cases' words and the catalog's rows.

use bytes::Bytes;
use domicile_types::{Classification, ObjectKey};

use super::answer::{ObjectView, StoredChecksum};
use super::error::Error;
use super::request::{Checksum, ChecksumAlgorithm, EtagMatch, ObjectHeaders, Tags, WriteConditions};
use crate::catalog::{self, Bucket, ChecksumKind, ContentHeaders, ObjectHead, Preconditions, VersionId, Versioning};

/// The stored form of headers and user metadata.
pub(super) fn content_headers(headers: ObjectHeaders) -> (ContentHeaders, Vec<(String, String)>) {
    let stored = ContentHeaders {
        content_type: headers.content_type,
        encoding: headers.content_encoding,
        disposition: headers.content_disposition,
        language: headers.content_language,
        cache_control: headers.cache_control,
        expires: headers.expires,
    };
    (stored, headers.user_metadata.into_iter().collect())
}

/// The inverse of [`content_headers`].
pub(super) fn object_headers(stored: &ContentHeaders, metadata: &[(String, String)]) -> ObjectHeaders {
    ObjectHeaders {
        content_type: stored.content_type.clone(),
        content_encoding: stored.encoding.clone(),
        content_disposition: stored.disposition.clone(),
        content_language: stored.language.clone(),
        cache_control: stored.cache_control.clone(),
        expires: stored.expires.clone(),
        user_metadata: metadata.iter().cloned().collect(),
    }
}

/// What a client is shown of an object.
pub(super) fn object_view(bucket: &Bucket, key: &ObjectKey, head: &ObjectHead) -> ObjectView {
    let object = &head.object;
    let parts_count = parts_count(head);
    ObjectView {
        key: key.clone(),
        version: shown_version(bucket, head),
        size: object.size,
        etag: object.etag.clone(),
        modified: head.last_modified,
        headers: object_headers(&object.headers, &object.metadata),
        checksum: object.checksums.first().map(|checksum| shown_checksum(checksum, parts_count)),
        tag_count: object.tags.len(),
        parts_count,
        protection: object.protection.clone(),
        expiring: None,
    }
}

/// The version's id, where clients are shown one: in every bucket that ever had versioning.
pub(super) fn shown_version(bucket: &Bucket, head: &ObjectHead) -> Option<VersionId> {
    (bucket.versioning != Versioning::Never).then(|| head.version.id())
}

/// Parts of a multipart object; none for one put whole.
pub(super) fn parts_count(head: &ObjectHead) -> Option<u32> {
    match &head.body {
        catalog::Body::Whole(_) => None,
        catalog::Body::Parts(index) => Some(index.parts),
    }
}

/// The stored form of a checksum.
pub(super) fn stored_checksum(checksum: &StoredChecksum) -> catalog::Checksum {
    catalog::Checksum {
        algorithm: row_algorithm(checksum.checksum.algorithm),
        kind: match checksum.composite_parts {
            Some(_) => ChecksumKind::Composite,
            None => ChecksumKind::FullObject,
        },
        value: Bytes::from(checksum.checksum.value.clone()),
    }
}

/// The inverse of [`stored_checksum`], for an object of so many `parts`.
pub(super) fn shown_checksum(stored: &catalog::Checksum, parts: Option<u32>) -> StoredChecksum {
    StoredChecksum {
        checksum: Checksum { algorithm: shown_algorithm(stored.algorithm), value: stored.value.to_vec() },
        composite_parts: match stored.kind {
            ChecksumKind::Composite => parts,
            ChecksumKind::FullObject => None,
        },
    }
}

/// A checksum over all of a body.
pub(super) const fn full_object(checksum: Checksum) -> StoredChecksum {
    StoredChecksum { checksum, composite_parts: None }
}

pub(super) const fn row_algorithm(algorithm: ChecksumAlgorithm) -> catalog::ChecksumAlgorithm {
    match algorithm {
        ChecksumAlgorithm::Crc32 => catalog::ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c => catalog::ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme => catalog::ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1 => catalog::ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256 => catalog::ChecksumAlgorithm::Sha256,
    }
}

pub(super) const fn shown_algorithm(algorithm: catalog::ChecksumAlgorithm) -> ChecksumAlgorithm {
    match algorithm {
        catalog::ChecksumAlgorithm::Crc32 => ChecksumAlgorithm::Crc32,
        catalog::ChecksumAlgorithm::Crc32c => ChecksumAlgorithm::Crc32c,
        catalog::ChecksumAlgorithm::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
        catalog::ChecksumAlgorithm::Sha1 => ChecksumAlgorithm::Sha1,
        catalog::ChecksumAlgorithm::Sha256 => ChecksumAlgorithm::Sha256,
    }
}

/// Write conditions as the catalog judges them, inside its transaction.
pub(super) fn preconditions(conditions: &WriteConditions) -> Preconditions {
    Preconditions {
        if_match: conditions.if_match.as_ref().map(etag_match),
        if_none_match: conditions.if_none_match.as_ref().map(etag_match),
        ..Preconditions::default()
    }
}

pub(super) fn etag_match(wanted: &EtagMatch) -> catalog::EtagMatch {
    match wanted {
        EtagMatch::Any => catalog::EtagMatch::Any,
        EtagMatch::OneOf(tags) => catalog::EtagMatch::OneOf(tags.clone()),
    }
}

/// Tags as rows keep them.
pub(super) fn row_tags(tags: Tags) -> catalog::Tags {
    tags.into_iter().collect()
}

/// Tags as clients see them.
pub(super) fn shown_tags(tags: &catalog::Tags) -> Tags {
    tags.iter().cloned().collect()
}

/// What tags state of the data, with what they leave open taken from `inherited`.
pub(super) fn classify(tags: &Tags, inherited: &Classification) -> Result<Classification, Error> {
    Classification::from_tags(tags.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map(|stated| stated.inheriting(inherited))
        .map_err(|error| Error::InvalidTag(error.to_string()))
}

/// The first page of an object put whole carries the head of its manifest in front: its length in four bytes, big-endian, the
/// head, then the page's own records (none where the head holds them all). So a small object is two rows, not three.
pub(super) fn with_manifest_head(head: &[u8], page: &[u8]) -> Bytes {
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
    Bytes::from([&length.to_be_bytes()[..], head, page].concat())
}

/// The inverse of [`with_manifest_head`]: head and page.
pub(super) fn split_manifest_head(sealed: &Bytes) -> Option<(Bytes, Bytes)> {
    let (length, _) = sealed.split_first_chunk::<4>()?;
    let end = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(4)?;
    (end <= sealed.len()).then(|| (sealed.slice(4..end), sealed.slice(end..)))
}
