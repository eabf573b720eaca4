//! Checksums in headers, documents and trailers: `x-amz-checksum-*`, `x-amz-trailer`, `Content-MD5`.

use data_encoding::BASE64;
use http::HeaderMap;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use crate::objects::{Checksum, ChecksumAlgorithm, ExpectedDigests, StoredChecksum, TrailerReader};

const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// `x-amz-checksum-` headers that carry no value.
const NOT_VALUES: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

/// The algorithm of that S3 name.
pub(super) fn algorithm(name: &str) -> S3Result<ChecksumAlgorithm> {
    ALGORITHMS.into_iter().find(|algorithm| name_of(*algorithm).eq_ignore_ascii_case(name)).ok_or_else(|| {
        invalid(format!("the checksum algorithm {name} is not known; use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256"))
    })
}

/// The S3 name of an algorithm.
pub(super) const fn name_of(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

/// An algorithm as the protocol crate states it.
pub(super) fn algorithm_dto(algorithm: ChecksumAlgorithm) -> s3s::dto::ChecksumAlgorithm {
    s3s::dto::ChecksumAlgorithm::from_static(name_of(algorithm))
}

/// COMPOSITE or FULL_OBJECT, as the protocol crate states it.
pub(super) fn type_dto(full_object: bool) -> s3s::dto::ChecksumType {
    use s3s::dto::ChecksumType;
    ChecksumType::from_static(if full_object { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE })
}

/// A value as S3 writes it.
pub(super) fn text(checksum: &Checksum) -> String {
    BASE64.encode(&checksum.value)
}

/// A stored value as S3 writes it: `value-parts` where it is COMPOSITE.
pub(super) fn stored_text(stored: &StoredChecksum) -> String {
    match stored.composite_parts {
        Some(parts) => format!("{}-{parts}", text(&stored.checksum)),
        None => text(&stored.checksum),
    }
}

/// Sets the field of that algorithm in a protocol output.
macro_rules! set_checksum {
    ($output:expr, $algorithm:expr, $text:expr) => {
        match $algorithm {
            crate::objects::ChecksumAlgorithm::Crc32 => $output.checksum_crc32 = Some($text),
            crate::objects::ChecksumAlgorithm::Crc32c => $output.checksum_crc32c = Some($text),
            crate::objects::ChecksumAlgorithm::Crc64Nvme => $output.checksum_crc64nvme = Some($text),
            crate::objects::ChecksumAlgorithm::Sha1 => $output.checksum_sha1 = Some($text),
            crate::objects::ChecksumAlgorithm::Sha256 => $output.checksum_sha256 = Some($text),
        }
    };
}
pub(super) use set_checksum;

/// Parses a value. One that does not decode to the right number of bytes matches no body: it is answered as one that does
/// not match this one.
pub(super) fn parse(algorithm: ChecksumAlgorithm, text: &str) -> S3Result<Checksum> {
    BASE64
        .decode(text.trim().as_bytes())
        .ok()
        .filter(|value| value.len() == algorithm.value_bytes())
        .map(|value| Checksum { algorithm, value })
        .ok_or_else(|| {
            let message = format!("the value of {} is no {} of anything", algorithm.header(), name_of(algorithm));
            S3Error::with_message(S3ErrorCode::BadDigest, message)
        })
}

/// The one checksum among the headers.
pub(super) fn from_headers(headers: &HeaderMap) -> S3Result<Option<Checksum>> {
    let mut found = None;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-checksum-") || NOT_VALUES.contains(&name) {
            continue;
        }
        let value = value.to_str().map_err(|_| invalid(format!("the value of {name} is not a valid checksum")))?;
        let Some(algorithm) = ALGORITHMS.into_iter().find(|algorithm| algorithm.header() == name) else {
            return Err(invalid(format!("{name} is not known; use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256")));
        };
        if found.replace(parse(algorithm, value.split('-').next().unwrap_or(value))?).is_some() {
            return Err(invalid("expecting a single x-amz-checksum- header"));
        }
    }
    Ok(found)
}

/// What the client claims about a body, from its headers. SHA-256 of a single-chunk payload is not among it: the protocol
/// crate checks that one itself, while the body streams.
pub(super) fn expected(headers: &HeaderMap, trailers: Option<TrailingHeaders>) -> S3Result<ExpectedDigests> {
    let take = trailers.map(|trailers| -> TakeTrailers { Box::new(move || trailers.take()) });
    expected_with(headers, take)
}

/// Takes the trailers of a body that has been read to its end.
pub(super) type TakeTrailers = Box<dyn FnOnce() -> Option<HeaderMap> + Send>;

