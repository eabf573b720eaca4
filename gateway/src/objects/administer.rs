//! What every request to the admin API has in common: it is decided and logged before it is done, what a role does not allow is an
//! attempt, and whoever is shown what the log hides is noted.

use domicile_compliance::audit::{CommitmentDomain, Event, LoggedIntent};
use domicile_compliance::{Circumstances, Grounds};
use domicile_types::{
    Classification, Decision, EvidenceGrade, OperationKind, PackId, RuleRef, Salt, Subject, SubjectFacts, Verdict,
};

use super::authorize::{Matter, Scope, log_unavailable};
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::request::Caller;

impl Gateway {
    /// Logs that somebody asked for `what` (method and path) with a token of a role that may not. Returns the entry's index.
    pub(crate) async fn refuse_role(&self, caller: &Caller, what: &str, needed: &str) -> Result<u64, Error> {
        let packs = self.home_packs();
        let classification = Classification::default();
        let located = self.locate(caller);
        let requester = SubjectFacts {
            subject: Subject::Requester,
            places: located.candidates.clone(),
            evidence: EvidenceGrade::Observed,
            party: None,
        };
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &classification,
            bucket: None,
            key: Some(what),
            nodes: Vec::new(),
        };
        let question = Circumstances {
            packs,
            classification: &classification,
            gateway: &self.facts(),
            requester: Some(&requester),
            nodes: &[],
            now: self.clock.now(),
            located_warnings: &located.warnings,
            grounds: Grounds::NONE,
        }
        .question(OperationKind::Administer);
        // Whatever the law says to it, the role does not allow it, and the entry says so.
        let ruling = self.judging.lawbook().decide(&question);
        self.log.inputs().put(&question).map_err(log_unavailable)?;
        let rule = RuleRef {
            pack: PackId::parse("role").map_err(|error| internal("naming a rule", error))?,
            rule: "admin-api".to_owned(),
            cite: format!("roles of the admin API: {needed}"),
            limb: None,
        };
        let decision =
            Decision { verdict: Verdict::Deny, rules: vec![rule], obligations: Vec::new(), ..ruling.decision };
        let draft = self.draft(caller, &matter, &located.candidates, Scope::default())?;
        let logged = self.log.denied(matter.operation, &decision, draft).await.map_err(log_unavailable)?;
        tracing::info!(request_id = %caller.request, log_index = logged.index, what, "a token's role does not allow that");
        Ok(logged.index)
    }

    /// Decides and logs that somebody changes `subject` by the admin API. The packs are those of the default region: what is
    /// administered is of no bucket, and this gateway keeps it where it keeps that region's data.
    pub(crate) async fn administer_begin(&self, caller: &Caller, subject: &str) -> Result<LoggedIntent, Error> {
        let classification = Classification::default();
        let matter = Matter {
            operation: OperationKind::Administer,
            packs: self.home_packs(),
            classification: &classification,
            bucket: None,
            key: Some(subject),
            nodes: Vec::new(),
        };
        self.authorize(caller, &matter).await
    }

    fn home_packs(&self) -> &[PackId] {
        let region = self.config.region(&self.config.default_region);
        region.map(|region| region.packs.as_slice()).unwrap_or_default()
    }

    /// Notes that somebody is shown what commitments hide, or names: before it is shown. An error refuses the view.
    pub(crate) async fn note_view(&self, caller: &Caller, what: &str, rows: usize) -> Result<(), Error> {
        let by = self.actor_commitment(caller)?;
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let event = Event::Viewed { what: what.to_owned(), rows, by };
        self.log.note(caller.request, event).await.map(drop).map_err(log_unavailable)
    }

    /// A name as the log keeps it: who did something.
    pub(crate) fn actor_commitment(&self, caller: &Caller) -> Result<domicile_types::Commitment, Error> {
        let fresh = || Salt(self.clock.random());
        self.log.side().commit(CommitmentDomain::Actor, caller.actor().as_bytes(), fresh).map_err(log_unavailable)
    }
}
