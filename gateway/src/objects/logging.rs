//! Access logging of a bucket: where its records go, and the writing of them.

use domicile_types::{BucketName, ObjectKey, RequestId};

use super::access::Wants;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, PutObject};
use crate::access_log::AccessLogging;
use crate::catalog::{Bucket, CatalogError, Setting};

/// Whoever writes access logs, to bucket policies.
const LOGGING_SERVICE: &str = "logging.s3.amazonaws.com";

impl Gateway {
    /// The bucket's access logging; none where it does not log.
    pub async fn access_logging(&self, caller: &Caller, bucket: &BucketName) -> Result<Option<AccessLogging>, Error> {
        self.setting(caller, bucket, "s3:GetBucketLogging", Setting::Logging).await
    }

    /// Sets where the bucket's records go or, with `None`, ends its logging.
    pub async fn set_access_logging(
        &self,
        caller: &Caller,
        name: &BucketName,
        logging: Option<&AccessLogging>,
    ) -> Result<(), Error> {
        let action = "s3:PutBucketLogging";
        let source = self.bucket_for(caller, name, &Wants::new(action)).await?;
        if let Some(logging) = logging {
            self.check_target(&source, logging).await?;
        }
        self.set_setting(caller, name, action, Setting::Logging, logging).await?;
        self.access_logs.changed(name);
        Ok(())
    }

    /// Records name objects and people of the bucket that they are about, so that they may go nowhere its own data may not:
    /// to a bucket of the same owner, in the same region, under the same packs.
    async fn check_target(&self, source: &Bucket, logging: &AccessLogging) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::InvalidLogTarget(why.to_owned()));
        let target = match self.catalog.bucket(&logging.target).await {
            Ok(target) => target,
            Err(CatalogError::NoSuchBucket { .. }) => return refuse("the target bucket for logging does not exist"),
            Err(error) => return Err(error.into()),
        };
        if target.owner != source.owner {
            return refuse("the target bucket for logging has another owner");
        }
        if target.id == source.id {
            return refuse("a bucket that logs into itself would never come to an end");
        }
        if target.region != source.region || target.packs != source.packs {
            return refuse("the target bucket for logging is in another region or under other packs");
        }
        // As S3 has it: the target's owner says so in its policy, even to its own buckets.
        if !self.lets_service_put(LOGGING_SERVICE, &logging.target, &logging.prefix, source).await? {
            return Err(Error::AccessDenied);
        }
        if self.catalog.setting::<AccessLogging>(&target, Setting::Logging).await?.is_some() {
            return refuse("the target bucket for logging logs itself");
        }
        Ok(())
    }

    /// Writes an object with records about `source`, as any other object is written: decided, logged, under the target's packs.
    pub(crate) async fn put_access_log(
        &self,
        source: &Bucket,
        logging: &AccessLogging,
        key: ObjectKey,
        text: String,
        request: RequestId,
    ) -> Result<(), Error> {
        if !self.lets_service_put(LOGGING_SERVICE, &logging.target, &logging.prefix, source).await? {
            return Err(Error::AccessDenied);
        }
        let caller = Caller::worker(&source.owner, "access-log", request);
        let put = PutObject::plain(logging.target.clone(), key, text);
        self.put_object(&caller, put).await.map(drop)
    }
}
