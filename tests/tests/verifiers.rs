//! The second verifier: a program in Go on the transparency-log packages of the Go project, which share no code with ours,
//! comes to the same about the same bundles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use domicile_compliance::audit::{
    AuditLog, BundleRequest, Checkpoint, Event, LogConfig, NoteSigner, SeenCheckpoint, verify_bundle, write_bundle,
};
use domicile_types::{FleetChange, IdentityKey, RequestId, UnixMillis};

const ORIGIN: &str = "domicile.example/gateway/cn";
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// Where Debian keeps the sources of Go packages.
const GOPATH: &str = "/usr/share/gocode";

struct Made {
    folder: tempfile::TempDir,
    verifier: PathBuf,
    log: AuditLog,
}

impl Made {
    fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    fn go(&self, older: &[&Path]) -> Result<Output> {
        Ok(Command::new(&self.verifier).arg(self.bundle()).args(older).output()?)
    }

    /// Both verifiers refuse; what the second one said.
    fn both_refuse(&self) -> Result<String> {
        ensure!(verify_bundle(&self.bundle(), None).is_err(), "our own verifier passes it");
        let said = self.go(&[])?;
        ensure!(said.status.code() == Some(1), "the second verifier passes it: {said:?}");
        Ok(String::from_utf8_lossy(&said.stderr).into_owned())
    }
}

fn build(folder: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("verifiers/go/verify.go");
    let program = folder.join("verify");
    let done = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .envs([("GO111MODULE", "off"), ("GOPATH", GOPATH), ("GOFLAGS", "")])
        .env("GOCACHE", folder.join("cache"))
        .output()
        .context("no Go: apt-get install golang-go golang-golang-x-mod-dev")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{said}\n(Debian: apt-get install golang-go golang-golang-x-mod-dev)");
    Ok(program)
}

fn fill(log: &AuditLog, count: u64) -> Result<()> {
    let event = || Event::Fleet {
        what: FleetChange::Online,
        operator: None,
        node: None,
        reasons: vec!["heard".to_owned()],
        record: None,
        by: None,
    };
    let noted: Vec<_> = (0..count).map(|_| log.note(RequestId::from_bytes([7; 16]), event())).collect();
    noted.into_iter().try_for_each(|noted| noted.wait().map(drop))?;
    Ok(())
}

/// A log of some 700 entries, an older checkpoint of it, and a bundle of the entries from 300 on.
fn made() -> Result<(Made, SeenCheckpoint)> {
    let folder = tempfile::tempdir()?;
    let verifier = build(folder.path())?;
    let identity = IdentityKey::from_seed(&[42; 32]);
    let (log, _) = AuditLog::open(&folder.path().join("log"), LogConfig::new(ORIGIN, &identity, Arc::new(|| NOW))?)?;
    fill(&log, 257)?;
    let seen = SeenCheckpoint { by: "node cn-1".to_owned(), checkpoint: (*log.checkpoint()).clone() };
    fill(&log, 450)?;
    let request = BundleRequest {
        entries: 300..log.len(),
        from: None,
        to: None,
        bucket: None,
        open: false,
        made: NOW,
        seen: vec![seen.clone()],
        witnessed: Vec::new(),
        databases: Vec::new(),
        packs: &|_| None,
    };
    let made = Made { verifier, log, folder };
    write_bundle(&made.log, &made.bundle(), &request)?;
    Ok((made, seen))
}

#[test]
fn both_verifiers_pass_a_bundle_and_find_one_changed_byte() -> Result<()> {
    let (made, _) = made()?;
    let report = verify_bundle(&made.bundle(), None)?;
    let said = made.go(&[])?;
    ensure!(said.status.success(), "{said:?}");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let counted =
        format!("{} entries of {} are in the tree, {} proofs", report.entries, report.manifest.size, report.proofs);
    ensure!(said.contains(&counted) && said.contains("1 older"), "{said}\n{counted}");

    // In an entry, in a hash tile, in a proof, in the signature: each is found, and undone.
    let changed =
        ["log/tile/entries/001", "log/tile/0/001", "log/tile/1/000.p/2", "proofs/301.tlog-proof", "log/checkpoint"];
    for name in changed {
        let path = made.bundle().join(name);
        let whole = fs::read(&path).with_context(|| name.to_owned())?;
        let mut altered = whole.clone();
        let middle = altered.len() / 2;
        // In text, another digit of the base64; elsewhere one bit.
        let byte = altered.get_mut(middle).context("an empty file")?;
        *byte = match *byte {
            b'A' => b'B',
            letter if letter.is_ascii_alphanumeric() => b'A',
            other => other ^ 1,
        };
        fs::write(&path, &altered)?;
        made.both_refuse().with_context(|| format!("{name} with one byte changed"))?;
        fs::write(&path, &whole)?;
    }
    ensure!(made.go(&[])?.status.success() && verify_bundle(&made.bundle(), None).is_ok(), "what was undone must pass");
    Ok(())
}

#[test]
fn both_verifiers_find_a_fork_and_a_tail_that_was_cut_off() -> Result<()> {
    let (made, seen) = made()?;
    let identity = IdentityKey::from_seed(&[42; 32]);
    let path = made.bundle().join("log/seen.json");
    let hold = |checkpoint: String| fs::write(&path, serde_json::json!([["a witness", checkpoint]]).to_string());
    // The log's own signature under another history of the same length.
    let origin = seen.checkpoint.checkpoint().origin.clone();
    let signer = NoteSigner::from_identity(origin, &identity);
    let report = verify_bundle(&made.bundle(), None)?;
    let mut other = seen.checkpoint.checkpoint().clone();
    other.root = domicile_compliance::audit::TreeHash::of_leaf(b"another history");
    hold(Checkpoint::sign(other.clone(), &signer).to_string())?;
    let said = made.both_refuse()?;
    ensure!(said.contains("a witness"), "{said}");
    other.size = report.manifest.size + 1;
    hold(Checkpoint::sign(other, &signer).to_string())?;
    let said = made.both_refuse()?;
    ensure!(said.contains("the tail is cut off"), "{said}");
    Ok(())
}

#[test]
fn the_second_verifier_holds_a_bundle_against_an_older_checkpoint() -> Result<()> {
    let (made, seen) = made()?;
    let older = made.folder.path().join("older");
    fs::write(&older, seen.checkpoint.to_string())?;
    let said = made.go(&[&older])?;
    ensure!(said.status.success(), "{said:?}");
    ensure!(String::from_utf8_lossy(&said.stdout).contains("2 older checkpoints"), "{said:?}");
    Ok(())
}
