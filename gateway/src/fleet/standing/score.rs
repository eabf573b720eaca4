//! Scores that forgive: what a node answered lately, where "lately" fades with a half-life.

use domicile_types::UnixMillis;
use serde::{Deserialize, Serialize};

/// What one event weighs when it is new.
const UNIT: u64 = 1_000_000;
/// Events that a new node is given credit for, so that its first failure does not decide everything.
const CREDIT: u64 = 10 * UNIT;

/// Answered and failed, each fading. Half of the weight is gone after a half-life, all of it after forty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    answered: u64,
    failed: u64,
    /// When the weights were last written, in milliseconds; zero before the first event.
    as_of: u64,
}

impl Score {
    /// Adds events that happened at `now`.
    pub fn add(&mut self, answered: u32, failed: u32, now: UnixMillis, half_life_millis: u64) {
        if answered == 0 && failed == 0 {
            return;
        }
        let faded = self.faded(now, half_life_millis);
        self.answered = faded.answered.saturating_add(u64::from(answered).saturating_mul(UNIT));
        self.failed = faded.failed.saturating_add(u64::from(failed).saturating_mul(UNIT));
        self.as_of = self.as_of.max(now.0);
    }

    /// The share answered, in hundredths of a percent.
    #[must_use]
    pub fn basis_points(&self, now: UnixMillis, half_life_millis: u64) -> u16 {
        let faded = self.faded(now, half_life_millis);
        let good = u128::from(faded.answered) + u128::from(CREDIT);
        let all = good + u128::from(faded.failed);
        u16::try_from(good * 10_000 / all).unwrap_or(10_000)
    }

    /// What is left of the failures, in thousandths of one new failure.
    #[must_use]
    pub fn failed_thousandths(&self, now: UnixMillis, half_life_millis: u64) -> u64 {
        self.faded(now, half_life_millis).failed / (UNIT / 1000)
    }

    fn faded(&self, now: UnixMillis, half_life_millis: u64) -> Self {
        let elapsed = now.0.saturating_sub(self.as_of);
        let fade = |weight| fade(weight, elapsed, half_life_millis.max(1));
        Self { answered: fade(self.answered), failed: fade(self.failed), as_of: self.as_of }
    }
}

/// Halves per half-life, with a straight line in between: exact at both ends, and no floating point whose last digit
/// could differ between machines.
fn fade(weight: u64, elapsed: u64, half_life: u64) -> u64 {
    let halvings = u32::try_from(elapsed / half_life).unwrap_or(u32::MAX);
    let rest = elapsed % half_life;
    let halved = weight.checked_shr(halvings).unwrap_or(0);
    let line = u128::from(halved) * (2 * u128::from(half_life) - u128::from(rest)) / (2 * u128::from(half_life));
    u64::try_from(line).unwrap_or(halved)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_new_node_has_a_full_score_and_one_failure_does_not_ruin_it() {
        let mut score = Score::default();
        assert_eq!(score.basis_points(UnixMillis(0), HOUR), 10_000);
        score.add(0, 1, UnixMillis(0), HOUR);
        assert_eq!(score.basis_points(UnixMillis(0), HOUR), 9_090);
    }

    #[test]
    fn failures_are_forgiven_by_time_alone() {
        let mut score = Score::default();
        score.add(0, 8, UnixMillis(0), HOUR);
        let later = |hours| score.failed_thousandths(UnixMillis(hours * HOUR), HOUR);
        assert_eq!([later(0), later(1), later(2), later(3), later(64)], [8_000, 4_000, 2_000, 1_000, 0]);
        assert!(score.basis_points(UnixMillis(3 * HOUR), HOUR) > score.basis_points(UnixMillis(0), HOUR));
    }

    #[test]
    fn fading_never_gains_and_never_jumps() {
        let mut last = 1_000_000;
        for minute in 0..600 {
            let now = fade(1_000_000, minute * 60_000, HOUR);
            assert!(now <= last && last - now < 10_000, "minute {minute}: {last} to {now}");
            last = now;
        }
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let mut score = Score::default();
        score.add(3, 1, UnixMillis(10 * HOUR), HOUR);
        let before = score;
        assert_eq!(score.basis_points(UnixMillis(0), HOUR), before.basis_points(UnixMillis(10 * HOUR), HOUR));
    }
}
