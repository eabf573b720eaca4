//! One ask before the packs.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Decision as CedarDecision, Entities, PolicyId, PolicySet, Request, Response,
};
use domicile_types::{Finding, Obligation, PackId, Place, RuleRef, Subject, SubjectFacts, Verdict};

use crate::decide::context::Reading;
use crate::decide::memo::{Answer, AnswerKey};
use crate::decide::{Ask, Found, NO_RULE_PERMITS, NO_SUCH_PACK, Question, RULE_ERROR};
use crate::pack::schema::Actor;
#[cfg(test)]
use crate::pack::wants::Wants;
use crate::pack::{Lawbook, Pack};
use crate::place::Window;

impl Lawbook {
    /// What every pack says to every ask, in the order of the asks.
    pub(super) fn find(&self, question: &Question) -> Vec<Found> {
        let packs: Vec<(&PackId, Option<&Arc<Pack>>)> = question.packs.iter().map(|id| (id, self.pack(id))).collect();
        let data = DataKey::of(question);
        question
            .asks
            .iter()
            .map(|ask| {
                let data = data.and(ask);
                let answers = packs.iter().map(|(id, pack)| match pack {
                    Some(pack) => self.answer(pack, question, ask, &data),
                    None => Arc::new(no_such_pack(id)),
                });
                unite(ask, answers.collect())
            })
            .collect()
    }

    fn answer(&self, pack: &Pack, question: &Question, ask: &Ask, data: &DataKey) -> Arc<Answer> {
        let key = data.of_pack(pack);
        if let Some(answer) = self.memo.recall(&key, question.now) {
            return answer;
        }
        let answer = Arc::new(judge(pack, question, ask));
        self.memo.remember(key, Arc::clone(&answer));
        answer
    }
}

/// The hash state of a memo key: first what all asks share, then the ask, then the pack.
#[derive(Clone)]
struct DataKey(blake3::Hasher);

impl DataKey {
    fn of(question: &Question) -> Self {
        let mut hasher = blake3::Hasher::new();
        // JSON values end where they end: no length is needed between them. Nothing here fails to serialise.
        let Question { operation, classification, approvals, totals, .. } = question;
        let shared = serde_json::to_vec(&(operation, classification, approvals, totals));
        hasher.update(&shared.unwrap_or_default());
        Self(hasher)
    }

    /// Every field of an ask, and by the pattern every field that it will ever have.
    fn and(&self, ask: &Ask) -> Self {
        let Ask { action, facts, class } = ask;
        let SubjectFacts { subject, places, evidence, party } = facts;
        let mut hasher = self.0.clone();
        // The text form of a peer id takes longer than all the rest: its bytes say the same.
        let (kind, key) = match subject {
            Subject::Node(node) => (b"n", node.public_key().as_slice()),
            Subject::Gateway(gateway) => (b"g", gateway.public_key().as_slice()),
            Subject::Requester => (b"r", [].as_slice()),
            Subject::KeyService => (b"k", [].as_slice()),
        };
        hasher.update(kind).update(key);
        hasher.update(&serde_json::to_vec(&(action, class, places, evidence, party)).unwrap_or_default());
        Self(hasher)
    }

