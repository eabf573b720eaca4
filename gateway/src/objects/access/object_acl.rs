//! Use cases: the access control list of an object.

use domicile_types::OperationKind;

use super::super::authorize::Matter;
use super::super::bucket::settle;
use super::super::error::Error;
use super::super::gateway::Gateway;
use super::super::request::{Caller, GetObject};
use super::super::writer::stamp;
use super::acl::{AclView, expand};
use super::rules::worth_keeping;
use super::stated::AclRequest;
use crate::catalog::{Bucket, ObjectHead};

impl Gateway {
    /// The object's access control list.
    pub async fn object_acl(&self, caller: &Caller, request: &GetObject) -> Result<AclView, Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:GetObjectAcl").await?;
        let (_, rules) = self.rules(&bucket.name).await?;
        let intent = self.authorize(caller, &about(OperationKind::HeadObject, &bucket, &head, request)).await?;
        settle(intent, true);
        let stored = if rules.acls_count() { head.object.protection.acl } else { None };
        Ok(AclView::of(stored, &bucket.owner))
    }

    /// Replaces the object's access control list. Whose the object is stays as it is.
    pub async fn set_object_acl(&self, caller: &Caller, request: &GetObject, asked: &AclRequest) -> Result<(), Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:PutObjectAcl").await?;
        let (_, rules) = self.rules(&bucket.name).await?;
        let present = head.object.protection.acl.as_ref().and_then(|acl| acl.owner.as_ref());
        let owner = present.filter(|_| rules.acls_count()).unwrap_or(&bucket.owner);
        if !rules.acls_count() {
            rules.refuse_acl(Some(asked), owner)?;
        }
        if matches!(asked, AclRequest::Document { owner: stated, .. } if stated != owner.as_str()) {
            return Err(Error::AccessDenied);
        }
        let acl = expand(asked, owner, &bucket.owner);
        rules.refuse_public(&acl)?;
        let acl = worth_keeping(acl, &bucket.owner);
        let intent = self.authorize(caller, &about(OperationKind::TagObject, &bucket, &head, request)).await?;
        let version = Some(head.version.id());
        let set = self.catalog.set_object_acl(stamp(self, caller), &bucket, &request.key, version, acl).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }
}

fn about<'a>(operation: OperationKind, bucket: &'a Bucket, head: &'a ObjectHead, request: &'a GetObject) -> Matter<'a> {
    Matter {
        operation,
        packs: &bucket.packs,
        classification: &head.object.classification,
        bucket: Some(&bucket.name),
        key: Some(request.key.as_str()),
        nodes: Vec::new(),
    }
}
