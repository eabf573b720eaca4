//! Audit entries: one [`Record`] per leaf of the log, as compact JSON with its fields in the order declared here.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use crate::parse::string_form;
use crate::{
    ApprovalChange, ApprovalId, Charge, DataId, Decision, KeyChange, LocationSource, NodeId, OperatorId, PackVersion,
    ParseError, Place, ProposalChange, RequestId, ShardCid, UnixMillis,
};

/// The longest encoded record, in bytes. C2SP tlog-tiles allows 65,535; a ticket carries the entry in a header.
pub const ENTRY_BYTES_MAX: usize = 8 * 1024;

/// Thirty-two random bytes that make a commitment hiding. Stored beside the plaintext, erased with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

/// SHA-256 over domain, salt and value: what the log keeps instead of a name, an address or an object key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// From a digest; `domicile-compliance` computes it.
    #[must_use]
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseError::new("commitment", text, "64 hexadecimal digits"))
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

string_form!(Commitment);

/// What is being done, in the words of S3 and of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// PutObject, POST form.
    PutObject,
    /// UploadPart, UploadPartCopy.
    UploadPart,
    /// CreateMultipartUpload.
    CreateMultipartUpload,
    /// CompleteMultipartUpload.
    CompleteMultipartUpload,
    /// AbortMultipartUpload.
    AbortMultipartUpload,
    /// ListParts, ListMultipartUploads.
    ListUploads,
    /// GetObject, whole or a range; also the reading half of a copy.
    GetObject,
    /// HeadObject, GetObjectAttributes, GetObjectTagging.
    HeadObject,
    /// CopyObject.
    CopyObject,
    /// DeleteObject, DeleteObjects.
    DeleteObject,
    /// PutObjectTagging, DeleteObjectTagging.
    TagObject,
    /// ListBuckets.
    ListBuckets,
    /// ListObjects v1 and v2, ListObjectVersions.
    ListObjects,
    /// HeadBucket, GetBucketLocation, GetBucketTagging.
    HeadBucket,
    /// CreateBucket.
    CreateBucket,
    /// DeleteBucket.
    DeleteBucket,
    /// PutBucketTagging and other changes of a bucket's configuration.
    ConfigureBucket,
    /// Removing shards that nothing refers to.
    Sweep,
    /// Rebuilding or moving shards.
    Repair,
    /// Having nodes prove that they hold their shards, by byte ranges of them.
    Challenge,
    /// A request to the admin API.
    Administer,
}

/// How many bytes one node may serve or accept under one ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Bytes per node, all its shards together.
    pub node_bytes_max: u64,
}

/// What every entry about a request says of it. Names are commitments; the plaintext is in the erasable store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What is being done.
    pub operation: OperationKind,
    /// Who asks (tenant and access key).
    pub actor: Commitment,
    /// The socket address the request came from.
    pub address: Commitment,
    /// Bucket name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Commitment>,
    /// Object key, or listing prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Commitment>,
    /// Where the requester may be.
    pub requester_places: Vec<Place>,
    /// Where the gateway is.
    pub gateway_place: Place,
    /// The decision; a deny makes the entry an attempt and no ticket.
    pub decision: Decision,
    /// What the shards are stored under. Absent where no shard is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataId>,
    /// Plaintext bytes `[start, end)` that may leave. Absent where none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u64, u64)>,
    /// Places whose nodes may act on the ticket. A node elsewhere refuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_places: Vec<Place>,
    /// Shards the ticket is for, where they are few and known (a repair); empty: any shard stored under `data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardCid>,
    /// What one node may serve or accept.
    pub budget: Budget,
    /// When the ticket ends. Nodes refuse it afterwards.
    pub expires: UnixMillis,
    /// The lease epoch of background work: nodes refuse an epoch lower than one they saw. Zero for requests.
    #[serde(default)]
    pub epoch: u64,
    /// The node that does the work in the gateway's stead and may use the ticket besides it (a repair within a territory that
    /// the gateway is not in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<NodeId>,
    /// What serving it charges to approvals and ledgers. Absent where nothing is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeStatus {
    /// All of it.
    Completed,
    /// Stopped before the end, by either side; `bytes` left or came in.
    Aborted,
    /// Refused or failed with nothing sent.
    Failed,
    /// The gateway ended before it could say: the whole range is taken to have left.
    AssumedWhole,
}

/// The entry after an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Index of the intent in this log.
    pub intent: u64,
    /// How it ended.
    pub status: OutcomeStatus,
    /// Plaintext bytes sent to the requester, or received and stored.
    pub bytes: u64,
    /// The HTTP status that was answered; zero where none was.
    pub http_status: u16,
}

