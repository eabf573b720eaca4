//! Multipart uploads: create, part, part copy, complete, abort, list.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domicile_types::UploadId;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart as CompletedPartDto, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Owner, Part, StorageClass, UploadPartCopyInput, UploadPartCopyOutput,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::acl::owner;
use super::body::Received;
use super::checksum::{self, set_checksum};
use super::copy::{of_source, source};
use super::headers::{copy_range, etag, length, object_headers, read_conditions, timestamp, write_conditions};
use super::lifecycle::expiration;
use super::listing::{Text, keys_max, non_empty, some};
use super::lock::protection;
use super::{Front, body, encryption, names, tagging};
use crate::objects::{
    Caller, Checksum, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyPart, CreateUpload, ListParts, ListUploads,
    PartView, PutPart, Stored, UploadView,
};

/// Parts of an upload, at the most.
const PARTS_MAX: usize = 10_000;

/// How long a completion may take before its answer begins with white space that keeps the connection alive. Until then a
/// failure has its own status; after it, the status is 200 and the document tells.
const COMPLETE_QUIET: Duration = Duration::from_secs(10);

impl Front {
    pub(super) async fn create(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let caller = names::caller(&request)?;
        let mut input = request.input;
        let algorithm = input.checksum_algorithm.as_ref().map(|name| checksum::algorithm(name.as_str())).transpose()?;
        let create = CreateUpload {
            bucket: names::bucket(&input.bucket)?,
            key: names::key(&input.key)?,
            headers: object_headers!(input)?,
            tags: tagging::from_header(input.tagging.as_deref())?,
            protection: protection!(input)?,
            checksum_algorithm: algorithm,
            full_object_checksum: full_object(algorithm, input.checksum_type.as_ref())?,
        };
        let created = self.gateway.create_upload(&caller, create).await?;
        let algorithm = created.checksum_algorithm;
        let output = CreateMultipartUploadOutput {
            abort_date: created.aborting.as_ref().map(|aborting| timestamp(aborting.at)),
            abort_rule_id: created.aborting.map(|aborting| aborting.rule),
            bucket: Some(input.bucket),
            checksum_algorithm: algorithm.map(checksum::algorithm_dto),
            checksum_type: algorithm.map(|_| checksum::type_dto(created.full_object_checksum)),
            key: names::echo(&input.key),
            upload_id: Some(created.upload.to_string()),
            ..CreateMultipartUploadOutput::default()
        };
        Ok(encryption::told(output, &created.encryption, &caller))
    }

    pub(super) async fn part(&self, mut request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let caller = names::caller(&request)?;
        let trailers = request.trailing_headers.take();
        let mut input = request.input;
        let received = body::receive(&caller, &request.headers, trailers, input.body.take(), input.content_length)?;
        let Received { stream, fault, length, expected } = received;
        let put = PutPart {
            upload: names::upload(&input.bucket, &input.key, &input.upload_id)?,
            part_number: names::part_number(input.part_number)?,
            body: stream,
            content_length: length,
            expected,
        };
        let stored = self.gateway.put_part(&caller, put).await.map_err(|error| fault.explain(error))?;
        let mut output = UploadPartOutput { e_tag: Some(etag(stored.etag.clone())), ..UploadPartOutput::default() };
        if let Some(stored) = &stored.checksum {
            set_checksum!(output, stored.checksum.algorithm, checksum::stored_text(stored));
        }
        Ok(encryption::told(output, &stored.encryption, &caller))
    }

