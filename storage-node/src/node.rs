//! The node itself, without its sockets: what a put, a get, a challenge and a delete do, from ticket to receipt.

mod accounts;
mod refusals;
mod repairs;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domicile_chunker::BufferPool;
use domicile_compliance::audit::{Clock, VerifiedTicket};
use domicile_node_protocol::{
    ByteRange, NodeCondition, Receipt, ReceiptVerb, Refusal, RefusalCode, ResolvedRange, SHARD_BYTES_MAX, SignedReceipt,
};
use domicile_types::{DataId, IdentityKey, NodeId, OperatorId, Party, Place, ShardCid, UnixMillis};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::accounting::Terms;
use crate::accounting::book::Book;
use crate::admission::{Covered, Gateways, Verb, Wish, cover, leaf_of, present};
use crate::database::Database;
use crate::identity_tls::EnrolledPeers;
use crate::ledger::{Charge, Ledger};
use crate::notices::Notices;
use crate::proof::slice_range;
use crate::repair::PeerClient;
use crate::store::{Errand, Found, PutError, ShardStore, VerifiedShard};
use crate::upkeep::{Upkeep, UpkeepConfig};

use self::refusals::{of_charge_error, of_delete_error, of_put_error, of_read_error, unavailable};

pub(crate) use self::refusals::of_incoming_error;
pub(crate) use self::repairs::AdmittedRepair;

/// Shard bytes that may be on their way in at once; more must wait. Bounds the memory of a node.
const INCOMING_BYTES_MAX: usize = 64 << 20;
/// Reads from disk at once; more must wait.
const READS_MAX: usize = 32;
/// A buffer for shards that are rebuilt, kept from one repair to the next, in bytes.
const REPAIR_BUFFER_BYTES: usize = 2 << 20;
/// How long a request waits for its turn before it is sent elsewhere.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Name and version of this software, as announcements and statuses carry it.
pub const SOFTWARE: &str = concat!("domicile-storage-node ", env!("CARGO_PKG_VERSION"));

/// Who a node is, by its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Persona {
    pub(crate) place: Place,
    pub(crate) operator: OperatorId,
    pub(crate) party: Party,
    pub(crate) terms: Terms,
}

/// A node without its sockets.
pub(crate) struct Node {
    key: IdentityKey,
    persona: Persona,
    store: Arc<ShardStore>,
    ledger: Arc<Ledger>,
    book: Book,
    notices: Notices,
    gateways: Gateways,
    enrolled: Arc<EnrolledPeers>,
    clock: Clock,
    started: UnixMillis,
    incoming: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    repairs: Arc<Semaphore>,
    peers: PeerClient,
    buffers: Arc<BufferPool>,
}

/// What a [`Node`] is made of.
pub(crate) struct NodeParts {
    pub(crate) key: IdentityKey,
    pub(crate) persona: Persona,
    pub(crate) store: ShardStore,
    pub(crate) ledger: Ledger,
    pub(crate) book: Book,
    pub(crate) notices: Notices,
    pub(crate) gateways: Gateways,
    pub(crate) enrolled: Arc<EnrolledPeers>,
    pub(crate) clock: Clock,
    pub(crate) peers: PeerClient,
}

/// A request for one shard, from an enrolled peer.
#[derive(Debug)]
pub(crate) struct ShardRequest<'a> {
    pub(crate) peer: NodeId,
    pub(crate) verb: Verb,
    pub(crate) cid: ShardCid,
    /// The header `domicile-ticket`.
    pub(crate) ticket: Option<&'a str>,
    /// The header `domicile-data`.
    pub(crate) data: Option<DataId>,
}

/// A true ticket, and whose log it is of.
struct Bearer {
    gateway: NodeId,
    ticket: VerifiedTicket,
}

/// A request whose ticket is true, fits, and is charged.
pub(crate) struct Admitted {
    /// Whose log the ticket is of; the peer may be its worker.
    gateway: NodeId,
    peer: NodeId,
    cid: ShardCid,
    data: DataId,
    ticket: VerifiedTicket,
    charged_bytes: u64,
}

/// A put that may receive its body. Holds its share of the incoming memory. Dropped before its body is whole (actix drops
/// a handler when its connection ends) it counts as incomplete; dropped before it is stored it gives its bytes back.
pub(crate) struct Incoming {
    admitted: Admitted,
    ledger: Arc<Ledger>,
    stage: Stage,
    _turn: OwnedSemaphorePermit,
}

