//! Reports over a made-up log.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{
    Budget, Classification, Commitment, Counts, Decision, Entry, EvidenceGrade, IdentityKey, Intent, NodeId,
    OperationKind, Outcome, OutcomeStatus, PackId, PackVersion, Place, Record, RequestId, RuleRef, UnixMillis, Verdict,
};

use super::*;
use crate::report::kinds::report;

const START: u64 = 1_790_000_000_000;

fn place(text: &str) -> Place {
    Place::parse(text).unwrap()
}

fn node() -> NodeId {
    IdentityKey::from_seed(&[7; 32]).id()
}

fn record(at: u64, entry: Entry) -> Record {
    let request = RequestId::from_bytes([u8::try_from(at % 251).unwrap(); 16]);
    Record { v: Record::VERSION, time: UnixMillis(START + at), gateway: node(), request, entry }
}

fn intent(to: &str, export: bool, verdict: Verdict) -> Intent {
    let pack = PackId::parse("cn-data-export").unwrap();
    Intent {
        operation: OperationKind::GetObject,
        actor: Commitment::from_digest([1; 32]),
        address: Commitment::from_digest([2; 32]),
        bucket: Some(Commitment::from_digest([3; 32])),
        key: Some(Commitment::from_digest([4; 32])),
        requester_places: vec![place(to)],
        gateway_place: place("CN"),
        decision: Decision {
            verdict,
            export,
            rules: vec![RuleRef {
                pack: pack.clone(),
                rule: "standard-contract".to_owned(),
                cite: "2024 Provisions, Art. 8".to_owned(),
                limb: None,
            }],
            obligations: Vec::new(),
            approvals: Vec::new(),
            packs: vec![PackVersion { pack, as_of: "2026-11-22".to_owned(), hash: "ab".repeat(32) }],
            inputs: "cd".repeat(32),
            warnings: Vec::new(),
        },
        data: None,
        range: Some((0, 1_000)),
        node_places: Vec::new(),
        shards: Vec::new(),
        budget: Budget { node_bytes_max: 2_000 },
        expires: UnixMillis(START + 1_000_000),
        epoch: 0,
        worker: None,
        charge: None,
    }
}

fn outcome(of: u64, status: OutcomeStatus, bytes: u64) -> Entry {
    Entry::Outcome(Outcome { intent: of, status, bytes, http_status: 200 })
}

/// Entries 10 to 16: two exports to Germany (one broken off), one to an unknown place without an outcome, a refused attempt
/// from the United States, a read at home.
fn log() -> Vec<(u64, Record)> {
    let allowed = |to, export| Entry::Intent(intent(to, export, Verdict::Allow));
    vec![
        (10, record(1, allowed("DE", true))),
        (11, record(2, outcome(10, OutcomeStatus::Completed, 1_000))),
        (12, record(300, allowed("DE", true))),
        (13, record(301, outcome(12, OutcomeStatus::Aborted, 400))),
        (14, record(302, Entry::Denied(intent("US", true, Verdict::Deny)))),
        (15, record(303, allowed("unknown", true))),
        (16, record(304, allowed("CN", false))),
        (17, record(305, Entry::Incident { what: "corrupt-shard".to_owned(), node: Some(node()), shard: None })),
    ]
}

fn gathered(entries: Vec<(u64, Record)>) -> Gathered {
    let mut gathering = Gathering::new(UnixMillis(START), UnixMillis(START + 1_000_000), None);
    entries.into_iter().for_each(|(index, record)| gathering.take(index, record).unwrap());
    gathering.finish()
}

