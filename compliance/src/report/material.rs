//! What reports are made from: the log's entries of a period, read once, in order.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{
    ApprovalId, Classification, Commitment, Counts, DataId, Entry, EvidenceGrade, Intent, NodeId, OperationKind,
    OutcomeStatus, PackVersion, PartyId, Place, Record, RequestId, RuleRef, Total, UnixMillis,
};

use super::model::LogState;

/// The most exports that one report takes, and the most other events.
pub const FLOWS_MAX: usize = 200_000;

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// More than it takes.
    #[error("the period holds more than {max} {what}: make reports of shorter periods")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// What it takes.
        max: usize,
    },
}

/// One provision of data across a border, or an attempt at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The index of its intent, or of the refused attempt.
    pub index: u64,
    /// When it was decided.
    pub time: UnixMillis,
    /// The request it belongs to.
    pub request: RequestId,
    /// Whether it was allowed.
    pub allowed: bool,
    /// What was done.
    pub operation: OperationKind,
    /// Who asked.
    pub actor: Commitment,
    /// In which bucket.
    pub bucket: Option<Commitment>,
    /// Which object.
    pub key: Option<Commitment>,
    /// Which body.
    pub data: Option<DataId>,
    /// Where the gateway is.
    pub gateway: Place,
    /// Where it went: places of the requester, or of the nodes for what is stored.
    pub to: Vec<Place>,
    /// The rules that decided.
    pub rules: Vec<RuleRef>,
    /// The approvals it was charged to, or might have stood on.
    pub approvals: Vec<ApprovalId>,
    /// Who received, where that is stated.
    pub recipient: Option<PartyId>,
    /// What it was charged with. Absent: nothing was charged.
    pub counts: Option<Counts>,
    /// The ledgers with it.
    pub totals: Vec<Total>,
    /// Bytes that were authorised.
    pub authorised: u64,
    /// BLAKE3 of the decision's inputs.
    pub inputs: String,
    /// How it ended: index, status, bytes. Absent: it has not, or it was refused.
    pub outcome: Option<(u64, OutcomeStatus, u64)>,
}

impl Flow {
    fn new(index: u64, record: &Record, intent: &Intent, allowed: bool) -> Self {
        let stored = matches!(
            intent.operation,
            OperationKind::PutObject | OperationKind::UploadPart | OperationKind::Repair | OperationKind::Sweep
        );
        let to = if stored && !intent.node_places.is_empty() { &intent.node_places } else { &intent.requester_places };
        let charge = intent.charge.as_ref();
        Self {
            index,
            time: record.time,
            request: record.request,
            allowed,
            operation: intent.operation,
            actor: intent.actor,
            bucket: intent.bucket,
            key: intent.key,
            data: intent.data,
            gateway: intent.gateway_place,
            to: to.clone(),
            rules: intent.decision.rules.clone(),
            approvals: charge.map_or_else(|| intent.decision.approvals.clone(), |charge| charge.approvals.clone()),
            recipient: charge.and_then(|charge| charge.recipient.clone()),
            counts: charge.map(|charge| charge.counts),
            totals: charge.map(|charge| charge.totals.clone()).unwrap_or_default(),
            authorised: intent.range.map_or(0, |(start, end)| end.saturating_sub(start)),
            inputs: intent.decision.inputs.clone(),
            outcome: None,
        }
    }

    /// Bytes that left, as far as the log says; what was not heard of is taken to have left whole.
    #[must_use]
    pub fn sent(&self) -> u64 {
        match self.outcome {
            Some((_, OutcomeStatus::AssumedWhole, _)) => self.authorised,
            Some((_, _, bytes)) => bytes,
            None if self.allowed => self.authorised,
            None => 0,
        }
    }

    /// The entries that it is made of.
    pub fn entries(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.index).chain(self.outcome.map(|(index, ..)| index))
    }
}

/// Another entry of the period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Its index.
    pub index: u64,
    /// When.
    pub time: UnixMillis,
    /// What.
    pub entry: Entry,
}

/// A node as the fleet's records have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Which.
    pub id: NodeId,
    /// Where it is taken to be.
    pub place: Place,
    /// Who runs it.
    pub operator: String,
    /// Who controls that.
    pub controller: String,
    /// How well its place is evidenced.
    pub evidence: EvidenceGrade,
    /// Whether it is fenced.
    pub fenced: bool,
}

/// What became of a body that was deleted, with what nodes signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// What its shards were stored under.
    pub data: DataId,
    /// When its key was shredded.
    pub shredded: UnixMillis,
    /// Shards that may be left with nodes that cannot be reached. `None`: nodes are still being asked.
    pub residue: Option<u64>,
    /// BLAKE3 over the receipts.
    pub receipts_hash: String,
    /// Node, shard and time of each receipt.
    pub receipts: Vec<(String, String, UnixMillis)>,
    /// The entries that state it.
    pub stated: Vec<u64>,
}

