//! Lifecycle rules between S3's documents and [`Rules`]: whatever is stored has passed here.
//!
//! Limits are those of Amazon S3's user guide, "Lifecycle configuration elements". One thing is taken more kindly: a filter
//! that states several things side by side is read as their conjunction, as Ceph reads it, and shown with the `And` that
//! Amazon S3 would demand.

use std::collections::{BTreeMap, HashSet};

use data_encoding::HEXLOWER;
use s3s::dto::{
    AbortIncompleteMultipartUpload, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleAndOperator,
    LifecycleRuleFilter, NoncurrentVersionExpiration, Tag,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::headers::{millis, timestamp};
use super::tagging;
use crate::lifecycle::{AbortUploads, DAY_MILLIS, Expiration, Filter, NoncurrentExpiration, Rule, Rules};

/// Rules of a bucket.
const RULES_MAX: usize = 1_000;
/// Characters of a rule's id.
const ID_CHARS_MAX: usize = 255;
/// Noncurrent versions that a rule may keep.
const NEWER_KEPT_MAX: u32 = 100;
/// Tags of a filter.
const FILTER_TAGS_MAX: usize = 10;

/// The rules of a document.
pub(super) fn parse(documents: Vec<LifecycleRule>) -> S3Result<Rules> {
    if documents.is_empty() || documents.len() > RULES_MAX {
        return Err(malformed(format!("a lifecycle configuration has 1 to {RULES_MAX} rules")));
    }
    let rules =
        documents.into_iter().zip(0..).map(|(rule, place)| parse_rule(rule, place)).collect::<S3Result<Vec<_>>>()?;
    let mut ids = HashSet::new();
    if !rules.iter().all(|rule| ids.insert(rule.id.as_str())) {
        return Err(argument("two rules have the same ID: an ID must be unique"));
    }
    Ok(Rules { rules })
}

fn parse_rule(document: LifecycleRule, place: u32) -> S3Result<Rule> {
    if document.transitions.is_some() || document.noncurrent_version_transitions.is_some() {
        return Err(S3Error::with_message(
            S3ErrorCode::InvalidStorageClass,
            "this gateway has one storage class, STANDARD: there is none to move objects to",
        ));
    }
    let enabled = match document.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("the Status of a rule is Enabled or Disabled")),
    };
    let filter = match (document.prefix, document.filter) {
        (Some(prefix), None) => Filter { legacy: true, prefix: Some(prefix), ..Filter::default() },
        (None, Some(filter)) => parse_filter(filter)?,
        (None, None) | (Some(_), Some(_)) => return Err(malformed("a rule has either a Filter or a Prefix")),
    };
    if filter.prefix.as_ref().is_some_and(|prefix| prefix.len() > domicile_types::ObjectKey::BYTES_MAX) {
        return Err(argument("the Prefix of a rule is longer than a key can be"));
    }
    let expiration = document.expiration.map(|expiration| parse_expiration(expiration, &filter)).transpose()?;
    let noncurrent = document.noncurrent_version_expiration.map(parse_noncurrent).transpose()?;
    let abort = document.abort_incomplete_multipart_upload.map(|abort| parse_abort(&abort, &filter)).transpose()?;
    if expiration.is_none() && noncurrent.is_none() && abort.is_none() {
        return Err(request("a rule needs at least one action"));
    }
    let id = match document.id.filter(|id| !id.is_empty()) {
        Some(id) if id.chars().count() > ID_CHARS_MAX => {
            return Err(argument(format!("the ID of a rule has at most {ID_CHARS_MAX} characters")));
        }
        Some(id) => id,
        None => made_up_id(place, &filter),
    };
    Ok(Rule { id, enabled, filter, expiration, noncurrent, abort })
}

/// An id for a rule that came without: the same for the same rule at the same place.
fn made_up_id(place: u32, filter: &Filter) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(&place.to_be_bytes()).update(format!("{filter:?}").as_bytes());
    HEXLOWER.encode(hash.finalize().as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]))
}

fn parse_filter(document: LifecycleRuleFilter) -> S3Result<Filter> {
    let and = document.and.unwrap_or(LifecycleRuleAndOperator {
        object_size_greater_than: None,
        object_size_less_than: None,
        prefix: None,
        tags: None,
    });
    let tags: Vec<Tag> = document.tag.into_iter().chain(and.tags.unwrap_or_default()).collect();
    let larger = [document.object_size_greater_than, and.object_size_greater_than];
    let smaller = [document.object_size_less_than, and.object_size_less_than];
    let filter = Filter {
        legacy: false,
        prefix: longer_prefix(document.prefix, and.prefix)?,
        tags: tagging::from_set(tags, FILTER_TAGS_MAX)?,
        larger_than_bytes: bytes(larger)?.into_iter().max(),
        smaller_than_bytes: bytes(smaller)?.into_iter().min(),
    };
    if let (Some(larger), Some(smaller)) = (filter.larger_than_bytes, filter.smaller_than_bytes)
        && larger >= smaller
    {
        return Err(request("ObjectSizeLessThan must be greater than ObjectSizeGreaterThan"));
    }
    Ok(filter)
}

/// What begins with both prefixes begins with the longer one.
fn longer_prefix(one: Option<String>, other: Option<String>) -> S3Result<Option<String>> {
    match (one, other) {
        (Some(one), Some(other)) if one.starts_with(&other) => Ok(Some(one)),
        (Some(one), Some(other)) if other.starts_with(&one) => Ok(Some(other)),
        (Some(_), Some(_)) => Err(malformed("no key begins with both prefixes of the Filter")),
        (one, other) => Ok(one.or(other)),
    }
}

