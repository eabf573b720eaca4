//! The log against what nodes witnessed of it.
//!
//! A node acts on nothing but a ticket, which is an entry of this gateway's log, and keeps it. So two things cannot be unless
//! somebody lies or a log was set back: a ticket that the log has no such entry for, and an entry by which bytes moved that
//! no node knows of. Either is an incident, logged once.

mod compare;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use domicile_compliance::audit::ReadError;
use domicile_node_protocol::LeafHash;
use domicile_types::{NodeId, RequestId, UnixMillis};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use self::compare::{Fault, Window};
use crate::admin::with_causes;
use crate::objects::Gateway;

/// How often new entries are looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// Entries that one round looks at.
const ENTRIES_AT_ONCE: u64 = 20_000;
/// How far back a gateway looks that has just started.
const LOOKED_BACK: u64 = 50_000;
/// How long after its ticket ended an entry is looked at: its outcome is written by then.
const MARGIN_MILLIS: u64 = 30_000;
/// How long it waits for nodes that do not answer, before it goes on without them; and how far back it asks for witnesses:
/// nodes keep tickets for longer.
const PATIENCE_MILLIS: u64 = 24 * 3_600_000;

/// How far it has come.
#[derive(Debug, Default)]
pub(crate) struct Reconciliation(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    next: Option<u64>,
    told: BTreeSet<(Fault, Option<NodeId>, u64)>,
}

/// What a round came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reconciled {
    /// The first entry that was looked at.
    pub from: u64,
    /// The first that was not.
    pub to: u64,
    /// Nodes that told of their tickets.
    pub nodes: u64,
    /// Nodes that did not answer: what they witnessed is looked at when they do.
    #[schemars(with = "Vec<String>")]
    pub silent: Vec<NodeId>,
    /// Tickets that were looked at.
    pub tickets: u64,
    /// What does not agree.
    pub faults: Vec<Disagreement>,
}

/// Something that the log and a node do not agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Disagreement {
    /// The incident's name.
    pub what: String,
    /// The entry's index, as the log or the node's ticket says it.
    pub index: u64,
    /// The node whose ticket it is.
    #[schemars(with = "Option<String>")]
    pub node: Option<NodeId>,
}

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        match reconcile(&gateway, None).await {
            Ok(round) if round.faults.is_empty() => {}
            Ok(round) => tracing::error!(faults = round.faults.len(), "the log and its witnesses do not agree"),
            Err(error) => tracing::warn!(error = with_causes(&error), "the log could not be held against tickets"),
        }
    }
}

/// One round: from where the last one ended, or from the entry `from`.
pub(crate) async fn reconcile(gateway: &Gateway, from: Option<u64>) -> Result<Reconciled, ReadError> {
    let mut progress = gateway.reconciliation.0.lock().await;
    let len = gateway.log.len();
    let from = from.or(progress.next).unwrap_or_else(|| len.saturating_sub(LOOKED_BACK));
    let now = gateway.clock.now();
    let settled =
        UnixMillis(now.0.saturating_sub(gateway.config.limits.ticket_seconds.saturating_mul(1_000) + MARGIN_MILLIS));
    let (window, to, oldest) = read_window(gateway, from, settled).await?;
    let mut round = Reconciled { from, to, nodes: 0, silent: Vec::new(), tickets: 0, faults: Vec::new() };
    let enrolled = gateway.directory.enrolled();
    let asked = enrolled.keys().map(|node| async { (*node, tickets_of(gateway, *node, from).await) });
    let mut seen = BTreeSet::new();
    let mut found: Vec<(Fault, Option<NodeId>, u64)> = Vec::new();
    for (node, tickets) in join_all(asked).await {
        let Some(tickets) = tickets else {
            round.silent.push(node);
            continue;
        };
        round.nodes += 1;
        for ticket in tickets {
            round.tickets += 1;
            seen.insert(ticket.index);
            // What was logged since the round began is looked at in the next.
            if let Some(fault) = window.examine(&ticket, gateway.log.len()) {
                found.push((fault, Some(node), ticket.index));
            }
        }
    }
    let since = UnixMillis(now.0.saturating_sub(PATIENCE_MILLIS));
    let waited = oldest.is_some_and(|oldest| now.millis_since(oldest) > PATIENCE_MILLIS);
    let complete = round.silent.is_empty();
    if complete {
        found.extend(
            window
                .unseen(&seen, since)
                .into_iter()
                .filter(|index| *index < to)
                .map(|index| (Fault::Unseen, None, index)),
        );
    }
    if complete || waited {
        progress.next = Some(progress.next.unwrap_or(from).max(to));
    } else {
        progress.next.get_or_insert(from);
    }
    for (fault, node, index) in found {
        if progress.told.insert((fault, node, index)) {
            let request = window.request(index).unwrap_or(RequestId::from_bytes([0; 16]));
            drop(gateway.log.incident(request, fault.name(), node, None));
        }
        round.faults.push(Disagreement { what: fault.name().to_owned(), index, node });
    }
    Ok(round)
}

/// Entries from `from` on; the first of them that is not settled; and when the first was made.
async fn read_window(
    gateway: &Gateway,
    from: u64,
    settled: UnixMillis,
) -> Result<(Window, u64, Option<UnixMillis>), ReadError> {
    let gateway = gateway.clone();
    let read = move || {
        let mut window = Window::default();
        let (mut to, mut oldest, mut is_open) = (from, None, true);
        let mut fault = None;
        let end = from.saturating_add(ENTRIES_AT_ONCE);
        gateway.log.entries(from..end, |stored| match stored.record() {
            Ok(record) => {
                window.add(stored.index, LeafHash::from_digest(*stored.leaf_hash.digest()), &record);
                oldest.get_or_insert(record.time);
                is_open &= record.time < settled;
                if is_open {
                    to = stored.index.saturating_add(1);
                }
                true
            }
            Err(error) => {
                fault = Some(error);
                false
            }
        })?;
        fault.map_or(Ok((window, to, oldest)), Err)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(window) => window,
        Err(_) => Ok((Window::default(), from, None)),
    }
}

/// The tickets that a node kept, of entries from `from` on. None: it does not answer.
async fn tickets_of(gateway: &Gateway, node: NodeId, from: u64) -> Option<Vec<domicile_node_protocol::KeptTicket>> {
    let mut tickets = Vec::new();
    let mut after = from.checked_sub(1);
    loop {
        let page = gateway.nodes.kept_tickets(node, after).await.ok()?;
        tickets.extend(page.tickets);
        match page.next {
            Some(next) if after.is_none_or(|after| next > after) => after = Some(next),
            // A page that leads nowhere is the last, whatever it says.
            _ => return Some(tickets),
        }
    }
}
