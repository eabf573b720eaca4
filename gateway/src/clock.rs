//! The only place where the gateway reads a clock or draws random bytes.

use std::time::SystemTime;

use domicile_types::UnixMillis;

/// The wall clock. Use cases receive its readings as arguments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Milliseconds since 1970; zero if the machine's clock stands before that.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the shell's clock")]
    pub fn now(self) -> UnixMillis {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Random bytes of the operating system.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing could be encrypted, so the process ends.
    #[must_use]
    #[allow(clippy::panic, reason = "without randomness no key, salt or nonce is safe: ending is the safe state")]
    pub fn random<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the operating system gives no random bytes: {error}");
        }
        bytes
    }
}
