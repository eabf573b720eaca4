//! Bodies that are not what their head says.

use super::client::{Ask, UNSIGNED, Wire, hmac, sha256_hex, signing_key};
use super::{LARGE_BYTES, SECRET_KEY, Seen, start};

const CHUNKED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

fn put(length: usize) -> Ask {
    Ask::new("PUT", "/bucket/key").header("content-length", length.to_string())
}

fn nothing_stored(seen: &Seen) {
    assert!(seen.stored().is_empty(), "bytes were stored: {} objects", seen.stored().len());
}

#[tokio::test]
async fn a_body_that_ends_early_reaches_the_use_case_as_incomplete() {
    let (address, seen, server) = start();
    for mode in [UNSIGNED.to_owned(), sha256_hex(&[7; 100])] {
        let mut wire = Wire::connect(address).await;
        wire.send(put(100).mode(mode).signed()).await;
        wire.send([7; 60]).await;
        wire.leave().await;
        assert!(wire.is_closed().await);
    }
    // The failure is noticed by the server on its own; both must be, before it stops.
    while seen.failed() < 2 {
        tokio::task::yield_now().await;
    }
    nothing_stored(&seen);
    server.stop().await;
}

#[tokio::test]
async fn bytes_beyond_the_declared_length_are_not_stored() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send(put(4).signed()).await;
    wire.send(b"bodyGARBAGE that is no request\r\n\r\n").await;
    let answer = wire.answer("PUT").await;
    assert_eq!(answer.status, 200);
    assert_eq!(seen.stored(), [("key".to_owned(), b"body".to_vec())]);
    assert!(wire.is_closed().await, "what follows cannot be told apart from the body");
    server.stop().await;
}

#[tokio::test]
async fn a_length_that_could_be_read_two_ways_is_refused() {
    for framing in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4\r\ntransfer-encoding: chunked",
        "content-length: +4",
        "content-length: 4, 4",
        "transfer-encoding: gzip, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    ] {
        let (address, seen, server) = start();
        let mut wire = Wire::connect(address).await;
        let head = put(4).signed().replace("content-length: 4", framing);
        wire.send(head).await;
        wire.send(b"4\r\nbody\r\n0\r\n\r\n").await;
        let answer = wire.answer("PUT").await;
        assert!(answer.status >= 400, "{framing}: {}", answer.head);
        nothing_stored(&seen);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_payload_hash_stores_nothing() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    let answer = wire.ask(&put(4).mode(sha256_hex(b"BODY")), b"body").await;
    assert_eq!((answer.status, answer.code()), (400, "XAmzContentSHA256Mismatch"));
    let answer = wire.ask(&put(4).header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), b"body").await;
    assert_eq!((answer.status, answer.code()), (400, "BadDigest"));
    let answer = wire.ask(&put(4).header("x-amz-checksum-crc32", "AAAAAA=="), b"body").await;
    assert_eq!((answer.status, answer.code()), (400, "BadDigest"));
    nothing_stored(&seen);
    let answer = wire.ask(&put(4).mode(sha256_hex(b"body")), b"body").await;
    assert_eq!(answer.status, 200, "the connection goes on after a body that was read whole");
    server.stop().await;
}

