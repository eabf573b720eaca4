//! Entries that are no operation's: what became of the fleet, of what is judged by, of something deleted.

use domicile_types::{
    ApprovalChange, ApprovalId, Commitment, DataId, Entry, FleetChange, KeyChange, LocationSource, NodeId, OperatorId,
    PackVersion, Place, ProposalChange, UnixMillis,
};

/// What [`super::AuditLog::note`] records. Operations are not among it: their entries need a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The fleet, or what is known of it, changed.
    Fleet {
        /// What happened.
        what: FleetChange,
        /// To which operator.
        operator: Option<OperatorId>,
        /// To which node.
        node: Option<NodeId>,
        /// Why: short kebab-case names; sorted here.
        reasons: Vec<String>,
        /// BLAKE3 of the canonical JSON of what stands from now on, in hexadecimal.
        record: Option<String>,
        /// Who did it; `None`: the gateway, by itself.
        by: Option<Commitment>,
    },
    /// Packs or location databases changed while the gateway ran.
    Judging {
        /// The packs in force from now on.
        packs: Vec<PackVersion>,
        /// The location databases in use from now on.
        databases: Vec<LocationSource>,
        /// Who did it; `None`: a file changed.
        by: Option<Commitment>,
    },
    /// All that can be done to delete a body was done.
    Deleted {
        /// What its shards were stored under.
        data: DataId,
        /// The bucket it was in.
        bucket: Commitment,
        /// When its data key was shredded.
        shredded: UnixMillis,
        /// How many shards nodes have signed to have deleted.
        receipts: u64,
        /// BLAKE3 over the receipts, in hexadecimal.
        receipts_hash: String,
        /// How many shards may still lie on nodes that cannot be reached.
        residue: u64,
    },
    /// An approval changed.
    Approval {
        /// What happened.
        what: ApprovalChange,
        /// To which.
        approval: ApprovalId,
        /// BLAKE3 of the canonical JSON of the approval as it stands from now on, in hexadecimal.
        record: String,
        /// Why: short kebab-case names; sorted here.
        reasons: Vec<String>,
        /// Who did it; `None`: the gateway, by itself.
        by: Option<Commitment>,
    },
    /// A version of a pack was proposed, agreed to, turned down, or took force.
    Proposal {
        /// What happened.
        what: ProposalChange,
        /// The version.
        pack: PackVersion,
        /// From when on it judges.
        effective: UnixMillis,
        /// Who did it; `None`: the gateway, by itself.
        by: Option<Commitment>,
    },
    /// A report was made.
    Report {
        /// Which kind.
        report: String,
        /// SHA-256 of the file, in hexadecimal.
        hash: String,
        /// `pdf`, `html` or `json`.
        format: String,
        /// The time it is about: from, to (exclusive).
        period: (UnixMillis, UnixMillis),
        /// Who asked for it; `None`: the gateway, by itself.
        by: Option<Commitment>,
    },
    /// Somebody was shown what commitments hide.
    Viewed {
        /// Which register or page.
        what: String,
        /// How many rows.
        rows: u64,
        /// Who.
        by: Commitment,
    },
    /// A key that others hang from was made, rotated or shredded.
    Key {
        /// What happened.
        what: KeyChange,
        /// Its name: no secret.
        key: String,
        /// The jurisdiction that it belongs to.
        jurisdiction: String,
        /// Where it is held.
        place: Place,
    },
    /// An earlier entry is not the whole truth.
    Correction {
        /// The index of that entry.
        of: u64,
        /// What is so.
        reason: String,
        /// Who says so.
        by: Commitment,
    },
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        match event {
            Event::Fleet { what, operator, node, mut reasons, record, by } => {
                reasons.sort_unstable();
                reasons.dedup();
                Self::Fleet { what, operator, node, reasons, record, by }
            }
            Event::Judging { packs, databases, by } => Self::Judging { packs, databases, by },
            Event::Deleted { data, bucket, shredded, receipts, receipts_hash, residue } => {
                Self::Deleted { data, bucket, shredded, receipts, receipts_hash, residue }
            }
            Event::Approval { what, approval, record, mut reasons, by } => {
                reasons.sort_unstable();
                reasons.dedup();
                Self::Approval { what, approval, record, reasons, by }
            }
            Event::Proposal { what, pack, effective, by } => Self::Proposal { what, pack, effective, by },
            Event::Report { report, hash, format, period, by } => Self::Report { report, hash, format, period, by },
            Event::Viewed { what, rows, by } => Self::Viewed { what, rows, by },
            Event::Key { what, key, jurisdiction, place } => Self::Key { what, key, jurisdiction, place },
            Event::Correction { of, reason, by } => Self::Correction { of, reason, by },
        }
    }
}
