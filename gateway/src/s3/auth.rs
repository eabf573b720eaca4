//! Who asks, and from where: credentials, and what a request must not silently get.
//!
//! The protocol crate verifies SigV4 (header, presigned, chunked, trailer) before anything is routed; it asks here for the
//! secret. After it, [`Gate`] admits the request: known operation, known owner, nothing demanded that is not done.

use std::net::IpAddr;
use std::sync::Arc;

use domicile_compliance::client_address;
use domicile_types::{OperationKind, RequestId};
use http::{HeaderMap, Uri};
use ipnet::IpNet;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::journal::Witness;
use super::{chunks, encryption, error, operations, stated};
use crate::accounts::{Accounts, Unusable};
use crate::clock::Clock;
use crate::config::Config;
use crate::objects::{Caller, EncryptionClaims, Principal, Stated};

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

/// Access keys and their secrets, as the protocol asks for them.
#[derive(Clone)]
pub(super) struct Keyring(Accounts);

impl Keyring {
    pub(super) const fn new(accounts: Accounts) -> Self {
        Self(accounts)
    }

    /// Whether a request that names this key can be authentic.
    pub(super) fn knows(&self, access_key: &str) -> bool {
        self.0.knows(access_key)
    }

    /// The secret of that access key.
    pub(super) fn secret(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.0.secret(access_key, Clock.now()).map_err(unusable)?;
        Ok(SecretKey::from(secret.as_str()))
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

fn unusable(why: Unusable) -> S3Error {
    let code = match why {
        Unusable::Key => S3ErrorCode::InvalidAccessKeyId,
        Unusable::Token => S3ErrorCode::InvalidToken,
        Unusable::TokenExpired => S3ErrorCode::ExpiredToken,
    };
    S3Error::with_message(code, why.to_string())
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
    sse_c_over_http: bool,
}

impl Gate {
    pub(super) fn new(keyring: Keyring, config: &Config) -> Self {
        Self { keyring, trusted_proxies: config.trusted_proxies.clone(), sse_c_over_http: config.sse_c_over_http }
    }

    /// Admits a request: `signer` is whose signature was verified, `None` where there is none to verify.
    fn admit(
        &self,
        signer: Option<&Signer>,
        operation: &str,
        uri: &Uri,
        headers: &HeaderMap,
        arrival: Arrival,
    ) -> S3Result<Caller> {
        let kind = operations::operation_kind(operation).ok_or_else(|| error::not_implemented(operation))?;
        let principal = match signer {
            Some(signer) => self.principal(signer)?,
            None => nobody(kind, uri, headers)?,
        };
        refuse_demands(headers)?;
        refuse_long_documents(operation, headers)?;
        let encryption = encryption::claims(operation, headers, arrival.secure, self.sse_c_over_http)?;
        Ok(self.caller(principal, stated::stated(operation, uri, headers)?, encryption, headers, arrival))
    }

    /// Admits a request whose signature was verified, if it bears one: who asks, and for which operation.
    pub(super) fn verified(&self, request: &mut S3AccessContext<'_>) -> S3Result<(Caller, String)> {
        let access_key = request.credentials().map(|credentials| credentials.access_key.clone());
        let signer = access_key
            .map(|access_key| Signer { access_key, session_token: session_token(request.headers(), request.uri()) });
        if signer.is_some() {
            refuse_other_service(request.headers(), request.uri())?;
        }
        let arrival = request.extensions_mut().get::<Arrival>().copied();
        let arrival = arrival.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        let operation = request.s3_op().name().to_owned();
        let caller = self.admit(signer.as_ref(), &operation, request.uri(), request.headers(), arrival)?;
        Ok((caller, operation))
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
            Some(signer) => self.principal(signer)?,
            None => Principal::Anonymous,
        };
        refuse_demands(stated)?;
        let encryption = encryption::claims("PutObject", stated, arrival.secure, self.sse_c_over_http)?;
        let stated = stated::stated("PutObject", &Uri::from_static("/"), stated)?;
        Ok(self.caller(principal, stated, encryption, headers, arrival))
    }

    /// Admits a request to the token service.
    pub(super) fn admit_sts(&self, signer: &Signer, headers: &HeaderMap, arrival: Arrival) -> S3Result<Caller> {
        let stated = Stated::default();
        Ok(self.caller(self.principal(signer)?, stated, EncryptionClaims::default(), headers, arrival))
    }

    fn principal(&self, signer: &Signer) -> S3Result<Principal> {
        let holder = self.keyring.0.holder(&signer.access_key, signer.session_token.as_deref(), Clock.now());
        holder.map(Principal::Key).map_err(unusable)
    }

    fn caller(
        &self,
        principal: Principal,
        stated: Stated,
        encryption: EncryptionClaims,
        headers: &HeaderMap,
        arrival: Arrival,
    ) -> Caller {
        Caller {
            principal,
            is_gateway: false,
            stated: Arc::new(stated),
            encryption: Arc::new(encryption),
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
        let (caller, operation) = self.0.verified(request)?;
        if let Some(witness) = request.extensions_mut().get::<Arc<Witness>>() {
            witness.saw(&caller, &operation);
        }
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// The session token of a request: in a header, or in the query of a presigned link.
fn session_token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header =
        headers.get("x-amz-security-token").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    header.or_else(|| {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        pairs.into_iter().find(|(name, _)| name == "X-Amz-Security-Token").map(|(_, value)| value.into_owned())
    })
}

/// A signature for the token service is none for S3.
fn refuse_other_service(headers: &HeaderMap, uri: &Uri) -> S3Result<()> {
    let header = headers.get(http::header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let query = uri.query().unwrap_or_default();
    let of_query = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-Credential");
    let credential = header.map(|text| text.split("Credential=").nth(1).unwrap_or_default().to_owned());
    let credential = credential.or_else(|| of_query.map(|(_, value)| value.into_owned()));
    // access-key/date/region/service/aws4_request; an access key has no slash, as the signature's own parser demands.
    match credential.as_deref().and_then(|text| text.split('/').nth(3)) {
        Some("s3") | None => Ok(()),
        Some(_) => {
            Err(S3Error::with_message(S3ErrorCode::AccessDenied, "the signature is for another service than s3"))
        }
    }
}

/// The requester's address: the peer, or what trusted proxies say it is. `None` where a trusted proxy's word is malformed:
/// an unknown place, whose consequence is the law's business.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    // A value that is no text is as malformed as text that is no address.
    let words = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?"));
    client_address(peer.to_canonical(), words, trusted_proxies).ok()
}

/// A request that bears no signature is nobody's. Nobody has buckets, and nobody's policy lets strangers configure them. What
/// bears something like a signature that was not verified is not anonymous but refused.
fn nobody(kind: OperationKind, uri: &Uri, headers: &HeaderMap) -> S3Result<Principal> {
    let refused = |message| Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
    let query = uri.query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| {
        ["AWSAccessKeyId", "Signature"].contains(&name.as_ref()) || name.to_ascii_lowercase().starts_with("x-amz-")
    });
    if in_query || ["authorization", "x-amz-security-token"].iter().any(|name| headers.contains_key(*name)) {
        return refused("the request bears a signature of a kind that is not verified here");
    }
    let documents = !matches!(kind, OperationKind::PutObject | OperationKind::UploadPart);
    if documents && chunks::is_chunked(headers) {
        return Err(error::not_implemented("a document in chunks without a signature"));
    }
    match kind {
        OperationKind::ConfigureBucket
        | OperationKind::CreateBucket
        | OperationKind::DeleteBucket
        | OperationKind::ListBuckets => refused("this must be signed by a tenant's key"),
        _ => Ok(Principal::Anonymous),
    }
}

/// Headers by which a client demands protection that the gateway does not give, with the values that ask for
/// no more than what it always does. To take them and do nothing would be a lie.
const DEMANDS: &[(&str, &[&str], Demand)] = &[
    ("x-amz-storage-class", &["STANDARD"], Demand::StorageClass),
    ("x-amz-website-redirect-location", &[], Demand::Other("website redirection")),
    ("x-amz-write-offset-bytes", &[], Demand::Other("appending to objects")),
    ("x-amz-mfa", &[], Demand::Other("deletion with a second factor")),
];

#[derive(Clone, Copy)]
enum Demand {
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
    use crate::accounts::Seals;
    use crate::config::Credential;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn gate() -> Gate {
        let credential = Credential {
            tenant: domicile_types::TenantId::parse("a").unwrap(),
            access_key: "AKIDA".to_owned(),
            secret_key: "secret".to_owned(),
        };
        let accounts = Accounts::new(vec![credential], Seals::derive(&[7; 32], Clock));
        Gate {
            keyring: Keyring(accounts),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            sse_c_over_http: false,
        }
    }

    fn admit(operation: &str, headers: &HeaderMap) -> S3Result<Caller> {
        let arrival = Arrival {
            peer: Some("127.30.0.9".parse().unwrap()),
            secure: false,
            request: RequestId::from_bytes([1; 16]),
        };
        let signer = Signer { access_key: "AKIDA".to_owned(), session_token: None };
        gate().admit(Some(&signer), operation, &Uri::from_static("/b/k"), headers, arrival)
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
        assert_eq!(admit("PutBucketWebsite", &HeaderMap::new()).unwrap_err().code(), &S3ErrorCode::NotImplemented);
        assert!(admit("PutObject", &HeaderMap::new()).is_ok());
    }

    #[test]
    fn demands_that_would_be_ignored_are_refused() {
        for (name, value, code) in [("x-amz-storage-class", "GLACIER", S3ErrorCode::InvalidStorageClass)] {
            let refusal = admit("PutObject", &headers(&[(name, value)])).unwrap_err();
            assert_eq!(refusal.code(), &code, "{name}");
        }
        let public = admit("HeadObject", &headers(&[("x-amz-acl", "public-read")])).unwrap_err();
        assert_eq!(public.code(), &S3ErrorCode::AccessControlListNotSupported);
        for (name, value) in [("x-amz-acl", "public-read"), ("x-amz-server-side-encryption", "AES256")] {
            assert!(admit("PutObject", &headers(&[(name, value)])).is_ok(), "{name}");
        }
    }

    #[test]
    fn without_a_signature_a_request_is_nobodys_and_may_not_configure() {
        let arrival = Arrival { peer: None, secure: false, request: RequestId::from_bytes([1; 16]) };
        let admit = |operation: &str, uri: &'static str, pairs: &[(&'static str, &str)]| {
            gate().admit(None, operation, &Uri::from_static(uri), &headers(pairs), arrival)
        };
        assert_eq!(admit("GetObject", "/b/k?versionId=null", &[]).unwrap().principal, Principal::Anonymous);
        for (operation, uri, header) in [
            ("CreateBucket", "/b", None),
            ("DeleteBucket", "/b", None),
            ("ListBuckets", "/", None),
            ("PutBucketPolicy", "/b?policy", None),
            ("GetObject", "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1", None),
            ("GetObject", "/b/k?X-Amz-Credential=a", None),
            ("GetObject", "/b/k", Some(("authorization", "AWS a:b"))),
            ("GetObject", "/b/k", Some(("x-amz-security-token", "t"))),
        ] {
            let refusal = admit(operation, uri, header.as_slice()).unwrap_err();
            assert_eq!(refusal.code(), &S3ErrorCode::AccessDenied, "{operation} {uri}");
        }
        let chunked = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")];
        assert!(admit("PutObject", "/b/k", &chunked).is_ok());
        let document = admit("PutObjectTagging", "/b/k?tagging", &chunked).unwrap_err();
        assert_eq!(document.code(), &S3ErrorCode::NotImplemented);
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
