//! Which entries a time is about.

use std::ops::Range;

use domicile_types::{Commitment, UnixMillis};

use super::leaf::Leaf;
use crate::audit::log::AuditLog;
use crate::audit::read::ReadError;

/// The smallest range of entries that holds every entry recorded from `from` to `to` (exclusive), of `bucket` where one is
/// given. A clock that went back makes the range wider, never leaves an entry out. Reads the whole log; empty where nothing
/// was recorded then.
pub fn entries_between(
    log: &AuditLog,
    from: Option<UnixMillis>,
    to: Option<UnixMillis>,
    bucket: Option<&[Commitment]>,
) -> Result<Range<u64>, ReadError> {
    let mut found: Option<Range<u64>> = None;
    let mut fault = None;
    log.entries(0..log.len(), |stored| {
        match Leaf::parse(&stored.leaf) {
            Ok(leaf) => {
                let is_then = from.is_none_or(|from| leaf.time >= from) && to.is_none_or(|to| leaf.time < to);
                if is_then && leaf.is_about(bucket) {
                    let first = found.as_ref().map_or(stored.index, |found| found.start);
                    found = Some(first..stored.index + 1);
                }
            }
            Err(source) => fault = Some(ReadError::Unreadable { index: stored.index, source }),
        }
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(fault),
        None => Ok(found.unwrap_or(0..0)),
    }
}
