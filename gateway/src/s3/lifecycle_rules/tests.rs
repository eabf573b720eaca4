//! Every way in which a rule can be refused, and that what is taken is shown as it came.

use s3s::dto::{Timestamp, TimestampFormat, Transition};

use super::*;

fn expiring(expiration: LifecycleExpiration) -> LifecycleRule {
    LifecycleRule {
        abort_incomplete_multipart_upload: None,
        expiration: Some(expiration),
        filter: None,
        id: Some("rule".to_owned()),
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix: Some("logs/".to_owned()),
        status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
        transitions: None,
    }
}

fn after(days: i32) -> LifecycleExpiration {
    LifecycleExpiration { date: None, days: Some(days), expired_object_delete_marker: None }
}

fn simple() -> LifecycleRule {
    expiring(after(3))
}

fn filtered(filter: LifecycleRuleFilter) -> LifecycleRule {
    LifecycleRule { prefix: None, filter: Some(filter), ..simple() }
}

fn no_filter() -> LifecycleRuleFilter {
    LifecycleRuleFilter {
        and: None,
        object_size_greater_than: None,
        object_size_less_than: None,
        prefix: None,
        tag: None,
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}

fn refused(rule: LifecycleRule) -> S3ErrorCode {
    parse(vec![rule]).unwrap_err().code().clone()
}

fn at(text: &str) -> LifecycleExpiration {
    let date = Timestamp::parse(TimestampFormat::DateTime, text).unwrap();
    LifecycleExpiration { date: Some(date), days: None, expired_object_delete_marker: None }
}

fn markers(removed: bool) -> LifecycleExpiration {
    LifecycleExpiration { date: None, days: None, expired_object_delete_marker: Some(removed) }
}

#[test]
fn what_is_taken_is_shown_as_it_came() {
    let and = LifecycleRuleAndOperator {
        object_size_greater_than: Some(10),
        object_size_less_than: Some(20),
        prefix: Some("x/".to_owned()),
        tags: Some(vec![tag("a", "1"), tag("b", "2")]),
    };
    let noncurrent = NoncurrentVersionExpiration { newer_noncurrent_versions: Some(5), noncurrent_days: Some(7) };
    let came = vec![
        simple(),
        LifecycleRule {
            id: Some("a".to_owned()),
            status: ExpirationStatus::from_static(ExpirationStatus::DISABLED),
            ..filtered(no_filter())
        },
        LifecycleRule { id: Some("b".to_owned()), ..filtered(LifecycleRuleFilter { and: Some(and), ..no_filter() }) },
        LifecycleRule {
            id: Some("c".to_owned()),
            ..filtered(LifecycleRuleFilter { tag: Some(tag("a", "1")), ..no_filter() })
        },
        LifecycleRule { id: Some("d".to_owned()), ..expiring(at("2030-01-01T00:00:00Z")) },
        LifecycleRule { id: Some("e".to_owned()), ..expiring(markers(true)) },
        LifecycleRule {
            id: Some("f".to_owned()),
            expiration: None,
            noncurrent_version_expiration: Some(noncurrent),
            abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload { days_after_initiation: Some(2) }),
            ..filtered(LifecycleRuleFilter { prefix: Some(String::new()), ..no_filter() })
        },
    ];
    let shown = show(&parse(came.clone()).unwrap());
    assert_eq!(format!("{shown:?}"), format!("{came:?}"));
}

#[test]
fn there_are_one_to_a_thousand_rules() {
    let many = |count: usize| {
        let named = |place| LifecycleRule { id: Some(format!("{place}")), ..simple() };
        parse((0..count).map(named).collect())
    };
    assert_eq!(many(0).unwrap_err().code(), &S3ErrorCode::MalformedXML);
    assert_eq!(many(1_000).unwrap().rules.len(), 1_000);
    assert_eq!(many(1_001).unwrap_err().code(), &S3ErrorCode::MalformedXML);
}

#[test]
fn ids_are_unique_and_not_too_long_and_made_up_where_there_are_none() {
    let named = |id: &str| LifecycleRule { id: Some(id.to_owned()), ..simple() };
    assert!(parse(vec![named(&"é".repeat(255))]).is_ok());
    assert_eq!(refused(named(&"a".repeat(256))), S3ErrorCode::InvalidArgument);
    assert_eq!(parse(vec![named("a"), named("a")]).unwrap_err().code(), &S3ErrorCode::InvalidArgument);
    let nameless = || LifecycleRule { id: None, ..simple() };
    let made = parse(vec![nameless(), nameless(), named("")]).unwrap();
    assert_eq!(made.rules.iter().map(|rule| rule.id.len()).collect::<Vec<_>>(), [32; 3]);
    assert_eq!(made, parse(vec![nameless(), nameless(), named("")]).unwrap(), "the same document, the same ids");
}

#[test]
fn a_status_is_one_of_two_words() {
    for status in ["enabled", "disabled", "invalid", ""] {
        let rule = LifecycleRule { status: ExpirationStatus::from(status.to_owned()), ..simple() };
        assert_eq!(refused(rule), S3ErrorCode::MalformedXML, "{status}");
    }
}

#[test]
fn a_rule_has_a_filter_or_a_prefix() {
    assert_eq!(refused(LifecycleRule { filter: Some(no_filter()), ..simple() }), S3ErrorCode::MalformedXML);
    assert_eq!(refused(LifecycleRule { prefix: None, ..simple() }), S3ErrorCode::MalformedXML);
    let long = LifecycleRule { prefix: Some("p".repeat(1_025)), ..simple() };
    assert_eq!(refused(long), S3ErrorCode::InvalidArgument);
}

