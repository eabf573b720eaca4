//! Approvals: asked for, decided on, ended. Each change is decided and logged like any other operation, and entered in the log
//! as a change of the approval before it counts.

use std::sync::Arc;

use domicile_compliance::Pack;
use domicile_compliance::audit::Event;
use domicile_types::{
    ApprovalChange, ApprovalId, Classification, Commitment, OperationKind, PackId, RequestId, UnixMillis,
};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::grounds::Reserved;
use super::request::Caller;
use crate::approvals::change::{consumed, expired};
use crate::approvals::record::{one_line, ultimate};
use crate::approvals::{Approval, Emergency, Order, Quota, Refusal, State, Terms, TermsError};
use crate::catalog::{AccountState, CatalogError};

/// How often the approvals are read again, and looked at for those whose time is over.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// What a renewal changes; the rest is as in the approval that it follows.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewalTerms {
    /// Until when.
    #[schemars(with = "u64")]
    pub expires: UnixMillis,
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub effective: Option<UnixMillis>,
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// The new instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<String>,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_number: Option<String>,
    /// The new impact assessment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<String>,
}

/// Why nothing was done to an approval.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// What is asked for cannot be approved.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Bucket, tenant and pack do not go together.
    #[error("{0}")]
    Dataset(String),
    /// Who may do it, or when, does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// None of that id.
    #[error("there is no approval {0}")]
    NoSuch(ApprovalId),
    /// Somebody else was faster.
    #[error("the approval changed meanwhile: look at it, and decide again")]
    Changed,
    /// Law, log or store.
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<CatalogError> for ApprovalError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Approval(refusal) => Self::Refused(refusal),
            CatalogError::ApprovalChanged => Self::Changed,
            error => Self::Other(error.into()),
        }
    }
}

impl Gateway {
    /// Files a request. With `emergency` it is one for a short time, which is looked at afterwards.
    pub async fn request_approval(
        &self,
        caller: &Caller,
        person: &str,
        terms: Terms,
        emergency: Option<String>,
    ) -> Result<Approval, ApprovalError> {
        // A pack that is not there would deny, and not say which there are.
        let packs = [self.loaded(&terms.pack)?.id().clone()];
        self.about_approvals(caller, person, &packs, &format!("approvals of {}", terms.bucket), async |person, by| {
            let approval = self.new_approval(person, terms, emergency).await?;
            let what = ApprovalChange::Requested;
            let logged = self.note_approval(caller.request, what, &approval, Vec::new(), Some(by)).await?;
            if let Some(renewed) = &approval.terms.renews {
                let mut before = self.known_approval(renewed)?;
                before.renewed_by = Some(approval.id);
                self.note_approval(caller.request, ApprovalChange::Renewed, &before, Vec::new(), Some(by)).await?;
            }
            let kept = self.catalog.add_approval(approval.clone()).await;
            self.kept(caller.request, logged, by, kept).await?;
            Ok(approval)
        })
        .await
    }

    /// Files a request to renew an approval that is, or was, in force.
    pub async fn renew_approval(
        &self,
        caller: &Caller,
        person: &str,
        id: &ApprovalId,
        new: RenewalTerms,
    ) -> Result<Approval, ApprovalError> {
        self.approvals.refresh(&self.catalog).await?;
        let before = self.known_approval(id)?;
        let can_follow = matches!(before.state, State::Active | State::Suspended | State::Consumed | State::Expired);
        if !can_follow || before.emergency.is_some() || before.renewed_by.is_some() {
            let why =
                "it was never in force, is an emergency, or a request to renew it is filed: file a request of its own";
            return Err(ApprovalError::Dataset(why.to_owned()));
        }
        let old = before.terms;
        let terms = Terms {
            expires: new.expires,
            effective: new.effective,
            quota: new.quota.unwrap_or(old.quota),
            instrument: new.instrument.unwrap_or(old.instrument),
            authority_number: new.authority_number.or(old.authority_number),
            assessment: new.assessment.unwrap_or(old.assessment),
            renews: Some(*id),
            ..old
        };
        self.request_approval(caller, person, terms, None).await
    }

