//! Names and versions as requests state them.

use domicile_types::{BucketName, ObjectKey, UploadId};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::catalog::VersionId;
use crate::objects::{Caller, UploadRef};

/// The caller that access control established.
pub(super) fn caller<T>(request: &s3s::S3Request<T>) -> S3Result<Caller> {
    let caller = request.extensions.get::<Caller>().cloned();
    caller.ok_or_else(|| S3Error::new(S3ErrorCode::AccessDenied))
}

/// A bucket name.
pub(super) fn bucket(text: &str) -> S3Result<BucketName> {
    BucketName::parse(text).map_err(|error| S3Error::with_message(S3ErrorCode::InvalidBucketName, error.to_string()))
}

/// The name of a bucket to be: each label of it must be one that a host name can have, or the bucket would have no address of
/// its own (Amazon S3's user guide, "Bucket naming rules").
pub(super) fn new_bucket(text: &str) -> S3Result<BucketName> {
    if text.contains("-.") || text.contains(".-") {
        let message = "a bucket's name has no hyphen beside a dot";
        return Err(S3Error::with_message(S3ErrorCode::InvalidBucketName, message));
    }
    bucket(text)
}

/// An object key, which no error message repeats: keys can be personal data.
pub(super) fn key(text: &str) -> S3Result<ObjectKey> {
    ObjectKey::parse(text).map_err(|error| {
        let code =
            if text.len() > ObjectKey::BYTES_MAX { S3ErrorCode::KeyTooLongError } else { S3ErrorCode::InvalidArgument };
        S3Error::with_message(code, error.to_string())
    })
}

/// Belongs to no upload: those of this gateway say when they were begun.
const NO_UPLOAD: UploadId = UploadId::from_bytes([0; 16]);

/// An upload. An id that could not have been given out belongs to none. It is looked up all the same: who asks for it is
/// judged, and its request logged, like any other.
pub(super) fn upload(bucket_name: &str, object_key: &str, id: &str) -> S3Result<UploadRef> {
    let upload = UploadId::parse(id).unwrap_or(NO_UPLOAD);
    Ok(UploadRef { bucket: bucket(bucket_name)?, key: key(object_key)?, upload })
}

/// `versionId`. An id that could not have been given out is refused as such, as S3 does.
pub(super) fn version(text: Option<&str>) -> S3Result<Option<VersionId>> {
    let invalid = || S3Error::with_message(S3ErrorCode::InvalidArgument, "Invalid version id specified");
    text.map(|text| VersionId::parse(text).ok_or_else(invalid)).transpose()
}

/// A part number, 1 to 10,000.
pub(super) fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number).ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
        S3Error::with_message(S3ErrorCode::InvalidArgument, "a part number is an integer from 1 to 10,000")
    })
}

/// `text` where XML 1.0 can carry it, for elements that may be left out.
pub(super) fn echo(text: &str) -> Option<String> {
    (!needs_encoding(text)).then(|| text.to_owned())
}

/// Whether XML 1.0 cannot carry `text`, or would not give it back unchanged (it turns CR into LF).
pub(super) fn needs_encoding(text: &str) -> bool {
    text.chars().any(|c| (c < ' ' && c != '\t' && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_1025_bytes_is_too_long_and_one_with_nul_is_invalid() {
        assert_eq!(key(&"k".repeat(1025)).unwrap_err().code(), &S3ErrorCode::KeyTooLongError);
        assert_eq!(key("a\0b").unwrap_err().code(), &S3ErrorCode::InvalidArgument);
        assert_eq!(key("a/../b//c").unwrap().as_str(), "a/../b//c");
    }

    #[test]
    fn a_new_bucket_has_a_name_that_hosts_can_have() {
        assert!(new_bucket("foo-bar.baz-1").is_ok());
        for bad in ["foo-.bar", "foo.-bar", "foo..bar", "Foo", "a"] {
            assert_eq!(new_bucket(bad).unwrap_err().code(), &S3ErrorCode::InvalidBucketName, "{bad}");
        }
    }

    #[test]
    fn an_upload_id_of_another_form_names_no_upload() {
        assert_eq!(upload("abc", "k", "../../etc").unwrap().upload, NO_UPLOAD);
    }

    #[test]
    fn part_numbers_run_from_one_to_ten_thousand() {
        assert_eq!(part_number(10_000).ok(), Some(10_000));
        for bad in [0, -1, 10_001] {
            assert_eq!(part_number(bad).unwrap_err().code(), &S3ErrorCode::InvalidArgument, "{bad}");
        }
    }
}
