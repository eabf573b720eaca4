//! How many intents a second the audit log makes durable, with a real permit and the real disk.
//!
//! ```text
//! cargo run --release --ignore-rust-version -p domicile-compliance --example audit_intents -- \
//!     [--writers 64] [--seconds 5] [--policies policies] [--dir DIR] [--intents-only | --whole] [--json]
//! ```
//!
//! Every writer waits for its intent to be durable and proved before it makes the next, and finishes it without waiting
//! for the outcome, as a gateway does: two entries per intent. `--intents-only` leaves the outcomes out; `--whole` adds what a
//! PUT of a new object adds: a decision, its inputs kept, and a commitment to a new key.

#![allow(clippy::disallowed_methods, reason = "a benchmark is a shell: it may read the clock")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domicile_compliance::audit::{AuditLog, CommitmentDomain, IntentDraft, LogConfig};
use domicile_compliance::{Circumstances, Grounds, Lawbook, Permit};
use domicile_types::{
    Budget, Classification, DataId, EvidenceGrade, IdentityKey, NodeId, OperationKind, OutcomeStatus, PackId, Place,
    RequestId, Salt, Subject, SubjectFacts, UnixMillis,
};

struct Options {
    writers: usize,
    seconds: u64,
    policies: PathBuf,
    dir: PathBuf,
    outcomes: bool,
    whole: bool,
    json: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let gateway = IdentityKey::from_seed(&[1; 32]);
    let law = Law::load(&options.policies, gateway.id())?;
    let permit = law.permit(None)?;
    let dir = options.dir.join("audit-bench");
    drop(std::fs::remove_dir_all(&dir));
    let config = LogConfig::new("domicile.example/bench", &gateway, Arc::new(now))?;
    let (log, _) = AuditLog::open(&dir, config)?;
    let draft = draft(&log, &permit)?;

    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let cpu_before = cpu_seconds();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..options.writers).map(|_| scope.spawn(|| write(&log, &law, &permit, &draft, &stop, &options))).collect();
        std::thread::sleep(Duration::from_secs(options.seconds));
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().unwrap_or_default()).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;
    latencies.sort_unstable();
    let count = latencies.len();
    let entry_bytes = log.intent(&permit, draft.clone()).wait()?.committed().leaf().len();
    let at = |share: usize| latencies.get(count * share / 1000).copied().unwrap_or_default().as_secs_f64() * 1000.0;
    let per_second = f64::from(u32::try_from(count)?) / seconds;
    let peak = peak_kib();
    if options.json {
        println!(
            "{{\"writers\":{},\"intents_per_second\":{per_second:.0},\"p50_ms\":{:.3},\"p99_ms\":{:.3},\
             \"cpu_seconds\":{cpu:.2},\"seconds\":{seconds:.2},\"entry_bytes\":{entry_bytes},\"peak_kib\":{peak}}}",
            options.writers,
            at(500),
            at(990)
        );
    } else {
        println!(
            "{} writers: {per_second:.0} intents/s of {entry_bytes} bytes, p50 {:.2} ms, p99 {:.2} ms, {cpu:.1} CPU-s in \
             {seconds:.1} s, peak {} MiB",
            options.writers,
            at(500),
            at(990),
            peak / 1024
        );
    }
    drop(log);
    if options.outcomes {
        let reopening = Instant::now();
        let config = LogConfig::new("domicile.example/bench", &gateway, Arc::new(now))?;
        let (log, recovery) = AuditLog::open(&dir, config)?;
        eprintln!("replayed {} entries in {:.1} s", recovery.entries, reopening.elapsed().as_secs_f64());
        drop(log);
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// What decides, and on what.
struct Law {
    lawbook: Lawbook,
    gateway: SubjectFacts,
    requester: SubjectFacts,
    nodes: Vec<SubjectFacts>,
}

impl Law {
    fn load(policies: &Path, gateway: NodeId) -> Result<Self, Box<dyn Error>> {
        let home = Place::parse("CN")?;
        let facts =
            |subject| SubjectFacts { subject, places: vec![home], evidence: EvidenceGrade::Observed, party: None };
        let node = |n| facts(Subject::Node(IdentityKey::from_seed(&[n; 32]).id()));
        Ok(Self {
            lawbook: Lawbook::load(policies)?,
            gateway: facts(Subject::Gateway(gateway)),
            requester: facts(Subject::Requester),
            nodes: (10..18).map(node).collect(),
        })
    }

    /// A new decision; its inputs are kept where a log is given.
    fn permit(&self, log: Option<&AuditLog>) -> Result<Permit, Box<dyn Error>> {
        let question = Circumstances {
            packs: &[PackId::parse("cn-data-export")?],
            classification: &Classification::default(),
            gateway: &self.gateway,
            requester: Some(&self.requester),
            nodes: &self.nodes,
            now: now(),
            located_warnings: &[],
            grounds: Grounds::NONE,
        }
        .question(OperationKind::GetObject);
        if let Some(log) = log {
            log.inputs().put(&question)?;
        }
        self.lawbook.decide(&question).permit.ok_or_else(|| "the packs deny the benchmark's question".into())
    }
}

/// One writer: an intent after the other until told to stop.
fn write(
    log: &AuditLog,
    law: &Law,
    permit: &Permit,
    draft: &IntentDraft,
    stop: &AtomicBool,
    how: &Options,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let mut draft = draft.clone();
        let fresh = if how.whole { law.permit(Some(log)).ok() } else { None };
        if how.whole {
            let name = format!("images/{:?}/{}.tar", std::thread::current().id(), latencies.len());
            draft.key = log.side().commit(CommitmentDomain::Key, name.as_bytes(), || Salt([9; 32])).ok();
        }
        let Ok(logged) = log.intent(fresh.as_ref().unwrap_or(permit), draft).wait() else { break };
        latencies.push(begun.elapsed());
        if how.outcomes {
            drop(logged.finish(OutcomeStatus::Completed, 1 << 20, 206));
        } else {
            std::mem::forget(logged);
        }
    }
    latencies
}

