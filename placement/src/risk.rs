//! Which segment is repaired first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domicile_types::{CodeProfile, ControllerId, NodeId};

use crate::{NodeState, Roster, SegmentState, Thresholds};

/// How near a segment is to being lost, or how long it has been where it must not be. The smaller, the sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Risk {
    /// Whether as many shards are lost as the eager threshold says.
    urgent: Reverse<bool>,
    /// How many controllers may vanish before the segment cannot be read, when all that is to be moved is taken to be gone.
    pub margin: usize,
    /// Shards that can be read above `k`; none where there are fewer.
    pub spare: usize,
    /// Shards where they must not be.
    unlawful: Reverse<usize>,
    /// Shards that are to move at all.
    moving: Reverse<usize>,
    /// Shards that are lost or damaged.
    pub lost: usize,
}

impl Risk {
    /// Whether anything is to be done, when lost shards wait for the lazy threshold.
    #[must_use]
    pub fn is_due(&self, thresholds: Thresholds) -> bool {
        self.moving.0 > self.lost || self.lost >= thresholds.lazy.max(1)
    }

    /// Shards that lie where they must not.
    #[must_use]
    pub const fn unlawful(&self) -> usize {
        self.unlawful.0
    }
}

/// What the states of the holders say of a segment. `is_unlawful` tells of nodes whose state does not yet show that their
/// shards must go, such as after a change of packs; the plan asks the law itself.
#[must_use]
pub fn risk(
    roster: &Roster,
    segment: &SegmentState<'_>,
    thresholds: Thresholds,
    is_unlawful: impl Fn(&NodeId) -> bool,
) -> Risk {
    let profile: CodeProfile = segment.profile;
    let (mut lost, mut unlawful, mut leaving, mut staying) = (0_usize, 0, 0, 0_usize);
    let mut by_controller: BTreeMap<&ControllerId, usize> = BTreeMap::new();
    for (shard, node) in (0u8..).zip(segment.holders) {
        match roster.get(node) {
            Some(record) if record.state.counts() && !segment.damaged.contains(&shard) => {
                if is_unlawful(node) {
                    unlawful += 1;
                } else if record.state == NodeState::Draining {
                    leaving += 1;
                } else {
                    staying += 1;
                    *by_controller.entry(&record.controller).or_default() += 1;
                }
            }
            Some(record) if record.state == NodeState::Quarantined => unlawful += 1,
            _ => lost += 1,
        }
    }
    Risk {
        urgent: Reverse(lost >= thresholds.eager.max(1)),
        margin: controllers_to_spare(by_controller.into_values().collect(), profile.k()),
        spare: (staying + leaving).saturating_sub(profile.k()),
        unlawful: Reverse(unlawful),
        moving: Reverse(lost + unlawful + leaving),
        lost,
    }
}

/// How many of the largest of `shares` can go while the rest still hold `k` shards.
fn controllers_to_spare(mut shares: Vec<usize>, k: usize) -> usize {
    shares.sort_unstable_by_key(|share| Reverse(*share));
    let mut left: usize = shares.iter().sum();
    let gone = shares.iter().take_while(|share| {
        left = left.saturating_sub(**share);
        left >= k
    });
    gone.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::record;

    fn risk_of(states: &[NodeState], damaged: &[u8], shared: bool) -> Risk {
        let records: Vec<_> = (0u16..)
            .zip(states)
            .map(|(index, state)| {
                let mut record = record(index);
                record.state = *state;
                if shared && index < 2 {
                    record.controller = "one".parse().unwrap();
                }
                record
            })
            .collect();
        let holders: Vec<NodeId> = records.iter().map(|record| record.node).collect();
        let segment = SegmentState {
            profile: CodeProfile::RS_4_2,
            holders: &holders,
            damaged,
            shard_bytes: 64,
            seed: crate::PlacementSeed::from_bytes([0; 32]),
        };
        risk(&Roster::new(records).unwrap(), &segment, Thresholds { lazy: 1, eager: 2 }, |_| false)
    }

    #[test]
    fn segments_come_in_the_order_of_what_they_can_still_lose() {
        use NodeState::{Draining, Lost, Offline, Online, Quarantined};
        let healthy = risk_of(&[Online; 6], &[], false);
        assert!(!healthy.is_due(Thresholds::AT_ONCE));
        assert_eq!((healthy.margin, healthy.spare), (2, 2));
        let away = risk_of(&[Offline, Online, Online, Online, Online, Online], &[], false);
        assert!(!away.is_due(Thresholds::AT_ONCE), "away is not lost");
        let shared = risk_of(&[Online; 6], &[], true);
        assert_eq!(shared.margin, 1, "two shards of one controller go together");
        let leaving = risk_of(&[Draining, Online, Online, Online, Online, Online], &[], false);
        let unlawful = risk_of(&[Quarantined, Online, Online, Online, Online, Online], &[], false);
        let damaged = risk_of(&[Online; 6], &[3], false);
        let one = risk_of(&[Lost, Online, Online, Online, Online, Online], &[], false);
        let two = risk_of(&[Lost, Lost, Online, Online, Online, Online], &[], false);
        let dead = risk_of(&[Lost, Lost, Lost, Online, Online, Online], &[], false);
        assert!(dead.spare == 0 && dead.margin == 0);
        let order = [two, unlawful, one, leaving, healthy];
        assert!(order.is_sorted(), "{order:#?}");
        assert_eq!(damaged, one);
        assert!([leaving, unlawful, damaged, one].iter().all(|risk| risk.is_due(Thresholds::AT_ONCE)));
        assert!(!one.is_due(Thresholds { lazy: 2, eager: 2 }), "one lost shard waits for a second");
        assert!(leaving.is_due(Thresholds { lazy: 2, eager: 2 }) && unlawful.is_due(Thresholds { lazy: 2, eager: 2 }));
    }
}
