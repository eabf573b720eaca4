//! Continuation tokens: where a listing goes on, sealed, so that they show no names in URLs and proxies' logs and cannot
//! be made up.
//!
//! A token is base64url of nonce (24 bytes) and XChaCha20-Poly1305 ciphertext. The nonce is a keyed BLAKE3 of what is sealed
//! and what it is bound to (as in SIV, RFC 5297): equal tokens for equal places, and no nonce ever serves two texts.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::CatalogError;

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Resume {
    /// After this key.
    AfterKey(String),
    /// After every key that begins with this.
    AfterPrefix(String),
}

/// Longest token that is looked at: a sealed key of 1,024 bytes in base64, and some.
const TOKEN_BYTES_MAX: usize = 2_048;
const NONCE_BYTES: usize = 24;

/// Seals `resume` for the listing that `listing` describes (bucket, prefix, delimiter).
pub(super) fn seal(key: &[u8; 32], listing: &[u8], resume: &Resume) -> Result<String, CatalogError> {
    let failed = CatalogError::Inconsistent { what: "a continuation token that cannot be sealed" };
    let Ok(plain) = postcard::to_stdvec(resume) else { return Err(failed) };
    let nonce = synthetic_nonce(key, listing, &plain);
    let payload = Payload { msg: &plain, aad: listing };
    let Ok(sealed) = cipher(key).encrypt(&XNonce::from(nonce), payload) else { return Err(failed) };
    Ok(BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat()))
}

/// Opens a token that [`seal`] made for the same listing.
pub(super) fn open(key: &[u8; 32], listing: &[u8], token: &str) -> Result<Resume, CatalogError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(CatalogError::InvalidToken);
    }
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| CatalogError::InvalidToken)?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(CatalogError::InvalidToken)?;
    let payload = Payload { msg: sealed, aad: listing };
    let plain = cipher(key).decrypt(&XNonce::from(*nonce), payload).map_err(|_| CatalogError::InvalidToken)?;
    postcard::from_bytes(&plain).map_err(|_| CatalogError::InvalidToken)
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(blake3::derive_key("domicile 2026 continuation token: cipher", key)))
}

fn synthetic_nonce(key: &[u8; 32], listing: &[u8], plain: &[u8]) -> [u8; NONCE_BYTES] {
    let mut hash = blake3::Hasher::new_keyed(&blake3::derive_key("domicile 2026 continuation token: nonce", key));
    hash.update(&u64::try_from(listing.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(listing).update(plain);
    let mut nonce = [0; NONCE_BYTES];
    hash.finalize_xof().fill(&mut nonce);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_for_its_own_listing_only() -> Result<(), CatalogError> {
        let resume = Resume::AfterKey("patients/zhang-san.dcm".to_owned());
        let token = seal(&[7; 32], b"bucket a", &resume)?;
        assert_eq!(open(&[7; 32], b"bucket a", &token)?, resume);
        assert!(matches!(open(&[7; 32], b"bucket b", &token), Err(CatalogError::InvalidToken)));
        assert!(matches!(open(&[8; 32], b"bucket a", &token), Err(CatalogError::InvalidToken)));
        assert!(matches!(open(&[7; 32], b"bucket a", "patients"), Err(CatalogError::InvalidToken)));
        assert!(matches!(open(&[7; 32], b"bucket a", ""), Err(CatalogError::InvalidToken)));
        Ok(())
    }

    #[test]
    fn a_token_shows_no_name() -> Result<(), CatalogError> {
        let token = seal(&[7; 32], b"bucket", &Resume::AfterKey("zhang-san".to_owned()))?;
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"zhang"));
        Ok(())
    }
}