fn draft(log: &AuditLog, permit: &Permit) -> Result<IntentDraft, Box<dyn Error>> {
    let commit = |domain, value: &str| log.side().commit(domain, value.as_bytes(), || Salt([9; 32]));
    Ok(IntentDraft {
        request: RequestId::from_bytes([7; 16]),
        actor: commit(CommitmentDomain::Actor, "tenant-a/key-1")?,
        address: commit(CommitmentDomain::Address, "127.10.0.9:40000")?,
        bucket: Some(commit(CommitmentDomain::Bucket, "training")?),
        key: Some(commit(CommitmentDomain::Key, "images/000000.tar")?),
        requester_places: vec![Place::parse("CN")?],
        gateway_place: Place::parse("CN")?,
        data: Some(DataId::from_bytes([3; 16])),
        range: Some((0, 1 << 20)),
        shards: Vec::new(),
        budget: Budget { node_bytes_max: 4 << 20 },
        expires: permit.decided_at().plus_millis(3_600_000),
        epoch: 0,
        worker: None,
        charge: None,
    })
}

fn now() -> UnixMillis {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    UnixMillis(u64::try_from(millis).unwrap_or(0))
}

/// User and system CPU of this process, from `/proc/self/stat` (fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).map(f64::from).sum::<f64>() / 100.0
}

/// Peak resident memory, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        writers: 64,
        seconds: 5,
        policies: Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies"),
        dir: std::env::temp_dir(),
        outcomes: true,
        whole: false,
        json: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--writers" => options.writers = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--policies" => options.policies = value()?.into(),
            "--dir" => options.dir = value()?.into(),
            "--intents-only" => options.outcomes = false,
            "--whole" => options.whole = true,
            "--json" => options.json = true,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(options)
}
