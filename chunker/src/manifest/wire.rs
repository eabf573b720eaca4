//! Fixed-width fields in order. There is one encoding of every value, and decoding ends exactly at the end.

use super::ManifestError;

/// Takes fields off the front of bytes.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], ManifestError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(ManifestError::Malformed { field })?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ManifestError> {
        self.take(N, field)?.try_into().map_err(|_| ManifestError::Malformed { field })
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, ManifestError> {
        self.array(field).map(|[byte]: [u8; 1]| byte)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, ManifestError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, ManifestError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Nothing may be left.
    pub(super) const fn end(self) -> Result<(), ManifestError> {
        if self.0.is_empty() { Ok(()) } else { Err(ManifestError::Malformed { field: "bytes after the end" }) }
    }
}
