//! Starting, ending, and coming back.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{address, config, eventually, hear, key, loopback, member, member_with, node};
use crate::config::Limits;
use crate::{AnnounceError, SwarmConfig, SwarmError, start};

#[tokio::test]
async fn a_peer_that_restarts_is_found_again_and_told_again() {
    let gateway = member(1, &[2], &[]);
    let home = address(&gateway);
    let storage = member(2, &[1], &[&gateway]);
    storage.announce(b"still here".to_vec()).unwrap();
    hear(&mut gateway.announcements(), node(2), b"still here").await;
    for _ in 0..3 {
        gateway.shutdown().await;
        eventually("lost", || storage.connected().is_empty()).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let again = start(&key(1), SwarmConfig { listen: vec![home], ..config(&[2], &[]) }).unwrap();
        hear(&mut again.announcements(), node(2), b"still here").await;
        eventually("connected", || storage.connected() == vec![node(1)]).await;
        again.shutdown().await;
    }
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_given_up_and_redialled() {
    let quick = Limits {
        ping_interval: Duration::from_millis(200),
        ping_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let gateway = member(1, &[2], &[]);
    let stalled = Arc::new(AtomicBool::new(false));
    let wire = wire_to(address(&gateway), stalled.clone()).await;
    let storage = member_with(2, &[1], &[], quick);
    storage.set_bootstrap([(node(1), wire)]);
    eventually("connected through the wire", || storage.connected() == vec![node(1)]).await;
    stalled.store(true, Ordering::SeqCst);
    eventually("given up", || storage.connected().is_empty()).await;
    stalled.store(false, Ordering::SeqCst);
    eventually("redialled", || storage.connected() == vec![node(1)]).await;
}

/// A wire that can go dead without breaking: bytes stop, connections stay open.
async fn wire_to(target: SocketAddr, stalled: Arc<AtomicBool>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let wire = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(target).await else { continue };
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::spawn(pump(near_read, far_write, stalled.clone()));
            tokio::spawn(pump(far_read, near_write, stalled.clone()));
        }
    });
    wire
}

async fn pump(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, stalled: Arc<AtomicBool>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        while stalled.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn shutting_down_ends_readers_and_frees_the_port() {
    let swarm = member(1, &[], &[]);
    let home = address(&swarm);
    let mut reader = swarm.announcements();
    assert!(swarm.is_running());
    assert!(TcpListener::bind(home).is_err(), "the port is ours");
    swarm.shutdown().await;
    assert_eq!(reader.next().await, None);
    assert!(!swarm.is_running());
    assert_eq!(swarm.announce(b"nobody hears".to_vec()), Err(AnnounceError::Stopped));
    assert_eq!(swarm.announcements().next().await, None);
    assert!(TcpListener::bind(home).is_ok(), "the port is free again");
    swarm.shutdown().await;
}

#[tokio::test]
async fn the_last_handle_takes_the_member_with_it() {
    let swarm = member(1, &[], &[]);
    let mut reader = swarm.announcements();
    let clone = swarm.clone();
    drop(swarm);
    assert!(clone.is_running());
    drop(clone);
    assert_eq!(tokio::time::timeout(super::PATIENCE, reader.next()).await, Ok(None));
}

#[test]
fn a_bootstrap_peer_that_is_not_listed_is_refused_at_the_start() {
    let somewhere = loopback();
    let config = SwarmConfig { listen: vec![loopback()], bootstrap: vec![(node(2), somewhere)], allow: vec![node(3)] };
    let refused = start(&key(1), config);
    assert!(matches!(refused, Err(SwarmError::BootstrapNotAllowed(peer)) if peer == node(2)));
}

#[test]
fn an_address_that_cannot_be_had_is_refused_at_the_start() {
    let taken = TcpListener::bind(loopback()).unwrap();
    // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    for address in [taken.local_addr().unwrap(), "192.0.2.1:4001".parse().unwrap()] {
        let refused = start(&key(1), SwarmConfig { listen: vec![address], ..SwarmConfig::default() });
        assert!(matches!(refused, Err(SwarmError::Listen { address: named, .. }) if named == address));
    }
    let first = member(1, &[], &[]);
    let second = start(&key(2), SwarmConfig { listen: vec![address(&first)], ..SwarmConfig::default() });
    assert!(matches!(second, Err(SwarmError::Listen { .. })), "two members on one port");
}

#[test]
fn a_member_listens_on_several_addresses() {
    let listen = vec![loopback(), "127.10.0.7:0".parse().unwrap()];
    let swarm = start(&key(1), SwarmConfig { listen, ..SwarmConfig::default() }).unwrap();
    let ips: Vec<String> = swarm.listen_addresses().iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(ips, ["127.0.0.1", "127.10.0.7"]);
}
