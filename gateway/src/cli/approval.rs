//! `domicile approval` and `domicile ledger`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use domicile_types::{ApprovalId, UnixMillis};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::{ApprovalView, EmergencyRequest, LedgerView, OrderReason};
use crate::approvals::days::Renewal;
use crate::approvals::{Order, Quota, State, Terms};
use crate::objects::RenewalTerms;

#[derive(Debug, Subcommand)]
pub(super) enum ApprovalCommand {
    /// Asks for an approval. Another person, an approver, decides.
    Request {
        /// The request, in TOML: `domicile approval form` prints one to fill in.
        file: PathBuf,
    },
    /// Prints a request to fill in.
    Form,
    /// Lists all approvals, with what is used of them and which renewals and reviews are due.
    List,
    /// Shows one.
    Show {
        /// Which.
        id: ApprovalId,
    },
    /// Puts a request in force. Whoever made it cannot.
    Approve {
        /// Which.
        id: ApprovalId,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Turns a request down.
    Reject {
        /// Which.
        id: ApprovalId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Takes one's own request back.
    Withdraw {
        /// Which.
        id: ApprovalId,
    },
    /// Puts an approval out of force; reads under it end at their next segment.
    Suspend {
        /// Which.
        id: ApprovalId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Puts a suspended approval in force again.
    Resume {
        /// Which.
        id: ApprovalId,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Ends an approval for good; reads under it end at their next segment.
    Revoke {
        /// Which.
        id: ApprovalId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Asks for an approval that follows another.
    Renew {
        /// Which.
        id: ApprovalId,
        /// Until when: a day or an instant of RFC 3339.
        #[arg(long, value_parser = instant)]
        expires: UnixMillis,
        /// From when on.
        #[arg(long, value_parser = instant)]
        effective: Option<UnixMillis>,
        /// The new quota of bytes; else as before.
        #[arg(long)]
        bytes: Option<u64>,
        /// The new quota of individuals, with --bytes.
        #[arg(long, requires = "bytes")]
        subjects: Option<u64>,
        /// The new instrument; else as before.
        #[arg(long)]
        instrument: Option<String>,
        /// The number that the authority gave; else as before.
        #[arg(long)]
        authority_number: Option<String>,
        /// The new impact assessment; else as before.
        #[arg(long)]
        assessment: Option<String>,
    },
    /// Asks for an approval in an emergency: for 24 hours at the most, approved by another person, reviewed by a third.
    BreakGlass {
        /// The request, in TOML.
        file: PathBuf,
        /// What the emergency is.
        #[arg(long)]
        reason: String,
    },
    /// Says what an emergency was. Neither of the two who acted can.
    Review {
        /// Which.
        id: ApprovalId,
        /// What was found.
        #[arg(long)]
        finding: String,
    },
}

/// What `form` prints.
const FORM: &str = r#"# A request for an approval. Times are days or instants of RFC 3339.
tenant = "a"
bucket = "training"
prefix = ""                        # the beginning of the keys; empty: the whole bucket
purpose = "training of the 2026 model"
necessity = "the recipient trains on its own cluster"
pack = "cn-data-export"
mechanism = "standard-contract"    # one of the pack's: domicile policy list --json
instrument = "standard contract of 2 May 2026, filed with the CAC of Beijing"
authority_number = "JD-2026-0042"
assessment = "PIA-2026-7"
expires = "2027-05-01"
operations = ["retrieve", "query"]
actors = [{ access-key = "DMCL..." }]    # or { user = "..." }, { role = "..." }

[quota]
subjects = 50000
bytes = 1000000000

[recipient]
contact = "Data protection, Acme GmbH, Leopoldstr. 1, 80802 Munich; dpo@acme.example"
places = ["DE"]

[recipient.party]
id = "acme"
name = "Acme GmbH"
incorporated = "DE"
headquartered = "DE"
"#;

/// Runs the command.
pub(super) async fn run(command: ApprovalCommand, args: &AdminArgs) -> anyhow::Result<()> {
    if matches!(command, ApprovalCommand::Form) {
        print!("{FORM}");
        return Ok(());
    }
    let admin = Admin::find(args)?;
    let (order, id, reason) = match command {
        ApprovalCommand::Form => return Ok(()),
        ApprovalCommand::List => return list(&admin, args.json).await,
        ApprovalCommand::Show { id } => return show(&admin.get(&format!("/v1/approvals/{id}"), &[]).await?, args.json),
        ApprovalCommand::Request { file } => {
            return show(&admin.post("/v1/approvals", &terms(&file)?).await?, args.json);
        }
        ApprovalCommand::BreakGlass { file, reason } => {
            let request = EmergencyRequest { reason, terms: terms(&file)? };
            return show(&admin.post("/v1/approvals/break-glass", &request).await?, args.json);
        }
        ApprovalCommand::Renew {
            id,
            expires,
            effective,
            bytes,
            subjects,
            instrument,
            authority_number,
            assessment,
        } => {
            let quota = bytes.map(|bytes| Quota { subjects, bytes });
            let new = RenewalTerms { expires, effective, quota, instrument, authority_number, assessment };
            return show(&admin.post(&format!("/v1/approvals/{id}/renew"), &new).await?, args.json);
        }
        ApprovalCommand::Approve { id, reason } => (Order::Approve, id, reason),
        ApprovalCommand::Reject { id, reason } => (Order::Reject, id, Some(reason)),
        ApprovalCommand::Withdraw { id } => (Order::Withdraw, id, None),
        ApprovalCommand::Suspend { id, reason } => (Order::Suspend, id, Some(reason)),
        ApprovalCommand::Resume { id, reason } => (Order::Resume, id, reason),
        ApprovalCommand::Revoke { id, reason } => (Order::Revoke, id, Some(reason)),
        ApprovalCommand::Review { id, finding } => (Order::Review, id, Some(finding)),
    };
    let path = format!("/v1/approvals/{id}/{}", word(&order));
    show(&admin.post(&path, &OrderReason { reason }).await?, args.json)
}

/// `domicile ledger`
pub(super) async fn ledger(args: &AdminArgs) -> anyhow::Result<()> {
    let found: Vec<LedgerView> = Admin::find(args)?.get("/v1/ledgers", &[]).await?;
    if args.json {
        return table::json(&found);
    }
    let all = || "all".to_owned();
    let row = |view: &LedgerView| {
        let limits = view.limits.iter().map(|(unit, limit)| format!("{unit} {limit}")).collect::<Vec<_>>();
        let name = &view.account;
        vec![
            format!("{}/{}", name.pack, name.ledger),
            name.exporter.as_ref().map_or_else(all, ToString::to_string),
            name.recipient.as_ref().map_or_else(all, ToString::to_string),
            name.class.as_ref().map_or_else(all, ToString::to_string),
            view.since.to_string(),
            view.counts.subjects.to_string(),
            view.counts.sensitive.to_string(),
            view.counts.bytes.to_string(),
            limits.join(", "),
        ]
    };
    let head = ["ledger", "exporter", "recipient", "class", "since", "subjects", "sensitive", "bytes", "limits"];
    table::print(&head, &found.iter().map(row).collect::<Vec<_>>());
    println!("Individuals are added up by object version; one in two objects counts twice.");
    Ok(())
}

async fn list(admin: &Admin, json: bool) -> anyhow::Result<()> {
    let found: Vec<ApprovalView> = admin.get("/v1/approvals", &[]).await?;
    if json {
        return table::json(&found);
    }
    let row = |view: &ApprovalView| {
        let terms = &view.approval.terms;
        vec![
            view.approval.id.to_string(),
            word(&view.approval.state),
            format!("{}/{}", terms.bucket, terms.prefix),
            terms.recipient.party.name.clone(),
            format!("{}/{}", terms.pack, terms.mechanism),
            format!("{} of {}", view.used.subjects, terms.quota.subjects.map_or("any".to_owned(), |n| n.to_string())),
            format!("{} of {}", view.used.bytes, terms.quota.bytes),
            terms.expires.to_string(),
            attention(view),
        ]
    };
    let head = ["id", "state", "dataset", "recipient", "mechanism", "subjects", "bytes", "expires", "due"];
    table::print(&head, &found.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

/// What somebody must do about it.
fn attention(view: &ApprovalView) -> String {
    let renewal = match (view.renewal, view.renew_by) {
        (Some(Renewal::Due), Some(by)) => format!("renew by {by}"),
        (Some(Renewal::Overdue), Some(by)) => format!("renewal overdue since {by}"),
        _ => String::new(),
    };
    let review = match &view.approval.emergency {
        Some(emergency) if view.to_review => {
            emergency.review_by.map(|by| format!("review by {by}")).unwrap_or_default()
        }
        _ => String::new(),
    };
    let decide = if view.approval.state == State::Requested { "decide" } else { "" };
    [decide, &renewal, &review].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

fn show(view: &ApprovalView, json: bool) -> anyhow::Result<()> {
    if json {
        return table::json(view);
    }
    let (approval, terms) = (&view.approval, &view.approval.terms);
    println!("approval {} is {}{}", approval.id, word(&approval.state), if view.in_force { ", in force" } else { "" });
    let quota = terms.quota.subjects.map_or_else(|| "any number of".to_owned(), |subjects| subjects.to_string());
    for (what, value) in [
        ("record", view.record.clone()),
        ("asked for by", format!("{}, {}", approval.maker, approval.requested)),
        ("decided by", approval.checker.clone().unwrap_or_else(|| "nobody yet".to_owned())),
        ("dataset", format!("tenant {}, s3://{}/{}", terms.tenant, terms.bucket, terms.prefix)),
        ("purpose", terms.purpose.clone()),
        ("necessity", terms.necessity.clone()),
        (
            "recipient",
            format!("{}, {}; controlled by {}", terms.recipient.party.name, terms.recipient.contact, approval.ultimate),
        ),
        ("mechanism", format!("{}/{}: {}", terms.pack, terms.mechanism, terms.instrument)),
        ("assessment", terms.assessment.clone()),
        ("quota", format!("{quota} individuals, {} bytes", terms.quota.bytes)),
        ("used", format!("{} individuals, {} bytes", view.used.subjects, view.used.bytes)),
        ("expires", terms.expires.to_string()),
        ("due", attention(view)),
    ] {
        if !value.is_empty() {
            println!("  {what:<13} {value}");
        }
    }
    Ok(())
}

/// Reads a request. Its times are written for people.
fn terms(file: &Path) -> anyhow::Result<Terms> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut form: toml::Table = toml::from_str(&text).with_context(|| format!("{} is not TOML", file.display()))?;
    for field in ["effective", "expires"] {
        if let Some(value) = form.get_mut(field) {
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Datetime(at) => at.to_string(),
                _ => bail!("{field} is not a day or an instant of RFC 3339, such as \"2027-05-01\""),
            };
            let at = instant(&text).map_err(|error| anyhow::anyhow!("{field}: {error}"))?;
            *value = toml::Value::Integer(i64::try_from(at.0)?);
        }
    }
    form.try_into().with_context(|| format!("{} is no request: see domicile approval form", file.display()))
}

/// A day, which begins at midnight UTC, or an instant.
fn instant(text: &str) -> Result<UnixMillis, String> {
    let whole = if text.contains(['T', 't', ' ']) { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let at = OffsetDateTime::parse(&whole, &Rfc3339);
    at.map(UnixMillis::from).map_err(|_| format!("{text:?} is not a day or an instant of RFC 3339, such as 2027-05-01"))
}

/// The word that JSON has for a value.
fn word<T: serde::Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).ok();
    json.as_ref().and_then(|value| value.as_str()).unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_reads_as_a_request() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("request.toml");
        std::fs::write(&file, FORM).unwrap();
        let terms = terms(&file).unwrap();
        assert_eq!(terms.expires, instant("2027-05-01T00:00:00Z").unwrap());
        assert_eq!(terms.quota.subjects, Some(50_000));
        std::fs::write(&file, FORM.replace("2027-05-01", "soon")).unwrap();
        assert!(super::terms(&file).is_err());
        std::fs::write(&file, format!("surprise = 1\n{FORM}")).unwrap();
        assert!(super::terms(&file).is_err());
    }
}
