//! Who asks, and from where: credentials, and what a request must not silently get.
//!
//! The protocol crate verifies SigV4 (header, presigned, chunked, trailer) before anything is routed; it asks here for the
//! secret. After it, [`Gate`] admits the request: known operation, known owner, nothing demanded that is not done.

use std::net::IpAddr;
use std::sync::Arc;

use domicile_compliance::client_address;
use domicile_types::{RequestId, TenantId};
use http::HeaderMap;
use ipnet::IpNet;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};
use subtle::ConstantTimeEq as _;

use super::error;
use super::operations;
use crate::config::{Config, Credential};
use crate::objects::{Caller, KeyHolder, Principal};

/// What the listener knows of a request: travels with it as an extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The socket's peer.
    pub(super) peer: Option<IpAddr>,
    /// Whether it came over TLS.
    pub(super) secure: bool,
    /// The id given to the request.
    pub(super) request: RequestId,
}

/// The credentials of the configuration.
#[derive(Clone)]
pub(super) struct Keyring(Arc<Vec<Credential>>);

impl Keyring {
    pub(super) fn new(config: &Config) -> Self {
        Self(Arc::new(config.credentials.clone()))
    }

    /// The credential of that access key. Every key is compared, in a time that does not depend on where they differ.
    fn find(&self, access_key: &str) -> Option<&Credential> {
        self.0.iter().fold(None, |found, credential| {
            let same = bool::from(credential.access_key.as_bytes().ct_eq(access_key.as_bytes()));
            if same { Some(credential) } else { found }
        })
    }

    /// Whether there is such an access key.
    pub(super) fn knows(&self, access_key: &str) -> bool {
        self.find(access_key).is_some()
    }

    /// The secret of that access key.
    pub(super) fn secret(&self, access_key: &str) -> S3Result<SecretKey> {
        let found = self.find(access_key).ok_or_else(|| S3Error::new(S3ErrorCode::InvalidAccessKeyId))?;
        Ok(SecretKey::from(found.secret_key.as_str()))
    }

    fn tenant(&self, access_key: &str) -> Option<&TenantId> {
        self.find(access_key).map(|credential| &credential.tenant)
    }
}

#[async_trait::async_trait]
impl S3Auth for Keyring {
    /// S3 tells an unknown key (`InvalidAccessKeyId`) from a wrong secret (`SignatureDoesNotMatch`), so the answer itself
    /// says whether a key exists; access keys are names, not secrets.
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.secret(access_key)
    }
}

/// Whose signature a request bears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signer {
    pub(super) access_key: String,
    /// The session token that came along.
    pub(super) session_token: Option<String>,
}

/// Admits authenticated requests and makes their [`Caller`].
pub(super) struct Gate {
    keyring: Keyring,
    trusted_proxies: Vec<IpNet>,
}

impl Gate {
    pub(super) fn new(keyring: Keyring, config: &Config) -> Self {
        Self { keyring, trusted_proxies: config.trusted_proxies.clone() }
    }

    fn admit(&self, access_key: &str, operation: &str, headers: &HeaderMap, arrival: Arrival) -> S3Result<Caller> {
        if operations::operation_kind(operation).is_none() {
            return Err(error::not_implemented(operation));
        }
        let tenant = self.keyring.tenant(access_key).ok_or_else(|| S3Error::new(S3ErrorCode::AccessDenied))?;
        expected_owner(headers, tenant)?;
        refuse_demands(headers)?;
        refuse_long_documents(operation, headers)?;
        Ok(self.caller(self.principal(access_key)?, headers, arrival))
    }

    /// Admits a PutObject that came as a form: `stated` are the headers that its fields stand for, `headers` those of its
    /// request. A form that nobody signed is anonymous.
    pub(super) fn admit_form(
        &self,
        signer: Option<&Signer>,
        stated: &HeaderMap,
        headers: &HeaderMap,
        arrival: Arrival,
    ) -> S3Result<Caller> {
        let principal = match signer {
            Some(signer) => self.principal(&signer.access_key)?,
            None => Principal::Anonymous,
        };
        refuse_demands(stated)?;
        Ok(self.caller(principal, headers, arrival))
    }

    fn principal(&self, access_key: &str) -> S3Result<Principal> {
        let tenant = self.keyring.tenant(access_key).ok_or_else(|| S3Error::new(S3ErrorCode::AccessDenied))?;
        Ok(Principal::Key(KeyHolder { tenant: tenant.clone(), access_key: access_key.to_owned() }))
    }

