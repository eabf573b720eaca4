//! Proofs that an entry is in a log: <https://c2sp.org/tlog-proof>, version 1.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>                      not written here
//! index <decimal>
//! <base64 hash>                       none or more, from the leaf's sibling upwards
//!
//! <signed checkpoint>
//! ```

use std::fmt;
use std::sync::Arc;

use super::checkpoint::{CheckpointError, SignedCheckpoint, parse_decimal};
use super::note::VerifierKey;
use super::tree::{TreeHash, inclusion_holds};

/// The longest proof that is parsed, in bytes: 63 hashes of 45 bytes and a checkpoint of 16 short signatures are less.
pub const PROOF_BYTES_MAX: usize = 8 * 1024;
/// The most hashes in a path: a tree of fewer than 2^63 leaves has no more levels.
const PATH_HASHES_MAX: usize = 63;
/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// That a leaf is in a log, and under which checkpoint. Parsed, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// The leaf's index.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub path: Vec<TreeHash>,
    /// What it proves inclusion in.
    pub checkpoint: Arc<SignedCheckpoint>,
}

/// Why a proof cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Longer than this code reads.
    #[error("the proof has {bytes} bytes, more than {PROOF_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not of the form of a proof.
    #[error("not a tlog-proof: {rule}")]
    Malformed {
        /// What is missing.
        rule: &'static str,
    },
    /// The checkpoint is malformed, of another log, or not signed by it.
    #[error("the proof's checkpoint is not to be believed")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the leaf to the checkpoint's root.
    #[error("the entry is not entry {index} of the log of {size} entries that the checkpoint names")]
    NotIncluded {
        /// The index that the proof claims.
        index: u64,
        /// The checkpoint's size.
        size: u64,
    },
}

impl LogProof {
    /// Parses; checks the form only.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let malformed = |rule| ProofError::Malformed { rule };
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLong { bytes: text.len() });
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| malformed("it has no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| parse_decimal(line.strip_prefix("index ")?));
        let index = index.ok_or_else(|| malformed("it has no index line"))?;
        let path: Option<Vec<_>> = lines.map(TreeHash::parse).collect();
        let path = path.ok_or_else(|| malformed("a line of its path is not the base64 of 32 bytes"))?;
        if path.len() > PATH_HASHES_MAX {
            return Err(malformed("its path is longer than any tree is high"));
        }
        Ok(Self { index, path, checkpoint: Arc::new(SignedCheckpoint::parse(checkpoint)?) })
    }

    /// Whether `leaf` is in the log at the proof's index, by the log's own signature.
    pub fn verify(&self, leaf: &TreeHash, log: &VerifierKey) -> Result<(), ProofError> {
        self.checkpoint.verify(log)?;
        self.verify_inclusion(leaf)
    }

    /// Whether the path leads from `leaf` to the checkpoint's root. The signature is the caller's to check.
    pub fn verify_inclusion(&self, leaf: &TreeHash) -> Result<(), ProofError> {
        let (index, size) = (self.index, self.checkpoint.size());
        if inclusion_holds(leaf, index, size, &self.path, self.checkpoint.root()) {
            Ok(())
        } else {
            Err(ProofError::NotIncluded { index, size })
        }
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::super::checkpoint::Checkpoint;
    use super::super::note::{KeyName, NoteSigner};
    use super::super::tree::{EdgeTree, inclusion_path};
    use super::*;

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::from_identity(KeyName::parse("domicile.example/cn").unwrap(), &IdentityKey::from_seed(&[seed; 32]))
    }

    fn proof(index: u64) -> (LogProof, TreeHash) {
        let leaves: Vec<_> = (0..11u64).map(|i| TreeHash::of_leaf(&i.to_be_bytes())).collect();
        let mut tree = EdgeTree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let origin = KeyName::parse("domicile.example/cn").unwrap();
        let checkpoint = Checkpoint { origin, size: 11, root: tree.root() }.sign(&signer(1));
        let path = inclusion_path(index, 11, &tree).unwrap();
        (LogProof { index, path, checkpoint: Arc::new(checkpoint) }, leaves[usize::try_from(index).unwrap()])
    }

    #[test]
    fn a_proof_round_trips_and_verifies() {
        for index in 0..11 {
            let (proof, leaf) = proof(index);
            let parsed = LogProof::parse(&proof.to_string()).unwrap();
            assert_eq!(parsed, proof);
            assert_eq!(parsed.verify(&leaf, signer(1).verifier()), Ok(()));
        }
    }

    #[test]
    fn an_extra_line_is_skipped() {
        let (proof, leaf) = proof(3);
        let text = proof.to_string().replacen("\nindex", "\nextra AAAA\nindex", 1);
        assert_eq!(LogProof::parse(&text).unwrap().verify(&leaf, signer(1).verifier()), Ok(()));
    }

    #[test]
    fn another_leaf_index_root_or_key_is_refused() {
        let (good, leaf) = proof(3);
        assert!(matches!(
            good.verify(&TreeHash::of_leaf(b"other"), signer(1).verifier()),
            Err(ProofError::NotIncluded { index: 3, size: 11 })
        ));
        let moved = LogProof { index: 4, ..good.clone() };
        assert!(matches!(moved.verify(&leaf, signer(1).verifier()), Err(ProofError::NotIncluded { .. })));
        assert!(matches!(good.verify(&leaf, signer(2).verifier()), Err(ProofError::Checkpoint(_))));
    }

    #[test]
    fn malformed_proofs_are_refused() {
        let text = proof(3).0.to_string();
        for bad in [
            text.replace("@v1", "@v2"),
            text.replace("index 3", "index 03"),
            text.replace("index 3", "at 3"),
            text.replacen("\n\n", "\nAAAA\n\n", 1),
            text.replacen("\n\n", "\n", 1),
            text.replacen("\n\n", &format!("\n{}\n", format!("{}\n", TreeHash::of_nothing()).repeat(64)), 1),
            "x".repeat(PROOF_BYTES_MAX + 1),
        ] {
            assert!(LogProof::parse(&bad).is_err(), "{bad}");
        }
    }
}
