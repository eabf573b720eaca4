//! Rosters for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::LazyLock;

use domicile_compliance::{Circumstances, Grounds, Lawbook, Permit};
use domicile_types::{
    Classification, ControllerId, EvidenceGrade, NodeId, OperationKind, OperatorId, PackId, Party, PartyId, Place,
    Subject, SubjectFacts, UnixMillis,
};

use crate::{NodeRecord, NodeState, PlacementRequest, PlacementSeed, Roster};

/// The packs that ship.
static LAWBOOK: LazyLock<Lawbook> =
    LazyLock::new(|| Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap());

/// What China's pack says of `operation` on unclassified data by a gateway in China, with every node of `roster` asked
/// about: nodes in China with observed evidence may take part, no others.
pub(crate) fn permit_for(operation: OperationKind, roster: &Roster) -> Permit {
    let china = Place::parse("CN").unwrap();
    let gateway = SubjectFacts {
        subject: Subject::Gateway(NodeId::from_public_key([0xee; 32])),
        places: vec![china],
        evidence: EvidenceGrade::Observed,
        party: None,
    };
    let requester = SubjectFacts { subject: Subject::Requester, ..gateway.clone() };
    let nodes: Vec<SubjectFacts> = roster.iter().map(NodeRecord::facts).collect();
    let circumstances = Circumstances {
        packs: &[PackId::parse("cn-data-export").unwrap()],
        classification: &Classification::default(),
        gateway: &gateway,
        requester: Some(&requester),
        nodes: &nodes,
        // 2026-11-22T00:00:00Z
        now: UnixMillis(1_795_305_600_000),
        located_warnings: &[],
        grounds: Grounds::NONE,
    };
    let ruling = LAWBOOK.decide(&circumstances.question(operation));
    ruling.permit.unwrap_or_else(|| panic!("denied: {:?}", ruling.decision))
}

/// [`permit_for`] a PUT.
pub(crate) fn permit(roster: &Roster) -> Permit {
    permit_for(OperationKind::PutObject, roster)
}

/// A roster of nodes 0 to `count`.
pub(crate) fn roster(count: u16) -> Roster {
    Roster::new((0..count).map(record)).unwrap()
}

/// A request for `profile`, with a seed of its own per `segment`.
pub(crate) fn request(profile: &str, segment: u32) -> PlacementRequest {
    let profile = domicile_types::CodeProfile::parse(profile).unwrap();
    let data = domicile_types::DataId::from_bytes([7; 16]);
    PlacementRequest::new(Some(profile), PlacementSeed::of_segment(&data, 1, segment), 1 << 20)
}

/// Node number `index`: online, 1 TiB, in China as the databases say, with an operator, a controller and a /24 of its own.
pub(crate) fn record(index: u16) -> NodeRecord {
    let [high, low] = index.to_be_bytes();
    let key = *blake3::hash(&index.to_be_bytes()).as_bytes();
    let china = Place::parse("CN").unwrap();
    NodeRecord {
        node: NodeId::from_public_key(key),
        operator: OperatorId::parse(&format!("operator-{index}")).unwrap(),
        controller: ControllerId::parse(&format!("controller-{index}")).unwrap(),
        party: Party {
            id: PartyId::parse(&format!("party-{index}")).unwrap(),
            name: format!("Party {index} Ltd"),
            incorporated: china,
            headquartered: china,
            owners: Vec::new(),
            controlled_by: None,
            certifications: Vec::new(),
        },
        place: china,
        evidence: EvidenceGrade::Observed,
        located: None,
        address: IpAddr::V4(Ipv4Addr::new(10, high, low, 1)),
        capacity_bytes: 1 << 40,
        free_bytes: 1 << 40,
        state: NodeState::Online,
    }
}