    fn of_pack(&self, pack: &Pack) -> AnswerKey {
        let mut hasher = self.0.clone();
        hasher.update(pack.id().as_str().as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// Any deny denies; on a deny only what denied is a reason.
fn unite(ask: &Ask, answers: Vec<Arc<Answer>>) -> Found {
    let denied = answers.is_empty() || answers.iter().any(|answer| answer.verdict == Verdict::Deny);
    let verdict = if denied { Verdict::Deny } else { Verdict::Allow };
    let mut rules = Vec::new();
    let mut obligations = Vec::new();
    for answer in answers.iter().filter(|answer| answer.verdict == verdict) {
        rules.extend(answer.rules.iter().cloned());
        obligations.extend(answer.obligations.iter().cloned());
    }
    Found { finding: Finding { subject: ask.facts.subject, action: ask.action, verdict, rules }, obligations }
}

/// What one pack says to all asks of a question, which it need not be loaded for.
pub(crate) fn stands_alone(pack: &Pack, question: &Question) -> Verdict {
    let denied = question.asks.iter().any(|ask| judge(pack, question, ask).verdict == Verdict::Deny);
    if denied || question.asks.is_empty() { Verdict::Deny } else { Verdict::Allow }
}

/// One pack, one ask, at every place the subject may be: all must allow.
fn judge(pack: &Pack, question: &Question, ask: &Ask) -> Answer {
    let nowhere = [Place::Unknown];
    let places = if ask.facts.places.is_empty() { nowhere.as_slice() } else { ask.facts.places.as_slice() };
    let mut window = Window::ALWAYS;
    let mut permitted = Reasons::default();
    let mut denied = Reasons::default();
    for place in places {
        let reading = Reading::of(pack, question, ask, *place);
        match evaluate(&reading, &mut window) {
            (Verdict::Allow, reasons) => permitted.join(reasons),
            (Verdict::Deny, reasons) => denied.join(reasons),
        }
    }
    let (verdict, reasons) =
        if denied.rules.is_empty() { (Verdict::Allow, permitted) } else { (Verdict::Deny, denied) };
    Answer {
        verdict,
        rules: reasons.rules.into_iter().collect(),
        obligations: reasons.obligations.into_iter().collect(),
        window,
    }
}

#[derive(Default)]
struct Reasons {
    rules: BTreeSet<RuleRef>,
    obligations: BTreeSet<Obligation>,
}

impl Reasons {
    fn join(&mut self, other: Self) {
        self.rules.extend(other.rules);
        self.obligations.extend(other.obligations);
    }

    fn one(pack: &Pack, rule: String, cite: &str) -> Self {
        let rule = RuleRef { pack: pack.id().clone(), rule, cite: cite.to_owned(), limb: None };
        Self { rules: BTreeSet::from([rule]), obligations: BTreeSet::new() }
    }
}

/// Puts one reading to Cedar. INVARIANT: a deny has at least one rule.
fn evaluate(reading: &Reading<'_>, window: &mut Window) -> (Verdict, Reasons) {
    let pack = reading.pack;
    let (verdict, reasons) = match respond(reading, window) {
        Ok(response) => {
            let reasons = named(pack, response.diagnostics().reason());
            match response.decision() {
                CedarDecision::Allow => (Verdict::Allow, reasons),
                CedarDecision::Deny => (Verdict::Deny, reasons),
            }
        }
        Err(errors) => (Verdict::Deny, errors),
    };
    if reasons.rules.is_empty() {
        // Nothing permitted, and nothing forbade either.
        return (Verdict::Deny, Reasons::one(pack, NO_RULE_PERMITS.to_owned(), &pack.facts().default_cite));
    }
    (verdict, reasons)
}

/// The response of the rules, or what failed to evaluate.
fn respond(reading: &Reading<'_>, window: &mut Window) -> Result<Response, Reasons> {
    let pack = reading.pack;
    let misfit = |problem: String| {
        tracing::warn!(pack = %pack.id(), action = %reading.ask.action, problem, "a question does not fit the schema");
        Reasons::one(pack, format!("{RULE_ERROR}:request"), &pack.facts().default_cite)
    };
    let actor = Actor::of(&reading.ask.facts.subject);
    let Some(bench) = pack.rules().benches().about(reading.ask.action, actor) else {
        // An action that the subject cannot take is denied like any error.
        return Err(misfit(format!("no {} takes this action", actor.name())));
    };
    let request = reading.request(&bench.wants, None, window).map_err(misfit)?;
    authorize(pack, &request, &bench.rules)
}

/// Nothing in rules is an entity but who acts and what is done, so no entity has attributes.
static NO_ENTITIES: LazyLock<Entities> = LazyLock::new(Entities::empty);

/// Cedar's response, or every policy that failed to evaluate. Cedar itself would skip those.
fn authorize(pack: &Pack, request: &Request, policies: &PolicySet) -> Result<Response, Reasons> {
    let response = Authorizer::new().is_authorized(request, policies, &NO_ENTITIES);
    let mut failed = Reasons::default();
    for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
        let rule: &str = error.policy_id().as_ref();
        tracing::warn!(pack = %pack.id(), rule, %error, "a rule failed to evaluate: denied");
        let cite = pack.rules().rules().get(rule).map_or(pack.facts().default_cite.as_str(), |rule| &rule.cite);
        failed.join(Reasons::one(pack, format!("{RULE_ERROR}:{rule}"), cite));
    }
    if failed.rules.is_empty() { Ok(response) } else { Err(failed) }
}

fn named<'a>(pack: &Pack, ids: impl Iterator<Item = &'a PolicyId>) -> Reasons {
    let mut reasons = Reasons::default();
    for id in ids {
        let id: &str = id.as_ref();
        let Some(rule) = pack.rules().rules().get(id) else { continue };
        reasons.rules.insert(RuleRef {
            pack: pack.id().clone(),
            rule: id.to_owned(),
            cite: rule.cite.clone(),
            limb: rule.limb,
        });
        reasons.obligations.extend(rule.obligations.iter().cloned());
    }
    reasons
}

fn no_such_pack(id: &PackId) -> Answer {
    let cite = "this pack is not loaded".to_owned();
    Answer {
        verdict: Verdict::Deny,
        rules: vec![RuleRef { pack: id.clone(), rule: NO_SUCH_PACK.to_owned(), cite, limb: None }],
        obligations: Vec::new(),
        window: Window::ALWAYS,
    }
}

/// How what the rules of `pack` are asked differs from the type that they were validated against.
#[cfg(test)]
pub(crate) fn misfit(pack: &Pack, question: &Question) -> Option<String> {
    let readings = question.asks.iter().flat_map(|ask| ask.facts.places.iter().map(move |place| (ask, *place)));
    let schema = Some(&pack.rules().source().schema);
    let mut requests = readings.map(|(ask, place)| {
        Reading::of(pack, question, ask, place).request(&Wants::All, schema, &mut Window::ALWAYS.clone())
    });
    requests.find_map(Result::err)
}
