//! Settings of buckets, on a gateway without nodes.

use std::net::IpAddr;
use std::sync::Arc;

use domicile_types::{RequestId, TenantId};

use super::{Caller, CorsRule, CorsRules, DefaultEncryption, Error, Gateway, Principal};
use crate::access_log::{AccessLogging, KeyFormat};
use crate::catalog::{Bucket, Setting};
use crate::testing;

fn owner(tenant: &str) -> Caller {
    Caller::worker(&TenantId::parse(tenant).unwrap(), "AKID", RequestId::from_bytes([3; 16]))
}

fn stranger(address: &str) -> Caller {
    let address: IpAddr = address.parse().unwrap();
    Caller {
        principal: Principal::Anonymous,
        is_gateway: false,
        secure: false,
        encryption: Arc::default(),
        address: Some(address),
        request: RequestId::from_bytes([4; 16]),
        stated: Arc::default(),
    }
}

#[tokio::test]
async fn a_preflight_is_told_only_of_buckets_that_share_and_only_where_the_law_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let shares = testing::bucket(gateway, "shares", "tenant-a", "cn").await;
    let keeps = testing::bucket(gateway, "keeps", "tenant-a", "cn").await;
    let rule = CorsRule { origins: vec!["*".to_owned()], methods: vec!["GET".to_owned()], ..CorsRule::default() };
    let rules = CorsRules { rules: vec![rule] };
    gateway.set_cors(&owner("tenant-a"), &shares.name, Some(&rules)).await.unwrap();
    let (home, abroad) = (stranger("127.0.0.9"), stranger("127.1.0.9"));
    assert_eq!(gateway.preflight(&home, &shares.name).await.unwrap(), Some(rules));
    assert_eq!(gateway.preflight(&abroad, &shares.name).await.unwrap(), None);
    assert_eq!(gateway.preflight(&home, &keeps.name).await.unwrap(), None);
    assert_eq!(gateway.preflight(&home, &"nowhere".parse().unwrap()).await.unwrap(), None);
    assert!(matches!(gateway.set_cors(&owner("tenant-b"), &shares.name, None).await, Err(Error::AccessDenied)));
    running.stop().await;
}

/// Lets the logging service write into `target` about `source`.
async fn let_in(gateway: &Gateway, target: &Bucket, source: &str) {
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": format!("arn:aws:s3:::{}/log/*", target.name),
            "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:s3:::{source}")}},
        }],
    });
    gateway.catalog.set_setting(target, Setting::Policy, Some(&policy.to_string())).await.unwrap();
}

#[tokio::test]
async fn records_go_only_to_a_bucket_of_the_same_owner_and_law_that_lets_them_in() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let source = testing::bucket(gateway, "source", "tenant-a", "cn").await;
    for (name, tenant, region) in [
        ("logs", "tenant-a", "cn"),
        ("abroad", "tenant-a", "us"),
        ("others", "tenant-b", "cn"),
        ("closed", "tenant-a", "cn"),
    ] {
        let target = testing::bucket(gateway, name, tenant, region).await;
        if name != "closed" {
            let_in(gateway, &target, "source").await;
        }
    }
    let caller = owner("tenant-a");
    let into = |target: &str, prefix: &str| AccessLogging {
        target: target.parse().unwrap(),
        prefix: prefix.to_owned(),
        key_format: KeyFormat::Simple,
    };
    for target in ["nowhere", "abroad", "others", "source"] {
        let refused = gateway.set_access_logging(&caller, &source.name, Some(&into(target, "log/"))).await;
        assert!(matches!(refused, Err(Error::InvalidLogTarget(_))), "{target}: {refused:?}");
    }
    for logging in [into("closed", "log/"), into("logs", "elsewhere/")] {
        let refused = gateway.set_access_logging(&caller, &source.name, Some(&logging)).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{logging:?}: {refused:?}");
    }
    let good = into("logs", "log/");
    gateway.set_access_logging(&caller, &source.name, Some(&good)).await.unwrap();
    assert_eq!(gateway.access_logging(&caller, &source.name).await.unwrap(), Some(good));
    running.stop().await;
}

#[tokio::test]
async fn a_bucket_cannot_default_to_a_key_that_the_keyring_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let bucket = testing::bucket(gateway, "training", "tenant-a", "cn").await;
    let caller = owner("tenant-a");
    let default = |key: &str| DefaultEncryption { kms_key: Some(key.to_owned()), ..DefaultEncryption::default() };
    let refused = gateway.set_default_encryption(&caller, &bucket.name, Some(&default("key-2"))).await;
    assert!(matches!(refused, Err(Error::NoSuchKmsKey)), "{refused:?}");
    assert_eq!(gateway.default_encryption(&caller, &bucket.name).await.unwrap(), DefaultEncryption::default());
    gateway.set_default_encryption(&caller, &bucket.name, Some(&default("key-1"))).await.unwrap();
    assert_eq!(gateway.default_encryption(&caller, &bucket.name).await.unwrap(), default("key-1"));
    running.stop().await;
}
