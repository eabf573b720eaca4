//! AssumeRole of Amazon's Security Token Service, on the S3 port: short credentials for a role.
//!
//! A request is `POST /` with a form, signed by SigV4 for the service `sts`; the protocol crate verifies it. Answers and errors
//! have the form of that service, not of S3.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use s3s::route::S3Route;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use time::format_description::well_known::Rfc3339;

use super::auth::{Arrival, Gate, Signer};
use super::checksum::text_header;
use super::error::{code_and_message, xml};
use crate::objects::{AssumeRole, Error, Gateway};

/// The longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// How long a session lasts where the request does not say, in seconds.
const SECONDS_DEFAULT: u32 = 3600;
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The service.
pub(super) struct Sts {
    pub(super) gateway: Gateway,
    pub(super) gate: Arc<Gate>,
}

#[async_trait::async_trait]
impl S3Route for Sts {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, _: &mut http::Extensions) -> bool {
        is_for(method, uri, headers)
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let arrival = request.extensions.get::<Arrival>().copied();
        let arrival = arrival.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        let id = arrival.request.to_string();
        let (status, document) = match self.answer(&mut request, arrival).await {
            Ok(result) => (StatusCode::OK, result.replace("{id}", &id)),
            Err((status, code, message)) => (status, failure(&code, &message, &id)),
        };
        let mut response = S3Response::new(Body::from(document));
        response.status = Some(status);
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        Ok(response)
    }
}

type Refusal = (StatusCode, String, String);

impl Sts {
    async fn answer(&self, request: &mut S3Request<Body>, arrival: Arrival) -> Result<String, Refusal> {
        let denied = |message: &str| (StatusCode::FORBIDDEN, "AccessDenied".to_owned(), message.to_owned());
        let credentials = request.credentials.as_ref().filter(|_| request.service.as_deref() == Some("sts"));
        let access_key = credentials.ok_or_else(|| denied("the request is not signed for the service sts"))?;
        let signer = Signer {
            access_key: access_key.access_key.clone(),
            session_token: text_header(&request.headers, "x-amz-security-token").map(str::to_owned),
        };
        let caller = self.gate.admit_sts(&signer, &request.headers, arrival).map_err(of_s3)?;
        let body = Limited::new(std::mem::take(&mut request.input), REQUEST_BYTES_MAX).collect().await;
        let too_long = |_| bad("InvalidParameterValue", "the request is too long, or was cut off");
        let body = body.map_err(too_long)?.to_bytes();
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match field("Action") {
            Some("AssumeRole") => {}
            Some(_) | None => return Err(bad("InvalidAction", "AssumeRole is the only action of this service")),
        }
        // What is not understood is refused: it may be a restriction.
        const KNOWN: [&str; 6] = ["Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "Policy"];
        if let Some((unknown, _)) = fields.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            let message = format!("the parameter {unknown} is not implemented");
            return Err((StatusCode::BAD_REQUEST, "InvalidParameterValue".to_owned(), message));
        }
        let required = |name: &str| field(name).ok_or_else(|| bad("ValidationError", &format!("{name} is missing")));
        let seconds = field("DurationSeconds").map_or(Ok(SECONDS_DEFAULT), |text| {
            text.parse().map_err(|_| bad("ValidationError", "DurationSeconds is not a number"))
        })?;
        let asked = AssumeRole {
            role_arn: required("RoleArn")?.to_owned(),
            session_name: required("RoleSessionName")?.to_owned(),
            seconds,
            policy: field("Policy").map(str::to_owned),
        };
        let (role, issued) = self.gateway.assume_role(&caller, &asked).await.map_err(|error| of_use_case(&error))?;
        let expires = time::OffsetDateTime::from(issued.expires)
            .replace_nanosecond(0)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let expires = expires.format(&Rfc3339).unwrap_or_default();
        let (tenant, role, session) = (&role.tenant, &role.name, xml(&asked.session_name));
        Ok(format!(
            "<AssumeRoleResponse xmlns=\"{NAMESPACE}\"><AssumeRoleResult><AssumedRoleUser>\
             <Arn>arn:domicile:sts::{tenant}:assumed-role/{role}/{session}</Arn>\
             <AssumedRoleId>{tenant}.{role}:{session}</AssumedRoleId></AssumedRoleUser>\
             <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
             <SessionToken>{}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
             </AssumeRoleResult><ResponseMetadata><RequestId>{{id}}</RequestId></ResponseMetadata></AssumeRoleResponse>",
            issued.access_key, *issued.secret_key, issued.token
        ))
    }
}

fn bad(code: &str, message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, code.to_owned(), message.to_owned())
}

fn of_s3(error: S3Error) -> Refusal {
    let status = error.status_code().unwrap_or(StatusCode::FORBIDDEN);
    (status, error.code().as_str().to_owned(), error.message().unwrap_or_default().to_owned())
}

fn of_use_case(error: &Error) -> Refusal {
    let (code, message) = code_and_message(error);
    let (status, code) = match error {
        Error::Denied(_) => (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, code),
        Error::InvalidArgument(_) => (StatusCode::BAD_REQUEST, "ValidationError".to_owned()),
        Error::NoSuchBucket => (StatusCode::BAD_REQUEST, code),
        Error::AccessDenied | Error::BeyondLimits(_) | Error::OutsideRole(_) => (StatusCode::FORBIDDEN, code),
        _ => (StatusCode::SERVICE_UNAVAILABLE, code),
    };
    (status, code, message)
}

/// Whether a request is for this service.
pub(super) fn is_for(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let form = text_header(headers, "content-type").unwrap_or_default();
    method == Method::POST && uri.path() == "/" && form.starts_with("application/x-www-form-urlencoded")
}

/// An error of the protocol (a wrong signature, an unknown key) in the form of this service, which its clients expect.
pub(super) fn in_its_form(answer: s3s::HttpResponse, id: &str) -> s3s::HttpResponse {
    let wrapped = answer.body().bytes().and_then(|body| {
        let error = std::str::from_utf8(&body).ok()?.split_once("<Error>")?.1.strip_suffix("</Error>")?.to_owned();
        Some(format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type>{error}</Error>\
             <RequestId>{id}</RequestId></ErrorResponse>"
        ))
    });
    match wrapped {
        Some(document) => answer.map(|_| Body::from(document)),
        None => answer,
    }
}

fn failure(code: &str, message: &str, id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{id}</RequestId></ErrorResponse>",
        xml(code),
        xml(message)
    )
}
