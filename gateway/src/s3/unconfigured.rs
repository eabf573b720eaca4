//! What S3 answers about settings that no bucket of this gateway can have: there is none. Setting one is refused with
//! `NotImplemented`, as every operation is that is not served.

use http::StatusCode;
use s3s::dto::{
    GetBucketAccelerateConfigurationInput, GetBucketAccelerateConfigurationOutput,
    GetBucketAnalyticsConfigurationInput, GetBucketAnalyticsConfigurationOutput,
    GetBucketIntelligentTieringConfigurationInput, GetBucketIntelligentTieringConfigurationOutput,
    GetBucketInventoryConfigurationInput, GetBucketInventoryConfigurationOutput, GetBucketMetricsConfigurationInput,
    GetBucketMetricsConfigurationOutput, GetBucketReplicationInput, GetBucketReplicationOutput,
    GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput, GetBucketWebsiteInput, GetBucketWebsiteOutput,
    ListBucketAnalyticsConfigurationsInput, ListBucketAnalyticsConfigurationsOutput,
    ListBucketIntelligentTieringConfigurationsInput, ListBucketIntelligentTieringConfigurationsOutput,
    ListBucketInventoryConfigurationsInput, ListBucketInventoryConfigurationsOutput,
    ListBucketMetricsConfigurationsInput, ListBucketMetricsConfigurationsOutput, Payer,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::error::custom;
use super::{Front, names};

/// A method that looks the bucket up, as the caller may, and answers what is never set.
macro_rules! unset {
    ($($method:ident, $input:ident -> $output:ident, $action:literal => $answer:expr;)*) => {
        impl Front {
            $(
                pub(super) async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    let caller = names::caller(&request)?;
                    self.gateway.look_at_unset(&caller, &names::bucket(&request.input.bucket)?, $action).await?;
                    let answer: Result<$output, S3Error> = $answer;
                    answer.map(S3Response::new)
                }
            )*
        }
    };
}

unset! {
    acceleration, GetBucketAccelerateConfigurationInput -> GetBucketAccelerateConfigurationOutput,
        "s3:GetAccelerateConfiguration" => Ok(GetBucketAccelerateConfigurationOutput::default());
    payer, GetBucketRequestPaymentInput -> GetBucketRequestPaymentOutput, "s3:GetBucketRequestPayment" =>
        Ok(GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) });
    website, GetBucketWebsiteInput -> GetBucketWebsiteOutput, "s3:GetBucketWebsite" =>
        Err(S3Error::new(S3ErrorCode::NoSuchWebsiteConfiguration));
    replication, GetBucketReplicationInput -> GetBucketReplicationOutput, "s3:GetReplicationConfiguration" =>
        Err(S3Error::new(S3ErrorCode::ReplicationConfigurationNotFoundError));
    one_analysis, GetBucketAnalyticsConfigurationInput -> GetBucketAnalyticsConfigurationOutput,
        "s3:GetAnalyticsConfiguration" => Err(no_such_configuration());
    one_tiering, GetBucketIntelligentTieringConfigurationInput -> GetBucketIntelligentTieringConfigurationOutput,
        "s3:GetIntelligentTieringConfiguration" => Err(no_such_configuration());
    one_inventory, GetBucketInventoryConfigurationInput -> GetBucketInventoryConfigurationOutput,
        "s3:GetInventoryConfiguration" => Err(no_such_configuration());
    one_metric, GetBucketMetricsConfigurationInput -> GetBucketMetricsConfigurationOutput,
        "s3:GetMetricsConfiguration" => Err(no_such_configuration());
    analyses, ListBucketAnalyticsConfigurationsInput -> ListBucketAnalyticsConfigurationsOutput,
        "s3:GetAnalyticsConfiguration" =>
        Ok(ListBucketAnalyticsConfigurationsOutput { is_truncated: Some(false), ..Default::default() });
    tierings, ListBucketIntelligentTieringConfigurationsInput -> ListBucketIntelligentTieringConfigurationsOutput,
        "s3:GetIntelligentTieringConfiguration" =>
        Ok(ListBucketIntelligentTieringConfigurationsOutput { is_truncated: Some(false), ..Default::default() });
    inventories, ListBucketInventoryConfigurationsInput -> ListBucketInventoryConfigurationsOutput,
        "s3:GetInventoryConfiguration" =>
        Ok(ListBucketInventoryConfigurationsOutput { is_truncated: Some(false), ..Default::default() });
    metrics, ListBucketMetricsConfigurationsInput -> ListBucketMetricsConfigurationsOutput,
        "s3:GetMetricsConfiguration" =>
        Ok(ListBucketMetricsConfigurationsOutput { is_truncated: Some(false), ..Default::default() });
}

fn no_such_configuration() -> S3Error {
    custom("NoSuchConfiguration", StatusCode::NOT_FOUND, "the bucket has no configuration of that id")
}
