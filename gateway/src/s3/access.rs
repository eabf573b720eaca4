//! Bucket policies, public access blocks, ownership controls.

use http::StatusCode;
use s3s::dto::{
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput, DeleteBucketPolicyInput,
    DeleteBucketPolicyOutput, DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput,
    ObjectOwnership as OwnershipDto, OwnershipControls, OwnershipControlsRule, PolicyStatus,
    PublicAccessBlockConfiguration, PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput,
    PutBucketPolicyInput, PutBucketPolicyOutput, PutPublicAccessBlockInput, PutPublicAccessBlockOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::stated::ownership;
use super::{Front, names};
use crate::config::ObjectOwnership;
use crate::objects::PublicAccessBlock;

impl Front {
    pub(super) async fn policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let caller = names::caller(&request)?;
        let policy = self.gateway.bucket_policy(&caller, &names::bucket(&request.input.bucket)?).await?;
        Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
    }

    pub(super) async fn set_policy(
        &self,
        request: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        self.gateway.set_bucket_policy(&caller, &names::bucket(&input.bucket)?, &input.policy).await?;
        let mut response = S3Response::new(PutBucketPolicyOutput::default());
        response.status = Some(StatusCode::NO_CONTENT);
        Ok(response)
    }

    pub(super) async fn remove_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.remove_bucket_policy(&caller, &names::bucket(&request.input.bucket)?).await?;
        Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
    }

    pub(super) async fn policy_status(
        &self,
        request: S3Request<GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        let caller = names::caller(&request)?;
        let is_public = Some(self.gateway.is_public(&caller, &names::bucket(&request.input.bucket)?).await?);
        Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public }) }))
    }

    pub(super) async fn access_block(
        &self,
        request: S3Request<GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        let caller = names::caller(&request)?;
        let block = self.gateway.public_access_block(&caller, &names::bucket(&request.input.bucket)?).await?;
        let public_access_block_configuration = Some(PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            block_public_policy: Some(block.block_public_policy),
            ignore_public_acls: Some(block.ignore_public_acls),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        });
        Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration }))
    }

    pub(super) async fn set_access_block(
        &self,
        request: S3Request<PutPublicAccessBlockInput>,
    ) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
        let caller = names::caller(&request)?;
        let stated = request.input.public_access_block_configuration;
        let block = PublicAccessBlock {
            block_public_acls: stated.block_public_acls.unwrap_or_default(),
            ignore_public_acls: stated.ignore_public_acls.unwrap_or_default(),
            block_public_policy: stated.block_public_policy.unwrap_or_default(),
            restrict_public_buckets: stated.restrict_public_buckets.unwrap_or_default(),
        };
        let bucket = names::bucket(&request.input.bucket)?;
        self.gateway.set_public_access_block(&caller, &bucket, Some(block)).await?;
        Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
    }

    pub(super) async fn remove_access_block(
        &self,
        request: S3Request<DeletePublicAccessBlockInput>,
    ) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.set_public_access_block(&caller, &names::bucket(&request.input.bucket)?, None).await?;
        Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
    }

    pub(super) async fn ownership_controls(
        &self,
        request: S3Request<GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        let caller = names::caller(&request)?;
        let ownership = self.gateway.object_ownership(&caller, &names::bucket(&request.input.bucket)?).await?;
        let object_ownership = OwnershipDto::from_static(match ownership {
            ObjectOwnership::BucketOwnerEnforced => OwnershipDto::BUCKET_OWNER_ENFORCED,
            ObjectOwnership::BucketOwnerPreferred => OwnershipDto::BUCKET_OWNER_PREFERRED,
            ObjectOwnership::ObjectWriter => OwnershipDto::OBJECT_WRITER,
        });
        let rules = vec![OwnershipControlsRule { object_ownership }];
        Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) }))
    }

    pub(super) async fn set_ownership_controls(
        &self,
        request: S3Request<PutBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
        let caller = names::caller(&request)?;
        let [rule] = request.input.ownership_controls.rules.as_slice() else {
            return Err(S3Error::new(S3ErrorCode::MalformedXML));
        };
        let ownership = ownership(rule.object_ownership.as_str())?;
        let bucket = names::bucket(&request.input.bucket)?;
        self.gateway.set_object_ownership(&caller, &bucket, Some(ownership)).await?;
        Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
    }

    pub(super) async fn remove_ownership_controls(
        &self,
        request: S3Request<DeleteBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.set_object_ownership(&caller, &names::bucket(&request.input.bucket)?, None).await?;
        Ok(S3Response::new(DeleteBucketOwnershipControlsOutput::default()))
    }
}
