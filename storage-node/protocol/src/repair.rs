//! A repair that a node does in a gateway's stead, because the gateway is not in a place where it may.
//!
//! The gateway logs the intent, which names the worker; the job says what to fetch where, and what to rebuild for whom. The
//! worker fetches `k` shards, each under the ticket, checks every one against its name, rebuilds what is missing,
//! checks that against its name too, and stores it with its new holder under the same ticket.

use std::net::SocketAddr;

use domicile_types::{CodeProfile, DataId, NodeId, ShardCid};
use serde::{Deserialize, Serialize};

/// A shard, where it is or is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairShard {
    /// Index in the segment.
    pub shard: u8,
    /// Its name.
    pub cid: ShardCid,
    /// Who holds it, or is to hold it.
    pub node: NodeId,
    /// Where that node's data plane listens.
    pub address: SocketAddr,
}

/// The body of `POST /v1/repairs`; the ticket comes in its header, as with every verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairJob {
    /// What the shards are stored under.
    pub data: DataId,
    /// The segment's code.
    pub profile: CodeProfile,
    /// Where shards are, in the order in which to ask; more than `k` where there are.
    pub sources: Vec<RepairShard>,
    /// What to make, and for whom. Their holders differ from each other and from the sources'.
    pub targets: Vec<RepairShard>,
}

/// How one target fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairedShard {
    /// Index in the segment.
    pub shard: u8,
    /// The new holder's receipt (stored), as text; absent: it was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// Why it was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The answer to a [`RepairJob`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairDone {
    /// Every target, in the order of the job.
    pub shards: Vec<RepairedShard>,
    /// Shard bytes that came in from sources.
    pub fetched_bytes: u64,
    /// Shard bytes that went out to new holders.
    pub stored_bytes: u64,
    /// Sources that failed or gave what is not the shard, with why.
    pub faults: Vec<(NodeId, String)>,
}
