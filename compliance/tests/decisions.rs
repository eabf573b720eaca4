//! Decisions by the shipped packs, as other crates meet them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use domicile_compliance::pack::{Pack, PackFiles};
use domicile_compliance::{AskClass, Circumstances, Grounds, Lawbook, Question, Ruling};
use domicile_types::{
    Action, Classification, ENTRY_BYTES_MAX, EvidenceGrade, IdentityKey, Limb, NodeId, OperationKind, PackId, Party,
    PartyId, Place, Subject, SubjectFacts, SuiteId, UnixMillis, Verdict,
};
use proptest::prelude::*;

/// 2026-11-22T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_305_600_000);

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

/// Loaded once: answers that other tests have made it remember change nothing.
fn lawbook() -> &'static Lawbook {
    static LAWBOOK: LazyLock<Lawbook> = LazyLock::new(|| Lawbook::load(&policies()).unwrap());
    &LAWBOOK
}

/// One pack that remembers nothing.
fn fresh(pack: &str) -> Lawbook {
    let files = PackFiles::read(&policies().join(pack)).unwrap();
    Lawbook::of(vec![Pack::parse(PackId::parse(pack).unwrap(), &files).unwrap()])
}

fn id(seed: u8) -> NodeId {
    IdentityKey::from_seed(&[seed; 32]).id()
}

fn facts(subject: Subject, place: &str) -> SubjectFacts {
    SubjectFacts { subject, places: vec![Place::parse(place).unwrap()], evidence: EvidenceGrade::Observed, party: None }
}

/// A fleet: one node per place, with seeds from 1, each run by a party of its own place.
fn nodes(places: &[&str]) -> Vec<SubjectFacts> {
    let node = |place: &str, seed| SubjectFacts { party: Some(party(place)), ..facts(Subject::Node(id(seed)), place) };
    places.iter().zip(1..).map(|(place, seed)| node(place, seed)).collect()
}

fn party(place: &str) -> Party {
    let place = Place::parse(place).unwrap();
    Party {
        id: PartyId::parse("operator").unwrap(),
        name: "Operator".into(),
        incorporated: place,
        headquartered: place,
        owners: Vec::new(),
        controlled_by: None,
        certifications: Vec::new(),
    }
}

fn ask(operation: OperationKind, packs: &[&str], gateway: &str, requester: &str, fleet: &[&str]) -> Question {
    let packs: Vec<PackId> = packs.iter().map(|pack| PackId::parse(pack).unwrap()).collect();
    let circumstances = Circumstances {
        packs: &packs,
        classification: &Classification::default(),
        gateway: &facts(Subject::Gateway(id(200)), gateway),
        requester: Some(&facts(Subject::Requester, requester)),
        nodes: &nodes(fleet),
        now: NOW,
        located_warnings: &[],
        grounds: Grounds::NONE,
    };
    circumstances.question(operation)
}

fn decide(operation: OperationKind, packs: &[&str], gateway: &str, requester: &str, fleet: &[&str]) -> Ruling {
    lawbook().decide(&ask(operation, packs, gateway, requester, fleet))
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
    let report = domicile_compliance::run_cases(lawbook());
    assert!(report.passed(), "{report}");
    assert!(report.packs.len() >= 3);
    for pack in &report.packs {
        assert!(pack.results.len() >= 12, "{} has {} cases", pack.pack.pack, pack.results.len());
    }
}

#[test]
fn an_eu_bucket_at_a_gateway_in_china_is_refused_because_plaintext_would_be_there() {
    let fleet = ["DE", "DE", "FR", "FR", "NL", "IE", "CN", "US", "SG"];
    let refused = decide(OperationKind::CreateBucket, &["eu-gdpr"], "CN", "DE", &fleet);
    assert_eq!(refused.decision.verdict, Verdict::Deny);
    assert_eq!(rules(&refused), ["key-in-third-country", "third-country-processing"]);
    let works = decide(OperationKind::CreateBucket, &["eu-gdpr"], "DE", "DE", &fleet);
    assert_eq!(works.decision.verdict, Verdict::Allow);
    assert_eq!(works.permit.unwrap().nodes().count(), 6, "enough for 4+2");
}

