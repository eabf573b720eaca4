//! The data plane: HTTPS on actix-web, one handler per verb.
//!
//! A request that is refused before its body was read has its body drained (a shard at the most), so that the connection
//! stays usable and the peer reads the refusal instead of a reset.

mod request;
mod shards;

use std::any::Any;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, Server};
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use domicile_node_protocol::{CHALLENGES_PATH, CHECKPOINTS_PATH, Refusal, RefusalCode, SHARDS_PATH, STATUS_PATH};
use domicile_types::{NodeId, ShardCid};
use rustls::ServerConfig;

use crate::identity_tls::certificate_identity;
use crate::node::Node;

/// Gateways keep their connections; one that is silent for so long has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(300);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take: generous, because a whole fleet may start on one machine.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests may still run after the node was told to stop, in seconds.
const SHUTDOWN_SECONDS_MAX: u64 = 10;
/// Connections at once, per thread.
const CONNECTIONS_MAX: usize = 4096;

/// The peer's identity, as the handshake proved it.
#[derive(Debug, Clone, Copy)]
struct Peer(NodeId);

/// Serves `node` on `listener` until the returned server is stopped.
pub(crate) fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    tls: ServerConfig,
    workers: usize,
) -> std::io::Result<Server> {
    let data = web::Data::from(node);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .service(
                web::resource(format!("{SHARDS_PATH}{{cid}}"))
                    .route(web::put().to(shards::put))
                    .route(web::get().to(shards::get))
                    .route(web::delete().to(shards::delete))
                    .default_service(web::to(no_such_verb)),
            )
            .route(&format!("{CHALLENGES_PATH}{{cid}}"), web::get().to(shards::challenge))
            .route(STATUS_PATH, web::get().to(status))
            .route(CHECKPOINTS_PATH, web::get().to(checkpoints))
            .default_service(web::to(no_such_path))
    })
    .on_connect(remember_peer)
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

/// Puts the identity of the peer where the handlers find it.
fn remember_peer(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (socket, session) = stream.get_ref();
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn Nagle's algorithm off");
    }
    let identity = session.peer_certificates().and_then(|chain| certificate_identity(chain.first()?).ok());
    if let Some(peer) = identity {
        extensions.insert(Peer(peer));
    }
}

async fn status(node: web::Data<Node>) -> HttpResponse {
    HttpResponse::Ok().json(node.status())
}

async fn checkpoints(node: web::Data<Node>) -> HttpResponse {
    HttpResponse::Ok().json(node.checkpoints())
}

async fn no_such_path(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let refusal = Refusal::new(RefusalCode::BadRequest, "no such path: see the node protocol");
    refuse(&node, &request, None, &refusal)
}

async fn no_such_verb(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let refusal = Refusal::new(RefusalCode::BadRequest, "shards take PUT, GET and DELETE");
    refuse(&node, &request, None, &refusal)
}

/// Counts a refusal and answers it.
fn refuse(node: &Node, request: &HttpRequest, shard: Option<&ShardCid>, refusal: &Refusal) -> HttpResponse {
    let peer = request.conn_data::<Peer>().map(|peer| peer.0);
    node.note_refusal(refusal, peer, shard);
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type("application/json").body(refusal.to_body())
}
