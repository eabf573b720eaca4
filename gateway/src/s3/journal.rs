//! What access logs say of a request: noted when it comes, completed when its answer has been sent.

use std::sync::{Arc, OnceLock};

use domicile_types::{BucketName, RequestId};
use http::{HeaderMap, Method};

use super::checksum::text_header;
use super::hosts;
use crate::access_log::Record;
use crate::clock::Clock;
use crate::objects::{Caller, Gateway};

/// Bytes of an error document in which its code is looked for.
const CODE_WITHIN_BYTES: usize = 512;

/// Hands records to the access logs of the gateway, where there is one.
#[derive(Clone)]
pub(super) struct Journal(pub(super) Option<Gateway>);

/// Whom access control found to be asking, and for what: travels with the request as an extension.
#[derive(Default)]
pub(super) struct Witness(OnceLock<(Caller, String)>);

impl Witness {
    /// Called once, by access control.
    pub(super) fn saw(&self, caller: &Caller, operation: &str) {
        // Only access control calls this.
        let _ = self.0.set((caller.clone(), operation.to_owned()));
    }
}

/// A record that is not complete.
pub(super) struct Entry {
    gateway: Gateway,
    bucket: BucketName,
    record: Record,
    witness: Arc<Witness>,
    method: Method,
}

impl Journal {
    /// Begins the record of a request, if its bucket may want one.
    pub(super) fn begin(
        &self,
        request: &http::Request<()>,
        peer: Option<std::net::IpAddr>,
        secure: bool,
        id: RequestId,
    ) -> Option<Entry> {
        let gateway = self.0.clone()?;
        let (now, (bucket, key)) = (Clock.now(), hosts::addressed(request));
        let bucket = bucket?;
        if !gateway.access_logs.may_want(&bucket, now) {
            return None;
        }
        let headers = request.headers();
        let text = |name: &str| text_header(headers, name).map(str::to_owned);
        let query = request.uri().query().unwrap_or_default();
        let path = request.uri().path();
        let decoded = |key: &str| percent_decoded(key);
        let record = Record {
            came_millis: now.0,
            address: peer.map(|peer| peer.to_canonical().to_string()),
            request: id.to_string(),
            key: key.map(decoded),
            line: line(request.method(), path, query, request.version()),
            object_bytes: object_bytes(request.method(), headers),
            referrer: text("referer"),
            user_agent: text("user-agent"),
            auth_type: auth_type(headers, query),
            host: text("host"),
            secure,
            ..Record::default()
        };
        let witness = Arc::default();
        Some(Entry { gateway, bucket, record, witness, method: request.method().clone() })
    }
}

impl Entry {
    /// Where access control says who asks.
    pub(super) fn witness(&self) -> Arc<Witness> {
        Arc::clone(&self.witness)
    }

    /// Notes the answer's head.
    pub(super) fn answered(&mut self, answer: &s3s::HttpResponse) {
        let headers = answer.headers();
        let record = &mut self.record;
        record.status = answer.status().as_u16();
        record.turn_around_millis = Clock.now().0.saturating_sub(record.came_millis);
        record.version = text_header(headers, "x-amz-version-id").map(str::to_owned);
        if !answer.status().is_success() {
            record.error = answer.body().bytes().and_then(|bytes| code(&bytes));
        } else if matches!(self.method, Method::GET | Method::HEAD) && record.key.is_some() {
            let whole =
                text_header(headers, "content-range").and_then(|range| range.rsplit_once('/')).map(|(_, size)| size);
            record.object_bytes =
                whole.or_else(|| text_header(headers, "content-length")).and_then(|size| size.parse().ok());
        }
    }

    /// Hands the record over: the answer has been sent, or nobody takes it any more.
    pub(super) fn finish(mut self, sent_bytes: u64) {
        let record = &mut self.record;
        record.sent_bytes = sent_bytes;
        record.total_millis = Clock.now().0.saturating_sub(record.came_millis);
        let seen = self.witness.0.get();
        record.operation = operation(seen.map(|(_, operation)| operation.as_str()), &self.method, record.key.is_some());
        if let Some((caller, _)) = seen {
            record.requester = caller.tenant().map(|_| caller.actor());
            record.address = caller.address.map(|address| address.to_canonical().to_string());
        }
        self.gateway.access_logs.note(self.bucket, self.record);
    }
}

fn line(method: &Method, path: &str, query: &str, version: http::Version) -> String {
    let question = if query.is_empty() { "" } else { "?" };
    format!("{method} {path}{question}{} {version:?}", without_signature(query))
}

/// A query whose signature could be used by whoever reads the log, without it.
fn without_signature(query: &str) -> String {
    let secret = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        ["x-amz-signature", "x-amz-security-token"].iter().any(|secret| name.eq_ignore_ascii_case(secret))
    };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if secret(pair) => format!("{name}=..."),
        _ => pair.to_owned(),
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

fn auth_type(headers: &HeaderMap, query: &str) -> Option<&'static str> {
    let in_query = || query.split('&').any(|pair| pair.starts_with("X-Amz-Signature="));
    match headers.contains_key(http::header::AUTHORIZATION) {
        true => Some("AuthHeader"),
        false if in_query() => Some("QueryString"),
        false => None,
    }
}

