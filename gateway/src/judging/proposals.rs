//! New versions of packs with four eyes: an officer proposes, another person agrees, and on its day it takes force.
//!
//! Once an installation has approvers (a token of that role), this is the only way for a pack to change: publishing directly and
//! reloading the folder are refused, and a start with a changed folder goes on judging by the versions that were in force.
//! An emergency takes the same two people and today's date.

use std::time::Duration;

use domicile_compliance::audit::Event;
use domicile_compliance::pack::{Pack, PackFiles};
use domicile_types::{Commitment, PackId, ProposalChange, RequestId, TenantId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::diff::{PackDiff, diff};
use super::kept::kept_pack;
use super::packs::{published_folder, write_published};
use super::publish::{PublishError, blocking, tested};
use super::{Impact, ImpactError, Supposition};
use crate::catalog::{CatalogError, Proposal, ProposalState, ProposalVerdict, Stamp};
use crate::config::Role;
use crate::objects::{Caller, Error, Gateway, settle};

/// The longest that a day may lie ahead.
const AHEAD_MILLIS_MAX: u64 = 2 * 366 * 86_400_000;
/// The longest reason or answer, in characters.
const WORDS_CHARS_MAX: usize = 500;
/// How often is looked whether a day has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A version to be proposed.
#[derive(Debug)]
pub struct NewProposal {
    /// Which pack.
    pub pack: PackId,
    /// Its files.
    pub files: PackFiles,
    /// From when on it is to judge; none: as soon as it is agreed to.
    pub effective: Option<UnixMillis>,
    /// Why.
    pub reason: Option<String>,
}

/// A proposal, and what it would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProposalShown {
    /// The proposal.
    pub proposal: Proposal,
    /// What it changes of the version in force now; none: there is no version of this pack in force.
    pub diff: Option<PackDiff>,
    /// What it would make of what is stored.
    pub impact: Impact,
}

/// Why a proposal is not made, not decided on, or not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// The version could not come into force.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// What it would do cannot be told.
    #[error(transparent)]
    Impact(#[from] ImpactError),
    /// What was asked does not make sense.
    #[error("{0}")]
    Asked(String),
    /// Packs change with four eyes here.
    #[error(
        "packs change with four eyes here, because this installation has approvers: domicile policy propose DIR, and another \
         person agrees (domicile policy agree ID)"
    )]
    FourEyes,
    /// The rows do not allow it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The law, or the log.
    #[error(transparent)]
    Gateway(#[from] Error),
}

impl Gateway {
    /// Whether packs change with four eyes: there is somebody to be the second pair.
    #[must_use]
    pub fn has_approvers(&self) -> bool {
        has_approvers(&self.config)
    }

    /// Refuses to change packs by one person where a second is there to be asked.
    pub fn one_person_may_change_packs(&self) -> Result<(), ProposalError> {
        if self.has_approvers() { Err(ProposalError::FourEyes) } else { Ok(()) }
    }

    /// Proposes a version: it loads, its scenarios hold beside all other packs, and what it would change is told.
    pub async fn propose_pack(
        &self,
        caller: &Caller,
        person: &str,
        new: NewProposal,
    ) -> Result<ProposalShown, ProposalError> {
        let NewProposal { pack: id, files, effective, reason } = new;
        let now = self.clock.now();
        let effective = effective.unwrap_or(now).max(now);
        if effective.0 - now.0 > AHEAD_MILLIS_MAX {
            return Err(ProposalError::Asked("a version takes force within two years of its proposal".to_owned()));
        }
        short(reason.as_deref())?;
        let lawbook = self.judging.lawbook();
        let folder = published_folder(&self.config.data_dir, &files.hash());
        let (kept, pack) = (files.clone(), id.clone());
        let version = blocking(move || {
            let parsed = Pack::parse(pack.clone(), &kept)?;
            let version = parsed.version().clone();
            tested(lawbook.with(parsed))?;
            write_published(&kept, &folder).map_err(PublishError::Disk)?;
            Ok(version)
        })
        .await?;
        if self.judging.lawbook().pack(&id).is_some_and(|pack| *pack.version() == version) {
            return Err(ProposalError::Asked("this very version is in force".to_owned()));
        }
        let shown = self.shown(id, files).await?;
        let proposal = Proposal {
            id: data_encoding::HEXLOWER.encode(&self.clock.random::<8>()),
            version,
            effective,
            reason,
            maker: person.to_owned(),
            proposed: now,
            checker: None,
            decided: None,
            answer: None,
            state: ProposalState::Proposed,
        };
        let _turn = self.judging.proposing.lock().await;
        let intent = self.administer_begin(caller, &format!("proposal {}", proposal.id)).await?;
        let made = self.keep_proposal(caller, &proposal).await;
        settle(intent, made.is_ok());
        made?;
        Ok(ProposalShown { proposal, diff: shown.0, impact: shown.1 })
    }

