//! Registers: pages of them as JSON, and whole ones streamed in other formats.

use std::io::Write;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use domicile_compliance::audit::{CommitmentDomain, Event};
use domicile_types::{BucketName, ObjectKey, Salt};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use crate::config::Role;
use crate::objects::{Caller, Gateway};
use crate::registers::placements::{self, PlacementsError, WasAt};
use crate::registers::{EventRecord, Events, Format, Page, Query, Register, RegisterError, Sight, Writer, stretch};

/// Who may read registers, with pseudonyms for what commitments hide. A tenant's admin sees that tenant's rows.
const READERS: &[Role] = &[Role::Auditor, Role::Officer, Role::Approver, Role::TenantAdmin];
/// Who may have the values themselves; each time, it is logged.
const OPENERS: &[Role] = &[Role::Officer, Role::Admin];
/// Rows of a page, where nothing is said.
const PAGE_ROWS: usize = 100;
/// Bytes that are handed on together.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for a reader that is slow.
const PIECES_WAITING: usize = 4;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/registers/{register}", read)
            .roles(Duty::Reads, READERS)
            .summary("Rows of a register: a page as JSON, or the whole as a file.")
            .query::<Parameters>()
            .answers::<Page>()
            .file(Format::Jsonl.media_type())
            .file(Format::Csv.media_type())
            .file(Format::Parquet.media_type())
            .file(Format::Cef.media_type()),
        Route::get("/v1/placements", placements)
            .roles(Duty::Reads, &[Role::TenantAdmin, Role::Auditor, Role::Officer])
            .summary("Where an object was on a day, or in a stretch of time.")
            .query::<PlacementsQuery>()
            .answers::<WasAt>(),
        Route::post("/v1/registers/rebuild", rebuild)
            .roles(Duty::Operates, &[Role::Operator])
            .summary("Forgets the index of all registers and makes it anew from the log.")
            .answers::<Rebuilt>(),
    ]
}

/// What may stand behind `?`, for the description of the API. It is read by [`Query::parse`], which says what is wrong.
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it describes what is read elsewhere")]
struct Parameters {
    /// Not before: a day (midnight in UTC), or a time in RFC 3339.
    from: Option<String>,
    /// Before this.
    to: Option<String>,
    /// On whose behalf.
    tenant: Option<String>,
    /// In the bucket of this name.
    bucket: Option<String>,
    /// About the object key or listing prefix of this name.
    key: Option<String>,
    /// About data of this class.
    class: Option<String>,
    /// Out of this place: a country means all of it.
    from_place: Option<String>,
    /// Into this place.
    to_place: Option<String>,
    /// By whom: `tenant/access-key`.
    actor: Option<String>,
    /// `allow` or `deny`.
    verdict: Option<String>,
    /// On what it stands: `pack/rule`, a pack, a mechanism, or an approval's id.
    basis: Option<String>,
    /// What was done, or what became of something.
    operation: Option<String>,
    /// About this node.
    node: Option<String>,
    /// About the body that is stored under this.
    data: Option<String>,
    /// `oldest` (first) or `newest`.
    order: Option<String>,
    /// `json` (a page), `jsonl`, `csv`, `parquet`, `ocsf` or `cef`.
    format: Option<String>,
    /// At most so many rows.
    limit: Option<u64>,
    /// What a page gave as `next`, with the same filters.
    cursor: Option<String>,
    /// Values instead of pseudonyms: it takes an officer, and is logged.
    opened: Option<bool>,
}

/// What a request says beside filters.
struct Asked {
    query: Query,
    format: Option<Format>,
    limit: Option<usize>,
    cursor: Option<String>,
    sight: Sight,
}

