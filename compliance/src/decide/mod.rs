//! Decisions: a question, judged by every pack it is under, and the permit that an allow becomes.
//!
//! 1. Every ask is judged by every pack at every place its subject may be. All must allow ([`judge`]).
//! 2. A rule that fails to evaluate denies: Cedar skips it, which for a `forbid` would fail open.
//! 3. A required ask that is denied denies the whole. A candidate that is denied only leaves the permit; when no
//!    candidate is left for an action, that denies the whole, too.
//! 4. Nothing asked, no pack, an unknown pack: denied.
//!
//! A decision depends on nothing but the question and the packs, so it can be replayed: the question is serialisable, its
//! hash is in the decision, and so is the hash of every pack.

mod context;
mod explain;
mod judge;
mod memo;
mod permit;
mod question;

use std::collections::BTreeSet;

use domicile_types::{Action, Decision, Finding, Obligation, PackId, RuleRef, Verdict};

pub use crate::decide::explain::{Explanation, PlaceReading};
#[cfg(test)]
pub(crate) use crate::decide::judge::misfit;
pub(crate) use crate::decide::judge::stands_alone;
pub(crate) use crate::decide::memo::Memo;
pub use crate::decide::permit::Permit;
pub use crate::decide::question::{Ask, AskClass, AskedActions, Circumstances, Grounds, Question};
use crate::pack::Lawbook;

/// The rule that a deny by default names.
pub const NO_RULE_PERMITS: &str = "no-rule-permits";
/// What precedes the id of a rule that failed to evaluate.
pub const RULE_ERROR: &str = "rule-error";
/// The rule that a pack which is not loaded is denied by.
pub const NO_SUCH_PACK: &str = "no-such-pack";

/// What came of a question.
#[derive(Debug)]
pub struct Ruling {
    /// For the log.
    pub decision: Decision,
    /// One per ask, in the order of the question: what was found about each subject.
    pub findings: Vec<Finding>,
    /// Present exactly when the decision is an allow.
    pub permit: Option<Permit>,
}

/// What was found about one ask, over all packs.
pub(crate) struct Found {
    finding: Finding,
    obligations: Vec<Obligation>,
}

impl Lawbook {
    /// Decides. Pure: the same question and the same packs give the same ruling, whenever it is asked.
    #[must_use]
    pub fn decide(&self, question: &Question) -> Ruling {
        let found = self.find(question);
        let weighing = Weighing::of(question, &found);
        let asked = question.asks.iter().zip(&found);
        let reasons: Vec<&Found> =
            asked.filter(|(ask, found)| weighing.is_reason(ask, &found.finding)).map(|(_, found)| found).collect();
        let mut rules: BTreeSet<RuleRef> = reasons.iter().flat_map(|found| &found.finding.rules).cloned().collect();
        if rules.is_empty() {
            rules.extend(nothing_to_stand_on(question));
        }
        let obligations: BTreeSet<Obligation> = reasons.iter().flat_map(|found| &found.obligations).cloned().collect();
        let known = question.packs.iter().filter_map(|id| self.pack(id));
        let decision = Decision {
            verdict: weighing.verdict,
            export: rules.iter().any(|rule| rule.limb.is_some()),
            rules: rules.into_iter().collect(),
            obligations: obligations.into_iter().collect(),
            approvals: question.approvals.iter().map(|approval| approval.id).collect(),
            packs: known.map(|pack| pack.version().clone()).collect(),
            inputs: question.hash(),
            warnings: question.located_warnings.clone(),
        };
        let findings: Vec<Finding> = found.into_iter().map(|found| found.finding).collect();
        let permit = match (weighing.verdict, self.pack_set(&question.packs)) {
            (Verdict::Allow, Ok(packs)) => Some(Permit::grant(question, &decision, &findings, &packs)),
            _ => None,
        };
        Ruling { decision, findings, permit }
    }
}

/// How the findings add up.
struct Weighing {
    verdict: Verdict,
    /// Actions for which no candidate is left.
    exhausted: BTreeSet<Action>,
}

impl Weighing {
    fn of(question: &Question, found: &[Found]) -> Self {
        let asked = || question.asks.iter().zip(found.iter().map(|found| found.finding.verdict));
        let mut exhausted: BTreeSet<Action> =
            asked().filter(|(ask, _)| ask.class == AskClass::Candidate).map(|(ask, _)| ask.action).collect();
        let mut required_hold = true;
        for (ask, verdict) in asked() {
            match (ask.class, verdict) {
                (AskClass::Required, Verdict::Deny) => required_hold = false,
                (AskClass::Candidate, Verdict::Allow) => {
                    exhausted.remove(&ask.action);
                }
                (AskClass::Required, Verdict::Allow) | (AskClass::Candidate, Verdict::Deny) => {}
            }
        }
        let something = !question.asks.is_empty() && !question.packs.is_empty();
        let verdict = if something && required_hold && exhausted.is_empty() { Verdict::Allow } else { Verdict::Deny };
        Self { verdict, exhausted }
    }

    /// Whether a finding is among the reasons of the decision. A candidate that was denied while others were left is none:
    /// the foreign nodes of a fleet are no reason against a bucket, and no export.
    fn is_reason(&self, ask: &Ask, finding: &Finding) -> bool {
        finding.verdict == self.verdict
            && (self.verdict == Verdict::Allow
                || ask.class == AskClass::Required
                || self.exhausted.contains(&ask.action))
    }
}

/// A question without asks or without packs has no rule on its side.
fn nothing_to_stand_on(question: &Question) -> Option<RuleRef> {
    let pack = question.packs.first().cloned().or_else(|| PackId::parse("no-pack").ok())?;
    let cite = "default deny: nothing was asked, or of no pack".to_owned();
    Some(RuleRef { pack, rule: NO_RULE_PERMITS.to_owned(), cite, limb: None })
}
