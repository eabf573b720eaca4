//! Cross-origin resource sharing: its configuration, preflights, and the headers that go with answers to pages.
//!
//! A preflight is answered before anything is authenticated, because browsers cannot sign it. It tells what the bucket's
//! configuration tells and nothing else: a bucket that does not exist, one without configuration, and one that the law does
//! not let the asker be told of are answered alike.

use std::sync::Arc;

use domicile_types::BucketName;
use futures::future::BoxFuture;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use s3s::dto::{
    CORSRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::auth::Arrival;
use super::{Front, auth, bridge, checksum, hosts, names};
use crate::objects::{Caller, CorsRule, CorsRules, CrossOrigin, Error, Gateway, Principal, header_names};

/// What makes two answers to the same URL differ.
const VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

impl Front {
    pub(super) async fn bucket_cors(
        &self,
        request: S3Request<GetBucketCorsInput>,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let caller = names::caller(&request)?;
        let rules = self.gateway.cors(&caller, &names::bucket(&request.input.bucket)?).await?;
        let rules = rules.ok_or_else(|| S3Error::new(S3ErrorCode::NoSuchCORSConfiguration))?;
        let cors_rules = Some(rules.rules.into_iter().map(shown).collect());
        Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
    }

    pub(super) async fn set_bucket_cors(
        &self,
        request: S3Request<PutBucketCorsInput>,
    ) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let caller = names::caller(&request)?;
        let given = request.input.cors_configuration.cors_rules;
        let rules = CorsRules { rules: given.into_iter().map(stated).collect::<S3Result<_>>()? };
        self.gateway.set_cors(&caller, &names::bucket(&request.input.bucket)?, Some(&rules)).await?;
        Ok(S3Response::new(PutBucketCorsOutput::default()))
    }

    pub(super) async fn remove_bucket_cors(
        &self,
        request: S3Request<DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.set_cors(&caller, &names::bucket(&request.input.bucket)?, None).await?;
        Ok(S3Response::new(DeleteBucketCorsOutput::default()))
    }
}

fn stated(rule: CORSRule) -> S3Result<CorsRule> {
    let max_age_seconds = rule.max_age_seconds.map(u32::try_from).transpose();
    Ok(CorsRule {
        id: rule.id,
        origins: rule.allowed_origins,
        methods: rule.allowed_methods,
        headers: rule.allowed_headers.unwrap_or_default(),
        exposed: rule.expose_headers.unwrap_or_default(),
        max_age_seconds: max_age_seconds.map_err(|_| S3Error::new(S3ErrorCode::MalformedXML))?,
    })
}

fn shown(rule: CorsRule) -> CORSRule {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    CORSRule {
        allowed_headers: some(rule.headers),
        allowed_methods: rule.methods,
        allowed_origins: rule.origins,
        expose_headers: some(rule.exposed),
        id: rule.id,
        max_age_seconds: rule.max_age_seconds.and_then(|seconds| i32::try_from(seconds).ok()),
    }
}

/// Finds the rules of a bucket: with a caller for its preflight, without one for the answer to a request.
type Find = dyn Fn(BucketName, Option<Caller>) -> BoxFuture<'static, Result<Option<CorsRules>, Error>> + Send + Sync;

/// Answers pages, by the rules of their buckets.
#[derive(Clone)]
pub(super) struct Sharing {
    find: Arc<Find>,
    trusted_proxies: Arc<[ipnet::IpNet]>,
}

