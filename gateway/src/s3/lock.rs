//! Headers that guard a version: object lock.

use s3s::dto::{ObjectLockLegalHoldStatus, ObjectLockMode, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::headers::millis;
use crate::catalog::{Lock, Retention, RetentionMode};

/// What an input of the protocol crate asks to guard the version that it writes.
macro_rules! protection {
    ($input:expr) => {
        crate::s3::lock::lock(
            $input.object_lock_mode.as_ref(),
            $input.object_lock_retain_until_date.clone(),
            $input.object_lock_legal_hold_status.as_ref(),
        )
        .map(|lock| crate::catalog::Protection { lock, ..crate::catalog::Protection::default() })
    };
}
pub(super) use protection;

/// Sets the object lock of a version in an output of the protocol crate.
macro_rules! set_lock {
    ($output:expr, $lock:expr) => {{
        let lock: crate::catalog::Lock = $lock;
        if let Some(retention) = lock.retention {
            $output.object_lock_mode = Some(crate::s3::lock::mode_dto(retention.mode));
            $output.object_lock_retain_until_date = Some(crate::s3::headers::timestamp(retention.until));
        }
        if lock.legal_hold {
            let on = s3s::dto::ObjectLockLegalHoldStatus::ON;
            $output.object_lock_legal_hold_status = Some(s3s::dto::ObjectLockLegalHoldStatus::from_static(on));
        }
    }};
}
pub(super) use set_lock;

/// The lock that a write's headers ask for.
pub(super) fn lock(
    mode: Option<&ObjectLockMode>,
    until: Option<Timestamp>,
    hold: Option<&ObjectLockLegalHoldStatus>,
) -> S3Result<Lock> {
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => Some(Retention { mode: retention_mode(mode.as_str())?, until: millis(until) }),
        _ => {
            return Err(invalid(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ));
        }
    };
    let legal_hold = match hold.map(ObjectLockLegalHoldStatus::as_str) {
        None | Some(ObjectLockLegalHoldStatus::OFF) => false,
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(_) => return Err(invalid("a legal hold is ON or OFF")),
    };
    Ok(Lock { retention, legal_hold })
}

/// A retention mode by its S3 name.
pub(super) fn retention_mode(name: &str) -> S3Result<RetentionMode> {
    match name {
        ObjectLockMode::GOVERNANCE => Ok(RetentionMode::Governance),
        ObjectLockMode::COMPLIANCE => Ok(RetentionMode::Compliance),
        _ => Err(invalid("Unknown wormMode directive")),
    }
}

/// A retention mode as the protocol crate states it.
pub(super) fn mode_dto(mode: RetentionMode) -> ObjectLockMode {
    ObjectLockMode::from_static(match mode {
        RetentionMode::Governance => ObjectLockMode::GOVERNANCE,
        RetentionMode::Compliance => ObjectLockMode::COMPLIANCE,
    })
}

fn invalid(message: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_and_date_come_together() {
        let until = || Some(super::super::headers::timestamp(domicile_types::UnixMillis(5_000)));
        let mode = ObjectLockMode::from_static(ObjectLockMode::COMPLIANCE);
        let kept = lock(Some(&mode), until(), None).unwrap().retention.unwrap();
        assert_eq!((kept.mode, kept.until.0), (RetentionMode::Compliance, 5_000));
        assert!(lock(Some(&mode), None, None).is_err());
        assert!(lock(None, until(), None).is_err());
        assert!(lock(Some(&ObjectLockMode::from("governance".to_owned())), until(), None).is_err());
        let on = ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON);
        assert!(lock(None, None, Some(&on)).unwrap().legal_hold);
        assert!(lock(None, None, Some(&ObjectLockLegalHoldStatus::from("yes".to_owned()))).is_err());
    }
}
