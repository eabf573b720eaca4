//! What a witness does with a checkpoint that it is shown: <https://c2sp.org/tlog-witness>. Pure: what it keeps is the caller's
//! to write down, *before* the answer leaves.
//!
//! ```text
//! old <size>                          the size that the log thinks the witness has seen
//! <base64 hash>                       none or more: the proof that the tree grew from that one
//! <empty line>
//! <signed checkpoint>
//! ```

use std::fmt;

use super::checkpoint::{SignedCheckpoint, parse_decimal};
use super::note::VerifierKey;
use super::tree::{TreeHash, consistency_holds};

/// The most hashes of a consistency proof.
const PROOF_HASHES_MAX: usize = 63;

/// A request to cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is thought to have seen.
    pub old_size: u64,
    /// That the tree grew from there.
    pub proof: Vec<TreeHash>,
    /// The newer checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Parses the body of a request; checks the form only.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        let (head, checkpoint) = body.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old_size = parse_decimal(lines.next()?.strip_prefix("old ")?)?;
        let proof = lines.map(TreeHash::parse).collect::<Option<Vec<_>>>()?;
        if proof.len() > PROOF_HASHES_MAX {
            return None;
        }
        Some(Self { old_size, proof, checkpoint: SignedCheckpoint::parse(checkpoint).ok()? })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not signed by the log's key.
    #[error("the checkpoint is not signed by the key of the log that this witness knows")]
    Unsigned,
    /// The proof cannot be from where it says to where it says.
    #[error("the old size {old} is larger than the checkpoint's {size}")]
    Backwards {
        /// The size that was named.
        old: u64,
        /// The checkpoint's.
        size: u64,
    },
    /// The log does not know what the witness has seen, or goes back behind it.
    #[error("this witness has seen the log at {seen} entries")]
    OtherSize {
        /// What the witness has seen.
        seen: u64,
    },
    /// Two signed roots of one size.
    #[error("the log was forked: two signed checkpoints of {size} entries have different roots")]
    Forked {
        /// Of which size.
        size: u64,
    },
    /// The tree did not grow from the one that was seen.
    #[error("the proof does not lead from the {seen} entries that this witness has seen to {size}")]
    Inconsistent {
        /// What the witness has seen.
        seen: u64,
        /// What it was shown.
        size: u64,
    },
}

impl Refusal {
    /// The HTTP status of the specification.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Unsigned => 403,
            Self::Backwards { .. } => 400,
            Self::OtherSize { .. } | Self::Forked { .. } => 409,
            Self::Inconsistent { .. } => 422,
        }
    }

    /// Whether the two checkpoints, the one seen and the one shown, are proof that the log has two histories.
    #[must_use]
    pub const fn is_fork(&self) -> bool {
        matches!(self, Self::Forked { .. })
    }
}

