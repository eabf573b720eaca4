//! Whether the cases of every shipped pack would notice if one of its rules were another.
//!
//! A rule is left out, its conditions are turned around, its exceptions are taken away, a term is made always true or never.
//! Where no case comes out otherwise, nobody has checked that part of the law.

use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::thread;

use cedar_policy::Policy;
use serde_json::{Value, json};

use super::{faults, read_cases};
use crate::cases::Case;
use crate::pack::bench::{Benches, spelt_out};
use crate::pack::{Lawbook, Pack};

/// A rule or a term, written otherwise, and what was done to it.
struct Mutant {
    name: String,
    rules: Vec<Policy>,
}

fn shipped() -> &'static Lawbook {
    static SHIPPED: LazyLock<Lawbook> =
        LazyLock::new(|| Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap());
    &SHIPPED
}

/// Every rule left out, with each `when` turned around, and without each `unless`.
fn mutants_of_rules(pack: &Pack) -> Vec<Mutant> {
    let rules: Vec<Policy> = pack.rules().source().policies.policies().cloned().collect();
    let definitions = &pack.rules().source().definitions;
    let spelt: Vec<Policy> = rules.iter().map(|rule| spelt_out(rule, definitions).unwrap()).collect();
    let mut mutants = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let mut without = spelt.clone();
        without.remove(at);
        mutants.push(Mutant { name: format!("{} left out", rule.id()), rules: without });
        for (what, json) in rewritten(rule) {
            let other = Policy::from_json(Some(rule.id().clone()), json).unwrap();
            let mut with = spelt.clone();
            with[at] = spelt_out(&other, definitions).unwrap();
            mutants.push(Mutant { name: format!("{} {what}", rule.id()), rules: with });
        }
    }
    mutants
}

fn rewritten(rule: &Policy) -> Vec<(&'static str, Value)> {
    let json = rule.to_json().unwrap();
    let conditions = json["conditions"].as_array().unwrap();
    let mut all = Vec::new();
    for (at, condition) in conditions.iter().enumerate() {
        let mut other = json.clone();
        if condition["kind"] == "when" {
            other["conditions"][at]["body"] = json!({ "!": { "arg": condition["body"] } });
            all.push(("with its `when` turned around", other));
        } else {
            other["conditions"].as_array_mut().unwrap().remove(at);
            all.push(("without its `unless`", other));
        }
    }
    all
}

/// Every term always, and never.
fn mutants_of_terms(pack: &Pack) -> Vec<Mutant> {
    let definitions = &pack.rules().source().definitions;
    let mut mutants = Vec::new();
    for name in definitions.names() {
        for holds in [true, false] {
            let changed = definitions.with(name, json!({ "Value": holds }));
            let rules = pack.rules().source().policies.policies().map(|rule| spelt_out(rule, &changed).unwrap());
            mutants.push(Mutant { name: format!("term {name} always {holds}"), rules: rules.collect() });
        }
    }
    mutants
}

/// Whether some case comes out otherwise.
fn is_noticed(pack: &Pack, cases: &[Case], mutant: &Mutant) -> bool {
    let rules = pack.rules().with_benches(Benches::seat(&mutant.rules).unwrap());
    let lawbook = Lawbook::of(vec![pack.with_rules(rules)]);
    cases.iter().any(|case| !faults(case, &lawbook.decide(&case.question).decision).is_empty())
}

/// The names of those that no case notices, of every pack.
fn survivors(mutants_of: fn(&Pack) -> Vec<Mutant>) -> Vec<String> {
    let lawbook = shipped();
    let packs: Vec<_> = lawbook.packs().cloned().collect();
    let survivors = Mutex::new(Vec::new());
    let next = Mutex::new(packs.iter());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(pack) = { next.lock().unwrap().next() } {
                    let cases = read_cases(pack).unwrap();
                    for mutant in mutants_of(pack) {
                        if !is_noticed(pack, &cases, &mutant) {
                            survivors.lock().unwrap().push(format!("{}: {}", pack.id(), mutant.name));
                        }
                    }
                }
            });
        }
    });
    let mut survivors = survivors.into_inner().unwrap();
    survivors.sort();
    survivors
}

#[test]
fn a_rule_that_is_changed_breaks_a_case_of_its_pack() {
    let survivors = survivors(mutants_of_rules);
    assert!(survivors.is_empty(), "no case notices these:\n{}", survivors.join("\n"));
}

#[test]
fn a_term_that_is_changed_breaks_a_case_of_its_pack() {
    let survivors = survivors(mutants_of_terms);
    assert!(survivors.is_empty(), "no case notices these:\n{}", survivors.join("\n"));
}

#[test]
fn the_rules_as_they_are_break_no_case() {
    let lawbook = shipped();
    for pack in lawbook.packs() {
        let spelt = pack
            .rules()
            .source()
            .policies
            .policies()
            .map(|rule| spelt_out(rule, &pack.rules().source().definitions).unwrap());
        let same = Mutant { name: "nothing changed".into(), rules: spelt.collect() };
        assert!(!is_noticed(pack, &read_cases(pack).unwrap(), &same), "{}", pack.id());
    }
}

#[test]
fn what_rules_are_asked_is_of_the_type_that_they_were_validated_against() {
    for pack in shipped().packs() {
        for case in read_cases(pack).unwrap() {
            let problem = crate::decide::misfit(pack, &case.question);
            assert_eq!(problem, None, "{}: {}", pack.id(), case.name);
        }
    }
}
