//! What a profile is worth: how likely a segment is to be lost within a year.
//!
//! # Model
//!
//! A birth-death chain over the number `i` of shards lost, 0 to `m`; at `m + 1` the segment is gone. Each of the `n - i` nodes
//! left fails at a rate of `a` a year (*node loss*: the expected losses per node-year), independently of the others;
//! one shard is repaired at a time, at a rate of `r = 365 / repair_days` a year. With `T(i)` the mean years from `i` lost
//! shards to `i + 1`:
//!
//! ```text
//! T(0) = 1 / (n a)          T(i) = (1 + r T(i-1)) / ((n - i) a)
//! mean years to loss L = T(0) + ... + T(m)          loss per year = 1 - exp(-1 / L)
//! nines = -log10(loss per year)
//! ```
//!
//! Every term is positive, so nothing cancels and `f64` keeps some 15 digits. To leading order this is
//! `n (n-1) ... (n-m) a^(m+1) / r^m`. At 8% and 7 days: 4+2 4.6 nines, 8+4 7.3, 16+8 11.9.
//!
//! # What it leaves out
//!
//! Independence is what one shard per controller is for, but one law, one fault in the software or one bad repair can take
//! many nodes at once, and above some ten nines such causes rule. Repairing all lost shards at once would do better (16+8:
//! 16 nines); one at a time is what is promised. The figure is per segment: an object of `s` segments on different nodes
//! is lost up to `s` times as often ([`Durability::of_segments`]).

//!
//! # Waiting
//!
//! A repair reads `k` shards whether it rebuilds one or four, so it pays to wait until several are lost. A repair that waits
//! for `t` of them, and then rebuilds all at once at the same rate, is the chain in which from `i >= t` the next state is 0.
//! With `l(i) = (n - i) a`, `E(i)` the mean years from `i` to the loss, and `E(i) = A(i) + (1 - C(i)) E(0)`:
//!
//! ```text
//! A(m+1) = 0      A(i) = 1 / l(i) + A(i+1)                    C(i) = C(i+1)                      for i < t
//! C(m+1) = 1      A(i) = (1 + l(i) A(i+1)) / (l(i) + r)       C(i) = l(i) C(i+1) / (l(i) + r)    for i >= t
//! L = E(0) = A(0) / C(0)
//! ```
//!
//! Again nothing cancels. [`thresholds`] waits as long as that is worth no less than the promise above.

use std::fmt;

use domicile_types::CodeProfile;
use serde::Serialize;

/// Days in a year of the model.
const DAYS_PER_YEAR: f64 = 365.0;

/// How likely a segment, or an object, is to survive a year.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Durability {
    /// The probability of being lost within a year, 0 to 1.
    pub loss_per_year: f64,
    /// `-log10` of it: 4.6 means that 1 in 10^4.6, some 40,000, is lost each year.
    pub nines: f64,
}

impl Durability {
    fn of_loss(loss_per_year: f64) -> Self {
        let loss_per_year = loss_per_year.clamp(f64::MIN_POSITIVE, 1.0);
        // The addition turns the -0 of a certain loss into 0.
        Self { loss_per_year, nines: -loss_per_year.log10() + 0.0 }
    }

    /// The durability of an object of `segments` segments, each on nodes of its own: never better than this (the union
    /// bound). Zero counts as one.
    #[must_use]
    pub fn of_segments(self, segments: u32) -> Self {
        Self::of_loss(self.loss_per_year * f64::from(segments.max(1)))
    }
}

impl fmt::Display for Durability {
    /// `4.6 nines`, rounded down to a tenth: never promise what is not there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} nines", (self.nines * 10.0).floor() / 10.0)
    }
}

/// Why there is no figure.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DurabilityError {
    /// Losses per node-year out of range.
    #[error("{0} node losses a year is not a rate: give a number above 0, such as 0.08 for 8% a year")]
    NodeLoss(f64),
    /// Repair time out of range.
    #[error("{0} days is not a repair time: give a number above 0, such as 7")]
    RepairDays(f64),
}

