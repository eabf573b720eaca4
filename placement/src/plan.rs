//! A plan: which node is to hold which shard. It proves nothing and sends nothing until `check` has passed it.

use domicile_types::{CodeProfile, NodeId};
use serde::{Deserialize, Serialize};

/// Where the missing shards of one segment shall go. Untrusted until checked, so its fields are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The erasure code of the segment.
    pub profile: CodeProfile,
    /// One entry per shard to be sent, in the order of their indices. Held shards are not among them.
    pub shards: Vec<PlannedShard>,
}

/// One shard and the node chosen for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedShard {
    /// Index in the segment, from 0; data shards first.
    pub shard: u8,
    /// The node.
    pub node: NodeId,
}
