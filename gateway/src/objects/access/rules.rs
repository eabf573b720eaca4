//! The rules of access that a bucket has: policy, public access block, ownership, access control list.

use domicile_types::{BucketName, TenantId};
use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::gateway::Gateway;
use super::super::intake::internal;
use super::super::request::Caller;
use super::acl::{expand, expand_canned, is_public};
use super::stated::{AclRequest, CannedAcl};
use super::{Admitted, Wants};
use crate::catalog::{Acl, Bucket, Setting};
use crate::config::ObjectOwnership;
use crate::policy::Policy;

/// What a bucket's owner rules out beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicAccessBlock {
    /// Access control lists that grant something to a group are refused.
    pub block_public_acls: bool,
    /// Those that are there grant groups nothing.
    pub ignore_public_acls: bool,
    /// Public policies are refused.
    pub block_public_policy: bool,
    /// While the policy is public, nobody but the owner is let in.
    pub restrict_public_buckets: bool,
}

/// The rules of one bucket at one moment.
pub(in crate::objects) struct Rules {
    /// The bucket's policy.
    pub(super) policy: Option<Policy>,
    /// What is ruled out.
    pub(super) block: PublicAccessBlock,
    /// Who owns objects; whether the bucket says so itself.
    pub(super) ownership: ObjectOwnership,
    pub(super) ownership_is_own: bool,
    /// The bucket's access control list.
    pub(super) acl: Option<Acl>,
}

impl Gateway {
    /// The bucket and its rules.
    pub(super) async fn rules(&self, name: &BucketName) -> Result<(Bucket, Rules), Error> {
        let wanted = [Setting::Policy, Setting::PublicAccessBlock, Setting::Ownership, Setting::Acl];
        let (bucket, [policy, block, ownership, acl]) = self.catalog.bucket_with_settings(name, wanted).await?;
        let document: Option<String> = policy.read()?;
        // What was taken once and is not understood any more denies everything: nobody knows what it meant.
        let policy = document.map(|document| Policy::of_bucket(&document, &bucket.name)).transpose();
        let policy = policy.map_err(|source| internal("reading the bucket's policy", source))?;
        let own: Option<ObjectOwnership> = ownership.read()?;
        let rules = Rules {
            policy,
            block: block.read()?.unwrap_or_default(),
            ownership: own.unwrap_or(self.config.object_ownership),
            ownership_is_own: own.is_some(),
            acl: acl.read()?,
        };
        Ok((bucket, rules))
    }

    /// Lets a caller make an object with the tags and the access control list that its request states; the latter comes back.
    pub(in crate::objects) async fn admit_writer(
        &self,
        caller: &Caller,
        name: &BucketName,
        wants: &Wants<'_>,
    ) -> Result<(Bucket, Option<Acl>), Error> {
        let admitted = self.admit(caller, name, wants).await?;
        if wants.tags.is_some_and(|tags| !tags.is_empty()) {
            self.demand(&admitted, &Wants { action: "s3:PutObjectTagging", ..wants.clone() }).await?;
        }
        let acl = self.acl_of_new(&admitted, wants)?;
        Ok((admitted.bucket, acl))
    }

    /// The access control list of an object that the caller is about to make: what the request asks for, else the writer's
    /// alone. `None` where it is the bucket's owner's alone.
    fn acl_of_new(&self, admitted: &Admitted<'_>, wants: &Wants<'_>) -> Result<Option<Acl>, Error> {
        let Admitted { bucket, rules, caller } = admitted;
        let asked = caller.stated.acl.as_ref();
        if !rules.acls_count() {
            return rules.refuse_acl(asked, &bucket.owner).map(|()| None);
        }
        let gives_all = asked == Some(&AclRequest::Canned(CannedAcl::BucketOwnerFullControl));
        let given = gives_all && rules.ownership == ObjectOwnership::BucketOwnerPreferred;
        // What nobody wrote is the bucket's owner's.
        let owner = caller.tenant().filter(|_| !given).unwrap_or(&bucket.owner);
        let acl = expand(asked.unwrap_or(&AclRequest::Canned(CannedAcl::Private)), owner, &bucket.owner);
        rules.refuse_public(&acl)?;
        // Whoever writes owns what is written, and may set its list afterwards: to set it at once needs no leave, but may be
        // denied.
        let set = Wants { action: "s3:PutObjectAcl", ..wants.clone() };
        if asked.is_some() && self.denies(admitted, &set) {
            return Err(Error::AccessDenied);
        }
        if asked.is_some_and(|asked| *asked != AclRequest::Canned(CannedAcl::Private)) {
            // A key with limits of its own may not give away what it could not give away afterwards.
            self.keep_within_limits(caller, bucket.name.as_str(), &set)?;
        }
        Ok(worth_keeping(acl, &bucket.owner))
    }
}

/// The list, unless it says what holds without one.
pub(super) fn worth_keeping(acl: Acl, bucket_owner: &TenantId) -> Option<Acl> {
    let private = expand(&AclRequest::Canned(CannedAcl::Private), bucket_owner, bucket_owner);
    Some(acl).filter(|acl| *acl != private)
}

impl Rules {
    /// Whether access control lists count at all.
    pub(super) fn acls_count(&self) -> bool {
        self.ownership != ObjectOwnership::BucketOwnerEnforced
    }

    /// Whether the bucket is closed to all but its owner because its policy is public.
    pub(super) fn keeps_strangers_out(&self) -> bool {
        self.block.restrict_public_buckets && self.policy.as_ref().is_some_and(Policy::is_public)
    }

    /// Whether the public is let in, by policy or list.
    pub(super) fn is_public(&self) -> bool {
        let by_acl = self.acls_count() && !self.block.ignore_public_acls && self.acl.as_ref().is_some_and(is_public);
        self.policy.as_ref().is_some_and(Policy::is_public) || by_acl
    }

    /// Refuses a list that grants something to a group, where that is ruled out.
    pub(super) fn refuse_public(&self, acl: &Acl) -> Result<(), Error> {
        if self.block.block_public_acls && is_public(acl) { Err(Error::AccessDenied) } else { Ok(()) }
    }

    /// The list that is asked for what `owner` owns; none where lists do not count, and nothing is asked that they could do.
    pub(super) fn taken(
        &self,
        asked: &AclRequest,
        owner: &TenantId,
        bucket_owner: &TenantId,
    ) -> Result<Option<Acl>, Error> {
        if !self.acls_count() {
            self.refuse_acl(Some(asked), owner)?;
        }
        if matches!(asked, AclRequest::Document { owner: stated, .. } if stated != owner.as_str()) {
            return Err(Error::AccessDenied);
        }
        let acl = expand(asked, owner, bucket_owner);
        self.refuse_public(&acl)?;
        Ok(Some(acl).filter(|_| self.acls_count()))
    }

    /// Where lists do not count, refuses all that asks for more than the owner has. `private` is what some clients say with
    /// every request: it passes unless the bucket itself says that it has no lists.
    pub(super) fn refuse_acl(&self, asked: Option<&AclRequest>, owner: &TenantId) -> Result<(), Error> {
        let passes = match asked {
            None | Some(AclRequest::Canned(CannedAcl::BucketOwnerFullControl)) => true,
            Some(AclRequest::Canned(CannedAcl::Private)) => !self.ownership_is_own,
            Some(AclRequest::Canned(_)) => false,
            Some(asked) => expand(asked, owner, owner).grants == expand_canned(CannedAcl::Private, owner, owner),
        };
        if passes { Ok(()) } else { Err(Error::AclsDisabled) }
    }
}
