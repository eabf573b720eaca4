//! What holds of every roster, every request and every seed; and what the check says of plans gone wrong.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{CodeProfile, EvidenceGrade, NodeId, OperationKind, Place};
use proptest::prelude::*;

use crate::fixtures::{permit, permit_for, record, request, roster};
use crate::{
    HeldFault, HeldShard, NodeRecord, NodeState, PlacementRefusal, PlacementRequest, PlacementSeed, Plan, PlannedShard,
    Roster, Shortage, Violation, auto_profile, check, place, place_excluding,
};

fn place_of(text: &str) -> Place {
    Place::parse(text).unwrap()
}

/// Any roster: some nodes abroad, unevidenced, away or full; controllers with several operators, operators with several
/// nodes, networks shared. Node 0 is always lawful, since without any the law gives no permit.
fn any_roster() -> impl Strategy<Value = Roster> {
    let node = (0u8..6, 0u8..3, 0u8..40, 0u8..20, 0u64..4, 1u64..100);
    prop::collection::vec(node, 1..50).prop_map(|nodes| {
        let records = (0u16..).zip(nodes).map(|(index, (place, evidence, controller, state, free, capacity))| {
            let mut node = record(index);
            if index > 0 {
                node.place = place_of(["CN", "CN", "CN-GD", "CN", "HK", "DE"][usize::from(place)]);
                node.evidence = if evidence == 0 { EvidenceGrade::Declared } else { EvidenceGrade::Observed };
            }
            node.controller = format!("controller-{controller}").parse().unwrap();
            node.operator = format!("operator-{controller}-{}", index % 2).parse().unwrap();
            node.address = std::net::Ipv4Addr::new(10, 0, controller % 7, 1).into();
            node.state = match state {
                0 => NodeState::Offline,
                1 => NodeState::Draining,
                2 => NodeState::Quarantined,
                3 => NodeState::Suspect,
                4 => NodeState::ReadOnly,
                5 => NodeState::Lost,
                6 => NodeState::Corrupt,
                _ => NodeState::Online,
            };
            node.free_bytes = free * (1 << 20);
            node.capacity_bytes = capacity << 30;
            node
        });
        Roster::new(records).unwrap()
    })
}

fn any_request() -> impl Strategy<Value = PlacementRequest> {
    let profiles = [None, Some("4+2"), Some("8+4"), Some("16+8"), Some("1+2"), Some("3+0"), Some("1+0")];
    let profile = prop::sample::select(profiles.to_vec());
    (profile, any::<bool>(), any::<[u8; 32]>(), 0usize..5, prop::collection::vec(0u16..50, 0..4)).prop_map(
        |(profile, whole_copies, seed, limit, avoid)| {
            let profile = profile.map(|profile| CodeProfile::parse(profile).unwrap());
            let mut request = PlacementRequest::new(profile, PlacementSeed::from_bytes(seed), 1 << 20);
            request.whole_copies = whole_copies;
            request.shards_per_controller_max = limit;
            request.avoid = avoid.into_iter().map(|index| record(index).node).collect();
            request
        },
    )
}

