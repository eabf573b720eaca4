//! What must hold of every pack that is shipped, whichever those are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use domicile_compliance::cases::{Case, read_cases};
use domicile_compliance::pack::{Pack, PackFiles};
use domicile_compliance::{Lawbook, run_cases};
use domicile_types::{PackId, Place, Verdict};

/// The fewest cases of a pack.
const CASES_MIN: usize = 10;

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

/// Loaded once: answers that other tests have made it remember change nothing.
fn lawbook() -> &'static Lawbook {
    static LAWBOOK: LazyLock<Lawbook> = LazyLock::new(|| Lawbook::load(&policies()).unwrap());
    &LAWBOOK
}

fn cases(pack: &Pack) -> Vec<Case> {
    read_cases(pack).unwrap()
}

fn is_approved(case: &Case) -> bool {
    !case.question.approvals.is_empty()
}

#[test]
fn every_case_holds_and_every_rule_decides_one() {
    let report = run_cases(lawbook());
    assert!(report.passed(), "{report}");
}

#[test]
fn every_pack_has_cases_that_allow_that_deny_and_that_stand_on_an_approval() {
    let mut lacking = Vec::new();
    for pack in lawbook().packs() {
        let cases = cases(pack);
        let is_at = |case: &Case, fits: fn(&Place) -> bool| case.question.asks[0].facts.places.iter().any(fits);
        let mut need = |what: &str, found: bool| {
            if !found {
                lacking.push(format!("{}: {what}", pack.id()));
            }
        };
        need("ten cases", cases.len() >= CASES_MIN);
        need("a case that is allowed", cases.iter().any(|case| case.expect == Verdict::Allow));
        need("a case that is denied", cases.iter().any(|case| case.expect == Verdict::Deny));
        need(
            "a case at a place that nobody knows",
            cases.iter().any(|case| is_at(case, |place| *place == Place::Unknown)),
        );
        // Hong Kong, Macao, overseas territories, disputed places: places that ISO 3166 and law read differently.
        let edges =
            "HK MO TW CN-HK CN-91 CN-TW PR GU GF RE FR-974 FR-NC NC GL FO GI IM JE GG BM AX SJ XK EH UA-43 PS CY";
        let edges: Vec<Place> = edges.split(' ').map(|place| Place::parse(place).unwrap()).collect();
        let is_edge = |place: &Place| matches!(place, Place::Subdivision(..)) || edges.contains(place);
        let at_edge = |case: &Case| case.question.asks[0].facts.places.iter().any(is_edge);
        need("a case at a territory that is read in more than one way", cases.iter().any(at_edge));
        if !pack.facts().mechanisms.is_empty() {
            need(
                "a case that an approval allows",
                cases.iter().any(|case| is_approved(case) && case.expect == Verdict::Allow),
            );
            need(
                "a case that an approval does not save",
                cases.iter().any(|case| is_approved(case) && case.expect == Verdict::Deny),
            );
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn every_mechanism_and_every_ledger_matters_to_some_case() {
    let mut idle = Vec::new();
    for pack in lawbook().packs() {
        let cases = cases(pack);
        for mechanism in pack.facts().mechanisms.keys() {
            let matters =
                cases.iter().any(|case| case.question.approvals.iter().any(|held| held.mechanism == *mechanism));
            if !matters {
                idle.push(format!("{}: mechanism {mechanism}", pack.id()));
            }
        }
        for ledger in pack.facts().ledgers.keys() {
            if !cases.iter().any(|case| case.question.totals.iter().any(|total| total.ledger == *ledger)) {
                idle.push(format!("{}: ledger {ledger}", pack.id()));
            }
        }
    }
    assert!(idle.is_empty(), "in no case:\n{}", idle.join("\n"));
}

/// A small generator with a seed, so that orders are many and the same in every run.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn order(&mut self, packs: &[PackId]) -> Vec<PackId> {
        let mut order = packs.to_vec();
        for at in (1..order.len()).rev() {
            let other = self.next(at + 1);
            order.swap(at, other);
        }
        order
    }
}

#[test]
fn what_a_pack_denies_no_other_pack_allows_in_any_order() {
    let lawbook = lawbook();
    let packs: Vec<Arc<Pack>> = lawbook.packs().cloned().collect();
    let ids: Vec<PackId> = packs.iter().map(|pack| pack.id().clone()).collect();
    let mut shuffle = Shuffle(5);
    let mut denied = 0;
    for pack in &packs {
        for case in cases(pack).into_iter().filter(|case| case.expect == Verdict::Deny) {
            let own = pack.id().clone();
            let pairs = ids
                .iter()
                .filter(|id| **id != own)
                .flat_map(|id| [vec![own.clone(), id.clone()], vec![id.clone(), own.clone()]]);
            let mut orders: Vec<Vec<PackId>> = pairs.collect();
            orders.push(ids.clone());
            orders.extend((0..3).map(|_| shuffle.order(&ids)));
            for order in orders {
                let mut question = case.question.clone();
                question.packs.clone_from(&order);
                let ruling = lawbook.decide(&question);
                assert_eq!(ruling.decision.verdict, Verdict::Deny, "{own}: {} with {order:?}", case.name);
                assert!(ruling.permit.is_none());
                for rule in &case.rules {
                    let named = ruling.decision.rules.iter().any(|by| by.pack == own && by.rule == *rule);
                    assert!(named, "{own}: {} with {order:?} does not name {rule}", case.name);
                }
                denied += 1;
            }
        }
    }
    assert!(denied > packs.len() * CASES_MIN, "{denied}");
}

#[test]
fn what_every_pack_allows_together_all_of_them_allow_in_every_order() {
    let lawbook = lawbook();
    let ids: Vec<PackId> = lawbook.packs().map(|pack| pack.id().clone()).collect();
    let mut shuffle = Shuffle(7);
    let mut allowed = 0;
    for pack in lawbook.packs() {
        for case in cases(pack) {
            let mut question = case.question;
            question.packs.clone_from(&ids);
            let alone = ids.iter().all(|id| {
                let mut question = question.clone();
                question.packs = vec![id.clone()];
                lawbook.decide(&question).decision.verdict == Verdict::Allow
            });
            for _ in 0..2 {
                question.packs = shuffle.order(&ids);
                let together = lawbook.decide(&question).decision.verdict == Verdict::Allow;
                assert_eq!(together, alone, "{}: {}", pack.id(), case.name);
            }
            allowed += usize::from(alone);
        }
    }
    assert!(allowed > 0, "no case is allowed by all: deletion at least must be");
}

#[test]
fn every_pack_lets_shards_be_deleted_wherever_they_are() {
    let lawbook = lawbook();
    let deletes = |case: &Case| case.question.asks[0].action == domicile_types::Action::Administer;
    for pack in lawbook.packs() {
        let allowed = cases(pack).iter().any(|case| deletes(case) && case.expect == Verdict::Allow);
        assert!(allowed, "{} has no case of a delete that is allowed", pack.id());
    }
}

#[test]
fn sources_say_what_is_unverified_and_that_counsel_must_sign() {
    for pack in lawbook().packs() {
        let sources = fs::read_to_string(policies().join(pack.id().as_str()).join("SOURCES.md")).unwrap();
        let words = sources.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("ocal counsel") && words.contains("must sign this pack off"), "{}", pack.id());
        assert!(sources.contains("*unverified*"), "{}", pack.id());
        assert!(sources.contains(&pack.version().as_of), "{}: as_of differs", pack.id());
    }
}

#[test]
fn the_kill_switch_of_an_adequacy_decision_ends_it_for_listed_recipients() {
    let id = PackId::parse("eu-gdpr").unwrap();
    let mut files = PackFiles::read(&policies().join("eu-gdpr")).unwrap();
    let listed = "recipient = \"eu-us-dpf\" }";
    assert!(files.facts.contains(listed));
    let verdict = |files: &PackFiles| {
        let pack = Pack::parse(id.clone(), files).unwrap();
        let case =
            cases(&pack).into_iter().find(|case| case.name == "a listed American recipient is adequate").unwrap();
        Lawbook::of(vec![pack]).decide(&case.question).decision.verdict
    };
    assert_eq!(verdict(&files), Verdict::Allow);
    files.facts = files.facts.replace(listed, "recipient = \"eu-us-dpf\", suspended = true }");
    assert_eq!(verdict(&files), Verdict::Deny);
}
