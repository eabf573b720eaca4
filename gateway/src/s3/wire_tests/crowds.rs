//! Too many: connections, headers, bytes of a head.

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{Ask, Wire};
use super::{config, start, start_with};

/// Slow connections that are aimed at.
const SLOW: u64 = 10_000;
/// Files that the rest of this process may need.
const OTHER_FILES: u64 = 600;
/// The most that a connection which sent half a head may cost, both ends, in bytes.
const BYTES_PER_CONNECTION_MAX: u64 = 48 * 1024;

/// Bytes of memory that this process has resident.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn ten_thousand_slow_connections_are_borne_and_then_closed() {
    let (address, seen, server) = start();
    // Both ends are in this process, so each takes two files.
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let count = SLOW.min(files.saturating_sub(OTHER_FILES) / 2);
    assert!(count > 0, "{files} open files are too few for this test: raise `ulimit -n`");
    let before = resident_bytes();
    let mut slow = Vec::new();
    for number in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET /bucket/key{number} HTTP/1.1\r\nhost: te").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // Whoever comes then is served all the same, if the limit of connections leaves one.
    if count < SLOW {
        assert_eq!(Wire::connect(address).await.ask(&Ask::new("HEAD", "/bucket/key"), b"").await.status, 200);
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("{count} connections with half a head: {grown} bytes");
    assert!(grown < count * BYTES_PER_CONNECTION_MAX + (64 << 20), "{count} connections took {grown} bytes");
    for mut stream in slow {
        let mut said = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut said).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(Wire::connect(address).await.ask(&Ask::new("HEAD", "/bucket/key"), b"").await.status, 200);
    assert!(seen.stored().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_address_has_its_share_of_connections_and_no_more() {
    let mut config = config();
    config.limits.connections_per_address_max = 2;
    let (address, _, server) = start_with(config);
    let head = || Ask::new("HEAD", "/bucket/key");
    let (mut first, mut second) = (Wire::connect(address).await, Wire::connect(address).await);
    for wire in [&mut first, &mut second] {
        assert_eq!(wire.ask(&head(), b"").await.status, 200);
    }
    assert!(Wire::connect(address).await.is_closed().await, "a third connection is kept");
    assert_eq!(first.ask(&head(), b"").await.status, 200, "who was there suffers from who came");
    first.leave().await;
    assert!(first.is_closed().await);
    // The seat is free when the server is done with the connection, which is after it has closed.
    while Wire::connect(address).await.ask(&head(), b"").await.status != 200 {}
    assert_eq!(second.ask(&head(), b"").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn heads_without_measure_are_refused() {
    let many: String = (0..10_000).map(|number| format!("x-h-{number}: v\r\n")).collect();
    let same = "x-amz-meta-a: v\r\n".repeat(10_000);
    let long = format!("x-h: {}\r\n", "v".repeat(4 << 20));
    let name = format!("{}: v\r\n", "n".repeat(1 << 20));
    for (what, headers) in
        [("10,000 headers", many), ("one 10,000 times", same), ("4 MB in one", long), ("a name", name)]
    {
        let (address, seen, server) = start();
        let mut wire = Wire::connect(address).await;
        let head = Ask::new("PUT", "/bucket/key").header("content-length", "0").signed();
        wire.send(head.replacen("host: test\r\n", &format!("host: test\r\n{headers}"), 1)).await;
        let answer = wire.answer("PUT").await;
        // A reset is what a client sees that still sends when it is refused.
        assert!(answer.status == 0 || (400..500).contains(&answer.status), "{what}: {}", answer.head);
        assert!(seen.stored().is_empty(), "{what}");
        assert_eq!(Wire::connect(address).await.ask(&Ask::new("HEAD", "/bucket/key"), b"").await.status, 200);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_target_without_measure_is_refused() {
    let (address, seen, server) = start();
    for path in [format!("/bucket/{}", "k".repeat(4 << 20)), format!("/bucket/key?{}", "a=b&".repeat(100_000))] {
        let mut wire = Wire::connect(address).await;
        wire.send(format!("PUT {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n")).await;
        let answer = wire.answer("PUT").await;
        assert!(answer.status == 0 || (400..500).contains(&answer.status), "{}", answer.head);
    }
    assert!(seen.stored().is_empty());
    server.stop().await;
}
