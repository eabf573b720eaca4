//! Buckets: list, create, delete, head, location, versioning.

use data_encoding::BASE64URL_NOPAD;
use domicile_types::RegionName;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::Front;
use super::acl::owner;
use super::error::not_implemented;
use super::headers::timestamp;
use super::{names, tagging};
use crate::objects::{BucketView, CreateBucket, Error};

/// Buckets in one answer of ListBuckets, at the most.
const BUCKETS_MAX: usize = 10_000;

impl Front {
    pub(super) async fn all_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let limit = match input.max_buckets {
            None => BUCKETS_MAX,
            Some(limit) => {
                usize::try_from(limit).ok().filter(|limit| (1..=BUCKETS_MAX).contains(limit)).ok_or_else(|| {
                    S3Error::with_message(S3ErrorCode::InvalidArgument, "max-buckets is an integer from 1 to 10,000")
                })?
            }
        };
        let after = match &input.continuation_token {
            None => String::new(),
            Some(token) => bucket_token(token)?,
        };
        let prefix = input.prefix.clone().unwrap_or_default();
        let region = input.bucket_region.as_deref();
        let wanted = |bucket: &BucketView| {
            let name = bucket.name.as_str();
            name > after.as_str() && name.starts_with(&prefix) && region.is_none_or(|r| r == bucket.region.as_str())
        };
        let mut found: Vec<BucketView> =
            self.gateway.list_buckets(&caller).await?.into_iter().filter(wanted).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more).map(|bucket| BASE64URL_NOPAD.encode(bucket.name.as_str().as_bytes()));
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(found.into_iter().map(bucket_dto).collect()),
            continuation_token: last,
            owner: caller.tenant().map(owner),
            prefix: input.prefix,
        }))
    }

    pub(super) async fn make_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let configuration = input.create_bucket_configuration.unwrap_or_default();
        if configuration.bucket.is_some() || configuration.location.is_some() {
            return Err(not_implemented("a directory bucket"));
        }
        let constraint = configuration.location_constraint.as_ref().map(|region| region.as_str().to_owned());
        let region = constraint.filter(|text| !text.is_empty()).map(|text| self.region(text)).transpose()?;
        let tags = tagging::from_set(configuration.tags.unwrap_or_default(), tagging::BUCKET_TAGS_MAX)?;
        let bucket = names::new_bucket(&input.bucket)?;
        let object_lock = input.object_lock_enabled_for_bucket == Some(true);
        let view = self.gateway.create_bucket(&caller, CreateBucket { bucket, region, tags, object_lock }).await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", view.name)), bucket_arn: None }))
    }

    /// A region by its name. One that could not be a name is as unknown as one that is not configured.
    fn region(&self, text: String) -> S3Result<RegionName> {
        RegionName::parse(&text)
            .map_err(|_| Error::UnknownRegion { region: text, known: self.region_names.to_string() }.into())
    }

    pub(super) async fn remove_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.delete_bucket(&caller, &names::bucket(&request.input.bucket)?).await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    pub(super) async fn bucket_head(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let caller = names::caller(&request)?;
        let view = self.gateway.head_bucket(&caller, &names::bucket(&request.input.bucket)?).await?;
        let bucket_region = Some(view.region.as_str().to_owned());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() }))
    }

    pub(super) async fn bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let caller = names::caller(&request)?;
        let view = self.gateway.bucket_location(&caller, &names::bucket(&request.input.bucket)?).await?;
        let location_constraint = Some(BucketLocationConstraint::from(view.region.as_str().to_owned()));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }
}

fn bucket_token(token: &str) -> S3Result<String> {
    BASE64URL_NOPAD.decode(token.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        S3Error::with_message(S3ErrorCode::InvalidArgument, "the continuation token was not given out here")
    })
}

fn bucket_dto(view: BucketView) -> Bucket {
    Bucket {
        bucket_arn: None,
        bucket_region: Some(view.region.as_str().to_owned()),
        creation_date: Some(timestamp(view.created)),
        name: Some(view.name.as_str().to_owned()),
    }
}
