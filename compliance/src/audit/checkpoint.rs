//! Checkpoints: <https://c2sp.org/tlog-checkpoint>. A signed note that says how many entries a log has, and its root.
//!
//! ```text
//! <origin>
//! <size, decimal>
//! <root, base64>
//! <extension lines, none written here>
//!
//! — <origin> <signature>
//! ```

use std::fmt;

use super::note::{KeyName, NoteError, NoteSigner, SignedNote, VerifierKey};
use super::tree::TreeHash;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: KeyName,
    /// How many entries.
    pub size: u64,
    /// The root over all of them.
    pub root: TreeHash,
}

impl Checkpoint {
    /// Signs it with the log's key.
    #[must_use]
    pub fn sign(self, signer: &NoteSigner) -> SignedCheckpoint {
        let note = signer.sign(self.to_string());
        SignedCheckpoint { checkpoint: self, note }
    }

    fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let malformed = |rule| CheckpointError::Malformed { rule };
        let lines = text.strip_suffix('\n').ok_or_else(|| malformed("its last line does not end"))?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed("it has fewer than three lines"));
        };
        if lines.any(str::is_empty) {
            return Err(malformed("it has an empty extension line"));
        }
        let origin = KeyName::parse(origin)?;
        let size = parse_decimal(size).ok_or_else(|| malformed("its size is not a decimal number"))?;
        let root = TreeHash::parse(root).ok_or_else(|| malformed("its root is not the base64 of 32 bytes"))?;
        Ok(Self { origin, size, root })
    }
}

impl fmt::Display for Checkpoint {
    /// The note's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

/// A checkpoint with its signatures. Parsed, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

/// Why a checkpoint cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A note that is no checkpoint.
    #[error("not a checkpoint: {rule}")]
    Malformed {
        /// What is missing.
        rule: &'static str,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of the log {actual}, not of {expected}")]
    OtherLog {
        /// The log whose key it was checked with.
        expected: KeyName,
        /// Its origin line.
        actual: KeyName,
    },
}

impl SignedCheckpoint {
    /// Parses; checks the form only.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(note)?;
        Ok(Self { checkpoint: Checkpoint::parse_text(note.text())?, note })
    }

    /// What it says; to be believed only after [`SignedCheckpoint::verify`].
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many entries it says the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root it names.
    #[must_use]
    pub const fn root(&self) -> &TreeHash {
        &self.checkpoint.root
    }

    /// The note.
    #[must_use]
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Whether it is of the log `log` and signed by its key. A log's key bears the log's origin as its name.
    pub fn verify(&self, log: &VerifierKey) -> Result<(), CheckpointError> {
        if self.checkpoint.origin != *log.name() {
            return Err(CheckpointError::OtherLog {
                expected: log.name().clone(),
                actual: self.checkpoint.origin.clone(),
            });
        }
        Ok(log.verify(&self.note)?)
    }

    /// With the signature of another key added.
    #[must_use]
    pub fn signed_also_by(self, signer: &NoteSigner) -> Self {
        Self { note: self.note.signed_also_by(signer), ..self }
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// A decimal number in its one form: digits only, no leading zero.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    fn signer(origin: &str) -> NoteSigner {
        NoteSigner::from_identity(KeyName::parse(origin).unwrap(), &IdentityKey::from_seed(&[9; 32]))
    }

    fn checkpoint(origin: &str) -> Checkpoint {
        Checkpoint { origin: KeyName::parse(origin).unwrap(), size: 70_000, root: TreeHash::of_leaf(b"x") }
    }

    #[test]
    fn a_signed_checkpoint_round_trips_and_reads_in_the_crate_tlog_tiles() {
        let signer = signer("domicile.example/cn");
        let signed = checkpoint("domicile.example/cn").sign(&signer);
        let parsed = SignedCheckpoint::parse(&signed.to_string()).unwrap();
        assert_eq!(parsed, signed);
        assert_eq!(parsed.verify(signer.verifier()), Ok(()));
        let theirs = tlog_tiles::Checkpoint::from_bytes(parsed.note().text().as_bytes()).unwrap();
        assert_eq!((theirs.origin(), theirs.size()), ("domicile.example/cn", 70_000));
        assert_eq!(&theirs.hash().0, parsed.root().digest());
    }

    #[test]
    fn a_checkpoint_of_another_log_by_the_same_key_is_refused() {
        let signed = checkpoint("domicile.example/eu").sign(&signer("domicile.example/cn"));
        assert!(matches!(
            signed.verify(signer("domicile.example/cn").verifier()),
            Err(CheckpointError::OtherLog { .. })
        ));
    }

    #[test]
    fn texts_that_are_no_checkpoint_are_refused() {
        let signer = signer("domicile.example/cn");
        let root = TreeHash::of_nothing();
        for bad in [
            "o\n1\n".to_owned(),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("\n1\n{root}\n"),
            "o\n1\nAAAA\n".to_owned(),
        ] {
            let note = signer.sign(bad.clone()).to_string();
            assert!(SignedCheckpoint::parse(&note).is_err(), "{bad:?}");
        }
        let extended = signer.sign(format!("o\n1\n{root}\nextension\n")).to_string();
        assert!(SignedCheckpoint::parse(&extended).is_ok());
    }
}
