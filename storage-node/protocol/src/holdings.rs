//! What a node keeps, told page by page: shards and tickets.

use domicile_types::{DataId, NodeId, ShardCid, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::LeafHash;

/// One claim on a shard: the same shard stored under two data ids is two holdings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which shard.
    pub cid: ShardCid,
    /// Under which data id.
    pub data: DataId,
    /// Its length, in bytes.
    pub bytes: u64,
    /// Since when, by the node's clock.
    pub since: UnixMillis,
    /// Leaf hash of the intent whose ticket stored it.
    pub ticket: LeafHash,
    /// Whether its bytes are known to be damaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrupt: bool,
}

/// The body of `GET /v1/holdings?after=<cid>:<data id>`, in the order of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Who.
    pub node: NodeId,
    /// The page.
    pub holdings: Vec<Holding>,
    /// What to ask `after` for the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A ticket that a node acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTicket {
    /// The entry's index in the asking gateway's log.
    pub index: u64,
    /// The entry's leaf hash.
    pub leaf: LeafHash,
    /// Shard bytes that the node served or accepted under it.
    pub spent_bytes: u64,
    /// When it was first used, by the node's clock.
    pub first_used: UnixMillis,
}

/// The body of `GET /v1/tickets?after=<index>`: those of the asking gateway's log, in the order of their index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTickets {
    /// Who.
    pub node: NodeId,
    /// The page.
    pub tickets: Vec<KeptTicket>,
    /// What to ask `after` for the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// How many holdings or tickets a page has at the most.
pub const PAGE_ROWS_MAX: usize = 2000;
