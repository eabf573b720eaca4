//! Draining, and how repairs stand.

use actix_web::{HttpRequest, HttpResponse, web};
use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use crate::config::Role;
use crate::objects::Gateway;

type Answer = Result<HttpResponse, AdminError>;

/// What was repaired since the gateway started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RepairsView {
    /// Shards that have a new holder.
    pub(crate) shards: u64,
    /// Shard bytes that were stored for it.
    pub(crate) stored_bytes: u64,
    /// Shard bytes that were fetched for it.
    pub(crate) fetched_bytes: u64,
    /// Old copies that nodes have signed to have deleted.
    pub(crate) deleted: u64,
    /// Pages that could not be put in order.
    pub(crate) stuck: u64,
    /// Copies that nodes are still to delete: what may lie where it should not.
    pub(crate) residue: Vec<(NodeId, u64)>,
}

/// `POST /v1/fleet/nodes/{node}/drain`
pub(super) async fn drain(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    order(&request, &gateway, &node, true).await
}

/// `POST /v1/fleet/nodes/{node}/undrain`
pub(super) async fn undrain(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    order(&request, &gateway, &node, false).await
}

async fn order(request: &HttpRequest, gateway: &Gateway, node: &NodeId, leaving: bool) -> Answer {
    let bearer = Bearer::of(request, gateway)?.require(&[Role::Operator, Role::Officer], "operator, officer, admin")?;
    gateway.drain(bearer.caller(), node, leaving).await?;
    Ok(HttpResponse::Ok().json(gateway.drained(node).await?))
}

/// `POST /v1/fleet/nodes/{node}/attest`: an officer's word that a node which is gone holds nothing any more.
pub(super) async fn attest(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    let bearer = Bearer::of(&request, &gateway)?.require(&[Role::Officer], "officer, admin")?;
    let copies = gateway.attest_end(bearer.caller(), &node).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "copies": copies })))
}

/// `GET /v1/fleet/nodes/{node}/drain`: how far it is.
pub(super) async fn drained(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    Bearer::of(&request, &gateway)?.require(&[Role::Operator, Role::Officer], "operator, officer, admin")?;
    Ok(HttpResponse::Ok().json(gateway.drained(&node).await?))
}

/// `POST /v1/repairs/scan`: has every page judged again.
pub(super) async fn scan(request: HttpRequest, gateway: web::Data<Gateway>) -> Answer {
    Bearer::of(&request, &gateway)?.require(&[Role::Operator, Role::Officer], "operator, officer, admin")?;
    let pages = gateway.look_at_everything().await.map_err(AdminError::internal)?;
    Ok(HttpResponse::Accepted().json(serde_json::json!({ "pages": pages })))
}

/// `POST /v1/repairs/orphans`: compares what nodes hold with what they should; orders the rest deleted.
pub(super) async fn orphans(request: HttpRequest, gateway: web::Data<Gateway>) -> Answer {
    Bearer::of(&request, &gateway)?.require(&[Role::Operator, Role::Officer], "operator, officer, admin")?;
    let orphans = gateway.sweep_orphans().await.map_err(AdminError::internal)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "orphans": orphans })))
}

/// `GET /v1/repairs`
pub(super) async fn repairs(request: HttpRequest, gateway: web::Data<Gateway>) -> Answer {
    Bearer::of(&request, &gateway)?.require(&[Role::Operator, Role::Officer], "operator, officer, admin")?;
    let [shards, stored_bytes, fetched_bytes, deleted, stuck] = gateway.repairs.done.figures();
    let mut residue = Vec::new();
    for node in gateway.catalog.nodes_with_residue().await.map_err(AdminError::internal)? {
        residue.push((node, gateway.catalog.count_residue_of(&node).await.map_err(AdminError::internal)?));
    }
    Ok(HttpResponse::Ok().json(RepairsView { shards, stored_bytes, fetched_bytes, deleted, stuck, residue }))
}
