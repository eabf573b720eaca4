//! `rules.cedar`: parsed, annotated, validated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use cedar_policy::{
    Effect, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint, Schema, ValidationMode, Validator,
};
use domicile_types::{Limb, Obligation};
use miette::Diagnostic;

use crate::pack::bench::{Benches, Unfit};
use crate::pack::definitions::Definitions;
use crate::pack::{PackFacts, PackFiles, PackLoadError, schema};

/// The annotations a rule may bear. A misspelt one would silently lose its meaning.
const ANNOTATIONS: [&str; 5] = ["id", "cite", "limb", "obligation", "note"];
/// The longest citation, in bytes: a decision with all its rules has to fit into a log entry.
const CITE_BYTES_MAX: usize = 160;
/// The most rules of a pack.
const RULES_MAX: usize = 256;

/// What the annotations of a rule say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether it permits; otherwise it forbids.
    pub permits: bool,
    /// The article it stands on.
    pub cite: String,
    /// The limb of export that it recognises.
    pub limb: Option<Limb>,
    /// On a permit: what must be done by whoever uses it. On a forbid: what would be needed.
    pub obligations: Vec<Obligation>,
    /// Line of `rules.cedar`, from 1.
    pub line: usize,
}

/// The rules of a pack.
#[derive(Debug)]
pub struct RuleBook {
    rules: BTreeMap<String, Rule>,
    benches: Benches,
    /// What the benches were made from, for tests that make others.
    #[cfg(test)]
    source: Source,
}

/// The rules and terms as they were written, and the type of what they see.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) policies: PolicySet,
    pub(crate) schema: Schema,
    pub(crate) definitions: Definitions,
}

impl RuleBook {
    /// Parses `rules.cedar` and validates it in strict mode against the schema that `facts` make.
    pub(crate) fn parse(facts: &PackFacts, files: &PackFiles) -> Result<Self, PackLoadError> {
        let reader = Reader { path: files.path("rules.cedar"), text: &files.rules };
        let parsed = PolicySet::from_str(&files.rules).map_err(|errors| reader.syntax(&errors))?;
        if parsed.num_of_templates() > 0 {
            return Err(reader.annotation(1, "(template)", "templates have no place in a pack: write the rule out"));
        }
        if parsed.is_empty() || parsed.num_of_policies() > RULES_MAX {
            return Err(reader.annotation(1, "(all)", &format!("a pack has 1 to {RULES_MAX} rules")));
        }
        let mut policies = PolicySet::new();
        let mut rules = BTreeMap::new();
        for policy in parsed.policies() {
            let line = reader.line_of_rule(policy);
            let id = reader.id(policy, line)?;
            rules.insert(id.clone(), reader.rule(policy, &id, line)?);
            policies
                .add(policy.new_id(PolicyId::new(&id)))
                .map_err(|_| reader.annotation(line, &id, "another rule has this @id: give each its own"))?;
        }
        let schema = schema::parse(&schema::schema_text(facts), files)?;
        let definitions = Definitions::parse(facts, files)?;
        reader.validate(&policies, &schema, &rules)?;
        let contradiction = reader.contradiction(&policies, &rules);
        if let Some(fault) = contradiction {
            return Err(fault);
        }
        let benches = Benches::of(&policies, &definitions).map_err(|unfit| reader.unfit(&unfit, &rules))?;
        Ok(Self {
            rules,
            benches,
            #[cfg(test)]
            source: Source { policies, schema, definitions },
        })
    }

    /// The rules by `@id`.
    #[must_use]
    pub const fn rules(&self) -> &BTreeMap<String, Rule> {
        &self.rules
    }

    /// The rules as they can be put to Cedar, by whom and what they are about.
    pub(crate) const fn benches(&self) -> &Benches {
        &self.benches
    }
}

#[cfg(test)]
impl RuleBook {
    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    /// The same book with other rules on its benches.
    pub(crate) fn with_benches(&self, benches: Benches) -> Self {
        Self { rules: self.rules.clone(), benches, source: self.source.clone() }
    }
}

/// Names file and line in every fault.
struct Reader<'a> {
    path: PathBuf,
    text: &'a str,
}

