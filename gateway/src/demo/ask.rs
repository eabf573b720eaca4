//! Questions to a node as a gateway that breaks the rules would put them: without a ticket, with a forged one, with one
//! for something else. They go over the same pinned TLS as a gateway's own requests.

use std::sync::Arc;

use anyhow::Context;
use domicile_node_protocol::{
    CHECKPOINTS_PATH, CheckpointsSeen, NodeStatus, Refusal, STATUS_PATH, TICKET_HEADER, server_name, shard_path,
};
use domicile_storage_node::identity_tls;
use domicile_types::{IdentityKey, ShardCid};
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};

use super::files::gateway_key;
use super::manifest::{Manifest, Node};
use crate::clock::Clock;

/// What to ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// In whose name: `gateway-cn`; absent: a stranger's, whose key nobody has enrolled.
    #[serde(default)]
    gateway: Option<String>,
    /// Which node.
    node: String,
    /// For which shard.
    cid: ShardCid,
    /// The ticket to show, as it goes over the wire.
    #[serde(default)]
    ticket: Option<String>,
}

/// What came back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The HTTP status; absent where there was no connection.
    status: Option<u16>,
    /// Bytes of shard that were handed out.
    bytes: usize,
    /// The node's refusal.
    refusal: Option<Refusal>,
    /// Why there was no connection.
    fault: Option<String>,
}

/// Puts the question: GET of the shard.
pub(super) async fn ask(manifest: &Manifest, question: &Question) -> anyhow::Result<Answer> {
    let node = find_node(manifest, &question.node)?;
    let key = match &question.gateway {
        Some(name) => named_key(manifest, name)?,
        None => IdentityKey::from_seed(&Clock.random()),
    };
    let mut request = client(&key, node)?.request(Method::GET, url(node, &shard_path(&question.cid)));
    if let Some(ticket) = &question.ticket {
        request = request.header(TICKET_HEADER, ticket);
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            let fault = format!("{:#}", anyhow::Error::from(error));
            return Ok(Answer { status: None, bytes: 0, refusal: None, fault: Some(fault) });
        }
    };
    let status = response.status();
    let body = response.bytes().await?;
    let refusal = if status.is_success() { None } else { Refusal::from_body(&body) };
    Ok(Answer {
        status: Some(status.as_u16()),
        bytes: if status.is_success() { body.len() } else { 0 },
        refusal,
        fault: None,
    })
}

/// The counters of the node `name`, and the checkpoints that it has seen.
pub(super) async fn status(manifest: &Manifest, name: &str) -> anyhow::Result<Status> {
    let node = find_node(manifest, name)?;
    let gateway = manifest.gateways.first().context("there is no gateway")?;
    let client = client(&named_key(manifest, &gateway.process.name)?, node)?;
    let answered = client.get(url(node, STATUS_PATH)).send().await?.error_for_status()?;
    let seen = client.get(url(node, CHECKPOINTS_PATH)).send().await?.error_for_status()?;
    Ok(Status { status: answered.json().await?, seen: seen.json().await? })
}

/// What a node says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    #[serde(flatten)]
    status: NodeStatus,
    seen: CheckpointsSeen,
}

/// A client of plain HTTP, for what listens on loopback.
pub(super) fn plain_client() -> anyhow::Result<Client> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}

fn client(key: &IdentityKey, node: &Node) -> anyhow::Result<Client> {
    let client = Client::builder()
        .tls_backend_preconfigured(identity_tls::client_config(key)?)
        .resolve(&server_name(&node.id), node.address)
        .http1_only()
        .https_only(true)
        .no_proxy();
    Ok(client.build()?)
}

fn url(node: &Node, path: &str) -> String {
    format!("https://{}:{}{path}", server_name(&node.id), node.address.port())
}

fn find_node<'a>(manifest: &'a Manifest, name: &str) -> anyhow::Result<&'a Node> {
    let found = manifest.nodes.iter().find(|node| node.process.name == name);
    found.with_context(|| format!("there is no node {name:?}; demo.json lists them"))
}

fn named_key(manifest: &Manifest, name: &str) -> anyhow::Result<IdentityKey> {
    let found = manifest.gateways.iter().find(|gateway| gateway.process.name == name);
    gateway_key(found.with_context(|| format!("there is no gateway {name:?}; demo.json lists them"))?, Clock)
}
