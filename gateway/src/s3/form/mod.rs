//! Browser uploads: `POST` of a form to a bucket (Amazon S3's user guide, "Browser-based uploads using POST").
//!
//! A form is a PutObject whose headers are its fields. So it is read up to its file, its signature and its policy are
//! checked, and what it asks becomes a `PUT` that goes the way of all others, with the file as a body that streams. Nothing of
//! the file is read before the signature is verified, and nothing of it is held.
//!
//! Forms may bear SigV4 or, here and nowhere else, SigV2 (`AWSAccessKeyId`, `signature`): both sign the policy document,
//! which states by itself how long it holds and what it allows.

mod answer;
mod fields;
mod policy;
mod put;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use s3s::service::S3Service;
use s3s::{HttpResponse, S3Error, S3ErrorCode, S3Result};

pub(super) use put::FileFault;

use super::auth::{Arrival, Gate, Keyring};
use super::body::ClientLeft;
use super::checksum::text_header;
use super::hosts::Hosts;
use super::journal::Witness;
use super::names;
use crate::clock::Clock;
use policy::Policy;

/// How long a client may take to send what stands before the file.
const FIELDS_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves forms.
#[derive(Clone)]
pub(super) struct Forms {
    /// The protocol without authentication: it is asked only what this module has verified.
    put: S3Service,
    gate: Arc<Gate>,
    keyring: Keyring,
    hosts: Hosts,
}

/// How many fields a form has before its file.
pub(super) async fn count_fields<B>(headers: &http::HeaderMap, body: B) -> S3Result<usize>
where
    B: http_body::Body<Data = Bytes, Error = ClientLeft> + Send + Unpin + 'static,
{
    fields::read(headers, body).await.map(|form| form.fields.len())
}

impl Forms {
    /// `put` must be a service without authentication in front of the use cases.
    pub(super) const fn new(put: S3Service, gate: Arc<Gate>, keyring: Keyring, hosts: Hosts) -> Self {
        Self { put, gate, keyring, hosts }
    }

    /// Serves a form.
    pub(super) async fn serve<B>(&self, parts: &Parts, body: B, arrival: Arrival) -> S3Result<HttpResponse>
    where
        B: http_body::Body<Data = Bytes, Error = ClientLeft> + Send + Unpin + 'static,
    {
        let bucket = self.bucket(parts)?;
        if parts.headers.contains_key(http::header::AUTHORIZATION) {
            let message = "a form is authenticated by its fields, not by an Authorization header";
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
        }
        let reading = fields::read(&parts.headers, body);
        let read = tokio::time::timeout(FIELDS_TIMEOUT, reading).await;
        let form = read.map_err(|_| S3Error::new(S3ErrorCode::RequestTimeout))??;
        let signer = signature::verify(&form, &self.keyring, Clock.now())?;
        let mut length = 0..=super::BODY_BYTES_MAX;
        if let Some(document) = form.value("policy") {
            let policy = Policy::parse(document)?;
            policy.check(&form, &bucket, Clock.now())?;
            length = policy.length(length);
        }
        let wanted = answer::Wanted::of(&form);
        let key = form.value("key").filter(|key| !key.is_empty()).ok_or_else(|| {
            S3Error::with_message(S3ErrorCode::InvalidArgument, "the form has no field named key before its file")
        })?;
        let key = names::key(key)?;
        let mut request = put::request(&bucket, &key, form, length)?;
        let caller = self.gate.admit_form(signer.as_ref(), request.headers(), &parts.headers, arrival)?;
        if let Some(witness) = parts.extensions.get::<Arc<Witness>>() {
            witness.saw(&caller, "PutObject");
        }
        request.extensions_mut().insert(arrival);
        request.extensions_mut().insert(caller);
        let stored = self.put.call(request).await.map_err(|error| {
            tracing::error!(%error, "a form could not be answered");
            S3Error::new(S3ErrorCode::InternalError)
        })?;
        let base = answer::base(parts, arrival.secure);
        Ok(if stored.status().is_success() { wanted.answer(stored, &base, &bucket, &key)? } else { stored })
    }

    /// The bucket that the form is posted to: by its path, or by its host.
    fn bucket(&self, parts: &Parts) -> S3Result<domicile_types::BucketName> {
        let host = text_header(&parts.headers, "host").or_else(|| parts.uri.authority().map(|host| host.as_str()));
        let of_host = host.and_then(|host| self.hosts.bucket(host));
        let path = parts.uri.path().trim_start_matches('/').trim_end_matches('/');
        match (of_host, path) {
            (Some(bucket), "") => names::bucket(&bucket),
            (None, path) if !path.is_empty() && !path.contains('/') => names::bucket(path),
            _ => Err(S3Error::with_message(
                S3ErrorCode::MethodNotAllowed,
                "a form is posted to a bucket; the object's key is one of its fields",
            )),
        }
    }
}

/// Whether a request is a form.
pub(super) fn is_form(method: &http::Method, content_type: Option<&str>) -> bool {
    let content_type = content_type.unwrap_or_default().trim_start();
    let kind = content_type.get(.."multipart/".len()).unwrap_or_default();
    method == http::Method::POST && kind.eq_ignore_ascii_case("multipart/")
}
