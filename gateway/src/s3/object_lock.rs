//! Object lock: configuration of buckets, retention and legal hold of versions. Headers of writes are in `lock`.

use s3s::dto::{
    DefaultRetention as DefaultRetentionDto, GetObjectLegalHoldInput, GetObjectLegalHoldOutput,
    GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput, GetObjectRetentionInput,
    GetObjectRetentionOutput, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode, ObjectLockRule, PutObjectLegalHoldInput,
    PutObjectLegalHoldOutput, PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput,
    PutObjectRetentionInput, PutObjectRetentionOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::error::{custom, not_implemented};
use super::headers::{millis, timestamp};
use super::tagging::object;
use super::{Front, names};
use crate::catalog::{Retention, RetentionMode};
use crate::objects::{DefaultRetention, Error, RetentionPeriod};

/// The longest default retention (Amazon S3's user guide, "Locking objects with Object Lock"): a hundred years.
const YEARS_MAX: u32 = 100;
/// The same in days.
const DAYS_MAX: u32 = 36_500;

impl Front {
    pub(super) async fn set_object_lock(
        &self,
        request: S3Request<PutObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        if input.token.is_some() {
            return Err(not_implemented("enabling object lock by a token"));
        }
        let default = default_retention(input.object_lock_configuration)?;
        self.gateway.set_object_lock(&caller, &names::bucket(&input.bucket)?, default).await?;
        Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
    }

    pub(super) async fn object_lock(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        let caller = names::caller(&request)?;
        let default = self.gateway.object_lock(&caller, &names::bucket(&request.input.bucket)?).await?;
        let configuration = ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
            rule: default.map(|default| ObjectLockRule { default_retention: Some(default_dto(default)) }),
        };
        Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
    }

    pub(super) async fn set_retention(
        &self,
        request: S3Request<PutObjectRetentionInput>,
    ) -> S3Result<S3Response<PutObjectRetentionOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let retention = retention(input.retention)?;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let bypass = input.bypass_governance_retention == Some(true);
        self.gateway.set_retention(&caller, &object, retention, bypass).await?;
        Ok(S3Response::new(PutObjectRetentionOutput::default()))
    }

    pub(super) async fn retention(
        &self,
        request: S3Request<GetObjectRetentionInput>,
    ) -> S3Result<S3Response<GetObjectRetentionOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let lock = self.gateway.lock_of(&caller, &object, "s3:GetObjectRetention").await?;
        let retention = lock.retention.ok_or(Error::NoRetention)?;
        let retention = ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(mode_name(retention.mode))),
            retain_until_date: Some(timestamp(retention.until)),
        };
        Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
    }

    pub(super) async fn set_legal_hold(
        &self,
        request: S3Request<PutObjectLegalHoldInput>,
    ) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let status = input.legal_hold.and_then(|hold| hold.status);
        let hold = hold(status.as_ref()).ok_or_else(|| malformed("a legal hold has the Status ON or OFF"))?;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        self.gateway.set_legal_hold(&caller, &object, hold).await?;
        Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
    }

    pub(super) async fn legal_hold(
        &self,
        request: S3Request<GetObjectLegalHoldInput>,
    ) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let lock = self.gateway.lock_of(&caller, &object, "s3:GetObjectLegalHold").await?;
        let legal_hold = ObjectLockLegalHold { status: Some(hold_dto(lock.legal_hold)) };
        Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold: Some(legal_hold) }))
    }
}

/// What a configuration gives new versions.
fn default_retention(document: Option<ObjectLockConfiguration>) -> S3Result<Option<DefaultRetention>> {
    let document = document.ok_or_else(|| malformed("an object lock configuration is missing"))?;
    if document.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed("ObjectLockEnabled is Enabled: object lock cannot be disabled"));
    }
    let Some(rule) = document.rule else { return Ok(None) };
    let default = rule.default_retention.ok_or_else(|| malformed("a Rule has a DefaultRetention"))?;
    let mode = default.mode.as_ref().and_then(|mode| mode_of(mode.as_str()));
    let mode = mode.ok_or_else(|| malformed("the Mode of a retention is GOVERNANCE or COMPLIANCE"))?;
    let period = match (default.days, default.years) {
        (Some(days), None) => RetentionPeriod::Days(period(days, DAYS_MAX)?),
        (None, Some(years)) => RetentionPeriod::Years(period(years, YEARS_MAX)?),
        _ => return Err(malformed("a DefaultRetention has either Days or Years")),
    };
    Ok(Some(DefaultRetention { mode, period }))
}

fn period(number: i32, most: u32) -> S3Result<u32> {
    u32::try_from(number).ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
        let message = format!("the period of a default retention is from 1 to {most}");
        custom("InvalidRetentionPeriod", http::StatusCode::BAD_REQUEST, message)
    })
}

fn default_dto(default: DefaultRetention) -> DefaultRetentionDto {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let (days, years) = match default.period {
        RetentionPeriod::Days(days) => (Some(count(days)), None),
        RetentionPeriod::Years(years) => (None, Some(count(years))),
    };
    DefaultRetentionDto { days, mode: Some(ObjectLockRetentionMode::from_static(mode_name(default.mode))), years }
}

