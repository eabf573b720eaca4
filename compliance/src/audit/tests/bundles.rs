//! Evidence bundles and replays: whole ones pass, every kind of tampering is named, and what was decided is decided alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use domicile_types::{Classification, EvidenceGrade, OutcomeStatus, PackId, Salt, Subject, SubjectFacts, Verdict};

use super::*;
use crate::decide::{Circumstances, Grounds, Question};
use crate::pack::{Lawbook, PackFiles};

const PACK: &str = "cn-data-export";

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

fn lawbook() -> Lawbook {
    let id = PackId::parse(PACK).unwrap();
    Lawbook::of(vec![crate::Pack::parse(id, &files()).unwrap()])
}

fn files() -> PackFiles {
    PackFiles::read(&policies().join(PACK)).unwrap()
}

fn facts(subject: Subject, place: &str) -> SubjectFacts {
    let places = vec![Place::parse(place).unwrap()];
    SubjectFacts { subject, places, evidence: EvidenceGrade::Audited, party: None }
}

/// A GetObject by somebody in `place`.
fn question(place: &str, now: u64) -> Question {
    let gateway = facts(Subject::Gateway(identity().id()), "CN");
    let node = facts(Subject::Node(IdentityKey::from_seed(&[7; 32]).id()), "CN");
    Circumstances {
        packs: &[PackId::parse(PACK).unwrap()],
        classification: &Classification::default(),
        gateway: &gateway,
        requester: Some(&facts(Subject::Requester, place)),
        nodes: &[node],
        now: NOW.plus_millis(now),
        located_warnings: &[],
        grounds: Grounds::NONE,
    }
    .question(OperationKind::GetObject)
}

fn draft(log: &AuditLog, n: u64, bucket: &str) -> IntentDraft {
    let commit = |domain, value: &str| {
        log.side().commit(domain, value.as_bytes(), || Salt(*TreeHash::of_leaf(value.as_bytes()).digest())).unwrap()
    };
    IntentDraft {
        request: request(n),
        actor: commit(CommitmentDomain::Actor, "tenant-a/alice"),
        address: commit(CommitmentDomain::Address, "192.0.2.9"),
        bucket: Some(commit(CommitmentDomain::Bucket, bucket)),
        key: Some(commit(CommitmentDomain::Key, &format!("scan-{n}.dcm"))),
        requester_places: vec![Place::parse("CN").unwrap()],
        gateway_place: Place::parse("CN").unwrap(),
        data: None,
        range: None,
        shards: Vec::new(),
        budget: Budget { node_bytes_max: 4096 },
        expires: NOW.plus_millis(60_000),
        epoch: 0,
        worker: None,
        charge: None,
    }
}

/// Logs `count` reads; every third is from Germany and denied, every second is of the bucket `other`.
fn read(log: &AuditLog, lawbook: &Lawbook, count: u64) {
    for n in 0..count {
        let question = question(if n % 3 == 2 { "DE" } else { "CN" }, n);
        log.inputs().put(&question).unwrap();
        let ruling = lawbook.decide(&question);
        let draft = draft(log, n, if n % 2 == 0 { "scans" } else { "other" });
        match ruling.permit {
            Some(permit) => {
                let intent = log.intent(&permit, draft).wait().unwrap();
                intent.finish(OutcomeStatus::Completed, 1000, 200).wait().unwrap();
            }
            None => drop(log.denied(OperationKind::GetObject, &ruling.decision, draft).wait().unwrap()),
        }
    }
}

struct Made {
    _dir: tempfile::TempDir,
    copy: tempfile::TempDir,
    log: AuditLog,
}

impl Made {
    fn bundle(&self) -> PathBuf {
        self.copy.path().join("bundle")
    }

    /// The bundle's manifest made to fit what is there now: a fault must be found all the same.
    fn relist(&self) {
        let path = self.bundle().join("manifest.json");
        let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let found = super::super::bundle::files_for_tests(&self.bundle());
        manifest.files = found;
        fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    }

    fn fault(&self) -> BundleFault {
        verify_bundle(&self.bundle(), Some(&key())).unwrap_err()
    }
}

fn wanted<'a>(entries: std::ops::Range<u64>, packs: &'a dyn Fn(&str) -> Option<PackFiles>) -> BundleRequest<'a> {
    BundleRequest {
        entries,
        from: None,
        to: None,
        bucket: None,
        open: false,
        made: NOW,
        seen: Vec::new(),
        witnessed: Vec::new(),
        databases: Vec::new(),
        packs,
    }
}

