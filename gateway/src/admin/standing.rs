//! How a node stands and why; documents of place, disputes, fences and releases.

use actix_web::{HttpResponse, web};
use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use crate::config::Role;
use crate::fleet::standing::{Delays, Dispute, Document, Failure};
use crate::fleet::{NodeStanding, notices};
use crate::objects::{Gateway, NewDispute, NewDocument, NewVerdict};

type Answer = Result<HttpResponse, AdminError>;

/// How a node stands, with what speaks for and against it.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StandingView {
    /// What the node itself is told.
    #[serde(flatten)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub notice: domicile_node_protocol::Notice,
    /// Which node.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Since when it is in that state.
    #[schemars(with = "u64")]
    pub since: domicile_types::UnixMillis,
    /// For how long it has been silent, in milliseconds.
    pub silent_millis: u64,
    /// The autonomous system of its address, where a database knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<u32>,
    /// The fastest answer to a challenge of the last days, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fastest_micros: Option<u32>,
    /// Challenges that were not met, newest first.
    pub unmet: Vec<Failure>,
    /// Documents, also those that ended.
    pub documents: Vec<Document>,
    /// Disputes, also those that are settled.
    pub disputes: Vec<Dispute>,
}

pub(super) fn routes() -> Vec<Route> {
    let officer = &[Role::Officer];
    vec![
        Route::get("/v1/fleet/nodes/{node}/standing", show)
            .roles(Duty::Reads, &[Role::Operator, Role::Officer, Role::Auditor])
            .summary("How a node stands, and what speaks for and against it.")
            .answers::<StandingView>(),
        Route::post("/v1/fleet/nodes/{node}/documents", file)
            .roles(Duty::Operates, officer)
            .summary("Files a document about a node's place.")
            .takes::<NewDocument>()
            .makes::<Document>(),
        Route::delete("/v1/fleet/nodes/{node}/documents/{id}", withdraw)
            .roles(Duty::Operates, officer)
            .summary("Withdraws a document."),
        Route::post("/v1/fleet/nodes/{node}/disputes", dispute)
            .roles(Duty::Asks, &[Role::Operator, Role::Officer])
            .summary("Contests how a node stands.")
            .takes::<NewDispute>()
            .makes::<Dispute>(),
        Route::post("/v1/fleet/nodes/{node}/disputes/{id}/settle", settle)
            .roles(Duty::Operates, officer)
            .summary("Settles a dispute.")
            .takes::<NewVerdict>(),
        Route::post("/v1/fleet/nodes/{node}/fence", fence)
            .roles(Duty::Operates, officer)
            .summary("Quarantines a node: it gets nothing new and is emptied."),
        Route::post("/v1/fleet/nodes/{node}/release", release)
            .roles(Duty::Operates, officer)
            .summary("Ends a node's quarantine, where nothing contradicts its place any more."),
    ]
}

/// `GET /v1/fleet/nodes/{node}/standing`
pub(super) async fn show(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    let shown = view(&gateway, gateway.node_standing(&node)?);
    // A document may name the person who vouches.
    if !shown.documents.is_empty() {
        gateway.note_view(bearer.caller(), "fleet/standing", shown.documents.len()).await?;
    }
    Ok(HttpResponse::Ok().json(shown))
}

fn view(gateway: &Gateway, standing: NodeStanding) -> StandingView {
    let now = gateway.clock.now();
    let notice = notices::notice(gateway.identity, &standing, now, gateway.warden.patience());
    let NodeStanding { enrolled, judged, documents, disputes, network, delays, .. } = standing;
    StandingView {
        notice,
        node: enrolled.id,
        since: judged.since,
        silent_millis: judged.silent_millis,
        network,
        fastest_micros: Delays::best(&delays, now).map(|best| best.micros),
        unmet: judged.failures,
        documents,
        disputes,
    }
}

/// `POST /v1/fleet/nodes/{node}/documents`
pub(super) async fn file(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    node: web::Path<NodeId>,
    body: web::Json<NewDocument>,
) -> Answer {
    let document = gateway.file_document(bearer.caller(), &node, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(document))
}

/// `DELETE /v1/fleet/nodes/{node}/documents/{id}`
pub(super) async fn withdraw(bearer: Bearer, gateway: web::Data<Gateway>, path: web::Path<(NodeId, String)>) -> Answer {
    let (node, id) = path.into_inner();
    gateway.withdraw_document(bearer.caller(), &node, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/nodes/{node}/disputes`
pub(super) async fn dispute(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    node: web::Path<NodeId>,
    body: web::Json<NewDispute>,
) -> Answer {
    let dispute = gateway.open_dispute(bearer.caller(), &node, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(dispute))
}

/// `POST /v1/fleet/nodes/{node}/disputes/{id}/settle`
pub(super) async fn settle(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    path: web::Path<(NodeId, String)>,
    body: web::Json<NewVerdict>,
) -> Answer {
    let (node, id) = path.into_inner();
    gateway.settle_dispute(bearer.caller(), &node, &id, body.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/nodes/{node}/fence`
pub(super) async fn fence(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    gateway.fence_node(bearer.caller(), &node).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/nodes/{node}/release`
pub(super) async fn release(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    gateway.release_node(bearer.caller(), &node).await?;
    Ok(HttpResponse::NoContent().finish())
}