/// The same, for a body whose trailers are taken so.
pub(super) fn expected_with(headers: &HeaderMap, trailers: Option<TakeTrailers>) -> S3Result<ExpectedDigests> {
    let checksum = from_headers(headers)?;
    let announced = announced_trailer(headers)?;
    let sdk = match text_header(headers, "x-amz-sdk-checksum-algorithm") {
        Some(name) => Some(algorithm(name)?),
        None => None,
    };
    if checksum.is_some() && announced.is_some() {
        return Err(invalid("a checksum stands in a header and another is announced for the trailer"));
    }
    let trailer = match (announced, trailers) {
        (Some(algorithm), Some(trailers)) => Some(trailer_reader(algorithm, trailers)),
        (Some(_), None) => return Err(invalid("x-amz-trailer without a body that can have a trailer")),
        (None, _) => None,
    };
    Ok(ExpectedDigests { md5: content_md5(headers)?, sha256: None, checksum, algorithm: announced.or(sdk), trailer })
}

fn trailer_reader(algorithm: ChecksumAlgorithm, trailers: TakeTrailers) -> TrailerReader {
    Box::new(move || {
        let trailers = trailers().unwrap_or_default();
        let Some(value) = trailers.get(algorithm.header()) else {
            return Err(format!("the trailer {} was announced and did not come", algorithm.header()));
        };
        if trailers.get_all(algorithm.header()).iter().any(|other| other != value) {
            return Err(format!("the trailer {} came more than once, and not the same", algorithm.header()));
        }
        let value = value.to_str().map_err(|_| format!("the trailer {} is not text", algorithm.header()))?;
        parse(algorithm, value).map(Some).map_err(|_| format!("the trailer {} is not a checksum", algorithm.header()))
    })
}

fn announced_trailer(headers: &HeaderMap) -> S3Result<Option<ChecksumAlgorithm>> {
    let mut announced = None;
    let values = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
    for name in values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()) {
        if name.is_empty() || name == "x-amz-trailer-signature" {
            continue;
        }
        let Some(algorithm) = ALGORITHMS.into_iter().find(|algorithm| algorithm.header() == name) else {
            return Err(invalid("x-amz-trailer announces a header that is not a known checksum"));
        };
        if announced.replace(algorithm).is_some() {
            return Err(invalid("x-amz-trailer announces more than one checksum"));
        }
    }
    Ok(announced)
}

/// `Content-MD5`.
fn content_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let digest = BASE64.decode(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    digest.map(Some).ok_or_else(|| S3Error::new(S3ErrorCode::InvalidDigest))
}

/// The one value of a header, where it is text.
pub(super) fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn invalid(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_checksum_header_is_read_and_two_are_refused() {
        let one = [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-mode", "ENABLED")];
        let found = from_headers(&headers(&one)).unwrap().unwrap();
        assert_eq!(found, Checksum { algorithm: ChecksumAlgorithm::Crc32, value: vec![0xcb, 0xf4, 0x39, 0x26] });
        let two = [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")];
        assert!(from_headers(&headers(&two)).is_err());
        let malformed = from_headers(&headers(&[("x-amz-checksum-crc32", "bad")])).unwrap_err();
        assert_eq!(malformed.code(), &S3ErrorCode::BadDigest);
        assert!(from_headers(&headers(&[("x-amz-checksum-xxhash64", "AAAAAAAAAAA=")])).is_err());
    }

    #[test]
    fn a_malformed_content_md5_is_an_invalid_digest() {
        let refusal = expected(&headers(&[("content-md5", "YWJj")]), None).err().unwrap();
        assert_eq!(refusal.code(), &S3ErrorCode::InvalidDigest);
        let good = expected(&headers(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]), None).unwrap();
        assert_eq!(good.md5, Some(fast_md5::digest(b"")));
    }

    #[test]
    fn an_announced_trailer_of_an_unknown_algorithm_or_without_a_body_for_it_is_refused() {
        assert!(announced_trailer(&headers(&[("x-amz-trailer", "x-amz-checksum-xxhash3")])).is_err());
        assert!(announced_trailer(&headers(&[("x-amz-trailer", "authorization")])).is_err());
        let announced = announced_trailer(&headers(&[("x-amz-trailer", "x-amz-checksum-crc64nvme")]));
        assert_eq!(announced.unwrap(), Some(ChecksumAlgorithm::Crc64Nvme));
        assert!(expected(&headers(&[("x-amz-trailer", "x-amz-checksum-crc32")]), None).is_err());
    }

    #[test]
    fn composite_checksums_show_their_number_of_parts() {
        let checksum = Checksum { algorithm: ChecksumAlgorithm::Crc32, value: vec![0xcb, 0xf4, 0x39, 0x26] };
        let composite = StoredChecksum { checksum: checksum.clone(), composite_parts: Some(3) };
        assert_eq!(stored_text(&composite), "y/Q5Jg==-3");
        assert_eq!(stored_text(&StoredChecksum { checksum, composite_parts: None }), "y/Q5Jg==");
    }
}
