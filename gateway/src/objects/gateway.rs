//! The gateway as one value: everything a use case needs, put together once.

use std::sync::Arc;

use domicile_chunker::BufferPool;
use domicile_compliance::audit::AuditLog;
use domicile_types::{NodeId, Subject, SubjectFacts};
use tokio::sync::Semaphore;

use crate::access_log::AccessLogs;
use crate::accounts::Accounts;
use crate::approvals::Board;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::fleet::{Directory, Locating, NodeClient, Warden};
use crate::judging::Judging;
use crate::keys::Keyring;
use crate::notify::Hooks;
use crate::reconcile::Reconciliation;
use crate::registers::Registers;
use crate::repair::Repairs;

/// A running gateway. Cheap to clone: all clones are the same gateway.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<Parts>,
}

/// What a gateway is made of. Made by `open`; tests make it from smaller pieces.
pub struct Parts {
    /// What it was told.
    pub config: Config,
    /// Reads the time, draws random bytes.
    pub clock: Clock,
    /// Its own identity, which nodes know it by.
    pub identity: NodeId,
    /// The packs in force.
    pub judging: Judging,
    /// Says where an address is.
    pub locator: Arc<Locating>,
    /// The audit log with its erasable side store.
    pub log: Arc<AuditLog>,
    /// What officers ask of the log.
    pub registers: Arc<Registers>,
    /// Buckets, objects, uploads, garbage.
    pub catalog: Catalog,
    /// What is known of the nodes.
    pub directory: Arc<Directory>,
    /// Judges how they stand.
    pub warden: Arc<Warden>,
    /// How far the log was held against the tickets that nodes kept.
    pub(crate) reconciliation: Reconciliation,
    /// Talks to them.
    pub nodes: NodeClient,
    /// Whose access keys work.
    pub accounts: Accounts,
    /// Root keys and what derives from them.
    pub keys: Keyring,
    /// Webhooks, and what waits for them.
    pub(crate) hooks: Arc<Hooks>,
    /// Where records about requests are gathered.
    pub(crate) access_logs: AccessLogs,
    /// Who cosigns the log, and how far.
    pub(crate) witnesses: crate::log_care::Witnesses,
    /// What is repaired, and what is asked to be.
    pub(crate) repairs: Arc<Repairs>,
    /// What people agreed may leave.
    pub approvals: Board,
    /// Buffers for segments.
    pub pool: BufferPool,
    /// Bounds what is in flight: one permit per KiB.
    pub buffers: Arc<Semaphore>,
}

impl Gateway {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// What the law is told of this gateway.
    pub(crate) fn facts(&self) -> SubjectFacts {
        SubjectFacts {
            subject: Subject::Gateway(self.identity),
            places: vec![self.config.place],
            evidence: self.config.evidence,
            party: Some(self.config.party.clone()),
        }
    }
}

impl std::ops::Deref for Gateway {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}
