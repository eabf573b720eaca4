//! What is due: a walk over the versions of a bucket, key by key, the newest of each key first.

use domicile_types::UnixMillis;

use super::rules::{Expiration, Rule, Rules};
use super::schedule::Schedule;

/// A version, as far as rules look at it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its key.
    pub key: &'a str,
    /// Whether it is the only one of its key.
    pub alone: bool,
    /// Whether it is a delete marker.
    pub marker: bool,
    /// Bytes; none for a marker.
    pub size: u64,
    /// Tags; none for a marker.
    pub tags: &'a [(String, String)],
    /// When it was stored.
    pub modified: UnixMillis,
    /// When a newer version took its place; none for the newest.
    pub noncurrent_since: Option<UnixMillis>,
}

/// What should become of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It is the current object of its key and has expired: it is deleted as a client would delete it without naming a
    /// version, so that where there is versioning a marker covers it.
    Expire,
    /// It is current no more and goes for good.
    Remove,
    /// It is a marker, all that is left of its key, and hides nothing.
    RemoveMarker,
}

/// Judges versions in their order.
#[derive(Debug)]
pub struct Judge<'r> {
    rules: &'r Rules,
    schedule: Schedule,
    now: UnixMillis,
    /// The key that is being walked.
    key: String,
    /// Versions of the key that are current no more, so far.
    noncurrent: u32,
}

impl<'r> Judge<'r> {
    /// A judge who is to see every version of each key, from the newest on.
    #[must_use]
    pub const fn new(rules: &'r Rules, schedule: Schedule, now: UnixMillis) -> Self {
        Self { rules, schedule, now, key: String::new(), noncurrent: 0 }
    }

    /// What should become of the next version.
    pub fn next(&mut self, version: &Facts<'_>) -> Verdict {
        if version.key != self.key {
            self.key.clear();
            self.key.push_str(version.key);
            self.noncurrent = 0;
        }
        let Some(since) = version.noncurrent_since else {
            return match (self.rules.enabled().any(|rule| self.ends_current(rule, version)), version.marker) {
                (false, _) => Verdict::Keep,
                (true, false) => Verdict::Expire,
                (true, true) => Verdict::RemoveMarker,
            };
        };
        let due = self.rules.enabled().any(|rule| self.ends_noncurrent(rule, version, since));
        self.noncurrent = self.noncurrent.saturating_add(1);
        if due { Verdict::Remove } else { Verdict::Keep }
    }

    fn ends_current(&self, rule: &Rule, version: &Facts<'_>) -> bool {
        let Some(expiration) = rule.expiration else { return false };
        if version.marker {
            // A marker that hides something is what the client wants to see; one that hides nothing is litter.
            return version.alone
                && rule.filter.holds_marker(version.key)
                && match expiration {
                    Expiration::LoneMarkers(removed) => removed,
                    Expiration::Days(days) => self.schedule.after(version.modified, days) <= self.now,
                    Expiration::Date(_) => false,
                };
        }
        rule.filter.holds(version.key, version.size, version.tags)
            && match expiration {
                Expiration::Days(days) => self.schedule.after(version.modified, days) <= self.now,
                Expiration::Date(date) => date <= self.now,
                Expiration::LoneMarkers(_) => false,
            }
    }

    fn ends_noncurrent(&self, rule: &Rule, version: &Facts<'_>, since: UnixMillis) -> bool {
        let Some(noncurrent) = rule.noncurrent else { return false };
        let meant = match version.marker {
            true => rule.filter.holds_marker(version.key),
            false => rule.filter.holds(version.key, version.size, version.tags),
        };
        meant
            && noncurrent.newer_kept.is_none_or(|kept| self.noncurrent >= kept)
            && self.schedule.after(since, noncurrent.days) <= self.now
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Filter, NoncurrentExpiration};
    use super::super::schedule::DAY_MILLIS;
    use super::*;

    const DAY: Schedule = Schedule::with_days_of(DAY_MILLIS);

