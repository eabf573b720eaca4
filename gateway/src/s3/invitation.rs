//! Whether a body is invited: what stands behind the `100 Continue` of a PUT.
//!
//! The head is verified and admitted as the request will be, and the rules of its bucket are asked. Nothing is taken from
//! that: the request is verified, admitted and judged again when it is served. So whoever may not write is refused before the
//! body leaves the client, and no signature is a promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3s::access::{S3Access, S3AccessContext};
use s3s::config::StaticConfigProvider;
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3ErrorCode, S3Result};

use super::auth::{Gate, Keyring};
use super::hosts::Hosts;
use super::{checksum, names, tagging};
use crate::objects::{Caller, Gateway};

/// Asks whether bodies may come.
#[derive(Clone)]
pub(super) struct Invitations(S3Service);

impl Invitations {
    /// `gateway` knows the rules of buckets; without one, only signatures are verified.
    pub(super) fn new(
        gateway: Option<Gateway>,
        gate: Arc<Gate>,
        keyring: Keyring,
        hosts: Hosts,
        limits: Arc<StaticConfigProvider>,
    ) -> Self {
        let mut builder = S3ServiceBuilder::new(Nothing);
        builder.set_config(limits);
        builder.set_host(hosts);
        builder.set_auth(keyring);
        builder.set_access(Doorkeeper { gate, gateway });
        Self(builder.build())
    }

    /// An answer where the body may not come.
    pub(super) async fn refusal(&self, head: http::Request<()>) -> Option<s3s::HttpResponse> {
        let invited = Invited::default();
        let (mut parts, ()) = head.into_parts();
        parts.extensions.insert(invited.clone());
        let answer = self.0.call(http::Request::from_parts(parts, s3s::Body::empty())).await;
        if invited.0.load(Ordering::Relaxed) {
            return None;
        }
        Some(answer.unwrap_or_else(|error| {
            tracing::error!(%error, "a head could not be judged");
            super::bridge::error_answer(S3Error::new(S3ErrorCode::InternalError))
        }))
    }
}

/// Set when a head has passed: travels with it as an extension.
#[derive(Clone, Default)]
struct Invited(Arc<AtomicBool>);

/// Serves no operation: none is reached.
struct Nothing;

impl S3 for Nothing {}

/// Lets heads pass, and every one no further.
struct Doorkeeper {
    gate: Arc<Gate>,
    gateway: Option<Gateway>,
}

#[async_trait::async_trait]
impl S3Access for Doorkeeper {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let (caller, operation) = self.gate.verified(request)?;
        if let Some(gateway) = &self.gateway {
            ask_rules(gateway, &caller, &operation, request).await?;
        }
        if let Some(Invited(invited)) = request.extensions_mut().get() {
            invited.store(true, Ordering::Relaxed);
        }
        Err(S3Error::with_message(S3ErrorCode::AccessDenied, "a head alone is not served"))
    }
}

/// Asks the rules of the bucket about those operations that bring an object's bytes. All others bring documents, which are
/// short.
async fn ask_rules(gateway: &Gateway, caller: &Caller, operation: &str, request: &S3AccessContext<'_>) -> S3Result<()> {
    let S3Path::Object { bucket, key } = request.s3_path() else { return Ok(()) };
    let tags = match operation {
        "PutObject" => Some(tagging::from_header(checksum::text_header(request.headers(), "x-amz-tagging"))?),
        "UploadPart" => None,
        _ => return Ok(()),
    };
    Ok(gateway.invites(caller, &names::bucket(bucket)?, &names::key(key)?, tags.as_ref()).await?)
}
