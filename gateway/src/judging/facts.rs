//! What is known of nodes is part of what is judged by: when it changes, nothing commits that was judged before.
//!
//! A node is fenced by its state, at once. This is about what was being stored at that moment, and what lies there already.

use std::collections::BTreeMap;
use std::time::Duration;

use domicile_placement::{NodeRecord, NodeState, Roster};
use domicile_types::{NodeId, RequestId};

use super::Law;
use crate::admin::with_causes;
use crate::catalog::{CatalogError, Stamp};
use crate::objects::Gateway;

/// How often it is looked without being told of a change: evidence of a place lapses by itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// By node, a hash of what the law is told of it, of who controls it, and of whether it is fenced.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<NodeId, [u8; 32]>);

impl Facts {
    /// What is known now.
    pub(crate) fn of(roster: &Roster) -> Self {
        let hash = |record: &NodeRecord| {
            let fenced = record.state == NodeState::Quarantined;
            let told = serde_json::to_vec(&(record.facts(), &record.controller, fenced)).unwrap_or_default();
            *blake3::hash(&told).as_bytes()
        };
        Self(roster.iter().map(|record| (record.node, hash(record))).collect())
    }

    /// Takes in what is known now. Whether anything is known differently than before; a node that is new makes nothing unlawful
    /// that lies elsewhere.
    fn take_in(&mut self, now: Self) -> bool {
        let changed = now.0.iter().any(|(node, facts)| self.0.get(node).is_some_and(|before| before != facts));
        // A node that is not heard of for a while is remembered: it may come back as another.
        self.0.extend(now.0);
        changed
    }
}

/// Looks whenever something changes, until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let mut known = Facts::of(&gateway.directory.roster());
    let mut changes = gateway.directory.changes();
    loop {
        drop(tokio::time::timeout(LOOK_INTERVAL, changes.changed()).await);
        if let Err(error) = look(&gateway, &mut known).await {
            tracing::warn!(error = with_causes(&error), "a change of the fleet could not be stored: tried again");
        }
    }
}

/// Raises the epoch if what is known of some node is not what it was. Whether it is not.
pub(crate) async fn look(gateway: &Gateway, known: &mut Facts) -> Result<bool, CatalogError> {
    let now = Facts::of(&gateway.directory.roster());
    let mut next = Facts(known.0.clone());
    let changed = next.take_in(now);
    if changed {
        gateway.nodes_changed().await?;
    }
    *known = next;
    Ok(changed)
}

impl Gateway {
    /// What is known of nodes changed: nothing commits that was judged before.
    async fn nodes_changed(&self) -> Result<(), CatalogError> {
        let change = self.judging.change().await;
        let stamp = Stamp { now: self.clock.now(), request: RequestId::from_bytes(self.clock.random()) };
        let epoch = self.catalog.advance_judging(stamp, None).await?;
        let lawbook = self.judging.lawbook();
        change.put_in_force(Law { epoch, lawbook });
        tracing::info!(epoch = epoch.0, "what is known of nodes changed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(of: &[(u8, u8)]) -> Facts {
        Facts(of.iter().map(|(node, facts)| (NodeId::from_public_key([*node; 32]), [*facts; 32])).collect())
    }

    #[test]
    fn a_node_that_is_new_or_not_heard_of_is_no_change_and_one_that_comes_back_as_another_is() {
        let mut known = facts(&[(1, 1), (2, 1)]);
        assert!(!known.take_in(facts(&[(1, 1), (2, 1), (3, 1)])));
        assert!(!known.take_in(facts(&[(1, 1)])));
        assert!(known.take_in(facts(&[(1, 1), (3, 2)])));
        assert!(known.take_in(facts(&[(2, 2)])));
        assert!(!known.take_in(facts(&[(1, 1), (2, 2), (3, 2)])));
    }
}
