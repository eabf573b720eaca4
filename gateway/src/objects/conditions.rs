//! Conditional requests and ranges (RFC 9110 sections 13 and 14), evaluated against an object's tag, date and size.

use std::ops::Range;

use domicile_types::UnixMillis;

use super::error::Error;
use super::request::{EtagMatch, IfRange, RangeSpec, ReadConditions};

impl EtagMatch {
    /// Whether an object with this tag (without quotes) matches. Strong comparison; weak tags never match.
    #[must_use]
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

impl ReadConditions {
    /// Evaluates in the order of RFC 9110 section 13.2.2. HTTP dates have whole seconds, so `modified` is cut to them.
    pub fn check(&self, etag: &str, modified: UnixMillis) -> Result<(), Error> {
        let modified_second = modified.0 / 1000;
        let later_than = |date: UnixMillis| modified_second > date.0 / 1000;
        match &self.if_match {
            Some(wanted) if !wanted.matches(etag) => return Err(Error::PreconditionFailed { condition: "If-Match" }),
            Some(_) => {}
            None if self.if_unmodified_since.is_some_and(later_than) => {
                return Err(Error::PreconditionFailed { condition: "If-Unmodified-Since" });
            }
            None => {}
        }
        match &self.if_none_match {
            Some(known) if known.matches(etag) => Err(Error::NotModified { etag: etag.to_owned() }),
            Some(_) => Ok(()),
            None if self.if_modified_since.is_some_and(|date| !later_than(date)) => {
                Err(Error::NotModified { etag: etag.to_owned() })
            }
            None => Ok(()),
        }
    }
}

impl ReadConditions {
    /// Whether a range is meant of the object as it is: else the client would piece two versions of it together.
    #[must_use]
    pub fn range_is_meant(&self, etag: &str, modified: UnixMillis) -> bool {
        match &self.if_range {
            None => true,
            Some(IfRange::Etag(known)) => known == etag,
            Some(IfRange::Modified(date)) => date.0 / 1000 == modified.0 / 1000,
            Some(IfRange::Nothing) => false,
        }
    }
}

impl RangeSpec {
    /// The bytes `[start, end)` of an object of `size` bytes; an end past the object is cut, as S3 does.
    pub fn resolve(self, size: u64) -> Result<Range<u64>, Error> {
        let range = match self {
            Self::From { first, last } => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            Self::Suffix { length } => size.saturating_sub(length)..size,
        };
        if range.is_empty() { Err(Error::InvalidRange { size }) } else { Ok(range) }
    }

    /// The same for the source of a copy: all of the range must be there, as a part that is shorter than its client believes
    /// makes another object.
    pub fn resolve_whole(self, size: u64) -> Result<Range<u64>, Error> {
        match self {
            Self::From { last: Some(last), .. } if last >= size => Err(Error::InvalidRange { size }),
            range => range.resolve(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<EtagMatch> {
        Some(EtagMatch::OneOf(vec![text.to_owned()]))
    }

    #[test]
    fn if_match_takes_precedence_over_dates() {
        let conditions =
            ReadConditions { if_match: tag("a"), if_unmodified_since: Some(UnixMillis(0)), ..Default::default() };
        assert!(conditions.check("a", UnixMillis(5_000)).is_ok());
        assert!(matches!(conditions.check("b", UnixMillis(5_000)), Err(Error::PreconditionFailed { .. })));
    }

    #[test]
    fn dates_compare_in_whole_seconds() {
        let since = ReadConditions { if_modified_since: Some(UnixMillis(7_000)), ..Default::default() };
        assert!(matches!(since.check("a", UnixMillis(7_999)), Err(Error::NotModified { .. })));
        assert!(since.check("a", UnixMillis(8_000)).is_ok());
    }

    #[test]
    fn if_none_match_that_differs_overrides_the_date() {
        let conditions = ReadConditions {
            if_none_match: tag("other"),
            if_modified_since: Some(UnixMillis(9_000)),
            ..Default::default()
        };
        assert!(conditions.check("a", UnixMillis(1_000)).is_ok());
    }

    #[test]
    fn a_range_is_meant_of_the_version_that_the_client_knows() {
        let meant = |known| {
            let conditions = ReadConditions { if_range: known, ..Default::default() };
            conditions.range_is_meant("a", UnixMillis(7_999))
        };
        assert!(meant(None) && meant(Some(IfRange::Etag("a".to_owned()))));
        assert!(meant(Some(IfRange::Modified(UnixMillis(7_000)))));
        for other in [IfRange::Etag("b".to_owned()), IfRange::Modified(UnixMillis(8_000)), IfRange::Nothing] {
            assert!(!meant(Some(other)));
        }
    }

    #[test]
    fn ranges_are_cut_at_the_end_and_refused_outside() {
        let from = |first, last| RangeSpec::From { first, last };
        assert_eq!(from(2, Some(4)).resolve(10).ok(), Some(2..5));
        assert_eq!(from(2, None).resolve(10).ok(), Some(2..10));
        assert_eq!(from(2, Some(u64::MAX)).resolve(10).ok(), Some(2..10));
        assert_eq!(RangeSpec::Suffix { length: 3 }.resolve(10).ok(), Some(7..10));
        assert_eq!(RangeSpec::Suffix { length: 30 }.resolve(10).ok(), Some(0..10));
        assert!(matches!(from(10, None).resolve(10), Err(Error::InvalidRange { size: 10 })));
        assert!(RangeSpec::Suffix { length: 0 }.resolve(10).is_err());
        assert!(from(5, Some(4)).resolve(10).is_err());
        assert!(from(0, None).resolve(0).is_err());
    }

    #[test]
    fn a_copied_range_is_never_cut() {
        let from = |first, last| RangeSpec::From { first, last };
        assert_eq!(from(2, Some(9)).resolve_whole(10).ok(), Some(2..10));
        assert!(matches!(from(2, Some(10)).resolve_whole(10), Err(Error::InvalidRange { size: 10 })));
        assert!(from(0, Some(0)).resolve_whole(0).is_err());
    }
}
