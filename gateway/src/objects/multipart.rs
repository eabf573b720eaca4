//! Multipart uploads: parts are bodies of their own under one data key; completion writes rows, never bytes.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use domicile_chunker::{NewManifest, PartEntry, SealId, seal_multipart, seal_part};
use domicile_types::{DataId, OperationKind, PackId, UploadId};

use super::access::Wants;
use super::answer::{PartPage, Stored, StoredChecksum, UploadCreated};
use super::authorize::Matter;
use super::bucket::settle;
use super::digest::{composite_checksum, full_object_checksum, multipart_etag};
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::notifications::Created;
use super::parts::part_view;
use super::rejudge::{Lies, Placed};
use super::request::{Caller, Checksum, CompleteUpload, CompletedPart, CreateUpload, ListParts, PutPart, UploadRef};
use super::rows::{
    classify, content_headers, full_object, preconditions, row_algorithm, row_tags, shown_algorithm, shown_checksum,
    stored_checksum,
};
use super::writer::{Destination, Incoming, Written, matter, seal_id, stamp};
use crate::catalog::{
    Bucket, ChecksumKind, CompletionPlan, Encryption, JudgingEpoch, NewCompletion, NewUpload, Part, PartCommit,
    PlannedCompletion, Preconditions, Protection, RequestedPart, Upload,
};
use crate::keys::KeyOwner;

/// A body for a part, with the packs that it brings along from elsewhere.
pub(super) struct PartBody {
    pub(super) incoming: Incoming,
    pub(super) packs: Vec<PackId>,
}

impl Gateway {
    /// Begins an upload. Its data key is made here, once for all its parts.
    pub async fn create_upload(&self, caller: &Caller, request: CreateUpload) -> Result<UploadCreated, Error> {
        let wants = Wants::new("s3:PutObject").key(&request.key).tags(&request.tags);
        let (bucket, acl) = self.admit_writer(caller, &request.bucket, &wants).await?;
        let classification = classify(&request.tags, &bucket.classification)?;
        let stated = request.protection.lock.retention;
        let matter = Matter::of_bucket(OperationKind::CreateMultipartUpload, &bucket).key(request.key.as_str());
        let matter = Matter { classification: &classification, ..matter };
        let protection = Protection { acl, ..request.protection };
        let mut protection = self.protected(caller, &matter, &bucket, protection).await?;
        // The bucket's default counts from when there is a version to keep: from the completion.
        protection.lock.retention = stated;
        let permit = self.permit(caller, &matter).await?;
        let intent = self.intend(caller, &matter, &permit, super::authorize::Scope::default()).await?;
        let upload = UploadId::from_bytes(upload_id(self));
        let version = upload.to_string();
        let owner = KeyOwner { tenant: &bucket.owner, bucket: &bucket.name, key: &request.key, version: &version };
        let wrapping = self.wrapping(&protection.encryption, &caller.encryption.customer)?;
        let wrapped = self.keys.wrap(&owner, &wrapping.second(), &self.keys.new_data_key());
        let encryption = protection.encryption.clone();
        let (headers, metadata) = content_headers(request.headers);
        let kind = if request.full_object_checksum { ChecksumKind::FullObject } else { ChecksumKind::Composite };
        let new = NewUpload {
            upload,
            data: DataId::from_bytes(self.clock.random()),
            wrapped_key: Bytes::copy_from_slice(wrapped.as_bytes()),
            headers,
            metadata,
            tags: row_tags(request.tags),
            classification: classification.clone(),
            checksum: request.checksum_algorithm.map(|algorithm| (row_algorithm(algorithm), kind)),
            suite: permit.suite(),
            packs: bucket.packs.clone(),
            protection,
        };
        let created = self.catalog.create_upload(stamp(self, caller), &bucket, &request.key, new).await;
        settle(intent, created.is_ok());
        created?;
        Ok(UploadCreated {
            upload,
            aborting: self.aborting(&bucket, &request.key).await,
            checksum_algorithm: request.checksum_algorithm,
            full_object_checksum: request.full_object_checksum,
            encryption,
        })
    }

    /// Stores a part; one that is there under the same number is replaced.
    pub async fn put_part(&self, caller: &Caller, request: PutPart) -> Result<Stored, Error> {
        let bucket = self
            .bucket_for(caller, &request.upload.bucket, &Wants::new("s3:PutObject").key(&request.upload.key))
            .await?;
        let incoming =
            Incoming { body: request.body, content_length: request.content_length, expected: request.expected };
        let body = PartBody { incoming, packs: bucket.packs.clone() };
        self.write_part(caller, &bucket, &request.upload, request.part_number, OperationKind::UploadPart, body).await
    }

