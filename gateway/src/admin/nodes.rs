//! Health and the fleet.

use actix_web::{HttpResponse, web};
use domicile_placement::NodeState;
use futures::future::join_all;

use super::AdminError;
use super::route::{Duty, Route};
use super::views::{Health, NodeView};
use crate::config::Role;
use crate::fleet::NodeStanding;
use crate::objects::Gateway;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/health", health)
            .anyone(Duty::Reads)
            .summary("Whether the gateway serves, and what it is; tells nothing about data.")
            .answers::<Health>(),
        Route::get("/v1/nodes", list)
            .roles(Duty::Reads, &[Role::Operator, Role::Officer, Role::Auditor])
            .summary("Every enrolled node, with what it says of itself where it answers.")
            .answers::<Vec<NodeView>>(),
    ]
}

/// `GET /v1/health`: no token needed; tells nothing about data.
pub(super) async fn health(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    let standings = gateway.directory.standings();
    let now = gateway.clock.now();
    // Heard of and answering, whether or not they take shards: a full node, one that leaves, one that is fenced.
    let online = |standing: &&NodeStanding| {
        let heard = standing.announced.as_ref().is_some_and(|announced| announced.expires > now);
        heard && !matches!(standing.state, NodeState::Suspect | NodeState::Offline | NodeState::Lost)
    };
    Ok(HttpResponse::Ok().json(Health {
        name: gateway.config.name.clone(),
        gateway: gateway.identity,
        place: gateway.config.place,
        default_region: gateway.config.default_region.clone(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: standings.len(),
        nodes_online: standings.iter().filter(online).count(),
        log_entries: gateway.log.len(),
    }))
}

/// `GET /v1/nodes`: every enrolled node, with what it says of itself where it answers.
pub(super) async fn list(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    let views = gateway.directory.standings().into_iter().map(|standing| view(&gateway, standing));
    Ok(HttpResponse::Ok().json(join_all(views).await))
}

async fn view(gateway: &Gateway, standing: NodeStanding) -> NodeView {
    let NodeStanding { enrolled, announced, located, evidence, state, judged, .. } = standing;
    let score_basis_points = judged.score(gateway.clock.now(), gateway.warden.patience());
    let status = gateway.nodes.status(enrolled.id).await.ok();
    let served = status.as_ref().map(|status| status.served);
    let refused =
        status.map(|status| status.refused.into_iter().map(|(code, count)| (code.to_string(), count)).collect());
    NodeView {
        node: enrolled.id,
        operator: enrolled.operator,
        controller: enrolled.controller,
        place: enrolled.place,
        located: located.map(|located| located.candidates).unwrap_or_default(),
        evidence,
        state: crate::fleet::notices::name(state),
        reasons: judged.reasons.iter().map(ToString::to_string).collect(),
        score_basis_points,
        address: announced.as_ref().map(|announced| announced.data_plane),
        capacity_bytes: announced.as_ref().map(|announced| announced.capacity_bytes),
        free_bytes: announced.as_ref().map(|announced| announced.free_bytes),
        refused,
        served,
        heard: announced.map(|announced| announced.issued),
    }
}
