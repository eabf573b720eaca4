//! The data plane seen from the gateway: put, get and delete of shards over HTTPS, with the node's key pinned.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domicile_node_protocol::SHARD_BYTES_MAX;
use domicile_node_protocol::{
    ByteRange, CHECKPOINTS_PATH, CheckpointsSeen, DATA_HEADER, HOLDINGS_PATH, Holdings, KeptTickets, NOTICES_PATH,
    NodeStatus, Notice, RECEIPT_HEADER, REFUSAL_BYTES_MAX, REPAIRS_PATH, Receipt, ReceiptError, ReceiptVerb, Refusal,
    RefusalCode, RepairDone, RepairJob, ResolvedRange, STATEMENTS_PATH, STATUS_BYTES_MAX, STATUS_PATH, SignedReceipt,
    SignedStatement, TICKET_HEADER, TICKETS_PATH, challenge_path, server_name, shard_path,
};
use domicile_placement::Assignment;
use domicile_storage_node::accounting::Month;
use domicile_storage_node::identity_tls;
use domicile_storage_node::proof::{SliceError, slice_range, verify_slice};
use domicile_types::{IdentityKey, NodeId, ShardCid};
use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

use super::{Directory, Tallies, Ticketed};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a node may be silent within an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest slice that is read: a whole shard with all its hashes.
const SLICE_BYTES_MAX: usize = 2 << 20;
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Why a node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Nobody has heard of the node lately, so there is no address to ask at.
    #[error("node {node} has not announced an address")]
    NoAddress {
        /// Which node.
        node: NodeId,
    },
    /// The connection failed, or the answer broke off.
    #[error("node {node} cannot be reached")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// Why.
        #[source]
        source: Box<reqwest::Error>,
    },
    /// The node refused, and says why.
    #[error("node {node} refused ({}): {}", .refusal.code, .refusal.message)]
    Refused {
        /// Which node.
        node: NodeId,
        /// Its reason.
        refusal: Refusal,
    },
    /// The answer is not one of the protocol's.
    #[error("node {node} answered outside the protocol: {what}")]
    OutsideProtocol {
        /// Which node.
        node: NodeId,
        /// What is wrong with it.
        what: String,
    },
    /// The receipt does not prove what it should.
    #[error("node {node} gave a receipt that does not hold")]
    BadReceipt {
        /// Which node.
        node: NodeId,
        /// Why.
        #[source]
        source: ReceiptError,
    },
    /// The answer to a challenge does not prove that the node holds the shard.
    #[error("node {node} did not prove that it holds the shard")]
    BadProof {
        /// Which node.
        node: NodeId,
        /// Why.
        #[source]
        source: SliceError,
    },
}

impl NodeError {
    /// Whether it is the node's fault that a challenge was not met: it answered, and proved nothing. One that cannot be reached
    /// may be so through no fault of its own; its standing suffers, what it earned does not.
    fn is_missed_challenge(&self) -> bool {
        match self {
            Self::BadProof { .. } | Self::BadReceipt { .. } => true,
            Self::Refused { refusal, .. } => matches!(refusal.code, RefusalCode::NotFound | RefusalCode::Corrupt),
            _ => false,
        }
    }

    /// The node's own reason, where it gave one.
    #[must_use]
    pub const fn refusal(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.code),
            _ => None,
        }
    }
}

/// Speaks to every node; connections are pooled and reused.
#[derive(Clone)]
pub struct NodeClient {
    http: Client,
    directory: Arc<Directory>,
    tallies: Arc<Tallies>,
    #[cfg(test)]
    wire: Option<Arc<dyn Wire>>,
}

/// Carries requests to nodes in the place of HTTPS: a simulated network.
#[cfg(test)]
pub(crate) trait Wire: Send + Sync {
    /// The node's answer; none: it cannot be reached, or does not answer.
    fn carry(&self, node: NodeId, request: http::Request<Bytes>) -> Option<http::Response<Bytes>>;
}

