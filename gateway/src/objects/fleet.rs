//! Operators and their nodes: invited, asking to join, approved, changed. Every change by a person is decided and logged like
//! any other operation, and entered as a change of the fleet before it takes effect.

use domicile_compliance::audit::{CommitmentDomain, Event};
use domicile_types::{
    Classification, Commitment, FleetChange, NodeId, OperationKind, OperatorId, PackId, PartyId, RequestId, Salt,
};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::{FleetEdit, FleetRecord, FleetRecords, InvitationRow, RequestRow, Stamp};
use crate::fleet::entities::{Day, Enrolment, Entity, Graph, Operator, record_hash};
use crate::fleet::joining::{Claims, Invitation, Join, JoinError, Joined, Sealed};

/// The longest that an invitation may hold, in milliseconds: 30 days.
const INVITATION_MILLIS_MAX: u64 = 30 * 86_400_000;

/// Why a node may not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinRefusal {
    /// The request does not stand.
    #[error(transparent)]
    Request(#[from] JoinError),
    /// It was withdrawn, or its row is gone.
    #[error("the invitation was withdrawn: ask for a new one")]
    Withdrawn,
    /// It is good for one node.
    #[error("the invitation was used by another node: each is good for one, ask for a new one")]
    Used,
    /// The identity is taken.
    #[error(
        "this identity is on the roster already, or asks to join by another invitation: two nodes must not share one; give \
         the new node a data directory of its own"
    )]
    IdentityClash,
    /// What it says contradicts itself or what is on record.
    #[error("the record does not hold: {0}")]
    Record(String),
    /// The gateway's own fault.
    #[error(transparent)]
    Gateway(#[from] Error),
}

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Whose nodes are invited.
    pub operator: OperatorId,
    /// For how long.
    pub millis: u64,
    /// Where requests go: a URL without a path.
    pub join: String,
    /// Where the gateway's control plane is reached; none: where it listens.
    pub swarm: Option<std::net::SocketAddr>,
}

/// A change of a node's record: what is absent stays.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeChange {
    /// Declared place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub place: Option<domicile_types::Place>,
    /// The building or data centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Where its control plane listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<std::net::SocketAddr>,
}

/// What is entered in the log of a change.
struct Told {
    what: FleetChange,
    operator: Option<OperatorId>,
    node: Option<NodeId>,
    reasons: Vec<&'static str>,
    record: Option<String>,
}

impl Gateway {
    /// Invites one node of an operator. The text is shown this once, and good for one request.
    pub async fn invite(&self, caller: &Caller, new: NewInvitation) -> Result<Invitation, Error> {
        if new.millis == 0 || new.millis > INVITATION_MILLIS_MAX {
            return Err(Error::InvalidArgument("an invitation holds for up to 30 days".to_owned()));
        }
        let swarm = new.swarm.unwrap_or(self.config.listen.swarm);
        if swarm.ip().is_unspecified() || swarm.port() == 0 {
            let message = "state where nodes reach this gateway's control plane: it listens on no address of its own";
            return Err(Error::InvalidArgument(message.to_owned()));
        }
        let claims = Claims {
            id: data_encoding::HEXLOWER.encode(&self.clock.random::<16>()),
            gateway: self.identity,
            origin: crate::open::log_origin(&self.identity),
            join: new.join.trim_end_matches('/').to_owned(),
            swarm,
            operator: new.operator.clone(),
            expires: self.clock.now().plus_millis(new.millis),
        };
        let invitation = Invitation::new(claims.clone(), &self.sealing());
        let row = InvitationRow { claims, created: self.clock.now(), used_by: None };
        let told = Told {
            what: FleetChange::Invited,
            operator: Some(new.operator),
            node: None,
            reasons: Vec::new(),
            record: Some(record_hash(&row.claims)),
        };
        let records = self.catalog.fleet().await?;
        self.administer_fleet(caller, &records, told, vec![FleetEdit::Put(FleetRecord::Invitation(row))]).await?;
        Ok(invitation)
    }

    /// Takes an invitation back.
    pub async fn withdraw_invitation(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let records = self.catalog.fleet().await?;
        let row = records.invitations.get(id).cloned().ok_or_else(|| no_such("invitation", id))?;
        let told = Told {
            what: FleetChange::Uninvited,
            operator: Some(row.claims.operator.clone()),
            node: None,
            reasons: Vec::new(),
            record: Some(record_hash(&row.claims)),
        };
        let name = FleetRecord::Invitation(row).name();
        self.administer_fleet(caller, &records, told, vec![FleetEdit::Remove(name)]).await
    }

