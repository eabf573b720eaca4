//! What a bucket tells to webhooks, and the telling of it.

use domicile_types::{BucketName, Classification, ObjectKey, PackId, UnixMillis};

use super::access::Wants;
use super::answer::Stored;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::{Bucket, CatalogError, Message, Setting, VersionId};
use crate::notify::{Happening, NotificationRule, Notifications, Scene, message, test_message};

/// How an object came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    /// PutObject.
    Put,
    /// CopyObject.
    Copy,
    /// CompleteMultipartUpload.
    Completion,
}

impl Gateway {
    /// The bucket's notification configuration; empty where it has none.
    pub async fn notifications(&self, caller: &Caller, bucket: &BucketName) -> Result<Notifications, Error> {
        let set = self.setting(caller, bucket, "s3:GetBucketNotification", Setting::Notification).await?;
        Ok(set.unwrap_or_default())
    }

    /// Replaces the bucket's notification configuration, and lets every webhook in it know.
    pub async fn set_notifications(
        &self,
        caller: &Caller,
        name: &BucketName,
        notifications: &Notifications,
    ) -> Result<(), Error> {
        notifications.check()?;
        let action = "s3:PutBucketNotification";
        let bucket = self.bucket_for(caller, name, &Wants::new(action)).await?;
        let may = |rule: &NotificationRule| {
            self.hooks.find(&rule.webhook).is_some_and(|webhook| webhook.tenants.contains(&bucket.owner))
        };
        if !notifications.rules.iter().all(may) {
            return Err(Error::InvalidArgument(
                "Unable to validate the following destination configurations".to_owned(),
            ));
        }
        let set = (!notifications.rules.is_empty()).then_some(notifications);
        self.set_setting(caller, name, action, Setting::Notification, set).await?;
        let now = self.clock.now();
        let mut webhooks: Vec<&str> = notifications.rules.iter().map(|rule| rule.webhook.as_str()).collect();
        webhooks.sort_unstable();
        webhooks.dedup();
        for webhook in webhooks {
            let body = test_message(&scene(&bucket), now, caller.request);
            let message = self.message(&bucket, &bucket.packs, &bucket.classification, None, body, now);
            self.hooks.queue(self, webhook, message).await?;
        }
        Ok(())
    }

    /// Tells of an object that was stored. `data`: the packs that it obeys, and what it is.
    pub(super) async fn announce_created(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        key: &ObjectKey,
        data: (&[PackId], &Classification),
        how: Created,
        stored: &Stored,
    ) {
        let event = match how {
            Created::Put => "ObjectCreated:Put",
            Created::Copy => "ObjectCreated:Copy",
            Created::Completion => "ObjectCreated:CompleteMultipartUpload",
        };
        let happening = Happening {
            event,
            key,
            version: stored.version.map(|version| version.to_string()),
            packs: data.0,
            classification: data.1,
            object: Some((stored.size, stored.etag.clone())),
            at: stored.modified,
            request: caller.request,
            principal: principal(caller),
        };
        self.announce(bucket, happening).await;
    }

    /// Tells of an object that was deleted or tagged.
    pub(super) async fn announce_change(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        event: &'static str,
    ) {
        let happening = Happening {
            event,
            key,
            version: version.map(|version| version.to_string()),
            packs: &bucket.packs,
            classification: &bucket.classification,
            object: None,
            at: self.clock.now(),
            request: caller.request,
            principal: principal(caller),
        };
        self.announce(bucket, happening).await;
    }

    /// Tells what happened to an object, to whomever the bucket's configuration names. A telling that fails is reported in the
    /// gateway's log and fails nothing else: what happened has happened.
    pub(crate) async fn announce(&self, bucket: &Bucket, happening: Happening<'_>) {
        if self.config.webhooks.is_empty() {
            return;
        }
        if let Err(error) = self.try_announce(bucket, &happening).await {
            tracing::error!(request_id = %happening.request, event = happening.event, %error, "an event is lost");
        }
    }

    async fn try_announce(&self, bucket: &Bucket, happening: &Happening<'_>) -> Result<(), CatalogError> {
        let rules = self.catalog.setting::<Notifications>(bucket, Setting::Notification).await?;
        let Some(rules) = rules else { return Ok(()) };
        for rule in rules.telling(happening.event, happening.key.as_str()) {
            let body = message(&scene(bucket), happening, &rule.id);
            let key = Some(happening.key.as_str().to_owned());
            let message = self.message(bucket, happening.packs, happening.classification, key, body, happening.at);
            self.hooks.queue(self, &rule.webhook, message).await?;
        }
        Ok(())
    }

    fn message(
        &self,
        bucket: &Bucket,
        packs: &[PackId],
        classification: &Classification,
        key: Option<String>,
        body: String,
        created: UnixMillis,
    ) -> Message {
        Message {
            id: self.clock.random(),
            tenant: bucket.owner.clone(),
            bucket: bucket.name.clone(),
            packs: packs.to_vec(),
            classification: classification.clone(),
            key,
            body,
            created,
            attempts: 0,
        }
    }
}

/// On whose behalf, as events tell it: the tenant, without the access key.
fn principal(caller: &Caller) -> String {
    caller.tenant().map_or_else(|| "anonymous".to_owned(), ToString::to_string)
}

fn scene(bucket: &Bucket) -> Scene<'_> {
    Scene { bucket: &bucket.name, owner: &bucket.owner, region: &bucket.region }
}
