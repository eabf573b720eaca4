//! What a member speaks, read on the wire by a peer that shares none of its code.

use libp2p_stream::OpenStreamError;

use super::probe::Probe;
use super::{address, eventually, hear, member, node};
use crate::{ANNOUNCEMENT_BYTES_MAX, EXCHANGE_PROTOCOL};

/// All that a member advertises. A change here is a change of what Domicile exposes.
const ADVERTISED: [&str; 7] = [
    "/domicile/announce/1",
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/meshsub/1.0.0",
    "/meshsub/1.1.0",
    "/meshsub/1.2.0",
];

/// What rust-ipfs could speak, and must not.
const OFF: [&str; 14] = [
    "/ipfs/bitswap",
    "/ipfs/bitswap/1.0.0",
    "/ipfs/bitswap/1.1.0",
    "/ipfs/bitswap/1.2.0",
    "/ipfs/kad/1.0.0",
    "/ipfs/lan/kad/1.0.0",
    "/libp2p/circuit/relay/0.2.0/hop",
    "/libp2p/circuit/relay/0.2.0/stop",
    "/libp2p/dcutr",
    "/libp2p/autonat/1.0.0",
    "/libp2p/autonat/2/dial-request",
    "/rendezvous/1.0.0",
    "/floodsub/1.0.0",
    "/ipfs/graphsync/2.0.0",
];

#[tokio::test]
async fn a_member_advertises_gossip_exchange_identify_and_ping_and_answers_to_nothing_else() {
    let gateway = member(1, &[2, 3], &[]);
    let mut probe = Probe::start(2);
    probe.dial(&gateway);
    assert_eq!(probe.protocols().await, ADVERTISED);
    for protocol in OFF {
        let opened = probe.send(&gateway, protocol, b"").await;
        assert!(matches!(opened, Err(OpenStreamError::UnsupportedProtocol(_))), "{protocol}: {opened:?}");
    }
    assert_eq!(gateway.protocols(), ADVERTISED, "its own list says the same");

    let storage = member(3, &[1], &[&gateway]);
    eventually("identified", || storage.protocols_of(&node(1)).is_some_and(|list| !list.is_empty())).await;
    assert_eq!(storage.protocols_of(&node(1)).unwrap(), ADVERTISED);
}

#[tokio::test]
async fn the_exchange_takes_whole_announcements_and_refuses_what_is_cut_off_or_too_large() {
    let gateway = member(1, &[2], &[]);
    gateway.announce(b"who I am".to_vec()).unwrap();
    let mut reader = gateway.announcements();
    let mut probe = Probe::start(2);
    probe.dial(&gateway);
    eventually("handed over", || probe.received() == vec![b"\0\0\0\x08who I am".to_vec()]).await;

    let too_large = [&(u32::try_from(ANNOUNCEMENT_BYTES_MAX).unwrap() + 1).to_be_bytes()[..], &[7; 64]].concat();
    for (count, bad) in (0..).zip([&b""[..], b"\0\0", b"\0\0\0\x05hell", &too_large, &[0xFF; 32]]) {
        probe.send(&gateway, EXCHANGE_PROTOCOL, bad).await.ok();
        eventually("refused", || gateway.counts().refused > count).await;
    }
    assert!(probe.send(&gateway, EXCHANGE_PROTOCOL, b"\0\0\0\x05hello").await.is_ok());
    assert!(probe.send(&gateway, EXCHANGE_PROTOCOL, b"\0\0\0\x05hello").await.is_ok());
    assert!(probe.send(&gateway, EXCHANGE_PROTOCOL, b"\0\0\0\x03end").await.is_ok());
    assert_eq!(hear(&mut reader, node(2), b"hello").await, vec![]);
    assert_eq!(hear(&mut reader, node(2), b"end").await, vec![], "a repetition is given once");
    assert_eq!(gateway.counts().heard, 2);
}

#[tokio::test]
async fn a_burst_of_exchanges_is_worked_off_and_none_is_dropped() {
    let gateway = member(1, &[2], &[]);
    let mut probe = Probe::start(2);
    probe.dial(&gateway);
    probe.protocols().await;
    let announcements: Vec<[u8; 5]> = (0..100).map(|number| [0, 0, 0, 1, number]).collect();
    let sends = announcements.iter().map(|bytes| probe.send(&gateway, EXCHANGE_PROTOCOL, bytes));
    let sent = futures::future::join_all(sends).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    eventually("all heard", || gateway.counts().heard == 100).await;
}

/// mDNS, UPnP, QUIC and DNS would all need one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_member_opens_a_udp_socket() {
    let gateway = member(1, &[2], &[]);
    let storage = member(2, &[1], &[&gateway]);
    eventually("connected", || storage.connected() == vec![node(1)]).await;
    let own: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let listed = |table: &str| {
        let text = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
        let inodes: Vec<String> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9).map(str::to_owned)).collect();
        inodes.into_iter().filter(|inode| own.contains(inode)).count()
    };
    assert!(listed("tcp") >= 2, "both listen on {} and {}", address(&gateway), address(&storage));
    assert_eq!(listed("udp") + listed("udp6"), 0);
}
