//! Reports: made and handed out, and the seal of a file found again.

use actix_web::{HttpResponse, web};
use domicile_compliance::report::{Language, ReportKind};
use domicile_types::{BucketName, Entry, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::auth::Bearer;
use super::route::{Duty, Route};
use super::{AdminError, with_causes};
use crate::config::Role;
use crate::objects::{Gateway, ReportRefusal};
use crate::reports::{RenderError, ReportFault, ReportFormat, ReportOrder, first_at};

const READERS: &[Role] = &[Role::Officer, Role::Auditor];
/// The header with the index of the entry that seals the file.
pub(crate) const INDEX_HEADER: &str = "domicile-log-index";
/// The header with the file's SHA-256.
pub(crate) const HASH_HEADER: &str = "domicile-sha256";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/reports/{kind}", make)
            .roles(Duty::Reads, READERS)
            .summary("Makes a report of a period, seals it in the log, and answers the file.")
            .takes::<ReportRequest>()
            .file("application/pdf")
            .file("text/html")
            .file("application/json"),
        Route::get("/v1/reports/seals/{hash}", seal)
            .roles(Duty::Reads, READERS)
            .summary("The entry that has a file's SHA-256, with its proof.")
            .query::<SealQuery>()
            .answers::<SealView>(),
    ]
}

/// The language of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReportLanguage {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

/// Which report is wanted.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportRequest {
    /// The first moment of the period, in milliseconds since 1970.
    pub(crate) from: u64,
    /// The first moment after it. Absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<u64>,
    /// The language of labels and texts.
    pub(crate) language: ReportLanguage,
    /// The form of the file.
    pub(crate) format: ReportFormat,
    /// Only exports of this bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bucket: Option<String>,
    /// An object, `s3://BUCKET/KEY`: a map shows where its shards lie; a deletion certificate certifies its deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    /// Names buckets and people, and logs that they were named.
    #[serde(default)]
    pub(crate) open: bool,
}

/// The entry that seals a file, with its proof.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct SealView {
    /// The entry's index.
    pub(crate) index: u64,
    /// The entry, byte by byte.
    pub(crate) leaf: String,
    /// Its proof (c2sp.org/tlog-proof) against the newest checkpoint.
    pub(crate) proof: String,
    /// The log's public key, as a C2SP verifier key.
    pub(crate) key: String,
}

/// `POST /v1/reports/{kind}`: the file. Headers tell its hash and the entry that has it.
pub(super) async fn make(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    kind: web::Path<String>,
    wanted: web::Json<ReportRequest>,
) -> Result<HttpResponse, AdminError> {
    let kind = ReportKind::parse(&kind)
        .ok_or_else(|| AdminError::NotFound(format!("there is no report {kind}; {}", kinds())))?;
    let wanted = wanted.into_inner();
    let bad = |error: domicile_types::ParseError| AdminError::BadRequest(error.to_string());
    let object = wanted.object.as_deref().map(parse_object).transpose()?;
    let order = ReportOrder {
        kind,
        language: match wanted.language {
            ReportLanguage::En => Language::En,
            ReportLanguage::Zh => Language::Zh,
        },
        format: wanted.format,
        period: (UnixMillis(wanted.from), wanted.to.map_or_else(|| gateway.clock.now(), UnixMillis)),
        bucket: wanted.bucket.as_deref().map(BucketName::parse).transpose().map_err(bad)?,
        object,
        open: wanted.open,
    };
    let made = gateway.make_report(bearer.caller(), order).await?;
    Ok(HttpResponse::Ok()
        .content_type(wanted.format.media_type())
        .insert_header((INDEX_HEADER, made.index.to_string()))
        .insert_header((HASH_HEADER, made.hash))
        .insert_header(("content-disposition", format!("attachment; filename=\"{kind}.{}\"", wanted.format.name())))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(made.file))
}

fn kinds() -> String {
    let names: Vec<&str> = ReportKind::ALL.iter().map(|kind| kind.name()).collect();
    format!("there are {}", names.join(", "))
}

fn parse_object(text: &str) -> Result<(BucketName, ObjectKey), AdminError> {
    let bad = |error: domicile_types::ParseError| AdminError::BadRequest(error.to_string());
    let path = text.strip_prefix("s3://").and_then(|path| path.split_once('/'));
    let (bucket, key) = path.ok_or_else(|| AdminError::BadRequest("an object is named s3://BUCKET/KEY".to_owned()))?;
    Ok((BucketName::parse(bucket).map_err(bad)?, ObjectKey::parse(key).map_err(bad)?))
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(super) struct SealQuery {
    /// The entry, where it is known: else the log is searched.
    index: Option<u64>,
    /// Search from this time on, in milliseconds since 1970.
    since: Option<u64>,
}

/// `GET /v1/reports/seals/{sha256}?index=N&since=T`: the entry that has this hash.
pub(super) async fn seal(
    gateway: web::Data<Gateway>,
    hash: web::Path<String>,
    query: web::Query<SealQuery>,
) -> Result<HttpResponse, AdminError> {
    let found = web::block(move || find_seal(&gateway, &hash, &query)).await;
    Ok(HttpResponse::Ok().json(found.map_err(AdminError::internal)??))
}

fn find_seal(gateway: &Gateway, hash: &str, query: &SealQuery) -> Result<SealView, AdminError> {
    let log = &gateway.log;
    let range = match (query.index, query.since) {
        (Some(index), _) => index..index.saturating_add(1),
        (None, Some(since)) => first_at(log, UnixMillis(since)).map_err(AdminError::internal)?..log.len(),
        (None, None) => 0..log.len(),
    };
    let mut found = None;
    log.entries(range, |stored| {
        // Cheap before exact: most entries do not hold the text at all.
        let is_it = stored.leaf.windows(hash.len().max(1)).any(|window| window == hash.as_bytes())
            && stored
                .record()
                .is_ok_and(|record| matches!(&record.entry, Entry::Report { hash: sealed, .. } if sealed == hash));
        if is_it {
            found = Some((stored.index, String::from_utf8_lossy(&stored.leaf).into_owned()));
        }
        !is_it
    })
    .map_err(AdminError::internal)?;
    let unknown = "no entry of this log seals that file: it is not a report of this gateway, or it was changed";
    let (index, leaf) = found.ok_or_else(|| AdminError::NotFound(unknown.to_owned()))?;
    let proof = log.prove(index).map_err(AdminError::internal)?.to_string();
    Ok(SealView { index, leaf, proof, key: log.verifier().to_string() })
}

impl From<ReportRefusal> for AdminError {
    fn from(refusal: ReportRefusal) -> Self {
        match refusal {
            ReportRefusal::Gateway(error) => error.into(),
            ReportRefusal::Material(ReportFault::Report(error)) => Self::BadRequest(error.to_string()),
            ReportRefusal::Render(error @ (RenderError::TooSlow | RenderError::TooLong)) => {
                Self::BadRequest(error.to_string())
            }
            ReportRefusal::Render(error @ RenderError::Missing { .. }) => Self::Unavailable(error.to_string()),
            refusal => Self::Internal(with_causes(&refusal)),
        }
    }
}
