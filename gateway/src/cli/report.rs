//! `domicile report`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use data_encoding::{BASE64, HEXLOWER};
use domicile_compliance::audit::{LogProof, TreeHash, VerifierKey};
use domicile_compliance::report::ReportKind;
use domicile_types::{Entry, Record};
use sha2::{Digest, Sha256};
use time::format_description::well_known::{Iso8601, Rfc3339};

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::reports::{HASH_HEADER, INDEX_HEADER, ReportLanguage, ReportRequest, SealView};
use crate::reports::ReportFormat;

/// What is appended to a file's name for the seal that lies beside it.
const SEAL_SUFFIX: &str = ".tlog-proof";

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Every export and every attempt at one.
    ExportRegister(MakeArgs),
    /// Facts for a self-assessment before a CAC security assessment.
    CacSelfAssessment(MakeArgs),
    /// Facts for extending an assessment by three years: both counters, year by year.
    CacExtension(MakeArgs),
    /// Facts for a PIPL impact assessment.
    PiplImpactAssessment(MakeArgs),
    /// The record of processing activities of GDPR Art. 30.
    GdprRecord(MakeArgs),
    /// Facts for a transfer impact assessment.
    TransferImpact(MakeArgs),
    /// The annual records of 28 CFR 202.
    DojAnnual(MakeArgs),
    /// What happened, in order.
    IncidentTimeline(MakeArgs),
    /// What was deleted, and what is left of it.
    DeletionCertificate(MakeArgs),
    /// Holds a file against the log's entry that seals it. With the seal beside the file (or --proof) and --key, no gateway is asked.
    Verify {
        /// The report.
        file: PathBuf,
        /// The seal; else FILE.tlog-proof, where it is there.
        #[arg(long)]
        proof: Option<PathBuf>,
        /// The log's public key (log.vkey), or a file that holds it; else the gateway is asked.
        #[arg(long)]
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct MakeArgs {
    /// The first moment of the period: 2026-11-01 (UTC), or RFC 3339.
    #[arg(long)]
    from: String,
    /// The first moment after it; now, if it is left out.
    #[arg(long)]
    to: Option<String>,
    /// The language of labels and texts.
    #[arg(long, value_enum, default_value_t = ReportLanguage::En)]
    lang: ReportLanguage,
    /// The form of the file.
    #[arg(long, value_enum, default_value_t = ReportFormat::Pdf)]
    format: ReportFormat,
    /// Where the file goes. Its seal goes beside it, as FILE.tlog-proof.
    #[arg(long)]
    out: PathBuf,
    /// Only exports of this bucket.
    #[arg(long)]
    bucket: Option<String>,
    /// `s3://BUCKET/KEY`: shows where its shards lie; for a deletion certificate, what was deleted.
    #[arg(long)]
    object: Option<String>,
    /// Names buckets and people. That they were named is logged.
    #[arg(long)]
    open: bool,
}

pub(super) async fn run(command: ReportCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let (kind, make_args) = match command {
        ReportCommand::ExportRegister(make) => (ReportKind::ExportRegister, make),
        ReportCommand::CacSelfAssessment(make) => (ReportKind::CacSelfAssessment, make),
        ReportCommand::CacExtension(make) => (ReportKind::CacExtension, make),
        ReportCommand::PiplImpactAssessment(make) => (ReportKind::PiplImpactAssessment, make),
        ReportCommand::GdprRecord(make) => (ReportKind::GdprRecord, make),
        ReportCommand::TransferImpact(make) => (ReportKind::TransferImpact, make),
        ReportCommand::DojAnnual(make) => (ReportKind::DojAnnual, make),
        ReportCommand::IncidentTimeline(make) => (ReportKind::IncidentTimeline, make),
        ReportCommand::DeletionCertificate(make) => (ReportKind::DeletionCertificate, make),
        ReportCommand::Verify { file, proof, key } => return verify(&file, proof, key, args).await,
    };
    make(kind, make_args, args).await
}

async fn make(kind: ReportKind, wanted: MakeArgs, args: &AdminArgs) -> anyhow::Result<()> {
    let request = ReportRequest {
        from: moment(&wanted.from)?,
        to: wanted.to.as_deref().map(moment).transpose()?,
        language: wanted.lang,
        format: wanted.format,
        bucket: wanted.bucket,
        object: wanted.object,
        open: wanted.open,
    };
    let admin = Admin::find(args)?;
    let response = admin.fetch(&format!("/v1/reports/{kind}"), &request).await?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (index, hash) = (header(INDEX_HEADER), header(HASH_HEADER));
    let index: u64 = index.and_then(|index| index.parse().ok()).context("the answer names no entry of the log")?;
    let hash = hash.context("the answer names no hash")?;
    let file = response.bytes().await?;
    ensure!(hash_of(&file) == hash, "the file is not what the gateway says that it sent: ask again");
    let seal: SealView = admin.get(&format!("/v1/reports/seals/{hash}"), &[("index", index.to_string())]).await?;
    std::fs::write(&wanted.out, &file).with_context(|| format!("{} cannot be written", wanted.out.display()))?;
    let beside = beside(&wanted.out);
    std::fs::write(&beside, with_leaf(&seal)).with_context(|| format!("{} cannot be written", beside.display()))?;
    if args.json {
        let made = serde_json::json!({ "out": wanted.out, "seal": beside, "bytes": file.len(), "sha256": hash, "index": index });
        return table::json(&made);
    }
    println!("{}: {} bytes, SHA-256 {hash}", wanted.out.display(), file.len());
    println!("sealed by log entry {index}; verify it with: domicile report verify {}", wanted.out.display());
    Ok(())
}

async fn verify(file: &Path, proof: Option<PathBuf>, key: Option<String>, args: &AdminArgs) -> anyhow::Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let hash = hash_of(&bytes);
    let path = proof.or_else(|| Some(beside(file)).filter(|path| path.is_file()));
    let seal = match &path {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?,
        None => {
            let found: SealView = Admin::find(args)?.get(&format!("/v1/reports/seals/{hash}"), &[]).await?;
            with_leaf(&found)
        }
    };
    let key = match key {
        Some(key) if Path::new(&key).is_file() => std::fs::read_to_string(key)?.trim_end().to_owned(),
        Some(key) => key,
        None => Admin::find(args)?.get::<SealView>(&format!("/v1/reports/seals/{hash}"), &[]).await?.key,
    };
    let key = VerifierKey::parse(&key).context("the log's public key is not a C2SP verifier key")?;
    let record = sealed(&seal, &hash, &key)?;
    let Entry::Report { report, format, period, .. } = &record.entry else { bail!("the entry is not a report's") };
    let index = LogProof::parse(&seal)?.index;
    if args.json {
        let view = serde_json::json!({ "holds": true, "sha256": hash, "index": index, "report": report, "sealed": record.time });
        return table::json(&view);
    }
    println!("the file is as it was sealed: {report} ({format}), {} to {}", period.0, period.1);
    println!("SHA-256 {hash}, entry {index} of {}, recorded {}", key.name(), record.time);
    Ok(())
}

