//! Draining, and how repairs stand.

use actix_web::{HttpResponse, web};
use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use crate::config::Role;
use crate::objects::Gateway;

type Answer = Result<HttpResponse, AdminError>;

/// What was repaired since the gateway started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    #[schemars(with = "Vec<(String, u64)>")]
    pub(crate) residue: Vec<(NodeId, u64)>,
}

/// How many copies are struck off.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Attested {
    /// Copies that nobody waits for any more.
    pub(crate) copies: u64,
}

/// How much is to be judged again.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Scanned {
    /// Pages of segments.
    pub(crate) pages: u64,
}

/// What nothing counts on.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Orphans {
    /// Shards that nodes are told to delete.
    pub(crate) orphans: u64,
}

pub(super) fn routes() -> Vec<Route> {
    let hands = &[Role::Operator, Role::Officer];
    let readers = &[Role::Operator, Role::Officer, Role::Auditor];
    vec![
        Route::get("/v1/repairs", repairs)
            .roles(Duty::Reads, readers)
            .summary("What was repaired since the gateway started, and what nodes are still to delete.")
            .answers::<RepairsView>(),
        Route::post("/v1/repairs/scan", scan)
            .roles(Duty::Operates, hands)
            .summary("Has every page judged again by the law and the evidence in force.")
            .accepts::<Scanned>(),
        Route::post("/v1/repairs/orphans", orphans)
            .roles(Duty::Operates, hands)
            .summary("Asks every node what it holds, and has deleted what nothing counts on.")
            .answers::<Orphans>(),
        Route::post("/v1/fleet/nodes/{node}/drain", drain)
            .roles(Duty::Operates, hands)
            .summary("Orders a node emptied.")
            .answers::<crate::repair::DrainView>(),
        Route::get("/v1/fleet/nodes/{node}/drain", drained)
            .roles(Duty::Reads, readers)
            .summary("How far a node is emptied.")
            .answers::<crate::repair::DrainView>(),
        Route::post("/v1/fleet/nodes/{node}/undrain", undrain)
            .roles(Duty::Operates, hands)
            .summary("Puts a node that was emptied back into service.")
            .answers::<crate::repair::DrainView>(),
        Route::post("/v1/fleet/nodes/{node}/attest", attest)
            .roles(Duty::Operates, &[Role::Officer])
            .summary("An officer's word that a node which is gone holds nothing any more.")
            .answers::<Attested>(),
    ]
}

/// `POST /v1/fleet/nodes/{node}/drain`
pub(super) async fn drain(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    order(&bearer, &gateway, &node, true).await
}

/// `POST /v1/fleet/nodes/{node}/undrain`
pub(super) async fn undrain(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    order(&bearer, &gateway, &node, false).await
}

async fn order(bearer: &Bearer, gateway: &Gateway, node: &NodeId, leaving: bool) -> Answer {
    gateway.drain(bearer.caller(), node, leaving).await?;
    Ok(HttpResponse::Ok().json(gateway.drained(node).await?))
}

/// `POST /v1/fleet/nodes/{node}/attest`: an officer's word that a node which is gone holds nothing any more.
pub(super) async fn attest(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    let copies = gateway.attest_end(bearer.caller(), &node).await?;
    Ok(HttpResponse::Ok().json(Attested { copies }))
}

/// `GET /v1/fleet/nodes/{node}/drain`: how far it is.
pub(super) async fn drained(gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    Ok(HttpResponse::Ok().json(gateway.drained(&node).await?))
}

/// `POST /v1/repairs/scan`: has every page judged again.
pub(super) async fn scan(gateway: web::Data<Gateway>) -> Answer {
    let pages = gateway.look_at_everything().await.map_err(AdminError::internal)?;
    Ok(HttpResponse::Accepted().json(Scanned { pages }))
}

/// `POST /v1/repairs/orphans`: compares what nodes hold with what they should; orders the rest deleted.
pub(super) async fn orphans(gateway: web::Data<Gateway>) -> Answer {
    let orphans = gateway.sweep_orphans().await.map_err(AdminError::internal)?;
    Ok(HttpResponse::Ok().json(Orphans { orphans }))
}

/// `GET /v1/repairs`
pub(super) async fn repairs(gateway: web::Data<Gateway>) -> Answer {
    let [shards, stored_bytes, fetched_bytes, deleted, stuck] = gateway.repairs.done.figures();
    let mut residue = Vec::new();
    for node in gateway.catalog.nodes_with_residue().await.map_err(AdminError::internal)? {
        residue.push((node, gateway.catalog.count_residue_of(&node).await.map_err(AdminError::internal)?));
    }
    Ok(HttpResponse::Ok().json(RepairsView { shards, stored_bytes, fetched_bytes, deleted, stuck, residue }))
}
