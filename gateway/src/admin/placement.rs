//! Where an object is, shard by shard.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use domicile_placement::durability;
use domicile_types::{BucketName, CodeProfile, NodeId, ObjectKey};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use super::views::{ShardView, Whereabouts};
use crate::config::Role;
use crate::fleet::NodeStanding;
use crate::objects::{Gateway, PlacedShard};

/// Yearly loss of nodes and days of repair that the shown durability assumes.
const NODE_LOSS_PER_YEAR: f64 = 0.08;
const REPAIR_DAYS: f64 = 7.0;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/where", find)
            .roles(Duty::Reads, &[Role::Uploader, Role::TenantAdmin, Role::Auditor, Role::Officer])
            .summary("Where every shard of an object is.")
            .query::<Query>()
            .answers::<Whereabouts>(),
    ]
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Query {
    /// Its bucket.
    bucket: String,
    /// Its key.
    key: String,
}

/// `GET /v1/where?bucket=B&key=K`
pub(super) async fn find(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    query: web::Query<Query>,
) -> Result<HttpResponse, AdminError> {
    let bad = |error: domicile_types::ParseError| AdminError::BadRequest(error.to_string());
    let bucket = BucketName::parse(&query.bucket).map_err(bad)?;
    let key = ObjectKey::parse(&query.key).map_err(bad)?;
    let owner = gateway.bucket_owner(&bucket).await?;
    bearer.may_see(&owner)?;
    let placed = gateway.placement(&bearer.caller_for(&owner), &bucket, &key).await?;
    gateway.note_view(bearer.caller(), "where", placed.shards.len()).await?;
    let standings: BTreeMap<NodeId, NodeStanding> =
        gateway.directory.standings().into_iter().map(|standing| (standing.enrolled.id, standing)).collect();
    let mut profiles: Vec<CodeProfile> = placed.profiles.clone();
    profiles.dedup();
    Ok(HttpResponse::Ok().json(Whereabouts {
        bucket: bucket.to_string(),
        key: key.as_str().to_owned(),
        region: placed.region,
        packs: placed.packs,
        bytes: placed.bytes,
        durability: worst(&profiles),
        profiles: profiles.iter().map(ToString::to_string).collect(),
        shards: placed.shards.iter().map(|shard| shard_view(shard, &standings)).collect(),
    }))
}

/// What the weakest of the codes is worth.
fn worst(profiles: &[CodeProfile]) -> String {
    let values = profiles.iter().filter_map(|profile| durability(*profile, NODE_LOSS_PER_YEAR, REPAIR_DAYS).ok());
    let worst = values.min_by(|one, other| one.nines.total_cmp(&other.nines));
    worst.map_or_else(|| "no shards".to_owned(), |worst| worst.to_string())
}

fn shard_view(shard: &PlacedShard, standings: &BTreeMap<NodeId, NodeStanding>) -> ShardView {
    let standing = standings.get(&shard.node);
    ShardView {
        part: shard.part,
        segment: shard.segment,
        shard: shard.shard,
        cid: shard.cid,
        node: shard.node,
        operator: standing.map(|standing| standing.enrolled.operator.clone()),
        controller: standing.map(|standing| standing.enrolled.controller.clone()),
        place: standing.map(|standing| standing.enrolled.place),
        evidence: standing.map(|standing| standing.evidence),
    }
}
