//! Deletion certificates.

use actix_web::{HttpRequest, HttpResponse, web};
use domicile_types::{BucketName, DataId, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use crate::config::Role;
use crate::objects::Gateway;

/// What became of the bytes of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CertificateView {
    /// What its shards were stored under.
    pub(crate) data: DataId,
    /// Which version, where the bucket had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// When its data key was shredded.
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

#[derive(Deserialize)]
pub(super) struct Query {
    bucket: String,
    key: String,
}

/// `GET /v1/deletions?bucket=B&key=K`
pub(super) async fn find(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    query: web::Query<Query>,
) -> Result<HttpResponse, AdminError> {
    let needed = "uploader of the tenant that owned it, officer, admin";
    let bearer = Bearer::of(&request, &gateway)?.require(&[Role::Uploader, Role::Officer], needed)?;
    let bad = |error: domicile_types::ParseError| AdminError::BadRequest(error.to_string());
    let bucket = BucketName::parse(&query.bucket).map_err(bad)?;
    let key = ObjectKey::parse(&query.key).map_err(bad)?;
    let owner = gateway.deleted_owner(&bucket, &key).await?;
    let owner = owner.ok_or_else(|| AdminError::NotFound("nothing of that name was deleted".to_owned()))?;
    if bearer.role == Role::Uploader && bearer.tenant.as_ref() != Some(&owner) {
        return Err(AdminError::Forbidden { needed });
    }
    let certificates = gateway.certificates(&bearer.caller_for(&owner), &bucket, &key).await?;
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
