//! Joins actix's HTTP server to the S3 protocol crate, streaming both ways.
//!
//! Request bodies go through a channel of a few pieces into a body that may cross threads; response bodies are polled by the
//! connection itself. So back-pressure holds in both directions, and a client that leaves in mid-PUT reaches the use case as
//! a body that ends early.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_http::{ConnectionType, Payload, Request, Response};
use bytes::Bytes;
use domicile_types::RequestId;
use futures::{FutureExt as _, Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use s3s::service::S3Service;
use tokio::sync::mpsc;

use super::auth::Arrival;
use super::body::ClientLeft;
use super::cors::{self, Sharing};
use super::form::{self, Forms};
use super::hosts::{Hosts, OfHost};
use super::invitation::Invitations;
use super::journal::{Entry, Journal};
use super::markup::Markup;
use super::{admission, checksum, error, sts};
use crate::clock::Clock;
use crate::objects::digest::BodyDigests;
use crate::objects::{Error, ExpectedDigests};

/// Pieces of a request body between the connection and the use case. actix reads pieces of at most 64 KiB.
const PIECES_IN_FLIGHT: usize = 4;

/// How long, after the answer is known, a use case that gave up may take to let go of the body.
const PUMP_GRACE: Duration = Duration::from_secs(1);

/// A client that sends nothing for so long in mid-body has left.
const BODY_SILENCE_MAX: Duration = Duration::from_secs(60);

/// What stands behind the listeners.
#[derive(Clone)]
pub(super) struct Door {
    /// The protocol, with authentication.
    pub(super) service: S3Service,
    /// Browser uploads, which authenticate by themselves.
    pub(super) forms: Forms,
    /// Whose bodies are invited.
    pub(super) invitations: Invitations,
    /// What buckets allow pages of other origins.
    pub(super) sharing: Sharing,
    /// Which hosts name buckets.
    pub(super) hosts: Hosts,
    /// What access logs are told.
    pub(super) journal: Journal,
}

/// Serves one request. It always has an answer.
pub(super) async fn serve(door: &Door, mut request: Request, secure: bool) -> Response<Outgoing> {
    let id = RequestId::from_bytes(Clock.random());
    let payload = request.take_payload();
    let arrival = Arrival { peer: request.peer_addr().map(|peer| peer.ip()), secure, request: id };
    let old_protocol = request.version() < actix_http::Version::HTTP_2;
    let (method, path) = (request.method().as_str().to_owned(), request.path().to_owned());
    let mut entry = None;
    let converted = convert(&request, &door.hosts);
    let (answer, body_left) = match converted {
        Ok(converted) if cors::is_preflight(&converted) => {
            (door.sharing.preflight(&converted, arrival).await, !matches!(payload, Payload::None))
        }
        Ok(mut converted) => {
            entry = door.journal.begin(&converted, arrival.peer, secure, id);
            if let Some(entry) = &entry {
                converted.extensions_mut().insert(entry.witness());
            }
            let page = cors::Asked::by(&converted);
            let (mut answer, body_left) = call(door, converted, payload, arrival).await;
            if let Some(page) = page {
                door.sharing.accompany(&page, &mut answer).await;
            }
            (answer, body_left)
        }
        Err(refusal) => (refuse(&refusal), true),
    };
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    tracing::debug!(request_id = %id, %method, status = answer.status().as_u16(), "served");
    if let Some(entry) = &mut entry {
        entry.answered(&answer);
    }
    let mut response = respond(answer, &method, &path, id).map_body(|_, mut body| {
        body.entry = entry;
        body
    });
    if body_left && old_protocol {
        // The rest of the body is not read; nothing that follows on this connection could be told from it.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Whether the body of a PUT may come that waits for `100 Continue`; the answer where it may not.
pub(super) async fn invite(door: &Door, request: &Request, secure: bool) -> Result<(), Response<Outgoing>> {
    let id = RequestId::from_bytes(Clock.random());
    let arrival = Arrival { peer: request.peer_addr().map(|peer| peer.ip()), secure, request: id };
    let refusal = match convert(request, &door.hosts) {
        Ok(head) if head.method() != Method::PUT => None,
        Ok(mut head) => {
            head.extensions_mut().insert(arrival);
            door.invitations.refusal(head).await
        }
        Err(refusal) => Some(refuse(&refusal)),
    };
    match refusal {
        Some(answer) => Err(turn_away(answer, request.path(), id)),
        None => Ok(()),
    }
}

/// The answer to a request whose body stays where it is. Nothing that follows on the connection could be told from it.
pub(super) fn turn_away(answer: s3s::HttpResponse, path: &str, id: RequestId) -> Response<Outgoing> {
    let mut response = respond(answer, &Method::PUT, path, id);
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}

/// An answer that no operation made.
pub(super) fn refuse((status, code, message): &admission::Refusal) -> s3s::HttpResponse {
    let mut answer = http::Response::new(s3s::Body::from(error::document(code, message)));
    *answer.status_mut() = *status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// The request's head in the protocol crate's generation of the `http` crate.
fn convert(request: &Request, hosts: &Hosts) -> Result<http::Request<()>, admission::Refusal> {
    let bad = |message| (StatusCode::BAD_REQUEST, "InvalidURI", message);
    let method = Method::from_bytes(request.method().as_str().as_bytes())
        .map_err(|_| (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "the method is not known"))?;
    let uri: http::Uri = request.uri().to_string().parse().map_err(|_| bad("the request's target is not a URI"))?;
    let mut converted = http::Request::new(());
    *converted.method_mut() = method;
    *converted.uri_mut() = uri;
    *converted.version_mut() = match request.version() {
        actix_http::Version::HTTP_10 => http::Version::HTTP_10,
        actix_http::Version::HTTP_2 => http::Version::HTTP_2,
        _ => http::Version::HTTP_11,
    };
    for (name, value) in request.head().headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|_| bad("a header's name is not valid"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("a header's value is not valid"))?;
        converted.headers_mut().append(name, value);
    }
    super::ranges::ignore_what_s3_ignores(&mut converted);
    let host = checksum::text_header(converted.headers(), "host").or_else(|| converted.uri().host());
    if let Some(bucket) = host.and_then(|host| hosts.bucket(host)) {
        converted.extensions_mut().insert(OfHost(bucket));
    }
    Ok(converted)
}

/// Answers, and says whether some of the request's body was left unread.
async fn call(
    door: &Door,
    request: http::Request<()>,
    payload: Payload,
    arrival: Arrival,
) -> (s3s::HttpResponse, bool) {
    let form = form::is_form(request.method(), checksum::text_header(request.headers(), "content-type"));
    if let Err(refusal) = admission::link(request.uri()) {
        return (refuse(&refusal), true);
    }
    let markup = is_document(&request, form).then(Markup::default);
    let claims = match document_claims(&request) {
        Ok(claims) => claims,
        Err(refusal) => return (error_answer(refusal), true),
    };
    let (mut parts, ()) = request.into_parts();
    parts.extensions.insert(arrival);
    if matches!(payload, Payload::None) {
        let request = http::Request::from_parts(parts, s3s::Body::empty());
        return (answer(&door.service, request).await, false);
    }
    let length = checksum::text_header(&parts.headers, "content-length").and_then(|text| text.parse().ok());
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let mut pump = actix_rt::spawn(pump(payload, sender, claims, markup));
    let body = Incoming { receiver, left: length, ended: false };
    let made = if form {
        door.forms.serve(&parts, body, arrival).await.unwrap_or_else(error_answer)
    } else {
        let of_tokens = sts::is_for(&parts.method, &parts.uri, &parts.headers);
        let request = http::Request::from_parts(parts, s3s::Body::http_body_unsync(body));
        let answer = answer(&door.service, request).await;
        if of_tokens { sts::in_its_form(answer, &arrival.request.to_string()) } else { answer }
    };
    // Whoever read the body has dropped it, or is about to: then the pump ends.
    let ended = tokio::time::timeout(PUMP_GRACE, &mut pump).await;
    if ended.is_err() {
        pump.abort();
    }
    match ended.ok().and_then(Result::ok).unwrap_or(Pumped::Left) {
        Pumped::Whole => (made, false),
        Pumped::Left => (made, true),
        Pumped::Untrue(refusal) => (error_answer(refusal.into()), false),
        Pumped::Declares => {
            let message = "the document has a document type or a CDATA section; send plain elements";
            (error_answer(s3s::S3Error::with_message(s3s::S3ErrorCode::MalformedXML, message)), true)
        }
    }
}

async fn answer(service: &S3Service, request: s3s::HttpRequest) -> s3s::HttpResponse {
    match service.call(request).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%error, "request could not be answered");
            error_answer(s3s::S3Error::new(s3s::S3ErrorCode::InternalError))
        }
    }
}

