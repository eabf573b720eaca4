//! CopyObject and UploadPartCopy: a read and a write in one, under the packs of both ends.
//!
//! Bytes are decrypted and sealed anew for their new place, unless the copy can share what is stored ([`super::share`]). What
//! the source brought along stays with the copy: its
//! classification, unless the new tags state another, and its packs, so that no copy launders data into laxer rules.

use std::ops::Range;

use domicile_types::{Classification, ObjectKey, OperationKind, PackId};

use super::access::Wants;
use super::answer::Stored;
use super::authorize::Matter;
use super::error::Error;
use super::gateway::Gateway;
use super::get::packs_of;
use super::multipart::PartBody;
use super::put::Identity;
use super::reader::Reading;
use super::request::{BodyStream, Caller, CopyObject, CopyPart, ExpectedDigests, GetObject, Tags};
use super::rows::{classify, object_headers, preconditions, shown_tags, shown_version};
use super::writer::Incoming;
use crate::catalog::{Bucket, ObjectHead, Protection, VersionId};

/// The largest object that CopyObject takes, S3's limit; larger ones are copied part by part.
const COPY_BYTES_MAX: u64 = 5 << 30;

/// The reading half of a copy, before any byte is read.
pub(super) struct Source {
    pub(super) bucket: Bucket,
    pub(super) key: ObjectKey,
    pub(super) range: Range<u64>,
    pub(super) head: ObjectHead,
    /// The version's id, where its bucket has versioning.
    pub(super) version: Option<VersionId>,
    /// Its own, and those of the bucket that the copy comes to.
    pub(super) packs: Vec<PackId>,
}