/// All that a report may say.
#[derive(Debug, Clone, PartialEq)]
pub struct Material {
    /// The period: from, to (exclusive).
    pub period: (UnixMillis, UnixMillis),
    /// Now.
    pub made: UnixMillis,
    /// Where the log stands.
    pub log: LogState,
    /// What the log says of the period.
    pub gathered: Gathered,
    /// What commitments hide, as far as it was opened.
    pub names: BTreeMap<Commitment, String>,
    /// What the data of exports is, by the hash of the decision's inputs.
    pub classes: BTreeMap<String, Classification>,
    /// The nodes.
    pub nodes: Vec<NodeFacts>,
    /// How many shards each place holds of what the report is about. Absent: it was not asked.
    pub shards: Option<BTreeMap<Place, u64>>,
    /// The bucket that it is about. Absent: all.
    pub bucket: Option<String>,
    /// The object that was deleted, and what is certified of it.
    pub deletions: Option<(String, Vec<Deletion>)>,
    /// The packs in force, with their titles.
    pub packs: Vec<(PackVersion, String)>,
}

/// What the log says of a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Exports, and attempts at one, in the order of the log.
    pub flows: Vec<Flow>,
    /// Everything else that is neither intent nor outcome, in the order of the log.
    pub happenings: Vec<Happening>,
    /// Entries of the period: how many, the first, the last.
    pub entries: Option<(u64, u64, u64)>,
    /// Operations that were allowed, exports or not.
    pub allowed: u64,
    /// Refused ones.
    pub refused: u64,
    /// Packs that judged in the period.
    pub judged_by: BTreeSet<(String, String, String)>,
}

/// Reads a log once, in order.
#[derive(Debug)]
pub struct Gathering {
    from: UnixMillis,
    to: UnixMillis,
    bucket: Option<BTreeSet<Commitment>>,
    found: Gathered,
    /// Exports without an outcome so far: index of the intent to place in the list.
    open: BTreeMap<u64, usize>,
    is_past: bool,
}

impl Gathering {
    /// For a period; and one bucket, by its commitments, or all.
    #[must_use]
    pub fn new(from: UnixMillis, to: UnixMillis, bucket: Option<BTreeSet<Commitment>>) -> Self {
        Self { from, to, bucket, found: Gathered::default(), open: BTreeMap::new(), is_past: false }
    }

    /// Whether nothing that comes later can matter.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_past && self.open.is_empty()
    }

    /// Takes the next entry.
    pub fn take(&mut self, index: u64, record: Record) -> Result<(), ReportError> {
        if let Entry::Outcome(outcome) = &record.entry {
            let flow = self.open.remove(&outcome.intent).and_then(|at| self.found.flows.get_mut(at));
            if let Some(flow) = flow {
                flow.outcome = Some((index, outcome.status, outcome.bytes));
            }
        }
        self.is_past = record.time >= self.to;
        if record.time < self.from || self.is_past {
            return Ok(());
        }
        self.found.entries = Some(match self.found.entries {
            None => (1, index, index),
            Some((count, first, _)) => (count + 1, first, index),
        });
        match &record.entry {
            Entry::Intent(intent) => self.intent(index, &record, intent, true),
            Entry::Denied(intent) => self.intent(index, &record, intent, false),
            Entry::Outcome(_) => Ok(()),
            _ => {
                if self.found.happenings.len() == FLOWS_MAX {
                    return Err(ReportError::TooMany { what: "events", max: FLOWS_MAX });
                }
                self.found.happenings.push(Happening { index, time: record.time, entry: record.entry });
                Ok(())
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Gathered {
        self.found
    }

    fn intent(&mut self, index: u64, record: &Record, intent: &Intent, allowed: bool) -> Result<(), ReportError> {
        let is_wanted =
            self.bucket.as_ref().is_none_or(|wanted| intent.bucket.is_some_and(|bucket| wanted.contains(&bucket)));
        if !is_wanted {
            return Ok(());
        }
        let count = if allowed { &mut self.found.allowed } else { &mut self.found.refused };
        *count += 1;
        for pack in &intent.decision.packs {
            let version = (pack.pack.to_string(), pack.as_of.clone(), pack.hash.clone());
            if !self.found.judged_by.contains(&version) {
                self.found.judged_by.insert(version);
            }
        }
        if !intent.decision.export {
            return Ok(());
        }
        if self.found.flows.len() == FLOWS_MAX {
            return Err(ReportError::TooMany { what: "exports", max: FLOWS_MAX });
        }
        if allowed {
            self.open.insert(index, self.found.flows.len());
        }
        self.found.flows.push(Flow::new(index, record, intent, allowed));
        Ok(())
    }
}
