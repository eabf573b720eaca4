//! `domicile audit bundle | verify BUNDLE | replay | erase`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use domicile_compliance::audit::{BundleReport, Manifest, Replay, VerifierKey, replay_bundle, verify_bundle};
use futures::StreamExt;
use reqwest::Response;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::proof::{EraseRequest, SEALED_AT};
use crate::admin::with_causes;
use crate::log_care::LogState;
use crate::objects::Erasure;

/// What is to be erased.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    value: Value,
    /// Why. It stays in the log for good: it must not name the value.
    #[arg(long)]
    reason: String,
}

/// One value, of one kind.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Value {
    /// Who asked, as `audit show` opens it.
    #[arg(long)]
    actor: Option<String>,
    /// An address that requests came from.
    #[arg(long)]
    address: Option<String>,
    /// An object key, or a prefix that was listed.
    #[arg(long)]
    object_key: Option<String>,
    /// A bucket's name.
    #[arg(long)]
    bucket: Option<String>,
}

/// What came of verifying a bundle.
#[derive(Debug, Serialize, Deserialize)]
struct BundleVerified {
    /// Whether all of it holds.
    holds: bool,
    /// What does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// What does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<Verified>,
}

/// A bundle that holds.
#[derive(Debug, Serialize, Deserialize)]
struct Verified {
    key: String,
    key_sha256: String,
    key_was_given: bool,
    manifest_sha256: String,
    entries: u64,
    decisions: u64,
    inputs: u64,
    packs: u64,
    proofs: u64,
    openings: u64,
    seen: usize,
    witnesses: Vec<String>,
    manifest: Manifest,
}

impl From<BundleReport> for Verified {
    fn from(report: BundleReport) -> Self {
        let BundleReport { key, fingerprint, key_was_given, seal, entries, decisions, .. } = report;
        let BundleReport { inputs, packs, proofs, openings, seen, manifest, witnesses, .. } = report;
        Self {
            key: key.to_string(),
            key_sha256: fingerprint,
            key_was_given,
            manifest_sha256: seal,
            entries,
            decisions,
            inputs,
            packs,
            proofs,
            openings,
            seen,
            witnesses: witnesses.into_iter().map(|(key, time)| format!("{key} at {time}")).collect(),
            manifest,
        }
    }
}

/// A copy on disk: a folder, or a tar that was unpacked for as long as this lives.
pub(super) enum OpenedCopy {
    /// As it was given.
    Folder(PathBuf),
    /// Unpacked.
    Unpacked(tempfile::TempDir),
}

impl OpenedCopy {
    /// A folder as it is; anything else is taken for a tar.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let folder = tempfile::tempdir()?;
        let file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let unpacked = tar::Archive::new(file).unpack(folder.path());
        unpacked.with_context(|| format!("{} is neither a folder nor a tar", path.display()))?;
        Ok(Self::Unpacked(folder))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) => path,
            Self::Unpacked(folder) => folder.path(),
        }
    }

    /// Whether it is an evidence bundle, rather than an export of the log.
    pub(super) fn is_bundle(&self) -> bool {
        self.path().join("manifest.json").is_file()
    }
}

/// Saves what is downloaded.
pub(super) async fn save(response: Response) -> anyhow::Result<tempfile::NamedTempFile> {
    let archive = tempfile::NamedTempFile::new()?;
    let mut file = tokio::fs::File::create(archive.path()).await?;
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        file.write_all(&piece?).await?;
    }
    file.flush().await?;
    Ok(archive)
}

/// Unpacks an archive into a folder.
pub(super) async fn unpack(archive: &Path, to: &Path) -> anyhow::Result<()> {
    let (archive, folder) = (archive.to_owned(), to.to_owned());
    let unpacked =
        tokio::task::spawn_blocking(move || tar::Archive::new(std::fs::File::open(archive)?).unpack(&folder));
    unpacked.await?.with_context(|| format!("the archive cannot be unpacked into {}", to.display()))
}

pub(super) async fn bundle(
    span: &[(&str, Option<String>)],
    open: bool,
    out: &Path,
    args: &AdminArgs,
) -> anyhow::Result<()> {
    let is_tar = out.extension().is_some_and(|extension| extension == "tar");
    if is_tar && out.exists() || std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is there already: choose another", out.display());
    }
    let path = with_span("/v1/audit/bundle", span, &[("open", open.to_string())]);
    let response = Admin::find(args)?.download(&path).await?;
    let sealed_at = response.headers().get(SEALED_AT).and_then(|value| value.to_str().ok()).unwrap_or("?").to_owned();
    let archive = save(response).await?;
    match is_tar {
        true => drop(tokio::fs::copy(archive.path(), out).await?),
        false => unpack(archive.path(), out).await?,
    }
    let unpacked = OpenedCopy::of(if is_tar { archive.path() } else { out })?;
    let seal = Manifest::seal(unpacked.path()).context("what came is no bundle")?;
    if args.json {
        return table::json(&serde_json::json!({ "to": out, "manifest_sha256": seal, "sealed_at": sealed_at }));
    }
    println!("evidence in {}", out.display());
    println!("SHA-256 of its manifest: {seal}, logged as entry {sealed_at}");
    println!("verify it anywhere with: domicile audit verify {}", out.display());
    Ok(())
}

