//! Witnesses: that an operation was decided and logged before it happens.
//!
//! ```text
//! Permit --AuditLog::intent--> LoggedIntent --finish--> outcome
//!            (durable)            |
//!                                 +-- dropped: outcome "assumed-whole"
//! ```
//!
//! Sending or fetching a shard demands a [`LoggedIntent`]; it exists only after its entry is durable, and its entry is
//! written only under a [`Permit`]. Whichever way it ends, the log says so: `finish` records what was counted, a drop
//! records that nobody counted, and a crash is closed at the next start.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use domicile_types::{
    Budget, Charge, Commitment, DataId, Decision, Entry, Intent, NodeId, OperationKind, Outcome, OutcomeStatus, Place,
    RequestId, ShardCid, UnixMillis, Verdict,
};
use futures_channel::oneshot;

use super::commit::Committed;
use super::log::{Appending, AuditLog, LogCore};
use super::queue::{Abandoned, AppendError};
use super::recover::assumed_whole;
use super::ticket::Ticket;
use super::tree::TreeHash;
use crate::Permit;

/// What the gateway adds to a permit to make an intent. Names are commitments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentDraft {
    /// The request it belongs to.
    pub request: RequestId,
    /// Who asks.
    pub actor: Commitment,
    /// The socket address the request came from.
    pub address: Commitment,
    /// Bucket name.
    pub bucket: Option<Commitment>,
    /// Object key, or listing prefix.
    pub key: Option<Commitment>,
    /// Where the requester may be.
    pub requester_places: Vec<Place>,
    /// Where the gateway is.
    pub gateway_place: Place,
    /// What the shards are stored under.
    pub data: Option<DataId>,
    /// Plaintext bytes `[start, end)` that may leave.
    pub range: Option<(u64, u64)>,
    /// The shards it is for, where they are few and known.
    pub shards: Vec<ShardCid>,
    /// What one node may serve or accept.
    pub budget: Budget,
    /// When the ticket ends.
    pub expires: UnixMillis,
    /// The lease epoch of background work; zero for requests.
    pub epoch: u64,
    /// The node that works in the gateway's stead.
    pub worker: Option<NodeId>,
    /// What serving it charges.
    pub charge: Option<Charge>,
}

impl IntentDraft {
    fn into_intent(self, operation: OperationKind, decision: Decision, node_places: Vec<Place>) -> Intent {
        Intent {
            operation,
            actor: self.actor,
            address: self.address,
            bucket: self.bucket,
            key: self.key,
            requester_places: self.requester_places,
            gateway_place: self.gateway_place,
            decision,
            data: self.data,
            range: self.range,
            node_places,
            shards: self.shards,
            budget: self.budget,
            expires: self.expires,
            epoch: self.epoch,
            worker: self.worker,
            charge: self.charge,
        }
    }
}

/// The witness of a durable intent. It is what `send` and `fetch` demand, and it makes the tickets.
///
/// It cannot be copied, invented or read from outside:
///
/// ```compile_fail
/// fn twice(intent: domicile_compliance::audit::LoggedIntent) -> [domicile_compliance::audit::LoggedIntent; 2] {
///     [intent.clone(), intent]
/// }
/// ```
/// ```compile_fail
/// let intent = domicile_compliance::audit::LoggedIntent::default();
/// ```
/// ```compile_fail
/// let intent: domicile_compliance::audit::LoggedIntent = serde_json::from_str("{}").unwrap();
/// ```
///
/// Dropping it without [`LoggedIntent::finish`] records the outcome `assumed-whole`: nobody counted what left.
#[must_use = "an intent ends with `finish`; dropped, its whole range is taken to have left"]
pub struct LoggedIntent {
    committed: Committed,
    intent: Arc<Intent>,
    request: RequestId,
    core: Arc<LogCore>,
    is_finished: bool,
}

impl LoggedIntent {
    /// Its index in the log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.committed.index
    }

    /// The identity of its ticket: receipts name it.
    #[must_use]
    pub const fn leaf_hash(&self) -> TreeHash {
        self.committed.leaf_hash
    }

    /// The ticket for the nodes. Making its text costs some microseconds: make it once per operation.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.committed.ticket()
    }

    /// What was logged.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The durable entry.
    #[must_use]
    pub const fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Records how the operation ended: plaintext `bytes` sent or stored, and the HTTP status answered (0: none).
    ///
    /// The outcome is on its way when this returns; await it to know that it is durable, or drop it, as the `Drop` of a
    /// response body must.
    pub fn finish(mut self, status: OutcomeStatus, bytes: u64, http_status: u16) -> Appending {
        self.is_finished = true;
        let outcome = Outcome { intent: self.committed.index, status, bytes, http_status };
        self.core.append(self.request, Entry::Outcome(outcome))
    }
}

