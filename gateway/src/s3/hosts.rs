//! Virtual-host addressing: `bucket.s3.example.com` beside `s3.example.com/bucket`.

use std::borrow::Cow;
use std::sync::Arc;

use domicile_types::BucketName;
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The gateway's own domains. A host that is none of them, nor below one, is addressed by path.
#[derive(Clone)]
pub(super) struct Hosts(Arc<[String]>);

impl Hosts {
    pub(super) fn new(domains: &[String]) -> Self {
        Self(domains.iter().map(|domain| domain.to_ascii_lowercase()).collect())
    }

    /// The bucket that a `Host` names; none where the path does.
    pub(super) fn bucket(&self, host: &str) -> Option<String> {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        // The longest domain wins: of a.example and b.a.example, x.b.a.example is a bucket of the second.
        let below = self.0.iter().filter_map(|domain| {
            let bucket = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
            (!bucket.is_empty()).then(|| bucket.to_owned())
        });
        if self.0.contains(&host) { None } else { below.min_by_key(String::len) }
    }
}

/// The bucket that a request's host names: travels with the request as an extension.
#[derive(Debug, Clone)]
pub(super) struct OfHost(pub(super) String);

/// The bucket and the key, still encoded, that a request names by host and path, or by path alone.
pub(super) fn addressed(request: &http::Request<()>) -> (Option<BucketName>, Option<&str>) {
    let path = request.uri().path().trim_start_matches('/');
    let (bucket, key) = match request.extensions().get::<OfHost>() {
        Some(OfHost(bucket)) => (bucket.as_str(), path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    (BucketName::parse(bucket).ok(), Some(key).filter(|key| !key.is_empty()))
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(Cow::Borrowed(host));
        Ok(match self.bucket(host) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_names_the_bucket_leaves_the_whole_path_to_the_key() {
        let names = |path: &str, host: Option<&str>| {
            let mut request = http::Request::new(());
            *request.uri_mut() = path.parse().unwrap();
            if let Some(bucket) = host {
                request.extensions_mut().insert(OfHost(bucket.to_owned()));
            }
            let (bucket, key) = addressed(&request);
            (bucket.map(|bucket| bucket.to_string()), key.map(str::to_owned))
        };
        let pair = |bucket: &str, key: Option<&str>| (Some(bucket.to_owned()), key.map(str::to_owned));
        assert_eq!(names("/training/a/b?x", None), pair("training", Some("a/b")));
        assert_eq!(names("/training", None), pair("training", None));
        assert_eq!(names("/a/b?x", Some("training")), pair("training", Some("a/b")));
        assert_eq!(names("/", Some("training")), pair("training", None));
        assert_eq!(names("/", None), (None, None));
    }

    #[test]
    fn a_bucket_stands_before_a_domain_and_nowhere_else() {
        let hosts = Hosts::new(&["S3.example.com".to_owned(), "eu.s3.example.com".to_owned()]);
        for (host, bucket) in [
            ("s3.example.com", None),
            ("s3.example.com:9000", None),
            ("train.s3.example.com", Some("train")),
            ("Train.S3.Example.COM:443", Some("train")),
            ("a.b.s3.example.com.", Some("a.b")),
            ("eu.s3.example.com", None),
            ("train.eu.s3.example.com", Some("train")),
            ("evils3.example.com", None),
            (".s3.example.com", None),
            ("localhost:9000", None),
            ("127.0.0.1", None),
            ("[::1]:9000", None),
        ] {
            assert_eq!(hosts.bucket(host).as_deref(), bucket, "{host}");
        }
    }
}
