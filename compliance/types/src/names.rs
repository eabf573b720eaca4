//! Names and identifiers, one newtype each, parsed once at the edge.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;

use crate::ParseError;
use crate::parse::string_form;

/// A short lower-case identifier: `[a-z0-9]` first, then up to 63 of `[a-z0-9._-]`.
macro_rules! slug {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Parses 1 to 64 of `[a-z0-9._-]`, the first a letter or digit.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                let fits = (1..=64).contains(&text.len())
                    && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
                    && text.starts_with(|c: char| c.is_ascii_alphanumeric());
                if fits {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseError::new($noun, text, "1 to 64 of a-z 0-9 . _ -, the first a letter or digit"))
                }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        string_form!($name);
    };
}

pub(crate) use slug;

slug!(
    /// A customer: keys, buckets and quotas belong to one.
    TenantId,
    "tenant id"
);
slug!(
    /// A legal entity.
    PartyId,
    "party id"
);
slug!(
    /// The party that runs nodes.
    OperatorId,
    "operator id"
);
slug!(
    /// The party that really controls an operator; shards are spread over controllers.
    ControllerId,
    "controller id"
);
slug!(
    /// A jurisdiction pack: the name of its folder under `policies/`.
    PackId,
    "pack id"
);
slug!(
    /// A certification scheme that packs name in recipient conditions: `eu-us-dpf`.
    SchemeId,
    "certification scheme"
);
slug!(
    /// A residency region of the configuration: what `LocationConstraint` names.
    RegionName,
    "region name"
);

/// Sixteen random bytes, shown as 32 hexadecimal digits.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From sixteen bytes, which the caller drew at random.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Parses 32 hexadecimal digits.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Self)
                    .ok_or_else(|| ParseError::new($noun, text, "32 hexadecimal digits"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }

        string_form!($name);
    };
}

pub(crate) use random_id;

random_id!(
    /// What shards are stored under: the bytes of one object version or one part, unrelated to its name.
    DataId,
    "data id"
);
random_id!(
    /// One multipart upload, or the single upload of a plain PUT.
    UploadId,
    "upload id"
);
random_id!(
    /// One request, as `x-amz-request-id` shows it.
    RequestId,
    "request id"
);

/// An S3 bucket name: 3 to 63 of `[a-z0-9.-]`, a letter or digit at both ends, no `..`, not an IPv4 address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

impl BucketName {
    /// Parses by the rules of Amazon S3's user guide, "Bucket naming rules".
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (3..=63).contains(&text.len())
            && text.chars().all(|c| alphanumeric(c) || c == '.' || c == '-')
            && text.starts_with(alphanumeric)
            && text.ends_with(alphanumeric)
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err();
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(
                "bucket name",
                text,
                "3 to 63 of a-z 0-9 . -, a letter or digit at both ends, no two dots together, not an IP address",
            ))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_form!(BucketName);

/// An S3 object key: 1 to 1,024 bytes of UTF-8 without NUL. Opaque: `..` and `//` mean nothing, it is never a path.
///
/// A key can be personal data, so it has no `Debug` or `Display` that a log line could pick up by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The longest key, in bytes of UTF-8 (Amazon S3's user guide, "Naming Amazon S3 objects").
    pub const BYTES_MAX: usize = 1024;

    /// Parses 1 to 1,024 bytes without NUL.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if (1..=Self::BYTES_MAX).contains(&text.len()) && !text.contains('\0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new("object key", "", "1 to 1024 bytes of UTF-8 without NUL"))
        }
    }

    /// The key as the client sent it, decoded once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKey({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_s3_rules() {
        for good in ["abc", "training-data.v1", "1234"] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in ["ab", "Abc", "a..b", "-abc", "abc-", "192.168.0.1", "a_b", &"a".repeat(64)] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn object_keys_are_opaque_but_bounded() {
        assert!(ObjectKey::parse("../a//b\u{1f600}").is_ok());
        assert!(ObjectKey::parse(&"k".repeat(1024)).is_ok());
        assert!(ObjectKey::parse(&"k".repeat(1025)).is_err());
        assert!(ObjectKey::parse("a\0b").is_err());
        assert!(ObjectKey::parse("").is_err());
    }

    #[test]
    fn an_object_key_does_not_print_itself() -> Result<(), ParseError> {
        assert!(!format!("{:?}", ObjectKey::parse("patients/zhang-san.dcm")?).contains("zhang"));
        Ok(())
    }
}
