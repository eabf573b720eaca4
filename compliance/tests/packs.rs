//! Packs that must not load, rules that fail at evaluation, and scenarios that must be seen to fail.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use domicile_compliance::{Ask, AskClass, Lawbook, PackLoadError, Question, run_cases};
use domicile_types::{
    Action, Classification, EvidenceGrade, NodeId, OperationKind, PackId, Place, Subject, SubjectFacts, UnixMillis,
    Verdict,
};
use tempfile::TempDir;

const PACK: &str = r#"
title = "A pack for tests"
as_of = "2026-11-22"
home = "home"
default_cite = "Test Act s. 1"
shard_is_data = true
retention_days = 30
evidence_minimum = "observed"
algorithms = "any"
key_jurisdiction = "test"
classes = ["personal", "human-genomic"]

[groups.home]
members = [{ places = ["DE"] }]

[thresholds]
many = 10
"#;

const RULES: &str = r#"// A permit and a forbid.
@id("readers-at-home")
@cite("Test Act s. 2")
permit (principal is Requester, action == Action::"Retrieve", resource)
when { context.place.within.home };

@id("many-subjects")
@cite("Test Act s. 3")
@limb("2")
forbid (principal is Requester, action == Action::"Retrieve", resource)
when { context.data has subjects && context.data.subjects > context.pack.thresholds.many };
"#;

const CASES: &str = r#"
[[case]]
name = "a reader at home may read"
subject = "requester"
action = "Retrieve"
places = ["DE"]
expect = "allow"
rules = ["readers-at-home"]

[[case]]
name = "many subjects are too many"
subject = "requester"
action = "Retrieve"
places = ["DE"]
data = { class = "personal", subjects = "11" }
expect = "deny"
rules = ["many-subjects"]
limbs = [2]
"#;

/// A policies folder with one pack, `test`.
struct Policies(TempDir);

impl Policies {
    fn new(pack: &str, rules: &str, cases: &str) -> Self {
        let policies = Self(tempfile::tempdir().unwrap());
        fs::create_dir(policies.0.path().join("test")).unwrap();
        for (name, text) in
            [("pack.toml", pack), ("rules.cedar", rules), ("cases.toml", cases), ("SOURCES.md", "none\n")]
        {
            fs::write(policies.file(name), text).unwrap();
        }
        policies
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("test").join(name)
    }

    fn load(&self) -> Result<Lawbook, PackLoadError> {
        Lawbook::load(self.0.path())
    }
}

/// The whole chain of an error, as a log shows it.
fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

fn refused_rules(rules: &str) -> String {
    told(&Policies::new(PACK, rules, CASES).load().unwrap_err())
}

fn refused_facts(from: &str, to: &str) -> String {
    assert!(PACK.contains(from), "{from:?} is not in the pack");
    told(&Policies::new(&PACK.replacen(from, to, 1), RULES, CASES).load().unwrap_err())
}

fn question(action: Action, subject: Subject, classification: Classification) -> Question {
    let facts = SubjectFacts {
        subject,
        places: vec![Place::parse("DE").unwrap()],
        evidence: EvidenceGrade::Observed,
        party: None,
    };
    Question {
        operation: OperationKind::GetObject,
        packs: vec![PackId::parse("test").unwrap()],
        classification,
        asks: vec![Ask { action, facts, class: AskClass::Required }],
        now: UnixMillis(1_795_305_600_000),
        located_warnings: Vec::new(),
        approvals: Vec::new(),
        totals: Vec::new(),
    }
}

fn classified(subjects: u64) -> Classification {
    Classification { subjects: Some(subjects), ..Classification::default() }
}

#[test]
fn the_pack_that_the_other_tests_break_is_sound() {
    let lawbook = Policies::new(PACK, RULES, CASES).load().unwrap();
    assert!(run_cases(&lawbook).passed(), "{}", run_cases(&lawbook));
}

