//! The state machine of a node's standing: from how it stood and what was seen since, to how it stands. Pure.
//!
//! ```text
//!  quarantined   contradicted, or fenced by an officer; ends only by an officer's release
//!  corrupt       several shards missing or wrong; ends when that is forgiven, or by release
//!  lost          silent for very long; ends when it is heard again
//!  draining      told to leave, or leaving by its own word
//!  offline       silent for longer than its announcement holds, or speaks another protocol
//!  read-only     full, or its disk fails writes
//!  suspect       silent for a moment, or answers too little of what it is asked
//!  online        none of these
//! ```
//!
//! The first that holds is the state; all reasons are kept, so that nobody has to guess what else is wrong.

use std::collections::BTreeSet;

use domicile_node_protocol::NodeCondition;
use domicile_placement::NodeState;
use domicile_types::{DataId, ShardCid, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Reason, Score};

/// Failed challenges that are remembered, newest first.
pub const FAILURES_MAX: usize = 32;

/// A share of answered requests below this makes a node suspect, in hundredths of a percent.
const REQUESTS_MIN: u16 = 8_000;
/// A share of met challenges below this makes a node suspect.
const CHALLENGES_MIN: u16 = 9_000;
/// So much weight of missing or wrong shards, in thousandths of a new one, makes a node corrupt (three that are not a day
/// old), if its share of met challenges is below [`CHALLENGES_MIN`], too: three of a thousand are a matter of three shards.
const UNPROVED_MAX: u64 = 2_500;
/// Below this, what was missing or wrong is forgiven.
const UNPROVED_FORGIVEN: u64 = 1_000;

/// How long silence is borne, and how fast failures are forgiven. In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Silent for this long: suspect.
    pub suspect_millis: u64,
    /// Silent for this long: offline.
    pub offline_millis: u64,
    /// Silent for this long: lost.
    pub lost_millis: u64,
    /// Half-life of what requests came to.
    pub requests_half_life_millis: u64,
    /// Half-life of what challenges came to.
    pub challenges_half_life_millis: u64,
}

/// How a node stands, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its state.
    pub state: NodeState,
    /// Since when.
    pub since: UnixMillis,
    /// Why, sorted; empty for a node that is online without a blemish.
    pub reasons: BTreeSet<Reason>,
    /// When it was heard last.
    pub heard: Option<UnixMillis>,
    /// For how long it was silent while this gateway listened, in milliseconds.
    pub silent_millis: u64,
    /// Whether a contradiction fenced it that no officer has released it from.
    pub fenced: bool,
    /// What was ordered.
    pub orders: Orders,
    /// What requests to it came to.
    pub requests: Score,
    /// What challenges came to.
    pub challenges: Score,
    /// Shards that were missing or wrong.
    pub unproved: Score,
    /// Challenges that cost score, newest first.
    pub failures: Vec<Failure>,
}

/// What people ordered of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// To be emptied in good order.
    pub drain: bool,
    /// To be fenced.
    pub fence: bool,
}

/// Why a challenge was not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// No connection, or the answer broke off.
    Unreachable,
    /// It refused: busy, or a ticket that it should have taken.
    Refused,
    /// It does not have the shard.
    Missing,
    /// It says that the shard's bytes are damaged.
    Damaged,
    /// What it sent is not of the shard.
    Wrong,
}

impl Fault {
    /// The name in notices and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Wrong => "wrong",
        }
    }

    /// Whether the shard is not there or not whole, so that it must be made anew.
    #[must_use]
    pub const fn loses_the_shard(self) -> bool {
        matches!(self, Self::Missing | Self::Damaged | Self::Wrong)
    }
}

/// A challenge that was not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    /// When.
    #[schemars(with = "u64")]
    pub time: UnixMillis,
    /// The shard.
    #[schemars(with = "String")]
    pub cid: ShardCid,
    /// What it is stored under.
    #[schemars(with = "String")]
    pub data: DataId,
    /// Why.
    pub fault: Fault,
    /// Index of the intent in this gateway's log.
    pub log_index: u64,
}

/// What was seen of a node since the step before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// For how long this gateway listened, in milliseconds.
    pub elapsed_millis: u64,
    /// When a new announcement came in, if one did.
    pub heard: Option<UnixMillis>,
    /// Whether it takes shards, by its latest word.
    pub condition: NodeCondition,
    /// Whether it speaks another protocol only.
    pub other_protocol: bool,
    /// What contradicts its place or its party now.
    pub contradictions: BTreeSet<Reason>,
    /// Whether most of the fleet is silent.
    pub most_are_silent: bool,
    /// Requests that it answered, whatever the answer.
    pub answered: u32,
    /// Requests that it did not answer.
    pub failed: u32,
}

