//! Object lock and whatever else guards a version, as a write settles it.

use super::authorize::Matter;
use super::error::Error;
use super::gateway::Gateway;
use super::object_lock::no_lock;
use super::request::Caller;
use crate::catalog::{Bucket, Protection};

impl Gateway {
    /// What will guard a version that is written into `bucket` now: what the request asks for, and the bucket's defaults.
    /// `matter`: the write that it is for.
    pub(super) async fn protected(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        bucket: &Bucket,
        asked: Protection,
    ) -> Result<Protection, Error> {
        match self.protection(caller, bucket, asked).await {
            Ok(protection) => Ok(protection),
            // What the bucket gives and what it does not is told to those who may know.
            Err(why) => Err(self.refusal(caller, matter, why).await),
        }
    }

    async fn protection(&self, caller: &Caller, bucket: &Bucket, asked: Protection) -> Result<Protection, Error> {
        let mut protection = asked;
        protection.encryption = self.encryption_for(&caller.encryption, bucket).await?;
        let lock = &mut protection.lock;
        if (lock.retention.is_some() || lock.legal_hold) && !bucket.object_lock {
            return Err(no_lock());
        }
        if lock.retention.is_some_and(|retention| !retention.is_active(self.clock.now())) {
            return Err(Error::InvalidArgument("the retain-until date must be in the future".to_owned()));
        }
        if lock.retention.is_none() && bucket.object_lock {
            lock.retention = self.default_retention(bucket).await?;
        }
        Ok(protection)
    }
}