#[test]
fn a_syntax_error_is_refused_with_file_and_line() {
    let told =
        refused_rules(&RULES.replace("when { context.place.within.home };", "when { context.place.within.home ;"));
    assert!(told.contains("rules.cedar:5: not Cedar"), "{told}");
    assert!(told.contains("correct the rule"), "{told}");
}

#[test]
fn a_misspelt_group_threshold_class_or_action_is_refused_with_its_line() {
    for (from, to, line) in [
        ("within.home", "within.hoem", 5),
        ("thresholds.many", "thresholds.few", 11),
        ("context.data has subjects &&", "context.data.class.genomic && context.data has subjects &&", 11),
        (
            "Action::\"Retrieve\", resource)\nwhen { context.place",
            "Action::\"Retreive\", resource)\nwhen { context.place",
            4,
        ),
    ] {
        assert!(RULES.contains(from), "{from:?}");
        let told = refused_rules(&RULES.replacen(from, to, 1));
        assert!(told.contains(&format!("rules.cedar:{line}: rule")) && told.contains("does not validate"), "{told}");
    }
    assert!(
        Policies::new(
            PACK,
            &RULES.replace("context.data has", "context.data.class.human_genomic && context.data has"),
            CASES
        )
        .load()
        .is_ok()
    );
}

#[test]
fn an_optional_fact_read_without_asking_for_it_is_refused() {
    let told = refused_rules(&RULES.replace("context.data has subjects && ", ""));
    assert!(told.contains("rule many-subjects does not validate"), "{told}");
}

#[test]
fn a_rule_that_can_never_apply_is_refused() {
    let told = refused_rules(&RULES.replace("when { context.place.within.home }", "when { principal is Node }"));
    assert!(told.contains("rule readers-at-home does not validate"), "{told}");
}

#[test]
fn a_rule_without_id_or_citation_is_refused() {
    let told = refused_rules(&RULES.replace("@cite(\"Test Act s. 3\")\n", ""));
    assert!(told.contains("rules.cedar:7: rule many-subjects: every rule needs an @cite"), "{told}");
    let told = refused_rules(&RULES.replace("@id(\"many-subjects\")\n", ""));
    assert!(told.contains("rules.cedar:7: rule (without @id)"), "{told}");
    let told = refused_rules(&RULES.replace("many-subjects", "readers-at-home"));
    assert!(told.contains("another rule has this @id"), "{told}");
}

#[test]
fn annotations_that_mean_nothing_are_refused() {
    for (wrong, says) in [
        ("@obligaton(\"log\")", "@obligaton means nothing"),
        ("@limb(\"two\")", "@limb is one digit"),
        ("@obligation(\"log; \")", "@obligation is kebab-case"),
    ] {
        let told = refused_rules(&RULES.replace("@limb(\"2\")", wrong));
        assert!(told.contains(says), "{told}");
    }
}

#[test]
fn facts_that_do_not_add_up_are_refused_with_the_fact() {
    for (from, to, says) in [
        ("shard_is_data = true", "shard_is_data = true\nshards_are_data = true", "shards_are_data"),
        ("home = \"home\"", "home = \"hoem\"", "home: there is no group \"hoem\""),
        ("as_of = \"2026-11-22\"", "as_of = \"22 Nov 2026\"", "as_of: \"22 Nov 2026\" is not a day"),
        ("places = [\"DE\"]", "places = [\"unknown\"]", "unknown belongs nowhere"),
        ("places = [\"DE\"]", "places = [\"DE\"], from = \"2026-01-02\", to = \"2026-01-01\"", "ends before it begins"),
        ("places = [\"DE\"]", "places = [\"Germany\"]", "ISO 3166-1"),
        ("many = 10", "too-many = 10", "thresholds.too-many: is not a name that rules can use"),
        ("many = 10", "many = -1", "thresholds.many: is negative"),
        ("[groups.home]", "[territory]\nDE = \"FR\"\n\n[groups.home]", "DE counts as FR by [territory]"),
        ("[groups.home]", "[territory]\nBE = \"NL\"\nNL = \"LU\"\n\n[groups.home]", "write BE = \"LU\" instead"),
        ("many = 10", "many = 10\n[definitions]\nbroken = 'context.data.'", "definitions.broken"),
        ("many = 10", "many = 10\n[definitions]\nwrong = 'context.data.subjects > 3'", "definitions.wrong"),
        ("many = 10", "many = 10\n[definitions]\nnested = 'context.term.nested'", "definitions.nested"),
        (
            "many = 10",
            "many = 10\n[definitions]\nescape = 'true }; permit (principal, action, resource) when { true'",
            "definitions.escape: is not one expression",
        ),
    ] {
        let told = refused_facts(from, to);
        assert!(told.contains("pack.toml") && told.contains(says), "{to}: {told}");
    }
}

