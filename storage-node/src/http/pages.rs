//! What a node tells an enrolled gateway: its status, the checkpoints it saw, what it holds for it, which tickets it kept.

use actix_web::{HttpRequest, HttpResponse, web};
use domicile_node_protocol::{Refusal, RefusalCode};
use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::peer::Peer;
use super::refuse;
use crate::node::Node;

/// Where a page begins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    after: Option<String>,
}

pub(super) async fn status(node: web::Data<Node>) -> HttpResponse {
    HttpResponse::Ok().json(node.status())
}

pub(super) async fn checkpoints(node: web::Data<Node>) -> HttpResponse {
    HttpResponse::Ok().json(node.checkpoints())
}

pub(super) async fn holdings(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    page(request, node, |node, gateway, after| node.holdings(gateway, after)).await
}

pub(super) async fn tickets(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    page(request, node, |node, gateway, after| node.kept_tickets(gateway, after)).await
}

async fn page<T: Serialize + Send + 'static>(
    request: HttpRequest,
    node: web::Data<Node>,
    make: impl FnOnce(&Node, &NodeId, Option<&str>) -> Result<T, Refusal> + Send + 'static,
) -> HttpResponse {
    match read(&request, node.clone(), make).await {
        Ok(page) => HttpResponse::Ok().json(page),
        Err(refusal) => refuse(&node, &request, None, &refusal),
    }
}

async fn read<T: Send + 'static>(
    request: &HttpRequest,
    node: web::Data<Node>,
    make: impl FnOnce(&Node, &NodeId, Option<&str>) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let gateway = Peer::of(request)?;
    let From { after } = web::Query::<From>::from_query(request.query_string())
        .map_err(|error| Refusal::new(RefusalCode::BadRequest, error.to_string()))?
        .into_inner();
    let node = node.into_inner();
    let made = tokio::task::spawn_blocking(move || make(&node, &gateway, after.as_deref()));
    made.await.unwrap_or_else(|_| Err(Refusal::new(RefusalCode::Unavailable, "the page could not be made")))
}
