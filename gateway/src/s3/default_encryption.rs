//! A bucket's default encryption. Everything is encrypted, so that a bucket without configuration answers with AES256.

use s3s::dto::{
    BlockedEncryptionTypes, DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput, EncryptionType,
    GetBucketEncryptionInput, GetBucketEncryptionOutput, PutBucketEncryptionInput, PutBucketEncryptionOutput,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::error::not_implemented;
use super::{Front, names};
use crate::objects::{DefaultEncryption, SSE_KMS, SSE_S3};

impl Front {
    pub(super) async fn default_encryption(
        &self,
        request: S3Request<GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
        let caller = names::caller(&request)?;
        let default = self.gateway.default_encryption(&caller, &names::bucket(&request.input.bucket)?).await?;
        let rules = vec![shown(default)];
        let server_side_encryption_configuration = Some(ServerSideEncryptionConfiguration { rules });
        Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration }))
    }

    pub(super) async fn set_default_encryption(
        &self,
        request: S3Request<PutBucketEncryptionInput>,
    ) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
        let caller = names::caller(&request)?;
        let default = stated(request.input.server_side_encryption_configuration)?;
        let bucket = names::bucket(&request.input.bucket)?;
        self.gateway.set_default_encryption(&caller, &bucket, Some(&default)).await?;
        Ok(S3Response::new(PutBucketEncryptionOutput::default()))
    }

    pub(super) async fn remove_default_encryption(
        &self,
        request: S3Request<DeleteBucketEncryptionInput>,
    ) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.set_default_encryption(&caller, &names::bucket(&request.input.bucket)?, None).await?;
        Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
    }
}

fn stated(configuration: ServerSideEncryptionConfiguration) -> S3Result<DefaultEncryption> {
    let malformed = || S3Error::new(S3ErrorCode::MalformedXML);
    let mut rules = configuration.rules.into_iter();
    let (Some(rule), None) = (rules.next(), rules.next()) else { return Err(malformed()) };
    let blocked = rule.blocked_encryption_types.and_then(|blocked| blocked.encryption_type).unwrap_or_default();
    let customer_keys_blocked = match blocked.iter().map(EncryptionType::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["NONE"] => false,
        ["SSE-C"] => true,
        _ => return Err(malformed()),
    };
    let applied = rule.apply_server_side_encryption_by_default;
    let (algorithm, key) = match applied {
        Some(applied) => (applied.sse_algorithm.as_str().to_owned(), applied.kms_master_key_id),
        // A rule that only blocks leaves the scheme as it is.
        None if customer_keys_blocked => (SSE_S3.to_owned(), None),
        None => return Err(malformed()),
    };
    let bucket_key = rule.bucket_key_enabled == Some(true);
    match (algorithm.as_str(), key) {
        (SSE_S3, None) => Ok(DefaultEncryption { kms_key: None, bucket_key, customer_keys_blocked }),
        (SSE_S3, Some(_)) => Err(S3Error::with_message(
            S3ErrorCode::InvalidArgument,
            "a KMSMasterKeyID goes only with the algorithm aws:kms",
        )),
        (SSE_KMS, Some(key)) => Ok(DefaultEncryption { kms_key: Some(key), bucket_key, customer_keys_blocked }),
        (SSE_KMS, None) => Err(S3Error::with_message(
            S3ErrorCode::InvalidArgument,
            "aws:kms needs a KMSMasterKeyID: this gateway has no key that is used without being named",
        )),
        ("aws:kms:dsse", _) => Err(not_implemented("encryption in two layers")),
        _ => Err(malformed()),
    }
}

fn shown(default: DefaultEncryption) -> ServerSideEncryptionRule {
    let algorithm = if default.kms_key.is_some() { SSE_KMS } else { SSE_S3 };
    let blocked = default
        .customer_keys_blocked
        .then(|| BlockedEncryptionTypes { encryption_type: Some(vec![EncryptionType::from("SSE-C".to_owned())]) });
    ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            kms_master_key_id: default.kms_key,
            sse_algorithm: ServerSideEncryption::from(algorithm.to_owned()),
        }),
        blocked_encryption_types: blocked,
        bucket_key_enabled: Some(default.bucket_key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(algorithm: &str, key: Option<&str>) -> ServerSideEncryptionConfiguration {
        let applied = ServerSideEncryptionByDefault {
            kms_master_key_id: key.map(str::to_owned),
            sse_algorithm: ServerSideEncryption::from(algorithm.to_owned()),
        };
        let rule = ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(applied),
            blocked_encryption_types: None,
            bucket_key_enabled: None,
        };
        ServerSideEncryptionConfiguration { rules: vec![rule] }
    }

    #[test]
    fn what_is_stated_is_shown_again() {
        for (algorithm, key) in [("AES256", None), ("aws:kms", Some("key-1"))] {
            let rule = shown(stated(configuration(algorithm, key)).unwrap());
            let applied = rule.apply_server_side_encryption_by_default.unwrap();
            assert_eq!((applied.sse_algorithm.as_str(), applied.kms_master_key_id.as_deref()), (algorithm, key));
        }
    }

    #[test]
    fn a_default_that_cannot_be_kept_is_refused() {
        for (algorithm, key, code) in [
            ("AES256", Some("key-1"), S3ErrorCode::InvalidArgument),
            ("aws:kms", None, S3ErrorCode::InvalidArgument),
            ("aws:kms:dsse", Some("key-1"), S3ErrorCode::NotImplemented),
            ("aes:kms", None, S3ErrorCode::MalformedXML),
        ] {
            assert_eq!(stated(configuration(algorithm, key)).unwrap_err().code(), &code, "{algorithm}");
        }
        let two = ServerSideEncryptionConfiguration {
            rules: [configuration("AES256", None).rules, configuration("AES256", None).rules].concat(),
        };
        assert_eq!(stated(two).unwrap_err().code(), &S3ErrorCode::MalformedXML);
    }
}
