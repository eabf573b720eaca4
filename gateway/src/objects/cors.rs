//! Cross-origin resource sharing: which pages a bucket's owner lets browsers talk to it from.
//!
//! Browsers ask before they send ([`Gateway::preflight`]) and look at what comes with an answer ([`Gateway::sharing_of`]).
//! Neither lets anybody do anything: a request that follows is authenticated and judged like any other.

use domicile_types::{BucketName, OperationKind};
use serde::{Deserialize, Serialize};

use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::{CatalogError, Setting};

/// Rules of a bucket, at the most (Amazon S3's user guide, "CORS configuration").
const RULES_MAX: usize = 100;
/// Characters of a rule's name.
const ID_CHARS_MAX: usize = 255;

/// A bucket's rules. The first that fits a request answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsRules {
    /// In the order of the configuration.
    pub rules: Vec<CorsRule>,
}

/// What pages of some origins may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsRule {
    /// The owner's name for it.
    pub id: Option<String>,
    /// Origins, each with at most one `*` that stands for any text.
    pub origins: Vec<String>,
    /// Methods among GET, PUT, HEAD, POST and DELETE.
    pub methods: Vec<String>,
    /// Request headers that may be asked for, each with at most one `*`.
    pub headers: Vec<String>,
    /// Response headers that scripts may read.
    pub exposed: Vec<String>,
    /// How long a browser may keep the answer to a preflight.
    pub max_age_seconds: Option<u32>,
}

/// What a page asks for.
#[derive(Debug, Clone, Copy)]
pub struct CrossOrigin<'a> {
    /// The page's origin.
    pub origin: &'a str,
    /// The method it uses or is about to use.
    pub method: &'a str,
    /// The headers it is about to send, as the browser lists them.
    pub headers: Option<&'a str>,
}

impl CorsRules {
    /// Refuses rules that browsers or S3 would read otherwise than their author.
    ///
    /// # Errors
    /// [`Error::MalformedDocument`], [`Error::InvalidRequest`].
    pub fn check(&self) -> Result<(), Error> {
        if self.rules.is_empty() || self.rules.len() > RULES_MAX {
            return Err(Error::MalformedDocument(format!("a CORS configuration has 1 to {RULES_MAX} rules")));
        }
        self.rules.iter().try_for_each(CorsRule::check)
    }

    /// The first rule that lets the page do what it asks for.
    #[must_use]
    pub fn find(&self, asked: &CrossOrigin<'_>) -> Option<&CorsRule> {
        self.rules.iter().find(|rule| rule.fits(asked))
    }
}

impl CorsRule {
    fn check(&self) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::InvalidRequest(why));
        if self.origins.is_empty() || self.methods.is_empty() {
            return Err(Error::MalformedDocument("a CORS rule names at least one origin and one method".to_owned()));
        }
        if self.id.as_ref().is_some_and(|id| id.chars().count() > ID_CHARS_MAX) {
            return refuse(format!("the ID of a CORS rule has at most {ID_CHARS_MAX} characters"));
        }
        if let Some(method) = self.methods.iter().find(|method| !is_method(method)) {
            return refuse(format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}"));
        }
        for (what, patterns) in [("AllowedOrigin", &self.origins), ("AllowedHeader", &self.headers)] {
            if let Some(pattern) = patterns.iter().find(|pattern| pattern.matches('*').count() > 1) {
                return refuse(format!("{what} \"{pattern}\" can not have more than one wildcard."));
            }
        }
        // These go out as a header of every answer: nothing but names of headers may be in them.
        if let Some(name) = self.exposed.iter().find(|name| http::HeaderName::from_bytes(name.as_bytes()).is_err()) {
            return refuse(format!("ExposeHeader \"{name}\" is not the name of a header"));
        }
        match self.exposed.iter().find(|name| name.contains('*')) {
            Some(name) => refuse(format!(
                "ExposeHeader \"{name}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
            )),
            None => Ok(()),
        }
    }

    fn fits(&self, asked: &CrossOrigin<'_>) -> bool {
        self.origins.iter().any(|pattern| matches(pattern, asked.origin))
            && self.methods.iter().any(|method| method == asked.method)
            && names(asked.headers).all(|name| self.allows_header(name))
    }

    fn allows_header(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &name))
    }

    /// Whether it is open to all the world, and not because a pattern happens to fit.
    #[must_use]
    pub fn is_for_everyone(&self) -> bool {
        self.origins.iter().any(|pattern| pattern == "*")
    }
}

/// The names in a list of headers.
pub fn names(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn is_method(text: &str) -> bool {
    matches!(text, "GET" | "PUT" | "HEAD" | "POST" | "DELETE")
}

/// Whether `text` is what `pattern` says, with at most one `*` in it.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail),
    }
}

impl Gateway {
    /// The bucket's rules; none where it has none.
    pub async fn cors(&self, caller: &Caller, bucket: &BucketName) -> Result<Option<CorsRules>, Error> {
        self.setting(caller, bucket, "s3:GetBucketCORS", Setting::Cors).await
    }

