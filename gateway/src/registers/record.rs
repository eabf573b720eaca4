//! Event records: what a register shows of an entry. The same fields for every register, in the order of the columns.

use std::collections::HashMap;

use domicile_compliance::audit::{Opening, SideStore};
use domicile_types::{
    ApprovalId, Charge, CountMethod, DataId, NodeId, OutcomeStatus, RequestId, Total, UnixMillis, Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::index::{Index, RegisterError};
use super::layout::{Dimension, Stamp, ValueHash};
use super::row::{Common, Hidden, Row, commitment};

/// What is shown of what commitments hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Pseudonyms: the same value has the same one until it is erased.
    Pseudonyms,
    /// The values. Whoever asks for them is logged.
    Opened,
}

/// How far an operation is known to have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was denied.
    Attempt,
    /// It was allowed, and has no outcome yet.
    Authorised,
    /// All of it happened.
    Completed,
    /// It stopped before its end; `bytes_sent` left or came in.
    Aborted,
    /// It failed with nothing sent.
    Failed,
    /// The gateway ended before it could say: the whole range is taken to have left.
    AssumedWhole,
    /// No operation: something was stated.
    Recorded,
}

impl State {
    /// The name in every format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Authorised => "authorised",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::AssumedWhole => "assumed-whole",
            Self::Recorded => "recorded",
        }
    }
}

/// One row of a register. Fields that do not apply are `null`; lists are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventRecord {
    /// The log's origin. With `index` it names the entry everywhere and for ever.
    pub log: String,
    /// The entry's index in it.
    pub index: u64,
    /// SHA-256 of the leaf, in base64.
    pub leaf_hash: String,
    /// When it was recorded, by the gateway's clock, in RFC 3339.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub time: UnixMillis,
    /// The gateway whose log it is.
    pub gateway: String,
    /// The request it belongs to.
    pub request: String,
    /// The kind of entry: `intent`, `denied`, `approval` and so on.
    pub kind: String,
    /// What was done, or what became of something.
    pub operation: String,
    /// How far it came.
    pub state: State,
    /// `allow` or `deny`, of what was decided.
    #[schemars(with = "Option<String>")]
    pub verdict: Option<Verdict>,
    /// Whether data becomes available outside its home territory, by any limb of any pack.
    pub export: bool,
    /// The limbs of the packs' definitions of export.
    pub limbs: Vec<u8>,
    /// On whose behalf.
    pub tenant: Option<String>,
    /// By whom: tenant and access key, or the token of an officer.
    pub actor: Option<String>,
    /// The socket address that the request came from.
    pub address: Option<String>,
    /// In which bucket.
    pub bucket: Option<String>,
    /// About which object key or listing prefix.
    pub key: Option<String>,
    /// Whether the five fields above are values; else they are pseudonyms.
    pub opened: bool,
    /// What the shards are stored under.
    pub data: Option<String>,
    /// Classes of the data.
    pub classes: Vec<String>,
    /// Where it was collected or generated.
    pub origin: Option<String>,
    /// Distinct individuals in it, as far as stated.
    pub subjects: Option<u64>,
    /// Distinct individuals with sensitive personal information.
    pub sensitive_subjects: Option<u64>,
    /// Whether it was notified or published as important data.
    pub important: Option<bool>,
    /// Plaintext bytes that might leave.
    pub bytes_authorised: Option<u64>,
    /// Plaintext bytes that were sent or stored.
    pub bytes_sent: Option<u64>,
    /// What was answered.
    pub http_status: Option<u16>,
    /// Who received it, as approvals and identities state it.
    pub recipient: Option<String>,
    /// Individuals that were charged to approvals and ledgers.
    pub charged_subjects: Option<u64>,
    /// Of these, with sensitive personal information.
    pub charged_sensitive: Option<u64>,
    /// Bytes that were charged.
    pub charged_bytes: Option<u64>,
    /// How individuals were counted: `exact` or `sum`; both where ledgers differ.
    pub count_method: Option<String>,
    /// The ledgers before and after.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub totals: Vec<Total>,
    /// Where the data came from.
    pub from_places: Vec<String>,
    /// Where it became, or would have become, available.
    pub to_places: Vec<String>,
    /// Where the requester may be: every candidate.
    pub requester_places: Vec<String>,
    /// Where the gateway is, which decrypts.
    pub gateway_place: Option<String>,
    /// Places of nodes that might act.
    pub node_places: Vec<String>,
    /// Grade of the evidence of the requester's place.
    pub requester_evidence: Option<u8>,
    /// Lowest grade of the evidence of the nodes' places.
    pub nodes_evidence: Option<u8>,
    /// Packs that decided: `pack@as-of#blake3`.
    pub packs: Vec<String>,
    /// Rules that determined the decision: `pack/rule`.
    pub rules: Vec<String>,
    /// The articles that these stand on.
    pub cites: Vec<String>,
    /// What an allow obliged to.
    pub obligations: Vec<String>,
    /// Mechanisms of the approvals that matched.
    pub mechanisms: Vec<String>,
    /// Approvals that it might stand on, and those that were charged.
    pub approvals: Vec<String>,
    /// BLAKE3 of everything that was decided from.
    pub inputs: Option<String>,
    /// What a reader must know: stale databases, disagreement.
    pub warnings: Vec<String>,
    /// When it began; of a report, the period's begin; of a proposal, when it takes force.
    #[serde(serialize_with = "as_optional_text")]
    #[schemars(with = "Option<String>")]
    pub started: Option<UnixMillis>,
    /// When it ended; of a report, the period's end.
    #[serde(serialize_with = "as_optional_text")]
    #[schemars(with = "Option<String>")]
    pub ended: Option<UnixMillis>,
    /// The index of the entry that says how it ended.
    pub outcome_index: Option<u64>,
    /// The node it concerns, or that did the work.
    pub node: Option<String>,
    /// The operator it concerns.
    pub operator: Option<String>,
    /// What else it is about: an approval, a shard, a pack, a key, a corrected entry.
    pub subject: Option<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// Hash of what stands from then on: an approval, an enrolment, a report's file.
    pub record_hash: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
    /// Later entries that say that this one is not the whole truth.
    pub corrected_by: Vec<u64>,
}

