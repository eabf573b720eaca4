//! Walks through the state machine.

use domicile_node_protocol::NodeCondition;
use domicile_placement::NodeState;
use domicile_types::{DataId, ShardCid, UnixMillis};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000;
const DAY: u64 = 86_400 * SECOND;
const PATIENCE: Patience = Patience {
    suspect_millis: 25 * SECOND,
    offline_millis: 40 * SECOND,
    lost_millis: DAY,
    requests_half_life_millis: 600 * SECOND,
    challenges_half_life_millis: 7 * DAY,
};

/// A node and a clock.
struct Walk {
    now: UnixMillis,
    standing: Standing,
}

impl Walk {
    fn heard() -> Self {
        let mut walk = Self { now: UnixMillis(DAY), standing: Standing::new(UnixMillis(DAY)) };
        walk.hear();
        walk
    }

    fn step(&mut self, seconds: u64, seen: Seen) -> NodeState {
        let elapsed_millis = seconds * SECOND;
        self.now = self.now.plus_millis(elapsed_millis);
        self.standing = self.standing.clone().after(&Seen { elapsed_millis, ..seen }, self.now, &PATIENCE);
        self.standing.state
    }

    fn hear(&mut self) -> NodeState {
        let heard = Some(self.now);
        self.step(0, Seen { heard, ..Seen::default() })
    }

    fn silence(&mut self, seconds: u64) -> NodeState {
        self.step(seconds, Seen::default())
    }

    fn fail(&mut self, shard: u32, fault: Fault) {
        let cid = ShardCid::of(&shard.to_be_bytes());
        let failure = Failure { time: self.now, cid, data: DataId::from_bytes([1; 16]), fault, log_index: 7 };
        self.standing.challenged(Some(failure), self.now, &PATIENCE);
    }

    fn has(&self, reason: Reason) -> bool {
        self.standing.reasons.contains(&reason)
    }
}

#[test]
fn silence_makes_suspect_then_offline_then_lost_and_a_word_brings_it_back() {
    let mut walk = Walk::heard();
    assert_eq!(walk.standing.state, NodeState::Online);
    assert_eq!(walk.silence(24), NodeState::Online);
    assert_eq!(walk.silence(1), NodeState::Suspect);
    assert_eq!(walk.silence(15), NodeState::Offline);
    assert_eq!(walk.silence(86_400 - 41), NodeState::Offline);
    assert_eq!(walk.silence(1), NodeState::Lost);
    assert!(walk.has(Reason::Silent));
    assert_eq!(walk.hear(), NodeState::Online);
    assert!(walk.standing.reasons.is_empty());
}

#[test]
fn a_node_that_was_never_heard_is_offline_and_never_lost() {
    let mut walk = Walk { now: UnixMillis(0), standing: Standing::new(UnixMillis(0)) };
    assert_eq!(walk.silence(10 * 86_400), NodeState::Offline);
    assert!(walk.has(Reason::NeverHeard) && !walk.has(Reason::Silent));
}

#[test]
fn time_in_which_the_gateway_did_not_listen_is_nobodys_silence() {
    let mut walk = Walk::heard();
    walk.now = walk.now.plus_millis(30 * DAY);
    assert_eq!(walk.silence(1), NodeState::Online);
}

#[test]
fn nobody_is_lost_while_most_are_silent_but_whoever_was_lost_stays_so() {
    let mut walk = Walk::heard();
    let cut_off = || Seen { most_are_silent: true, ..Seen::default() };
    assert_eq!(walk.step(2 * 86_400, cut_off()), NodeState::Offline);
    assert!(walk.has(Reason::MostAreSilent));
    assert_eq!(walk.silence(1), NodeState::Lost);
    assert_eq!(walk.step(1, cut_off()), NodeState::Lost);
}

#[test]
fn a_contradiction_fences_until_it_is_gone_and_an_officer_releases() {
    let mut walk = Walk::heard();
    let abroad = || Seen { contradictions: [Reason::PlaceLocatedElsewhere].into(), ..Seen::default() };
    assert_eq!(walk.step(0, abroad()), NodeState::Quarantined);
    assert!(walk.has(Reason::PlaceLocatedElsewhere));
    assert_eq!(walk.silence(1), NodeState::Quarantined);
    assert_eq!(walk.standing.reasons, [Reason::AwaitsRelease].into());
    assert_eq!(walk.silence(100 * 86_400), NodeState::Quarantined, "silence does not unfence");
    walk.standing.release();
    assert_eq!(walk.hear(), NodeState::Online);
    walk.standing.release();
    assert_eq!(walk.step(0, abroad()), NodeState::Quarantined, "a release does not outlast a contradiction");
}

