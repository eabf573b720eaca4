//! One segment of a read: fetched from the nodes that hold it, opened, and rebuilt where it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domicile_chunker::{DataKey, SegmentRead, ShardPiece, open_chunks, open_segment, reconstruct};
use domicile_compliance::Permit;
use domicile_node_protocol::{RefusalCode, ResolvedRange};
use domicile_placement::{NodeState, read_order};
use domicile_types::{Action, NodeId, OutcomeStatus};
use futures::future::join_all;
use tokio::task::spawn_blocking;

use super::authorize::{Matter, Scope, may};
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::reader::Reading;
use crate::catalog::{PageAt, ShardAt};
use crate::fleet::{NodeError, Ticketed};

/// How long a healthy read waits for one node before the others rebuild what it holds. A node that is frozen, or whose
/// network swallows everything, would otherwise hold up every read for as long as a connection may be silent.
const HOLDER_WAIT_MAX: Duration = Duration::from_secs(4);

/// A segment's share of a read, and who holds its shards.
pub(super) struct Placed {
    pub(super) read: SegmentRead,
    /// The page that says so.
    pub(super) at: PageAt,
    /// By shard index.
    pub(super) holders: Vec<NodeId>,
}

impl Placed {
    /// Adds what a healthy read takes from every holder.
    pub(super) fn add_to_budget(&self, budget: &mut BTreeMap<NodeId, u64>) {
        let is_copy = self.read.record().profile().k() == 1;
        for range in self.read.shard_ranges() {
            let bytes = u64::try_from(range.bytes.len()).unwrap_or(u64::MAX);
            // Of whole copies any one may be asked, so each may serve it.
            let holders = self.holders.iter().enumerate().filter(|(shard, _)| is_copy || *shard == range.shard);
            for (_, node) in holders {
                *budget.entry(*node).or_default() += bytes;
            }
        }
    }
}

/// Everything that fetching the segments of one window needs.
pub(super) struct Fetch<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) reading: &'a Reading,
    pub(super) data_key: &'a Arc<DataKey>,
    pub(super) permit: &'a Permit,
    pub(super) ticketed: &'a Ticketed,
}

