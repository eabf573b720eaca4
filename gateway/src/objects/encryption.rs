//! What protects an object's data key, in the words of S3, and what a bucket does where a request does not say.
//!
//! Every object is encrypted with a data key of its own, whatever a request says; S3's three schemes differ in what the data
//! key is wrapped under. SSE-S3: the bucket's key. SSE-KMS: the bucket's key joined with a key that the gateway's keyring
//! holds under the name that the request gives. SSE-C: the bucket's key joined with the customer's, which is nowhere kept.

use domicile_chunker::{DataKey, UnwrapError};
use domicile_types::BucketName;
use serde::{Deserialize, Serialize};

use super::customer_key::{CustomerClaims, CustomerKey};
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::request::Caller;
use crate::catalog::{Bucket, Encryption, Setting};
use crate::keys::{KeyOwner, Second};

/// The S3 name of the scheme that is always in force.
pub const SSE_S3: &str = "AES256";
/// The S3 name of encryption under a named key.
pub const SSE_KMS: &str = "aws:kms";

/// What a request's headers say of encryption, unchecked: whether the caller may do what it asks for comes first.
#[derive(Debug, Clone, Default)]
pub struct EncryptionClaims {
    /// `x-amz-server-side-encryption`.
    pub algorithm: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`.
    pub kms_key: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`.
    pub bucket_key: Option<bool>,
    /// The key of the object that is written or read.
    pub customer: CustomerClaims,
    /// The key of the object that is copied.
    pub source: CustomerClaims,
}

impl EncryptionClaims {
    /// Whether they ask for an encryption of the object that is written.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.algorithm.is_some() || self.kms_key.is_some() || self.customer.are_made()
    }
}

/// How the data key of one object is wrapped.
pub(super) struct Wrapping {
    named: Option<String>,
    customer: Option<CustomerKey>,
}

impl Wrapping {
    /// What it takes beside the bucket's key.
    pub(super) fn second(&self) -> Second<'_> {
        match (&self.customer, &self.named) {
            (Some(key), _) => Second::Customer(key.secret()),
            (None, Some(name)) => Second::Named(name),
            (None, None) => Second::None,
        }
    }
}

/// What a bucket does with objects whose request states no encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultEncryption {
    /// The named key; none is SSE-S3.
    pub kms_key: Option<String>,
    /// Whether clients are told that the named key is used through a key of the bucket, which it always is.
    pub bucket_key: bool,
    /// Whether objects under keys of customers are refused.
    pub customer_keys_blocked: bool,
}

impl Gateway {
    /// The bucket's default encryption: what it was told, or what it does in any case.
    pub async fn default_encryption(&self, caller: &Caller, bucket: &BucketName) -> Result<DefaultEncryption, Error> {
        let set = self.setting(caller, bucket, "s3:GetEncryptionConfiguration", Setting::Encryption).await?;
        Ok(set.unwrap_or_default())
    }

    /// Sets the bucket's default encryption or, with `None`, takes it back to what is done in any case.
    pub async fn set_default_encryption(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        default: Option<&DefaultEncryption>,
    ) -> Result<(), Error> {
        if let Some(key) = default.and_then(|default| default.kms_key.as_ref()) {
            self.known_key(key)?;
        }
        self.set_setting(caller, bucket, "s3:PutEncryptionConfiguration", Setting::Encryption, default).await
    }

    /// Whether the keyring holds a key of that name.
    pub(super) fn known_key(&self, name: &str) -> Result<(), Error> {
        if self.config.kms_keys.iter().any(|known| known == name) { Ok(()) } else { Err(Error::NoSuchKmsKey) }
    }

    /// What a new object's data key is to be wrapped under: what the request says, or else what the bucket does.
    pub(super) async fn encryption_for(&self, claims: &EncryptionClaims, bucket: &Bucket) -> Result<Encryption, Error> {
        let customer = claims.customer.check()?;
        let default = self.catalog.setting::<DefaultEncryption>(bucket, Setting::Encryption).await?.unwrap_or_default();
        let blocked = default.customer_keys_blocked;
        let encryption = chosen(claims, customer.is_some(), default)?;
        match &encryption {
            Encryption::Customer if blocked => return Err(Error::AccessDenied),
            Encryption::Kms { key, .. } => self.known_key(key)?,
            Encryption::Customer | Encryption::S3 => {}
        }
        Ok(encryption)
    }

