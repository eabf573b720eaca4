//! The shipped packs over a fleet like the demo's: twenty nodes in ten places, each with a controller of its own.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::LazyLock;

use domicile_compliance::{Circumstances, Grounds, Lawbook, Permit, Ruling};
use domicile_placement::{
    NodeRecord, NodeState, PlacementRefusal, PlacementRequest, PlacementSeed, Roster, check, place, removals,
};
use domicile_types::{
    Classification, CodeProfile, DataId, EvidenceGrade, NodeId, OperationKind, PackId, Party, Place, Subject,
    SubjectFacts, UnixMillis,
};

/// Second octet of the address, place, nodes.
const FLEET: [(u8, &str, u8); 10] = [
    (10, "CN", 8),
    (20, "HK", 1),
    (21, "MO", 1),
    (22, "TW", 1),
    (30, "DE", 2),
    (31, "FR", 2),
    (32, "NL", 1),
    (33, "IE", 1),
    (40, "US", 2),
    (50, "SG", 1),
];

static LAWBOOK: LazyLock<Lawbook> =
    LazyLock::new(|| Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap());

fn place_of(text: &str) -> Place {
    Place::parse(text).unwrap()
}

fn fleet() -> Vec<NodeRecord> {
    let nodes = FLEET.iter().flat_map(|(octet, place, count)| (1..=*count).map(move |host| (*octet, *place, host)));
    let record = |(octet, place, host): (u8, &str, u8)| {
        let name = format!("{}-{host}", place.to_lowercase());
        NodeRecord {
            node: NodeId::from_public_key(*blake3::hash(name.as_bytes()).as_bytes()),
            operator: name.parse().unwrap(),
            controller: name.parse().unwrap(),
            party: Party {
                id: name.parse().unwrap(),
                name,
                incorporated: place_of(place),
                headquartered: place_of(place),
                owners: Vec::new(),
                controlled_by: None,
                certifications: Vec::new(),
            },
            place: place_of(place),
            evidence: EvidenceGrade::Observed,
            located: None,
            address: IpAddr::V4(Ipv4Addr::new(127, octet, host, 1)),
            capacity_bytes: 1 << 34,
            free_bytes: 1 << 34,
            state: NodeState::Online,
        }
    };
    nodes.map(record).collect()
}

/// What `packs` say of a PUT of unclassified data through a gateway in `gateway`.
fn ruling(packs: &[&str], gateway: &str, roster: &Roster) -> Ruling {
    let packs: Vec<PackId> = packs.iter().map(|pack| pack.parse().unwrap()).collect();
    let gateway = SubjectFacts {
        subject: Subject::Gateway(NodeId::from_public_key([0xee; 32])),
        places: vec![place_of(gateway)],
        evidence: EvidenceGrade::Observed,
        party: None,
    };
    let nodes: Vec<SubjectFacts> = roster.iter().map(NodeRecord::facts).collect();
    let circumstances = Circumstances {
        packs: &packs,
        classification: &Classification::default(),
        gateway: &gateway,
        requester: None,
        nodes: &nodes,
        // 2026-11-22T00:00:00Z
        now: UnixMillis(1_795_305_600_000),
        located_warnings: &[],
        grounds: Grounds::NONE,
    };
    LAWBOOK.decide(&circumstances.question(OperationKind::PutObject))
}

fn permit(packs: &[&str], gateway: &str, roster: &Roster) -> Permit {
    let ruling = ruling(packs, gateway, roster);
    ruling.permit.unwrap_or_else(|| panic!("{:?}", ruling.decision))
}

fn request(segment: u32) -> PlacementRequest {
    PlacementRequest::new(None, PlacementSeed::of_segment(&DataId::from_bytes([3; 16]), 1, segment), 1_049_600)
}

/// Where the shards of two hundred segments come to lie.
fn places(packs: &[&str], gateway: &str) -> BTreeSet<String> {
    let roster = Roster::new(fleet()).unwrap();
    let permit = permit(packs, gateway, &roster);
    let mut places = BTreeSet::new();
    for segment in 0..200 {
        let plan = place(&roster, &permit, &request(segment)).unwrap();
        assert_eq!(plan.profile, CodeProfile::RS_4_2);
        let holders = check(&roster, &permit, &request(segment), plan).unwrap().holders();
        places.extend(holders.iter().map(|node| roster.get(node).unwrap().place.to_string()));
    }
    places
}

fn set(places: &[&str]) -> BTreeSet<String> {
    places.iter().map(ToString::to_string).collect()
}

#[test]
fn shards_of_china_stay_on_the_mainland() {
    assert_eq!(places(&["cn-data-export"], "CN"), set(&["CN"]));
}

#[test]
fn shards_of_the_union_stay_in_it() {
    assert_eq!(places(&["eu-gdpr"], "DE"), set(&["DE", "FR", "IE", "NL"]));
}

#[test]
fn shards_of_the_united_states_go_anywhere_but_to_countries_of_concern() {
    assert_eq!(places(&["us-bulk-data"], "DE"), set(&["DE", "FR", "IE", "NL", "SG", "TW", "US"]));
}

#[test]
fn two_packs_leave_what_both_allow() {
    assert_eq!(places(&["eu-gdpr", "us-bulk-data"], "DE"), set(&["DE", "FR", "IE", "NL"]));
}

#[test]
fn packs_that_leave_no_node_deny_the_write_and_the_rules_are_counted() {
    let roster = Roster::new(fleet()).unwrap();
    let ruling = ruling(&["cn-data-export", "us-bulk-data"], "CN", &roster);
    assert!(ruling.permit.is_none());
    let counted = removals(&ruling.findings);
    let count = |rule: &str| counted.iter().find(|removal| removal.rule.rule == rule).map(|removal| removal.nodes);
    assert_eq!(count("export-by-storage-abroad"), Some(12));
    // The eight on the mainland, Hong Kong's and Macao's.
    assert_eq!(count("storage-in-country-of-concern"), Some(10));
}

#[test]
fn one_lost_node_in_the_union_leaves_too_few_for_now() {
    let mut records = fleet();
    let lost = records.iter_mut().find(|record| record.place == place_of("IE")).unwrap();
    lost.state = NodeState::Offline;
    let roster = Roster::new(records).unwrap();
    let refusal = place(&roster, &permit(&["eu-gdpr"], "DE", &roster), &request(0)).unwrap_err();
    let PlacementRefusal::TooFew(shortage) = &refusal else { panic!("{refusal}") };
    assert!(!shortage.is_lawful());
    assert_eq!((shortage.room, shortage.census.denied.nodes), (5, 14));
    assert!(refusal.to_string().contains("bring offline nodes back (1 more controller)"), "{refusal}");
}
