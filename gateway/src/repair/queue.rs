//! What is to be repaired, in the order of risk.
//!
//! Nothing is kept but what somebody asked for: a round reads from the index what the nodes hold that are to be emptied, and
//! the pages with damaged shards, judges each by the states of its holders, and does the riskiest first. So a crash loses no
//! work, and what became riskier meanwhile moves up.

use std::collections::{BTreeMap, BTreeSet};

use domicile_placement::{PlacementSeed, Risk, Roster, SegmentState, Thresholds, risk, thresholds};
use domicile_types::{CodeProfile, NodeId, UnixMillis};

use super::page::{Ending, mend_page};
use super::roster::everyone;
use super::{RepairError, Tally, lease};
use crate::catalog::{Mendable, PageAt};
use crate::objects::Gateway;

/// Pages of the index that are read at once.
const INDEX_AT_ONCE: usize = 500;
/// The riskiest pages that one round takes on.
const ROUND_PAGES: usize = 256;
/// How long a page is left alone that could not be put in order.
const PUT_OFF_MILLIS: u64 = 15_000;

/// What the worker remembers between rounds.
#[derive(Default)]
pub(crate) struct Queue {
    put_off: BTreeMap<PageAt, UnixMillis>,
    /// Pages whose trouble is an incident in the log already.
    told: BTreeSet<PageAt>,
    promises: BTreeMap<CodeProfile, Thresholds>,
}

impl Queue {
    /// One round. Whether anything was done.
    pub(crate) async fn round(&mut self, gateway: &Gateway) -> Result<bool, RepairError> {
        let now = gateway.clock.now();
        self.put_off.retain(|_, until| *until > now);
        let candidates = self.candidates(gateway).await?;
        let mut done = false;
        for (_, at) in candidates {
            match mend_page(gateway, &lease(gateway).await?, at, |profile| self.promise(gateway, profile)).await {
                Ok(Ending::Done) => {
                    done = true;
                    self.told.remove(&at);
                }
                Ok(Ending::Nothing) => {}
                Ok(Ending::Changed) => done = true,
                Ok(Ending::Stuck(what)) => self.stuck(gateway, at, what),
                Err(RepairError::Logged(crate::objects::Error::Denied(_))) => {
                    self.stuck(gateway, at, "repair-denied");
                }
                Err(error) => {
                    tracing::warn!(error = crate::admin::with_causes(&error), "a page could not be repaired yet");
                    self.put_off.insert(at, gateway.clock.now().plus_millis(PUT_OFF_MILLIS));
                }
            }
        }
        Ok(done)
    }

    /// Leaves a page alone for a while, and tells of it once.
    fn stuck(&mut self, gateway: &Gateway, at: PageAt, what: &'static str) {
        self.put_off.insert(at, gateway.clock.now().plus_millis(PUT_OFF_MILLIS));
        if self.told.insert(at) {
            let request = domicile_types::RequestId::from_bytes(gateway.clock.random());
            tracing::error!(what, "a segment cannot be put in order");
            drop(gateway.log.incident(request, what, None, None));
            Tally::add(&gateway.repairs.done.stuck, 1);
        }
    }

    /// The riskiest pages that are due.
    async fn candidates(&mut self, gateway: &Gateway) -> Result<Vec<(Risk, PageAt)>, RepairError> {
        let roster = everyone(gateway);
        let mut found: BTreeMap<PageAt, Risk> = BTreeMap::new();
        for at in gateway.repairs.take_asked(ROUND_PAGES) {
            // Somebody saw what the states do not show: the plan asks the law itself.
            self.judge(gateway, &roster, at, true, &mut found).await?;
        }
        let mut after = None;
        loop {
            let pages = gateway.catalog.damaged_pages(after, INDEX_AT_ONCE).await?;
            after = pages.last().copied();
            for at in &pages {
                self.judge(gateway, &roster, *at, false, &mut found).await?;
            }
            if pages.len() < INDEX_AT_ONCE {
                break;
            }
        }
        let emptied = roster.iter().filter(|record| record.state.is_emptied()).map(|record| record.node);
        for node in emptied.collect::<Vec<NodeId>>() {
            let mut after = None;
            loop {
                let pages = gateway.catalog.pages_of_node(&node, after, INDEX_AT_ONCE).await?;
                after = pages.last().copied();
                for at in &pages {
                    self.judge(gateway, &roster, *at, false, &mut found).await?;
                }
                trim(&mut found);
                if pages.len() < INDEX_AT_ONCE {
                    break;
                }
            }
        }
        let mut candidates: Vec<(Risk, PageAt)> = found.into_iter().map(|(at, risk)| (risk, at)).collect();
        candidates.sort_unstable();
        candidates.truncate(ROUND_PAGES);
        Ok(candidates)
    }

    async fn judge(
        &mut self,
        gateway: &Gateway,
        roster: &Roster,
        at: PageAt,
        asked: bool,
        found: &mut BTreeMap<PageAt, Risk>,
    ) -> Result<(), RepairError> {
        if found.contains_key(&at) || self.put_off.contains_key(&at) {
            return Ok(());
        }
        let Some(page) = gateway.catalog.mendable(at).await? else { return Ok(()) };
        let emptied = |node: &NodeId| roster.get(node).is_none_or(|record| record.state.is_emptied());
        let strays = page.page.strays.iter().any(|stray| emptied(&stray.node));
        let worst = segments(&page)
            .map(|(profile, holders, damaged)| {
                let thresholds = self.promise(gateway, profile);
                let seed = PlacementSeed::from_bytes([0; 32]);
                let segment = SegmentState { profile, holders: &holders, damaged: &damaged, shard_bytes: 0, seed };
                let risk = risk(roster, &segment, thresholds, |_| false);
                (!(asked || strays || risk.is_due(thresholds)), risk)
            })
            .filter(|(waits, _)| !waits)
            .map(|(_, risk)| risk)
            .min();
        if let Some(risk) = worst {
            found.insert(at, risk);
        }
        Ok(())
    }

    /// How many lost shards a segment of that code waits for.
    fn promise(&mut self, gateway: &Gateway, profile: CodeProfile) -> Thresholds {
        let model = &gateway.config.repair;
        *self.promises.entry(profile).or_insert_with(|| {
            thresholds(profile, model.node_loss_per_year, model.repair_days).unwrap_or(Thresholds::AT_ONCE)
        })
    }
}

/// Code, holders and damaged shards of every segment.
fn segments(page: &Mendable) -> impl Iterator<Item = (CodeProfile, Vec<NodeId>, Vec<u8>)> + '_ {
    page.segments().filter_map(|(_, _, _, shards)| {
        let profile = page.profile_of(shards.len())?;
        let holders = shards.iter().map(|shard| shard.node).collect();
        let damaged = (0u8..).zip(shards).filter(|(_, shard)| page.damaged.contains(shard)).map(|(index, _)| index);
        Some((profile, holders, damaged.collect()))
    })
}

/// Keeps the riskiest, so that what is remembered does not grow with what a node holds.
fn trim(found: &mut BTreeMap<PageAt, Risk>) {
    if found.len() <= 4 * ROUND_PAGES {
        return;
    }
    let mut risks: Vec<Risk> = found.values().copied().collect();
    risks.sort_unstable();
    if let Some(limit) = risks.get(2 * ROUND_PAGES).copied() {
        found.retain(|_, risk| *risk < limit || risks.first() == Some(risk));
    }
    while found.len() > 4 * ROUND_PAGES {
        found.pop_last();
    }
}