fn bytes(stated: [Option<i64>; 2]) -> S3Result<Vec<u64>> {
    let parse = |bytes: i64| u64::try_from(bytes).map_err(|_| argument("a size in a Filter is not negative"));
    stated.into_iter().flatten().map(parse).collect()
}

fn parse_expiration(document: LifecycleExpiration, filter: &Filter) -> S3Result<Expiration> {
    match (document.days, document.date, document.expired_object_delete_marker) {
        (Some(days), None, None) => Ok(Expiration::Days(positive("Days of Expiration", days)?)),
        (None, Some(date), None) => {
            let date = millis(date);
            if date.0 % DAY_MILLIS != 0 {
                return Err(argument("the Date of Expiration must be at midnight UTC"));
            }
            Ok(Expiration::Date(date))
        }
        (None, None, Some(removed)) => {
            if filter.beyond_prefix() {
                return Err(request(
                    "ExpiredObjectDeleteMarker goes with a Prefix only: markers have no tags and no size",
                ));
            }
            Ok(Expiration::LoneMarkers(removed))
        }
        _ => Err(malformed("an Expiration has exactly one of Days, Date and ExpiredObjectDeleteMarker")),
    }
}

fn parse_noncurrent(document: NoncurrentVersionExpiration) -> S3Result<NoncurrentExpiration> {
    let days = document.noncurrent_days;
    let days = days.ok_or_else(|| malformed("a NoncurrentVersionExpiration needs NoncurrentDays"))?;
    let newer_kept =
        document.newer_noncurrent_versions.map(|kept| positive("NewerNoncurrentVersions", kept)).transpose()?;
    if newer_kept.is_some_and(|kept| kept > NEWER_KEPT_MAX) {
        return Err(argument(format!("NewerNoncurrentVersions is at most {NEWER_KEPT_MAX}")));
    }
    Ok(NoncurrentExpiration { days: positive("NoncurrentDays", days)?, newer_kept })
}

fn parse_abort(document: &AbortIncompleteMultipartUpload, filter: &Filter) -> S3Result<AbortUploads> {
    if filter.beyond_prefix() {
        return Err(request(
            "AbortIncompleteMultipartUpload goes with a Prefix only: uploads have no tags and no size",
        ));
    }
    let days = document.days_after_initiation;
    let days = days.ok_or_else(|| malformed("an AbortIncompleteMultipartUpload needs DaysAfterInitiation"))?;
    Ok(AbortUploads { days: positive("DaysAfterInitiation", days)? })
}

fn positive(what: &str, number: i32) -> S3Result<u32> {
    let positive = u32::try_from(number).ok().filter(|number| *number > 0);
    positive.ok_or_else(|| argument(format!("{what} must be a positive integer")))
}

/// The rules as a document shows them.
pub(super) fn show(rules: &Rules) -> Vec<LifecycleRule> {
    rules.rules.iter().map(show_rule).collect()
}

fn show_rule(rule: &Rule) -> LifecycleRule {
    let status = if rule.enabled { ExpirationStatus::ENABLED } else { ExpirationStatus::DISABLED };
    let (prefix, filter) = match rule.filter.legacy {
        true => (rule.filter.prefix.clone(), None),
        false => (None, Some(show_filter(&rule.filter))),
    };
    LifecycleRule {
        abort_incomplete_multipart_upload: rule
            .abort
            .map(|abort| AbortIncompleteMultipartUpload { days_after_initiation: Some(count(abort.days)) }),
        expiration: rule.expiration.map(show_expiration),
        filter,
        id: Some(rule.id.clone()),
        noncurrent_version_expiration: rule.noncurrent.map(|noncurrent| NoncurrentVersionExpiration {
            newer_noncurrent_versions: noncurrent.newer_kept.map(count),
            noncurrent_days: Some(count(noncurrent.days)),
        }),
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(status),
        transitions: None,
    }
}

fn show_filter(filter: &Filter) -> LifecycleRuleFilter {
    let tags = show_tags(&filter.tags);
    let larger = filter.larger_than_bytes.map(size);
    let smaller = filter.smaller_than_bytes.map(size);
    let stated =
        [filter.prefix.is_some(), larger.is_some(), smaller.is_some()].iter().filter(|stated| **stated).count();
    let nothing = LifecycleRuleFilter {
        and: None,
        object_size_greater_than: None,
        object_size_less_than: None,
        prefix: None,
        tag: None,
    };
    if stated + tags.len() > 1 {
        let and = LifecycleRuleAndOperator {
            object_size_greater_than: larger,
            object_size_less_than: smaller,
            prefix: filter.prefix.clone(),
            tags: (!tags.is_empty()).then_some(tags),
        };
        return LifecycleRuleFilter { and: Some(and), ..nothing };
    }
    LifecycleRuleFilter {
        object_size_greater_than: larger,
        object_size_less_than: smaller,
        prefix: filter.prefix.clone(),
        tag: tags.into_iter().next(),
        ..nothing
    }
}

fn show_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

fn show_expiration(expiration: Expiration) -> LifecycleExpiration {
    let nothing = LifecycleExpiration { date: None, days: None, expired_object_delete_marker: None };
    match expiration {
        Expiration::Days(days) => LifecycleExpiration { days: Some(count(days)), ..nothing },
        Expiration::Date(date) => LifecycleExpiration { date: Some(timestamp(date)), ..nothing },
        Expiration::LoneMarkers(removed) => {
            LifecycleExpiration { expired_object_delete_marker: Some(removed), ..nothing }
        }
    }
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn malformed(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedXML, message.into())
}

fn argument(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.into())
}

fn request(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message.into())
}

#[cfg(test)]
mod tests;
