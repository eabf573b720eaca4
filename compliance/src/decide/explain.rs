//! A ruling in words, for people and for `--json`.

use std::fmt;

use domicile_types::{Decision, Finding, PackId, Place, Verdict};
use serde::Serialize;

use crate::decide::{Ask, Question};
use crate::pack::{Lawbook, PackFacts};
use crate::place::{Standing, Window};

/// What was decided, subject by subject, and how each pack read the places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// One per ask.
    pub findings: Vec<Finding>,
    /// Every place in the question, as every pack reads it.
    pub readings: Vec<PlaceReading>,
}

/// A place in the eyes of a pack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlaceReading {
    /// Whose eyes.
    pub pack: PackId,
    /// The place as the question gave it.
    pub place: Place,
    /// What it counts as.
    pub counts_as: Place,
    /// The groups it belongs to at the time of the question.
    pub within: Vec<String>,
    /// The groups it would belong to, were the recipient certified.
    pub conditional: Vec<String>,
}

impl Lawbook {
    /// Decides and says why.
    #[must_use]
    pub fn explain(&self, question: &Question) -> Explanation {
        let ruling = self.decide(question);
        let mut readings = Vec::new();
        for pack in question.packs.iter().filter_map(|id| self.pack(id)) {
            for ask in &question.asks {
                let places = ask.facts.places.iter();
                readings.extend(places.map(|place| reading(pack.id(), pack.facts(), ask, *place, question)));
            }
        }
        readings.sort();
        readings.dedup();
        Explanation { decision: ruling.decision, findings: ruling.findings, readings }
    }
}

fn reading(pack: &PackId, facts: &PackFacts, ask: &Ask, place: Place, question: &Question) -> PlaceReading {
    let counts_as = facts.territory.read(place);
    let standing = |wanted: Standing| {
        let groups = facts.groups.values().filter(|group| {
            let mut window = Window::ALWAYS;
            group.standing(counts_as, ask.facts.party.as_ref(), question.now, &mut window) == wanted
        });
        groups.map(|group| group.name.clone()).collect()
    };
    PlaceReading {
        pack: pack.clone(),
        place,
        counts_as,
        within: standing(Standing::Within),
        conditional: standing(Standing::Conditional),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { verdict, export, rules, obligations, approvals, packs, inputs, warnings } = &self.decision;
        let export = if *export { ", an export event" } else { "" };
        writeln!(f, "{}{export}", said(*verdict))?;
        for rule in rules {
            let limb = rule.limb.map(|limb| format!(" (limb {})", limb.0)).unwrap_or_default();
            writeln!(f, "  by {} / {}{limb}: {}", rule.pack, rule.rule, rule.cite)?;
        }
        for obligation in obligations {
            writeln!(f, "  with {}", obligation.0)?;
        }
        for approval in approvals {
            writeln!(f, "  approval {approval}")?;
        }
        for warning in warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        writeln!(f, "asked")?;
        for Finding { subject, action, verdict, rules } in &self.findings {
            let rules: Vec<&str> = rules.iter().map(|rule| rule.rule.as_str()).collect();
            writeln!(f, "  {} {action} by {subject:?}: {}", said(*verdict), rules.join(", "))?;
        }
        writeln!(f, "places")?;
        for reading in &self.readings {
            write!(f, "  {}: {} counts as {}", reading.pack, reading.place, reading.counts_as)?;
            writeln!(f, ", within [{}], if certified [{}]", reading.within.join(", "), reading.conditional.join(", "))?;
        }
        for pack in packs {
            writeln!(f, "pack {} as of {}, hash {}", pack.pack, pack.as_of, pack.hash)?;
        }
        write!(f, "inputs {inputs}")
    }
}

const fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}
