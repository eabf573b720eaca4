//! Requests of pages: preflights, and the headers that browsers look for.

use super::super::cors::Sharing;
use super::client::{Ask, Wire};
use super::start;
use crate::objects::{CorsRule, CorsRules};

/// The bucket `bucket` is shared with one site, and its answers to GET with everybody.
pub(super) fn sharing() -> Sharing {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let site = CorsRule {
        origins: list(&["https://*.example"]),
        methods: list(&["PUT", "DELETE"]),
        headers: list(&["x-amz-*"]),
        exposed: list(&["ETag"]),
        max_age_seconds: Some(60),
        id: None,
    };
    let everybody = CorsRule { origins: list(&["*"]), methods: list(&["GET"]), ..CorsRule::default() };
    Sharing::fixed("bucket", CorsRules { rules: vec![site, everybody] })
}

fn preflight(path: &str, headers: &[(&'static str, &str)]) -> String {
    let ask = Ask::new("OPTIONS", path);
    headers.iter().fold(ask, |ask, (name, value)| ask.header(name, *value)).head(None)
}

#[tokio::test]
async fn a_preflight_needs_no_signature_and_tells_what_its_rule_says() {
    let (address, _, server) = start();
    let mut wire = Wire::connect(address).await;
    wire.send(preflight(
        "/bucket/key",
        &[
            ("origin", "https://a.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "X-Amz-Date,x-amz-meta-a"),
        ],
    ))
    .await;
    let answer = wire.answer("OPTIONS").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    for (name, value) in [
        ("access-control-allow-origin", Some("https://a.example")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-allow-methods", Some("PUT, DELETE")),
        ("access-control-allow-headers", Some("x-amz-date, x-amz-meta-a")),
        ("access-control-expose-headers", Some("ETag")),
        ("access-control-max-age", Some("60")),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("vary").unwrap().starts_with("Origin"));
    server.stop().await;
}

#[tokio::test]
async fn a_bucket_that_is_not_there_answers_like_one_that_does_not_share() {
    let (address, _, server) = start();
    let mut bodies = Vec::new();
    for path in ["/bucket", "/nowhere", "/", "/bucket%2Fkey"] {
        let mut wire = Wire::connect(address).await;
        let head = [("origin", "https://other.test"), ("access-control-request-method", "PUT")];
        wire.send(preflight(path, &head)).await;
        let answer = wire.answer("OPTIONS").await;
        assert_eq!((answer.status, answer.code()), (403, "AccessForbidden"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let resource = answer.body.find("<Resource>").unwrap();
        bodies.push(answer.body[..resource].to_owned());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_preflight_without_origin_or_method_is_a_bad_request() {
    let (address, _, server) = start();
    for headers in [&[][..], &[("origin", "https://a.example")], &[("access-control-request-method", "GET")]] {
        let mut wire = Wire::connect(address).await;
        wire.send(preflight("/bucket", headers)).await;
        assert_eq!(wire.answer("OPTIONS").await.status, 400, "{headers:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_can_read_answers_that_are_refusals() {
    let (address, _, server) = start();
    let mut wire = Wire::connect(address).await;
    let wrong = Ask { secret: "wrong", ..Ask::new("GET", "/bucket/key").header("origin", "https://a.example") };
    let answer = wire.ask(&wrong, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, Some("*")));
    let mut wire = Wire::connect(address).await;
    let put = Ask::new("PUT", "/bucket/key").header("content-length", "0").header("origin", "https://a.example");
    let answer = wire.ask(&put, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://a.example")));
    let put = Ask::new("PUT", "/bucket/key").header("content-length", "0").header("origin", "https://other.test");
    let answer = wire.ask(&put, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    assert!(answer.header("vary").is_some(), "a cache must not give this answer to other origins");
    server.stop().await;
}