    fn rule(expiration: Option<Expiration>, noncurrent: Option<(u32, Option<u32>)>) -> Rule {
        Rule {
            id: "r".to_owned(),
            enabled: true,
            filter: Filter::default(),
            expiration,
            noncurrent: noncurrent.map(|(days, newer_kept)| NoncurrentExpiration { days, newer_kept }),
            abort: None,
        }
    }

    fn days(days: u64) -> UnixMillis {
        UnixMillis(days * DAY_MILLIS)
    }

    fn object(key: &str, stored: u64) -> Facts<'_> {
        Facts { key, alone: true, marker: false, size: 5, tags: &[], modified: days(stored), noncurrent_since: None }
    }

    fn marker(key: &str, stored: u64) -> Facts<'_> {
        Facts { marker: true, size: 0, ..object(key, stored) }
    }

    /// A key's versions, from the newest on: which are markers, and when each was stored.
    fn history<'k>(key: &'k str, versions: &[(bool, u64)]) -> Vec<Facts<'k>> {
        let alone = versions.len() == 1;
        let newer = std::iter::once(None).chain(versions.iter().map(|(_, stored)| Some(days(*stored))));
        let facts = versions.iter().zip(newer).map(|((is_marker, stored), noncurrent_since)| Facts {
            alone,
            noncurrent_since,
            ..if *is_marker { marker(key, *stored) } else { object(key, *stored) }
        });
        facts.collect()
    }

    fn judged(rules: Vec<Rule>, now: u64, versions: &[Facts<'_>]) -> Vec<Verdict> {
        let rules = Rules { rules };
        let mut judge = Judge::new(&rules, DAY, days(now));
        versions.iter().map(|version| judge.next(version)).collect()
    }

    use Verdict::{Expire, Keep, Remove, RemoveMarker};

    #[test]
    fn an_object_expires_when_its_days_are_over_and_not_before() {
        let rules = || vec![rule(Some(Expiration::Days(3)), None)];
        assert_eq!(judged(rules(), 12, &[object("k", 10)]), [Keep]);
        assert_eq!(judged(rules(), 13, &[object("k", 10)]), [Expire]);
    }

    #[test]
    fn an_object_expires_from_its_date_on() {
        let rules = || vec![rule(Some(Expiration::Date(days(20))), None)];
        assert_eq!(judged(rules(), 19, &[object("k", 1)]), [Keep]);
        assert_eq!(judged(rules(), 20, &[object("k", 19)]), [Expire]);
    }

    #[test]
    fn a_rule_that_is_off_or_about_something_else_does_nothing() {
        let off = Rule { enabled: false, ..rule(Some(Expiration::Days(1)), None) };
        assert_eq!(judged(vec![off], 99, &[object("k", 1)]), [Keep]);
        let other = Filter { prefix: Some("x/".to_owned()), ..Filter::default() };
        let other = Rule { filter: other, ..rule(Some(Expiration::Days(1)), Some((1, None))) };
        assert_eq!(judged(vec![other], 99, &history("k", &[(false, 1), (false, 1)])), [Keep, Keep]);
        assert_eq!(judged(Vec::new(), 99, &[object("k", 1)]), [Keep]);
    }

    #[test]
    fn one_rule_of_several_is_enough() {
        let rules = vec![rule(Some(Expiration::Days(50)), None), rule(Some(Expiration::Days(1)), None)];
        assert_eq!(judged(rules, 12, &[object("k", 10)]), [Expire]);
    }

    #[test]
    fn tags_and_size_are_the_versions_own() {
        let tags = [("a".to_owned(), "1".to_owned())];
        let filter = Filter { tags: tags.clone().into(), larger_than_bytes: Some(4), ..Filter::default() };
        let rules = || vec![Rule { filter: filter.clone(), ..rule(Some(Expiration::Days(1)), Some((1, None))) }];
        let tagged = |facts: Facts<'static>| Facts { tags: &*Box::leak(Box::new(tags.clone())), ..facts };
        let mut versions = history("k", &[(false, 5), (false, 4), (false, 3)]);
        versions[1] = tagged(versions[1]);
        assert_eq!(judged(rules(), 99, &versions), [Keep, Remove, Keep]);
        versions[0] = tagged(versions[0]);
        assert_eq!(judged(rules(), 99, &versions), [Expire, Remove, Keep]);
        versions[0].size = 4;
        assert_eq!(judged(rules(), 99, &versions), [Keep, Remove, Keep]);
    }

    #[test]
    fn a_version_is_as_old_as_what_took_its_place() {
        let rules = || vec![rule(None, Some((5, None)))];
        // Stored on day 1, replaced on day 10: due on day 15. The current one stays, however old.
        let versions = history("k", &[(false, 10), (false, 1)]);
        assert_eq!(judged(rules(), 14, &versions), [Keep, Keep]);
        assert_eq!(judged(rules(), 15, &versions), [Keep, Remove]);
        assert_eq!(judged(rules(), 999, &versions), [Keep, Remove]);
    }

    #[test]
    fn the_newest_of_the_noncurrent_are_kept_where_a_number_is_given() {
        let versions = history("k", &[(false, 9), (false, 8), (true, 7), (false, 6), (false, 5)]);
        let rules = |kept| vec![rule(None, Some((1, kept)))];
        assert_eq!(judged(rules(Some(2)), 99, &versions), [Keep, Keep, Keep, Remove, Remove]);
        assert_eq!(judged(rules(Some(9)), 99, &versions), [Keep; 5]);
        assert_eq!(judged(rules(None), 99, &versions), [Keep, Remove, Remove, Remove, Remove]);
        assert_eq!(judged(rules(Some(2)), 7, &versions), [Keep, Keep, Keep, Keep, Remove], "and the days count, too");
    }

    #[test]
    fn what_is_counted_begins_anew_with_every_key() {
        let rules = vec![rule(None, Some((1, Some(1))))];
        let versions = [history("a", &[(false, 3), (false, 2), (false, 1)]), history("b", &[(false, 3), (false, 2)])];
        assert_eq!(judged(rules, 99, &versions.concat()), [Keep, Keep, Remove, Keep, Keep]);
    }

    #[test]
    fn a_marker_that_hides_something_stays() {
        let rules = vec![rule(Some(Expiration::Days(1)), None), rule(Some(Expiration::LoneMarkers(true)), None)];
        assert_eq!(judged(rules, 99, &history("k", &[(true, 2), (false, 1)])), [Keep, Keep]);
    }

    #[test]
    fn a_marker_that_hides_nothing_goes_at_once_or_at_its_age() {
        let at = |expiration, now| judged(vec![rule(Some(expiration), None)], now, &[marker("k", 10)])[0];
        assert_eq!(at(Expiration::LoneMarkers(true), 10), RemoveMarker);
        assert_eq!(at(Expiration::LoneMarkers(false), 99), Keep);
        assert_eq!(at(Expiration::Days(3), 12), Keep);
        assert_eq!(at(Expiration::Days(3), 13), RemoveMarker);
        assert_eq!(at(Expiration::Date(days(1)), 99), Keep);
    }

    #[test]
    fn lone_markers_say_nothing_of_objects_and_filters_by_tag_or_size_nothing_of_markers() {
        assert_eq!(judged(vec![rule(Some(Expiration::LoneMarkers(true)), None)], 99, &[object("k", 1)]), [Keep]);
        let filter = Filter { smaller_than_bytes: Some(10), ..Filter::default() };
        let rules = vec![Rule { filter, ..rule(Some(Expiration::Days(1)), Some((1, None))) }];
        assert_eq!(judged(rules, 99, &history("k", &[(false, 3), (true, 2), (false, 1)])), [Expire, Keep, Remove]);
    }

    #[test]
    fn a_noncurrent_marker_goes_with_the_noncurrent_versions() {
        let rules = vec![rule(None, Some((1, None)))];
        assert_eq!(judged(rules, 99, &history("k", &[(false, 3), (true, 2), (false, 1)])), [Keep, Remove, Remove]);
    }
}
