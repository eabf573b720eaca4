//! Notices: each node is told how it stands, for its operator, whenever that changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domicile_node_protocol::{AuditFailure, Notice};
use domicile_placement::NodeState;
use domicile_types::{NodeId, UnixMillis};
use futures::future::join_all;

use super::standing::{Dispute, Patience, Settlement};
use super::{Directory, NodeClient, NodeStanding};
use crate::clock::Clock;

/// How often nodes are told again, or for the first time where they could not be reached.
const AGAIN: Duration = Duration::from_secs(60);
/// The least pause between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// What `standing` comes to for its operator.
#[must_use]
pub fn notice(gateway: NodeId, standing: &NodeStanding, now: UnixMillis, patience: &Patience) -> Notice {
    let judged = &standing.judged;
    let mut asks: Vec<String> =
        judged.reasons.iter().filter_map(|reason| Some(format!("{reason}: {}", reason.asks()?))).collect();
    asks.extend(standing.disputes.iter().map(|dispute| told(dispute)));
    Notice {
        gateway,
        time: now,
        state: name(standing.state),
        reasons: judged.reasons.iter().map(|reason| reason.name().to_owned()).collect(),
        place: standing.enrolled.place,
        evidence: standing.evidence,
        evidence_lines: standing.evidence_lines.clone(),
        score_basis_points: judged.score(now, patience),
        failures: judged.failures.iter().map(failure).collect(),
        asks,
    }
}

fn failure(failure: &super::standing::Failure) -> AuditFailure {
    AuditFailure {
        time: failure.time,
        shard: failure.cid.to_string(),
        reason: failure.fault.name().to_owned(),
        log_index: failure.log_index,
    }
}

fn told(dispute: &Dispute) -> String {
    let id = dispute.id.get(..8).unwrap_or_default();
    let answer = dispute.answer.as_deref().unwrap_or_default();
    match dispute.settlement {
        Settlement::Open => format!("dispute {id} is open"),
        Settlement::Upheld => format!("dispute {id} was upheld: {answer}"),
        Settlement::Dismissed => format!("dispute {id} was dismissed: {answer}"),
    }
}

/// The name of a state in JSON and on the wire: `read-only`.
#[must_use]
pub fn name(state: NodeState) -> String {
    let word = serde_json::to_value(state).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

/// Tells nodes until it is aborted. A node that does not take a notice is told again later: nothing depends on it.
pub(crate) async fn tell(
    gateway: NodeId,
    directory: Arc<Directory>,
    nodes: NodeClient,
    patience: Patience,
    clock: Clock,
) {
    let mut changes = directory.changes();
    let mut last: BTreeMap<NodeId, Notice> = BTreeMap::new();
    loop {
        let now = clock.now();
        let notices = directory.standings().into_iter().filter(|standing| standing.announced.is_some());
        let notices: Vec<(NodeId, Notice)> =
            notices.map(|it| (it.enrolled.id, notice(gateway, &it, now, &patience))).collect();
        let new = notices.into_iter().filter(|(node, notice)| {
            // The time and the last digits of a fading score are no news.
            last.get(node).is_none_or(|told| {
                let score = told.score_basis_points.abs_diff(notice.score_basis_points) < 100;
                *told != Notice { time: told.time, score_basis_points: told.score_basis_points, ..notice.clone() }
                    || !score
            })
        });
        let nodes = &nodes;
        let sent = new.map(|(node, notice)| async move {
            let taken = nodes.notice(node, &notice).await;
            (node, notice, taken)
        });
        for (node, notice, taken) in join_all(sent).await {
            match taken {
                Ok(()) => drop(last.insert(node, notice)),
                Err(error) => tracing::debug!(%node, %error, "a notice was not taken"),
            }
        }
        tokio::time::sleep(PAUSE).await;
        drop(tokio::time::timeout(AGAIN, changes.changed()).await);
    }
}
