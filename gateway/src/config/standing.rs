//! How patient a gateway is with its nodes.

use serde::{Deserialize, Serialize};

use crate::fleet::standing::Patience;

/// `[standing]`: when a node that is silent is suspect, offline, lost, and how fast failures are forgiven,
/// how often nodes are challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StandingSettings {
    /// Silent for this long, a node is suspect. A node announces itself every 10 seconds.
    pub suspect_after_seconds: u64,
    /// Silent for this long, it is offline.
    pub offline_after_seconds: u64,
    /// Silent for this long, it is lost, and its shards are rebuilt elsewhere.
    pub lost_after_seconds: u64,
    /// Half-life of what requests to a node came to.
    pub requests_half_life_seconds: u64,
    /// Half-life of what challenges came to.
    pub challenges_half_life_seconds: u64,
    /// The pause between two rounds of challenges; each asks all holders of one segment. Zero: nobody is challenged.
    pub challenge_interval_seconds: u64,
}

impl Default for StandingSettings {
    fn default() -> Self {
        Self {
            suspect_after_seconds: 25,
            offline_after_seconds: 40,
            lost_after_seconds: 24 * 3_600,
            requests_half_life_seconds: 600,
            challenges_half_life_seconds: 7 * 24 * 3_600,
            challenge_interval_seconds: 60,
        }
    }
}

impl StandingSettings {
    /// What does not hold together, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let rises = 0 < self.suspect_after_seconds
            && self.suspect_after_seconds <= self.offline_after_seconds
            && self.offline_after_seconds <= self.lost_after_seconds;
        let forgives = self.requests_half_life_seconds > 0 && self.challenges_half_life_seconds > 0;
        match (rises, forgives) {
            (false, _) => Some("standing: a node is suspect first, then offline, then lost, none of them at once"),
            (true, false) => Some("standing: a half-life is at least a second"),
            (true, true) => None,
        }
    }

    /// The same in milliseconds.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        Patience {
            suspect_millis: self.suspect_after_seconds.saturating_mul(1000),
            offline_millis: self.offline_after_seconds.saturating_mul(1000),
            lost_millis: self.lost_after_seconds.saturating_mul(1000),
            requests_half_life_millis: self.requests_half_life_seconds.saturating_mul(1000),
            challenges_half_life_millis: self.challenges_half_life_seconds.saturating_mul(1000),
        }
    }
}
