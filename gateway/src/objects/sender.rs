//! Segments on their way out: planned, checked, recorded, sent, and sent again elsewhere when a node fails.

use domicile_chunker::SealedSegment;
use domicile_compliance::Permit;
use domicile_placement::{Assignment, HeldShard, PlacementRefusal, PlacementRequest, PlacementSeed, check, place};
use domicile_types::{CodeProfile, DataId, NodeId, PackId};
use futures::future::join_all;

use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use crate::catalog::ShardAt;
use crate::fleet::{NodeError, Ticketed};

/// How often a segment's missing shards are placed anew before the upload is given up.
const ROUNDS_MAX: usize = 3;

/// Where the shards of one segment are, or may be.
#[derive(Debug, Default, Clone)]
pub(super) struct Whereabouts {
    /// The holder of every shard, by index.
    pub(super) shards: Vec<ShardAt>,
    /// Puts that failed or went unanswered: the shard may lie there nevertheless.
    pub(super) strays: Vec<ShardAt>,
}

/// One segment in the hands of the sender.
pub(super) struct SegmentSending<'a> {
    gateway: &'a Gateway,
    permit: &'a Permit,
    sealed: &'a SealedSegment,
    request: PlacementRequest,
    pending: Vec<Assignment>,
    whereabouts: Whereabouts,
    rounds: usize,
}

impl<'a> SegmentSending<'a> {
    /// Plans where the shards of `sealed` go. Nothing is sent yet.
    pub(super) fn plan(
        gateway: &'a Gateway,
        permit: &'a Permit,
        profile: CodeProfile,
        (data, part): (DataId, u32),
        sealed: &'a SealedSegment,
    ) -> Result<Self, Error> {
        let record = &sealed.record;
        let seed = PlacementSeed::of_segment(&data, part, record.index);
        let shard_bytes = u64::try_from(record.shard_bytes()).unwrap_or(u64::MAX);
        let mut request = PlacementRequest::new(Some(profile), seed, shard_bytes);
        request.whole_copies = record.profile().k() == 1;
        let mut sending = Self {
            gateway,
            permit,
            sealed,
            request,
            pending: Vec::new(),
            whereabouts: Whereabouts::default(),
            rounds: 0,
        };
        sending.assign()?;
        Ok(sending)
    }

    /// Where the shards will be when all goes well: to be recorded before [`SegmentSending::send`].
    pub(super) fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// Sends what is pending. `Ok(true)`: all shards are durable. `Ok(false)`: some went elsewhere than planned, and wait to
    /// be recorded and sent once more.
    pub(super) async fn send(&mut self, ticketed: &Ticketed) -> Result<bool, Error> {
        let assignments = std::mem::take(&mut self.pending);
        let puts = assignments.into_iter().map(|assignment| self.put(ticketed, assignment));
        let results = join_all(puts).await;
        let mut failed = Vec::new();
        for (assignment, result) in results {
            match result {
                Ok(()) => self.request.held.push(HeldShard { shard: assignment.shard(), node: assignment.node() }),
                Err(error) => failed.push((assignment, error)),
            }
        }
        if failed.is_empty() {
            return Ok(true);
        }
        self.rounds += 1;
        for (assignment, error) in &failed {
            let node = assignment.node();
            tracing::warn!(%node, segment = self.sealed.record.index, shard = assignment.shard(), %error, "put failed");
            self.request.avoid.push(node);
            self.whereabouts.strays.extend(self.shard_at(assignment.shard(), node));
        }
        if self.rounds >= ROUNDS_MAX {
            let (_, error) = failed.swap_remove(0);
            return Err(Error::Unavailable(format!("shards could not be stored on enough nodes: {error}")));
        }
        self.assign()?;
        Ok(false)
    }

    async fn put(&self, ticketed: &Ticketed, assignment: Assignment) -> (Assignment, Result<(), NodeError>) {
        let shard = usize::from(assignment.shard());
        let (Some(bytes), Some(cid)) = (self.sealed.shards.get(shard), self.sealed.record.cid(shard)) else {
            let what = format!("an assignment of shard {shard}, which the segment does not have");
            let node = assignment.node();
            return (assignment, Err(NodeError::OutsideProtocol { node, what }));
        };
        let result = self.gateway.nodes.put(&assignment, ticketed, &cid, bytes.clone()).await;
        (assignment, result.map(drop))
    }

    /// Places what is not held, checks the plan, and notes where every shard will be.
    fn assign(&mut self) -> Result<(), Error> {
        let roster = self.gateway.directory.roster();
        let plan = place(&roster, self.permit, &self.request).map_err(|refusal| too_few(&refusal, self.permit))?;
        let assignments = check(&roster, self.permit, &self.request, plan)
            .map_err(|violations| internal("checking a placement", PlanRefused(format!("{violations:?}"))))?;
        let holders = assignments.holders();
        self.whereabouts.shards = (0u8..).zip(holders).filter_map(|(shard, node)| self.shard_at(shard, node)).collect();
        self.pending = assignments.into_shards();
        Ok(())
    }

    fn shard_at(&self, shard: u8, node: NodeId) -> Option<ShardAt> {
        self.sealed.record.cid(usize::from(shard)).map(|cid| ShardAt { cid, node })
    }
}

/// A plan that its independent check refuses: a defect in one of the two.
#[derive(Debug, thiserror::Error)]
#[error("the plan was refused by its check: {0}")]
struct PlanRefused(String);

/// Says why no place was found; the packs are named only where law is the cause.
pub(super) fn too_few(refusal: &PlacementRefusal, permit: &Permit) -> Error {
    let by_law = match refusal {
        PlacementRefusal::TooFew(shortage) => shortage.is_lawful(),
        PlacementRefusal::HeldShard { .. } => false,
    };
    let packs: Vec<PackId> = permit.packs().iter().filter(|_| by_law).map(|version| version.pack.clone()).collect();
    Error::TooFewNodes { explanation: refusal.to_string(), packs }
}