    pub(super) async fn write_part(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        upload: &UploadRef,
        number: u32,
        operation: OperationKind,
        body: PartBody,
    ) -> Result<Stored, Error> {
        let number = part_number(number)?;
        let matter = Matter::of_bucket(operation, bucket).key(upload.key.as_str());
        let row = match self.catalog.upload(bucket, &upload.key, upload.upload).await {
            Ok(row) => row,
            Err(why) => return Err(self.refusal(caller, &matter, why).await),
        };
        let matter = Matter { packs: &row.new.packs, classification: &row.new.classification, ..matter };
        let PartBody { mut incoming, packs } = body;
        if packs.iter().any(|pack| !row.new.packs.contains(pack)) {
            let why = "the source obeys packs that the upload was not created under: copy the object whole";
            return Err(self.refusal(caller, &matter, Error::InvalidRequest(why.to_owned())).await);
        }
        if incoming.expected.algorithm.is_none() {
            incoming.expected.algorithm = row.new.checksum.map(|(algorithm, _)| shown_algorithm(algorithm));
        }
        let version = upload.upload.to_string();
        let owner = KeyOwner { tenant: &bucket.owner, bucket: &bucket.name, key: &upload.key, version: &version };
        let encryption = row.new.protection.encryption.clone();
        let opened = self
            .wrapping(&encryption, &caller.encryption.customer)
            .and_then(|wrapping| self.data_key(&owner, &wrapping, &row.new.wrapped_key));
        let data_key = match opened {
            Ok(data_key) => data_key,
            Err(why) => return Err(self.refusal(caller, &matter, why).await),
        };
        let to = Destination {
            caller,
            bucket,
            key: &upload.key,
            packs: &row.new.packs,
            classification: &row.new.classification,
            operation,
            data: row.new.data,
            upload: upload.upload,
            part: number,
            data_key: &data_key,
            conditions: &Preconditions::default(),
        };
        let written = self.write_body(&to, incoming).await?;
        self.commit_part(caller, &to, written, encryption).await
    }

    async fn commit_part(
        &self,
        caller: &Caller,
        to: &Destination<'_>,
        written: Written,
        encryption: Encryption,
    ) -> Result<Stored, Error> {
        let Written { pending, extent, part, mut pages, digested, judged, ticketed } = written;
        let context = domicile_chunker::PartContext {
            tenant: to.bucket.owner.clone(),
            data: to.data,
            upload: to.upload,
            part: u32::from(to.part),
        };
        let sealed = seal_part(to.data_key, &context, &part).map_err(|source| internal("sealing the part", source))?;
        for (page, sealed) in pages.iter_mut().zip(sealed) {
            page.sealed = Bytes::from(sealed.bytes);
        }
        let size = extent.bytes;
        let etag = HEXLOWER.encode(&digested.md5);
        let checksum = digested.checksum.map(full_object);
        let (matter, profile) = (matter(self, to), extent.profile);
        let placed = Placed { caller, matter: &matter, data: to.data, lies: Lies::On(profile, &pages) };
        let commit = |judged| {
            let commit = PartCommit {
                extent: extent.clone(),
                pages: (0u32..).zip(pages.clone()).collect(),
                etag: etag.clone(),
                checksums: checksum.iter().map(stored_checksum).collect(),
                judged,
            };
            self.catalog.commit_part(stamp(self, caller), &pending, commit)
        };
        match self.commit_judged(judged, &placed, commit).await {
            Ok(part) => {
                drop(ticketed.finish(domicile_types::OutcomeStatus::Completed, size, 200));
                let modified = part.last_modified;
                Ok(Stored { version: None, etag, checksum, encryption, modified, size, expiring: None })
            }
            Err(error) => {
                if let Err(error) = self.catalog.abandon(stamp(self, caller), &pending).await {
                    tracing::warn!(request_id = %caller.request, %error, "a part could not be abandoned");
                }
                drop(ticketed.finish(domicile_types::OutcomeStatus::Failed, size, 0));
                Err(error)
            }
        }
    }

