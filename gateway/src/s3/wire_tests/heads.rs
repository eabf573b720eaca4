//! Who asks, for what, and how the head is written.

use super::client::{Ask, UNSIGNED, Wire, amz_date, hmac, sha256_hex, signing_key};
use super::{ACCESS_KEY, LARGE_BYTES, SECRET_KEY, start};

async fn refused(ask: &Ask) -> (u16, String) {
    let (address, seen, server) = start();
    let answer = Wire::connect(address).await.ask(ask, b"").await;
    assert!(seen.stored().is_empty());
    server.stop().await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn an_anonymous_request_for_what_only_tenants_have_is_denied_with_a_request_id() {
    let (address, _, server) = start();
    for (method, path) in [("GET", "/"), ("PUT", "/bucket"), ("DELETE", "/bucket"), ("DELETE", "/bucket?policy")] {
        let mut wire = Wire::connect(address).await;
        wire.send(Ask::new(method, path).header("content-length", "0").head(None)).await;
        let answer = wire.answer(method).await;
        assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{method} {path}");
        let id = answer.header("x-amz-request-id").unwrap();
        assert!(answer.body.contains(&format!("<RequestId>{id}</RequestId>")), "{}", answer.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_anonymous_request_reaches_the_use_case_as_nobodys() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send("PUT /bucket/key HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi").await;
    assert_eq!(wire.answer("PUT").await.status, 200);
    assert_eq!(seen.0.lock().callers[0].principal, crate::objects::Principal::Anonymous);
    assert_eq!(seen.stored().pop().unwrap().1, b"hi");
    let chunked = |crc: &str| {
        let body = format!("2\r\nhi\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
        format!(
            "PUT /bucket/key HTTP/1.1\r\nhost: test\r\ncontent-encoding: aws-chunked\r\nx-amz-trailer: x-amz-checksum-crc32\r\n\
             x-amz-decoded-content-length: 2\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // The CRC-32 of "hi" is d8932aac.
    for (crc, status, stored) in [("2JMqrA==", 200, 2), ("AAAAAA==", 400, 2)] {
        let mut wire = Wire::connect(address).await;
        wire.send(chunked(crc)).await;
        assert_eq!(wire.answer("PUT").await.status, status, "{crc}");
        assert_eq!(seen.stored().len(), stored);
        assert_eq!(seen.stored().pop().unwrap().1, b"hi", "the framing is not stored");
    }
    let mut wire = Wire::connect(address).await;
    let digest = "0".repeat(64);
    wire.send(format!(
        "PUT /bucket/key HTTP/1.1\r\nhost: test\r\nx-amz-content-sha256: {digest}\r\ncontent-length: 2\r\n\r\nhi"
    ))
    .await;
    assert_eq!(wire.answer("PUT").await.status, 400, "what nobody signed is held to its digest too");
    server.stop().await;
}

#[tokio::test]
async fn wrong_credentials_and_clocks_are_told_apart() {
    let ask = || Ask::new("GET", "/bucket/key");
    assert_eq!(refused(&Ask { secret: "wrong", ..ask() }).await, (403, "SignatureDoesNotMatch".into()));
    assert_eq!(refused(&Ask { access_key: "NOBODY", ..ask() }).await, (403, "InvalidAccessKeyId".into()));
    assert_eq!(refused(&Ask { date: amz_date(-1000), ..ask() }).await, (403, "RequestTimeTooSkewed".into()));
    assert_eq!(refused(&Ask { date: amz_date(1000), ..ask() }).await, (403, "RequestTimeTooSkewed".into()));
}

#[tokio::test]
async fn an_unknown_payload_mode_is_refused() {
    for mode in
        ["STREAMING-UNSIGNED-PAYLOAD", "unsigned-payload", "deadbeef", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"]
    {
        let (status, code) = refused(&Ask::new("PUT", "/bucket/key").header("content-length", "0").mode(mode)).await;
        assert!((400..=501).contains(&status) && !code.is_empty(), "{mode}: {status} {code}");
    }
}

#[tokio::test]
async fn signature_version_2_is_refused() {
    let (address, _, server) = start();
    let mut wire = Wire::connect(address).await;
    let head = Ask::new("GET", "/bucket/key").head(Some(&format!("AWS {ACCESS_KEY}:c2lnbmF0dXJl")));
    wire.send(head).await;
    assert_eq!(wire.answer("GET").await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn an_amz_header_that_was_not_signed_is_refused() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    let head = Ask::new("PUT", "/bucket/key").header("content-length", "0").signed();
    // A presigned PUT must not become a copy of somebody's choosing.
    wire.send(head.replace("\r\n\r\n", "\r\nx-amz-copy-source: /bucket/other\r\n\r\n")).await;
    let answer = wire.answer("PUT").await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
    assert!(seen.stored().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn operations_that_are_not_served_are_not_implemented() {
    for (method, query) in [("PUT", "replication="), ("GET", "cors="), ("PUT", "website=")] {
        let (status, code) = refused(&Ask::new(method, "/bucket").query(query).header("content-length", "0")).await;
        assert_eq!((status, code.as_str()), (501, "NotImplemented"), "{method} {query}");
    }
}

#[tokio::test]
async fn keys_are_opaque_and_reach_the_use_case_unchanged() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    for (path, key) in [
        ("/bucket/a/../b", "a/../b"),
        ("/bucket//a//b/", "/a//b/"),
        ("/bucket/..", ".."),
        ("/bucket/./a", "./a"),
        ("/bucket/a%20b%2Bc%3D%25", "a b+c=%"),
        ("/bucket/%E6%95%B0%E6%8D%AE", "数据"),
        ("/bucket/env%3A/x", "env:/x"),
    ] {
        let answer = wire.ask(&Ask::new("PUT", path).header("content-length", "0"), b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(seen.stored().pop().unwrap().0, key);
    }
    let longest = "k".repeat(1024);
    let answer = wire.ask(&Ask::new("PUT", format!("/bucket/{longest}")).header("content-length", "0"), b"").await;
    assert_eq!(answer.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused() {
    let put = |path: String| Ask::new("PUT", path).header("content-length", "0");
    let too_long = put(format!("/bucket/{}", "k".repeat(1025)));
    assert_eq!(refused(&too_long).await, (400, "KeyTooLongError".into()));
    assert_eq!(refused(&put("/bucket/a%00b".into())).await, (400, "InvalidArgument".into()));
    assert_eq!(refused(&put("/bucket/a%FFb".into())).await, (400, "InvalidURI".into()));
}

/// A PUT without a body; as signed, and as written.
async fn put_as_written(ask: &Ask, change: impl Fn(String) -> String) -> (u16, String, Vec<String>) {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send(change(ask.signed())).await;
    let answer = wire.answer("PUT").await;
    server.stop().await;
    (answer.status, answer.body, seen.stored().into_iter().map(|(key, _)| key).collect())
}

#[tokio::test]
async fn signed_headers_may_be_written_in_any_case_with_any_space_around() {
    let ask = Ask::new("PUT", "/bucket/key").header("content-length", "0").header("x-amz-meta-a", "one two");
    for written in
        ["X-AMZ-Meta-A: one two", "x-amz-meta-a:one two", "x-amz-meta-a: \t one two \t ", "X-Amz-Meta-A:one   two"]
    {
        let (status, body, _) = put_as_written(&ask, |head| head.replacen("x-amz-meta-a: one two", written, 1)).await;
        assert_eq!(status, 200, "{written}: {body}");
    }
    let (status, ..) = put_as_written(&ask, |head| head.replacen("one two", "onetwo", 1)).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn keys_sent_with_characters_that_signatures_encode_are_the_same_keys() {
    for (signed, sent, key) in [
        ("/bucket/a%3Db%2Bc", "/bucket/a=b+c", "a=b+c"),
        ("/bucket/env%3A/x", "/bucket/env:/x", "env:/x"),
        ("/bucket/%40a%2Cb%3Bc", "/bucket/@a,b;c", "@a,b;c"),
        ("/bucket/%F0%9F%99%82/", "/bucket/%F0%9F%99%82/", "🙂/"),
        ("/bucket/a%252Fb", "/bucket/a%252Fb", "a%2Fb"),
        ("/bucket/~a_b-c.d", "/bucket/~a_b-c.d", "~a_b-c.d"),
        ("/bucket/%20", "/bucket/%20", " "),
        ("/bucket/dir/", "/bucket/dir/", "dir/"),
    ] {
        let ask = Ask::new("PUT", signed).header("content-length", "0");
        let (status, body, keys) = put_as_written(&ask, |head| head.replacen(signed, sent, 1)).await;
        assert_eq!((status, keys), (200, vec![key.to_owned()]), "{sent}: {body}");
    }
}

#[tokio::test]
async fn a_presigned_url_works_until_it_expires() {
    let (address, _, server) = start();
    for (age, expires, status) in [(0, 60, 200), (-120, 60, 403)] {
        let date = amz_date(age);
        let scope = format!("{}/cn/s3/aws4_request", &date[..8]);
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY}%2F{}&X-Amz-Date={date}\
             &X-Amz-Expires={expires}&X-Amz-SignedHeaders=host",
            scope.replace('/', "%2F")
        );
        let canonical = format!("HEAD\n/bucket/key\n{query}\nhost:test\n\nhost\n{UNSIGNED}");
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let signature = data_encoding::HEXLOWER.encode(&hmac(&signing_key(SECRET_KEY, &date), to_sign.as_bytes()));
        let mut wire = Wire::connect(address).await;
        wire.send(format!("HEAD /bucket/key?{query}&X-Amz-Signature={signature} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        assert_eq!(wire.answer("HEAD").await.status, status, "{age}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_tells_the_length_and_the_connection_goes_on() {
    let (address, _, server) = start();
    let mut wire = Wire::connect(address).await;
    for _ in 0..2 {
        let answer = wire.ask(&Ask::new("HEAD", "/bucket/key"), b"").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), Some(LARGE_BYTES.to_string().as_str()));
    }
    let answer = wire.ask(&Ask::new("HEAD", "/bucket/key").header("x-amz-acl", "public-read"), b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (400, ""));
    server.stop().await;
}

#[tokio::test]
async fn a_spoofed_forwarded_address_is_not_believed() {
    let (address, seen, server) = start();
    let mut wire = Wire::connect(address).await;
    let ask = Ask::new("PUT", "/bucket/key").header("content-length", "0").header("x-forwarded-for", "198.51.100.7");
    assert_eq!(wire.ask(&ask, b"").await.status, 200);
    assert_eq!(seen.0.lock().callers[0].address, Some("127.0.0.1".parse().unwrap()));
    server.stop().await;
}