/// Makes records of rows. Remembers what rows share.
pub(super) struct Reader<'a> {
    index: &'a Index,
    side: Option<&'a SideStore>,
    log: &'a str,
    sight: Sight,
    commons: HashMap<[u8; 16], Common>,
    names: HashMap<[u8; 32], Named>,
}

/// What a commitment is shown as.
#[derive(Clone)]
struct Named {
    value: String,
    tenant: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(index: &'a Index, side: Option<&'a SideStore>, log: &'a str, sight: Sight) -> Self {
        Self { index, side, log, sight, commons: HashMap::new(), names: HashMap::new() }
    }

    /// The record of the entry at a stamp; nothing where its row is gone.
    pub(super) fn at(&mut self, stamp: Stamp) -> Result<Option<EventRecord>, RegisterError> {
        self.numbered(stamp.index())
    }

    /// The record of an entry that is in a register.
    pub(super) fn numbered(&mut self, index: u64) -> Result<Option<EventRecord>, RegisterError> {
        let Some(row) = self.index.row(index)? else { return Ok(None) };
        let common = match self.commons.get(&row.common) {
            Some(common) => common.clone(),
            None => {
                let common = self.index.common(&row.common)?;
                self.commons.insert(row.common, common.clone());
                common
            }
        };
        self.record(index, row, common).map(Some)
    }