impl Standing {
    /// A node that was enrolled and never heard of.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self {
            state: NodeState::Offline,
            since: now,
            reasons: BTreeSet::from([Reason::NeverHeard]),
            heard: None,
            silent_millis: 0,
            fenced: false,
            orders: Orders::default(),
            requests: Score::default(),
            challenges: Score::default(),
            unproved: Score::default(),
            failures: Vec::new(),
        }
    }

    /// How it stands at `now`, after what was seen.
    #[must_use]
    pub fn after(mut self, seen: &Seen, now: UnixMillis, patience: &Patience) -> Self {
        match seen.heard {
            Some(heard) => {
                self.heard = Some(heard);
                self.silent_millis = 0;
            }
            None => self.silent_millis = self.silent_millis.saturating_add(seen.elapsed_millis),
        }
        self.requests.add(seen.answered, seen.failed, now, patience.requests_half_life_millis);
        self.fenced |= !seen.contradictions.is_empty();
        let was = self.state;
        let (state, reasons) = self.judge(seen, now, patience);
        if state != was {
            self.since = now;
        }
        Self { state, reasons, ..self }
    }

    /// Takes in how a challenge ended; `None`: it was met.
    pub fn challenged(&mut self, failure: Option<Failure>, now: UnixMillis, patience: &Patience) {
        let half_life = patience.challenges_half_life_millis;
        let Some(failure) = failure else {
            self.challenges.add(1, 0, now, half_life);
            return;
        };
        self.challenges.add(0, 1, now, half_life);
        // The same shard, challenged again, is one shard.
        let is_known = self.failures.iter().any(|known| known.cid == failure.cid && known.fault.loses_the_shard());
        if failure.fault.loses_the_shard() && !is_known {
            self.unproved.add(0, 1, now, half_life);
        }
        self.failures.insert(0, failure);
        self.failures.truncate(FAILURES_MAX);
    }

    /// Lifts a fence, and forgives what made the node corrupt. What is still contradicted fences it again at the next step.
    pub fn release(&mut self) {
        self.fenced = false;
        self.orders.fence = false;
        self.unproved = Score::default();
        self.challenges = Score::default();
        self.failures.clear();
    }

    /// The lower of the two shares, in hundredths of a percent.
    #[must_use]
    pub fn score(&self, now: UnixMillis, patience: &Patience) -> u16 {
        let requests = self.requests.basis_points(now, patience.requests_half_life_millis);
        requests.min(self.challenges.basis_points(now, patience.challenges_half_life_millis))
    }

    fn judge(&self, seen: &Seen, now: UnixMillis, patience: &Patience) -> (NodeState, BTreeSet<Reason>) {
        let mut reasons = seen.contradictions.clone();
        let mut note = |holds: bool, reason: Reason| {
            if holds {
                reasons.insert(reason);
            }
            holds
        };
        let awaits = note(self.fenced && seen.contradictions.is_empty(), Reason::AwaitsRelease);
        let by_officer = note(self.orders.fence, Reason::FencedByOfficer);
        let is_fenced = self.fenced || awaits || by_officer;

        let share = self.challenges.basis_points(now, patience.challenges_half_life_millis);
        let unproved = self.unproved.failed_thousandths(now, patience.challenges_half_life_millis);
        let fails_proofs = unproved >= UNPROVED_MAX && share < CHALLENGES_MIN;
        let stays_corrupt = self.state == NodeState::Corrupt && unproved >= UNPROVED_FORGIVEN;
        let is_corrupt = note(fails_proofs || stays_corrupt, Reason::ShardsNotProved);
        let unmet = note(share < CHALLENGES_MIN, Reason::ChallengesUnmet);

        let was_heard = self.heard.is_some();
        note(!was_heard, Reason::NeverHeard);
        let silent = note(was_heard && self.silent_millis >= patience.suspect_millis, Reason::Silent);
        let is_offline = !was_heard || self.silent_millis >= patience.offline_millis;
        let for_long = was_heard && self.silent_millis >= patience.lost_millis;
        // Whoever was lost stays lost until it is heard; nobody becomes lost while this gateway may be the one cut off.
        let spared = note(for_long && seen.most_are_silent && self.state != NodeState::Lost, Reason::MostAreSilent);
        let is_lost = for_long && !spared;

        let ordered = note(self.orders.drain, Reason::DrainOrdered);
        let leaves = note(seen.condition == NodeCondition::Leaving, Reason::Leaving);
        let is_foreign = note(seen.other_protocol, Reason::OtherProtocol);
        let is_full = note(seen.condition == NodeCondition::Full, Reason::Full);
        let has_fault = note(seen.condition == NodeCondition::DiskFault, Reason::DiskFault);
        let share = self.requests.basis_points(now, patience.requests_half_life_millis);
        let unanswered = note(share < REQUESTS_MIN, Reason::RequestsUnanswered);

        let ranked = [
            (is_fenced, NodeState::Quarantined),
            (is_corrupt, NodeState::Corrupt),
            (is_lost, NodeState::Lost),
            (ordered || leaves, NodeState::Draining),
            (is_offline || is_foreign, NodeState::Offline),
            (is_full || has_fault, NodeState::ReadOnly),
            (silent || unmet || unanswered, NodeState::Suspect),
        ];
        let state = ranked.into_iter().find(|(holds, _)| *holds).map_or(NodeState::Online, |(_, state)| state);
        (state, reasons)
    }
}
