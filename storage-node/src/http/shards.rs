//! PUT, GET and DELETE of a shard, and challenges.

use actix_web::http::header::{ACCEPT_RANGES, CONTENT_RANGE};
use actix_web::{HttpRequest, HttpResponse, web};
use domicile_node_protocol::{ContentRange, RECEIPT_HEADER, Refusal, RefusalCode, SignedReceipt};

use super::refuse;
use super::request::{Head, content_length, drain, range, receive};
use crate::admission::Verb;
use crate::node::{GetRefusal, Node, Proved, Served, ShardRequest, of_incoming_error};

pub(super) async fn put(request: HttpRequest, node: web::Data<Node>, mut body: web::Payload) -> HttpResponse {
    let head = match Head::parse(&request) {
        Ok(head) => head,
        Err(refusal) => return refuse_body(&node, &request, None, &refusal, &mut body).await,
    };
    match store(&request, &node, &head, &mut body).await {
        Ok(receipt) => HttpResponse::Created().insert_header((RECEIPT_HEADER, receipt.as_str())).finish(),
        Err(refusal) => refuse_body(&node, &request, Some(&head), &refusal, &mut body).await,
    }
}

async fn store(
    request: &HttpRequest,
    node: &Node,
    head: &Head,
    body: &mut web::Payload,
) -> Result<SignedReceipt, Refusal> {
    let length = content_length(request)?;
    let incoming = node.begin_put(&shard_request(head, Verb::Put), length).await?;
    let received = receive(body, length).await;
    let shard = received.and_then(|shard| shard.finish(&head.cid).map_err(|error| of_incoming_error(&error)));
    match shard {
        Ok(shard) => node.finish_put(incoming, shard).await,
        Err(refusal) => {
            incoming.refused();
            Err(refusal)
        }
    }
}

pub(super) async fn get(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let (head, range) = match Head::parse(&request).and_then(|head| Ok((head, range(&request)?))) {
        Ok(parsed) => parsed,
        Err(refusal) => return refuse(&node, &request, None, &refusal),
    };
    match node.get(&shard_request(&head, Verb::Get), range).await {
        Ok(Served { bytes, part, receipt }) => {
            let mut response = match part {
                None => HttpResponse::Ok(),
                Some((range, length)) => {
                    let mut response = HttpResponse::PartialContent();
                    response.insert_header((CONTENT_RANGE, ContentRange { range, length }.to_string()));
                    response
                }
            };
            response.insert_header((RECEIPT_HEADER, receipt.as_str())).insert_header((ACCEPT_RANGES, "bytes"));
            response.content_type("application/octet-stream").body(bytes)
        }
        Err(refusal) => refuse_read(&node, &request, &head, &refusal),
    }
}

/// Hands out a range with the hashes that lead to the shard's name.
pub(super) async fn challenge(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let (head, range) = match Head::parse(&request).and_then(|head| Ok((head, range(&request)?))) {
        Ok(parsed) => parsed,
        Err(refusal) => return refuse(&node, &request, None, &refusal),
    };
    match node.prove(&shard_request(&head, Verb::Challenge), range).await {
        Ok(Proved { slice, receipt }) => {
            let mut response = HttpResponse::Ok();
            response.insert_header((RECEIPT_HEADER, receipt.as_str()));
            response.content_type("application/octet-stream").body(slice)
        }
        Err(refusal) => refuse_read(&node, &request, &head, &refusal),
    }
}

fn refuse_read(node: &Node, request: &HttpRequest, head: &Head, refusal: &GetRefusal) -> HttpResponse {
    match refusal {
        GetRefusal::BadRange(refusal, length) => {
            let mut response = refuse(node, request, Some(&head.cid), refusal);
            if let Ok(value) = ContentRange::unsatisfied(*length).parse() {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            response
        }
        GetRefusal::Other(refusal) => refuse(node, request, Some(&head.cid), refusal),
    }
}

pub(super) async fn delete(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let head = match Head::parse(&request) {
        Ok(head) => head,
        Err(refusal) => return refuse(&node, &request, None, &refusal),
    };
    match node.delete(&shard_request(&head, Verb::Delete)).await {
        Ok(receipt) => HttpResponse::Ok().insert_header((RECEIPT_HEADER, receipt.as_str())).finish(),
        Err(refusal) => refuse(&node, &request, Some(&head.cid), &refusal),
    }
}

fn shard_request(head: &Head, verb: Verb) -> ShardRequest<'_> {
    ShardRequest { peer: head.peer, verb, cid: head.cid, ticket: head.ticket.as_deref(), data: head.data }
}

/// Answers a refusal once the body is out of the way, or closes the connection behind the answer.
async fn refuse_body(
    node: &Node,
    request: &HttpRequest,
    head: Option<&Head>,
    refusal: &Refusal,
    body: &mut web::Payload,
) -> HttpResponse {
    let usable = refusal.code != RefusalCode::Incomplete && drain(body).await;
    let mut response = refuse(node, request, head.map(|head| &head.cid), refusal);
    if !usable {
        response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    response
}
