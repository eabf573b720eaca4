//! The chain as other crates meet it: decision, permit, logged intent, ticket, node's check, verification, replay.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, where the lint looks only at test functions")]

use std::path::Path;
use std::sync::Arc;

use domicile_compliance::audit::{
    AuditLog, CheckpointMemory, CommitmentDomain, IntentDraft, LogConfig, Observation, Opening, SeenCheckpoint, Ticket,
    TicketRules, TicketVerifier, VerifierKey, export, verify_export, verify_log,
};
use domicile_compliance::{Circumstances, Grounds, Lawbook, Question};
use domicile_types::{
    Budget, Classification, DataId, Entry, EvidenceGrade, IdentityKey, OperationKind, OutcomeStatus, PackId, Place,
    RequestId, Salt, Subject, SubjectFacts, UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_795_305_600_000);

fn gateway() -> IdentityKey {
    IdentityKey::from_seed(&[200; 32])
}

fn open(dir: &Path) -> AuditLog {
    AuditLog::open(dir, LogConfig::new("domicile.example/cn", &gateway(), Arc::new(|| NOW)).unwrap()).unwrap().0
}

fn key() -> VerifierKey {
    VerifierKey::of_identity("domicile.example/cn".parse().unwrap(), &gateway().id()).unwrap()
}

fn question(requester: &str) -> Question {
    let facts = |subject, place| SubjectFacts {
        subject,
        places: vec![Place::parse(place).unwrap()],
        evidence: EvidenceGrade::Observed,
        party: None,
    };
    Circumstances {
        packs: &[PackId::parse("cn-data-export").unwrap()],
        classification: &Classification::default(),
        gateway: &facts(Subject::Gateway(gateway().id()), "CN"),
        requester: Some(&facts(Subject::Requester, requester)),
        nodes: &[facts(Subject::Node(IdentityKey::from_seed(&[1; 32]).id()), "CN")],
        now: NOW,
        located_warnings: &[],
        grounds: Grounds::NONE,
    }
    .question(OperationKind::GetObject)
}

fn draft(log: &AuditLog, place: &str) -> IntentDraft {
    let commit = |domain, value: &[u8]| log.side().commit(domain, value, || Salt([9; 32])).unwrap();
    IntentDraft {
        request: RequestId::from_bytes([7; 16]),
        actor: commit(CommitmentDomain::Actor, b"tenant-a/key-1"),
        address: commit(CommitmentDomain::Address, b"127.10.0.9:40000"),
        bucket: Some(commit(CommitmentDomain::Bucket, b"training")),
        key: Some(commit(CommitmentDomain::Key, b"images/000000.tar")),
        requester_places: vec![Place::parse(place).unwrap()],
        gateway_place: Place::parse("CN").unwrap(),
        data: Some(DataId::from_bytes([3; 16])),
        range: Some((0, 1 << 20)),
        shards: Vec::new(),
        budget: Budget { node_bytes_max: 4 << 20 },
        expires: NOW.plus_millis(60_000),
        epoch: 0,
        worker: None,
        charge: None,
    }
}

#[test]
fn a_permitted_read_is_logged_ticketed_witnessed_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let lawbook = Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap();
    let log = open(dir.path());
    let asked = question("CN");
    log.inputs().put(&asked).unwrap();
    let ruling = lawbook.decide(&asked);
    let permit = ruling.permit.unwrap();

    let logged = log.intent(&permit, draft(&log, "CN")).wait().unwrap();
    let ticket = Ticket::parse(&logged.ticket().to_string()).unwrap();
    let verifier = TicketVerifier::new(key(), gateway().id(), TicketRules::starting_at(NOW));
    let verified = verifier.verify(&ticket, NOW).unwrap();
    assert_eq!(verified.intent().node_places, permit.node_places());
    assert_eq!(verified.intent().decision, ruling.decision);
    let mut memory = CheckpointMemory::default();
    assert_eq!(memory.observe(&verified.checkpoint), Observation::Larger);

    let index = logged.index();
    logged.finish(OutcomeStatus::Completed, 1 << 20, 206).wait().unwrap();
    log.publish().unwrap();
    let seen = [SeenCheckpoint { by: "node".to_owned(), checkpoint: (**memory.largest().unwrap()).clone() }];
    assert_eq!(verify_log(dir.path(), &key(), &seen).unwrap().entries, 3);
    let copy = tempfile::tempdir().unwrap();
    export(&log, copy.path(), None).unwrap();
    assert_eq!(verify_export(copy.path(), &key(), &seen).unwrap().seen, 1);

    // What was decided can be shown and decided again, and who asked can be opened.
    let Entry::Intent(intent) = log.read(index).unwrap().entry else { panic!("not an intent") };
    let replayed = log.inputs().get(&intent.decision.inputs).unwrap().unwrap();
    assert_eq!(lawbook.decide(&replayed).decision, intent.decision);
    let Opening::Value { value, .. } = log.side().open_commitment(&intent.actor).unwrap() else { panic!("closed") };
    assert_eq!(value, b"tenant-a/key-1");
}

#[test]
fn a_denied_read_is_logged_as_an_attempt_to_export_and_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lawbook = Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap();
    let log = open(dir.path());
    let ruling = lawbook.decide(&question("DE"));
    assert!(ruling.permit.is_none());
    let committed = log.denied(OperationKind::GetObject, &ruling.decision, draft(&log, "DE")).wait().unwrap();
    let Entry::Denied(attempt) = log.read(committed.index).unwrap().entry else { panic!("not an attempt") };
    assert!(attempt.decision.export);
    let verifier = TicketVerifier::new(key(), gateway().id(), TicketRules::starting_at(NOW));
    assert!(verifier.verify(&committed.ticket(), NOW).is_err());
}

#[test]
fn no_file_of_the_log_holds_a_name_outside_the_erasable_store() {
    let dir = tempfile::tempdir().unwrap();
    let lawbook = Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap();
    let log = open(dir.path());
    let permit = lawbook.decide(&question("CN")).permit.unwrap();
    drop(log.intent(&permit, draft(&log, "CN")).wait().unwrap().finish(OutcomeStatus::Completed, 1, 200));
    log.publish().unwrap();
    let mut held = Vec::new();
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).unwrap().windows(13).any(|window| window == b"images/000000") {
                held.push(path);
            }
        }
    }
    assert_eq!(held, [dir.path().join("side/values")]);
}
