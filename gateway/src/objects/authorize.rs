//! The gate that every use case passes: the question to the law, and the entry in the log.

use domicile_compliance::audit::{CommitmentDomain, IntentDraft, LoggedIntent};
use domicile_compliance::{Circumstances, Permit, Question, Ruling};
use domicile_types::{
    Action, BucketName, Budget, Charge, Classification, DataId, Decision, EvidenceGrade, Located, NodeId, ObjectKey,
    OperationKind, PackId, Place, RequestId, RuleRef, Salt, Subject, SubjectFacts, TenantId, Verdict,
};

use super::bucket::settle;
use super::error::{Denial, Error};
use super::gateway::Gateway;
use super::get::packs_of;
use super::grounds::{Footing, Reserved, Taking, unstated};
use super::intake::internal;
use super::limits::RoleScope;
use super::request::Caller;
use super::stand_in::stand_in;
use crate::catalog::{Bucket, ObjectHead};

/// How often an export is judged again because others were charged in between: only other gateways can be in the way.
const CHARGES_MAX: usize = 100;

/// What is to be decided and logged, as far as the request says it.
#[derive(Debug, Clone)]
pub(crate) struct Matter<'a> {
    /// What is being done.
    pub(crate) operation: OperationKind,
    /// Whose rules apply.
    pub(crate) packs: &'a [PackId],
    /// What the data is.
    pub(crate) classification: &'a Classification,
    /// In which bucket.
    pub(crate) bucket: Option<&'a BucketName>,
    /// Object key or prefix.
    pub(crate) key: Option<&'a str>,
    /// Nodes that might act.
    pub(crate) nodes: Vec<SubjectFacts>,
}

impl<'a> Matter<'a> {
    /// About a bucket as such, under its own rules.
    pub(crate) const fn of_bucket(operation: OperationKind, bucket: &'a Bucket) -> Self {
        Self {
            operation,
            packs: bucket.packs.as_slice(),
            classification: &bucket.classification,
            bucket: Some(&bucket.name),
            key: None,
            nodes: Vec::new(),
        }
    }

    /// About one key of it, or all that begin so.
    pub(crate) fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// What the ticket is good for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// What the shards are stored under.
    pub(crate) data: Option<DataId>,
    /// Plaintext bytes `[start, end)` that may leave.
    pub(crate) range: Option<(u64, u64)>,
    /// Bytes that one node may serve or accept.
    pub(crate) node_bytes_max: u64,
    /// The lease epoch of background work; zero for requests.
    pub(crate) epoch: u64,
    /// The node that works in the gateway's stead.
    pub(crate) worker: Option<NodeId>,
}

impl Gateway {
    /// Where the requester may be.
    pub(crate) fn locate(&self, caller: &Caller) -> Located {
        match caller.address {
            _ if caller.is_gateway => {
                Located { candidates: vec![self.config.place], sources: Vec::new(), warnings: Vec::new() }
            }
            Some(address) => self.locator.locate(address, self.clock.now()),
            None => Located {
                candidates: vec![Place::Unknown],
                sources: Vec::new(),
                warnings: vec!["a trusted proxy sent an X-Forwarded-For that is not a list of addresses".to_owned()],
            },
        }
    }

    /// Asks the law. A deny is logged as an attempt before it is answered.
    pub(super) async fn permit(&self, caller: &Caller, matter: &Matter<'_>) -> Result<Permit, Error> {
        let located = self.locate(caller);
        let requester = SubjectFacts {
            subject: Subject::Requester,
            places: located.candidates.clone(),
            evidence: EvidenceGrade::Observed,
            party: None,
        };
        self.judge(caller, matter, Some(&requester), &located, None).await
    }

    /// The same for a read that hands out bytes. Where it is an export, room for it is taken from quotas and ledgers, for as
    /// many of the bytes as they leave.
    pub(super) async fn permit_taking(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        taking: Taking,
    ) -> Result<(Permit, Option<Reserved>), Error> {
        let located = self.locate(caller);
        let requester = SubjectFacts {
            subject: Subject::Requester,
            places: located.candidates.clone(),
            evidence: EvidenceGrade::Observed,
            party: None,
        };
        self.judge_taking(caller, matter, Some(&requester), &located, None, Some(taking)).await
    }

