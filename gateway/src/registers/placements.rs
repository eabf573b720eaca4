//! "Where was this object on 3 May?": the bodies that the log says were stored under a name, and who held them then.

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_types::{BucketName, DataId, ObjectKey, TenantId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::index::RegisterError;
use super::query::Query;
use super::record::Sight;
use super::register::Register;
use crate::catalog::{CatalogError, Holding};
use crate::objects::Gateway;

/// Bodies of one name that are looked up, at the most: the newest.
const BODIES_MAX: usize = 1_000;

/// Where an object was in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WasAt {
    /// Its bucket.
    pub(crate) bucket: String,
    /// Its key.
    pub(crate) key: String,
    /// From when on, in RFC 3339.
    pub(crate) from: String,
    /// Before when.
    pub(crate) to: String,
    /// Every place where a node held, or may have held, something of it.
    pub(crate) places: Vec<String>,
    /// What was stored under the name, and held by somebody in that time.
    pub(crate) bodies: Vec<BodyWasAt>,
    /// Whether only the newest bodies were looked up, because there are too many.
    pub(crate) truncated: bool,
}

/// Where one body was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BodyWasAt {
    /// What its shards are stored under.
    pub(crate) data: String,
    /// The first entry of the log that stored something of it under this name; `audit show` proves it.
    pub(crate) first_entry: u64,
    /// The last one.
    pub(crate) last_entry: u64,
    /// Who held it.
    pub(crate) holders: Vec<HeldThere>,
}

/// What one node held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HeldThere {
    /// Which node.
    pub(crate) node: String,
    /// Where its record said that it was, in that time.
    pub(crate) places: Vec<String>,
    /// Of how many pages of the body it held, or may have held, shards.
    pub(crate) pages: u64,
    /// Since when.
    pub(crate) from: String,
    /// Until when anything counted on it; absent: still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

/// Why it cannot be said where an object was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlacementsError {
    /// The registers.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The catalog.
    #[error("the history of placements cannot be read")]
    Catalog(#[from] CatalogError),
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopping,
}

/// Where an object was at any time from `from` on and before `to`; `tenant` binds it to what was stored on its behalf.
pub(crate) async fn was_at(
    gateway: &Gateway,
    (bucket, key): (&BucketName, &ObjectKey),
    tenant: Option<TenantId>,
    (from, to): (UnixMillis, UnixMillis),
) -> Result<WasAt, PlacementsError> {
    let query = Query {
        bucket: Some(bucket.to_string()),
        key: Some(key.as_str().to_owned()),
        to: Some(to),
        tenant,
        ..Query::new(Register::Placements)
    };
    let registers = Arc::clone(&gateway.registers);
    let found = tokio::task::spawn_blocking(move || {
        let mut bodies: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for row in registers.events(query, Sight::Pseudonyms)? {
            let row = row?;
            let Some(data) = row.data else { continue };
            let entries = bodies.entry(data).or_insert((row.index, row.index));
            *entries = (entries.0.min(row.index), entries.1.max(row.index));
        }
        Ok::<_, RegisterError>(bodies)
    });
    let mut stored: Vec<_> = found.await.map_err(|_| PlacementsError::Stopping)??.into_iter().collect();
    stored.sort_unstable_by_key(|(_, (first, _))| *first);
    let truncated = stored.len() > BODIES_MAX;
    let skipped = stored.len().saturating_sub(BODIES_MAX);
    let mut bodies = Vec::new();
    for (data, (first_entry, last_entry)) in stored.into_iter().skip(skipped) {
        let Ok(id) = DataId::parse(&data) else { continue };
        let holders = gateway.catalog.holders_between(id, from, to).await?;
        if !holders.is_empty() {
            bodies.push(BodyWasAt { data, first_entry, last_entry, holders: holders.iter().map(held_there).collect() });
        }
    }
    let mut places: Vec<String> =
        bodies.iter().flat_map(|body| &body.holders).flat_map(|held| held.places.iter().cloned()).collect();
    places.sort_unstable();
    places.dedup();
    Ok(WasAt {
        bucket: bucket.to_string(),
        key: key.as_str().to_owned(),
        from: from.to_string(),
        to: to.to_string(),
        places,
        bodies,
        truncated,
    })
}

fn held_there(holding: &Holding) -> HeldThere {
    HeldThere {
        node: holding.node.to_string(),
        places: holding.places.iter().map(ToString::to_string).collect(),
        pages: holding.pages,
        from: holding.from.to_string(),
        until: holding.until.map(|until| until.to_string()),
    }
}