impl NodeClient {
    /// `key` is the gateway's identity, which nodes know it by; `outbound` the local address to connect from.
    pub fn new(key: &IdentityKey, outbound: Option<IpAddr>, directory: Arc<Directory>) -> anyhow::Result<Self> {
        let http = Client::builder()
            .tls_backend_preconfigured(identity_tls::client_config(key)?)
            .dns_resolver(Arc::new(Resolver(Arc::clone(&directory))))
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .local_address(outbound)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            http,
            tallies: Arc::new(Tallies::new(directory.clock())),
            directory,
            #[cfg(test)]
            wire: None,
        })
    }

    /// The same, over a simulated network.
    #[cfg(test)]
    pub(crate) fn over(self, wire: Arc<dyn Wire>) -> Self {
        Self { wire: Some(wire), ..self }
    }

    /// Sends one shard to the node it is assigned to; returns when the node holds it durably and says so, signed.
    pub async fn put(
        &self,
        assignment: &Assignment,
        ticketed: &Ticketed,
        cid: &ShardCid,
        bytes: Bytes,
    ) -> Result<SignedReceipt, NodeError> {
        let node = assignment.node();
        let sent = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let request = self.request(node, Method::PUT, &shard_path(cid))?.headers(ticket_headers(ticketed)).body(bytes);
        let response = self.send(node, request).await?;
        self.receipt(node, &response, |receipt| {
            receipt.verb == ReceiptVerb::Stored
                && receipt.cid == *cid
                && receipt.data == ticketed.data()
                && receipt.bytes == sent
        })
    }

    /// Fetches a shard, or bytes `[start, end)` of it.
    pub async fn get(
        &self,
        node: NodeId,
        ticketed: &Ticketed,
        cid: &ShardCid,
        range: Option<ResolvedRange>,
        expected_bytes: usize,
    ) -> Result<Bytes, NodeError> {
        let mut request = self.request(node, Method::GET, &shard_path(cid))?.headers(ticket_headers(ticketed));
        if let Some(range) = range {
            request = request.header(http::header::RANGE, ByteRange::FromTo(range.start, range.end - 1).to_string());
        }
        let response = self.send(node, request).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        if partial != range.is_some() || response.content_length() != u64::try_from(expected_bytes).ok() {
            let what = format!("status {} with {:?} bytes", response.status(), response.content_length());
            return Err(NodeError::OutsideProtocol { node, what });
        }
        let bytes =
            response.bytes().await.map_err(|source| NodeError::Unreachable { node, source: Box::new(source) })?;
        self.tallies.served(node, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes)
    }

    /// Challenges `node` to prove that it holds a shard of `shard_bytes`: the bytes of `range`, proved against the shard's name
    /// without having it, and the node's receipt. The ticket is charged with [`slice_range`] of it. A node that answers, but
    /// does not prove it, gives [`NodeError::BadProof`]; one that says that it cannot, its refusal.
    pub async fn challenge(
        &self,
        node: NodeId,
        ticketed: &Ticketed,
        cid: &ShardCid,
        shard_bytes: u64,
        range: ResolvedRange,
    ) -> Result<(Bytes, SignedReceipt), NodeError> {
        let proved = self.prove(node, ticketed, cid, shard_bytes, range).await;
        if proved.as_ref().is_err_and(NodeError::is_missed_challenge) {
            self.tallies.failed(node);
        }
        proved
    }

    async fn prove(
        &self,
        node: NodeId,
        ticketed: &Ticketed,
        cid: &ShardCid,
        shard_bytes: u64,
        range: ResolvedRange,
    ) -> Result<(Bytes, SignedReceipt), NodeError> {
        let request = self.request(node, Method::GET, &challenge_path(cid))?.headers(ticket_headers(ticketed));
        let request = request.header(http::header::RANGE, range.to_request().to_string());
        let response = self.send(node, request).await?;
        let carried = slice_range(range, shard_bytes).bytes();
        let receipt = self.receipt(node, &response, |receipt| {
            receipt.verb == ReceiptVerb::Proved
                && receipt.cid == *cid
                && receipt.data == ticketed.data()
                && receipt.bytes == carried
        })?;
        let slice = read_capped(node, response, SLICE_BYTES_MAX).await?;
        let bytes =
            verify_slice(cid, shard_bytes, range, &slice).map_err(|source| NodeError::BadProof { node, source })?;
        Ok((bytes, receipt))
    }

    /// Fetches a whole shard whose length is not known. Whoever asked checks it by its name.
    pub async fn get_whole(&self, node: NodeId, ticketed: &Ticketed, cid: &ShardCid) -> Result<Bytes, NodeError> {
        let request = self.request(node, Method::GET, &shard_path(cid))?.headers(ticket_headers(ticketed));
        let response = self.send(node, request).await?;
        let bytes_max = usize::try_from(SHARD_BYTES_MAX).unwrap_or(usize::MAX);
        let bytes = read_capped(node, response, bytes_max).await?;
        self.tallies.served(node, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(Bytes::from(bytes))
    }

    /// Has a shard deleted; the receipt is the evidence. `Ok(None)`: the node does not hold it.
    pub async fn delete(
        &self,
        node: NodeId,
        ticketed: &Ticketed,
        cid: &ShardCid,
    ) -> Result<Option<SignedReceipt>, NodeError> {
        let request = self.request(node, Method::DELETE, &shard_path(cid))?.headers(ticket_headers(ticketed));
        let response = match self.send(node, request).await {
            Err(NodeError::Refused { refusal, .. }) if refusal.code == RefusalCode::NotFound => return Ok(None),
            response => response?,
        };
        self.receipt(node, &response, |receipt| {
            receipt.verb == ReceiptVerb::Deleted && receipt.cid == *cid && receipt.data == ticketed.data()
        })
        .map(Some)
    }

    /// Tells the node's operator how it stands.
    pub async fn notice(&self, node: NodeId, notice: &Notice) -> Result<(), NodeError> {
        let request = self.request(node, Method::POST, NOTICES_PATH)?.json(notice);
        // Nothing depends on it, so that one which does not arrive is not held against the node.
        let response = self.exchange(node, request).await;
        let response = response.map_err(|source| NodeError::Unreachable { node, source: Box::new(source) })?;
        accepted(node, response).await.map(drop)
    }

    /// The node's signed account of a month with this gateway. Nothing of it is believed yet.
    pub async fn statement(&self, node: NodeId, month: Month) -> Result<SignedStatement, NodeError> {
        let response = self.send(node, self.request(node, Method::GET, &format!("{STATEMENTS_PATH}{month}"))?).await?;
        let body = read_capped(node, response, SignedStatement::BYTES_MAX).await?;
        Ok(SignedStatement::from_wire(&String::from_utf8_lossy(&body)))
    }

    /// What nodes stored, served, deleted and proved since it was last written down. Receipts that come otherwise than as the
    /// answer to a request of this client (a repair that a node did) are to be noted by who takes them.
    #[must_use]
    pub fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// The node's own counters.
    pub async fn status(&self, node: NodeId) -> Result<NodeStatus, NodeError> {
        self.json(node, STATUS_PATH).await
    }

    /// The largest checkpoint of each gateway's log that the node has seen.
    pub async fn checkpoints(&self, node: NodeId) -> Result<CheckpointsSeen, NodeError> {
        self.json(node, CHECKPOINTS_PATH).await
    }

    /// What the node holds under this gateway's tickets, a page of it: `after` is the `next` of the page before.
    pub async fn holdings(&self, node: NodeId, after: Option<&str>) -> Result<Holdings, NodeError> {
        let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
        self.json(node, &format!("{HOLDINGS_PATH}{after}")).await
    }

    /// The tickets of this gateway's log that the node kept, a page of them: `after` is the `next` of the page before.
    pub async fn kept_tickets(&self, node: NodeId, after: Option<u64>) -> Result<KeptTickets, NodeError> {
        let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
        self.json(node, &format!("{TICKETS_PATH}{after}")).await
    }

    /// Has `worker`, which the ticket names as such, do a repair in this gateway's stead. Every receipt in the answer was
    /// signed by the target's new holder for exactly that shard; a target whose receipt was not is given as failed.
    pub async fn repair(&self, worker: NodeId, ticketed: &Ticketed, job: &RepairJob) -> Result<RepairDone, NodeError> {
        let request = self.request(worker, Method::POST, REPAIRS_PATH)?.headers(ticket_headers(ticketed)).json(job);
        let mut done: RepairDone = parse(worker, REPAIRS_PATH, self.send(worker, request).await?).await?;
        if !done.shards.iter().map(|shard| shard.shard).eq(job.targets.iter().map(|target| target.shard)) {
            let what = "a repair of other shards than were asked for".to_owned();
            return Err(NodeError::OutsideProtocol { node: worker, what });
        }
        for (shard, target) in done.shards.iter_mut().zip(&job.targets) {
            let Some(text) = &shard.receipt else { continue };
            let receipt = SignedReceipt::from_wire(text).verify(&target.node);
            let holds = receipt.is_ok_and(|receipt| {
                receipt.verb == ReceiptVerb::Stored && receipt.cid == target.cid && receipt.data == job.data
            });
            if !holds {
                shard.receipt = None;
                shard.fault = Some("the worker gave a receipt that does not hold".to_owned());
            }
        }
        Ok(done)
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, node: NodeId, path: &str) -> Result<T, NodeError> {
        parse(node, path, self.send(node, self.request(node, Method::GET, path)?).await?).await
    }

    /// The receipt of an answer, checked to be signed by `node` and to say what was asked, and counted.
    fn receipt(
        &self,
        node: NodeId,
        response: &Response,
        says: impl FnOnce(&Receipt) -> bool,
    ) -> Result<SignedReceipt, NodeError> {
        let header = response.headers().get(RECEIPT_HEADER).and_then(|value| value.to_str().ok());
        let signed = SignedReceipt::from_wire(header.unwrap_or_default());
        let receipt = signed.verify(&node).map_err(|source| NodeError::BadReceipt { node, source })?;
        if says(&receipt) {
            self.tallies.note(&receipt);
            Ok(signed)
        } else {
            Err(NodeError::OutsideProtocol { node, what: "a receipt for something else than was asked".to_owned() })
        }
    }

    fn request(&self, node: NodeId, method: Method, path: &str) -> Result<RequestBuilder, NodeError> {
        let address = self.directory.address(&node).ok_or(NodeError::NoAddress { node })?;
        Ok(self.http.request(method, format!("https://{}:{}{path}", server_name(&node), address.port())))
    }

    async fn exchange(&self, node: NodeId, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        #[cfg(test)]
        if let Some(wire) = &self.wire {
            let request = request.build()?;
            let mut carried = http::Request::builder().method(request.method()).uri(request.url().as_str());
            carried.headers_mut().unwrap().extend(request.headers().clone());
            let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
            let carried = carried.body(Bytes::copy_from_slice(body)).unwrap();
            return match wire.carry(node, carried) {
                Some(response) => Ok(response.into()),
                // The error is of no interest, and reqwest lets nobody else make one.
                None => Err(self.http.get("no address").build().unwrap_err()),
            };
        }
        let _ = node;
        request.send().await
    }

    async fn send(&self, node: NodeId, request: RequestBuilder) -> Result<Response, NodeError> {
        let response = self.exchange(node, request).await.map_err(|source| {
            self.directory.note_failure(&node);
            NodeError::Unreachable { node, source: Box::new(source) }
        })?;
        self.directory.note_answer(&node);
        accepted(node, response).await
    }
}

