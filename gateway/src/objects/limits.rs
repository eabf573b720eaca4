//! What a key may do at most, below what its tenant may: policies of users and sessions, and the scope of a role.

use std::sync::Arc;

use domicile_types::{BucketName, Place};

use crate::policy::{Asker, Facts, Policy, Request, Verdict, evaluate};

/// The limits of a key. All of them must allow; a key without any may do what its tenant may.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Policies, each of which must allow.
    pub policies: Vec<Arc<Policy>>,
    /// What a role was made for.
    pub scope: Option<RoleScope>,
}

/// What a role was made for: keys of one bucket, from some places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleScope {
    /// The role's name.
    pub role: String,
    /// The bucket.
    pub bucket: BucketName,
    /// The beginning of the keys.
    pub prefix: String,
    /// Where every candidate place of the requester must be; empty: the law alone decides.
    pub places: Vec<Place>,
}

/// What is asked of the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// By whom.
    pub(crate) asker: &'a Asker,
    /// Such as `s3:GetObject`.
    pub(crate) action: &'a str,
    /// The bucket; empty where it is about none.
    pub(crate) bucket: &'a str,
    /// The object.
    pub(crate) key: Option<&'a str>,
    /// The prefix that is listed, where the request is about a listing.
    pub(crate) prefix: Option<&'a str>,
    /// What policies may ask.
    pub(crate) facts: &'a Facts,
}

impl Limits {
    /// Whether all of them allow it.
    pub(crate) fn allow(&self, asked: &Asked<'_>) -> bool {
        let Asked { asker, action, bucket, key, facts, .. } = *asked;
        let request = Request { asker, action, bucket, key, facts };
        self.scope.as_ref().is_none_or(|scope| scope.allows(asked))
            && self.policies.iter().all(|policy| evaluate([&**policy], &request) == Verdict::Allow)
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.policies.is_empty() && self.scope.is_none()
    }
}

impl RoleScope {
    fn allows(&self, asked: &Asked<'_>) -> bool {
        if asked.bucket != self.bucket.as_str() {
            return false;
        }
        let within = |text: &str| text.starts_with(&self.prefix);
        match (asked.action, asked.key, asked.prefix) {
            (_, Some(key), _) => within(key),
            ("s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads", None, Some(prefix)) => {
                within(prefix)
            }
            // HeadBucket, which clients begin with, and what they ask next. None tells of keys.
            ("s3:ListBucket" | "s3:GetBucketLocation" | "s3:GetBucketVersioning", None, None) => true,
            _ => false,
        }
    }

    /// Whether the role may be used by a requester that may be at any of `candidates`.
    pub(crate) fn reaches(&self, candidates: &[Place]) -> bool {
        self.places.is_empty() || (!candidates.is_empty() && candidates.iter().all(|place| self.places.contains(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> RoleScope {
        RoleScope {
            role: "train".to_owned(),
            bucket: BucketName::parse("bucket").unwrap(),
            prefix: "train/".to_owned(),
            places: vec![Place::parse("CN").unwrap(), Place::parse("DE").unwrap()],
        }
    }

    fn allows(action: &str, bucket: &str, key: Option<&str>, prefix: Option<&str>) -> bool {
        let facts = Facts::default();
        let asked = Asked { asker: &Asker::Anonymous, action, bucket, key, prefix, facts: &facts };
        Limits { policies: Vec::new(), scope: Some(scope()) }.allow(&asked)
    }

    #[test]
    fn a_role_reaches_its_prefix_of_its_bucket_and_nothing_else() {
        assert!(allows("s3:GetObject", "bucket", Some("train/1"), None));
        assert!(allows("s3:ListBucket", "bucket", None, Some("train/a")));
        assert!(allows("s3:ListBucket", "bucket", None, None), "HeadBucket");
        for (action, bucket, key, prefix) in [
            ("s3:GetObject", "bucket", Some("tra"), None),
            ("s3:GetObject", "bucket", Some("test/train/"), None),
            ("s3:GetObject", "bucket-b", Some("train/1"), None),
            ("s3:ListBucket", "bucket", None, Some("")),
            ("s3:ListBucket", "bucket", None, Some("t")),
            ("s3:PutBucketPolicy", "bucket", None, None),
            ("s3:DeleteBucket", "bucket", None, None),
            ("s3:ListAllMyBuckets", "", None, None),
            ("s3:DeleteObject", "bucket", None, None),
        ] {
            assert!(!allows(action, bucket, key, prefix), "{action} {bucket} {key:?} {prefix:?}");
        }
    }

    #[test]
    fn every_place_where_the_requester_may_be_must_be_the_roles() {
        let at = |places: &[&str]| places.iter().map(|place| Place::parse(place).unwrap()).collect::<Vec<_>>();
        assert!(scope().reaches(&at(&["CN"])));
        assert!(scope().reaches(&at(&["DE", "CN"])));
        assert!(!scope().reaches(&at(&["CN", "HK"])));
        assert!(!scope().reaches(&at(&["unknown"])));
        assert!(!scope().reaches(&[]));
        assert!(RoleScope { places: Vec::new(), ..scope() }.reaches(&at(&["unknown"])));
    }

    #[test]
    fn every_policy_must_allow() {
        let policy = |action: &str| {
            let document = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"arn:aws:s3:::bucket/*"}}]}}"#
            );
            Arc::new(Policy::of_identity(&document).unwrap())
        };
        let facts = Facts::default();
        let get = |policies: Vec<Arc<Policy>>| {
            Limits { policies, scope: None }.allow(&Asked {
                asker: &Asker::Anonymous,
                action: "s3:GetObject",
                bucket: "bucket",
                key: Some("k"),
                prefix: None,
                facts: &facts,
            })
        };
        assert!(get(Vec::new()));
        assert!(get(vec![policy("s3:GetObject"), policy("s3:*")]));
        assert!(!get(vec![policy("s3:*"), policy("s3:PutObject")]));
    }
}
