//! The lifecycle rules of a bucket: set, shown, removed. Following them is the business of `expire`.

use domicile_types::BucketName;

use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::Setting;
use crate::lifecycle::Rules;

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
}
