//! The lifecycle rules of a bucket: set, shown, removed, and what they say of an object. Following them is the business of
//! `expire`.

use domicile_types::{BucketName, ObjectKey, UnixMillis};

use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::{self, Bucket, Setting};
use crate::lifecycle::{Expiring, Rules, Schedule};

impl Gateway {
    /// The bucket's rules.
    pub async fn lifecycle(&self, caller: &Caller, name: &BucketName) -> Result<Rules, Error> {
        let rules = self.setting(caller, name, "s3:GetLifecycleConfiguration", Setting::Lifecycle).await?;
        rules.ok_or(Error::NoSuchLifecycle)
    }

    /// Replaces the bucket's rules, or removes them. That there were none is no error.
    pub async fn set_lifecycle(&self, caller: &Caller, name: &BucketName, rules: Option<&Rules>) -> Result<(), Error> {
        self.set_setting(caller, name, "s3:PutLifecycleConfiguration", Setting::Lifecycle, rules).await
    }

    /// When the newest version of a key expires. What is said to clients is in real days, whatever the worker calls a day.
    pub(super) async fn expiring(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        size: u64,
        tags: &catalog::Tags,
        modified: UnixMillis,
    ) -> Option<Expiring> {
        self.rules_of(bucket).await?.expiring(Schedule::default(), key.as_str(), size, tags, modified)
    }

    /// When an upload that begins now is given up.
    pub(super) async fn aborting(&self, bucket: &Bucket, key: &ObjectKey) -> Option<Expiring> {
        self.rules_of(bucket).await?.aborting(Schedule::default(), key.as_str(), self.clock.now())
    }

    /// The rules, for a header beside what has been done already: that they cannot be read now must not undo it.
    async fn rules_of(&self, bucket: &Bucket) -> Option<Rules> {
        match self.catalog.setting(bucket, Setting::Lifecycle).await {
            Ok(rules) => rules,
            Err(error) => {
                tracing::warn!(bucket = %bucket.name, %error, "lifecycle rules cannot be read");
                None
            }
        }
    }
}
