//! Object lock: what a bucket gives new versions, and how firmly one version is kept.
//!
//! Locks are kept by the catalog, in the transaction that would break them; here is who may set and see them, and what the
//! bucket's default makes of a request that says nothing. The packs of a region demand that *log entries* be kept, never
//! that data be; so an object's lock is all that keeps it, and nothing here lengthens one on a pack's behalf.

use domicile_types::{BucketName, OperationKind, UnixMillis};
use serde::{Deserialize, Serialize};

use super::access::Wants;
use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, GetObject};
use super::writer::stamp;
use crate::catalog::{Bucket, Lock, Retention, RetentionMode, Setting};
use crate::lifecycle::DAY_MILLIS;

/// What new versions of a bucket are given that come without a retention of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How firmly.
    pub mode: RetentionMode,
    /// For how long.
    pub period: RetentionPeriod,
}

/// How long a default retention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// So many days of 24 hours.
    Days(u32),
    /// So many years of 365 days.
    Years(u32),
}

impl DefaultRetention {
    /// The retention of a version that is stored at `now`.
    #[must_use]
    pub fn from(&self, now: UnixMillis) -> Retention {
        let days = match self.period {
            RetentionPeriod::Days(days) => u64::from(days),
            RetentionPeriod::Years(years) => u64::from(years).saturating_mul(365),
        };
        Retention { mode: self.mode, until: now.plus_millis(days.saturating_mul(DAY_MILLIS)) }
    }
}

impl Gateway {
    /// Lets versions of a bucket be locked from now on, and sets or removes what new ones are given.
    pub async fn set_object_lock(
        &self,
        caller: &Caller,
        name: &BucketName,
        default: Option<DefaultRetention>,
    ) -> Result<(), Error> {
        let wants = Wants::new("s3:PutBucketObjectLockConfiguration");
        let bucket = self.bucket_for(caller, name, &wants).await?;
        let intent = self.authorize(caller, &Matter::of_bucket(OperationKind::ConfigureBucket, &bucket)).await?;
        let set = async {
            if !bucket.object_lock {
                self.catalog.enable_object_lock(&bucket).await?;
            }
            self.catalog.set_setting(&bucket, Setting::ObjectLock, default.as_ref()).await
        };
        let set = set.await;
        settle(intent, set.is_ok());
        Ok(set?)
    }

    /// What new versions are given; an error where versions of the bucket cannot be locked.
    pub async fn object_lock(&self, caller: &Caller, name: &BucketName) -> Result<Option<DefaultRetention>, Error> {
        let wants = Wants::new("s3:GetBucketObjectLockConfiguration");
        let bucket = self.bucket_for(caller, name, &wants).await?;
        self.told_of(caller, OperationKind::HeadBucket, &bucket).await?;
        if !bucket.object_lock {
            return Err(Error::NoObjectLock);
        }
        Ok(self.catalog.setting(&bucket, Setting::ObjectLock).await?)
    }

    /// Sets the retention of a version or, with `None`, ends it.
    pub async fn set_retention(
        &self,
        caller: &Caller,
        object: &GetObject,
        retention: Option<Retention>,
        bypass_governance: bool,
    ) -> Result<(), Error> {
        let bucket = self.lockable(caller, object, OperationKind::TagObject, "s3:PutObjectRetention").await?;
        if retention.is_some_and(|retention| !retention.is_active(self.clock.now())) {
            return Err(Error::InvalidArgument("the retain until date must be in the future".to_owned()));
        }
        if bypass_governance {
            let wants = Wants::new("s3:BypassGovernanceRetention").key(&object.key);
            self.bucket_for(caller, &object.bucket, &wants).await?;
        }
        let intent = self.authorize(caller, &about(OperationKind::TagObject, &bucket, object)).await?;
        let stamp = stamp(self, caller);
        let set =
            self.catalog.set_retention(stamp, &bucket, &object.key, object.version, retention, bypass_governance).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }

    /// Puts a legal hold on a version, or lifts it.
    pub async fn set_legal_hold(&self, caller: &Caller, object: &GetObject, hold: bool) -> Result<(), Error> {
        let bucket = self.lockable(caller, object, OperationKind::TagObject, "s3:PutObjectLegalHold").await?;
        let intent = self.authorize(caller, &about(OperationKind::TagObject, &bucket, object)).await?;
        let set = self.catalog.set_legal_hold(stamp(self, caller), &bucket, &object.key, object.version, hold).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }

    /// The lock of a version.
    pub async fn lock_of(&self, caller: &Caller, object: &GetObject, action: &'static str) -> Result<Lock, Error> {
        let operation = OperationKind::HeadObject;
        self.lockable(caller, object, operation, action).await?;
        let (bucket, head) = self.object_row(caller, object, action).await?;
        settle(self.authorize_object(caller, operation, (&bucket, &head), &object.key).await?, true);
        Ok(head.object.protection.lock)
    }

    /// The retention that the bucket's configuration gives to versions that bring none.
    pub(super) async fn default_retention(&self, bucket: &Bucket) -> Result<Option<Retention>, Error> {
        let default: Option<DefaultRetention> = self.catalog.setting(bucket, Setting::ObjectLock).await?;
        Ok(default.map(|default| default.from(self.clock.now())))
    }

    /// The bucket, where its versions can be locked.
    async fn lockable(
        &self,
        caller: &Caller,
        object: &GetObject,
        operation: OperationKind,
        action: &'static str,
    ) -> Result<Bucket, Error> {
        let bucket = self.bucket_for(caller, &object.bucket, &Wants::new(action).key(&object.key)).await?;
        if bucket.object_lock {
            return Ok(bucket);
        }
        Err(self.refusal(caller, &about(operation, &bucket, object), no_lock()).await)
    }
}

/// Where locks are asked for that the bucket cannot give.
pub(super) fn no_lock() -> Error {
    Error::InvalidRequest("object lock is not enabled for the bucket".to_owned())
}

fn about<'a>(operation: OperationKind, bucket: &'a Bucket, object: &'a GetObject) -> Matter<'a> {
    Matter::of_bucket(operation, bucket).key(object.key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_lasts_from_when_the_version_is_stored() {
        let days = DefaultRetention { mode: RetentionMode::Governance, period: RetentionPeriod::Days(2) };
        assert_eq!(
            days.from(UnixMillis(5)),
            Retention { mode: RetentionMode::Governance, until: UnixMillis(172_800_005) }
        );
        let years = DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Years(100) };
        assert_eq!(years.from(UnixMillis(0)).until, UnixMillis(36_500 * DAY_MILLIS));
    }
}
