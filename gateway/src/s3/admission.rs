//! What can be refused from the head of a request alone, before `100 Continue` invites its body.
//!
//! This look at the head costs next to nothing: it refuses what the verification would refuse for sure, and proves nothing.
//! Whatever passes is verified: a PUT that waits for `100 Continue` before it is invited ([`super::invitation`]), and every
//! request when it is served.

use actix_http::RequestHead;
use domicile_types::UnixMillis;
use http::StatusCode;

use super::auth::Keyring;
use super::{BODY_BYTES_MAX, CLOCK_SKEW_SECONDS_MAX, form};

/// A refusal: status, S3 code, message.
pub(super) type Refusal = (StatusCode, &'static str, &'static str);

/// The values of `x-amz-content-sha256` that are no digest.
const PAYLOAD_MODES: [&str; 4] = [
    "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
];

/// How long a presigned link may hold, in seconds.
const LINK_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// Refuses a request that cannot be authentic, or whose body is too large.
pub(super) fn look(head: &RequestHead, keyring: &Keyring, now: UnixMillis) -> Result<(), Refusal> {
    let header = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok());
    if head.method == actix_http::Method::POST && form::is_form(&http::Method::POST, header("content-type")) {
        // Who sends a form stands in its fields; of what comes no more is read than those, until they are verified.
        return too_long(header("content-length"));
    }
    let credential = match header("authorization") {
        Some(text) => Some(text.split_once("Credential=").map(|(_, rest)| rest.to_owned()).unwrap_or_default()),
        None => query(head, "X-Amz-Credential"),
    };
    // A request without a signature may be let in by a bucket's rules, which are asked before any of its body is read.
    if let Some(access_key) = credential.as_deref().and_then(|text| text.split('/').next()) {
        if access_key.is_empty() {
            return Err((StatusCode::FORBIDDEN, "AccessDenied", "the request is not signed as it should be"));
        }
        if !keyring.knows(access_key) {
            let message = "the access key is not known to this gateway";
            return Err((StatusCode::FORBIDDEN, "InvalidAccessKeyId", message));
        }
    }
    if header("authorization").is_some() && header("x-amz-date").and_then(amz_date).is_some_and(|at| skewed(at, now)) {
        let message = "the request's time is more than 15 minutes off; check the client's clock";
        return Err((StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message));
    }
    if header("x-amz-content-sha256").is_some_and(|mode| !known_mode(mode)) {
        let message = "x-amz-content-sha256 is neither a digest nor a known mode";
        return Err((StatusCode::BAD_REQUEST, "InvalidRequest", message));
    }
    too_long(header("x-amz-decoded-content-length").or(header("content-length")))
}

/// Refuses a presigned link that cannot hold: one that ended before it began, or that would hold for longer than links may.
pub(super) fn link(uri: &http::Uri) -> Result<(), Refusal> {
    let mut pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let seconds = pairs.find(|(name, _)| name == "X-Amz-Expires").and_then(|(_, value)| value.parse::<i64>().ok());
    match seconds {
        Some(..=-1) => Err((StatusCode::FORBIDDEN, "AccessDenied", "the link has expired: X-Amz-Expires is negative")),
        Some(seconds) if seconds > LINK_SECONDS_MAX => Err((
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "X-Amz-Expires is more than a week, the longest that a link holds",
        )),
        _ => Ok(()),
    }
}

fn too_long(declared: Option<&str>) -> Result<(), Refusal> {
    if declared.and_then(|text| text.parse::<u64>().ok()).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        let message = "the body is larger than 5 GiB; use a multipart upload";
        return Err((StatusCode::BAD_REQUEST, "EntityTooLarge", message));
    }
    Ok(())
}

fn query(head: &RequestHead, name: &str) -> Option<String> {
    let query = head.uri.query()?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

pub(super) fn known_mode(mode: &str) -> bool {
    PAYLOAD_MODES.contains(&mode)
        || (mode.len() == 64 && mode.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

/// `20261122T150000Z`
pub(super) fn amz_date(text: &str) -> Option<UnixMillis> {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    time::PrimitiveDateTime::parse(text, &format).ok().map(|at| at.assume_utc().into())
}

fn skewed(at: UnixMillis, now: UnixMillis) -> bool {
    at.0.abs_diff(now.0) > u64::from(CLOCK_SKEW_SECONDS_MAX) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_modes_are_the_known_ones_or_a_digest() {
        for mode in PAYLOAD_MODES {
            assert!(known_mode(mode), "{mode}");
        }
        assert!(known_mode(&"0a".repeat(32)));
        for bad in
            ["", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "unsigned-payload", &"0A".repeat(32), &"g".repeat(64)]
        {
            assert!(!known_mode(bad), "{bad}");
        }
    }

    #[test]
    fn a_clock_may_be_fifteen_minutes_off() {
        let now = amz_date("20261122T150000Z").unwrap();
        assert!(!skewed(amz_date("20261122T144500Z").unwrap(), now));
        assert!(skewed(amz_date("20261122T144459Z").unwrap(), now));
        assert!(skewed(amz_date("20261122T151501Z").unwrap(), now));
        assert!(amz_date("yesterday").is_none());
    }
}