    /// Decides and logs work that nobody asked for: `worker` does it for `tenant`'s data, at the gateway.
    pub(crate) async fn authorize_background(
        &self,
        tenant: &TenantId,
        worker: &str,
        request: RequestId,
        matter: &Matter<'_>,
        scope: Scope,
    ) -> Result<LoggedIntent, Error> {
        let caller = Caller::worker(tenant, worker, request);
        let here = Located { candidates: vec![self.config.place], sources: Vec::new(), warnings: Vec::new() };
        let permit = self.judge(&caller, matter, None, &here, None).await?;
        let draft = self.draft(&caller, matter, &here.candidates, scope)?;
        self.log.intent(&permit, draft).await.map_err(log_unavailable)
    }

    /// Decides work that nobody asked for, done by `worker` for `tenant`'s data at the gateway. Nothing is logged but a denial.
    pub(crate) async fn permit_background(
        &self,
        tenant: &TenantId,
        worker: &str,
        request: RequestId,
        matter: &Matter<'_>,
    ) -> Result<Permit, Error> {
        let caller = Caller::worker(tenant, worker, request);
        let here = Located { candidates: vec![self.config.place], sources: Vec::new(), warnings: Vec::new() };
        self.judge(&caller, matter, None, &here, None).await
    }

    /// The same, where the node that `hands` says does the work in the gateway's stead.
    pub(crate) async fn permit_by_node(
        &self,
        tenant: &TenantId,
        worker: &str,
        request: RequestId,
        matter: &Matter<'_>,
        hands: &SubjectFacts,
    ) -> Result<Permit, Error> {
        let caller = Caller::worker(tenant, worker, request);
        let here = Located { candidates: vec![self.config.place], sources: Vec::new(), warnings: Vec::new() };
        self.judge(&caller, matter, None, &here, Some(hands)).await
    }

    /// Logs that work begins which [`Gateway::permit_background`] permitted.
    pub(crate) async fn intend_background(
        &self,
        tenant: &TenantId,
        worker: &str,
        request: RequestId,
        matter: &Matter<'_>,
        permit: &Permit,
        scope: Scope,
    ) -> Result<LoggedIntent, Error> {
        let caller = Caller::worker(tenant, worker, request);
        self.intend(&caller, matter, permit, scope).await
    }

    /// Decides and logs that somebody in one of `places` is told something of `tenant`'s data by `worker`, unasked.
    pub(crate) async fn authorize_elsewhere(
        &self,
        tenant: &TenantId,
        worker: &str,
        request: RequestId,
        matter: &Matter<'_>,
        places: Vec<Place>,
    ) -> Result<LoggedIntent, Error> {
        let caller = Caller::worker(tenant, worker, request);
        let told = SubjectFacts {
            subject: Subject::Requester,
            places: places.clone(),
            evidence: EvidenceGrade::Declared,
            party: None,
        };
        let there = Located { candidates: places, sources: Vec::new(), warnings: Vec::new() };
        let permit = self.judge(&caller, matter, Some(&told), &there, None).await?;
        let draft = self.draft(&caller, matter, &there.candidates, Scope::default())?;
        self.log.intent(&permit, draft).await.map_err(log_unavailable)
    }

    async fn judge(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        requester: Option<&SubjectFacts>,
        located: &Located,
        hands: Option<&SubjectFacts>,
    ) -> Result<Permit, Error> {
        self.judge_taking(caller, matter, requester, located, hands, None).await.map(|(permit, _)| permit)
    }

    async fn judge_taking(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        requester: Option<&SubjectFacts>,
        located: &Located,
        hands: Option<&SubjectFacts>,
        taking: Option<Taking>,
    ) -> Result<(Permit, Option<Reserved>), Error> {
        let abroad = requester.map_or_else(Vec::new, |requester| self.abroad(matter.packs, &requester.places));
        if abroad.is_empty() {
            let (question, ruling) = self.ask(matter, requester, located, hands, &Footing::default());
            let permit = self.conclude(caller, matter, located, &question, ruling).await?;
            return Ok((permit, None));
        }
        let _turn = match taking {
            Some(_) => Some(self.approvals.charge().await),
            None => None,
        };
        for _ in 0..CHARGES_MAX {
            let footing = self.footing(caller, matter, &abroad, located, taking).await?;
            let (question, ruling) = self.ask(matter, requester, located, hands, &footing);
            let reserved = match &ruling.permit {
                Some(_) if self.is_outside(caller, located).is_none() => {
                    match self.reserve(caller, &footing, &ruling.decision).await? {
                        Some(reserved) => reserved,
                        None => continue,
                    }
                }
                _ => None,
            };
            let permit = self.conclude(caller, matter, located, &question, ruling).await?;
            return Ok((permit, reserved));
        }
        Err(Error::Unavailable("too many exports are charged to the same approval at once".to_owned()))
    }