proptest! {
    #[test]
    fn every_plan_passes_the_check(roster in any_roster(), request in any_request()) {
        let permit = permit(&roster);
        if let Ok(plan) = place(&roster, &permit, &request) {
            let profile = plan.profile;
            let assignments = check(&roster, &permit, &request, plan);
            prop_assert!(assignments.is_ok(), "{:?}", assignments.err());
            prop_assert_eq!(assignments.unwrap().holders().len(), profile.n());
        }
    }

    #[test]
    fn what_is_refused_could_not_have_been_placed(roster in any_roster(), request in any_request()) {
        let permit = permit(&roster);
        if let Err(PlacementRefusal::TooFew(shortage)) = place(&roster, &permit, &request) {
            let mut by_controller: BTreeMap<_, usize> = BTreeMap::new();
            for node in roster.iter() {
                let is_lawful = node.place.is_within(&place_of("CN")) && node.evidence >= EvidenceGrade::Observed;
                let can = node.state == NodeState::Online && node.free_bytes >= 1 << 20;
                if is_lawful && can && !request.avoid.contains(&node.node) {
                    *by_controller.entry(&node.controller).or_default() += 1;
                }
            }
            let limit = shortage.shards_per_controller;
            let room: usize = by_controller.values().map(|nodes| *nodes.min(&limit)).sum();
            prop_assert!(room < shortage.profile.n());
            prop_assert_eq!(room, shortage.room);
            let census = &shortage.census;
            let counted = [
                census.denied, census.unasked, census.quarantined, census.corrupt, census.draining, census.offline,
                census.suspect, census.avoided, census.full, census.holding, census.eligible,
            ];
            prop_assert_eq!(counted.iter().map(|removed| removed.nodes).sum::<usize>(), roster.len());
        }
    }

    #[test]
    fn a_retry_keeps_what_is_held_and_leaves_out_what_failed(
        roster in any_roster(), request in any_request(), failed in any::<u64>(),
    ) {
        let permit = permit(&roster);
        let Ok(first) = place(&roster, &permit, &request) else { return Ok(()) };
        let (failed, stored): (Vec<PlannedShard>, Vec<PlannedShard>) =
            first.shards.iter().copied().partition(|planned| failed >> (planned.shard % 64) & 1 == 1);
        let failed: Vec<NodeId> = failed.iter().map(|planned| planned.node).collect();
        let held: Vec<HeldShard> =
            stored.iter().map(|planned| HeldShard { shard: planned.shard, node: planned.node }).collect();
        let retry = PlacementRequest { profile: Some(first.profile), ..request.clone() }.holding(&held);
        let Ok(second) = place_excluding(&roster, &permit, &retry, &failed) else { return Ok(()) };
        prop_assert_eq!(second.shards.len(), failed.len());
        prop_assert!(second.shards.iter().all(|planned| !failed.contains(&planned.node)));
        let holders = check(&roster, &permit, &retry.avoiding(&failed), second).unwrap().holders();
        for held in held {
            prop_assert_eq!(holders[usize::from(held.shard)], held.node);
        }
    }

    #[test]
    fn a_node_that_holds_nothing_can_leave_without_moving_anything(
        roster in any_roster(), request in any_request(), leaver in 1u16..50,
    ) {
        let Ok(plan) = place(&roster, &permit(&roster), &request) else { return Ok(()) };
        let leaver = record(leaver).node;
        if plan.shards.iter().any(|planned| planned.node == leaver) {
            return Ok(());
        }
        let smaller = Roster::new(roster.iter().filter(|node| node.node != leaver).cloned()).unwrap();
        let profile = plan.profile;
        let request = PlacementRequest { profile: Some(profile), whole_copies: false, ..request };
        prop_assert_eq!(place(&smaller, &permit(&smaller), &request), Ok(plan));
    }

    #[test]
    fn a_node_that_leaves_moves_its_own_shard_alone(seed in any::<[u8; 32]>(), position in 0usize..6) {
        let roster = roster(20);
        let mut request = request("4+2", 0);
        request.seed = PlacementSeed::from_bytes(seed);
        let before = nodes(&place(&roster, &permit(&roster), &request).unwrap());
        let leaver = *before.iter().nth(position).unwrap();
        let smaller = Roster::new(roster.iter().filter(|node| node.node != leaver).cloned()).unwrap();
        let after = nodes(&place(&smaller, &permit(&smaller), &request).unwrap());
        prop_assert_eq!(after.intersection(&before).count(), 5);
    }

    #[test]
    fn a_plan_with_a_node_abroad_is_refused_by_the_rule_that_denies_it(
        seed in any::<[u8; 32]>(), shard in 0usize..6,
    ) {
        let mut abroad = record(20);
        abroad.place = place_of("HK");
        let roster = Roster::new((0..20).map(record).chain([abroad.clone()])).unwrap();
        let permit = permit(&roster);
        let mut request = request("4+2", 0);
        request.seed = PlacementSeed::from_bytes(seed);
        let mut plan = place(&roster, &permit, &request).unwrap();
        plan.shards[shard].node = abroad.node;
        let violations = check(&roster, &permit, &request, plan).unwrap_err();
        let [Violation::NotPermitted { node, rules }] = &violations[..] else { panic!("{violations:?}") };
        prop_assert_eq!(*node, abroad.node);
        prop_assert!(rules.iter().any(|rule| rule.rule == "export-by-storage-abroad" && rule.limb.is_some()), "{rules:?}");
    }
}

fn nodes(plan: &Plan) -> BTreeSet<NodeId> {
    plan.shards.iter().map(|planned| planned.node).collect()
}

/// Ten lawful nodes and a plan for 4+2 among them, spoilt by `spoil`, which may change the roster and the request, too: what
/// the check says of it.
fn spoilt(spoil: impl FnOnce(&mut Plan, &mut Vec<NodeRecord>, &mut PlacementRequest)) -> Vec<Violation> {
    let first = roster(10);
    let mut request = request("4+2", 1);
    let mut plan = place(&first, &permit(&first), &request).unwrap();
    let mut records: Vec<NodeRecord> = first.iter().cloned().collect();
    spoil(&mut plan, &mut records, &mut request);
    let roster = Roster::new(records).unwrap();
    check(&roster, &permit(&roster), &request, plan).unwrap_err()
}

