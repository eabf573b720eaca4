//! The names of peers and addresses, against libp2p's own.

use std::net::SocketAddr;

use domicile_types::NodeId;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};

use super::key;
use crate::peer::{multiaddr, node_id, peer_id, socket_address};

#[test]
fn a_node_and_its_libp2p_peer_have_one_name() {
    for seed in 0..=255 {
        let identity = key(seed);
        let theirs = Keypair::ed25519_from_bytes(identity.signing_key().to_bytes()).unwrap().public().to_peer_id();
        assert_eq!(theirs.to_string(), identity.id().to_string());
        assert_eq!(peer_id(&identity.id()), Some(theirs));
        assert_eq!(node_id(&theirs), Some(identity.id()));
    }
}

#[test]
fn a_peer_without_an_ed25519_key_is_no_node() {
    let secp256k1 = Keypair::generate_secp256k1().public().to_peer_id();
    assert_eq!(node_id(&secp256k1), None);
    let rsa: PeerId = "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ".parse().unwrap();
    assert_eq!(node_id(&rsa), None);
    assert_eq!(node_id(&PeerId::random()), None, "an identity hash of bytes that are no key");
}

#[test]
fn a_node_whose_bytes_are_no_curve_point_has_no_peer() {
    let no_point = (0..=255u8).map(|byte| NodeId::from_public_key([byte; 32])).find(|node| peer_id(node).is_none());
    assert!(no_point.is_some(), "half of all 32-byte strings are no point");
}

#[test]
fn addresses_are_an_ip_and_a_tcp_port_and_nothing_else() {
    for text in ["127.10.0.1:4001", "[2001:db8::1]:4001", "0.0.0.0:0"] {
        let address: SocketAddr = text.parse().unwrap();
        assert_eq!(socket_address(&multiaddr(address)), Some(address));
    }
    let relayed = format!("/ip4/127.0.0.1/tcp/1/p2p/{}/p2p-circuit", key(1).id());
    for other in [
        "/dns4/example.org/tcp/4001",
        "/dnsaddr/example.org",
        "/ip4/127.0.0.1/udp/4001/quic-v1",
        "/ip4/127.0.0.1/tcp/4001/ws",
        "/ip4/127.0.0.1",
        "/tcp/4001",
        "/memory/1",
        &relayed,
    ] {
        let address: Multiaddr = other.parse().unwrap();
        assert_eq!(socket_address(&address), None, "{other}");
    }
    assert_eq!(multiaddr("127.10.0.1:4001".parse().unwrap()).to_string(), "/ip4/127.10.0.1/tcp/4001");
}
