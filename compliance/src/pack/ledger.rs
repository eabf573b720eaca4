//! Mechanisms and ledgers: what an export may stand on, and what is counted against a regime's thresholds.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Counts, DataClass, UnixMillis};
use serde::Deserialize;
use time::{Duration, OffsetDateTime, UtcOffset};

/// A legal mechanism that approvals name and rules ask for: `context.approved.<mechanism>`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// In words.
    pub title: String,
    /// The article it stands on.
    pub cite: String,
    /// The longest that an approval by it may last, in days. Absent: no limit by law.
    #[serde(default)]
    pub days_max: Option<u32>,
    /// How many working days before its end a renewal must be applied for. Absent: none.
    #[serde(default)]
    pub renewal_working_days: Option<u32>,
    /// Whether an approval must name a quota of individuals.
    #[serde(default)]
    pub demands_subject_quota: bool,
}

/// What is counted of data that is provided abroad, over which time, for whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Over which time.
    pub window: LedgerWindow,
    /// Hours east of UTC that calendar years begin by: 8 for China.
    #[serde(default)]
    pub utc_offset_hours: i8,
    /// What has a count of its own. Empty: one count for all.
    #[serde(default)]
    pub per: BTreeSet<LedgerKey>,
    /// Only data of one of these classes counts. Empty: all data.
    #[serde(default)]
    pub classes: BTreeSet<DataClass>,
    /// The numbers of `[thresholds]` that warnings are held against, by what is counted.
    #[serde(default)]
    pub limits: BTreeMap<Counted, String>,
}

/// The time that a ledger looks back over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerWindow {
    /// Since 1 January of the current year.
    CalendarYear,
    /// The last twelve months.
    RollingTwelveMonths,
    /// The last three years.
    ThreeYears,
}

/// What a ledger keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerKey {
    /// Who provides: the tenant's legal entity.
    Exporter,
    /// Who receives, by the ultimate party: accounts that are split count together.
    Recipient,
    /// Each class of data.
    Class,
}

/// One of the units of [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// Distinct individuals.
    Subjects,
    /// Distinct individuals with sensitive personal information.
    Sensitive,
    /// Bytes.
    Bytes,
}

impl Counted {
    /// That unit of `counts`.
    #[must_use]
    pub const fn of(self, counts: Counts) -> u64 {
        match self {
            Self::Subjects => counts.subjects,
            Self::Sensitive => counts.sensitive,
            Self::Bytes => counts.bytes,
        }
    }
}

impl Ledger {
    /// When the window that `now` lies in began. A rolling year or three years go back to the same day and hour.
    #[must_use]
    pub fn since(&self, now: UnixMillis) -> UnixMillis {
        let Ok(utc) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.0) * 1_000_000) else {
            return UnixMillis(0);
        };
        let began = match self.window {
            LedgerWindow::CalendarYear => {
                let offset = UtcOffset::from_hms(self.utc_offset_hours, 0, 0).unwrap_or(UtcOffset::UTC);
                let there = utc.to_offset(offset);
                let year = time::Date::from_calendar_date(there.year(), time::Month::January, 1);
                year.map_or(utc, |day| day.midnight().assume_offset(offset))
            }
            LedgerWindow::RollingTwelveMonths => years_before(utc, 1),
            LedgerWindow::ThreeYears => years_before(utc, 3),
        };
        if began.unix_timestamp() < 0 { UnixMillis(0) } else { UnixMillis::from(began) }
    }
}

/// The same day, `years` earlier; 29 February becomes 28 February.
fn years_before(instant: OffsetDateTime, years: i32) -> OffsetDateTime {
    instant
        .replace_year(instant.year() - years)
        .or_else(|_| (instant - Duration::DAY).replace_year(instant.year() - years))
        .unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn ledger(window: LedgerWindow, utc_offset_hours: i8) -> Ledger {
        Ledger { window, utc_offset_hours, per: BTreeSet::new(), classes: BTreeSet::new(), limits: BTreeMap::new() }
    }

    fn since(window: LedgerWindow, hours: i8, now: OffsetDateTime) -> UnixMillis {
        ledger(window, hours).since(UnixMillis::from(now))
    }

    #[test]
    fn a_year_begins_where_the_law_is_at_home() {
        let new_year_in_beijing = datetime!(2026-12-31 17:00 UTC);
        let began = |hours| since(LedgerWindow::CalendarYear, hours, new_year_in_beijing);
        assert_eq!(began(8), UnixMillis::from(datetime!(2027-01-01 00:00 +8)));
        assert_eq!(began(0), UnixMillis::from(datetime!(2026-01-01 00:00 UTC)));
    }

    #[test]
    fn rolling_windows_go_back_to_the_same_day() {
        let leap_day = datetime!(2028-02-29 12:00 UTC);
        let year = since(LedgerWindow::RollingTwelveMonths, 0, leap_day);
        assert_eq!(year, UnixMillis::from(datetime!(2027-02-28 12:00 UTC)));
        let three = since(LedgerWindow::ThreeYears, 0, datetime!(2026-11-22 01:02:03 UTC));
        assert_eq!(three, UnixMillis::from(datetime!(2023-11-22 01:02:03 UTC)));
    }
}
