//! The law in force, and how it changes while the gateway runs.
//!
//! *In scope*: which packs judge, under which epoch ([`Judging`]); how a new version comes into force (`publish`): it loads,
//! its scenarios come out as they say, it is written down, logged, and only then judges; that what is known of nodes is part of
//! what is judged by (`facts`). *Out of scope*: what the packs say (`domicile-compliance`), and moving shards (`repair`).
//!
//! # What a change does to what is under way
//!
//! A body is placed under one epoch, and commits only under the same ([`crate::catalog::JudgingEpoch`]). If the law changed
//! in between, the commit fails, the placement that exists is judged again by what is in force now, and either commits with
//! that decision in the log, or is refused; see `objects/rejudge.rs`.

mod bitemporal;
mod databases;
#[cfg(test)]
mod databases_tests;
mod diff;
pub(crate) mod facts;
mod impact;
mod kept;
mod packs;
mod past;
pub(crate) mod proposals;
#[cfg(test)]
mod proposals_tests;
mod publish;
pub(crate) mod rescan;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_compliance::Lawbook;
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::catalog::{JudgingEpoch, PageAt};

pub use databases::ReloadError;
pub(crate) use databases::follow_databases;
pub use diff::{CaseChange, FactChange, PackDiff, RuleChange, diff};
pub use impact::{BucketImpact, Impact, ImpactError, NodeImpact, Supposition, SuppositionSent};
pub(crate) use kept::kept_pack;
pub(crate) use packs::open_packs;
pub use past::{PastChange, PastImpact, PastSupposed};
pub use proposals::{NewProposal, ProposalError, ProposalShown};
pub use publish::{PackUpload, PublishError, Published};

/// By what is judged at one moment.
#[derive(Debug)]
pub struct Law {
    /// How often it has changed.
    pub epoch: JudgingEpoch,
    /// The packs.
    pub lawbook: Arc<Lawbook>,
}

/// The law in force: read by every request, replaced as a whole.
#[derive(Debug)]
pub struct Judging {
    current: watch::Sender<Arc<Law>>,
    changing: Mutex<()>,
    /// One decision about proposals at a time, so that the log and the rows tell the same.
    proposing: Mutex<()>,
    /// Pages of which an incident tells already that they cannot be made lawful.
    told: parking_lot::Mutex<BTreeSet<PageAt>>,
}

impl Judging {
    /// Begins with `law`.
    #[must_use]
    pub fn new(law: Law) -> Self {
        Self {
            current: watch::Sender::new(Arc::new(law)),
            changing: Mutex::new(()),
            proposing: Mutex::new(()),
            told: Default::default(),
        }
    }

    /// What is in force now.
    #[must_use]
    pub fn law(&self) -> Arc<Law> {
        Arc::clone(&self.current.borrow())
    }

    /// The packs in force now.
    #[must_use]
    pub fn lawbook(&self) -> Arc<Lawbook> {
        Arc::clone(&self.current.borrow().lawbook)
    }

    /// What is in force once it is of `epoch` or later: a change reaches the rows a moment before it reaches this.
    pub async fn at_least(&self, epoch: JudgingEpoch) -> Arc<Law> {
        let mut changes = self.current.subscribe();
        match changes.wait_for(|law| law.epoch >= epoch).await {
            Ok(law) => Arc::clone(&law),
            // The sender is this value's own: it cannot be gone.
            Err(_) => self.law(),
        }
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Law>> {
        self.current.subscribe()
    }

    /// One change at a time.
    async fn change(&self) -> Change<'_> {
        Change { judging: self, _turn: self.changing.lock().await }
    }
}

/// The right to change the law.
struct Change<'a> {
    judging: &'a Judging,
    _turn: MutexGuard<'a, ()>,
}

impl Change<'_> {
    /// Puts `law` in force. Everything that its putting in force must follow is done.
    fn put_in_force(self, law: Law) {
        self.judging.current.send_replace(Arc::new(law));
    }
}
