//! `response-*` parameters: how GetObject and HeadObject are to describe an object, this once.

use http::HeaderValue;
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::objects::{Caller, ObjectHeaders};

/// What a request overrides, from an input of the protocol crate.
macro_rules! overrides {
    ($input:expr, $caller:expr) => {
        crate::s3::overrides::Overrides {
            content_type: $input.response_content_type.take(),
            content_encoding: $input.response_content_encoding.take(),
            content_disposition: $input.response_content_disposition.take(),
            content_language: $input.response_content_language.take(),
            cache_control: $input.response_cache_control.take(),
            expires: crate::s3::overrides::date($input.response_expires.take()),
        }
        .checked($caller)
    };
}
pub(super) use overrides;

/// The headers that are answered instead of those stored with the object.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) expires: Option<String>,
}

impl Overrides {
    /// S3 grants them to signed requests only: else a link to a public object could be dressed up by anyone.
    pub(super) fn checked(self, caller: &Caller) -> S3Result<Self> {
        let refused = |message: &str| Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message.to_owned()));
        let given: Vec<&str> = self.all().into_iter().flatten().collect();
        if !given.is_empty() && caller.tenant().is_none() {
            return refused("response headers cannot be asked for by anonymous requests");
        }
        if given.iter().any(|value| HeaderValue::from_str(value).is_err()) {
            return refused("a response-* parameter cannot be a header's value");
        }
        Ok(self)
    }

    /// Puts what is overridden in the place of what is stored.
    pub(super) fn apply(self, headers: &mut ObjectHeaders) {
        for (kept, given) in [
            (&mut headers.content_type, self.content_type),
            (&mut headers.content_encoding, self.content_encoding),
            (&mut headers.content_disposition, self.content_disposition),
            (&mut headers.content_language, self.content_language),
            (&mut headers.cache_control, self.cache_control),
            (&mut headers.expires, self.expires),
        ] {
            if given.is_some() {
                *kept = given;
            }
        }
    }

    fn all(&self) -> [Option<&str>; 6] {
        [
            self.content_type.as_deref(),
            self.content_encoding.as_deref(),
            self.content_disposition.as_deref(),
            self.content_language.as_deref(),
            self.cache_control.as_deref(),
            self.expires.as_deref(),
        ]
    }
}

/// A date as HTTP writes it.
pub(super) fn date(date: Option<Timestamp>) -> Option<String> {
    let mut text = Vec::new();
    date?.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use domicile_types::{RequestId, TenantId};

    use super::*;
    use crate::objects::{KeyHolder, Principal};

    fn caller(principal: Principal) -> Caller {
        Caller {
            principal,
            is_gateway: false,
            secure: false,
            address: None,
            request: RequestId::from_bytes([1; 16]),
            encryption: std::sync::Arc::default(),
            stated: std::sync::Arc::default(),
        }
    }

    fn holder() -> Caller {
        let tenant = TenantId::parse("a").unwrap();
        caller(Principal::Key(KeyHolder::of_tenant(tenant, "AKID")))
    }

    fn as_text(content_type: &str) -> Overrides {
        Overrides { content_type: Some(content_type.to_owned()), ..Overrides::default() }
    }

    #[test]
    fn what_is_overridden_takes_the_place_of_what_is_stored_and_the_rest_stays() {
        let mut headers = ObjectHeaders {
            content_type: Some("image/png".to_owned()),
            cache_control: Some("no-store".to_owned()),
            ..ObjectHeaders::default()
        };
        as_text("text/plain").checked(&holder()).unwrap().apply(&mut headers);
        assert_eq!(headers.content_type.as_deref(), Some("text/plain"));
        assert_eq!(headers.cache_control.as_deref(), Some("no-store"));
    }

    #[test]
    fn anonymous_requests_override_nothing() {
        let nobody = caller(Principal::Anonymous);
        assert_eq!(as_text("text/html").checked(&nobody).unwrap_err().code(), &S3ErrorCode::InvalidRequest);
        assert!(Overrides::default().checked(&nobody).is_ok());
    }

    #[test]
    fn a_value_that_would_end_its_header_is_refused() {
        let split = as_text("text/plain\r\nset-cookie: a=b").checked(&holder());
        assert_eq!(split.unwrap_err().code(), &S3ErrorCode::InvalidRequest);
    }

    #[test]
    fn dates_are_written_as_http_does() {
        let parsed = Timestamp::parse(TimestampFormat::HttpDate, "Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        assert_eq!(date(Some(parsed)).as_deref(), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
        assert_eq!(date(None), None);
    }
}
