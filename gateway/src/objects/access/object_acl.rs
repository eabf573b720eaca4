//! Use cases: the access control list of an object.

use domicile_types::OperationKind;

use super::super::authorize::Matter;
use super::super::bucket::settle;
use super::super::error::Error;
use super::super::gateway::Gateway;
use super::super::request::{Caller, GetObject};
use super::acl::AclView;

impl Gateway {
    /// The object's access control list.
    pub async fn object_acl(&self, caller: &Caller, request: &GetObject) -> Result<AclView, Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:GetObjectAcl").await?;
        let matter = Matter {
            operation: OperationKind::HeadObject,
            packs: &bucket.packs,
            classification: &head.object.classification,
            bucket: Some(&bucket.name),
            key: Some(request.key.as_str()),
            nodes: Vec::new(),
        };
        settle(self.authorize(caller, &matter).await?, true);
        Ok(AclView::private(&bucket.owner))
    }
}
