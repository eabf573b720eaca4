//! `domicile where s3://BUCKET/KEY`

use anyhow::Context;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::views::Whereabouts;

pub(super) async fn run(object: &str, args: &AdminArgs) -> anyhow::Result<()> {
    let path = object.strip_prefix("s3://").context("an object is named s3://BUCKET/KEY")?;
    let (bucket, key) = path.split_once('/').context("an object is named s3://BUCKET/KEY")?;
    let query = [("bucket", bucket.to_owned()), ("key", key.to_owned())];
    let found: Whereabouts = Admin::find(args)?.get("/v1/where", &query).await?;
    if args.json {
        return table::json(&found);
    }
    let packs: Vec<&str> = found.packs.iter().map(domicile_types::PackId::as_str).collect();
    println!("{object}: {} bytes in region {}, under {}", found.bytes, found.region, packs.join(", "));
    println!("code {}; durability {}", found.profiles.join(", "), found.durability);
    let rows: Vec<Vec<String>> = found
        .shards
        .iter()
        .map(|shard| {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            vec![
                format!("{}/{}/{}", shard.part, shard.segment, shard.shard),
                or_dash(shard.place.map(|place| place.to_string())),
                or_dash(shard.evidence.map(|grade| grade.number().to_string())),
                or_dash(shard.controller.as_ref().map(ToString::to_string)),
                or_dash(shard.operator.as_ref().map(ToString::to_string)),
                shard.node.to_string(),
                shard.cid.to_string(),
            ]
        })
        .collect();
    table::print(&["PART/SEGMENT/SHARD", "PLACE", "GRADE", "CONTROLLER", "OPERATOR", "NODE", "CID"], &rows);
    println!("A grade says how a place is evidenced (0 declared .. 4 audited): no contradicting evidence is known.");
    Ok(())
}
