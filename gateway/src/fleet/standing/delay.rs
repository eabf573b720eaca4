//! Delay bounds: how fast a node answered challenges, and how far away it can be therefore.
//!
//! Light bounds from above and from nothing else: an answer that needs a shard's bytes and comes after `t` comes from at most
//! `c * t / 2` away. So a short delay can contradict a declared place, and no delay can prove one. The speed is that of light
//! in vacuum, because some links are radio; in fibre it is two thirds of that, and cables are longer than great circles, so
//! the bound is generous by a factor of two to three. Disk, queues and TLS make it more generous still, never less.

use domicile_types::{Place, UnixMillis};
use serde::{Deserialize, Serialize};

use super::geography::{self, Extent};

/// Answers that a bound takes before it counts as measured.
pub const SAMPLES_MIN: u32 = 3;
/// Days that a measurement counts for.
const DAYS_KEPT: u64 = 7;
const DAY_MILLIS: u64 = 86_400_000;
/// Kilometres that light travels in a millisecond, in vacuum.
const LIGHT_KM_PER_MILLI: f64 = 299.792_458;
/// A bound wider than this many times the farthest that the declared place reaches, and these kilometres more, says little:
/// it is what slow paths come to.
const INFORMATIVE_TIMES: f64 = 3.0;
const INFORMATIVE_KM: f64 = 1_000.0;

/// The fastest answers of the last days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    days: Vec<Day>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    number: u64,
    micros: u32,
    samples: u32,
}

/// The fastest answer, and how many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// From the question to the last byte of the answer, in microseconds.
    pub micros: u32,
    /// Answers measured.
    pub samples: u32,
    /// When the last of them counts no more.
    pub expires: UnixMillis,
}

impl Delays {
    /// Takes in an answer that came after `micros`.
    pub fn add(&mut self, micros: u32, now: UnixMillis) {
        let number = now.0 / DAY_MILLIS;
        self.days.retain(|day| day.number + DAYS_KEPT > number && day.number <= number);
        match self.days.iter_mut().find(|day| day.number == number) {
            Some(day) => {
                day.micros = day.micros.min(micros);
                day.samples = day.samples.saturating_add(1);
            }
            None => self.days.push(Day { number, micros, samples: 1 }),
        }
    }

    /// Forgets everything: the node is in another network now.
    pub fn forget(&mut self) {
        self.days.clear();
    }

    /// The fastest of what still counts at `now`.
    #[must_use]
    pub fn best(&self, now: UnixMillis) -> Option<Measured> {
        let today = now.0 / DAY_MILLIS;
        let counted = || self.days.iter().filter(|day| day.number + DAYS_KEPT > today);
        let last = counted().map(|day| day.number).max()?;
        Some(Measured {
            micros: counted().map(|day| day.micros).min()?,
            samples: counted().fold(0, |sum, day| sum.saturating_add(day.samples)),
            expires: UnixMillis((last + DAYS_KEPT).saturating_mul(DAY_MILLIS)),
        })
    }
}

/// What a delay says of a declared place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// One of the two places is not in the table.
    Unplaced,
    /// Consistent with the place, and it rules something out.
    Agrees {
        /// The farthest that the node can be, in kilometres.
        within_km: u32,
    },
    /// Consistent with nearly every place.
    SaysLittle {
        /// The farthest that the node can be, in kilometres.
        within_km: u32,
    },
    /// Faster than light from anywhere in the declared place.
    TooShort {
        /// The farthest that the node can be, in kilometres.
        within_km: u32,
        /// The least distance of the two places, in kilometres.
        least_km: u32,
    },
}

impl Bound {
    /// Holds an answer that came to `vantage` after `micros` against `declared`.
    #[must_use]
    pub fn of(micros: u32, vantage: Place, declared: Place) -> Self {
        let extent = |place: Place| place.country().and_then(|country| geography::extent(country.as_str()));
        let (Some(from), Some(to)) = (extent(vantage), extent(declared)) else { return Self::Unplaced };
        let within = f64::from(micros) / 1_000.0 / 2.0 * LIGHT_KM_PER_MILLI;
        let (least, most) = spread(&from, &to);
        let within_km = whole(within);
        if within < least {
            Self::TooShort { within_km, least_km: whole(least) }
        } else if within <= most * INFORMATIVE_TIMES + INFORMATIVE_KM {
            Self::Agrees { within_km }
        } else {
            Self::SaysLittle { within_km }
        }
    }
}

/// The least and the greatest distance between points of two places, in kilometres.
fn spread(from: &Extent, to: &Extent) -> (f64, f64) {
    let apart = geography::distance_km(from, to);
    let reach = f64::from(from.radius_km) + f64::from(to.radius_km);
    ((apart - reach).max(0.0), apart + reach)
}

/// Rounded up; the earth is small enough.
fn whole(km: f64) -> u32 {
    // Twenty-odd steps of a search by halves, as the house casts no floats to integers.
    let (mut low, mut high) = (0u32, 1_000_000);
    while low < high {
        let middle = low.midpoint(high);
        if f64::from(middle) < km { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(micros: u32, vantage: &str, declared: &str) -> Bound {
        Bound::of(micros, Place::parse(vantage).unwrap(), Place::parse(declared).unwrap())
    }

    #[test]
    fn an_answer_within_half_a_millisecond_is_not_from_across_an_ocean() {
        for (vantage, declared) in [("CN", "US"), ("DE", "SG"), ("US", "DE"), ("FR", "CN"), ("DE", "BR")] {
            assert!(matches!(bound(500, vantage, declared), Bound::TooShort { .. }), "{vantage} {declared}");
        }
    }

    #[test]
    fn no_real_delay_contradicts_a_true_place() {
        // Round trips that are lower than any published between these places.
        for (vantage, declared, micros) in [
            ("DE", "US", 75_000),
            ("CN", "HK", 900),
            ("DE", "NL", 300),
            ("CN", "CN", 200),
            ("SG", "CN", 35_000),
            ("US", "US", 100),
        ] {
            assert!(matches!(bound(micros, vantage, declared), Bound::Agrees { .. }), "{vantage} {declared}");
        }
    }

    #[test]
    fn a_slow_answer_says_little_and_an_unknown_place_nothing() {
        assert!(matches!(bound(900_000, "DE", "NL"), Bound::SaysLittle { .. }));
        assert_eq!(bound(1, "DE", "unknown"), Bound::Unplaced);
    }

    #[test]
    fn light_goes_150_km_and_back_in_a_millisecond() {
        assert_eq!(bound(1_000, "DE", "NL"), Bound::Agrees { within_km: 150 });
    }

    #[test]
    fn the_fastest_answer_counts_for_a_week() {
        let day = |days: u64| UnixMillis(days * DAY_MILLIS);
        let mut delays = Delays::default();
        delays.add(900, day(100));
        delays.add(400, day(101));
        delays.add(700, day(106));
        let best = |at| delays.best(day(at)).map(|best| (best.micros, best.samples));
        assert_eq!(best(106), Some((400, 3)));
        assert_eq!(best(107), Some((400, 2)));
        assert_eq!(best(108), Some((700, 1)));
        assert_eq!(best(113), None);
        delays.forget();
        assert_eq!(delays.best(day(106)), None);
    }
}
