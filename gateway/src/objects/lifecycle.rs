//! The lifecycle rules of a bucket: set, shown, removed. Following them is the business of `expire`.

use domicile_types::{BucketName, OperationKind};

use super::access::Wants;
use super::bucket::{about, settle};
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::Setting;
use crate::lifecycle::Rules;

impl Gateway {
    /// The bucket's rules.
    pub async fn lifecycle(&self, caller: &Caller, name: &BucketName) -> Result<Rules, Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:GetLifecycleConfiguration")).await?;
        self.told_of(caller, OperationKind::HeadBucket, &bucket).await?;
        self.catalog.setting(&bucket, Setting::Lifecycle).await?.ok_or(Error::NoSuchLifecycle)
    }

    /// Replaces the bucket's rules, or removes them. That there were none is no error.
    pub async fn set_lifecycle(&self, caller: &Caller, name: &BucketName, rules: Option<&Rules>) -> Result<(), Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:PutLifecycleConfiguration")).await?;
        let intent = self.authorize(caller, &about(OperationKind::ConfigureBucket, &bucket)).await?;
        let set = self.catalog.set_setting(&bucket, Setting::Lifecycle, rules).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }
}
