//! Wall time, processor time of this thread, and numbers on their way into a report.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a piece of work took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
    /// Wall time.
    pub(crate) wall: Duration,
    /// Time that this thread was on a processor.
    pub(crate) cpu: Duration,
}

/// Runs `work` on this thread and measures it.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Took> {
    let (start, cpu) = (now(), thread_cpu()?);
    work()?;
    Ok(Took { cpu: thread_cpu()?.saturating_sub(cpu), wall: start.elapsed() })
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark is a shell: it measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The calendar, for signatures and log entries.
#[expect(clippy::disallowed_methods, reason = "a benchmark is a shell: it dates what it sends")]
pub(crate) fn today() -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc()
}

/// Processor time of this thread. The kernel brings it up to date at every tick, so it may lag by some milliseconds.
fn thread_cpu() -> Result<Duration> {
    const PATH: &str = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(PATH).with_context(|| format!("{PATH} cannot be read: this needs Linux"))?;
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.with_context(|| format!("{PATH} holds {text:?}, not nanoseconds"))?))
}

/// The value in the middle; zero of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The smallest value that `share` (0 to 1) of them do not exceed: the nearest-rank percentile.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = whole((share * float(widen(sorted.len()))).ceil()).saturating_sub(1);
    let at = usize::try_from(rank).unwrap_or(0).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// A count as a number to divide by. Exact up to 2^53.
#[expect(clippy::as_conversions, reason = "a figure for people: beyond 2^53 its last digits do not matter")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// A number of bytes or of ranks from a computation; what is negative becomes zero.
#[expect(clippy::as_conversions, reason = "`as` from float saturates, which is what is wanted")]
pub(crate) const fn whole(number: f64) -> u64 {
    number as u64
}

/// `usize` as `u64`.
pub(crate) fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let sorted: Vec<f64> = (1..=200u32).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 0.5), 100.0);
        assert_eq!(percentile(&sorted, 0.99), 198.0);
        assert_eq!(percentile(&sorted, 1.0), 200.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }
}
