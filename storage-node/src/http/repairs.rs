//! POST of a repair in a gateway's stead.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use domicile_node_protocol::{Refusal, RepairDone, RepairJob};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, stream};

use super::peer::Peer;
use super::refuse;
use super::request::{json, ticket};
use crate::node::{AdmittedRepair, Node};

/// How often a byte of white space goes out before the answer, so that the gateway does not take the node for gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

pub(super) async fn repair(request: HttpRequest, node: web::Data<Node>, mut body: web::Payload) -> HttpResponse {
    match begin(&request, &node, &mut body).await {
        Ok(admitted) => {
            let done = async move { node.finish_repair(admitted).await }.boxed_local();
            HttpResponse::Ok().content_type("application/json").streaming(stream::unfold(Some(done), next_piece))
        }
        Err(refusal) => refuse(&node, &request, None, &refusal),
    }
}

async fn begin(request: &HttpRequest, node: &Node, body: &mut web::Payload) -> Result<AdmittedRepair, Refusal> {
    let peer = Peer::of(request)?;
    let job: RepairJob = json(body).await?;
    node.begin_repair(peer, ticket(request)?, job).await
}

type Doing = LocalBoxFuture<'static, RepairDone>;

/// White space while the repair goes on (JSON allows it before a value), then what it came to, then nothing.
async fn next_piece(doing: Option<Doing>) -> Option<(Result<Bytes, serde_json::Error>, Option<Doing>)> {
    let mut doing = doing?;
    match tokio::time::timeout(SIGN_OF_LIFE, &mut doing).await {
        Ok(done) => Some((serde_json::to_vec(&done).map(Bytes::from), None)),
        Err(_) => Some((Ok(Bytes::from_static(b" ")), Some(doing))),
    }
}