#[test]
fn three_shards_that_are_not_there_make_a_node_corrupt_and_one_shard_three_times_does_not() {
    let mut walk = Walk::heard();
    for _ in 0..3 {
        walk.fail(1, Fault::Missing);
    }
    assert_eq!(walk.hear(), NodeState::Suspect);
    walk.fail(2, Fault::Wrong);
    assert_eq!(walk.hear(), NodeState::Suspect);
    walk.fail(3, Fault::Damaged);
    assert_eq!(walk.hear(), NodeState::Corrupt);
    assert!(walk.has(Reason::ShardsNotProved));
    assert_eq!(walk.standing.failures.len(), 5);
}

#[test]
fn three_bad_shards_of_a_thousand_are_three_bad_shards() {
    let mut walk = Walk::heard();
    for _ in 0..1_000 {
        walk.standing.challenged(None, walk.now, &PATIENCE);
    }
    (0..3).for_each(|shard| walk.fail(shard, Fault::Wrong));
    assert_eq!(walk.hear(), NodeState::Online);
}

#[test]
fn corruption_is_forgiven_by_time() {
    let mut walk = Walk::heard();
    (0..3).for_each(|shard| walk.fail(shard, Fault::Wrong));
    assert_eq!(walk.hear(), NodeState::Corrupt);
    walk.now = walk.now.plus_millis(7 * DAY);
    assert_eq!(walk.hear(), NodeState::Corrupt, "half forgiven is not forgiven");
    walk.now = walk.now.plus_millis(21 * DAY);
    assert_eq!(walk.hear(), NodeState::Online);
}

#[test]
fn unanswered_challenges_alone_make_suspect_never_corrupt() {
    let mut walk = Walk::heard();
    (0..40).for_each(|shard| walk.fail(shard, Fault::Unreachable));
    assert_eq!(walk.hear(), NodeState::Suspect);
    assert_eq!(walk.standing.failures.len(), FAILURES_MAX);
}

#[test]
fn requests_that_fail_make_suspect_for_minutes() {
    let mut walk = Walk::heard();
    let failing = |walk: &Walk| Seen { heard: Some(walk.now), failed: 3, ..Seen::default() };
    let seen = failing(&walk);
    assert_eq!(walk.step(0, seen), NodeState::Suspect);
    assert!(walk.has(Reason::RequestsUnanswered));
    walk.now = walk.now.plus_millis(900 * SECOND);
    assert_eq!(walk.hear(), NodeState::Online);
}

#[test]
fn what_a_node_says_of_itself_counts() {
    let says = |condition| Seen { heard: Some(UnixMillis(DAY)), condition, ..Seen::default() };
    for (condition, state) in [
        (NodeCondition::Serving, NodeState::Online),
        (NodeCondition::Full, NodeState::ReadOnly),
        (NodeCondition::DiskFault, NodeState::ReadOnly),
        (NodeCondition::Leaving, NodeState::Draining),
    ] {
        assert_eq!(Walk::heard().step(0, says(condition)), state);
    }
    let foreign = Seen { heard: Some(UnixMillis(DAY)), other_protocol: true, ..Seen::default() };
    assert_eq!(Walk::heard().step(0, foreign), NodeState::Offline);
}

#[test]
fn a_drain_goes_on_while_the_node_is_silent_and_ends_in_lost() {
    let mut walk = Walk::heard();
    walk.standing.orders.drain = true;
    assert_eq!(walk.hear(), NodeState::Draining);
    assert_eq!(walk.silence(3_600), NodeState::Draining);
    assert_eq!(walk.silence(86_400), NodeState::Lost);
}

proptest! {
    /// Whatever happens: a contradiction seen is a node fenced, in the same step; and nothing but a release ends that.
    #[test]
    fn no_walk_leaves_a_contradicted_node_unfenced(
        steps in prop::collection::vec((0u64..100_000, any::<bool>(), 0u8..12, 0u32..5, any::<bool>()), 1..60)
    ) {
        let mut walk = Walk::heard();
        let mut fenced = false;
        for (seconds, hears, what, failed, most_are_silent) in steps {
            let mut seen = Seen { failed, most_are_silent, ..Seen::default() };
            seen.heard = hears.then_some(walk.now);
            match what {
                0 => drop(seen.contradictions.insert(Reason::DelayTooShort)),
                1 => { walk.standing.release(); fenced = false; }
                2 => walk.fail(failed, Fault::Wrong),
                3 => seen.condition = NodeCondition::Full,
                4 => walk.standing.orders.drain ^= true,
                _ => {}
            }
            fenced |= !seen.contradictions.is_empty();
            let state = walk.step(seconds, seen);
            prop_assert_eq!(state == NodeState::Quarantined, fenced);
            prop_assert!(state == NodeState::Online || !walk.standing.reasons.is_empty(), "a state has a reason");
            prop_assert!(walk.standing.since <= walk.now);
        }
    }
}
