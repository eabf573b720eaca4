//! The log: listed, shown with its proof, verified, exported.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use domicile_compliance::audit::{self, Opening, StoredEntry};
use domicile_types::{Commitment, Entry, Intent, OperationKind, RequestId};
use tokio_stream::StreamExt;

use super::auth::Bearer;
use super::route::{Duty, Route};
use super::seen::seen_by_nodes;
use super::views::{EntryDetail, EntryPage, EntryView, Verified};
use super::{AdminError, with_causes};
use crate::config::Role;
use crate::objects::Gateway;

const READERS: &[Role] = &[Role::Auditor, Role::Officer, Role::Approver, Role::SecurityAdmin];
/// Entries of a page.
const PAGE_ENTRIES_MAX: usize = 1_000;
/// Entries that one request looks through for those that it wants.
const ENTRIES_SCANNED_MAX: u64 = 200_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/audit/entries", list)
            .roles(Duty::Reads, READERS)
            .summary("Entries of the log, page by page, filtered.")
            .query::<ListQuery>()
            .answers::<EntryPage>(),
        Route::get("/v1/audit/entries/{index}", show)
            .roles(Duty::Reads, READERS)
            .summary("One entry, with what its commitments open to, what was asked of the law, and its proof.")
            .answers::<EntryDetail>(),
        Route::post("/v1/audit/verify", verify)
            .roles(Duty::Reads, READERS)
            .summary("Verifies the log from its files, against what nodes have seen of it.")
            .answers::<Verified>(),
        Route::post("/v1/audit/reconcile", reconcile)
            .roles(Duty::Asks, &[Role::Officer])
            .summary("Holds the log against the tickets that nodes kept; what does not agree is an incident.")
            .query::<ReconcileQuery>()
            .answers::<crate::reconcile::Reconciled>(),
        Route::post("/v1/audit/export", export)
            .roles(Duty::Reads, &[Role::Auditor, Role::Officer, Role::SecurityAdmin])
            .summary("A copy of the log in the C2SP tile layout, without what its commitments hide.")
            .file("application/x-tar"),
    ]
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct ListQuery {
    /// The first entry that is looked at.
    from: Option<u64>,
    /// Entries of the page, at most 1,000.
    limit: Option<usize>,
    /// Keeps entries of this kind: `intent`, `denied`, `outcome` and so on.
    kind: Option<String>,
    /// Keeps entries about this operation.
    #[schemars(with = "Option<String>")]
    operation: Option<OperationKind>,
    /// Keeps decisions about exports.
    #[serde(default)]
    exports: bool,
    /// Opens the commitments and keeps entries about this bucket.
    bucket: Option<String>,
    /// Keeps entries of this request, as `x-amz-request-id` shows it.
    #[schemars(with = "Option<String>")]
    request: Option<RequestId>,
}

/// `GET /v1/audit/entries?from=N&limit=N&kind=denied&operation=get-object&exports=true&bucket=B&request=ID`
pub(super) async fn list(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, AdminError> {
    let opens = query.bucket.is_some();
    let looked = gateway.clone();
    let page = web::block(move || page(&looked, &query)).await.map_err(AdminError::internal)??;
    if opens {
        // Which entries are about a bucket is told by opening their commitments.
        gateway.note_view(bearer.caller(), "audit/entries", page.entries.len()).await?;
    }
    Ok(HttpResponse::Ok().json(page))
}

fn page(gateway: &Gateway, query: &ListQuery) -> Result<EntryPage, AdminError> {
    let size = gateway.log.len();
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_ENTRIES_MAX);
    let from = query.from.unwrap_or(0);
    let end = size.min(from.saturating_add(ENTRIES_SCANNED_MAX));
    let mut entries = Vec::new();
    let mut next = (end < size).then_some(end);
    let mut fault = None;
    let scanned = gateway.log.entries(from..end, |stored| {
        match view(&stored) {
            Ok(view) if wanted(gateway, query, &view) => entries.push(view),
            Ok(_) => {}
            Err(error) => fault = Some(error),
        }
        if entries.len() == limit {
            next = (stored.index + 1 < size).then_some(stored.index + 1);
        }
        entries.len() < limit && fault.is_none()
    });
    scanned.map_err(AdminError::internal)?;
    match fault {
        Some(fault) => Err(fault),
        None => Ok(EntryPage { entries, size, next }),
    }
}

fn wanted(gateway: &Gateway, query: &ListQuery, view: &EntryView) -> bool {
    let intent = intent(&view.record.entry);
    let opens_to_bucket = |bucket: &str| {
        let commitment = intent.and_then(|intent| intent.bucket);
        commitment.is_some_and(|commitment| open(gateway, &commitment) == bucket)
    };
    query.kind.as_deref().is_none_or(|kind| kind == view.record.entry.kind())
        && query.operation.is_none_or(|wanted| intent.is_some_and(|intent| intent.operation == wanted))
        && (!query.exports || intent.is_some_and(|intent| intent.decision.export))
        && query.request.is_none_or(|request| view.record.request == request)
        && query.bucket.as_deref().is_none_or(opens_to_bucket)
}

const fn intent(entry: &Entry) -> Option<&Intent> {
    match entry {
        Entry::Intent(intent) | Entry::Denied(intent) => Some(intent),
        _ => None,
    }
}

