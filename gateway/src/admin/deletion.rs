//! Deletion certificates.

use actix_web::{HttpResponse, web};
use domicile_types::{BucketName, DataId, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use crate::config::Role;
use crate::objects::Gateway;

/// What became of the bytes of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct CertificateView {
    /// What its shards were stored under.
    #[schemars(with = "String")]
    pub(crate) data: DataId,
    /// Which version, where the bucket had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// When its data key was shredded.
    #[schemars(with = "u64")]
    pub(crate) shredded: UnixMillis,
    /// Whether every node was asked for every shard.
    pub(crate) swept: bool,
    /// How many shards may still lie on nodes that could not be reached.
    pub(crate) residue: u64,
    /// Indices of the log's entries that state it; the last one holds.
    pub(crate) stated: Vec<u64>,
    /// BLAKE3 over the receipts, each with a line feed, in hexadecimal.
    pub(crate) receipts_hash: String,
    /// What nodes signed.
    pub(crate) receipts: Vec<String>,
}

pub(super) fn routes() -> Vec<Route> {
    let readers = &[Role::Uploader, Role::TenantAdmin, Role::Auditor, Role::Officer, Role::SecurityAdmin];
    vec![
        Route::get("/v1/deletions", find)
            .roles(Duty::Reads, readers)
            .summary("What became of the bytes of an object that was deleted: receipts of nodes, and residue.")
            .query::<Query>()
            .answers::<Vec<CertificateView>>(),
    ]
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(super) struct Query {
    /// The bucket that it was in.
    bucket: String,
    /// Its key.
    key: String,
}

/// `GET /v1/deletions?bucket=B&key=K`
pub(super) async fn find(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    query: web::Query<Query>,
) -> Result<HttpResponse, AdminError> {
    let bad = |error: domicile_types::ParseError| AdminError::BadRequest(error.to_string());
    let bucket = BucketName::parse(&query.bucket).map_err(bad)?;
    let key = ObjectKey::parse(&query.key).map_err(bad)?;
    let owner = gateway.deleted_owner(&bucket, &key).await?;
    let owner = owner.ok_or_else(|| AdminError::NotFound("nothing of that name was deleted".to_owned()))?;
    bearer.may_see(&owner)?;
    let certificates = gateway.certificates(&bearer.caller_for(&owner), &bucket, &key).await?;
    gateway.note_view(bearer.caller(), "deletions", certificates.len()).await?;
    let views = certificates.into_iter().map(|certificate| CertificateView {
        data: certificate.data,
        version: certificate.record.version.clone(),
        shredded: certificate.record.shredded,
        swept: certificate.record.is_swept(),
        residue: certificate.record.residue,
        stated: certificate.record.stated.clone(),
        receipts_hash: certificate.receipts_hash,
        receipts: certificate.receipts,
    });
    Ok(HttpResponse::Ok().json(views.collect::<Vec<_>>()))
}
