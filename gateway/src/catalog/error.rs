//! What catalog operations answer when they do not do what was asked. One type, as S3 has one table of error codes.

use domicile_types::BucketName;

use super::judging::JudgingEpoch;
use super::version::DeleteMarker;
use crate::state::{DecodeError, LeaseError, StoreError};

/// Why an operation did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No bucket of that name, or not the same one any more.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// Its name.
        bucket: BucketName,
    },
    /// Somebody else has the name.
    #[error("bucket name {bucket} is taken by another owner: names are global, choose another")]
    BucketAlreadyExists {
        /// The name.
        bucket: BucketName,
    },
    /// The same tenant has it already.
    #[error("bucket {bucket} exists and is yours")]
    BucketAlreadyOwnedByYou {
        /// The name.
        bucket: BucketName,
    },
    /// It still holds objects.
    #[error("bucket {bucket} still holds objects: delete them first")]
    BucketNotEmpty {
        /// Its name.
        bucket: BucketName,
    },
    /// The bucket's packs, tags or default classification changed while the operation ran.
    #[error("the rules of bucket {bucket} changed meanwhile: decide and place again")]
    PolicyChanged {
        /// Its name.
        bucket: BucketName,
    },
    /// Packs, location databases or nodes changed since the operation was judged.
    #[error("what the law says, or of whom, changed meanwhile: judge and place again")]
    JudgedBefore {
        /// What to judge by now.
        now: JudgingEpoch,
    },
    /// No current object at that key.
    #[error("there is no object at that key")]
    NoSuchKey,
    /// No version of that id at that key.
    #[error("there is no such version of the object")]
    NoSuchVersion,
    /// What was asked for is a delete marker, which has nothing to read or change.
    #[error("that version of the object is a delete marker")]
    DeleteMarker {
        /// The marker.
        marker: DeleteMarker,
        /// Whether it was found as the newest of its key, rather than named by its id.
        newest: bool,
    },
    /// A legal hold or a retention that has not ended forbids it.
    #[error("object lock protects this version: its retention has not ended, or a legal hold is on")]
    ObjectLocked,
    /// The bucket's state does not allow the change.
    #[error("{what}")]
    InvalidBucketState {
        /// What is in the way.
        what: &'static str,
    },
    /// Records of the fleet changed since they were read.
    #[error("the fleet's records changed meanwhile: read them again, and decide again")]
    FleetChanged,
    /// An approval is not what the change was decided on.
    #[error("the approval changed meanwhile: look at it, and decide again")]
    ApprovalChanged,
    /// None of that id.
    #[error("there is no such approval")]
    NoSuchApproval,
    /// What must hold of an approval does not.
    #[error(transparent)]
    Approval(#[from] crate::approvals::Refusal),
    /// No multipart upload of that id at that key: never begun, completed, or aborted.
    #[error("there is no such multipart upload: it was never begun, or is completed or aborted")]
    NoSuchUpload,
    /// An If-Match or If-None-Match condition did not hold when the change would have been made.
    #[error("the object is not in the state that the request requires")]
    PreconditionFailed,
    /// A completion without parts.
    #[error("a completion must name at least one part")]
    NoParts,
    /// Part numbers out of order or twice.
    #[error("part {number} does not follow in ascending order")]
    InvalidPartOrder {
        /// The part that broke the order.
        number: u16,
    },
    /// A part that was not uploaded, or whose ETag or checksum is another.
    #[error("part {number} was not uploaded, or its ETag or checksum is another")]
    InvalidPart {
        /// The part.
        number: u16,
    },
    /// A part, not the last, below 5 MiB.
    #[error("part {number} has {bytes} bytes: every part but the last has at least {minimum}")]
    EntityTooSmall {
        /// The part.
        number: u16,
        /// Its size.
        bytes: u64,
        /// The least.
        minimum: u64,
    },
    /// An object beyond the largest.
    #[error("an object of {bytes} bytes is larger than the {maximum} that one may have")]
    EntityTooLarge {
        /// The size it would have.
        bytes: u64,
        /// The most.
        maximum: u64,
    },
    /// A part number outside 1 to 10,000.
    #[error("part number {number} is not from 1 to 10000")]
    PartNumberOutOfRange {
        /// The number.
        number: u32,
    },
    /// The put was swept, abandoned, or committed already.
    #[error("this upload is not in progress any more: it was abandoned or swept; send the body again")]
    NotPending,
    /// A continuation token that this catalog did not make for this listing.
    #[error("the continuation token was not made for this listing: begin it anew")]
    InvalidToken,
    /// Something is larger than a row may hold.
    #[error("{what} of {bytes} bytes exceeds the {maximum} that fit")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most.
        maximum: usize,
    },
    /// What the caller hands over contradicts itself. A fault of this program.
    #[error("the catalog was handed something that cannot be: {what}")]
    Inconsistent {
        /// What.
        what: &'static str,
    },
    /// The lease under which the work was done is lost.
    #[error("background work lost its lease")]
    Lease(#[source] LeaseError),
    /// A tenant, user, access key or role of that name is there already.
    #[error("there is one of that name already")]
    IdentityExists,
    /// There is none of that name.
    #[error("there is no tenant, user, access key or role of that name")]
    NoSuchIdentity,
    /// A tenant that has users, keys, roles or buckets; a user that has keys.
    #[error("it is in use: remove its buckets, users, roles and keys first")]
    IdentityInUse,
    /// A proposal of a pack stays as it is.
    #[error(transparent)]
    Proposal(super::ProposalFault),
    /// The store failed.
    #[error("the catalog could not be read or written")]
    Store(#[from] StoreError),
    /// The thread that ran the transaction ended early: the program is shutting down.
    #[error("the gateway is shutting down: try again elsewhere")]
    ShuttingDown,
}

impl From<DecodeError> for CatalogError {
    fn from(error: DecodeError) -> Self {
        Self::Store(error.into())
    }
}

impl From<LeaseError> for CatalogError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Store(error) => Self::Store(error),
            lease => Self::Lease(lease),
        }
    }
}