    /// Makes the listed parts an object. Completing again what is complete gives the same answer.
    pub async fn complete_upload(&self, caller: &Caller, request: CompleteUpload) -> Result<Stored, Error> {
        let bucket = self
            .bucket_for(caller, &request.upload.bucket, &Wants::new("s3:PutObject").key(&request.upload.key))
            .await?;
        let UploadRef { key, upload, .. } = &request.upload;
        let judged = self.judging.law().epoch;
        let requested = request.parts.iter().map(requested_part).collect::<Result<Vec<_>, _>>()?;
        let matter = Matter::of_bucket(OperationKind::CompleteMultipartUpload, &bucket).key(key.as_str());
        let mut plan = match self.catalog.plan_completion(&bucket, key, *upload, requested).await {
            Err(why) => return Err(self.refusal(caller, &matter, why).await),
            Ok(PlannedCompletion::Ready(plan)) => *plan,
            Ok(PlannedCompletion::Completed(done)) => {
                settle(self.authorize(caller, &matter).await?, true);
                return Ok(Stored {
                    version: done.version,
                    encryption: done.encryption,
                    etag: done.etag,
                    checksum: done.checksums.first().map(|checksum| shown_checksum(checksum, Some(done.parts))),
                    modified: done.last_modified,
                    size: done.size,
                    expiring: None,
                });
            }
        };
        if bucket.object_lock && plan.upload.new.protection.lock.retention.is_none() {
            plan.upload.new.protection.lock.retention = self.default_retention(&bucket).await?;
        }
        let new = &plan.upload.new;
        let matter = Matter { packs: &new.packs, classification: &new.classification, ..matter };
        let (etag, checksum) = match whole(&plan, &request) {
            Ok(summary) => summary,
            Err(why) => return Err(self.refusal(caller, &matter, why).await),
        };
        let intent = self.authorize(caller, &matter).await?;
        let (packs, classification) = (new.packs.clone(), new.classification.clone());
        let (size, encryption) = (plan.size, plan.upload.new.protection.encryption.clone());
        let tags = new.tags.clone();
        let completion = NewCompletion {
            etag: etag.clone(),
            checksums: checksum.iter().map(stored_checksum).collect(),
            ..self.sealed_completion(caller, &bucket, &plan, preconditions(&request.conditions))?
        };
        let completed = self.complete_judged(caller, &bucket, plan, NewCompletion { judged, ..completion }).await;
        settle(intent, completed.is_ok());
        let outcome = completed?;
        let modified = outcome.last_modified;
        let expiring = self.expiring(&bucket, key, size, &tags, modified).await;
        let stored = Stored { version: outcome.version, etag, checksum, encryption, modified, size, expiring };
        self.announce_created(caller, &bucket, key, (&packs, &classification), Created::Completion, &stored).await;
        Ok(stored)
    }

    /// The manifest of the whole. It is sealed, as the data key is wrapped, in the name of the upload that it came from.
    fn sealed_completion(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        plan: &CompletionPlan,
        conditions: Preconditions,
    ) -> Result<NewCompletion, Error> {
        let new = &plan.upload.new;
        let version = new.upload.to_string();
        let open = KeyOwner { tenant: &bucket.owner, bucket: &bucket.name, key: &plan.key, version: &version };
        let wrapping = self.wrapping(&new.protection.encryption, &caller.encryption.customer)?;
        let data_key = self.data_key(&open, &wrapping, &new.wrapped_key)?;
        let entries: Vec<PartEntry> = plan
            .parts
            .iter()
            .map(|part| {
                let extent = &part.extent;
                PartEntry::new(u32::from(part.number), extent.bytes, new.suite, extent.profile, seal_id(extent.id))
            })
            .collect();
        let manifest = NewManifest { data: new.data, upload: new.upload, packs: new.packs.clone() };
        let table = SealId::from_random(self.clock.random());
        let sealed = seal_multipart(&data_key, &open.name(), manifest, &entries, table, self.clock.random())
            .map_err(|source| internal("sealing the manifest", source))?;
        let mut root = vec![Bytes::from(sealed.head)];
        root.extend(sealed.pages.into_iter().map(|page| Bytes::from(page.bytes)));
        let judged = JudgingEpoch::default();
        Ok(NewCompletion { etag: String::new(), checksums: Vec::new(), root, conditions, judged })
    }

    /// Gives an upload up. Its parts are garbage from here on.
    pub async fn abort_upload(&self, caller: &Caller, request: UploadRef) -> Result<(), Error> {
        let bucket =
            self.bucket_for(caller, &request.bucket, &Wants::new("s3:AbortMultipartUpload").key(&request.key)).await?;
        let matter = Matter::of_bucket(OperationKind::AbortMultipartUpload, &bucket).key(request.key.as_str());
        let intent = self.authorize(caller, &matter).await?;
        let aborted = self.catalog.abort_upload(stamp(self, caller), &bucket, &request.key, request.upload).await;
        settle(intent, aborted.is_ok());
        Ok(aborted?)
    }

