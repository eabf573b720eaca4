//! Listings of objects and uploads: sorted by UTF-8 bytes, a page at a time.

use domicile_types::{ObjectKey, OperationKind};

use super::access::Wants;
use super::answer::{ObjectPage, ObjectView, UploadPage, UploadView};
use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, ListObjects, ListUploads, ObjectHeaders};
use super::rows::shown_algorithm;
use crate::catalog::{ListQuery, ListStart, ListUploadsQuery, ListedObject, Protection};

impl Gateway {
    /// A page of the bucket's objects: ListObjects v1 and v2.
    pub async fn list_objects(&self, caller: &Caller, request: ListObjects) -> Result<ObjectPage, Error> {
        let bucket =
            self.bucket_for(caller, &request.bucket, &Wants::new("s3:ListBucket").prefix(&request.prefix)).await?;
        let matter = Matter::of_bucket(OperationKind::ListObjects, &bucket).key(&request.prefix);
        let intent = self.authorize(caller, &matter).await?;
        if request.keys_max == 0 {
            settle(intent, true);
            return Ok(ObjectPage::default());
        }
        let query = ListQuery {
            prefix: request.prefix.clone(),
            delimiter: request.delimiter,
            start: request.after.map_or(ListStart::Beginning, ListStart::After),
            max_keys: request.keys_max,
        };
        let listed = self.catalog.list_objects(&bucket, query).await;
        settle(intent, listed.is_ok());
        let page = listed?;
        Ok(ObjectPage {
            objects: page.objects.into_iter().filter_map(object).collect(),
            common_prefixes: page.common_prefixes,
            next_after: page.next_marker.filter(|_| page.truncated),
        })
    }

    /// A page of the bucket's uploads in progress.
    pub async fn list_uploads(&self, caller: &Caller, request: ListUploads) -> Result<UploadPage, Error> {
        let bucket = self
            .bucket_for(caller, &request.bucket, &Wants::new("s3:ListBucketMultipartUploads").prefix(&request.prefix))
            .await?;
        let matter = Matter::of_bucket(OperationKind::ListUploads, &bucket).key(&request.prefix);
        let intent = self.authorize(caller, &matter).await?;
        let query = ListUploadsQuery {
            prefix: request.prefix.clone(),
            delimiter: request.delimiter,
            after: request.key_after.map(|key| (key, request.upload_after)),
            max_uploads: request.uploads_max,
        };
        let listed = self.catalog.list_uploads(&bucket, query).await;
        settle(intent, listed.is_ok());
        let page = listed?;
        let uploads = page.uploads.into_iter().map(|(key, upload)| UploadView {
            key,
            upload: upload.new.upload,
            initiated: upload.initiated,
            checksum_algorithm: upload.new.checksum.map(|(algorithm, _)| shown_algorithm(algorithm)),
        });
        Ok(UploadPage {
            uploads: uploads.collect(),
            common_prefixes: page.common_prefixes,
            next_after: page.next_key_marker.filter(|_| page.truncated).map(|key| (key, page.next_upload_marker)),
        })
    }
}

/// A listed object has what listings show; headers, tags and parts are for HEAD.
fn object(listed: ListedObject) -> Option<ObjectView> {
    Some(ObjectView {
        key: ObjectKey::parse(&listed.key).ok()?,
        version: None,
        size: listed.size,
        etag: listed.etag,
        modified: listed.last_modified,
        headers: ObjectHeaders::default(),
        checksum: None,
        tag_count: 0,
        parts_count: None,
        protection: Protection::default(),
        expiring: None,
    })
}
