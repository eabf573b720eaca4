//! The roster: every enrolled node, with what placement and the law need to know of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use domicile_types::{ControllerId, EvidenceGrade, Located, NodeId, OperatorId, Party, Place, Subject, SubjectFacts};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Every enrolled node, whatever its state. Made whole from the enrolments and what was last heard of each node.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    nodes: BTreeMap<NodeId, NodeRecord>,
}

impl Roster {
    /// From one record per node.
    ///
    /// Refuses a node listed twice, and an operator listed under two controllers: whoever runs both could bring
    /// the shards of both together, so the two are not independent and the enrolments must be put right first.
    pub fn new(records: impl IntoIterator<Item = NodeRecord>) -> Result<Self, RosterError> {
        let mut nodes = BTreeMap::new();
        let mut controllers: BTreeMap<OperatorId, ControllerId> = BTreeMap::new();
        for record in records {
            let controller = controllers.entry(record.operator.clone()).or_insert_with(|| record.controller.clone());
            if *controller != record.controller {
                return Err(RosterError::OperatorOfTwoControllers {
                    operator: record.operator,
                    first: controller.clone(),
                    second: record.controller,
                });
            }
            let node = record.node;
            if nodes.insert(node, record).is_some() {
                return Err(RosterError::NodeTwice { node });
            }
        }
        Ok(Self { nodes })
    }

    /// The record of `node`, if it is enrolled.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<&NodeRecord> {
        self.nodes.get(node)
    }

    /// Every record, in the order of node ids.
    pub fn iter(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values()
    }

    /// How many nodes are enrolled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is enrolled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// What is known of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRecord {
    /// Who: its identity key.
    pub node: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// Who really controls the operator.
    pub controller: ControllerId,
    /// The legal entity behind it.
    pub party: Party,
    /// Where enrolment says it is.
    pub place: Place,
    /// How well that is evidenced.
    pub evidence: EvidenceGrade,
    /// What the location databases say of `address`, once it has been seen.
    #[serde(default)]
    pub located: Option<Located>,
    /// The address its data plane is reached at.
    pub address: IpAddr,
    /// What it offers, in bytes: its weight in placement.
    pub capacity_bytes: u64,
    /// What is left of it, in bytes, by its latest announcement.
    pub free_bytes: u64,
    /// Whether it may be given shards.
    pub state: NodeState,
}

impl NodeRecord {
    /// The network that `address` lies in.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::of(self.address)
    }

    /// What a question of law says of this node: it may be where it was enrolled *and* wherever the databases put its
    /// address, and every one of these places must be allowed. Sorted, without duplicates, never empty.
    #[must_use]
    pub fn facts(&self) -> SubjectFacts {
        let located = self.located.iter().flat_map(|located| &located.candidates);
        let mut places: Vec<Place> = located.copied().chain([self.place]).collect();
        places.sort_unstable();
        places.dedup();
        SubjectFacts {
            subject: Subject::Node(self.node),
            places,
            evidence: self.evidence,
            party: Some(self.party.clone()),
        }
    }
}

/// Whether a node may be given shards, and asked for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Heard of lately: stores and serves.
    Online,
    /// Failing now and then, or silent for a moment: gets nothing new, is asked after the others.
    Suspect,
    /// Full, or its disk fails writes: serves, gets nothing new.
    ReadOnly,
    /// Leaving in good order: serves, gets nothing new, its shards are being moved away.
    Draining,
    /// Not heard of: gets nothing, is asked last.
    Offline,
    /// Not heard of for so long that its shards are taken to be lost, and are rebuilt elsewhere.
    Lost,
    /// Failed to prove what it should hold: gets nothing, is asked last, its shards are rebuilt elsewhere.
    Corrupt,
    /// Its place or its party is in doubt: gets nothing, its shards are being moved away.
    Quarantined,
}

impl NodeState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Online,
        Self::Suspect,
        Self::ReadOnly,
        Self::Draining,
        Self::Offline,
        Self::Lost,
        Self::Corrupt,
        Self::Quarantined,
    ];

    /// Whether new shards may be sent to it.
    #[must_use]
    pub const fn takes_shards(self) -> bool {
        matches!(self, Self::Online)
    }

    /// Whether the shards that it holds count towards what keeps a segment readable.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Online | Self::Suspect | Self::ReadOnly | Self::Draining | Self::Offline)
    }

    /// Whether its shards are to be moved, or rebuilt, elsewhere.
    #[must_use]
    pub const fn is_emptied(self) -> bool {
        matches!(self, Self::Draining | Self::Lost | Self::Corrupt | Self::Quarantined)
    }
}

/// A network that is likely to fail, or to be cut off, as one: the /24 of an IPv4 address, the /48 of an IPv6 address (the
/// size in which sites get them, RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// The network of `address`. An IPv4 address in IPv6 clothes (`::ffff:a.b.c.d`) counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix_bits = if address.is_ipv4() { 24 } else { 48 };
        Self(IpNet::new(address, prefix_bits).unwrap_or_else(|_| address.into()).trunc())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why records do not make a roster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// One node, two records.
    #[error("node {node} is enrolled twice: withdraw one of the two enrolments")]
    NodeTwice {
        /// Which node.
        node: NodeId,
    },
    /// One operator, two controllers.
    #[error(
        "operator {operator} is enrolled under controller {first} and under controller {second}: \
         settle which of them controls it, or enrol both under the party that controls them"
    )]
    OperatorOfTwoControllers {
        /// Which operator.
        operator: OperatorId,
        /// One controller.
        first: ControllerId,
        /// The other.
        second: ControllerId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::record;

    #[test]
    fn a_network_is_a_24_or_a_48() -> Result<(), std::net::AddrParseError> {
        for (address, network) in [
            ("127.10.3.4", "127.10.3.0/24"),
            ("::ffff:127.10.3.4", "127.10.3.0/24"),
            ("2001:db8:1:2::5", "2001:db8:1::/48"),
        ] {
            assert_eq!(Network::of(address.parse()?).to_string(), network);
        }
        Ok(())
    }

    #[test]
    fn a_node_enrolled_twice_is_refused() {
        let error = Roster::new([record(1), record(2), record(1)]).map(|_| ());
        assert_eq!(error, Err(RosterError::NodeTwice { node: record(1).node }));
    }

    #[test]
    fn an_operator_under_two_controllers_is_refused() {
        let mut second = record(2);
        second.operator = record(1).operator;
        let error = Roster::new([record(1), second]).map(|_| ());
        assert!(matches!(error, Err(RosterError::OperatorOfTwoControllers { .. })), "{error:?}");
    }

    #[test]
    fn the_facts_of_a_node_hold_every_place_it_may_be_in() {
        let mut node = record(1);
        let abroad = Place::parse("HK").unwrap();
        node.located = Some(Located { candidates: vec![abroad, node.place], sources: vec![], warnings: vec![] });
        assert_eq!(node.facts().places, [node.place, abroad]);
        node.located = None;
        assert_eq!(node.facts().places, [node.place]);
    }
}