#[test]
fn a_missing_file_an_empty_folder_and_no_folder_are_refused() {
    let policies = Policies::new(PACK, RULES, CASES);
    fs::remove_file(policies.file("SOURCES.md")).unwrap();
    let error = policies.load().unwrap_err();
    assert!(matches!(error, PackLoadError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("SOURCES.md"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join(".git")).unwrap();
    assert!(matches!(Lawbook::load(empty.path()), Err(PackLoadError::NoPacks { .. })));
    assert!(matches!(Lawbook::load(&empty.path().join("none")), Err(PackLoadError::Folder { .. })));
}

#[test]
fn one_broken_pack_refuses_the_whole_lawbook() {
    let policies = Policies::new(PACK, RULES, CASES);
    let other = policies.0.path().join("broken");
    fs::create_dir(&other).unwrap();
    for name in ["pack.toml", "cases.toml", "SOURCES.md"] {
        fs::copy(policies.file(name), other.join(name)).unwrap();
    }
    fs::write(other.join("rules.cedar"), "permit").unwrap();
    assert!(matches!(policies.load(), Err(PackLoadError::RuleSyntax { .. })));
}

/// Validates, and overflows when there are very many subjects.
const OVERFLOWING: &str = "context.data has subjects && context.data.subjects * 2 > 1000";

#[test]
fn a_forbid_that_errors_denies_and_is_named() {
    // Cedar alone would skip the forbid and allow by `readers-at-home`.
    let rules =
        RULES.replace("context.data has subjects && context.data.subjects > context.pack.thresholds.many", OVERFLOWING);
    let lawbook = Policies::new(PACK, &rules, CASES).load().unwrap();
    let requester = Subject::Requester;
    let sound = lawbook.decide(&question(Action::Retrieve, requester, classified(1)));
    assert_eq!(sound.decision.verdict, Verdict::Allow);
    let ruling = lawbook.decide(&question(Action::Retrieve, requester, classified(u64::MAX)));
    assert_eq!(ruling.decision.verdict, Verdict::Deny);
    assert!(ruling.permit.is_none());
    let [rule] = ruling.decision.rules.as_slice() else { panic!("{:?}", ruling.decision.rules) };
    assert_eq!((rule.rule.as_str(), rule.cite.as_str()), ("rule-error:many-subjects", "Test Act s. 3"));
}

#[test]
fn a_permit_that_errors_denies_even_if_another_rule_permits() {
    let rules = format!(
        "{RULES}\n@id(\"odd\")\n@cite(\"s. 4\")\npermit (principal, action, resource) when {{ {OVERFLOWING} }};\n"
    );
    let rules = rules.replace("context.data.subjects > context.pack.thresholds.many", "context.data.subjects == 5");
    let lawbook = Policies::new(PACK, &rules, &CASES.replacen("rules = [\"readers", "rules = [\"odd\", \"readers", 1))
        .load()
        .unwrap();
    let ruling = lawbook.decide(&question(Action::Retrieve, Subject::Requester, classified(u64::MAX)));
    assert_eq!(ruling.decision.verdict, Verdict::Deny);
    assert_eq!(ruling.decision.rules[0].rule, "rule-error:odd");
}

#[test]
fn a_definition_that_errors_denies_by_the_rule_that_asks_for_it() {
    let pack = format!("{PACK}\n[definitions]\nbulk = '{OVERFLOWING}'\n");
    let rules = RULES.replace(
        "context.data has subjects && context.data.subjects > context.pack.thresholds.many",
        "context.term.bulk",
    );
    let lawbook = Policies::new(&pack, &rules, CASES).load().unwrap();
    let at = |subjects| lawbook.decide(&question(Action::Retrieve, Subject::Requester, classified(subjects))).decision;
    assert_eq!(at(500).verdict, Verdict::Allow);
    assert_eq!(at(501).rules[0].rule, "many-subjects");
    assert_eq!(at(u64::MAX).verdict, Verdict::Deny);
    assert_eq!(at(u64::MAX).rules[0].rule, "rule-error:many-subjects");
}

#[test]
fn what_no_rule_permits_is_denied_by_the_packs_default() {
    let lawbook = Policies::new(PACK, RULES, CASES).load().unwrap();
    let ruling = lawbook.decide(&question(Action::Query, Subject::Requester, Classification::default()));
    assert_eq!(ruling.decision.rules[0].rule, "no-rule-permits");
    assert_eq!(ruling.decision.rules[0].cite, "Test Act s. 1");
}

#[test]
fn an_action_that_a_subject_cannot_take_is_denied() {
    let lawbook = Policies::new(PACK, RULES, CASES).load().unwrap();
    let node = Subject::Node(NodeId::from_public_key([1; 32]));
    let ruling = lawbook.decide(&question(Action::Retrieve, node, Classification::default()));
    assert_eq!(ruling.decision.verdict, Verdict::Deny);
    assert_eq!(ruling.decision.rules[0].rule, "rule-error:request");
}

#[test]
fn a_case_that_comes_out_otherwise_is_reported_with_what_came() {
    for (from, to, says) in [
        ("expect = \"allow\"", "expect = \"deny\"", "verdict: expected deny, came allow"),
        (
            "rules = [\"many-subjects\"]",
            "rules = [\"many-subjects\", \"readers-at-home\"]",
            "rules: expected [many-subjects, readers-at-home], came [many-subjects]",
        ),
        ("limbs = [2]", "limbs = []", "limbs: expected [], came [2]"),
        ("limbs = [2]", "obligations = [\"log\"]\nlimbs = [2]", "obligations: expected log, came []"),
    ] {
        assert!(CASES.contains(from), "{from:?}");
        let report = run_cases(&Policies::new(PACK, RULES, &CASES.replacen(from, to, 1)).load().unwrap());
        assert!(!report.passed());
        assert!(report.to_string().contains(says), "{report}");
    }
}

#[test]
fn a_rule_that_determines_no_case_is_reported() {
    let few = CASES.replacen("subjects = \"11\"", "subjects = \"1\"", 1);
    let report = run_cases(&Policies::new(PACK, RULES, &few).load().unwrap());
    assert!(!report.passed());
    assert_eq!(report.packs[0].rules_in_no_case, ["many-subjects"]);
}

#[test]
fn cases_that_check_nothing_are_refused_at_load() {
    let (first, _) = CASES.rsplit_once("[[case]]").unwrap();
    for (cases, says) in [
        ("", "holds no case"),
        (first, "no case expects rule many-subjects"),
        (
            &*CASES.replacen("rules = [\"many", "rules = [\"readers-at-home\", \"too-many", 1),
            "expects rule too-many-subjects",
        ),
        (&*CASES.replacen("expect", "expects", 1), "expects"),
        (&*CASES.replacen("class = \"personal\"", "clas = \"personal\"", 1), "classification tag"),
        (&*CASES.replacen("expect = \"allow\"", "expect = \"allow\"\nparty = \"nobody\"", 1), "one of [parties]"),
    ] {
        let told = told(&Policies::new(PACK, RULES, cases).load().unwrap_err());
        assert!(told.contains("cases.toml") && told.contains(says), "{told}");
    }
}

#[test]
fn a_pack_that_contradicts_itself_is_refused() {
    let member = "members = [{ places = [\"DE\"] }]";
    for (members, refused) in [
        ("{ places = [\"DE\"] }, { places = [\"DE\"], suspended = true }", true),
        ("{ places = [\"DE\"] }, { places = [\"FR\", \"DE-BE\"], suspended = true }", true),
        (
            "{ places = [\"DE\"], to = \"2026-01-31\" }, { places = [\"DE\"], from = \"2026-01-31\", suspended = true }",
            true,
        ),
        (
            "{ places = [\"DE\"], to = \"2026-01-31\" }, { places = [\"DE\"], from = \"2026-02-01\", suspended = true }",
            false,
        ),
        ("{ places = [\"DE\"] }, { places = [\"DE\"], recipient = \"dpf\", suspended = true }", false),
        ("{ places = [\"DE\"] }, { places = [\"FR\"], suspended = true }", false),
    ] {
        let facts = PACK.replacen(member, &format!("members = [{members}]"), 1);
        let loaded = Policies::new(&facts, RULES, CASES).load();
        assert_eq!(loaded.is_err(), refused, "{members}");
        if let Err(error) = loaded {
            assert!(told(&error).contains("suspended and not suspended"), "{}", told(&error));
        }
    }
    let permit = "@id(\"readers-at-home\")\n@cite(\"Test Act s. 2\")\npermit";
    for (effect, says) in [
        ("forbid", "contradicts, on the same condition, rule readers-at-home"),
        ("permit", "says the same as rule readers-at-home"),
    ] {
        let twice = RULES.split("\n\n@id(\"many").next().unwrap().split_once(permit).unwrap().1.to_owned();
        let rules = format!("{RULES}\n@id(\"s-nine\")\n@cite(\"Test Act s. 9\")\n{effect}{twice}\n");
        let told = refused_rules(&rules);
        assert!(told.contains("rule s-nine does not validate") && told.contains(says), "{told}");
    }
}

#[test]
fn a_rule_about_somebody_by_name_is_refused() {
    let told = refused_rules(&RULES.replacen("principal is Requester", "principal == Requester::\"me\"", 1));
    assert!(told.contains("rule readers-at-home: a rule judges by facts"), "{told}");
}

#[test]
fn all_terms_at_once_are_no_term() {
    let pack = format!("{PACK}\n[definitions]\nhome = 'context.place.within.home'\n");
    let rules = RULES.replacen("context.place.within.home }", "context.term == { home: true } }", 1);
    let told = told(&Policies::new(&pack, &rules, CASES).load().unwrap_err());
    assert!(told.contains("rule readers-at-home") && told.contains("context.term"), "{told}");
}

#[test]
fn the_hash_of_a_pack_changes_with_any_of_its_files() {
    let hash = |policies: &Policies| policies.load().unwrap().packs().next().unwrap().version().hash.clone();
    let policies = Policies::new(PACK, RULES, CASES);
    let before = hash(&policies);
    assert_eq!(before, hash(&Policies::new(PACK, RULES, CASES)));
    for name in ["pack.toml", "rules.cedar", "cases.toml", "SOURCES.md"] {
        let policies = Policies::new(PACK, RULES, CASES);
        let text = fs::read_to_string(policies.file(name)).unwrap();
        fs::write(policies.file(name), text + "\n").unwrap();
        assert_ne!(before, hash(&policies), "{name}");
    }
}
