//! Scrubbing: every shard is read and held against its name, whether anybody asks for it or not.

use std::ops::ControlFlow;

use domicile_types::ShardCid;

use super::ShardStore;
use super::read::{self, ReadError, Soundness};
use super::rows::ShardState;

/// Shards that are looked up for one step, at the most.
const STEP_SHARDS_MAX: usize = 256;

/// What one step came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubStep {
    /// The last shard that was looked at; `None`: there is none behind where the step began.
    pub last: Option<ShardCid>,
    /// Shards read.
    pub checked: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are not what they were: marked, and served no more.
    pub damaged: u64,
}

impl ShardStore {
    /// Checks the shards behind `after`, in the order of their names, up to about `bytes_max`. Blocks on the disk.
    pub fn scrub_step(&self, after: Option<&ShardCid>, bytes_max: u64) -> Result<ScrubStep, ReadError> {
        let (mut wanted, mut bytes) = (Vec::new(), 0u64);
        self.index.shards_after(after, |cid, row| {
            if wanted.len() >= STEP_SHARDS_MAX || bytes >= bytes_max {
                return ControlFlow::Break(());
            }
            bytes = bytes.saturating_add(u64::from(row.shard_bytes));
            wanted.push((cid, row.sequence, row.state));
            ControlFlow::Continue(())
        })?;
        let mut step = ScrubStep::default();
        for (cid, sequence, state) in wanted {
            step.last = Some(cid);
            if state == ShardState::Corrupt {
                continue;
            }
            match read::sound(&self.files, &self.index, &cid, sequence)? {
                Soundness::Bytes(shard) => {
                    step.checked += 1;
                    step.bytes += u64::try_from(shard.len()).unwrap_or(0);
                }
                Soundness::Damaged => {
                    step.checked += 1;
                    step.damaged += 1;
                    self.mark_corrupt(&cid, sequence);
                }
                Soundness::Elsewhere => {}
            }
        }
        Ok(step)
    }
}