#[test]
fn a_rule_has_an_action() {
    assert_eq!(refused(LifecycleRule { expiration: None, ..simple() }), S3ErrorCode::InvalidRequest);
}

#[test]
fn an_expiration_says_one_thing() {
    let nothing = LifecycleExpiration { date: None, days: None, expired_object_delete_marker: None };
    let both = LifecycleExpiration { expired_object_delete_marker: Some(true), ..after(3) };
    let dated = LifecycleExpiration { days: Some(1), ..at("2030-01-01T00:00:00Z") };
    for expiration in [nothing, both, dated] {
        assert_eq!(refused(expiring(expiration)), S3ErrorCode::MalformedXML);
    }
    for days in [0, -1, i32::MIN] {
        assert_eq!(refused(expiring(after(days))), S3ErrorCode::InvalidArgument, "{days}");
    }
    assert_eq!(refused(expiring(at("2030-01-01T12:00:00Z"))), S3ErrorCode::InvalidArgument);
    assert!(parse(vec![expiring(at("2017-09-27T00:00:00Z"))]).is_ok(), "a date may lie in the past");
}

#[test]
fn markers_and_uploads_know_no_tags_and_no_sizes() {
    let tagged = || LifecycleRuleFilter { tag: Some(tag("a", "1")), ..no_filter() };
    let sized = || LifecycleRuleFilter { object_size_greater_than: Some(1), ..no_filter() };
    for filter in [tagged(), sized()] {
        let markers = LifecycleRule { expiration: Some(markers(true)), ..filtered(filter.clone()) };
        assert_eq!(refused(markers), S3ErrorCode::InvalidRequest);
        let abort = Some(AbortIncompleteMultipartUpload { days_after_initiation: Some(1) });
        let uploads = LifecycleRule { abort_incomplete_multipart_upload: abort, ..filtered(filter) };
        assert_eq!(refused(uploads), S3ErrorCode::InvalidRequest);
    }
}

#[test]
fn days_of_noncurrent_versions_and_uploads_are_given_and_positive() {
    let noncurrent = |days, kept| {
        let expiration = NoncurrentVersionExpiration { newer_noncurrent_versions: kept, noncurrent_days: days };
        LifecycleRule { noncurrent_version_expiration: Some(expiration), ..simple() }
    };
    assert_eq!(refused(noncurrent(None, Some(1))), S3ErrorCode::MalformedXML);
    assert_eq!(refused(noncurrent(Some(0), None)), S3ErrorCode::InvalidArgument);
    assert_eq!(refused(noncurrent(Some(1), Some(0))), S3ErrorCode::InvalidArgument);
    assert_eq!(refused(noncurrent(Some(1), Some(101))), S3ErrorCode::InvalidArgument);
    assert!(parse(vec![noncurrent(Some(1), Some(100))]).is_ok());
    let abort = |days| {
        let abort = AbortIncompleteMultipartUpload { days_after_initiation: days };
        LifecycleRule { abort_incomplete_multipart_upload: Some(abort), ..simple() }
    };
    assert_eq!(refused(abort(None)), S3ErrorCode::MalformedXML);
    assert_eq!(refused(abort(Some(0))), S3ErrorCode::InvalidArgument);
}

#[test]
fn nothing_can_be_moved_to_another_storage_class() {
    let transition = Transition { date: None, days: Some(1), storage_class: None };
    let rule = LifecycleRule { transitions: Some(vec![transition]), ..simple() };
    assert_eq!(refused(rule), S3ErrorCode::InvalidStorageClass);
}

#[test]
fn what_a_filter_states_side_by_side_holds_together() {
    let and = |prefix: &str| LifecycleRuleAndOperator {
        object_size_greater_than: Some(5),
        object_size_less_than: None,
        prefix: Some(prefix.to_owned()),
        tags: Some(vec![tag("huck", "finn")]),
    };
    let filter = |prefix: &str| LifecycleRuleFilter {
        and: Some(and(prefix)),
        object_size_greater_than: Some(7),
        prefix: Some("days1/".to_owned()),
        tag: Some(tag("tom", "sawyer")),
        ..no_filter()
    };
    let parsed = parse(vec![filtered(filter("days1"))]).unwrap().rules.remove(0).filter;
    assert_eq!((parsed.prefix.as_deref(), parsed.larger_than_bytes), (Some("days1/"), Some(7)));
    assert_eq!(parsed.tags.into_keys().collect::<Vec<_>>(), ["huck", "tom"]);
    assert_eq!(refused(filtered(filter("days2"))), S3ErrorCode::MalformedXML);
}

#[test]
fn filters_have_sane_tags_and_sizes() {
    let sized = |larger, smaller| LifecycleRuleFilter {
        object_size_greater_than: larger,
        object_size_less_than: smaller,
        ..no_filter()
    };
    assert_eq!(refused(filtered(sized(Some(-1), None))), S3ErrorCode::InvalidArgument);
    assert_eq!(refused(filtered(sized(Some(5), Some(5)))), S3ErrorCode::InvalidRequest);
    let and = |tags| LifecycleRuleAndOperator {
        object_size_greater_than: None,
        object_size_less_than: None,
        prefix: None,
        tags: Some(tags),
    };
    let twice = LifecycleRuleFilter { and: Some(and(vec![tag("a", "1"), tag("a", "2")])), ..no_filter() };
    assert_eq!(refused(filtered(twice)), S3ErrorCode::InvalidTag);
}
