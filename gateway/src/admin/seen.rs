//! What the nodes have seen of this gateway's log: they are its witnesses.

use domicile_compliance::audit::{SeenCheckpoint, SignedCheckpoint};
use futures::future::join_all;

use crate::objects::Gateway;

/// The largest checkpoint that each node has seen of this gateway's log. A node that does not answer is left out.
pub(super) async fn seen_by_nodes(gateway: &Gateway) -> Vec<SeenCheckpoint> {
    let enrolled = gateway.directory.enrolled();
    let asked = enrolled.keys().map(|node| async {
        let seen = gateway.nodes.checkpoints(*node).await.ok()?;
        let own = seen.checkpoints.into_iter().find(|seen| seen.gateway == gateway.identity)?;
        let checkpoint = SignedCheckpoint::parse(&own.note).ok()?;
        Some(SeenCheckpoint { by: node.to_string(), checkpoint })
    });
    join_all(asked).await.into_iter().flatten().collect()
}
