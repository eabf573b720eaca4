//! Statements of account: what a node stored and served for one gateway in one month, signed by the node.

use domicile_types::{IdentityKey, NodeId, OperatorId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::signed::{self, SignedTextError};

/// A node's own account of a month. Both sides compute it from their receipts, and compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Format version: 1.
    pub v: u8,
    /// Whose account: the signer.
    pub node: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// For which gateway.
    pub gateway: NodeId,
    /// The month in UTC, `YYYY-MM`.
    pub month: String,
    /// Up to when: the month's end, or now while it lasts.
    pub until: UnixMillis,
    /// Shard bytes times milliseconds held within the month, in byte-hours, rounded down.
    pub byte_hours: u64,
    /// Shard bytes stored within the month.
    pub stored_bytes: u64,
    /// Shard bytes served within the month.
    pub served_bytes: u64,
    /// Shard bytes deleted within the month.
    pub deleted_bytes: u64,
    /// Challenges answered within the month.
    pub proofs: u64,
    /// Shard bytes held at `until`.
    pub held_bytes: u64,
}

impl Statement {
    /// The format version that this code writes.
    pub const VERSION: u8 = 1;
}

/// A [`Statement`] with its node's signature, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedStatement(String);

impl SignedStatement {
    const DOMAIN: &str = "domicile/statement/1";
    /// The longest text, in bytes.
    pub const BYTES_MAX: usize = 4 * 1024;

    /// Signs `statement`; `key` must be the key of `statement.node`.
    #[must_use]
    pub fn sign(statement: &Statement, key: &IdentityKey) -> Self {
        Self(signed::seal(Self::DOMAIN, key, statement))
    }

    /// Wraps text from the wire. Nothing is known of it until [`SignedStatement::verify`].
    #[must_use]
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The statement, if the node that it names signed it.
    pub fn verify(&self) -> Result<Statement, SignedTextError> {
        signed::open(Self::DOMAIN, &self.0, Self::BYTES_MAX, |statement: &Statement| statement.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_round_trips_and_a_changed_one_does_not() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let statement = Statement {
            v: Statement::VERSION,
            node: key.id(),
            operator: OperatorId::parse("operator-1").unwrap(),
            gateway: IdentityKey::from_seed(&[2; 32]).id(),
            month: "2026-11".to_owned(),
            until: UnixMillis(1_795_000_000_000),
            byte_hours: 1,
            stored_bytes: 2,
            served_bytes: 3,
            deleted_bytes: 4,
            proofs: 5,
            held_bytes: 6,
        };
        let signed = SignedStatement::sign(&statement, &key);
        assert_eq!(signed.verify(), Ok(statement.clone()));
        let other = Statement { node: IdentityKey::from_seed(&[3; 32]).id(), ..statement };
        assert!(SignedStatement::sign(&other, &key).verify().is_err());
    }
}
