//! `domicile register NAME [filters] | rebuild`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::registers::Rebuilt;
use crate::registers::placements::WasAt;

/// What is asked of a register.
#[derive(Debug, Clone, Args)]
pub(super) struct RegisterArgs {
    /// exports, decisions, incidents, approvals, evidence, placements, keys, deletions, views, reports, proposals or
    /// corrections; or `rebuild`, which makes the index of all of them anew from the log.
    register: String,
    /// With `placements`: where was this object (`s3://BUCKET/KEY`), --on a day, or --from a time --to another?
    object: Option<String>,
    /// A day in UTC, such as 2026-05-03, or a time.
    #[arg(long, requires = "object")]
    on: Option<String>,
    /// Not before: 2026-05-03 (midnight in UTC), or a time in RFC 3339.
    #[arg(long)]
    from: Option<String>,
    /// Before this.
    #[arg(long)]
    to: Option<String>,
    /// On whose behalf.
    #[arg(long)]
    tenant: Option<String>,
    /// In this bucket.
    #[arg(long)]
    bucket: Option<String>,
    /// About this object key or listing prefix.
    #[arg(long)]
    key: Option<String>,
    /// About data of this class, such as personal.
    #[arg(long)]
    class: Option<String>,
    /// Out of this place: a country means all of it.
    #[arg(long)]
    from_place: Option<String>,
    /// Into this place.
    #[arg(long)]
    to_place: Option<String>,
    /// By whom: TENANT/ACCESS-KEY.
    #[arg(long)]
    actor: Option<String>,
    /// allow or deny.
    #[arg(long)]
    verdict: Option<String>,
    /// On what it stands: PACK/RULE, a pack, a mechanism, or an approval's id.
    #[arg(long)]
    basis: Option<String>,
    /// What was done, or what became of something: get-object, revoked, quarantined.
    #[arg(long)]
    operation: Option<String>,
    /// About this node.
    #[arg(long)]
    node: Option<String>,
    /// About the body stored under this data id.
    #[arg(long)]
    data: Option<String>,
    /// oldest (first) or newest.
    #[arg(long)]
    order: Option<String>,
    /// At most so many rows; a table shows 100 unless told.
    #[arg(long)]
    limit: Option<usize>,
    /// Goes on where a page ended, with the same filters.
    #[arg(long)]
    cursor: Option<String>,
    /// Shows names, addresses and keys instead of pseudonyms. It takes an officer, and is logged.
    #[arg(long)]
    opened: bool,
    /// table, json (a page), or the whole as jsonl, csv, parquet, ocsf or cef.
    #[arg(long, default_value = "table")]
    format: String,
    /// Writes to this file, which must not exist.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl RegisterArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let filters = [
            ("from", &self.from),
            ("to", &self.to),
            ("tenant", &self.tenant),
            ("bucket", &self.bucket),
            ("key", &self.key),
            ("class", &self.class),
            ("from-place", &self.from_place),
            ("to-place", &self.to_place),
            ("actor", &self.actor),
            ("verdict", &self.verdict),
            ("basis", &self.basis),
            ("operation", &self.operation),
            ("node", &self.node),
            ("data", &self.data),
            ("order", &self.order),
            ("cursor", &self.cursor),
        ];
        let given = filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let mut query: Vec<_> = given.collect();
        query.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        if self.opened {
            query.push(("opened", "true".to_owned()));
        }
        query
    }
}

pub(super) async fn run(args: &RegisterArgs, admin: &AdminArgs) -> anyhow::Result<()> {
    if args.register == "rebuild" {
        return rebuild(admin).await;
    }
    if let Some(object) = &args.object {
        return was_at(object, args, admin).await;
    }
    let path = format!("/v1/registers/{}", args.register);
    let mut query = args.query();
    let format = if admin.json { "json" } else { args.format.as_str() };
    if format == "table" {
        if args.out.is_some() {
            bail!("a table is for the screen: give --format with --out");
        }
        let page: Value = Admin::find(admin)?.get(&path, &query).await?;
        show(&page);
        return Ok(());
    }
    query.push(("format", format.to_owned()));
    let response = Admin::find(admin)?.open(&path, &query).await?;
    let mut pieces = response.bytes_stream();
    match &args.out {
        Some(out) => save(out, &mut pieces).await,
        None if format == "parquet" => bail!("Parquet is not for the screen: give --out FILE"),
        None => {
            let mut screen = tokio::io::stdout();
            while let Some(piece) = pieces.next().await {
                screen.write_all(&piece?).await?;
            }
            if format == "json" {
                screen.write_all(b"\n").await?;
            }
            Ok(screen.flush().await?)
        }
    }
}

