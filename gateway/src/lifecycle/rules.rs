//! The rules of a bucket, as they are stored. Whoever makes them has validated them (`s3::lifecycle`).

use std::collections::BTreeMap;

use domicile_types::UnixMillis;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;

/// A bucket's lifecycle configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// In the client's order; ids are unique.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// 1 to 255 characters; made up where the client gave none.
    pub id: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// What it is about.
    pub filter: Filter,
    /// What becomes of current versions, and of markers that hide nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Expiration>,
    /// What becomes of versions that are current no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent: Option<NoncurrentExpiration>,
    /// What becomes of uploads that nobody completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<AbortUploads>,
}

/// What a rule is about: all that it states must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Whether the prefix stood in the rule itself, as before there were filters. It is shown again where it stood.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legacy: bool,
    /// Keys that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Objects that bear all these tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Objects of more than so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger_than_bytes: Option<u64>,
    /// Objects of fewer than so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smaller_than_bytes: Option<u64>,
}

/// When current versions expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// So many days after they were stored; markers that hide nothing go at the same age.
    Days(u32),
    /// From this midnight UTC on.
    Date(UnixMillis),
    /// Not at all; but markers that hide nothing go at once, if `true`.
    LoneMarkers(bool),
}

/// When versions that are current no more are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days after a newer version took their place.
    pub days: u32,
    /// Of those, so many of the newest stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_kept: Option<u32>,
}

/// When uploads that nobody completes are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortUploads {
    /// Days after they were begun.
    pub days: u32,
}

/// When an object or an upload will end, and by which rule: what headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// When.
    pub at: UnixMillis,
    /// By which rule.
    pub rule: String,
}

impl Rules {
    /// When the current object `key` expires: by the rule that is the first to take it.
    #[must_use]
    pub fn expiring(
        &self,
        schedule: Schedule,
        key: &str,
        size: u64,
        tags: &[(String, String)],
        modified: UnixMillis,
    ) -> Option<Expiring> {
        let due = |rule: &Rule| {
            let at = match rule.expiration? {
                Expiration::Days(days) => schedule.after(modified, days),
                Expiration::Date(date) => date,
                Expiration::LoneMarkers(_) => return None,
            };
            rule.filter.holds(key, size, tags).then(|| Expiring { at, rule: rule.id.clone() })
        };
        self.enabled().filter_map(due).min_by_key(|expiring| expiring.at)
    }

    /// When an upload to `key` is given up, if it is not completed before.
    #[must_use]
    pub fn aborting(&self, schedule: Schedule, key: &str, initiated: UnixMillis) -> Option<Expiring> {
        let due = |rule: &Rule| {
            let at = schedule.after(initiated, rule.abort?.days);
            rule.filter.names(key).then(|| Expiring { at, rule: rule.id.clone() })
        };
        self.enabled().filter_map(due).min_by_key(|expiring| expiring.at)
    }

    /// The rules in force.
    pub fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.enabled)
    }

    /// What every key begins with that a rule in force is about: nothing else need be looked at.
    #[must_use]
    pub fn common_prefix(&self) -> String {
        let mut prefixes = self.enabled().map(|rule| rule.filter.prefix.as_deref().unwrap_or_default());
        let Some(first) = prefixes.next() else { return String::new() };
        let shared = |one: &str, other: &str| {
            one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
        };
        prefixes.fold(first.to_owned(), |common, prefix| shared(&common, prefix))
    }

    /// Whether any rule in force is about uploads.
    #[must_use]
    pub fn abort_uploads(&self) -> bool {
        self.enabled().any(|rule| rule.abort.is_some())
    }

    /// Whether any rule in force is about objects.
    #[must_use]
    pub fn expire_objects(&self) -> bool {
        self.enabled().any(|rule| rule.expiration.is_some() || rule.noncurrent.is_some())
    }
}

impl Filter {
    /// Whether the key begins as it must.
    #[must_use]
    pub fn names(&self, key: &str) -> bool {
        self.prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
    }

    /// Whether a version with bytes is meant.
    #[must_use]
    pub fn holds(&self, key: &str, size: u64, tags: &[(String, String)]) -> bool {
        self.names(key)
            && self.larger_than_bytes.is_none_or(|least| size > least)
            && self.smaller_than_bytes.is_none_or(|most| size < most)
            && self.tags.iter().all(|(name, value)| tags.iter().any(|(n, v)| n == name && v == value))
    }

    /// Whether a marker is meant: it has neither tags nor a size, so a filter that speaks of them does not.
    #[must_use]
    pub fn holds_marker(&self, key: &str) -> bool {
        self.names(key) && !self.beyond_prefix()
    }

