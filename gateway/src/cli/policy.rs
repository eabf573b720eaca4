//! `domicile policy list | test | diff | propose | agree | publish | reload | simulate | explain` and what belongs to them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use domicile_compliance::pack::PackFiles;
use domicile_compliance::{Lawbook, run_cases};
use domicile_types::{DataClass, NodeId, OperationKind, PackId, PackVersion, Place, RegionName, UnixMillis};

use super::client::Admin;
use super::{AdminArgs, proposal, table};
use crate::admin::tests_of;
use crate::admin::views::{ExplainRequest, Explained, PackTest, PackView};
use crate::judging::{BucketImpact, Impact, NodeImpact, PackUpload, Published, SuppositionSent};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// The gateway's packs, and the regions that they govern.
    List,
    /// Runs every pack's scenarios.
    Test {
        /// A folder of packs to test, instead of the gateway's.
        #[arg(long)]
        policies: Option<PathBuf>,
    },
    /// What one version of a pack changes of another: facts, dates, thresholds, rules, and scenarios that come out otherwise.
    Diff {
        /// The folder of the old version.
        old: PathBuf,
        /// The folder of the new one.
        new: PathBuf,
    },
    /// Proposes a version of a pack. Another person has to agree; then it takes force on its day.
    Propose {
        /// The pack's folder: its name is the pack's.
        folder: PathBuf,
        /// From when on it is to judge: a day, a moment such as 2027-01-31T00:00:00Z, or now.
        #[arg(long, value_parser = proposal::when, default_value = "now")]
        effective: UnixMillis,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Proposed versions; with an id, one of them and what it would change.
    Proposals {
        /// Which.
        id: Option<String>,
    },
    /// Agrees to a version that another person proposed.
    Agree {
        /// Which.
        id: String,
        /// What is said to it.
        #[arg(long)]
        answer: Option<String>,
    },
    /// Turns a proposed version down.
    Reject {
        /// Which.
        id: String,
        /// Why.
        #[arg(long)]
        answer: String,
    },
    /// Takes one's own proposal back.
    Withdraw {
        /// Which.
        id: String,
    },
    /// Puts a version of a pack in force at once, where the installation has no approvers. The old one judges until the new one
    /// has loaded and its scenarios came out as they say.
    Publish {
        /// The pack's folder: its name is the pack's.
        folder: PathBuf,
    },
    /// What would have to move, and what could not, if a pack were in force, or nodes were elsewhere. Changes nothing.
    Simulate {
        /// The folder of a pack; several for several; none: the packs in force.
        folders: Vec<PathBuf>,
        /// A node that would be elsewhere, as NODE=PLACE; several times for several.
        #[arg(long = "moved", value_parser = moved)]
        moved: Vec<(NodeId, Place)>,
        /// What would have been decided between two moments instead: FROM and TO, days or moments.
        #[arg(long, num_args = 2, value_names = ["FROM", "TO"], value_parser = proposal::when, conflicts_with = "moved")]
        past: Vec<UnixMillis>,
        /// The folder of a pack, as a flag.
        #[arg(long = "pack", value_name = "DIR")]
        packs: Vec<PathBuf>,
    },
    /// Puts what the gateway's folder of packs holds now in force, instead of what was published. Refused where the installation
    /// has approvers.
    Reload,
    /// What the law would say.
    Explain {
        /// In which residency region.
        #[arg(long)]
        region: RegionName,
        /// Doing what: put-object, get-object, head-object, list-objects, copy-object and so on.
        #[arg(long, value_parser = operation)]
        operation: OperationKind,
        /// From where: CN, HK, DE, CA-QC, unknown.
        #[arg(long)]
        from: Place,
        /// With data of this class; several times for several.
        #[arg(long = "class")]
        classes: Vec<DataClass>,
        /// By the packs that were in force at this moment; else by those in force now.
        #[arg(long, value_parser = proposal::when, value_name = "TIME")]
        as_known: Option<UnixMillis>,
        /// On which day, as the law's own dates go; else today.
        #[arg(long, value_parser = proposal::when, value_name = "DATE")]
        on: Option<UnixMillis>,
        /// Both: what was answered at this moment.
        #[arg(long, value_parser = proposal::when, value_name = "TIME", conflicts_with_all = ["as_known", "on"])]
        at: Option<UnixMillis>,
    },
}

