//! PutObject.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use domicile_chunker::{DataKey, NewManifest, seal_object};
use domicile_types::{BucketName, Classification, DataId, ObjectKey, OperationKind, OutcomeStatus, PackId, UploadId};

use super::access::Wants;
use super::answer::Stored;
use super::authorize::Matter;
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::notifications::Created;
use super::rejudge::{Lies, Placed};
use super::request::{Caller, ObjectHeaders, PutObject, Tags};
use super::rows::{
    classify, content_headers, full_object, preconditions, row_tags, stored_checksum, with_manifest_head,
};
use super::writer::{Destination, Incoming, Written, matter, stamp};
use crate::catalog::{Bucket, NewObject, Preconditions, Protection, PutCommit};
use crate::keys::KeyOwner;

/// What an object put whole will be, beside its bytes.
pub(super) struct Identity<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) key: &'a ObjectKey,
    pub(super) headers: ObjectHeaders,
    pub(super) tags: Tags,
    pub(super) packs: Vec<PackId>,
    pub(super) classification: Classification,
    pub(super) protection: Protection,
    pub(super) conditions: Preconditions,
}

impl Gateway {
    /// Whether the bucket's rules let the caller send an object, or with no `tags` a part of one. Asked before the bytes
    /// are invited; when they come, all is asked again, and the law.
    pub async fn invites(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        tags: Option<&Tags>,
    ) -> Result<(), Error> {
        let wants = Wants::new("s3:PutObject").key(key);
        match tags {
            Some(tags) => self.admit_writer(caller, bucket, &wants.tags(tags)).await.map(drop),
            None => self.bucket_for(caller, bucket, &wants).await.map(drop),
        }
    }

    /// Stores an object. It is acknowledged when every shard is durable and its row is committed, in this order.
    pub async fn put_object(&self, caller: &Caller, request: PutObject) -> Result<Stored, Error> {
        let wants = Wants::new("s3:PutObject").key(&request.key).tags(&request.tags);
        let (bucket, acl) = self.admit_writer(caller, &request.bucket, &wants).await?;
        let classification = classify(&request.tags, &bucket.classification)?;
        let matter = Matter::of_bucket(OperationKind::PutObject, &bucket).key(request.key.as_str());
        let protection = Protection { acl, ..request.protection };
        let protection = self.protected(caller, &matter, &bucket, protection).await?;
        let identity = Identity {
            bucket: &bucket,
            key: &request.key,
            headers: request.headers,
            tags: request.tags,
            packs: bucket.packs.clone(),
            classification,
            protection,
            conditions: preconditions(&request.conditions),
        };
        let incoming =
            Incoming { body: request.body, content_length: request.content_length, expected: request.expected };
        self.put_whole(caller, OperationKind::PutObject, identity, incoming).await
    }

    /// Stores a body as an object of its own: PutObject, and CopyObject where bytes must move.
    pub(super) async fn put_whole(
        &self,
        caller: &Caller,
        operation: OperationKind,
        identity: Identity<'_>,
        incoming: Incoming,
    ) -> Result<Stored, Error> {
        let data_key = self.keys.new_data_key();
        let to = Destination {
            caller,
            bucket: identity.bucket,
            key: identity.key,
            packs: &identity.packs,
            classification: &identity.classification,
            operation,
            data: DataId::from_bytes(self.clock.random()),
            upload: UploadId::from_bytes(self.clock.random()),
            part: 0,
            data_key: &data_key,
            conditions: &identity.conditions,
        };
        let written = self.write_body(&to, incoming).await?;
        self.commit_whole(caller, &data_key, &to, &identity, written).await
    }

    async fn commit_whole(
        &self,
        caller: &Caller,
        data_key: &DataKey,
        to: &Destination<'_>,
        identity: &Identity<'_>,
        written: Written,
    ) -> Result<Stored, Error> {
        let Written { pending, extent, part, mut pages, digested, judged, ticketed } = written;
        let upload = to.upload.to_string();
        let owner = KeyOwner {
            tenant: &identity.bucket.owner,
            bucket: &identity.bucket.name,
            key: identity.key,
            version: &upload,
        };
        let wrapping = self.wrapping(&identity.protection.encryption, &caller.encryption.customer)?;
        let suite = part.entry().suite();
        let manifest = NewManifest { data: to.data, upload: to.upload, packs: identity.packs.clone() };
        let sealed = seal_object(data_key, &owner.name(), manifest, part, self.clock.random())
            .map_err(|source| internal("sealing the manifest", source))?;
        for (page, sealed) in pages.iter_mut().zip(&sealed.pages) {
            page.sealed = Bytes::copy_from_slice(&sealed.bytes);
        }
        if let Some(first) = pages.first_mut() {
            first.sealed = with_manifest_head(&sealed.head, &first.sealed);
        }
        let (headers, metadata) = content_headers(identity.headers.clone());
        let checksum = digested.checksum.clone().map(full_object);
        let object = NewObject {
            size: extent.bytes,
            etag: HEXLOWER.encode(&digested.md5),
            headers,
            metadata,
            checksums: checksum.iter().map(stored_checksum).collect(),
            tags: row_tags(identity.tags.clone()),
            classification: identity.classification.clone(),
            wrapped_key: Bytes::copy_from_slice(self.keys.wrap(&owner, &wrapping.second(), data_key).as_bytes()),
            suite,
            packs: identity.packs.clone(),
            protection: identity.protection.clone(),
        };
        let (etag, size) = (object.etag.clone(), object.size);
        let (matter, profile) = (matter(self, to), extent.profile);
        let placed = Placed { caller, matter: &matter, data: to.data, lies: Lies::On(profile, &pages) };
        let commit = |judged| {
            let (object, extent, conditions) = (object.clone(), extent.clone(), identity.conditions.clone());
            let commit = PutCommit { object, extent, pages: (0u32..).zip(pages.clone()).collect(), conditions, judged };
            self.catalog.commit_put(stamp(self, caller), &pending, commit)
        };
        match self.commit_judged(judged, &placed, commit).await {
            Ok(outcome) => {
                drop(ticketed.finish(OutcomeStatus::Completed, size, 200));
                let encryption = identity.protection.encryption.clone();
                let modified = outcome.last_modified;
                let tags = row_tags(identity.tags.clone());
                let expiring = self.expiring(identity.bucket, identity.key, size, &tags, modified).await;
                let stored = Stored { version: outcome.version, etag, checksum, encryption, modified, size, expiring };
                let created = if to.operation == OperationKind::CopyObject { Created::Copy } else { Created::Put };
                let data = (identity.packs.as_slice(), &identity.classification);
                self.announce_created(caller, identity.bucket, identity.key, data, created, &stored).await;
                Ok(stored)
            }
            Err(error) => {
                if let Err(error) = self.catalog.abandon(stamp(self, caller), &pending).await {
                    tracing::warn!(request_id = %caller.request, %error, "an upload could not be abandoned");
                }
                drop(ticketed.finish(OutcomeStatus::Failed, size, 0));
                Err(error)
            }
        }
    }
}
