//! The only place that knows S3's error codes and statuses.
//!
//! A refusal by law is HTTP 451 (RFC 7725) with the code `UnavailableForLegalReasons`: the message names the rule, its
//! citation and the log index, headers repeat them for HEAD, and [`complete_document`] puts them into the XML.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use s3s::{S3Error, S3ErrorCode};

use domicile_types::UnixMillis;

use crate::catalog::VersionId;
use crate::objects::{Denial, Error};

/// The rules that denied: `pack/rule`, joined by commas.
pub const RULE_HEADER: HeaderName = HeaderName::from_static("x-domicile-rule");
/// The articles they stand on, joined by semicolons; bytes outside printable ASCII are percent-encoded.
pub const CITE_HEADER: HeaderName = HeaderName::from_static("x-domicile-cite");
/// Where the attempt stands in this gateway's log.
pub const LOG_INDEX_HEADER: HeaderName = HeaderName::from_static("x-domicile-log-index");
const DELETE_MARKER_HEADER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-amz-version-id");
/// The S3 code of a refusal by law.
pub const LEGAL_CODE: &str = "UnavailableForLegalReasons";

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        match &error {
            Error::Denied(denial) => return denied(denial),
            Error::NotModified { etag } => return not_modified(etag),
            Error::DeleteMarker { version, modified, newest } => {
                return delete_marker(&error, *version, *modified, *newest);
            }
            Error::Internal { doing, source } => {
                tracing::error!(doing, cause = chain(source.as_ref()), "request failed");
            }
            Error::LogUnavailable(source) => {
                tracing::error!(cause = chain(source.as_ref()), "audit log takes no entries");
            }
            Error::Unavailable(why) | Error::Unreadable(why) => tracing::warn!(why, "request could not be served"),
            _ => {}
        }
        let (code, status) = code_of(&error);
        let is_absent = matches!(error, Error::NoSuchKey);
        let mut answer = Self::with_message(code, error.to_string());
        answer.set_status_code(status);
        if let Error::InvalidRange { size } = error
            && let Ok(told) = HeaderValue::from_str(&format!("bytes */{size}"))
        {
            with_headers(&mut answer, HeaderMap::from_iter([(http::header::CONTENT_RANGE, told)]));
        }
        if is_absent {
            // No delete marker hides the key: it has no versions at all.
            let headers = HeaderMap::from_iter([(DELETE_MARKER_HEADER, HeaderValue::from_static("false"))]);
            with_headers(&mut answer, headers);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static("1"))]);
            with_headers(&mut answer, headers);
        }
        answer
    }
}

