//! The only place where the gateway reads a clock or draws random bytes.

use std::time::SystemTime;

use domicile_types::UnixMillis;

/// The wall clock. Use cases receive its readings as arguments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    #[cfg(test)]
    simulated: Option<&'static Simulated>,
}

/// The wall clock, as a value.
#[allow(non_upper_case_globals, reason = "it has one value but in tests, and is named as its type")]
pub const Clock: Clock = Clock {
    #[cfg(test)]
    simulated: None,
};

impl Clock {
    /// Milliseconds since 1970; zero if the machine's clock stands before that.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the shell's clock")]
    pub fn now(self) -> UnixMillis {
        #[cfg(test)]
        if let Some(simulated) = self.simulated {
            return simulated.now();
        }
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
        #[cfg(test)]
        if let Some(simulated) = self.simulated {
            simulated.draw(&mut bytes);
            return bytes;
        }
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the operating system gives no random bytes: {error}");
        }
        bytes
    }
}

/// A time that goes on when it is told to, and randomness that follows from a seed.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Simulated {
    millis: std::sync::atomic::AtomicU64,
    drawn: std::sync::atomic::AtomicU64,
    seed: u64,
}

#[cfg(test)]
impl Simulated {
    /// Starts at `now`. It is never freed: a clock is copied everywhere.
    pub(crate) fn start(now: UnixMillis, seed: u64) -> &'static Self {
        Box::leak(Box::new(Self { millis: now.0.into(), drawn: 0.into(), seed }))
    }

    pub(crate) fn advance(&self, millis: u64) {
        self.millis.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.millis.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn draw(&self, bytes: &mut [u8]) {
        let draw = self.drawn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&draw.to_le_bytes());
        hasher.finalize_xof().fill(bytes);
    }
}

#[cfg(test)]
impl Clock {
    /// A simulated clock.
    pub(crate) const fn simulated(simulated: &'static Simulated) -> Self {
        Self { simulated: Some(simulated) }
    }
}
