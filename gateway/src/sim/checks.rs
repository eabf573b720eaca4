//! What must hold after every step, examined from outside: by what the observer knows, what lies on disks, and what rows name.
//!
//! Nothing here calls placement, the law's engine or the repair planner, and nothing here believes the gateway but its rows.
//!
//! - **I1**: when an object is acknowledged, each of its shards lies where the law of that moment lets it lie, no two of a
//!   segment with one node or controller; and no node is given anything after the gateway heard that it is abroad.
//! - **I3**: what was acknowledged stays as it is. Every shard that rows name is on its node's disk, unless chance destroyed it.
//! - **I8**: nothing is deleted that an acknowledged object counts on.

use std::collections::{BTreeMap, BTreeSet};

use domicile_storage_node::admission::Verb;
use domicile_types::{DataId, NodeId, ObjectKey, OperationKind, ShardCid, UnixMillis};

use super::law::Law;
use super::world::World;

/// What a law lets be done with a node of a company of SG, or of none.
type Lets = fn(Law, bool) -> bool;

/// A segment as rows name it.
pub(super) struct Named {
    pub(super) data: DataId,
    /// Of how many shards any so many give the segment back.
    pub(super) enough: usize,
    pub(super) shards: Vec<(ShardCid, NodeId)>,
}

impl World {
    /// Where rows say that the object's segments lie.
    pub(super) async fn named(&self, key: &str) -> Result<Vec<Named>, String> {
        let catalog = &self.handles.gateway.catalog;
        let gone = |error: crate::catalog::CatalogError| format!("I3: the rows of {key} are gone: {error}");
        let key = ObjectKey::parse(key).unwrap();
        let head = catalog.get_object(&self.bucket, &key).await.map_err(gone)?;
        let mut named = Vec::new();
        for span in catalog.spans(&head, 0..head.object.size).await.map_err(gone)? {
            for page in catalog.extent_pages(&span.extent, span.pages()).await.map_err(gone)? {
                for segment in page.segments {
                    let whole_copies = segment.len() != span.extent.profile.n();
                    let enough = if whole_copies { 1 } else { span.extent.profile.k() };
                    let shards = segment.iter().map(|shard| (shard.cid, shard.node)).collect();
                    named.push(Named { data: head.data, enough, shards });
                }
            }
        }
        Ok(named)
    }

    /// Whether the node may be given shards under `law` as `lets` reads it, by what the observer knows that the gateway was told: now, or at a
    /// time of this step.
    fn is_lawful(&self, node: &NodeId, law: Law, lets: Lets, at: Option<UnixMillis>) -> bool {
        let nodes = self.handles.nodes.lock();
        nodes.get(node).is_some_and(|known| {
            let later = |since: UnixMillis| at.is_none_or(|at| at > since);
            let of_another = known.sold.is_some_and(|sold| !later(sold)) && lets(law, !known.of_straits);
            let abroad = known.told_abroad.is_some_and(later);
            known.joined && !abroad && (lets(law, known.of_straits) || of_another)
        })
    }

    /// An object was acknowledged this moment.
    pub(super) async fn check_acknowledged(&self, key: &str) -> Result<(), String> {
        let law = self.handles.law.lock().law;
        for segment in self.named(key).await? {
            let holders: BTreeSet<&NodeId> = segment.shards.iter().map(|(_, node)| node).collect();
            if holders.len() != segment.shards.len() {
                return Err(format!("I1: a node holds two shards of a segment of {key}"));
            }
            for (_, node) in &segment.shards {
                if !self.is_lawful(node, law, Law::lets_store, None) {
                    let known = self.handles.nodes.lock().get(node).cloned();
                    return Err(format!("I1: {key} was acknowledged with a shard at {node} under {law:?}: {known:?}"));
                }
            }
        }
        Ok(())
    }

    /// Repair had its time, and nothing stood in its way: what is whole enough lies where the law lets it, if there is room.
    pub(super) async fn check_evacuated(&self) -> Result<(), String> {
        let law = self.handles.law.lock().law;
        for key in self.books.keys() {
            for segment in self.named(key).await? {
                let intact = segment
                    .shards
                    .iter()
                    .filter(|(cid, node)| self.handles.net.with(|net| net.serves(node, cid, &segment.data)));
                let able = self.ids.iter().filter(|node| self.is_lawful(node, law, Law::lets_keep, None)).count();
                if intact.count() < segment.shards.len() || able < segment.shards.len() {
                    continue;
                }
                let misplaced =
                    segment.shards.iter().find(|(_, node)| !self.is_lawful(node, law, Law::lets_keep, None));
                if let Some((cid, node)) = misplaced {
                    return Err(format!(
                        "I1: {cid} of {key} still lies at {node} under {law:?}, and there is room elsewhere"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether enough of every segment can be had now, from nodes that may hand it out.
    pub(super) async fn is_readable(&self, key: &str) -> bool {
        if !self.books.contains_key(key) || !self.handles.law.lock().law.lets_read() {
            return false;
        }
        let Ok(named) = self.named(key).await else { return false };
        let nodes = self.handles.nodes.lock();
        named.iter().all(|segment| {
            let served = segment.shards.iter().filter(|(cid, node)| {
                let at_home = nodes.get(node).is_some_and(|known| !known.abroad);
                at_home && self.handles.net.with(|net| net.serves(node, cid, &segment.data))
            });
            served.count() >= segment.enough
        })
    }

    /// What must hold between any two steps. `before` is the law that was in force when the step began.
    pub(super) async fn check(&self, before: Law) -> Result<(), String> {
        let mut counted_on: BTreeMap<(NodeId, ShardCid), (DataId, String)> = BTreeMap::new();
        for key in self.books.keys() {
            for segment in self.named(key).await? {
                for (cid, node) in segment.shards {
                    counted_on.insert((node, cid), (segment.data, key.clone()));
                }
            }
        }
        let (deeds, missing) = self.handles.net.with(|net| {
            let missing = counted_on.iter().find(|((node, cid), (data, _))| {
                let there = net.nodes[node].disk.get(cid).is_some_and(|kept| kept.claims.contains(data));
                !there && !net.destroyed.contains(&(*node, *cid))
            });
            let missing = missing.map(|((node, cid), (_, key))| format!("I3: {cid} of {key} is not at {node}"));
            (std::mem::take(&mut net.deeds), missing)
        });
        for deed in &deeds {
            let counted = counted_on.get(&(deed.node, deed.cid)).filter(|(data, _)| *data == deed.data);
            match (deed.verb, counted) {
                (Verb::Delete, Some((_, key))) => {
                    return Err(format!(
                        "I8: {:?} deleted {} at {}, which {key} counts on",
                        deed.operation, deed.cid, deed.node
                    ));
                }
                (Verb::Put, _) => {
                    let after = self.handles.law.lock().law;
                    let lets = if deed.operation == OperationKind::Repair { Law::lets_keep } else { Law::lets_store };
                    if ![before, after].iter().any(|law| self.is_lawful(&deed.node, *law, lets, Some(deed.at))) {
                        return Err(format!("I1: {:?} put a shard at {} under {after:?}", deed.operation, deed.node));
                    }
                }
                _ => {}
            }
        }
        missing.map_or(Ok(()), Err)
    }
}
