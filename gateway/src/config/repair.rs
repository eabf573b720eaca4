//! What repairs are promised by.

use domicile_types::CodeProfile;
use serde::{Deserialize, Serialize};

/// `[repair]`: the model that says how long lost shards may wait.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepairSettings {
    /// Nodes lost per node and year: 0.08 is 8%.
    pub node_loss_per_year: f64,
    /// How many days a repair takes in the mean.
    pub repair_days: f64,
}

impl Default for RepairSettings {
    fn default() -> Self {
        Self { node_loss_per_year: 0.08, repair_days: 7.0 }
    }
}

impl RepairSettings {
    /// What does not hold together, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        domicile_placement::thresholds(CodeProfile::RS_4_2, self.node_loss_per_year, self.repair_days)
            .err()
            .map(|error| format!("repair: {error}"))
    }
}