pub(super) fn error_answer(error: s3s::S3Error) -> s3s::HttpResponse {
    let failed = (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "the answer could not be written");
    error.to_http_response().unwrap_or_else(|_| refuse(&failed))
}

/// Subresources that a PUT writes as a document.
const DOCUMENTS: [&str; 12] = [
    "acl",
    "cors",
    "encryption",
    "legal-hold",
    "lifecycle",
    "logging",
    "object-lock",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "retention",
    "tagging",
];

/// Whether a request's body is an XML document that names objects or settings, and surely no object's bytes.
fn is_document(request: &http::Request<()>, form: bool) -> bool {
    match *request.method() {
        Method::POST => !form && !sts::is_for(request.method(), request.uri(), request.headers()),
        Method::PUT => DOCUMENTS.iter().any(|name| has_parameter(request, name)),
        _ => false,
    }
}

fn has_parameter(request: &http::Request<()>, name: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name)
}

/// What a client claims about an XML document. The protocol crate takes documents without comparing.
fn document_claims(request: &http::Request<()>) -> s3s::S3Result<Option<ExpectedDigests>> {
    let has = |name: &str| has_parameter(request, name);
    let document = match *request.method() {
        Method::POST => has("delete"),
        Method::PUT => DOCUMENTS.iter().any(|name| has(name)),
        _ => false,
    };
    // The digest of an aws-chunked body is not that of its bytes on the wire.
    let chunked = checksum::text_header(request.headers(), "x-amz-content-sha256")
        .is_some_and(|mode| mode.starts_with("STREAMING-"));
    if document && !chunked { checksum::expected(request.headers(), None).map(Some) } else { Ok(None) }
}

