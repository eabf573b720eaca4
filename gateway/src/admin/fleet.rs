//! Operators and their nodes: invitations, requests to join, approvals, records.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use domicile_storage_node::accounting::Month;
use domicile_types::{NodeId, OperatorId};

use super::auth::Bearer;
use super::route::{Duty, Route};
use super::views::{
    FleetView, InvitationView, InviteBody, NodeRecordView, OperatorView, Recorded, RejectBody, StatementsView,
};
use super::{AdminError, with_causes};
use crate::config::Role;
use crate::fleet::entities::Entity;
use crate::fleet::joining::{JoinError, REQUEST_BYTES_MAX};
use crate::fleet::statement::to_csv;
use crate::objects::{Gateway, JoinRefusal, NewInvitation, NodeChange};

type Answer = Result<HttpResponse, AdminError>;

pub(super) fn routes() -> Vec<Route> {
    let readers = &[Role::Operator, Role::Officer, Role::Auditor];
    let officer = &[Role::Officer];
    vec![
        Route::get("/v1/fleet", records)
            .roles(Duty::Reads, readers)
            .summary("Operators, their nodes and entities, requests to join and invitations.")
            .answers::<FleetView>(),
        Route::get("/v1/fleet/statements/{month}", statements)
            .roles(Duty::Reads, readers)
            .summary("What nodes are owed for a month (2026-05), both sides' accounts held against each other.")
            .query::<StatementQuery>()
            .answers::<StatementsView>()
            .file("text/csv"),
        Route::post("/v1/fleet/join", join)
            .anyone(Duty::Asks)
            .summary("A node's request to join, sealed with its invitation.")
            .accepts::<serde_json::Map<String, serde_json::Value>>(),
        Route::post("/v1/fleet/invitations", invite)
            .roles(Duty::Operates, &[Role::Officer, Role::Operator])
            .summary("Invites a node; the text is in the answer, and never again.")
            .takes::<InviteBody>()
            .makes::<InvitationView>(),
        Route::delete("/v1/fleet/invitations/{id}", withdraw)
            .roles(Duty::Operates, &[Role::Officer, Role::Operator])
            .summary("Takes an invitation back."),
        Route::post("/v1/fleet/requests/{node}/approve", approve)
            .roles(Duty::Operates, officer)
            .summary("Enrols a node that asks to join."),
        Route::post("/v1/fleet/requests/{node}/reject", reject)
            .roles(Duty::Operates, officer)
            .summary("Turns a node down that asks to join.")
            .takes::<RejectBody>(),
        Route::post("/v1/fleet/entities", record_entity)
            .roles(Duty::Operates, officer)
            .summary("Writes a legal entity's record, and says whose nodes are judged by it.")
            .takes::<Entity>()
            .answers::<Recorded>(),
        Route::post("/v1/fleet/nodes/{node}", change_node)
            .roles(Duty::Operates, officer)
            .summary("Changes a node's record.")
            .takes::<NodeChange>(),
        Route::delete("/v1/fleet/nodes/{node}", remove_node)
            .roles(Duty::Operates, officer)
            .summary("Takes a node off the roster."),
    ]
}

/// `GET /v1/fleet`: all records.
pub(super) async fn records(gateway: web::Data<Gateway>) -> Answer {
    let records = gateway.catalog.fleet().await.map_err(AdminError::internal)?;
    let graph = records.graph();
    let mut nodes: BTreeMap<_, Vec<NodeRecordView>> = BTreeMap::new();
    for enrolment in records.enrolments.values() {
        let view = NodeRecordView {
            node: enrolment.node,
            place: enrolment.place,
            site: enrolment.site.clone(),
            swarm: enrolment.swarm,
            from: enrolment.from.clone(),
        };
        nodes.entry(enrolment.operator.clone()).or_default().push(view);
    }
    let operators = records.operators.values().map(|operator| OperatorView {
        operator: operator.id.clone(),
        party: operator.party.clone(),
        contact: operator.contact.clone(),
        controller: graph.controller(operator),
        nodes: nodes.remove(&operator.id).unwrap_or_default(),
        from: operator.from.clone(),
    });
    Ok(HttpResponse::Ok().json(FleetView {
        operators: operators.collect(),
        entities: records.entities.clone(),
        requests: records.requests.values().cloned().collect(),
        invitations: records.invitations.values().cloned().collect(),
    }))
}

