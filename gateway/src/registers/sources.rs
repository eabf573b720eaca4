//! What lies beside the log and an index needs: what commitments hide, and what decisions were made from.

use std::collections::HashMap;
use std::sync::Arc;

use domicile_compliance::audit::{AuditLog, CommitmentDomain, Opening};
use domicile_types::{Action, Classification, Commitment, Place, Subject};
use parking_lot::Mutex;

use crate::admin::with_causes;

/// Runs of asks whose summary is remembered. A fleet has some dozens.
const RUNS_REMEMBERED: usize = 4_096;

/// What an index reads besides entries. The log's own stores in a gateway; made up in a benchmark.
pub trait Sources {
    /// The value behind a commitment; nothing once it is erased.
    fn opened(&self, commitment: &Commitment) -> Option<(CommitmentDomain, Vec<u8>)>;
    /// What a decision was made from; nothing where it was not kept.
    fn inputs(&self, name: &str) -> Option<Inputs>;
}

/// Of a decision's inputs, what registers show and filter by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// What was known of the data.
    pub classification: Classification,
    /// The mechanisms of the approvals that matched.
    pub mechanisms: Vec<String>,
    /// How well the requester's place was evidenced: a grade.
    pub requester_evidence: Option<u8>,
    /// The lowest grade among the nodes that might act.
    pub nodes_evidence: Option<u8>,
    /// Where nodes that might have stored something are: what a denied write was denied for.
    pub store_places: Vec<Place>,
}

#[derive(Debug, Clone, Default)]
struct Run {
    requester_evidence: Option<u8>,
    nodes_evidence: Option<u8>,
    store_places: Vec<Place>,
}

/// The stores of a log.
pub(super) struct LogSources {
    log: Arc<AuditLog>,
    runs: Mutex<HashMap<[u8; 32], Run>>,
}

impl LogSources {
    pub(super) fn new(log: Arc<AuditLog>) -> Self {
        Self { log, runs: Mutex::default() }
    }

    fn run(&self, name: &[u8; 32]) -> Run {
        if let Some(known) = self.runs.lock().get(name) {
            return known.clone();
        }
        let asks = match self.log.inputs().run(name) {
            Ok(asks) => asks,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "a register shows a decision without its asks");
                return Run::default();
            }
        };
        let mut run = Run::default();
        for ask in &asks {
            let grade = ask.facts.evidence.number();
            match ask.facts.subject {
                Subject::Requester => run.requester_evidence = Some(grade),
                Subject::Node(_) => {
                    run.nodes_evidence = Some(run.nodes_evidence.map_or(grade, |least| least.min(grade)));
                    if matches!(ask.action, Action::Store | Action::Repair) {
                        run.store_places.extend(&ask.facts.places);
                    }
                }
                Subject::Gateway(_) | Subject::KeyService => {}
            }
        }
        run.store_places.sort_unstable();
        run.store_places.dedup();
        let mut runs = self.runs.lock();
        if runs.len() >= RUNS_REMEMBERED {
            runs.clear();
        }
        runs.insert(*name, run.clone());
        run
    }
}

impl Sources for LogSources {
    fn opened(&self, commitment: &Commitment) -> Option<(CommitmentDomain, Vec<u8>)> {
        match self.log.side().open_commitment(commitment) {
            Ok(Opening::Value { domain, value, .. }) => Some((domain, value)),
            Ok(Opening::Erased | Opening::Unknown) => None,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "a register cannot open a commitment");
                None
            }
        }
    }

    fn inputs(&self, name: &str) -> Option<Inputs> {
        let (question, runs) = match self.log.inputs().outline(name) {
            Ok(outline) => outline?,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "a register shows a decision without its inputs");
                return None;
            }
        };
        let mut mechanisms: Vec<String> =
            question.approvals.iter().map(|approval| approval.mechanism.to_string()).collect();
        mechanisms.sort_unstable();
        mechanisms.dedup();
        let mut inputs = Inputs { classification: question.classification, mechanisms, ..Inputs::default() };
        for run in runs.iter().map(|name| self.run(name)) {
            inputs.requester_evidence = inputs.requester_evidence.or(run.requester_evidence);
            inputs.nodes_evidence = [inputs.nodes_evidence, run.nodes_evidence].into_iter().flatten().min();
            inputs.store_places.extend(run.store_places);
        }
        inputs.store_places.sort_unstable();
        inputs.store_places.dedup();
        Some(inputs)
    }
}
