//! Receipts: what a node signs after it stored, served or deleted.

use std::fmt;

use domicile_types::{DataId, IdentityKey, NodeId, ShardCid, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::LeafHash;
use crate::signed::{self, SignedTextError};

/// What the node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptVerb {
    /// The shard is durable on the node's disk.
    Stored,
    /// The bytes were handed to the connection. Issued before the body leaves: an upper bound of what arrived.
    Served,
    /// The data id's claim on the shard is gone; the bytes too, if no other data id claims them.
    Deleted,
    /// A range of the shard was handed out with the hashes that lead to its name.
    Proved,
}

impl fmt::Display for ReceiptVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "stored",
            Self::Served => "served",
            Self::Deleted => "deleted",
            Self::Proved => "proved",
        })
    }
}

/// One thing that a node did, under one ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Format version: 1.
    pub v: u8,
    /// What was done.
    pub verb: ReceiptVerb,
    /// To which shard.
    pub cid: ShardCid,
    /// Under which data id.
    pub data: DataId,
    /// Shard bytes stored, served or deleted.
    pub bytes: u64,
    /// By whom: the signer.
    pub node: NodeId,
    /// Leaf hash of the intent whose ticket asked for it.
    pub ticket: LeafHash,
    /// When, by the node's clock.
    pub time: UnixMillis,
}

impl Receipt {
    /// The format version that this code writes.
    pub const VERSION: u8 = 1;
}

/// A [`Receipt`] with its node's signature, as text: the value of the header `domicile-receipt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt(String);

/// Why a receipt was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The text does not hold a receipt signed by the node it names.
    #[error("receipt is not valid")]
    Text(#[from] SignedTextError),
    /// A version that this code does not know.
    #[error("receipt has version {0}, known is 1")]
    Version(u8),
    /// It is a valid receipt of another node.
    #[error("receipt is {actual}'s, not {expected}'s")]
    OtherNode {
        /// Who was asked.
        expected: NodeId,
        /// Who signed.
        actual: NodeId,
    },
}

impl SignedReceipt {
    /// Separates a receipt's signature from every other use of the key.
    const DOMAIN: &str = "domicile/receipt/1";
    /// The longest text, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Signs `receipt`; `key` must be the key of `receipt.node`, or nobody will accept it.
    #[must_use]
    pub fn sign(receipt: &Receipt, key: &IdentityKey) -> Self {
        Self(signed::seal(Self::DOMAIN, key, receipt))
    }

    /// Wraps text from the wire. Nothing is known of it until [`SignedReceipt::verify`].
    #[must_use]
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The receipt, if `node` signed it.
    pub fn verify(&self, node: &NodeId) -> Result<Receipt, ReceiptError> {
        let receipt: Receipt = signed::open(Self::DOMAIN, &self.0, Self::BYTES_MAX, |receipt: &Receipt| receipt.node)?;
        if receipt.v != Receipt::VERSION {
            return Err(ReceiptError::Version(receipt.v));
        }
        if receipt.node != *node {
            return Err(ReceiptError::OtherNode { expected: *node, actual: receipt.node });
        }
        Ok(receipt)
    }
}

impl fmt::Display for SignedReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(key: &IdentityKey) -> Receipt {
        Receipt {
            v: Receipt::VERSION,
            verb: ReceiptVerb::Stored,
            cid: ShardCid::of(b"shard"),
            data: DataId::from_bytes([9; 16]),
            bytes: 1_049_600,
            node: key.id(),
            ticket: LeafHash::from_digest([4; 32]),
            time: UnixMillis(1_795_000_000_000),
        }
    }

    #[test]
    fn a_receipt_round_trips_within_its_size_limit() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let signed = SignedReceipt::sign(&Receipt { bytes: u64::MAX, ..receipt(&key) }, &key);
        assert!(signed.as_str().len() <= SignedReceipt::BYTES_MAX);
        let read = SignedReceipt::from_wire(signed.as_str()).verify(&key.id());
        assert_eq!(read, Ok(Receipt { bytes: u64::MAX, ..receipt(&key) }));
    }

    #[test]
    fn a_receipt_signed_by_another_key_is_refused() {
        let (key, other) = (IdentityKey::from_seed(&[1; 32]), IdentityKey::from_seed(&[2; 32]));
        let forged = SignedReceipt::sign(&receipt(&key), &other);
        let error = SignedTextError::BadSignature { signer: key.id() };
        assert_eq!(forged.verify(&key.id()), Err(ReceiptError::Text(error)));
    }

    #[test]
    fn another_nodes_receipt_is_not_taken_for_the_asked_nodes() {
        let (key, other) = (IdentityKey::from_seed(&[1; 32]), IdentityKey::from_seed(&[2; 32]));
        let signed = SignedReceipt::sign(&receipt(&other), &other);
        assert_eq!(signed.verify(&key.id()), Err(ReceiptError::OtherNode { expected: key.id(), actual: other.id() }));
    }

    #[test]
    fn a_future_version_is_refused() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let signed = SignedReceipt::sign(&Receipt { v: 2, ..receipt(&key) }, &key);
        assert_eq!(signed.verify(&key.id()), Err(ReceiptError::Version(2)));
    }
}
