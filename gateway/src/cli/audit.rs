//! `domicile audit list | show | verify | export | reconcile`; what concerns evidence is in `proof`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use domicile_compliance::audit::{KEY_FILE, SeenCheckpoint, SignedCheckpoint, VerifierKey, verify_export};
use domicile_types::Entry;

use super::client::Admin;
use super::{AdminArgs, SEEN_FILE, proof, table};
use crate::admin::views::{EntryDetail, EntryPage, EntryView, Verified};
use crate::admin::with_causes;
use crate::reconcile::Reconciled;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Lists entries, oldest first.
    List {
        /// Begin at this index.
        #[arg(long)]
        from: Option<u64>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Only: intent, denied, outcome, erased, started, incident.
        #[arg(long)]
        kind: Option<String>,
        /// Only this operation, such as get-object.
        #[arg(long)]
        operation: Option<String>,
        /// Only export events, attempts included.
        #[arg(long)]
        exports: bool,
        /// Only about this bucket.
        #[arg(long)]
        bucket: Option<String>,
        /// Only of this request, as its answer's x-amz-request-id names it.
        #[arg(long)]
        request: Option<String>,
    },
    /// Shows one entry with what its commitments open to, the inputs of its decision, and its proof.
    Show {
        /// Its index.
        index: u64,
    },
    /// Holds the log against the tickets that nodes kept: what they acted on must be in it, and what it says that moved, some
    /// node must know of. Fails where that is not so.
    Reconcile {
        /// Begin at this index; by default, where the gateway has not looked yet.
        #[arg(long)]
        from: Option<u64>,
    },
    /// Verifies the gateway's live log against what the nodes have seen; or, given a folder or a tar, an evidence bundle or an
    /// exported copy from its files alone.
    Verify {
        /// An evidence bundle (a folder or a tar), or an exported copy.
        dir: Option<PathBuf>,
        /// The log's public key; else the copy's own `log.vkey`, which only an officer who trusts the copy's origin may use.
        #[arg(long)]
        key: Option<String>,
        /// Checkpoints that nodes have seen; else the copy's own `seen.json`.
        #[arg(long)]
        seen: Option<PathBuf>,
    },
    /// Makes evidence of a time: entries, proofs, checkpoints, the rules and inputs of decisions, for an auditor elsewhere.
    Bundle {
        /// From when on: 2026-11-01, or 2026-11-01T08:00:00Z.
        #[arg(long)]
        from: Option<String>,
        /// Until when; that moment is not included.
        #[arg(long)]
        to: Option<String>,
        /// Only about this bucket.
        #[arg(long)]
        bucket: Option<String>,
        /// With the names and addresses that commitments hide: personal data. For officers; it is logged.
        #[arg(long)]
        open: bool,
        /// A folder that is empty or does not exist, or a file that ends in .tar.
        #[arg(long)]
        out: PathBuf,
    },
    /// Decides every past decision again, from its recorded inputs by the packs of its time: of the gateway's log, or of a
    /// bundle. Fails where one comes to something else.
    Replay {
        /// An evidence bundle (a folder or a tar); none: the gateway's log.
        bundle: Option<PathBuf>,
        /// The log's public key, for a bundle.
        #[arg(long, requires = "bundle")]
        key: Option<String>,
        /// From when on.
        #[arg(long, conflicts_with = "bundle")]
        from: Option<String>,
        /// Until when; that moment is not included.
        #[arg(long, conflicts_with = "bundle")]
        to: Option<String>,
    },
    /// How the log stands: its room, and who cosigns it.
    State,
    /// Erases a value from what the log's commitments hide: no entry opens to it any more, and the log still verifies.
    Erase(proof::EraseArgs),
    /// Copies the log into a folder: C2SP tiles that any tlog tool reads, the public key, and what the nodes have seen.
    Export {
        /// A folder that is empty or does not exist.
        to: PathBuf,
    },
}

