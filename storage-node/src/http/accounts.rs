//! Statements of account, and notices of standing: between a gateway and this node alone.

use actix_web::{HttpRequest, HttpResponse, web};
use domicile_node_protocol::{Notice, Refusal, RefusalCode, SignedStatement};
use futures::StreamExt;

use super::peer::Peer;
use super::refuse;
use crate::node::Node;

/// The longest notice, in bytes.
const NOTICE_BYTES_MAX: usize = 256 * 1024;

pub(super) async fn statement(request: HttpRequest, node: web::Data<Node>, month: web::Path<String>) -> HttpResponse {
    let made = match Peer::of(&request) {
        Ok(gateway) => {
            let node = node.clone();
            blocking(move || node.statement(gateway, &month)).await
        }
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(statement) => {
            HttpResponse::Ok().content_type("text/plain").body(SignedStatement::as_str(&statement).to_owned())
        }
        Err(refusal) => refuse(&node, &request, None, &refusal),
    }
}

pub(super) async fn notice(request: HttpRequest, node: web::Data<Node>, mut body: web::Payload) -> HttpResponse {
    match keep(&request, node.clone(), &mut body).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refusal) => refuse(&node, &request, None, &refusal),
    }
}

async fn keep(request: &HttpRequest, node: web::Data<Node>, body: &mut web::Payload) -> Result<(), Refusal> {
    let gateway = Peer::of(request)?;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Refusal::new(RefusalCode::Incomplete, "the notice broke off: send it again"))?;
        if bytes.len() + piece.len() > NOTICE_BYTES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, "a notice has at most 256 KiB"));
        }
        bytes.extend_from_slice(&piece);
    }
    let notice: Notice = serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::new(RefusalCode::BadRequest, format!("this is not a notice: {error}")))?;
    blocking(move || node.keep_notice(gateway, notice)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refusal::new(RefusalCode::Unavailable, "the node could not finish: come again")))
}