    /// Does to an approval what a person orders.
    pub async fn order_approval(
        &self,
        caller: &Caller,
        person: &str,
        id: &ApprovalId,
        order: Order,
        reason: Option<&str>,
    ) -> Result<Approval, ApprovalError> {
        self.approvals.refresh(&self.catalog).await?;
        let packs = [self.known_approval(id)?.terms.pack];
        self.about_approvals(caller, person, &packs, &format!("approval {id}"), async |person, by| {
            let before = self.known_approval(id)?;
            let now = self.clock.now();
            let (next, what) = order.apply(&before, person, reason, now)?;
            if order == Order::Approve {
                // The pack may have changed since the request, and time has passed.
                self.check_terms(&next.terms, next.emergency.is_some(), now)?;
            }
            let logged = self.note_approval(caller.request, what, &next, Vec::new(), Some(by)).await?;
            let kept = self.catalog.change_approval(before, next.clone()).await;
            self.kept(caller.request, logged, by, kept).await?;
            Ok(next)
        })
        .await
    }

    /// Every account of every ledger, to whoever may see approvals.
    pub async fn ledger_accounts(&self) -> Result<Vec<AccountState>, Error> {
        Ok(self.catalog.accounts().await?)
    }

    /// Notes that an approval is used up, if it is.
    pub(super) async fn consume_approval(&self, id: &ApprovalId, bytes: u64) {
        let Some(known) = self.approvals.table().get(id).cloned() else { return };
        let Some(next) = consumed(&known, bytes) else { return };
        let _turn = self.approvals.change().await;
        self.end_approval(&known, next, ApprovalChange::Consumed).await;
    }

    /// Logs and writes a change that follows from time or use.
    async fn end_approval(&self, before: &Approval, next: Approval, what: ApprovalChange) {
        let request = RequestId::from_bytes(self.clock.random());
        let done = async {
            self.note_approval(request, what, &next, Vec::new(), None).await?;
            self.catalog.change_approval(before.clone(), next.clone()).await?;
            Ok::<_, ApprovalError>(self.approvals.refresh(&self.catalog).await?)
        };
        match done.await {
            // Somebody ended it otherwise meanwhile: it is out of force either way.
            Ok(()) | Err(ApprovalError::Changed) => {}
            Err(error) => tracing::error!(%error, approval = %before.id, "an approval could not be ended"),
        }
    }

    /// Tells of marks that a charge passed: beside the approval that it stands on, or as something to be looked at.
    pub(super) fn tell_marks(&self, caller: &Caller, reserved: &Reserved) {
        let table = self.approvals.table();
        for (approval, mark) in reserved.marks() {
            let about = approval.as_ref().or_else(|| reserved.approvals().first()).and_then(|id| table.get(id));
            match about {
                Some(approval) => {
                    let record = approval.hash();
                    let (what, approval) = (ApprovalChange::Warned, approval.id);
                    let event = Event::Approval { what, approval, record, reasons: vec![mark.clone()], by: None };
                    drop(self.log.note(caller.request, event));
                }
                None => drop(self.log.incident(caller.request, mark, None, None)),
            }
            tracing::warn!(request_id = %caller.request, mark, "a quota or a threshold is nearly used up");
        }
    }

    async fn new_approval(
        &self,
        person: &str,
        terms: Terms,
        emergency: Option<String>,
    ) -> Result<Approval, ApprovalError> {
        let now = self.clock.now();
        self.check_terms(&terms, emergency.is_some(), now)?;
        if let Some(reason) = &emergency {
            one_line("the reason of the emergency", reason)?;
        }
        let bucket = self.catalog.bucket(&terms.bucket).await?;
        if bucket.owner != terms.tenant {
            return Err(ApprovalError::Dataset(format!("bucket {} is not of tenant {}", terms.bucket, terms.tenant)));
        }
        let fleet = self.catalog.fleet().await?;
        let graph = crate::fleet::entities::Graph::of_checked(fleet.entities);
        let on_record = graph.entities().filter_map(|entity| graph.party(&entity.id).ok());
        let of_others = self.approvals.table();
        let of_others = of_others.all().map(|approval| approval.terms.recipient.party.clone());
        let known = of_others.chain(on_record).map(|party| (party.id.clone(), party)).collect();
        Ok(Approval {
            id: ApprovalId::from_bytes(self.clock.random()),
            ultimate: ultimate(&terms.recipient.party, &known),
            terms,
            maker: person.to_owned(),
            requested: now,
            checker: None,
            decided: None,
            state: State::Requested,
            reason: None,
            emergency: emergency.map(|reason| Emergency { reason, review_by: None, review: None }),
            renewed_by: None,
            salt: data_encoding::HEXLOWER.encode(&self.clock.random::<16>()),
        })
    }

