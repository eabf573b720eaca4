//! ListObjectVersions.

use domicile_types::{ObjectKey, OperationKind};

use super::access::Wants;
use super::answer::{VersionPage, VersionView};
use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, ListVersions};
use super::rows::object_view;
use crate::catalog::{Bucket, ListVersionsQuery, ListedVersion};

impl Gateway {
    /// A page of the bucket's versions and delete markers.
    pub async fn list_versions(&self, caller: &Caller, request: ListVersions) -> Result<VersionPage, Error> {
        let wants = Wants::new("s3:ListBucketVersions").prefix(&request.prefix);
        let bucket = self.bucket_for(caller, &request.bucket, &wants).await?;
        let matter = Matter::of_bucket(OperationKind::ListObjects, &bucket).key(&request.prefix);
        let intent = self.authorize(caller, &matter).await?;
        let query = ListVersionsQuery {
            prefix: request.prefix.clone(),
            delimiter: request.delimiter,
            after: request.after,
            max_keys: request.keys_max,
        };
        let listed = self.catalog.list_versions(&bucket, query).await;
        settle(intent, listed.is_ok());
        let page = listed?;
        let next_version = page.next_version_marker;
        Ok(VersionPage {
            versions: page.versions.into_iter().filter_map(|listed| view(&bucket, listed)).collect(),
            common_prefixes: page.common_prefixes,
            next_after: page.next_key_marker.map(|key| (key, next_version)),
        })
    }
}

fn view(bucket: &Bucket, listed: ListedVersion) -> Option<VersionView> {
    let key = ObjectKey::parse(&listed.key).ok()?;
    Some(VersionView {
        version: listed.entry.version().id(),
        is_latest: listed.is_latest,
        modified: listed.entry.last_modified(),
        object: listed.entry.object().map(|head| object_view(bucket, &key, head)),
        key,
    })
}
