//! Entries that are no operation's: what became of the fleet, of what is judged by, of something deleted.

use domicile_types::{
    Commitment, DataId, Entry, FleetChange, LocationSource, NodeId, OperatorId, PackVersion, UnixMillis,
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
        }
    }
}