    async fn keep_proposal(&self, caller: &Caller, proposal: &Proposal) -> Result<(), ProposalError> {
        // Checked before it is logged, so that the log says nothing that is refused; and again in the transaction.
        self.catalog.check_proposal(&proposal.version).await?;
        let by = self.actor_commitment(caller)?;
        self.note_proposal(caller.request, ProposalChange::Proposed, proposal, Some(by)).await?;
        let stamp = Stamp { now: proposal.proposed, request: caller.request };
        Ok(self.catalog.add_proposal(stamp, proposal.clone()).await?)
    }

    /// What a version changes of the one in force, and of what is stored.
    async fn shown(&self, id: PackId, files: PackFiles) -> Result<(Option<PackDiff>, Impact), ProposalError> {
        let in_force = self.judging.lawbook().pack(&id).map(|pack| pack.version().hash.clone());
        let (data_dir, pack, new) = (self.config.data_dir.clone(), id.clone(), files.clone());
        let changed = blocking(move || {
            let old = in_force.and_then(|hash| kept_pack(&data_dir, &hash));
            old.map(|old| diff(&pack, &old, &new)).transpose().map_err(PublishError::from)
        })
        .await?;
        let impact = self.impact(Supposition { packs: vec![(id, files)], moved: Vec::new() }).await?;
        Ok((changed, impact))
    }

    /// Proposals, newest first.
    pub async fn proposals(&self) -> Result<Vec<Proposal>, ProposalError> {
        Ok(self.catalog.proposals().await?)
    }

    /// One proposal, with what it would change now.
    pub async fn proposal(&self, id: &str) -> Result<ProposalShown, ProposalError> {
        let found = self.catalog.proposals().await?.into_iter().find(|known| known.id == id);
        let proposal = found.ok_or(CatalogError::Proposal(crate::catalog::ProposalFault::NoSuch))?;
        let files = self.proposed_files(&proposal).await?;
        let (diff, impact) = self.shown(proposal.version.pack.clone(), files).await?;
        Ok(ProposalShown { proposal, diff, impact })
    }

    async fn proposed_files(&self, proposal: &Proposal) -> Result<PackFiles, ProposalError> {
        let (data_dir, hash) = (self.config.data_dir.clone(), proposal.version.hash.clone());
        let read = blocking(move || Ok(kept_pack(&data_dir, &hash))).await?;
        read.ok_or_else(|| ProposalError::Asked("its files were changed since: propose it again".to_owned()))
    }

    /// Decides on a proposal. One that is agreed to after its day takes force at once.
    pub async fn decide_proposal(
        &self,
        caller: &Caller,
        id: &str,
        verdict: ProposalVerdict,
    ) -> Result<Proposal, ProposalError> {
        short(verdict.answer.as_deref())?;
        let turn = self.judging.proposing.lock().await;
        let intent = self.administer_begin(caller, &format!("proposal {id}")).await?;
        let decided = self.take_verdict(caller, id, verdict).await;
        settle(intent, decided.is_ok());
        let decided = decided?;
        drop(turn);
        if decided.state == ProposalState::Agreed && decided.effective <= self.clock.now() {
            return self.take_force(caller, &decided).await;
        }
        Ok(decided)
    }

    async fn take_verdict(
        &self,
        caller: &Caller,
        id: &str,
        verdict: ProposalVerdict,
    ) -> Result<Proposal, ProposalError> {
        // Checked before it is logged, so that the log says nothing that is refused; and again in the transaction.
        let proposal = self.catalog.check_verdict(id, verdict.clone()).await?;
        let what = match verdict.becomes {
            ProposalState::Agreed => ProposalChange::Agreed,
            ProposalState::Withdrawn => ProposalChange::Withdrawn,
            _ => ProposalChange::Rejected,
        };
        let by = self.actor_commitment(caller)?;
        let index = self.note_proposal(caller.request, what, &proposal, Some(by)).await?;
        let stamp = Stamp { now: self.clock.now(), request: caller.request };
        let decided = self.catalog.decide_proposal(stamp, id, verdict).await;
        if decided.is_err() {
            let reason = "the decision could not be stored: the proposal stands as before".to_owned();
            let event = Event::Correction { of: index, reason, by: self.actor_commitment(caller)? };
            drop(self.log.note(caller.request, event).await);
        }
        Ok(decided?)
    }

