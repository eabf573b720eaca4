//! Which happenings a bucket tells to which webhook.

use serde::{Deserialize, Serialize};

use crate::objects::Error;

/// How the ARN of a webhook begins; its name follows.
pub const ARN_PREFIX: &str = "arn:domicile:webhook:::";
/// Configurations of a bucket, at the most.
const RULES_MAX: usize = 100;
/// Bytes of a prefix or suffix: a key's.
const FILTER_BYTES_MAX: usize = 1024;
/// Characters of a configuration's id.
const ID_CHARS_MAX: usize = 255;

/// What happens to objects, by S3's names.
pub const EVENTS: [&str; 14] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Put",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Delete",
    "s3:ObjectTagging:Put",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
];

/// A bucket's notification configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// Every one that fits is told.
    pub rules: Vec<NotificationRule>,
}

/// As which kind of destination a client stated a webhook. It makes no difference here, and is shown as it was stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatedAs {
    /// `QueueConfiguration`
    Queue,
    /// `TopicConfiguration`
    Topic,
}

/// Some happenings, to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationRule {
    /// Its name, which every message carries.
    pub id: String,
    /// Queue or topic.
    pub stated_as: StatedAs,
    /// The webhook's name.
    pub webhook: String,
    /// Happenings, among [`EVENTS`].
    pub events: Vec<String>,
    /// What the key begins with.
    pub prefix: Option<String>,
    /// What the key ends with.
    pub suffix: Option<String>,
}

impl Notifications {
    /// Refuses what could not be kept. Whether the webhooks are there is another matter.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::InvalidArgument(why));
        if self.rules.len() > RULES_MAX {
            return refuse(format!("a bucket has at most {RULES_MAX} notification configurations"));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if self.rules.iter().skip(at + 1).any(|other| other.id == rule.id) {
                return refuse("two notification configurations have the same Id".to_owned());
            }
            if rule.id.chars().count() > ID_CHARS_MAX {
                return refuse(format!("the Id of a notification configuration has at most {ID_CHARS_MAX} characters"));
            }
            if rule.events.is_empty() {
                return refuse("a notification configuration names at least one event".to_owned());
            }
            if let Some(event) = rule.events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
                return refuse(format!("The event '{event}' is not supported for notifications"));
            }
            if [&rule.prefix, &rule.suffix].into_iter().flatten().any(|text| text.len() > FILTER_BYTES_MAX) {
                return refuse(format!("a filter's value has at most {FILTER_BYTES_MAX} bytes"));
            }
        }
        Ok(())
    }

    /// The rules that tell of `event` (such as `ObjectCreated:Put`) on `key`.
    pub fn telling<'a>(&'a self, event: &'a str, key: &'a str) -> impl Iterator<Item = &'a NotificationRule> {
        self.rules.iter().filter(move |rule| rule.tells(event, key))
    }
}

impl NotificationRule {
    fn tells(&self, event: &str, key: &str) -> bool {
        let named = self.events.iter().filter_map(|named| named.strip_prefix("s3:")).any(|named| {
            named == event
                || named
                    .strip_suffix('*')
                    .is_some_and(|family| event.strip_prefix(family).is_some_and(|e| !e.is_empty()))
        });
        named
            && self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
            && self.suffix.as_ref().is_none_or(|suffix| key.ends_with(suffix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, events: &[&str], prefix: Option<&str>, suffix: Option<&str>) -> NotificationRule {
        NotificationRule {
            id: id.to_owned(),
            stated_as: StatedAs::Queue,
            webhook: "ingest".to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            prefix: prefix.map(str::to_owned),
            suffix: suffix.map(str::to_owned),
        }
    }

    #[test]
    fn a_rule_tells_of_its_events_within_its_filter() {
        let rules = Notifications {
            rules: vec![
                rule("all", &["s3:ObjectCreated:*"], None, None),
                rule("put", &["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"], Some("raw/"), Some(".parquet")),
            ],
        };
        let told = |event, key| rules.telling(event, key).map(|rule| rule.id.as_str()).collect::<Vec<_>>();
        assert_eq!(told("ObjectCreated:Put", "raw/a.parquet"), ["all", "put"]);
        assert_eq!(told("ObjectCreated:Copy", "raw/a.parquet"), ["all"]);
        assert_eq!(told("ObjectCreated:Put", "other/a.parquet"), ["all"]);
        assert_eq!(told("ObjectRemoved:Delete", "raw/a.parquet"), ["put"]);
        assert!(told("ObjectRemoved:Delete", "raw/a.csv").is_empty());
        assert!(told("ObjectRemoved:DeleteMarkerCreated", "raw/a.parquet").is_empty());
    }

    #[test]
    fn a_configuration_that_could_not_be_kept_is_refused() {
        let good = || rule("a", &["s3:ObjectCreated:*"], None, None);
        let check = |rules: Vec<NotificationRule>| Notifications { rules }.check();
        assert!(check(Vec::new()).is_ok() && check(vec![good(), rule("b", &EVENTS, None, None)]).is_ok());
        assert!(check(vec![good(), good()]).is_err(), "one id twice");
        assert!(check(vec![rule("a", &[], None, None)]).is_err());
        assert!(check(vec![rule("a", &["s3:ObjectRestore:*"], None, None)]).is_err());
        assert!(check(vec![rule("a", &["s3:ObjectCreated:*"], Some(&"k".repeat(1025)), None)]).is_err());
    }
}