/// `GET /v1/registers/{register}?from=...&to=...&tenant=...&format=json|jsonl|csv|parquet|ocsf|cef&limit=N&cursor=C&opened=true`
async fn read(
    bearer: Bearer,
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    register: web::Path<String>,
) -> Result<HttpResponse, AdminError> {
    let asked = asked(&register, request.query_string(), &bearer)?;
    let caller = bearer.caller().clone();
    match asked.format {
        None => {
            let page = web::block(move || page(&gateway, &caller, &asked)).await.map_err(AdminError::internal)??;
            Ok(HttpResponse::Ok().json(page))
        }
        Some(format) => {
            let name = format!("attachment; filename=\"{}.{}\"", register.as_str(), format.name());
            let (sender, receiver) = mpsc::channel(PIECES_WAITING);
            let registers = Arc::clone(&gateway.registers);
            let Asked { query, limit, sight, .. } = asked;
            let opening = web::block(move || registers.events(query, sight));
            let events = opening.await.map_err(AdminError::internal)??;
            // Nothing waits for it: it ends with its reader, or with its last row.
            drop(tokio::task::spawn_blocking(move || {
                stream(&gateway, &caller, events, format, limit.unwrap_or(usize::MAX), sight, sender);
            }));
            Ok(HttpResponse::Ok()
                .content_type(format.media_type())
                .insert_header((header::CONTENT_DISPOSITION, name))
                .streaming(ReceiverStream::new(receiver)))
        }
    }
}

/// `POST /v1/registers/rebuild`: forgets the index and makes it anew from the log.
async fn rebuild(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    let rebuilt = web::block(move || gateway.registers.rebuild()).await.map_err(AdminError::internal)?;
    let (entries, log_entries) = rebuilt?;
    Ok(HttpResponse::Ok().json(Rebuilt { entries, log_entries }))
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlacementsQuery {
    /// Its bucket.
    bucket: String,
    /// Its key.
    key: String,
    /// A day in UTC, all of it; or a time in RFC 3339.
    on: Option<String>,
    /// Else from when on.
    from: Option<String>,
    /// And before when.
    to: Option<String>,
}

/// `GET /v1/placements?bucket=B&key=K&on=2026-05-03`: whoever asks names the object, so nothing is opened.
async fn placements(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    query: web::Query<PlacementsQuery>,
) -> Result<HttpResponse, AdminError> {
    let bad = |error: domicile_types::ParseError| AdminError::BadRequest(error.to_string());
    let (bucket, key) = (BucketName::parse(&query.bucket).map_err(bad)?, ObjectKey::parse(&query.key).map_err(bad)?);
    let when = stretch(query.on.as_deref(), query.from.as_deref(), query.to.as_deref())?;
    let tenant = bearer.bound_to()?.cloned();
    match placements::was_at(&gateway, (&bucket, &key), tenant, when).await {
        Ok(found) => Ok(HttpResponse::Ok().json(found)),
        Err(PlacementsError::Register(error)) => Err(error.into()),
        Err(error) => Err(AdminError::internal(error)),
    }
}

/// How far a new index has come.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Rebuilt {
    /// Entries that are in it; the rest follows by itself.
    pub(crate) entries: u64,
    /// Entries of the log.
    pub(crate) log_entries: u64,
}

fn asked(register: &str, query: &str, bearer: &Bearer) -> Result<Asked, AdminError> {
    let bad = |why: String| AdminError::BadRequest(why);
    let register = Register::parse(register).ok_or_else(|| {
        let names = Register::ALL.map(Register::name).join(", ");
        AdminError::NotFound(format!("{register:?} is not a register; there are {names}"))
    })?;
    let (mut format, mut limit, mut cursor, mut sight) = (None, None, None, Sight::Pseudonyms);
    let mut filters: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "format" if value == "json" => format = None,
            "format" => {
                let known = Format::parse(&value);
                let names = Format::ALL.map(Format::name).join(", ");
                format = Some(known.ok_or_else(|| bad(format!("{value:?} is not a format; there are json, {names}")))?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|limit| *limit > 0);
                limit = Some(number.ok_or_else(|| bad(format!("limit: {value:?} is not a number of rows from 1 on")))?);
            }
            "cursor" => cursor = Some(value.into_owned()),
            "opened" => match &*value {
                "true" => sight = Sight::Opened,
                "false" => sight = Sight::Pseudonyms,
                _ => return Err(bad(format!("opened: {value:?} is neither true nor false"))),
            },
            _ => filters.push((name.into_owned(), value.into_owned())),
        }
    }
    if format.is_some() && cursor.is_some() {
        return Err(bad("a cursor is for pages (format=json); the other formats stream the whole register".to_owned()));
    }
    let pairs = filters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut query = Query::parse(register, pairs)?;
    if let Some(own) = bearer.bound_to()? {
        bearer.may_see(query.tenant.as_ref().unwrap_or(own))?;
        query.tenant = Some(own.clone());
    }
    if sight == Sight::Opened && !OPENERS.contains(&bearer.role) {
        return Err(AdminError::Forbidden { needed: "officer, admin (leave out opened=true for pseudonyms)" });
    }
    Ok(Asked { query, format, limit, cursor, sight })
}