fn record_of(records: &mut [NodeRecord], node: NodeId) -> &mut NodeRecord {
    records.iter_mut().find(|record| record.node == node).unwrap()
}

#[test]
fn a_plan_with_a_shard_too_few_is_refused() {
    let violations = spoilt(|plan, _, _| plan.shards.truncate(5));
    assert_eq!(violations, [Violation::ShardMissing { shard: 5 }]);
}

#[test]
fn a_plan_with_a_shard_too_many_is_refused() {
    let violations = spoilt(|plan, records, _| {
        let used = nodes(plan);
        let node = records.iter().find(|record| !used.contains(&record.node)).unwrap().node;
        plan.shards.push(PlannedShard { shard: 6, node });
    });
    assert_eq!(violations, [Violation::NoSuchShard { shard: 6, profile: CodeProfile::RS_4_2 }]);
}

#[test]
fn a_plan_that_places_one_shard_twice_and_another_never_is_refused() {
    let violations = spoilt(|plan, _, _| plan.shards[3].shard = 2);
    assert_eq!(violations, [Violation::ShardTwice { shard: 2 }, Violation::ShardMissing { shard: 3 }]);
}

#[test]
fn a_plan_that_uses_a_node_twice_is_refused() {
    let mut node = None;
    let violations = spoilt(|plan, _, _| {
        plan.shards[1].node = plan.shards[0].node;
        node = Some(plan.shards[0].node);
    });
    assert_eq!(violations[0], Violation::NodeTwice { node: node.unwrap(), shards: 2 });
    assert!(matches!(violations[1], Violation::ControllerOverLimit { shards: 2, limit: 1, .. }), "{violations:?}");
}

#[test]
fn a_plan_with_two_nodes_of_one_controller_is_refused() {
    let violations = spoilt(|plan, records, _| {
        let controller = record_of(records, plan.shards[0].node).controller.clone();
        record_of(records, plan.shards[4].node).controller = controller;
    });
    let [Violation::ControllerOverLimit { shards: 2, limit: 1, .. }] = &violations[..] else {
        panic!("{violations:?}")
    };
}

#[test]
fn more_shards_per_controller_never_lift_the_collusion_limit() {
    let violations = spoilt(|plan, records, request| {
        request.shards_per_controller_max = 6;
        for planned in &plan.shards[..3] {
            record_of(records, planned.node).controller = "one".parse().unwrap();
        }
    });
    let [Violation::ControllerOverLimit { shards: 3, limit: 2, .. }] = &violations[..] else {
        panic!("{violations:?}")
    };
}

#[test]
fn a_plan_with_a_node_that_nobody_enrolled_is_refused() {
    let stranger = record(99).node;
    let violations = spoilt(|plan, _, _| plan.shards[2].node = stranger);
    assert_eq!(violations, [Violation::NotEnrolled { node: stranger }]);
}

#[test]
fn a_plan_with_a_node_enrolled_after_the_decision_is_refused() {
    let before = roster(10);
    let after = roster(11);
    let permit = permit(&before);
    let mut plan = place(&before, &permit, &request("4+2", 1)).unwrap();
    plan.shards[0].node = record(10).node;
    let violations = check(&after, &permit, &request("4+2", 1), plan).unwrap_err();
    assert_eq!(violations, [Violation::NotPermitted { node: record(10).node, rules: vec![] }]);
}

#[test]
fn a_plan_with_a_node_that_moved_after_the_decision_is_refused() {
    let roster = roster(10);
    let permit = permit(&roster);
    let request = request("4+2", 1);
    let plan = place(&roster, &permit, &request).unwrap();
    let node = plan.shards[0].node;
    let mut records: Vec<NodeRecord> = roster.iter().cloned().collect();
    record_of(&mut records, node).place = place_of("HK");
    let violations = check(&Roster::new(records).unwrap(), &permit, &request, plan).unwrap_err();
    assert_eq!(violations, [Violation::PlaceNotPermitted { node, place: place_of("HK") }]);
}