    fn caller(&self, principal: Principal, headers: &HeaderMap, arrival: Arrival) -> Caller {
        Caller {
            principal,
            secure: arrival.secure,
            address: arrival.peer.and_then(|peer| address(peer, headers, &self.trusted_proxies)),
            request: arrival.request,
        }
    }
}

/// The gate as the protocol crate takes it.
pub(super) struct SharedGate(pub(super) Arc<Gate>);

#[async_trait::async_trait]
impl S3Access for SharedGate {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = request.credentials() else {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "requests must be signed: this gateway serves nobody anonymously",
            ));
        };
        let access_key = credentials.access_key.clone();
        let arrival = request.extensions_mut().get::<Arrival>().copied();
        let arrival = arrival.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        let caller = self.0.admit(&access_key, request.s3_op().name(), request.headers(), arrival)?;
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// The requester's address: the peer, or what trusted proxies say it is. `None` where a trusted proxy's word is malformed:
/// an unknown place, whose consequence is the law's business.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    // A value that is no text is as malformed as text that is no address.
    let words = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?"));
    client_address(peer.to_canonical(), words, trusted_proxies).ok()
}

/// `x-amz-expected-bucket-owner`: owners are tenants.
fn expected_owner(headers: &HeaderMap, tenant: &TenantId) -> S3Result<()> {
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        if headers.get_all(name).iter().any(|value| value.as_bytes() != tenant.as_str().as_bytes()) {
            return Err(S3Error::with_message(S3ErrorCode::AccessDenied, "the bucket has another owner than expected"));
        }
    }
    Ok(())
}

/// Headers by which a client demands protection or publicity that the gateway does not give, with the values that ask for
/// no more than what it always does. To take them and do nothing would be a lie.
const DEMANDS: &[(&str, &[&str], Demand)] = &[
    ("x-amz-acl", &["private", "bucket-owner-full-control", "bucket-owner-read"], Demand::Acl),
    ("x-amz-grant-full-control", &[], Demand::Acl),
    ("x-amz-grant-read", &[], Demand::Acl),
    ("x-amz-grant-read-acp", &[], Demand::Acl),
    ("x-amz-grant-write", &[], Demand::Acl),
    ("x-amz-grant-write-acp", &[], Demand::Acl),
    ("x-amz-storage-class", &["STANDARD"], Demand::StorageClass),
    // Every object is encrypted, with a key of its own.
    ("x-amz-server-side-encryption", &["AES256"], Demand::Other("encryption other than the gateway's own")),
    ("x-amz-server-side-encryption-customer-algorithm", &[], Demand::Other("encryption with customer-provided keys")),
    ("x-amz-server-side-encryption-customer-key", &[], Demand::Other("encryption with customer-provided keys")),
    ("x-amz-copy-source-server-side-encryption-customer-key", &[], Demand::Other("customer-provided keys")),
    ("x-amz-object-lock-mode", &[], Demand::Other("object lock")),
    ("x-amz-object-lock-retain-until-date", &[], Demand::Other("object lock")),
    ("x-amz-object-lock-legal-hold", &["OFF"], Demand::Other("object lock")),
    ("x-amz-bucket-object-lock-enabled", &["false", "False"], Demand::Other("object lock")),
    ("x-amz-website-redirect-location", &[], Demand::Other("website redirection")),
    ("x-amz-write-offset-bytes", &[], Demand::Other("appending to objects")),
    ("x-amz-mfa", &[], Demand::Other("deletion with a second factor")),
];

