//! A log and its witness over real sockets: it grows, it is rolled back, it is forked, the witness starts again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use domicile_compliance::audit::{AuditLog, KeyName, LogConfig, LogLimits, VerifierKey, WitnessKey};
use domicile_types::{IdentityKey, RequestId, UnixMillis};

use super::{Failure, ask};
use crate::cli::http_client;
use crate::clock::Clock;
use crate::config::Witness as Configured;
use crate::witness::{Witness, serve};

const ORIGIN: &str = "domicile.example/log/cn";

fn identity() -> IdentityKey {
    IdentityKey::from_seed(&[42; 32])
}

fn open(dir: &Path) -> Arc<AuditLog> {
    let mut config = LogConfig::new(ORIGIN, &identity(), Arc::new(|| UnixMillis(1_790_000_000_000))).unwrap();
    config.limits =
        LogLimits { segment_bytes: 64 << 10, reserve_bytes: 8 << 10, publish_millis_min: 0, ..LogLimits::default() };
    Arc::new(AuditLog::open(dir, config).unwrap().0)
}

fn grow(log: &AuditLog, what: &str, count: u32) {
    let waiting: Vec<_> = (0..count).map(|_| log.incident(RequestId::from_bytes([1; 16]), what, None, None)).collect();
    waiting.into_iter().for_each(|entry| drop(entry.wait().unwrap()));
}

/// What of a log a thief of its disk would copy.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A witness with its state in a folder; where it listens.
fn start(state: &Path) -> (ServerHandle, SocketAddr, WitnessKey) {
    let log = VerifierKey::of_identity(KeyName::parse(ORIGIN).unwrap(), &identity().id()).unwrap();
    let witness = Witness::open(state, "officer.example/witness", vec![log], Clock).unwrap();
    let key = witness.key().clone();
    let (server, address) = serve(witness, "127.0.0.1:0".parse().unwrap()).unwrap();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (handle, address, key)
}

fn configured(address: SocketAddr, key: &WitnessKey) -> Configured {
    Configured { url: format!("http://{address}/").parse().unwrap(), key: key.clone() }
}

#[actix_web::test]
async fn a_log_that_grows_is_cosigned_also_by_a_witness_that_started_again() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, http) = (open(dir.path()), http_client().unwrap());
    let (handle, address, key) = start(state.path());
    let (note, size) = ask(&log, &http, &configured(address, &key), 0).await.unwrap();
    assert_eq!((size, note.signatures().len()), (1, 2));
    grow(&log, "grown", 300);
    assert_eq!(ask(&log, &http, &configured(address, &key), size).await.unwrap().1, 301);
    handle.stop(true).await;
    let (handle, address, again) = start(state.path());
    assert_eq!(again, key);
    grow(&log, "grown", 3);
    // The gateway started again, too, and knows of nothing: the witness says where it is.
    let (note, size) = ask(&log, &http, &configured(address, &key), 0).await.unwrap();
    assert_eq!(size, 304);
    assert!(key.verify(&note).is_ok());
    // The same size once more is cosigned at a later time.
    assert_eq!(ask(&log, &http, &configured(address, &key), 304).await.unwrap().1, 304);
    let held = http.get(format!("http://{address}/checkpoint?origin={ORIGIN}")).send().await.unwrap().text();
    assert!(held.await.unwrap().starts_with(&format!("{ORIGIN}\n304\n")));
    handle.stop(true).await;
}

#[actix_web::test]
async fn a_log_that_was_rolled_back_or_forked_is_a_conflict_and_the_proof_is_kept() {
    let (dir, early, state) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let http = http_client().unwrap();
    let (handle, address, key) = start(state.path());
    let witness = configured(address, &key);
    let log = open(dir.path());
    grow(&log, "early", 20);
    log.publish().unwrap();
    log.close();
    drop(log);
    copy(dir.path(), early.path());
    let log = open(dir.path());
    grow(&log, "true history", 100);
    let size = ask(&log, &http, &witness, 0).await.unwrap().1;
    // The disk of some time ago.
    let rolled = open(early.path());
    let conflict = ask(&rolled, &http, &witness, 0).await;
    assert!(matches!(&conflict, Err(Failure::Conflict(why)) if why.contains("rolled back")), "{conflict:?}");
    // It grows to exactly what the witness has seen, and tells another story.
    let lacking = u32::try_from(size - rolled.len()).unwrap();
    grow(&rolled, "another history", lacking);
    let conflict = ask(&rolled, &http, &witness, 0).await;
    assert!(matches!(&conflict, Err(Failure::Conflict(why)) if why.contains("forked")), "{conflict:?}");
    let proofs = std::fs::read_dir(state.path()).unwrap().map(|entry| entry.unwrap().path());
    let proof = proofs.filter(|path| path.extension().is_some_and(|ending| ending == "fork")).last().unwrap();
    let proof = std::fs::read_to_string(proof).unwrap();
    assert_eq!(proof.matches(&format!("{ORIGIN}\n{size}\n")).count(), 2);
    // It grows beyond: the proof leads nowhere.
    grow(&rolled, "another history", 5);
    let conflict = ask(&rolled, &http, &witness, 0).await;
    assert!(
        matches!(&conflict, Err(Failure::Conflict(why)) if why.contains("not how this log begins")),
        "{conflict:?}"
    );
    // The true log goes on.
    grow(&log, "true history", 5);
    assert_eq!(ask(&log, &http, &witness, size).await.unwrap().1, size + 5);
    handle.stop(true).await;
}

#[actix_web::test]
async fn a_stranger_in_a_witnesss_place_and_silence_are_no_cosignature_and_no_conflict() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, http) = (open(dir.path()), http_client().unwrap());
    let (handle, address, _) = start(state.path());
    let other = tempfile::tempdir().unwrap();
    let theirs = Witness::open(other.path(), "officer.example/witness", Vec::new(), Clock).unwrap().key().clone();
    let stranger = ask(&log, &http, &configured(address, &theirs), 0).await;
    assert!(matches!(&stranger, Err(Failure::Silent(why)) if why.contains("not to be believed")), "{stranger:?}");
    // A log that the witness does not watch.
    let unwatched = IdentityKey::from_seed(&[43; 32]);
    let elsewhere = tempfile::tempdir().unwrap();
    let config = LogConfig::new("domicile.example/log/eu", &unwatched, Arc::new(|| UnixMillis(1))).unwrap();
    let unwatched = Arc::new(AuditLog::open(elsewhere.path(), config).unwrap().0);
    let unknown = ask(&unwatched, &http, &configured(address, &theirs), 0).await;
    assert!(matches!(&unknown, Err(Failure::Silent(why)) if why.contains("404")), "{unknown:?}");
    handle.stop(true).await;
    let gone = ask(&log, &http, &configured(address, &theirs), 0).await;
    assert!(matches!(gone, Err(Failure::Silent(_))), "{gone:?}");
}
