//! Accounts: what a node stored and served for a gateway in a month, computed alike on both sides from the same receipts.
//!
//! *In scope*: sums over receipts that do not depend on their order, months, what is owed by terms. Pure: `now` is an
//! argument. *Out of scope*: where sums are kept (`book` here, the catalog at a gateway).
//!
//! ```text
//! byte-hours of a month until t = ( held at its start x (t - start)
//!                                 + sum over stored  of bytes x (t - receipt's time)
//!                                 - sum over deleted of bytes x (t - receipt's time) ) / 3,600,000, rounded down
//! owed in millionths            = byte-hours x price of a TiB-hour / 2^40 + bytes served x price of a TiB / 2^40
//! withheld                      = owed x min(failures x share per failure, greatest share) / 10,000
//! ```

pub(crate) mod book;

use std::fmt;

use domicile_node_protocol::{Receipt, ReceiptVerb, Statement};
use domicile_types::{NodeId, OperatorId, ParseError, UnixMillis};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const HOUR_MILLIS: u128 = 3_600_000;
const TIB: u128 = 1 << 40;

/// A month in UTC. Text form: `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: u16,
    month: u8,
}

impl Month {
    /// Parses `YYYY-MM`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let (year, month) = text.split_once('-')?;
            let (year, month): (u16, u8) = (year.parse().ok()?, month.parse().ok()?);
            let parsed = Self { year, month };
            ((1..=12).contains(&month) && (1970..=9999).contains(&year) && parsed.to_string() == text).then_some(parsed)
        };
        parse().ok_or_else(|| ParseError::new("month", text, "YYYY-MM"))
    }

    /// The month that `time` is in.
    #[must_use]
    pub fn of(time: UnixMillis) -> Self {
        let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
        let date = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        Self { year: u16::try_from(date.year()).unwrap_or(u16::MAX), month: u8::from(date.month()) }
    }

    /// When it begins.
    #[must_use]
    pub fn start(self) -> UnixMillis {
        let month = time::Month::try_from(self.month).unwrap_or(time::Month::January);
        let day = time::Date::from_calendar_date(i32::from(self.year), month, 1);
        let seconds = day.map_or(0, |day| day.midnight().assume_utc().unix_timestamp());
        UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
    }

    /// The month after it: begins when this one ends.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year.saturating_add(1), month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    /// Until when its account goes at `now`: its end, or now while it lasts.
    #[must_use]
    pub fn until(self, now: UnixMillis) -> UnixMillis {
        now.min(self.next().start()).max(self.start())
    }
}

impl std::str::FromStr for Month {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Sums over the receipts of one month, between one node and one gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Shard bytes held when the month began.
    pub held_before_bytes: u64,
    /// Shard bytes stored.
    pub stored_bytes: u64,
    /// Sum of bytes times milliseconds since the month's start, over what was stored. Text, for it may pass 2^64.
    #[serde(with = "as_text")]
    pub stored_moment: u128,
    /// Shard bytes deleted.
    pub deleted_bytes: u64,
    /// Like `stored_moment`, over what was deleted.
    #[serde(with = "as_text")]
    pub deleted_moment: u128,
    /// Shard bytes served.
    pub served_bytes: u64,
    /// Challenges met.
    pub proofs: u64,
    /// Challenges not met. Only the gateway counts them.
    #[serde(default)]
    pub failures: u64,
}

impl Tally {
    /// A month that begins with so many bytes held.
    #[must_use]
    pub fn beginning_with(held_before_bytes: u64) -> Self {
        Self { held_before_bytes, ..Self::default() }
    }

    /// Counts a receipt. Its time must be in `month`.
    pub fn note(&mut self, month: Month, receipt: &Receipt) {
        let since = u128::from(receipt.time.millis_since(month.start()));
        let moment = u128::from(receipt.bytes).saturating_mul(since);
        match receipt.verb {
            ReceiptVerb::Stored => {
                self.stored_bytes = self.stored_bytes.saturating_add(receipt.bytes);
                self.stored_moment = self.stored_moment.saturating_add(moment);
            }
            ReceiptVerb::Deleted => {
                self.deleted_bytes = self.deleted_bytes.saturating_add(receipt.bytes);
                self.deleted_moment = self.deleted_moment.saturating_add(moment);
            }
            ReceiptVerb::Served => self.served(receipt.bytes),
            ReceiptVerb::Proved => self.proofs = self.proofs.saturating_add(1),
        }
    }