pub(super) async fn run(command: AuditCommand, args: &AdminArgs) -> anyhow::Result<()> {
    match command {
        AuditCommand::List { from, limit, kind, operation, exports, bucket, request } => {
            let mut query = vec![("limit", limit.to_string()), ("exports", exports.to_string())];
            query.extend(from.map(|from| ("from", from.to_string())));
            query.extend(kind.map(|kind| ("kind", kind)));
            query.extend(operation.map(|operation| ("operation", operation)));
            query.extend(bucket.map(|bucket| ("bucket", bucket)));
            query.extend(request.map(|request| ("request", request)));
            list(&query, args).await
        }
        AuditCommand::Show { index } => show(index, args).await,
        AuditCommand::Reconcile { from } => reconcile(from, args).await,
        AuditCommand::Verify { dir: None, .. } => verify_live(args).await,
        AuditCommand::Verify { dir: Some(dir), key, seen } => {
            let opened = proof::OpenedCopy::of(&dir)?;
            match opened.is_bundle() {
                true => proof::verify(opened.path(), key.as_deref(), args).await,
                false => verify_copy(opened.path(), key, seen, args).await,
            }
        }
        AuditCommand::Bundle { from, to, bucket, open, out } => {
            proof::bundle(&[("from", from), ("to", to), ("bucket", bucket)], open, &out, args).await
        }
        AuditCommand::Replay { bundle: Some(bundle), key, .. } => {
            proof::replay_copy(&bundle, key.as_deref(), args).await
        }
        AuditCommand::Replay { bundle: None, from, to, .. } => proof::replay_live(from, to, args).await,
        AuditCommand::State => proof::state(args).await,
        AuditCommand::Erase(erase) => proof::erase(erase, args).await,
        AuditCommand::Export { to } => export(&to, args).await,
    }
}

async fn reconcile(from: Option<u64>, args: &AdminArgs) -> anyhow::Result<()> {
    let query = from.map(|from| format!("?from={from}")).unwrap_or_default();
    let round: Reconciled = Admin::find(args)?.post(&format!("/v1/audit/reconcile{query}"), &()).await?;
    if args.json {
        table::json(&round)?;
    } else {
        println!("entries {} to {}, {} tickets of {} nodes", round.from, round.to, round.tickets, round.nodes);
        round.silent.iter().for_each(|node| println!("  {node} does not answer: looked at when it does"));
        for fault in &round.faults {
            let node = fault.node.map(|node| format!(" at {node}")).unwrap_or_default();
            println!("  {} {}{node}", fault.what, fault.index);
        }
    }
    if !round.faults.is_empty() {
        bail!("the log and its witnesses do not agree; each disagreement is an incident in the log");
    }
    Ok(())
}

async fn list(query: &[(&str, String)], args: &AdminArgs) -> anyhow::Result<()> {
    let page: EntryPage = Admin::find(args)?.get("/v1/audit/entries", query).await?;
    if args.json {
        return table::json(&page);
    }
    let rows: Vec<Vec<String>> = page.entries.iter().map(row).collect();
    table::print(&["INDEX", "TIME", "KIND", "OPERATION", "FROM", "EXPORT", "RULES OR OUTCOME"], &rows);
    match page.next {
        Some(next) => println!("{} entries in all; more with --from {next}", page.size),
        None => println!("{} entries in all", page.size),
    }
    Ok(())
}

fn row(view: &EntryView) -> Vec<String> {
    let mut row = vec![view.index.to_string(), view.record.time.to_string(), view.record.entry.kind().to_owned()];
    match &view.record.entry {
        Entry::Intent(intent) | Entry::Denied(intent) => {
            let places: Vec<String> = intent.requester_places.iter().map(ToString::to_string).collect();
            let rules: Vec<String> =
                intent.decision.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
            let export = if intent.decision.export { "yes" } else { "" };
            row.extend([kebab(&intent.operation), places.join(" "), export.to_owned(), rules.join(" ")]);
        }
        Entry::Outcome(outcome) => row.extend([
            format!("of {}", outcome.intent),
            String::new(),
            String::new(),
            format!("{:?}, {} bytes", outcome.status, outcome.bytes),
        ]),
        Entry::Started { closed_intents, .. } => {
            row.extend([String::new(), String::new(), String::new(), format!("{closed_intents} intents closed")]);
        }
        Entry::Incident { what, .. } => row.extend([String::new(), String::new(), String::new(), what.clone()]),
        Entry::Fleet { what, node, operator, .. } => row.extend([
            kebab(what),
            String::new(),
            String::new(),
            node.map(|node| node.to_string()).or(operator.as_ref().map(ToString::to_string)).unwrap_or_default(),
        ]),
        Entry::Judging { packs, databases, .. } => row.extend([
            String::new(),
            String::new(),
            String::new(),
            format!("{} packs, {} location databases", packs.len(), databases.len()),
        ]),
        Entry::Deleted { receipts, residue, .. } => row.extend([
            String::new(),
            String::new(),
            String::new(),
            format!("{receipts} shards deleted, {residue} left behind"),
        ]),
        Entry::Erased { reason, .. } => row.extend([String::new(), String::new(), String::new(), reason.clone()]),
        Entry::Approval { what, approval, .. } => {
            row.extend([kebab(what), String::new(), String::new(), approval.to_string()]);
        }
        Entry::Proposal { what, pack, .. } => {
            row.extend([kebab(what), String::new(), String::new(), format!("{} as of {}", pack.pack, pack.as_of)]);
        }
        Entry::Report { report, format, .. } => {
            row.extend([report.clone(), String::new(), String::new(), format.clone()]);
        }
        Entry::Viewed { what, rows, .. } => {
            row.extend([what.clone(), String::new(), String::new(), format!("{rows} rows")]);
        }
        Entry::Key { what, key, .. } => row.extend([kebab(what), String::new(), String::new(), key.clone()]),
        Entry::Correction { of, reason, .. } => {
            row.extend([format!("of {of}"), String::new(), String::new(), reason.clone()]);
        }
    }
    row
}

