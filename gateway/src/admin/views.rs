//! What the admin API answers, as JSON. The CLI prints the same values as tables.

use domicile_types::{
    ControllerId, Decision, EvidenceGrade, NodeId, OperationKind, OperatorId, PackId, Place, Record, RegionName,
    ShardCid, TenantId, UnixMillis,
};
use serde::{Deserialize, Serialize};

/// An error.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    /// What is wrong and what to do.
    pub error: String,
}

/// Whether the gateway serves, and what it is.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// Its name.
    pub name: String,
    /// Its identity.
    #[schemars(with = "String")]
    pub gateway: NodeId,
    /// Its place.
    #[schemars(with = "String")]
    pub place: Place,
    /// Region of buckets without `LocationConstraint`.
    #[schemars(with = "String")]
    pub default_region: RegionName,
    /// Its version.
    pub software: String,
    /// Nodes enrolled.
    pub nodes: usize,
    /// Nodes that are heard of and answer, whether or not they take shards.
    pub nodes_online: usize,
    /// Entries in the log.
    pub log_entries: u64,
}

/// Where an object is.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Whereabouts {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Residency region.
    #[schemars(with = "String")]
    pub region: RegionName,
    /// The packs that it obeys.
    #[schemars(with = "Vec<String>")]
    pub packs: Vec<PackId>,
    /// Bytes of plaintext.
    pub bytes: u64,
    /// Erasure codes in use: one, but for multipart objects whose parts differ.
    pub profiles: Vec<String>,
    /// What the code is worth: loss per year and nines, at 8% yearly node loss and 7 days of repair.
    pub durability: String,
    /// Every shard.
    pub shards: Vec<ShardView>,
}

/// One shard and its holder.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ShardView {
    /// Part number; 0 for an object put whole.
    pub part: u16,
    /// Segment of the part.
    pub segment: u32,
    /// Index in the segment.
    pub shard: usize,
    /// Name of the bytes.
    #[schemars(with = "String")]
    pub cid: ShardCid,
    /// Who holds it.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Who runs the node; absent when it is not enrolled any more.
    #[schemars(with = "Option<String>")]
    pub operator: Option<OperatorId>,
    /// Who controls the operator.
    #[schemars(with = "Option<String>")]
    pub controller: Option<ControllerId>,
    /// Where the node is, by enrolment.
    #[schemars(with = "Option<String>")]
    pub place: Option<Place>,
    /// How well that is evidenced: there is no contradicting evidence, which is not proof.
    #[schemars(with = "Option<String>")]
    pub evidence: Option<EvidenceGrade>,
}

/// One node.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeView {
    /// Identity.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Operator.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// Controller.
    #[schemars(with = "String")]
    pub controller: ControllerId,
    /// Enrolled place.
    #[schemars(with = "String")]
    pub place: Place,
    /// Where the databases put its address.
    #[schemars(with = "Vec<String>")]
    pub located: Vec<Place>,
    /// Evidence.
    #[schemars(with = "String")]
    pub evidence: EvidenceGrade,
    /// `online`, `suspect`, `read-only`, `draining`, `offline`, `lost`, `corrupt`, `quarantined`.
    pub state: String,
    /// Why: reason codes.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Share of requests and challenges answered lately, in hundredths of a percent.
    #[serde(default)]
    pub score_basis_points: u16,
    /// Address of its data plane.
    pub address: Option<std::net::SocketAddr>,
    /// Bytes it offers.
    pub capacity_bytes: Option<u64>,
    /// Bytes of that which are free.
    pub free_bytes: Option<u64>,
    /// Requests refused, by reason; absent when the node was not asked or did not answer.
    pub refused: Option<std::collections::BTreeMap<String, u64>>,
    /// Shards and ranges it served in its life; absent like `refused`.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub served: Option<domicile_node_protocol::VerbCount>,
    /// When it announced itself last.
    #[schemars(with = "Option<u64>")]
    pub heard: Option<UnixMillis>,
}

