//! Orders about one node by a person: decided and logged like any other operation, then in force at once.

use domicile_compliance::audit::CommitmentDomain;
use domicile_types::{Classification, FleetChange, NodeId, OperationKind, PackId, Salt};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::fleet::standing::Standing;

impl Gateway {
    /// Changes how a node stands by the caller's order, entered in the log as `what` before it holds. The packs asked are those
    /// of the default region: the fleet is of no bucket.
    pub(crate) async fn order_node(
        &self,
        caller: &Caller,
        node: &NodeId,
        what: FleetChange,
        change: impl FnOnce(&mut Standing) + Send,
    ) -> Result<(), Error> {
        if !self.directory.standings().iter().any(|standing| standing.enrolled.id == *node) {
            return Err(Error::InvalidArgument(format!("no node {node} is enrolled")));
        }
        let region = self.config.region(&self.config.default_region);
        let packs: &[PackId] = region.map(|region| region.packs.as_slice()).unwrap_or_default();
        let subject = format!("node {node}");
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &Classification::default(),
            bucket: None,
            key: Some(&subject),
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let fresh = || Salt(self.clock.random());
        let actor = caller.actor();
        let by = self.log.side().commit(CommitmentDomain::Actor, actor.as_bytes(), fresh).map_err(log_unavailable);
        let ordered = match by {
            Ok(by) => {
                let done = self.warden.order(*node, what, Some(by), change).await;
                done.map_err(|error| Error::Unavailable(crate::admin::with_causes(&error)))
            }
            Err(error) => Err(error),
        };
        settle(intent, ordered.is_ok());
        ordered
    }
}