#[test]
fn a_plan_with_a_node_that_does_not_serve_is_refused() {
    for state in NodeState::ALL.into_iter().filter(|state| !state.takes_shards()) {
        let violations = spoilt(|plan, records, _| record_of(records, plan.shards[0].node).state = state);
        assert!(
            matches!(violations[..], [Violation::NotInService { state: found, .. }] if found == state),
            "{violations:?}"
        );
    }
}

#[test]
fn a_plan_with_a_full_node_is_refused() {
    let violations = spoilt(|plan, records, _| record_of(records, plan.shards[0].node).free_bytes = (1 << 20) - 1);
    let [Violation::Full { free_bytes: 0xf_ffff, shard_bytes: 0x10_0000, .. }] = &violations[..] else {
        panic!("{violations:?}")
    };
}

#[test]
fn a_plan_with_a_node_to_be_passed_over_is_refused() {
    let mut node = None;
    let violations = spoilt(|plan, _, request| {
        node = Some(plan.shards[3].node);
        request.avoid.extend(node);
    });
    assert_eq!(violations, [Violation::Avoided { node: node.unwrap() }]);
}

#[test]
fn a_plan_for_another_profile_is_refused() {
    let violations = spoilt(|_, _, request| request.profile = Some(CodeProfile::new(3, 3).unwrap()));
    let (asked, planned) = (CodeProfile::new(3, 3).unwrap(), CodeProfile::RS_4_2);
    assert_eq!(violations, [Violation::OtherProfile { asked, planned }]);
    let violations = spoilt(|plan, _, request| {
        request.profile = None;
        plan.profile = CodeProfile::new(5, 1).unwrap();
    });
    assert_eq!(violations, [Violation::ProfileNotOffered { planned: CodeProfile::new(5, 1).unwrap() }]);
}

#[test]
fn a_permit_to_read_places_nothing() {
    let roster = roster(10);
    let reading = permit_for(OperationKind::GetObject, &roster);
    let request = request("4+2", 1);
    let plan = place(&roster, &permit(&roster), &request).unwrap();
    assert!(matches!(place(&roster, &reading, &request), Err(PlacementRefusal::TooFew(_))));
    let violations = check(&roster, &reading, &request, plan).unwrap_err();
    assert!(violations.iter().all(|violation| matches!(violation, Violation::NotPermitted { .. })), "{violations:?}");
}

#[test]
fn a_repair_places_only_the_shards_that_are_lost() {
    let roster = roster(10);
    let request = request("4+2", 1);
    let first = place(&roster, &permit(&roster), &request).unwrap();
    let held: Vec<HeldShard> =
        first.shards[..4].iter().map(|planned| HeldShard { shard: planned.shard, node: planned.node }).collect();
    let repairing = permit_for(OperationKind::Repair, &roster);
    let lost: Vec<NodeId> = first.shards[4..].iter().map(|planned| planned.node).collect();
    let request = request.holding(&held).avoiding(&lost);
    let plan = place(&roster, &repairing, &request).unwrap();
    assert_eq!(plan.shards.iter().map(|planned| planned.shard).collect::<Vec<_>>(), [4, 5]);
    let assignments = check(&roster, &repairing, &request, plan).unwrap();
    assert!(assignments.shards().iter().all(|assignment| assignment.action() == domicile_types::Action::Repair));
    assert_eq!(assignments.into_shards()[0].decision(), repairing.decision().inputs);
}

#[test]
fn a_held_shard_where_it_must_not_be_is_refused() {
    let mut abroad = record(10);
    abroad.place = place_of("DE");
    let node = abroad.node;
    let roster = Roster::new((0..10).map(record).chain([abroad])).unwrap();
    let request = request("4+2", 1).holding(&[HeldShard { shard: 0, node }]);
    let refusal = place(&roster, &permit(&roster), &request).unwrap_err();
    assert_eq!(refusal, PlacementRefusal::HeldShard { shard: 0, node, fault: HeldFault::NotPermitted });
}