/// An entry of the log.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EntryView {
    /// Index in the log.
    pub index: u64,
    /// SHA-256 leaf hash, in base64.
    pub leaf_hash: String,
    /// What was recorded.
    #[serde(flatten)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub record: Record,
}

/// A page of entries.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EntryPage {
    /// The entries, newest last.
    pub entries: Vec<EntryView>,
    /// Size of the log.
    pub size: u64,
    /// Begin here for the next page; absent on the last.
    pub next: Option<u64>,
}

/// One entry in full.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EntryDetail {
    /// The entry.
    #[serde(flatten)]
    pub entry: EntryView,
    /// What its commitments open to, by field; `erased` where they were.
    pub opened: std::collections::BTreeMap<String, String>,
    /// The question that the decision answered, where it was kept.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub inputs: Option<domicile_compliance::Question>,
    /// The `c2sp.org/tlog-proof@v1` of the entry.
    pub proof: String,
}

/// What verification found.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verified {
    /// Whether the log holds.
    pub holds: bool,
    /// Entries checked.
    pub entries: u64,
    /// Checkpoints of nodes that the log is consistent with.
    pub seen: usize,
    /// What is wrong and where; absent when it holds.
    pub fault: Option<String>,
}

/// A pack.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PackView {
    /// Its name.
    #[schemars(with = "String")]
    pub pack: PackId,
    /// Its title.
    pub title: String,
    /// The day its law was read.
    pub as_of: String,
    /// BLAKE3 of its files.
    pub hash: String,
    /// The regions that it governs here.
    #[schemars(with = "Vec<String>")]
    pub regions: Vec<RegionName>,
}

/// Scenarios of a pack.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PackTest {
    /// Which pack.
    #[schemars(with = "String")]
    pub pack: PackId,
    /// Scenarios that came out as expected.
    pub passed: usize,
    /// Those that did not, with what was wrong.
    pub failed: Vec<String>,
    /// Rules that no scenario reaches.
    pub rules_in_no_case: Vec<String>,
}

/// A what-if.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExplainRequest {
    /// In which region.
    #[schemars(with = "String")]
    pub region: RegionName,
    /// Doing what.
    #[schemars(with = "String")]
    pub operation: OperationKind,
    /// From where.
    #[schemars(with = "String")]
    pub from: Place,
    /// With data of which classes.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub classes: Vec<domicile_types::DataClass>,
    /// By the packs that were in force at this moment; absent: by those in force now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub as_known: Option<UnixMillis>,
    /// On which day, as the law's own dates go (adequacy that ended, rules that begin); absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub on: Option<UnixMillis>,
}

/// What the law says to it.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Explained {
    /// The decision.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub decision: Decision,
    /// Per subject and action.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub findings: Vec<domicile_types::Finding>,
}

/// A tenant.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TenantView {
    /// Its name.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// When it was made.
    #[schemars(with = "u64")]
    pub created: UnixMillis,
    /// Whether its keys work.
    pub enabled: bool,
}

/// A tenant to be made.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenantBody {
    /// Its name.
    #[schemars(with = "String")]
    pub tenant: TenantId,
}

/// A user.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UserView {
    /// Whose.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// When it was made.
    #[schemars(with = "u64")]
    pub created: UnixMillis,
    /// Whether its keys work.
    pub enabled: bool,
    /// What it may do; none: all that its tenant may.
    pub policy: Option<serde_json::Value>,
}

/// A user to be made.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserBody {
    /// Whose.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What it may do.
    #[serde(default)]
    pub policy: Option<serde_json::Value>,
}

/// An access key.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyView {
    /// Access key id.
    pub access_key: String,
    /// Secret access key: in the answer that makes the key, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// Whose.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Of which user; none: of the tenant itself.
    pub user: Option<String>,
    /// When it was made.
    #[schemars(with = "u64")]
    pub created: UnixMillis,
    /// From when on it works no more.
    #[schemars(with = "Option<u64>")]
    pub expires: Option<UnixMillis>,
    /// Whether it works.
    pub enabled: bool,
}

