//! Time as the log and the wire carry it.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z. Cores receive it as an argument; only shells read a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This time plus `milliseconds`, at most the largest time there is.
    #[must_use]
    pub const fn plus_millis(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this time; zero when `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<OffsetDateTime> for UnixMillis {
    fn from(time: OffsetDateTime) -> Self {
        Self(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
    }
}

impl From<UnixMillis> for OffsetDateTime {
    /// Times past the year 9999 are not representable and become the epoch.
    fn from(time: UnixMillis) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000).unwrap_or(Self::UNIX_EPOCH)
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from(*self).format(&Rfc3339).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}
