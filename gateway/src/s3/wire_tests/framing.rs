//! aws-chunked bodies that lie about themselves, and requests that want to be read two ways.

use super::client::{Answer, Ask, Wire};
use super::start;

const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CHUNKED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

fn chunked(mode: &str, body: usize, decoded: usize) -> Ask {
    Ask::new("PUT", "/bucket/key")
        .mode(mode)
        .header("content-length", body.to_string())
        .header("x-amz-decoded-content-length", decoded.to_string())
        .header("content-encoding", "aws-chunked")
}

fn clean(what: &str, answer: &Answer) {
    assert!(
        (400..500).contains(&answer.status) && !answer.code().is_empty(),
        "{what}: {} {}",
        answer.head,
        answer.body
    );
}

#[tokio::test]
async fn unsigned_chunks_that_lie_store_nothing() {
    let (address, seen, server) = start();
    // The check value of CRC-32 for "123456789".
    let trailer = "x-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    for (what, body) in [
        ("no last chunk", format!("9\r\n123456789\r\n{trailer}")),
        ("nothing after the data", "9\r\n123456789\r\n".to_owned()),
        ("half a trailer", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5".to_owned()),
        ("a size that is too small", format!("8\r\n123456789\r\n0\r\n{trailer}")),
        ("a size that is too large", format!("a\r\n123456789\r\n0\r\n{trailer}")),
        ("a size beyond 64 bits", format!("ffffffffffffffffff\r\n123456789\r\n0\r\n{trailer}")),
        ("the largest size of 64 bits", format!("ffffffffffffffff\r\n123456789\r\n0\r\n{trailer}")),
        ("a negative size", format!("-9\r\n123456789\r\n0\r\n{trailer}")),
        ("a size with a prefix", format!("0x9\r\n123456789\r\n0\r\n{trailer}")),
        ("a size with a sign", format!("+9\r\n123456789\r\n0\r\n{trailer}")),
        ("no size", format!("\r\n123456789\r\n0\r\n{trailer}")),
        ("no line end behind the data", format!("9\r\n1234567890\r\n{trailer}")),
        ("bare line feeds", "9\n123456789\n0\nx-amz-checksum-crc32:y/Q5Jg==\n\n".to_owned()),
        ("a trailer that was not announced", "9\r\n123456789\r\n0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n".to_owned()),
        ("a trailer that disagrees", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n".to_owned()),
        (
            "two trailers that disagree",
            "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n".to_owned(),
        ),
        ("a trailer of 2 MB", format!("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:{}\r\n\r\n", "A".repeat(2 << 20))),
        ("a size of 2 MB", format!("{}9\r\n123456789\r\n0\r\n{trailer}", "0".repeat(2 << 20))),
        ("an extension of 2 MB", format!("9;{}\r\n123456789\r\n0\r\n{trailer}", "a".repeat(2 << 20))),
    ] {
        let ask = chunked(UNSIGNED_TRAILER, body.len(), 9).header("x-amz-trailer", "x-amz-checksum-crc32");
        let answer = Wire::connect(address).await.ask(&ask, body.as_bytes()).await;
        clean(what, &answer);
        assert!(seen.stored().is_empty(), "{what}: {:?}", seen.stored());
    }
    server.stop().await;
}

#[tokio::test]
async fn signed_chunks_that_lie_store_nothing() {
    let (address, seen, server) = start();
    let zeros = "0".repeat(64);
    for (what, body) in [
        ("no signature", "9\r\n123456789\r\n0\r\n\r\n".to_owned()),
        ("an empty signature", "9;chunk-signature=\r\n123456789\r\n0;chunk-signature=\r\n\r\n".to_owned()),
        (
            "a signature of zeros",
            format!("9;chunk-signature={zeros}\r\n123456789\r\n0;chunk-signature={zeros}\r\n\r\n"),
        ),
        ("a signature that is no hex", format!("9;chunk-signature={}\r\n123456789\r\n0\r\n\r\n", "z".repeat(64))),
        ("another extension", format!("9;x={zeros}\r\n123456789\r\n0;x={zeros}\r\n\r\n")),
        ("only the last chunk", format!("0;chunk-signature={zeros}\r\n\r\n")),
        ("no framing at all", "123456789".to_owned()),
    ] {
        let ask = chunked(CHUNKED, body.len(), 9);
        let answer = Wire::connect(address).await.ask(&ask, body.as_bytes()).await;
        clean(what, &answer);
        assert!(seen.stored().is_empty(), "{what}: {:?}", seen.stored());
    }
    server.stop().await;
}

#[tokio::test]
async fn what_the_head_says_of_the_chunks_must_make_sense() {
    let (address, seen, server) = start();
    let body = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let ask = || Ask::new("PUT", "/bucket/key").mode(UNSIGNED_TRAILER).header("content-length", body.len().to_string());
    let trailer = |ask: Ask| ask.header("x-amz-trailer", "x-amz-checksum-crc32");
    for (what, ask) in [
        ("no decoded length", trailer(ask())),
        ("a decoded length that is no number", trailer(ask().header("x-amz-decoded-content-length", "nine"))),
        ("a negative decoded length", trailer(ask().header("x-amz-decoded-content-length", "-9"))),
        (
            "two decoded lengths",
            trailer(ask().header("x-amz-decoded-content-length", "9").header("x-amz-decoded-content-length", "10")),
        ),
        (
            "a trailer that is no checksum",
            ask().header("x-amz-decoded-content-length", "9").header("x-amz-trailer", "x-amz-meta-owner"),
        ),
    ] {
        let answer = Wire::connect(address).await.ask(&ask, body.as_bytes()).await;
        clean(what, &answer);
        assert!(seen.stored().is_empty(), "{what}: {:?}", seen.stored());
    }
    server.stop().await;
}

#[tokio::test]
async fn the_body_of_a_request_that_has_none_is_no_second_request() {
    let smuggled = Ask::new("PUT", "/bucket/smuggled").header("content-length", "0").signed();
    for method in ["HEAD", "GET", "DELETE"] {
        for chunked in [false, true] {
            let (address, seen, server) = start();
            let mut wire = Wire::connect(address).await;
            let (framing, body) = if chunked {
                let body = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
                (("transfer-encoding", "chunked".to_owned()), body)
            } else {
                (("content-length", smuggled.len().to_string()), smuggled.clone())
            };
            wire.send(Ask::new(method, "/bucket/key").header(framing.0, framing.1).signed()).await;
            wire.send(body).await;
            let head = wire.head().await;
            assert!(head.starts_with("HTTP/1.1 "), "{method}: {head}");
            wire.leave().await;
            assert!(wire.is_closed().await);
            server.stop().await;
            assert!(seen.stored().is_empty(), "{method}, chunked {chunked}: the body was taken for a request");
        }
    }
}

#[tokio::test]
async fn heads_that_two_servers_would_read_differently_are_refused() {
    let put = || Ask::new("PUT", "/bucket/key").header("content-length", "4").header("x-amz-meta-a", "one");
    for (what, from, to) in [
        ("a folded header", "x-amz-meta-a: one\r\n", "x-amz-meta-a: one\r\n two\r\n"),
        ("a header folded at once", "content-length: 4\r\n", "content-length:\r\n 4\r\n"),
        ("a space before the colon", "content-length: 4\r\n", "content-length : 4\r\n"),
        ("a line without a colon", "host: test\r\n", "host: test\r\ngarbage\r\n"),
        ("NUL in a value", "x-amz-meta-a: one", "x-amz-meta-a: o\0e"),
        ("a bare carriage return in a value", "x-amz-meta-a: one", "x-amz-meta-a: o\re"),
        ("a length in a list", "content-length: 4\r\n", "content-length: 4,4\r\n"),
        ("a length in hex", "content-length: 4\r\n", "content-length: 0x4\r\n"),
        ("an encoding with a tab", "content-length: 4\r\n", "content-length: 4\r\ntransfer-encoding:\tchunked\r\n"),
        ("an encoding that is none", "content-length: 4\r\n", "transfer-encoding: xchunked\r\n"),
        ("another protocol", "HTTP/1.1\r\n", "HTTP/9.9\r\n"),
    ] {
        let (address, seen, server) = start();
        let mut wire = Wire::connect(address).await;
        let head = put().signed();
        assert!(head.contains(from), "{what}");
        wire.send(head.replacen(from, to, 1)).await;
        wire.send(b"body").await;
        let answer = wire.answer("PUT").await;
        assert!((400..=505).contains(&answer.status), "{what}: {}", answer.head);
        assert!(seen.stored().is_empty(), "{what}");
        server.stop().await;
    }
}
