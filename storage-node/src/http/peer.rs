//! Who is at the other end, and what those who are not enrolled may ask for.
//!
//! A ticket may name a node as its worker, which no list of this node names. So every identity may connect, within a limit,
//! and one that is not enrolled reaches the shards alone, where its ticket is judged.

use std::any::Any;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::{HttpRequest, web};
use domicile_node_protocol::{Refusal, RefusalCode, SHARDS_PATH};
use domicile_types::NodeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refuse;
use crate::identity_tls::certificate_identity;
use crate::node::Node;

/// The peer's identity, as the handshake proved it.
#[derive(Debug)]
pub(super) struct Peer {
    id: NodeId,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Enrolled,
    /// Not enrolled; holds its place among those while the connection lasts.
    Stranger(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
    /// Not enrolled, and too many are here.
    Surplus,
}

impl Peer {
    pub(super) const fn id(&self) -> NodeId {
        self.id
    }

    /// The identity at the other end of a request's connection.
    pub(super) fn of(request: &HttpRequest) -> Result<NodeId, Refusal> {
        let peer = request.conn_data::<Self>().map(Self::id);
        let message = "the connection shows no identity: use TLS with one";
        peer.ok_or_else(|| Refusal::new(RefusalCode::NotTheGateway, message))
    }
}

/// Puts the identity of the peer where the handlers find it.
pub(super) fn remember(node: &Node, strangers: &Arc<Semaphore>, connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (socket, session) = stream.get_ref();
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn Nagle's algorithm off");
    }
    let identity = session.peer_certificates().and_then(|chain| certificate_identity(chain.first()?).ok());
    let Some(id) = identity else { return };
    let standing = if node.serves(&id) {
        Standing::Enrolled
    } else {
        Arc::clone(strangers).try_acquire_owned().map_or(Standing::Surplus, Standing::Stranger)
    };
    extensions.insert(Peer { id, standing });
}

/// Lets enrolled peers through, and others to the shards; ends the connection of everybody else.
pub(super) async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let Some(refusal) = turned_away(&request) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let (request, _) = request.into_parts();
    let Some(node) = request.app_data::<web::Data<Node>>().cloned() else {
        return Err(actix_web::error::ErrorInternalServerError("no node"));
    };
    node.turn_away();
    let mut response = refuse(&node, &request, None, &refusal);
    response.head_mut().set_connection_type(ConnectionType::Close);
    Ok(ServiceResponse::new(request, response).map_into_right_body())
}

fn turned_away(request: &ServiceRequest) -> Option<Refusal> {
    let peer = request.request().conn_data::<Peer>();
    match peer.map(|peer| &peer.standing) {
        Some(Standing::Enrolled) => None,
        Some(Standing::Stranger(_)) if request.path().starts_with(SHARDS_PATH) => None,
        Some(Standing::Surplus) => {
            let message = "too many peers are here that are not enrolled: come again later";
            Some(Refusal::new(RefusalCode::Unavailable, message))
        }
        Some(Standing::Stranger(_)) | None => {
            let message = "this peer is not enrolled here: enrol it in the node's configuration if it should be";
            Some(Refusal::new(RefusalCode::NotTheGateway, message))
        }
    }
}
