//! An evidence bundle: how long making it takes, and how many entries a second one core verifies and decides again.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use domicile_compliance::audit::{AuditLog, BundleRequest, LogConfig, replay_bundle, verify_bundle, write_bundle};
use domicile_compliance::pack::PackFiles;
use domicile_compliance::{Lawbook, Permit};
use domicile_types::{OutcomeStatus, UnixMillis};

use crate::disk;
use crate::intents::{draft, identity, question};
use crate::process::own_cpu_seconds;
use crate::report::{Cell, Table};
use crate::stopwatch::{float, now, today};

const NOTES: [&str; 2] = [
    "Entries are intents of a GetObject and their outcomes; every hundredth intent has a question of its own. Verifying checks \
     the form and the hash of each entry, the tree, its signature, every input, every pack, and the SHA-256 of every file.",
    "Per core: entries by seconds of processor, all threads together; the file cache is warm.",
];
/// Intents that are on their way at once: fewer than the log lets wait.
const AT_ONCE: u64 = 4_000;

/// Fills a log in `folder` with `entries`, and makes and verifies a bundle of it.
pub(crate) fn run(folder: &Path, policies: &Path, entries: u64) -> Result<Table> {
    disk::empty(folder)?;
    eprintln!("bench: a bundle of {entries} entries");
    let config = LogConfig::new("bench.invalid/log", &identity(), Arc::new(|| UnixMillis::from(today())))?;
    let (log, _) = AuditLog::open(&folder.join("log"), config)?;
    fill(&log, policies, entries / 2)?;
    let pack = PackFiles::read(&policies.join("cn-data-export"))?;
    let bundle = folder.join("bundle");
    let request = BundleRequest {
        entries: 0..log.len(),
        from: None,
        to: None,
        bucket: None,
        open: false,
        made: UnixMillis::from(today()),
        seen: Vec::new(),
        witnessed: Vec::new(),
        databases: Vec::new(),
        packs: &|hash| Some(pack.clone()).filter(|pack| pack.hash() == hash),
    };
    let start = now();
    write_bundle(&log, &bundle, &request)?;
    let making = start.elapsed().as_secs_f64();
    let (start, cpu) = (now(), own_cpu_seconds()?);
    let report = verify_bundle(&bundle, Some(log.verifier()))?;
    let (verifying, verifying_cpu) = (start.elapsed().as_secs_f64(), own_cpu_seconds()? - cpu);
    let cpu = own_cpu_seconds()?;
    let replay = replay_bundle(&bundle, &report.key, &report.manifest)?;
    let replaying_cpu = own_cpu_seconds()? - cpu;
    ensure!(replay.different == 0, "decisions came to something else: {:?}", replay.differences.first());
    let count = float(report.entries);
    let mut table = Table::new("bundle", "Evidence bundle", &NOTES);
    table.row(vec![
        ("entries", Cell::Number(count, 0)),
        ("made in s", Cell::Number(making, 1)),
        ("verified in s", Cell::Number(verifying, 1)),
        ("entries verified/s per core", Cell::Number(count / verifying_cpu, 0)),
        ("decisions", Cell::Number(float(replay.decisions), 0)),
        ("decisions decided again/s per core", Cell::Number(float(replay.decisions) / replaying_cpu, 0)),
    ]);
    log.close();
    disk::remove(folder)?;
    Ok(table)
}

fn fill(log: &AuditLog, policies: &Path, intents: u64) -> Result<()> {
    let lawbook = Lawbook::load(policies)?;
    let begun = UnixMillis::from(today());
    let place = domicile_types::Place::parse("CN")?;
    let mut permit: Option<Permit> = None;
    let mut number = 0;
    while number < intents {
        let end = (number + AT_ONCE).min(intents);
        let mut waiting = Vec::new();
        for number in number..end {
            if number % 100 == 0 {
                let question = question(begun.plus_millis(number))?;
                log.inputs().put(&question)?;
                let allowed = lawbook.decide(&question).permit;
                permit = Some(allowed.context("the pack cn-data-export does not allow a GetObject within China")?);
            }
            let permit = permit.as_ref().context("no permit")?;
            waiting.push(log.intent(permit, draft(place, 0, number)));
        }
        for intending in waiting {
            drop(intending.wait()?.finish(OutcomeStatus::Completed, 1 << 20, 200));
        }
        number = end;
    }
    Ok(())
}
