//! Where the records about a bucket go, and under which names.

use domicile_types::{BucketName, ObjectKey, RegionName, TenantId, UnixMillis};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// A bucket's access logging.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLogging {
    /// The bucket that records are written to.
    pub target: BucketName,
    /// What their keys begin with.
    pub prefix: String,
    /// How their keys go on.
    pub key_format: KeyFormat,
}

/// How the key of a log object is made after its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyFormat {
    /// Time and a random text.
    Simple,
    /// Owner, region, bucket and day before those, by the time of delivery.
    PartitionedByDelivery,
    /// The same, by the day of the events, whose hours and minutes are zero.
    PartitionedByEvent,
}

impl AccessLogging {
    /// The key of a log object with records of `events` that is written at `delivered`; none where the prefix is too long.
    pub(super) fn key(
        &self,
        source: &Source<'_>,
        unique: &str,
        events: UnixMillis,
        delivered: UnixMillis,
    ) -> Option<ObjectKey> {
        let day = format_description!("[year]/[month]/[day]");
        let second = format_description!("[year]-[month]-[day]-[hour]-[minute]-[second]");
        let at = match self.key_format {
            KeyFormat::PartitionedByEvent => OffsetDateTime::from(events).replace_time(time::Time::MIDNIGHT),
            KeyFormat::Simple | KeyFormat::PartitionedByDelivery => OffsetDateTime::from(delivered),
        };
        let name = format!("{}-{unique}", at.format(&second).ok()?);
        let prefix = &self.prefix;
        let text = match self.key_format {
            KeyFormat::Simple => format!("{prefix}{name}"),
            KeyFormat::PartitionedByDelivery | KeyFormat::PartitionedByEvent => {
                let Source { owner, region, bucket } = source;
                format!("{prefix}{owner}/{region}/{bucket}/{}/{name}", at.format(&day).ok()?)
            }
        };
        ObjectKey::parse(&text).ok()
    }
}

/// The bucket that records are about.
pub(super) struct Source<'a> {
    pub(super) owner: &'a TenantId,
    pub(super) region: &'a RegionName,
    pub(super) bucket: &'a BucketName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_s3() {
        let (owner, region) = (TenantId::parse("tenant-a").unwrap(), RegionName::parse("eu").unwrap());
        let bucket = BucketName::parse("training").unwrap();
        let source = Source { owner: &owner, region: &region, bucket: &bucket };
        let key = |key_format| {
            let target = BucketName::parse("logs").unwrap();
            let logging = AccessLogging { target, prefix: "log/".to_owned(), key_format };
            // 2023-11-14 22:13:20 and two hours later, which is the next day.
            let (events, delivered) = (UnixMillis(1_700_000_000_000), UnixMillis(1_700_007_200_000));
            logging.key(&source, "AB12", events, delivered).unwrap().as_str().to_owned()
        };
        assert_eq!(key(KeyFormat::Simple), "log/2023-11-15-00-13-20-AB12");
        assert_eq!(
            key(KeyFormat::PartitionedByDelivery),
            "log/tenant-a/eu/training/2023/11/15/2023-11-15-00-13-20-AB12"
        );
        assert_eq!(key(KeyFormat::PartitionedByEvent), "log/tenant-a/eu/training/2023/11/14/2023-11-14-00-00-00-AB12");
    }
}
