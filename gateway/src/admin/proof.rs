//! Evidence and the care of the log: bundles, replays, erasure.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use domicile_compliance::audit::CommitmentDomain;
use domicile_types::UnixMillis;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use tokio_stream::StreamExt;

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use super::seen::seen_by_nodes;
use crate::config::Role;
use crate::log_care::LogState;
use crate::objects::{BundleWanted, Erasure, Gateway};

const READERS: &[Role] = &[Role::Auditor, Role::Officer, Role::SecurityAdmin];
/// Who may know how the log stands.
const WATCHERS: &[Role] = &[Role::Auditor, Role::Officer, Role::SecurityAdmin, Role::Operator];
/// Who may be shown what commitments hide.
const OPENERS: &[Role] = &[Role::Officer, Role::Admin];
/// In the answer to a bundle: the entry that records its seal.
pub(crate) const SEALED_AT: &str = "x-domicile-sealed-at";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/audit/bundle", bundle)
            .roles(Duty::Reads, READERS)
            .summary(
                "Evidence of a time, as a tar: entries, proofs, inputs and packs. Only officers may have it opened.",
            )
            .query::<SpanQuery>()
            .file("application/x-tar"),
        Route::post("/v1/audit/replay", replay)
            .roles(Duty::Reads, READERS)
            .summary("Every decision of a time decided again, from its inputs by the packs of its time.")
            .query::<SpanQuery>()
            .answers::<serde_json::Map<String, serde_json::Value>>(),
        Route::get("/v1/audit/state", state)
            .roles(Duty::Reads, WATCHERS)
            .summary("How the log stands: its room, and who cosigns it.")
            .answers::<LogState>(),
        Route::get("/v1/audit/metrics", metrics)
            .roles(Duty::Reads, WATCHERS)
            .summary("The same, in the text format of Prometheus.")
            .file("text/plain"),
        Route::post("/v1/audit/erase", erase)
            .roles(Duty::HoldsKeys, &[Role::SecurityAdmin])
            .summary("Erases a value: no commitment to it opens any more, and the log still verifies.")
            .takes::<EraseRequest>()
            .answers::<Erasure>(),
    ]
}

/// A time, as people write it: RFC 3339, or a day, which begins at midnight UTC.
pub(crate) fn parse_time(text: &str) -> Result<UnixMillis, String> {
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc());
    let time = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| day());
    let time = time.map_err(|_| format!("{text:?} is neither a day (2026-11-23) nor a time (2026-11-23T08:00:00Z)"))?;
    if time.unix_timestamp() < 0 { Err(format!("{text} is before 1970")) } else { Ok(time.into()) }
}

/// A time, and what of it.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpanQuery {
    /// From when on: a day, or a time in RFC 3339.
    from: Option<String>,
    /// Until when; that moment is not included.
    to: Option<String>,
    /// Only about this bucket. A replay is about all.
    bucket: Option<String>,
    /// With what commitments hide.
    #[serde(default)]
    open: bool,
}

impl SpanQuery {
    fn times(&self) -> Result<(Option<UnixMillis>, Option<UnixMillis>), AdminError> {
        let parse = |text: &Option<String>| text.as_deref().map(parse_time).transpose().map_err(AdminError::BadRequest);
        let (from, to) = (parse(&self.from)?, parse(&self.to)?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(AdminError::BadRequest(
                "the time ends before it begins: --from is included, --to is not".to_owned(),
            ));
        }
        Ok((from, to))
    }
}

/// `POST /v1/audit/bundle?from=T&to=T&bucket=B&open=true`: a tar of an evidence bundle. Commitments are opened only for an
/// officer who asks for it, and that is logged.
pub(super) async fn bundle(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    query: web::Query<SpanQuery>,
) -> Result<HttpResponse, AdminError> {
    if query.open && !OPENERS.contains(&bearer.role) {
        return Err(AdminError::Forbidden { needed: "officer, admin: opened commitments are personal data" });
    }
    let (from, to) = query.times()?;
    let seen = seen_by_nodes(&gateway).await;
    let SpanQuery { bucket, open, .. } = query.into_inner();
    let folder = tempfile::tempdir_in(&gateway.config.data_dir).map_err(AdminError::internal)?;
    let wanted = BundleWanted { from, to, bucket, open, seen };
    let copy = folder.path().join("bundle");
    let made = gateway.make_bundle(bearer.caller(), wanted, &copy).await?;
    let archive =
        web::block(move || super::audit::tar_of(&copy, folder.path())).await.map_err(AdminError::internal)??;
    let stream = tokio_util::io::ReaderStream::new(tokio::fs::File::from_std(archive));
    let body = stream.map(|piece| piece.map(Bytes::from));
    Ok(HttpResponse::Ok()
        .content_type("application/x-tar")
        .insert_header((SEALED_AT, made.log_index.to_string()))
        .streaming(body))
}

/// `POST /v1/audit/replay?from=T&to=T`: every decision of that time decided again.
pub(super) async fn replay(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    query: web::Query<SpanQuery>,
) -> Result<HttpResponse, AdminError> {
    let (from, to) = query.times()?;
    if query.open || query.bucket.is_some() {
        return Err(AdminError::BadRequest("a replay is about a time, and all that was decided then".to_owned()));
    }
    Ok(HttpResponse::Ok().json(gateway.replay(bearer.caller(), from, to).await?))
}

/// `GET /v1/audit/state`
pub(super) async fn state(gateway: web::Data<Gateway>) -> HttpResponse {
    HttpResponse::Ok().json(gateway.log_state())
}

/// `GET /v1/audit/metrics`
pub(super) async fn metrics(gateway: web::Data<Gateway>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(gateway.log_state().metrics())
}

/// What is to be forgotten.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseRequest {
    /// `actor`, `address`, `bucket` or `key`.
    pub(crate) domain: String,
    /// The value, to the letter.
    pub(crate) value: String,
    /// Why: stays in the log.
    pub(crate) reason: String,
}

/// `POST /v1/audit/erase`: a value and its salts are deleted, so that no commitment to it opens any more.
pub(super) async fn erase(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    body: web::Json<EraseRequest>,
) -> Result<HttpResponse, AdminError> {
    let EraseRequest { domain, value, reason } = body.into_inner();
    let domain = CommitmentDomain::ALL.into_iter().find(|known| known.name() == domain);
    let domain =
        domain.ok_or_else(|| AdminError::BadRequest("a value is an actor, address, bucket or key".to_owned()))?;
    Ok(HttpResponse::Ok().json(gateway.erase(bearer.caller(), domain, value, reason).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_a_moment() {
        assert_eq!(parse_time("1970-01-02"), Ok(UnixMillis(86_400_000)));
        assert_eq!(parse_time("1970-01-01T01:00:00.5+01:00"), Ok(UnixMillis(500)));
        for bad in ["", "yesterday", "1969-12-31", "2026-13-01"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
