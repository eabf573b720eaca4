//! The actions that policies may name, and what each is about.

/// What an action is about, which is what a statement's resources must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// No bucket in particular.
    Account,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// Every action that a policy may name. Those of operations that the gateway refuses as not implemented stand here too where
/// clients' policies commonly name them: nobody can do them, so to allow or deny them is honoured.
const ACTIONS: &[(&str, Scope)] = &[
    ("s3:AbortMultipartUpload", Scope::Object),
    ("s3:BypassGovernanceRetention", Scope::Object),
    ("s3:CreateBucket", Scope::Bucket),
    ("s3:DeleteBucket", Scope::Bucket),
    ("s3:DeleteBucketOwnershipControls", Scope::Bucket),
    ("s3:DeleteBucketPolicy", Scope::Bucket),
    ("s3:DeleteBucketWebsite", Scope::Bucket),
    ("s3:DeleteObject", Scope::Object),
    ("s3:DeleteObjectTagging", Scope::Object),
    ("s3:DeleteObjectVersion", Scope::Object),
    ("s3:DeleteObjectVersionTagging", Scope::Object),
    ("s3:GetAccelerateConfiguration", Scope::Bucket),
    ("s3:GetAnalyticsConfiguration", Scope::Bucket),
    ("s3:GetBucketAcl", Scope::Bucket),
    ("s3:GetBucketCORS", Scope::Bucket),
    ("s3:GetBucketLocation", Scope::Bucket),
    ("s3:GetBucketLogging", Scope::Bucket),
    ("s3:GetBucketNotification", Scope::Bucket),
    ("s3:GetBucketObjectLockConfiguration", Scope::Bucket),
    ("s3:GetBucketOwnershipControls", Scope::Bucket),
    ("s3:GetBucketPolicy", Scope::Bucket),
    ("s3:GetBucketPolicyStatus", Scope::Bucket),
    ("s3:GetBucketPublicAccessBlock", Scope::Bucket),
    ("s3:GetBucketRequestPayment", Scope::Bucket),
    ("s3:GetBucketTagging", Scope::Bucket),
    ("s3:GetBucketVersioning", Scope::Bucket),
    ("s3:GetBucketWebsite", Scope::Bucket),
    ("s3:GetEncryptionConfiguration", Scope::Bucket),
    ("s3:GetIntelligentTieringConfiguration", Scope::Bucket),
    ("s3:GetInventoryConfiguration", Scope::Bucket),
    ("s3:GetLifecycleConfiguration", Scope::Bucket),
    ("s3:GetMetricsConfiguration", Scope::Bucket),
    ("s3:GetObject", Scope::Object),
    ("s3:GetObjectAcl", Scope::Object),
    ("s3:GetObjectAttributes", Scope::Object),
    ("s3:GetObjectLegalHold", Scope::Object),
    ("s3:GetObjectRetention", Scope::Object),
    ("s3:GetObjectTagging", Scope::Object),
    ("s3:GetObjectTorrent", Scope::Object),
    ("s3:GetObjectVersion", Scope::Object),
    ("s3:GetObjectVersionAcl", Scope::Object),
    ("s3:GetObjectVersionAttributes", Scope::Object),
    ("s3:GetObjectVersionForReplication", Scope::Object),
    ("s3:GetObjectVersionTagging", Scope::Object),
    ("s3:GetObjectVersionTorrent", Scope::Object),
    ("s3:GetReplicationConfiguration", Scope::Bucket),
    ("s3:ListAllMyBuckets", Scope::Account),
    ("s3:ListBucket", Scope::Bucket),
    ("s3:ListBucketMultipartUploads", Scope::Bucket),
    ("s3:ListBucketVersions", Scope::Bucket),
    ("s3:ListMultipartUploadParts", Scope::Object),
    ("s3:ObjectOwnerOverrideToBucketOwner", Scope::Object),
    ("s3:PutAccelerateConfiguration", Scope::Bucket),
    ("s3:PutAnalyticsConfiguration", Scope::Bucket),
    ("s3:PutBucketAcl", Scope::Bucket),
    ("s3:PutBucketCORS", Scope::Bucket),
    ("s3:PutBucketLogging", Scope::Bucket),
    ("s3:PutBucketNotification", Scope::Bucket),
    ("s3:PutBucketObjectLockConfiguration", Scope::Bucket),
    ("s3:PutBucketOwnershipControls", Scope::Bucket),
    ("s3:PutBucketPolicy", Scope::Bucket),
    ("s3:PutBucketPublicAccessBlock", Scope::Bucket),
    ("s3:PutBucketRequestPayment", Scope::Bucket),
    ("s3:PutBucketTagging", Scope::Bucket),
    ("s3:PutBucketVersioning", Scope::Bucket),
    ("s3:PutBucketWebsite", Scope::Bucket),
    ("s3:PutEncryptionConfiguration", Scope::Bucket),
    ("s3:PutIntelligentTieringConfiguration", Scope::Bucket),
    ("s3:PutInventoryConfiguration", Scope::Bucket),
    ("s3:PutLifecycleConfiguration", Scope::Bucket),
    ("s3:PutMetricsConfiguration", Scope::Bucket),
    ("s3:PutObject", Scope::Object),
    ("s3:PutObjectAcl", Scope::Object),
    ("s3:PutObjectLegalHold", Scope::Object),
    ("s3:PutObjectRetention", Scope::Object),
    ("s3:PutObjectTagging", Scope::Object),
    ("s3:PutObjectVersionAcl", Scope::Object),
    ("s3:PutObjectVersionTagging", Scope::Object),
    ("s3:PutReplicationConfiguration", Scope::Bucket),
    ("s3:ReplicateDelete", Scope::Object),
    ("s3:ReplicateObject", Scope::Object),
    ("s3:ReplicateTags", Scope::Object),
    ("s3:RestoreObject", Scope::Object),
];

/// Actions whose name differs where the request names a version.
const OF_VERSIONS: &[(&str, &str)] = &[
    ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    ("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
    ("s3:GetObject", "s3:GetObjectVersion"),
    ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
    ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
    ("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
];

/// What an action is about; `None` where there is no such action.
#[must_use]
pub fn scope_of(action: &str) -> Option<Scope> {
    ACTIONS.iter().find(|(name, _)| *name == action).map(|(_, scope)| *scope)
}

/// The action's name where the request names a version.
#[must_use]
pub fn version_action(action: &'static str) -> &'static str {
    OF_VERSIONS.iter().find(|(name, _)| *name == action).map_or(action, |(_, of_version)| of_version)
}

/// All actions.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Scope)> {
    ACTIONS.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_sorted_and_those_of_versions_are_among_them() {
        assert!(ACTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, of_version) in OF_VERSIONS {
            assert_eq!(scope_of(name), Some(Scope::Object));
            assert_eq!(scope_of(of_version), Some(Scope::Object));
        }
        assert_eq!(version_action("s3:GetObject"), "s3:GetObjectVersion");
        assert_eq!(version_action("s3:PutObject"), "s3:PutObject");
    }
}
