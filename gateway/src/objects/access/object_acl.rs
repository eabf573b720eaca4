//! Use cases: the access control list of an object.

use domicile_types::OperationKind;

use super::super::bucket::settle;
use super::super::error::Error;
use super::super::gateway::Gateway;
use super::super::request::{Caller, GetObject};
use super::super::writer::stamp;
use super::acl::AclView;
use super::rules::worth_keeping;
use super::stated::AclRequest;

impl Gateway {
    /// The object's access control list.
    pub async fn object_acl(&self, caller: &Caller, request: &GetObject) -> Result<AclView, Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:GetObjectAcl").await?;
        let (_, rules) = self.rules(&bucket.name).await?;
        let operation = OperationKind::HeadObject;
        settle(self.authorize_object(caller, operation, (&bucket, &head), &request.key).await?, true);
        let stored = if rules.acls_count() { head.object.protection.acl } else { None };
        Ok(AclView::of(stored, &bucket.owner))
    }

    /// Replaces the object's access control list. Whose the object is stays as it is.
    pub async fn set_object_acl(&self, caller: &Caller, request: &GetObject, asked: &AclRequest) -> Result<(), Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:PutObjectAcl").await?;
        let (_, rules) = self.rules(&bucket.name).await?;
        let present = head.object.protection.acl.as_ref().and_then(|acl| acl.owner.as_ref());
        let owner = present.filter(|_| rules.acls_count()).unwrap_or(&bucket.owner);
        let (operation, found) = (OperationKind::TagObject, (&bucket, &head));
        let acl = match rules.taken(asked, owner, &bucket.owner) {
            Ok(acl) => acl.and_then(|acl| worth_keeping(acl, &bucket.owner)),
            Err(why) => return Err(self.object_refusal(caller, operation, found, &request.key, why).await),
        };
        let intent = self.authorize_object(caller, operation, found, &request.key).await?;
        let version = Some(head.version.id());
        let set = self.catalog.set_object_acl(stamp(self, caller), &bucket, &request.key, version, acl).await;
        settle(intent, set.is_ok());
        Ok(set?)
    }
}