fn operation(text: &str) -> Result<OperationKind, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

pub(super) async fn run(command: PolicyCommand, args: &AdminArgs) -> anyhow::Result<()> {
    match command {
        PolicyCommand::List => list(args).await,
        PolicyCommand::Test { policies } => test(policies, args).await,
        PolicyCommand::Publish { folder } => publish(&folder, args).await,
        PolicyCommand::Diff { old, new } => proposal::diff(&old, &new, args),
        PolicyCommand::Propose { folder, effective, reason } => {
            proposal::propose(&folder, effective, reason, args).await
        }
        PolicyCommand::Proposals { id } => proposal::list(id.as_deref(), args).await,
        PolicyCommand::Agree { id, answer } => proposal::decide(&id, "agree", answer, args).await,
        PolicyCommand::Reject { id, answer } => proposal::decide(&id, "reject", Some(answer), args).await,
        PolicyCommand::Withdraw { id } => proposal::decide(&id, "withdraw", None, args).await,
        PolicyCommand::Simulate { folders, moved, past, packs } => {
            let folders = [folders, packs].concat();
            match past.as_slice() {
                [from, to] => proposal::past(*from, *to, &folders, args).await,
                _ => simulate(&folders, moved, args).await,
            }
        }
        PolicyCommand::Reload => shown(&Admin::find(args)?.post("/v1/policies/reload", &()).await?, args),
        PolicyCommand::Explain { region, operation, from, classes, as_known, on, at } => {
            // `now` is what is asked about anyway.
            let stated = |time: Option<UnixMillis>| time.or(at).filter(|time| time.0 > 0);
            let (as_known, on) = (stated(as_known), stated(on));
            let request = ExplainRequest { region, operation, from, classes, as_known, on };
            explain(request, args).await
        }
    }
}

async fn list(args: &AdminArgs) -> anyhow::Result<()> {
    let packs: Vec<PackView> = Admin::find(args)?.get("/v1/policies", &[]).await?;
    if args.json {
        return table::json(&packs);
    }
    let rows: Vec<Vec<String>> = packs
        .iter()
        .map(|pack| {
            let regions: Vec<&str> = pack.regions.iter().map(RegionName::as_str).collect();
            let hash: String = pack.hash.chars().take(16).collect();
            vec![pack.pack.to_string(), pack.as_of.clone(), regions.join(" "), hash, pack.title.clone()]
        })
        .collect();
    table::print(&["PACK", "AS OF", "REGIONS", "HASH", "TITLE"], &rows);
    Ok(())
}

async fn test(policies: Option<PathBuf>, args: &AdminArgs) -> anyhow::Result<()> {
    let tests: Vec<PackTest> = match policies {
        Some(folder) => {
            let lawbook =
                Lawbook::load(&folder).with_context(|| format!("the packs in {} do not load", folder.display()))?;
            tests_of(run_cases(&lawbook))
        }
        None => Admin::find(args)?.post("/v1/policies/test", &()).await?,
    };
    if args.json {
        table::json(&tests)?;
    } else {
        for test in &tests {
            println!("{}: {} passed, {} failed", test.pack, test.passed, test.failed.len());
            test.failed.iter().for_each(|failed| println!("  failed: {failed}"));
            test.rules_in_no_case.iter().for_each(|rule| println!("  rule in no scenario: {rule}"));
        }
    }
    if tests.iter().any(|test| !test.failed.is_empty() || !test.rules_in_no_case.is_empty()) {
        bail!("not every scenario came out as its pack says");
    }
    Ok(())
}

async fn publish(folder: &Path, args: &AdminArgs) -> anyhow::Result<()> {
    let (pack, upload) = read(folder)?;
    shown(&Admin::find(args)?.put(&format!("/v1/policies/{pack}"), &upload).await?, args)
}

