//! Cosignatures of witnesses: <https://c2sp.org/tlog-cosignature>, version 1, with Ed25519.
//!
//! A witness says: at this time, this was the largest checkpoint of that log that I had seen, and it grew from all that I had
//! seen before. What it signs is
//!
//! ```text
//! cosignature/v1
//! time <seconds since 1970>
//! <the checkpoint's text>
//! ```
//!
//! and the signature line of the note holds the time (u64, big-endian) and the signature.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use domicile_types::{IdentityKey, UnixMillis};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::note::{KeyName, NoteError, NoteSignature, SignedNote};

/// Signature type of timestamped Ed25519 cosignatures.
const TYPE_COSIGNATURE: u8 = 0x04;

/// The public key of a witness. Text form: `<name>+<key id>+<base64 of 0x04 and the key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: KeyName,
    key: VerifyingKey,
}

impl WitnessKey {
    /// The inverse of `Display`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            let (name, rest) = text.trim_end().split_once('+')?;
            let (key_id, key) = rest.split_once('+')?;
            let bytes = BASE64.decode(key.as_bytes()).ok()?;
            let key = bytes.strip_prefix(&[TYPE_COSIGNATURE])?.try_into().ok()?;
            let key = Self { name: KeyName::parse(name).ok()?, key: VerifyingKey::from_bytes(key).ok()? };
            (HEXLOWER.encode(&key.id()) == key_id).then_some(key)
        };
        parse().ok_or(NoteError::Key)
    }

    /// The witness's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, newline, type and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.name.as_str().as_bytes())
            .chain_update([b'\n', TYPE_COSIGNATURE])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// When this witness cosigned the note; in seconds since 1970. Lines of other keys are ignored.
    pub fn verify(&self, note: &SignedNote) -> Result<u64, NoteError> {
        let id = self.id();
        let own = note.signatures().iter().find(|line| line.name == self.name && line.key_id == id);
        let own = own.ok_or_else(|| NoteError::NotSigned { name: self.name.clone() })?;
        let forged = || NoteError::Forged { name: self.name.clone() };
        let (time, signature) = own.signature.split_first_chunk::<8>().ok_or_else(forged)?;
        let (time, signature) = (u64::from_be_bytes(*time), Signature::from_slice(signature).map_err(|_| forged())?);
        let holds = self.key.verify_strict(message(time, note.text()).as_bytes(), &signature).is_ok();
        if holds { Ok(time) } else { Err(forged()) }
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[TYPE_COSIGNATURE][..], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&bytes))
    }
}

/// The secret half of a [`WitnessKey`].
pub struct Cosigner {
    public: WitnessKey,
    key: SigningKey,
}

impl Cosigner {
    /// Cosigns as `name` with an identity key: what is signed begins with a line of its own.
    #[must_use]
    pub fn from_identity(name: KeyName, identity: &IdentityKey) -> Self {
        let key = identity.signing_key().clone();
        Self { public: WitnessKey { name, key: key.verifying_key() }, key }
    }

    /// The public half.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        &self.public
    }

    /// The signature line for a note.
    #[must_use]
    pub fn cosign(&self, note: &SignedNote, now: UnixMillis) -> NoteSignature {
        let time = now.0 / 1000;
        let signature = self.key.sign(message(time, note.text()).as_bytes()).to_bytes();
        NoteSignature {
            name: self.public.name.clone(),
            key_id: self.public.id(),
            signature: [&time.to_be_bytes()[..], &signature].concat(),
        }
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.public)
    }
}

fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Checkpoint;
    use super::super::note::NoteSigner;
    use super::super::tree::TreeHash;
    use super::*;

    fn cosigner(seed: u8) -> Cosigner {
        Cosigner::from_identity(KeyName::parse("witness.example/w1").unwrap(), &IdentityKey::from_seed(&[seed; 32]))
    }

    fn note(size: u64) -> SignedNote {
        let origin = KeyName::parse("domicile.example/cn").unwrap();
        let signer = NoteSigner::from_identity(origin.clone(), &IdentityKey::from_seed(&[1; 32]));
        Checkpoint { origin, size, root: TreeHash::of_leaf(b"x") }.sign(&signer).note().clone()
    }

    #[test]
    fn a_cosignature_holds_for_its_note_key_and_time_alone() {
        let cosigner = cosigner(2);
        let line = cosigner.cosign(&note(5), UnixMillis(1_790_000_000_500));
        let signed = note(5).with(line.clone());
        let signed = SignedNote::parse(&signed.to_string()).unwrap();
        assert_eq!(cosigner.key().verify(&signed), Ok(1_790_000_000));
        let key = WitnessKey::parse(&cosigner.key().to_string()).unwrap();
        assert_eq!(&key, cosigner.key());
        assert!(matches!(key.verify(&note(5)), Err(NoteError::NotSigned { .. })));
        assert!(matches!(key.verify(&note(6).with(line.clone())), Err(NoteError::Forged { .. })));
        let mut later = line;
        later.signature[7] ^= 1;
        assert!(matches!(key.verify(&note(5).with(later)), Err(NoteError::Forged { .. })));
        assert!(matches!(super::tests::cosigner(3).key().verify(&signed), Err(NoteError::NotSigned { .. })));
    }

    #[test]
    fn a_logs_key_is_no_witness_key() {
        let origin = KeyName::parse("domicile.example/cn").unwrap();
        let signer = NoteSigner::from_identity(origin, &IdentityKey::from_seed(&[1; 32]));
        assert_eq!(WitnessKey::parse(&signer.verifier().to_string()), Err(NoteError::Key));
    }
}
