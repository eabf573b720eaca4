//! Who may do what to a bucket, before the law is asked: its owner may do everything, others nothing.

use domicile_types::{BucketName, ObjectKey};

use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::Bucket;

/// What a request is about to do to a bucket, in the words of bucket policies.
#[derive(Debug, Clone)]
pub(crate) struct Wants<'a> {
    /// The action, such as `s3:GetObject` (Amazon S3's service authorization reference).
    pub(crate) action: &'static str,
    /// The object; none where the action is about the bucket itself.
    pub(crate) key: Option<&'a str>,
    /// Condition keys that the request states, such as `s3:prefix`, and their values.
    pub(crate) conditions: Vec<(&'static str, String)>,
}

impl<'a> Wants<'a> {
    /// To do `action` to a bucket.
    pub(crate) const fn new(action: &'static str) -> Self {
        Self { action, key: None, conditions: Vec::new() }
    }

    /// To one object in it.
    pub(crate) fn key(self, key: &'a ObjectKey) -> Self {
        Self { key: Some(key.as_str()), ..self }
    }

    /// To the keys that begin with `prefix`.
    pub(crate) fn prefix(self, prefix: &str) -> Self {
        self.condition("s3:prefix", prefix)
    }

    /// With a condition key's value.
    pub(crate) fn condition(mut self, key: &'static str, value: &str) -> Self {
        self.conditions.push((key, value.to_owned()));
        self
    }
}

impl Gateway {
    /// The bucket, if the caller may do to it what it wants.
    pub(crate) async fn bucket_for(
        &self,
        caller: &Caller,
        name: &BucketName,
        wants: &Wants<'_>,
    ) -> Result<Bucket, Error> {
        let bucket = self.catalog.bucket(name).await?;
        if caller.tenant() == Some(&bucket.owner) {
            return Ok(bucket);
        }
        tracing::debug!(request_id = %caller.request, action = wants.action, "not the bucket's owner");
        Err(Error::AccessDenied)
    }
}