pub(crate) fn material(gathered: Gathered) -> Material {
    let classification =
        Classification { subjects: Some(250), sensitive_subjects: Some(20), ..Classification::default() };
    let facts = |n: u8, at: &str| NodeFacts {
        id: IdentityKey::from_seed(&[n; 32]).id(),
        place: place(at),
        operator: format!("operator-{n}"),
        controller: format!("controller-{n}"),
        evidence: EvidenceGrade::Observed,
        fenced: false,
    };
    Material {
        period: (UnixMillis(START), UnixMillis(START + 1_000_000)),
        made: UnixMillis(START + 2_000_000),
        log: LogState {
            gateway: node(),
            place: place("CN"),
            key: "log+k".to_owned(),
            size: 18,
            root: "root=".to_owned(),
        },
        gathered,
        names: BTreeMap::from([(Commitment::from_digest([3; 32]), "训练数据 <img>".to_owned())]),
        classes: BTreeMap::from([("cd".repeat(32), classification)]),
        nodes: vec![facts(1, "CN"), facts(2, "CN-GD"), facts(3, "HK")],
        shards: None,
        bucket: None,
        deletions: None,
        packs: Vec::new(),
    }
}

fn facts(report: &Report) -> BTreeMap<&str, &Fact> {
    let blocks = report.sections.iter().flat_map(|section| &section.blocks);
    let facts = blocks.filter_map(|block| match block {
        Block::Facts { facts } => Some(facts),
        _ => None,
    });
    facts.flatten().map(|fact| (fact.key.as_str(), fact)).collect()
}

fn tables(report: &Report) -> BTreeMap<&str, &Table> {
    let blocks = report.sections.iter().flat_map(|section| &section.blocks);
    blocks
        .filter_map(|block| match block {
            Block::Table(table) => Some((table.key.as_str(), table)),
            Block::Places(places) => Some((places.table.key.as_str(), &places.table)),
            _ => None,
        })
        .collect()
}

#[test]
fn figures_are_of_the_entries_that_their_footnotes_name() {
    let report = report(ReportKind::ExportRegister, Language::En, &material(gathered(log())));
    let facts = facts(&report);
    let footnote = |key: &str| {
        let number = facts[key].footnote.unwrap();
        report.footnotes.iter().find(|footnote| footnote.number == number).unwrap()
    };
    assert_eq!(facts["exports"].value, 3);
    assert_eq!(footnote("exports").entries, [(10, 13), (15, 15)]);
    // A whole one, a broken one, and one that nobody heard of: all that was authorised.
    assert_eq!(facts["bytes"].value, 1_000 + 400 + 1_000);
    // Three requests: two share their number only if they share the request.
    assert_eq!(facts["individuals"].value, 750);
    assert_eq!(facts["refused"].value, 1);
    assert_eq!(footnote("refused").entries, [(14, 14)]);
    let register = tables(&report)["exports"];
    assert_eq!(register.rows.len(), 4);
    assert_eq!(register.rows[1].entries, [(12, 13)]);
    assert_eq!(register.rows[2].cells[8], "refused");
    let destinations = &tables(&report)["by-destination"].rows;
    let germany = destinations.iter().find(|row| row.cells[0] == "Germany (DE)").unwrap();
    assert_eq!(germany.cells, ["Germany (DE)", "2", "500", "40", "1,400"]);
    let behind = report.footnotes.iter().find(|footnote| Some(footnote.number) == germany.footnote).unwrap();
    assert_eq!(behind.entries, [(10, 13)]);
    assert!(register.rows.iter().all(|row| row.footnote.is_none()), "each begins with its entry");
}

#[test]
fn a_charge_counts_before_what_the_classification_states() {
    let mut entries = log();
    if let Entry::Intent(intent) = &mut entries[0].1.entry {
        let counts = Counts { subjects: 7, sensitive: 1, bytes: 1_000 };
        intent.charge = Some(domicile_types::Charge { counts, ..Default::default() });
    }
    let report = report(ReportKind::ExportRegister, Language::En, &material(gathered(entries)));
    assert_eq!(facts(&report)["individuals"].value, 7 + 250 + 250);
}