    /// Counts a shard that is held since `since`: before `month`, or within it.
    pub(crate) fn held(&mut self, month: Month, bytes: u64, since: UnixMillis) {
        if since < month.start() {
            self.held_before_bytes = self.held_before_bytes.saturating_add(bytes);
        } else {
            let moment = u128::from(bytes).saturating_mul(u128::from(since.millis_since(month.start())));
            self.stored_bytes = self.stored_bytes.saturating_add(bytes);
            self.stored_moment = self.stored_moment.saturating_add(moment);
        }
    }

    /// Counts bytes served.
    pub fn served(&mut self, bytes: u64) {
        self.served_bytes = self.served_bytes.saturating_add(bytes);
    }

    /// Adds another part of the same month's sums.
    pub fn add(&mut self, other: &Self) {
        self.held_before_bytes = self.held_before_bytes.saturating_add(other.held_before_bytes);
        self.stored_bytes = self.stored_bytes.saturating_add(other.stored_bytes);
        self.stored_moment = self.stored_moment.saturating_add(other.stored_moment);
        self.deleted_bytes = self.deleted_bytes.saturating_add(other.deleted_bytes);
        self.deleted_moment = self.deleted_moment.saturating_add(other.deleted_moment);
        self.served_bytes = self.served_bytes.saturating_add(other.served_bytes);
        self.proofs = self.proofs.saturating_add(other.proofs);
        self.failures = self.failures.saturating_add(other.failures);
    }

    /// Shard bytes held after all of it.
    #[must_use]
    pub const fn held_bytes(&self) -> u64 {
        self.held_before_bytes.saturating_add(self.stored_bytes).saturating_sub(self.deleted_bytes)
    }

    /// Byte-hours of `month` until `until`, which lies in it or is its end.
    #[must_use]
    pub fn byte_hours(&self, month: Month, until: UnixMillis) -> u64 {
        let length = u128::from(until.millis_since(month.start()));
        let held = u128::from(self.held_before_bytes).saturating_add(u128::from(self.stored_bytes));
        let plus = held.saturating_mul(length).saturating_add(self.deleted_moment);
        let minus = u128::from(self.deleted_bytes).saturating_mul(length).saturating_add(self.stored_moment);
        u64::try_from(plus.saturating_sub(minus) / HOUR_MILLIS).unwrap_or(u64::MAX)
    }

    /// The account of `month` as of `until`.
    #[must_use]
    pub fn statement(&self, of: &Account, until: UnixMillis) -> Statement {
        Statement {
            v: Statement::VERSION,
            node: of.node,
            operator: of.operator.clone(),
            gateway: of.gateway,
            month: of.month.to_string(),
            until,
            byte_hours: self.byte_hours(of.month, until),
            stored_bytes: self.stored_bytes,
            served_bytes: self.served_bytes,
            deleted_bytes: self.deleted_bytes,
            proofs: self.proofs,
            held_bytes: self.held_bytes(),
        }
    }
}

/// Whose account of which month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The node.
    pub node: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// For which gateway.
    pub gateway: NodeId,
    /// The month.
    pub month: Month,
}

/// What is paid, and what is withheld. Whole numbers, so that both sides come to the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// The currency, such as `EUR`.
    pub currency: String,
    /// Millionths of it for a TiB kept for an hour.
    pub micros_per_tib_hour: u64,
    /// Millionths of it for a TiB served.
    pub micros_per_tib_served: u64,
    /// Share withheld for each challenge that was not met, in hundredths of a percent.
    pub withheld_basis_points_per_failure: u16,
    /// The greatest share withheld, in hundredths of a percent.
    pub withheld_basis_points_max: u16,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            currency: "EUR".to_owned(),
            micros_per_tib_hour: 0,
            micros_per_tib_served: 0,
            withheld_basis_points_per_failure: 100,
            withheld_basis_points_max: 5_000,
        }
    }
}

/// What a month comes to, in millionths of the currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// For keeping and serving.
    pub earned_micros: u64,
    /// Of that, what is withheld.
    pub withheld_micros: u64,
    /// What remains.
    pub payable_micros: u64,
}

