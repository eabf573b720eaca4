//! `domicile policy diff | propose | proposals | agree | reject | withdraw | simulate --past`

use std::path::{Path, PathBuf};

use anyhow::Context;
use domicile_compliance::pack::PackFiles;
use domicile_types::{PackId, UnixMillis};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::Admin;
use super::policy::read;
use super::{AdminArgs, table};
use crate::admin::proposals::{AnswerBody, ProposalBody};
use crate::catalog::Proposal;
use crate::judging::{PackDiff, PastImpact, PastSupposed, ProposalShown};

/// Where proposals are.
const PROPOSALS: &str = "/v1/policies/proposals";

/// A day (its beginning in UTC), a moment, or `now`, which is sent as the beginning of time: it has come.
pub(super) fn when(text: &str) -> Result<UnixMillis, String> {
    let moment = match text {
        "now" => return Ok(UnixMillis(0)),
        day if day.len() == 10 => OffsetDateTime::parse(&format!("{day}T00:00:00Z"), &Rfc3339),
        moment => OffsetDateTime::parse(moment, &Rfc3339),
    };
    moment
        .map(UnixMillis::from)
        .map_err(|_| format!("{text} is neither a day such as 2027-01-31 nor 2027-01-31T00:00:00Z"))
}

fn shown(at: UnixMillis) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

/// Compares two folders; asks no gateway.
pub(super) fn diff(old: &Path, new: &Path, args: &AdminArgs) -> anyhow::Result<()> {
    let name = |folder: &Path| -> anyhow::Result<PackId> {
        let folder = folder.canonicalize().with_context(|| format!("{} cannot be found", folder.display()))?;
        Ok(PackId::parse(&folder.file_name().unwrap_or_default().to_string_lossy())?)
    };
    let pack = name(new).or_else(|_| name(old)).context("neither folder is named as a pack is")?;
    let files = |folder: &Path| PackFiles::read(folder).with_context(|| format!("no pack in {}", folder.display()));
    let found = crate::judging::diff(&pack, &files(old)?, &files(new)?)?;
    if args.json {
        return table::json(&found);
    }
    print_diff(&found);
    Ok(())
}

fn print_diff(found: &PackDiff) {
    let short = |hash: &str| hash.chars().take(16).collect::<String>();
    println!(
        "{}: {} as of {} -> {} as of {}",
        found.new.pack,
        short(&found.old.hash),
        found.old.as_of,
        short(&found.new.hash),
        found.new.as_of
    );
    for fact in &found.facts {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "(none)".to_owned());
        println!("  fact {}: {} -> {}", fact.fact, side(&fact.old), side(&fact.new));
    }
    found.rules_added.iter().for_each(|rule| println!("  rule added: {rule}"));
    found.rules_removed.iter().for_each(|rule| println!("  rule removed: {rule}"));
    for rule in &found.rules_changed {
        println!("  rule changed: {}\n    - {}\n    + {}", rule.rule, rule.old, rule.new);
    }
    for case in &found.cases {
        println!("  scenario {:?}\n    - {}\n    + {}", case.case, case.old, case.new);
    }
    let nothing = found.facts.is_empty()
        && found.rules_added.is_empty()
        && found.rules_removed.is_empty()
        && found.rules_changed.is_empty()
        && found.cases.is_empty();
    if nothing {
        println!("  nothing that judges differs");
    }
}

pub(super) async fn propose(
    folder: &Path,
    effective: UnixMillis,
    reason: Option<String>,
    args: &AdminArgs,
) -> anyhow::Result<()> {
    let (pack, files) = read(folder)?;
    let effective = (effective.0 > 0).then_some(effective);
    let body = ProposalBody { pack, files, effective, reason };
    let made: ProposalShown = Admin::find(args)?.post(PROPOSALS, &body).await?;
    print_shown(&made, args)
}

pub(super) async fn list(id: Option<&str>, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    if let Some(id) = id {
        return print_shown(&admin.get(&format!("{PROPOSALS}/{id}"), &[]).await?, args);
    }
    let found: Vec<Proposal> = admin.get(PROPOSALS, &[]).await?;
    if args.json {
        return table::json(&found);
    }
    print(&found);
    Ok(())
}

pub(super) async fn decide(id: &str, how: &str, answer: Option<String>, args: &AdminArgs) -> anyhow::Result<()> {
    let decided: Proposal = Admin::find(args)?.post(&format!("{PROPOSALS}/{id}/{how}"), &AnswerBody { answer }).await?;
    if args.json {
        return table::json(&decided);
    }
    print(std::slice::from_ref(&decided));
    Ok(())
}

fn print_shown(shown: &ProposalShown, args: &AdminArgs) -> anyhow::Result<()> {
    if args.json {
        return table::json(shown);
    }
    print(std::slice::from_ref(&shown.proposal));
    match &shown.diff {
        Some(diff) => print_diff(diff),
        None => println!("there is no version of this pack in force"),
    }
    let impact = &shown.impact;
    println!(
        "{} shards ({} bytes) of {} bodies would have to move; {} shards could go nowhere",
        impact.shards, impact.bytes, impact.objects, impact.stuck_shards
    );
    Ok(())
}

fn print(proposals: &[Proposal]) {
    let row = |it: &Proposal| {
        let checker = it.checker.clone().unwrap_or_default();
        let said = it.answer.clone().or_else(|| it.reason.clone()).unwrap_or_default();
        let version = format!("{} as of {}", it.version.pack, it.version.as_of);
        vec![it.id.clone(), version, it.state.name().to_owned(), shown(it.effective), it.maker.clone(), checker, said]
    };
    let rows: Vec<Vec<String>> = proposals.iter().map(row).collect();
    table::print(&["ID", "VERSION", "STATE", "EFFECTIVE", "PROPOSED BY", "DECIDED BY", "SAID"], &rows);
}

/// What would have been decided.
pub(super) async fn past(
    from: UnixMillis,
    to: UnixMillis,
    folders: &[PathBuf],
    args: &AdminArgs,
) -> anyhow::Result<()> {
    let packs = folders.iter().map(|folder| read(folder)).collect::<anyhow::Result<_>>()?;
    // `now` as an end means all there is.
    let to = if to.0 == 0 { UnixMillis(u64::MAX) } else { to };
    let supposed = PastSupposed { from, to, packs };
    let found: PastImpact = Admin::find(args)?.post("/v1/policies/past", &supposed).await?;
    if args.json {
        return table::json(&found);
    }
    println!("{} entries, {} decisions decided again: {} the same", found.entries, found.decisions, found.same);
    println!(
        "{} would be denied, {} would be allowed, {} the same by other rules",
        found.would_be_denied, found.would_be_allowed, found.by_other_rules
    );
    println!(
        "not decided again: {} under other packs, {} refusals of roles, {} without their inputs",
        found.of_other_packs, found.of_roles, found.without_inputs
    );
    if found.approximated > 0 {
        println!("{} by a version in force now in the place of one that is not kept", found.approximated);
    }
    let row = |change: &crate::judging::PastChange| {
        let examples = change.examples.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        vec![
            change.decisions.to_string(),
            change.operation.clone(),
            change.was.clone(),
            change.would_be.clone(),
            examples,
        ]
    };
    let rows: Vec<Vec<String>> = found.changes.iter().map(row).collect();
    if !rows.is_empty() {
        table::print(&["DECISIONS", "OPERATION", "WAS", "WOULD BE", "LOG INDICES"], &rows);
    }
    Ok(())
}
