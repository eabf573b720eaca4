//! Identities: one Ed25519 key per node or gateway, which is also its libp2p peer id.

use std::fmt;

use ::cid::multibase::{self, Base};
use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::ParseError;
use crate::parse::string_form;

/// What precedes the 32 key bytes in a peer id: identity multihash (0x00), 36 bytes, then the protobuf of libp2p's
/// `PublicKey { Type: Ed25519, Data: 32 bytes }` (libp2p specification "Peer Ids and Keys").
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
/// What precedes the multihash in the CIDv1 form of a peer id: version 1, codec libp2p-key (0x72).
const PEER_CID_PREFIX: [u8; 2] = [0x01, 0x72];

/// Who a node or gateway is: its Ed25519 public key. Text form: the libp2p peer id (`12D3KooW...`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// From the 32 bytes of an Ed25519 public key.
    #[must_use]
    pub const fn from_public_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The 32 bytes of the Ed25519 public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses a libp2p peer id of an Ed25519 key, in base58.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Base::Base58Btc
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.strip_prefix(&PEER_ID_PREFIX)?.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseError::new("peer id", text, "a libp2p peer id of an Ed25519 key (12D3KooW...)"))
    }

    /// The peer id as a DNS label: CIDv1, codec libp2p-key, base36 (62 characters, of 63 allowed). TLS names a peer by it.
    #[must_use]
    pub fn dns_label(&self) -> String {
        let bytes = [&PEER_CID_PREFIX[..], &PEER_ID_PREFIX, &self.0].concat();
        multibase::encode(Base::Base36Lower, bytes)
    }

    /// The inverse of [`NodeId::dns_label`].
    pub fn from_dns_label(label: &str) -> Result<Self, ParseError> {
        multibase::decode(label)
            .ok()
            .and_then(|(_, bytes)| bytes.strip_prefix(&PEER_CID_PREFIX)?.strip_prefix(&PEER_ID_PREFIX)?.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseError::new("peer label", label, "a base36 CIDv1 of a libp2p Ed25519 key (k51...)"))
    }

    /// Whether `signature` over `message` was made by this identity (strict verification: no weak keys).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(&signature.0)).is_ok())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base::Base58Btc.encode([&PEER_ID_PREFIX[..], &self.0].concat()))
    }
}

string_form!(NodeId);

/// The secret half of an identity. It never leaves the machine it was made on.
pub struct IdentityKey(SigningKey);

impl IdentityKey {
    /// From 32 bytes, which the caller drew at random or read from its identity file.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public identity.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` (Ed25519, RFC 8032). Callers prefix a domain string of their own.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        SignatureBytes(self.0.sign(message).to_bytes())
    }

    /// The key itself, for what must be derived from it: the TLS certificate and the libp2p key pair.
    #[must_use]
    pub const fn signing_key(&self) -> &SigningKey {
        &self.0
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKey({})", self.id())
    }
}

/// An Ed25519 signature. Text form: base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignatureBytes(pub [u8; 64]);

impl SignatureBytes {
    /// Parses 64 bytes of base64.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        BASE64
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseError::new("signature", text, "64 bytes in base64"))
    }
}

impl fmt::Display for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

string_form!(SignatureBytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_text_forms_round_trip_and_fit_a_dns_label() {
        let id = IdentityKey::from_seed(&[7; 32]).id();
        assert!(id.to_string().starts_with("12D3KooW"));
        assert_eq!(NodeId::parse(&id.to_string()), Ok(id));
        let label = id.dns_label();
        assert!(label.len() <= 63 && label.starts_with("k51"), "{label}");
        assert_eq!(NodeId::from_dns_label(&label), Ok(id));
    }

    #[test]
    fn a_signature_binds_message_and_key() {
        let key = IdentityKey::from_seed(&[7; 32]);
        let signature = key.sign(b"stored");
        assert!(key.id().verifies(b"stored", &signature));
        assert!(!key.id().verifies(b"served", &signature));
        assert!(!IdentityKey::from_seed(&[8; 32]).id().verifies(b"stored", &signature));
    }
}
