//! `domicile nodes`

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::views::NodeView;

pub(super) async fn run(args: &AdminArgs) -> anyhow::Result<()> {
    let nodes: Vec<NodeView> = Admin::find(args)?.get("/v1/nodes", &[]).await?;
    if args.json {
        return table::json(&nodes);
    }
    let gib = |bytes: Option<u64>| {
        bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{}.{:02}", bytes >> 30, (bytes % (1 << 30)) * 100 >> 30))
    };
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|node| {
            vec![
                node.place.to_string(),
                node.state.clone(),
                node.evidence.number().to_string(),
                node.controller.to_string(),
                node.operator.to_string(),
                node.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
                gib(node.free_bytes),
                gib(node.capacity_bytes),
                node.refused
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |refused| refused.values().sum::<u64>().to_string()),
                node.node.to_string(),
            ]
        })
        .collect();
    let head =
        ["PLACE", "STATE", "GRADE", "CONTROLLER", "OPERATOR", "ADDRESS", "FREE GIB", "OF GIB", "REFUSED", "NODE"];
    table::print(&head, &rows);
    Ok(())
}
