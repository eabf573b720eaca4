//! Headers about encryption: what requests say, and what answers tell.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result};
use zeroize::Zeroizing;

use super::checksum::text_header;
use super::error::not_implemented;
use crate::objects::{Caller, CustomerClaims, Encryption, EncryptionClaims, SSE_KMS, SSE_S3};

const ALGORITHM: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const CUSTOMER_ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const CUSTOMER_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

/// The headers of a customer's key, for the object itself and for the source of a copy: algorithm, key, digest.
const CUSTOMER: [&str; 3] = [CUSTOMER_ALGORITHM, "x-amz-server-side-encryption-customer-key", CUSTOMER_MD5];
const SOURCE: [&str; 3] = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];

/// Operations that read, for which S3 refuses to be told how to encrypt.
const READS: [&str; 3] = ["GetObject", "GetObjectAttributes", "HeadObject"];

/// What a request says of encryption. Its form is checked here; whether it holds together, by whoever acts on it, because
/// whether the caller may act at all comes first.
///
/// # Errors
/// What S3 refuses whoever asks: telling a read how to encrypt, and sending a customer's key where others can read it, unless
/// `over_http` allows that or the connection is `secure`.
pub(super) fn claims(
    operation: &str,
    headers: &HeaderMap,
    secure: bool,
    over_http: bool,
) -> S3Result<EncryptionClaims> {
    let text = |name: &str| text_header(headers, name).filter(|text| !text.is_empty()).map(str::to_owned);
    let customer = |[algorithm, key, md5]: [&str; 3]| CustomerClaims {
        algorithm: text(algorithm),
        key: text(key).map(Zeroizing::new),
        md5: text(md5),
    };
    let claims = EncryptionClaims {
        algorithm: text(ALGORITHM),
        kms_key: text(KMS_KEY),
        bucket_key: text(BUCKET_KEY).map(|value| value.eq_ignore_ascii_case("true")),
        customer: customer(CUSTOMER),
        source: customer(SOURCE),
    };
    let brings_keys = claims.customer.are_made() || claims.source.are_made();
    if brings_keys && !secure && !over_http {
        return Err(S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "customer-provided encryption keys must come over a secure connection: use the TLS endpoint",
        ));
    }
    if READS.contains(&operation) && (claims.algorithm.is_some() || claims.kms_key.is_some()) {
        let message = "x-amz-server-side-encryption is no header of a read: an object is encrypted as it was stored";
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
    }
    match text(CONTEXT) {
        Some(_) => Err(not_implemented("an encryption context")),
        None => Ok(claims),
    }
}

/// An answer that tells how the object is encrypted.
pub(super) fn told<T>(output: T, encryption: &Encryption, caller: &Caller) -> S3Response<T> {
    let mut response = S3Response::new(output);
    tell(&mut response.headers, encryption, caller);
    response
}

/// Tells in an answer how the object is encrypted.
fn tell(headers: &mut HeaderMap, encryption: &Encryption, caller: &Caller) {
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    match encryption {
        Encryption::S3 => set(ALGORITHM, SSE_S3),
        Encryption::Kms { key, bucket_key } => {
            set(ALGORITHM, SSE_KMS);
            set(KMS_KEY, key);
            if *bucket_key {
                set(BUCKET_KEY, "true");
            }
        }
        Encryption::Customer => {
            set(CUSTOMER_ALGORITHM, SSE_S3);
            // The one that came with the request has opened the object, so it is the object's.
            if let Some(md5) = &caller.encryption.customer.md5 {
                set(CUSTOMER_MD5, md5);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_customers_key_does_not_come_over_plain_http() {
        for name in CUSTOMER.into_iter().chain(SOURCE) {
            let headers = headers(&[(name, "x")]);
            let refusal = claims("GetObject", &headers, false, false).unwrap_err();
            assert_eq!(refusal.code(), &S3ErrorCode::InvalidRequest, "{name}");
            assert!(claims("GetObject", &headers, true, false).is_ok(), "{name}");
            assert!(claims("GetObject", &headers, false, true).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_read_cannot_be_told_how_to_encrypt() {
        for pair in [(ALGORITHM, "AES256"), (ALGORITHM, "aws:kms"), (KMS_KEY, "key-1")] {
            let headers = headers(&[pair]);
            for read in READS {
                let refusal = claims(read, &headers, true, false).unwrap_err();
                assert_eq!(refusal.code(), &S3ErrorCode::InvalidArgument);
            }
            assert!(claims("PutObject", &headers, false, false).is_ok());
        }
    }

    #[test]
    fn an_encryption_context_would_not_be_bound_and_is_refused() {
        let refusal = claims("PutObject", &headers(&[(CONTEXT, "e30=")]), true, false).unwrap_err();
        assert_eq!(refusal.code(), &S3ErrorCode::NotImplemented);
    }
}