    /// Takes a node's request to join. Whoever holds an invitation may send one; it changes nothing until it is approved.
    pub async fn take_join(&self, body: &[u8]) -> Result<Sealed, JoinRefusal> {
        let now = self.clock.now();
        let sealing = self.sealing();
        let (claims, join) = Sealed::open(body, &self.identity, &sealing, now)?;
        let records = self.catalog.fleet().await.map_err(Error::from)?;
        let answer = |state: &str, reason: Option<String>| {
            let terms = self.config.terms.clone();
            Sealed::answer(&join, &Joined { node: join.node, state: state.to_owned(), terms, reason }, &sealing)
        };
        let invitation = records.invitations.get(&claims.id).ok_or(JoinRefusal::Withdrawn)?;
        if invitation.used_by.is_some_and(|node| node != join.node) {
            self.note_refused_join(&claims, &join, "invitation-used").await?;
            return Err(JoinRefusal::Used);
        }
        let by_this = invitation.used_by == Some(join.node);
        if by_this && records.enrolments.contains_key(&join.node) {
            return Ok(answer("enrolled", None));
        }
        let known = records.requests.get(&join.node);
        match known {
            Some(known) if known.invitation == claims.id => {
                if let Some(reason) = &known.rejected {
                    return Ok(answer("rejected", Some(reason.clone())));
                }
                if known.application == join.application {
                    return Ok(answer("waiting", None));
                }
            }
            Some(known) if known.rejected.is_some() => {}
            Some(_) => return Err(self.clash(&claims, &join).await?),
            None => {}
        }
        if records.enrolments.contains_key(&join.node) || join.node == self.identity {
            return Err(self.clash(&claims, &join).await?);
        }
        if let Err(error) = merged(&records, &claims.operator, &join, &Day::of(now)) {
            self.note_refused_join(&claims, &join, "record-contradicts").await?;
            return Err(JoinRefusal::Record(error));
        }
        let used = InvitationRow { used_by: Some(join.node), ..invitation.clone() };
        let row = RequestRow {
            node: join.node,
            operator: claims.operator.clone(),
            invitation: claims.id.clone(),
            received: now,
            application: join.application.clone(),
            rejected: None,
        };
        let told = Told {
            what: FleetChange::Joined,
            operator: Some(claims.operator.clone()),
            node: Some(join.node),
            reasons: Vec::new(),
            record: Some(record_hash(&row.application)),
        };
        let edits = vec![FleetEdit::Put(FleetRecord::Invitation(used)), FleetEdit::Put(FleetRecord::Request(row))];
        self.change_records(RequestId::from_bytes(self.clock.random()), None, &records, told, edits).await?;
        Ok(answer("waiting", None))
    }

    /// Puts a node that asked to join on the roster.
    pub async fn approve_node(&self, caller: &Caller, node: &NodeId) -> Result<(), Error> {
        let records = self.catalog.fleet().await?;
        let request = records.requests.get(node).filter(|request| request.rejected.is_none());
        let request = request.cloned().ok_or_else(|| no_such("request of node", &node.to_string()))?;
        let join = Join {
            claims: String::new(),
            node: request.node,
            time: request.received,
            application: request.application.clone(),
        };
        let (mut edits, enrolment) = merged(&records, &request.operator, &join, &Day::of(self.clock.now()))
            .map_err(|error| Error::InvalidArgument(format!("the record does not hold any more: {error}")))?;
        let told = Told {
            what: FleetChange::Approved,
            operator: Some(request.operator.clone()),
            node: Some(*node),
            reasons: Vec::new(),
            record: Some(record_hash(&enrolment)),
        };
        edits.push(FleetEdit::Put(FleetRecord::Enrolment(enrolment)));
        edits.push(FleetEdit::Remove(FleetRecord::Request(request).name()));
        self.administer_fleet(caller, &records, told, edits).await
    }

    /// Turns a request down. The node is told why when it asks again.
    pub async fn reject_node(&self, caller: &Caller, node: &NodeId, reason: &str) -> Result<(), Error> {
        let records = self.catalog.fleet().await?;
        let request = records.requests.get(node).cloned();
        let request = request.ok_or_else(|| no_such("request of node", &node.to_string()))?;
        let told = Told {
            what: FleetChange::Rejected,
            operator: Some(request.operator.clone()),
            node: Some(*node),
            reasons: Vec::new(),
            record: Some(record_hash(&request.application)),
        };
        let rejected = RequestRow { rejected: Some(reason.to_owned()), ..request };
        self.administer_fleet(caller, &records, told, vec![FleetEdit::Put(FleetRecord::Request(rejected))]).await
    }

