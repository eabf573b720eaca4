//! Which node holds which shard: chosen under a permit, checked by independent code, priced in nines.
//!
//! *In scope*: the roster of enrolled nodes; the choice of nodes for a segment ([`place`]); the examination that every
//! choice must pass ([`check`]), the only maker of [`Assignment`]s; the order in which to read shards
//! ([`read_order`]); which shards of a segment are to move, from what and where to ([`plan_repair`]), and which segment
//! comes first ([`risk()`]); what a profile is worth ([`durability`]).
//!
//! *Out of scope*: what the law says (`domicile-compliance` decides, a [`Permit`] arrives here), bytes, sockets, clocks,
//! and who is alive (the caller keeps [`NodeState`] up to date). Everything here is a pure function of its arguments.
//!
//! The constraints, in the order in which they bind:
//!
//! 1. **the permit**: a node that the decision did not allow is never chosen;
//! 2. **state and space**: online, and free space for the shard;
//! 3. **one shard per node**;
//! 4. **collusion limit**: at most [`PlacementRequest::shards_per_controller`] shards with one controller. The request asks
//!    for one unless told otherwise, and never gets more than `min(k - 1, m)` (one for whole copies): no controller can
//!    rebuild the segment's ciphertext, and none can destroy it;
//! 5. **spread**, as far as the roster allows: over controllers, then operators, then networks, then places;
//! 6. **capacity-weighted rendezvous** among equals, so that a change of the roster moves few shards.
//!
//! 1 to 4 are refusals when they cannot be met, 5 and 6 are preferences.
//!
//! [`Permit`]: domicile_compliance::Permit

mod check;
mod durability;
#[cfg(test)]
mod fixtures;
mod place;
mod plan;
#[cfg(test)]
mod properties;
mod read;
mod refusal;
mod rendezvous;
mod repair;
#[cfg(test)]
mod repair_properties;
mod request;
mod risk;
mod roster;

pub use crate::check::{Assignment, Assignments, Violation, check};
pub use crate::durability::{Durability, DurabilityError, Thresholds, durability, durability_when_lazy, thresholds};
pub use crate::place::{auto_profile, place, place_excluding};
pub use crate::plan::{Plan, PlannedShard};
pub use crate::read::{HeldBy, UNMEASURED_LATENCY, read_order};
pub use crate::refusal::{Census, HeldFault, PlacementRefusal, Removed, RuleRemoval, Shortage, removals};
pub use crate::repair::{Aim, Cause, Mending, RepairPlan, SegmentState, plan_repair};
pub use crate::request::{HeldShard, PlacementRequest, PlacementSeed};
pub use crate::risk::{Risk, risk};
pub use crate::roster::{Network, NodeRecord, NodeState, Roster, RosterError};