    /// Puts the question to the law.
    fn ask(
        &self,
        matter: &Matter<'_>,
        requester: Option<&SubjectFacts>,
        located: &Located,
        hands: Option<&SubjectFacts>,
        footing: &Footing,
    ) -> (Question, Ruling) {
        let requester =
            requester.cloned().map(|facts| SubjectFacts { party: footing.party.clone().or(facts.party), ..facts });
        let mut question = Circumstances {
            packs: matter.packs,
            classification: matter.classification,
            gateway: &self.facts(),
            requester: requester.as_ref(),
            nodes: &matter.nodes,
            now: self.clock.now(),
            located_warnings: &[&located.warnings[..], &footing.warnings[..]].concat(),
            grounds: &footing.grounds,
        }
        .question(matter.operation);
        if let Some(hands) = hands {
            stand_in(&mut question, hands);
        }
        let ruling = self.judging.lawbook().decide(&question);
        (question, ruling)
    }

    /// The role's scope, where the requester is outside its places.
    fn is_outside<'c>(&self, caller: &'c Caller, located: &Located) -> Option<&'c RoleScope> {
        let scope = caller.limits().and_then(|limits| limits.scope.as_ref());
        scope.filter(|scope| !scope.reaches(&located.candidates))
    }

    /// Keeps what was asked, and answers.
    async fn conclude(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        located: &Located,
        question: &Question,
        ruling: Ruling,
    ) -> Result<Permit, Error> {
        self.log.inputs().put(question).map_err(log_unavailable)?;
        if let Some(scope) = self.is_outside(caller, located).filter(|_| ruling.permit.is_some()) {
            return Err(self.outside(caller, matter, scope, ruling.decision, located).await?);
        }
        match ruling.permit {
            Some(permit) => Ok(permit),
            None => {
                let draft = self.draft(caller, matter, &located.candidates, Scope::default())?;
                let logged =
                    self.log.denied(matter.operation, &ruling.decision, draft).await.map_err(log_unavailable)?;
                let mut explanation =
                    explain(matter.operation, &ruling.decision.rules, &located.candidates, self.config.place);
                let notes = question.located_warnings.iter().skip(located.warnings.len());
                for note in notes.cloned().chain(unstated(matter.classification).filter(|_| ruling.decision.export)) {
                    explanation.push_str(". ");
                    explanation.push_str(&note);
                }
                tracing::info!(request_id = %caller.request, operation = ?matter.operation, log_index = logged.index,
                    rule = ruling.decision.rules.first().map(|rule| rule.rule.as_str()), "denied");
                Err(Error::Denied(Box::new(Denial { decision: ruling.decision, log_index: logged.index, explanation })))
            }
        }
    }

    /// Logs an attempt that the law allows and the role does not, because of where the requester may be.
    pub(super) async fn outside(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        scope: &RoleScope,
        decision: Decision,
        located: &Located,
    ) -> Result<Error, Error> {
        let names = |places: &[Place]| places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let rule = RuleRef {
            pack: PackId::parse("role").map_err(|error| internal("naming a rule", error))?,
            rule: scope.role.clone(),
            cite: format!("the role's places: {}", names(&scope.places)),
            limb: None,
        };
        let decision = Decision { verdict: Verdict::Deny, rules: vec![rule], obligations: Vec::new(), ..decision };
        let draft = self.draft(caller, matter, &located.candidates, Scope::default())?;
        let logged = self.log.denied(matter.operation, &decision, draft).await.map_err(log_unavailable)?;
        tracing::info!(request_id = %caller.request, operation = ?matter.operation, log_index = logged.index,
            role = scope.role, "outside the places of its role");
        Ok(Error::OutsideRole(format!(
            "the role {} holds for requesters in {}, and this one is in {} (log index {})",
            scope.role,
            names(&scope.places),
            located.candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
            logged.index
        )))
    }

    /// Logs the intent, durably. What it returns is the key to the nodes.
    pub(super) async fn intend(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        permit: &Permit,
        scope: Scope,
    ) -> Result<LoggedIntent, Error> {
        let charge = self.charge_of_query(permit.operation(), permit.decision());
        self.intend_charged(caller, matter, permit, scope, charge).await
    }

    /// The same, with what it charges.
    pub(super) async fn intend_charged(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        permit: &Permit,
        scope: Scope,
        charge: Option<Charge>,
    ) -> Result<LoggedIntent, Error> {
        let places = self.locate(caller).candidates;
        let draft = IntentDraft { charge, ..self.draft(caller, matter, &places, scope)? };
        self.log.intent(permit, draft).await.map_err(log_unavailable)
    }

    /// Both, for operations that touch no shard.
    pub(super) async fn authorize(&self, caller: &Caller, matter: &Matter<'_>) -> Result<LoggedIntent, Error> {
        let permit = self.permit(caller, matter).await?;
        self.intend(caller, matter, &permit, Scope::default()).await
    }

    /// The same, for what is told or changed of an object without touching its bytes.
    pub(super) async fn authorize_object(
        &self,
        caller: &Caller,
        operation: OperationKind,
        (bucket, head): (&Bucket, &ObjectHead),
        key: &ObjectKey,
    ) -> Result<LoggedIntent, Error> {
        let packs = packs_of(bucket, head);
        let classification = &head.object.classification;
        let matter = Matter { packs: &packs, classification, ..Matter::of_bucket(operation, bucket).key(key.as_str()) };
        self.authorize(caller, &matter).await
    }

    /// What the caller is told of something that cannot be done: why, if it may know that much. A reason tells of what is
    /// stored, too.
    pub(super) async fn refusal(&self, caller: &Caller, matter: &Matter<'_>, why: impl Into<Error>) -> Error {
        or_why(self.authorize(caller, matter).await, why.into())
    }

    /// The same, where the reason is an object's.
    pub(super) async fn object_refusal(
        &self,
        caller: &Caller,
        operation: OperationKind,
        found: (&Bucket, &ObjectHead),
        key: &ObjectKey,
        why: impl Into<Error>,
    ) -> Error {
        or_why(self.authorize_object(caller, operation, found, key).await, why.into())
    }

    pub(super) fn draft(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        requester_places: &[Place],
        scope: Scope,
    ) -> Result<IntentDraft, Error> {
        let commit = |domain, value: &str| {
            let fresh = || Salt(self.clock.random());
            self.log.side().commit(domain, value.as_bytes(), fresh).map_err(log_unavailable)
        };
        let address = caller.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        Ok(IntentDraft {
            request: caller.request,
            actor: commit(CommitmentDomain::Actor, &caller.actor())?,
            address: commit(CommitmentDomain::Address, &address)?,
            bucket: matter.bucket.map(|bucket| commit(CommitmentDomain::Bucket, bucket.as_str())).transpose()?,
            key: matter.key.map(|key| commit(CommitmentDomain::Key, key)).transpose()?,
            requester_places: requester_places.to_vec(),
            gateway_place: self.config.place,
            data: scope.data,
            range: scope.range,
            shards: Vec::new(),
            budget: Budget { node_bytes_max: scope.node_bytes_max },
            expires: self.clock.now().plus_millis(self.config.limits.ticket_seconds.saturating_mul(1000)),
            epoch: scope.epoch,
            worker: scope.worker,
            charge: None,
        })
    }
}

