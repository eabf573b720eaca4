//! Lifecycle configurations: put, get, delete.

use s3s::dto::{
    DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
    TransitionDefaultMinimumObjectSize,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::error::not_implemented;
use super::headers::http_date;
use super::{Front, lifecycle_rules, names};
use crate::lifecycle::Expiring;

impl Front {
    pub(super) async fn lifecycle(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let caller = names::caller(&request)?;
        let rules = self.gateway.lifecycle(&caller, &names::bucket(&request.input.bucket)?).await?;
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules: Some(lifecycle_rules::show(&rules)),
            transition_default_minimum_object_size: Some(minimum_object_size()),
        }))
    }

    pub(super) async fn set_lifecycle(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        // Nothing moves between storage classes, so the default says nothing; another would promise something.
        if input.transition_default_minimum_object_size.is_some_and(|size| size != minimum_object_size()) {
            return Err(not_implemented("moving small objects to another storage class"));
        }
        let document = input.lifecycle_configuration.ok_or_else(|| S3Error::new(S3ErrorCode::MalformedXML))?;
        let rules = lifecycle_rules::parse(document.rules)?;
        self.gateway.set_lifecycle(&caller, &names::bucket(&input.bucket)?, Some(&rules)).await?;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput {
            transition_default_minimum_object_size: Some(minimum_object_size()),
        }))
    }

    pub(super) async fn delete_lifecycle(
        &self,
        request: S3Request<DeleteBucketLifecycleInput>,
    ) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.set_lifecycle(&caller, &names::bucket(&request.input.bucket)?, None).await?;
        Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
    }
}

/// `x-amz-expiration`: the day and the rule, whose id is URL-encoded.
pub(super) fn expiration(expiring: &Expiring) -> String {
    let rule: String = url::form_urlencoded::byte_serialize(expiring.rule.as_bytes()).collect();
    format!("expiry-date=\"{}\", rule-id=\"{rule}\"", http_date(expiring.at))
}

/// What Amazon S3 answers and its configuration tools expect where nothing else was asked for.
fn minimum_object_size() -> TransitionDefaultMinimumObjectSize {
    TransitionDefaultMinimumObjectSize::from_static(TransitionDefaultMinimumObjectSize::ALL_STORAGE_CLASSES_128K)
}

#[cfg(test)]
mod tests {
    use domicile_types::UnixMillis;

    use super::*;

    #[test]
    fn an_expiration_names_the_day_and_the_rule() {
        let expiring = Expiring { at: UnixMillis(1_356_048_000_000), rule: "logs & \"more\"".to_owned() };
        let expected = "expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\", rule-id=\"logs+%26+%22more%22\"";
        assert_eq!(expiration(&expiring), expected);
    }
}