impl Sharing {
    /// By the rules that the gateway's buckets have.
    pub(super) fn of(gateway: &Gateway) -> Self {
        let trusted_proxies = gateway.config.trusted_proxies.clone().into();
        let gateway = gateway.clone();
        let find = move |bucket: BucketName, caller: Option<Caller>| -> BoxFuture<'static, _> {
            let gateway = gateway.clone();
            Box::pin(async move {
                match caller {
                    Some(caller) => gateway.preflight(&caller, &bucket).await,
                    None => gateway.sharing_of(&bucket).await,
                }
            })
        };
        Self { find: Arc::new(find), trusted_proxies }
    }

    /// By the same rules for every bucket of that name.
    #[cfg(test)]
    pub(super) fn fixed(name: &'static str, rules: CorsRules) -> Self {
        let find = move |bucket: BucketName, _| -> BoxFuture<'static, _> {
            let rules = (bucket.as_str() == name).then(|| rules.clone());
            Box::pin(async move { Ok(rules) })
        };
        Self { find: Arc::new(find), trusted_proxies: Arc::new([]) }
    }

    /// Answers a preflight.
    pub(super) async fn preflight(&self, request: &http::Request<()>, arrival: Arrival) -> s3s::HttpResponse {
        let headers = request.headers();
        let text = |name: &str| checksum::text_header(headers, name);
        let bad = |message| (StatusCode::BAD_REQUEST, "BadRequest", message);
        let Some(origin) = text("origin") else {
            return bridge::refuse(&bad("Insufficient information. Origin request header needed."));
        };
        let Some(method) = text("access-control-request-method") else {
            return bridge::refuse(&bad("Invalid Access-Control-Request-Method: null"));
        };
        let caller = Caller {
            principal: Principal::Anonymous,
            is_gateway: false,
            secure: arrival.secure,
            encryption: Arc::default(),
            address: arrival.peer.and_then(|peer| auth::address(peer, headers, &self.trusted_proxies)),
            request: arrival.request,
            stated: Arc::default(),
        };
        let asked = CrossOrigin { origin, method, headers: text("access-control-request-headers") };
        let found = match hosts::addressed(request).0 {
            Some(bucket) => (self.find)(bucket, Some(caller)).await,
            None => Ok(None),
        };
        let rules = match found {
            Ok(rules) => rules.unwrap_or_default(),
            Err(error) => return bridge::error_answer(error.into()),
        };
        let Some(rule) = rules.find(&asked) else {
            let message = "CORSResponse: no CORS rule lets this origin send this method with these headers";
            return bridge::refuse(&(StatusCode::FORBIDDEN, "AccessForbidden", message));
        };
        let mut answer = http::Response::new(s3s::Body::empty());
        answer.headers_mut().insert(header::VARY, VARY);
        allow(answer.headers_mut(), rule, &asked);
        answer
    }

    /// Adds to the answer what its page's browser must see. `request` is the head as it came.
    pub(super) async fn accompany(&self, request: &Asked, answer: &mut s3s::HttpResponse) {
        let Some(bucket) = &request.bucket else { return };
        let rules = match (self.find)(bucket.clone(), None).await {
            Ok(Some(rules)) => rules,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the rules for pages of other origins could not be read");
                return;
            }
        };
        answer.headers_mut().append(header::VARY, VARY);
        let asked = CrossOrigin { origin: &request.origin, method: &request.method, headers: None };
        if let Some(rule) = rules.find(&asked) {
            allow(answer.headers_mut(), rule, &asked);
        }
    }
}

/// What must be known of a page's request when it is answered.
pub(super) struct Asked {
    bucket: Option<BucketName>,
    origin: String,
    method: String,
}

impl Asked {
    /// Of a request that names an origin.
    pub(super) fn by(request: &http::Request<()>) -> Option<Self> {
        let text = |name: &str| checksum::text_header(request.headers(), name);
        let method = text("access-control-request-method").unwrap_or(request.method().as_str());
        Some(Self {
            bucket: hosts::addressed(request).0,
            origin: text("origin")?.to_owned(),
            method: method.to_owned(),
        })
    }
}

/// Whether a request is a preflight.
pub(super) fn is_preflight(request: &http::Request<()>) -> bool {
    request.method() == Method::OPTIONS
}

fn allow(headers: &mut HeaderMap, rule: &CorsRule, asked: &CrossOrigin<'_>) {
    let mut set = |name: HeaderName, value: &str| {
        if let Some(value) = HeaderValue::from_str(value).ok().filter(|_| !value.is_empty()) {
            headers.insert(name, value);
        }
    };
    if rule.is_for_everyone() {
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    } else {
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, asked.origin);
        set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    set(header::ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
    let sent: Vec<String> = header_names(asked.headers).map(str::to_ascii_lowercase).collect();
    set(header::ACCESS_CONTROL_ALLOW_HEADERS, &sent.join(", "));
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
    if let Some(seconds) = rule.max_age_seconds {
        set(header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
}
