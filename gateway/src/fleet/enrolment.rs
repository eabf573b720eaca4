//! From records to the roster, and from the configuration's nodes to records.

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_compliance::audit::{AppendError, AuditLog, Event};
use domicile_types::{ControllerId, FleetChange, NodeId, OperatorId, Party, RequestId};

use super::Directory;
use super::entities::{Day, Enrolment, Entity, Graph, Operator, RecordError, Source, record_hash};
use super::joining::entity;
use crate::catalog::{Catalog, CatalogError, FleetEdit, FleetName, FleetRecord, FleetRecords, Stamp};
use crate::clock::Clock;
use crate::config::EnrolledNode;

/// Changes written at once at start.
const EDITS_AT_ONCE: usize = 300;
/// How often records are read again that other gateways on the same store may have changed. A node whose record says no
/// is fenced within 5 s.
const FOLLOW_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// Why the configuration's nodes cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Their parties contradict each other.
    #[error("the [[node]] entries of the configuration do not hold together")]
    Record(#[from] RecordError),
    /// One operator, two stories.
    #[error("the [[node]] entries of the configuration name operator {operator} with two parties or two controllers")]
    OperatorTwice {
        /// Which operator.
        operator: OperatorId,
    },
    /// The rows cannot be read or written.
    #[error("the fleet's records cannot be read or written")]
    Catalog(#[from] CatalogError),
    /// The log takes no entry, so nothing may change.
    #[error("the change of the fleet cannot be logged")]
    Log(#[from] AppendError),
}

impl FleetRecords {
    /// Who is behind whom.
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::of_checked(self.entities.iter().cloned())
    }

    /// The roster: every enrolled node with its party and controller as they follow from the graph. A node whose operator
    /// or party is not on record is left out: nobody could say who it is.
    #[must_use]
    pub fn enrolled(&self) -> Vec<EnrolledNode> {
        let graph = self.graph();
        let mut behind: BTreeMap<&OperatorId, Option<(Party, ControllerId)>> = BTreeMap::new();
        let mut nodes = Vec::with_capacity(self.enrolments.len());
        for enrolment in self.enrolments.values() {
            let known = behind.entry(&enrolment.operator).or_insert_with(|| {
                let operator = self.operators.get(&enrolment.operator)?;
                Some((graph.party(&operator.party).ok()?, graph.controller(operator)?))
            });
            let Some((party, controller)) = known else {
                tracing::error!(node = %enrolment.node, operator = %enrolment.operator, "nobody is on record behind a node");
                continue;
            };
            nodes.push(EnrolledNode {
                id: enrolment.node,
                operator: enrolment.operator.clone(),
                controller: controller.clone(),
                party: party.clone(),
                place: enrolment.place,
                swarm: enrolment.swarm,
            });
        }
        nodes
    }

    /// The changes that make the records say what the configuration says of its nodes: what it states anew or differently is
    /// written, what it has ceased to state goes. Records that came otherwise are left alone, and win.
    pub fn takeover(&self, nodes: &[EnrolledNode], today: &Day) -> Result<Vec<FleetEdit>, TakeoverError> {
        let mut stated = Stated::default();
        for node in nodes {
            stated.add(self, node, today)?;
        }
        let others = self.entities.iter().filter(|entity| !entity.from.is_configuration()).cloned();
        let new = stated.entities.values().filter(|entity| entity.from.is_configuration()).cloned();
        Graph::new(others.chain(new), today)?;
        let mut edits = Vec::new();
        let before = self.entities.iter().map(|entity| (&entity.id, entity)).collect::<BTreeMap<_, _>>();
        let entities = stated.entities.values().filter(|entity| before.get(&entity.id) != Some(entity));
        edits.extend(entities.cloned().map(FleetRecord::Entity).map(FleetEdit::Put));
        let operators = stated.operators.values().filter(|operator| self.operators.get(&operator.id) != Some(operator));
        edits.extend(operators.cloned().map(FleetRecord::Operator).map(FleetEdit::Put));
        let enrolments = stated.enrolments.values().filter(|node| self.enrolments.get(&node.node) != Some(node));
        edits.extend(enrolments.cloned().map(FleetRecord::Enrolment).map(FleetEdit::Put));
        let gone = |enrolment: &&Enrolment| {
            enrolment.from.is_configuration() && !stated.enrolments.contains_key(&enrolment.node)
        };
        let gone = self.enrolments.values().filter(gone);
        edits.extend(gone.cloned().map(|gone| FleetEdit::Remove(FleetRecord::Enrolment(gone).name())));
        Ok(edits)
    }
}

/// What the configuration states, in the form of records.
#[derive(Default)]
struct Stated {
    entities: BTreeMap<String, Entity>,
    operators: BTreeMap<OperatorId, Operator>,
    enrolments: BTreeMap<NodeId, Enrolment>,
}

impl Stated {
    fn add(&mut self, records: &FleetRecords, node: &EnrolledNode, today: &Day) -> Result<(), TakeoverError> {
        // A record keeps the day on which the configuration first stated it, so that a restart changes nothing.
        let day = |known: Option<&Source>| known.map_or_else(|| today.clone(), |source| source.as_of.clone());
        let known = records.entities.iter().find(|entity| entity.id == node.party.id);
        let entity = match known.filter(|known| !known.from.is_configuration()) {
            Some(known) => known.clone(),
            None => entity(&node.party, &Source::configuration(day(known.map(|known| &known.from)))),
        };
        let first = self.entities.entry(entity.id.to_string()).or_insert_with(|| entity.clone());
        if *first != entity {
            return Err(RecordError::PartyDiffers { party: entity.id }.into());
        }
        let known = records.operators.get(&node.operator);
        let operator = match known.filter(|known| !known.from.is_configuration()) {
            Some(known) => known.clone(),
            None => Operator {
                id: node.operator.clone(),
                party: node.party.id.clone(),
                contact: None,
                stated_controller: Some(node.controller.clone()),
                from: Source::configuration(day(known.map(|known| &known.from))),
            },
        };
        let first = self.operators.entry(operator.id.clone()).or_insert_with(|| operator.clone());
        if *first != operator {
            return Err(TakeoverError::OperatorTwice { operator: operator.id });
        }
        let known = records.enrolments.get(&node.id);
        let enrolment = match known.filter(|known| !known.from.is_configuration()) {
            Some(known) => known.clone(),
            None => Enrolment {
                node: node.id,
                operator: node.operator.clone(),
                place: node.place,
                site: None,
                swarm: node.swarm,
                from: Source::configuration(day(known.map(|known| &known.from))),
            },
        };
        self.enrolments.insert(node.id, enrolment);
        Ok(())
    }
}

/// Takes the configuration's nodes over as records, each logged before it counts, and returns all records.
pub async fn take_over(
    catalog: &Catalog,
    log: &AuditLog,
    nodes: &[EnrolledNode],
    clock: Clock,
) -> Result<FleetRecords, TakeoverError> {
    let mut records = catalog.fleet().await?;
    let edits = records.takeover(nodes, &Day::of(clock.now()))?;
    for some in edits.chunks(EDITS_AT_ONCE) {
        let request = RequestId::from_bytes(clock.random());
        let entries: Vec<_> = some.iter().filter_map(|edit| event(&records, edit)).collect();
        for entry in entries.into_iter().map(|event| log.note(request, event)).collect::<Vec<_>>() {
            entry.await?;
        }
        let stamp = Stamp { now: clock.now(), request };
        catalog.change_fleet(stamp, records.epoch, some.to_vec()).await?;
        records = catalog.fleet().await?;
    }
    Ok(records)
}

/// What the log says of a record that the configuration states. Entities are told of with their operators.
fn event(records: &FleetRecords, edit: &FleetEdit) -> Option<Event> {
    let (what, operator, node, record) = match edit {
        FleetEdit::Put(FleetRecord::Enrolment(enrolment)) => {
            let known = records.enrolments.contains_key(&enrolment.node);
            let what = if known { FleetChange::NodeChanged } else { FleetChange::Approved };
            (what, Some(enrolment.operator.clone()), Some(enrolment.node), Some(record_hash(enrolment)))
        }
        FleetEdit::Put(FleetRecord::Operator(operator)) if records.operators.contains_key(&operator.id) => {
            (FleetChange::OperatorChanged, Some(operator.id.clone()), None, Some(record_hash(operator)))
        }
        FleetEdit::Put(FleetRecord::Entity(entity)) => {
            let known = records.entities.iter().any(|known| known.id == entity.id);
            let operator = records.operators.values().find(|operator| operator.party == entity.id)?;
            known.then(|| (FleetChange::OperatorChanged, Some(operator.id.clone()), None, Some(record_hash(entity))))?
        }
        FleetEdit::Put(_) => return None,
        FleetEdit::Remove(FleetName { id, .. }) => (FleetChange::Left, None, NodeId::parse(id).ok(), None),
    };
    Some(Event::Fleet { what, operator, node, reasons: vec!["configuration".to_owned()], record, by: None })
}

/// Reads the records again every few seconds, for changes that other gateways made.
pub(crate) async fn follow(catalog: Catalog, directory: Arc<Directory>, mut epoch: u64) {
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        match catalog.fleet_since(epoch).await {
            Ok(Some(records)) => {
                epoch = records.epoch;
                directory.enrol(records.enrolled());
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the fleet's records could not be read again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::{IdentityKey, PartyId, Place};

    use super::super::entities::Confidence;
    use super::*;

    fn node(seed: u8, operator: &str, controller: &str, party: &str) -> EnrolledNode {
        let place = Place::parse("CN").unwrap();
        EnrolledNode {
            id: IdentityKey::from_seed(&[seed; 32]).id(),
            operator: OperatorId::parse(operator).unwrap(),
            controller: ControllerId::parse(controller).unwrap(),
            party: Party {
                id: PartyId::parse(party).unwrap(),
                name: format!("{party} Ltd"),
                incorporated: place,
                headquartered: place,
                owners: Vec::new(),
                controlled_by: None,
                certifications: Vec::new(),
            },
            place,
            swarm: None,
        }
    }

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    /// The records after `edits`.
    fn after(mut records: FleetRecords, edits: Vec<FleetEdit>) -> FleetRecords {
        for edit in edits {
            match edit {
                FleetEdit::Put(FleetRecord::Entity(entity)) => {
                    records.entities.retain(|known| known.id != entity.id);
                    records.entities.push(entity);
                }
                FleetEdit::Put(FleetRecord::Operator(operator)) => {
                    records.operators.insert(operator.id.clone(), operator);
                }
                FleetEdit::Put(FleetRecord::Enrolment(enrolment)) => {
                    records.enrolments.insert(enrolment.node, enrolment);
                }
                FleetEdit::Put(_) => unreachable!("a configuration states neither invitations nor requests"),
                FleetEdit::Remove(name) => drop(records.enrolments.remove(&NodeId::parse(&name.id).unwrap())),
            }
        }
        records
    }

    #[test]
    fn the_configurations_nodes_come_out_as_they_went_in_and_a_restart_changes_nothing() {
        let nodes =
            [node(1, "one", "c-one", "p-one"), node(2, "one", "c-one", "p-one"), node(3, "two", "c-two", "p-two")];
        let edits = FleetRecords::default().takeover(&nodes, &day("2026-11-22")).unwrap();
        let records = after(FleetRecords::default(), edits);
        let mut expected: Vec<_> =
            nodes.iter().map(|n| (n.id, n.operator.clone(), n.controller.clone(), n.party.clone())).collect();
        expected.sort_by_key(|row| row.0);
        let enrolled: Vec<_> =
            records.enrolled().into_iter().map(|n| (n.id, n.operator, n.controller, n.party)).collect();
        assert_eq!(enrolled, expected);
        assert_eq!(records.takeover(&nodes, &day("2026-11-23")).unwrap(), []);
    }

    #[test]
    fn what_the_configuration_ceases_to_state_goes_and_what_came_otherwise_stays() {
        let nodes = [node(1, "one", "c-one", "p-one"), node(2, "two", "c-two", "p-two")];
        let edits = FleetRecords::default().takeover(&nodes, &day("2026-11-22")).unwrap();
        let mut records = after(FleetRecords::default(), edits);
        let by_hand = Source { source: "admin".to_owned(), as_of: day("2026-11-22"), confidence: Confidence::Stated };
        let second = records.enrolments.get_mut(&nodes[1].id).unwrap();
        second.from = by_hand;
        let left = after(records.clone(), records.takeover(&[], &day("2026-11-23")).unwrap());
        assert_eq!(left.enrolments.keys().collect::<Vec<_>>(), [&nodes[1].id]);
    }

    #[test]
    fn an_operator_with_two_stories_is_refused() {
        let today = day("2026-11-22");
        let takeover = |nodes: &[EnrolledNode]| FleetRecords::default().takeover(nodes, &today);
        let two = [node(1, "one", "c-one", "p-one"), node(2, "one", "c-other", "p-one")];
        assert!(matches!(takeover(&two), Err(TakeoverError::OperatorTwice { .. })));
        let mut differs = node(2, "two", "c-two", "p-one");
        differs.party.name = "Another".to_owned();
        assert!(matches!(takeover(&[node(1, "one", "c-one", "p-one"), differs]), Err(TakeoverError::Record(_))));
    }
}