impl Drop for LoggedIntent {
    fn drop(&mut self) {
        if !self.is_finished {
            let outcome = assumed_whole(self.committed.index, &self.intent);
            // If the log refuses, the next start finds the intent open and records the same.
            drop(self.core.append(self.request, outcome));
        }
    }
}

impl std::fmt::Debug for LoggedIntent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoggedIntent({} {:?})", self.committed.index, self.intent.operation)
    }
}

/// An intent on its way. Dropped before it is durable, it is recorded as failed with nothing sent.
#[must_use = "an operation may begin only after its intent is durable"]
pub struct Intending(Result<InFlight, AppendError>);

struct InFlight {
    receiver: oneshot::Receiver<Result<Committed, AppendError>>,
    intent: Arc<Intent>,
    request: RequestId,
    core: Arc<LogCore>,
    is_over: bool,
}

impl Future for Intending {
    type Output = Result<LoggedIntent, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let flight = match &mut self.0 {
            Ok(flight) => flight,
            Err(error) => return Poll::Ready(Err(*error)),
        };
        let Poll::Ready(sent) = Pin::new(&mut flight.receiver).poll(context) else { return Poll::Pending };
        flight.is_over = true;
        Poll::Ready(sent.unwrap_or(Err(AppendError::Closed)).map(|committed| LoggedIntent {
            committed,
            intent: Arc::clone(&flight.intent),
            request: flight.request,
            core: Arc::clone(&flight.core),
            is_finished: false,
        }))
    }
}

impl Intending {
    /// Blocks this thread until the intent is durable. Not for async code.
    pub fn wait(self) -> Result<LoggedIntent, AppendError> {
        super::log::block_on(self)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Either the answer is already here, or the committer will find nobody waiting and call `given_up` itself.
        self.receiver.close();
        if let Ok(Some(Ok(committed))) = self.receiver.try_recv() {
            given_up(&self.core, self.request, committed.index);
        }
    }
}

/// The requester went away before the operation could begin: nothing left.
fn given_up(core: &LogCore, request: RequestId, intent: u64) {
    let outcome = Outcome { intent, status: OutcomeStatus::Failed, bytes: 0, http_status: 0 };
    drop(core.append(request, Entry::Outcome(outcome)));
}

impl AuditLog {
    /// Logs that the operation of `permit` is about to happen. What is awaited is the disk.
    ///
    /// Operation, decision and node places are the permit's; the draft cannot say otherwise.
    pub fn intent(&self, permit: &Permit, draft: IntentDraft) -> Intending {
        let request = draft.request;
        let intent = draft.into_intent(permit.operation(), permit.decision().clone(), permit.node_places());
        self.intend(request, intent)
    }

    /// [`AuditLog::intent`] without its permit: for this crate's own tests.
    pub(super) fn intend(&self, request: RequestId, intent: Intent) -> Intending {
        let intent = Arc::new(intent);
        let core = Arc::clone(&self.core);
        let abandoned: Abandoned = Box::new(move |index| given_up(&core, request, index));
        let pushed = self.core.push(request, Entry::Intent(Intent::clone(&intent)), Some(abandoned));
        Intending(pushed.map(|receiver| InFlight {
            receiver,
            intent,
            request,
            core: Arc::clone(&self.core),
            is_over: false,
        }))
    }

    /// Logs an attempt that was denied. The answer to the client cites the index it gets.
    ///
    /// A decision that allows is refused with [`AppendError::NeedsPermit`].
    pub fn denied(&self, operation: OperationKind, decision: &Decision, draft: IntentDraft) -> Appending {
        if decision.verdict == Verdict::Allow {
            return Appending::refused(AppendError::NeedsPermit);
        }
        let request = draft.request;
        let attempt = draft.into_intent(operation, decision.clone(), Vec::new());
        self.core.append(request, Entry::Denied(attempt))
    }
}
