//! The engine by tables: what each part of a policy means, and what is refused.

use domicile_types::{BucketName, TenantId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn bucket() -> BucketName {
    BucketName::parse("data").unwrap()
}

fn policy(statements: Value) -> Policy {
    read(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap()
}

fn read(document: &Value) -> Result<Policy, MalformedPolicy> {
    Policy::of_bucket(&document.to_string(), &bucket())
}

fn account(tenant: &str) -> Asker {
    Asker::Account(TenantId::parse(tenant).unwrap())
}

fn user(tenant: &str, name: &str) -> Asker {
    Asker::User { tenant: TenantId::parse(tenant).unwrap(), name: name.to_owned() }
}

fn ask(policy: &Policy, asker: &Asker, action: &str, key: Option<&str>, facts: &[(&str, &str)]) -> Verdict {
    let mut stated = Facts::default();
    for (name, value) in facts {
        stated.add(name, *value);
    }
    evaluate([policy], &Request { asker, action, bucket: "data", key, facts: &stated })
}

/// Whether a statement with this condition allows a request of which these are the facts.
fn holds(condition: Value, facts: &[(&str, &str)]) -> bool {
    let policy = policy(json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*",
        "Condition": condition,
    }));
    ask(&policy, &Asker::Anonymous, "s3:GetObject", Some("k"), facts) == Verdict::Allow
}

