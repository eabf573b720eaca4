//! The log as a whole, on real files.

mod bundles;
mod crash;
mod full;
mod histories;
mod intents;
mod logs;
mod tickets;
mod verify;

use std::path::Path;
use std::sync::Arc;

use domicile_types::{
    Budget, Commitment, DataId, Decision, IdentityKey, Intent, Limb, OperationKind, PackId, PackVersion, Place,
    RequestId, RuleRef, UnixMillis, Verdict,
};

use super::*;

const ORIGIN: &str = "domicile.example/gateway/cn";
/// The time that the tests' clock shows.
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn identity() -> IdentityKey {
    IdentityKey::from_seed(&[42; 32])
}

fn key() -> VerifierKey {
    VerifierKey::of_identity(KeyName::parse(ORIGIN).unwrap(), &identity().id()).unwrap()
}

/// Small segments, so that a few hundred entries cross from one to the next.
fn config() -> LogConfig {
    let mut config = LogConfig::new(ORIGIN, &identity(), Arc::new(|| NOW)).unwrap();
    config.limits =
        LogLimits { segment_bytes: 64 << 10, reserve_bytes: 8 << 10, publish_millis_min: 0, ..LogLimits::default() };
    config
}

fn open(dir: &Path) -> (AuditLog, Recovery) {
    AuditLog::open(dir, config()).unwrap()
}

fn request(n: u64) -> RequestId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    RequestId::from_bytes(bytes)
}

fn decision(verdict: Verdict) -> Decision {
    let pack = PackId::parse("cn-data-export").unwrap();
    Decision {
        verdict,
        export: verdict == Verdict::Deny,
        rules: vec![RuleRef {
            pack: pack.clone(),
            rule: "retrieve-at-home".to_owned(),
            cite: "Guidelines for the application for security assessment of data export (2024), I(1)".to_owned(),
            limb: (verdict == Verdict::Deny).then_some(Limb(2)),
        }],
        obligations: Vec::new(),
        approvals: Vec::new(),
        packs: vec![PackVersion { pack, as_of: "2026-11-01".to_owned(), hash: "c0".repeat(32) }],
        inputs: "ab".repeat(32),
        warnings: Vec::new(),
    }
}

fn intent(verdict: Verdict) -> Intent {
    let commitment = |n| Commitment::from_digest([n; 32]);
    Intent {
        operation: OperationKind::GetObject,
        actor: commitment(1),
        address: commitment(2),
        bucket: Some(commitment(3)),
        key: Some(commitment(4)),
        requester_places: vec![Place::parse("CN").unwrap()],
        gateway_place: Place::parse("CN").unwrap(),
        decision: decision(verdict),
        data: Some(DataId::from_bytes([5; 16])),
        range: Some((0, 1000)),
        node_places: vec![Place::parse("CN").unwrap()],
        shards: Vec::new(),
        budget: Budget { node_bytes_max: 4096 },
        expires: NOW.plus_millis(60_000),
        epoch: 0,
        worker: None,
        charge: None,
    }
}

/// Logs `count` intents with their outcomes, and returns when all are durable.
fn fill(log: &AuditLog, count: u64) {
    let finish = |n| {
        let intent = log.intend(request(n), intent(Verdict::Allow)).wait().unwrap();
        intent.finish(domicile_types::OutcomeStatus::Completed, 1000, 206)
    };
    if let Some(last) = (0..count).map(finish).last() {
        last.wait().unwrap();
    }
}

/// Copies a log's directory, as a backup would: a file that a running log takes away in between is not in the copy.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            match std::fs::copy(entry.path(), target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}

#[test]
fn an_intent_is_of_the_size_that_the_benchmark_assumes() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let logged = log.intend(request(1), intent(Verdict::Allow)).wait().unwrap();
    let bytes = logged.committed().leaf().len();
    assert!((700..1200).contains(&bytes), "{bytes} bytes");
}
