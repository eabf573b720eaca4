//! The node's clock: the one place in this crate that reads the time.

use std::sync::Arc;

use domicile_compliance::audit::Clock;
use domicile_types::UnixMillis;

/// The system's clock. Its steps backwards are the operator's to prevent (NTP with slewing).
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(now)
}

#[allow(clippy::disallowed_methods, reason = "this is the shell's clock: cores get `now` as an argument")]
fn now() -> UnixMillis {
    time::OffsetDateTime::now_utc().into()
}
