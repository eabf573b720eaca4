//! Objects: put, get, head, attributes, delete.

use s3s::dto::{
    ChecksumMode, Delete, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ObjectIdentifier,
    PutObjectInput, PutObjectOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::body::Received;
use super::checksum::{self, set_checksum};
use super::error::code_and_message;
use super::headers::{
    content_range, etag, etag_match, if_range, length, millis, object_headers, range, read_conditions,
    set_object_headers, timestamp, write_conditions,
};
use super::lifecycle::expiration;
use super::lock::{protection, set_lock};
use super::overrides::overrides;
use super::{Front, body, encryption, names, tagging};
use crate::objects::{DeleteTarget, GetObject, ObjectView, PutObject, RangeSpec, ReadConditions};

/// Keys in one DeleteObjects request, at the most.
const DELETES_MAX: usize = 1000;

/// What GetObject and HeadObject ask for, which the protocol crate states in two types with the same fields.
macro_rules! wanted {
    ($input:expr, $headers:expr) => {{
        let (range, part_number) = piece($input.range, $input.part_number)?;
        GetObject {
            bucket: names::bucket(&$input.bucket)?,
            key: names::key(&$input.key)?,
            version: names::version($input.version_id.as_deref())?,
            range,
            part_number,
            conditions: ReadConditions {
                if_range: if_range(&$headers),
                ..read_conditions(
                    $input.if_match.take(),
                    $input.if_none_match.take(),
                    $input.if_modified_since.take(),
                    $input.if_unmodified_since.take(),
                )
            },
        }
    }};
}

/// What both answer, but for the bytes.
macro_rules! told {
    ($output:ident, $checksum_mode:expr, $part_number:expr, $overrides:expr, $answer:expr) => {{
        let object = &$answer.object;
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length($answer.range.end.saturating_sub($answer.range.start))),
            content_range: $answer.partial.then(|| content_range(&$answer.range, object.size)),
            e_tag: Some(etag(object.etag.clone())),
            last_modified: Some(timestamp(object.modified)),
            parts_count: parts_count(object, $part_number),
            tag_count: tag_count(object),
            version_id: version_id(object),
            expiration: object.expiring.as_ref().map(expiration),
            ..$output::default()
        };
        // A checksum of the whole beside a part of it would make clients refuse good bytes.
        if let Some(stored) = shown(object, $checksum_mode.as_ref(), $answer.partial) {
            set_checksum!(output, stored.checksum.algorithm, checksum::stored_text(stored));
            output.checksum_type = Some(checksum::type_dto(stored.composite_parts.is_none()));
        } else if let Some(part) = $answer.part_checksum.as_ref().filter(|_| is_asked($checksum_mode.as_ref())) {
            // The value is over the part's bytes alone; the kind says how the whole's came about.
            set_checksum!(output, part.checksum.algorithm, checksum::text(&part.checksum));
            output.checksum_type = Some(checksum::type_dto(part.composite_parts.is_none()));
        }
        set_lock!(output, object.protection.lock);
        let mut headers = object.headers.clone();
        $overrides.apply(&mut headers);
        set_object_headers!(output, headers);
        output
    }};
}

impl Front {
    pub(super) async fn put(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let caller = names::caller(&request)?;
        let trailers = request.trailing_headers.take();
        let mut input = request.input;
        let headers = object_headers!(input)?;
        let received = body::receive(&caller, &request.headers, trailers, input.body.take(), input.content_length)?;
        let Received { stream, fault, length, expected } = received;
        let put = PutObject {
            bucket: names::bucket(&input.bucket)?,
            key: names::key(&input.key)?,
            body: stream,
            content_length: length,
            expected,
            headers,
            tags: tagging::from_header(input.tagging.as_deref())?,
            protection: protection!(input)?,
            conditions: write_conditions(input.if_match, input.if_none_match),
        };
        let stored = self.gateway.put_object(&caller, put).await.map_err(|error| fault.explain(error))?;
        let encryption = stored.encryption.clone();
        let mut output = PutObjectOutput {
            e_tag: Some(etag(stored.etag)),
            version_id: stored.version.map(|version| version.to_string()),
            expiration: stored.expiring.as_ref().map(expiration),
            ..PutObjectOutput::default()
        };
        if let Some(stored) = &stored.checksum {
            set_checksum!(output, stored.checksum.algorithm, checksum::stored_text(stored));
            output.checksum_type = Some(checksum::type_dto(stored.composite_parts.is_none()));
        }
        Ok(encryption::told(output, &encryption, &caller))
    }

