//! TLS between two identities: no certificate authority, no host names, no dates; each side pins the other's key.
//!
//! Both sides show a self-signed X.509 certificate over their Ed25519 identity key. The certificate is only an envelope:
//! what counts is its public key and the handshake signature made with it (the approach of libp2p's TLS handshake). The
//! client reads the key it must meet from the server name ([`server_name`]); the server learns which key it met. It meets
//! anybody who has one, because a ticket may name a worker that no list names: what a peer may do is judged behind the
//! handshake. TLS 1.3 only, AES-GCM first (aws-lc-rs), no session tickets: a resumed session would skip the key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_node_protocol::node_of_server_name;
use domicile_types::{IdentityKey, NodeId};
use ed25519_dalek::pkcs8::EncodePrivateKey;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig};
use rustls::{PeerMisbehaved, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

pub use domicile_node_protocol::server_name;

/// DER of an Ed25519 `SubjectPublicKeyInfo` up to the 32 key bytes (RFC 8410 section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// HTTP/1.1 only: one shard at a time per connection, many connections; measured faster than multiplexing shards.
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// Why an identity could not be made ready for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsIdentityError {
    /// The key could not be written as PKCS#8.
    #[error("cannot encode the identity key for TLS")]
    Key(#[from] ed25519_dalek::pkcs8::Error),
    /// The certificate could not be made.
    #[error("cannot make a certificate from the identity key")]
    Certificate(#[from] rcgen::Error),
    /// rustls refused the key, the certificate or the settings.
    #[error("cannot set up TLS")]
    Rustls(#[from] Error),
}

/// Who is enrolled with a server, and how often others were turned away.
#[derive(Debug, Default)]
pub struct EnrolledPeers {
    peers: BTreeSet<NodeId>,
    refused: AtomicU64,
}

impl EnrolledPeers {
    /// `peers` and nobody else.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = NodeId>) -> Arc<Self> {
        Arc::new(Self { peers: peers.into_iter().collect(), refused: AtomicU64::new(0) })
    }

    /// Whether `peer` is enrolled.
    #[must_use]
    pub fn contains(&self, peer: &NodeId) -> bool {
        self.peers.contains(peer)
    }

    /// Peers turned away since the start because they are not enrolled.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a peer that is turned away.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client that shows `key`'s certificate and meets only the key that each server name spells.
pub fn client_config(key: &IdentityKey) -> Result<ClientConfig, TlsIdentityError> {
    let provider = Arc::new(provider());
    let (certificate, private_key) = certificate(key)?;
    let verifier = PinnedServer { algorithms: provider.signature_verification_algorithms };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![certificate], private_key)?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    Ok(config)
}

/// A server that shows `key`'s certificate and meets every peer that has a key of its own.
pub fn server_config(key: &IdentityKey) -> Result<ServerConfig, TlsIdentityError> {
    let provider = Arc::new(provider());
    let (certificate, private_key) = certificate(key)?;
    let verifier = AnyIdentity { algorithms: provider.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], private_key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    Ok(config)
}

/// The identity in a peer's certificate. Whoever completed a handshake with it holds its key.
pub fn certificate_identity(certificate: &CertificateDer<'_>) -> Result<NodeId, Error> {
    let parsed = webpki::EndEntityCert::try_from(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let spki = parsed.subject_public_key_info();
    spki.strip_prefix(&ED25519_SPKI_PREFIX)
        .and_then(|key| key.try_into().ok())
        .map(NodeId::from_public_key)
        .ok_or(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
}

/// aws-lc-rs with the AES-GCM suites first: every machine worth a storage node has AES instructions.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256],
        ..aws_lc_rs::default_provider()
    }
}

/// A certificate over the identity key. It says nothing but the key, so its dates are rcgen's widest.
fn certificate(key: &IdentityKey) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsIdentityError> {
    let document = key.signing_key().to_pkcs8_der()?;
    let private_key = PrivatePkcs8KeyDer::from(document.as_bytes().to_vec());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&private_key, &rcgen::PKCS_ED25519)?;
    let parameters = rcgen::CertificateParams::new(vec![server_name(&key.id())])?;
    let certificate = parameters.self_signed(&pair)?;
    Ok((certificate.der().clone(), PrivateKeyDer::Pkcs8(private_key)))
}

/// The client's side: the server must hold the key that its name spells.
#[derive(Debug)]
struct PinnedServer {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let expected = node_of_server_name(&server_name.to_str())
            .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
        if certificate_identity(end_entity)? == expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// The server's side: the client must hold a key.
#[derive(Debug)]
struct AnyIdentity {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyIdentity {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        certificate_identity(end_entity).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Unreachable through our configurations, which offer TLS 1.3 only.
fn only_tls_1_3() -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, ServerConnection};

    use super::*;

    fn key(seed: u8) -> IdentityKey {
        IdentityKey::from_seed(&[seed; 32])
    }

    /// Runs both ends in memory; the server's connection when both agree, else the first error.
    fn handshake(client: ClientConfig, server: ServerConfig, name: &str) -> Result<ServerConnection, Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(server)
    }

    #[test]
    fn two_identities_meet_over_aes_gcm_and_know_each_other() {
        let (gateway, node) = (key(1), key(2));
        let server = server_config(&node).unwrap();
        let met = handshake(client_config(&gateway).unwrap(), server, &server_name(&node.id())).unwrap();
        let peer = certificate_identity(&met.peer_certificates().unwrap()[0]).unwrap();
        assert_eq!(peer, gateway.id());
        assert_eq!(met.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        let suite = met.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    }

    #[test]
    fn a_client_refuses_a_server_with_another_key_than_its_name_spells() {
        let (gateway, node, expected) = (key(1), key(2), key(3));
        let server = server_config(&node).unwrap();
        let met = handshake(client_config(&gateway).unwrap(), server, &server_name(&expected.id()));
        assert_eq!(met.err(), Some(Error::InvalidCertificate(CertificateError::NotValidForName)));
    }

    #[test]
    fn a_client_refuses_a_server_name_that_spells_no_key() {
        let (gateway, node) = (key(1), key(2));
        let server = server_config(&node).unwrap();
        let met = handshake(client_config(&gateway).unwrap(), server, "node-1.example.com");
        assert_eq!(met.err(), Some(Error::InvalidCertificate(CertificateError::NotValidForName)));
    }

    #[test]
    fn a_server_refuses_a_client_without_a_certificate() {
        let node = key(2);
        let server = server_config(&node).unwrap();
        let provider = Arc::new(provider());
        let verifier = PinnedServer { algorithms: provider.signature_verification_algorithms };
        let anonymous = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        assert!(handshake(anonymous, server, &server_name(&node.id())).is_err());
    }

    /// Shows one identity's certificate, signs with another's key.
    #[derive(Debug)]
    struct Impostor(Arc<rustls::sign::CertifiedKey>);

    impl rustls::client::ResolvesClientCert for Impostor {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_server_refuses_a_copied_certificate_without_its_key() {
        let (gateway, thief, node) = (key(1), key(4), key(2));
        let server = server_config(&node).unwrap();
        let (certificate, _) = certificate(&gateway).unwrap();
        let (_, thiefs_key) = super::certificate(&thief).unwrap();
        let signer = aws_lc_rs::sign::any_supported_type(&thiefs_key).unwrap();
        let mut client = client_config(&thief).unwrap();
        let stolen = rustls::sign::CertifiedKey::new(vec![certificate], signer);
        client.client_auth_cert_resolver = Arc::new(Impostor(Arc::new(stolen)));
        let met = handshake(client, server, &server_name(&node.id()));
        assert_eq!(met.err(), Some(Error::InvalidCertificate(CertificateError::BadSignature)));
    }
}