/// How a request body ended.
enum Pumped {
    /// It was read to its end.
    Whole,
    /// Some of it is unread, or the client left.
    Left,
    /// A document does not match what the client claimed about it.
    Untrue(Error),
    /// A document has a declaration that nobody reads.
    Declares,
}

/// What goes through the channel. A channel that closes without [`Piece::End`] is a body that was cut off: no accident on this
/// side can make a part of a body look like the whole.
enum Piece {
    Bytes(Bytes),
    End,
    Left,
}

/// Moves a request body from the connection into the channel, at the pace of whoever reads it.
async fn pump(
    mut payload: Payload,
    sender: mpsc::Sender<Piece>,
    claims: Option<ExpectedDigests>,
    mut markup: Option<Markup>,
) -> Pumped {
    let mut digests = claims.as_ref().map(BodyDigests::new);
    loop {
        let next = tokio::select! {
            biased;
            () = sender.closed() => {
                return if matches!(payload.next().now_or_never(), Some(None)) { Pumped::Whole } else { Pumped::Left };
            }
            next = tokio::time::timeout(BODY_SILENCE_MAX, payload.next()) => next,
        };
        match next {
            Ok(Some(Ok(bytes))) => {
                if let Some(digests) = &mut digests {
                    digests.update(&bytes);
                }
                if markup.as_mut().is_some_and(|markup| markup.update(&bytes)) {
                    let _ = sender.send(Piece::Left).await;
                    return Pumped::Declares;
                }
                if sender.send(Piece::Bytes(bytes)).await.is_err() {
                    // Whoever reads has all it wants; the loop's head sees whether that was everything.
                    continue;
                }
            }
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => {
                // Nobody listens any more where this fails.
                let _ = sender.send(Piece::Left).await;
                return Pumped::Left;
            }
        }
    }
    if let (Some(digests), Some(claims)) = (digests, claims)
        && let Err(untrue) = digests.finish(claims)
    {
        let _ = sender.send(Piece::Left).await;
        return Pumped::Untrue(untrue);
    }
    // Whoever knows the length need not wait for the end.
    let _ = sender.send(Piece::End).await;
    Pumped::Whole
}

