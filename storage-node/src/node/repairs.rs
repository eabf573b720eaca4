//! Repairs in a gateway's stead.

use std::sync::Arc;

use domicile_node_protocol::{Refusal, RefusalCode, RepairDone, RepairJob};
use domicile_types::NodeId;
use tokio::sync::OwnedSemaphorePermit;

use super::Node;
use super::refusals::of_charge_error;
use crate::ledger::Charge;
use crate::repair;

/// Bytes of shards that repairs may hold at once; more must wait.
pub(super) const REPAIR_BYTES_MAX: usize = 128 << 20;

/// A job that was admitted, and room for it.
pub(crate) struct AdmittedRepair {
    job: RepairJob,
    ticket: String,
    _turn: OwnedSemaphorePermit,
}

impl Node {
    /// Judges a job and its ticket, keeps the ticket, and waits for room.
    pub(crate) async fn begin_repair(
        &self,
        peer: NodeId,
        ticket: Option<&str>,
        job: RepairJob,
    ) -> Result<AdmittedRepair, Refusal> {
        let now = (self.clock)();
        let (gateway, verified) = self.gateways.check(ticket, &peer, now)?;
        if gateway != peer {
            return Err(Refusal::new(RefusalCode::NotTheGateway, "only the gateway itself hands out repairs"));
        }
        repair::judge(&job, verified.intent(), &self.key.id(), &self.persona.place)?;
        self.ledger.witness(gateway, &verified).map_err(of_charge_error)?;
        let share = usize::try_from(repair::memory_bytes(&job)).unwrap_or(REPAIR_BYTES_MAX).min(REPAIR_BYTES_MAX);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        let turn = self.turn(Arc::clone(&self.repairs).acquire_many_owned(share)).await?;
        // The bytes are charged where they are served and stored; here the ticket is kept, for who asks what was done.
        let text = ticket.unwrap_or_default();
        let charge = Charge { gateway, ticket: &verified, text, bytes: 0, now };
        self.ledger.charge(&charge).map_err(of_charge_error)?;
        Ok(AdmittedRepair { job, ticket: text.to_owned(), _turn: turn })
    }

    /// Does an admitted job.
    pub(crate) async fn finish_repair(&self, admitted: AdmittedRepair) -> RepairDone {
        let AdmittedRepair { job, ticket, _turn } = admitted;
        let done = repair::repair(&job, &ticket, &self.peers, &self.buffers).await;
        let stored = done.shards.iter().filter(|shard| shard.receipt.is_some()).count();
        let (wanted, fetched_bytes, stored_bytes) = (job.targets.len(), done.fetched_bytes, done.stored_bytes);
        tracing::info!(stored, wanted, fetched_bytes, stored_bytes, "repaired in a gateway's stead");
        done
    }
}
