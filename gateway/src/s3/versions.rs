//! Versioning of a bucket, and ListObjectVersions.

use s3s::dto::{
    BucketVersioningStatus, DeleteMarkerEntry, GetBucketVersioningInput, GetBucketVersioningOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, MFADelete, ObjectVersion, ObjectVersionStorageClass, Owner,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::headers::{etag, length, timestamp};
use super::listing::{Text, keys_max, non_empty, some};
use super::{Front, checksum, names};
use crate::catalog::{VersionMarker, Versioning};
use crate::objects::{ListVersions, ObjectView, VersionView};

impl Front {
    pub(super) async fn bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let caller = names::caller(&request)?;
        let view = self.gateway.bucket_versioning(&caller, &names::bucket(&request.input.bucket)?).await?;
        // A bucket that never had versioning says so by an empty document.
        let status = match view.versioning {
            Versioning::Never => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(S3Response::new(GetBucketVersioningOutput { mfa_delete: None, status }))
    }

    pub(super) async fn set_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let asked = input.versioning_configuration;
        if asked.mfa_delete.as_ref().is_some_and(|mfa| mfa.as_str() != MFADelete::DISABLED) {
            return Err(super::error::not_implemented("deletion with a second factor"));
        }
        let enabled = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => true,
            Some(BucketVersioningStatus::SUSPENDED) => false,
            Some(_) => return Err(S3Error::new(S3ErrorCode::MalformedXML)),
            None => {
                let message = "the configuration must say whether versioning is Enabled or Suspended";
                return Err(S3Error::with_message(S3ErrorCode::IllegalVersioningConfigurationException, message));
            }
        };
        self.gateway.set_versioning(&caller, &names::bucket(&input.bucket)?, enabled).await?;
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    pub(super) async fn list_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let keys_max = keys_max(input.max_keys)?;
        let list = ListVersions {
            bucket: names::bucket(&input.bucket)?,
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: non_empty(input.delimiter.clone()),
            after: after(input.key_marker.clone(), input.version_id_marker.clone())?,
            keys_max: usize::try_from(keys_max).unwrap_or_default(),
        };
        let page = self.gateway.list_versions(&caller, list).await?;
        let keys = page.versions.iter().map(|view| view.key.as_str());
        let text =
            Text::asked(input.encoding_type.as_ref(), keys.chain(page.common_prefixes.iter().map(String::as_str)))?;
        let owner = self.owner_of(&input.bucket).await?;
        let (objects, markers): (Vec<_>, Vec<_>) = page.versions.iter().partition(|view| view.object.is_some());
        let (next_key, next_version) = page.next_after.map_or((None, None), |(key, version)| (Some(key), version));
        Ok(S3Response::new(ListObjectVersionsOutput {
            common_prefixes: some(text.prefixes(&page.common_prefixes)),
            delete_markers: some(markers.into_iter().map(|view| marker(&text, view, owner.clone())).collect()),
            delimiter: non_empty(input.delimiter).map(|delimiter| text.write(&delimiter)),
            encoding_type: text.encoding(),
            is_truncated: Some(next_key.is_some()),
            key_marker: Some(text.write(input.key_marker.as_deref().unwrap_or_default())),
            max_keys: Some(keys_max),
            name: Some(input.bucket),
            next_key_marker: next_key.map(|key| text.write(&key)),
            next_version_id_marker: next_version,
            prefix: Some(text.write(input.prefix.as_deref().unwrap_or_default())),
            request_charged: None,
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            versions: some(objects.into_iter().filter_map(|view| version(&text, view, owner.clone())).collect()),
        }))
    }
}

/// Where the listing begins.
fn after(key: Option<String>, version: Option<String>) -> S3Result<Option<(String, Option<VersionMarker>)>> {
    let invalid = |message| S3Error::with_message(S3ErrorCode::InvalidArgument, message);
    let Some(key) = non_empty(key) else {
        return match non_empty(version) {
            Some(_) => Err(invalid("A version-id marker cannot be specified without a key marker.")),
            None => Ok(None),
        };
    };
    let marker = match non_empty(version) {
        Some(text) => Some(VersionMarker::parse(&text).ok_or_else(|| invalid("Invalid version id specified"))?),
        None => None,
    };
    Ok(Some((key, marker)))
}

fn version(text: &Text, view: &VersionView, owner: Owner) -> Option<ObjectVersion> {
    let object: &ObjectView = view.object.as_ref()?;
    let stored = object.checksum.as_ref();
    Some(ObjectVersion {
        checksum_algorithm: stored.map(|stored| vec![checksum::algorithm_dto(stored.checksum.algorithm)]),
        checksum_type: stored.map(|stored| checksum::type_dto(stored.composite_parts.is_none())),
        e_tag: Some(etag(object.etag.clone())),
        is_latest: Some(view.is_latest),
        key: Some(text.write(view.key.as_str())),
        last_modified: Some(timestamp(view.modified)),
        owner: Some(owner),
        restore_status: None,
        size: Some(length(object.size)),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        version_id: Some(view.version.to_string()),
    })
}

fn marker(text: &Text, view: &VersionView, owner: Owner) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(view.is_latest),
        key: Some(text.write(view.key.as_str())),
        last_modified: Some(timestamp(view.modified)),
        owner: Some(owner),
        version_id: Some(view.version.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_marker_needs_a_key_marker() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(after(None, None).unwrap(), None);
        assert_eq!(after(text(""), text("")).unwrap(), None);
        assert_eq!(after(text("k"), text("null")).unwrap(), Some(("k".to_owned(), Some(VersionMarker::Null))));
        assert!(after(None, text("null")).is_err());
        assert!(after(text("k"), text("not an id")).is_err());
    }
}
