//! `domicile fleet evidence`

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use domicile_types::{NodeId, Place, UnixMillis};
use sha2::Digest;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::StandingView;
use crate::clock::Clock;
use crate::fleet::standing::{Dispute, Document, DocumentKind, Settlement};
use crate::objects::{NewDispute, NewDocument, NewVerdict};

#[derive(Debug, Subcommand)]
pub(super) enum EvidenceCommand {
    /// Shows how a node stands, why, and what speaks for and against its place.
    Show {
        /// Which node.
        node: NodeId,
    },
    /// Puts a document about a node's place on file. The document stays with you: its hash is kept.
    File {
        /// Which node.
        node: NodeId,
        #[command(flatten)]
        document: DocumentArgs,
    },
    /// Takes a document off file.
    Withdraw {
        /// Which node.
        node: NodeId,
        /// The document's id.
        id: String,
    },
    /// Contests how a node stands, for its operator.
    Dispute {
        /// Which node.
        node: NodeId,
        /// What is wrong.
        #[arg(long)]
        statement: String,
        /// What shows it: a file, of which the hash is kept.
        #[arg(long)]
        document: Option<PathBuf>,
    },
    /// Upholds a dispute: releases the node, and sets aside what contradicted its place while the document holds.
    Uphold {
        /// Which node.
        node: NodeId,
        /// The dispute's id.
        id: String,
        /// Why.
        #[arg(long)]
        answer: String,
        #[command(flatten)]
        document: DocumentArgs,
    },
    /// Dismisses a dispute: what contradicted stands.
    Dismiss {
        /// Which node.
        node: NodeId,
        /// The dispute's id.
        id: String,
        /// Why.
        #[arg(long)]
        answer: String,
    },
    /// Fences a node: it gets nothing new, and is emptied.
    Fence {
        /// Which node.
        node: NodeId,
    },
    /// Releases a node whose place is contradicted no more.
    Release {
        /// Which node.
        node: NodeId,
    },
}

/// A document, as it is put on file.
#[derive(Debug, Args)]
pub(super) struct DocumentArgs {
    /// What it is.
    #[arg(long, value_enum)]
    kind: Kind,
    /// The place that it gives.
    #[arg(long)]
    place: Place,
    /// The document: its SHA-256 is kept.
    #[arg(long)]
    document: PathBuf,
    /// Who vouches for it.
    #[arg(long)]
    vouched_by: String,
    /// For how many days it counts.
    #[arg(long, default_value_t = 365)]
    days: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Somebody vouches for the host: grade 3.
    HostAttestation,
    /// A report of a visit to the site: with a contract, grade 4.
    SiteAudit,
    /// A contract that binds the operator to the place: with a site audit, grade 4.
    Contract,
}

impl DocumentArgs {
    fn read(self) -> anyhow::Result<NewDocument> {
        Ok(NewDocument {
            kind: match self.kind {
                Kind::HostAttestation => DocumentKind::HostAttestation,
                Kind::SiteAudit => DocumentKind::SiteAudit,
                Kind::Contract => DocumentKind::Contract,
            },
            place: self.place,
            sha256: sha256(&self.document)?,
            vouched_by: self.vouched_by,
            expires: Clock.now().plus_millis(self.days.saturating_mul(86_400_000)),
        })
    }
}

fn sha256(path: &PathBuf) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes)))
}

pub(super) async fn run(command: EvidenceCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    let nothing = serde_json::json!({});
    match command {
        EvidenceCommand::Show { node } => {
            let standing: StandingView = admin.get(&format!("/v1/fleet/nodes/{node}/standing"), &[]).await?;
            if args.json {
                return table::json(&standing);
            }
            show(&standing);
        }
        EvidenceCommand::File { node, document } => {
            let filed: Document = admin.post(&format!("/v1/fleet/nodes/{node}/documents"), &document.read()?).await?;
            if args.json {
                return table::json(&filed);
            }
            println!("{}", filed.id);
        }
        EvidenceCommand::Withdraw { node, id } => {
            admin.remove(&format!("/v1/fleet/nodes/{node}/documents/{id}")).await?;
        }
        EvidenceCommand::Dispute { node, statement, document } => {
            let body = NewDispute { statement, sha256: document.as_ref().map(sha256).transpose()? };
            let opened: Dispute = admin.post(&format!("/v1/fleet/nodes/{node}/disputes"), &body).await?;
            if args.json {
                return table::json(&opened);
            }
            println!("{}", opened.id);
        }
        EvidenceCommand::Uphold { node, id, answer, document } => {
            let body = NewVerdict { upheld: true, answer, document: Some(document.read()?) };
            admin.change(&format!("/v1/fleet/nodes/{node}/disputes/{id}/settle"), &body).await?;
        }
        EvidenceCommand::Dismiss { node, id, answer } => {
            let body = NewVerdict { upheld: false, answer, document: None };
            admin.change(&format!("/v1/fleet/nodes/{node}/disputes/{id}/settle"), &body).await?;
        }
        EvidenceCommand::Fence { node } => {
            admin.change(&format!("/v1/fleet/nodes/{node}/fence"), &nothing).await?;
        }
        EvidenceCommand::Release { node } => {
            admin.change(&format!("/v1/fleet/nodes/{node}/release"), &nothing).await?;
        }
    }
    Ok(())
}

fn show(standing: &StandingView) {
    let StandingView { notice, since, documents, disputes, .. } = standing;
    println!("{} since {since}", notice.state);
    println!("declared place {}, evidence of grade {}", notice.place, notice.evidence.number());
    if !notice.evidence_lines.iter().any(|line| line.contradicts) {
        println!("no contradicting evidence");
    }
    let share = notice.score_basis_points;
    println!("answered {}.{:02}% of what it was asked lately", share / 100, share % 100);
    let rows: Vec<_> = notice
        .evidence_lines
        .iter()
        .map(|line| {
            let against = if line.contradicts { "against" } else { "" };
            vec![line.kind.clone(), against.to_owned(), date(line.expires), line.says.clone()]
        })
        .collect();
    section(&["EVIDENCE", "", "UNTIL", "SAYS"], &rows);
    let rows: Vec<_> = documents
        .iter()
        .map(|it| {
            vec![it.id.clone(), it.kind.name().to_owned(), it.place.to_string(), date(it.ended.or(Some(it.expires)))]
        })
        .collect();
    section(&["DOCUMENT", "KIND", "PLACE", "UNTIL"], &rows);
    let rows: Vec<_> = disputes
        .iter()
        .map(|it| {
            let state = match it.settlement {
                Settlement::Open => "open",
                Settlement::Upheld => "upheld",
                Settlement::Dismissed => "dismissed",
            };
            vec![it.id.clone(), state.to_owned(), it.statement.clone(), it.answer.clone().unwrap_or_default()]
        })
        .collect();
    section(&["DISPUTE", "STATE", "STATEMENT", "ANSWER"], &rows);
    let rows: Vec<_> = notice
        .failures
        .iter()
        .map(|it| vec![it.time.to_string(), it.reason.clone(), it.log_index.to_string(), it.shard.clone()])
        .collect();
    section(&["CHALLENGE NOT MET", "WHY", "LOG INDEX", "SHARD"], &rows);
    for ask in &notice.asks {
        println!("\n{ask}");
    }
}

fn section(head: &[&str], rows: &[Vec<String>]) {
    if !rows.is_empty() {
        println!();
        table::print(head, rows);
    }
}

fn date(time: Option<UnixMillis>) -> String {
    let text = time.map(|time| time.to_string()).unwrap_or_default();
    text.get(..10).unwrap_or("-").to_owned()
}