impl Terms {
    /// What `byte_hours` and `served_bytes` come to after `failures`.
    #[must_use]
    pub fn owed(&self, byte_hours: u64, served_bytes: u64, failures: u64) -> Owed {
        let price = |amount: u64, micros: u64| u128::from(amount).saturating_mul(u128::from(micros)) / TIB;
        let earned =
            price(byte_hours, self.micros_per_tib_hour).saturating_add(price(served_bytes, self.micros_per_tib_served));
        let share = u128::from(failures)
            .saturating_mul(u128::from(self.withheld_basis_points_per_failure))
            .min(u128::from(self.withheld_basis_points_max.min(10_000)));
        let withheld = earned.saturating_mul(share) / 10_000;
        let narrow = |amount: u128| u64::try_from(amount).unwrap_or(u64::MAX);
        Owed {
            earned_micros: narrow(earned),
            withheld_micros: narrow(withheld),
            payable_micros: narrow(earned.saturating_sub(withheld)),
        }
    }
}

/// Numbers that JSON readers would round.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use domicile_node_protocol::LeafHash;
    use domicile_types::{DataId, IdentityKey, ShardCid};
    use proptest::prelude::*;

    use super::*;

    fn month() -> Month {
        Month::parse("2026-11").unwrap()
    }

    fn at(hours: u64) -> UnixMillis {
        month().start().plus_millis(hours * 3_600_000)
    }

    fn receipt(verb: ReceiptVerb, bytes: u64, time: UnixMillis) -> Receipt {
        Receipt {
            v: Receipt::VERSION,
            verb,
            cid: ShardCid::of(b"shard"),
            data: DataId::from_bytes([1; 16]),
            bytes,
            node: IdentityKey::from_seed(&[1; 32]).id(),
            ticket: LeafHash::from_digest([2; 32]),
            time,
        }
    }

    fn tally(held: u64, receipts: &[Receipt]) -> Tally {
        let mut tally = Tally::beginning_with(held);
        receipts.iter().for_each(|receipt| tally.note(month(), receipt));
        tally
    }

    #[test]
    fn months_begin_end_and_follow_each_other() {
        assert_eq!(Month::of(UnixMillis(1_795_305_600_000)), month());
        assert_eq!(month().next().start().millis_since(month().start()), 30 * 86_400_000);
        assert_eq!(Month::parse("2026-12").unwrap().next().to_string(), "2027-01");
        assert_eq!(month().until(at(5)), at(5));
        assert_eq!(month().until(at(50_000)), month().next().start());
        for bad in ["2026-13", "2026-1", "26-01", "2026-00", "", "2026-11-01"] {
            assert!(Month::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_count_for_the_hours_that_they_were_held() {
        let stored = [receipt(ReceiptVerb::Stored, 1000, at(10)), receipt(ReceiptVerb::Deleted, 1000, at(14))];
        assert_eq!(tally(0, &stored).byte_hours(month(), at(20)), 4_000);
        assert_eq!(tally(0, &stored[..1]).byte_hours(month(), at(20)), 10_000);
        assert_eq!(tally(500, &[]).byte_hours(month(), at(20)), 10_000);
        assert_eq!(tally(500, &stored).held_bytes(), 500);
    }

    #[test]
    fn what_is_withheld_grows_with_failures_up_to_its_limit() {
        let terms = Terms { micros_per_tib_hour: 1_000_000, micros_per_tib_served: 2_000_000, ..Terms::default() };
        let tib = 1 << 40;
        let owed = |failures| terms.owed(3 * tib, tib / 2, failures);
        assert_eq!(owed(0), Owed { earned_micros: 4_000_000, withheld_micros: 0, payable_micros: 4_000_000 });
        assert_eq!(owed(3).withheld_micros, 120_000);
        assert_eq!(owed(1_000).payable_micros, 2_000_000);
    }

    proptest! {
        /// Both sides see the same receipts in another order, and in parts.
        #[test]
        fn the_order_and_grouping_of_receipts_do_not_matter(
            events in proptest::collection::vec((0_u8..4, 1_u64..2_000_000, 0_u64..700), 0..40),
            cut in 0_usize..40,
        ) {
            let verbs = [ReceiptVerb::Stored, ReceiptVerb::Served, ReceiptVerb::Deleted, ReceiptVerb::Proved];
            let receipts: Vec<Receipt> =
                events.iter().map(|(verb, bytes, hour)| receipt(verbs[usize::from(*verb)], *bytes, at(*hour))).collect();
            let whole = tally(7, &receipts);
            let mut reversed = receipts.clone();
            reversed.reverse();
            prop_assert_eq!(tally(7, &reversed), whole);
            let (first, second) = receipts.split_at(cut.min(receipts.len()));
            let mut parts = tally(7, first);
            parts.add(&tally(0, second));
            prop_assert_eq!(parts, whole);
            let json = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), whole);
        }
    }
}