/// The size of an object that is being put.
fn object_bytes(method: &Method, headers: &HeaderMap) -> Option<u64> {
    let length =
        || text_header(headers, "x-amz-decoded-content-length").or_else(|| text_header(headers, "content-length"));
    if method == Method::PUT { length().and_then(|text| text.parse().ok()) } else { None }
}

/// The code of an error document.
fn code(document: &[u8]) -> Option<String> {
    let head = document.get(..document.len().min(CODE_WITHIN_BYTES))?;
    let text = String::from_utf8_lossy(head);
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.to_owned())
}

fn percent_decoded(text: &str) -> String {
    // Only what follows a percent sign changes; a plus is a plus in a path.
    let escaped = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("k={}", escaped.replace('&', "%26")).as_bytes())
        .next()
        .map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// An operation as access logs call it. What was refused before it was known is called by its method.
fn operation(name: Option<&str>, method: &Method, has_key: bool) -> String {
    let thing = if has_key { "OBJECT" } else { "BUCKET" };
    let Some(name) = name else { return format!("REST.{method}.{thing}") };
    let fixed = match name {
        "AbortMultipartUpload" => "REST.DELETE.UPLOAD",
        "CompleteMultipartUpload" => "REST.POST.UPLOAD",
        "CopyObject" => "REST.COPY.OBJECT",
        "CreateMultipartUpload" => "REST.POST.UPLOADS",
        "DeleteObjects" => "REST.POST.MULTI_OBJECT_DELETE",
        "GetBucketLogging" => "REST.GET.LOGGING_STATUS",
        "PutBucketLogging" => "REST.PUT.LOGGING_STATUS",
        "ListMultipartUploads" => "REST.GET.UPLOADS",
        "ListObjectVersions" => "REST.GET.BUCKETVERSIONS",
        "ListParts" => "REST.GET.UPLOAD",
        "UploadPart" => "REST.PUT.PART",
        "UploadPartCopy" => "REST.COPY.PART",
        "GetObject" | "HeadObject" | "PutObject" | "DeleteObject" | "HeadBucket" | "CreateBucket" | "DeleteBucket"
        | "ListObjects" | "ListObjectsV2" => "",
        other => return format!("REST.{method}.{}", configuration(other, thing)),
    };
    if fixed.is_empty() { format!("REST.{method}.{thing}") } else { fixed.to_owned() }
}

/// `GetBucketTagging` is about `TAGGING`, `PutObjectTagging` about `OBJECT_TAGGING`.
fn configuration(operation: &str, thing: &str) -> String {
    let rest =
        ["Get", "Put", "Delete", "List"].iter().find_map(|verb| operation.strip_prefix(verb)).unwrap_or(operation);
    let (object, subject) = match (rest.strip_prefix("Object"), rest.strip_prefix("Bucket")) {
        (Some("Tagging"), _) => ("OBJECT_", "Tagging"),
        (Some(subject), _) | (None, Some(subject)) => ("", subject),
        (None, None) => ("", rest),
    };
    if subject.is_empty() {
        return thing.to_owned();
    }
    let mut text = object.to_owned();
    for (at, c) in subject.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_called_as_s3_calls_them() {
        for (name, method, has_key, text) in [
            (Some("GetObject"), Method::GET, true, "REST.GET.OBJECT"),
            (Some("ListObjectsV2"), Method::GET, false, "REST.GET.BUCKET"),
            (Some("DeleteObjects"), Method::POST, false, "REST.POST.MULTI_OBJECT_DELETE"),
            (Some("GetBucketTagging"), Method::GET, false, "REST.GET.TAGGING"),
            (Some("PutObjectTagging"), Method::PUT, true, "REST.PUT.OBJECT_TAGGING"),
            (Some("DeleteObjectTagging"), Method::DELETE, true, "REST.DELETE.OBJECT_TAGGING"),
            (Some("PutObjectLegalHold"), Method::PUT, true, "REST.PUT.LEGAL_HOLD"),
            (Some("GetBucketCors"), Method::GET, false, "REST.GET.CORS"),
            (None, Method::POST, false, "REST.POST.BUCKET"),
        ] {
            assert_eq!(operation(name, &method, has_key), text, "{name:?}");
        }
    }

    #[test]
    fn a_link_in_the_log_cannot_be_used() {
        let query = "X-Amz-Credential=AKID%2Fx&X-Amz-Signature=00ff&X-Amz-Security-Token=t&versionId=1";
        let shown = line(&Method::GET, "/b/k", query, http::Version::HTTP_11);
        assert_eq!(
            shown,
            "GET /b/k?X-Amz-Credential=AKID%2Fx&X-Amz-Signature=...&X-Amz-Security-Token=...&versionId=1 HTTP/1.1"
        );
        assert_eq!(auth_type(&HeaderMap::new(), query), Some("QueryString"));
    }

    #[test]
    fn the_code_of_a_refusal_is_found_in_its_document() {
        let document = super::super::error::document("NoSuchKey", "no");
        assert_eq!(code(document.as_bytes()).as_deref(), Some("NoSuchKey"));
        assert_eq!(code(b""), None);
    }

    #[test]
    fn a_key_is_decoded_once() {
        assert_eq!(percent_decoded("a%2520b+c/%26d&e"), "a%20b+c/&d&e");
    }
}
