//! How long a day is, and what falls due when.

use domicile_types::UnixMillis;

/// Milliseconds of a day.
pub const DAY_MILLIS: u64 = 86_400_000;

/// When so many days after something are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    day_millis: u64,
}

impl Schedule {
    /// Days of this many milliseconds; below one counts as one.
    #[must_use]
    pub const fn with_days_of(day_millis: u64) -> Self {
        Self { day_millis: if day_millis == 0 { 1 } else { day_millis } }
    }

    /// How long a day is.
    #[must_use]
    pub const fn day_millis(self) -> u64 {
        self.day_millis
    }

    /// The time at which `days` since `start` are over: the first midnight UTC at or after it, where days are real ones.
    #[must_use]
    pub fn after(self, start: UnixMillis, days: u32) -> UnixMillis {
        let due = start.plus_millis(self.day_millis.saturating_mul(u64::from(days)));
        if self.day_millis == DAY_MILLIS {
            UnixMillis(due.0.div_ceil(DAY_MILLIS).saturating_mul(DAY_MILLIS))
        } else {
            due
        }
    }
}

impl Default for Schedule {
    /// Real days.
    fn default() -> Self {
        Self::with_days_of(DAY_MILLIS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64, millis: u64) -> UnixMillis {
        UnixMillis(day * DAY_MILLIS + millis)
    }

    #[test]
    fn what_falls_due_within_a_day_is_due_at_the_next_midnight() {
        let real = Schedule::default();
        assert_eq!(real.after(at(100, 37_800_000), 3), at(104, 0));
        assert_eq!(real.after(at(100, 1), 1), at(102, 0));
        assert_eq!(real.after(at(100, 0), 1), at(101, 0), "a midnight is not put off");
    }

    #[test]
    fn shorter_days_are_not_rounded() {
        let short = Schedule::with_days_of(2_000);
        assert_eq!(short.after(UnixMillis(12_345), 3), UnixMillis(18_345));
    }

    #[test]
    fn days_beyond_all_time_do_not_wrap() {
        let late = Schedule::with_days_of(u64::MAX / 2).after(UnixMillis(7), u32::MAX);
        assert_eq!(late, UnixMillis(u64::MAX));
        assert!(Schedule::default().after(UnixMillis(u64::MAX - 5), 1).0 >= u64::MAX - DAY_MILLIS);
        assert_eq!(Schedule::with_days_of(0).day_millis(), 1);
    }
}