impl Fetch<'_> {
    /// The plaintext that the read wants of one segment.
    pub(super) async fn segment(&self, placed: &Placed) -> Result<Bytes, Error> {
        let room = u32::try_from(placed.read.plaintext_bytes() / 512).unwrap_or(u32::MAX).max(1);
        let _room = self.gateway.buffers.acquire_many(room).await;
        match self.healthy(placed).await? {
            Attempt::Opened(plaintext) => Ok(plaintext),
            Attempt::Lost(lost) => self.degraded(placed, lost).await,
            Attempt::Forged => self.verified(placed).await,
        }
    }

    /// The shard ranges that hold the bytes, each from its holder.
    async fn healthy(&self, placed: &Placed) -> Result<Attempt, Error> {
        let ranges = placed.read.shard_ranges();
        let is_copy = placed.read.record().profile().k() == 1;
        let gets = ranges.iter().map(|range| async {
            let shard = if is_copy { self.nearest_copy(placed) } else { range.shard };
            (shard, range.bytes.start, self.shard_bytes_soon(placed, shard, range.bytes.clone()).await)
        });
        let mut pieces = Vec::with_capacity(ranges.len());
        let mut lost = Lost::default();
        for (shard, offset, got) in join_all(gets).await {
            match got {
                Ok(bytes) => pieces.push(ShardPiece { shard, offset, bytes }),
                Err(error) => {
                    self.report(placed, shard, &error);
                    lost.wanted.push(shard);
                    if !matches!(error, FetchError::Gone { .. } | FetchError::Slow { .. }) {
                        lost.failed.push(shard);
                    }
                }
            }
        }
        if lost.wanted.is_empty() { self.open(placed, pieces).await } else { Ok(Attempt::Lost(lost)) }
    }

    /// Bytes of one shard from its holder, unless that is known to be gone or takes too long: then others are asked.
    async fn shard_bytes_soon(&self, placed: &Placed, shard: usize, bytes: Range<usize>) -> Result<Bytes, FetchError> {
        let Some(node) = placed.holders.get(shard).copied() else { return Err(FetchError::NoHolder) };
        let directory = &self.gateway.directory;
        if directory.failed_lately(&node) || is_gone(directory.roster().get(&node).map(|record| record.state)) {
            return Err(FetchError::Gone { node });
        }
        let asked = self.shard_bytes(placed, shard, bytes, self.ticketed);
        match tokio::time::timeout(HOLDER_WAIT_MAX, asked).await {
            Ok(got) => got,
            Err(_) => {
                directory.note_failure(&node);
                Err(FetchError::Slow { node })
            }
        }
    }

    fn nearest_copy(&self, placed: &Placed) -> usize {
        self.order(placed).first().map_or(0, |held| usize::from(held.shard))
    }

    fn order(&self, placed: &Placed) -> Vec<domicile_placement::HeldBy> {
        let roster = self.gateway.directory.roster();
        read_order(&roster, placed.read.record().profile(), &placed.holders, |_| None)
    }

    /// Some nodes did not serve: the columns that they hold, of any k others.
    async fn degraded(&self, placed: &Placed, lost: Lost) -> Result<Bytes, Error> {
        let record = placed.read.record();
        let (profile, shard_bytes) = (record.profile(), record.shard_bytes());
        let ticketed = self.wider(u64::try_from(shard_bytes).unwrap_or(u64::MAX)).await?;
        let order = self.order(placed);
        let mut slots: Vec<Option<Bytes>> = vec![None; profile.n()];
        let Lost { mut wanted, mut failed } = lost;
        wanted.extend(placed.read.shard_ranges().into_iter().map(|range| range.shard));
        wanted.sort_unstable();
        wanted.dedup();
        let column = placed.read.column(&wanted);
        let result = loop {
            let have = slots.iter().flatten().count();
            let tried: BTreeSet<usize> = failed.iter().copied().collect();
            let candidates = order.iter().map(|held| usize::from(held.shard));
            let next: Vec<usize> = candidates
                .filter(|shard| !tried.contains(shard) && slots.get(*shard).is_some_and(Option::is_none))
                .take(profile.k().saturating_sub(have))
                .collect();
            if next.is_empty() {
                break if have >= profile.k() {
                    self.rebuild(placed, slots, wanted, column.clone()).await
                } else {
                    Err(Error::Unreadable(format!("{have} of the {} shards it needs can be had", profile.k())))
                };
            }
            let gets = next.iter().map(|shard| self.shard_bytes(placed, *shard, column.clone(), &ticketed));
            for (shard, got) in next.iter().zip(join_all(gets).await) {
                match (got, slots.get_mut(*shard)) {
                    (Ok(bytes), Some(slot)) => *slot = Some(bytes),
                    (Err(error), _) => {
                        self.report(placed, *shard, &error);
                        failed.push(*shard);
                    }
                    (Ok(_), None) => {}
                }
            }
        };
        settle(ticketed, result.is_ok());
        match result? {
            Attempt::Opened(plaintext) => Ok(plaintext),
            Attempt::Lost(_) | Attempt::Forged => self.verified(placed).await,
        }
    }

    /// Something does not authenticate: whole shards, checked by name.
    async fn verified(&self, placed: &Placed) -> Result<Bytes, Error> {
        let record = placed.read.record();
        let ticketed = self.wider(u64::try_from(record.shard_bytes()).unwrap_or(u64::MAX)).await?;
        let all = 0..record.shard_bytes();
        let gets = (0..record.profile().n()).map(|shard| self.shard_bytes(placed, shard, all.clone(), &ticketed));
        let mut slots: Vec<Option<Bytes>> = join_all(gets).await.into_iter().map(Result::ok).collect();
        let (key, read, pool) = (Arc::clone(self.data_key), placed.read.clone(), self.gateway.pool.clone());
        let opened = spawn_blocking(move || {
            let mut output = vec![0; read.plaintext_bytes()];
            open_segment(&key, &read, &mut slots, &pool, &mut output).map(|corrupt| (Bytes::from(output), corrupt))
        });
        let opened = opened.await.map_err(|source| internal("opening a segment", source))?;
        settle(ticketed, opened.is_ok());
        let (plaintext, corrupt) =
            opened.map_err(|error| Error::Unreadable(format!("too few shards are what their names say: {error}")))?;
        for shard in corrupt {
            self.incident(placed, shard, "corrupt-shard");
        }
        Ok(plaintext)
    }

    async fn rebuild(
        &self,
        placed: &Placed,
        mut slots: Vec<Option<Bytes>>,
        wanted: Vec<usize>,
        column: Range<usize>,
    ) -> Result<Attempt, Error> {
        let (profile, pool) = (placed.read.record().profile(), self.gateway.pool.clone());
        let rebuilt = spawn_blocking(move || reconstruct(profile, &mut slots, &wanted, &pool).map(|()| slots));
        let slots = rebuilt.await.map_err(|source| internal("rebuilding shards", source))?;
        let slots = slots.map_err(|source| internal("rebuilding shards", source))?;
        let pieces = slots
            .into_iter()
            .enumerate()
            .filter_map(|(shard, slot)| slot.map(|bytes| ShardPiece { shard, offset: column.start, bytes }));
        self.open(placed, pieces.collect()).await
    }

    /// Opens the chunks. Tags that do not verify are not an error yet: some shard lies.
    async fn open(&self, placed: &Placed, pieces: Vec<ShardPiece>) -> Result<Attempt, Error> {
        let (key, read, pool) = (Arc::clone(self.data_key), placed.read.clone(), self.gateway.pool.clone());
        let opened = spawn_blocking(move || {
            let mut output = pool.take(read.plaintext_bytes());
            open_chunks(&key, &read, &pieces, &mut output).map(|()| output.freeze())
        });
        match opened.await.map_err(|source| internal("opening a segment", source))? {
            Ok(plaintext) => Ok(Attempt::Opened(plaintext)),
            Err(domicile_chunker::OpenError::ChunkForged { .. }) => Ok(Attempt::Forged),
            Err(source) => Err(internal("opening a segment", source)),
        }
    }

    /// Bytes of one shard from its holder, if the permit lets it serve.
    async fn shard_bytes(
        &self,
        placed: &Placed,
        shard: usize,
        bytes: Range<usize>,
        ticketed: &Ticketed,
    ) -> Result<Bytes, FetchError> {
        let record = placed.read.record();
        let (Some(node), Some(cid)) = (placed.holders.get(shard).copied(), record.cid(shard)) else {
            return Err(FetchError::NoHolder);
        };
        if !may(self.permit, Action::Relay, node) {
            return Err(FetchError::NotPermitted { node });
        }
        let whole = bytes == (0..record.shard_bytes());
        let range = (!whole).then(|| ResolvedRange {
            start: u64::try_from(bytes.start).unwrap_or(u64::MAX),
            end: u64::try_from(bytes.end).unwrap_or(u64::MAX),
        });
        Ok(self.gateway.nodes.get(node, ticketed, &cid, range, bytes.len()).await?)
    }

    /// An intent of its own for what the window's budget does not hold. No plaintext range: what leaves is the window's.
    async fn wider(&self, node_bytes_max: u64) -> Result<Ticketed, Error> {
        let matter = Matter {
            operation: self.reading.operation,
            packs: &self.reading.packs,
            classification: &self.reading.head.object.classification,
            bucket: Some(&self.reading.bucket.name),
            key: Some(self.reading.key.as_str()),
            nodes: Vec::new(),
        };
        let scope = Scope { data: Some(self.ticketed.data()), node_bytes_max, ..Scope::default() };
        let intent = self.gateway.intend(&self.reading.caller, &matter, self.permit, scope).await?;
        Ticketed::new(intent).ok_or_else(|| Error::Unavailable("the ticket does not fit a header".to_owned()))
    }

    fn report(&self, placed: &Placed, shard: usize, error: &FetchError) {
        tracing::warn!(request_id = %self.reading.caller.request, shard, %error, "a shard could not be had");
        match error {
            FetchError::Node(NodeError::Refused { refusal, .. }) if refusal.code == RefusalCode::Corrupt => {
                self.incident(placed, shard, "corrupt-shard");
            }
            // It signed for the shard once.
            FetchError::Node(NodeError::Refused { refusal, .. }) if refusal.code == RefusalCode::NotFound => {
                self.incident(placed, shard, "missing-shard");
            }
            _ => {}
        }
    }

    fn incident(&self, placed: &Placed, shard: usize, what: &str) {
        let node = placed.holders.get(shard).copied();
        tracing::error!(?node, shard, what, "a node does not have what it signed for");
        let request = self.reading.caller.request;
        drop(self.gateway.log.incident(request, what, node, placed.read.cid(shard)));
        if let (Some(node), Some(cid)) = (node, placed.read.cid(shard)) {
            crate::repair::note_damaged(self.gateway, placed.at, ShardAt { cid, node });
        }
    }
}