/// The durability of one segment coded by `profile` when a node is lost `node_loss_per_year` times a year (0.08 is 8%) and
/// the repair of one lost shard takes `repair_days` in the mean. The module's documentation has the formula.
pub fn durability(
    profile: CodeProfile,
    node_loss_per_year: f64,
    repair_days: f64,
) -> Result<Durability, DurabilityError> {
    let usable = |number: f64| number.is_finite() && number > 0.0;
    if !usable(node_loss_per_year) {
        return Err(DurabilityError::NodeLoss(node_loss_per_year));
    }
    if !usable(repair_days) {
        return Err(DurabilityError::RepairDays(repair_days));
    }
    let years = mean_years_to_loss(profile, node_loss_per_year, DAYS_PER_YEAR / repair_days);
    Ok(Durability::of_loss(-(-years.recip()).exp_m1()))
}

/// [`durability`] where a repair waits for `begin_at` lost shards (zero counts as one) and then rebuilds all at once.
pub fn durability_when_lazy(
    profile: CodeProfile,
    node_loss_per_year: f64,
    repair_days: f64,
    begin_at: usize,
) -> Result<Durability, DurabilityError> {
    // Refuses what is no rate.
    durability(profile, node_loss_per_year, repair_days)?;
    let years = mean_years_when_lazy(profile, node_loss_per_year, DAYS_PER_YEAR / repair_days, begin_at);
    Ok(Durability::of_loss(-(-years.recip()).exp_m1()))
}

/// How many shards of a segment may be lost before its repair begins, and before it comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Thresholds {
    /// With fewer lost shards than this nothing is done for them: at least one, at most `m`.
    pub lazy: usize,
    /// With so many the segment comes before all that have fewer: at least [`Thresholds::lazy`], at most `m`.
    pub eager: usize,
}

impl Thresholds {
    /// Nothing waits.
    pub const AT_ONCE: Self = Self { lazy: 1, eager: 1 };
}

/// How likely the loss of a segment within one repair time may be before it comes first.
const URGENT_LOSS: f64 = 1e-6;

/// The thresholds that follow from a rate of loss and a time of repair.
///
/// *Lazy*: the largest `t` for which repairing all at once from `t` on is worth no less than what [`durability`] promises.
/// *Eager*: the smallest number of lost shards with which, nothing being repaired for `repair_days`, the segment would be
/// lost with a probability above 10^-6.
pub fn thresholds(
    profile: CodeProfile,
    node_loss_per_year: f64,
    repair_days: f64,
) -> Result<Thresholds, DurabilityError> {
    let promised = durability(profile, node_loss_per_year, repair_days)?;
    let most = profile.m().max(1);
    let mut lazy = 1;
    for begin_at in 2..=most {
        if durability_when_lazy(profile, node_loss_per_year, repair_days, begin_at)?.nines >= promised.nines {
            lazy = begin_at;
        }
    }
    let dies = -(-node_loss_per_year * repair_days / DAYS_PER_YEAR).exp_m1();
    let urgent = (1..=most).find(|lost| loss_without_repair(profile, *lost, dies) > URGENT_LOSS);
    Ok(Thresholds { lazy, eager: urgent.unwrap_or(most).max(lazy) })
}

/// The probability that more than `m` shards are gone once each of those left has died with probability `dies`.
fn loss_without_repair(profile: CodeProfile, lost: usize, dies: f64) -> f64 {
    let left = profile.n().saturating_sub(lost);
    let spare = profile.m().saturating_sub(lost);
    // P(X = 0), then each term from the one before it: P(x) = P(x-1) (left - x + 1) / x * dies / (1 - dies).
    let mut term = (0..left).fold(1.0, |product, _| product * (1.0 - dies));
    let mut beyond = 0.0;
    let mut x = 0.0;
    let mut remaining = (0..left).fold(0.0, |count, _| count + 1.0);
    for deaths in 0..=left {
        if deaths > spare {
            beyond += term;
        }
        x += 1.0;
        term *= remaining / x * dies / (1.0 - dies);
        remaining -= 1.0;
    }
    beyond
}

