//! Reads what a report is made from. Everything here blocks on the disk.

use std::collections::{BTreeMap, BTreeSet};

use domicile_compliance::audit::{AuditLog, InputsError, Opening, ReadError, SideError};
use domicile_compliance::report::{Flow, Gathered, Gathering, ReportError};
use domicile_types::{Classification, Commitment, Entry, UnixMillis};

/// Why there is no material.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportFault {
    /// Too much for one report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// What commitments hide cannot be read.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The inputs of a decision cannot be read.
    #[error(transparent)]
    Inputs(#[from] InputsError),
}

/// The first entry that was recorded at `from` or later. Entries are in the order of the clock that recorded them; where that clock went
/// back, the entries behind it are older than they look, and none of a later time comes before the answer.
pub(crate) fn first_at(log: &AuditLog, from: UnixMillis) -> Result<u64, ReadError> {
    let (mut low, mut high) = (0, log.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if log.read(middle)?.time < from { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// What the log says of a period, in the buckets of those commitments or in all.
pub(crate) fn gather(
    log: &AuditLog,
    (from, to): (UnixMillis, UnixMillis),
    buckets: Option<BTreeSet<Commitment>>,
) -> Result<Gathered, ReportFault> {
    let mut gathering = Gathering::new(from, to, buckets);
    let mut fault = None;
    log.entries(first_at(log, from)?..log.len(), |stored| {
        let taken = stored
            .record()
            .map_err(ReportFault::from)
            .and_then(|record| gathering.take(stored.index, record).map_err(ReportFault::from));
        fault = taken.err();
        fault.is_none() && !gathering.is_done()
    })?;
    fault.map_or_else(|| Ok(gathering.finish()), Err)
}

/// What the data of exports is, by the hash of the decision's inputs.
pub(crate) fn classes(log: &AuditLog, flows: &[Flow]) -> Result<BTreeMap<String, Classification>, ReportFault> {
    let mut classes = BTreeMap::new();
    for flow in flows {
        if !classes.contains_key(&flow.inputs)
            && let Some(question) = log.inputs().get(&flow.inputs)?
        {
            classes.insert(flow.inputs.clone(), question.classification);
        }
    }
    Ok(classes)
}

/// What commitments of buckets and people hide. What was erased stays closed.
pub(crate) fn names(log: &AuditLog, gathered: &Gathered) -> Result<BTreeMap<Commitment, String>, ReportFault> {
    let mut wanted: BTreeSet<Commitment> = BTreeSet::new();
    for flow in &gathered.flows {
        wanted.extend(flow.bucket.into_iter().chain([flow.actor]));
    }
    for happening in &gathered.happenings {
        match &happening.entry {
            Entry::Approval { by, .. } => wanted.extend(*by),
            Entry::Deleted { bucket, .. } => wanted.extend([*bucket]),
            _ => {}
        }
    }
    let mut names = BTreeMap::new();
    for commitment in wanted {
        if let Opening::Value { value, .. } = log.side().open_commitment(&commitment)? {
            names.insert(commitment, String::from_utf8_lossy(&value).into_owned());
        }
    }
    Ok(names)
}