#[derive(Clone, Copy)]
enum Demand {
    Acl,
    StorageClass,
    Other(&'static str),
}

fn refuse_demands(headers: &HeaderMap) -> S3Result<()> {
    for (name, harmless, demand) in DEMANDS {
        // An empty value asks for nothing (s3fs sends an empty x-amz-acl).
        let harmful = |value: &http::HeaderValue| {
            !value.is_empty() && !harmless.iter().any(|text| value.as_bytes() == text.as_bytes())
        };
        if !headers.get_all(*name).iter().any(harmful) {
            continue;
        }
        return Err(match demand {
            Demand::Acl => S3Error::with_message(
                S3ErrorCode::AccessControlListNotSupported,
                "buckets and objects are private to their tenant; no access control list changes that",
            ),
            Demand::StorageClass => S3Error::new(S3ErrorCode::InvalidStorageClass),
            Demand::Other(what) => error::not_implemented(what),
        });
    }
    Ok(())
}

fn refuse_long_documents(operation: &str, headers: &HeaderMap) -> S3Result<()> {
    let declared = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared: Option<usize> = declared.and_then(|text| text.parse().ok());
    if !operations::streams_in(operation)
        && declared.is_some_and(|bytes| bytes > operations::document_bytes_max(operation))
    {
        return Err(S3Error::new(S3ErrorCode::MaxMessageLengthExceeded));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn gate() -> Gate {
        let credential = Credential {
            tenant: TenantId::parse("a").unwrap(),
            access_key: "AKIDA".to_owned(),
            secret_key: "secret".to_owned(),
        };
        Gate { keyring: Keyring(Arc::new(vec![credential])), trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()] }
    }

    fn admit(operation: &str, headers: &HeaderMap) -> S3Result<Caller> {
        let arrival = Arrival {
            peer: Some("127.30.0.9".parse().unwrap()),
            secure: false,
            request: RequestId::from_bytes([1; 16]),
        };
        gate().admit("AKIDA", operation, headers, arrival)
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let address = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            super::address(peer.parse().unwrap(), &headers, &trusted).map(|address| address.to_string())
        };
        assert_eq!(address("192.0.2.1", &["198.51.100.7"]).as_deref(), Some("192.0.2.1"), "spoofed by the client");
        assert_eq!(address("10.0.0.1", &["198.51.100.7"]).as_deref(), Some("198.51.100.7"));
        assert_eq!(address("10.0.0.1", &["203.0.113.5, 198.51.100.7, 10.9.9.9"]).as_deref(), Some("198.51.100.7"));
        assert_eq!(address("10.0.0.1", &["203.0.113.5", "198.51.100.7"]).as_deref(), Some("198.51.100.7"));
        assert_eq!(address("10.0.0.1", &[]).as_deref(), Some("10.0.0.1"));
        assert_eq!(address("10.0.0.1", &["not-an-address"]), None, "malformed: an unknown place");
        assert_eq!(address("::ffff:192.0.2.1", &[]).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn an_operation_that_is_not_served_is_refused_before_it_runs() {
        assert_eq!(admit("PutBucketPolicy", &HeaderMap::new()).unwrap_err().code(), &S3ErrorCode::NotImplemented);
        assert!(admit("PutObject", &HeaderMap::new()).is_ok());
    }

    #[test]
    fn demands_that_would_be_ignored_are_refused() {
        for (name, value, code) in [
            ("x-amz-acl", "public-read", S3ErrorCode::AccessControlListNotSupported),
            ("x-amz-grant-read", "uri=all", S3ErrorCode::AccessControlListNotSupported),
            ("x-amz-storage-class", "GLACIER", S3ErrorCode::InvalidStorageClass),
            ("x-amz-server-side-encryption", "aws:kms", S3ErrorCode::NotImplemented),
            ("x-amz-object-lock-mode", "COMPLIANCE", S3ErrorCode::NotImplemented),
        ] {
            let refusal = admit("PutObject", &headers(&[(name, value)])).unwrap_err();
            assert_eq!(refusal.code(), &code, "{name}");
        }
        for (name, value) in [("x-amz-acl", "private"), ("x-amz-server-side-encryption", "AES256")] {
            assert!(admit("PutObject", &headers(&[(name, value)])).is_ok(), "{name}");
        }
    }

    #[test]
    fn another_owner_than_expected_is_refused() {
        let wrong = admit("GetObject", &headers(&[("x-amz-expected-bucket-owner", "b")])).unwrap_err();
        assert_eq!(wrong.code(), &S3ErrorCode::AccessDenied);
        assert!(admit("GetObject", &headers(&[("x-amz-expected-bucket-owner", "a")])).is_ok());
    }

    #[test]
    fn documents_have_a_length_that_depends_on_the_operation() {
        let two_mebibytes = headers(&[("content-length", "2097152")]);
        let refusal = admit("PutObjectTagging", &two_mebibytes).unwrap_err();
        assert_eq!(refusal.code(), &S3ErrorCode::MaxMessageLengthExceeded);
        assert!(admit("CompleteMultipartUpload", &two_mebibytes).is_ok());
        assert!(admit("PutObject", &two_mebibytes).is_ok());
    }

    #[test]
    fn unknown_access_keys_are_not_found() {
        let keyring = gate().keyring;
        assert!(keyring.knows("AKIDA") && !keyring.knows("AKIDB") && !keyring.knows(""));
    }
}
