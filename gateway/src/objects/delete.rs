//! DeleteObject and DeleteObjects: a marker where the bucket keeps versions; else the row, and with it the wrapped key, goes at
//! once. Shards are the sweeper's.

use domicile_types::{BucketName, OperationKind};

use super::access::Wants;
use super::answer::DeletedView;
use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, DeleteTarget};
use super::rows::etag_match;
use super::writer::stamp;
use crate::catalog::{Deletion, Preconditions};

impl Gateway {
    /// Deletes up to 1,000 objects or versions. That one is not there is no error. `bypass_governance`:
    /// `x-amz-bypass-governance-retention`, which counts only for those who may.
    pub async fn delete_objects(
        &self,
        caller: &Caller,
        name: &BucketName,
        targets: Vec<DeleteTarget>,
        bypass_governance: bool,
    ) -> Result<Vec<(DeleteTarget, Result<DeletedView, Error>)>, Error> {
        let admitted = self.at_the_gate(caller, name, false).await?;
        let mut allowed = Vec::with_capacity(targets.len());
        for target in &targets {
            let wants = Wants::new("s3:DeleteObject").key(&target.key).version(target.version);
            allowed.push(self.allows(&admitted, &wants).await?);
        }
        if allowed.iter().all(|allowed| !allowed) {
            return Ok(targets.into_iter().map(|target| (target, Err(Error::AccessDenied))).collect());
        }
        let bucket = &admitted.bucket;
        let key = match targets.as_slice() {
            [only] => Some(only.key.as_str()),
            _ => None,
        };
        let matter = Matter { key, ..Matter::of_bucket(OperationKind::DeleteObject, bucket) };
        let intent = self.authorize(caller, &matter).await?;
        let mut deletions = Vec::with_capacity(targets.len());
        for (target, _) in targets.iter().zip(&allowed).filter(|(_, allowed)| **allowed) {
            let bypass = Wants::new("s3:BypassGovernanceRetention").key(&target.key);
            let bypasses = bypass_governance && self.allows(&admitted, &bypass).await?;
            deletions.push(deletion(target, bypasses));
        }
        let deleted = self.catalog.delete_objects(stamp(self, caller), bucket, deletions).await;
        settle(intent, deleted.is_ok());
        let mut outcomes = deleted?.into_iter();
        let each = targets.into_iter().zip(allowed).map(|(target, allowed)| {
            let outcome = match allowed {
                true => outcomes.next().unwrap_or_else(|| Ok(Default::default())).map_err(Error::from),
                false => Err(Error::AccessDenied),
            };
            (target, outcome.map(|deleted| DeletedView { version: deleted.version, marker: deleted.marker }))
        });
        let each: Vec<(DeleteTarget, Result<DeletedView, Error>)> = each.collect();
        for (target, deleted) in each.iter().filter_map(|(target, outcome)| Some((target, outcome.as_ref().ok()?))) {
            // A marker is what a deletion leaves where nobody named a version.
            let marked = deleted.marker && target.version.is_none();
            let event = if marked { "ObjectRemoved:DeleteMarkerCreated" } else { "ObjectRemoved:Delete" };
            self.announce_change(caller, &bucket, &target.key, deleted.version, event).await;
        }
        Ok(each)
    }
}

fn deletion(target: &DeleteTarget, bypass_governance: bool) -> Deletion {
    Deletion {
        key: target.key.clone(),
        version: target.version,
        conditions: Preconditions {
            if_match: target.if_match.as_ref().map(etag_match),
            if_none_match: None,
            if_last_modified: target.if_modified_at,
            if_size: target.if_size,
        },
        bypass_governance,
    }
}
