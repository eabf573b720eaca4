//! The configuration of access logging.

use s3s::dto::{
    BucketLoggingStatus, GetBucketLoggingInput, GetBucketLoggingOutput, LoggingEnabled, PartitionDateSource,
    PartitionedPrefix, PutBucketLoggingInput, PutBucketLoggingOutput, SimplePrefix, TargetObjectKeyFormat,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::{Front, names};
use crate::access_log::{AccessLogging, KeyFormat};

impl Front {
    pub(super) async fn access_logging(
        &self,
        request: S3Request<GetBucketLoggingInput>,
    ) -> S3Result<S3Response<GetBucketLoggingOutput>> {
        let caller = names::caller(&request)?;
        let set = self.gateway.access_logging(&caller, &names::bucket(&request.input.bucket)?).await?;
        Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled: set.map(shown) }))
    }

    pub(super) async fn set_access_logging(
        &self,
        request: S3Request<PutBucketLoggingInput>,
    ) -> S3Result<S3Response<PutBucketLoggingOutput>> {
        let caller = names::caller(&request)?;
        let set = stated(request.input.bucket_logging_status)?;
        self.gateway.set_access_logging(&caller, &names::bucket(&request.input.bucket)?, set.as_ref()).await?;
        Ok(S3Response::new(PutBucketLoggingOutput::default()))
    }
}

fn stated(status: BucketLoggingStatus) -> S3Result<Option<AccessLogging>> {
    let Some(enabled) = status.logging_enabled else { return Ok(None) };
    if enabled.target_grants.is_some_and(|grants| !grants.is_empty()) {
        return Err(S3Error::with_message(
            S3ErrorCode::AccessControlListNotSupported,
            "log objects belong to the target bucket's owner; grants do not change that",
        ));
    }
    let target = names::bucket(&enabled.target_bucket).map_err(|_| {
        S3Error::with_message(
            S3ErrorCode::InvalidTargetBucketForLogging,
            "the target bucket for logging does not exist",
        )
    })?;
    let key_format = match enabled.target_object_key_format {
        None => KeyFormat::Simple,
        Some(format) => key_format(format)?,
    };
    Ok(Some(AccessLogging { target, prefix: enabled.target_prefix, key_format }))
}

fn key_format(format: TargetObjectKeyFormat) -> S3Result<KeyFormat> {
    let malformed = || S3Error::new(S3ErrorCode::MalformedXML);
    match (format.simple_prefix, format.partitioned_prefix) {
        (Some(_), None) | (None, None) => Ok(KeyFormat::Simple),
        (None, Some(partitioned)) => {
            match partitioned.partition_date_source.as_ref().map(PartitionDateSource::as_str) {
                None | Some(PartitionDateSource::DELIVERY_TIME) => Ok(KeyFormat::PartitionedByDelivery),
                Some(PartitionDateSource::EVENT_TIME) => Ok(KeyFormat::PartitionedByEvent),
                Some(_) => Err(malformed()),
            }
        }
        (Some(_), Some(_)) => Err(malformed()),
    }
}

fn shown(logging: AccessLogging) -> LoggingEnabled {
    let partitioned = |source: &'static str| TargetObjectKeyFormat {
        partitioned_prefix: Some(PartitionedPrefix {
            partition_date_source: Some(PartitionDateSource::from_static(source)),
        }),
        simple_prefix: None,
    };
    let format = match logging.key_format {
        KeyFormat::Simple => TargetObjectKeyFormat { partitioned_prefix: None, simple_prefix: Some(SimplePrefix {}) },
        KeyFormat::PartitionedByDelivery => partitioned(PartitionDateSource::DELIVERY_TIME),
        KeyFormat::PartitionedByEvent => partitioned(PartitionDateSource::EVENT_TIME),
    };
    LoggingEnabled {
        target_bucket: logging.target.to_string(),
        target_grants: None,
        target_object_key_format: Some(format),
        target_prefix: logging.prefix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(format: Option<TargetObjectKeyFormat>) -> BucketLoggingStatus {
        let enabled = LoggingEnabled {
            target_bucket: "logs".to_owned(),
            target_grants: None,
            target_object_key_format: format,
            target_prefix: "log/".to_owned(),
        };
        BucketLoggingStatus { logging_enabled: Some(enabled) }
    }

    #[test]
    fn what_is_stated_is_shown_again_with_its_default() {
        let simple = stated(status(None)).unwrap().unwrap();
        assert_eq!(simple.key_format, KeyFormat::Simple);
        for key_format in [KeyFormat::Simple, KeyFormat::PartitionedByDelivery, KeyFormat::PartitionedByEvent] {
            let logging = AccessLogging { key_format, ..simple.clone() };
            let again = BucketLoggingStatus { logging_enabled: Some(shown(logging.clone())) };
            assert_eq!(stated(again).unwrap(), Some(logging));
        }
        assert_eq!(stated(BucketLoggingStatus { logging_enabled: None }).unwrap(), None);
    }

    #[test]
    fn a_date_that_is_no_date_is_malformed() {
        let source = Some(PartitionDateSource::from("kaboom".to_owned()));
        let format = TargetObjectKeyFormat {
            partitioned_prefix: Some(PartitionedPrefix { partition_date_source: source }),
            simple_prefix: None,
        };
        assert_eq!(stated(status(Some(format))).unwrap_err().code(), &S3ErrorCode::MalformedXML);
    }
}
