//! Which registers there are, and which entries of the log each is about.

use domicile_types::{Entry, FleetChange, OperationKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Register {
    /// Operations that make data available outside its home territory, attempts included.
    Exports,
    /// Everything that was decided.
    Decisions,
    /// What had to be looked at: damaged shards, contradicted places, nodes lost.
    Incidents,
    /// What became of approvals.
    Approvals,
    /// What is known of nodes and operators, and by which location databases.
    Evidence,
    /// What stored, moved or removed shards.
    Placements,
    /// Keys that others hang from.
    Keys,
    /// Deletions, from the request to the certificate, and erasures from the log's side store.
    Deletions,
    /// Who was shown what commitments hide.
    Views,
    /// Reports that were made.
    Reports,
    /// Versions of packs: proposed, agreed to, in force.
    Proposals,
    /// What was said later of earlier entries.
    Corrections,
}

impl Register {
    /// Every register.
    pub const ALL: [Self; 12] = [
        Self::Exports,
        Self::Decisions,
        Self::Incidents,
        Self::Approvals,
        Self::Evidence,
        Self::Placements,
        Self::Keys,
        Self::Deletions,
        Self::Views,
        Self::Reports,
        Self::Proposals,
        Self::Corrections,
    ];

    /// The name in paths and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exports => "exports",
            Self::Decisions => "decisions",
            Self::Incidents => "incidents",
            Self::Approvals => "approvals",
            Self::Evidence => "evidence",
            Self::Placements => "placements",
            Self::Keys => "keys",
            Self::Deletions => "deletions",
            Self::Views => "views",
            Self::Reports => "reports",
            Self::Proposals => "proposals",
            Self::Corrections => "corrections",
        }
    }

    /// The register of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|register| register.name() == name)
    }

    /// The registers that an entry is in. Outcomes are in none: they complete the row of their intent.
    pub(super) fn of(entry: &Entry) -> Vec<Self> {
        use OperationKind as Op;
        let only = |register| vec![register];
        match entry {
            Entry::Intent(intent) | Entry::Denied(intent) => {
                let mut found = only(Self::Decisions);
                if intent.decision.export {
                    found.push(Self::Exports);
                }
                match intent.operation {
                    Op::PutObject | Op::UploadPart | Op::CompleteMultipartUpload | Op::CopyObject | Op::Repair => {
                        found.push(Self::Placements);
                    }
                    Op::Sweep => found.extend([Self::Placements, Self::Deletions]),
                    Op::DeleteObject | Op::AbortMultipartUpload | Op::DeleteBucket => found.push(Self::Deletions),
                    _ => {}
                }
                found
            }
            Entry::Outcome(_) => Vec::new(),
            Entry::Erased { .. } | Entry::Deleted { .. } => only(Self::Deletions),
            Entry::Started { .. } => only(Self::Proposals),
            Entry::Incident { .. } => only(Self::Incidents),
            Entry::Fleet { what: FleetChange::Lost | FleetChange::Corrupt | FleetChange::Quarantined, .. } => {
                vec![Self::Evidence, Self::Incidents]
            }
            Entry::Fleet { .. } => only(Self::Evidence),
            Entry::Judging { .. } => vec![Self::Evidence, Self::Proposals],
            Entry::Approval { .. } => only(Self::Approvals),
            Entry::Proposal { .. } => only(Self::Proposals),
            Entry::Report { .. } => only(Self::Reports),
            Entry::Viewed { .. } => only(Self::Views),
            Entry::Key { .. } => only(Self::Keys),
            Entry::Correction { .. } => only(Self::Corrections),
        }
    }
}