/// What an attempt to read a segment came to.
enum Attempt {
    Opened(Bytes),
    /// Some shards could not be had.
    Lost(Lost),
    /// Some bytes are not what was sealed.
    Forged,
}

/// Shards that a healthy read could not have.
#[derive(Default)]
struct Lost {
    /// All of them.
    wanted: Vec<usize>,
    /// Those that need not be asked for again: their holders did answer, or cannot.
    failed: Vec<usize>,
}

/// Whether a node in this state is not even asked as long as others can rebuild what it holds.
const fn is_gone(state: Option<NodeState>) -> bool {
    matches!(state, Some(NodeState::Offline | NodeState::Lost | NodeState::Corrupt))
}

/// Why bytes of a shard could not be had.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no node is known to hold it")]
    NoHolder,
    #[error("the law does not let node {node} serve it")]
    NotPermitted { node: NodeId },
    #[error("node {node} is known to be gone, so others are asked first")]
    Gone { node: NodeId },
    #[error("node {node} takes longer than {} s, so others are asked", HOLDER_WAIT_MAX.as_secs())]
    Slow { node: NodeId },
    #[error(transparent)]
    Node(#[from] NodeError),
}

fn settle(ticketed: Ticketed, succeeded: bool) {
    let status = if succeeded { OutcomeStatus::Completed } else { OutcomeStatus::Failed };
    drop(ticketed.finish(status, 0, 0));
}