async fn save<S>(out: &Path, pieces: &mut S) -> anyhow::Result<()>
where
    S: futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin,
{
    let file = tokio::fs::File::create_new(out).await;
    let mut file = file.with_context(|| format!("{} cannot be made: name a new file", out.display()))?;
    let mut written = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.with_context(|| format!("the register broke off; {} is not whole", out.display()))?;
        written += piece.len();
        file.write_all(&piece).await?;
    }
    file.sync_all().await?;
    println!("{written} bytes in {}", out.display());
    Ok(())
}

async fn rebuild(admin: &AdminArgs) -> anyhow::Result<()> {
    let rebuilt: Rebuilt = Admin::find(admin)?.post("/v1/registers/rebuild", &()).await?;
    if admin.json {
        return table::json(&rebuilt);
    }
    println!("{} of {} entries are indexed; the rest follows", rebuilt.entries, rebuilt.log_entries);
    Ok(())
}

/// Where an object was.
async fn was_at(object: &str, args: &RegisterArgs, admin: &AdminArgs) -> anyhow::Result<()> {
    if args.register != "placements" {
        bail!("an object is asked for with: domicile register placements {object} --on DAY");
    }
    let path = object.strip_prefix("s3://").context("an object is named s3://BUCKET/KEY")?;
    let (bucket, key) = path.split_once('/').context("an object is named s3://BUCKET/KEY")?;
    let mut query = vec![("bucket", bucket.to_owned()), ("key", key.to_owned())];
    for (name, value) in [("on", &args.on), ("from", &args.from), ("to", &args.to)] {
        query.extend(value.clone().map(|value| (name, value)));
    }
    let found: WasAt = Admin::find(admin)?.get("/v1/placements", &query).await?;
    if admin.json {
        return table::json(&found);
    }
    let places = if found.places.is_empty() { "nowhere".to_owned() } else { found.places.join(", ") };
    println!("{object} from {} to {}: {places}", found.from, found.to);
    for body in &found.bodies {
        println!("\nbody {}, stored by log entries {} to {}", body.data, body.first_entry, body.last_entry);
        let rows: Vec<Vec<String>> = body
            .holders
            .iter()
            .map(|held| {
                let until = held.until.clone().unwrap_or_else(|| "still".to_owned());
                vec![held.places.join(" "), held.node.clone(), held.pages.to_string(), held.from.clone(), until]
            })
            .collect();
        table::print(&["PLACE", "NODE", "PAGES", "FROM", "UNTIL"], &rows);
    }
    if found.truncated {
        println!("There are more bodies of that name: the newest are shown.");
    }
    Ok(())
}

/// The columns that fit a screen; `--format` has all of them.
fn show(page: &Value) {
    let text = |row: &Value, field: &str| match row.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    let either = |row: &Value, one: &str, other: &str| match text(row, one) {
        empty if empty.is_empty() => text(row, other),
        text => text,
    };
    let rows: Vec<Vec<String>> = page
        .get("rows")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|row| {
            vec![
                text(row, "index"),
                text(row, "time"),
                either(row, "operation", "kind"),
                text(row, "state"),
                text(row, "verdict"),
                text(row, "export"),
                text(row, "from_places"),
                text(row, "to_places"),
                text(row, "actor"),
                either(row, "bucket", "subject"),
                text(row, "bytes_sent"),
                either(row, "rules", "detail"),
            ]
        })
        .collect();
    let head = [
        "INDEX",
        "TIME",
        "WHAT",
        "STATE",
        "VERDICT",
        "EXPORT",
        "FROM",
        "TO",
        "ACTOR",
        "ABOUT",
        "BYTES",
        "RULES OR DETAIL",
    ];
    table::print(&head, &rows);
    match page.get("next").and_then(Value::as_str) {
        Some(next) => println!("{} rows; more with --cursor {next}", rows.len()),
        None => println!("{} rows", rows.len()),
    }
}