fn kept(hash: &str) -> Option<PackFiles> {
    Some(files()).filter(|files| files.hash() == hash)
}

/// A log of 300 reads and a bundle of the entries 256 and on.
fn made(change: impl FnOnce(&AuditLog, &mut BundleRequest<'_>)) -> Made {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path());
    read(&log, &lawbook(), 200);
    let mut request = wanted(256..log.len(), &kept);
    change(&log, &mut request);
    write_bundle(&log, &copy.path().join("bundle"), &request).unwrap();
    Made { _dir: dir, copy, log }
}

#[test]
fn a_bundle_holds_on_its_own_and_leaves_out_what_it_is_not_about() {
    let made = made(|_, _| ());
    let report = verify_bundle(&made.bundle(), Some(&key())).unwrap();
    assert_eq!(report.manifest.entries, (256, made.log.len()));
    assert_eq!(report.entries, made.log.len() - 256);
    assert_eq!(report.proofs, report.entries);
    assert!(report.decisions > 20 && report.inputs == report.decisions, "{report:?}");
    assert_eq!((report.packs, report.openings, report.key_was_given), (1, 0, true));
    assert!(!made.bundle().join("log/tile/entries/000").exists());
    // Redacted: nothing of what commitments hide is in any file.
    let mut files = vec![made.bundle()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for secret in ["alice", "192.0.2.9", "\"scans\"", "scan-"] {
                assert!(!text.contains(secret), "{} holds {secret}", path.display());
            }
        }
    }
}

#[test]
fn a_bundle_about_a_bucket_holds_only_its_inputs_and_openings_only_where_asked_for() {
    let made = made(|log, request| {
        let bucket = log.side().find(CommitmentDomain::Bucket, b"scans").unwrap();
        request.entries = entries_between(log, None, None, Some(&bucket)).unwrap();
        request.bucket = Some(bucket);
        request.open = true;
    });
    let report = verify_bundle(&made.bundle(), None).unwrap();
    assert_eq!(report.decisions, 100);
    let openings = fs::read_to_string(made.bundle().join("openings.jsonl")).unwrap();
    assert!(openings.contains("\"scans\"") && openings.contains("tenant-a/alice") && !openings.contains("\"other\""));
    // A word changed in an opening.
    fs::write(made.bundle().join("openings.jsonl"), openings.replace("alice", "carol")).unwrap();
    assert!(matches!(verify_bundle(&made.bundle(), None), Err(BundleFault::Opening { .. })));
}

#[test]
fn a_time_selects_its_entries_and_one_without_entries_gives_no_bundle() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path());
    assert_eq!(entries_between(&log, Some(NOW), Some(NOW.plus_millis(1)), None).unwrap(), 0..log.len());
    assert!(entries_between(&log, Some(NOW.plus_millis(1)), None, None).unwrap().is_empty());
    let nothing = write_bundle(&log, copy.path(), &wanted(0..0, &kept));
    assert!(matches!(nothing, Err(BundleError::Nothing)));
}

#[test]
fn a_missing_tile_is_named() {
    let made = made(|_, _| ());
    let tiles: Vec<_> = fs::read_dir(made.bundle().join("log/tile/0")).unwrap().collect();
    assert!(!tiles.is_empty());
    fs::remove_file(made.bundle().join("log/tile/0/000")).unwrap();
    made.relist();
    let fault = made.fault();
    assert!(
        matches!(&fault, BundleFault::Log(LogFault::MissingTile { path }) if path.ends_with("tile/0/000")),
        "{fault}"
    );
}

#[test]
fn a_swapped_checkpoint_is_named() {
    let made = made(|_, _| ());
    read(&made.log, &lawbook(), 3);
    let newer = made.log.publish().unwrap().to_string();
    fs::write(made.bundle().join("log/checkpoint"), newer).unwrap();
    made.relist();
    assert!(matches!(made.fault(), BundleFault::SwappedCheckpoint { .. }));
    // The same size, another root, the log's own signature.
    let origin = KeyName::parse(ORIGIN).unwrap();
    let report: Manifest = serde_json::from_slice(&fs::read(made.bundle().join("manifest.json")).unwrap()).unwrap();
    let forged = Checkpoint { origin: origin.clone(), size: report.size, root: TreeHash::of_nothing() }
        .sign(&NoteSigner::from_identity(origin, &identity()));
    fs::write(made.bundle().join("log/checkpoint"), forged.to_string()).unwrap();
    made.relist();
    let fault = made.fault();
    assert!(matches!(fault, BundleFault::Log(LogFault::RootMismatch { .. })), "{fault}");
}