    /// Puts in force what was agreed to. A crash in between leaves it agreed, and it is done again: publishing what is in force
    /// changes nothing.
    async fn take_force(&self, caller: &Caller, proposal: &Proposal) -> Result<Proposal, ProposalError> {
        let published = match self.proposed_files(proposal).await {
            Ok(files) => {
                self.publish_pack(caller, proposal.version.pack.clone(), files).await.map_err(ProposalError::from)
            }
            Err(error) => Err(error),
        };
        let stamp = Stamp { now: self.clock.now(), request: caller.request };
        match published {
            Ok(_) => {
                self.note_proposal(caller.request, ProposalChange::InForce, proposal, None).await?;
                Ok(self.catalog.settle_proposal(stamp, &proposal.id, None).await?)
            }
            Err(error) if is_its_own_fault(&error) => {
                let told = crate::admin::with_causes(&error).chars().take(WORDS_CHARS_MAX).collect::<String>();
                tracing::error!(proposal = proposal.id, pack = %proposal.version.pack, told, "a version could not take force");
                drop(self.log.incident(caller.request, "proposal-failed", None, None).await);
                self.catalog.settle_proposal(stamp, &proposal.id, Some(told)).await?;
                Err(error)
            }
            // The gateway's own fault: it stays agreed, and is tried again.
            Err(error) => Err(error),
        }
    }

    async fn note_proposal(
        &self,
        request: RequestId,
        what: ProposalChange,
        proposal: &Proposal,
        by: Option<Commitment>,
    ) -> Result<u64, ProposalError> {
        let event = Event::Proposal { what, pack: proposal.version.clone(), effective: proposal.effective, by };
        let logged = self.log.note(request, event).await;
        Ok(logged.map_err(|error| Error::LogUnavailable(Box::new(error)))?.index)
    }

    /// Puts in force whatever was agreed to and is due.
    pub(crate) async fn follow_proposals(&self) -> Result<(), ProposalError> {
        let now = self.clock.now();
        let due = |proposal: &Proposal| proposal.state == ProposalState::Agreed && proposal.effective <= now;
        let mut due: Vec<Proposal> = self.catalog.proposals().await?.into_iter().filter(due).collect();
        due.sort_by_key(|proposal| proposal.effective);
        for proposal in due {
            let tenant = TenantId::parse("domicile").map_err(|error| ProposalError::Asked(error.to_string()))?;
            let request = RequestId::from_bytes(self.clock.random());
            self.take_force(&Caller::worker(&tenant, "proposals", request), &proposal).await?;
        }
        Ok(())
    }
}

/// Whether a configuration names somebody to be the second pair of eyes.
pub(super) fn has_approvers(config: &crate::config::Config) -> bool {
    config.tokens.iter().any(|token| token.role == Role::Approver)
}

/// Follows the days of what was agreed to, until it is aborted. What came due while no gateway ran takes force at start.
pub(crate) async fn run(gateway: Gateway) {
    loop {
        if let Err(error) = gateway.follow_proposals().await {
            tracing::warn!(
                error = crate::admin::with_causes(&error),
                "a version of a pack that is due is not in force"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether trying again cannot help.
const fn is_its_own_fault(error: &ProposalError) -> bool {
    match error {
        ProposalError::Publish(error) => error.is_refusal(),
        ProposalError::Asked(_) => true,
        _ => false,
    }
}

fn short(words: Option<&str>) -> Result<(), ProposalError> {
    match words.map(|words| words.chars().count()) {
        Some(0) => Err(ProposalError::Asked("say why, or leave the reason out".to_owned())),
        Some(long) if long > WORDS_CHARS_MAX => {
            Err(ProposalError::Asked(format!("{long} characters are too many: {WORDS_CHARS_MAX} at the most")))
        }
        _ => Ok(()),
    }
}
