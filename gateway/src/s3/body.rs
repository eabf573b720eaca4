//! Object bytes in and out: between the protocol crate's streams and the use cases' [`BodyStream`].
//!
//! A body can fail in ways that the use case need not tell apart (it stores nothing, whatever it was) but the client must:
//! [`BodyFault`] keeps the exact refusal beside the stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use parking_lot::Mutex;
use s3s::dto::StreamingBlob;
use s3s::stream::aws_chunked_stream::AwsChunkedStreamError;
use s3s::stream::upload_stream::UploadStreamError;
use s3s::{BodySizeLimitExceeded, S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use super::chunks::{self, ChunkFault, Unchunked};
use super::form::FileFault;
use super::{checksum, error};
use crate::objects::{BodyError, BodyStream, Caller, Error, ExpectedDigests, Principal};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The client left, or the connection's framing broke.
#[derive(Debug, thiserror::Error)]
#[error("the connection ended before the request body did")]
pub(super) struct ClientLeft;

/// The exact reason why a body failed, if it did.
#[derive(Clone, Default)]
pub(super) struct BodyFault(Arc<Mutex<Option<S3Error>>>);

impl BodyFault {
    /// The answer to a use case that failed: the body's own fault if there was one, else what the use case says.
    pub(super) fn explain(&self, error: Error) -> S3Error {
        self.0.lock().take().unwrap_or_else(|| error.into())
    }
}

/// A body that is to be stored, with what must hold of it.
pub(super) struct Received {
    pub(super) stream: BodyStream,
    pub(super) fault: BodyFault,
    /// Its length without framing, where the client declared one.
    pub(super) length: Option<u64>,
    pub(super) expected: ExpectedDigests,
}

/// Receives the body of PutObject or UploadPart. What is signed has been taken apart and is being verified by the protocol
/// crate; what nobody signed is taken apart here.
pub(super) fn receive(
    caller: &Caller,
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    blob: Option<StreamingBlob>,
    length: Option<i64>,
) -> S3Result<Received> {
    let signed = caller.principal != Principal::Anonymous;
    if signed || !chunks::is_chunked(headers) {
        let mut expected = checksum::expected(headers, trailers)?;
        if !signed {
            expected.sha256 = checksum::text_header(headers, "x-amz-content-sha256").and_then(digest);
        }
        let (stream, fault) = incoming(blob);
        return Ok(Received { stream, fault, length: length.and_then(|length| u64::try_from(length).ok()), expected });
    }
    let length = checksum::text_header(headers, "x-amz-decoded-content-length").and_then(|text| text.parse().ok());
    let fault = BodyFault::default();
    let Some(blob) = blob else {
        return Err(S3Error::with_message(S3ErrorCode::IncompleteBody, "the aws-chunked body is incomplete"));
    };
    let (unchunked, trailers) = Unchunked::new(blob);
    let expected = checksum::expected_with(headers, Some(Box::new(move || trailers.take())))?;
    let stream: BodyStream = Box::pin(Incoming { blob: unchunked, fault: fault.clone() });
    Ok(Received { stream, fault, length, expected })
}

/// SHA-256 in hexadecimal.
fn digest(text: &str) -> Option<[u8; 32]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// A request's body, and the place where its fault will be told.
pub(super) fn incoming(blob: Option<StreamingBlob>) -> (BodyStream, BodyFault) {
    let fault = BodyFault::default();
    let body: BodyStream = match blob {
        Some(blob) => Box::pin(Incoming { blob, fault: fault.clone() }),
        None => Box::pin(futures::stream::empty()),
    };
    (body, fault)
}

struct Incoming<S> {
    blob: S,
    fault: BodyFault,
}

impl<S: Stream<Item = Result<Bytes, Cause>> + Unpin> Stream for Incoming<S> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.blob).poll_next(context));
        Poll::Ready(next.map(|item| {
            item.map_err(|cause| {
                let (answer, error) = classify(cause);
                *self.fault.0.lock() = Some(answer);
                error
            })
        }))
    }
}

/// What to tell the client and what to tell the use case.
fn classify(cause: Cause) -> (S3Error, BodyError) {
    let answer = answer_to(cause.as_ref());
    let error = if answer.code() == &S3ErrorCode::SignatureDoesNotMatch {
        BodyError::BadSignature(Some(cause))
    } else {
        BodyError::Incomplete(Some(cause))
    };
    (answer, error)
}

