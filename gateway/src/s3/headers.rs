//! Headers that objects keep, conditions, ranges and times.

use domicile_types::UnixMillis;
use s3s::dto::{ETag, ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::objects::{EtagMatch, IfRange, ObjectHeaders, RangeSpec, ReadConditions, WriteConditions};

/// The longest user metadata, names and values together, in bytes (Amazon S3's user guide, "Object metadata").
const USER_METADATA_BYTES_MAX: usize = 2 * 1024;

/// The content type of an object that was stored without one.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The headers that an input of the protocol crate gives an object.
macro_rules! object_headers {
    ($input:expr) => {
        crate::s3::headers::checked(crate::objects::ObjectHeaders {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            user_metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        })
    };
}
pub(super) use object_headers;

/// Sets the stored headers in an output of the protocol crate.
macro_rules! set_object_headers {
    ($output:expr, $headers:expr) => {{
        let headers = $headers;
        $output.content_type =
            Some(headers.content_type.unwrap_or_else(|| crate::s3::headers::DEFAULT_CONTENT_TYPE.to_owned()));
        $output.content_encoding = headers.content_encoding;
        $output.content_disposition = headers.content_disposition;
        $output.content_language = headers.content_language;
        $output.cache_control = headers.cache_control;
        $output.expires = headers.expires;
        $output.metadata = (!headers.user_metadata.is_empty()).then(|| headers.user_metadata.into_iter().collect());
    }};
}
pub(super) use set_object_headers;

/// Drops what describes the transfer rather than the object, and bounds the rest.
pub(super) fn checked(mut headers: ObjectHeaders) -> S3Result<ObjectHeaders> {
    headers.content_encoding = headers.content_encoding.and_then(|value| without_aws_chunked(&value));
    headers.content_type = headers.content_type.filter(|value| !value.is_empty());
    let bytes: usize = headers.user_metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > USER_METADATA_BYTES_MAX {
        return Err(S3Error::with_message(
            S3ErrorCode::MetadataTooLarge,
            format!("user metadata has {bytes} bytes; {USER_METADATA_BYTES_MAX} are the most"),
        ));
    }
    Ok(headers)
}

/// `Content-Encoding` without `aws-chunked`, which ends with the request. A value without it is kept letter for letter.
fn without_aws_chunked(value: &str) -> Option<String> {
    let is_transfer = |coding: &str| coding.eq_ignore_ascii_case("aws-chunked");
    let codings = || value.split(',').map(str::trim);
    if !codings().any(is_transfer) {
        return (!value.is_empty()).then(|| value.to_owned());
    }
    let kept = codings().filter(|coding| !coding.is_empty() && !is_transfer(coding)).collect::<Vec<_>>().join(", ");
    (!kept.is_empty()).then_some(kept)
}

/// The entity tags of a condition.
pub(super) fn etag_match(condition: ETagCondition) -> EtagMatch {
    match condition {
        ETagCondition::Any => EtagMatch::Any,
        ETagCondition::ETag(tag) => EtagMatch::OneOf(vec![tag.into_value()]),
    }
}

/// The conditions of a read.
pub(super) fn read_conditions(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: if_match.map(etag_match),
        if_none_match: if_none_match.map(etag_match),
        if_modified_since: if_modified_since.map(millis),
        if_unmodified_since: if_unmodified_since.map(millis),
        if_range: None,
    }
}

/// `If-Range`, which the protocol crate leaves out.
pub(super) fn if_range(headers: &http::HeaderMap) -> Option<IfRange> {
    let value = headers.get(http::header::IF_RANGE)?;
    let Ok(text) = value.to_str().map(str::trim) else { return Some(IfRange::Nothing) };
    if let Some(tag) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Some(IfRange::Etag(tag.to_owned()));
    }
    // A weak tag is no date, either.
    Some(match Timestamp::parse(TimestampFormat::HttpDate, text) {
        Ok(date) => IfRange::Modified(millis(date)),
        Err(_) => IfRange::Nothing,
    })
}