    fn record(&mut self, index: u64, row: Row, common: Common) -> Result<EventRecord, RegisterError> {
        let ended = self.index.ended(index)?;
        let actor = row.actor.map(|actor| self.named("actor", actor)).transpose()?;
        let shown = |reader: &mut Self, what, digest: Option<[u8; 32]>| {
            digest.map(|digest| reader.named(what, digest).map(|named| named.value)).transpose()
        };
        let address = shown(self, "address", row.address)?;
        let bucket = shown(self, "bucket", row.bucket)?;
        let key = shown(self, "key", row.key)?;
        let charge: Charge = row.charge.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let charged = row.charge.is_some().then_some(charge.counts);
        let mut approvals = common.approvals;
        approvals.extend(charge.approvals.iter().map(ApprovalId::to_string));
        approvals.sort_unstable();
        approvals.dedup();
        let state = match (common.kind.as_str(), ended) {
            ("denied", _) => State::Attempt,
            ("intent", None) => State::Authorised,
            ("intent", Some(ended)) => match ended.status {
                OutcomeStatus::Completed => State::Completed,
                OutcomeStatus::Aborted => State::Aborted,
                OutcomeStatus::Failed => State::Failed,
                OutcomeStatus::AssumedWhole => State::AssumedWhole,
            },
            _ => State::Recorded,
        };
        Ok(EventRecord {
            log: self.log.to_owned(),
            index,
            leaf_hash: data_encoding::BASE64.encode(&row.leaf),
            time: UnixMillis(row.time),
            gateway: NodeId::from_public_key(row.gateway).to_string(),
            request: RequestId::from_bytes(row.request).to_string(),
            kind: common.kind,
            operation: common.operation,
            state,
            verdict: common.verdict,
            export: common.export,
            limbs: common.limbs,
            tenant: actor.as_ref().and_then(|actor| actor.tenant.clone()),
            actor: actor.map(|actor| actor.value),
            address,
            bucket,
            key,
            opened: self.sight == Sight::Opened,
            data: row.data.map(|data| DataId::from_bytes(data).to_string()),
            classes: common.classes,
            origin: common.origin,
            subjects: row.subjects,
            sensitive_subjects: row.sensitive,
            important: common.important,
            bytes_authorised: row.range.map(|(start, end)| end.saturating_sub(start)),
            bytes_sent: ended.map(|ended| ended.bytes),
            http_status: ended.map(|ended| ended.http_status),
            recipient: charge.recipient.as_ref().map(ToString::to_string),
            charged_subjects: charged.map(|counts| counts.subjects),
            charged_sensitive: charged.map(|counts| counts.sensitive),
            charged_bytes: charged.map(|counts| counts.bytes),
            count_method: method(&charge.totals),
            totals: charge.totals,
            from_places: common.from_places,
            to_places: common.to_places,
            requester_places: common.requester_places,
            gateway_place: common.gateway_place,
            node_places: common.node_places,
            requester_evidence: common.requester_evidence,
            nodes_evidence: common.nodes_evidence,
            packs: common.packs,
            rules: common.rules,
            cites: common.cites,
            obligations: common.obligations,
            mechanisms: common.mechanisms,
            approvals,
            inputs: row.inputs,
            warnings: common.warnings,
            started: row.started.map(UnixMillis),
            ended: ended.map(|ended| ended.time).or(row.ended).map(UnixMillis),
            outcome_index: ended.map(|ended| ended.index),
            node: row.node.map(|node| NodeId::from_public_key(node).to_string()),
            operator: row.operator,
            subject: row.subject,
            reasons: row.reasons,
            record_hash: row.record,
            detail: row.detail,
            corrected_by: self.index.corrections(index)?,
        })
    }

    fn named(&mut self, what: &str, digest: [u8; 32]) -> Result<Named, RegisterError> {
        if let Some(known) = self.names.get(&digest) {
            return Ok(known.clone());
        }
        let hidden = self.index.hidden_of(&commitment(&digest))?.unwrap_or_default();
        let named = match self.sight {
            Sight::Pseudonyms => pseudonyms(what, &hidden),
            Sight::Opened => self.open(&digest),
        };
        self.names.insert(digest, named.clone());
        Ok(named)
    }

    fn open(&self, digest: &[u8; 32]) -> Named {
        let opening = self.side.map(|side| side.open_commitment(&commitment(digest)));
        match opening {
            Some(Ok(Opening::Value { value, .. })) => {
                let value = String::from_utf8_lossy(&value).into_owned();
                let tenant = value.split(' ').next().and_then(|key| key.split_once('/'));
                Named { tenant: tenant.map(|(tenant, _)| tenant.to_owned()), value }
            }
            Some(Ok(Opening::Erased)) => Named { value: "erased".to_owned(), tenant: None },
            Some(Ok(Opening::Unknown) | Err(_)) | None => Named { value: "unknown".to_owned(), tenant: None },
        }
    }
}

fn pseudonyms(what: &str, hidden: &Hidden) -> Named {
    let text = |what: &str, value: &ValueHash| format!("{what}:{}", data_encoding::HEXLOWER.encode(value));
    let tenant = hidden.iter().find(|(dimension, _)| *dimension == Dimension::Tenant.code());
    Named {
        value: hidden.first().map_or_else(|| "erased".to_owned(), |(_, value)| text(what, value)),
        tenant: tenant.map(|(_, value)| text("tenant", value)),
    }
}

fn method(totals: &[Total]) -> Option<String> {
    let has = |method| totals.iter().any(|total| total.method == method);
    match (has(CountMethod::Exact), has(CountMethod::Sum)) {
        (true, true) => Some("exact+sum".to_owned()),
        (true, false) => Some("exact".to_owned()),
        (false, true) => Some("sum".to_owned()),
        (false, false) => None,
    }
}

fn as_text<S: Serializer>(time: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_optional_text<S: Serializer>(time: &Option<UnixMillis>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
