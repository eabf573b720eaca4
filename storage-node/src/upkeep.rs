//! What a node does for its disk without being asked, at a pace that leaves it to its clients: it scrubs, it compacts, it
//! forgets evidence that is past its time.

use std::sync::Arc;
use std::time::Duration;

use domicile_compliance::audit::Clock;
use domicile_types::{ShardCid, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::daemon::stopped;
use crate::database::{Database, DatabaseError, Table};
use crate::ledger::Ledger;
use crate::store::{Compaction, ShardStore};

/// How often the node looks whether there is something to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes that one step of a scrub reads.
const SCRUB_STEP_BYTES: u64 = 4 << 20;
/// The least pace of a scrub, in bytes a second.
const SCRUB_RATE_MIN: u64 = 1 << 20;
/// The pace of compaction, in bytes a second.
const COMPACT_RATE: u64 = 32 << 20;
/// After what garbage a node compacts, as a share of what it uses: one in so many.
const GARBAGE_SHARE: u64 = 4;
const DAY_MILLIS: u64 = 86_400_000;
/// How often evidence is looked through.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);
const SCRUB_ROW: &[u8] = b"scrub";

/// How a node looks after what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpkeepConfig {
    /// What shards may take of `capacity_bytes`, in hundredths. Above it the node says that it is full and takes none; the
    /// rest is for deletions and compaction.
    pub high_water_percent: u8,
    /// Within how many days every shard is read and held against its name; 0: never.
    pub scrub_days: u32,
    /// Whether segment files that are mostly dead are emptied and removed.
    pub compact: bool,
    /// For how many days tickets, and receipts of what is no longer held, are kept. Statements of months before are not
    /// to be had.
    pub evidence_days: u32,
}

impl Default for UpkeepConfig {
    fn default() -> Self {
        Self { high_water_percent: 95, scrub_days: 14, compact: true, evidence_days: 400 }
    }
}

/// How far the scrub is. Kept in the database, so that a restart goes on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScrubState {
    /// When the running pass began; the last one, if none runs.
    pub(crate) began: Option<UnixMillis>,
    /// Where it is; `None`: none runs.
    pub(crate) after: Option<ShardCid>,
    /// When the last whole pass ended.
    pub(crate) finished: Option<UnixMillis>,
    /// Shards read in the running or last pass.
    pub(crate) checked: u64,
    /// Those of them that were damaged.
    pub(crate) damaged: u64,
}

impl ScrubState {
    /// The state as it was written down last.
    pub(crate) fn load(database: &Database) -> Result<Self, DatabaseError> {
        let row = database.get(Table::Meta, SCRUB_ROW)?;
        row.map_or(Ok(Self::default()), |row| serde_json::from_slice(&row).map_err(|_| Table::Meta.bad_row()))
    }