/// The record in a seal, if it seals that hash and is in the log of that key.
fn sealed(seal: &str, hash: &str, key: &VerifierKey) -> anyhow::Result<Record> {
    let proof = LogProof::parse(seal).context("the seal is not a tlog-proof")?;
    let leaf = seal
        .lines()
        .find_map(|line| line.strip_prefix("extra "))
        .context("the seal lacks its entry (the extra line)")?;
    let leaf = BASE64.decode(leaf.as_bytes()).context("the seal's entry is not base64")?;
    let record: Record = serde_json::from_slice(&leaf).context("the seal's entry is not a record of this version")?;
    let Entry::Report { hash: sealed, .. } = &record.entry else { bail!("the seal's entry is not a report's") };
    ensure!(
        sealed == hash,
        "the file was changed, or the seal is another's: its SHA-256 is {hash}, the log has {sealed}"
    );
    proof.verify(&TreeHash::of_leaf(&leaf), key).context("the seal does not hold")?;
    Ok(record)
}

/// A tlog-proof with its entry in the `extra` line, which C2SP leaves to whom it concerns.
fn with_leaf(seal: &SealView) -> String {
    seal.proof.replacen('\n', &format!("\nextra {}\n", BASE64.encode(seal.leaf.as_bytes())), 1)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(SEAL_SUFFIX);
    PathBuf::from(name)
}

fn hash_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// `2026-11-01` as its first moment in UTC, or a moment in RFC 3339.
fn moment(text: &str) -> anyhow::Result<u64> {
    // The day's form would take a moment, too, and drop its time.
    let day = time::Date::parse(text, &Iso8601::DATE).ok().filter(|_| !text.contains('T'));
    let at = day.map(|day| day.midnight().assume_utc()).or_else(|| time::OffsetDateTime::parse(text, &Rfc3339).ok());
    let at =
        at.with_context(|| format!("{text:?} is neither a day (2026-11-01) nor a moment (2026-11-01T08:00:00Z)"))?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).with_context(|| format!("{text} is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_read_and_nothing_else() {
        assert_eq!(moment("1970-01-02").unwrap(), 86_400_000);
        assert_eq!(moment("1970-01-01T01:00:00+01:00").unwrap(), 0);
        assert_eq!(moment("1970-01-02T00:00:01.5Z").unwrap(), 86_401_500);
        for bad in ["yesterday", "2026-13-01", "1969-12-31", ""] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
