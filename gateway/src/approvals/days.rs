//! Working days: Monday to Friday, in UTC. Public holidays are not known here; where they count, a deadline is earlier still.

use domicile_types::UnixMillis;
use time::{Duration, OffsetDateTime, Weekday};

/// How long before its deadline a renewal is shown as due, in milliseconds.
const SHOWN_MILLIS: u64 = 30 * 86_400_000;

/// How a renewal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Renewal {
    /// There is time.
    Later,
    /// It should be applied for within thirty days.
    Due,
    /// The deadline is over.
    Overdue,
    /// It was asked for.
    Filed,
}

/// The first instant of the day that lies `working_days` before the day of `expires`: the last day to apply.
#[must_use]
pub fn deadline(expires: UnixMillis, working_days: u32) -> UnixMillis {
    let mut day = OffsetDateTime::from(expires).replace_time(time::Time::MIDNIGHT);
    let mut left = working_days;
    while left > 0 && day > OffsetDateTime::UNIX_EPOCH {
        day -= Duration::DAY;
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            left -= 1;
        }
    }
    UnixMillis::from(day)
}

/// How a renewal that is to be applied for on the day of `deadline` stands.
#[must_use]
pub fn renewal(deadline: UnixMillis, is_filed: bool, now: UnixMillis) -> Renewal {
    if is_filed {
        Renewal::Filed
    } else if now >= deadline.plus_millis(86_400_000) {
        Renewal::Overdue
    } else if now.plus_millis(SHOWN_MILLIS) >= deadline {
        Renewal::Due
    } else {
        Renewal::Later
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn day(of: OffsetDateTime) -> UnixMillis {
        UnixMillis::from(of)
    }

    #[test]
    fn weekends_do_not_count() {
        // A Monday.
        let expires = day(datetime!(2026-11-23 15:00 UTC));
        assert_eq!(deadline(expires, 0), day(datetime!(2026-11-23 00:00 UTC)));
        assert_eq!(deadline(expires, 1), day(datetime!(2026-11-20 00:00 UTC)));
        assert_eq!(deadline(expires, 5), day(datetime!(2026-11-16 00:00 UTC)));
        // Twelve weeks.
        assert_eq!(deadline(expires, 60), day(datetime!(2026-08-31 00:00 UTC)));
    }

    #[test]
    fn a_renewal_is_due_before_its_deadline_and_overdue_after_that_day() {
        let deadline = day(datetime!(2026-08-31 00:00 UTC));
        for (now, stands) in [
            (datetime!(2026-07-31 00:00 UTC), Renewal::Later),
            (datetime!(2026-08-01 00:00 UTC), Renewal::Due),
            (datetime!(2026-08-31 23:00 UTC), Renewal::Due),
            (datetime!(2026-09-01 00:00 UTC), Renewal::Overdue),
        ] {
            assert_eq!(renewal(deadline, false, day(now)), stands, "{now}");
            assert_eq!(renewal(deadline, true, day(now)), Renewal::Filed);
        }
    }
}
