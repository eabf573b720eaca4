//! Keys that customers bring with their requests (SSE-C): checked here, used to wrap data keys, and kept nowhere.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use domicile_chunker::SecondKey;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::encryption::SSE_S3;
use super::error::Error;

/// What a request's three headers about a customer's key say, unchecked. It does not print the key.
#[derive(Clone, Default)]
pub struct CustomerClaims {
    /// The algorithm that the key is for.
    pub algorithm: Option<String>,
    /// The key, in base64.
    pub key: Option<Zeroizing<String>>,
    /// The MD5 digest of the key, in base64.
    pub md5: Option<String>,
}

impl fmt::Debug for CustomerClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerClaims").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A key that a customer brought.
#[derive(Clone)]
pub struct CustomerKey(Arc<SecondKey>);

impl CustomerKey {
    /// The key itself.
    pub(super) fn secret(&self) -> &SecondKey {
        &self.0
    }
}

impl CustomerClaims {
    /// Whether there are any.
    #[must_use]
    pub const fn are_made(&self) -> bool {
        self.algorithm.is_some() || self.key.is_some() || self.md5.is_some()
    }

    /// The key, if the claims hold together; none where there are no claims.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] in S3's cases: a header is missing, the algorithm is another than AES256, the key has
    /// another length than 32 bytes or another digest.
    pub fn check(&self) -> Result<Option<CustomerKey>, Error> {
        if !self.are_made() {
            return Ok(None);
        }
        let refuse = |why: &str| Err(Error::InvalidArgument(format!("a customer-provided encryption key {why}")));
        let Some(algorithm) = &self.algorithm else { return refuse("must come with the algorithm that it is for") };
        if algorithm != SSE_S3 {
            return refuse("is for the algorithm AES256 and no other");
        }
        let (Some(key), Some(md5)) = (&self.key, &self.md5) else {
            return refuse("must come with its MD5 digest, and an algorithm with a key");
        };
        let decoded = |text: &str| BASE64.decode(text.as_bytes()).ok().map(Zeroizing::new);
        let Some(secret) = decoded(key).and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok()) else {
            return refuse("has 32 bytes, in base64");
        };
        let secret = Zeroizing::new(secret);
        let digest = fast_md5::digest(&*secret);
        if !decoded(md5).is_some_and(|stated| bool::from(stated.as_slice().ct_eq(&digest))) {
            return refuse("has another MD5 digest than the one that came with it");
        }
        Ok(Some(CustomerKey(Arc::new(SecondKey::from_bytes(*secret)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
    const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";

    fn claims(algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>) -> CustomerClaims {
        CustomerClaims {
            algorithm: algorithm.map(str::to_owned),
            key: key.map(|key| Zeroizing::new(key.to_owned())),
            md5: md5.map(str::to_owned),
        }
    }

    #[test]
    fn a_key_with_its_algorithm_and_digest_is_taken() {
        assert!(claims(Some("AES256"), Some(KEY), Some(MD5)).check().unwrap().is_some());
        assert!(claims(None, None, None).check().unwrap().is_none());
    }

    #[test]
    fn claims_that_do_not_hold_together_are_refused() {
        for bad in [
            claims(None, Some(KEY), Some(MD5)),
            claims(Some("AES256"), None, None),
            claims(Some("AES256"), Some(KEY), None),
            claims(Some("AES256"), None, Some(MD5)),
            claims(Some("AES192"), Some(KEY), Some(MD5)),
            claims(Some("AES256"), Some(KEY), Some("AAAAAAAAAAAAAAAAAAAAAA==")),
            claims(Some("AES256"), Some("c2hvcnQ="), Some(MD5)),
            claims(Some("AES256"), Some("no base64!"), Some(MD5)),
        ] {
            assert!(matches!(bad.check(), Err(Error::InvalidArgument(_))), "{bad:?}");
        }
    }

    #[test]
    fn claims_do_not_print_the_key() {
        assert!(!format!("{:?}", claims(Some("AES256"), Some(KEY), Some(MD5))).contains("pO3u"));
    }
}
