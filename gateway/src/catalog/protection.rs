//! What guards a version: object lock, access control list, and what its data key is wrapped under.

use domicile_types::UnixMillis;
use serde::{Deserialize, Serialize};

use super::CatalogError;
use super::acl::Acl;

/// How firmly a version is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Whoever may bypass governance may shorten or end it.
    Governance,
    /// Nobody may shorten or end it.
    Compliance,
}

/// Until when a version is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How firmly.
    pub mode: RetentionMode,
    /// Until when. From this moment on it binds no more.
    pub until: UnixMillis,
}

impl Retention {
    /// Whether it still binds at `now`.
    #[must_use]
    pub fn is_active(&self, now: UnixMillis) -> bool {
        now < self.until
    }

    /// Whether it may be replaced by `new` at `now`. It may always be prolonged in its own mode.
    pub(super) fn may_become(&self, new: Option<&Self>, now: UnixMillis, bypass: bool) -> bool {
        let prolonged = new.is_some_and(|new| new.mode == self.mode && new.until >= self.until);
        !self.is_active(now) || prolonged || (bypass && self.mode == RetentionMode::Governance)
    }
}

/// The object lock of a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its retention, if it ever had one.
    pub retention: Option<Retention>,
    /// Whether it is kept until the hold is lifted, whatever its retention.
    pub legal_hold: bool,
}

impl Lock {
    /// Whether the version may be removed at `now`. `bypass`: by somebody who may bypass governance and asks to.
    ///
    /// # Errors
    /// [`CatalogError::ObjectLocked`].
    pub fn permits_removal(&self, now: UnixMillis, bypass: bool) -> Result<(), CatalogError> {
        let retained = self.retention.is_some_and(|retention| !retention.may_become(None, now, bypass));
        if self.legal_hold || retained { Err(CatalogError::ObjectLocked) } else { Ok(()) }
    }
}

/// What a version's data key is wrapped under.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// The bucket's key: SSE-S3.
    #[default]
    S3,
    /// The bucket's key and a key that the gateway's keyring holds under a name: SSE-KMS.
    Kms {
        /// The name.
        key: String,
        /// Whether clients are told that it is used through a key of the bucket.
        bucket_key: bool,
    },
    /// The bucket's key and one that the client brings with every request: SSE-C. The wrapping itself tells the right key from
    /// a wrong one, so that nothing else is kept of it.
    Customer,
}

/// All that guards a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Object lock.
    pub lock: Lock,
    /// Access control list; `None`: the owner alone.
    pub acl: Option<Acl>,
    /// What the data key is wrapped under.
    pub encryption: Encryption,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn retention(mode: RetentionMode, until: u64) -> Retention {
        Retention { mode, until: UnixMillis(until) }
    }

    #[test]
    fn compliance_is_only_ever_prolonged() {
        let kept = retention(RetentionMode::Compliance, 2_000);
        for (new, may) in [
            (Some(retention(RetentionMode::Compliance, 2_001)), true),
            (Some(retention(RetentionMode::Compliance, 1_999)), false),
            (Some(retention(RetentionMode::Governance, 3_000)), false),
            (None, false),
        ] {
            assert_eq!(kept.may_become(new.as_ref(), NOW, true), may, "{new:?}");
        }
        assert!(kept.may_become(None, UnixMillis(2_000), false), "it has ended");
    }

    #[test]
    fn governance_yields_to_those_who_may_bypass_it() {
        let kept = retention(RetentionMode::Governance, 2_000);
        for (new, bypass, may) in [
            (Some(retention(RetentionMode::Governance, 3_000)), false, true),
            (Some(retention(RetentionMode::Governance, 1_500)), false, false),
            (Some(retention(RetentionMode::Governance, 1_500)), true, true),
            (Some(retention(RetentionMode::Compliance, 3_000)), false, false),
            (Some(retention(RetentionMode::Compliance, 3_000)), true, true),
            (None, false, false),
            (None, true, true),
        ] {
            assert_eq!(kept.may_become(new.as_ref(), NOW, bypass), may, "{new:?}, bypass {bypass}");
        }
    }

    #[test]
    fn a_legal_hold_outlasts_everything() {
        let held = Lock { retention: None, legal_hold: true };
        assert!(matches!(held.permits_removal(NOW, true), Err(CatalogError::ObjectLocked)));
        let kept = Lock { retention: Some(retention(RetentionMode::Governance, 2_000)), legal_hold: false };
        assert!(kept.permits_removal(NOW, false).is_err());
        assert!(kept.permits_removal(NOW, true).is_ok());
        assert!(kept.permits_removal(UnixMillis(2_000), false).is_ok());
        assert!(Lock::default().permits_removal(NOW, false).is_ok());
    }
}
