//! Buckets: created in a residency region, and governed by its packs from then on.

use bytes::Bytes;
use domicile_compliance::audit::LoggedIntent;
use domicile_types::{BucketName, Classification, OperationKind, OutcomeStatus};

use super::access::{NewRules, Wants};
use super::answer::BucketView;
use super::authorize::{Matter, roster_facts};
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, CreateBucket, Tags};
use super::rows::{classify, row_tags, shown_tags};
use super::sender::too_few;
use super::writer::stamp;
use crate::catalog::{Bucket, BucketId, CatalogError, NewBucket};
use domicile_chunker::SHARD_BYTES_MAX;
use domicile_placement::{PlacementRequest, PlacementSeed, auto_profile, place};

/// Buckets that one page of the catalog holds.
const BUCKETS_PER_PAGE: usize = 1_000;

impl Gateway {
    /// The tenant's buckets, those that may be told of where the caller is. One that may not is logged as an attempt.
    pub async fn list_buckets(&self, caller: &Caller) -> Result<Vec<BucketView>, Error> {
        let owner = caller.tenant().ok_or(Error::AccessDenied)?;
        self.keep_within_limits(caller, "", &Wants::new("s3:ListAllMyBuckets"))?;
        let mut views = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.catalog.list_buckets(owner, "", after.as_deref(), BUCKETS_PER_PAGE).await?;
            after = page.buckets.last().map(|bucket| bucket.name.to_string());
            for bucket in page.buckets {
                match self.told_of(caller, OperationKind::ListBuckets, &bucket).await {
                    Ok(()) => views.push(view(&bucket)),
                    Err(Error::Denied(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if !page.truncated {
                return Ok(views);
            }
        }
    }

    /// Creates a bucket, if the packs of its region let this gateway handle its data and leave nodes enough for it.
    pub async fn create_bucket(&self, caller: &Caller, request: CreateBucket) -> Result<BucketView, Error> {
        let owner = caller.tenant().cloned().ok_or(Error::AccessDenied)?;
        self.keep_within_limits(caller, request.bucket.as_str(), &Wants::new("s3:CreateBucket"))?;
        let name = request.region.as_ref().unwrap_or(&self.config.default_region);
        let region = self
            .config
            .region(name)
            .ok_or_else(|| Error::UnknownRegion { region: name.to_string(), known: self.config.region_names() })?;
        let rules = self.rules_of_new_bucket(caller, &request.bucket)?;
        let classification = classify(&request.tags, &Classification::default())?;
        let roster = self.directory.roster();
        let matter = Matter {
            operation: OperationKind::CreateBucket,
            packs: &region.packs,
            classification: &classification,
            bucket: Some(&request.bucket),
            key: None,
            nodes: roster_facts(&roster),
        };
        let permit = self.permit(caller, &matter).await?;
        let shard_bytes = u64::try_from(SHARD_BYTES_MAX).unwrap_or(u64::MAX);
        let probe = PlacementRequest::new(region.profile, PlacementSeed::from_bytes(self.clock.random()), shard_bytes);
        let room = match region.profile {
            Some(_) => place(&roster, &permit, &probe).map(drop),
            None => auto_profile(&roster, &permit, &probe).map(drop),
        };
        room.map_err(|refusal| too_few(&refusal, &permit))?;
        let intent = self.intend(caller, &matter, &permit, super::authorize::Scope::default()).await?;
        let new = NewBucket {
            id: BucketId::from_bytes(self.clock.random()),
            name: request.bucket,
            owner,
            region: region.name.clone(),
            packs: region.packs.clone(),
            tags: row_tags(request.tags),
            classification,
            // Bucket keys derive from the root key; nothing is wrapped per bucket.
            wrapped_key: Bytes::new(),
            object_lock: request.object_lock,
        };
        let created = self.catalog.create_bucket(stamp(self, caller), new).await;
        if let (Err(CatalogError::BucketAlreadyOwnedByYou { bucket }), None) = (&created, &request.region) {
            let present = self.catalog.bucket(bucket).await?;
            if present.region == region.name && present.object_lock == request.object_lock {
                return self.create_again(intent, &present, &rules).await;
            }
        }
        let told = match &created {
            Ok(bucket) => rules.write(self, bucket).await,
            Err(_) => Ok(()),
        };
        settle(intent, created.is_ok() && told.is_ok());
        told?;
        Ok(view(&created?))
    }

    /// As at AWS's first region: whoever names no region and has the bucket already, just as asked, has what it wants.
    async fn create_again(
        &self,
        intent: LoggedIntent,
        present: &Bucket,
        rules: &NewRules,
    ) -> Result<BucketView, Error> {
        let same = rules.are_those_of(self, present).await;
        settle(intent, matches!(same, Ok(true)));
        if same? { Ok(view(present)) } else { Err(Error::BucketAlreadyExists) }
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&self, caller: &Caller, name: &BucketName) -> Result<(), Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:DeleteBucket")).await?;
        let intent = self.authorize(caller, &Matter::of_bucket(OperationKind::DeleteBucket, &bucket)).await?;
        let deleted = self.catalog.delete_bucket(stamp(self, caller), &bucket).await;
        settle(intent, deleted.is_ok());
        Ok(deleted?)
    }

    /// What HeadBucket tells.
    pub async fn head_bucket(&self, caller: &Caller, name: &BucketName) -> Result<BucketView, Error> {
        self.view_of(caller, name, "s3:ListBucket").await
    }

    /// What GetBucketLocation tells.
    pub async fn bucket_location(&self, caller: &Caller, name: &BucketName) -> Result<BucketView, Error> {
        self.view_of(caller, name, "s3:GetBucketLocation").await
    }

    async fn view_of(&self, caller: &Caller, name: &BucketName, action: &'static str) -> Result<BucketView, Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new(action)).await?;
        self.told_of(caller, OperationKind::HeadBucket, &bucket).await?;
        Ok(view(&bucket))
    }

    /// The bucket's tags.
    pub async fn bucket_tags(&self, caller: &Caller, name: &BucketName) -> Result<Tags, Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:GetBucketTagging")).await?;
        self.told_of(caller, OperationKind::HeadBucket, &bucket).await?;
        if bucket.tags.is_empty() { Err(Error::NoSuchTagSet) } else { Ok(shown_tags(&bucket.tags)) }
    }

    /// Replaces the bucket's tags, and with them the classification that new objects inherit.
    pub async fn set_bucket_tags(&self, caller: &Caller, name: &BucketName, tags: Tags) -> Result<(), Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:PutBucketTagging")).await?;
        let classification = classify(&tags, &Classification::default())?;
        let intent = self.authorize(caller, &Matter::of_bucket(OperationKind::ConfigureBucket, &bucket)).await?;
        let set = self.catalog.set_bucket_tags(stamp(self, caller), &bucket, row_tags(tags), classification).await;
        settle(intent, set.is_ok());
        set?;
        Ok(())
    }

