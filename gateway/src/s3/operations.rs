//! Which S3 operations the gateway knows, and what each is in the words of the law and the log.
//!
//! An operation that is not in this table is refused with `NotImplemented` once its signature is verified, whatever the
//! protocol crate below would make of it: so no operation can reach data without a kind that a decision can name.

use domicile_types::OperationKind;

/// Every operation that is served, by its S3 name.
pub const OPERATIONS: &[(&str, OperationKind)] = &[
    ("AbortMultipartUpload", OperationKind::AbortMultipartUpload),
    ("CompleteMultipartUpload", OperationKind::CompleteMultipartUpload),
    ("CopyObject", OperationKind::CopyObject),
    ("CreateBucket", OperationKind::CreateBucket),
    ("CreateMultipartUpload", OperationKind::CreateMultipartUpload),
    ("DeleteBucket", OperationKind::DeleteBucket),
    ("DeleteBucketCors", OperationKind::ConfigureBucket),
    ("DeleteBucketEncryption", OperationKind::ConfigureBucket),
    ("DeleteBucketLifecycle", OperationKind::ConfigureBucket),
    ("DeleteBucketOwnershipControls", OperationKind::ConfigureBucket),
    ("DeleteBucketPolicy", OperationKind::ConfigureBucket),
    ("DeleteBucketTagging", OperationKind::ConfigureBucket),
    ("DeleteObject", OperationKind::DeleteObject),
    ("DeleteObjectTagging", OperationKind::TagObject),
    ("DeleteObjects", OperationKind::DeleteObject),
    ("DeletePublicAccessBlock", OperationKind::ConfigureBucket),
    ("GetBucketAccelerateConfiguration", OperationKind::HeadBucket),
    ("GetBucketAcl", OperationKind::HeadBucket),
    ("GetBucketAnalyticsConfiguration", OperationKind::HeadBucket),
    ("GetBucketCors", OperationKind::HeadBucket),
    ("GetBucketEncryption", OperationKind::HeadBucket),
    ("GetBucketIntelligentTieringConfiguration", OperationKind::HeadBucket),
    ("GetBucketInventoryConfiguration", OperationKind::HeadBucket),
    ("GetBucketLifecycleConfiguration", OperationKind::HeadBucket),
    ("GetBucketLocation", OperationKind::HeadBucket),
    ("GetBucketLogging", OperationKind::HeadBucket),
    ("GetBucketMetricsConfiguration", OperationKind::HeadBucket),
    ("GetBucketNotificationConfiguration", OperationKind::HeadBucket),
    ("GetBucketOwnershipControls", OperationKind::HeadBucket),
    ("GetBucketPolicy", OperationKind::HeadBucket),
    ("GetBucketPolicyStatus", OperationKind::HeadBucket),
    ("GetBucketReplication", OperationKind::HeadBucket),
    ("GetBucketRequestPayment", OperationKind::HeadBucket),
    ("GetBucketTagging", OperationKind::HeadBucket),
    ("GetBucketVersioning", OperationKind::HeadBucket),
    ("GetBucketWebsite", OperationKind::HeadBucket),
    ("GetObject", OperationKind::GetObject),
    ("GetObjectAcl", OperationKind::HeadObject),
    ("GetObjectAttributes", OperationKind::HeadObject),
    ("GetObjectLegalHold", OperationKind::HeadObject),
    ("GetObjectLockConfiguration", OperationKind::HeadBucket),
    ("GetObjectRetention", OperationKind::HeadObject),
    ("GetObjectTagging", OperationKind::HeadObject),
    ("GetPublicAccessBlock", OperationKind::HeadBucket),
    ("HeadBucket", OperationKind::HeadBucket),
    ("HeadObject", OperationKind::HeadObject),
    ("ListBucketAnalyticsConfigurations", OperationKind::HeadBucket),
    ("ListBucketIntelligentTieringConfigurations", OperationKind::HeadBucket),
    ("ListBucketInventoryConfigurations", OperationKind::HeadBucket),
    ("ListBucketMetricsConfigurations", OperationKind::HeadBucket),
    ("ListBuckets", OperationKind::ListBuckets),
    ("ListMultipartUploads", OperationKind::ListUploads),
    ("ListObjectVersions", OperationKind::ListObjects),
    ("ListObjects", OperationKind::ListObjects),
    ("ListObjectsV2", OperationKind::ListObjects),
    ("ListParts", OperationKind::ListUploads),
    ("PutBucketAcl", OperationKind::ConfigureBucket),
    ("PutBucketCors", OperationKind::ConfigureBucket),
    ("PutBucketEncryption", OperationKind::ConfigureBucket),
    ("PutBucketLifecycleConfiguration", OperationKind::ConfigureBucket),
    ("PutBucketLogging", OperationKind::ConfigureBucket),
    ("PutBucketNotificationConfiguration", OperationKind::ConfigureBucket),
    ("PutBucketOwnershipControls", OperationKind::ConfigureBucket),
    ("PutBucketPolicy", OperationKind::ConfigureBucket),
    ("PutBucketTagging", OperationKind::ConfigureBucket),
    ("PutBucketVersioning", OperationKind::ConfigureBucket),
    ("PutObject", OperationKind::PutObject),
    ("PutObjectAcl", OperationKind::TagObject),
    ("PutObjectLegalHold", OperationKind::TagObject),
    ("PutObjectLockConfiguration", OperationKind::ConfigureBucket),
    ("PutObjectRetention", OperationKind::TagObject),
    ("PutObjectTagging", OperationKind::TagObject),
    ("PutPublicAccessBlock", OperationKind::ConfigureBucket),
    ("UploadPart", OperationKind::UploadPart),
    ("UploadPartCopy", OperationKind::UploadPart),
];