#[test]
fn every_operator_compares_as_it_is_named() {
    let cases: &[(Value, &[(&str, &str)], &[(&str, &str)])] = &[
        (json!({"StringEquals": {"s3:prefix": ["a", "b"]}}), &[("s3:prefix", "b")], &[("s3:prefix", "B")]),
        (json!({"StringEquals": {"s3:prefix": "a*"}}), &[("s3:prefix", "a*")], &[("s3:prefix", "ab")]),
        (json!({"StringNotEquals": {"s3:prefix": ["a", "b"]}}), &[("s3:prefix", "c")], &[("s3:prefix", "b")]),
        (json!({"StringEqualsIgnoreCase": {"s3:prefix": "Ä"}}), &[("s3:prefix", "ä")], &[("s3:prefix", "a")]),
        (json!({"StringNotEqualsIgnoreCase": {"s3:prefix": "A"}}), &[("s3:prefix", "b")], &[("s3:prefix", "a")]),
        (json!({"StringLike": {"s3:prefix": "a/?/*"}}), &[("s3:prefix", "a/b/c/d")], &[("s3:prefix", "a//c")]),
        (json!({"StringNotLike": {"s3:prefix": "a*"}}), &[("s3:prefix", "b")], &[("s3:prefix", "ab")]),
        (
            json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::team-a:user/*"}}),
            &[("aws:PrincipalArn", "arn:aws:iam::team-a:user/x:y")],
            &[("aws:PrincipalArn", "arn:aws:iam::team-b:user/x")],
        ),
        (
            json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:*::team-a:*"}}),
            &[("aws:PrincipalArn", "arn:aws:iam::team-a:root")],
            &[("aws:PrincipalArn", "arn:aws:iam:x:team-b:team-a")],
        ),
        (
            json!({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::a:root"}}),
            &[("aws:PrincipalArn", "arn:aws:iam::b:root")],
            &[("aws:PrincipalArn", "arn:aws:iam::a:root")],
        ),
        (
            json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::a:*"}}),
            &[("aws:PrincipalArn", "no arn")],
            &[("aws:PrincipalArn", "arn:aws:iam::a:root")],
        ),
        (json!({"NumericEquals": {"s3:max-keys": 10}}), &[("s3:max-keys", "10")], &[("s3:max-keys", "11")]),
        (json!({"NumericNotEquals": {"s3:max-keys": "10"}}), &[("s3:max-keys", "9")], &[("s3:max-keys", "10.0")]),
        (json!({"NumericLessThan": {"s3:max-keys": 10}}), &[("s3:max-keys", "9")], &[("s3:max-keys", "10")]),
        (json!({"NumericLessThanEquals": {"s3:max-keys": 10}}), &[("s3:max-keys", "10")], &[("s3:max-keys", "11")]),
        (json!({"NumericGreaterThan": {"s3:max-keys": 10}}), &[("s3:max-keys", "11")], &[("s3:max-keys", "10")]),
        (json!({"NumericGreaterThanEquals": {"s3:max-keys": 10}}), &[("s3:max-keys", "10")], &[("s3:max-keys", "x")]),
        (json!({"DateEquals": {"aws:CurrentTime": "2026-01-02"}}), &[NOON_LESS_12], &[NOON]),
        (json!({"DateNotEquals": {"aws:CurrentTime": "2026-01-02"}}), &[NOON], &[NOON_LESS_12]),
        (json!({"DateLessThan": {"aws:CurrentTime": "2026-01-02T12:00:00Z"}}), &[NOON_LESS_12], &[NOON]),
        (json!({"DateLessThanEquals": {"aws:CurrentTime": "2026-01-02T12:00:00Z"}}), &[NOON], &[AFTER]),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-01-02T12:00:00Z"}}), &[AFTER], &[NOON]),
        (json!({"DateGreaterThanEquals": {"aws:CurrentTime": "2026-01-02T12:00:00Z"}}), &[NOON], &[NOON_LESS_12]),
        (json!({"DateLessThan": {"aws:EpochTime": 100}}), &[("aws:EpochTime", "99")], &[("aws:EpochTime", "100")]),
        (json!({"NumericLessThan": {"aws:EpochTime": 100}}), &[("aws:EpochTime", "99")], &[("aws:EpochTime", "100")]),
        (
            json!({"Bool": {"aws:SecureTransport": true}}),
            &[("aws:SecureTransport", "true")],
            &[("aws:SecureTransport", "false")],
        ),
        (
            json!({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}),
            &[("aws:SourceIp", "::ffff:10.9.9.9")],
            &[("aws:SourceIp", "11.0.0.1")],
        ),
        (
            json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.1"}}),
            &[("aws:SourceIp", "10.0.0.2")],
            &[("aws:SourceIp", "10.0.0.1")],
        ),
        (json!({"Null": {"s3:prefix": "true"}}), &[], &[("s3:prefix", "")]),
        (json!({"Null": {"s3:prefix": false}}), &[("s3:prefix", "")], &[]),
    ];
    for (condition, yes, no) in cases {
        assert!(holds(condition.clone(), yes), "{condition} {yes:?}");
        assert!(!holds(condition.clone(), no), "{condition} {no:?}");
    }
}

const NOON_LESS_12: (&str, &str) = ("aws:CurrentTime", "2026-01-02T00:00:00Z");
const NOON: (&str, &str) = ("aws:CurrentTime", "2026-01-02T12:00:00Z");
const AFTER: (&str, &str) = ("aws:CurrentTime", "2026-01-02T12:00:00.001Z");

#[test]
fn a_key_without_a_value_fails_a_comparison_and_passes_a_negated_or_if_exists_one() {
    assert!(!holds(json!({"StringEquals": {"s3:prefix": ""}}), &[]));
    assert!(!holds(json!({"NumericLessThan": {"s3:max-keys": 10}}), &[]));
    assert!(!holds(json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), &[]));
    for name in ["StringNotEquals", "StringNotLike", "StringEqualsIfExists", "StringLikeIfExists"] {
        assert!(holds(json!({name: {"s3:prefix": "a"}}), &[]), "{name}");
    }
    assert!(!holds(json!({"StringEqualsIfExists": {"s3:prefix": "a"}}), &[("s3:prefix", "b")]));
}

#[test]
fn keys_of_many_values_are_judged_by_all_or_by_any() {
    let key = "s3:RequestObjectTagKeys";
    let (ab, ac) = ([(key, "a"), (key, "b")], [(key, "a"), (key, "c")]);
    let all = json!({"ForAllValues:StringEquals": {key: ["a", "b"]}});
    assert!(holds(all.clone(), &ab) && holds(all.clone(), &[]) && !holds(all, &ac));
    let any = json!({"ForAnyValue:StringEquals": {key: ["c"]}});
    assert!(holds(any.clone(), &ac) && !holds(any.clone(), &ab) && !holds(any, &[]));
    let none_of_all = json!({"ForAllValues:StringNotEquals": {key: ["c"]}});
    assert!(holds(none_of_all.clone(), &ab) && !holds(none_of_all, &ac));
    assert!(holds(json!({"ForAnyValue:StringLikeIfExists": {key: ["c"]}}), &[]));
}

#[test]
fn all_operators_and_all_keys_of_a_condition_must_hold() {
    let condition = json!({
        "StringEquals": {"s3:prefix": "a", "s3:delimiter": "/"},
        "Bool": {"aws:SecureTransport": "true"},
    });
    let facts = [("s3:prefix", "a"), ("s3:delimiter", "/"), ("aws:SecureTransport", "true")];
    assert!(holds(condition.clone(), &facts));
    for left_out in 0..facts.len() {
        let rest: Vec<_> = facts.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, fact)| *fact).collect();
        assert!(!holds(condition.clone(), &rest), "{left_out}");
    }
}

#[test]
fn principals_mean_whom_they_name() {
    let askers = [Asker::Anonymous, account("team-a"), user("team-a", "ann"), account("team-b"), user("team-b", "ann")];
    let cases = [
        (json!("*"), [true, true, true, true, true]),
        (json!({"AWS": "*"}), [true, true, true, true, true]),
        (json!({"AWS": "team-a"}), [false, true, true, false, false]),
        (json!({"CanonicalUser": "team-a"}), [false, true, true, false, false]),
        (json!({"AWS": ["arn:aws:iam::team-a:root"]}), [false, true, true, false, false]),
        (json!({"AWS": "arn:aws:iam::team-a:user/ann"}), [false, false, true, false, false]),
        (json!({"AWS": ["arn:aws:iam::team-a:user/ann", "team-b"]}), [false, false, true, true, true]),
        (json!({"Service": "logging.s3.amazonaws.com"}), [false; 5]),
    ];
    let verdict = |element: &str, effect: &str, who: &Value, asker: &Asker| {
        let statement = json!({"Effect": effect, element: who, "Action": "s3:*", "Resource": "*"});
        ask(&policy(json!([statement])), asker, "s3:GetObject", Some("k"), &[])
    };
    for (who, means) in &cases {
        for (asker, means) in askers.iter().zip(means) {
            let allowed = verdict("Principal", "Allow", who, asker) == Verdict::Allow;
            assert_eq!(allowed, *means, "{who} {asker:?}");
            let denied = verdict("NotPrincipal", "Deny", who, asker) == Verdict::Deny;
            assert_eq!(denied, !means, "not {who} {asker:?}");
        }
    }
    let service = Asker::Service("logging.s3.amazonaws.com");
    assert_eq!(verdict("Principal", "Allow", &cases[7].0, &service), Verdict::Allow);
}

#[test]
fn actions_and_resources_match_by_name_wildcard_and_exclusion() {
    let statement = |extra: Value| {
        let mut statement = json!({"Effect": "Allow", "Principal": "*"});
        statement.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        policy(statement)
    };
    let get = |policy: &Policy, key| ask(policy, &Asker::Anonymous, "s3:GetObject", key, &[]) == Verdict::Allow;
    let list = |policy: &Policy| ask(policy, &Asker::Anonymous, "s3:ListBucket", None, &[]) == Verdict::Allow;
    let objects = statement(json!({"Action": ["S3:getobject", "s3:List*"], "Resource": "arn:aws:s3:::data/a/*"}));
    assert!(get(&objects, Some("a/b/c")) && !get(&objects, Some("b")) && !list(&objects));
    let others = statement(json!({"NotAction": "s3:Get*", "NotResource": "arn:aws:s3:::data/secret/*"}));
    assert!(!get(&others, Some("a")) && list(&others));
    let others = statement(json!({"Action": "*", "NotResource": "arn:aws:s3:::data/secret/*"}));
    assert!(get(&others, Some("a")) && !get(&others, Some("secret/a")) && list(&others));
    let of_bucket = statement(json!({"Action": "s3:?etObject", "Resource": "arn:aws:s3:::data"}));
    assert!(!get(&of_bucket, Some("a")));
}

#[test]
fn variables_stand_for_what_the_request_says() {
    let policy = policy(json!([
        {"Effect": "Allow", "Principal": {"AWS": "team-a"}, "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::data/home/${aws:username}/*"},
        {"Effect": "Allow", "Principal": {"AWS": "team-a"}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::data",
         "Condition": {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}},
    ]));
    let ann = user("team-a", "ann");
    let facts = [("aws:username", "ann"), ("s3:prefix", "home/ann/x")];
    assert_eq!(ask(&policy, &ann, "s3:GetObject", Some("home/ann/x"), &facts), Verdict::Allow);
    assert_eq!(ask(&policy, &ann, "s3:GetObject", Some("home/bob/x"), &facts), Verdict::NoMatch);
    assert_eq!(ask(&policy, &ann, "s3:ListBucket", None, &facts), Verdict::Allow);
    // A root key has no user name: what it is allowed cannot be told, so it is not.
    assert_eq!(ask(&policy, &account("team-a"), "s3:GetObject", Some("home//x"), &[]), Verdict::NoMatch);
}

#[test]
fn a_deny_whose_variable_has_no_value_denies() {
    let policy = policy(json!({
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::data/${aws:username}/*",
    }));
    assert_eq!(ask(&policy, &Asker::Anonymous, "s3:GetObject", Some("k"), &[]), Verdict::Deny);
}

#[test]
fn in_a_document_of_2008_a_variable_is_plain_text() {
    let policy = read(&json!({"Statement": {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/${aws:username}",
    }}))
    .unwrap();
    assert_eq!(ask(&policy, &Asker::Anonymous, "s3:GetObject", Some("${aws:username}"), &[]), Verdict::Allow);
}

#[test]
fn whatever_is_not_honoured_is_refused_and_named() {
    let good = json!({
        "Sid": "any text", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*",
    });
    assert!(read(&json!({"Id": "x", "Version": "2008-10-17", "Statement": [good]})).is_ok());
    let with = |name: &str, value: Value| {
        let mut statement = good.as_object().unwrap().clone();
        match value {
            Value::Null => drop(statement.remove(name)),
            value => drop(statement.insert(name.to_owned(), value)),
        }
        json!({"Version": "2012-10-17", "Statement": [Value::Object(statement)]})
    };
    let condition = |value: Value| with("Condition", value);
    let not_principal = json!({"Effect": "Allow", "NotPrincipal": "*", "Action": "s3:*", "Resource": "*"});
    let both = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "NotAction": "s3:*", "Resource": "*"});
    for (document, named) in [
        (json!([]), "a list"),
        (json!({}), "Statement"),
        (json!({"Statement": []}), "no statement"),
        (json!({"Statement": [3]}), "a number"),
        (json!({"Version": "2020-01-01", "Statement": [good]}), "2020-01-01"),
        (json!({"Version": 2012, "Statement": [good]}), "Version"),
        (json!({"Statement": [good], "Extra": 1}), "Extra"),
        (json!({"Statement": [not_principal]}), "NotPrincipal"),
        (json!({"Statement": [both]}), "opposite"),
        (with("Resources", json!("*")), "Resources"),
        (with("Sid", json!(1)), "Sid"),
        (with("Effect", json!("allow")), "Effect"),
        (with("Effect", Value::Null), "Effect"),
        (with("Principal", Value::Null), "Principal"),
        (with("Action", Value::Null), "Action"),
        (with("Resource", Value::Null), "Resource"),
        (with("Principal", json!("team-a")), "team-a"),
        (with("Principal", json!({})), "nobody"),
        (with("Principal", json!({"AWS": []})), "nobody"),
        (with("Principal", json!({"AWS": "arn:aws:iam::team-a:role/r"})), "role/r"),
        (with("Principal", json!({"AWS": "arn:aws:iam::*:root"})), "arn:aws:iam::*:root"),
        (with("Principal", json!({"AWS": "arn:aws:iam::team-a:user/*"})), "user/*"),
        (with("Principal", json!({"AWS": {"x": "y"}})), "an object"),
        (with("Principal", json!({"Federated": "x"})), "Federated"),
        (with("Principal", json!({"Service": "ec2.amazonaws.com"})), "ec2.amazonaws.com"),
        (with("Action", json!("s3:GetObjects")), "s3:GetObjects"),
        (with("Action", json!("ec2:*")), "ec2:*"),
        (with("Action", json!([])), "Action"),
        (with("Action", json!([1])), "Action"),
        (with("Resource", json!("data/*")), "data/*"),
        (with("Resource", json!("arn:aws:s3:::other/*")), "arn:aws:s3:::other/*"),
        (with("Resource", json!("arn:aws:s3:::data2")), "data2"),
        (with("Resource", json!("arn:aws:s3:::data/${aws:nobody}")), "aws:nobody"),
        (condition(json!([])), "Condition"),
        (condition(json!({"StringMatches": {"s3:prefix": "a"}})), "StringMatches"),
        (condition(json!({"BinaryEquals": {"s3:prefix": "a"}})), "BinaryEquals"),
        (condition(json!({"StringEquals": {"aws:SourceVpc": "a"}})), "aws:SourceVpc"),
        (condition(json!({"StringEquals": {"aws:SourceIp": "10.0.0.1"}})), "aws:SourceIp"),
        (condition(json!({"NumericEquals": {"s3:prefix": 1}})), "NumericEquals"),
        (condition(json!({"NumericEquals": {"s3:max-keys": "ten"}})), "ten"),
        (condition(json!({"DateEquals": {"aws:CurrentTime": "soon"}})), "soon"),
        (condition(json!({"Bool": {"aws:SecureTransport": "yes"}})), "yes"),
        (condition(json!({"IpAddress": {"aws:SourceIp": "localhost"}})), "localhost"),
        (condition(json!({"ArnLike": {"aws:SourceArn": "s3"}})), "s3"),
        (condition(json!({"StringEquals": {"s3:prefix": []}})), "s3:prefix"),
        (condition(json!({"StringEquals": {"s3:prefix": {}}})), "s3:prefix"),
        (condition(json!({"StringEquals": {"s3:prefix": "${aws:x}"}})), "aws:x"),
        (condition(json!({"StringEquals": {"s3:RequestObjectTagKeys": "a"}})), "ForAnyValue"),
        (condition(json!({"NullIfExists": {"s3:prefix": true}})), "NullIfExists"),
    ] {
        let refusal = read(&document).unwrap_err().to_string();
        assert!(refusal.contains(named), "{named:?} is not in {refusal:?} for {document}");
    }
}

#[test]
fn a_member_given_twice_and_text_that_is_not_json_are_refused() {
    let twice =
        r#"{"Statement": {"Effect": "Deny", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
    assert!(Policy::of_bucket(twice, &bucket()).unwrap_err().to_string().contains("Effect"));
    for bad in ["", "{", "{} {}", "null"] {
        assert!(Policy::of_bucket(bad, &bucket()).is_err(), "{bad}");
    }
    let long = format!("{{\"Id\": \"{}\"}}", "x".repeat(POLICY_BYTES_MAX));
    assert!(Policy::of_bucket(&long, &bucket()).unwrap_err().to_string().contains("20480"));
    let deep = "[".repeat(10_000);
    assert!(Policy::of_bucket(&deep, &bucket()).is_err());
}

#[test]
fn a_deny_that_could_never_deny_is_refused_and_an_allow_is_not() {
    let statement = |effect: &str| {
        json!({"Statement": {
            "Effect": effect, "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::data",
        }})
    };
    assert!(read(&statement("Deny")).unwrap_err().to_string().contains("do not apply"));
    let policy = read(&statement("Allow")).unwrap();
    assert_eq!(ask(&policy, &Asker::Anonymous, "s3:PutObject", Some("k"), &[]), Verdict::NoMatch);
}

#[test]
fn policies_of_identities_name_no_principal_and_any_bucket() {
    let statement = |extra: Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::other/*"});
        statement.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Policy::of_identity(&json!({"Statement": statement}).to_string())
    };
    let policy = statement(json!({})).unwrap();
    let (asker, facts) = (user("team-a", "ann"), Facts::default());
    let request = Request { asker: &asker, action: "s3:GetObject", bucket: "other", key: Some("k"), facts: &facts };
    assert_eq!(evaluate([&policy], &request), Verdict::Allow);
    assert_eq!(evaluate([&policy], &Request { bucket: "data", ..request }), Verdict::NoMatch);
    assert!(statement(json!({"Principal": "*"})).is_err());
}

#[test]
fn a_policy_is_public_unless_fixed_values_tie_it_down() {
    let is_public = |principal: Value, condition: Value| {
        let mut statement = json!({"Effect": "Allow", "Principal": principal, "Action": "s3:*", "Resource": "*"});
        statement.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
        policy(json!([statement])).is_public()
    };
    let when = |operator: &str, key: &str, value: &str| json!({"Condition": {operator: {key: value}}});
    assert!(is_public(json!("*"), json!({})));
    assert!(is_public(json!({"AWS": ["team-a", "*"]}), json!({})));
    assert!(!is_public(json!({"AWS": "team-a"}), json!({})));
    for (operator, key, value, public) in [
        ("IpAddress", "aws:SourceIp", "10.0.0.0/32", false),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/7", true),
        ("IpAddress", "aws:SourceIp", "2001:db8::/32", false),
        ("IpAddress", "aws:SourceIp", "2001::/16", true),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/32", true),
        ("IpAddressIfExists", "aws:SourceIp", "10.0.0.0/32", true),
        ("StringEquals", "aws:PrincipalAccount", "team-a", false),
        ("StringLike", "aws:PrincipalAccount", "team-*", true),
        ("StringEquals", "aws:PrincipalAccount", "${aws:PrincipalAccount}", true),
        ("StringNotEquals", "aws:PrincipalAccount", "team-a", true),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::team-a:user/*", false),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", true),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:::data", false),
        ("StringEquals", "s3:prefix", "a", true),
        ("Bool", "aws:SecureTransport", "true", true),
    ] {
        assert_eq!(is_public(json!("*"), when(operator, key, value)), public, "{operator} {key} {value}");
    }
    assert!(!policy(json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"})).is_public());
}

#[test]
fn a_policy_says_whether_it_asks_for_tags_of_the_object() {
    let with = |resource: &str, condition: Value| {
        policy(json!({
            "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": resource, "Condition": condition,
        }))
    };
    let tag = "s3:ExistingObjectTag/a";
    assert!(with("*", json!({"StringEquals": {tag: "b"}})).mentions_existing_tags());
    assert!(with("*", json!({"StringEquals": {"s3:prefix": format!("${{{tag}}}")}})).mentions_existing_tags());
    assert!(with(&format!("arn:aws:s3:::data/${{{tag}}}/*"), json!({})).mentions_existing_tags());
    assert!(!with("*", json!({"StringEquals": {"s3:RequestObjectTag/a": "b"}})).mentions_existing_tags());
}

/// A statement that means the request of the property, or narrowly does not.
fn arbitrary_statement() -> impl Strategy<Value = (Value, bool)> {
    let parts = (
        any::<bool>(),
        prop_oneof![Just(("*", true)), Just(("team-a", true)), Just(("team-b", false))],
        prop_oneof![Just(("s3:GetObject", true)), Just(("s3:*", true)), Just(("s3:PutObject", false))],
        prop_oneof![Just(("data/*", true)), Just(("data/k", true)), Just(("data/other", false))],
        prop_oneof![Just(("10.0.0.0/8", true)), Just(("11.0.0.0/8", false))],
    );
    parts.prop_map(|(allows, who, action, resource, network)| {
        let statement = json!({
            "Effect": if allows { "Allow" } else { "Deny" },
            "Principal": {"AWS": who.0},
            "Action": action.0,
            "Resource": format!("arn:aws:s3:::{}", resource.0),
            "Condition": {"IpAddress": {"aws:SourceIp": network.0}},
        });
        (statement, who.1 && action.1 && resource.1 && network.1)
    })
}

proptest! {
    /// Any order, any split over policies: one Deny that means the request denies it, else one Allow allows it.
    #[test]
    fn a_deny_overrides_in_any_order(statements in proptest::collection::vec(arbitrary_statement(), 1..8), cut in 0..8usize) {
        let means = |effect: &str| statements.iter().any(|(statement, means)| *means && statement["Effect"] == effect);
        let expected = match (means("Deny"), means("Allow")) {
            (true, _) => Verdict::Deny,
            (false, true) => Verdict::Allow,
            (false, false) => Verdict::NoMatch,
        };
        let documents: Vec<Value> = statements.iter().map(|(statement, _)| statement.clone()).collect();
        let (first, second) = documents.split_at(cut.min(documents.len()));
        let parts = [first, second];
        let policies: Vec<Policy> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| policy(json!(part))).collect();
        let mut facts = Facts::default();
        facts.set("aws:SourceIp", "10.1.2.3");
        let asker = account("team-a");
        let request = Request { asker: &asker, action: "s3:GetObject", bucket: "data", key: Some("k"), facts: &facts };
        prop_assert_eq!(evaluate(&policies, &request), expected);
    }

    /// No document makes the reader panic.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = Policy::of_bucket(&text, &bucket());
        let statement = json!({"Statement": {
            "Effect": "Allow", "Principal": "*", "Action": &text, "Resource": &text,
            "Condition": {"ArnLike": {"aws:SourceArn": &text}, "StringLike": {&text: &text}},
        }});
        let _ = read(&statement);
    }
}
