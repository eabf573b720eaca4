//! A gateway without nodes, a bucket in it, and a receiver on a socket.

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use domicile_types::{ObjectKey, RequestId, TenantId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Happening, NotificationRule, Notifications, StatedAs};
use crate::catalog::Bucket;
use crate::objects::{Caller, Gateway};
use crate::open::Running;
use crate::testing;

/// A webhook that answers every message, first with `refusals` of 500, then with 200; the bodies that it was sent.
pub(super) async fn receiver(refusals: usize) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, bodies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut left = refusals;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let body = loop {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n")
                    && head.lines().any(|line| line == format!("content-length: {}", body.len()))
                {
                    break body.to_owned();
                }
            };
            let status = if left > 0 { "500 No" } else { "200 OK" };
            left = left.saturating_sub(1);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = seen.send(body);
        }
    });
    (port, bodies)
}

async fn gateway(folder: &Path, port: u16, place: &str) -> (Running, Bucket) {
    let secret = BASE64.encode(&[7; 32]);
    let webhook = format!(
        r#"
        [[webhook]]
        name = "ingest"
        url = "http://127.0.0.1:{port}/"
        secret = "whsec_{secret}"
        place = "{place}"
        tenants = ["tenant-a"]
        allow_private = true
        "#
    );
    let running = testing::gateway(folder, &webhook).await;
    let bucket = testing::bucket(&running.gateway, "training", "tenant-a", "cn").await;
    (running, bucket)
}

fn rules(webhook: &str) -> Notifications {
    let rule = NotificationRule {
        id: "rule-1".to_owned(),
        stated_as: StatedAs::Queue,
        webhook: webhook.to_owned(),
        events: vec!["s3:ObjectCreated:*".to_owned()],
        prefix: Some("raw/".to_owned()),
        suffix: None,
    };
    Notifications { rules: vec![rule] }
}

fn caller(tenant: &str) -> Caller {
    Caller::worker(&TenantId::parse(tenant).unwrap(), "AKID", RequestId::from_bytes([3; 16]))
}

async fn put(gateway: &Gateway, bucket: &Bucket, key: &str) {
    let key = ObjectKey::parse(key).unwrap();
    // As every request does: what a bucket tells is what it told when its row was read.
    let bucket = &gateway.catalog.bucket(&bucket.name).await.unwrap();
    let happening = Happening {
        event: "ObjectCreated:Put",
        key: &key,
        version: None,
        packs: &bucket.packs,
        classification: &bucket.classification,
        object: Some((5, "abc".to_owned())),
        at: gateway.clock.now(),
        request: RequestId::from_bytes([4; 16]),
        principal: "tenant-a".to_owned(),
    };
    gateway.announce(bucket, happening).await;
}

/// The event's name and key of the next message.
async fn told(bodies: &mut mpsc::UnboundedReceiver<String>) -> (String, String) {
    let body = tokio::time::timeout(Duration::from_secs(60), bodies.recv()).await.unwrap().unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    match body.get("Event") {
        Some(event) => (text(event), String::new()),
        None => (text(&body["Records"][0]["eventName"]), text(&body["Records"][0]["s3"]["object"]["key"])),
    }
}

async fn emptied(gateway: &Gateway) {
    let wait = async {
        while gateway.catalog.messages_waiting("ingest", 10).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

#[tokio::test]
async fn a_webhook_is_told_in_order_what_its_bucket_tells_and_again_until_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let (port, mut bodies) = receiver(1).await;
    let (running, bucket) = gateway(folder.path(), port, "CN").await;
    let gateway = &running.gateway;
    gateway.set_notifications(&caller("tenant-a"), &bucket.name, &rules("ingest")).await.unwrap();
    let test = ("s3:TestEvent".to_owned(), String::new());
    assert_eq!(told(&mut bodies).await, test, "refused with 500");
    assert_eq!(told(&mut bodies).await, test, "and sent again");
    put(gateway, &bucket, "raw/a b").await;
    put(gateway, &bucket, "other/c").await;
    put(gateway, &bucket, "raw/d").await;
    for key in ["raw/a+b", "raw/d"] {
        assert_eq!(told(&mut bodies).await, ("ObjectCreated:Put".to_owned(), key.to_owned()));
    }
    emptied(gateway).await;
    running.stop().await;
}

#[tokio::test]
async fn a_webhook_abroad_is_told_nothing_where_the_law_forbids_it() {
    let folder = tempfile::tempdir().unwrap();
    let (port, mut bodies) = receiver(0).await;
    let (running, bucket) = gateway(folder.path(), port, "US").await;
    let gateway = &running.gateway;
    gateway.set_notifications(&caller("tenant-a"), &bucket.name, &rules("ingest")).await.unwrap();
    put(gateway, &bucket, "raw/a").await;
    emptied(gateway).await;
    assert!(bodies.try_recv().is_err(), "something was told");
    running.stop().await;
}

#[tokio::test]
async fn a_bucket_cannot_name_a_webhook_that_is_not_its_owners_to_use() {
    let folder = tempfile::tempdir().unwrap();
    let (port, _bodies) = receiver(0).await;
    let (running, bucket) = gateway(folder.path(), port, "CN").await;
    let gateway = &running.gateway;
    let owner = caller("tenant-a");
    let refused = gateway.set_notifications(&owner, &bucket.name, &rules("other")).await;
    assert!(matches!(refused, Err(crate::objects::Error::InvalidArgument(_))), "{refused:?}");
    let refused = gateway.set_notifications(&caller("tenant-b"), &bucket.name, &rules("ingest")).await;
    assert!(matches!(refused, Err(crate::objects::Error::AccessDenied)), "{refused:?}");
    assert!(gateway.notifications(&owner, &bucket.name).await.unwrap().rules.is_empty());
    running.stop().await;
}
