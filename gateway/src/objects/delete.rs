//! DeleteObject and DeleteObjects: the row, and with it the wrapped key, goes at once; the shards are the sweeper's.

use domicile_types::{BucketName, OperationKind};

use super::access::Wants;
use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, DeleteTarget};
use super::rows::etag_match;
use super::writer::stamp;
use crate::catalog::Preconditions;

impl Gateway {
    /// Deletes up to 1,000 objects. That one is not there is no error.
    pub async fn delete_objects(
        &self,
        caller: &Caller,
        name: &BucketName,
        targets: Vec<DeleteTarget>,
    ) -> Result<Vec<(DeleteTarget, Result<(), Error>)>, Error> {
        let admitted = self.at_the_gate(caller, name, false).await?;
        let mut allowed = Vec::with_capacity(targets.len());
        for target in &targets {
            let wants = Wants::new("s3:DeleteObject").key(&target.key).version(target.version.as_deref());
            allowed.push(self.allows(&admitted, &wants).await?);
        }
        if allowed.iter().all(|allowed| !allowed) {
            return Err(Error::AccessDenied);
        }
        let bucket = admitted.bucket;
        let key = match targets.as_slice() {
            [only] => Some(only.key.as_str()),
            _ => None,
        };
        let matter = Matter {
            operation: OperationKind::DeleteObject,
            packs: &bucket.packs,
            classification: &bucket.classification,
            bucket: Some(&bucket.name),
            key,
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let objects = targets.iter().zip(&allowed).filter(|(target, allowed)| **allowed && is_current(target)).map(|(target, _)| {
            let if_match = target.if_match.as_ref().map(etag_match);
            (target.key.clone(), Preconditions { if_match, ..Preconditions::default() })
        });
        let deleted = self.catalog.delete_objects(stamp(self, caller), &bucket, objects.collect()).await;
        settle(intent, deleted.is_ok());
        let mut outcomes = deleted?.into_iter();
        let each = targets.into_iter().zip(allowed).map(|(target, allowed)| {
            let outcome = match (allowed, is_current(&target)) {
                (true, true) => outcomes.next().map_or(Ok(()), |outcome| outcome.map(drop).map_err(Error::from)),
                (true, false) => Err(Error::NoSuchVersion),
                (false, _) => Err(Error::AccessDenied),
            };
            (target, outcome)
        });
        Ok(each.collect())
    }
}

fn is_current(target: &DeleteTarget) -> bool {
    target.version.as_deref().is_none_or(|version| version == super::put::VERSION_NULL)
}
