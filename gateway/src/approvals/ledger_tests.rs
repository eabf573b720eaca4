use std::collections::BTreeSet;

use domicile_compliance::pack::LedgerWindow;

use super::*;

pub(crate) fn account(window: LedgerWindow, limit: u64) -> Account {
    Account {
        name: AccountName {
            pack: PackId::parse("cn-data-export").unwrap(),
            ledger: "year".to_owned(),
            exporter: Some(TenantId::parse("a").unwrap()),
            recipient: None,
            class: None,
        },
        ledger: Ledger {
            window,
            utc_offset_hours: 8,
            per: BTreeSet::new(),
            classes: BTreeSet::new(),
            limits: Default::default(),
        },
        limits: vec![(Counted::Subjects, limit)],
    }
}

fn counts(subjects: u64, bytes: u64) -> Counts {
    Counts { subjects, sensitive: 0, bytes }
}

#[test]
fn a_version_is_counted_once_in_a_window_and_its_bytes_each_time() {
    let account = account(LedgerWindow::RollingTwelveMonths, 100);
    let first = account.enter(None, 10, 20, counts(5, 100));
    assert_eq!((first.gained, first.today, first.moved), (counts(5, 100), counts(5, 100), None));
    let same_day = account.enter(Some(first.seen), 10, 20, counts(5, 100));
    assert_eq!((same_day.gained, same_day.today, same_day.moved), (counts(0, 100), counts(0, 100), None));
    let later = account.enter(Some(first.seen), 10, 30, counts(5, 100));
    assert_eq!((later.gained, later.today, later.moved), (counts(0, 100), counts(5, 100), Some(first.seen)));
    let anew = account.enter(Some(first.seen), 21, 30, counts(5, 100));
    assert_eq!((anew.gained, anew.today, anew.moved), (counts(5, 100), counts(5, 100), None));
}

#[test]
fn a_count_that_grew_charges_the_difference_and_one_that_shrank_nothing() {
    let account = account(LedgerWindow::CalendarYear, 100);
    let seen = account.enter(None, 10, 20, counts(5, 0)).seen;
    let grown = account.enter(Some(seen), 10, 20, counts(8, 0));
    assert_eq!((grown.gained, grown.seen.counts), (counts(3, 0), counts(8, 0)));
    let shrunk = account.enter(Some(grown.seen), 10, 20, counts(2, 0));
    assert_eq!((shrunk.gained, shrunk.seen.counts), (counts(0, 0), counts(8, 0)));
}

#[test]
fn a_day_begins_where_the_law_is_at_home() {
    let account = account(LedgerWindow::CalendarYear, 100);
    let new_year_in_beijing = UnixMillis::from(time::macros::datetime!(2026-12-31 16:00 UTC));
    let before = UnixMillis(new_year_in_beijing.0 - 1);
    assert_eq!(account.day(before) + 1, account.day(new_year_in_beijing));
    assert_eq!(account.first_day(new_year_in_beijing), account.day(new_year_in_beijing));
    assert_eq!(account.first_day(before) + 365, account.day(new_year_in_beijing));
}

#[test]
fn marks_are_told_once_and_again_after_a_window_let_them_go() {
    let account = account(LedgerWindow::CalendarYear, 100);
    let subjects = |mark| vec![(Counted::Subjects, mark)];
    let told = |told: &[(Counted, u8)], after| account.marks(told, counts(after, 0));
    assert_eq!(told(&[], 69), (vec![], subjects(0)));
    assert_eq!(told(&[], 70), (subjects(70), subjects(70)));
    assert_eq!(told(&subjects(70), 89), (vec![], subjects(70)));
    assert_eq!(told(&subjects(70), 90), (subjects(90), subjects(90)));
    assert_eq!(told(&subjects(90), 500), (vec![], subjects(90)));
    assert_eq!(told(&subjects(90), 10), (vec![], subjects(0)));
    assert_eq!((mark(0, 0), mark(1, 0), mark(u64::MAX, u64::MAX)), (0, 90, 90));
}

#[test]
fn data_counts_by_its_classes_and_as_any_where_it_has_none() {
    let class = |text: &str| DataClass::parse(text).unwrap();
    let data = |classes: &[&str]| Classification {
        classes: classes.iter().map(|text| class(text)).collect(),
        ..Classification::default()
    };
    let ledger = |per: &[LedgerKey]| Ledger {
        per: per.iter().copied().collect(),
        classes: [class("personal"), class("genomic")].into(),
        ..account(LedgerWindow::CalendarYear, 1).ledger
    };
    let (one, each) = (ledger(&[]), ledger(&[LedgerKey::Class]));
    assert_eq!(classes(&one, &data(&["personal", "genomic", "public"])), [None]);
    assert_eq!(classes(&one, &data(&["public"])), []);
    assert_eq!(classes(&one, &data(&[])), [None]);
    let personal_and_public = classes(&each, &data(&["personal", "public"]));
    assert_eq!(personal_and_public, [Some(class("personal"))]);
    assert_eq!(classes(&each, &data(&[])), [None]);
}

#[test]
fn rules_see_the_greatest_of_a_ledgers_accounts() {
    let account = account(LedgerWindow::CalendarYear, 1);
    let other = Account {
        name: AccountName { class: Some(DataClass::parse("personal").unwrap()), ..account.name.clone() },
        ..account.clone()
    };
    assert_ne!(account.name.id(), other.name.id());
    let now = UnixMillis(1_800_000_000_000);
    let found = totals(&[(account, counts(1, 9), counts(2, 10)), (other, counts(3, 4), counts(4, 5))], now);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].before, found[0].after), (counts(3, 9), counts(4, 10)));
}