/// What of a month is asked for.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementQuery {
    /// Whose nodes; none: everybody's.
    #[schemars(with = "Option<String>")]
    operator: Option<OperatorId>,
    /// `json` or `csv`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    format: StatementFormat,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StatementFormat {
    #[default]
    Json,
    Csv,
}

/// `GET /v1/fleet/statements/{month}?operator=O&format=csv`
pub(super) async fn statements(
    gateway: web::Data<Gateway>,
    month: web::Path<Month>,
    query: web::Query<StatementQuery>,
) -> Answer {
    let rows = gateway.statements(*month, query.operator.as_ref()).await?;
    let terms = gateway.config.terms.clone();
    match query.format {
        StatementFormat::Json => Ok(HttpResponse::Ok().json(StatementsView { terms, nodes: rows })),
        StatementFormat::Csv => {
            let csv = to_csv(&rows, &terms.currency).map_err(AdminError::internal)?;
            Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(csv))
        }
    }
}

/// `POST /v1/fleet/join`: no token; the invitation is what counts.
pub(super) async fn join(gateway: web::Data<Gateway>, mut payload: web::Payload) -> Answer {
    let too_long = || JoinRefusal::from(JoinError::TooLong { what: "request", bytes_max: REQUEST_BYTES_MAX });
    let mut body = Vec::new();
    while let Some(piece) = futures::StreamExt::next(&mut payload).await {
        let piece = piece.map_err(|error| AdminError::BadRequest(error.to_string()))?;
        if body.len() + piece.len() > REQUEST_BYTES_MAX {
            return Err(too_long().into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(HttpResponse::Accepted().json(gateway.take_join(&body).await?))
}

/// `POST /v1/fleet/invitations`: the text is in the answer, and never again.
pub(super) async fn invite(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<InviteBody>) -> Answer {
    let InviteBody { operator, seconds, join, swarm } = body.into_inner();
    let new = NewInvitation { operator, millis: seconds.saturating_mul(1000), join, swarm };
    let made = gateway.invite(bearer.caller(), new).await?;
    Ok(HttpResponse::Created().json(InvitationView {
        id: made.claims.id.clone(),
        operator: made.claims.operator.clone(),
        expires: made.claims.expires,
        text: made.text(),
    }))
}

/// `DELETE /v1/fleet/invitations/{id}`
pub(super) async fn withdraw(bearer: Bearer, gateway: web::Data<Gateway>, id: web::Path<String>) -> Answer {
    gateway.withdraw_invitation(bearer.caller(), &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/requests/{node}/approve`
pub(super) async fn approve(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    gateway.approve_node(bearer.caller(), &node).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/requests/{node}/reject`
pub(super) async fn reject(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    node: web::Path<NodeId>,
    body: web::Json<RejectBody>,
) -> Answer {
    gateway.reject_node(bearer.caller(), &node, &body.reason).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /v1/fleet/entities`: writes a legal entity's record, and says whose nodes are judged by it from now on.
pub(super) async fn record_entity(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<Entity>) -> Answer {
    let operators = gateway.record_entity(bearer.caller(), body.into_inner()).await?;
    Ok(HttpResponse::Ok().json(Recorded { operators }))
}

/// `POST /v1/fleet/nodes/{node}`
pub(super) async fn change_node(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    node: web::Path<NodeId>,
    body: web::Json<NodeChange>,
) -> Answer {
    gateway.change_node(bearer.caller(), &node, body.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /v1/fleet/nodes/{node}`
pub(super) async fn remove_node(bearer: Bearer, gateway: web::Data<Gateway>, node: web::Path<NodeId>) -> Answer {
    gateway.remove_node(bearer.caller(), &node).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<JoinRefusal> for AdminError {
    fn from(refusal: JoinRefusal) -> Self {
        match refusal {
            JoinRefusal::Gateway(error) => error.into(),
            JoinRefusal::Used | JoinRefusal::IdentityClash | JoinRefusal::Withdrawn => {
                Self::Conflict(refusal.to_string())
            }
            refusal => Self::BadRequest(with_causes(&refusal)),
        }
    }
}