    /// Writes the record of a legal entity. All nodes below it are judged by it from then on.
    pub async fn record_entity(&self, caller: &Caller, entity: Entity) -> Result<Vec<OperatorId>, Error> {
        if entity.from.is_configuration() {
            return Err(Error::InvalidArgument(
                "the source configuration is for what the gateway's own file says".to_owned(),
            ));
        }
        let records = self.catalog.fleet().await?;
        let graph = records.graph().with_change(entity.clone(), &Day::of(self.clock.now()));
        let graph = graph.map_err(|error| Error::InvalidArgument(error.to_string()))?;
        let operators: Vec<OperatorId> =
            graph.operators_below(&entity.id, records.operators.values()).cloned().collect();
        let told = Told {
            what: FleetChange::OperatorChanged,
            operator: operators.first().cloned(),
            node: None,
            reasons: vec!["entity"],
            record: Some(record_hash(&entity)),
        };
        self.administer_fleet(caller, &records, told, vec![FleetEdit::Put(FleetRecord::Entity(entity))]).await?;
        Ok(operators)
    }

    /// Changes the record of a node.
    pub async fn change_node(&self, caller: &Caller, node: &NodeId, change: NodeChange) -> Result<(), Error> {
        let records = self.catalog.fleet().await?;
        let enrolment = records.enrolments.get(node).cloned().ok_or_else(|| no_such("node", &node.to_string()))?;
        if change.place == Some(domicile_types::Place::Unknown) {
            return Err(Error::InvalidArgument(
                "a node is somewhere: state the country, or country and subdivision".to_owned(),
            ));
        }
        let from = crate::fleet::entities::Source {
            source: "gateway".to_owned(),
            as_of: Day::of(self.clock.now()),
            confidence: crate::fleet::entities::Confidence::Documented,
        };
        let changed = Enrolment {
            place: change.place.unwrap_or(enrolment.place),
            site: change.site.or(enrolment.site),
            swarm: change.swarm.or(enrolment.swarm),
            from,
            ..enrolment
        };
        let told = Told {
            what: FleetChange::NodeChanged,
            operator: Some(changed.operator.clone()),
            node: Some(*node),
            reasons: Vec::new(),
            record: Some(record_hash(&changed)),
        };
        self.administer_fleet(caller, &records, told, vec![FleetEdit::Put(FleetRecord::Enrolment(changed))]).await
    }

    /// Takes a node off the roster that holds nothing any more: drained, or lost with all that it held made again elsewhere.
    pub async fn remove_node(&self, caller: &Caller, node: &NodeId) -> Result<(), Error> {
        let records = self.catalog.fleet().await?;
        let enrolment = records.enrolments.get(node).cloned().ok_or_else(|| no_such("node", &node.to_string()))?;
        if enrolment.from.is_configuration() {
            let message =
                "the node is of this gateway's configuration: take it out of there, and start the gateway again";
            return Err(Error::InvalidArgument(message.to_owned()));
        }
        let left = self.drained(node).await?;
        if left.statement.is_none() && !(left.state == "lost" && left.pages == 0 && left.to_delete == 0) {
            let message =
                format!("the node still counts ({}, {} pages of shards): drain it first", left.state, left.pages);
            return Err(Error::InvalidArgument(message));
        }
        let told = Told {
            what: FleetChange::Left,
            operator: Some(enrolment.operator.clone()),
            node: Some(*node),
            reasons: vec!["removed"],
            record: None,
        };
        let name = FleetRecord::Enrolment(enrolment).name();
        self.administer_fleet(caller, &records, told, vec![FleetEdit::Remove(name)]).await
    }

    /// What seals invitations.
    fn sealing(&self) -> zeroize::Zeroizing<[u8; 32]> {
        self.accounts.seals().invitations()
    }

    async fn clash(&self, claims: &Claims, join: &Join) -> Result<JoinRefusal, Error> {
        self.note_refused_join(claims, join, "identity-clash").await?;
        Ok(JoinRefusal::IdentityClash)
    }

    /// Whoever holds an invitation and is refused all the same is of interest. Who holds none is not logged: anybody could
    /// fill the log.
    async fn note_refused_join(&self, claims: &Claims, join: &Join, reason: &'static str) -> Result<(), Error> {
        tracing::warn!(node = %join.node, operator = %claims.operator, reason, "a request to join was refused");
        let request = RequestId::from_bytes(self.clock.random());
        let event = Event::Fleet {
            what: FleetChange::Rejected,
            operator: Some(claims.operator.clone()),
            node: Some(join.node),
            reasons: vec![reason.to_owned()],
            record: None,
            by: None,
        };
        self.log.note(request, event).await.map(drop).map_err(log_unavailable)
    }

