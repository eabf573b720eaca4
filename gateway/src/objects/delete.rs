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
        let bucket = self.bucket_for(caller, name, &Wants::new("s3:DeleteObject")).await?;
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
        let objects = targets.iter().filter(|target| is_current(target)).map(|target| {
            let if_match = target.if_match.as_ref().map(etag_match);
            (target.key.clone(), Preconditions { if_match, ..Preconditions::default() })
        });
        let deleted = self.catalog.delete_objects(stamp(self, caller), &bucket, objects.collect()).await;
        settle(intent, deleted.is_ok());
        let mut outcomes = deleted?.into_iter();
        let each = targets.into_iter().map(|target| {
            let outcome = match is_current(&target) {
                true => outcomes.next().map_or(Ok(()), |outcome| outcome.map(drop).map_err(Error::from)),
                false => Err(Error::NoSuchVersion),
            };
            (target, outcome)
        });
        Ok(each.collect())
    }
}

fn is_current(target: &DeleteTarget) -> bool {
    target.version.as_deref().is_none_or(|version| version == super::put::VERSION_NULL)
}
