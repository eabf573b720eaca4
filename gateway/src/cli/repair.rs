//! `domicile repairs`, `domicile durability`, and the draining of nodes.

use std::time::Duration;

use anyhow::ensure;
use domicile_placement::{durability, durability_when_lazy, thresholds};
use domicile_types::{CodeProfile, NodeId};

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::repair::RepairsView;
use crate::repair::DrainView;

/// How often progress is asked for.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// `domicile fleet drain NODE`: orders it, and with `wait` shows how far it is until nothing is left.
pub(super) async fn drain(node: NodeId, wait: bool, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    let path = format!("/v1/fleet/nodes/{node}/drain");
    let mut view: DrainView = admin.post(&path, &serde_json::json!({})).await?;
    while wait && view.statement.is_none() {
        if !args.json {
            eprintln!("{}: {} pages to move, {} copies to delete", view.state, view.pages, view.to_delete);
        }
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        view = admin.get(&path, &[]).await?;
        ensure!(view.state == "draining", "the node is {}: the drain does not go on", view.state);
    }
    show(&view, args.json)
}

/// `domicile fleet drained NODE`
pub(super) async fn drained(node: NodeId, args: &AdminArgs) -> anyhow::Result<()> {
    let view: DrainView = Admin::find(args)?.get(&format!("/v1/fleet/nodes/{node}/drain"), &[]).await?;
    show(&view, args.json)
}

/// `domicile fleet attest NODE`
pub(super) async fn attest(node: NodeId, args: &AdminArgs) -> anyhow::Result<()> {
    let path = format!("/v1/fleet/nodes/{node}/attest");
    let done: serde_json::Value = Admin::find(args)?.post(&path, &serde_json::json!({})).await?;
    if args.json {
        return table::json(&done);
    }
    println!("struck off: {} copies", done.get("copies").unwrap_or(&serde_json::Value::Null));
    Ok(())
}

/// `domicile fleet undrain NODE`
pub(super) async fn undrain(node: NodeId, args: &AdminArgs) -> anyhow::Result<()> {
    let path = format!("/v1/fleet/nodes/{node}/undrain");
    let view: DrainView = Admin::find(args)?.post(&path, &serde_json::json!({})).await?;
    show(&view, args.json)
}

fn show(view: &DrainView, json: bool) -> anyhow::Result<()> {
    if json {
        return table::json(view);
    }
    println!("node {}: {}", view.node, view.state);
    println!("pages of which it holds shards: {}", view.pages);
    println!("copies that it is to delete: {}", view.to_delete);
    match &view.statement {
        Some(statement) => println!(
            "empty since {}; by its own account it holds {} shards and has deleted {}",
            statement.time,
            statement.shards.map_or_else(|| "?".to_owned(), |count| count.to_string()),
            statement.deleted.map_or_else(|| "?".to_owned(), |count| count.to_string()),
        ),
        None => println!("not empty yet, or in service"),
    }
    Ok(())
}

/// `domicile repairs`
pub(super) async fn repairs(scan: bool, orphans: bool, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    if orphans {
        let found: serde_json::Value = admin.post("/v1/repairs/orphans", &serde_json::json!({})).await?;
        eprintln!("{} shards that nothing counts on", found.get("orphans").unwrap_or(&serde_json::Value::Null));
    }
    if scan {
        let asked: serde_json::Value = admin.post("/v1/repairs/scan", &serde_json::json!({})).await?;
        eprintln!("{} pages are judged again", asked.get("pages").unwrap_or(&serde_json::Value::Null));
    }
    let view: RepairsView = admin.get("/v1/repairs", &[]).await?;
    if args.json {
        return table::json(&view);
    }
    println!("since the gateway started:");
    println!("  shards with a new holder   {}", view.shards);
    println!("  shard bytes stored         {}", view.stored_bytes);
    println!("  shard bytes fetched        {}", view.fetched_bytes);
    println!("  old copies deleted         {} (signed)", view.deleted);
    println!("  pages that are stuck       {}", view.stuck);
    println!("to be deleted still:");
    for (node, count) in &view.residue {
        println!("  {count} at {node}");
    }
    if view.residue.is_empty() {
        println!("  nothing");
    }
    Ok(())
}

/// `domicile durability`: what a code is worth, by the model that repairs are promised by. Asks nobody.
pub(super) fn model(profile: CodeProfile, afr: f64, repair_days: f64, segments: u32, json: bool) -> anyhow::Result<()> {
    let promised = durability(profile, afr, repair_days)?;
    let waiting = thresholds(profile, afr, repair_days)?;
    let lazily = durability_when_lazy(profile, afr, repair_days, waiting.lazy)?;
    let object = promised.of_segments(segments);
    if json {
        return table::json(&serde_json::json!({
            "profile": profile, "node_loss_per_year": afr, "repair_days": repair_days,
            "segment": promised, "segments": segments, "object": object,
            "thresholds": waiting, "at_the_lazy_threshold": lazily,
        }));
    }
    println!("{profile}, {}% of nodes lost a year, {repair_days} days for a repair", afr * 100.0);
    println!("  a segment, one shard repaired at a time   {promised} ({:.1e} lost a year)", promised.loss_per_year);
    if segments > 1 {
        println!("  an object of {segments} segments          {object}, at the least");
    }
    println!("  repairs begin at                          {} lost shards", waiting.lazy);
    println!("  and come first at                         {} lost shards", waiting.eager);
    println!("  so repaired, all lost shards at once      {lazily}");
    println!("independent losses alone: one law, one fault of software or one bad repair can take many nodes at once");
    Ok(())
}