    /// Whether it speaks of more than the key.
    #[must_use]
    pub fn beyond_prefix(&self) -> bool {
        !self.tags.is_empty() || self.larger_than_bytes.is_some() || self.smaller_than_bytes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::DAY_MILLIS;
    use super::*;

    fn rule(id: &str, filter: Filter, expiration: Expiration) -> Rule {
        Rule { id: id.to_owned(), enabled: true, filter, expiration: Some(expiration), noncurrent: None, abort: None }
    }

    fn prefixed(prefix: &str) -> Filter {
        Filter { prefix: Some(prefix.to_owned()), ..Filter::default() }
    }

    fn tag(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_filter_holds_where_all_that_it_states_holds() {
        let filter = Filter {
            legacy: false,
            prefix: Some("logs/".to_owned()),
            tags: [tag("a", "1"), tag("b", "2")].into(),
            larger_than_bytes: Some(10),
            smaller_than_bytes: Some(20),
        };
        let tags = [tag("b", "2"), tag("c", "3"), tag("a", "1")];
        assert!(filter.holds("logs/x", 15, &tags));
        assert!(!filter.holds("log/x", 15, &tags), "another prefix");
        assert!(!filter.holds("logs/x", 10, &tags) && !filter.holds("logs/x", 20, &tags), "both bounds are open");
        assert!(!filter.holds("logs/x", 15, &[tag("a", "1"), tag("b", "3")]), "another value");
        assert!(!filter.holds("logs/x", 15, &tags[..2]), "a tag is missing");
        assert!(!filter.holds_marker("logs/x"));
        assert!(prefixed("logs/").holds_marker("logs/x") && Filter::default().holds("", 0, &[]));
    }

    #[test]
    fn the_soonest_rule_is_the_one_that_an_object_expires_by() {
        let midnight = UnixMillis(50 * DAY_MILLIS);
        let rules = Rules {
            rules: vec![
                rule("month", Filter::default(), Expiration::Days(30)),
                rule("week", prefixed("tmp/"), Expiration::Days(7)),
                rule("markers", Filter::default(), Expiration::LoneMarkers(true)),
                rule("end", prefixed("old/"), Expiration::Date(midnight)),
                Rule { enabled: false, ..rule("off", Filter::default(), Expiration::Days(1)) },
            ],
        };
        let stored = UnixMillis(100 * DAY_MILLIS + 1);
        let by =
            |key: &str| rules.expiring(Schedule::default(), key, 1, &[], stored).map(|e| (e.rule, e.at.0 / DAY_MILLIS));
        assert_eq!(by("a"), Some(("month".to_owned(), 131)));
        assert_eq!(by("tmp/a"), Some(("week".to_owned(), 108)));
        assert_eq!(by("old/a"), Some(("end".to_owned(), 50)), "a date in the past is a date");
        assert_eq!(Rules::default().expiring(Schedule::default(), "a", 1, &[], stored), None);
    }

    #[test]
    fn an_upload_is_given_up_by_the_soonest_rule_of_its_prefix() {
        let abort = |id: &str, prefix: &str, days| Rule {
            expiration: None,
            abort: Some(AbortUploads { days }),
            ..rule(id, prefixed(prefix), Expiration::Days(1))
        };
        let rules = Rules { rules: vec![abort("five", "", 5), abort("two", "x/", 2)] };
        let by = |key: &str| rules.aborting(Schedule::with_days_of(10), key, UnixMillis(100)).map(|e| (e.rule, e.at.0));
        assert_eq!(by("x/y"), Some(("two".to_owned(), 120)));
        assert_eq!(by("y"), Some(("five".to_owned(), 150)));
        assert!(rules.abort_uploads() && !rules.expire_objects());
    }

    #[test]
    fn what_no_rule_is_about_need_not_be_looked_at() {
        let about = |prefixes: &[&str]| {
            let rules = prefixes.iter().map(|prefix| rule("r", prefixed(prefix), Expiration::Days(1)));
            Rules { rules: rules.collect() }.common_prefix()
        };
        assert_eq!(about(&["logs/a", "logs/b", "logs/aü"]), "logs/");
        assert_eq!(about(&["日本/x", "日東/x"]), "日");
        assert_eq!(about(&["a", ""]), "");
        assert_eq!(about(&[]), "");
        let off = Rule { enabled: false, ..rule("off", prefixed("z"), Expiration::Days(1)) };
        assert_eq!(Rules { rules: vec![rule("on", prefixed("a/"), Expiration::Days(1)), off] }.common_prefix(), "a/");
    }

    #[test]
    fn what_is_stored_reads_back_and_says_only_what_was_said() {
        let rules = Rules { rules: vec![rule("r", prefixed("p"), Expiration::Days(3))] };
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(text, r#"{"rules":[{"id":"r","enabled":true,"filter":{"prefix":"p"},"expiration":{"Days":3}}]}"#);
        assert_eq!(serde_json::from_str::<Rules>(&text).unwrap(), rules);
    }
}
