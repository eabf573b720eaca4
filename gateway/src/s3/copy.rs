//! CopyObject, and where copies come from.

use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, MetadataDirective, TaggingDirective};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::checksum::{self, set_checksum};
use super::headers::{etag, object_headers, read_conditions, timestamp, write_conditions};
use super::lifecycle::expiration;
use super::lock::protection;
use super::{Front, encryption, names, tagging};
use crate::objects::{CopyObject, GetObject, ReadConditions};

impl Front {
    pub(super) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let caller = names::caller(&request)?;
        let mut input = request.input;
        let conditions = read_conditions(
            input.copy_source_if_match.take(),
            input.copy_source_if_none_match.take(),
            input.copy_source_if_modified_since.take(),
            input.copy_source_if_unmodified_since.take(),
        );
        let source = source(&input.copy_source, conditions)?;
        let (bucket, key) = (names::bucket(&input.bucket)?, names::key(&input.key)?);
        let replaces_headers =
            replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "x-amz-metadata-directive")?;
        let replaces_tags =
            replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "x-amz-tagging-directive")?;
        let onto_itself = source.bucket == bucket && source.key == key && source.version.is_none();
        if onto_itself && !replaces_headers && !replaces_tags && !caller.encryption.asks() {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                "a copy of an object onto itself must replace its metadata or its tags",
            ));
        }
        let algorithm = input.checksum_algorithm.as_ref().map(|name| checksum::algorithm(name.as_str())).transpose()?;
        let copy = CopyObject {
            source,
            bucket,
            key,
            replace_headers: if replaces_headers { Some(object_headers!(input)?) } else { None },
            replace_tags: match replaces_tags {
                true => Some(tagging::from_header(input.tagging.as_deref())?),
                false => None,
            },
            checksum_algorithm: algorithm,
            protection: protection!(input)?,
            conditions: write_conditions(input.if_match, input.if_none_match),
        };
        let (stored, copied) = self.gateway.copy_object(&caller, copy).await.map_err(of_source)?;
        let mut result = CopyObjectResult {
            e_tag: Some(etag(stored.etag.clone())),
            last_modified: Some(timestamp(stored.modified)),
            ..CopyObjectResult::default()
        };
        if let Some(stored) = &stored.checksum {
            set_checksum!(result, stored.checksum.algorithm, checksum::stored_text(stored));
            result.checksum_type = Some(checksum::type_dto(stored.composite_parts.is_none()));
        }
        let output = CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id: copied.map(|version| version.to_string()),
            version_id: stored.version.map(|version| version.to_string()),
            expiration: stored.expiring.as_ref().map(expiration),
            ..CopyObjectOutput::default()
        };
        Ok(encryption::told(output, &stored.encryption, &caller))
    }
}

/// `COPY` (the default) or `REPLACE`.
fn replaces(directive: Option<&str>, header: &str) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => {
            Err(S3Error::with_message(S3ErrorCode::InvalidArgument, format!("{header} must be COPY or REPLACE")))
        }
    }
}

/// The object that `x-amz-copy-source` names, URL-decoded once by the protocol crate.
pub(super) fn source(source: &CopySource, conditions: ReadConditions) -> S3Result<GetObject> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(super::error::not_implemented("copying from an access point"));
    };
    Ok(GetObject {
        bucket: names::bucket(bucket)?,
        key: names::key(key)?,
        version: names::version(version_id.as_deref())?,
        range: None,
        part_number: None,
        conditions,
    })
}

/// A failed condition on a copy's source is 412 even where a read would answer 304: a PUT has nothing to revalidate.
pub(super) fn of_source(error: crate::objects::Error) -> S3Error {
    match error {
        crate::objects::Error::NotModified { .. } => {
            crate::objects::Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" }.into()
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> GetObject {
        source(&CopySource::parse(header).unwrap(), ReadConditions::default()).unwrap()
    }

    #[test]
    fn a_copy_source_is_url_decoded_once() {
        let copied = parse("/bucket/a%2520b+c%2F..%2Fd");
        assert_eq!((copied.bucket.as_str(), copied.key.as_str()), ("bucket", "a%20b+c/../d"));
    }

    #[test]
    fn a_copy_source_may_name_a_version_and_a_key_may_contain_a_question_mark() {
        let copied = parse("bucket/key%3FversionId=1?versionId=null");
        assert_eq!(copied.key.as_str(), "key?versionId=1");
        assert_eq!(copied.version, Some(crate::catalog::VersionId::Null));
    }

    #[test]
    fn a_copy_directive_is_copy_or_replace() {
        assert!(!replaces(None, "h").unwrap() && !replaces(Some("COPY"), "h").unwrap());
        assert!(replaces(Some("REPLACE"), "h").unwrap());
        assert!(replaces(Some("replace it"), "h").is_err());
    }
}
