//! What a node tells of itself: to a gateway that asks, and to the swarm.

use domicile_node_protocol::{
    Announcement, CheckpointsSeen, Holdings, KeptTickets, NodeStatus, ProtocolVersions, Refusal, RefusalCode,
    SignedAnnouncement,
};
use domicile_types::{DataId, NodeId, ShardCid};

use super::refusals::unavailable;
use super::{Node, SOFTWARE};
use crate::store::HoldingsPage;

impl Node {
    pub(crate) fn status(&self) -> NodeStatus {
        let (totals, counters) = (self.store.totals(), &self.ledger.counters);
        NodeStatus {
            v: NodeStatus::VERSION,
            node: self.key.id(),
            operator: self.persona.operator.clone(),
            place: self.persona.place,
            software: SOFTWARE.to_owned(),
            started: self.started,
            capacity_bytes: self.store.capacity_bytes(),
            used_bytes: totals.used_bytes,
            free_bytes: self.store.free_bytes(),
            shards: totals.shards,
            corrupt_shards: totals.corrupt_shards,
            stored: counters.stored.count(),
            served: counters.served.count(),
            deleted: counters.deleted.count(),
            refused: counters.refused(),
            refused_handshakes: counters.refused_handshakes(self.enrolled.refused()),
        }
    }

    pub(crate) fn checkpoints(&self) -> CheckpointsSeen {
        CheckpointsSeen { v: 1, node: self.key.id(), checkpoints: self.ledger.checkpoints() }
    }

    /// What is stored under the tickets of `gateway`. Blocks on the disk.
    pub(crate) fn holdings(&self, gateway: &NodeId, after: Option<&str>) -> Result<Holdings, Refusal> {
        let after = after.map(cursor).transpose()?;
        let HoldingsPage { holdings, next } =
            self.store.holdings(gateway, after).map_err(|error| unavailable(&error))?;
        Ok(Holdings { node: self.key.id(), holdings, next: next.map(|(cid, data)| format!("{cid}:{data}")) })
    }

    /// The tickets that were kept of the log of `gateway`. Blocks on the disk.
    pub(crate) fn kept_tickets(&self, gateway: &NodeId, after: Option<&str>) -> Result<KeptTickets, Refusal> {
        let number = |text: &str| {
            let message = "after= takes the index of a log entry: send what the page before said";
            text.parse().map_err(|_| Refusal::new(RefusalCode::BadRequest, message))
        };
        let after = after.map(number).transpose()?;
        let (tickets, next) = self.ledger.kept(gateway, after).map_err(|error| unavailable(&error))?;
        Ok(KeptTickets { node: self.key.id(), tickets, next })
    }

    pub(crate) fn announcement(&self, data_plane: std::net::SocketAddr) -> SignedAnnouncement {
        let issued = (self.clock)();
        let announcement = Announcement {
            v: Announcement::VERSION,
            node: self.key.id(),
            operator: self.persona.operator.clone(),
            party: self.persona.party.clone(),
            place: self.persona.place,
            data_plane,
            capacity_bytes: self.store.capacity_bytes(),
            free_bytes: self.store.free_bytes(),
            condition: self.condition(),
            speaks: ProtocolVersions::SPOKEN,
            software: SOFTWARE.to_owned(),
            issued,
            expires: issued.plus_millis(Announcement::LIFETIME_MILLIS),
        };
        SignedAnnouncement::sign(&announcement, &self.key)
    }
}

/// `<cid>:<data id>`, as the page before said it.
fn cursor(text: &str) -> Result<(ShardCid, DataId), Refusal> {
    let parsed =
        text.split_once(':').and_then(|(cid, data)| Some((ShardCid::parse(cid).ok()?, DataId::parse(data).ok()?)));
    let message = "after= takes a shard's name, a colon and a data id: send what the page before said";
    parsed.ok_or_else(|| Refusal::new(RefusalCode::BadRequest, message))
}