    /// A page of an upload's parts.
    pub async fn list_parts(&self, caller: &Caller, request: ListParts) -> Result<PartPage, Error> {
        let bucket = self
            .bucket_for(
                caller,
                &request.upload.bucket,
                &Wants::new("s3:ListMultipartUploadParts").key(&request.upload.key),
            )
            .await?;
        let key = &request.upload.key;
        let matter = Matter::of_bucket(OperationKind::ListUploads, &bucket).key(key.as_str());
        let intent = self.authorize(caller, &matter).await?;
        let after = u16::try_from(request.after).unwrap_or(u16::MAX);
        let listed = self.catalog.list_parts(&bucket, key, request.upload.upload, after, request.parts_max).await;
        settle(intent, listed.is_ok());
        let page = listed?;
        let next_after = page.parts.last().filter(|_| page.truncated).map(|part| u32::from(part.number));
        let parts = page.parts.into_iter().map(part_view);
        let checksum = page.upload.new.checksum;
        let owner = page.upload.new.protection.acl.and_then(|acl| acl.owner);
        Ok(PartPage {
            owner: owner.unwrap_or(bucket.owner),
            parts: parts.collect(),
            next_after,
            checksum_algorithm: checksum.map(|(algorithm, _)| shown_algorithm(algorithm)),
            full_object_checksum: matches!(checksum, Some((_, ChecksumKind::FullObject))),
        })
    }
}

/// A version-7 UUID: uploads of one key are listed in the order they were begun.
fn upload_id(gateway: &Gateway) -> [u8; 16] {
    let millis = gateway.clock.now().0;
    *uuid::Builder::from_unix_timestamp_millis(millis, &gateway.clock.random()).into_uuid().as_bytes()
}

fn part_number(number: u32) -> Result<u16, Error> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| Error::InvalidArgument(format!("part number {number} is not from 1 to 10000")))
}

fn requested_part(part: &CompletedPart) -> Result<RequestedPart, Error> {
    let checksums = part.checksum.clone().map(full_object);
    Ok(RequestedPart {
        number: u16::try_from(part.part_number).map_err(|_| Error::InvalidPart { part_number: part.part_number })?,
        etag: Some(part.etag.clone()),
        checksums: checksums.iter().map(stored_checksum).collect(),
    })
}

/// The whole as its parts make it, if it is as the client says.
fn whole(plan: &CompletionPlan, request: &CompleteUpload) -> Result<(String, Option<StoredChecksum>), Error> {
    let size = plan.size;
    if let Some(expected) = request.object_size.filter(|expected| *expected != size) {
        return Err(Error::InvalidRequest(format!("the parts have {size} bytes, not the {expected} announced")));
    }
    summary(&plan.parts, &plan.upload, request.checksum.as_ref())
}

/// The whole's entity tag and checksum, from those of its parts; checked against what the client claims.
fn summary(
    parts: &[Part],
    upload: &Upload,
    claimed: Option<&Checksum>,
) -> Result<(String, Option<StoredChecksum>), Error> {
    let digest = |part: &Part| HEXLOWER.decode(part.etag.as_bytes()).ok()?.try_into().ok();
    let md5s: Vec<[u8; 16]> = parts.iter().filter_map(digest).collect();
    let etag = multipart_etag(&md5s);
    let Some((algorithm, kind)) = upload.new.checksum else { return Ok((etag, None)) };
    let algorithm = shown_algorithm(algorithm);
    let of_parts: Vec<(Checksum, u64)> = parts
        .iter()
        .filter_map(|part| Some((shown_checksum(part.checksums.first()?, None).checksum, part.extent.bytes)))
        .filter(|(checksum, _)| checksum.algorithm == algorithm)
        .collect();
    if of_parts.len() != parts.len() {
        return Ok((etag, None));
    }
    let checksum = match kind {
        ChecksumKind::FullObject => full_object_checksum(algorithm, &of_parts).map(full_object),
        ChecksumKind::Composite => {
            let values: Vec<Checksum> = of_parts.into_iter().map(|(checksum, _)| checksum).collect();
            let composite_parts = u32::try_from(values.len()).ok();
            Some(StoredChecksum { checksum: composite_checksum(algorithm, &values), composite_parts })
        }
    };
    match (claimed, &checksum) {
        (Some(claimed), Some(computed)) if claimed.algorithm == algorithm && *claimed != computed.checksum => {
            Err(Error::BadDigest { claim: "checksum of the whole object" })
        }
        _ => Ok((etag, checksum)),
    }
}