/// How far a put has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Receiving,
    /// It ends in a refusal that is counted where it is answered.
    Refused,
    /// In the hands of the store, which will keep it whether anybody waits for that or not.
    Storing,
}

impl Incoming {
    /// The put ends in a refusal.
    pub(crate) fn refused(mut self) {
        self.stage = Stage::Refused;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.stage == Stage::Storing {
            return;
        }
        let Admitted { gateway, peer, cid, ticket, charged_bytes, .. } = &self.admitted;
        if self.stage == Stage::Receiving {
            self.ledger.counters.refuse(RefusalCode::Incomplete);
            tracing::info!(code = %RefusalCode::Incomplete, %peer, shard = %cid, "the connection ended within a body");
        }
        if let Err(error) = self.ledger.refund(*gateway, ticket.index, *charged_bytes) {
            tracing::error!(%error, "cannot give a ticket's bytes back");
        }
    }
}

/// What a get came to.
pub(crate) struct Served {
    pub(crate) bytes: Bytes,
    /// The range that was asked for, and the shard's length; `None`: the whole shard.
    pub(crate) part: Option<(ResolvedRange, u64)>,
    pub(crate) receipt: SignedReceipt,
}

/// What a challenge came to.
pub(crate) struct Proved {
    pub(crate) slice: Bytes,
    pub(crate) receipt: SignedReceipt,
}

/// A range that lies outside its shard, with the shard's length; or any other refusal.
pub(crate) enum GetRefusal {
    BadRange(Refusal, u64),
    Other(Refusal),
}

impl From<Refusal> for GetRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal)
    }
}

impl Node {
    pub(crate) fn new(parts: NodeParts) -> Self {
        let NodeParts { key, persona, store, ledger, book, notices, gateways, enrolled, clock, peers } = parts;
        let started = clock();
        Self {
            key,
            persona,
            store: Arc::new(store),
            ledger: Arc::new(ledger),
            book,
            notices,
            gateways,
            enrolled,
            clock,
            started,
            incoming: Arc::new(Semaphore::new(INCOMING_BYTES_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            repairs: Arc::new(Semaphore::new(repairs::REPAIR_BYTES_MAX)),
            peers,
            buffers: Arc::new(BufferPool::new(REPAIR_BUFFER_BYTES, 1)),
        }
    }

    /// Admits a put of `bytes` bytes, charges its ticket, and waits for room to receive it.
    pub(crate) async fn begin_put(&self, request: &ShardRequest<'_>, bytes: u64) -> Result<Incoming, Refusal> {
        let (ticket, covered) = self.admit(request)?;
        if self.condition() == NodeCondition::DiskFault {
            return Err(of_put_error(&PutError::DiskFault));
        }
        let share = u32::try_from(bytes).ok().filter(|_| bytes <= SHARD_BYTES_MAX);
        let Some(share) = share else {
            let message = format!("a shard has at most {SHARD_BYTES_MAX} bytes, {bytes} are declared");
            return Err(Refusal::new(RefusalCode::TooLarge, message));
        };
        if bytes == 0 {
            return Err(Refusal::new(RefusalCode::BadRequest, "the body is empty: a shard has at least one byte"));
        }
        let turn = Arc::clone(&self.incoming).acquire_many_owned(share);
        let turn = self.turn(turn).await?;
        let admitted = self.charge(request, ticket, covered, bytes)?;
        Ok(Incoming { admitted, ledger: Arc::clone(&self.ledger), stage: Stage::Receiving, _turn: turn })
    }

    /// Stores what came in; the receipt is signed once it is durable.
    pub(crate) async fn finish_put(
        &self,
        mut incoming: Incoming,
        shard: VerifiedShard,
    ) -> Result<SignedReceipt, Refusal> {
        let bytes = u64::from(shard.bytes());
        let Admitted { cid, data, .. } = &incoming.admitted;
        // What is here already under the same data id is kept once, so it is accounted for once.
        let again = matches!(self.store.find(cid, data), Ok(Found::Here { .. }));
        incoming.stage = Stage::Storing;
        if let Err(error) = self.store.put(shard, self.errand(&incoming.admitted)).await {
            incoming.refused();
            return Err(of_put_error(&error));
        }
        self.ledger.counters.stored.add(bytes);
        self.receipt(ReceiptVerb::Stored, &incoming.admitted, bytes, !again)
    }

    /// Reads a shard, or a range of it. The ticket is charged before the disk is asked.
    pub(crate) async fn get(&self, request: &ShardRequest<'_>, range: Option<ByteRange>) -> Result<Served, GetRefusal> {
        let (ticket, covered) = self.admit(request)?;
        let found = self.store.find(&request.cid, &covered.data).map_err(|error| unavailable(&error))?;
        let length = present(found, Verb::Get)?;
        let part = match range.map(|range| range.resolve(length)) {
            None => None,
            Some(Ok(range)) => Some(range),
            Some(Err(error)) => {
                let refusal = Refusal::new(RefusalCode::BadRange, error.to_string());
                return Err(GetRefusal::BadRange(refusal, length));
            }
        };
        let bytes = part.map_or(length, |range| range.bytes());
        let turn = Arc::clone(&self.reads).acquire_owned();
        let turn = self.turn(turn).await?;
        let admitted = self.charge(request, ticket, covered, bytes)?;
        let (store, cid, data) = (Arc::clone(&self.store), admitted.cid, admitted.data);
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            store.read(&cid, &data, part)
        });
        let bytes = read.await.map_err(|error| unavailable(&error))?.map_err(|error| of_read_error(&error))?;
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.ledger.counters.served.add(count);
        let receipt = self.receipt(ReceiptVerb::Served, &admitted, count, true)?;
        Ok(Served { bytes, part: part.map(|range| (range, length)), receipt })
    }

