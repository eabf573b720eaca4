//! What a request's head states beside what it asks for: values that access policies ask about, expected owners, and the
//! access control list of what is to be made.

use http::{HeaderMap, Uri};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::acl;
use super::checksum::text_header;
use crate::config::ObjectOwnership;
use crate::objects::{AclRequest, CannedAcl, Stated};

/// Headers that policies ask about under their own names, after `s3:`.
const ASKED_HEADERS: &[&str] = &[
    "if-match",
    "if-none-match",
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
];

/// Headers of object lock, and the keys that policies ask about them by.
const LOCK_HEADERS: &[(&str, &str)] = &[
    ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
    ("x-amz-object-lock-mode", "s3:object-lock-mode"),
    ("x-amz-object-lock-retain-until-date", "s3:object-lock-retain-until-date"),
];

/// Parameters of the query that policies ask about, by operation.
const ASKED_PARAMETERS: &[&str] = &["delimiter", "max-keys", "prefix"];

/// Operations that give what they make or change the list that their head states.
const WITH_ACL: &[&str] =
    &["CopyObject", "CreateBucket", "CreateMultipartUpload", "PutBucketAcl", "PutObject", "PutObjectAcl"];

/// Reads a request's head.
pub(super) fn stated(operation: &str, uri: &Uri, headers: &HeaderMap) -> S3Result<Stated> {
    let mut stated = Stated::default();
    for name in ASKED_HEADERS {
        if let Some(value) = text_header(headers, name) {
            stated.facts.set(&format!("s3:{name}"), value);
        }
    }
    for (name, key) in LOCK_HEADERS {
        if let Some(value) = text_header(headers, name) {
            stated.facts.set(key, value);
        }
    }
    for (name, key) in [("user-agent", "aws:UserAgent"), ("referer", "aws:Referer")] {
        if let Some(value) = text_header(headers, name) {
            stated.facts.set(key, value);
        }
    }
    if let Some(source) = text_header(headers, "x-amz-copy-source") {
        // Policies are written as `bucket/key`; clients begin with a slash or do not, and encode what they like.
        let source = percent_decoded(source.strip_prefix('/').unwrap_or(source));
        stated.facts.set("s3:x-amz-copy-source", source);
    }
    if let Some(tags) = text_header(headers, "x-amz-tagging") {
        let tags: Vec<(String, String)> = url::form_urlencoded::parse(tags.as_bytes()).into_owned().collect();
        stated.facts.requested_tags(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    }
    for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match key.as_ref() {
            "versionId" => stated.facts.set("s3:VersionId", value),
            name if ASKED_PARAMETERS.contains(&name) && operation.starts_with("List") => {
                stated.facts.set(&format!("s3:{name}"), value);
            }
            _ => {}
        }
    }
    let owners = |name: &str| {
        // What is no text names no owner there is.
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?").to_owned()).collect()
    };
    stated.expected_owners = owners("x-amz-expected-bucket-owner");
    stated.expected_source_owners = owners("x-amz-source-expected-bucket-owner");
    stated.acl = match asked_acl(headers)? {
        Some(asked) if !WITH_ACL.contains(&operation) => {
            refuse_publicity(&asked)?;
            None
        }
        asked => asked,
    };
    stated.ownership = match text_header(headers, "x-amz-object-ownership") {
        Some(name) if operation == "CreateBucket" => Some(ownership(name)?),
        _ => None,
    };
    Ok(stated)
}

/// An operation that makes nothing that could have a list is not asked for more than its owner has: to take that and do
/// nothing would be a lie.
fn refuse_publicity(asked: &AclRequest) -> S3Result<()> {
    match asked {
        AclRequest::Canned(CannedAcl::Private | CannedAcl::BucketOwnerFullControl | CannedAcl::BucketOwnerRead) => {
            Ok(())
        }
        _ => Err(S3Error::with_message(
            S3ErrorCode::AccessControlListNotSupported,
            "this operation makes nothing that could have an access control list",
        )),
    }
}

/// `BucketOwnerEnforced` and its like.
pub(super) fn ownership(name: &str) -> S3Result<ObjectOwnership> {
    match name {
        "BucketOwnerEnforced" => Ok(ObjectOwnership::BucketOwnerEnforced),
        "BucketOwnerPreferred" => Ok(ObjectOwnership::BucketOwnerPreferred),
        "ObjectWriter" => Ok(ObjectOwnership::ObjectWriter),
        other => Err(S3Error::with_message(S3ErrorCode::InvalidArgument, format!("no object ownership {other:?}"))),
    }
}

