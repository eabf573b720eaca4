//! What is told of a happening: S3's event message, version 2.1.
//!
//! It leaves out the requester's address, which S3 shows: that is somebody's personal data, and the webhook's to know least of
//! all.

use std::sync::atomic::{AtomicU32, Ordering};

use domicile_types::{BucketName, Classification, ObjectKey, PackId, RegionName, RequestId, TenantId, UnixMillis};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

/// Something that happened to an object.
#[derive(Debug, Clone)]
pub(crate) struct Happening<'a> {
    /// What: S3's name without `s3:`, such as `ObjectCreated:Put`.
    pub(crate) event: &'static str,
    /// To which object.
    pub(crate) key: &'a ObjectKey,
    /// Which version, where versions have ids.
    pub(crate) version: Option<String>,
    /// The packs that the object obeys.
    pub(crate) packs: &'a [PackId],
    /// What the data is.
    pub(crate) classification: &'a Classification,
    /// Bytes and entity tag, of an object that is there.
    pub(crate) object: Option<(u64, String)>,
    /// When.
    pub(crate) at: UnixMillis,
    /// By which request.
    pub(crate) request: RequestId,
    /// On whose behalf: a tenant, or who works for the gateway.
    pub(crate) principal: String,
}

/// Where it happened.
pub(crate) struct Scene<'a> {
    pub(crate) bucket: &'a BucketName,
    pub(crate) owner: &'a TenantId,
    pub(crate) region: &'a RegionName,
}

/// The message about a happening, for the configuration called `rule`.
pub(crate) fn message(scene: &Scene<'_>, happening: &Happening<'_>, rule: &str) -> String {
    let mut object = json!({
        "key": encoded(happening.key.as_str()),
        "sequencer": sequencer(happening.at),
    });
    if let Some(fields) = object.as_object_mut() {
        if let Some((bytes, etag)) = &happening.object {
            fields.insert("size".to_owned(), json!(bytes));
            fields.insert("eTag".to_owned(), json!(etag));
        }
        if let Some(version) = &happening.version {
            fields.insert("versionId".to_owned(), json!(version));
        }
    }
    json!({
        "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": scene.region.as_str(),
            "eventTime": time_text(happening.at),
            "eventName": happening.event,
            "userIdentity": { "principalId": happening.principal },
            "requestParameters": {},
            "responseElements": { "x-amz-request-id": happening.request.to_string() },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": rule,
                "bucket": {
                    "name": scene.bucket.as_str(),
                    "ownerIdentity": { "principalId": scene.owner.as_str() },
                    "arn": format!("arn:aws:s3:::{}", scene.bucket),
                },
                "object": object,
            },
        }]
    })
    .to_string()
}

/// The message that a webhook gets when a bucket's configuration names it.
pub(crate) fn test_message(scene: &Scene<'_>, at: UnixMillis, request: RequestId) -> String {
    json!({
        "Service": "Domicile",
        "Event": "s3:TestEvent",
        "Time": time_text(at),
        "Bucket": scene.bucket.as_str(),
        "RequestId": request.to_string(),
    })
    .to_string()
}

/// As S3 writes keys in events: URL-encoded, space as `+`, slashes as they are.
fn encoded(key: &str) -> String {
    let pieces = key.split('/').map(|piece| url::form_urlencoded::byte_serialize(piece.as_bytes()).collect::<String>());
    pieces.collect::<Vec<_>>().join("/")
}

/// Orders the events of one key, as text: the time of the happening, then the order in which this process came to tell it.
fn sequencer(at: UnixMillis) -> String {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    format!("{:012X}{:08X}", at.0, TOLD.fetch_add(1, Ordering::Relaxed))
}

fn time_text(at: UnixMillis) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(at).format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_where_and_when() {
        let (bucket, owner) = (BucketName::parse("training").unwrap(), TenantId::parse("tenant-a").unwrap());
        let region = RegionName::parse("eu").unwrap();
        let key = ObjectKey::parse("raw data/ä+.csv").unwrap();
        let happening = Happening {
            event: "ObjectCreated:Put",
            key: &key,
            version: None,
            packs: &[],
            classification: &Classification::default(),
            object: Some((5, "abc".to_owned())),
            at: UnixMillis(1_700_000_000_123),
            request: RequestId::from_bytes([1; 16]),
            principal: "tenant-a".to_owned(),
        };
        let scene = Scene { bucket: &bucket, owner: &owner, region: &region };
        let text = message(&scene, &happening, "rule-1");
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        let record = &told["Records"][0];
        assert_eq!(record["eventTime"], "2023-11-14T22:13:20.123Z");
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["s3"]["configurationId"], "rule-1");
        assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::training");
        assert_eq!(record["s3"]["object"]["key"], "raw+data/%C3%A4%2B.csv");
        assert_eq!(record["s3"]["object"]["size"], 5);
        assert!(record["s3"]["object"].get("versionId").is_none());
        assert!(record["requestParameters"].as_object().unwrap().is_empty());
    }

    #[test]
    fn sequencers_of_later_happenings_are_greater() {
        let (first, second, third) = (sequencer(UnixMillis(9)), sequencer(UnixMillis(9)), sequencer(UnixMillis(10)));
        assert!(first < second && second < third);
    }
}