/// The retention of a document; one that is empty ends it.
fn retention(document: Option<ObjectLockRetention>) -> S3Result<Option<Retention>> {
    let document = document.ok_or_else(|| malformed("a retention is missing"))?;
    match (document.mode, document.retain_until_date) {
        (Some(mode), Some(until)) => {
            let mode = mode_of(mode.as_str());
            let mode = mode.ok_or_else(|| malformed("the Mode of a retention is GOVERNANCE or COMPLIANCE"))?;
            Ok(Some(Retention { mode, until: millis(until) }))
        }
        (None, None) => Ok(None),
        _ => Err(malformed("a retention has both Mode and RetainUntilDate, or neither")),
    }
}

fn mode_of(text: &str) -> Option<RetentionMode> {
    match text {
        ObjectLockRetentionMode::GOVERNANCE => Some(RetentionMode::Governance),
        ObjectLockRetentionMode::COMPLIANCE => Some(RetentionMode::Compliance),
        _ => None,
    }
}

const fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => ObjectLockRetentionMode::GOVERNANCE,
        RetentionMode::Compliance => ObjectLockRetentionMode::COMPLIANCE,
    }
}

fn hold(status: Option<&ObjectLockLegalHoldStatus>) -> Option<bool> {
    match status?.as_str() {
        ObjectLockLegalHoldStatus::ON => Some(true),
        ObjectLockLegalHoldStatus::OFF => Some(false),
        _ => None,
    }
}

fn hold_dto(hold: bool) -> ObjectLockLegalHoldStatus {
    let status = if hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    ObjectLockLegalHoldStatus::from_static(status)
}

fn malformed(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedXML, message)
}

#[cfg(test)]
mod tests {
    use domicile_types::UnixMillis;

    use super::*;

    fn document(enabled: &str, default: Option<DefaultRetentionDto>) -> Option<ObjectLockConfiguration> {
        Some(ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from(enabled.to_owned())),
            rule: default.map(|default| ObjectLockRule { default_retention: Some(default) }),
        })
    }

    fn given(mode: &str, days: Option<i32>, years: Option<i32>) -> Option<DefaultRetentionDto> {
        Some(DefaultRetentionDto { days, mode: Some(ObjectLockRetentionMode::from(mode.to_owned())), years })
    }

    fn code(document: Option<ObjectLockConfiguration>) -> String {
        default_retention(document).unwrap_err().code().as_str().to_owned()
    }

    #[test]
    fn a_default_has_a_mode_and_one_period() {
        let parsed = default_retention(document("Enabled", given("GOVERNANCE", Some(1), None))).unwrap();
        let expected = DefaultRetention { mode: RetentionMode::Governance, period: RetentionPeriod::Days(1) };
        assert_eq!(parsed, Some(expected));
        let years = default_retention(document("Enabled", given("COMPLIANCE", None, Some(100)))).unwrap().unwrap();
        assert_eq!(default_dto(years), given("COMPLIANCE", None, Some(100)).unwrap());
        assert_eq!(default_retention(document("Enabled", None)).unwrap(), None);
        for (enabled, default, expected) in [
            ("Disabled", given("GOVERNANCE", Some(1), None), "MalformedXML"),
            ("Enabled", given("governance", Some(1), None), "MalformedXML"),
            ("Enabled", given("abc", None, Some(1)), "MalformedXML"),
            ("Enabled", given("GOVERNANCE", Some(1), Some(1)), "MalformedXML"),
            ("Enabled", given("GOVERNANCE", None, None), "MalformedXML"),
            ("Enabled", given("GOVERNANCE", Some(0), None), "InvalidRetentionPeriod"),
            ("Enabled", given("GOVERNANCE", Some(36_501), None), "InvalidRetentionPeriod"),
            ("Enabled", given("GOVERNANCE", None, Some(-1)), "InvalidRetentionPeriod"),
            ("Enabled", given("GOVERNANCE", None, Some(101)), "InvalidRetentionPeriod"),
        ] {
            assert_eq!(code(document(enabled, default)), expected);
        }
        assert_eq!(code(None), "MalformedXML");
    }

    #[test]
    fn a_retention_is_whole_or_empty() {
        let at = || Some(timestamp(UnixMillis(1_893_456_000_000)));
        let mode = |text: &str| Some(ObjectLockRetentionMode::from(text.to_owned()));
        let parse = |mode, retain_until_date| retention(Some(ObjectLockRetention { mode, retain_until_date }));
        let whole = parse(mode("COMPLIANCE"), at()).unwrap().unwrap();
        assert_eq!((whole.mode, whole.until), (RetentionMode::Compliance, UnixMillis(1_893_456_000_000)));
        assert_eq!(parse(None, None).unwrap(), None);
        for bad in [parse(mode("COMPLIANCE"), None), parse(None, at()), parse(mode("abc"), at()), retention(None)] {
            assert_eq!(bad.unwrap_err().code(), &S3ErrorCode::MalformedXML);
        }
    }
}