    /// Replaces the bucket's rules or, with `None`, removes them.
    pub async fn set_cors(&self, caller: &Caller, bucket: &BucketName, rules: Option<&CorsRules>) -> Result<(), Error> {
        if let Some(rules) = rules {
            rules.check()?;
        }
        self.set_setting(caller, bucket, "s3:PutBucketCORS", Setting::Cors, rules).await
    }

    /// The rules that a browser's preflight is answered by. A preflight cannot be signed, so it is told only of buckets whose
    /// owner has published rules for browsers, and only where the law lets its place be told of the bucket: everything else
    /// looks like a bucket that does not exist. Only then it is logged, so that strangers cannot fill the log by guessing.
    pub async fn preflight(&self, caller: &Caller, name: &BucketName) -> Result<Option<CorsRules>, Error> {
        let bucket = match self.catalog.bucket(name).await {
            Ok(bucket) => bucket,
            Err(CatalogError::NoSuchBucket { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(rules) = self.catalog.setting(&bucket, Setting::Cors).await? else { return Ok(None) };
        match self.authorize(caller, &Matter::of_bucket(OperationKind::HeadBucket, &bucket)).await {
            Ok(intent) => settle(intent, true),
            Err(Error::Denied(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(rules))
    }

    /// The rules whose headers accompany the answer to a request from a page. The request itself is judged and logged by
    /// whoever serves it.
    pub async fn sharing_of(&self, name: &BucketName) -> Result<Option<CorsRules>, Error> {
        match self.catalog.bucket(name).await {
            Ok(bucket) => Ok(self.catalog.setting(&bucket, Setting::Cors).await?),
            Err(CatalogError::NoSuchBucket { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRule { origins: list(origins), methods: list(methods), headers: list(headers), ..CorsRule::default() }
    }

    fn asks<'a>(origin: &'a str, method: &'a str, headers: Option<&'a str>) -> CrossOrigin<'a> {
        CrossOrigin { origin, method, headers }
    }

    #[test]
    fn a_star_stands_for_any_text_but_nothing_is_counted_twice() {
        for (pattern, text, fits) in [
            ("*", "anything", true),
            ("*suffix", "foo.suffix", true),
            ("*suffix", "foo.suffix.get", false),
            ("start*end", "startend", true),
            ("start*end", "start12end", true),
            ("start*end", "0start12end", false),
            ("prefix*", "prefix.suffix", true),
            ("prefix*", "bla.prefix", false),
            ("ab*ba", "aba", false),
            ("https://a.example", "https://A.example", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_preflight_needs_one_rule_with_origin_method_and_every_header() {
        let rules = CorsRules {
            rules: vec![
                rule(&["https://a.example"], &["GET"], &[]),
                rule(&["https://*.example"], &["PUT"], &["x-amz-*", "content-type"]),
            ],
        };
        assert!(rules.check().is_ok());
        for (asked, fits) in [
            (asks("https://a.example", "GET", None), Some(0)),
            (asks("https://a.example", "PUT", None), Some(1)),
            (asks("https://a.example", "PUT", Some("Content-Type, X-Amz-Date")), Some(1)),
            (asks("https://a.example", "PUT", Some("Content-Type,Authorization")), None),
            (asks("https://a.example", "GET", Some("x-amz-date")), None),
            (asks("https://b.example", "GET", None), None),
            (asks("https://a.example", "get", None), None),
        ] {
            assert_eq!(rules.find(&asked), fits.map(|at: usize| &rules.rules[at]), "{asked:?}");
        }
    }

    #[test]
    fn rules_that_would_be_read_otherwise_than_written_are_refused() {
        let good = || rule(&["*"], &["GET"], &[]);
        let check = |rules: Vec<CorsRule>| CorsRules { rules }.check();
        assert!(check(vec![good()]).is_ok());
        assert!(check(vec![good(); 100]).is_ok());
        assert!(matches!(check(Vec::new()), Err(Error::MalformedDocument(_))));
        assert!(matches!(check(vec![good(); 101]), Err(Error::MalformedDocument(_))));
        assert!(matches!(check(vec![rule(&[], &["GET"], &[])]), Err(Error::MalformedDocument(_))));
        for bad in [
            rule(&["*a*"], &["GET"], &[]),
            rule(&["*"], &["PATCH"], &[]),
            rule(&["*"], &["get"], &[]),
            rule(&["*"], &["GET"], &["x-*-*"]),
            CorsRule { exposed: vec!["x-*".to_owned()], ..good() },
            CorsRule { exposed: vec!["a\r\nset-cookie: b".to_owned()], ..good() },
            CorsRule { id: Some("i".repeat(256)), ..good() },
        ] {
            assert!(matches!(check(vec![bad.clone()]), Err(Error::InvalidRequest(_))), "{bad:?}");
        }
    }
}
