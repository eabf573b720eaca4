//! What a node tells of itself to an enrolled gateway.

use std::collections::BTreeMap;

use domicile_types::{NodeId, OperatorId, Place, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::RefusalCode;

/// How often, and how many shard bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbCount {
    /// Requests that succeeded.
    pub requests: u64,
    /// Shard bytes they moved.
    pub bytes: u64,
}

/// The body of `/v1/status`. Counters are over the node's whole life, not since its last start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Format version: 1.
    pub v: u8,
    /// Who.
    pub node: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// Where it says it is.
    pub place: Place,
    /// Name and version of its software.
    pub software: String,
    /// When it last started, by its clock.
    pub started: UnixMillis,
    /// Bytes it offers.
    pub capacity_bytes: u64,
    /// Bytes of those that are taken: live shards with their headers, and dead ones whose space is not yet given back.
    pub used_bytes: u64,
    /// Bytes of those that are free.
    pub free_bytes: u64,
    /// Live shards.
    pub shards: u64,
    /// Shards found to be corrupt on disk, not yet replaced or deleted.
    pub corrupt_shards: u64,
    /// Shards stored.
    pub stored: VerbCount,
    /// Shards and ranges served.
    pub served: VerbCount,
    /// Shards deleted.
    pub deleted: VerbCount,
    /// Refusals by code; codes that never occurred are absent.
    pub refused: BTreeMap<RefusalCode, u64>,
    /// TLS handshakes refused because the peer is not an enrolled gateway.
    pub refused_handshakes: u64,
}

impl NodeStatus {
    /// The format version that this code writes.
    pub const VERSION: u8 = 1;
}

/// The largest checkpoint that a node saw of one gateway's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSeen {
    /// Whose log.
    pub gateway: NodeId,
    /// The log's origin line.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// Its root hash, in hexadecimal.
    pub root: String,
    /// The signed note itself (C2SP tlog-checkpoint): the gateway cannot deny it.
    pub note: String,
}

/// The body of `/v1/checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointsSeen {
    /// Format version: 1.
    pub v: u8,
    /// Who saw them.
    pub node: NodeId,
    /// One per gateway that ever showed one.
    pub checkpoints: Vec<CheckpointSeen>,
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    #[test]
    fn a_status_round_trips_with_its_refusals_by_name() {
        let status = NodeStatus {
            v: NodeStatus::VERSION,
            node: IdentityKey::from_seed(&[1; 32]).id(),
            operator: OperatorId::parse("operator-1").unwrap(),
            place: Place::parse("CN").unwrap(),
            software: "domicile 0.1.0".to_owned(),
            started: UnixMillis(1),
            capacity_bytes: 100,
            used_bytes: 40,
            free_bytes: 60,
            shards: 2,
            corrupt_shards: 0,
            stored: VerbCount { requests: 2, bytes: 30 },
            served: VerbCount::default(),
            deleted: VerbCount::default(),
            refused: BTreeMap::from([(RefusalCode::StaleTicket, 3)]),
            refused_handshakes: 1,
        };
        let text = serde_json::to_string(&status).unwrap();
        assert!(text.contains("\"refused\":{\"stale-ticket\":3}"), "{text}");
        assert_eq!(serde_json::from_str::<NodeStatus>(&text).unwrap(), status);
    }
}
