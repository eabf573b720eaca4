//! What a browser hears after its upload: a status, a document, or where to go.

use domicile_types::{BucketName, ObjectKey};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result};

use super::super::checksum::text_header;
use super::super::error::xml;
use super::fields::Form;
use super::put::path;

/// What the form wants to hear.
pub(super) struct Wanted {
    redirect: Option<url::Url>,
    status: StatusCode,
}

impl Wanted {
    /// What the form wants to hear. A redirection that is no URL, and a status that is not offered, count as not stated.
    pub(super) fn of(form: &Form) -> Self {
        let redirect = form.value("success_action_redirect").or_else(|| form.value("redirect"));
        let redirect = redirect.and_then(|text| url::Url::parse(text).ok());
        let status = match form.value("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
        Self { redirect: redirect.filter(|url| matches!(url.scheme(), "http" | "https")), status }
    }

    /// The answer, from what PutObject answered.
    pub(super) fn answer(
        self,
        mut stored: HttpResponse,
        base: &str,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> S3Result<HttpResponse> {
        let etag = text_header(stored.headers(), "etag").unwrap_or_default().to_owned();
        let mut location = format!("{base}/{bucket}/{}", path(key.as_str()));
        let mut body = Body::empty();
        stored.headers_mut().remove(header::CONTENT_LENGTH);
        *stored.status_mut() = self.status;
        if let Some(mut url) = self.redirect {
            let pairs = [("bucket", bucket.as_str()), ("key", key.as_str()), ("etag", &etag)];
            let mut query =
                url.query().filter(|query| !query.is_empty()).map(str::to_owned).into_iter().collect::<Vec<_>>();
            query.extend(pairs.map(|(name, value)| format!("{name}={}", path(value).replace('/', "%2F"))));
            url.set_query(Some(&query.join("&")));
            location = url.into();
            *stored.status_mut() = StatusCode::SEE_OTHER;
        } else if self.status == StatusCode::CREATED {
            body = Body::from(format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><PostResponse><Location>{}</Location><Bucket>{bucket}</Bucket>\
                 <Key>{}</Key><ETag>{}</ETag></PostResponse>",
                xml(&location),
                xml(key.as_str()),
                xml(&etag)
            ));
            stored.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        let location = HeaderValue::try_from(location).map_err(|_| S3Error::new(S3ErrorCode::InternalError))?;
        stored.headers_mut().insert(header::LOCATION, location);
        *stored.body_mut() = body;
        Ok(stored)
    }
}

/// `scheme://host` as the client named it.
pub(super) fn base(parts: &Parts, secure: bool) -> String {
    let host = text_header(&parts.headers, "host").or_else(|| parts.uri.authority().map(|host| host.as_str()));
    format!("{}://{}", if secure { "https" } else { "http" }, host.unwrap_or_default())
}