fn with_span(path: &str, span: &[(&str, Option<String>)], more: &[(&str, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    for (name, value) in span {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    for (name, value) in more {
        query.append_pair(name, value);
    }
    query.finish()
}

fn trusted(key: Option<&str>) -> anyhow::Result<Option<VerifierKey>> {
    key.map(|key| VerifierKey::parse(key).context("--key is not a C2SP verifier key (<name>+<8 hex digits>+<base64>)"))
        .transpose()
}

pub(super) async fn verify(bundle: &Path, key: Option<&str>, args: &AdminArgs) -> anyhow::Result<()> {
    let (bundle, key) = (bundle.to_owned(), trusted(key)?);
    let verified = tokio::task::spawn_blocking(move || verify_bundle(&bundle, key.as_ref())).await?;
    let verified = match verified {
        Ok(report) => BundleVerified { holds: true, fault: None, report: Some(report.into()) },
        Err(fault) => BundleVerified { holds: false, fault: Some(with_causes(&fault)), report: None },
    };
    if args.json {
        table::json(&verified)?;
    } else if let Some(report) = &verified.report {
        shown(report);
    }
    match verified.fault {
        None => Ok(()),
        Some(fault) => bail!("the bundle does not hold: {fault}"),
    }
}

fn shown(report: &Verified) {
    let Verified { manifest, .. } = report;
    let (first, end) = manifest.entries;
    println!("the bundle holds: entries {first} to {} of {}", end.saturating_sub(1), manifest.origin);
    println!(
        "  {} entries checked, {} decisions with their {} inputs and {} versions of packs, {} proofs, {} openings",
        report.entries, report.decisions, report.inputs, report.packs, report.proofs, report.openings
    );
    println!("  signed at {} entries; consistent with {} checkpoints that others hold", manifest.size, report.seen);
    report.witnesses.iter().for_each(|witness| println!("  cosigned by WITNESS {witness} (seconds since 1970)"));
    println!("  SHA-256 of the manifest: {}", report.manifest_sha256);
    println!("  LOG KEY {}", report.key);
    println!("  SHA-256 OF THE KEY {}", report.key_sha256);
    if report.key_was_given {
        println!("  the key is the one that you gave");
    } else {
        println!("  THE KEY CAME WITH THE BUNDLE: compare it with what the gateway's operator told you, or give --key");
    }
    for lacking in &manifest.lacking {
        println!("  LACKING: {lacking}: the gateway no longer had it when the bundle was made");
    }
}

pub(super) async fn replay_copy(bundle: &Path, key: Option<&str>, args: &AdminArgs) -> anyhow::Result<()> {
    let (opened, key) = (OpenedCopy::of(bundle)?, trusted(key)?);
    let replayed = tokio::task::spawn_blocking(move || {
        let report = verify_bundle(opened.path(), key.as_ref()).context("the bundle does not hold")?;
        anyhow::Ok(replay_bundle(opened.path(), &report.key, &report.manifest)?)
    });
    concluded(&replayed.await??, args)
}

pub(super) async fn replay_live(from: Option<String>, to: Option<String>, args: &AdminArgs) -> anyhow::Result<()> {
    let path = with_span("/v1/audit/replay", &[("from", from), ("to", to)], &[]);
    let replay: Replay = Admin::find(args)?.post(&path, &()).await?;
    concluded(&replay, args)
}

fn concluded(replay: &Replay, args: &AdminArgs) -> anyhow::Result<()> {
    let (first, end) = replay.entries;
    if args.json {
        table::json(replay)?;
    } else {
        println!(
            "entries {first} to {end}: {} decisions decided again, {} came to the same",
            replay.decisions, replay.same
        );
        for (by, count) in &replay.denied_by {
            println!("  {count} allowed by law, and denied by {by}");
        }
        replay.differences.iter().for_each(|difference| println!("  entry {}: {}", difference.index, difference.what));
    }
    match replay.different {
        0 => Ok(()),
        different => bail!("{different} decisions do not come to what the log says"),
    }
}

pub(super) async fn state(args: &AdminArgs) -> anyhow::Result<()> {
    let state: LogState = Admin::find(args)?.get("/v1/audit/state", &[]).await?;
    if args.json {
        return table::json(&state);
    }
    println!("{} entries, {} of {} bytes", state.entries, state.bytes, state.bytes_max);
    for witness in &state.witnesses {
        let fault = witness.fault.as_ref().map(|fault| format!("; {fault}")).unwrap_or_default();
        println!("  witness {}: cosigned at {} entries{fault}", witness.name, witness.size);
    }
    Ok(())
}

pub(super) async fn erase(erase: EraseArgs, args: &AdminArgs) -> anyhow::Result<()> {
    let Value { actor, address, object_key, bucket } = erase.value;
    let named = [("actor", actor), ("address", address), ("key", object_key), ("bucket", bucket)];
    let given = named.into_iter().find_map(|(domain, value)| value.map(|value| (domain.to_owned(), value)));
    let (domain, value) = given.context("name one value")?;
    let request = EraseRequest { domain, value, reason: erase.reason };
    let erased: Erasure = Admin::find(args)?.post("/v1/audit/erase", &request).await?;
    if args.json {
        return table::json(&erased);
    }
    match erased.commitments {
        0 => println!("nothing in this log opens to that value"),
        count => println!("{count} commitments no longer open; recorded in entries {:?}", erased.log_indices),
    }
    Ok(())
}