/// A key to be made.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyBody {
    /// Whose.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Of which user.
    #[serde(default)]
    pub user: Option<String>,
    /// From when on it works no more.
    #[serde(default)]
    #[schemars(with = "Option<u64>")]
    pub expires: Option<UnixMillis>,
}

/// The rotation of a key.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// How long the old key goes on working; a day where it is not stated.
    #[serde(default)]
    pub old_seconds: Option<u64>,
}

/// One change of a tenant, user or key.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityEdit {
    /// Whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// From when on a key works no more; 0: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub expires: Option<UnixMillis>,
    /// What a user may do; an empty string: all that its tenant may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<serde_json::Value>,
}

/// A role.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RoleView {
    /// Whose.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What AssumeRole calls it.
    pub arn: String,
    /// The bucket.
    pub bucket: String,
    /// The beginning of the keys.
    pub prefix: String,
    /// Where requesters must be.
    pub places: Vec<String>,
    /// When it was made.
    #[schemars(with = "u64")]
    pub created: UnixMillis,
}

/// A role to be made.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoleBody {
    /// Whose.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// The beginning of the keys.
    #[serde(default)]
    pub prefix: String,
    /// Where requesters must be; empty: wherever the law allows.
    #[serde(default)]
    pub places: Vec<String>,
}

/// Everything on record about operators and their nodes.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FleetView {
    /// Operators with their nodes.
    pub operators: Vec<OperatorView>,
    /// Legal entities.
    pub entities: Vec<crate::fleet::entities::Entity>,
    /// Nodes that ask to join, and those that were turned down.
    pub requests: Vec<crate::catalog::RequestRow>,
    /// Invitations.
    pub invitations: Vec<crate::catalog::InvitationRow>,
}

/// An operator.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OperatorView {
    /// Its name here.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// Its legal entity.
    #[schemars(with = "String")]
    pub party: domicile_types::PartyId,
    /// Whom to write to.
    pub contact: Option<String>,
    /// Who really controls it, as it follows from the records.
    #[schemars(with = "Option<String>")]
    pub controller: Option<ControllerId>,
    /// Its nodes.
    pub nodes: Vec<NodeRecordView>,
    /// Where this comes from.
    pub from: crate::fleet::entities::Source,
}

/// A node's record.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeRecordView {
    /// Identity.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Declared place.
    #[schemars(with = "String")]
    pub place: Place,
    /// The building or data centre.
    pub site: Option<String>,
    /// Where its control plane listens.
    pub swarm: Option<std::net::SocketAddr>,
    /// Where this comes from.
    pub from: crate::fleet::entities::Source,
}

/// `POST /v1/fleet/invitations`
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteBody {
    /// Whose node is invited.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Where the node sends its request: a URL without a path.
    pub join: String,
    /// Where nodes reach the gateway's control plane, if not where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<std::net::SocketAddr>,
}

/// An invitation, as it was made.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvitationView {
    /// Names it.
    pub id: String,
    /// Whose node is invited.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// When it ends.
    #[schemars(with = "u64")]
    pub expires: UnixMillis,
    /// What to give to the operator. Shown this once.
    pub text: String,
}

/// `POST /v1/fleet/requests/{node}/reject`
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectBody {
    /// Why: the operator is told.
    pub reason: String,
}

/// What the record of an entity reaches.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Recorded {
    /// Operators whose nodes are judged by it from now on.
    #[schemars(with = "Vec<String>")]
    pub operators: Vec<OperatorId>,
}

/// A month's statements of account.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StatementsView {
    /// What is paid.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub terms: domicile_storage_node::accounting::Terms,
    /// A row for each node, in the order of operators.
    pub nodes: Vec<crate::fleet::statement::Reconciled>,
}