/// The answer, unless it is a refusal.
async fn accepted(node: NodeId, response: Response) -> Result<Response, NodeError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let body = read_capped(node, response, REFUSAL_BYTES_MAX).await?;
    match Refusal::from_body(&body) {
        Some(refusal) => Err(NodeError::Refused { node, refusal }),
        None => Err(NodeError::OutsideProtocol { node, what: format!("status {status} without a refusal") }),
    }
}

fn ticket_headers(ticketed: &Ticketed) -> HeaderMap {
    let (ticket, data) = ticketed.headers();
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(TICKET_HEADER, ticket.clone());
    headers.insert(DATA_HEADER, data.clone());
    headers
}

/// A body of JSON, of at most [`STATUS_BYTES_MAX`].
async fn parse<T: serde::de::DeserializeOwned>(node: NodeId, path: &str, response: Response) -> Result<T, NodeError> {
    let body = read_capped(node, response, STATUS_BYTES_MAX).await?;
    serde_json::from_slice(&body)
        .map_err(|error| NodeError::OutsideProtocol { node, what: format!("{path} is not what it should be: {error}") })
}

/// Reads a body of at most `bytes_max`; a longer one is outside the protocol.
async fn read_capped(node: NodeId, mut response: Response, bytes_max: usize) -> Result<Vec<u8>, NodeError> {
    let mut body = Vec::new();
    loop {
        let chunk =
            response.chunk().await.map_err(|source| NodeError::Unreachable { node, source: Box::new(source) })?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > bytes_max {
            return Err(NodeError::OutsideProtocol { node, what: format!("an answer of over {bytes_max} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
}

/// Server names spell peer ids; their addresses come from the directory, never from DNS.
struct Resolver(Arc<Directory>);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let address = domicile_node_protocol::node_of_server_name(name.as_str())
            .ok()
            .and_then(|node| self.0.address(&node))
            .ok_or_else(|| format!("no announced address for {}", name.as_str()));
        Box::pin(async move {
            let address: SocketAddr = address?;
            Ok(Box::new(std::iter::once(address)) as reqwest::dns::Addrs)
        })
    }
}
