//! What a node remembers of a gateway's log, so that a rollback or a fork is found.
//!
//! A node sees a checkpoint with every ticket. It keeps the one with the most entries; its owner writes the text down.
//! Two checkpoints of one size with different roots are a proof of a fork on the spot; everything else is found by
//! `audit verify`, which holds the log against what nodes have seen.

use std::sync::Arc;

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::note::VerifierKey;

/// The largest checkpoint that was seen of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointMemory {
    largest: Option<Arc<SignedCheckpoint>>,
}

/// What an observation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Larger than anything before: write the memory down.
    Larger,
    /// Known, or older.
    Nothing,
    /// The same size with another root, both signed: the log was forked. Keep both, and report.
    Fork {
        /// What was seen before.
        before: Arc<SignedCheckpoint>,
    },
}

impl CheckpointMemory {
    /// Reads what was written down; it must be signed by the log.
    pub fn parse(text: &str, log: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint = SignedCheckpoint::parse(text)?;
        checkpoint.verify(log)?;
        Ok(Self { largest: Some(Arc::new(checkpoint)) })
    }

    /// Takes note of a checkpoint whose signature was verified (that of a `VerifiedTicket`).
    pub fn observe(&mut self, checkpoint: &Arc<SignedCheckpoint>) -> Observation {
        match &self.largest {
            Some(before) if before.size() == checkpoint.size() && before.root() != checkpoint.root() => {
                Observation::Fork { before: Arc::clone(before) }
            }
            Some(before) if before.size() >= checkpoint.size() => Observation::Nothing,
            _ => {
                self.largest = Some(Arc::clone(checkpoint));
                Observation::Larger
            }
        }
    }

    /// The largest checkpoint seen. Its text (`to_string`) is what to write down.
    #[must_use]
    pub const fn largest(&self) -> Option<&Arc<SignedCheckpoint>> {
        self.largest.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::super::checkpoint::Checkpoint;
    use super::super::note::{KeyName, NoteSigner};
    use super::super::tree::TreeHash;
    use super::*;

    #[test]
    fn the_largest_is_kept_and_a_second_root_of_its_size_is_a_fork() {
        let origin = KeyName::parse("domicile.example/cn").unwrap();
        let signer = NoteSigner::from_identity(origin.clone(), &IdentityKey::from_seed(&[1; 32]));
        let checkpoint = |size, leaf: &[u8]| {
            let root = TreeHash::of_leaf(leaf);
            Arc::new(Checkpoint { origin: origin.clone(), size, root }.sign(&signer))
        };
        let mut memory = CheckpointMemory::default();
        assert_eq!(memory.observe(&checkpoint(5, b"a")), Observation::Larger);
        assert_eq!(memory.observe(&checkpoint(3, b"b")), Observation::Nothing);
        assert_eq!(memory.observe(&checkpoint(5, b"a")), Observation::Nothing);
        assert_eq!(memory.observe(&checkpoint(5, b"c")), Observation::Fork { before: checkpoint(5, b"a") });
        assert_eq!(memory.observe(&checkpoint(9, b"d")), Observation::Larger);
        let text = memory.largest().unwrap().to_string();
        assert_eq!(CheckpointMemory::parse(&text, signer.verifier()), Ok(memory));
    }
}