    fn check_terms(&self, terms: &Terms, is_emergency: bool, now: UnixMillis) -> Result<(), ApprovalError> {
        Ok(terms.check(&self.loaded(&terms.pack)?.facts().mechanisms, now, is_emergency)?)
    }

    fn loaded(&self, id: &PackId) -> Result<Arc<Pack>, ApprovalError> {
        let lawbook = self.judging.lawbook();
        lawbook.pack(id).cloned().ok_or_else(|| {
            let known = lawbook.packs().map(|pack| pack.id().to_string()).collect::<Vec<_>>().join(", ");
            ApprovalError::Dataset(format!("there is no pack {id}; there are: {known}"))
        })
    }

    fn known_approval(&self, id: &ApprovalId) -> Result<Approval, ApprovalError> {
        let known = self.approvals.table().get(id).map(|approval| Approval::clone(approval));
        known.ok_or(ApprovalError::NoSuch(*id))
    }

    /// Enters a change in the log, durably. Returns its index.
    async fn note_approval(
        &self,
        request: RequestId,
        what: ApprovalChange,
        approval: &Approval,
        reasons: Vec<String>,
        by: Option<Commitment>,
    ) -> Result<u64, ApprovalError> {
        let event = Event::Approval { what, approval: approval.id, record: approval.hash(), reasons, by };
        Ok(self.log.note(request, event).await.map_err(log_unavailable)?.index)
    }

    /// What the log said would be so and is not is taken back in the log.
    async fn kept(
        &self,
        request: RequestId,
        logged: u64,
        by: Commitment,
        kept: Result<(), CatalogError>,
    ) -> Result<(), ApprovalError> {
        match kept {
            Ok(()) => Ok(self.approvals.refresh(&self.catalog).await?),
            Err(error) => {
                let reason = format!("the change did not take place: {error}");
                let event = Event::Correction { of: logged, reason, by };
                self.log.note(request, event).await.map_err(log_unavailable)?;
                Err(error.into())
            }
        }
    }

    /// Decides and logs what a person does about approvals, then does it, one at a time.
    async fn about_approvals<T>(
        &self,
        caller: &Caller,
        person: &str,
        packs: &[PackId],
        subject: &str,
        act: impl AsyncFnOnce(&str, Commitment) -> Result<T, ApprovalError>,
    ) -> Result<T, ApprovalError> {
        one_line("the person who holds the token", person)?;
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &Classification::default(),
            bucket: None,
            key: Some(subject),
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let done = match self.actor_commitment(caller) {
            Ok(by) => {
                let _turn = self.approvals.change().await;
                match self.approvals.refresh(&self.catalog).await {
                    Ok(()) => act(person, by).await,
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        };
        settle(intent, done.is_ok());
        done
    }
}

/// Keeps the approvals as other gateways may have changed them, and ends those whose time is over.
pub(crate) async fn follow(gateway: Gateway) {
    loop {
        if let Err(error) = gateway.approvals.refresh(&gateway.catalog).await {
            tracing::warn!(%error, "approvals could not be read again");
        }
        let now = gateway.clock.now();
        for approval in gateway.approvals.table().all() {
            let Some(next) = expired(approval, now) else { continue };
            let _turn = gateway.approvals.change().await;
            gateway.end_approval(approval, next, ApprovalChange::Expired).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