impl Reader<'_> {
    fn validate(
        &self,
        policies: &PolicySet,
        schema: &Schema,
        rules: &BTreeMap<String, Rule>,
    ) -> Result<(), PackLoadError> {
        let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
        let line_of = |rule: &str| rules.get(rule).map_or(1, |rule| rule.line);
        if let Some(error) = result.validation_errors().next() {
            let rule: &str = error.policy_id().as_ref();
            return Err(self.invalid(rule, self.line_of(error).unwrap_or_else(|| line_of(rule)), told(error)));
        }
        // Warnings are refused, too: a rule that can never apply is a mistake in a text that has the force of law.
        if let Some(warning) = result.validation_warnings().next() {
            let rule: &str = warning.policy_id().as_ref();
            return Err(self.invalid(rule, self.line_of(warning).unwrap_or_else(|| line_of(rule)), told(warning)));
        }
        Ok(())
    }

    /// Two rules of one scope and condition: the same law twice, or a permit that its own forbid takes back.
    fn contradiction(&self, policies: &PolicySet, rules: &BTreeMap<String, Rule>) -> Option<PackLoadError> {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for (id, rule) in rules {
            let policy = policies.policy(&PolicyId::new(id))?;
            let mut json = policy.to_json().ok()?;
            if let Some(fields) = json.as_object_mut() {
                fields.remove("effect");
                fields.remove("annotations");
            }
            if let Some(other) = seen.insert(json.to_string(), id.clone()) {
                let same = rules.get(&other).is_some_and(|other| other.permits == rule.permits);
                let problem = if same { "says the same as" } else { "contradicts, on the same condition," };
                let problem = format!("{problem} rule {other}: keep the one that is the law");
                return Some(self.invalid(id, rule.line, problem));
            }
        }
        None
    }

    fn unfit(&self, unfit: &Unfit, rules: &BTreeMap<String, Rule>) -> PackLoadError {
        let line = rules.get(&unfit.rule).map_or(1, |rule| rule.line);
        self.invalid(&unfit.rule, line, unfit.problem.clone())
    }

    fn invalid(&self, rule: &str, line: usize, problem: String) -> PackLoadError {
        PackLoadError::RuleInvalid { path: self.path.clone(), line, rule: rule.to_owned(), problem }
    }

    fn syntax(&self, errors: &cedar_policy::ParseErrors) -> PackLoadError {
        let first = errors.iter().next();
        let line = first.and_then(|error| self.line_of(error)).unwrap_or(1);
        let problem = first.map_or_else(|| errors.to_string(), |error| told(error));
        PackLoadError::RuleSyntax { path: self.path.clone(), line, problem }
    }

    fn annotation(&self, line: usize, rule: &str, problem: &str) -> PackLoadError {
        PackLoadError::Annotation { path: self.path.clone(), line, rule: rule.to_owned(), problem: problem.to_owned() }
    }

    /// The line that a diagnostic of Cedar points at.
    fn line_of(&self, diagnostic: &dyn Diagnostic) -> Option<usize> {
        let offset = diagnostic.labels()?.map(|label| label.offset()).next()?;
        Some(self.line_at(offset))
    }

    /// A policy prints as it was written, so its text is found in the file.
    fn line_of_rule(&self, policy: &Policy) -> usize {
        self.text.find(&policy.to_string()).map_or(1, |offset| self.line_at(offset))
    }

    fn line_at(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    fn id(&self, policy: &Policy, line: usize) -> Result<String, PackLoadError> {
        let id = policy.annotation("id").unwrap_or_default();
        let kebab = (1..=64).contains(&id.len())
            && id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if kebab {
            return Ok(id.to_owned());
        }
        let shown = if id.is_empty() { "(without @id)" } else { id };
        Err(self.annotation(line, shown, "every rule needs an @id of a-z, 0-9 and -, such as @id(\"store-onshore\")"))
    }

    fn rule(&self, policy: &Policy, id: &str, line: usize) -> Result<Rule, PackLoadError> {
        let fault = |problem: &str| self.annotation(line, id, problem);
        if let Some((unknown, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
            return Err(fault(&format!("@{unknown} means nothing: use {}", ANNOTATIONS.join(", "))));
        }
        let by_kind = matches!(policy.principal_constraint(), PrincipalConstraint::Any | PrincipalConstraint::Is(_));
        if !by_kind || !matches!(policy.resource_constraint(), ResourceConstraint::Any) {
            return Err(fault(
                "a rule judges by facts: its scope names kinds of principals, nobody by name, and any resource",
            ));
        }
        let cite = policy.annotation("cite").unwrap_or_default().trim();
        if cite.is_empty() || cite.len() > CITE_BYTES_MAX {
            return Err(fault(&format!("every rule needs an @cite of 1 to {CITE_BYTES_MAX} bytes: name the article")));
        }
        let limb = policy.annotation("limb").map(|limb| match limb.as_bytes() {
            [digit @ b'1'..=b'9'] => Ok(Limb(digit - b'0')),
            _ => Err(fault("@limb is one digit, 1 to 9")),
        });
        let obligations = policy.annotation("obligation").map(obligations);
        let malformed = "@obligation is kebab-case with an optional :argument, several joined by ;";
        Ok(Rule {
            permits: policy.effect() == Effect::Permit,
            cite: cite.to_owned(),
            limb: limb.transpose()?,
            obligations: obligations.map_or(Some(Vec::new()), |all| all).ok_or_else(|| fault(malformed))?,
            line,
        })
    }
}

fn obligations(text: &str) -> Option<Vec<Obligation>> {
    let parse = |text: &str| {
        let (verb, argument) = text.split_once(':').unwrap_or((text, "-"));
        let fits = !verb.is_empty() && verb.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        let fits = fits && !argument.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Obligation(text.to_owned()))
    };
    text.split(';').map(|text| parse(text.trim())).collect()
}

/// A diagnostic in one line: what it says, what it points at, what it advises.
pub(super) fn told(diagnostic: &dyn Diagnostic) -> String {
    let mut told = diagnostic.to_string();
    let labels = diagnostic.labels().into_iter().flatten().filter_map(|label| label.label().map(str::to_owned));
    let help = diagnostic.help().map(|help| help.to_string());
    for more in labels.chain(help) {
        told.push_str("; ");
        told.push_str(&more);
    }
    told
}
