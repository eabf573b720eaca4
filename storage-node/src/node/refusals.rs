//! What went wrong inside, in the words of the node protocol.

use domicile_node_protocol::{Refusal, RefusalCode};

use crate::ledger::ChargeError;
use crate::store::{DeleteError, IncomingError, PutError, ReadError};

/// A body that is no shard.
pub(crate) fn of_incoming_error(error: &IncomingError) -> Refusal {
    let code = match error {
        IncomingError::TooLong { .. } => RefusalCode::TooLarge,
        IncomingError::Empty => RefusalCode::BadRequest,
        IncomingError::WrongBytes(_) => RefusalCode::WrongBytes,
    };
    Refusal::new(code, error.to_string())
}

pub(crate) fn of_put_error(error: &PutError) -> Refusal {
    let code = match error {
        PutError::Full => RefusalCode::Full,
        PutError::DiskFault | PutError::Closed => RefusalCode::Unavailable,
    };
    Refusal::new(code, error.to_string())
}

pub(crate) fn of_delete_error(error: &DeleteError) -> Refusal {
    let code = match error {
        DeleteError::NotFound => RefusalCode::NotFound,
        DeleteError::Full => RefusalCode::Full,
        DeleteError::DiskFault | DeleteError::Closed => RefusalCode::Unavailable,
    };
    Refusal::new(code, error.to_string())
}

pub(crate) fn of_read_error(error: &ReadError) -> Refusal {
    let code = match error {
        ReadError::NotFound => RefusalCode::NotFound,
        ReadError::OutOfRange { .. } => RefusalCode::BadRange,
        ReadError::Corrupt | ReadError::Damaged { .. } => RefusalCode::Corrupt,
        ReadError::Io(_) | ReadError::Index(_) => return unavailable(error),
    };
    Refusal::new(code, error.to_string())
}

pub(crate) fn of_charge_error(error: ChargeError) -> Refusal {
    match error {
        ChargeError::Refused(refusal) => refusal,
        ChargeError::Database(error) => unavailable(&error),
    }
}

/// A fault of this node: said in its log in full, to the peer only that it is so.
pub(crate) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Refusal {
    tracing::error!(error, "the node cannot serve a request");
    Refusal::new(RefusalCode::Unavailable, "the node has a fault of its own: use another one; its log says more")
}
