//! Condition keys: which there are, and what a request says for each.

use std::collections::BTreeMap;

/// What the values of a condition key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Text,
    Arn,
    Number,
    Date,
    /// Seconds since 1970: a number and a date.
    Epoch,
    Bool,
    Address,
}

/// A condition key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    name: String,
    kind: Kind,
    many: bool,
}

/// Every key that a request can have a value for, beside the tags below. Names are compared without regard to case.
const KEYS: &[(&str, Kind)] = &[
    ("aws:CurrentTime", Kind::Date),
    ("aws:EpochTime", Kind::Epoch),
    ("aws:PrincipalAccount", Kind::Text),
    ("aws:PrincipalArn", Kind::Arn),
    ("aws:PrincipalType", Kind::Text),
    ("aws:Referer", Kind::Text),
    ("aws:ResourceAccount", Kind::Text),
    ("aws:SecureTransport", Kind::Bool),
    ("aws:SourceAccount", Kind::Text),
    ("aws:SourceArn", Kind::Arn),
    ("aws:SourceIp", Kind::Address),
    ("aws:UserAgent", Kind::Text),
    ("aws:userid", Kind::Text),
    ("aws:username", Kind::Text),
    ("s3:VersionId", Kind::Text),
    ("s3:delimiter", Kind::Text),
    ("s3:if-match", Kind::Text),
    ("s3:if-none-match", Kind::Text),
    ("s3:max-keys", Kind::Number),
    ("s3:object-lock-legal-hold", Kind::Text),
    ("s3:object-lock-mode", Kind::Text),
    ("s3:object-lock-remaining-retention-days", Kind::Number),
    ("s3:object-lock-retain-until-date", Kind::Date),
    ("s3:prefix", Kind::Text),
    ("s3:ResourceAccount", Kind::Text),
    ("s3:x-amz-acl", Kind::Text),
    ("s3:x-amz-content-sha256", Kind::Text),
    ("s3:x-amz-copy-source", Kind::Text),
    ("s3:x-amz-grant-full-control", Kind::Text),
    ("s3:x-amz-grant-read", Kind::Text),
    ("s3:x-amz-grant-read-acp", Kind::Text),
    ("s3:x-amz-grant-write", Kind::Text),
    ("s3:x-amz-grant-write-acp", Kind::Text),
    ("s3:x-amz-metadata-directive", Kind::Text),
    ("s3:x-amz-object-ownership", Kind::Text),
    ("s3:x-amz-server-side-encryption", Kind::Text),
    ("s3:x-amz-server-side-encryption-aws-kms-key-id", Kind::Text),
    ("s3:x-amz-server-side-encryption-customer-algorithm", Kind::Text),
    ("s3:x-amz-storage-class", Kind::Text),
];

/// The keys of the tags that a request would set; the one key with many values.
const REQUEST_TAG_KEYS: &str = "s3:RequestObjectTagKeys";
/// Before a tag of the object that is there.
const EXISTING_TAG: &str = "s3:ExistingObjectTag/";
/// Before a tag that the request would set.
const REQUEST_TAG: &str = "s3:RequestObjectTag/";

impl Key {
    /// The key of that name, or why there is none.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        for prefix in [EXISTING_TAG, REQUEST_TAG] {
            let split = name.split_at_checked(prefix.len());
            if let Some((_, tag)) = split.filter(|(head, _)| head.eq_ignore_ascii_case(prefix)) {
                return match tag.is_empty() {
                    true => Err(format!("the condition key {name:?} names no tag")),
                    // Keys of tags are told apart by case.
                    false => Ok(Self { name: format!("{prefix}{tag}"), kind: Kind::Text, many: false }),
                };
            }
        }
        if name.eq_ignore_ascii_case(REQUEST_TAG_KEYS) {
            return Ok(Self { name: REQUEST_TAG_KEYS.to_owned(), kind: Kind::Text, many: true });
        }
        match KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((known, kind)) => Ok(Self { name: (*known).to_owned(), kind: *kind, many: false }),
            None => Err(format!("the condition key {name:?} is not known")),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a request may have many values for it.
    pub(super) const fn is_many(&self) -> bool {
        self.many
    }

    /// Whether it asks for a tag of the object that is there.
    pub(super) fn is_existing_tag(&self) -> bool {
        self.name.starts_with(EXISTING_TAG)
    }
}

/// What a request says: values by condition key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, Vec<String>>);

impl Facts {
    /// States a value. `key` is written as in Amazon's references; a name that is not a condition key is never asked for.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_owned()).or_default().push(value.into());
    }

    /// States a value, and withdraws those stated before.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_owned(), vec![value.into()]);
    }

    /// States the tags of the object that is there.
    pub fn existing_tags<'a>(&mut self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (key, value) in tags {
            self.set(&format!("{EXISTING_TAG}{key}"), value);
        }
    }

    /// States the tags that the request would set; replaces those stated before.
    pub fn requested_tags<'a>(&mut self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.0.retain(|key, _| !key.starts_with(REQUEST_TAG) && key != REQUEST_TAG_KEYS);
        for (key, value) in tags {
            self.set(&format!("{REQUEST_TAG}{key}"), value);
            self.add(REQUEST_TAG_KEYS, key);
        }
    }

    /// Takes over what another states, where this one is silent.
    pub fn extend(&mut self, other: &Self) {
        for (key, values) in &other.0 {
            self.0.entry(key.clone()).or_insert_with(|| values.clone());
        }
    }

    pub(super) fn values(&self, key: &Key) -> &[String] {
        self.0.get(&key.name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn first(&self, key: &Key) -> Option<&str> {
        self.values(key).first().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_without_regard_to_case_and_tags_with() {
        assert_eq!(Key::parse("AWS:sourceip").unwrap().name(), "aws:SourceIp");
        assert_eq!(Key::parse("S3:existingobjecttag/Team").unwrap().name(), "s3:ExistingObjectTag/Team");
        assert!(Key::parse("s3:requestobjecttagkeys").unwrap().is_many());
        for bad in ["aws:SourceVpc", "s3:ExistingObjectTag/", "", "prefix", "s3:ExistingObjectTag"] {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
    }
}
