//! Members on loopback, and independent libp2p peers that look at them from outside.

mod gate;
mod gossip;
mod lifecycle;
mod names;
mod probe;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use domicile_types::{IdentityKey, NodeId};

use crate::config::Limits;
use crate::handle::start_with;
use crate::{Announcements, Swarm, SwarmConfig, start};

/// When a test gives up waiting. Nothing asserts how long things take.
const PATIENCE: Duration = Duration::from_secs(60);

fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32])
}

fn node(seed: u8) -> NodeId {
    key(seed).id()
}

fn nodes(seeds: &[u8]) -> Vec<NodeId> {
    seeds.iter().map(|seed| node(*seed)).collect()
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A configuration on a free port that lets in `allow` and seeks `seek`.
fn config(allow: &[u8], seek: &[&Swarm]) -> SwarmConfig {
    let bootstrap = seek.iter().map(|swarm| (swarm.node(), address(swarm))).collect();
    SwarmConfig { listen: vec![loopback()], bootstrap, allow: nodes(allow) }
}

/// The member `seed`, which lets in `allow` and seeks `seek`.
fn member(seed: u8, allow: &[u8], seek: &[&Swarm]) -> Swarm {
    start(&key(seed), config(allow, seek)).unwrap()
}

fn member_with(seed: u8, allow: &[u8], seek: &[&Swarm], limits: Limits) -> Swarm {
    start_with(&key(seed), config(allow, seek), limits).unwrap()
}

fn address(swarm: &Swarm) -> SocketAddr {
    swarm.listen_addresses()[0]
}

/// Waits until `condition` holds.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never saw: {what}");
}

/// Reads until `source` said `bytes`; returns what came before.
async fn hear(reader: &mut Announcements, source: NodeId, bytes: &[u8]) -> Vec<(NodeId, Vec<u8>)> {
    let mut before = Vec::new();
    let listen = async {
        while let Some((from, said)) = reader.next().await {
            if from == source && said == bytes {
                return true;
            }
            before.push((from, said));
        }
        false
    };
    let heard = tokio::time::timeout(PATIENCE, listen).await;
    assert_eq!(heard, Ok(true), "never heard {:?}..", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
    before
}
