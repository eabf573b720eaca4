//! Use cases: a bucket's policy, its public access block, who owns its objects, its access control list.

use domicile_types::{BucketName, OperationKind};

use super::super::authorize::Matter;
use super::super::bucket::settle;
use super::super::error::Error;
use super::super::gateway::Gateway;
use super::super::request::Caller;
use super::acl::{AclView, expand, is_private};
use super::rules::PublicAccessBlock;
use super::stated::{AclRequest, CannedAcl};
use super::{Admitted, Wants};
use crate::catalog::{Acl, Setting};
use crate::config::ObjectOwnership;
use crate::policy::Policy;

impl Gateway {
    /// The bucket's policy, as it was put.
    pub async fn bucket_policy(&self, caller: &Caller, name: &BucketName) -> Result<String, Error> {
        let policy = self.setting(caller, name, "s3:GetBucketPolicy", Setting::Policy).await?;
        policy.ok_or(Error::NoSuchBucketPolicy)
    }

    /// Puts a policy, if all of it is honoured.
    pub async fn set_bucket_policy(&self, caller: &Caller, name: &BucketName, document: &str) -> Result<(), Error> {
        let admitted = self.admit(caller, name, &Wants::new("s3:PutBucketPolicy")).await?;
        let policy = Policy::of_bucket(document, name).map_err(|why| Error::MalformedPolicy(why.to_string()))?;
        if admitted.rules.block.block_public_policy && policy.is_public() {
            return Err(self.not_configured(&admitted, Error::AccessDenied).await);
        }
        self.configure(&admitted, Setting::Policy, Some(&document)).await
    }

    /// Removes the policy. That there is none is no error.
    pub async fn remove_bucket_policy(&self, caller: &Caller, name: &BucketName) -> Result<(), Error> {
        self.set_setting::<String>(caller, name, "s3:DeleteBucketPolicy", Setting::Policy, None).await
    }

    /// Whether the public is let into the bucket, by its policy or by its access control list.
    pub async fn is_public(&self, caller: &Caller, name: &BucketName) -> Result<bool, Error> {
        let admitted = self.admit(caller, name, &Wants::new("s3:GetBucketPolicyStatus")).await?;
        self.tell(&admitted).await?;
        Ok(admitted.rules.is_public())
    }

    /// What is ruled out for the bucket; an error where that was never said.
    pub async fn public_access_block(&self, caller: &Caller, name: &BucketName) -> Result<PublicAccessBlock, Error> {
        let block = self.setting(caller, name, "s3:GetBucketPublicAccessBlock", Setting::PublicAccessBlock).await?;
        block.ok_or(Error::NoSuchPublicAccessBlock)
    }

    /// Says what is ruled out for the bucket or, with `None`, that nothing is.
    pub async fn set_public_access_block(
        &self,
        caller: &Caller,
        name: &BucketName,
        block: Option<PublicAccessBlock>,
    ) -> Result<(), Error> {
        let action = "s3:PutBucketPublicAccessBlock";
        self.set_setting(caller, name, action, Setting::PublicAccessBlock, block.as_ref()).await
    }

    /// Who owns the bucket's objects; an error where the bucket does not say so itself.
    pub async fn object_ownership(&self, caller: &Caller, name: &BucketName) -> Result<ObjectOwnership, Error> {
        let ownership = self.setting(caller, name, "s3:GetBucketOwnershipControls", Setting::Ownership).await?;
        ownership.ok_or(Error::NoOwnershipControls)
    }

    /// Says who owns the bucket's objects or, with `None`, leaves it to the gateway's configuration. A bucket whose list
    /// grants something to others cannot be made one without lists: they would be shut out unsaid.
    pub async fn set_object_ownership(
        &self,
        caller: &Caller,
        name: &BucketName,
        ownership: Option<ObjectOwnership>,
    ) -> Result<(), Error> {
        let admitted = self.admit(caller, name, &Wants::new("s3:PutBucketOwnershipControls")).await?;
        let enforced = ownership.unwrap_or(self.config.object_ownership) == ObjectOwnership::BucketOwnerEnforced;
        let owner = &admitted.bucket.owner;
        if enforced && admitted.rules.acl.as_ref().is_some_and(|acl| !is_private(acl, owner)) {
            return Err(self.not_configured(&admitted, Error::AclsInTheWay).await);
        }
        self.configure(&admitted, Setting::Ownership, ownership.as_ref()).await
    }

    /// The bucket's access control list.
    pub async fn bucket_acl(&self, caller: &Caller, name: &BucketName) -> Result<AclView, Error> {
        let admitted = self.admit(caller, name, &Wants::new("s3:GetBucketAcl")).await?;
        self.tell(&admitted).await?;
        let Admitted { bucket, rules, .. } = admitted;
        let stored = if rules.acls_count() { rules.acl } else { None };
        Ok(AclView::of(stored, &bucket.owner))
    }

