//! What holds of every repair: I8, whatever the roster, the damages and the law. The examination shares nothing with the plan
//! but the records of the roster.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Action, CodeProfile, EvidenceGrade, NodeId, OperationKind, Place, Subject};
use proptest::prelude::*;

use crate::fixtures::{permit_for, record};
use crate::{
    Aim, Cause, NodeRecord, NodeState, PlacementSeed, RepairPlan, Roster, SegmentState, Thresholds, check, plan_repair,
};

/// A segment that was placed well, and what became of its nodes since.
#[derive(Debug, Clone)]
struct Case {
    profile: CodeProfile,
    records: Vec<NodeRecord>,
    holders: Vec<NodeId>,
    damaged: Vec<u8>,
    lazy: usize,
}

impl Case {
    fn roster(&self) -> Roster {
        Roster::new(self.records.iter().cloned()).unwrap()
    }

    fn segment(&self) -> SegmentState<'_> {
        SegmentState {
            profile: self.profile,
            holders: &self.holders,
            damaged: &self.damaged,
            shard_bytes: 1 << 20,
            seed: PlacementSeed::from_bytes([3; 32]),
        }
    }

    fn plan(&self) -> Aim {
        let roster = self.roster();
        let thresholds = Thresholds { lazy: self.lazy, eager: self.lazy };
        plan_repair(&roster, &permit_for(OperationKind::Repair, &roster), &self.segment(), thresholds, &[])
    }

    fn record(&self, node: NodeId) -> Option<&NodeRecord> {
        self.records.iter().find(|record| record.node == node)
    }

    /// China's pack, told by hand: in China, and observed there.
    fn is_lawful(&self, node: NodeId) -> bool {
        let china = Place::parse("CN").unwrap();
        self.record(node)
            .is_some_and(|record| record.place.is_within(&china) && record.evidence >= EvidenceGrade::Observed)
    }

    /// Whether a shard can be had from a node at all.
    fn is_live(&self, shard: u8, node: NodeId) -> bool {
        !self.damaged.contains(&shard) && self.record(node).is_some_and(|record| record.state.counts())
    }

    fn live(&self, counted: &BTreeMap<u8, NodeId>) -> usize {
        counted.iter().filter(|(shard, node)| self.is_live(**shard, **node)).count()
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let profiles = ["4+2", "8+4", "1+2", "16+8"];
    let node = (0u8..10, 0u8..14, 0u8..6, any::<u32>());
    (prop::sample::select(profiles.to_vec()), prop::collection::vec(node, 6..60), any::<u64>(), 1usize..4).prop_map(
        |(profile, nodes, damages, lazy)| {
            let profile = CodeProfile::parse(profile).unwrap();
            let count = nodes.len();
            let records: Vec<NodeRecord> = (0u16..)
                .zip(nodes)
                .map(|(index, (place, state, share, _))| {
                    let mut node = record(index);
                    // Node 0 stays as it is: without any lawful node the law gives no permit.
                    if index > 0 {
                        node.place = Place::parse(["HK", "DE"].get(usize::from(place)).unwrap_or(&"CN")).unwrap();
                        node.state = *NodeState::ALL.get(usize::from(state)).unwrap_or(&NodeState::Online);
                        if share == 0 && index > 1 {
                            let other = record(index - 1);
                            (node.operator, node.controller) = (node.operator, other.controller);
                        }
                    }
                    node
                })
                .collect();
            // Where the shards lie says nothing of what has become of the nodes: any may have been chosen then.
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by_key(|index| blake3::hash(&[damages.to_be_bytes(), index.to_be_bytes()].concat()).to_hex());
            let mut holders: Vec<NodeId> =
                order.into_iter().take(profile.n()).map(|index| records[index].node).collect();
            // Some were struck off the roster since.
            (0u16..).take(profile.n().saturating_sub(holders.len())).for_each(|index| {
                holders.push(record(1_000 + index).node);
            });
            let damaged = (0u8..).take(profile.n()).filter(|shard| damages >> (shard * 2) & 3 == 3).take(2).collect();
            Case { profile, records, holders, damaged, lazy }
        },
    )
}

