//! Scenarios that packs are tested by: `cases.toml`, run by `domicile policy test`.
//!
//! A case is one ask and the ruling it must come to. It goes the whole way through
//! [`Lawbook::decide`](crate::Lawbook::decide), so a case that passes is what a gateway would do. A pack passes when all its
//! cases do and when every rule of it determines at least one: a rule that no case needs is a rule nobody has checked.

#[cfg(test)]
mod mutants;
mod read;
mod report;

use std::collections::BTreeSet;

use domicile_types::{Decision, Limb, Verdict};

pub use crate::cases::read::{Case, CaseReadError, read_cases};
pub use crate::cases::report::{CaseReport, CaseResult, PackReport};
use crate::decide::{NO_RULE_PERMITS, RULE_ERROR};
use crate::pack::{Lawbook, Pack};

/// What makes the cases of `pack` no check of it, before any is run: they do not read, they speak of rules that it does not
/// have, or they are silent about one that it has.
pub(crate) fn problem(pack: &Pack) -> Option<String> {
    let cases = match read_cases(pack) {
        Ok(cases) => cases,
        Err(error) => return Some(report::told(&error)),
    };
    let rules = pack.rules().rules();
    for case in &cases {
        let unknown = case
            .rules
            .iter()
            .find(|rule| !rules.contains_key(*rule) && *rule != NO_RULE_PERMITS && !rule.starts_with(RULE_ERROR));
        if let Some(rule) = unknown {
            return Some(format!("case {:?} expects rule {rule}, which rules.cedar does not have", case.name));
        }
    }
    let silent = rules.keys().find(|rule| !cases.iter().any(|case| case.rules.contains(*rule)));
    silent.map(|rule| format!("no case expects rule {rule}: add one in which it decides"))
}

/// Runs every case of every pack.
#[must_use]
pub fn run_cases(lawbook: &Lawbook) -> CaseReport {
    CaseReport { packs: lawbook.packs().map(|pack| run_pack(lawbook, pack)).collect() }
}

fn run_pack(lawbook: &Lawbook, pack: &Pack) -> PackReport {
    let cases = match read_cases(pack) {
        Ok(cases) => cases,
        Err(error) => return PackReport::unreadable(pack.version().clone(), &error),
    };
    let mut unused: BTreeSet<String> = pack.rules().rules().keys().cloned().collect();
    let mut results = Vec::with_capacity(cases.len());
    for case in &cases {
        let ruling = lawbook.decide(&case.question);
        for rule in &ruling.decision.rules {
            unused.remove(&rule.rule);
        }
        results.push(CaseResult { name: case.name.clone(), faults: faults(case, &ruling.decision) });
    }
    PackReport {
        pack: pack.version().clone(),
        unreadable: None,
        results,
        rules_in_no_case: unused.into_iter().collect(),
    }
}

/// How a decision differs from what the case expects; nothing: it passes.
fn faults(case: &Case, decision: &Decision) -> Vec<String> {
    let mut faults = Vec::new();
    let mut differ = |what: &str, expected: String, came: String| {
        if expected != came {
            faults.push(format!("{what}: expected {expected}, came {came}"));
        }
    };
    let verdict = |verdict| if verdict == Verdict::Allow { "allow" } else { "deny" };
    differ("verdict", verdict(case.expect).to_owned(), verdict(decision.verdict).to_owned());
    let rules: BTreeSet<&str> = decision.rules.iter().map(|rule| rule.rule.as_str()).collect();
    differ("rules", join(case.rules.iter().map(String::as_str)), join(rules));
    let limbs: BTreeSet<Limb> = decision.rules.iter().filter_map(|rule| rule.limb).collect();
    differ("limbs", join_limbs(&case.limbs), join_limbs(&limbs));
    for obligation in &case.obligations {
        if !decision.obligations.iter().any(|held| held.0 == *obligation) {
            differ("obligations", obligation.clone(), join(decision.obligations.iter().map(|held| held.0.as_str())));
        }
    }
    faults
}

fn join<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", names.into_iter().collect::<Vec<_>>().join(", "))
}

fn join_limbs(limbs: &BTreeSet<Limb>) -> String {
    let limbs: Vec<String> = limbs.iter().map(|limb| limb.0.to_string()).collect();
    format!("[{}]", limbs.join(", "))
}