#[test]
fn a_us_bucket_takes_every_node_that_no_country_of_concern_is_behind() {
    let fleet = ["US", "US", "SG", "DE", "FR", "TW", "CN", "HK", "MO"];
    let ruling = decide(OperationKind::PutObject, &["us-bulk-data"], "DE", "US", &fleet);
    let permit = ruling.permit.unwrap();
    let places: Vec<String> = permit.node_places().iter().map(Place::to_string).collect();
    assert_eq!(places, ["DE", "FR", "SG", "TW", "US"]);
    assert_eq!(permit.retention_days(), 3653);
}

#[test]
fn several_packs_intersect_placements_and_unite_obligations() {
    let both = ["eu-gdpr", "us-bulk-data"];
    let ruling = decide(OperationKind::PutObject, &both, "DE", "DE", &["DE", "US", "CN", "CH"]);
    let permit = ruling.permit.unwrap();
    let places: Vec<String> = permit.node_places().iter().map(Place::to_string).collect();
    assert_eq!(places, ["CH", "DE"], "the US is no EEA, and China is neither");
    let obligations: Vec<&str> = permit.obligations().iter().map(|obligation| obligation.0.as_str()).collect();
    assert!(obligations.contains(&"log") && obligations.contains(&"keys-stay-in:eea-or-adequate"));
    assert_eq!(permit.retention_days(), 3653, "the longest wins");
    assert_eq!(permit.key_jurisdiction(), "eu+us");
    assert_eq!(permit.suite(), SuiteId::ChaCha20Poly1305);
    assert!(ruling.decision.export, "a shard in Switzerland is a transfer, though an allowed one");
    // Neither allows what the other needs.
    let none = decide(OperationKind::PutObject, &["cn-data-export", "us-bulk-data"], "DE", "DE", &["CN", "DE"]);
    assert_eq!(none.decision.verdict, Verdict::Deny);
    let named = rules(&none);
    assert!(
        named.contains(&"export-by-storage-abroad") && named.contains(&"storage-in-country-of-concern"),
        "{named:?}"
    );
}

#[test]
fn every_candidate_place_of_a_subject_must_be_allowed() {
    let mut question = ask(OperationKind::GetObject, &["cn-data-export"], "CN", "CN", &["CN", "CN"]);
    assert_eq!(lawbook().decide(&question).decision.verdict, Verdict::Allow);
    let two = vec![Place::parse("CN").unwrap(), Place::parse("HK").unwrap()];
    for ask in &mut question.asks {
        if ask.facts.subject == Subject::Node(id(2)) {
            ask.facts.places.clone_from(&two);
        }
    }
    let ruling = lawbook().decide(&question);
    assert_eq!(ruling.permit.unwrap().nodes().collect::<Vec<_>>(), [id(1)], "a node that may be in Hong Kong is out");
    for ask in &mut question.asks {
        if ask.facts.subject == Subject::Requester {
            ask.facts.places.clone_from(&two);
        }
    }
    assert_eq!(lawbook().decide(&question).decision.verdict, Verdict::Deny);
    for ask in &mut question.asks {
        ask.facts.places.clear();
    }
    assert_eq!(lawbook().decide(&question).decision.verdict, Verdict::Deny, "nowhere is unknown");
}

#[test]
fn a_remembered_answer_ends_when_the_law_changes() {
    let lawbook = lawbook();
    let mut question = ask(OperationKind::GetObject, &["eu-gdpr"], "DE", "GB", &["DE"]);
    // 2031-12-27T23:59:59.999Z, the last instant of the United Kingdom's adequacy, and the next; there and back.
    let (last, next) = (UnixMillis(1_956_182_399_999), UnixMillis(1_956_182_400_000));
    for (now, verdict) in [(last, Verdict::Allow), (next, Verdict::Deny), (last, Verdict::Allow), (NOW, Verdict::Allow)]
    {
        question.now = now;
        assert_eq!(lawbook.decide(&question).decision.verdict, verdict, "{now}");
    }
}