/// Obeys a plan as the worker does: all new copies first, then the page, then the old copies, looking after every step.
fn obey(case: &Case, plan: &RepairPlan) -> Result<(), TestCaseError> {
    let roster = case.roster();
    let permit = permit_for(OperationKind::Repair, &roster);
    let assigned = check(&roster, &permit, &plan.request, plan.targets.clone());
    prop_assert!(assigned.is_ok(), "{:?}", assigned.err());
    let mut counted: BTreeMap<u8, NodeId> = (0u8..).zip(case.holders.iter().copied()).collect();
    let before = case.live(&counted);
    let readable = plan.sources.len();
    let mut copies: BTreeSet<(u8, NodeId)> = (0u8..).zip(case.holders.iter().copied()).collect();
    for mending in &plan.mendings {
        // Made from what can be had, on a node that may have it.
        let source = |shard: u8| plan.sources.iter().any(|held| held.shard == shard);
        let possible = if mending.copied { source(mending.shard) } else { readable >= case.profile.k() };
        prop_assert!(possible, "nothing to make shard {} from", mending.shard);
        prop_assert!(case.is_lawful(mending.to));
        prop_assert_eq!(case.record(mending.to).unwrap().state, NodeState::Online);
        prop_assert_eq!(counted.get(&mending.shard), Some(&mending.from));
        prop_assert!(copies.insert((mending.shard, mending.to)), "a copy where one lies already");
    }
    prop_assert!(copies.len() == case.profile.n() + plan.mendings.len(), "nothing is dropped before all are there");
    for mending in &plan.mendings {
        counted.insert(mending.shard, mending.to);
        // A damaged shard is whole where it is now.
        let mended = |shard: &u8| plan.mendings.iter().any(|mending| mending.shard == *shard);
        let whole = Case { damaged: case.damaged.iter().copied().filter(|d| !mended(d)).collect(), ..case.clone() };
        prop_assert!(whole.live(&counted) >= before, "a move took a live shard away");
        copies.remove(&(mending.shard, mending.from));
    }
    let distinct: BTreeSet<NodeId> = plan.mendings.iter().map(|mending| mending.to).collect();
    prop_assert_eq!(distinct.len(), plan.mendings.len(), "one shard per node");
    prop_assert!(plan.mendings.iter().all(|mending| !case.holders.contains(&mending.to)));
    for held in &plan.sources {
        prop_assert!(!case.damaged.contains(&held.shard));
        prop_assert!(permit.allows(Action::Relay, Subject::Node(held.node)), "a hop that the law does not allow");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_repair_never_goes_below_what_is_there_nor_outside_the_law(case in any_case()) {
        if let Aim::Mend(plan) = case.plan() {
            prop_assert!(!plan.mendings.is_empty());
            obey(&case, &plan)?;
        }
    }

    #[test]
    fn once_obeyed_a_plan_in_full_leaves_nothing_to_do(case in any_case()) {
        let Aim::Mend(plan) = case.plan() else { return Ok(()) };
        let mut after = case.clone();
        for mending in &plan.mendings {
            after.holders[usize::from(mending.shard)] = mending.to;
        }
        after.damaged.retain(|shard| !plan.mendings.iter().any(|mending| mending.shard == *shard));
        match after.plan() {
            Aim::Nothing => {}
            Aim::Mend(again) => prop_assert!(!plan.left.is_empty(), "{:?} after {:?}", again.mendings, plan.mendings),
            Aim::NoRoom(left, _) => prop_assert!(!plan.left.is_empty(), "no room for {left:?}"),
            Aim::Unreadable { readable, .. } => prop_assert!(readable < case.profile.k()),
        }
    }

    #[test]
    fn what_is_where_it_must_not_be_moves_or_is_named(case in any_case()) {
        let unlawful: Vec<u8> = (0u8..)
            .zip(&case.holders)
            .filter(|(_, node)| case.record(**node).is_some_and(|record| {
                !matches!(record.state, NodeState::Lost | NodeState::Corrupt | NodeState::Offline)
                    && (!case.is_lawful(**node) || record.state == NodeState::Quarantined)
            }))
            .map(|(shard, _)| shard)
            .collect();
        let named: Vec<u8> = match case.plan() {
            Aim::Nothing => Vec::new(),
            Aim::Mend(plan) => {
                let moved = plan.mendings.iter().map(|mending| mending.shard);
                moved.chain(plan.left.iter().map(|(shard, _)| *shard)).chain(plan.request.waived.clone()).collect()
            }
            Aim::NoRoom(left, _) | Aim::Unreadable { lost: left, .. } => {
                left.into_iter().map(|(shard, _)| shard).collect()
            }
        };
        prop_assert!(unlawful.iter().all(|shard| named.contains(shard)), "{unlawful:?} of {named:?}");
    }
}

/// Six of ten lawful nodes hold a segment of 4+2; `spoil` says what has become of them.
fn aim(lazy: usize, nodes: u16, spoil: impl FnOnce(&mut Vec<NodeRecord>, &mut Vec<u8>)) -> (Case, Aim) {
    let mut records: Vec<NodeRecord> = (0..nodes).map(record).collect();
    let holders = records.iter().take(6).map(|record| record.node).collect();
    let mut damaged = Vec::new();
    spoil(&mut records, &mut damaged);
    let case = Case { profile: CodeProfile::RS_4_2, records, holders, damaged, lazy };
    let aim = case.plan();
    (case, aim)
}

fn mended(aim: &Aim) -> Vec<(u8, Cause, bool)> {
    let Aim::Mend(plan) = aim else { panic!("{aim:?}") };
    plan.mendings.iter().map(|mending| (mending.shard, mending.cause, mending.copied)).collect()
}

#[test]
fn a_healthy_segment_is_left_alone_and_so_is_one_whose_node_is_away() {
    assert!(matches!(aim(1, 10, |_, _| {}).1, Aim::Nothing));
    assert!(matches!(aim(1, 10, |records, _| records[2].state = NodeState::Offline).1, Aim::Nothing));
}

#[test]
fn one_lost_shard_waits_where_two_are_worth_a_repair() {
    let (_, one) = aim(2, 10, |records, _| records[0].state = NodeState::Lost);
    assert!(matches!(one, Aim::Nothing), "{one:?}");
    let (_, two) = aim(2, 10, |records, damaged| {
        records[0].state = NodeState::Lost;
        damaged.push(4);
    });
    assert_eq!(mended(&two), [(0, Cause::Lost, false), (4, Cause::Damaged, false)]);
    // What must not stay does not wait, and does not drag along what may.
    let (_, beside) = aim(2, 10, |records, _| {
        records[0].state = NodeState::Lost;
        records[1].place = Place::parse("HK").unwrap();
    });
    assert_eq!(mended(&beside), [(1, Cause::Unlawful, false)]);
}

#[test]
fn a_draining_node_is_copied_from_and_one_abroad_is_not_asked() {
    let (_, drained) = aim(1, 10, |records, _| records[3].state = NodeState::Draining);
    assert_eq!(mended(&drained), [(3, Cause::Leaving, true)]);
    let (case, abroad) = aim(1, 10, |records, _| records[3].place = Place::parse("DE").unwrap());
    assert_eq!(mended(&abroad), [(3, Cause::Unlawful, false)]);
    let Aim::Mend(plan) = abroad else { panic!() };
    assert!(plan.sources.iter().all(|held| held.node != case.holders[3]), "a hop abroad");
}

#[test]
fn two_controllers_that_became_one_give_one_of_two_shards_up() {
    let (_, merged) = aim(1, 10, |records, _| records[5].controller = record(0).controller);
    assert_eq!(mended(&merged), [(5, Cause::Crowded, true)]);
}

#[test]
fn with_room_for_some_the_unlawful_goes_first_and_the_leaving_waits_in_place() {
    let (_, short) = aim(1, 7, |records, _| {
        records[1].state = NodeState::Draining;
        records[2].state = NodeState::Lost;
        records[3].place = Place::parse("HK").unwrap();
    });
    assert_eq!(mended(&short), [(3, Cause::Unlawful, false)]);
    let Aim::Mend(plan) = short else { panic!() };
    assert_eq!(plan.left, [(2, Cause::Lost), (1, Cause::Leaving)]);
    assert!(plan.request.held.iter().any(|held| held.shard == 1), "it stays where it is, and is counted");
    assert_eq!((plan.request.waived.as_slice(), plan.shortage.is_some()), ([2].as_slice(), true));
    let (_, none) = aim(1, 6, |records, _| records[3].place = Place::parse("HK").unwrap());
    assert!(matches!(none, Aim::NoRoom(left, _) if left == [(3, Cause::Unlawful)]));
}

#[test]
fn below_k_nothing_is_rebuilt_but_what_can_be_copied_still_moves() {
    let (_, dead) = aim(1, 10, |records, _| {
        records.iter_mut().take(3).for_each(|record| record.state = NodeState::Lost);
    });
    assert!(matches!(dead, Aim::Unreadable { readable: 3, .. }), "{dead:?}");
    let (_, leaving) = aim(1, 10, |records, _| {
        records.iter_mut().take(3).for_each(|record| record.state = NodeState::Lost);
        records[4].state = NodeState::Draining;
    });
    assert_eq!(mended(&leaving), [(4, Cause::Leaving, true)]);
}