fn shortage(roster: &Roster, request: &PlacementRequest) -> Shortage {
    match place(roster, &permit(roster), request) {
        Err(PlacementRefusal::TooFew(shortage)) => *shortage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_for_law_counts_the_nodes_under_every_rule_and_asks_for_controllers() {
    let records = (0..12).map(|index| {
        let mut node = record(index);
        match index {
            0..4 => {}
            4..10 => node.place = place_of("HK"),
            _ => node.evidence = EvidenceGrade::Declared,
        }
        node
    });
    let roster = Roster::new(records).unwrap();
    let shortage = shortage(&roster, &request("4+2", 1));
    assert!(shortage.is_lawful());
    assert_eq!((shortage.room, shortage.room_if_all_served, shortage.census.denied.nodes), (4, 4, 8));
    let count = |rule: &str| {
        let removal = shortage.census.rules.iter().find(|removal| removal.rule.rule == rule);
        removal.map_or(0, |removal| removal.nodes)
    };
    assert_eq!(count("export-by-storage-abroad"), 6);
    assert_eq!(count("place-not-evidenced"), 2);
    let message = PlacementRefusal::TooFew(Box::new(shortage)).to_string();
    assert!(message.contains("6 by cn-data-export/export-by-storage-abroad, Guideline"), "{message}");
    assert!(message.contains("enrol nodes of at least 2 more controllers"), "{message}");
}

#[test]
fn a_refusal_for_want_of_service_says_that_it_may_pass() {
    let records = (0..8).map(|index| {
        let mut node = record(index);
        match index {
            0 => node.state = NodeState::Offline,
            1 => node.state = NodeState::Draining,
            2 => node.free_bytes = 0,
            _ => {}
        }
        node
    });
    let shortage = shortage(&Roster::new(records).unwrap(), &request("4+2", 1));
    assert!(!shortage.is_lawful());
    assert_eq!((shortage.room, shortage.room_if_all_served), (5, 8));
    let message = shortage.to_string();
    for part in
        ["1 are offline or lost", "1 are draining", "1 are full", "bring offline nodes back (1 more controller)"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_refusal_of_a_wide_profile_names_the_one_that_fits() {
    let shortage = shortage(&roster(13), &request("16+8", 1));
    assert_eq!(shortage.narrower, Some(CodeProfile::RS_8_4));
}

#[test]
fn auto_is_the_widest_profile_that_the_controllers_allow() {
    for (controllers, profile) in [(6, "4+2"), (11, "4+2"), (12, "8+4"), (24, "16+8"), (79, "16+8"), (80, "29+51")] {
        let roster = roster(controllers);
        let mut request = request("4+2", 1);
        request.profile = None;
        assert_eq!(auto_profile(&roster, &permit(&roster), &request).unwrap().to_string(), profile);
        request.whole_copies = true;
        let copies = place(&roster, &permit(&roster), &request).unwrap();
        assert_eq!(copies.profile, CodeProfile::parse(profile).unwrap().whole_copies());
        assert_eq!(copies.shards.len(), copies.profile.m() + 1);
    }
    let few = roster(5);
    let mut request = request("4+2", 1);
    request.profile = None;
    assert!(matches!(auto_profile(&few, &permit(&few), &request), Err(PlacementRefusal::TooFew(_))));
}

#[test]
fn shards_spread_over_operators_networks_and_places_before_the_draw_decides() {
    // Twelve controllers, two in each of six networks, four in each of three places.
    let records = (0..12).map(|index| {
        let mut node = record(index);
        node.address = std::net::Ipv4Addr::new(10, 0, u8::try_from(index / 2).unwrap(), 1).into();
        node.place = place_of(["CN-GD", "CN-SH", "CN-BJ"][usize::from(index % 3)]);
        node
    });
    let roster = Roster::new(records).unwrap();
    for segment in 0..50 {
        let plan = place(&roster, &permit(&roster), &request("4+2", segment)).unwrap();
        let chosen = || plan.shards.iter().map(|planned| roster.get(&planned.node).unwrap());
        assert_eq!(chosen().map(NodeRecord::network).collect::<BTreeSet<_>>().len(), 6);
        assert_eq!(chosen().map(|node| node.place).collect::<BTreeSet<_>>().len(), 3);
    }
}

#[test]
fn nodes_get_shards_in_proportion_to_what_they_offer() {
    let records = (0..60).map(|index| {
        let mut node = record(index);
        node.capacity_bytes = if index < 30 { 1 << 40 } else { 3 << 40 };
        node
    });
    let roster = Roster::new(records).unwrap();
    let permit = permit(&roster);
    let segments = 2_000u32;
    let mut large = 0u32;
    for segment in 0..segments {
        let plan = place(&roster, &permit, &request("1+2", segment)).unwrap();
        let is_large = |node: &NodeId| roster.get(node).unwrap().capacity_bytes == 3 << 40;
        large += u32::try_from(plan.shards.iter().filter(|planned| is_large(&planned.node)).count()).unwrap();
    }
    let share = f64::from(large) / f64::from(segments * 3);
    // Three of four bytes are on large nodes; drawing three of sixty without putting back lowers that by under a percent.
    // Four standard deviations of 6,000 draws are 0.023.
    assert!((share - 0.75).abs() < 0.03, "{share}");
}
