//! A form up to its file: fields with their values, bounded in number and size before anything is known of the sender.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use http_body_util::BodyDataStream;
use s3s::{S3Error, S3ErrorCode, S3Result};
use s3s_multipart::{Boundary, Multipart, PartDataStream, parse_content_disposition};

use super::super::body::ClientLeft;
use super::super::checksum::text_header;

/// The values of all fields together, in bytes. Amazon S3 takes 20 KB.
pub(super) const FIELDS_BYTES_MAX: usize = 64 * 1024;
/// Fields of a form.
pub(super) const FIELDS_MAX: usize = 100;
/// The headers of one part, in bytes.
const PART_HEADERS_BYTES_MAX: usize = 4 * 1024;
/// Everything before the file: values, headers, delimiters, and what stands before the first of them.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// The variable in fields that stands for the name of the file.
const FILE_NAME_VARIABLE: &str = "${filename}";

/// Fields whose value is signed or is a signature: no variable is replaced in them.
const VERBATIM: [&str; 7] =
    ["policy", "signature", "awsaccesskeyid", "x-amz-signature", "x-amz-credential", "x-amz-security-token", "bucket"];

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, s3s_multipart::Error>> + Send>>;

/// The bytes of the form's file.
pub(super) type File = PartDataStream<Pieces>;

/// What a form says before its file, and the file.
pub(super) struct Form {
    /// Names in lower case; none is there twice.
    pub(super) fields: Vec<(String, String)>,
    /// The file's bytes.
    pub(super) file: File,
}

impl Form {
    /// The value of a field, by its name in lower case.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }
}

/// The value of a field, by its name in lower case.
pub(super) fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Reads a form up to its file.
pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> S3Result<Form>
where
    B: http_body::Body<Data = Bytes, Error = ClientLeft> + Send + Unpin + 'static,
{
    let boundary = boundary(headers)?;
    let file_begun = Arc::new(AtomicBool::new(false));
    let body = BodyDataStream::new(body).map(|piece| piece.map_err(s3s_multipart::Error::stream_read_failed));
    let pieces: Pieces = Box::pin(Head { body, seen: 0, file_begun: Arc::clone(&file_begun) });
    let mut parser = Multipart::new(pieces, &boundary, PART_HEADERS_BYTES_MAX);
    let (mut fields, mut bytes): (Vec<(String, String)>, usize) = (Vec::new(), 0);
    loop {
        let Some(mut part) = parser.next_part().await.map_err(malformed)? else {
            let message = "a form uploads exactly one file, in a field named file";
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
        };
        let mut named = None;
        while let Some(header) = part.next_header().await.map_err(malformed)? {
            if header.name.eq_ignore_ascii_case("content-disposition") {
                named = parse_content_disposition(header.value).and_then(|disposition| {
                    let file_name = disposition.file_name.map(|name| String::from_utf8_lossy(name).into_owned());
                    Some((text(disposition.name?)?.to_ascii_lowercase(), file_name))
                });
            }
        }
        let (name, file_name) = named.ok_or_else(|| refuse("a part of the form has no name"))?;
        if name == "file" {
            let file = part.take_data_stream().map_err(malformed)?;
            file_begun.store(true, Ordering::Relaxed);
            replace_variable(&mut fields, file_name.as_deref().unwrap_or_default());
            return Ok(Form { fields, file });
        }
        let mut value = Vec::new();
        while let Some(piece) = part.next_data().await.map_err(malformed)? {
            bytes += piece.len();
            if bytes > FIELDS_BYTES_MAX {
                return Err(S3Error::new(S3ErrorCode::MaxPostPreDataLengthExceededError));
            }
            value.extend_from_slice(&piece);
        }
        let value = text(&value).ok_or_else(|| refuse("a field of the form is not UTF-8"))?;
        if fields.len() >= FIELDS_MAX {
            return Err(S3Error::new(S3ErrorCode::MaxPostPreDataLengthExceededError));
        }
        // Which of two would be checked, and which obeyed?
        if fields.iter().any(|(known, _)| *known == name) && !name.starts_with("x-ignore-") {
            let message = format!("the form has more than one field named {name}");
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
        }
        fields.push((name, value));
    }
}

fn boundary(headers: &HeaderMap) -> S3Result<Boundary> {
    let kind: Option<mime::Mime> = text_header(headers, "content-type").and_then(|text| text.parse().ok());
    let kind = kind.filter(|kind| kind.type_() == mime::MULTIPART && kind.subtype() == mime::FORM_DATA);
    let kind = kind.ok_or_else(|| {
        let message = "a form's Content-Type is multipart/form-data with a boundary";
        S3Error::with_message(S3ErrorCode::PreconditionFailed, message)
    })?;
    let boundary = kind.get_param(mime::BOUNDARY).and_then(|text| Boundary::new(text.as_str().as_bytes()).ok());
    boundary.ok_or_else(|| refuse("the form's boundary is missing or not valid"))
}

/// `${filename}` is the name of the file without its folder, which some browsers send along.
fn replace_variable(fields: &mut [(String, String)], file_name: &str) {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    for (name, value) in fields {
        if value.contains(FILE_NAME_VARIABLE) && !VERBATIM.contains(&name.as_str()) {
            *value = value.replace(FILE_NAME_VARIABLE, base);
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn refuse(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedPOSTRequest, message)
}

fn malformed(error: s3s_multipart::Error) -> S3Error {
    use s3s_multipart::Error as E;
    match error {
        E::StreamReadFailed(source) if source.is::<HeadTooLong>() => {
            S3Error::new(S3ErrorCode::MaxPostPreDataLengthExceededError)
        }
        E::StreamReadFailed(_) | E::IncompleteStream => {
            S3Error::with_message(S3ErrorCode::IncompleteBody, "the form ended before its file")
        }
        E::HeaderSizeExceeded { .. } => S3Error::new(S3ErrorCode::MaxPostPreDataLengthExceededError),
        _ => refuse("the form is not well-formed multipart/form-data"),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the form is too long before its file")]
struct HeadTooLong;

/// A form's bytes, of which only so many may come before the file begins.
struct Head<S> {
    body: S,
    seen: usize,
    file_begun: Arc<AtomicBool>,
}

impl<S> Stream for Head<S>
where
    S: Stream<Item = Result<Bytes, s3s_multipart::Error>> + Unpin,
{
    type Item = Result<Bytes, s3s_multipart::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.file_begun.load(Ordering::Relaxed) && self.seen >= HEAD_BYTES_MAX {
            return Poll::Ready(Some(Err(s3s_multipart::Error::stream_read_failed(HeadTooLong))));
        }
        let next = std::task::ready!(self.body.poll_next_unpin(context));
        if let Some(Ok(piece)) = &next {
            self.seen = self.seen.saturating_add(piece.len());
        }
        Poll::Ready(next)
    }
}
