//! The audit log on a real disk: how many intents a second become durable, with 64 requests at a time waiting for theirs.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use domicile_compliance::audit::{AuditLog, IntentDraft, LogConfig};
use domicile_compliance::{Circumstances, Grounds, Lawbook, Permit, Question};
use domicile_types::{
    Budget, Classification, Commitment, DataId, EvidenceGrade, IdentityKey, NodeId, OperationKind, OutcomeStatus,
    PackId, Place, RequestId, Subject, SubjectFacts, UnixMillis,
};

use crate::Effort;
use crate::disk;
use crate::process::{Usage, own_cpu_seconds};
use crate::report::{Cell, Table};
use crate::stopwatch::{float, median, now, percentile, today, widen};

const WRITERS: u64 = 64;
const NOTES: [&str; 2] = [
    "Each writer is a task that logs the intent of a GetObject, waits until the disk has it, makes its ticket, records the \
     outcome, and begins again: two entries per operation. The decision is made once, beforehand.",
    "fdatasync: one thread overwriting 4 KiB of an existing file on the same disk and syncing it, again and again, before.",
];

/// Opens a log in `folder` and writes to it from 64 tasks.
pub(crate) fn run(folder: &Path, policies: &Path, effort: Effort) -> Result<Table> {
    disk::empty(folder)?;
    eprintln!("bench: intents, {WRITERS} writers");
    let each = 1000 * u64::from(effort.times);
    let permit = Arc::new(permit(policies)?);
    let syncs_per_second = syncs_per_second(&folder.join("sync-probe"))?;
    let config = LogConfig::new("bench.invalid/log", &identity(), Arc::new(|| UnixMillis::from(today())))?;
    let (log, _) = AuditLog::open(&folder.join("log"), config)?;
    let log = Arc::new(log);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let (start, cpu) = (now(), own_cpu_seconds()?);
    let before = Usage::of(std::process::id())?;
    let mut millis = runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(Arc::clone(&log), Arc::clone(&permit), writer, each)))
            .collect();
        let mut all = Vec::new();
        for writer in writers {
            all.append(&mut writer.await??);
        }
        anyhow::Ok(all)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = own_cpu_seconds()? - cpu;
    let used = Usage::of(std::process::id())?.since(before);
    log.close();
    millis.sort_unstable_by(f64::total_cmp);

    let intents = float(WRITERS * each);
    let mut table = Table::new("intents", "Audit log: intents made durable", &NOTES);
    table.row(vec![
        ("writers", Cell::Number(float(WRITERS), 0)),
        ("intents", Cell::Number(intents, 0)),
        ("intents/s", Cell::Number(intents / seconds, 0)),
        ("p50 ms", Cell::Number(percentile(&millis, 0.50), 2)),
        ("p99 ms", Cell::Number(percentile(&millis, 0.99), 2)),
        ("CPU us/intent", Cell::Number(cpu * 1e6 / intents, 0)),
        ("written bytes/intent", Cell::Number(float(used.written_bytes) / intents, 0)),
        ("fdatasync/s alone", Cell::Number(syncs_per_second, 0)),
        ("intents per fdatasync alone", Cell::Number(intents / seconds / syncs_per_second, 1)),
    ]);
    disk::remove(folder)?;
    Ok(table)
}

/// Milliseconds that each of `intents` intents took to become durable.
async fn write(log: Arc<AuditLog>, permit: Arc<Permit>, writer: u64, intents: u64) -> Result<Vec<f64>> {
    let place = Place::parse("CN")?;
    let mut millis = Vec::with_capacity(usize::try_from(intents).unwrap_or(0));
    for number in 0..intents {
        let start = now();
        let intent = log.intent(&permit, draft(place, writer, number)).await?;
        millis.push(start.elapsed().as_secs_f64() * 1000.0);
        std::hint::black_box(intent.ticket().to_string());
        // On its way to the disk when this returns; the gateway does not wait for outcomes either.
        drop(intent.finish(OutcomeStatus::Completed, 1 << 20, 200));
    }
    Ok(millis)
}

/// What a gateway states of a GetObject.
pub(crate) fn draft(place: Place, writer: u64, number: u64) -> IntentDraft {
    let commitment = |what: u8| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[what]).update(&writer.to_le_bytes()).update(&number.to_le_bytes());
        Commitment::from_digest(*hasher.finalize().as_bytes())
    };
    let mut id = [0; 16];
    id.iter_mut().zip(writer.to_le_bytes().into_iter().chain(number.to_le_bytes())).for_each(|(to, from)| *to = from);
    IntentDraft {
        request: RequestId::from_bytes(id),
        actor: commitment(0),
        address: commitment(1),
        bucket: Some(commitment(2)),
        key: Some(commitment(3)),
        requester_places: vec![place],
        gateway_place: place,
        data: Some(DataId::from_bytes(id)),
        range: Some((0, 1 << 20)),
        shards: Vec::new(),
        budget: Budget { node_bytes_max: 2 << 20 },
        expires: UnixMillis::from(today()).plus_millis(120_000),
        epoch: 0,
        worker: None,
        charge: None,
    }
}

/// The permit of a GetObject within China, decided by the shipped pack.
fn permit(policies: &Path) -> Result<Permit> {
    let failed = || format!("{} cannot be used: run at the workspace's root, or give --policies", policies.display());
    let lawbook = Lawbook::load(policies).with_context(failed)?;
    let question = question(UnixMillis::from(today()))?;
    lawbook.decide(&question).permit.context("the pack cn-data-export does not allow a GetObject within China")
}

/// A GetObject within China.
pub(crate) fn question(now: UnixMillis) -> Result<Question> {
    let facts = |subject| -> Result<SubjectFacts> {
        Ok(SubjectFacts { subject, places: vec![Place::parse("CN")?], evidence: EvidenceGrade::Observed, party: None })
    };
    let nodes: Vec<SubjectFacts> =
        (1..=8).map(|seed| facts(Subject::Node(NodeId::from_public_key([seed; 32])))).collect::<Result<_>>()?;
    Ok(Circumstances {
        packs: &[PackId::parse("cn-data-export")?],
        classification: &Classification::default(),
        gateway: &facts(Subject::Gateway(identity().id()))?,
        requester: Some(&facts(Subject::Requester)?),
        nodes: &nodes,
        now,
        located_warnings: &[],
        grounds: Grounds::NONE,
    }
    .question(OperationKind::GetObject))
}

pub(crate) fn identity() -> IdentityKey {
    IdentityKey::from_seed(&[5; 32])
}

/// What the disk does by itself.
fn syncs_per_second(path: &Path) -> Result<f64> {
    const SYNCS: usize = 200;
    let failed = || format!("{} cannot be written: give --data-dir on a disk", path.display());
    let mut file: File = OpenOptions::new().create(true).write(true).truncate(true).open(path).with_context(failed)?;
    let page = [0x5a; 4096];
    for _ in 0..SYNCS {
        file.write_all(&page).with_context(failed)?;
    }
    file.sync_all().with_context(failed)?;
    let mut seconds = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        file.seek(SeekFrom::Start(widen(number * page.len()))).with_context(failed)?;
        let start = now();
        file.write_all(&page).with_context(failed)?;
        file.sync_data().with_context(failed)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(1.0 / median(seconds))
}
