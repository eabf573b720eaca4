//! From an entry of the log to what the index keeps of it: pure, but for what [`Sources`] answer.

use domicile_types::{Entry, FleetChange, Intent, OperationKind, PackVersion, Place, Record, Verdict};
use serde::Serialize;

use super::layout::Dimension;
use super::register::Register;
use super::row::{Common, Row};
use super::sources::{Inputs, Sources};

/// An entry on its way into the index.
pub(super) struct Facts {
    pub(super) row: Row,
    pub(super) common: Common,
    /// What it is found by, in the clear; values that commitments hide are added by the index.
    pub(super) found_by: Vec<(Dimension, String)>,
}

/// A value's name as the log has it.
pub(super) fn kebab(name: &impl Serialize) -> String {
    serde_json::to_value(name).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A version of a pack in one word: `cn-data-export@2024-03-22#1f3a...`.
fn pack_text(version: &PackVersion) -> String {
    format!("{}@{}#{}", version.pack, version.as_of, version.hash)
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// What is kept of a record; nothing of outcomes, which complete their intents.
pub(super) fn facts(record: &Record, leaf: [u8; 32], sources: &impl Sources) -> Option<Facts> {
    let registers = Register::of(&record.entry);
    if registers.is_empty() {
        return None;
    }
    let mut facts = Facts {
        row: Row {
            time: record.time.0,
            leaf,
            request: *record.request.as_bytes(),
            gateway: *record.gateway.public_key(),
            ..Row::default()
        },
        common: Common { kind: record.entry.kind().to_owned(), ..Common::default() },
        found_by: Vec::new(),
    };
    match &record.entry {
        Entry::Intent(intent) | Entry::Denied(intent) => facts.take_intent(intent, sources),
        entry => facts.take_event(entry),
    }
    facts.found_by.extend(registers.into_iter().map(|register| (Dimension::Register, register.name().to_owned())));
    facts.find_by_common();
    facts.found_by.sort_unstable_by(|one, other| (one.0.code(), &one.1).cmp(&(other.0.code(), &other.1)));
    facts.found_by.dedup();
    Some(facts)
}

impl Facts {
    fn take_intent(&mut self, intent: &Intent, sources: &impl Sources) {
        let inputs = sources.inputs(&intent.decision.inputs).unwrap_or_default();
        let Inputs { classification, mechanisms, requester_evidence, nodes_evidence, store_places } = inputs;
        let decision = &intent.decision;
        let (from, to) = direction(intent, &store_places);
        let mut limbs: Vec<u8> = decision.rules.iter().filter_map(|rule| rule.limb).map(|limb| limb.0).collect();
        limbs.sort_unstable();
        limbs.dedup();
        let mut cites: Vec<String> = decision.rules.iter().map(|rule| rule.cite.clone()).collect();
        cites.sort_unstable();
        cites.dedup();
        self.common = Common {
            operation: kebab(&intent.operation),
            verdict: Some(decision.verdict),
            export: decision.export,
            limbs,
            classes: classification.classes.iter().map(ToString::to_string).collect(),
            origin: classification.origin.map(|place| place.to_string()),
            important: classification.important,
            from_places: texts(&from),
            to_places: texts(&to),
            requester_places: texts(&intent.requester_places),
            gateway_place: Some(intent.gateway_place.to_string()),
            node_places: texts(&intent.node_places),
            requester_evidence,
            nodes_evidence,
            packs: decision.packs.iter().map(pack_text).collect(),
            rules: decision.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect(),
            cites,
            obligations: decision.obligations.iter().map(|obligation| obligation.0.clone()).collect(),
            mechanisms,
            approvals: texts(&decision.approvals),
            warnings: decision.warnings.clone(),
            ..std::mem::take(&mut self.common)
        };
        self.row = Row {
            actor: Some(*intent.actor.digest()),
            address: Some(*intent.address.digest()),
            bucket: intent.bucket.map(|bucket| *bucket.digest()),
            key: intent.key.map(|key| *key.digest()),
            data: intent.data.map(|data| *data.as_bytes()),
            subjects: classification.subjects,
            sensitive: classification.sensitive_subjects,
            range: intent.range,
            inputs: Some(decision.inputs.clone()),
            charge: intent.charge.as_ref().and_then(|charge| serde_json::to_string(charge).ok()),
            node: intent.worker.map(|node| *node.public_key()),
            started: Some(self.row.time),
            ..std::mem::take(&mut self.row)
        };
        for pack in &decision.packs {
            self.found_by.push((Dimension::Basis, pack.pack.to_string()));
        }
        if let Some(charge) = &intent.charge {
            let charged = charge.approvals.iter().map(|approval| (Dimension::Basis, approval.to_string()));
            self.found_by.extend(charged);
        }
    }

    fn take_event(&mut self, entry: &Entry) {
        let (row, common) = (&mut self.row, &mut self.common);
        match entry {
            // Intents are taken elsewhere, and outcomes are in no register.
            Entry::Intent(_) | Entry::Denied(_) | Entry::Outcome(_) => {}
            Entry::Erased { commitment, reason } => {
                row.subject = Some(commitment.to_string());
                row.detail = Some(reason.clone());
            }
            Entry::Started { packs, closed_intents } => {
                common.packs = packs.iter().map(pack_text).collect();
                row.detail = Some(format!("{closed_intents} open intents closed as assumed whole"));
            }
            Entry::Incident { what, node, shard } => {
                common.operation.clone_from(what);
                row.node = node.map(|node| *node.public_key());
                row.subject = shard.map(|shard| shard.to_string());
            }
            Entry::Fleet { what, operator, node, reasons, record, by } => {
                common.operation = kebab(what);
                row.operator = operator.as_ref().map(ToString::to_string);
                row.node = node.map(|node| *node.public_key());
                row.reasons.clone_from(reasons);
                row.record.clone_from(record);
                row.actor = by.map(|by| *by.digest());
                if *what == FleetChange::EvidenceFiled || *what == FleetChange::EvidenceEnded {
                    row.subject.clone_from(record);
                }
            }
            Entry::Judging { packs, databases, by } => {
                common.packs = packs.iter().map(pack_text).collect();
                row.detail = serde_json::to_string(databases).ok();
                row.actor = by.map(|by| *by.digest());
            }
            Entry::Deleted { data, bucket, shredded, receipts, receipts_hash, residue } => {
                row.data = Some(*data.as_bytes());
                row.bucket = Some(*bucket.digest());
                row.started = Some(shredded.0);
                row.ended = Some(row.time);
                row.record = Some(receipts_hash.clone());
                row.detail = Some(format!("{receipts} shards deleted, {residue} left behind"));
            }
            Entry::Approval { what, approval, record, reasons, by } => {
                common.operation = kebab(what);
                row.subject = Some(approval.to_string());
                row.record = Some(record.clone());
                row.reasons.clone_from(reasons);
                row.actor = by.map(|by| *by.digest());
                self.found_by.push((Dimension::Basis, approval.to_string()));
            }
            Entry::Proposal { what, pack, effective, by } => {
                common.operation = kebab(what);
                common.packs = vec![pack_text(pack)];
                row.subject = Some(pack.pack.to_string());
                row.started = Some(effective.0);
                row.actor = by.map(|by| *by.digest());
                self.found_by.push((Dimension::Basis, pack.pack.to_string()));
            }
            Entry::Report { report, hash, format, period: (from, to), by } => {
                common.operation.clone_from(report);
                row.record = Some(hash.clone());
                row.detail = Some(format.clone());
                (row.started, row.ended) = (Some(from.0), Some(to.0));
                row.actor = by.map(|by| *by.digest());
            }
            Entry::Viewed { what, rows, by } => {
                common.operation.clone_from(what);
                row.detail = Some(format!("{rows} rows"));
                row.actor = Some(*by.digest());
            }
            Entry::Key { what, key, jurisdiction, place } => {
                common.operation = kebab(what);
                common.to_places = vec![place.to_string()];
                row.subject = Some(key.clone());
                row.detail = Some(jurisdiction.clone());
            }
            Entry::Correction { of, reason, by } => {
                row.subject = Some(of.to_string());
                row.detail = Some(reason.clone());
                row.actor = Some(*by.digest());
            }
        }
    }

    fn find_by_common(&mut self) {
        let Common { operation, verdict, classes, from_places, to_places, rules, mechanisms, approvals, .. } =
            &self.common;
        let found = &mut self.found_by;
        if !operation.is_empty() {
            found.push((Dimension::Operation, operation.clone()));
        }
        found.extend(verdict.map(|verdict| (Dimension::Verdict, kebab(&verdict))));
        found.extend(classes.iter().map(|class| (Dimension::Class, class.clone())));
        for (dimension, places) in [(Dimension::FromPlace, from_places), (Dimension::ToPlace, to_places)] {
            for place in places {
                found.push((dimension, place.clone()));
                // Whoever asks for a country means all of it.
                found.extend(place.split_once('-').map(|(country, _)| (dimension, country.to_owned())));
            }
        }
        for basis in [rules, mechanisms, approvals] {
            found.extend(basis.iter().map(|name| (Dimension::Basis, name.clone())));
        }
        if let Some(node) = &self.row.node {
            found.push((Dimension::Node, domicile_types::NodeId::from_public_key(*node).to_string()));
        }
        if let Some(data) = &self.row.data {
            found.push((Dimension::Data, domicile_types::DataId::from_bytes(*data).to_string()));
        }
    }
}

/// Where data comes from and where it becomes available, by what the operation does. Of a write that was denied, the places
/// are those of the nodes that it was judged for.
fn direction(intent: &Intent, store_places: &[Place]) -> (Vec<Place>, Vec<Place>) {
    use OperationKind as Op;
    let nodes = &intent.node_places;
    let here = [intent.gateway_place];
    let joined = |one: &[Place], other: &[Place]| {
        let mut places = [one, other].concat();
        places.sort_unstable();
        places.dedup();
        places
    };
    match intent.operation {
        Op::PutObject | Op::UploadPart | Op::CreateMultipartUpload | Op::CompleteMultipartUpload => {
            let stored = if intent.decision.verdict == Verdict::Deny { store_places } else { nodes };
            (intent.requester_places.clone(), joined(&here, stored))
        }
        Op::CopyObject => (joined(&here, nodes), joined(&intent.requester_places, nodes)),
        Op::Repair => (nodes.clone(), joined(&[], if nodes.is_empty() { store_places } else { nodes })),
        Op::Sweep | Op::Challenge => (nodes.clone(), here.to_vec()),
        Op::GetObject | Op::HeadObject | Op::ListObjects | Op::ListUploads | Op::ListBuckets | Op::HeadBucket => {
            (joined(&here, nodes), intent.requester_places.clone())
        }
        Op::AbortMultipartUpload
        | Op::DeleteObject
        | Op::TagObject
        | Op::CreateBucket
        | Op::DeleteBucket
        | Op::ConfigureBucket
        | Op::Administer => (intent.requester_places.clone(), here.to_vec()),
    }
}