    /// Replaces the bucket's access control list.
    pub async fn set_bucket_acl(&self, caller: &Caller, name: &BucketName, asked: &AclRequest) -> Result<(), Error> {
        let admitted = self.admit(caller, name, &Wants::new("s3:PutBucketAcl")).await?;
        match admitted.rules.taken(asked, &admitted.bucket.owner, &admitted.bucket.owner) {
            Ok(acl) => self.configure(&admitted, Setting::Acl, acl.as_ref()).await,
            Err(why) => Err(self.not_configured(&admitted, why).await),
        }
    }

    /// What CreateBucket's headers say of ownership and access, checked before the bucket is made.
    pub(in crate::objects) fn rules_of_new_bucket(
        &self,
        caller: &Caller,
        name: &BucketName,
    ) -> Result<NewRules, Error> {
        let owner = caller.tenant().ok_or(Error::AccessDenied)?;
        let ownership = caller.stated.ownership;
        // A key with limits of its own does not get around them by making the bucket so.
        if ownership.is_some() {
            self.keep_within_limits(caller, name.as_str(), &Wants::new("s3:PutBucketOwnershipControls"))?;
        }
        if caller.stated.acl.as_ref().is_some_and(|asked| *asked != AclRequest::Canned(CannedAcl::Private)) {
            self.keep_within_limits(caller, name.as_str(), &Wants::new("s3:PutBucketAcl"))?;
        }
        let asked = caller.stated.acl.as_ref();
        let acl = expand(asked.unwrap_or(&AclRequest::Canned(CannedAcl::Private)), owner, owner);
        let enforced = ownership.unwrap_or(self.config.object_ownership) == ObjectOwnership::BucketOwnerEnforced;
        match asked {
            Some(_) if enforced && !is_private(&acl, owner) => Err(Error::AclsInTheWay),
            Some(_) if !enforced => Ok(NewRules { ownership, acl: Some(acl) }),
            _ => Ok(NewRules { ownership, acl: None }),
        }
    }

    async fn configure<T: serde::Serialize>(
        &self,
        admitted: &Admitted<'_>,
        setting: Setting,
        value: Option<&T>,
    ) -> Result<(), Error> {
        let matter = Matter::of_bucket(OperationKind::ConfigureBucket, &admitted.bucket);
        let intent = self.authorize(admitted.caller, &matter).await?;
        let set = self.catalog.set_setting(&admitted.bucket, setting, value).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }

    async fn not_configured(&self, admitted: &Admitted<'_>, why: Error) -> Error {
        let matter = Matter::of_bucket(OperationKind::ConfigureBucket, &admitted.bucket);
        self.refusal(admitted.caller, &matter, why).await
    }

    async fn tell(&self, admitted: &Admitted<'_>) -> Result<(), Error> {
        let intent =
            self.authorize(admitted.caller, &Matter::of_bucket(OperationKind::HeadBucket, &admitted.bucket)).await?;
        settle(intent, true);
        Ok(())
    }
}

/// What a new bucket is told of ownership and access.
pub(in crate::objects) struct NewRules {
    ownership: Option<ObjectOwnership>,
    acl: Option<Acl>,
}

impl NewRules {
    /// Whether they are what a bucket that is there has.
    pub(in crate::objects) async fn are_those_of(
        &self,
        gateway: &Gateway,
        bucket: &crate::catalog::Bucket,
    ) -> Result<bool, Error> {
        let ownership: Option<ObjectOwnership> = gateway.catalog.setting(bucket, Setting::Ownership).await?;
        let acl: Option<Acl> = gateway.catalog.setting(bucket, Setting::Acl).await?;
        let private = |acl: &Option<Acl>| acl.as_ref().is_none_or(|acl| is_private(acl, &bucket.owner));
        let same_acl = acl == self.acl || (private(&acl) && private(&self.acl));
        Ok(same_acl && (self.ownership.is_none() || ownership == self.ownership))
    }

    /// Writes it to the bucket that was made.
    pub(in crate::objects) async fn write(
        &self,
        gateway: &Gateway,
        bucket: &crate::catalog::Bucket,
    ) -> Result<(), Error> {
        if let Some(ownership) = &self.ownership {
            gateway.catalog.set_setting(bucket, Setting::Ownership, Some(ownership)).await?;
        }
        if let Some(acl) = &self.acl {
            gateway.catalog.set_setting(bucket, Setting::Acl, Some(acl)).await?;
        }
        Ok(())
    }
}
