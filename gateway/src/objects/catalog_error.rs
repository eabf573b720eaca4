//! What the catalog says, in the words of the use cases.

use super::error::Error;
use super::intake::internal;
use crate::catalog::CatalogError;
use crate::state::StoreError;

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NoSuchBucket { .. } => Self::NoSuchBucket,
            CatalogError::BucketAlreadyExists { .. } => Self::BucketAlreadyExists,
            CatalogError::BucketAlreadyOwnedByYou { .. } => Self::BucketAlreadyOwnedByYou,
            CatalogError::BucketNotEmpty { .. } => Self::BucketNotEmpty,
            CatalogError::PolicyChanged { .. } | CatalogError::JudgedBefore { .. } => {
                Self::Unavailable("the bucket's rules changed while the object was being stored".to_owned())
            }
            CatalogError::NoSuchKey => Self::NoSuchKey,
            CatalogError::NoSuchVersion => Self::NoSuchVersion,
            CatalogError::DeleteMarker { marker, newest } => {
                Self::DeleteMarker { version: marker.version.id(), modified: marker.last_modified, newest }
            }
            CatalogError::ObjectLocked => Self::ObjectLocked,
            CatalogError::InvalidBucketState { what } => Self::InvalidBucketState(what),
            CatalogError::NoSuchUpload => Self::NoSuchUpload,
            CatalogError::PreconditionFailed => {
                Self::PreconditionFailed { condition: "on the object that is there now" }
            }
            CatalogError::NoParts => Self::InvalidRequest("a completion must name at least one part".to_owned()),
            CatalogError::InvalidPartOrder { .. } => Self::InvalidPartOrder,
            CatalogError::InvalidPart { number } => Self::InvalidPart { part_number: u32::from(number) },
            CatalogError::EntityTooSmall { number, bytes, .. } => {
                Self::EntityTooSmall { part_number: u32::from(number), size: bytes }
            }
            CatalogError::EntityTooLarge { maximum, .. } => Self::EntityTooLarge { limit: maximum },
            error @ (CatalogError::PartNumberOutOfRange { .. }
            | CatalogError::InvalidToken
            | CatalogError::TooLarge { .. }) => Self::InvalidArgument(error.to_string()),
            CatalogError::NotPending => Self::Unavailable("the upload was swept before it was complete".to_owned()),
            CatalogError::Store(StoreError::Contention { .. }) => {
                Self::Unavailable("too many requests change the same object at once".to_owned())
            }
            error @ (CatalogError::IdentityExists | CatalogError::NoSuchIdentity | CatalogError::IdentityInUse) => {
                Self::InvalidArgument(error.to_string())
            }
            CatalogError::Proposal(fault) => Self::InvalidArgument(fault.to_string()),
            error @ (CatalogError::ApprovalChanged | CatalogError::NoSuchApproval | CatalogError::Approval(_)) => {
                Self::InvalidArgument(error.to_string())
            }
            error @ CatalogError::FleetChanged => Self::Unavailable(error.to_string()),
            CatalogError::ShuttingDown => Self::Unavailable("the gateway is shutting down".to_owned()),
            error @ (CatalogError::Inconsistent { .. } | CatalogError::Lease(_) | CatalogError::Store(_)) => {
                internal("using the catalog", error)
            }
        }
    }
}
