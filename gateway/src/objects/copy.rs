//! CopyObject and UploadPartCopy: a read and a write in one, under the packs of both ends.
//!
//! Bytes are decrypted and sealed anew for their new place. What the source brought along stays with the copy: its
//! classification, unless the new tags state another, and its packs, so that no copy launders data into laxer rules.

use domicile_types::{Classification, OperationKind, PackId};

use super::access::Wants;
use super::answer::Stored;
use super::error::Error;
use super::gateway::Gateway;
use super::get::packs_of;
use super::put::Identity;
use super::reader::Reading;
use super::request::{BodyStream, Caller, CopyObject, CopyPart, ExpectedDigests, GetObject, Tags};
use super::rows::{classify, object_headers, preconditions, shown_tags, shown_version};
use super::writer::Incoming;
use crate::catalog::{Bucket, ObjectHead, Protection, VersionId};

/// The largest object that CopyObject takes, S3's limit; larger ones are copied part by part.
const COPY_BYTES_MAX: u64 = 5 << 30;

/// The reading half of a copy.
pub(super) struct Source {
    pub(super) body: BodyStream,
    pub(super) bytes: u64,
    pub(super) head: ObjectHead,
    /// The version's id, where its bucket has versioning.
    pub(super) version: Option<VersionId>,
    pub(super) packs: Vec<PackId>,
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
        let source = self.open_source(caller, request.source, &bucket).await?;
        if source.bytes > COPY_BYTES_MAX {
            return Err(Error::EntityTooLarge { limit: COPY_BYTES_MAX });
        }
        let object = &source.head.object;
        let tags = request.replace_tags.unwrap_or_else(|| shown_tags(&object.tags));
        let inherited = inherit(&object.classification, &bucket.classification);
        let identity = Identity {
            bucket: &bucket,
            key: &request.key,
            headers: request.replace_headers.unwrap_or_else(|| object_headers(&object.headers, &object.metadata)),
            classification: classify(&tags, &inherited)?,
            tags,
            packs: source.packs.clone(),
            protection: self.protected(caller, &bucket, Protection { acl, ..request.protection }).await?,
            conditions: preconditions(&request.conditions),
        };
        let kept = object.checksums.first().map(|checksum| super::rows::shown_algorithm(checksum.algorithm));
        let algorithm = request.checksum_algorithm.or(kept);
        let expected = ExpectedDigests { algorithm, ..ExpectedDigests::default() };
        let incoming = Incoming { body: source.body, content_length: Some(source.bytes), expected };
        let stored = self.put_whole(caller, OperationKind::CopyObject, identity, incoming).await?;
        Ok((stored, source.version))
    }

    /// Copies an object, or a range of one, into a part. Also says which version was copied.
    pub async fn copy_part(&self, caller: &Caller, request: CopyPart) -> Result<(Stored, Option<VersionId>), Error> {
        let bucket = self
            .bucket_for(caller, &request.upload.bucket, &Wants::new("s3:PutObject").key(&request.upload.key))
            .await?;
        let source = self.open_source(caller, request.source, &bucket).await?;
        let (version, operation) = (source.version, OperationKind::CopyObject);
        let stored =
            self.write_part(caller, &bucket, &request.upload, request.part_number, operation, source.into()).await?;
        Ok((stored, version))
    }

    /// Begins to read what is to be copied into `bucket`, under the packs of both.
    async fn open_source(&self, caller: &Caller, request: GetObject, bucket: &Bucket) -> Result<Source, Error> {
        let wants = Wants::new("s3:GetObject").key(&request.key).version(request.version).of_source();
        let (from, head) = self.row_for(caller, &request, &wants).await?;
        self.try_key(caller, &caller.encryption.source, &from, &request, &head).await?;
        request.conditions.check(&head.object.etag, head.last_modified).map_err(|error| match error {
            // A copy whose condition does not hold fails; there is nothing that the client has already.
            Error::NotModified { .. } => Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" },
            error => error,
        })?;
        let range = match request.range {
            Some(range) => range.resolve_whole(head.object.size)?,
            None => 0..head.object.size,
        };
        let mut packs = packs_of(&from, &head);
        packs.extend(bucket.packs.iter().filter(|pack| !packs.contains(pack)).cloned().collect::<Vec<_>>());
        let reading = Reading {
            caller: caller.clone(),
            operation: OperationKind::CopyObject,
            packs: packs.clone(),
            bucket: from,
            key: request.key,
            head: head.clone(),
        };
        let version = shown_version(&reading.bucket, &head);
        let bytes = range.end - range.start;
        Ok(Source { body: self.read_object(reading, range).await?, bytes, head, version, packs })
    }
}

/// What a copy takes from its source, and only then from the bucket that it comes to.
fn inherit(source: &Classification, bucket: &Classification) -> Classification {
    source.clone().inheriting(bucket)
}
