//! What protects an object's data key, in the words of S3, and what a bucket does where a request does not say.
//!
//! Every object is encrypted with a data key of its own, whatever a request says; S3's three schemes differ in what the data
//! key is wrapped under. SSE-S3: the bucket's key. SSE-KMS: the bucket's key joined with a key that the gateway's keyring
//! holds under the name that the request gives. SSE-C: the bucket's key joined with the customer's, which is nowhere kept.

use domicile_types::BucketName;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::Setting;

/// The S3 name of the scheme that is always in force.
pub const SSE_S3: &str = "AES256";
/// The S3 name of encryption under a named key.
pub const SSE_KMS: &str = "aws:kms";

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
}
