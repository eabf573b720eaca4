//! Signed notes: <https://c2sp.org/signed-note>.
//!
//! ```text
//! <text, ending in a newline>
//! <empty line>
//! — <key name> base64(<4-byte key id> || <signature>)        one or more, 16 at the most
//! ```
//!
//! *In scope*: Ed25519 signatures (type 0x01). Lines of other types and of other keys are carried, and ignored when
//! verifying, as the specification asks. *Out of scope*: cosignatures (`cosign`).

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use domicile_types::{IdentityKey, NodeId};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The longest note that is parsed, in bytes.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// The most signature lines of a note. The specification asks for 16 at least.
pub const NOTE_SIGNATURES_MAX: usize = 16;
/// Signature type of Ed25519 over the note text.
const TYPE_ED25519: u8 = 0x01;
/// What a signature line starts with.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// The name of a key: not empty, without spaces and `+`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Parses 1 to 255 bytes without white space, control characters and `+`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let fits =
            (1..=255).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
        if fits { Ok(Self(text.to_owned())) } else { Err(NoteError::KeyName { name: text.chars().take(80).collect() }) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for KeyName {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: KeyName,
    /// The key's id.
    pub key_id: [u8; 4],
    /// What follows the key id.
    pub signature: Vec<u8>,
}

/// A text with signatures. Parsed, not verified: [`VerifierKey::verify`] says whether it may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// Why a note or key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than this code reads.
    #[error("the note has {bytes} bytes, more than {NOTE_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not of the form of a signed note.
    #[error("not a signed note: {rule}")]
    Malformed {
        /// What is missing.
        rule: &'static str,
    },
    /// Not a name for a key.
    #[error("key name {name:?} is not 1 to 255 bytes without white space and +")]
    KeyName {
        /// The name.
        name: String,
    },
    /// Not a verifier key.
    #[error("not an Ed25519 verifier key (<name>+<8 hex digits>+<base64>)")]
    Key,
    /// No line of the note is by the key.
    #[error("the note carries no signature of {name}")]
    NotSigned {
        /// The key that was looked for.
        name: KeyName,
    },
    /// A line claims the key, and the signature is not by it.
    #[error("the signature of {name} does not verify")]
    Forged {
        /// The key.
        name: KeyName,
    },
}

