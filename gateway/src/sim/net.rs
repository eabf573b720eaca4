//! The network of the simulated cluster: hands requests of the gateway to nodes, unless the way is cut.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use domicile_storage_node::admission::Verb;
use domicile_types::{DataId, NodeId, ShardCid};
use http::{Request, Response};
use parking_lot::Mutex;

use super::node::{Deed, SimNode};
use crate::clock::{Clock, Simulated};
use crate::fleet::Wire;

/// How long a gateway waits for a node that does not answer, in milliseconds of simulated time.
const SILENCE_MILLIS: u64 = 200;

/// Everything beyond the gateway.
pub(super) struct Net {
    gateway: NodeId,
    clock: Clock,
    simulated: &'static Simulated,
    inner: Mutex<Inner>,
}

/// What the network and the nodes are, and what was done so far.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) nodes: BTreeMap<NodeId, SimNode>,
    /// Nodes that the gateway cannot reach, nor they it.
    pub(super) cut: BTreeSet<NodeId>,
    /// Nodes that take so long that some requests to them end without an answer.
    pub(super) slow: BTreeSet<NodeId>,
    /// What nodes did since it was looked at last.
    pub(super) deeds: Vec<Deed>,
    /// Shards that chance destroyed, or that were signed for and not kept.
    pub(super) destroyed: BTreeSet<(NodeId, ShardCid)>,
    requests: u64,
}

impl Net {
    pub(super) fn new(gateway: NodeId, simulated: &'static Simulated) -> Self {
        Self { gateway, clock: Clock::simulated(simulated), simulated, inner: Mutex::default() }
    }

    /// Looks at, or changes, what is there.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock())
    }
}

impl Wire for Net {
    fn carry(&self, node: NodeId, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.requests += 1;
        // Every third request to a slow node is lost, before or after the node has done what it asks.
        let lost = inner.slow.contains(&node).then_some(inner.requests % 6);
        let silent = || {
            self.simulated.advance(SILENCE_MILLIS);
            None
        };
        if inner.cut.contains(&node) || lost == Some(0) {
            return silent();
        }
        let Some(sim) = inner.nodes.get_mut(&node) else { return silent() };
        let before = inner.deeds.len();
        let Some(answer) = sim.answer(&self.gateway, &request, self.clock.now(), &mut inner.deeds) else {
            return silent();
        };
        for deed in inner.deeds.iter().skip(before) {
            match deed.verb {
                Verb::Put if sim.faults.forgets => drop(inner.destroyed.insert((node, deed.cid))),
                Verb::Put => drop(inner.destroyed.remove(&(node, deed.cid))),
                _ => {}
            }
        }
        if lost == Some(3) { silent() } else { Some(answer) }
    }
}

impl Inner {
    /// Whether the gateway can have the shard from the node now.
    pub(super) fn serves(&self, node: &NodeId, cid: &ShardCid, data: &DataId) -> bool {
        let reachable = !self.cut.contains(node) && !self.slow.contains(node);
        let sim = self.nodes.get(node).filter(|sim| !sim.faults.down);
        reachable && sim.is_some_and(|sim| sim.holds(cid, data))
    }
}
