//! HKDF-Expand with SHA-512 (RFC 5869 section 2.3), and the one way in which fields become bytes.

use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::Zeroizing;

/// Output of SHA-512, and the least that the `hkdf` crate takes as a key.
const HASH_BYTES: usize = 64;

/// HKDF-Expand(SHA-512, `key`, concatenation of `info`) into `output`.
///
/// Keys shorter than 64 bytes are padded with zeros first, as HMAC does itself (RFC 2104 section 2): the same function.
///
/// # Panics
/// When `key` is longer than 64 bytes or `output` than 16,320: both lengths are constants of this crate.
pub(crate) fn expand(key: &[u8], info: &[&[u8]], output: &mut [u8]) {
    let mut padded = Zeroizing::new([0; HASH_BYTES]);
    let (head, _) = padded.split_at_mut(key.len());
    head.copy_from_slice(key);
    let done = Hkdf::<Sha512>::from_prk(padded.as_ref()).map(|hkdf| hkdf.expand_multi_info(info, output));
    assert!(matches!(done, Ok(Ok(()))), "HKDF lengths are constants of this crate");
}

/// Fields, each after its length in two big-endian bytes: no two lists of fields give the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<u8>);

impl Fields {
    /// Begins with the name of what the fields describe, version included.
    pub(crate) fn new(domain: &str) -> Self {
        Self::default().with(domain.as_bytes())
    }

    /// Appends one field.
    ///
    /// # Panics
    /// When the field is longer than 65,535 bytes; the longest that this crate passes is an object key of 1,024.
    pub(crate) fn with(mut self, field: &[u8]) -> Self {
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
        assert!(usize::from(length) == field.len(), "a field is at most 65,535 bytes");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_join_alike_encode_apart() {
        let one = Fields::new("d").with(b"ab").with(b"c");
        let two = Fields::new("d").with(b"a").with(b"bc");
        assert_ne!(one, two);
        assert_eq!(one.as_bytes(), b"\0\x01d\0\x02ab\0\x01c");
    }
}
