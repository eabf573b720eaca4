//! Settings of a bucket that change nothing about its objects: read and replaced whole, decided and logged like all else.

use domicile_types::{BucketName, OperationKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Wants;
use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::Setting;

impl Gateway {
    /// A setting of the bucket, for a caller that may do `action`; none where it is not set.
    pub(super) async fn setting<T: DeserializeOwned + Send + 'static>(
        &self,
        caller: &Caller,
        name: &BucketName,
        action: &'static str,
        setting: Setting,
    ) -> Result<Option<T>, Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new(action)).await?;
        let intent = self.authorize(caller, &Matter::of_bucket(OperationKind::HeadBucket, &bucket)).await?;
        let read = self.catalog.setting(&bucket, setting).await;
        settle(intent, read.is_ok());
        Ok(read?)
    }

    /// Replaces a setting or, with `None`, removes it.
    pub(super) async fn set_setting<T: Serialize>(
        &self,
        caller: &Caller,
        name: &BucketName,
        action: &'static str,
        setting: Setting,
        value: Option<&T>,
    ) -> Result<(), Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new(action)).await?;
        let intent = self.authorize(caller, &Matter::of_bucket(OperationKind::ConfigureBucket, &bucket)).await?;
        let set = self.catalog.set_setting(&bucket, setting, value).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }

    /// Whether the caller may read a setting that no bucket of this gateway has, decided and logged as if it had one.
    pub async fn look_at_unset(&self, caller: &Caller, name: &BucketName, action: &'static str) -> Result<(), Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new(action)).await?;
        settle(self.authorize(caller, &Matter::of_bucket(OperationKind::HeadBucket, &bucket)).await?, true);
        Ok(())
    }
}