/// The pack in a folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<(PackId, PackUpload)> {
    let folder = folder.canonicalize().with_context(|| format!("{} cannot be found", folder.display()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let pack = PackId::parse(&name).with_context(|| format!("the folder {name} is not named as a pack is"))?;
    Ok((pack, PackUpload::from(PackFiles::read(&folder)?)))
}

async fn simulate(folders: &[PathBuf], moved: Vec<(NodeId, Place)>, args: &AdminArgs) -> anyhow::Result<()> {
    let packs = folders.iter().map(|folder| read(folder)).collect::<anyhow::Result<_>>()?;
    let supposed = SuppositionSent { packs, moved: moved.into_iter().collect() };
    let impact: Impact = Admin::find(args)?.post("/v1/policies/simulate", &supposed).await?;
    if args.json {
        return table::json(&impact);
    }
    println!("{} pages looked at", impact.pages);
    println!("{} shards ({} bytes) of {} bodies would have to move", impact.shards, impact.bytes, impact.objects);
    println!(
        "{} shards ({} bytes) of {} bodies could go nowhere",
        impact.stuck_shards, impact.stuck_bytes, impact.stuck_objects
    );
    let node = |node: &NodeImpact| {
        vec![
            node.node.to_string(),
            node.operator.as_ref().map(ToString::to_string).unwrap_or_default(),
            node.place.map(|place| place.to_string()).unwrap_or_default(),
            node.shards.to_string(),
            node.bytes.to_string(),
            node.rules.iter().cloned().collect::<Vec<_>>().join(" "),
        ]
    };
    let bucket = |bucket: &BucketImpact| {
        let counts = [bucket.objects, bucket.shards, bucket.stuck_shards].map(|count| count.to_string());
        [vec![format!("{}/{}", bucket.tenant, bucket.bucket)], counts.to_vec()].concat()
    };
    if !impact.nodes.is_empty() {
        let rows: Vec<Vec<String>> = impact.nodes.iter().map(node).collect();
        table::print(&["NODE", "OPERATOR", "PLACE", "SHARDS", "BYTES", "RULES"], &rows);
        let rows: Vec<Vec<String>> = impact.buckets.iter().map(bucket).collect();
        table::print(&["BUCKET", "BODIES", "SHARDS", "NOWHERE TO GO"], &rows);
    }
    Ok(())
}

fn moved(text: &str) -> Result<(NodeId, Place), String> {
    let (node, place) = text.split_once('=').ok_or("a node and a place, as NODE=PLACE")?;
    let node = NodeId::parse(node).map_err(|error| error.to_string())?;
    Ok((node, Place::parse(place).map_err(|error| error.to_string())?))
}

fn shown(published: &Published, args: &AdminArgs) -> anyhow::Result<()> {
    if args.json {
        return table::json(published);
    }
    match published.log_index {
        Some(index) => println!("in force since log index {index}, epoch {}", published.epoch.0),
        None => println!("nothing changed: these packs were in force already"),
    }
    let hash = |hash: &str| hash.chars().take(16).collect::<String>();
    let row = |pack: &PackVersion| vec![pack.pack.to_string(), pack.as_of.clone(), hash(&pack.hash)];
    table::print(&["PACK", "AS OF", "HASH"], &published.packs.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn explain(request: ExplainRequest, args: &AdminArgs) -> anyhow::Result<()> {
    let explained: Explained = Admin::find(args)?.post("/v1/policies/explain", &request).await?;
    if args.json {
        return table::json(&explained);
    }
    let decision = &explained.decision;
    let export = if decision.export { ", an export" } else { "" };
    println!("{:?}{export}", decision.verdict);
    for rule in &decision.rules {
        let limb = rule.limb.map(|limb| format!(" limb ({})", limb.0)).unwrap_or_default();
        println!("  {}/{}{limb}: {}", rule.pack, rule.rule, rule.cite);
    }
    decision.obligations.iter().for_each(|obligation| println!("  obligation: {}", obligation.0));
    decision.warnings.iter().for_each(|warning| println!("  warning: {warning}"));
    let rows: Vec<Vec<String>> = explained
        .findings
        .iter()
        .map(|finding| {
            let rules: Vec<String> = finding.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
            vec![
                format!("{:?}", finding.verdict),
                finding.action.to_string(),
                format!("{:?}", finding.subject),
                rules.join(" "),
            ]
        })
        .collect();
    table::print(&["VERDICT", "ACTION", "SUBJECT", "RULES"], &rows);
    Ok(())
}