    /// How a data key is wrapped that is under `encryption`, if the request brings what that takes.
    pub(super) fn wrapping(&self, encryption: &Encryption, claims: &CustomerClaims) -> Result<Wrapping, Error> {
        let refuse = |why: &str| Err(Error::InvalidRequest(why.to_owned()));
        match (encryption, claims.check()?) {
            (Encryption::Customer, None) => {
                refuse("the object is encrypted with a customer-provided key, which must come with the request")
            }
            (Encryption::S3 | Encryption::Kms { .. }, Some(_)) => {
                refuse("the object is not encrypted with a customer-provided key")
            }
            (Encryption::Kms { key, .. }, None) => {
                self.known_key(key)?;
                Ok(Wrapping { named: Some(key.clone()), customer: None })
            }
            (Encryption::S3 | Encryption::Customer, customer) => Ok(Wrapping { named: None, customer }),
        }
    }

    /// Opens a data key. That the customer's key is another than the object's shows here.
    pub(super) fn data_key(&self, owner: &KeyOwner<'_>, wrapping: &Wrapping, wrapped: &[u8]) -> Result<DataKey, Error> {
        self.keys.unwrap(owner, &wrapping.second(), wrapped).map_err(|source| match source {
            UnwrapError::WrongKek if wrapping.customer.is_some() => Error::InvalidRequest(
                "the customer-provided key is not the one that the object is encrypted with".to_owned(),
            ),
            source => internal("unwrapping a data key", source),
        })
    }
}

/// What the claims come to, with a customer's key or without one, in a bucket that does `default`.
fn chosen(claims: &EncryptionClaims, customer: bool, default: DefaultEncryption) -> Result<Encryption, Error> {
    let invalid = |why: &str| Err(Error::InvalidArgument(why.to_owned()));
    match (claims.algorithm.as_deref(), &claims.kms_key) {
        (None, None) if customer => Ok(Encryption::Customer),
        (None, None) => Ok(default.encryption()),
        _ if customer => invalid("a customer-provided key and x-amz-server-side-encryption exclude each other"),
        (Some(SSE_S3), None) => Ok(Encryption::S3),
        (Some(SSE_KMS), Some(key)) => {
            let bucket_key = claims.bucket_key.unwrap_or(default.bucket_key);
            Ok(Encryption::Kms { key: key.clone(), bucket_key })
        }
        (Some(SSE_KMS), None) => invalid("aws:kms needs a key id: no key is used without being named"),
        (_, Some(_)) => invalid("a KMS key id goes only with x-amz-server-side-encryption: aws:kms"),
        (Some(_), None) => invalid("x-amz-server-side-encryption is AES256 or aws:kms"),
    }
}

impl DefaultEncryption {
    fn encryption(&self) -> Encryption {
        match &self.kms_key {
            Some(key) => Encryption::Kms { key: key.clone(), bucket_key: self.bucket_key },
            None => Encryption::S3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(algorithm: Option<&str>, kms_key: Option<&str>) -> EncryptionClaims {
        let text = |text: Option<&str>| text.map(str::to_owned);
        EncryptionClaims { algorithm: text(algorithm), kms_key: text(kms_key), ..EncryptionClaims::default() }
    }

    #[test]
    fn a_request_that_says_nothing_gets_what_the_bucket_does() {
        let default = DefaultEncryption { kms_key: Some("key-1".to_owned()), ..DefaultEncryption::default() };
        let kms = Encryption::Kms { key: "key-1".to_owned(), bucket_key: false };
        assert_eq!(chosen(&claims(None, None), false, default.clone()).unwrap(), kms);
        assert_eq!(chosen(&claims(None, None), false, DefaultEncryption::default()).unwrap(), Encryption::S3);
        assert_eq!(chosen(&claims(Some("AES256"), None), false, default.clone()).unwrap(), Encryption::S3);
        assert_eq!(chosen(&claims(None, None), true, default).unwrap(), Encryption::Customer);
    }

    #[test]
    fn schemes_that_contradict_each_other_are_refused() {
        for (algorithm, key, customer) in [
            (Some("AES256"), None, true),
            (Some("aws:kms"), Some("key-1"), true),
            (Some("AES256"), Some("key-1"), false),
            (Some("aws:kms"), None, false),
            (Some("aws:kms:dsse"), Some("key-1"), false),
            (Some("aes:kms"), None, false),
            (None, Some("key-1"), false),
        ] {
            let refused = chosen(&claims(algorithm, key), customer, DefaultEncryption::default());
            assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{algorithm:?} {key:?} {customer}");
        }
    }
}
