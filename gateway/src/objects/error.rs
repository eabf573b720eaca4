//! Everything that can go wrong in a use case, in the words of S3; codes and statuses are `s3/error.rs`'s business.

use domicile_types::{Decision, PackId, RuleRef, UnixMillis};

use crate::catalog::VersionId;

/// A refusal by law, with all that HTTP 451 must tell.
#[derive(Debug, Clone)]
pub struct Denial {
    /// What decided. Its `rules` are those that denied.
    pub decision: Decision,
    /// Index of the attempt in this gateway's log.
    pub log_index: u64,
    /// In plain words: what was asked, by whom, and what would be needed.
    pub explanation: String,
}

impl Denial {
    /// The first rule that denied, for headers that hold one.
    #[must_use]
    pub fn rule(&self) -> Option<&RuleRef> {
        self.decision.rules.first()
    }
}

/// Why a use case refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A decision denied it (HTTP 451).
    #[error("refused by law: {}", .0.explanation)]
    Denied(Box<Denial>),
    /// Neither the bucket's owner nor let in by its policy or access control list.
    #[error("access denied: the bucket's owner, policy and access control lists do not allow it to these credentials")]
    AccessDenied,
    /// `x-amz-expected-bucket-owner` names another.
    #[error("the bucket has another owner than expected")]
    UnexpectedOwner,
    /// The bucket has no policy.
    #[error("the bucket has no policy")]
    NoSuchBucketPolicy,
    /// A policy that is none, or that asks for what is not honoured.
    #[error("{0}")]
    MalformedPolicy(String),
    /// The bucket has no public access block.
    #[error("the bucket has no public access block configuration")]
    NoSuchPublicAccessBlock,
    /// The bucket says nothing of who owns its objects.
    #[error("the bucket has no ownership controls")]
    NoOwnershipControls,
    /// The bucket has no access control lists.
    #[error("the bucket does not allow access control lists: its owner owns every object in it")]
    AclsDisabled,
    /// The bucket's list grants something to others, so that it cannot be made a bucket without lists.
    #[error("the bucket cannot have access control lists that grant something to others and be owner-enforced")]
    AclsInTheWay,
    /// The session's role does not hold where the requester is.
    #[error("{0}")]
    OutsideRole(String),
    /// The key's own limits (its user's policy, its role, its session's policy) do not allow it.
    #[error("{0}")]
    BeyondLimits(String),
    /// No such bucket.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// No such key.
    #[error("the key does not exist")]
    NoSuchKey,
    /// No version of that id.
    #[error("the version does not exist")]
    NoSuchVersion,
    /// What is asked for is a delete marker: the newest of its key, so that there is no object now, or named by its id.
    #[error("{}", if *.newest { "the key does not exist: its newest version is a delete marker" } else { "the version is a delete marker: it can be deleted, and nothing else" })]
    DeleteMarker {
        /// The marker's id.
        version: VersionId,
        /// When it was written.
        modified: UnixMillis,
        /// Whether it was found as the newest of its key.
        newest: bool,
    },
    /// Object lock forbids it.
    #[error("object lock protects the version: its retention has not ended, or a legal hold is on")]
    ObjectLocked,
    /// The bucket's state does not allow the change.
    #[error("{0}")]
    InvalidBucketState(&'static str),
    /// No such upload.
    #[error("the upload does not exist: it was completed, aborted, or never created")]
    NoSuchUpload,
    /// The keyring holds no key of that name.
    #[error("this gateway's keyring holds no key of that name: an operator declares names with kms_keys")]
    NoSuchKmsKey,
    /// The bucket has no tags.
    #[error("the bucket has no tags")]
    NoSuchTagSet,
    /// The bucket has no lifecycle configuration.
    #[error("the bucket has no lifecycle configuration")]
    NoSuchLifecycle,
    /// Versions of the bucket cannot be locked.
    #[error("object lock is not enabled for the bucket")]
    NoObjectLock,
    /// The version has no retention.
    #[error("the version has no retention")]
    NoRetention,
    /// The name belongs to another tenant.
    #[error("the bucket name is taken; choose another")]
    BucketAlreadyExists,
    /// The name is the caller's own bucket already.
    #[error("the bucket exists and is yours")]
    BucketAlreadyOwnedByYou,
    /// Objects, versions or delete markers are left in the bucket.
    #[error("the bucket is not empty: delete its objects first, with all their versions and delete markers")]
    BucketNotEmpty,
    /// `LocationConstraint` names no residency region.
    #[error("no residency region {region:?}; this gateway has: {known}")]
    UnknownRegion {
        /// What was asked for.
        region: String,
        /// What there is, joined by commas.
        known: String,
    },
    /// The packs leave too few nodes (HTTP 451 where law is the cause, else 503).
    #[error("{explanation}")]
    TooFewNodes {
        /// Rules, counts, and what would help.
        explanation: String,
        /// Whose rules leave too few; empty where law is not the cause.
        packs: Vec<PackId>,
    },
    /// A condition did not hold.
    #[error("the condition {condition} does not hold")]
    PreconditionFailed {
        /// The header.
        condition: &'static str,
    },
    /// A conditional read whose answer the client has already.
    #[error("not modified")]
    NotModified {
        /// The current tag, without quotes.
        etag: String,
    },
    /// The range lies outside the object.
    #[error("the range is outside the object of {size} bytes")]
    InvalidRange {
        /// The object's size.
        size: u64,
    },
    /// A part number outside 1 to 10,000, or a part that was not uploaded or has another tag.
    #[error("part {part_number} was not uploaded, or its entity tag differs")]
    InvalidPart {
        /// Which.
        part_number: u32,
    },
    /// Parts not in ascending order.
    #[error("the parts are not in ascending order of their numbers")]
    InvalidPartOrder,
    /// A part other than the last is under 5 MiB.
    #[error("part {part_number} has {size} bytes; every part but the last needs 5 MiB")]
    EntityTooSmall {
        /// Which.
        part_number: u32,
        /// Its size.
        size: u64,
    },
    /// Larger than S3 allows.
    #[error("the body is larger than {limit} bytes")]
    EntityTooLarge {
        /// The limit that was passed.
        limit: u64,
    },
    /// The body was shorter than declared, or the client left.
    #[error("the body ended after {received} bytes, before its declared end")]
    IncompleteBody {
        /// What came.
        received: u64,
    },
    /// A chunk signature is wrong.
    #[error("a chunk of the body does not bear the signature that it should")]
    BodySignature,
    /// `Content-MD5`, `x-amz-content-sha256` or a checksum does not match. Nothing was stored.
    #[error("the body does not match its {claim}; nothing was stored")]
    BadDigest {
        /// Which claim.
        claim: &'static str,
    },
    /// A document says what its kind of document cannot say.
    #[error("{0}")]
    MalformedDocument(String),
    /// The bucket that access logs are to go to cannot take them.
    #[error("{0}")]
    InvalidLogTarget(String),
    /// A value in the request is wrong in a way that only the use case can see.
    #[error("{0}")]
    InvalidRequest(String),
    /// An argument's value is wrong.
    #[error("{0}")]
    InvalidArgument(String),
    /// Tags break S3's or the classification's rules.
    #[error("{0}")]
    InvalidTag(String),
    /// Too busy, or a part of the fleet is not reachable: try again (HTTP 503). Nothing was acknowledged.
    #[error("{0}; nothing was acknowledged, try again")]
    Unavailable(String),
    /// The audit log takes no entries, so nothing may be read or written (HTTP 503).
    #[error("the audit log takes no entries, so nothing may be read or written")]
    LogUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Too few good shards are left to read the object.
    #[error("the object cannot be read: {0}")]
    Unreadable(String),
    /// Our fault.
    #[error("internal error while {doing}")]
    Internal {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
