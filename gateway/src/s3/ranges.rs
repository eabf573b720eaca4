//! `Range` headers that S3 answers as if they were not there.
//!
//! S3 serves one range of a request; a list of ranges, or what is no range, it answers with the whole object and 200, as RFC
//! 9110 section 14.2 allows. The protocol crate refuses both. So they are taken out before it reads them, unless the request's
//! signature covers the header: then it could not be verified any more, and the refusal (400, InvalidArgument) stands.

use http::{Request, header};
use s3s::dto::Range;

use super::checksum::text_header;

/// Takes out a `Range` header that S3 would ignore.
pub(super) fn ignore_what_s3_ignores(request: &mut Request<()>) {
    let one = request.headers().get_all(header::RANGE).iter().count() == 1;
    let served = one && text_header(request.headers(), "range").is_some_and(|text| Range::parse(text).is_ok());
    if !served && !is_signed(request, "range") {
        request.headers_mut().remove(header::RANGE);
    }
}

/// Whether the request's signature covers that header, which is named in lower case.
fn is_signed(request: &Request<()>, name: &str) -> bool {
    let in_header = text_header(request.headers(), "authorization")
        .and_then(|text| text.split_once("SignedHeaders="))
        .is_some_and(|(_, rest)| names(rest.split(',').next().unwrap_or_default(), name));
    let query = request.uri().query().unwrap_or_default();
    in_header
        || url::form_urlencoded::parse(query.as_bytes())
            .any(|(key, value)| key.eq_ignore_ascii_case("x-amz-signedheaders") && names(&value, name))
}

fn names(list: &str, name: &str) -> bool {
    list.split(';').any(|named| named.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(range: &str, uri: &str, authorization: &str) -> bool {
        let request = Request::builder().uri(uri).header("range", range).header("authorization", authorization);
        let mut request = request.body(()).unwrap();
        ignore_what_s3_ignores(&mut request);
        request.headers().contains_key("range")
    }

    #[test]
    fn one_range_is_served_and_lists_and_nonsense_are_ignored() {
        for served in ["bytes=0-1", "bytes=5-", "bytes=-3"] {
            assert!(kept(served, "/b/k", ""), "{served}");
        }
        for ignored in ["bytes=0-1,5-6", "bytes=5-1", "items=0-1", "bytes=a-b"] {
            assert!(!kept(ignored, "/b/k", ""), "{ignored}");
        }
    }

    #[test]
    fn a_signed_list_is_left_for_the_refusal() {
        let signed = "AWS4-HMAC-SHA256 Credential=A/1/cn/s3/aws4_request, SignedHeaders=host;range, Signature=0";
        assert!(kept("bytes=0-1,5-6", "/b/k", signed));
        assert!(kept("bytes=0-1,5-6", "/b/k?X-Amz-SignedHeaders=host%3Brange", ""));
        assert!(!kept("bytes=0-1,5-6", "/b/k?X-Amz-SignedHeaders=host", ""));
    }
}