/// The reason, once it is logged that it was asked for.
fn or_why(authorized: Result<LoggedIntent, Error>, why: Error) -> Error {
    match authorized {
        Ok(intent) => {
            settle(intent, false);
            why
        }
        Err(denied) => denied,
    }
}

/// A log that takes no entries stops everything: nothing may happen unseen.
pub(super) fn log_unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    Error::LogUnavailable(Box::new(error))
}

/// What a person who is refused needs to know.
fn explain(operation: OperationKind, rules: &[domicile_types::RuleRef], requester: &[Place], gateway: Place) -> String {
    let places = requester.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let because = rules
        .iter()
        .map(|rule| {
            let limb = rule.limb.map(|limb| format!(", limb ({})", limb.0)).unwrap_or_default();
            format!("{}/{} [{}{limb}]", rule.pack, rule.rule, rule.cite)
        })
        .collect::<Vec<_>>()
        .join("; ");
    format!(
        "{} by a requester in {places} through a gateway in {gateway} is denied by {because}. A compliance officer of the \
         bucket's owner can ask for an approval, citing the log index",
        action_of(operation)
    )
}

fn action_of(operation: OperationKind) -> String {
    let words = serde_json::to_value(operation).ok();
    words.as_ref().and_then(|value| value.as_str()).unwrap_or("the operation").replace('-', " ")
}

/// The facts of every node of the roster, for questions about where shards may go.
pub(super) fn roster_facts(roster: &domicile_placement::Roster) -> Vec<SubjectFacts> {
    roster.iter().map(domicile_placement::NodeRecord::facts).collect()
}

/// Whether the permit lets this node act.
pub(super) fn may(permit: &Permit, action: Action, node: domicile_types::NodeId) -> bool {
    permit.allows(action, Subject::Node(node))
}
