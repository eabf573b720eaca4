//! The protocol crate's trait, one line per operation; each family's file does the work.

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::Front;

/// Forwards a trait method to the method of [`Front`] that does it.
macro_rules! operations {
    ($($method:ident, $input:ident -> $output:ident => $work:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Front {
            $(
                async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    self.$work(request).await
                }
            )*
        }

        /// The methods that are forwarded.
        #[cfg(test)]
        const METHODS: &[&str] = &[$(stringify!($method)),*];
    };
}

operations! {
    abort_multipart_upload, AbortMultipartUploadInput -> AbortMultipartUploadOutput => abort;
    complete_multipart_upload, CompleteMultipartUploadInput -> CompleteMultipartUploadOutput => complete;
    copy_object, CopyObjectInput -> CopyObjectOutput => copy;
    create_bucket, CreateBucketInput -> CreateBucketOutput => make_bucket;
    create_multipart_upload, CreateMultipartUploadInput -> CreateMultipartUploadOutput => create;
    delete_bucket, DeleteBucketInput -> DeleteBucketOutput => remove_bucket;
    delete_bucket_cors, DeleteBucketCorsInput -> DeleteBucketCorsOutput => remove_bucket_cors;
    delete_bucket_encryption, DeleteBucketEncryptionInput -> DeleteBucketEncryptionOutput => remove_default_encryption;
    delete_bucket_lifecycle, DeleteBucketLifecycleInput -> DeleteBucketLifecycleOutput => delete_lifecycle;
    delete_bucket_ownership_controls, DeleteBucketOwnershipControlsInput -> DeleteBucketOwnershipControlsOutput => remove_ownership_controls;
    delete_bucket_policy, DeleteBucketPolicyInput -> DeleteBucketPolicyOutput => remove_policy;
    delete_bucket_tagging, DeleteBucketTaggingInput -> DeleteBucketTaggingOutput => untag_bucket;
    delete_object, DeleteObjectInput -> DeleteObjectOutput => delete;
    delete_object_tagging, DeleteObjectTaggingInput -> DeleteObjectTaggingOutput => untag_object;
    delete_objects, DeleteObjectsInput -> DeleteObjectsOutput => delete_many;
    delete_public_access_block, DeletePublicAccessBlockInput -> DeletePublicAccessBlockOutput => remove_access_block;
    get_bucket_accelerate_configuration, GetBucketAccelerateConfigurationInput -> GetBucketAccelerateConfigurationOutput => acceleration;
    get_bucket_acl, GetBucketAclInput -> GetBucketAclOutput => bucket_acl;
    get_bucket_analytics_configuration, GetBucketAnalyticsConfigurationInput -> GetBucketAnalyticsConfigurationOutput => one_analysis;
    get_bucket_cors, GetBucketCorsInput -> GetBucketCorsOutput => bucket_cors;
    get_bucket_encryption, GetBucketEncryptionInput -> GetBucketEncryptionOutput => default_encryption;
    get_bucket_intelligent_tiering_configuration, GetBucketIntelligentTieringConfigurationInput -> GetBucketIntelligentTieringConfigurationOutput => one_tiering;
    get_bucket_inventory_configuration, GetBucketInventoryConfigurationInput -> GetBucketInventoryConfigurationOutput => one_inventory;
    get_bucket_lifecycle_configuration, GetBucketLifecycleConfigurationInput -> GetBucketLifecycleConfigurationOutput => lifecycle;
    get_bucket_location, GetBucketLocationInput -> GetBucketLocationOutput => bucket_location;
    get_bucket_logging, GetBucketLoggingInput -> GetBucketLoggingOutput => access_logging;
    get_bucket_metrics_configuration, GetBucketMetricsConfigurationInput -> GetBucketMetricsConfigurationOutput => one_metric;
    get_bucket_notification_configuration, GetBucketNotificationConfigurationInput -> GetBucketNotificationConfigurationOutput => notifications;
    get_bucket_ownership_controls, GetBucketOwnershipControlsInput -> GetBucketOwnershipControlsOutput => ownership_controls;
    get_bucket_policy, GetBucketPolicyInput -> GetBucketPolicyOutput => policy;
    get_bucket_policy_status, GetBucketPolicyStatusInput -> GetBucketPolicyStatusOutput => policy_status;
    get_bucket_replication, GetBucketReplicationInput -> GetBucketReplicationOutput => replication;
    get_bucket_request_payment, GetBucketRequestPaymentInput -> GetBucketRequestPaymentOutput => payer;
    get_bucket_tagging, GetBucketTaggingInput -> GetBucketTaggingOutput => tags_of_bucket;
    get_bucket_versioning, GetBucketVersioningInput -> GetBucketVersioningOutput => bucket_versioning;
    get_bucket_website, GetBucketWebsiteInput -> GetBucketWebsiteOutput => website;
    get_object, GetObjectInput -> GetObjectOutput => get;
    get_object_acl, GetObjectAclInput -> GetObjectAclOutput => object_acl;
    get_object_attributes, GetObjectAttributesInput -> GetObjectAttributesOutput => attributes;
    get_object_legal_hold, GetObjectLegalHoldInput -> GetObjectLegalHoldOutput => legal_hold;
    get_object_lock_configuration, GetObjectLockConfigurationInput -> GetObjectLockConfigurationOutput => object_lock;
    get_object_retention, GetObjectRetentionInput -> GetObjectRetentionOutput => retention;
    get_object_tagging, GetObjectTaggingInput -> GetObjectTaggingOutput => tags_of_object;
    get_public_access_block, GetPublicAccessBlockInput -> GetPublicAccessBlockOutput => access_block;
    head_bucket, HeadBucketInput -> HeadBucketOutput => bucket_head;
    head_object, HeadObjectInput -> HeadObjectOutput => head;
    list_bucket_analytics_configurations, ListBucketAnalyticsConfigurationsInput -> ListBucketAnalyticsConfigurationsOutput => analyses;
    list_bucket_intelligent_tiering_configurations, ListBucketIntelligentTieringConfigurationsInput -> ListBucketIntelligentTieringConfigurationsOutput => tierings;
    list_bucket_inventory_configurations, ListBucketInventoryConfigurationsInput -> ListBucketInventoryConfigurationsOutput => inventories;
    list_bucket_metrics_configurations, ListBucketMetricsConfigurationsInput -> ListBucketMetricsConfigurationsOutput => metrics;
    list_buckets, ListBucketsInput -> ListBucketsOutput => all_buckets;
    list_multipart_uploads, ListMultipartUploadsInput -> ListMultipartUploadsOutput => uploads;
    list_object_versions, ListObjectVersionsInput -> ListObjectVersionsOutput => list_versions;
    list_objects, ListObjectsInput -> ListObjectsOutput => list_v1;
    list_objects_v2, ListObjectsV2Input -> ListObjectsV2Output => list_v2;
    list_parts, ListPartsInput -> ListPartsOutput => parts;
    put_bucket_acl, PutBucketAclInput -> PutBucketAclOutput => set_bucket_acl;
    put_bucket_cors, PutBucketCorsInput -> PutBucketCorsOutput => set_bucket_cors;
    put_bucket_encryption, PutBucketEncryptionInput -> PutBucketEncryptionOutput => set_default_encryption;
    put_bucket_lifecycle_configuration, PutBucketLifecycleConfigurationInput -> PutBucketLifecycleConfigurationOutput => set_lifecycle;
    put_bucket_logging, PutBucketLoggingInput -> PutBucketLoggingOutput => set_access_logging;
    put_bucket_notification_configuration, PutBucketNotificationConfigurationInput -> PutBucketNotificationConfigurationOutput => set_notifications;
    put_bucket_ownership_controls, PutBucketOwnershipControlsInput -> PutBucketOwnershipControlsOutput => set_ownership_controls;
    put_bucket_policy, PutBucketPolicyInput -> PutBucketPolicyOutput => set_policy;
    put_bucket_tagging, PutBucketTaggingInput -> PutBucketTaggingOutput => tag_bucket;
    put_bucket_versioning, PutBucketVersioningInput -> PutBucketVersioningOutput => set_versioning;
    put_object, PutObjectInput -> PutObjectOutput => put;
    put_object_acl, PutObjectAclInput -> PutObjectAclOutput => set_object_acl;
    put_object_legal_hold, PutObjectLegalHoldInput -> PutObjectLegalHoldOutput => set_legal_hold;
    put_object_lock_configuration, PutObjectLockConfigurationInput -> PutObjectLockConfigurationOutput => set_object_lock;
    put_object_retention, PutObjectRetentionInput -> PutObjectRetentionOutput => set_retention;
    put_object_tagging, PutObjectTaggingInput -> PutObjectTaggingOutput => tag_object;
    put_public_access_block, PutPublicAccessBlockInput -> PutPublicAccessBlockOutput => set_access_block;
    upload_part, UploadPartInput -> UploadPartOutput => part;
    upload_part_copy, UploadPartCopyInput -> UploadPartCopyOutput => part_copy;
}

#[cfg(test)]
mod tests {
    use super::super::operations::OPERATIONS;
    use super::METHODS;

    /// `ListObjectsV2` is `list_objects_v2`.
    fn method(operation: &str) -> String {
        operation.chars().fold(String::new(), |mut name, c| {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
            name
        })
    }

    #[test]
    fn every_operation_of_the_table_is_served_and_no_other() {
        let named: Vec<String> = OPERATIONS.iter().map(|(name, _)| method(name)).collect();
        assert_eq!(named.len(), METHODS.len());
        for served in METHODS {
            assert!(named.iter().any(|name| name == served), "{served} has no kind");
        }
    }
}
