//! Repairs by a node in the gateway's stead: the gateway decides, logs and counts; the bytes never come to it.

use domicile_node_protocol::{ReceiptVerb, RepairJob, RepairShard, SignedReceipt};
use domicile_types::NodeId;

use super::bytes::{Job, Made};
use crate::fleet::Ticketed;
use crate::objects::Gateway;

/// Has `worker` fetch, rebuild and store. Only what the new holder itself has signed for counts as stored.
pub(super) async fn make_by(gateway: &Gateway, worker: NodeId, ticketed: &Ticketed, job: Job<'_>) -> Made {
    let place = |shard: u8, node: NodeId| {
        let at = job.shards.get(usize::from(shard))?;
        Some(RepairShard { shard, cid: at.cid, node, address: gateway.directory.address(&node)? })
    };
    let order = RepairJob {
        data: ticketed.data(),
        profile: job.profile,
        sources: job.sources.iter().filter_map(|held| place(held.shard, held.node)).collect(),
        targets: job.targets.iter().filter_map(|target| place(target.shard(), target.node())).collect(),
    };
    let done = match gateway.nodes.repair(worker, ticketed, &order).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(%worker, %error, "a node did not do a repair in the gateway's stead");
            return Made::default();
        }
    };
    for (node, fault) in &done.faults {
        tracing::warn!(%worker, %node, fault, "a source failed a repair");
    }
    let mut made = Made { stored: Vec::new(), fetched_bytes: done.fetched_bytes, stored_bytes: done.stored_bytes };
    for (asked, told) in order.targets.iter().zip(&done.shards) {
        let receipt = told.receipt.as_deref().map(SignedReceipt::from_wire);
        let signed = receipt.and_then(|receipt| receipt.verify(&asked.node).ok());
        let holds = signed.is_some_and(|receipt| {
            let holds = receipt.verb == ReceiptVerb::Stored && receipt.cid == asked.cid && receipt.data == order.data;
            if holds {
                gateway.nodes.tallies().note(&receipt);
            }
            holds
        });
        if holds && told.shard == asked.shard {
            made.stored.push(asked.shard);
        } else {
            tracing::warn!(%worker, node = %asked.node, fault = told.fault, "a repaired shard was not stored");
        }
    }
    made
}
