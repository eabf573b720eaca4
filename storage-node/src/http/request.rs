//! Reading requests: headers parsed once, bodies received with a limit and a deadline.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, RANGE};
use actix_web::web;
use domicile_node_protocol::{
    ByteRange, DATA_HEADER, Refusal, RefusalCode, SHARD_BYTES_MAX, STATUS_BYTES_MAX, TICKET_HEADER,
};
use domicile_types::{DataId, NodeId, ShardCid};
use futures::StreamExt;

use super::peer::Peer;
use crate::node::of_incoming_error;
use crate::store::IncomingShard;

/// How long a body may pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long a body may take in all: a shard at 35 kB/s.
const BODY_MAX: Duration = Duration::from_secs(30);

/// What every shard request says of itself.
pub(super) struct Head {
    pub(super) peer: NodeId,
    pub(super) cid: ShardCid,
    pub(super) ticket: Option<String>,
    pub(super) data: Option<DataId>,
}

impl Head {
    pub(super) fn parse(request: &HttpRequest) -> Result<Self, Refusal> {
        let peer = Peer::of(request)?;
        let cid = ShardCid::parse(request.match_info().get("cid").unwrap_or_default()).map_err(bad_request)?;
        let ticket = single(request, TICKET_HEADER)?.map(ToOwned::to_owned);
        let data = single(request, DATA_HEADER)?.map(DataId::parse).transpose().map_err(bad_request)?;
        Ok(Self { peer, cid, ticket, data })
    }
}

/// The header `domicile-ticket`.
pub(super) fn ticket(request: &HttpRequest) -> Result<Option<&str>, Refusal> {
    single(request, TICKET_HEADER)
}

/// A JSON body of at most [`STATUS_BYTES_MAX`] bytes.
pub(super) async fn json<T: serde::de::DeserializeOwned>(body: &mut web::Payload) -> Result<T, Refusal> {
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(PAUSE_MAX, body.next()).await {
            Err(_) => return Err(Refusal::new(RefusalCode::Incomplete, "the body paused for too long")),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Refusal::new(RefusalCode::Incomplete, "the body broke off")),
            Ok(Some(Ok(piece))) if bytes.len() + piece.len() > STATUS_BYTES_MAX => {
                let message = format!("the body is longer than the {STATUS_BYTES_MAX} bytes allowed");
                return Err(Refusal::new(RefusalCode::TooLarge, message));
            }
            Ok(Some(Ok(piece))) => bytes.extend_from_slice(&piece),
        }
    }
    let malformed =
        |error| Refusal::new(RefusalCode::BadRequest, format!("the body is not what it should be: {error}"));
    serde_json::from_slice(&bytes).map_err(malformed)
}

/// The `Range` header. Unlike RFC 9110, which lets a server ignore what it does not understand: a gateway that asks for a
/// part and gets the whole would be charged for it.
pub(super) fn range(request: &HttpRequest) -> Result<Option<ByteRange>, Refusal> {
    let text = single(request, RANGE.as_str())?;
    let range = text.map(ByteRange::parse).transpose();
    range.map_err(|error| Refusal::new(RefusalCode::BadRange, error.to_string()))
}

/// The declared length of a body.
pub(super) fn content_length(request: &HttpRequest) -> Result<u64, Refusal> {
    let declared = single(request, CONTENT_LENGTH.as_str())?.and_then(|text| text.parse().ok());
    declared.ok_or_else(|| Refusal::new(RefusalCode::BadRequest, "declare the shard's length with content-length"))
}

/// Receives a body of exactly `length` bytes.
pub(super) async fn receive(body: &mut web::Payload, length: u64) -> Result<IncomingShard, Refusal> {
    let mut shard = IncomingShard::new();
    let incomplete = |why: &str| {
        let message = format!("the body {why}: send it again, or send it elsewhere");
        Refusal::new(RefusalCode::Incomplete, message)
    };
    let whole = async {
        loop {
            match tokio::time::timeout(PAUSE_MAX, body.next()).await {
                Err(_) => return Err(incomplete("paused for too long")),
                Ok(None) => break,
                Ok(Some(Err(_))) => return Err(incomplete("broke off")),
                Ok(Some(Ok(piece))) => shard.push(piece).map_err(|error| of_incoming_error(&error))?,
            }
        }
        Ok(())
    };
    tokio::time::timeout(BODY_MAX, whole).await.unwrap_or_else(|_| Err(incomplete("came too slowly")))?;
    if shard.bytes() == length { Ok(shard) } else { Err(incomplete("is shorter than declared")) }
}

/// Reads what is left of a body that nobody wants; whether the connection is usable afterwards.
pub(super) async fn drain(body: &mut web::Payload) -> bool {
    let mut left = SHARD_BYTES_MAX;
    let whole = async {
        while let Some(piece) = body.next().await {
            let Ok(piece) = piece else { return false };
            match left.checked_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX)) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(PAUSE_MAX, whole).await.unwrap_or(false)
}

/// The value of a header that may come once.
fn single<'a>(request: &'a HttpRequest, name: &str) -> Result<Option<&'a str>, Refusal> {
    let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else { return Ok(None) };
    let mut values = request.headers().get_all(header);
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    match text {
        Some(text) => Ok(Some(text)),
        None => Err(Refusal::new(RefusalCode::BadRequest, format!("the header {name} comes once, in ASCII"))),
    }
}

fn bad_request(error: domicile_types::ParseError) -> Refusal {
    Refusal::new(RefusalCode::BadRequest, error.to_string())
}