impl SignedNote {
    /// Parses a note; checks its form, not its signatures.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let malformed = |rule| NoteError::Malformed { rule };
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong { bytes: note.len() });
        }
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(malformed("it has a control character"));
        }
        let split = note.rfind("\n\n").ok_or_else(|| malformed("it has no empty line"))?;
        let (text, lines) = (note.get(..=split), note.get(split + 2..));
        let (Some(text), Some(lines)) = (text, lines) else { return Err(malformed("it has no empty line")) };
        let lines = lines.strip_suffix('\n').ok_or_else(|| malformed("its last line does not end"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(malformed("it has more than 16 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signed text, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line, as it is.
    #[must_use]
    pub fn with(mut self, line: NoteSignature) -> Self {
        self.signatures.push(line);
        self
    }

    /// Adds a signature by another key: a second key of the log while keys rotate, or a witness's.
    #[must_use]
    pub fn signed_also_by(mut self, signer: &NoteSigner) -> Self {
        self.signatures.push(signer.signature(&self.text));
        self
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl NoteSignature {
    /// Parses one line, without its line feed.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed { rule: "a signature line is not \u{2014} <name> <base64>" };
        let parts = line.strip_prefix(SIGNATURE_PREFIX).and_then(|rest| rest.split_once(' '));
        let Some((name, base64)) = parts else { return Err(malformed) };
        let Ok(bytes) = BASE64.decode(base64.as_bytes()) else { return Err(malformed) };
        let Some((key_id, signature)) = bytes.split_first_chunk::<4>() else { return Err(malformed) };
        Ok(Self { name: KeyName::parse(name)?, key_id: *key_id, signature: signature.to_owned() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.signature].concat();
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, BASE64.encode(&bytes))
    }
}

/// The public key of a signer of notes. Text form: `<name>+<key id>+<base64>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key of a gateway's log: the gateway's identity under the log's origin.
    pub fn of_identity(name: KeyName, gateway: &NodeId) -> Result<Self, NoteError> {
        let key = VerifyingKey::from_bytes(gateway.public_key()).map_err(|_| NoteError::Key)?;
        Ok(Self { name, key })
    }

    /// The inverse of `Display`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            let (name, rest) = text.trim_end().split_once('+')?;
            let (key_id, key) = rest.split_once('+')?;
            let bytes = BASE64.decode(key.as_bytes()).ok()?;
            let key = bytes.strip_prefix(&[TYPE_ED25519])?.try_into().ok()?;
            let key = Self { name: KeyName::parse(name).ok()?, key: VerifyingKey::from_bytes(key).ok()? };
            (HEXLOWER.encode(&key.id()) == key_id).then_some(key)
        };
        parse().ok_or(NoteError::Key)
    }

    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, newline, type and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.name.0.as_bytes())
            .chain_update([b'\n', TYPE_ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// Whether the note is signed by this key. Lines of other keys are ignored; a bad line of this one is not.
    pub fn verify(&self, note: &SignedNote) -> Result<(), NoteError> {
        let id = self.id();
        let mut own = note.signatures.iter().filter(|line| line.name == self.name && line.key_id == id).peekable();
        if own.peek().is_none() {
            return Err(NoteError::NotSigned { name: self.name.clone() });
        }
        let good = own.all(|line| {
            Signature::from_slice(&line.signature)
                .is_ok_and(|signature| self.key.verify_strict(note.text.as_bytes(), &signature).is_ok())
        });
        if good { Ok(()) } else { Err(NoteError::Forged { name: self.name.clone() }) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[TYPE_ED25519][..], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&bytes))
    }
}

/// The secret half of a [`VerifierKey`].
pub struct NoteSigner {
    verifier: VerifierKey,
    key_id: [u8; 4],
    key: SigningKey,
}

impl NoteSigner {
    /// Signs as `name` with a gateway's identity key. A note's text starts with its origin line, which no other message
    /// under the identity key does (TLS 1.3 starts with 64 spaces, receipts with their own domain).
    #[must_use]
    pub fn from_identity(name: KeyName, identity: &IdentityKey) -> Self {
        let key = identity.signing_key().clone();
        let verifier = VerifierKey { name, key: key.verifying_key() };
        Self { key_id: verifier.id(), verifier, key }
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs `text`, which must end in a newline.
    #[must_use]
    pub fn sign(&self, text: String) -> SignedNote {
        let signatures = vec![self.signature(&text)];
        SignedNote { text, signatures }
    }

    fn signature(&self, text: &str) -> NoteSignature {
        let signature = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        NoteSignature { name: self.verifier.name.clone(), key_id: self.key_id, signature }
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, section "Verifier keys".
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::from_identity(KeyName::parse("example.com/log").unwrap(), &IdentityKey::from_seed(&[seed; 32]))
    }

    #[test]
    fn the_example_of_the_specification_verifies_and_prints_the_same() {
        let key = VerifierKey::parse(KEY).unwrap();
        assert_eq!(key.to_string(), KEY);
        let note = SignedNote::parse(NOTE).unwrap();
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(key.verify(&note), Ok(()));
    }

    #[test]
    fn a_changed_text_is_forged_and_a_foreign_note_is_not_signed() {
        let key = VerifierKey::parse(KEY).unwrap();
        let note = SignedNote::parse(&NOTE.replace("example m", "Example m")).unwrap();
        assert_eq!(key.verify(&note), Err(NoteError::Forged { name: key.name().clone() }));
        assert_eq!(
            signer(1).verifier().verify(&note),
            Err(NoteError::NotSigned { name: KeyName::parse("example.com/log").unwrap() })
        );
    }

    #[test]
    fn several_signature_lines_each_verify_and_one_bad_line_of_a_known_key_is_refused() {
        let (first, second) = (signer(1), signer(2));
        let note = first.sign("text\n\nwith an empty line\n".to_owned()).signed_also_by(&second);
        let note = SignedNote::parse(&note.to_string()).unwrap();
        assert_eq!(first.verifier().verify(&note), Ok(()));
        assert_eq!(second.verifier().verify(&note), Ok(()));
        let mut bad = note;
        bad.signatures[1].signature[0] ^= 1;
        assert_eq!(first.verifier().verify(&bad), Ok(()));
        assert!(matches!(second.verifier().verify(&bad), Err(NoteError::Forged { .. })));
    }

    #[test]
    fn malformed_notes_are_refused() {
        for bad in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n\u{2014} name\n",
            "text\n\n\u{2014} name !!!!\n",
            "text\n\n\u{2014} name AAA=\n",
            "text\n\n- name AAAAAAAA\n",
            "te\u{7}xt\n\n\u{2014} name AAAAAAAA\n",
            "text\n\n\u{2014} na+me AAAAAAAA\n",
            "text\n\n\u{2014} name AAAAAAAA",
        ] {
            assert!(SignedNote::parse(bad).is_err(), "{bad:?}");
        }
        let many = format!("text\n\n{}", "\u{2014} name AAAAAAAA\n".repeat(17));
        assert!(SignedNote::parse(&many).is_err());
        assert!(matches!(SignedNote::parse(&"x".repeat(NOTE_BYTES_MAX + 1)), Err(NoteError::TooLong { .. })));
    }

    #[test]
    fn a_verifier_key_with_the_wrong_id_is_refused() {
        assert_eq!(VerifierKey::parse(&KEY.replace("530d903a", "530d903b")), Err(NoteError::Key));
    }
}
