//! AWS Signature Version 4 in headers, as far as a benchmark needs it.
//!
//! Written after "Authenticating Requests: Using the Authorization Header" of the Amazon S3 API Reference. Paths are sent
//! as given: the benchmark's own keys hold nothing that must be encoded. There are no query parameters.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

/// What stands for the hash of a body that is not signed.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Who signs, and for where.
pub(crate) struct Signer<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) secret_key: &'a str,
    pub(crate) region: &'a str,
}

/// A request, as far as it is signed.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    /// `examplebucket.s3.amazonaws.com`
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// Hash of the body in hexadecimal, or [`UNSIGNED_PAYLOAD`].
    pub(crate) payload: &'a str,
    /// More headers to sign, lower-case and between `host` and `x-amz-` in the alphabet.
    pub(crate) more: &'a [(&'a str, &'a str)],
}

impl Signer<'_> {
    /// The headers that make it a signed request.
    pub(crate) fn headers(&self, request: &Unsigned<'_>, now: OffsetDateTime) -> [(&'static str, String); 3] {
        let stamp = now
            .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
            .unwrap_or_else(|error| unreachable!("a date of our own time has four digits of year: {error}"));
        let (day, _) = stamp.split_at(8);
        let fixed = [("x-amz-content-sha256", request.payload), ("x-amz-date", &*stamp)];
        let signed: Vec<(&str, &str)> =
            std::iter::once(("host", request.host)).chain(request.more.iter().copied()).chain(fixed).collect();
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{}", request.method, request.path, request.payload);

        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let secret = format!("AWS4{}", self.secret_key);
        let key = [day, self.region, "s3", "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()).to_vec());
        let signature = HEXLOWER.encode(&hmac_sha256(&key, to_sign.as_bytes()));
        let access_key = self.access_key;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}");
        [("authorization", authorization), ("x-amz-content-sha256", request.payload.to_owned()), ("x-amz-date", stamp)]
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// RFC 2104 with SHA-256. A key is longer than a block only with a secret key of more than 60 characters; it is hashed then.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let digest = Sha256::digest(key);
    let key = if key.len() > 64 { &digest[..] } else { key };
    let pad = |filler: u8| {
        let mut block = [filler; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Example: GET Object" of the page named above.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
        };
        let request = Unsigned {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            payload: &sha256_hex(b""),
            more: &[("range", "bytes=0-9")],
        };
        let now = OffsetDateTime::from_unix_timestamp(1_369_353_600).unwrap();
        let [(_, authorization), ..] = signer.headers(&request, now);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
            SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
            Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert_eq!(authorization, expected);
    }

    /// RFC 4231, test case 6.
    #[test]
    fn a_key_longer_than_a_block_is_hashed_first() {
        let mac = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(HEXLOWER.encode(&mac), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }
}