/// The conditions of a write.
pub(super) fn write_conditions(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> WriteConditions {
    WriteConditions { if_match: if_match.map(etag_match), if_none_match: if_none_match.map(etag_match) }
}

/// A range before the object's size is known.
pub(super) fn range(range: Range) -> RangeSpec {
    match range {
        Range::Int { first, last } => RangeSpec::From { first, last },
        Range::Suffix { length } => RangeSpec::Suffix { length },
    }
}

/// `x-amz-copy-source-range`: `bytes=first-last`, both given, and nothing else.
pub(super) fn copy_range(text: &str) -> S3Result<RangeSpec> {
    match Range::parse(text) {
        Ok(Range::Int { first, last: Some(last) }) => Ok(RangeSpec::From { first, last: Some(last) }),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidArgument,
            "x-amz-copy-source-range must be bytes=first-last with both given",
        )),
    }
}

/// `Content-Range` of a partial answer.
pub(super) fn content_range(range: &std::ops::Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

/// A time as the protocol crate states it.
pub(super) fn timestamp(millis: UnixMillis) -> Timestamp {
    Timestamp::from(time::OffsetDateTime::from(millis))
}

/// A time in the form of `Last-Modified`.
pub(super) fn http_date(millis: UnixMillis) -> String {
    let mut text = Vec::new();
    // Writing into a vector does not fail, and every time of this gateway has the form.
    let _ = timestamp(millis).format(TimestampFormat::HttpDate, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

pub(super) fn millis(timestamp: Timestamp) -> UnixMillis {
    UnixMillis::from(time::OffsetDateTime::from(timestamp))
}

/// A stored entity tag as the protocol crate states it.
pub(super) fn etag(value: String) -> ETag {
    ETag::Strong(value)
}

/// A length as the protocol crate states it.
pub(super) fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_not_kept_as_content_encoding() {
        for (sent, kept) in [
            ("aws-chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, aws-chunked", Some("gzip")),
            ("gzip, br", Some("gzip, br")),
            ("gzip,br", Some("gzip,br")),
            ("br,aws-chunked,gzip", Some("br, gzip")),
            ("aws-chunked, AWS-Chunked", None),
            ("", None),
        ] {
            assert_eq!(without_aws_chunked(sent).as_deref(), kept, "{sent}");
        }
    }

    #[test]
    fn user_metadata_above_two_kibibytes_is_refused() {
        let with = |bytes: usize| {
            let user_metadata = [("n".to_owned(), "v".repeat(bytes - 1))].into();
            checked(ObjectHeaders { user_metadata, ..ObjectHeaders::default() })
        };
        assert!(with(2048).is_ok());
        assert_eq!(with(2049).unwrap_err().code(), &S3ErrorCode::MetadataTooLarge);
    }

    #[test]
    fn if_range_is_a_strong_tag_or_a_date() {
        let read = |text: &str| {
            let headers = [(http::header::IF_RANGE, text.parse().unwrap())].into_iter().collect();
            if_range(&headers)
        };
        assert_eq!(read("\"abc\""), Some(IfRange::Etag("abc".to_owned())));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:07 GMT"), Some(IfRange::Modified(UnixMillis(7_000))));
        for nothing in ["W/\"abc\"", "abc", ""] {
            assert_eq!(read(nothing), Some(IfRange::Nothing), "{nothing}");
        }
        assert_eq!(if_range(&http::HeaderMap::new()), None);
    }

    #[test]
    fn a_copy_range_needs_both_ends() {
        assert_eq!(copy_range("bytes=0-9").unwrap(), RangeSpec::From { first: 0, last: Some(9) });
        for bad in ["bytes=0-", "bytes=-5", "0-9", "bytes=9-0", "bytes=a-b", "bytes=0-9,11-12"] {
            assert_eq!(copy_range(bad).unwrap_err().code(), &S3ErrorCode::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn a_content_range_is_inclusive() {
        assert_eq!(content_range(&(0..10), 100), "bytes 0-9/100");
    }
}
