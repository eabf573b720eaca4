//! Object tagging. Tags classify, so changing them is a change that the law is asked about.

use domicile_types::OperationKind;

use super::access::Wants;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, GetObject, Tags};
use super::rows::{classify, row_tags, shown_tags, shown_version};
use super::writer::stamp;
use crate::catalog::VersionId;

impl Gateway {
    /// The object's tags, an empty set where it has none, and the version that has them.
    pub async fn object_tags(&self, caller: &Caller, request: &GetObject) -> Result<(Tags, Option<VersionId>), Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:GetObjectTagging").await?;
        let operation = OperationKind::HeadObject;
        settle(self.authorize_object(caller, operation, (&bucket, &head), &request.key).await?, true);
        Ok((shown_tags(&head.object.tags), shown_version(&bucket, &head)))
    }

    /// Replaces the object's tags and its classification; the version that was changed.
    pub async fn set_object_tags(
        &self,
        caller: &Caller,
        request: &GetObject,
        tags: Tags,
    ) -> Result<Option<VersionId>, Error> {
        self.change_object_tags(caller, request, "s3:PutObjectTagging", tags).await
    }

    /// Takes all tags away, and with them what they state of the object.
    pub async fn remove_object_tags(&self, caller: &Caller, request: &GetObject) -> Result<Option<VersionId>, Error> {
        self.change_object_tags(caller, request, "s3:DeleteObjectTagging", Tags::new()).await
    }

    async fn change_object_tags(
        &self,
        caller: &Caller,
        request: &GetObject,
        action: &'static str,
        tags: Tags,
    ) -> Result<Option<VersionId>, Error> {
        let wants = Wants::new(action).key(&request.key).version(request.version).tags(&tags);
        let (bucket, head) = self.row_for(caller, request, &wants).await?;
        let classification = classify(&tags, &bucket.classification)?;
        let operation = OperationKind::TagObject;
        let intent = self.authorize_object(caller, operation, (&bucket, &head), &request.key).await?;
        let event = if tags.is_empty() { "ObjectTagging:Delete" } else { "ObjectTagging:Put" };
        let set = self
            .catalog
            .set_object_tags(
                stamp(self, caller),
                &bucket,
                &request.key,
                Some(head.version.id()),
                row_tags(tags),
                classification,
            )
            .await;
        settle(intent, set.is_ok());
        set?;
        let version = shown_version(&bucket, &head);
        self.announce_change(caller, &bucket, &request.key, version, event).await;
        Ok(version)
    }
}