    pub(super) async fn part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let conditions = read_conditions(
            input.copy_source_if_match,
            input.copy_source_if_none_match,
            input.copy_source_if_modified_since,
            input.copy_source_if_unmodified_since,
        );
        let mut source = source(&input.copy_source, conditions)?;
        source.range = input.copy_source_range.as_deref().map(copy_range).transpose()?;
        let copy = CopyPart {
            source,
            upload: names::upload(&input.bucket, &input.key, &input.upload_id)?,
            part_number: names::part_number(input.part_number)?,
        };
        let (stored, copied) = self.gateway.copy_part(&caller, copy).await.map_err(of_source)?;
        let mut result = CopyPartResult {
            e_tag: Some(etag(stored.etag.clone())),
            last_modified: Some(timestamp(stored.modified)),
            ..CopyPartResult::default()
        };
        if let Some(stored) = &stored.checksum {
            set_checksum!(result, stored.checksum.algorithm, checksum::stored_text(stored));
        }
        let output = UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id: copied.map(|version| version.to_string()),
            ..UploadPartCopyOutput::default()
        };
        Ok(encryption::told(output, &stored.encryption, &caller))
    }

    pub(super) async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let caller = names::caller(&request)?;
        let checksum = checksum::from_headers(&request.headers)?;
        let host = checksum::text_header(&request.headers, "host").unwrap_or_default().to_owned();
        let input = request.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if parts.is_empty() || parts.len() > PARTS_MAX {
            return Err(S3Error::new(S3ErrorCode::MalformedXML));
        }
        let complete = CompleteUpload {
            upload: names::upload(&input.bucket, &input.key, &input.upload_id)?,
            parts: parts.into_iter().map(completed_part).collect::<S3Result<_>>()?,
            checksum,
            object_size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
            conditions: write_conditions(input.if_match, input.if_none_match),
        };
        let (gateway, bucket, key) = (self.gateway.clone(), input.bucket, input.key);
        let (finished, asker) = (Arc::new(OnceLock::new()), caller.clone());
        let finishing = Arc::clone(&finished);
        let mut work = Box::pin(async move {
            let stored = gateway.complete_upload(&caller, complete).await?;
            // Only this sets it.
            let _ = finishing.set(stored.encryption.clone());
            Ok(completed(&host, bucket, &key, stored))
        });
        match tokio::time::timeout(COMPLETE_QUIET, &mut work).await {
            Ok(output) => {
                let output = output?;
                Ok(match finished.get() {
                    Some(encryption) => encryption::told(output, encryption, &asker),
                    None => S3Response::new(output),
                })
            }
            // Headers are gone before it is known.
            Err(_) => Ok(S3Response::new(CompleteMultipartUploadOutput {
                future: Some(work),
                ..CompleteMultipartUploadOutput::default()
            })),
        }
    }

    pub(super) async fn abort(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let upload = names::upload(&input.bucket, &input.key, &input.upload_id)?;
        self.gateway.abort_upload(&caller, upload).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let parts_max = keys_max(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let after_number = u32::try_from(after).map_err(|_| {
            S3Error::with_message(S3ErrorCode::InvalidArgument, "part-number-marker must not be negative")
        })?;
        let list = ListParts {
            upload: names::upload(&input.bucket, &input.key, &input.upload_id)?,
            after: after_number,
            parts_max: usize::try_from(parts_max.max(1)).unwrap_or(1),
        };
        let page = self.gateway.list_parts(&caller, list).await?;
        let next = page.next_after.and_then(|number| i32::try_from(number).ok());
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: page.checksum_algorithm.map(checksum::algorithm_dto),
            checksum_type: page.checksum_algorithm.map(|_| checksum::type_dto(page.full_object_checksum)),
            initiator: Some(initiator(&caller)),
            is_truncated: Some(next.is_some()),
            key: names::echo(&input.key),
            max_parts: Some(parts_max),
            next_part_number_marker: next,
            owner: Some(owner(&page.owner)),
            part_number_marker: Some(after),
            parts: some(page.parts.into_iter().map(part_dto).collect()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let uploads_max = keys_max(input.max_uploads)?;
        let key_marker = non_empty(input.key_marker);
        // Without a key-marker, S3 ignores upload-id-marker.
        let upload_marker = non_empty(input.upload_id_marker).filter(|_| key_marker.is_some());
        let upload_after = match &upload_marker {
            Some(id) => Some(UploadId::parse(id).map_err(|_| {
                S3Error::with_message(S3ErrorCode::InvalidArgument, "upload-id-marker is no upload id of this gateway")
            })?),
            None => None,
        };
        let list = ListUploads {
            bucket: names::bucket(&input.bucket)?,
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: non_empty(input.delimiter.clone()),
            key_after: key_marker.clone(),
            upload_after,
            uploads_max: usize::try_from(uploads_max.max(1)).unwrap_or(1),
        };
        let page = self.gateway.list_uploads(&caller, list).await?;
        let keys = page.uploads.iter().map(|upload| upload.key.as_str());
        let text =
            Text::asked(input.encoding_type.as_ref(), keys.chain(page.common_prefixes.iter().map(String::as_str)))?;
        let (next_key, next_upload) = page.next_after.map_or((None, None), |(key, upload)| (Some(key), upload));
        let owner = self.owner_of(&input.bucket).await?;
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: some(text.prefixes(&page.common_prefixes)),
            delimiter: non_empty(input.delimiter).map(|delimiter| text.write(&delimiter)),
            encoding_type: text.encoding(),
            is_truncated: Some(next_key.is_some()),
            key_marker: Some(text.write(key_marker.as_deref().unwrap_or_default())),
            max_uploads: Some(uploads_max),
            next_key_marker: next_key.map(|key| text.write(&key)),
            next_upload_id_marker: next_upload.map(|upload| upload.to_string()),
            prefix: Some(text.write(input.prefix.as_deref().unwrap_or_default())),
            request_charged: None,
            upload_id_marker: Some(upload_marker.unwrap_or_default()),
            uploads: some(
                page.uploads.iter().map(|upload| upload_dto(&text, upload, &caller, owner.clone())).collect(),
            ),
        }))
    }
}

