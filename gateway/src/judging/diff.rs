//! What one version of a pack changes of another: facts, rules by `@id`, and scenarios that come out otherwise. Pure.

use std::collections::{BTreeMap, BTreeSet};

use domicile_compliance::Lawbook;
use domicile_compliance::cases::read_cases;
use domicile_compliance::pack::{Pack, PackFiles, PackLoadError};
use domicile_types::{Decision, PackId, PackVersion, Verdict};
use serde::{Deserialize, Serialize};

/// What a version changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PackDiff {
    /// From which version.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub old: PackVersion,
    /// To which.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub new: PackVersion,
    /// Facts, groups with their dates, thresholds, mechanisms, ledgers, terms.
    pub facts: Vec<FactChange>,
    /// Rules that are new.
    pub rules_added: Vec<String>,
    /// Rules that are gone.
    pub rules_removed: Vec<String>,
    /// Rules that say something else.
    pub rules_changed: Vec<RuleChange>,
    /// Scenarios of either version that come out otherwise.
    pub cases: Vec<CaseChange>,
}

/// A fact of `pack.toml` that is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FactChange {
    /// Where: `thresholds.subjects`, `groups.adequate.members[JP].until`.
    pub fact: String,
    /// What it was; none: it was not there.
    pub old: Option<String>,
    /// What it is; none: it is not there any more.
    pub new: Option<String>,
}

/// A rule that says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RuleChange {
    /// Its `@id`.
    pub rule: String,
    /// What it said.
    pub old: String,
    /// What it says.
    pub new: String,
}

/// A scenario that comes out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CaseChange {
    /// Its name.
    pub case: String,
    /// What the old version makes of it, with its rules.
    pub old: String,
    /// What the new one makes of it.
    pub new: String,
}

/// Compares two versions of a pack.
pub fn diff(id: &PackId, old: &PackFiles, new: &PackFiles) -> Result<PackDiff, PackLoadError> {
    let (before, after) = (Pack::parse(id.clone(), old)?, Pack::parse(id.clone(), new)?);
    let (was, is) = (rule_texts(&before, &old.rules), rule_texts(&after, &new.rules));
    let changed = |(rule, text): (&String, &String)| {
        let other = is.get(rule).filter(|other| *other != text)?;
        Some(RuleChange { rule: rule.clone(), old: text.clone(), new: other.clone() })
    };
    Ok(PackDiff {
        old: before.version().clone(),
        new: after.version().clone(),
        facts: fact_changes(&old.facts, &new.facts),
        rules_added: is.keys().filter(|rule| !was.contains_key(*rule)).cloned().collect(),
        rules_removed: was.keys().filter(|rule| !is.contains_key(*rule)).cloned().collect(),
        rules_changed: was.iter().filter_map(changed).collect(),
        cases: case_changes(before, after),
    })
}

/// Each rule's text without comments and surplus blanks, by its `@id`.
fn rule_texts(pack: &Pack, text: &str) -> BTreeMap<String, String> {
    let rules = pack.rules().rules();
    let mut starts: Vec<(usize, &String)> = rules.iter().map(|(id, rule)| (rule.line, id)).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).map(|(line, _)| *line).chain([usize::MAX]);
    let within = |(from, to): (usize, usize)| {
        let lines = text.lines().enumerate().filter(|(index, _)| (from..to).contains(&(index + 1)));
        let lines = lines.map(|(_, line)| line.trim()).filter(|line| !line.is_empty() && !line.starts_with("//"));
        lines.collect::<Vec<_>>().join(" ")
    };
    starts.iter().zip(ends).map(|((from, id), to)| ((*id).clone(), within((*from, to)))).collect()
}

fn fact_changes(old: &str, new: &str) -> Vec<FactChange> {
    // Both have loaded, so both are TOML; if one were not, all of the other would show.
    let flat = |text: &str| {
        let mut facts = BTreeMap::new();
        if let Ok(table) = text.parse::<toml::Table>() {
            flatten("", &toml::Value::Table(table), &mut facts);
        }
        facts
    };
    let (old, new) = (flat(old), flat(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change =
        |name: &String| FactChange { fact: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() };
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).map(change).collect()
}

/// Every scalar by its path. Members of lists go by what they are called, so that one that is inserted changes no other.
fn flatten(path: &str, value: &toml::Value, facts: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, facts);
            }
        }
        toml::Value::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                match value {
                    toml::Value::Table(table) => {
                        let named = ["id", "name", "place", "places", "group"].iter().find_map(|key| table.get(*key));
                        let named = named.map_or_else(|| index.to_string(), words);
                        // Members that are called alike are told apart by the order in which they stand.
                        let same = |taken: &String| taken.starts_with(&format!("{path}[{named}]"));
                        let named = if facts.keys().any(same) { format!("{named} {index}") } else { named };
                        flatten(&format!("{path}[{named}]"), value, facts);
                    }
                    value => drop(facts.insert(format!("{path}[{}]", words(value)), "listed".to_owned())),
                }
            }
        }
        value => drop(facts.insert(path.to_owned(), words(value))),
    }
}