impl Source {
    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Gateway {
    /// Copies an object. Also says which version was copied, where the source's bucket has versioning.
    pub async fn copy_object(
        &self,
        caller: &Caller,
        request: CopyObject,
    ) -> Result<(Stored, Option<VersionId>), Error> {
        let none = Tags::new();
        let tags = request.replace_tags.as_ref().unwrap_or(&none);
        let wants = Wants::new("s3:PutObject").key(&request.key).tags(tags);
        let (bucket, acl) = self.admit_writer(caller, &request.bucket, &wants).await?;
        let is_same = request.source.bucket == request.bucket
            && request.source.key == request.key
            && request.source.version.is_none();
        let changes = request.replace_headers.is_some() || request.replace_tags.is_some() || caller.encryption.asks();
        if is_same && !changes {
            return Err(Error::InvalidRequest(
                "a copy of an object onto itself must replace its metadata or tags".to_owned(),
            ));
        }
        let version = request.source.version;
        let source = self.source(caller, request.source, &bucket).await?;
        if request.replace_tags.is_none() && !source.head.object.tags.is_empty() {
            // Tags go along with the copy: who copies them must be allowed to read them.
            let wants = Wants::new("s3:GetObjectTagging").key(&source.key).version(version).of_source();
            self.bucket_for(caller, &source.bucket.name, &wants).await?;
        }
        if source.bytes() > COPY_BYTES_MAX {
            let (operation, why) = (OperationKind::CopyObject, Error::EntityTooLarge { limit: COPY_BYTES_MAX });
            return Err(self.object_refusal(caller, operation, (&source.bucket, &source.head), &source.key, why).await);
        }
        let object = &source.head.object;
        let tags = request.replace_tags.unwrap_or_else(|| shown_tags(&object.tags));
        let inherited = inherit(&object.classification, &bucket.classification);
        let matter = Matter::of_bucket(OperationKind::CopyObject, &bucket).key(request.key.as_str());
        let protection = Protection { acl, ..request.protection };
        let protection = self.protected(caller, &matter, &bucket, protection).await?;
        let identity = Identity {
            bucket: &bucket,
            key: &request.key,
            headers: request.replace_headers.unwrap_or_else(|| object_headers(&object.headers, &object.metadata)),
            classification: classify(&tags, &inherited)?,
            tags,
            packs: source.packs.clone(),
            protection,
            conditions: preconditions(&request.conditions),
        };
        if let Some(stored) = self.share(caller, &source, &identity, request.checksum_algorithm).await? {
            return Ok((stored, source.version));
        }
        let kept = object.checksums.first().map(|checksum| super::rows::shown_algorithm(checksum.algorithm));
        let algorithm = request.checksum_algorithm.or(kept);
        let expected = ExpectedDigests { algorithm, ..ExpectedDigests::default() };
        let body = self.read_source(caller, &source).await?;
        let incoming = Incoming { body, content_length: Some(source.bytes()), expected };
        let stored = self.put_whole(caller, OperationKind::CopyObject, identity, incoming).await?;
        Ok((stored, source.version))
    }

    /// Copies an object, or a range of one, into a part. Also says which version was copied.
    pub async fn copy_part(&self, caller: &Caller, request: CopyPart) -> Result<(Stored, Option<VersionId>), Error> {
        let bucket = self
            .bucket_for(caller, &request.upload.bucket, &Wants::new("s3:PutObject").key(&request.upload.key))
            .await?;
        let source = self.source(caller, request.source, &bucket).await?;
        let (body, expected) = (self.read_source(caller, &source).await?, ExpectedDigests::default());
        let incoming = Incoming { body, content_length: Some(source.bytes()), expected };
        let body = PartBody { incoming, packs: source.packs };
        let operation = OperationKind::CopyObject;
        let stored = self.write_part(caller, &bucket, &request.upload, request.part_number, operation, body).await?;
        Ok((stored, source.version))
    }

    /// What is to be copied into `bucket`, if its conditions hold.
    async fn source(&self, caller: &Caller, request: GetObject, bucket: &Bucket) -> Result<Source, Error> {
        let wants = Wants::new("s3:GetObject").key(&request.key).version(request.version).of_source();
        let (from, head) = self.row_for(caller, &request, &wants).await.map_err(of_marker)?;
        self.try_key(caller, &caller.encryption.source, &from, &request, &head).await?;
        let range = match to_copy(&request, &head) {
            Ok(range) => range,
            Err(why) => {
                let operation = OperationKind::CopyObject;
                return Err(self.object_refusal(caller, operation, (&from, &head), &request.key, why).await);
            }
        };
        let mut packs = packs_of(&from, &head);
        packs.extend(bucket.packs.iter().filter(|pack| !packs.contains(pack)).cloned().collect::<Vec<_>>());
        let version = shown_version(&from, &head);
        Ok(Source { bucket: from, key: request.key, range, head, version, packs })
    }

    /// Begins to read it, under the packs of both ends.
    async fn read_source(&self, caller: &Caller, source: &Source) -> Result<BodyStream, Error> {
        let reading = Reading {
            caller: caller.clone(),
            operation: OperationKind::CopyObject,
            packs: source.packs.clone(),
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            head: source.head.clone(),
        };
        self.read_object(reading, source.range.clone()).await
    }
}

/// What of the source is to be copied, if the request's conditions hold.
fn to_copy(request: &GetObject, head: &ObjectHead) -> Result<Range<u64>, Error> {
    request.conditions.check(&head.object.etag, head.last_modified).map_err(|error| match error {
        // A copy whose condition does not hold fails; there is nothing that the client has already.
        Error::NotModified { .. } => Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" },
        error => error,
    })?;
    match request.range {
        Some(range) => range.resolve_whole(head.object.size),
        None => Ok(0..head.object.size),
    }
}

/// A delete marker that is named as the source is no object that could be read some other way.
fn of_marker(error: Error) -> Error {
    match error {
        Error::DeleteMarker { newest: false, .. } => {
            Error::InvalidRequest("the source of a copy may not be a delete marker named by its id".to_owned())
        }
        error => error,
    }
}

/// What a copy takes from its source, and only then from the bucket that it comes to.
fn inherit(source: &Classification, bucket: &Classification) -> Classification {
    source.clone().inheriting(bucket)
}