/// Whether the whole object's checksum will be FULL_OBJECT: by default for CRC64NVME only, and never for the hashes.
fn full_object(algorithm: Option<ChecksumAlgorithm>, asked: Option<&ChecksumType>) -> S3Result<bool> {
    let Some(algorithm) = algorithm else {
        return match asked {
            None => Ok(false),
            Some(_) => Err(invalid("x-amz-checksum-type needs an x-amz-checksum-algorithm")),
        };
    };
    match asked.map(ChecksumType::as_str) {
        None => Ok(algorithm == ChecksumAlgorithm::Crc64Nvme),
        Some(ChecksumType::FULL_OBJECT) if algorithm.is_linear() => Ok(true),
        Some(ChecksumType::COMPOSITE) if algorithm != ChecksumAlgorithm::Crc64Nvme => Ok(false),
        Some(kind) => Err(invalid(&format!("{} checksums cannot be {kind}", checksum::name_of(algorithm)))),
    }
}

fn invalid(message: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message.to_owned())
}

fn completed(host: &str, bucket: String, key: &str, stored: Stored) -> CompleteMultipartUploadOutput {
    let mut output = CompleteMultipartUploadOutput {
        location: names::echo(key).map(|key| format!("http://{host}/{bucket}/{key}")),
        bucket: Some(bucket),
        e_tag: Some(etag(stored.etag)),
        key: names::echo(key),
        version_id: stored.version.map(|version| version.to_string()),
        expiration: stored.expiring.as_ref().map(expiration),
        ..CompleteMultipartUploadOutput::default()
    };
    if let Some(stored) = &stored.checksum {
        set_checksum!(output, stored.checksum.algorithm, checksum::stored_text(stored));
        output.checksum_type = Some(checksum::type_dto(stored.composite_parts.is_none()));
    }
    output
}

fn completed_part(part: CompletedPartDto) -> S3Result<CompletedPart> {
    let checksum = part_checksum(&part)?;
    let (Some(number), Some(tag)) = (part.part_number, part.e_tag) else {
        return Err(S3Error::new(S3ErrorCode::MalformedXML));
    };
    Ok(CompletedPart { part_number: names::part_number(number)?, etag: tag.into_value(), checksum })
}

fn part_checksum(part: &CompletedPartDto) -> S3Result<Option<Checksum>> {
    let claims = [
        (ChecksumAlgorithm::Crc32, &part.checksum_crc32),
        (ChecksumAlgorithm::Crc32c, &part.checksum_crc32c),
        (ChecksumAlgorithm::Crc64Nvme, &part.checksum_crc64nvme),
        (ChecksumAlgorithm::Sha1, &part.checksum_sha1),
        (ChecksumAlgorithm::Sha256, &part.checksum_sha256),
    ];
    let mut found = None;
    for (algorithm, text) in claims {
        if let Some(text) = text
            && found.replace(checksum::parse(algorithm, text)?).is_some()
        {
            return Err(invalid("a part has more than one checksum"));
        }
    }
    Ok(found)
}

fn part_dto(part: PartView) -> Part {
    let mut dto = Part {
        e_tag: Some(etag(part.etag)),
        last_modified: Some(timestamp(part.modified)),
        part_number: i32::try_from(part.part_number).ok(),
        size: Some(length(part.size)),
        ..Part::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum!(dto, checksum.algorithm, checksum::text(checksum));
    }
    dto
}

fn upload_dto(text: &Text, upload: &UploadView, caller: &Caller, owner: Owner) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: upload.checksum_algorithm.map(checksum::algorithm_dto),
        checksum_type: None,
        initiated: Some(timestamp(upload.initiated)),
        initiator: Some(initiator(caller)),
        key: Some(text.write(upload.key.as_str())),
        owner: Some(owner),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(upload.upload.to_string()),
    }
}

fn initiator(caller: &Caller) -> Initiator {
    let tenant = caller.tenant().map_or_else(|| "anonymous".to_owned(), ToString::to_string);
    Initiator { display_name: Some(tenant.clone()), id: Some(tenant) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &'static str) -> ChecksumType {
        ChecksumType::from_static(name)
    }

    #[test]
    fn hashes_are_composite_and_crc64_is_of_the_full_object() {
        use ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256};
        assert!(!full_object(Some(Crc32), None).unwrap());
        assert!(full_object(Some(Crc64Nvme), None).unwrap());
        assert!(full_object(Some(Crc32), Some(&kind(ChecksumType::FULL_OBJECT))).unwrap());
        assert!(full_object(Some(Sha256), Some(&kind(ChecksumType::FULL_OBJECT))).is_err());
        assert!(full_object(Some(Crc64Nvme), Some(&kind(ChecksumType::COMPOSITE))).is_err());
        assert!(full_object(None, Some(&kind(ChecksumType::COMPOSITE))).is_err());
    }

    #[test]
    fn a_completed_part_needs_its_number_and_its_tag() {
        let part = |part_number, e_tag| CompletedPartDto { part_number, e_tag, ..CompletedPartDto::default() };
        let good = completed_part(part(Some(3), Some(etag("abc".to_owned())))).unwrap();
        assert_eq!((good.part_number, good.etag.as_str()), (3, "abc"));
        assert!(completed_part(part(None, Some(etag("abc".to_owned())))).is_err());
        assert!(completed_part(part(Some(3), None)).is_err());
        assert!(completed_part(part(Some(0), Some(etag("abc".to_owned())))).is_err());
    }
}
