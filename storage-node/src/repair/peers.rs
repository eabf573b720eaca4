//! Other nodes, seen from a node that repairs: fetch a shard, store a shard, with the other's key pinned.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domicile_node_protocol::{
    DATA_HEADER, RECEIPT_HEADER, REFUSAL_BYTES_MAX, ReceiptError, ReceiptVerb, Refusal, RepairShard, SHARD_BYTES_MAX,
    SignedReceipt, TICKET_HEADER, node_of_server_name, server_name, shard_path,
};
use domicile_types::{DataId, IdentityKey, NodeId, ShardCidError};
use parking_lot::RwLock;

use crate::identity_tls::{TlsIdentityError, client_config};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a node may be silent within an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses of other nodes that are remembered; jobs bring them anew.
const ADDRESSES_MAX: usize = 4096;

/// Speaks to other nodes. Where they are, each job says; who they are, their keys say.
pub(crate) struct PeerClient {
    http: reqwest::Client,
    addresses: Arc<RwLock<HashMap<NodeId, SocketAddr>>>,
}

/// Why another node did not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("it cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("it refused ({}): {}", .0.code, .0.message)]
    Refused(Refusal),
    #[error("it answered outside the protocol: status {0}")]
    OutsideProtocol(u16),
    #[error("its answer is longer than a shard may be")]
    TooLong,
    #[error("what it gave is not the shard")]
    NotTheShard(#[from] ShardCidError),
    #[error("its receipt does not hold")]
    BadReceipt(#[from] ReceiptError),
    #[error("its receipt is for something else than was asked")]
    OtherReceipt,
}

impl PeerError {
    /// With what caused it, for the report: reqwest says where, which is an address that the job named.
    pub(crate) fn in_words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        words.chars().take(300).collect()
    }
}

impl PeerClient {
    /// `outbound`: the local address to connect from.
    pub(crate) fn new(key: &IdentityKey, outbound: Option<IpAddr>) -> Result<Self, ClientError> {
        let addresses = Arc::new(RwLock::new(HashMap::new()));
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(key)?)
            .dns_resolver(Arc::new(Resolver(Arc::clone(&addresses))))
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
        Ok(Self { http, addresses })
    }

    /// The whole shard, checked against its name.
    pub(crate) async fn fetch(&self, from: &RepairShard, ticket: &str) -> Result<Bytes, PeerError> {
        let request = self.http.get(self.url(from)).header(TICKET_HEADER, ticket);
        let response = answered(request.send().await?).await?;
        let bytes = read_capped(response, usize::try_from(SHARD_BYTES_MAX).unwrap_or(usize::MAX)).await?;
        from.cid.verify(&bytes)?;
        Ok(Bytes::from(bytes))
    }

    /// Stores a shard; the new holder's receipt, checked.
    pub(crate) async fn store(
        &self,
        at: &RepairShard,
        ticket: &str,
        data: DataId,
        bytes: Bytes,
    ) -> Result<SignedReceipt, PeerError> {
        let sent = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let request = self.http.put(self.url(at)).header(TICKET_HEADER, ticket).header(DATA_HEADER, data.to_string());
        let response = answered(request.body(bytes).send().await?).await?;
        let header = response.headers().get(RECEIPT_HEADER).and_then(|value| value.to_str().ok());
        let signed = SignedReceipt::from_wire(header.unwrap_or_default());
        let receipt = signed.verify(&at.node)?;
        let says = receipt.verb == ReceiptVerb::Stored && receipt.cid == at.cid && receipt.data == data;
        if says && receipt.bytes == sent { Ok(signed) } else { Err(PeerError::OtherReceipt) }
    }

    fn url(&self, shard: &RepairShard) -> String {
        let mut addresses = self.addresses.write();
        if addresses.len() >= ADDRESSES_MAX {
            addresses.clear();
        }
        addresses.insert(shard.node, shard.address);
        format!("https://{}:{}{}", server_name(&shard.node), shard.address.port(), shard_path(&shard.cid))
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The identity does not do for TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsIdentityError),
    /// The client cannot be made.
    #[error("the client of other nodes cannot be made")]
    Client(#[from] reqwest::Error),
}

async fn answered(response: reqwest::Response) -> Result<reqwest::Response, PeerError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = read_capped(response, REFUSAL_BYTES_MAX).await?;
    Err(Refusal::from_body(&body).map_or(PeerError::OutsideProtocol(status), PeerError::Refused))
}

async fn read_capped(mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, PeerError> {
    let declared = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Vec::with_capacity(declared.min(bytes_max));
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(PeerError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Server names spell peer ids; their addresses come from jobs, never from DNS.
struct Resolver(Arc<RwLock<HashMap<NodeId, SocketAddr>>>);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let address = node_of_server_name(name.as_str()).ok().and_then(|node| self.0.read().get(&node).copied());
        let address = address.ok_or_else(|| format!("no job named an address for {}", name.as_str()));
        Box::pin(async move { Ok(Box::new(std::iter::once(address?)) as reqwest::dns::Addrs) })
    }
}
