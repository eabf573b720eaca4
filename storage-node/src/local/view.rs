//! What is shown, gathered once for the page, its JSON and the metrics.

use domicile_node_protocol::{NodeStatus, Notice, Statement};
use domicile_types::{NodeId, Party, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::accounting::{Account, Month, Owed, Terms};
use crate::database::DatabaseError;
use crate::node::Node;

/// Everything that the operator is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalView {
    /// When this was gathered.
    pub time: UnixMillis,
    /// Space, shards, requests, refusals.
    pub status: NodeStatus,
    /// The legal entity behind the operator.
    pub party: Party,
    /// What is paid, by the node's configuration.
    pub terms: Terms,
    /// How it stands with each gateway.
    pub gateways: Vec<GatewayView>,
}

/// How the node stands with one gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GatewayView {
    /// Which gateway.
    pub gateway: NodeId,
    /// The gateway's view of the node; none before the first.
    pub notice: Option<Notice>,
    /// The node's account of this month so far.
    pub account: Statement,
    /// What that comes to by the node's own count of what it knows to have failed.
    pub owed: Owed,
}

pub(super) fn of(node: &Node) -> Result<LocalView, DatabaseError> {
    let now = node.now();
    let month = Month::of(now);
    let status = node.status();
    let terms = node.terms().clone();
    let mut gateways = Vec::new();
    for gateway in node.gateways() {
        let notice = node.notices().of(&gateway)?;
        let tally = node.book().tally(gateway, month, now)?.unwrap_or_default();
        let account = Account { node: status.node, operator: status.operator.clone(), gateway, month };
        let account = tally.statement(&account, month.until(now));
        let failed = notice.iter().flat_map(|notice| &notice.failures).filter(|failed| Month::of(failed.time) == month);
        let failures = u64::try_from(failed.count()).unwrap_or(u64::MAX);
        let owed = terms.owed(account.byte_hours, account.served_bytes, failures);
        gateways.push(GatewayView { gateway, notice, account, owed });
    }
    Ok(LocalView { time: now, status, party: node.party().clone(), terms, gateways })
}