    fn save(&self, database: &Database) -> Result<(), DatabaseError> {
        database.put(Table::Meta, SCRUB_ROW, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether a pass runs, or is due.
    fn due(&self, now: UnixMillis, days: u32) -> bool {
        let interval = u64::from(days).saturating_mul(DAY_MILLIS);
        days > 0 && (self.after.is_some() || self.began.is_none_or(|began| now.millis_since(began) >= interval))
    }
}

/// Everything that upkeep works on.
pub(crate) struct Upkeep {
    pub(crate) config: UpkeepConfig,
    pub(crate) segment_bytes_max: u64,
    pub(crate) store: Arc<ShardStore>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) database: Arc<Database>,
    pub(crate) clock: Clock,
    /// Becomes true when the node stops.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Upkeep {
    /// Goes on until the node stops. A step that runs is finished: it holds the store and the database open.
    pub(crate) async fn run(self) {
        let this = Arc::new(self);
        tokio::join!(Arc::clone(&this).scrub(), Arc::clone(&this).compact(), this.forget());
    }

    async fn scrub(self: Arc<Self>) {
        let mut rest = Duration::ZERO;
        while self.goes_on_after(rest).await {
            let this = Arc::clone(&self);
            let step = tokio::task::spawn_blocking(move || this.scrub_once());
            rest = match step.await {
                Ok(Ok(Some(bytes))) => pause(bytes, self.scrub_rate()),
                Ok(Ok(None)) => LOOK_INTERVAL,
                Ok(Err(error)) => {
                    tracing::error!(error, "the scrub stands still");
                    LOOK_INTERVAL
                }
                Err(_) => return,
            };
        }
    }

    /// Rests; false if the node stops meanwhile.
    async fn goes_on_after(&self, rest: Duration) -> bool {
        tokio::time::timeout(rest, stopped(self.stop.clone())).await.is_err()
    }

    /// One step of a scrub; its bytes, `None` if nothing is due.
    fn scrub_once(&self) -> Result<Option<u64>, Box<dyn std::error::Error + Send + Sync>> {
        let now = (self.clock)();
        let mut state = ScrubState::load(&self.database)?;
        if !state.due(now, self.config.scrub_days) {
            return Ok(None);
        }
        if state.after.is_none() {
            state = ScrubState { began: Some(now), finished: state.finished, ..ScrubState::default() };
        }
        let step = self.store.scrub_step(state.after.as_ref(), SCRUB_STEP_BYTES)?;
        state.checked += step.checked;
        state.damaged += step.damaged;
        state.after = step.last;
        if step.last.is_none() {
            state.finished = Some(now);
            let ScrubState { checked, damaged, .. } = state;
            tracing::info!(checked, damaged, "every shard was read and held against its name");
        }
        state.save(&self.database)?;
        Ok(Some(step.bytes))
    }

    /// Twice as fast as a pass must be, in bytes a second.
    fn scrub_rate(&self) -> u64 {
        let seconds = u64::from(self.config.scrub_days.max(1)) * 86_400 / 2;
        (self.store.totals().shard_bytes / seconds).max(SCRUB_RATE_MIN)
    }

    async fn compact(self: Arc<Self>) {
        let (mut plan, mut rest) = (None, Duration::ZERO);
        while self.goes_on_after(rest).await {
            let this = Arc::clone(&self);
            let step = tokio::task::spawn_blocking(move || {
                let moved = this.compact_once(&mut plan);
                (plan, moved)
            });
            let Ok((left, moved)) = step.await else { return };
            plan = left;
            rest = match moved {
                Ok(Some(bytes)) => pause(bytes, COMPACT_RATE),
                Ok(None) => LOOK_INTERVAL,
                Err(error) => {
                    tracing::warn!(error, "compaction waits");
                    plan = None;
                    LOOK_INTERVAL * 12
                }
            };
        }
    }

    /// One step of compaction; its bytes, `None` if nothing is due.
    fn compact_once(
        &self,
        plan: &mut Option<Compaction>,
    ) -> Result<Option<u64>, Box<dyn std::error::Error + Send + Sync>> {
        if plan.is_none() && self.compaction_due() {
            *plan = self.store.plan_compaction()?;
        }
        let Some(running) = plan else { return Ok(None) };
        let moved = self.store.compact_step(running)?;
        if moved.is_none() {
            *plan = None;
        }
        Ok(Some(moved.unwrap_or(0)))
    }

    fn compaction_due(&self) -> bool {
        let garbage = self.store.garbage_bytes();
        self.config.compact
            && garbage > self.segment_bytes_max
            && garbage > self.store.totals().used_bytes / GARBAGE_SHARE
    }

    async fn forget(self: Arc<Self>) {
        while self.goes_on_after(RETENTION_INTERVAL).await {
            let this = Arc::clone(&self);
            let forgotten = tokio::task::spawn_blocking(move || {
                let days = u64::from(this.config.evidence_days.max(1));
                this.ledger.forget_before((this.clock)(), days.saturating_mul(DAY_MILLIS))
            });
            match forgotten.await {
                Ok(Ok(0)) => {}
                Ok(Ok(rows)) => tracing::info!(rows, "forgot tickets and receipts that are past their time"),
                Ok(Err(error)) => tracing::error!(%error, "cannot forget old tickets and receipts"),
                Err(_) => return,
            }
        }
    }
}

/// How long to rest after `bytes`, to come to `rate` bytes a second.
fn pause(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1)).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_due_at_first_while_it_runs_and_again_after_its_days() {
        let now = |day: u64| UnixMillis(1_795_000_000_000 + day * DAY_MILLIS);
        let fresh = ScrubState::default();
        assert!(fresh.due(now(0), 14) && !fresh.due(now(0), 0));
        let done = ScrubState { began: Some(now(0)), finished: Some(now(1)), ..ScrubState::default() };
        assert!(!done.due(now(13), 14) && done.due(now(14), 14));
        let running = ScrubState { after: Some(ShardCid::of(b"x")), ..done };
        assert!(running.due(now(1), 14));
    }

    #[test]
    fn a_step_is_paid_for_with_rest() {
        assert_eq!(pause(4 << 20, 1 << 20), Duration::from_secs(4));
        assert_eq!(pause(0, 0), Duration::from_millis(1));
    }
}