/// `x-amz-acl` or `x-amz-grant-*`.
fn asked_acl(headers: &HeaderMap) -> S3Result<Option<AclRequest>> {
    let refused = |message: &str| S3Error::with_message(S3ErrorCode::InvalidArgument, message.to_owned());
    // An empty value asks for nothing (s3fs sends an empty x-amz-acl).
    let canned = headers.get("x-amz-acl").filter(|value| !value.is_empty());
    let canned = canned.map(|value| value.to_str().ok().and_then(CannedAcl::parse));
    let canned =
        canned.map(|canned| canned.ok_or_else(|| refused("x-amz-acl names no access control list"))).transpose()?;
    let grants = acl::from_headers(headers)?;
    match (canned, grants.is_empty()) {
        (Some(_), false) => {
            Err(S3Error::with_message(S3ErrorCode::InvalidRequest, "x-amz-acl and x-amz-grant-* exclude each other"))
        }
        (Some(canned), true) => Ok(Some(AclRequest::Canned(canned))),
        (None, false) => Ok(Some(AclRequest::Grants(grants))),
        (None, true) => Ok(None),
    }
}

/// Percent-decoded where that gives text, else as it is.
fn percent_decoded(text: &str) -> String {
    // A plus is a plus in a path; form decoding would make it a space.
    let form = text.replace('+', "%2B");
    url::form_urlencoded::parse(form.replace('=', "%3D").replace('&', "%26").as_bytes())
        .next()
        .map_or_else(|| text.to_owned(), |(decoded, _)| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Grantee, Permission};

    fn read(operation: &str, uri: &str, pairs: &[(&'static str, &str)]) -> S3Result<Stated> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        stated(operation, &uri.parse().unwrap(), &headers)
    }

    #[test]
    fn the_head_states_what_policies_ask_about() {
        let headers = [
            ("x-amz-copy-source", "/src/a%2Fb+c%20d?versionId=1"),
            ("x-amz-tagging", "team=a%20b&x="),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("referer", "http://example.com/"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
        ];
        let mut expected = crate::policy::Facts::default();
        expected.set("s3:x-amz-copy-source", "src/a/b+c d?versionId=1");
        expected.requested_tags([("team", "a b"), ("x", "")]);
        expected.set("s3:x-amz-server-side-encryption", "aws:kms");
        expected.set("aws:Referer", "http://example.com/");
        expected.set("s3:object-lock-mode", "COMPLIANCE");
        expected.set("s3:VersionId", "null");
        assert_eq!(read("PutObject", "/b/k?versionId=null&prefix=x", &headers).unwrap().facts, expected);
        let mut expected = crate::policy::Facts::default();
        expected.set("s3:prefix", "a/");
        expected.set("s3:max-keys", "10");
        assert_eq!(read("ListObjectsV2", "/b?prefix=a%2F&max-keys=10", &[]).unwrap().facts, expected);
    }

    #[test]
    fn access_control_lists_are_asked_for_by_name_or_by_grants() {
        let acl = |pairs: &[(&'static str, &str)]| read("PutObject", "/b/k", pairs).map(|stated| stated.acl);
        assert_eq!(acl(&[("x-amz-acl", "public-read")]).unwrap(), Some(AclRequest::Canned(CannedAcl::PublicRead)));
        assert_eq!(acl(&[("x-amz-acl", "")]).unwrap(), None);
        let grants = acl(&[("x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"")]).unwrap();
        assert_eq!(grants, Some(AclRequest::Grants(vec![(Grantee::AllUsers, Permission::Read)])));
        for (pairs, code) in [
            (vec![("x-amz-acl", "aws-exec-read")], S3ErrorCode::InvalidArgument),
            (vec![("x-amz-acl", "private"), ("x-amz-grant-read", "id=a")], S3ErrorCode::InvalidRequest),
            (vec![("x-amz-grant-read", "emailAddress=a@example.com")], S3ErrorCode::UnresolvableGrantByEmailAddress),
        ] {
            assert_eq!(acl(&pairs).unwrap_err().code(), &code, "{pairs:?}");
        }
    }

    #[test]
    fn every_expected_owner_is_kept() {
        let pairs = [("x-amz-expected-bucket-owner", "a"), ("x-amz-expected-bucket-owner", "b")];
        assert_eq!(read("GetObject", "/b/k", &pairs).unwrap().expected_owners, ["a", "b"]);
    }
}
