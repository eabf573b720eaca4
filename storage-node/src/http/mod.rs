//! The data plane: HTTPS on actix-web, one handler per verb.
//!
//! A request that is refused before its body was read has its body drained (a shard at the most), so that the connection
//! stays usable and the peer reads the refusal instead of a reset.

mod accounts;
mod pages;
mod peer;
mod repairs;
mod request;
mod shards;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use domicile_node_protocol::{
    CHALLENGES_PATH, CHECKPOINTS_PATH, HOLDINGS_PATH, NOTICES_PATH, ProtocolVersions, REPAIRS_PATH, Refusal,
    RefusalCode, SHARDS_PATH, STATEMENTS_PATH, STATUS_PATH, TICKETS_PATH,
};
use domicile_types::ShardCid;
use rustls::ServerConfig;
use tokio::sync::Semaphore;

use self::peer::Peer;
use crate::node::Node;

/// Gateways keep their connections; one that is silent for so long has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(300);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take: generous, because a whole fleet may start on one machine.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests may still run after the node was told to stop, in seconds.
const SHUTDOWN_SECONDS_MAX: u64 = 10;
/// Connections at once of peers that are not enrolled: workers of a gateway's repairs, and who takes himself for one.
const STRANGERS_MAX: usize = 256;
/// Connections at once, per thread.
const CONNECTIONS_MAX: usize = 4096;

/// Serves `node` on `listener` until the returned server is stopped.
pub(crate) fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    tls: ServerConfig,
    workers: usize,
) -> std::io::Result<Server> {
    let data = web::Data::from(Arc::clone(&node));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .wrap(from_fn(peer::guard))
            .service(
                web::resource(format!("{SHARDS_PATH}{{cid}}"))
                    .route(web::put().to(shards::put))
                    .route(web::get().to(shards::get))
                    .route(web::delete().to(shards::delete))
                    .default_service(web::to(no_such_verb)),
            )
            .route(&format!("{CHALLENGES_PATH}{{cid}}"), web::get().to(shards::challenge))
            .route(REPAIRS_PATH, web::post().to(repairs::repair))
            .route(STATUS_PATH, web::get().to(pages::status))
            .route(CHECKPOINTS_PATH, web::get().to(pages::checkpoints))
            .route(HOLDINGS_PATH, web::get().to(pages::holdings))
            .route(TICKETS_PATH, web::get().to(pages::tickets))
            .route(&format!("{STATEMENTS_PATH}{{month}}"), web::get().to(accounts::statement))
            .route(NOTICES_PATH, web::post().to(accounts::notice))
            .default_service(web::to(no_such_path))
    })
    .on_connect(move |connection, extensions| peer::remember(&node, &strangers, connection, extensions))
    .workers(workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .tls_handshake_timeout(HANDSHAKE_TIMEOUT)
    .max_connections(CONNECTIONS_MAX)
    .shutdown_timeout(SHUTDOWN_SECONDS_MAX)
    .disable_signals()
    .listen_rustls_0_23(listener, tls)?;
    Ok(server.run())
}

async fn no_such_path(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let ProtocolVersions { oldest, newest } = ProtocolVersions::SPOKEN;
    let asked = request.path().strip_prefix("/v").and_then(|rest| rest.split('/').next()?.parse::<u16>().ok());
    let message = match asked {
        Some(version) if !(oldest..=newest).contains(&version) => format!(
            "this node speaks versions {oldest} to {newest} of the node protocol, and was asked in version {version}: \
             upgrade whichever is older"
        ),
        _ => "no such path: see the node protocol".to_owned(),
    };
    let refusal = Refusal::new(RefusalCode::BadRequest, message);
    refuse(&node, &request, None, &refusal)
}

async fn no_such_verb(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let refusal = Refusal::new(RefusalCode::BadRequest, "shards take PUT, GET and DELETE");
    refuse(&node, &request, None, &refusal)
}

/// Counts a refusal and answers it.
fn refuse(node: &Node, request: &HttpRequest, shard: Option<&ShardCid>, refusal: &Refusal) -> HttpResponse {
    let peer = request.conn_data::<Peer>().map(Peer::id);
    node.note_refusal(refusal, peer, shard);
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type("application/json").body(refusal.to_body())
}
