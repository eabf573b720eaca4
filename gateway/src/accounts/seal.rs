//! Secrets at rest and session tokens: XChaCha20-Poly1305 under keys that derive from the root key.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use zeroize::Zeroizing;

use crate::clock::Clock;

const NONCE_BYTES: usize = 24;
/// Random bytes of a secret access key: 40 characters, as Amazon's have.
const SECRET_BYTES: usize = 30;

/// The keys that seal.
pub struct Seals {
    at_rest: Zeroizing<[u8; 32]>,
    tokens: Zeroizing<[u8; 32]>,
    session_secrets: Zeroizing<[u8; 32]>,
    invitations: Zeroizing<[u8; 32]>,
    clock: Clock,
}

impl Seals {
    /// From the root key.
    #[must_use]
    pub fn derive(root: &[u8; 32], clock: Clock) -> Self {
        let key = |context| Zeroizing::new(blake3::derive_key(context, root));
        Self {
            at_rest: key("domicile 2026 access keys: secrets at rest"),
            tokens: key("domicile 2026 sessions: tokens"),
            session_secrets: key("domicile 2026 sessions: secrets"),
            invitations: key("domicile 2026 invitations of nodes"),
            clock,
        }
    }

    /// What seals invitations of nodes.
    pub(crate) fn invitations(&self) -> Zeroizing<[u8; 32]> {
        self.invitations.clone()
    }

    /// A fresh secret access key.
    pub(crate) fn new_secret(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(&self.clock.random::<SECRET_BYTES>()))
    }

    /// Seals the secret of a key; it opens for that key alone.
    pub(crate) fn seal_secret(&self, access_key: &str, secret: &str) -> Option<Vec<u8>> {
        seal(&self.at_rest, self.clock.random(), access_key.as_bytes(), secret.as_bytes())
    }

    pub(super) fn open_secret(&self, access_key: &str, sealed: &[u8]) -> Option<Zeroizing<String>> {
        String::from_utf8(open(&self.at_rest, access_key.as_bytes(), sealed)?).ok().map(Zeroizing::new)
    }

    /// Seals a session into its token, which goes with one key alone.
    pub(super) fn seal_token(&self, access_key: &str, session: &[u8]) -> Option<String> {
        let sealed = seal(&self.tokens, self.clock.random(), access_key.as_bytes(), session)?;
        Some(BASE64URL_NOPAD.encode(&sealed))
    }

    pub(super) fn open_token(&self, access_key: &str, token: &str) -> Option<Vec<u8>> {
        open(&self.tokens, access_key.as_bytes(), &BASE64URL_NOPAD.decode(token.as_bytes()).ok()?)
    }

    /// The secret of a session's key follows from the key: a gateway that never saw the session knows it.
    pub(super) fn session_secret(&self, access_key: &str) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        blake3::Hasher::new_keyed(&self.session_secrets).update(access_key.as_bytes()).finalize_xof().fill(&mut *bytes);
        Zeroizing::new(BASE64.encode(&*bytes))
    }
}

fn seal(key: &[u8; 32], nonce: [u8; NONCE_BYTES], bound_to: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let payload = Payload { msg: plain, aad: bound_to };
    let sealed = XChaCha20Poly1305::new(&Key::from(*key)).encrypt(&XNonce::from(nonce), payload).ok()?;
    Some([&nonce[..], &sealed].concat())
}

fn open(key: &[u8; 32], bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: sealed, aad: bound_to };
    XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), payload).ok()
}
