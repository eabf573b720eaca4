//! A gateway for tests: real law, log and store in a folder, and no nodes but those of [`fleet`].

pub(crate) mod fleet;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use domicile_types::{BucketName, Classification, RegionName, RequestId, TenantId};

use crate::catalog::{Bucket, BucketId, NewBucket, Stamp};
use crate::config::RawConfig;
use crate::objects::Gateway;
use crate::open::{Running, open};

/// Opens a gateway in CN, with what `more` adds to its configuration. 127.0.0.0/16 is in CN, 127.1.0.0/16 in the US.
/// What nodes say is said once, so nobody is silent for an hour; challenges are made by those tests that are about them.
pub(crate) async fn gateway(folder: &Path, more: &str) -> Running {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = format!(
        r#"
        name = "test"
        place = "CN"
        data_dir = "{data}"
        policies_dir = "{root}/policies"
        location_databases = [
            "{root}/compliance/geo/dbip-country.mmdb",
            "{root}/compliance/geo/geo-whois-asn-country.mmdb",
        ]
        default_region = "cn"
        kms_keys = ["key-1"]
        party = {{ id = "p", name = "P", incorporated = "CN", headquartered = "CN" }}
        listen = {{ s3 = "127.0.0.1:0", admin = "127.0.0.1:0", swarm = "127.0.0.1:0" }}
        standing = {{ suspect_after_seconds = 3600, offline_after_seconds = 3600, challenge_interval_seconds = 0 }}
        region = [{{ name = "cn", packs = ["cn-data-export"] }}, {{ name = "us", packs = ["us-bulk-data"] }}]
        place_override = [{{ network = "127.0.0.0/16", place = "CN" }}, {{ network = "127.1.0.0/16", place = "US" }}]
        {more}
        "#,
        data = folder.display(),
        root = root.display(),
    );
    let raw = || toml::from_str::<RawConfig>(&text).unwrap().into_config(folder).unwrap();
    // A read that the gateway before had begun on the blocking pool may hold the store a moment longer than its tasks.
    for _ in 0..200 {
        match open(raw()).await {
            Err(error) if format!("{error:#}").contains("is in use by another process") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened.unwrap(),
        }
    }
    open(raw()).await.unwrap()
}

/// Makes a bucket without asking whether there are nodes for it.
pub(crate) async fn bucket(gateway: &Gateway, name: &str, owner: &str, region: &str) -> Bucket {
    let region = RegionName::parse(region).unwrap();
    let new = NewBucket {
        id: BucketId::from_bytes(gateway.clock.random()),
        name: BucketName::parse(name).unwrap(),
        owner: TenantId::parse(owner).unwrap(),
        packs: gateway.config.region(&region).unwrap().packs.clone(),
        region,
        tags: Vec::new(),
        classification: Classification::default(),
        wrapped_key: Bytes::new(),
        object_lock: false,
    };
    let stamp = Stamp { now: gateway.clock.now(), request: RequestId::from_bytes(gateway.clock.random()) };
    gateway.catalog.create_bucket(stamp, new).await.unwrap()
}