/// Judges a request by what was seen of the log before. Where it returns well, what was shown is to be kept as seen, durably, and
/// then cosigned.
pub fn judge_checkpoint(
    seen: Option<&SignedCheckpoint>,
    log: &VerifierKey,
    shown: &AddCheckpoint,
) -> Result<(), Refusal> {
    let AddCheckpoint { old_size, proof, checkpoint } = shown;
    checkpoint.verify(log).map_err(|_| Refusal::Unsigned)?;
    let size = checkpoint.size();
    if *old_size > size {
        return Err(Refusal::Backwards { old: *old_size, size });
    }
    let nothing = TreeHash::of_nothing();
    let (seen_size, seen_root) = seen.map_or((0, &nothing), |seen| (seen.size(), seen.root()));
    if size == seen_size && checkpoint.root() != seen_root {
        return Err(Refusal::Forked { size });
    }
    if *old_size != seen_size {
        return Err(Refusal::OtherSize { seen: seen_size });
    }
    if consistency_holds(seen_size, seen_root, size, checkpoint.root(), proof) {
        Ok(())
    } else {
        Err(Refusal::Inconsistent { seen: seen_size, size })
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::super::checkpoint::Checkpoint;
    use super::super::note::{KeyName, NoteSigner};
    use super::super::tree::{EdgeTree, consistency_path};
    use super::*;

    fn signer() -> NoteSigner {
        NoteSigner::from_identity(KeyName::parse("domicile.example/cn").unwrap(), &IdentityKey::from_seed(&[1; 32]))
    }

    fn tree(size: u64, history: u8) -> EdgeTree {
        let mut tree = EdgeTree::default();
        (0..size).for_each(|n| tree.push(TreeHash::of_leaf(&[history, u8::try_from(n).unwrap()])));
        tree
    }

    fn checkpoint(size: u64, history: u8) -> SignedCheckpoint {
        let signer = signer();
        Checkpoint { origin: signer.verifier().name().clone(), size, root: tree(size, history).root() }.sign(&signer)
    }

    fn shown(old: u64, size: u64, history: u8) -> AddCheckpoint {
        let proof = consistency_path(old, size, &tree(size, history)).unwrap();
        let shown = AddCheckpoint { old_size: old, proof, checkpoint: checkpoint(size, history) };
        assert_eq!(AddCheckpoint::parse(&shown.to_string()).as_ref(), Some(&shown));
        shown
    }

    fn judged(seen: Option<u64>, shown: &AddCheckpoint) -> Result<(), Refusal> {
        let seen = seen.map(|size| checkpoint(size, 0));
        judge_checkpoint(seen.as_ref(), signer().verifier(), shown)
    }

    #[test]
    fn a_log_that_grows_is_cosigned_from_any_size() {
        assert_eq!(judged(None, &shown(0, 9, 0)), Ok(()));
        for seen in 1..20 {
            for size in seen..20 {
                assert_eq!(judged(Some(seen), &shown(seen, size, 0)), Ok(()), "{seen} {size}");
            }
        }
    }

    #[test]
    fn roll_backs_forks_and_broken_proofs_are_refused_by_name() {
        assert_eq!(judged(Some(9), &shown(5, 7, 0)), Err(Refusal::OtherSize { seen: 9 }));
        assert_eq!(judged(Some(9), &shown(0, 12, 0)), Err(Refusal::OtherSize { seen: 9 }));
        assert_eq!(judged(None, &shown(3, 12, 0)), Err(Refusal::OtherSize { seen: 0 }));
        assert_eq!(judged(Some(9), &shown(9, 9, 1)), Err(Refusal::Forked { size: 9 }));
        assert_eq!(judged(Some(9), &shown(9, 12, 1)), Err(Refusal::Inconsistent { seen: 9, size: 12 }));
        let longer = AddCheckpoint { old_size: 13, ..shown(9, 12, 0) };
        assert_eq!(judged(Some(9), &longer), Err(Refusal::Backwards { old: 13, size: 12 }));
        let mut extra = shown(9, 12, 0);
        extra.proof.push(TreeHash::of_nothing());
        assert_eq!(judged(Some(9), &extra), Err(Refusal::Inconsistent { seen: 9, size: 12 }));
        let other = NoteSigner::from_identity(signer().verifier().name().clone(), &IdentityKey::from_seed(&[2; 32]));
        assert_eq!(judge_checkpoint(None, other.verifier(), &shown(0, 9, 0)), Err(Refusal::Unsigned));
    }

    #[test]
    fn malformed_requests_are_no_requests() {
        let text = shown(9, 12, 0).to_string();
        for bad in [
            text.replacen("old 9", "old 09", 1),
            text.replacen("old 9", "new 9", 1),
            text.replacen("\n\n", "\nAAAA\n\n", 1),
            text.replacen("\n\n", "\n", 1),
            String::new(),
        ] {
            assert_eq!(AddCheckpoint::parse(&bad), None, "{bad}");
        }
    }
}