#[test]
fn what_lies_outside_the_period_is_left_out_and_a_late_outcome_is_not() {
    let mut gathering = Gathering::new(UnixMillis(START), UnixMillis(START + 100), None);
    let mut taken = 0;
    for (index, record) in [
        (1, record(0, Entry::Intent(intent("DE", true, Verdict::Allow)))),
        (2, record(200, Entry::Intent(intent("DE", true, Verdict::Allow)))),
        (3, record(201, outcome(1, OutcomeStatus::Aborted, 5))),
        (4, record(202, Entry::Intent(intent("DE", true, Verdict::Allow)))),
    ] {
        gathering.take(index, record).unwrap();
        taken = index;
        if gathering.is_done() {
            break;
        }
    }
    assert_eq!(taken, 3);
    let found = gathering.finish();
    assert_eq!(found.flows.len(), 1);
    assert_eq!(found.flows[0].outcome, Some((3, OutcomeStatus::Aborted, 5)));
}

#[test]
fn another_buckets_exports_are_left_out() {
    let wanted = BTreeSet::from([Commitment::from_digest([9; 32])]);
    let mut gathering = Gathering::new(UnixMillis(START), UnixMillis(START + 1_000_000), Some(wanted));
    log().into_iter().for_each(|(index, record)| gathering.take(index, record).unwrap());
    assert_eq!(gathering.finish().flows, []);
}

