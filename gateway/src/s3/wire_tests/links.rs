//! Presigned links, path style and virtual-host style, and session tokens.

use data_encoding::HEXLOWER;

use super::client::{Answer, UNSIGNED, Wire, amz_date, hmac, sha256_hex, signing_key};
use super::{ACCESS_KEY, SECRET_KEY, start};

/// A link before it is used.
struct Link {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    /// Seconds ago.
    age: i64,
    expires: &'static str,
}

impl Default for Link {
    fn default() -> Self {
        Self { method: "GET", host: "test", path: "/bucket/key", age: 0, expires: "60" }
    }
}

impl Link {
    async fn using(&self, address: std::net::SocketAddr, host: &str, body: &str) -> Answer {
        let date = amz_date(-self.age);
        let scope = format!("{}/cn/s3/aws4_request", &date[..8]);
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY}%2F{}&X-Amz-Date={date}\
             &X-Amz-Expires={}&X-Amz-SignedHeaders=host",
            scope.replace('/', "%2F"),
            self.expires
        );
        let canonical = format!("{}\n{}\n{query}\nhost:{}\n\nhost\n{UNSIGNED}", self.method, self.path, self.host);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let signature = HEXLOWER.encode(&hmac(&signing_key(SECRET_KEY, &date), to_sign.as_bytes()));
        let mut wire = Wire::connect(address).await;
        let length = if self.method == "PUT" { format!("content-length: {}\r\n", body.len()) } else { String::new() };
        wire.send(format!(
            "{} {}?{query}&X-Amz-Signature={signature} HTTP/1.1\r\nhost: {host}\r\n{length}\r\n{body}",
            self.method, self.path
        ))
        .await;
        // The stub's object is long: the head is all that is wanted of it.
        if self.method == "GET" {
            let head = wire.head().await;
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
            if status == 200 {
                return Answer { status, head, body: String::new() };
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            return Answer { status, body: wire.body(length.unwrap_or_default()).await, head };
        }
        wire.answer(self.method).await
    }

    async fn used(&self, address: std::net::SocketAddr) -> Answer {
        self.using(address, self.host, "body").await
    }
}

#[tokio::test]
async fn a_link_does_what_it_was_signed_for_and_nothing_else() {
    let (address, seen, server) = start();
    for method in ["GET", "HEAD", "PUT"] {
        assert_eq!(Link { method, ..Link::default() }.used(address).await.status, 200, "{method}");
    }
    assert_eq!(seen.stored(), [("key".to_owned(), b"body".to_vec())]);
    let other_host = Link::default().using(address, "other", "").await;
    assert_eq!((other_host.status, other_host.code()), (403, "SignatureDoesNotMatch"));
    server.stop().await;
}

#[tokio::test]
async fn a_link_holds_from_its_date_for_its_seconds_and_at_most_a_week() {
    let (address, _, server) = start();
    for (age, expires, status, code) in [
        (0, "604800", 200, ""),
        (590_000, "604800", 200, ""),
        (0, "0", 403, "AccessDenied"),
        (0, "-7", 403, "AccessDenied"),
        (0, "604801", 403, "AccessDenied"),
        (61, "60", 403, "AccessDenied"),
        (-3600, "60", 403, "RequestTimeTooSkewed"),
        (0, "soon", 400, "AuthorizationQueryParametersError"),
    ] {
        // A link of a week ago is signed for the day it was made on.
        let answer = Link { age, expires, ..Link::default() }.used(address).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{age} {expires}: {}", answer.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bucket_may_stand_in_the_host() {
    let (address, seen, server) = start();
    let put = |host, path| Link { method: "PUT", host, path, ..Link::default() };
    for link in [put("bucket.s3.test", "/a/key"), put("s3.test", "/bucket/a/key"), put("elsewhere", "/bucket/a/key")] {
        assert_eq!(link.used(address).await.status, 200, "{}", link.host);
    }
    assert_eq!(seen.stored(), vec![("a/key".to_owned(), b"body".to_vec()); 3]);
    // What is signed for one bucket is not valid for another.
    let moved = put("bucket.s3.test", "/a/key").using(address, "other.s3.test", "body").await;
    assert_eq!((moved.status, moved.code()), (403, "SignatureDoesNotMatch"));
    server.stop().await;
}

#[tokio::test]
async fn a_session_token_that_no_session_has_is_refused() {
    let (address, seen, server) = start();
    let ask = super::client::Ask::new("PUT", "/bucket/key")
        .header("content-length", "0")
        .header("x-amz-security-token", "AAAA");
    let answer = Wire::connect(address).await.ask(&ask, b"").await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidToken"), "a key that lasts has no token");
    assert!(seen.stored().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_signature_for_the_token_service_is_none_for_objects() {
    let (address, seen, server) = start();
    let ask = super::client::Ask::new("PUT", "/bucket/key").header("content-length", "0");
    let date = ask.date.clone();
    let scope = format!("{}/cn/sts/aws4_request", &date[..8]);
    let day = hmac(format!("AWS4{SECRET_KEY}").as_bytes(), &date.as_bytes()[..8]);
    let key = hmac(&hmac(&hmac(&day, b"cn"), b"sts"), b"aws4_request");
    let canonical = format!(
        "PUT\n/bucket/key\n\nhost:test\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{date}\n\n\
         host;x-amz-content-sha256;x-amz-date\n{UNSIGNED}"
    );
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
         Signature={}",
        HEXLOWER.encode(&hmac(&key, to_sign.as_bytes()))
    );
    let mut wire = Wire::connect(address).await;
    wire.send(ask.head(Some(&authorization))).await;
    let answer = wire.answer("PUT").await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{}", answer.body);
    assert!(seen.stored().is_empty());
    server.stop().await;
}