fn words(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(array) => array.iter().map(words).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

/// Every scenario of both versions, under both.
fn case_changes(before: Pack, after: Pack) -> Vec<CaseChange> {
    let cases: Vec<_> = [&before, &after].into_iter().filter_map(|pack| read_cases(pack).ok()).flatten().collect();
    let (old, new) = (Lawbook::of(vec![before]), Lawbook::of(vec![after]));
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for case in cases {
        // A scenario that both have is asked once; one that was rewritten is another scenario.
        if !seen.insert((case.name.clone(), case.question.hash())) {
            continue;
        }
        let (was, is) = (old.decide(&case.question).decision, new.decide(&case.question).decision);
        if outcome(&was) != outcome(&is) {
            changes.push(CaseChange { case: case.name, old: outcome(&was), new: outcome(&is) });
        }
    }
    changes
}

/// The verdict, whether it is an export, and by which rules.
pub(super) fn outcome(decision: &Decision) -> String {
    let verdict = if decision.verdict == Verdict::Allow { "allow" } else { "deny" };
    let export = if decision.export { ", an export" } else { "" };
    let rules: Vec<String> = decision.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
    format!("{verdict}{export} by {}", rules.join(" "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn china() -> (PackId, PackFiles) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("policies/cn-data-export");
        (PackId::parse("cn-data-export").unwrap(), PackFiles::read(&folder).unwrap())
    }

    #[test]
    fn a_version_differs_in_nothing_from_itself_whatever_its_comments_say() {
        let (id, old) = china();
        let mut new = old.clone();
        new.rules = format!("// read again\n{}", new.rules);
        let found = diff(&id, &old, &new).unwrap();
        assert_ne!(found.old.hash, found.new.hash);
        assert_eq!((found.facts, found.rules_added, found.rules_removed), (vec![], vec![], vec![]));
        assert_eq!((found.rules_changed, found.cases), (vec![], vec![]));
    }

    #[test]
    fn a_rule_that_forbids_shows_with_the_scenarios_that_it_turns() {
        let (id, old) = china();
        let mut new = old.clone();
        new.facts = new.facts.replacen("retention_days = ", "retention_days = 1", 1);
        new.rules.push_str(
            "\n@id(\"nothing-stays\")\n@cite(\"made up for a test\")\nforbid (principal, action == Action::\"Store\", resource);\n",
        );
        new.cases.push_str(
            "\n[[case]]\nname = \"nothing stays\"\nsubject = \"node\"\naction = \"Store\"\nplaces = [\"CN\"]\nexpect = \"deny\"\nrules = [\"nothing-stays\"]\n",
        );
        let found = diff(&id, &old, &new).unwrap();
        assert_eq!(found.rules_added, ["nothing-stays"]);
        let [fact] = found.facts.as_slice() else { panic!("{:?}", found.facts) };
        assert_eq!(fact.fact, "retention_days");
        assert_eq!(fact.new, fact.old.as_ref().map(|old| format!("1{old}")));
        assert!(!found.cases.is_empty());
        for case in &found.cases {
            assert!(case.new.contains("cn-data-export/nothing-stays"), "{case:?}");
        }
        // And the other way round.
        let back = diff(&id, &new, &old).unwrap();
        assert_eq!(back.rules_removed, ["nothing-stays"]);
        assert_eq!(back.cases.len(), found.cases.len());
    }

    #[test]
    fn a_member_of_a_group_shows_with_its_dates() {
        let old = "[groups.adequate]\nmembers = [{ places = [\"JP\"], from = 2019-01-23 }, { places = [\"GB\"], from = 2021-06-28 }]\n";
        let new = "[groups.adequate]\nmembers = [{ places = [\"JP\"], from = 2019-01-23, until = 2026-01-01 }]\n";
        let shown: Vec<_> = fact_changes(old, new).into_iter().map(|it| (it.fact, it.old, it.new)).collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            shown,
            [
                ("groups.adequate.members[GB].from".to_owned(), text("2021-06-28"), None),
                ("groups.adequate.members[GB].places[GB]".to_owned(), text("listed"), None),
                ("groups.adequate.members[JP].until".to_owned(), None, text("2026-01-01")),
            ]
        );
    }
}