/// Operations whose XML documents may be large: a thousand keys of 1,024 bytes, or ten thousand parts with checksums.
const LARGE_DOCUMENTS: [&str; 2] = ["CompleteMultipartUpload", "DeleteObjects"];

/// The longest XML document of an operation in [`LARGE_DOCUMENTS`], in bytes.
pub(super) const LARGE_DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest XML document of any other operation, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// What an operation is, by its S3 name; `None` where it is not served.
#[must_use]
pub fn operation_kind(name: &str) -> Option<OperationKind> {
    OPERATIONS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The longest XML document that an operation may send, in bytes.
pub(super) fn document_bytes_max(name: &str) -> usize {
    if LARGE_DOCUMENTS.contains(&name) { LARGE_DOCUMENT_BYTES_MAX } else { DOCUMENT_BYTES_MAX }
}

/// Whether an operation streams object bytes in, which have limits of their own.
pub(super) fn streams_in(name: &str) -> bool {
    matches!(name, "PutObject" | "UploadPart")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_named_once_and_sorted() {
        let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn the_walk_of_the_tour_asks_for_every_operation_and_expects_its_kind() {
        let walk = include_str!("../demo/tour/walk.py");
        for (name, kind) in OPERATIONS {
            let line = format!("    \"{name}\": {},", serde_json::to_string(kind).unwrap());
            assert!(walk.lines().any(|walked| walked == line), "the tour does not walk {name}: {line}");
        }
    }

    #[test]
    fn an_operation_that_is_not_served_has_no_kind() {
        assert_eq!(operation_kind("PutBucketWebsite"), None);
        assert_eq!(operation_kind("GetObject"), Some(OperationKind::GetObject));
    }

    /// The rows of the table below a heading of `docs/s3.md`: first two columns.
    fn documented(heading: &str) -> Vec<(String, String)> {
        let text = include_str!("../../../docs/s3.md");
        let (_, below) = text.split_once(&format!("\n## {heading}\n")).unwrap();
        let section = below.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        rows.map(|(name, rest)| (name.to_owned(), rest.split(" |").next().unwrap().trim().to_owned())).collect()
    }

    #[test]
    fn the_document_lists_what_is_served_and_how_it_is_decided_and_nothing_else() {
        let kind = |kind: OperationKind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
        let table: Vec<_> = OPERATIONS.iter().map(|(name, of)| ((*name).to_owned(), kind(*of))).collect();
        assert_eq!(documented("Served"), table);
        for (refused, _) in documented("Refused") {
            assert_eq!(operation_kind(&refused), None, "{refused} is served");
        }
    }
}