    pub(super) async fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let caller = names::caller(&request)?;
        let mut input = request.input;
        let overrides = overrides!(input, &caller)?;
        let get = wanted!(input, request.headers);
        let part_number = get.part_number;
        let read = self.gateway.get_object(&caller, get).await?;
        let mut output = told!(GetObjectOutput, input.checksum_mode, part_number, overrides, read);
        output.body = Some(body::outgoing(read.body));
        Ok(encryption::told(output, &read.object.protection.encryption, &caller))
    }

    pub(super) async fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let caller = names::caller(&request)?;
        let mut input = request.input;
        let overrides = overrides!(input, &caller)?;
        let get = wanted!(input, request.headers);
        let part_number = get.part_number;
        let head = self.gateway.head_object(&caller, get).await?;
        let output = told!(HeadObjectOutput, input.checksum_mode, part_number, overrides, head);
        let mut response = encryption::told(output, &head.object.protection.encryption, &caller);
        response.status = head.partial.then_some(http::StatusCode::PARTIAL_CONTENT);
        Ok(response)
    }

    pub(super) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let bucket = names::bucket(&input.bucket)?;
        let target = DeleteTarget {
            key: names::key(&input.key)?,
            version: names::version(input.version_id.as_deref())?,
            if_match: input.if_match.map(etag_match),
            if_modified_at: input.if_match_last_modified_time.map(millis),
            if_size: input.if_match_size.map(size).transpose()?,
        };
        let bypass = input.bypass_governance_retention == Some(true);
        let mut output = DeleteObjectOutput::default();
        for (_, outcome) in self.gateway.delete_objects(&caller, &bucket, vec![target], bypass).await? {
            let deleted = outcome?;
            output.delete_marker = deleted.marker.then_some(true);
            output.version_id = deleted.version.map(|version| version.to_string());
        }
        Ok(S3Response::new(output))
    }

    pub(super) async fn delete_many(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let caller = names::caller(&request)?;
        let bucket = names::bucket(&request.input.bucket)?;
        let bypass = request.input.bypass_governance_retention == Some(true);
        let Delete { objects, quiet } = request.input.delete;
        if objects.is_empty() || objects.len() > DELETES_MAX {
            return Err(S3Error::new(S3ErrorCode::MalformedXML));
        }
        let (targets, refused) = delete_targets(objects);
        let mut errors = refused;
        let mut deleted = Vec::new();
        let outcomes = match targets.is_empty() {
            true => Vec::new(),
            false => self.gateway.delete_objects(&caller, &bucket, targets, bypass).await?,
        };
        for (target, outcome) in outcomes {
            let key = Some(target.key.as_str().to_owned());
            let version_id = target.version.map(|version| version.to_string());
            match outcome {
                Ok(done) => deleted.push(DeletedObject {
                    key,
                    version_id,
                    delete_marker: done.marker.then_some(true),
                    delete_marker_version_id: done.version.filter(|_| done.marker).map(|version| version.to_string()),
                }),
                Err(error) => {
                    let (code, message) = code_and_message(&error);
                    errors.push(s3s::dto::Error { code: Some(code), key, message: Some(message), version_id });
                }
            }
        }
        let deleted = (quiet != Some(true) && !deleted.is_empty()).then_some(deleted);
        let errors = (!errors.is_empty()).then_some(errors);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors, request_charged: None }))
    }
}

/// The targets that can be keys, and an error for each that cannot.
fn delete_targets(objects: Vec<ObjectIdentifier>) -> (Vec<DeleteTarget>, Vec<s3s::dto::Error>) {
    let (mut targets, mut refused) = (Vec::with_capacity(objects.len()), Vec::new());
    for object in objects {
        match delete_target(&object) {
            Ok(target) => targets.push(target),
            Err(error) => refused.push(s3s::dto::Error {
                code: Some(error.code().as_str().to_owned()),
                key: names::echo(&object.key),
                message: error.message().map(str::to_owned),
                version_id: object.version_id,
            }),
        }
    }
    (targets, refused)
}

fn delete_target(object: &ObjectIdentifier) -> S3Result<DeleteTarget> {
    Ok(DeleteTarget {
        key: names::key(&object.key)?,
        version: names::version(object.version_id.as_deref())?,
        if_match: object.e_tag.as_ref().map(|tag| match tag.value() {
            "*" => crate::objects::EtagMatch::Any,
            tag => crate::objects::EtagMatch::OneOf(vec![tag.to_owned()]),
        }),
        if_modified_at: object.last_modified_time.clone().map(millis),
        if_size: object.size.map(size).transpose()?,
    })
}

/// A size in a condition.
fn size(bytes: i64) -> S3Result<u64> {
    u64::try_from(bytes).map_err(|_| S3Error::with_message(S3ErrorCode::InvalidArgument, "a size is not negative"))
}

pub(super) fn version_id(object: &ObjectView) -> Option<String> {
    object.version.map(|version| version.to_string())
}

/// The range or the part that is asked for; not both.
fn piece(asked: Option<s3s::dto::Range>, part_number: Option<i32>) -> S3Result<(Option<RangeSpec>, Option<u32>)> {
    let part_number = part_number.map(names::part_number).transpose()?;
    if asked.is_some() && part_number.is_some() {
        let message = "Range and partNumber exclude each other";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    Ok((asked.map(range), part_number))
}

fn shown<'a>(
    object: &'a ObjectView,
    mode: Option<&ChecksumMode>,
    partial: bool,
) -> Option<&'a crate::objects::StoredChecksum> {
    object.checksum.as_ref().filter(|_| is_asked(mode) && !partial)
}

fn is_asked(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str().eq_ignore_ascii_case(ChecksumMode::ENABLED))
}

fn tag_count(object: &ObjectView) -> Option<i32> {
    i32::try_from(object.tag_count).ok().filter(|count| *count > 0)
}

/// `x-amz-mp-parts-count` comes where a part was asked for.
fn parts_count(object: &ObjectView, part_number: Option<u32>) -> Option<i32> {
    part_number?;
    object.parts_count.and_then(|parts| i32::try_from(parts).ok())
}