/// A value's name as the log has it.
fn kebab(name: &impl serde::Serialize) -> String {
    serde_json::to_value(name).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

async fn show(index: u64, args: &AdminArgs) -> anyhow::Result<()> {
    let detail: EntryDetail = Admin::find(args)?.get(&format!("/v1/audit/entries/{index}"), &[]).await?;
    if args.json {
        return table::json(&detail);
    }
    println!("{}", serde_json::to_string_pretty(&detail.entry)?);
    for (field, value) in &detail.opened {
        println!("{field}: {value}");
    }
    println!("\n{}", detail.proof);
    Ok(())
}

async fn verify_live(args: &AdminArgs) -> anyhow::Result<()> {
    let verified: Verified = Admin::find(args)?.post("/v1/audit/verify", &()).await?;
    conclude(&verified, args)
}

async fn verify_copy(dir: &Path, key: Option<String>, seen: Option<PathBuf>, args: &AdminArgs) -> anyhow::Result<()> {
    let key = match key {
        Some(key) => key,
        None => read(&dir.join(KEY_FILE))?.trim_end().to_owned(),
    };
    let key = VerifierKey::parse(&key).context("the log's public key is not a C2SP verifier key")?;
    let seen = read_seen(&seen.unwrap_or_else(|| dir.join(SEEN_FILE)))?;
    let count = seen.len();
    let dir = dir.to_owned();
    let result = tokio::task::spawn_blocking(move || verify_export(&dir, &key, &seen)).await?;
    let verified = match result {
        Ok(report) => Verified { holds: true, entries: report.entries, seen: count, fault: None },
        Err(fault) => Verified { holds: false, entries: 0, seen: count, fault: Some(with_causes(&fault)) },
    };
    conclude(&verified, args)
}

fn read_seen(path: &Path) -> anyhow::Result<Vec<SeenCheckpoint>> {
    let seen: Vec<(String, String)> = serde_json::from_str(&read(path)?)
        .with_context(|| format!("{} does not hold checkpoints that nodes have seen", path.display()))?;
    seen.into_iter().map(|(by, note)| Ok(SeenCheckpoint { checkpoint: SignedCheckpoint::parse(&note)?, by })).collect()
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn conclude(verified: &Verified, args: &AdminArgs) -> anyhow::Result<()> {
    if args.json {
        table::json(verified)?;
    } else if verified.holds {
        println!(
            "the log holds: {} entries, consistent with the checkpoints of {} nodes",
            verified.entries, verified.seen
        );
    }
    match &verified.fault {
        None => Ok(()),
        Some(fault) => bail!("the log does not hold: {fault}"),
    }
}

async fn export(to: &Path, args: &AdminArgs) -> anyhow::Result<()> {
    if std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: choose another folder", to.display());
    }
    let response = Admin::find(args)?.download("/v1/audit/export").await?;
    let archive = proof::save(response).await?;
    proof::unpack(archive.path(), to).await?;
    if args.json {
        return table::json(&serde_json::json!({ "to": to }));
    }
    println!("exported to {}; verify it with: domicile audit verify {}", to.display(), to.display());
    Ok(())
}
