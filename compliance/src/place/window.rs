//! The span of time over which an answer stays the same.

use domicile_types::UnixMillis;

/// `[from, until)`: between these instants nothing that an answer depends on begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: UnixMillis,
    until: UnixMillis,
}

impl Window {
    /// All of time.
    pub const ALWAYS: Self = Self { from: UnixMillis(0), until: UnixMillis(u64::MAX) };

    /// Narrows the window around `now` by an instant at which something changes.
    pub fn narrow(&mut self, change: UnixMillis, now: UnixMillis) {
        if change <= now {
            self.from = self.from.max(change);
        } else {
            self.until = self.until.min(change);
        }
    }

    /// Whether `now` lies within.
    #[must_use]
    pub fn contains(&self, now: UnixMillis) -> bool {
        self.from <= now && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_the_next_change_begins() {
        let mut window = Window::ALWAYS;
        for change in [10, 20, 30] {
            window.narrow(UnixMillis(change), UnixMillis(20));
        }
        assert!(window.contains(UnixMillis(20)) && window.contains(UnixMillis(29)));
        assert!(!window.contains(UnixMillis(19)) && !window.contains(UnixMillis(30)));
    }
}