    /// Decides and logs a person's change, then makes it. The packs are those of the default region: the fleet is of no bucket,
    /// and this gateway keeps its records where it keeps that region's data.
    async fn administer_fleet(
        &self,
        caller: &Caller,
        records: &FleetRecords,
        told: Told,
        edits: Vec<FleetEdit>,
    ) -> Result<(), Error> {
        let region = self.config.region(&self.config.default_region);
        let packs: &[PackId] = region.map(|region| region.packs.as_slice()).unwrap_or_default();
        let classification = Classification::default();
        let subject = match (&told.node, &told.operator) {
            (Some(node), _) => format!("node {node}"),
            (None, Some(operator)) => format!("operator {operator}"),
            (None, None) => "fleet".to_owned(),
        };
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &classification,
            bucket: None,
            key: Some(&subject),
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let fresh = || Salt(self.clock.random());
        let actor = caller.actor();
        let by = self.log.side().commit(CommitmentDomain::Actor, actor.as_bytes(), fresh).map_err(log_unavailable);
        let changed = match by {
            Ok(by) => self.change_records(caller.request, Some(by), records, told, edits).await,
            Err(error) => Err(error),
        };
        settle(intent, changed.is_ok());
        changed
    }

    /// Logs a change, makes it, and lets placement and law go by it at once.
    async fn change_records(
        &self,
        request: RequestId,
        by: Option<Commitment>,
        records: &FleetRecords,
        told: Told,
        edits: Vec<FleetEdit>,
    ) -> Result<(), Error> {
        let Told { what, operator, node, reasons, record } = told;
        let reasons = reasons.into_iter().map(ToOwned::to_owned).collect();
        let event = Event::Fleet { what, operator, node, reasons, record, by };
        self.log.note(request, event).await.map_err(log_unavailable)?;
        self.catalog.change_fleet(Stamp { now: self.clock.now(), request }, records.epoch, edits).await?;
        let records = self.catalog.fleet().await?;
        self.directory.enrol(records.enrolled());
        Ok(())
    }
}

/// What approval of a request would write, if it holds with what is on record.
fn merged(
    records: &FleetRecords,
    operator: &OperatorId,
    join: &Join,
    today: &Day,
) -> Result<(Vec<FleetEdit>, Enrolment), String> {
    let application = &join.application;
    if application.place == domicile_types::Place::Unknown {
        return Err("state where the node is".to_owned());
    }
    if application.as_of > *today {
        return Err(format!("it is dated {}, after today", application.as_of));
    }
    if let Some(long) = [&application.contact, &application.site].into_iter().flatten().find(|text| text.len() > 256) {
        return Err(format!("a contact or site of {} bytes is too long: 256 at the most", long.len()));
    }
    let from = application.source();
    // A party that is on record already stands as it is there, whoever said so: the facts must be the same.
    let recorded = |new: &Entity| records.entities.iter().find(|known| known.id == new.id);
    let entities = application.entities().into_iter().map(|new| match recorded(&new) {
        Some(known) if same_facts(known, &new) => known.clone(),
        _ => new,
    });
    let entities: Vec<Entity> = entities.collect();
    let graph: Graph = records.graph().with(entities.clone(), today).map_err(|error| error.to_string())?;
    if graph.get(&application.party).is_none() {
        return Err(format!("party {} is named and has no record: add one", application.party));
    }
    let mut edits: Vec<FleetEdit> = entities
        .into_iter()
        .filter(|entity| recorded(entity).is_none())
        .map(|entity| FleetEdit::Put(FleetRecord::Entity(entity)))
        .collect();
    match records.operators.get(operator) {
        Some(known) if known.party != application.party => {
            return Err(format!("operator {operator} is on record with party {}", known.party));
        }
        Some(_) => {}
        None => {
            let operator = Operator {
                id: operator.clone(),
                party: application.party.clone(),
                contact: application.contact.clone(),
                stated_controller: None,
                from: from.clone(),
            };
            edits.push(FleetEdit::Put(FleetRecord::Operator(operator)));
        }
    }
    let enrolment = Enrolment {
        node: join.node,
        operator: operator.clone(),
        place: application.place,
        site: application.site.clone(),
        swarm: application.swarm,
        from,
    };
    Ok((edits, enrolment))
}

/// Whether two records say the same, whoever says so.
fn same_facts(known: &Entity, new: &Entity) -> bool {
    let owners = |entity: &Entity| -> std::collections::BTreeMap<PartyId, (domicile_types::Place, u16)> {
        entity.owners.iter().map(|owner| (owner.id.clone(), (owner.place, owner.share_basis_points))).collect()
    };
    let control = |entity: &Entity| entity.controlled_by.as_ref().map(|control| control.id.clone());
    known.name == new.name
        && known.incorporated == new.incorporated
        && known.headquartered == new.headquartered
        && known.certifications == new.certifications
        && owners(known) == owners(new)
        && control(known) == control(new)
}

fn no_such(what: &str, id: &str) -> Error {
    Error::InvalidArgument(format!("there is no {what} {id}"))
}