/// Code and status of an error that is neither a denial nor a 304.
fn code_of(error: &Error) -> (S3ErrorCode, StatusCode) {
    use S3ErrorCode as Code;
    let legal = || (Code::Custom(LEGAL_CODE.into()), StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
    match error {
        Error::Denied(_) => legal(),
        // Where the packs leave too few nodes, more hardware abroad would not help: that is law, not load.
        Error::TooFewNodes { packs, .. } if !packs.is_empty() => legal(),
        Error::TooFewNodes { .. } | Error::Unavailable(_) | Error::LogUnavailable(_) | Error::Unreadable(_) => {
            (Code::ServiceUnavailable, StatusCode::SERVICE_UNAVAILABLE)
        }
        Error::AccessDenied | Error::UnexpectedOwner => (Code::AccessDenied, StatusCode::FORBIDDEN),
        Error::NoSuchBucketPolicy => (Code::NoSuchBucketPolicy, StatusCode::NOT_FOUND),
        Error::MalformedPolicy(_) => (Code::MalformedPolicy, StatusCode::BAD_REQUEST),
        Error::NoSuchPublicAccessBlock => {
            (Code::Custom("NoSuchPublicAccessBlockConfiguration".into()), StatusCode::NOT_FOUND)
        }
        Error::NoOwnershipControls => (Code::OwnershipControlsNotFoundError, StatusCode::NOT_FOUND),
        Error::AclsDisabled => (Code::AccessControlListNotSupported, StatusCode::BAD_REQUEST),
        Error::AclsInTheWay => (Code::InvalidBucketAclWithObjectOwnership, StatusCode::BAD_REQUEST),
        Error::OutsideRole(_) | Error::BeyondLimits(_) => (Code::AccessDenied, StatusCode::FORBIDDEN),
        Error::NoSuchBucket => (Code::NoSuchBucket, StatusCode::NOT_FOUND),
        Error::NoSuchKey => (Code::NoSuchKey, StatusCode::NOT_FOUND),
        Error::NoSuchVersion => (Code::NoSuchVersion, StatusCode::NOT_FOUND),
        Error::DeleteMarker { newest: true, .. } => (Code::NoSuchKey, StatusCode::NOT_FOUND),
        Error::DeleteMarker { newest: false, .. } => (Code::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED),
        Error::ObjectLocked => (Code::AccessDenied, StatusCode::FORBIDDEN),
        Error::InvalidBucketState(_) => (Code::InvalidBucketState, StatusCode::CONFLICT),
        Error::NoSuchUpload => (Code::NoSuchUpload, StatusCode::NOT_FOUND),
        Error::NoSuchKmsKey => (Code::Custom("KMS.NotFoundException".into()), StatusCode::BAD_REQUEST),
        Error::NoSuchTagSet => (Code::NoSuchTagSet, StatusCode::NOT_FOUND),
        Error::NoSuchLifecycle => (Code::NoSuchLifecycleConfiguration, StatusCode::NOT_FOUND),
        Error::NoObjectLock => (Code::ObjectLockConfigurationNotFoundError, StatusCode::NOT_FOUND),
        Error::NoRetention => (Code::NoSuchObjectLockConfiguration, StatusCode::NOT_FOUND),
        Error::BucketAlreadyExists => (Code::BucketAlreadyExists, StatusCode::CONFLICT),
        Error::BucketAlreadyOwnedByYou => (Code::BucketAlreadyOwnedByYou, StatusCode::CONFLICT),
        Error::BucketNotEmpty => (Code::BucketNotEmpty, StatusCode::CONFLICT),
        Error::UnknownRegion { .. } => (Code::InvalidLocationConstraint, StatusCode::BAD_REQUEST),
        Error::PreconditionFailed { .. } => (Code::PreconditionFailed, StatusCode::PRECONDITION_FAILED),
        Error::NotModified { .. } => (Code::NotModified, StatusCode::NOT_MODIFIED),
        Error::InvalidRange { .. } => (Code::InvalidRange, StatusCode::RANGE_NOT_SATISFIABLE),
        Error::InvalidPart { .. } => (Code::InvalidPart, StatusCode::BAD_REQUEST),
        Error::InvalidPartOrder => (Code::InvalidPartOrder, StatusCode::BAD_REQUEST),
        Error::EntityTooSmall { .. } => (Code::EntityTooSmall, StatusCode::BAD_REQUEST),
        Error::EntityTooLarge { .. } => (Code::EntityTooLarge, StatusCode::BAD_REQUEST),
        Error::IncompleteBody { .. } => (Code::IncompleteBody, StatusCode::BAD_REQUEST),
        Error::BodySignature => (Code::SignatureDoesNotMatch, StatusCode::FORBIDDEN),
        Error::BadDigest { .. } => (Code::BadDigest, StatusCode::BAD_REQUEST),
        Error::InvalidLogTarget(_) => (Code::InvalidTargetBucketForLogging, StatusCode::BAD_REQUEST),
        Error::MalformedDocument(_) => (Code::MalformedXML, StatusCode::BAD_REQUEST),
        Error::InvalidRequest(_) => (Code::InvalidRequest, StatusCode::BAD_REQUEST),
        Error::InvalidArgument(_) => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
        Error::InvalidTag(_) => (Code::InvalidTag, StatusCode::BAD_REQUEST),
        Error::Internal { .. } => (Code::InternalError, StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The code alone, as DeleteObjects lists it per key.
pub(super) fn code_and_message(error: &Error) -> (String, String) {
    let message = match error {
        Error::Denied(denial) => denial_message(denial),
        Error::Internal { doing, source } => {
            tracing::error!(doing, cause = chain(source.as_ref()), "request failed");
            error.to_string()
        }
        _ => error.to_string(),
    };
    (code_of(error).0.as_str().to_owned(), message)
}

fn denied(denial: &Denial) -> S3Error {
    let (code, status) = (S3ErrorCode::Custom(LEGAL_CODE.into()), StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
    let mut answer = S3Error::with_message(code, denial_message(denial));
    answer.set_status_code(status);
    let mut headers = HeaderMap::new();
    headers.insert(LOG_INDEX_HEADER, HeaderValue::from(denial.log_index));
    let rules = &denial.decision.rules;
    let named: Vec<String> = rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
    let cited: Vec<&str> = rules.iter().map(|rule| rule.cite.as_str()).collect();
    for (name, text) in [(RULE_HEADER, named.join(", ")), (CITE_HEADER, cited.join("; "))] {
        if let Some(value) = HeaderValue::from_str(&ascii(&text)).ok().filter(|_| !rules.is_empty()) {
            headers.insert(name, value);
        }
    }
    with_headers(&mut answer, headers);
    answer
}

/// The explanation names rules and citations, and ends with asking for an approval, "citing the log index".
fn denial_message(denial: &Denial) -> String {
    format!("{} {}.", denial.explanation, denial.log_index)
}

fn not_modified(etag: &str) -> S3Error {
    let mut answer = S3Error::new(S3ErrorCode::NotModified);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        answer.set_headers(HeaderMap::from_iter([(http::header::ETAG, value)]));
    }
    answer
}

/// That a delete marker is in the way is told by headers too: a client must be able to find and delete it.
fn delete_marker(error: &Error, version: VersionId, modified: UnixMillis, newest: bool) -> S3Error {
    let (code, status) = code_of(error);
    let mut answer = S3Error::with_message(code, error.to_string());
    answer.set_status_code(status);
    let mut headers = HeaderMap::new();
    headers.insert(DELETE_MARKER_HEADER, HeaderValue::from_static("true"));
    if let Ok(value) = HeaderValue::from_str(&version.to_string()) {
        headers.insert(VERSION_HEADER, value);
    }
    if !newest {
        headers.insert(http::header::ALLOW, HeaderValue::from_static("DELETE"));
        if let Ok(value) = HeaderValue::from_str(&super::headers::http_date(modified)) {
            headers.insert(http::header::LAST_MODIFIED, value);
        }
    }
    with_headers(&mut answer, headers);
    answer
}

/// Headers of an error replace those that the protocol crate would set, so the content type comes with them.
fn with_headers(answer: &mut S3Error, mut headers: HeaderMap) {
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer.set_headers(headers);
}

/// A code that the protocol crate has no variant for.
pub(super) fn custom(code: &'static str, status: StatusCode, message: impl Into<String>) -> S3Error {
    let mut answer = S3Error::with_message(S3ErrorCode::Custom(code.into()), message.into());
    answer.set_status_code(status);
    answer
}

/// A header of the request asks for something that silently doing without would be a lie.
pub(super) fn not_implemented(what: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::NotImplemented, format!("{what} is not implemented by this gateway"))
}

/// `text` with every byte outside printable ASCII, and the percent sign, percent-encoded.
fn ascii(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// An error answer that no operation made, as XML: refusals before a request is read any further.
pub(super) fn document(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{}</Message></Error>",
        xml(code),
        xml(message)
    )
}

/// Puts into an error document what the protocol crate leaves out: resource, request id, and what a refusal by law cites.
pub(super) fn complete_document(body: &[u8], path: &str, request: &str, headers: &HeaderMap) -> Option<Vec<u8>> {
    const END: &[u8] = b"</Error>";
    let head = body.strip_suffix(END)?;
    let mut out = head.to_vec();
    let mut element = |name: &str, text: &str| {
        out.extend_from_slice(format!("<{name}>{}</{name}>", xml(text)).as_bytes());
    };
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    for (name, header_name) in [("Rule", &RULE_HEADER), ("Citation", &CITE_HEADER), ("LogIndex", &LOG_INDEX_HEADER)] {
        if let Some(text) = header(header_name) {
            element(name, &unescape(text));
        }
    }
    element("Resource", path);
    if !contains(head, b"<RequestId>") {
        element("RequestId", request);
    }
    out.extend_from_slice(END);
    Some(out)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The inverse of [`ascii`].
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let decoded = match (byte, after) {
            (b'%', [high, low, tail @ ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .map(|decoded| (decoded, tail)),
            _ => None,
        };
        let (byte, tail) = decoded.unwrap_or((*byte, after));
        out.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// XML text content. Control characters, which XML 1.0 has no way to write, become `?`.
pub(super) fn xml(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c < ' ' && c != '\t' && c != '\n' => out.push('?'),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c => out.push(c),
        }
        out
    })
}

/// Whether an answer has a body: none to HEAD, none with 204 and 304.
pub(super) fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

#[cfg(test)]
mod tests {
    use domicile_types::{Decision, Limb, RuleRef, Verdict};

    use super::*;

    fn denial() -> Denial {
        let rule = RuleRef {
            pack: domicile_types::PackId::parse("cn-data-export").unwrap(),
            rule: "retrieve-from-abroad".to_owned(),
            cite: "《数据出境安全评估申报指南》 § 1".to_owned(),
            limb: Some(Limb(2)),
        };
        let decision = Decision {
            verdict: Verdict::Deny,
            export: true,
            rules: vec![rule],
            obligations: Vec::new(),
            approvals: Vec::new(),
            packs: Vec::new(),
            inputs: String::new(),
            warnings: Vec::new(),
        };
        let explanation = "GetObject from DE is denied by cn-data-export/retrieve-from-abroad. Somebody can ask for an \
                           approval, citing the log index";
        Denial { decision, log_index: 7, explanation: explanation.to_owned() }
    }

    #[test]
    fn a_denial_is_451_and_names_rule_citation_and_log_index() {
        let answer = S3Error::from(Error::Denied(Box::new(denial())));
        assert_eq!(answer.status_code(), Some(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS));
        assert_eq!(answer.code().as_str(), "UnavailableForLegalReasons");
        let message = answer.message().unwrap();
        for part in ["retrieve-from-abroad", "approval, citing the log index 7."] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        let headers = answer.headers().unwrap();
        assert_eq!(headers.get(RULE_HEADER).unwrap(), "cn-data-export/retrieve-from-abroad");
        assert_eq!(headers.get(LOG_INDEX_HEADER).unwrap(), "7");
        assert!(headers.get(CITE_HEADER).unwrap().to_str().unwrap().is_ascii());
    }

    #[test]
    fn the_document_of_a_denial_has_elements_for_what_it_cites() {
        let answer = S3Error::from(Error::Denied(Box::new(denial())));
        let body = document("UnavailableForLegalReasons", "denied <here>");
        let body = complete_document(body.as_bytes(), "/b/k&1", "00ff", answer.headers().unwrap()).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert_eq!(
            body,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>UnavailableForLegalReasons</Code>\
             <Message>denied &lt;here&gt;</Message><Rule>cn-data-export/retrieve-from-abroad</Rule>\
             <Citation>《数据出境安全评估申报指南》 § 1</Citation><LogIndex>7</LogIndex>\
             <Resource>/b/k&amp;1</Resource><RequestId>00ff</RequestId></Error>"
        );
    }

    #[test]
    fn too_few_nodes_is_law_where_packs_are_the_cause_and_load_otherwise() {
        let packs = vec![domicile_types::PackId::parse("eu-gdpr").unwrap()];
        let by_law = S3Error::from(Error::TooFewNodes { explanation: String::new(), packs });
        assert_eq!(by_law.status_code(), Some(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS));
        let by_load = S3Error::from(Error::TooFewNodes { explanation: String::new(), packs: Vec::new() });
        assert_eq!(by_load.status_code(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn a_range_that_is_not_there_is_answered_with_the_size() {
        let answer = S3Error::from(Error::InvalidRange { size: 10 });
        assert_eq!(answer.status_code(), Some(StatusCode::RANGE_NOT_SATISFIABLE));
        assert_eq!(answer.headers().unwrap().get(http::header::CONTENT_RANGE).unwrap(), "bytes */10");
    }

    #[test]
    fn an_internal_error_does_not_show_its_cause_to_the_client() {
        let source = std::io::Error::other("/var/lib/secret");
        let answer = S3Error::from(Error::Internal { doing: "committing", source: Box::new(source) });
        assert!(!answer.message().unwrap().contains("secret"));
    }

    #[test]
    fn citations_survive_the_header_and_control_characters_do_not_break_the_document() {
        for text in ["§ 5 100% of", "plain", "数据"] {
            assert_eq!(unescape(&ascii(text)), text);
        }
        assert_eq!(xml("a\u{1}<b"), "a?&lt;b");
    }
}
