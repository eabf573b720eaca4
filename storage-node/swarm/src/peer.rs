//! The two names of a peer (ours and libp2p's) and the two forms of an address. No DNS: an address is an IP and a port.

use std::net::{IpAddr, SocketAddr};

use domicile_types::NodeId;
use libp2p::identity::{PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, multihash::Multihash};

/// The multihash code of "identity": the hash is the input. libp2p names Ed25519 peers so (specification "Peer Ids and
/// Keys": keys whose protobuf has at most 42 bytes).
const IDENTITY_HASH: u64 = 0x00;

/// The peer id of a node. `None`: the 32 bytes are no point of the curve, so nobody can hold that identity.
pub(crate) fn peer_id(node: &NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(node.public_key()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The node of a peer id. `None`: its key is not an Ed25519 key, so it cannot be one of ours.
pub(crate) fn node_id(peer: &PeerId) -> Option<NodeId> {
    let hash: &Multihash<64> = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?.try_into_ed25519().ok()?;
    Some(NodeId::from_public_key(key.to_bytes()))
}

/// `/ip4/../tcp/..` or `/ip6/../tcp/..`.
pub(crate) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

/// The inverse of [`multiaddr`]. `None` for every other form: names, UDP, QUIC, relayed addresses.
pub(crate) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match (parts.next()?, parts.next()) {
        (Protocol::Tcp(port), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}