    /// Enables or suspends versioning.
    pub async fn set_versioning(&self, caller: &Caller, name: &BucketName, enabled: bool) -> Result<(), Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:PutBucketVersioning")).await?;
        let intent = self.authorize(caller, &Matter::of_bucket(OperationKind::ConfigureBucket, &bucket)).await?;
        let set = self.catalog.set_versioning(&bucket, enabled).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }

    /// What GetBucketVersioning tells.
    pub async fn bucket_versioning(&self, caller: &Caller, name: &BucketName) -> Result<BucketView, Error> {
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:GetBucketVersioning")).await?;
        self.told_of(caller, OperationKind::HeadBucket, &bucket).await?;
        Ok(view(&bucket))
    }

    /// Decides and logs a question about a bucket that answers no object bytes.
    pub(super) async fn told_of(
        &self,
        caller: &Caller,
        operation: OperationKind,
        bucket: &Bucket,
    ) -> Result<(), Error> {
        let intent = self.authorize(caller, &Matter::of_bucket(operation, bucket)).await?;
        settle(intent, true);
        Ok(())
    }
}

/// Records the end of an operation that moves no object bytes.
pub(crate) fn settle(intent: LoggedIntent, succeeded: bool) {
    let status = if succeeded { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
    drop(intent.finish(status, 0, if succeeded { 200 } else { 0 }));
}

fn view(bucket: &Bucket) -> BucketView {
    BucketView {
        name: bucket.name.clone(),
        created: bucket.created,
        region: bucket.region.clone(),
        tags: shown_tags(&bucket.tags),
        versioning: bucket.versioning,
        object_lock: bucket.object_lock,
    }
}
