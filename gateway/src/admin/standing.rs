//! How a node stands and why; documents of place, disputes, fences and releases.

use actix_web::{HttpRequest, HttpResponse, web};
use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use crate::config::Role;
use crate::fleet::standing::{Delays, Dispute, Document, Failure};
use crate::fleet::{NodeStanding, notices};
use crate::objects::{Gateway, NewDispute, NewDocument, NewVerdict};

type Answer = Result<HttpResponse, AdminError>;

/// How a node stands, with what speaks for and against it.
#[derive(Debug, Serialize, Deserialize)]
pub struct StandingView {
    /// What the node itself is told.
    #[serde(flatten)]
    pub notice: domicile_node_protocol::Notice,
    /// Which node.
    pub node: NodeId,
    /// Since when it is in that state.
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

/// Whoever sees how nodes stand, and speaks for their operators.
fn watcher(request: &HttpRequest, gateway: &Gateway) -> Result<Bearer, AdminError> {
    Bearer::of(request, gateway)?.require(&[Role::Operator, Role::Officer], "operator, officer, admin")
}

/// Whoever decides about the fleet.
fn decider(request: &HttpRequest, gateway: &Gateway) -> Result<Bearer, AdminError> {
    Bearer::of(request, gateway)?.require(&[Role::Officer], "officer, admin")
}

/// `GET /v1/fleet/nodes/{node}/standing`
pub(super) async fn show(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    watcher(&request, &gateway)?;
    Ok(HttpResponse::Ok().json(view(&gateway, gateway.node_standing(&node)?)))
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
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    node: web::Path<NodeId>,
    body: web::Json<NewDocument>,
) -> Answer {
    let bearer = decider(&request, &gateway)?;
    let document = gateway.file_document(bearer.caller(), &node, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(document))
}

/// `DELETE /v1/fleet/nodes/{node}/documents/{id}`
pub(super) async fn withdraw(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    path: web::Path<(NodeId, String)>,
) -> Answer {
    let bearer = decider(&request, &gateway)?;
    let (node, id) = path.into_inner();
    gateway.withdraw_document(bearer.caller(), &node, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/nodes/{node}/disputes`
pub(super) async fn dispute(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    node: web::Path<NodeId>,
    body: web::Json<NewDispute>,
) -> Answer {
    let bearer = watcher(&request, &gateway)?;
    let dispute = gateway.open_dispute(bearer.caller(), &node, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(dispute))
}

/// `POST /v1/fleet/nodes/{node}/disputes/{id}/settle`
pub(super) async fn settle(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    path: web::Path<(NodeId, String)>,
    body: web::Json<NewVerdict>,
) -> Answer {
    let bearer = decider(&request, &gateway)?;
    let (node, id) = path.into_inner();
    gateway.settle_dispute(bearer.caller(), &node, &id, body.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/nodes/{node}/fence`
pub(super) async fn fence(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    let bearer = decider(&request, &gateway)?;
    gateway.fence_node(bearer.caller(), &node).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/nodes/{node}/release`
pub(super) async fn release(request: HttpRequest, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    let bearer = decider(&request, &gateway)?;
    gateway.release_node(bearer.caller(), &node).await?;
    Ok(HttpResponse::NoContent().finish())
}