/// `POST /v1/audit/reconcile?from=N`: holds the log against the tickets that nodes kept, from an entry on, or from where the last
/// round ended.
pub(super) async fn reconcile(
    gateway: web::Data<Gateway>,
    query: web::Query<ReconcileQuery>,
) -> Result<HttpResponse, AdminError> {
    let round = crate::reconcile::reconcile(&gateway, query.from).await;
    Ok(HttpResponse::Ok().json(round.map_err(AdminError::internal)?))
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct ReconcileQuery {
    /// The first entry that is looked at; none: where the last round ended.
    from: Option<u64>,
}

/// `GET /v1/audit/entries/{index}`
pub(super) async fn show(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    index: web::Path<u64>,
) -> Result<HttpResponse, AdminError> {
    let looked = gateway.clone();
    let detail = web::block(move || detail(&looked, *index)).await.map_err(AdminError::internal)??;
    if !detail.opened.is_empty() {
        gateway.note_view(bearer.caller(), "audit/entry", 1).await?;
    }
    Ok(HttpResponse::Ok().json(detail))
}

fn detail(gateway: &Gateway, index: u64) -> Result<EntryDetail, AdminError> {
    if index >= gateway.log.len() {
        return Err(AdminError::NotFound(format!("the log has {} entries, the last before that", gateway.log.len())));
    }
    let mut found = None;
    gateway
        .log
        .entries(index..index + 1, |stored| {
            found = Some(view(&stored));
            false
        })
        .map_err(AdminError::internal)?;
    let entry = found.ok_or_else(|| AdminError::NotFound(format!("entry {index} is not there")))??;
    let proof = gateway.log.prove(index).map_err(AdminError::internal)?.to_string();
    let mut opened = BTreeMap::new();
    let mut inputs = None;
    if let Some(intent) = intent(&entry.record.entry) {
        let fields = [
            ("actor", Some(intent.actor)),
            ("address", Some(intent.address)),
            ("bucket", intent.bucket),
            ("key", intent.key),
        ];
        for (field, commitment) in fields {
            if let Some(commitment) = commitment {
                opened.insert(field.to_owned(), open(gateway, &commitment));
            }
        }
        inputs = gateway.log.inputs().get(&intent.decision.inputs).map_err(AdminError::internal)?;
    }
    Ok(EntryDetail { entry, opened, inputs, proof })
}

fn view(stored: &StoredEntry) -> Result<EntryView, AdminError> {
    let record = stored.record().map_err(AdminError::internal)?;
    Ok(EntryView { index: stored.index, leaf_hash: stored.leaf_hash.to_string(), record })
}

fn open(gateway: &Gateway, commitment: &Commitment) -> String {
    match gateway.log.side().open_commitment(commitment) {
        Ok(Opening::Value { value, .. }) => String::from_utf8_lossy(&value).into_owned(),
        Ok(Opening::Erased) => "erased".to_owned(),
        Ok(Opening::Unknown) => "unknown".to_owned(),
        Err(error) => with_causes(&error),
    }
}

/// `POST /v1/audit/verify`: the live log, from its files, against what the nodes have seen.
pub(super) async fn verify(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    let seen = seen_by_nodes(&gateway).await;
    let verified = web::block(move || {
        gateway.log.publish().map_err(AdminError::internal)?;
        Ok::<_, AdminError>(audit::verify_log(gateway.log.dir(), gateway.log.verifier(), &seen))
    });
    let verified = match verified.await.map_err(AdminError::internal)?? {
        Ok(report) => Verified { holds: true, entries: report.entries, seen: report.seen, fault: None },
        Err(fault) => Verified { holds: false, entries: 0, seen: 0, fault: Some(with_causes(&fault)) },
    };
    Ok(HttpResponse::Ok().json(verified))
}

/// `POST /v1/audit/export`: a tar of the log in the C2SP tile layout, its public key, and `seen.json`: the checkpoints
/// that nodes hold, which catch a copy whose tail was cut.
pub(super) async fn export(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    let seen = seen_by_nodes(&gateway).await;
    let archive = web::block(move || archive(&gateway, &seen)).await.map_err(AdminError::internal)??;
    let stream = tokio_util::io::ReaderStream::new(tokio::fs::File::from_std(archive));
    let body = stream.map(|piece| piece.map(Bytes::from));
    Ok(HttpResponse::Ok().content_type("application/x-tar").streaming(body))
}

fn archive(gateway: &Gateway, seen: &[audit::SeenCheckpoint]) -> Result<std::fs::File, AdminError> {
    let folder = tempfile::tempdir_in(&gateway.config.data_dir).map_err(AdminError::internal)?;
    let copy = folder.path().join("log");
    audit::export(&gateway.log, &copy, None).map_err(AdminError::internal)?;
    let seen: Vec<(String, String)> =
        seen.iter().map(|seen| (seen.by.clone(), seen.checkpoint.note().to_string())).collect();
    let seen = serde_json::to_vec_pretty(&seen).map_err(AdminError::internal)?;
    std::fs::write(copy.join(crate::cli::SEEN_FILE), seen).map_err(AdminError::internal)?;
    tar_of(&copy, folder.path())
}

/// A tar of everything in `folder`, in a file without a name on the disk of `beside`.
pub(super) fn tar_of(folder: &std::path::Path, beside: &std::path::Path) -> Result<std::fs::File, AdminError> {
    use std::io::Seek;
    let mut archive = tar::Builder::new(tempfile::tempfile_in(beside).map_err(AdminError::internal)?);
    archive.append_dir_all(".", folder).map_err(AdminError::internal)?;
    let mut file = archive.into_inner().map_err(AdminError::internal)?;
    file.rewind().map_err(AdminError::internal)?;
    Ok(file)
}
