//! A form as the PutObject that it asks for.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use domicile_types::{BucketName, ObjectKey};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::Tagging;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::fields::{File, Form};

/// Fields that are headers of PutObject under the same name.
const HEADERS: [&str; 10] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-sdk-checksum-algorithm",
];

/// Beginnings of such fields.
const HEADER_FAMILIES: [&str; 4] =
    ["x-amz-meta-", "x-amz-checksum-", "x-amz-server-side-encryption", "x-amz-object-lock-"];

/// Fields of Amazon's that are no headers and have been looked at.
const SEEN: [&str; 5] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"];

/// Why the file of a form is not taken.
#[derive(Debug, thiserror::Error)]
pub(in crate::s3) enum FileFault {
    /// Below the policy's content-length-range.
    #[error("the file is smaller than the policy allows")]
    TooSmall,
    /// Above it, or above what S3 takes in one request.
    #[error("the file is larger than the policy, or one upload, allows")]
    TooLarge,
}

/// The PutObject. Its `PUT` has no query and no header that the form's fields did not ask for, so it can be nothing else.
pub(super) fn request(
    bucket: &BucketName,
    key: &ObjectKey,
    form: Form,
    length: RangeInclusive<u64>,
) -> S3Result<s3s::HttpRequest> {
    let headers = headers(&form)?;
    let target = format!("/{bucket}/{}", path(key.as_str()));
    let uri: Uri = target.parse().map_err(|_| S3Error::new(S3ErrorCode::InvalidURI))?;
    let file = Bounded { file: form.file, received: 0, length, ended: false };
    let body = s3s::Body::http_body_unsync(StreamBody::new(file.map(|piece| piece.map(Frame::data))));
    let mut request = http::Request::new(body);
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn headers(form: &Form) -> S3Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, text: &str| -> S3Result<()> {
        let bad = || S3Error::with_message(S3ErrorCode::InvalidArgument, format!("the field {name} is not valid"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        headers.insert(header, HeaderValue::from_bytes(text.as_bytes()).map_err(|_| bad())?);
        Ok(())
    };
    for (name, value) in &form.fields {
        match name.as_str() {
            "acl" => set("x-amz-acl", value)?,
            "tagging" => set("x-amz-tagging", &tagging(value)?)?,
            name if HEADERS.contains(&name) || HEADER_FAMILIES.iter().any(|family| name.starts_with(family)) => {
                set(name, value)?;
            }
            name if name.starts_with("x-amz-") && !SEEN.contains(&name) => {
                let message = format!("the field {name} is not one that a form may have");
                return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
            }
            _ => {}
        }
    }
    Ok(headers)
}

/// The document of the field `tagging` as the header `x-amz-tagging`.
fn tagging(document: &str) -> S3Result<String> {
    let mut xml = s3s::xml::Deserializer::new(document.as_bytes());
    let tagging = <Tagging as s3s::xml::Deserialize>::deserialize(&mut xml);
    let tagging = tagging.and_then(|tagging| xml.expect_eof().map(|()| tagging));
    let tagging = tagging.map_err(|_| S3Error::new(S3ErrorCode::MalformedXML))?;
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for tag in tagging.tag_set {
        pairs.append_pair(tag.key.as_deref().unwrap_or_default(), tag.value.as_deref().unwrap_or_default());
    }
    Ok(pairs.finish())
}

/// A key as a path: everything but unreserved characters and slashes percent-encoded.
pub(super) fn path(key: &str) -> String {
    use std::fmt::Write as _;
    key.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The file, as long as it keeps to its length. What breaks it off leaves nothing stored.
struct Bounded {
    file: File,
    received: u64,
    length: RangeInclusive<u64>,
    ended: bool,
}

impl Stream for Bounded {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match std::task::ready!(self.file.poll_next_unpin(context)) {
            Some(Ok(piece)) => {
                self.received = self.received.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                if self.received <= *self.length.end() { Ok(piece) } else { Err(FileFault::TooLarge.into()) }
            }
            Some(Err(error)) => Err(error.into()),
            None if self.received < *self.length.start() => Err(FileFault::TooSmall.into()),
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
        };
        self.ended = next.is_err();
        Poll::Ready(Some(next))
    }
}