#[test]
fn entries_of_another_log_are_named() {
    let made = made(|_, _| ());
    let other = IdentityKey::from_seed(&[43; 32]);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = LogConfig::new(ORIGIN, &other, Arc::new(|| NOW)).unwrap();
    settings.limits = config().limits;
    let (log, _) = AuditLog::open(dir.path(), settings).unwrap();
    read(&log, &lawbook(), 200);
    let theirs = made.copy.path().join("theirs");
    export(&log, &theirs, Some(256..log.len())).unwrap();
    // Only its entries.
    let bundle = "tile/entries/001";
    let name = fs::read_dir(theirs.join("tile/entries")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let (from, to) = match name.is_dir() {
        false => (theirs.join(bundle), made.bundle().join("log").join(bundle)),
        true => {
            let partial = fs::read_dir(&name).unwrap().next().unwrap().unwrap().path();
            (partial.clone(), made.bundle().join("log").join(partial.strip_prefix(&theirs).unwrap()))
        }
    };
    fs::copy(from, to).unwrap();
    made.relist();
    let fault = made.fault();
    assert!(matches!(fault, BundleFault::Log(LogFault::AlteredEntry { index: 256, .. })), "{fault}");
    // All of it, with its key.
    fs::copy(theirs.join("log.vkey"), made.bundle().join("log/log.vkey")).unwrap();
    made.relist();
    assert!(matches!(made.fault(), BundleFault::OtherLog { .. }));
}

#[test]
fn altered_and_missing_inputs_are_named() {
    let made = made(|_, _| ());
    let path = made.bundle().join("inputs.jsonl");
    let inputs = fs::read_to_string(&path).unwrap();
    fs::write(&path, inputs.replacen("GetObject", "HeadObject", 1).replacen("get-object", "head-object", 1)).unwrap();
    made.relist();
    assert!(matches!(made.fault(), BundleFault::AlteredInputs { line: 1, .. }));
    // The line under the name that fits what it says now.
    let (_, rest) = inputs.split_once('\n').unwrap();
    fs::write(&path, rest).unwrap();
    made.relist();
    assert!(matches!(made.fault(), BundleFault::MissingInputs { .. }));
}

#[test]
fn altered_and_missing_packs_are_named() {
    let made = made(|_, _| ());
    let pack = made.bundle().join("packs").join(files().hash());
    let rules = fs::read_to_string(pack.join("rules.cedar")).unwrap();
    fs::write(pack.join("rules.cedar"), format!("{rules}\n// a word more\n")).unwrap();
    made.relist();
    assert!(matches!(made.fault(), BundleFault::AlteredPack { .. }));
    fs::remove_dir_all(&pack).unwrap();
    made.relist();
    assert!(matches!(made.fault(), BundleFault::MissingPack { .. }));
}

#[test]
fn a_manifest_that_does_not_match_is_named() {
    let made = made(|_, _| ());
    let readme = made.bundle().join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    fs::write(&readme, text.replace("Evidence", "evidence")).unwrap();
    assert!(matches!(made.fault(), BundleFault::Altered { path, .. } if path == "README.md"));
    fs::write(&readme, text).unwrap();
    verify_bundle(&made.bundle(), None).unwrap();
    fs::write(made.bundle().join("extra"), "").unwrap();
    assert!(matches!(made.fault(), BundleFault::Unlisted { path } if path == "extra"));
    fs::remove_file(made.bundle().join("extra")).unwrap();
    fs::remove_file(made.bundle().join("databases.json")).unwrap();
    assert!(matches!(made.fault(), BundleFault::MissingFile { .. }));
    std::os::unix::fs::symlink("/dev/zero", made.bundle().join("databases.json")).unwrap();
    assert!(matches!(made.fault(), BundleFault::Io { .. }));
}

#[test]
fn what_the_gateway_lost_is_declared_and_everything_else_still_verifies() {
    let made = made(|_, request| request.packs = &|_| None);
    let report = verify_bundle(&made.bundle(), None).unwrap();
    assert_eq!(report.manifest.lacking, [format!("pack {}", files().hash())]);
    let replay = replay_bundle(&made.bundle(), &key(), &report.manifest).unwrap();
    assert_eq!(replay.different, replay.decisions);
    assert!(replay.differences[0].what.contains("is not kept"));
}

#[test]
fn a_replay_comes_to_the_same_live_and_from_a_bundle() {
    let made = made(|_, _| ());
    let live = replay_log(&made.log, 0..made.log.len(), &kept).unwrap();
    assert_eq!((live.decisions, live.same, live.different), (200, 200, 0));
    let report = verify_bundle(&made.bundle(), None).unwrap();
    let replay = replay_bundle(&made.bundle(), &report.key, &report.manifest).unwrap();
    assert_eq!((replay.decisions, replay.same), (report.decisions, report.decisions));
    assert!(replay.different == 0 && replay.denied_by.is_empty());
}

#[test]
fn a_decision_that_the_law_does_not_come_to_is_told_and_one_by_a_role_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let lawbook = lawbook();
    let (home, abroad) = (question("CN", 1), question("DE", 1));
    log.inputs().put(&home).unwrap();
    log.inputs().put(&abroad).unwrap();
    let allowed = lawbook.decide(&home).decision;
    let denied = lawbook.decide(&abroad).decision;
    // The law allows, and the role does not: its rule is of no pack.
    let rule = RuleRef {
        pack: PackId::parse("role").unwrap(),
        rule: "readers-in-gd".to_owned(),
        cite: "the role's places: CN-GD".to_owned(),
        limb: None,
    };
    let by_role = domicile_types::Decision {
        verdict: Verdict::Deny,
        rules: vec![rule.clone()],
        obligations: Vec::new(),
        ..allowed.clone()
    };
    log.denied(OperationKind::GetObject, &by_role, draft(&log, 1, "scans")).wait().unwrap();
    // The law denies, and the log says that a role did: not what the law came to.
    let hidden = domicile_types::Decision { rules: vec![rule], ..denied.clone() };
    let hidden = log.denied(OperationKind::GetObject, &hidden, draft(&log, 2, "scans")).wait().unwrap().index;
    // Another rule than the one that denied.
    let mut other = denied;
    other.rules[0].rule = "some-other-rule".to_owned();
    let other = log.denied(OperationKind::GetObject, &other, draft(&log, 3, "scans")).wait().unwrap().index;
    let lost = domicile_types::Decision { inputs: "ab".repeat(32), ..by_role };
    let lost = log.denied(OperationKind::GetObject, &lost, draft(&log, 4, "scans")).wait().unwrap().index;
    let replay = replay_log(&log, 0..log.len(), &kept).unwrap();
    assert_eq!(replay.denied_by, BTreeMap::from([("role".to_owned(), 1)]));
    assert_eq!((replay.decisions, replay.same, replay.different), (4, 0, 3));
    assert_eq!(replay.differences.iter().map(|difference| difference.index).collect::<Vec<_>>(), [hidden, other, lost]);
    assert!(replay.differences[1].what.contains("some-other-rule"));
    assert!(replay.differences[2].what.contains("are not kept"));
}

