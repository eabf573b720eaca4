//! What the kernel says of a process: processor time, bytes written, resident memory.

use std::fs;

use anyhow::{Context, Result};

use crate::stopwatch::float;

/// The unit of processor times in `/proc`: `USER_HZ`, 100 on every Linux that Rust runs on except alpha.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sums over processes, except where stated.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Of all threads, user and system.
    pub(crate) cpu_seconds: f64,
    /// That the processes made the kernel write to disk: pages dirtied and direct writes.
    pub(crate) written_bytes: u64,
    /// Largest of the processes' peaks, since [`reset_peak`].
    pub(crate) peak_bytes: u64,
}

impl Usage {
    /// Of process `pid`, which is ours.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        Ok(Self {
            cpu_seconds: cpu_seconds(&format!("/proc/{pid}/stat"))?,
            written_bytes: field(&format!("/proc/{pid}/io"), "write_bytes:")?,
            peak_bytes: field(&format!("/proc/{pid}/status"), "VmHWM:")? * 1024,
        })
    }

    /// Of several.
    pub(crate) fn of_all(pids: &[u32]) -> Result<Self> {
        pids.iter().try_fold(Self::default(), |sum, pid| {
            let one = Self::of(*pid)?;
            Ok(Self {
                cpu_seconds: sum.cpu_seconds + one.cpu_seconds,
                written_bytes: sum.written_bytes + one.written_bytes,
                peak_bytes: sum.peak_bytes.max(one.peak_bytes),
            })
        })
    }

    /// What was added since `before`; the peak is the later one.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            peak_bytes: self.peak_bytes,
        }
    }
}

/// Processor time of this process.
pub(crate) fn own_cpu_seconds() -> Result<f64> {
    cpu_seconds("/proc/self/stat")
}

/// Processor time of the children that this process has waited for.
pub(crate) fn children_cpu_seconds() -> Result<f64> {
    // cutime and cstime are fields 16 and 17.
    cpu_fields("/proc/self/stat", 13)
}

/// Makes the process's peak of resident memory begin anew (`man 5 proc`, clear_refs).
pub(crate) fn reset_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("{path} cannot be written: peaks would be those of an earlier phase"))
}

fn cpu_seconds(path: &str) -> Result<f64> {
    // utime and stime are fields 14 and 15.
    cpu_fields(path, 11)
}

/// The sum of two fields, after so many that follow the name.
fn cpu_fields(path: &str, skipped: usize) -> Result<f64> {
    let text = read(path)?;
    // The second field is the program's name in parentheses, and may hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(skipped).take(2);
    let ticks: Option<Vec<u64>> = fields.map(|field| field.parse().ok()).collect();
    let ticks = ticks.filter(|ticks| ticks.len() == 2).with_context(|| format!("{path} holds {text:?}"))?;
    Ok(float(ticks.iter().sum()) / TICKS_PER_SECOND)
}

/// The first number after `name` at the beginning of a line.
fn field(path: &str, name: &str) -> Result<u64> {
    let text = read(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{path} has no {name}"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("{path} cannot be read: has the process ended? its log may say why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_peak_and_its_own_processor_time() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.peak_bytes > 100_000);
        assert!((usage.cpu_seconds - own_cpu_seconds().unwrap()).abs() < 5.0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_that_says_so() {
        let error = Usage::of(u32::MAX).unwrap_err();
        assert!(error.to_string().contains("has the process ended"), "{error:#}");
    }
}
