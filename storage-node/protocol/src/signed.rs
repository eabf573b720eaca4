//! One envelope for everything that a node signs.
//!
//! ```text
//! signed text  = base64url(statement) "." base64url(signature)      both without padding
//! statement    = compact JSON, fields in declared order             one valid encoding: it is written again and compared
//! signature    = Ed25519 over domain "\n" statement                 the domain keeps one kind from passing for another
//! ```

use data_encoding::BASE64URL_NOPAD;
use domicile_types::{IdentityKey, NodeId, SignatureBytes};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a signed text was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedTextError {
    /// Longer than its kind may be.
    #[error("signed text of {bytes} bytes is longer than the {bytes_max} allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Not two base64url parts with a full stop between them.
    #[error("signed text is not base64url, a full stop, and base64url")]
    NotAnEnvelope,
    /// The statement is not JSON of its kind.
    #[error("signed statement does not parse: {0}")]
    NotAStatement(String),
    /// The statement is not written in the one valid encoding.
    #[error("signed statement is not in its canonical encoding")]
    NotCanonical,
    /// The key that the statement names did not sign it.
    #[error("the signature is not {signer}'s")]
    BadSignature {
        /// Who should have signed.
        signer: NodeId,
    },
}

/// Signs `statement` under `domain`. Empty only if the statement cannot be written as JSON, which no type here allows.
pub(crate) fn seal<T: Serialize>(domain: &str, key: &IdentityKey, statement: &T) -> String {
    let payload = serde_json::to_vec(statement).unwrap_or_default();
    let signature = key.sign(&message(domain, &payload));
    format!("{}.{}", BASE64URL_NOPAD.encode(&payload), BASE64URL_NOPAD.encode(&signature.0))
}

/// Opens a signed text: size, envelope, statement, canonical form, signature, in this order.
pub(crate) fn open<T: Serialize + DeserializeOwned>(
    domain: &str,
    text: &str,
    bytes_max: usize,
    signer: impl Fn(&T) -> NodeId,
) -> Result<T, SignedTextError> {
    if text.len() > bytes_max {
        return Err(SignedTextError::TooLong { bytes: text.len(), bytes_max });
    }
    let (payload, signature) = split(text).ok_or(SignedTextError::NotAnEnvelope)?;
    let statement: T =
        serde_json::from_slice(&payload).map_err(|error| SignedTextError::NotAStatement(error.to_string()))?;
    if serde_json::to_vec(&statement).ok().as_deref() != Some(payload.as_slice()) {
        return Err(SignedTextError::NotCanonical);
    }
    let signer = signer(&statement);
    if signer.verifies(&message(domain, &payload), &signature) {
        Ok(statement)
    } else {
        Err(SignedTextError::BadSignature { signer })
    }
}

fn split(text: &str) -> Option<(Vec<u8>, SignatureBytes)> {
    let (payload, signature) = text.split_once('.')?;
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?.try_into().ok()?;
    Some((payload, SignatureBytes(signature)))
}

fn message(domain: &str, payload: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), b"\n", payload].concat()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Statement {
        node: NodeId,
        bytes: u64,
    }

    fn open_statement(domain: &str, text: &str) -> Result<Statement, SignedTextError> {
        open(domain, text, 1024, |statement: &Statement| statement.node)
    }

    #[test]
    fn a_statement_opens_only_under_the_domain_it_was_signed_for() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let statement = Statement { node: key.id(), bytes: u64::MAX };
        let text = seal("domicile/one", &key, &statement);
        assert_eq!(open_statement("domicile/one", &text), Ok(statement));
        assert_eq!(open_statement("domicile/two", &text), Err(SignedTextError::BadSignature { signer: key.id() }));
    }

    #[test]
    fn a_statement_in_another_spelling_is_refused_although_its_signature_holds() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let payload = format!("{{\"bytes\":1, \"node\":\"{}\"}}", key.id());
        let signature = key.sign(&message("domicile/one", payload.as_bytes()));
        let text = format!("{}.{}", BASE64URL_NOPAD.encode(payload.as_bytes()), BASE64URL_NOPAD.encode(&signature.0));
        assert_eq!(open_statement("domicile/one", &text), Err(SignedTextError::NotCanonical));
    }

    #[test]
    fn any_changed_character_is_refused() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let text = seal("domicile/one", &key, &Statement { node: key.id(), bytes: 7 });
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert!(open_statement("domicile/one", &tampered).is_err(), "character {at}");
        }
    }

    #[test]
    fn an_overlong_text_is_refused_before_it_is_decoded() {
        let text = "A".repeat(1025);
        assert_eq!(
            open_statement("domicile/one", &text),
            Err(SignedTextError::TooLong { bytes: 1025, bytes_max: 1024 })
        );
    }
}
