//! Decisions by the shipped packs, as other crates meet them.

use std::path::Path;

use domicile_compliance::{Circumstances, Lawbook, Ruling};
use domicile_types::{
    Action, Classification, EvidenceGrade, IdentityKey, Limb, NodeId, OperationKind, PackId, Place, Subject,
    SubjectFacts, UnixMillis, Verdict,
};

/// 2026-11-22T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_305_600_000);

fn lawbook() -> Lawbook {
    Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap()
}

fn id(seed: u8) -> NodeId {
    IdentityKey::from_seed(&[seed; 32]).id()
}

fn facts(subject: Subject, place: &str) -> SubjectFacts {
    SubjectFacts { subject, places: vec![Place::parse(place).unwrap()], evidence: EvidenceGrade::Observed, party: None }
}

/// A fleet: one node per place, with seeds from 1.
fn nodes(places: &[&str]) -> Vec<SubjectFacts> {
    places.iter().zip(1..).map(|(place, seed)| facts(Subject::Node(id(seed)), place)).collect()
}

fn decide(operation: OperationKind, packs: &[&str], gateway: &str, requester: &str, fleet: &[&str]) -> Ruling {
    let packs: Vec<PackId> = packs.iter().map(|pack| PackId::parse(pack).unwrap()).collect();
    let circumstances = Circumstances {
        packs: &packs,
        classification: &Classification::default(),
        gateway: &facts(Subject::Gateway(id(200)), gateway),
        requester: Some(&facts(Subject::Requester, requester)),
        nodes: &nodes(fleet),
        now: NOW,
        located_warnings: &[],
    };
    lawbook().decide(&circumstances.question(operation))
}

fn rules(ruling: &Ruling) -> Vec<&str> {
    ruling.decision.rules.iter().map(|rule| rule.rule.as_str()).collect()
}

#[test]
fn a_put_into_a_cn_bucket_permits_only_the_nodes_in_the_mainland() {
    let ruling =
        decide(OperationKind::PutObject, &["cn-data-export"], "CN", "DE", &["CN", "HK", "MO", "TW", "DE", "CN-GD"]);
    assert_eq!(ruling.decision.verdict, Verdict::Allow, "{:?}", ruling.findings);
    assert!(!ruling.decision.export, "data that comes in is no export, and nodes left out are none either");
    let permit = ruling.permit.unwrap();
    let mut allowed = vec![id(1), id(6)];
    allowed.sort();
    assert_eq!(permit.nodes().collect::<Vec<_>>(), allowed);
    assert_eq!(permit.node_places(), ["CN", "CN-GD"].map(|place| Place::parse(place).unwrap()));
    assert_eq!(permit.denied().len(), 4);
    assert!(permit.allows(Action::Store, Subject::Node(id(1))));
    assert!(!permit.allows(Action::Repair, Subject::Node(id(1))), "what was not asked is not allowed");
    assert_eq!(permit.retention_days(), 1096);
}

#[test]
fn a_read_from_hong_kong_is_denied_and_recorded_as_an_export_attempt_by_limb_2() {
    for (operation, place) in [
        (OperationKind::GetObject, "HK"),
        (OperationKind::HeadObject, "MO"),
        (OperationKind::ListObjects, "TW"),
        (OperationKind::GetObject, "DE"),
        (OperationKind::GetObject, "unknown"),
    ] {
        let ruling = decide(operation, &["cn-data-export"], "CN", place, &["CN"]);
        assert_eq!(ruling.decision.verdict, Verdict::Deny, "{place}");
        assert!(ruling.decision.export && ruling.permit.is_none());
        let rule = ruling.decision.rules.iter().find(|rule| rule.rule == "export-by-access-from-abroad").unwrap();
        assert_eq!(rule.limb, Some(Limb(2)));
        assert!(!rule.cite.is_empty());
    }
    let at_home = decide(OperationKind::GetObject, &["cn-data-export"], "CN", "CN", &["CN"]);
    assert_eq!(at_home.decision.verdict, Verdict::Allow);
    assert!(!at_home.decision.export);
}

#[test]
fn a_fleet_with_no_node_at_home_refuses_and_names_the_rule() {
    let ruling = decide(OperationKind::PutObject, &["cn-data-export"], "CN", "CN", &["HK", "DE"]);
    assert_eq!(ruling.decision.verdict, Verdict::Deny);
    assert_eq!(rules(&ruling), ["export-by-storage-abroad"]);
    assert!(ruling.decision.export);
}

#[test]
fn a_question_of_no_pack_or_of_a_pack_that_is_not_loaded_is_denied() {
    let none = decide(OperationKind::GetObject, &[], "CN", "CN", &["CN"]);
    assert_eq!(none.decision.verdict, Verdict::Deny);
    assert_eq!(rules(&none), ["no-rule-permits"]);
    let unknown = decide(OperationKind::GetObject, &["cn-data-export", "atlantis"], "CN", "CN", &["CN"]);
    assert_eq!(unknown.decision.verdict, Verdict::Deny);
    assert_eq!(rules(&unknown), ["no-such-pack"]);
}

#[test]
fn every_shipped_case_holds_and_every_rule_determines_one() {
    let report = domicile_compliance::run_cases(&lawbook());
    assert!(report.passed(), "{report}");
    assert_eq!(report.packs.len(), 3);
    for pack in &report.packs {
        assert!(pack.results.len() >= 12, "{} has {} cases", pack.pack.pack, pack.results.len());
    }
}
