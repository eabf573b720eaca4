//! Which checkpoints of each gateway's log were seen: a second root for a known size proves a fork.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domicile_compliance::audit::{CheckpointMemory, Observation, SignedCheckpoint};
use domicile_node_protocol::CheckpointSeen;
use domicile_types::NodeId;

use crate::admission::Gateways;
use crate::database::{Change, Database, DatabaseError, Table};

/// Sizes whose roots are remembered per gateway; the smallest go first. 40 bytes each.
const SIZES_REMEMBERED_MAX: usize = 65_536;

/// The memory of every enrolled gateway's log.
pub(super) struct Memories {
    database: Arc<Database>,
    largest: BTreeMap<NodeId, CheckpointMemory>,
    roots: HashMap<NodeId, BTreeMap<u64, [u8; 32]>>,
}

/// Whether a checkpoint agrees with what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Consistent,
    Forked,
}

impl Memories {
    pub(super) fn open(database: Arc<Database>, gateways: &Gateways) -> Result<Self, DatabaseError> {
        let mut memories = Self { database, largest: BTreeMap::new(), roots: HashMap::new() };
        for (gateway, log) in gateways.iter() {
            let mut roots = BTreeMap::new();
            for (key, value) in memories.database.scan(Table::Checkpoints, gateway.public_key())? {
                let size = key.get(gateway.public_key().len()..).unwrap_or_default();
                if size.is_empty() {
                    let text = std::str::from_utf8(&value).map_err(|_| Table::Checkpoints.bad_row())?;
                    match CheckpointMemory::parse(text, log) {
                        Ok(memory) => drop(memories.largest.insert(gateway, memory)),
                        // Another origin under the same identity: another log, of which nothing was seen.
                        Err(error) => tracing::warn!(%gateway, %error, "a remembered checkpoint is not of this log"),
                    }
                    continue;
                }
                let size = size.try_into().map(u64::from_be_bytes).map_err(|_| Table::Checkpoints.bad_row())?;
                roots.insert(size, (*value).try_into().map_err(|_| Table::Checkpoints.bad_row())?);
            }
            memories.roots.insert(gateway, roots);
        }
        Ok(memories)
    }

    /// Takes note of a checkpoint whose signature was verified. On a fork both checkpoints are kept.
    pub(super) fn observe(
        &mut self,
        gateway: NodeId,
        checkpoint: &Arc<SignedCheckpoint>,
        changes: &mut Vec<Change>,
    ) -> Result<Seen, DatabaseError> {
        let (size, root) = (checkpoint.size(), *checkpoint.root().digest());
        let roots = self.roots.entry(gateway).or_default();
        match roots.get(&size) {
            Some(known) if *known == root => return Ok(Seen::Consistent),
            Some(_) => {
                let key = [&gateway.public_key()[..], b"/fork"].concat();
                self.database.put(Table::Meta, &key, checkpoint.to_string().as_bytes())?;
                return Ok(Seen::Forked);
            }
            None => {}
        }
        let observation = self.largest.entry(gateway).or_default().observe(checkpoint);
        match observation {
            Observation::Fork { .. } => return Ok(Seen::Forked),
            Observation::Larger => {
                let value = checkpoint.to_string().into_bytes();
                changes.push(change(gateway.public_key().to_vec(), Some(value)));
            }
            Observation::Nothing => {}
        }
        roots.insert(size, root);
        changes.push(change(size_key(&gateway, size), Some(root.to_vec())));
        if roots.len() > SIZES_REMEMBERED_MAX
            && let Some((smallest, _)) = roots.pop_first()
        {
            changes.push(change(size_key(&gateway, smallest), None));
        }
        Ok(Seen::Consistent)
    }

    pub(super) fn largest(&self) -> Vec<CheckpointSeen> {
        let seen = |(gateway, memory): (&NodeId, &CheckpointMemory)| {
            let checkpoint = memory.largest()?;
            Some(CheckpointSeen {
                gateway: *gateway,
                origin: checkpoint.checkpoint().origin.to_string(),
                size: checkpoint.size(),
                root: data_encoding::HEXLOWER.encode(checkpoint.root().digest()),
                note: checkpoint.to_string(),
            })
        };
        self.largest.iter().filter_map(seen).collect()
    }
}

fn change(key: Vec<u8>, value: Option<Vec<u8>>) -> Change {
    Change { table: Table::Checkpoints, key, value }
}

fn size_key(gateway: &NodeId, size: u64) -> Vec<u8> {
    [&gateway.public_key()[..], &size.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use domicile_compliance::audit::{Checkpoint, KeyName, NoteSigner, TreeHash};
    use domicile_types::{IdentityKey, UnixMillis};

    use super::*;
    use crate::admission::EnrolledGateway;

    #[test]
    fn a_second_root_for_any_size_ever_seen_is_a_fork_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let key = IdentityKey::from_seed(&[1; 32]);
        let origin = KeyName::parse("domicile.example/cn").unwrap();
        let signer = NoteSigner::from_identity(origin.clone(), &key);
        let gateways =
            Gateways::new([EnrolledGateway { id: key.id(), origin: origin.clone() }], UnixMillis(0)).unwrap();
        let checkpoint = |size, leaf: &[u8]| {
            Arc::new(Checkpoint { origin: origin.clone(), size, root: TreeHash::of_leaf(leaf) }.sign(&signer))
        };
        let observe = |memories: &mut Memories, seen: &Arc<SignedCheckpoint>| {
            let mut changes = Vec::new();
            let result = memories.observe(key.id(), seen, &mut changes).unwrap();
            memories.database.write(&changes).unwrap();
            result
        };
        {
            let database = Arc::new(Database::open(directory.path(), true).unwrap());
            let mut memories = Memories::open(database, &gateways).unwrap();
            assert_eq!(observe(&mut memories, &checkpoint(5, b"a")), Seen::Consistent);
            assert_eq!(observe(&mut memories, &checkpoint(9, b"b")), Seen::Consistent);
            assert_eq!(observe(&mut memories, &checkpoint(7, b"c")), Seen::Consistent);
            assert_eq!(observe(&mut memories, &checkpoint(5, b"x")), Seen::Forked);
        }
        let database = Arc::new(Database::open(directory.path(), false).unwrap());
        let mut memories = Memories::open(database, &gateways).unwrap();
        assert_eq!(observe(&mut memories, &checkpoint(5, b"a")), Seen::Consistent);
        assert_eq!(observe(&mut memories, &checkpoint(7, b"x")), Seen::Forked);
        assert_eq!(observe(&mut memories, &checkpoint(9, b"x")), Seen::Forked);
        let largest = memories.largest();
        assert_eq!(largest.len(), 1);
        assert_eq!((largest[0].size, largest[0].note.clone()), (9, checkpoint(9, b"b").to_string()));
    }
}