/// `L` of a repair that waits; see the module's documentation.
fn mean_years_when_lazy(profile: CodeProfile, loss_rate: f64, repair_rate: f64, begin_at: usize) -> f64 {
    let (mut years, mut certain) = (0.0, 1.0);
    // At the state of `m` lost shards `k` are left; the walk goes back to none lost.
    let mut left = (0..profile.k()).fold(0.0, |count, _| count + 1.0);
    for lost in (0..=profile.m()).rev() {
        let rate = left * loss_rate;
        if lost >= begin_at.max(1) {
            years = (1.0 + rate * years) / (rate + repair_rate);
            certain *= rate / (rate + repair_rate);
        } else {
            years += 1.0 / rate;
        }
        left += 1.0;
    }
    years / certain
}

/// `L` of the module's documentation; both rates are per year.
fn mean_years_to_loss(profile: CodeProfile, loss_rate: f64, repair_rate: f64) -> f64 {
    // A profile has 128 shards at most, so the walk down from `n` is exact.
    let shards = (0..profile.n()).fold(0.0, |count, _| count + 1.0);
    let mut years = 1.0 / (shards * loss_rate);
    let mut total = years;
    let mut left = shards;
    for _ in 0..profile.m() {
        left -= 1.0;
        years = (1.0 + repair_rate * years) / (left * loss_rate);
        total += years;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nines(profile: CodeProfile) -> String {
        durability(profile, 0.08, 7.0).unwrap().to_string()
    }

    #[test]
    fn the_profiles_are_worth_what_the_design_says() {
        assert_eq!(nines(CodeProfile::RS_4_2), "4.6 nines");
        assert_eq!(nines(CodeProfile::RS_8_4), "7.3 nines");
        assert_eq!(nines(CodeProfile::RS_16_8), "11.9 nines");
        assert_eq!(nines(CodeProfile::RS_4_2.whole_copies()), "5.9 nines");
    }

    #[test]
    fn more_segments_are_worth_less_and_never_more_than_certain_loss() {
        let one = durability(CodeProfile::RS_4_2, 0.08, 7.0).unwrap();
        let thousand = one.of_segments(1000);
        assert!((one.nines - thousand.nines - 3.0).abs() < 1e-9);
        assert_eq!(one.of_segments(u32::MAX).to_string(), "0.0 nines");
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(durability(CodeProfile::RS_4_2, bad, 7.0), Err(DurabilityError::NodeLoss(_))));
            assert!(matches!(durability(CodeProfile::RS_4_2, 0.08, bad), Err(DurabilityError::RepairDays(_))));
        }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014): a fixed sequence, so the test sees the same luck every time.
    struct SplitMix(u64);

    impl SplitMix {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        /// An exponential waiting time in years, at `rate` a year.
        fn wait(&mut self, rate: f64) -> f64 {
            let uniform = ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -uniform.ln() / rate
        }
    }

    /// One life of a segment, told by its shards: each has its own day of death, one workshop repairs them in turn.
    /// Shares neither the chain nor its formula.
    fn years_until_lost(profile: CodeProfile, loss_rate: f64, repair_rate: f64, chance: &mut SplitMix) -> f64 {
        let mut dies_at: Vec<f64> = (0..profile.n()).map(|_| chance.wait(loss_rate)).collect();
        let mut queue: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
        let mut repaired_at = f64::INFINITY;
        loop {
            let (next, death) = dies_at.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            if repaired_at < death {
                let shard = queue.pop_front().unwrap();
                dies_at[shard] = repaired_at + chance.wait(loss_rate);
                repaired_at = if queue.is_empty() { f64::INFINITY } else { repaired_at + chance.wait(repair_rate) };
                continue;
            }
            dies_at[next] = f64::INFINITY;
            queue.push_back(next);
            if queue.len() > profile.m() {
                return death;
            }
            if queue.len() == 1 {
                repaired_at = death + chance.wait(repair_rate);
            }
        }
    }

    #[test]
    fn a_simulation_by_shards_agrees_with_the_formula() {
        let mut chance = SplitMix(20_261_122);
        for (k, m, loss_rate, repair_rate) in
            [(4, 2, 0.5, 6.0), (4, 2, 2.0, 5.0), (1, 2, 1.0, 12.0), (8, 4, 1.0, 20.0), (3, 0, 0.3, 1.0)]
        {
            let profile = CodeProfile::new(k, m).unwrap();
            let lives = 20_000;
            let sum: f64 = (0..lives).map(|_| years_until_lost(profile, loss_rate, repair_rate, &mut chance)).sum();
            let (seen, expected) = (sum / f64::from(lives), mean_years_to_loss(profile, loss_rate, repair_rate));
            // A life is about exponential: the standard error of the mean is 1/sqrt(20,000) = 0.7% of it. Four of them.
            assert!((seen / expected - 1.0).abs() < 0.028, "{profile}: simulated {seen}, formula {expected}");
        }
    }

    #[test]
    fn waiting_is_worth_less_and_the_thresholds_keep_the_promise() {
        let lazily = |t| durability_when_lazy(CodeProfile::RS_16_8, 0.08, 7.0, t).unwrap().nines;
        let nines: Vec<f64> = (1..=8).map(lazily).collect();
        assert!(nines.is_sorted_by(|a, b| a > b), "{nines:?}");
        let shown = |profile| {
            let Thresholds { lazy, eager } = thresholds(profile, 0.08, 7.0).unwrap();
            (lazy, eager)
        };
        assert_eq!(shown(CodeProfile::RS_4_2), (1, 1));
        let (lazy, eager) = shown(CodeProfile::RS_16_8);
        assert!(lazily(lazy) >= 11.9 && lazily(lazy + 1) < 11.96, "lazy {lazy}: {nines:?}");
        assert_eq!(eager, 6);
        assert_eq!(shown(CodeProfile::RS_4_2.whole_copies()), (1, 1));
        assert_eq!(shown(CodeProfile::new(3, 0).unwrap()), (1, 1));
    }

    /// One life of a segment whose repair waits for `begin_at` lost shards and then rebuilds all at once.
    fn years_until_lost_when_lazy(
        profile: CodeProfile,
        (loss_rate, repair_rate): (f64, f64),
        begin_at: usize,
        chance: &mut SplitMix,
    ) -> f64 {
        let mut now = 0.0;
        let mut dies_at: Vec<f64> = (0..profile.n()).map(|_| chance.wait(loss_rate)).collect();
        let mut repaired_at = f64::INFINITY;
        loop {
            let (next, death) = dies_at.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            if repaired_at < death {
                now = repaired_at;
                for shard in dies_at.iter_mut().filter(|dies_at| dies_at.is_infinite()) {
                    *shard = now + chance.wait(loss_rate);
                }
                repaired_at = f64::INFINITY;
                continue;
            }
            dies_at[next] = f64::INFINITY;
            let lost = dies_at.iter().filter(|dies_at| dies_at.is_infinite()).count();
            if lost > profile.m() {
                return now.max(death);
            }
            if lost >= begin_at && repaired_at.is_infinite() {
                repaired_at = death + chance.wait(repair_rate);
            }
        }
    }

    #[test]
    fn a_simulation_of_waiting_agrees_with_its_formula() {
        let mut chance = SplitMix(4);
        for (k, m, rates, begin_at) in [(4, 2, (0.5, 6.0), 2), (8, 4, (1.0, 20.0), 3), (8, 4, (1.0, 10.0), 1)] {
            let profile = CodeProfile::new(k, m).unwrap();
            let lives = 20_000;
            let sum: f64 = (0..lives).map(|_| years_until_lost_when_lazy(profile, rates, begin_at, &mut chance)).sum();
            let expected = mean_years_when_lazy(profile, rates.0, rates.1, begin_at);
            let seen = sum / f64::from(lives);
            assert!((seen / expected - 1.0).abs() < 0.028, "{profile}: simulated {seen}, formula {expected}");
        }
    }
}