fn page(gateway: &Gateway, caller: &Caller, asked: &Asked) -> Result<Page, AdminError> {
    let limit = asked.limit.unwrap_or(PAGE_ROWS);
    let page = gateway.registers.page(&asked.query, asked.cursor.as_deref(), limit, asked.sight)?;
    note_view(gateway, caller, asked.query.register, asked.sight, page.rows.len())?;
    Ok(page)
}

/// That somebody is about to see what commitments hide. Durable before anything is shown. Blocks on the disk.
fn note_view(
    gateway: &Gateway,
    caller: &Caller,
    register: Register,
    sight: Sight,
    rows: usize,
) -> Result<(), RegisterError> {
    if sight == Sight::Pseudonyms || rows == 0 {
        return Ok(());
    }
    let fresh = || Salt(gateway.clock.random());
    let by = gateway.log.side().commit(CommitmentDomain::Actor, caller.actor().as_bytes(), fresh);
    let by = by.map_err(|error| RegisterError::Index { reason: super::with_causes(&error) })?;
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    let event = Event::Viewed { what: format!("registers/{}", register.name()), rows, by };
    gateway.log.note(caller.request, event).wait().map(drop).map_err(RegisterError::Unlogged)
}

/// Writes rows into `sender` until there are no more, or nobody reads. A fault breaks the answer off: what was read is not the
/// whole, and the reader can tell.
fn stream(
    gateway: &Gateway,
    caller: &Caller,
    events: Events,
    format: Format,
    limit: usize,
    sight: Sight,
    sender: Sender<Result<Bytes, RegisterError>>,
) {
    let register = events.register();
    let pieces = Pieces { sender: sender.clone(), waiting: Vec::with_capacity(PIECE_BYTES) };
    let written =
        write_all(events, format, limit, pieces, |rows| note_view(gateway, caller, register, sight, rows.len()));
    if let Err(error) = written {
        if matches!(&error, RegisterError::Write(gone) if gone.kind() == std::io::ErrorKind::BrokenPipe) {
            return;
        }
        tracing::warn!(error = super::with_causes(&error), "a register is broken off");
        drop(sender.blocking_send(Err(error)));
    }
}

fn write_all(
    mut events: Events,
    format: Format,
    limit: usize,
    pieces: Pieces,
    mut before: impl FnMut(&[EventRecord]) -> Result<(), RegisterError>,
) -> Result<(), RegisterError> {
    let mut writer = Writer::begin(format, pieces)?;
    let mut left = limit;
    while left > 0
        && let Some(rows) = events.next_chunk().transpose()?
    {
        let rows = rows.get(..left.min(rows.len())).unwrap_or_default();
        before(rows)?;
        writer.write(rows)?;
        left = left.saturating_sub(rows.len());
    }
    writer.finish()
}

/// Hands on what is written, in pieces; waits for whoever reads.
struct Pieces {
    sender: Sender<Result<Bytes, RegisterError>>,
    waiting: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.waiting));
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(piece)).map_err(gone)
    }
}

impl From<RegisterError> for AdminError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::BadQuery(why) => Self::BadRequest(why),
            RegisterError::Behind { .. } | RegisterError::Unlogged(_) => Self::Unavailable(super::with_causes(&error)),
            error => Self::internal(error),
        }
    }
}
