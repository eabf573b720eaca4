//! Who signed a form: SigV4, or SigV2 as it was for forms. Both sign the policy as it stands in the form, in base64.

use domicile_types::UnixMillis;
use s3s::{S3Error, S3ErrorCode, S3Result};
use s3s_sigv4::{AmzDate, CredentialV4};
use subtle::ConstantTimeEq as _;

use super::super::CLOCK_SKEW_SECONDS_MAX;
use super::super::admission::amz_date;
use super::super::auth::{Keyring, Signer};
use super::fields::Form;

/// How long a signing key of SigV4 holds, in milliseconds: seven days.
const SIGNING_KEY_MILLIS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// Whose key signed the form's policy; `None` for a form that bears neither signature nor policy.
pub(super) fn verify(form: &Form, keyring: &Keyring, now: UnixMillis) -> S3Result<Option<Signer>> {
    let v4 = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
    let v2 = ["awsaccesskeyid", "signature"];
    let any = |names: &[&str]| names.iter().any(|name| form.value(name).is_some());
    let (access_key, matches) = match (any(&v4), any(&v2)) {
        (true, true) => return Err(argument("a form bears one signature, of version 4 or of version 2")),
        (true, false) => verify_v4(form, keyring, now)?,
        (false, true) => verify_v2(form, keyring)?,
        (false, false) if form.value("policy").is_some() => return Err(missing("x-amz-signature")),
        (false, false) => return Ok(None),
    };
    if !matches {
        return Err(S3Error::new(S3ErrorCode::SignatureDoesNotMatch));
    }
    Ok(Some(Signer { access_key, session_token: form.value("x-amz-security-token").map(str::to_owned) }))
}

fn verify_v4(form: &Form, keyring: &Keyring, now: UnixMillis) -> S3Result<(String, bool)> {
    let field = |name| form.value(name).ok_or_else(|| missing(name));
    let (policy, signature) = (field("policy")?, field("x-amz-signature")?);
    if field("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(argument("x-amz-algorithm is AWS4-HMAC-SHA256 and nothing else"));
    }
    let credential = CredentialV4::parse(field("x-amz-credential")?);
    let credential =
        credential.map_err(|_| argument("x-amz-credential is not access-key/date/region/s3/aws4_request"))?;
    if credential.aws_service != "s3" {
        return Err(argument("x-amz-credential is for another service than s3"));
    }
    let date = field("x-amz-date")?;
    let not_a_date = || argument("x-amz-date is not of the form 20261122T150000Z");
    let signed_at = amz_date(date).ok_or_else(not_a_date)?;
    let date = AmzDate::parse(date).map_err(|_| not_a_date())?;
    if credential.date != date.fmt_date().as_str() {
        return Err(argument("x-amz-credential and x-amz-date are of different days"));
    }
    // The policy says how long the form holds; the signing key ends after seven days in any case.
    let skew = u64::from(CLOCK_SKEW_SECONDS_MAX) * 1000;
    if signed_at.0 > now.0.saturating_add(skew) {
        return Err(S3Error::new(S3ErrorCode::RequestTimeTooSkewed));
    }
    if now.0.saturating_sub(signed_at.0) > SIGNING_KEY_MILLIS_MAX {
        return Err(S3Error::with_message(S3ErrorCode::AccessDenied, "the form was signed more than seven days ago"));
    }
    let secret = keyring.secret(credential.access_key_id)?;
    let expected = s3s_sigv4::calculate_signature(policy, secret.expose(), &date, credential.aws_region, "s3");
    Ok((credential.access_key_id.to_owned(), same(&expected, signature)))
}

fn verify_v2(form: &Form, keyring: &Keyring) -> S3Result<(String, bool)> {
    let field = |name| form.value(name).ok_or_else(|| missing(name));
    let (access_key, policy) = (field("awsaccesskeyid")?, field("policy")?);
    let signature = field("signature")?;
    let secret = keyring.secret(access_key)?;
    let expected = s3s_sigv2::calculate_signature(secret.expose(), policy);
    Ok((access_key.to_owned(), same(&expected, signature)))
}

fn same(expected: &str, stated: &str) -> bool {
    bool::from(expected.as_bytes().ct_eq(stated.trim().as_bytes()))
}

fn missing(name: &str) -> S3Error {
    argument(format!("the form has no field named {name} before its file"))
}

fn argument(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.into())
}