#[test]
fn an_erased_actor_opens_no_more_and_log_bundle_and_replay_hold_all_the_same() {
    let made = made(|_, _| ());
    let found = made.log.side().find(CommitmentDomain::Actor, b"tenant-a/alice").unwrap();
    assert_eq!(found.len(), 1);
    for commitment in found {
        made.log.erase(request(9), commitment, "Art. 17").unwrap();
    }
    assert_eq!(made.log.side().find(CommitmentDomain::Actor, b"tenant-a/alice").unwrap(), []);
    made.log.publish().unwrap();
    verify_log(made.log.dir(), &key(), &[]).unwrap();
    let values = fs::read(made.log.dir().join("side/values")).unwrap();
    assert!(!String::from_utf8_lossy(&values).contains("alice"));
    let mut request = wanted(0..made.log.len(), &kept);
    request.open = true;
    let opened = made.copy.path().join("opened");
    write_bundle(&made.log, &opened, &request).unwrap();
    verify_bundle(&opened, Some(&key())).unwrap();
    let openings = fs::read_to_string(opened.join("openings.jsonl")).unwrap();
    assert!(!openings.contains("alice") && openings.contains("192.0.2.9"));
    assert_eq!(replay_log(&made.log, 0..made.log.len(), &kept).unwrap().different, 0);
}
