//! What is asked of placement.

use domicile_types::{CodeProfile, DataId, NodeId};

/// One segment to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRequest {
    /// The erasure code. `None` is `auto`: the widest on offer for which there are controllers enough. A gateway settles
    /// it once per upload (`auto_profile`), since it says how long a segment is.
    pub profile: Option<CodeProfile>,
    /// Keep `m + 1` whole copies instead of coded shards: for objects too small to cut.
    pub whole_copies: bool,
    /// What the choice among equals depends on.
    pub seed: PlacementSeed,
    /// How long each shard is, in bytes: a node with less free space is passed over.
    pub shard_bytes: u64,
    /// How many shards one controller may hold. Zero counts as one. The collusion limit caps it.
    pub shards_per_controller_max: usize,
    /// Nodes to pass over: those that just failed a put.
    pub avoid: Vec<NodeId>,
    /// Shards that lie durable where they are and stay there: what a retry or a repair does not move. Only the missing
    /// ones are placed.
    pub held: Vec<HeldShard>,
    /// Shards that are neither held nor placed now: lost, and waiting for a repair that is worth its while, or for room.
    pub waived: Vec<u8>,
}

impl PlacementRequest {
    /// A first attempt: one shard per controller, nothing held, nothing avoided.
    #[must_use]
    pub fn new(profile: Option<CodeProfile>, seed: PlacementSeed, shard_bytes: u64) -> Self {
        Self {
            profile,
            whole_copies: false,
            seed,
            shard_bytes,
            shards_per_controller_max: 1,
            avoid: Vec::new(),
            held: Vec::new(),
            waived: Vec::new(),
        }
    }

    /// The same request, passing over `avoid`: after a failed put.
    #[must_use]
    pub fn avoiding(mut self, avoid: &[NodeId]) -> Self {
        self.avoid.extend_from_slice(avoid);
        self
    }

    /// The same request, for the shards missing from `held`.
    #[must_use]
    pub fn holding(mut self, held: &[HeldShard]) -> Self {
        self.held.extend_from_slice(held);
        self
    }

    /// How many shards of a segment coded by `profile` one controller may hold: what was asked for, at least one, at most
    /// the collusion limit. That is fewer than `k` (a controller that holds `k` can rebuild the segment's
    /// ciphertext) and not more than `m` (one that holds more can destroy it); whole copies: one each.
    #[must_use]
    pub fn shards_per_controller(&self, profile: CodeProfile) -> usize {
        let collusion_limit = profile.k().saturating_sub(1).min(profile.m()).max(1);
        self.shards_per_controller_max.clamp(1, collusion_limit)
    }

    /// What `profile` becomes under this request: itself, or its whole copies.
    #[must_use]
    pub fn effective(&self, profile: CodeProfile) -> CodeProfile {
        if self.whole_copies { profile.whole_copies() } else { profile }
    }
}

/// A shard that stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldShard {
    /// Its index in the segment.
    pub shard: u8,
    /// Who holds it.
    pub node: NodeId,
}

/// What the choice among equals depends on: the same segment gets the same nodes from every gateway with the same roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlacementSeed([u8; 32]);

impl PlacementSeed {
    /// The seed of one segment: BLAKE3 in key-derivation mode over data id, part and segment (big-endian).
    #[must_use]
    pub fn of_segment(data: &DataId, part: u32, segment: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("domicile 2026-11-22 placement seed of a segment");
        hasher.update(data.as_bytes()).update(&part.to_be_bytes()).update(&segment.to_be_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// From 32 bytes of the caller's.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collusion_limit_caps_what_a_controller_may_hold() {
        let mut request = PlacementRequest::new(None, PlacementSeed::from_bytes([0; 32]), 1);
        assert_eq!(request.shards_per_controller(CodeProfile::RS_4_2), 1);
        request.shards_per_controller_max = 100;
        assert_eq!(request.shards_per_controller(CodeProfile::RS_4_2), 2);
        assert_eq!(request.shards_per_controller(CodeProfile::RS_16_8), 8);
        assert_eq!(request.shards_per_controller(CodeProfile::RS_29_51), 28);
        assert_eq!(request.shards_per_controller(CodeProfile::RS_16_8.whole_copies()), 1);
        request.shards_per_controller_max = 0;
        assert_eq!(request.shards_per_controller(CodeProfile::RS_16_8), 1);
    }

    #[test]
    fn every_segment_has_a_seed_of_its_own() {
        let data = DataId::from_bytes([7; 16]);
        let seed = PlacementSeed::of_segment(&data, 1, 2);
        assert_eq!(seed, PlacementSeed::of_segment(&data, 1, 2));
        assert_ne!(seed, PlacementSeed::of_segment(&data, 2, 1));
        assert_ne!(seed, PlacementSeed::of_segment(&DataId::from_bytes([8; 16]), 1, 2));
    }
}