#[tokio::test]
async fn a_body_above_the_largest_is_refused_unread_and_the_connection_closed() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send(put(6 * 1024 * 1024 * 1024).signed()).await;
    let answer = wire.answer("PUT").await;
    assert_eq!((answer.status, answer.code()), (400, "EntityTooLarge"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(wire.is_closed().await);
    nothing_stored(&seen);
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_is_not_invited_to_send_a_body() {
    let (address, _, server) = start();
    let ask = || put(1_000_000).header("expect", "100-continue");
    for (head, code) in [
        (ask().head(Some("AWS AKID:c2ln")), "AccessDenied"),
        (Ask { access_key: "NOBODY", ..ask() }.signed(), "InvalidAccessKeyId"),
        (Ask { secret: "wrong", ..ask() }.signed(), "SignatureDoesNotMatch"),
    ] {
        let mut wire = Wire::connect(address).await;
        wire.send(head).await;
        let answer = wire.answer("PUT").await;
        assert_eq!((answer.status, answer.code()), (403, code));
        assert!(wire.is_closed().await);
    }
    let mut wire = Wire::connect(address).await;
    wire.send(ask().signed()).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 100"));
    wire.send(vec![1; 1_000_000]).await;
    assert_eq!(wire.answer("PUT").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_upload_is_not_read_to_its_end() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send(Ask { secret: "wrong", ..put(1 << 30) }.signed()).await;
    let answer = wire.answer("PUT").await;
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")));
    assert!(wire.is_closed().await);
    nothing_stored(&seen);
    server.stop().await;
}

/// A signed chunk, and its signature, which the next one is chained to.
fn chunk(ask: &Ask, previous: &str, data: &[u8]) -> (Vec<u8>, String) {
    let to_sign = format!(
        "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
        ask.date,
        ask.scope(),
        sha256_hex(b""),
        sha256_hex(data)
    );
    let signature = data_encoding::HEXLOWER.encode(&hmac(&signing_key(SECRET_KEY, &ask.date), to_sign.as_bytes()));
    let mut bytes = format!("{:x};chunk-signature={signature}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    (bytes, signature)
}

fn chunked(mode: &str, body: usize, decoded: usize) -> Ask {
    put(body)
        .mode(mode)
        .header("x-amz-decoded-content-length", decoded.to_string())
        .header("content-encoding", "aws-chunked")
}

fn signed_body(ask: &Ask, pieces: &[&[u8]]) -> Vec<u8> {
    let mut previous = ask.signature();
    let mut body = Vec::new();
    for piece in pieces.iter().copied().chain([&b""[..]]) {
        let (bytes, signature) = chunk(ask, &previous, piece);
        body.extend_from_slice(&bytes);
        previous = signature;
    }
    body
}

#[tokio::test]
async fn signed_chunks_are_stored_without_their_framing() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    let ask = chunked(CHUNKED, 9 + 4 * 89, 9);
    let body = signed_body(&ask, &[b"one", b"two", b"six"]);
    let ask = chunked(CHUNKED, body.len(), 9);
    let body = signed_body(&ask, &[b"one", b"two", b"six"]);
    let answer = wire.ask(&ask, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(seen.stored(), [("key".to_owned(), b"onetwosix".to_vec())]);
    server.stop().await;
}

#[tokio::test]
async fn a_chunk_that_was_altered_dropped_or_reordered_stores_nothing() {
    let (address, seen, server) = start();
    let length = signed_body(&chunked(CHUNKED, 0, 9), &[b"one", b"two", b"six"]).len();
    let ask = chunked(CHUNKED, length, 9);
    let good = signed_body(&ask, &[b"one", b"two", b"six"]);
    let one = chunk(&ask, &ask.signature(), b"one").0.len();
    let mut altered = good.clone();
    altered[one - 3] ^= 1;
    let mut reordered = good.clone();
    reordered[..2 * one].rotate_left(one);
    for (what, body) in [("altered", altered), ("reordered", reordered)] {
        let answer = Wire::connect(address).await.ask(&ask, &body).await;
        assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch"), "{what}");
    }
    let short = chunked(CHUNKED, length - one, 9);
    let mut dropped = signed_body(&short, &[b"one", b"two", b"six"]);
    dropped.drain(one..2 * one);
    let answer = Wire::connect(address).await.ask(&short, &dropped).await;
    assert!(answer.status >= 400, "dropped: {}", answer.head);
    nothing_stored(&seen);
    server.stop().await;
}

#[tokio::test]
async fn a_signed_chunk_above_16_mebibytes_is_refused_before_it_is_held() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    let size = 64 * 1024 * 1024;
    wire.send(chunked(CHUNKED, size + 1000, size).signed()).await;
    wire.send(format!("{size:x};chunk-signature={}\r\n", "0".repeat(64))).await;
    // Only the first of 64 MiB: the refusal must not wait for them.
    wire.send(vec![0; 1024]).await;
    let answer = wire.answer("PUT").await;
    assert_eq!((answer.status, answer.code()), (400, "EntityTooLarge"), "{}", answer.body);
    nothing_stored(&seen);
    server.stop().await;
}

#[tokio::test]
async fn a_trailing_checksum_is_checked() {
    let (address, seen, server) = start();
    // The catalogue's check value of CRC-32 for "123456789".
    for (trailer, status) in [("y/Q5Jg==", 200), ("AAAAAA==", 400), ("", 400)] {
        let line = if trailer.is_empty() { String::new() } else { format!("x-amz-checksum-crc32:{trailer}\r\n") };
        let body = format!("9\r\n123456789\r\n0\r\n{line}\r\n");
        let ask = chunked(UNSIGNED_TRAILER, body.len(), 9).header("x-amz-trailer", "x-amz-checksum-crc32");
        let answer = Wire::connect(address).await.ask(&ask, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{trailer}: {}", answer.body);
    }
    assert_eq!(seen.stored().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_signed_trailer_must_bear_its_signature() {
    let (address, seen, server) = start();
    for tampered in [false, true] {
        let build = |length: usize| {
            let ask = chunked(CHUNKED_TRAILER, length, 9).header("x-amz-trailer", "x-amz-checksum-crc32");
            let (mut body, first) = chunk(&ask, &ask.signature(), b"123456789");
            let (last, previous) = chunk(&ask, &first, b"");
            body.extend_from_slice(&last[..last.len() - 2]);
            let trailer = "x-amz-checksum-crc32:y/Q5Jg==\n";
            let to_sign = format!(
                "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{}",
                ask.date,
                ask.scope(),
                sha256_hex(trailer.as_bytes())
            );
            let key = signing_key(SECRET_KEY, &ask.date);
            let mut signature = data_encoding::HEXLOWER.encode(&hmac(&key, to_sign.as_bytes()));
            if tampered {
                signature = signature.replace(['0', '1', '2', '3', '4', '5', '6', '7'], "8");
            }
            let tail = format!("x-amz-checksum-crc32:y/Q5Jg==\r\nx-amz-trailer-signature:{signature}\r\n\r\n");
            body.extend_from_slice(tail.as_bytes());
            (ask, body)
        };
        let (ask, body) = build(build(0).1.len());
        let answer = Wire::connect(address).await.ask(&ask, &body).await;
        assert_eq!(answer.status, if tampered { 403 } else { 200 }, "{}", answer.body);
    }
    assert_eq!(seen.stored().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_decoded_length_that_is_not_true_stores_nothing() {
    let (address, seen, server) = start();
    for decoded in [8, 10] {
        let body = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
        let ask = chunked(UNSIGNED_TRAILER, body.len(), decoded).header("x-amz-trailer", "x-amz-checksum-crc32");
        let answer = Wire::connect(address).await.ask(&ask, body.as_bytes()).await;
        assert_eq!((answer.status, answer.code()), (400, "IncompleteBody"), "{decoded}: {}", answer.body);
    }
    nothing_stored(&seen);
    server.stop().await;
}

#[tokio::test]
async fn a_document_that_does_not_match_its_digest_does_nothing() {
    let (address, seen, server) = start();
    let body = b"<Delete><Object><Key>k</Key></Object></Delete>";
    let delete = |digest: &str| {
        let length = body.len().to_string();
        Ask::new("POST", "/bucket").query("delete=").header("content-length", length).header("content-md5", digest)
    };
    let answer = Wire::connect(address).await.ask(&delete("1B2M2Y8AsgTpgAmY7PhCfg=="), body).await;
    assert_eq!((answer.status, answer.code()), (400, "BadDigest"));
    assert_eq!(seen.0.lock().deleted, 0);
    let good = data_encoding::BASE64.encode(&fast_md5::digest(body));
    assert_eq!(Wire::connect(address).await.ask(&delete(&good), body).await.status, 200);
    assert_eq!(seen.0.lock().deleted, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_fill_the_gateways_memory() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send(Ask::new("GET", "/bucket/key").signed()).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 200"));
    // Let the server give what it will: it stops when the sockets' buffers are full.
    let mut before = usize::MAX;
    while before != seen.given() {
        before = seen.given();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(before < LARGE_BYTES / 4, "{before} bytes were produced for a client that reads none");
    drop(wire);
    server.stop().await;
}