#[test]
fn a_decision_can_be_replayed_from_its_question() {
    let mut question = ask(OperationKind::GetObject, &["cn-data-export"], "CN", "HK", &["CN", "DE"]);
    question.located_warnings.push("a.mmdb was built 90 days ago".into());
    let json = serde_json::to_string(&question).unwrap();
    let again: Question = serde_json::from_str(&json).unwrap();
    assert_eq!(again, question);
    let (first, second) = (lawbook().decide(&question), lawbook().decide(&again));
    assert_eq!(first.decision, second.decision);
    assert_eq!(first.findings, second.findings);
    assert_eq!(first.decision.inputs, blake3::hash(json.as_bytes()).to_hex().to_string());
    assert_eq!(first.decision.warnings, question.located_warnings);
    question.now = question.now.plus_millis(1);
    assert_ne!(lawbook().decide(&question).decision.inputs, first.decision.inputs);
}

#[test]
fn the_canonical_form_of_a_question_does_not_change() {
    let mut question = ask(OperationKind::HeadObject, &["cn-data-export"], "CN", "HK", &[]);
    question.asks.retain(|ask| ask.class == AskClass::Required && ask.facts.subject == Subject::Requester);
    let json = serde_json::to_string(&question).unwrap();
    let expected = r#"{"operation":"head-object","packs":["cn-data-export"],"classification":{},"asks":[{"action":"Query","facts":{"subject":"requester","places":["HK"],"evidence":"observed","party":null},"class":"required"}],"now":1795305600000}"#;
    assert_eq!(json, expected);
}

#[test]
fn a_decision_of_every_pack_over_a_fleet_fits_into_half_a_log_entry() {
    let fleet = ["CN", "CN", "HK", "MO", "TW", "DE", "FR", "NL", "IE", "US", "SG", "CH", "GB", "unknown"];
    let packs = ["cn-data-export", "eu-gdpr", "us-bulk-data"];
    for (operation, gateway, requester) in [
        (OperationKind::PutObject, "CN", "CN"),
        (OperationKind::GetObject, "unknown", "unknown"),
        (OperationKind::CopyObject, "DE", "RU"),
    ] {
        let decision = decide(operation, &packs, gateway, requester, &fleet).decision;
        let bytes = serde_json::to_vec(&decision).unwrap().len();
        assert!(bytes <= ENTRY_BYTES_MAX / 2, "{operation:?}: {bytes} bytes");
    }
}

#[test]
fn an_explanation_names_rules_citations_and_how_places_were_read() {
    let lawbook = lawbook();
    let question = ask(OperationKind::GetObject, &["us-bulk-data"], "US", "HK", &["US"]);
    let text = lawbook.explain(&question).to_string();
    for says in [
        "deny, an export event",
        "access-from-country-of-concern (limb 2): 28 CFR",
        "HK counts as CN",
        "within [concern]",
    ] {
        assert!(text.contains(says), "{says:?} is not in\n{text}");
    }
    let json = serde_json::to_value(lawbook.explain(&question)).unwrap();
    assert_eq!(json["decision"]["verdict"], "deny");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever was asked before, the answer is the one a fresh lawbook gives.
    #[test]
    fn the_memory_of_answers_changes_no_answer(
        asked in prop::collection::vec(
            (0_usize..6, 0_usize..3, 0_usize..8, 0_usize..8, 0_u64..400_000_000_000, prop::option::of(0_u64..2_000_000)),
            1..8,
        )
    ) {
        let operations = [
            OperationKind::PutObject, OperationKind::GetObject, OperationKind::ListObjects,
            OperationKind::DeleteObject, OperationKind::CopyObject, OperationKind::Repair,
        ];
        let packs = ["cn-data-export", "eu-gdpr", "us-bulk-data"];
        let places = ["CN", "HK", "DE", "GB", "US", "BR", "FR-NC", "unknown"];
        let warm = lawbook();
        for (operation, pack, gateway, requester, later, subjects) in asked {
            let mut question = ask(operations[operation], &[packs[pack]], places[gateway], places[requester], &places);
            question.now = UnixMillis(1_700_000_000_000 + later);
            question.classification.subjects = subjects;
            let (first, second, fresh) =
                (warm.decide(&question), warm.decide(&question), fresh(packs[pack]).decide(&question));
            prop_assert_eq!(&first.decision, &fresh.decision);
            prop_assert_eq!(&second.decision, &fresh.decision);
            prop_assert_eq!(&second.findings, &fresh.findings);
        }
    }
}