fn answer_to(cause: &(dyn std::error::Error + 'static)) -> S3Error {
    let with = S3Error::with_message;
    if let Some(chunked) = cause.downcast_ref::<AwsChunkedStreamError>() {
        return match chunked {
            AwsChunkedStreamError::SignatureMismatch => {
                with(S3ErrorCode::SignatureDoesNotMatch, "a chunk or the trailer does not bear its signature")
            }
            AwsChunkedStreamError::Incomplete => {
                with(S3ErrorCode::IncompleteBody, "the aws-chunked body is incomplete")
            }
            AwsChunkedStreamError::LengthMismatch => {
                with(S3ErrorCode::IncompleteBody, "the body does not have its x-amz-decoded-content-length")
            }
            AwsChunkedStreamError::ChunkDataTooLarge(..) => with(
                S3ErrorCode::EntityTooLarge,
                "a signed chunk is above 16 MiB; send smaller chunks, or unsigned ones over TLS",
            ),
            AwsChunkedStreamError::Underlying(source) => answer_to(source.as_ref()),
            _ => with(S3ErrorCode::InvalidRequest, "the body is not well-formed aws-chunked data"),
        };
    }
    if let Some(fault) = cause.downcast_ref::<ChunkFault>() {
        let code = match fault {
            ChunkFault::Incomplete => S3ErrorCode::IncompleteBody,
            ChunkFault::Malformed => S3ErrorCode::InvalidRequest,
        };
        return S3Error::with_message(code, fault.to_string());
    }
    if let Some(upload) = cause.downcast_ref::<UploadStreamError>() {
        return match upload {
            UploadStreamError::Sha256Mismatch => error::custom(
                "XAmzContentSHA256Mismatch",
                http::StatusCode::BAD_REQUEST,
                "the body does not match its x-amz-content-sha256; nothing was stored",
            ),
            UploadStreamError::Underlying(source) => answer_to(source.as_ref()),
            _ => with(S3ErrorCode::IncompleteBody, "the body does not have its Content-Length"),
        };
    }
    if let Some(fault) = cause.downcast_ref::<FileFault>() {
        return match fault {
            FileFault::TooSmall => with(S3ErrorCode::EntityTooSmall, "the file is smaller than the policy allows"),
            FileFault::TooLarge => with(S3ErrorCode::EntityTooLarge, "the file is larger than the policy or S3 allows"),
        };
    }
    if cause.is::<BodySizeLimitExceeded>() {
        return S3Error::new(S3ErrorCode::EntityTooLarge);
    }
    if cause.is::<ClientLeft>() {
        return with(S3ErrorCode::IncompleteBody, "the connection ended before the body did");
    }
    match cause.source() {
        Some(source) => answer_to(source),
        None => with(S3ErrorCode::IncompleteBody, "the body could not be read to its end"),
    }
}

/// An object's bytes as the protocol crate sends them.
pub(super) fn outgoing(body: BodyStream) -> StreamingBlob {
    StreamingBlob::wrap(Outgoing(Mutex::new(body)))
}

/// [`BodyStream`] is `Send` only; the protocol crate wants `Sync` too. The lock is never taken: it is only ever polled
/// through `&mut`.
struct Outgoing(Mutex<BodyStream>);

impl Stream for Outgoing {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.get_mut().as_mut().poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn fail(cause: Cause) -> (S3Error, BodyError) {
        classify(cause)
    }

    #[test]
    fn a_wrong_chunk_signature_is_told_apart_from_a_body_that_ends_early() {
        let (answer, error) = fail(Box::new(AwsChunkedStreamError::SignatureMismatch));
        assert_eq!(answer.code(), &S3ErrorCode::SignatureDoesNotMatch);
        assert!(matches!(error, BodyError::BadSignature(_)));
        let (answer, error) = fail(Box::new(AwsChunkedStreamError::Underlying(Box::new(ClientLeft))));
        assert_eq!(answer.code(), &S3ErrorCode::IncompleteBody);
        assert!(matches!(error, BodyError::Incomplete(_)));
    }

    #[test]
    fn a_wrong_payload_hash_has_its_own_code() {
        let (answer, _) = fail(Box::new(UploadStreamError::Sha256Mismatch));
        assert_eq!(answer.code().as_str(), "XAmzContentSHA256Mismatch");
    }

    #[tokio::test]
    async fn the_fault_of_a_body_explains_the_failure_of_the_use_case() {
        let broken = futures::stream::iter([Ok(Bytes::from_static(b"a")), Err(UploadStreamError::Sha256Mismatch)]);
        let (mut body, fault) = incoming(Some(StreamingBlob::wrap(broken)));
        assert!(body.next().await.unwrap().is_ok());
        assert!(body.next().await.unwrap().is_err());
        let answer = fault.explain(Error::IncompleteBody { received: 1 });
        assert_eq!(answer.code().as_str(), "XAmzContentSHA256Mismatch");
        assert_eq!(fault.explain(Error::NoSuchKey).code(), &S3ErrorCode::NoSuchKey);
    }
}