    /// Proves that a shard is held: the slice of `range`. The ticket is charged with the shard bytes that the slice carries.
    pub(crate) async fn prove(
        &self,
        request: &ShardRequest<'_>,
        range: Option<ByteRange>,
    ) -> Result<Proved, GetRefusal> {
        let (ticket, covered) = self.admit(request)?;
        let found = self.store.find(&request.cid, &covered.data).map_err(|error| unavailable(&error))?;
        let length = present(found, Verb::Challenge)?;
        let Some(range) = range else {
            return Err(Refusal::new(RefusalCode::BadRange, "a challenge is of a range: send the header range").into());
        };
        let range = range
            .resolve(length)
            .map_err(|error| GetRefusal::BadRange(Refusal::new(RefusalCode::BadRange, error.to_string()), length))?;
        let bytes = slice_range(range, length).bytes();
        let turn = Arc::clone(&self.reads).acquire_owned();
        let turn = self.turn(turn).await?;
        let admitted = self.charge(request, ticket, covered, bytes)?;
        let (store, cid, data) = (Arc::clone(&self.store), admitted.cid, admitted.data);
        let proof = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            store.prove(&cid, &data, range)
        });
        let slice = proof.await.map_err(|error| unavailable(&error))?.map_err(|error| of_read_error(&error))?;
        self.ledger.counters.proved.add(bytes);
        let receipt = self.receipt(ReceiptVerb::Proved, &admitted, bytes, true)?;
        Ok(Proved { slice, receipt })
    }

    /// Drops the ticket's data id's claim on a shard.
    pub(crate) async fn delete(&self, request: &ShardRequest<'_>) -> Result<SignedReceipt, Refusal> {
        let (ticket, covered) = self.admit(request)?;
        let found = self.store.find(&request.cid, &covered.data).map_err(|error| unavailable(&error))?;
        present(found, Verb::Delete)?;
        let admitted = self.charge(request, ticket, covered, 0)?;
        let errand = self.errand(&admitted);
        let bytes = self.store.delete(admitted.cid, errand).await.map_err(|error| of_delete_error(&error))?;
        self.ledger.counters.deleted.add(bytes);
        self.receipt(ReceiptVerb::Deleted, &admitted, bytes, true)
    }

    /// What looks after what this node keeps.
    pub(crate) fn upkeep(
        &self,
        config: UpkeepConfig,
        segment_bytes_max: u64,
        database: Arc<Database>,
        clock: Clock,
        stop: watch::Receiver<bool>,
    ) -> Upkeep {
        let (store, ledger) = (Arc::clone(&self.store), Arc::clone(&self.ledger));
        Upkeep { config, segment_bytes_max, store, ledger, database, clock, stop }
    }

    /// Whether it takes shards; if not, why.
    pub(crate) fn condition(&self) -> NodeCondition {
        self.store.condition()
    }

    /// Whether `peer` is one of its gateways.
    pub(crate) fn serves(&self, peer: &NodeId) -> bool {
        self.enrolled.contains(peer)
    }

    /// Counts a peer that was turned away because it is not enrolled.
    pub(crate) fn turn_away(&self) {
        self.enrolled.refuse();
    }

    /// Counts a refusal and says it in the log.
    pub(crate) fn note_refusal(&self, refusal: &Refusal, peer: Option<NodeId>, shard: Option<&ShardCid>) {
        self.ledger.counters.refuse(refusal.code);
        let (peer, shard) = (peer.map(|peer| peer.to_string()), shard.map(ToString::to_string));
        tracing::info!(code = %refusal.code, peer, shard, reason = %refusal.message, "refused");
    }

    /// Writes down what is not written at once.
    pub(crate) fn save_counters(&self) {
        let counted = self.ledger.counters.save(self.enrolled.refused()).and_then(|()| self.book.save());
        if let Err(error) = counted {
            tracing::error!(%error, "cannot write the counters down");
        }
    }

    /// Ends the store's writer after it finished what it was asked. Blocks.
    pub(crate) fn close(&self) {
        self.store.close();
        self.save_counters();
    }

    /// From the ticket to the shard: is it true, is it this peer's, has its log one history, does it cover the wish?
    fn admit(&self, request: &ShardRequest<'_>) -> Result<(Bearer, Covered), Refusal> {
        let (gateway, ticket) = self.gateways.check(request.ticket, &request.peer, (self.clock)())?;
        if gateway != request.peer && request.verb == Verb::Delete {
            let message = "a worker fetches and stores: only the gateway itself drops what it has receipts for";
            return Err(Refusal::new(RefusalCode::NotTheGateway, message));
        }
        self.ledger.witness(gateway, &ticket).map_err(of_charge_error)?;
        let (cid, place) = (&request.cid, &self.persona.place);
        let wish = Wish { verb: request.verb, cid, data: request.data.as_ref(), place };
        let covered = cover(ticket.intent(), &wish)?;
        Ok((Bearer { gateway, ticket }, covered))
    }

    fn charge(
        &self,
        request: &ShardRequest<'_>,
        bearer: Bearer,
        covered: Covered,
        bytes: u64,
    ) -> Result<Admitted, Refusal> {
        let Bearer { gateway, ticket } = bearer;
        let text = request.ticket.unwrap_or_default();
        let charge = Charge { gateway, ticket: &ticket, text, bytes, now: (self.clock)() };
        self.ledger.charge(&charge).map_err(of_charge_error)?;
        let ShardRequest { peer, cid, .. } = *request;
        Ok(Admitted { gateway, peer, cid, data: covered.data, ticket, charged_bytes: bytes })
    }

    async fn turn<T, E>(&self, turn: impl Future<Output = Result<T, E>>) -> Result<T, Refusal> {
        match tokio::time::timeout(TURN_WAIT_MAX, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refusal::new(RefusalCode::Unavailable, "the node is busy: use another one, or come again")),
        }
    }

    fn errand(&self, admitted: &Admitted) -> Errand {
        let Admitted { data, gateway, ticket, .. } = admitted;
        Errand { data: *data, ticket: leaf_of(ticket), gateway: *gateway, now: (self.clock)() }
    }

    /// Signs, keeps, and where it is of account counts, what was done.
    fn receipt(
        &self,
        verb: ReceiptVerb,
        admitted: &Admitted,
        bytes: u64,
        of_account: bool,
    ) -> Result<SignedReceipt, Refusal> {
        let receipt = Receipt {
            v: Receipt::VERSION,
            verb,
            cid: admitted.cid,
            data: admitted.data,
            bytes,
            node: self.key.id(),
            ticket: leaf_of(&admitted.ticket),
            time: (self.clock)(),
        };
        let signed = SignedReceipt::sign(&receipt, &self.key);
        if verb != ReceiptVerb::Served {
            self.ledger.keep_receipt(&receipt, &signed).map_err(|error| unavailable(&error))?;
        }
        if of_account && let Err(error) = self.book.note(admitted.gateway, &receipt) {
            // A node whose disk takes no writes still serves; what it is owed for that is its own loss.
            match verb {
                ReceiptVerb::Stored | ReceiptVerb::Deleted => return Err(unavailable(&error)),
                ReceiptVerb::Served | ReceiptVerb::Proved => tracing::error!(%error, "cannot account for a request"),
            }
        }
        Ok(signed)
    }
}
