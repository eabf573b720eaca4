//! Continuation tokens, as plain functions of text, for the fuzz targets. Nothing else calls them.

use super::token::{Resume, open, seal};

const KEY: [u8; 32] = [7; 32];
const LISTING: &[u8] = b"fuzz";

/// The token of a listing that goes on after `key`.
#[must_use]
pub fn sealed_token(key: &str) -> String {
    seal(&KEY, LISTING, &Resume::AfterKey(key.to_owned())).unwrap_or_default()
}

/// After which key a token goes on; `None` if it is not one that was sealed here.
#[must_use]
pub fn open_token(token: &str) -> Option<String> {
    match open(&KEY, LISTING, token) {
        Ok(Resume::AfterKey(key) | Resume::AfterPrefix(key)) => Some(key),
        Err(_) => None,
    }
}
