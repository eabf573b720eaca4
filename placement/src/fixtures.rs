//! Rosters for tests.

use std::net::{IpAddr, Ipv4Addr};

use domicile_types::{ControllerId, EvidenceGrade, NodeId, OperatorId, Party, PartyId, Place};

use crate::{NodeRecord, NodeState};

/// Node number `index`: online, 1 TiB, in Germany, with an operator, a controller and a /24 of its own.
pub(crate) fn record(index: u16) -> NodeRecord {
    let [high, low] = index.to_be_bytes();
    let key = *blake3::hash(&index.to_be_bytes()).as_bytes();
    let germany = Place::parse("DE").unwrap();
    NodeRecord {
        node: NodeId::from_public_key(key),
        operator: OperatorId::parse(&format!("operator-{index}")).unwrap(),
        controller: ControllerId::parse(&format!("controller-{index}")).unwrap(),
        party: Party {
            id: PartyId::parse(&format!("party-{index}")).unwrap(),
            name: format!("Party {index} GmbH"),
            incorporated: germany,
            headquartered: germany,
            owners: Vec::new(),
            controlled_by: None,
            certifications: Vec::new(),
        },
        place: germany,
        evidence: EvidenceGrade::Observed,
        located: None,
        address: IpAddr::V4(Ipv4Addr::new(10, high, low, 1)),
        capacity_bytes: 1 << 40,
        free_bytes: 1 << 40,
        state: NodeState::Online,
    }
}