fn has_han(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn every_report_says_the_same_in_both_languages_and_concludes_nothing() {
    let material = material(gathered(log()));
    for kind in ReportKind::ALL {
        let [english, chinese] = Language::ALL.map(|language| report(kind, language, &material));
        assert!(!english.title.is_empty() && has_han(&chinese.title) && has_han(&chinese.purpose), "{kind}");
        assert_eq!(
            english.footnotes.iter().map(|one| &one.entries).collect::<Vec<_>>(),
            chinese.footnotes.iter().map(|one| &one.entries).collect::<Vec<_>>(),
            "{kind}"
        );
        let mut fields = 0;
        assert_eq!(english.sections.len(), chinese.sections.len());
        for (one, other) in english.sections.iter().zip(&chinese.sections) {
            assert_eq!(one.key, other.key);
            assert!(!has_han(&one.title) && has_han(&other.title), "{kind}/{}", one.key);
            assert_eq!(one.blocks.len(), other.blocks.len(), "{kind}/{}", one.key);
            for pair in one.blocks.iter().zip(&other.blocks) {
                match pair {
                    (Block::Facts { facts: one }, Block::Facts { facts: other }) => {
                        assert!(
                            one.iter().zip(other).all(|(one, other)| one.value == other.value || one.value.is_string())
                        );
                        assert!(one.iter().all(|fact| !has_han(&fact.label)));
                        assert!(other.iter().all(|fact| has_han(&fact.label) || fact.label == "BLAKE3"), "{other:?}");
                    }
                    (Block::Fields { fields: one }, Block::Fields { fields: other }) => {
                        fields += one.len();
                        assert!(one.iter().zip(other).all(|(one, other)| one.key == other.key));
                        assert!(other.iter().all(|field| has_han(&field.label) && has_han(&field.hint)));
                    }
                    (Block::Table(one), Block::Table(other)) => {
                        assert_eq!(one.rows.len(), other.rows.len(), "{kind}/{}", one.key);
                        assert!(other.columns.iter().all(|column| has_han(&column.label) || column.key == "hash"));
                        assert!(one.rows.iter().all(|row| row.cells.len() == one.columns.len()));
                    }
                    (Block::Places(one), Block::Places(other)) => {
                        assert_eq!((one.drawn, other.drawn), (Drawn::Map, Drawn::Grid));
                        assert!(other.marks.iter().all(|mark| mark.x.is_none()));
                    }
                    (Block::Note { .. }, Block::Note { .. }) => {}
                    (one, other) => panic!("{kind}: {one:?} beside {other:?}"),
                }
            }
        }
        assert!(fields > 0, "{kind} asks nothing of a person");
        let text = serde_json::to_string(&english).unwrap();
        assert!(!text.contains("proved"), "{kind}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), english, "{kind}");
    }
}

#[test]
fn html_holds_the_figures_no_script_and_text_only_as_text() {
    let report = report(ReportKind::ExportRegister, Language::Zh, &material(gathered(log())));
    let page = html(&report);
    assert!(page.contains("数据出境登记册") && page.contains("训练数据 &lt;img&gt;") && page.contains("2,400"));
    assert!(
        !page.contains("<script")
            && !page.contains("<img")
            && !page.contains(" style=")
            && !page.contains("href=\"http")
    );
    let policy = page.split("style-src 'sha256-").nth(1).unwrap().split('\'').next().unwrap();
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = data_encoding::BASE64.encode(&<sha2::Sha256 as sha2::Digest>::digest(style));
    assert_eq!(policy, hash);
}

#[test]
fn a_map_marks_places_and_its_table_says_the_same() {
    let mut material = material(gathered(log()));
    material.shards = Some(BTreeMap::from([(place("CN"), 40), (place("HK"), 2), (Place::Unknown, 1)]));
    let report = report(ReportKind::GdprRecord, Language::En, &material);
    let places = report.sections.iter().flat_map(|section| &section.blocks).find_map(|block| match block {
        Block::Places(places) => Some(places),
        _ => None,
    });
    let places = places.unwrap();
    let marks: Vec<(String, String)> =
        places.marks.iter().map(|mark| (mark.label.clone(), mark.weight.to_string())).collect();
    let rows: Vec<(String, String)> =
        places.table.rows.iter().map(|row| (row.cells[0].clone(), row.cells[1].clone())).collect();
    assert_eq!(marks, rows);
    let svg = super::map::svg(places);
    assert_eq!(svg.matches("<circle").count(), 2, "what is nowhere is in the table only");
    assert!(places.marks[0].x.is_some_and(|x| (0.7..0.9).contains(&x)));
}

#[test]
fn a_deletion_that_is_not_done_is_not_certified_as_done() {
    let mut material = material(gathered(log()));
    let deletion = |residue| Deletion {
        data: domicile_types::DataId::from_bytes([5; 16]),
        shredded: UnixMillis(START),
        residue,
        receipts_hash: "ef".repeat(32),
        receipts: Vec::new(),
        stated: Vec::new(),
    };
    for (residue, shown) in [(Some(0), "0"), (Some(3), "3"), (None, "not known yet")] {
        material.deletions = Some(("s3://b/k".to_owned(), vec![deletion(residue)]));
        let report = report(ReportKind::DeletionCertificate, Language::En, &material);
        let fact = facts(&report)["residue"];
        assert!(fact.shown.starts_with(shown), "{fact:?}");
        assert_eq!(fact.value.is_null(), residue.is_none());
    }
}

#[test]
fn three_years_show_growth_of_both_counters() {
    let year = 365 * 86_400_000;
    let mut entries = Vec::new();
    for (nth, bytes) in [1_000, 1_000, 1_250].into_iter().enumerate() {
        let at = u64::try_from(nth).unwrap() * year + 5;
        let index = u64::try_from(nth).unwrap() * 2;
        entries.push((index, record(at, Entry::Intent(intent("DE", true, Verdict::Allow)))));
        entries.push((index + 1, record(at + 1, outcome(index, OutcomeStatus::Completed, bytes))));
    }
    let to = UnixMillis(START + 3 * year);
    let mut gathering = Gathering::new(UnixMillis(START), to, None);
    entries.into_iter().for_each(|(index, record)| gathering.take(index, record).unwrap());
    let mut material = material(gathering.finish());
    material.period = (UnixMillis(START), to);
    let report = report(ReportKind::CacExtension, Language::En, &material);
    let years = &tables(&report)["years"].rows;
    assert_eq!(years.len(), 3);
    assert_eq!(years[1].cells[3..], ["+0.0%", "20", "1,000", "+0.0%"]);
    assert_eq!(years[2].cells[6], "+25.0%");
    assert_eq!(years[2].entries, [(4, 5)]);
}
