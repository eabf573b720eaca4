//! In which order to ask for shards.

use std::cmp::Reverse;
use std::time::Duration;

use domicile_types::{CodeProfile, NodeId};

use crate::{NodeState, Roster};

/// A shard and who holds it, in the order of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBy {
    /// Index in the segment.
    pub shard: u8,
    /// Who holds it.
    pub node: NodeId,
    /// Whether it is a data shard: a piece of the ciphertext as it stands, which nothing need decode.
    pub is_data: bool,
}

/// The shards of a segment in the order in which to ask for them. The first `k` are the ones to rebuild from; a range read
/// takes the data shards it needs from the front and the rest only if one of those fails.
///
/// `holders` are the segment's nodes by shard index, as its manifest row keeps them. `latency` is what the caller has
/// lately measured of a node; `None` for one it has not asked yet, which counts as [`UNMEASURED_LATENCY`].
///
/// Order: nodes that serve (online, read-only, draining), then suspects, then quarantined ones, whose shards are being moved,
/// then those offline, lost, corrupt or no longer on the roster; within each, data shards before parity (a healthy read decodes nothing; of whole copies
/// every one is data); then the quicker node; then, between equals, the lower index.
#[must_use]
pub fn read_order(
    roster: &Roster,
    profile: CodeProfile,
    holders: &[NodeId],
    latency: impl Fn(&NodeId) -> Option<Duration>,
) -> Vec<HeldBy> {
    let whole = profile.k() == 1;
    let mut order: Vec<HeldBy> = (0u8..)
        .zip(holders)
        .take(profile.n())
        .map(|(shard, node)| HeldBy { shard, node: *node, is_data: whole || usize::from(shard) < profile.k() })
        .collect();
    order.sort_by_cached_key(|held| {
        let distance = match roster.get(&held.node).map(|record| record.state) {
            Some(NodeState::Online | NodeState::ReadOnly | NodeState::Draining) => 0u8,
            Some(NodeState::Suspect) => 1,
            Some(NodeState::Quarantined) => 2,
            Some(NodeState::Offline | NodeState::Lost | NodeState::Corrupt) | None => 3,
        };
        (distance, Reverse(held.is_data), latency(&held.node).unwrap_or(UNMEASURED_LATENCY), held.shard)
    });
    order
}

/// What an unmeasured node is taken to answer in: about a round trip across a continent.
pub const UNMEASURED_LATENCY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::record;

    fn order(states: &[NodeState], profile: CodeProfile, millis: &[Option<u64>]) -> Vec<u8> {
        let records: Vec<_> = (0u16..)
            .zip(states)
            .map(|(index, state)| {
                let mut record = record(index);
                record.state = *state;
                record
            })
            .collect();
        let holders: Vec<NodeId> = records.iter().map(|record| record.node).collect();
        let roster = Roster::new(records).unwrap();
        let latency = |node: &NodeId| {
            let index = holders.iter().position(|holder| holder == node).unwrap();
            millis[index].map(Duration::from_millis)
        };
        read_order(&roster, profile, &holders, latency).iter().map(|held| held.shard).collect()
    }

    #[test]
    fn data_shards_come_before_parity_even_from_slower_nodes() {
        let millis = [90, 80, 70, 60, 1, 2].map(Some);
        assert_eq!(order(&[NodeState::Online; 6], CodeProfile::RS_4_2, &millis), [3, 2, 1, 0, 4, 5]);
    }

    #[test]
    fn nodes_that_do_not_serve_come_last_whatever_they_hold() {
        use NodeState::{Draining, Offline, Online, Quarantined};
        let states = [Offline, Quarantined, Draining, Online, Online, Online];
        assert_eq!(order(&states, CodeProfile::RS_4_2, &[Some(5); 6]), [2, 3, 4, 5, 1, 0]);
    }

    #[test]
    fn every_whole_copy_is_data_and_the_quickest_is_asked_first() {
        let profile = CodeProfile::RS_4_2.whole_copies();
        assert_eq!(order(&[NodeState::Online; 3], profile, &[Some(60), None, Some(10)]), [2, 1, 0]);
    }

    #[test]
    fn holders_beyond_the_profile_are_left_out() {
        assert_eq!(order(&[NodeState::Online; 8], CodeProfile::RS_4_2, &[None; 8]).len(), 6);
    }
}