/// A request body on its way to the use case.
struct Incoming {
    receiver: mpsc::Receiver<Piece>,
    /// Bytes to come, where the client declared them.
    left: Option<u64>,
    ended: bool,
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = ClientLeft;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, ClientLeft>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.receiver.poll_recv(context));
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => {
                let came = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(came));
                Some(Ok(http_body::Frame::data(bytes)))
            }
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            Some(Piece::Left) | None => {
                self.ended = true;
                Some(Err(ClientLeft))
            }
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.left.map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}

/// Turns the protocol crate's answer into actix's.
pub(super) fn respond(answer: s3s::HttpResponse, method: &Method, path: &str, id: RequestId) -> Response<Outgoing> {
    let (parts, body) = answer.into_parts();
    let (mut headers, status) = (parts.headers, parts.status);
    let body = if status.is_client_error() || status.is_server_error() {
        let whole = body.bytes().and_then(|bytes| error::complete_document(&bytes, path, &id.to_string(), &headers));
        headers.remove(http::header::CONTENT_LENGTH);
        whole.map_or(body, s3s::Body::from)
    } else {
        body
    };
    let size = size(&headers, &body, method, status);
    let body = error::has_body(method, status).then(|| Box::pin(body));
    let old_status =
        actix_http::StatusCode::from_u16(status.as_u16()).unwrap_or(actix_http::StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::with_body(old_status, Outgoing { body, size, sent_bytes: 0, entry: None });
    for (name, value) in &headers {
        if *name == http::header::CONTENT_LENGTH || *name == http::header::TRANSFER_ENCODING {
            continue;
        }
        append(&mut response, name.as_str(), value.as_bytes());
    }
    append(&mut response, "x-amz-request-id", id.to_string().as_bytes());
    append(&mut response, "server", b"Domicile");
    response
}

fn append(response: &mut Response<Outgoing>, name: &str, value: &[u8]) {
    use actix_http::header::{HeaderName, HeaderValue};
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        response.headers_mut().append(name, value);
    }
}

fn size(headers: &HeaderMap, body: &s3s::Body, method: &Method, status: StatusCode) -> BodySize {
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return BodySize::None;
    }
    let declared = checksum::text_header(headers, "content-length").and_then(|text| text.parse().ok());
    match declared.or_else(|| http_body::Body::size_hint(body).exact()) {
        // HEAD tells the length that GET would have; an error's document has none to tell.
        _ if method == Method::HEAD && !status.is_success() => BodySize::None,
        Some(bytes) => BodySize::Sized(bytes),
        None => BodySize::Stream,
    }
}

/// A response body on its way to the client.
pub(super) struct Outgoing {
    body: Option<Pin<Box<s3s::Body>>>,
    size: BodySize,
    sent_bytes: u64,
    /// What is to be noted of the request once its answer is out, or nobody takes it any more.
    entry: Option<Entry>,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.finish(self.sent_bytes);
        }
    }
}

impl MessageBody for Outgoing {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut self.body {
            Some(body) => {
                let piece = std::task::ready!(body.as_mut().poll_next(context));
                if let Some(Ok(bytes)) = &piece {
                    self.sent_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                }
                Poll::Ready(piece.map(|piece| piece.map_err(|error| -> Box<dyn std::error::Error> { error })))
            }
            None => Poll::Ready(None),
        }
    }
}