/// What became of a node, an operator, or what is known of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetChange {
    /// An operator was invited.
    Invited,
    /// An invitation was taken back.
    Uninvited,
    /// A node asked to be enrolled.
    Joined,
    /// An enrolment was approved: the node is on the roster.
    Approved,
    /// An enrolment was turned down.
    Rejected,
    /// An operator's record changed: owners, seats, control.
    OperatorChanged,
    /// A node's record changed: place, site, addresses.
    NodeChanged,
    /// Evidence of place was put on file.
    EvidenceFiled,
    /// Evidence of place lapsed or was withdrawn.
    EvidenceEnded,
    /// Heard of again, or for the first time.
    Online,
    /// Failing, or silent for a while: gets nothing new.
    Suspect,
    /// Silent for longer.
    Offline,
    /// Silent for so long that its shards are taken to be lost.
    Lost,
    /// Does not hold, or does not keep whole, what it should.
    Corrupt,
    /// Its place or its party is contradicted: fenced, and being emptied.
    Quarantined,
    /// No longer fenced.
    Released,
    /// Its operator contests a quarantine or a score.
    Disputed,
    /// A dispute was settled.
    DisputeSettled,
    /// Leaving in good order.
    Draining,
    /// Gone: holds nothing, or what it holds is residue.
    Left,
    /// A statement of account was made.
    Stated,
}

/// What a record records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Entry {
    /// Before an operation that was allowed: the ticket's leaf.
    Intent(Intent),
    /// An operation that was denied: an attempt.
    Denied(Intent),
    /// After an operation.
    Outcome(Outcome),
    /// A value and its salt were erased from the side store.
    Erased {
        /// The commitment that can no longer be opened.
        commitment: Commitment,
        /// Why: the request or rule.
        reason: String,
    },
    /// The gateway started: which packs and databases it judges by, and what it closed on the way up.
    Started {
        /// BLAKE3 of each pack, by name.
        packs: Vec<PackVersion>,
        /// Open intents of the run before, closed as "assume the whole range left".
        closed_intents: u64,
    },
    /// Something that must be looked at: a corrupt shard, a contradiction of place.
    Incident {
        /// A short kebab-case name.
        what: String,
        /// The node it concerns.
        node: Option<NodeId>,
        /// The shard it concerns.
        shard: Option<ShardCid>,
    },
    /// The fleet, or what is known of it, changed.
    Fleet {
        /// What happened.
        what: FleetChange,
        /// To which operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
        /// To which node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        /// Why: short kebab-case names, sorted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reasons: Vec<String>,
        /// BLAKE3 of the canonical JSON of what stands from now on (an enrolment, a document, a statement), in hexadecimal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<String>,
        /// Who did it. Absent: the gateway, by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Commitment>,
    },
    /// What is judged by changed while the gateway ran: packs or location databases.
    Judging {
        /// The packs in force from now on.
        packs: Vec<PackVersion>,
        /// The location databases in use from now on.
        databases: Vec<LocationSource>,
        /// Who did it. Absent: a file changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
        /// BLAKE3 over the receipts' texts in the order of the certificate, each with a line feed, in hexadecimal.
        receipts_hash: String,
        /// How many shards may still lie on nodes that cannot be reached.
        residue: u64,
    },
    /// An approval changed, or is about to be used up.
    Approval {
        /// What happened.
        what: ApprovalChange,
        /// To which.
        approval: ApprovalId,
        /// BLAKE3 of the canonical JSON of the approval as it stands from now on, in hexadecimal.
        record: String,
        /// Why: short kebab-case names, sorted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reasons: Vec<String>,
        /// Who did it. Absent: the gateway, by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
        /// Who did it. Absent: the gateway, by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Commitment>,
    },
    /// A report was made: its hash is its seal.
    Report {
        /// Which kind, as `domicile report` names it.
        report: String,
        /// SHA-256 of the file, in hexadecimal.
        hash: String,
        /// `pdf`, `html` or `json`.
        format: String,
        /// The time it is about: from, to (exclusive).
        period: (UnixMillis, UnixMillis),
        /// Who asked for it. Absent: the gateway, by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Commitment>,
    },
    /// Somebody was shown what commitments hide.
    Viewed {
        /// Which register or page, as the admin API names it.
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
        /// The jurisdiction that it belongs to, as packs name it.
        jurisdiction: String,
        /// Where it is held.
        place: Place,
    },
    /// An earlier entry is not the whole truth: entries are never changed.
    Correction {
        /// The index of that entry in this log.
        of: u64,
        /// What is so.
        reason: String,
        /// Who says so.
        by: Commitment,
    },
}

/// The name of an [`Entry`] variant, for filters.
pub type RecordKind = &'static str;

impl Entry {
    /// The variant's name as the log has it: `intent`, `denied`, `outcome` and so on.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Intent(_) => "intent",
            Self::Denied(_) => "denied",
            Self::Outcome(_) => "outcome",
            Self::Erased { .. } => "erased",
            Self::Started { .. } => "started",
            Self::Incident { .. } => "incident",
            Self::Fleet { .. } => "fleet",
            Self::Judging { .. } => "judging",
            Self::Deleted { .. } => "deleted",
            Self::Approval { .. } => "approval",
            Self::Proposal { .. } => "proposal",
            Self::Report { .. } => "report",
            Self::Viewed { .. } => "viewed",
            Self::Key { .. } => "key",
            Self::Correction { .. } => "correction",
        }
    }
}

/// One leaf of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format version: 1.
    pub v: u8,
    /// When it was recorded, by the gateway's clock.
    pub time: UnixMillis,
    /// The gateway whose log this is.
    pub gateway: NodeId,
    /// The request it belongs to (`x-amz-request-id`).
    pub request: RequestId,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Record {
    /// The format version that this code writes.
    pub const VERSION: u8 = 1;
}
