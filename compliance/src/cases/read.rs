//! `cases.toml`, read.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{
    Action, ApprovalId, ApprovalRef, Classification, CountMethod, Counts, EvidenceGrade, Limb, MechanismId, NodeId,
    OperationKind, ParseError, Party, Place, Subject, SubjectFacts, Total, UnixMillis, Verdict,
};
use serde::Deserialize;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::decide::{Ask, AskClass, Question};
use crate::pack::Pack;

/// One scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// A sentence: what must hold.
    pub name: String,
    /// What is asked.
    pub question: Question,
    /// What it must come to.
    pub expect: Verdict,
    /// Exactly the rules that determine it.
    pub rules: BTreeSet<String>,
    /// Exactly the limbs of export it is recognised by; none: no export.
    pub limbs: BTreeSet<Limb>,
    /// Obligations that must be among those of the decision.
    pub obligations: BTreeSet<String>,
}

/// A `cases.toml` that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseReadError {
    /// Not TOML, or a field that no case has. The source shows the line.
    #[error("cases.toml does not read as it should: correct the place shown")]
    Toml(#[source] toml::de::Error),
    /// No case at all.
    #[error("cases.toml holds no case: a pack without scenarios is a pack nobody has checked")]
    Empty,
    /// A case whose day, tags or party do not parse.
    #[error("case {name:?}: {field}")]
    Field {
        /// Which case.
        name: String,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: ParseError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCases {
    #[serde(default, rename = "case")]
    cases: Vec<RawCase>,
    /// Parties that cases name.
    #[serde(default)]
    parties: BTreeMap<String, Party>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    subject: RawSubject,
    action: Action,
    /// By default, a usual operation for the action.
    operation: Option<OperationKind>,
    places: Vec<Place>,
    #[serde(default = "observed")]
    evidence: EvidenceGrade,
    party: Option<String>,
    /// Object tags, without their prefix.
    #[serde(default)]
    data: BTreeMap<String, String>,
    /// Mechanisms that an approval in force stands on.
    #[serde(default)]
    approved: BTreeSet<MechanismId>,
    /// What ledgers come to with this request. One that is not named is unknown.
    #[serde(default)]
    totals: BTreeMap<String, Tally>,
    /// The day of the question; by default the pack's `as_of`.
    on: Option<String>,
    expect: Verdict,
    rules: BTreeSet<String>,
    #[serde(default)]
    limbs: BTreeSet<Limb>,
    #[serde(default)]
    obligations: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tally {
    #[serde(default)]
    subjects: u64,
    #[serde(default)]
    sensitive: u64,
    #[serde(default)]
    bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawSubject {
    Node,
    Gateway,
    Requester,
    KeyService,
}

const fn observed() -> EvidenceGrade {
    EvidenceGrade::Observed
}

/// Reads the cases of `pack`.
pub fn read_cases(pack: &Pack) -> Result<Vec<Case>, CaseReadError> {
    let raw: RawCases = toml::from_str(pack.cases()).map_err(CaseReadError::Toml)?;
    if raw.cases.is_empty() {
        return Err(CaseReadError::Empty);
    }
    let parties = &raw.parties;
    raw.cases.into_iter().map(|case| case.read(pack, parties)).collect()
}

impl RawCase {
    fn read(self, pack: &Pack, parties: &BTreeMap<String, Party>) -> Result<Case, CaseReadError> {
        let name = self.name.clone();
        let fault = |field| {
            let name = name.clone();
            move |source: ParseError| CaseReadError::Field { name, field, source }
        };
        let day = self.on.as_deref().unwrap_or(&pack.version().as_of);
        let now = noon(day).map_err(fault("on"))?;
        let tags: Vec<(String, &str)> = self
            .data
            .iter()
            .map(|(tag, value)| (format!("{}{tag}", Classification::TAG_PREFIX), value.as_str()))
            .collect();
        let classification =
            Classification::from_tags(tags.iter().map(|(tag, value)| (tag.as_str(), *value))).map_err(fault("data"))?;
        let unknown = |name: &str| ParseError::new("party", name, "one of [parties] in this file");
        let party = self.party.as_deref().map(|name| parties.get(name).cloned().ok_or_else(|| unknown(name)));
        let party = party.transpose().map_err(fault("party"))?;
        let facts = pack.facts();
        if let Some(mechanism) = self.approved.iter().find(|mechanism| !facts.mechanisms.contains_key(mechanism)) {
            let problem = ParseError::new("mechanism", mechanism.as_str(), "one of [mechanisms] in pack.toml");
            return Err(fault("approved")(problem));
        }
        if let Some(ledger) = self.totals.keys().find(|ledger| !facts.ledgers.contains_key(*ledger)) {
            return Err(fault("totals")(ParseError::new("ledger", ledger, "one of [ledgers] in pack.toml")));
        }
        let approvals = self.approved.iter().map(|mechanism| ApprovalRef {
            id: ApprovalId::from_bytes([0; 16]),
            pack: pack.id().clone(),
            mechanism: mechanism.clone(),
            expires: now.plus_millis(24 * 60 * 60 * 1000),
        });
        let totals = self.totals.iter().map(|(ledger, tally)| Total {
            pack: pack.id().clone(),
            ledger: ledger.clone(),
            since: facts.ledgers.get(ledger).map_or(now, |ledger| ledger.since(now)),
            before: Counts::default(),
            after: Counts { subjects: tally.subjects, sensitive: tally.sensitive, bytes: tally.bytes },
            method: CountMethod::Sum,
        });
        let question = Question {
            approvals: approvals.collect(),
            totals: totals.collect(),
            operation: self.operation.unwrap_or_else(|| usual_operation(self.action)),
            packs: vec![pack.id().clone()],
            classification,
            asks: vec![Ask {
                action: self.action,
                facts: SubjectFacts {
                    subject: self.subject.stand_in(),
                    places: self.places.clone(),
                    evidence: self.evidence,
                    party,
                },
                class: AskClass::Required,
            }],
            now,
            located_warnings: Vec::new(),
        };
        Ok(Case {
            name: self.name,
            question,
            expect: self.expect,
            rules: self.rules,
            limbs: self.limbs,
            obligations: self.obligations,
        })
    }
}

impl RawSubject {
    /// Rules judge by facts; which node or gateway it is does not matter to a case.
    const fn stand_in(&self) -> Subject {
        let nobody = NodeId::from_public_key([0; 32]);
        match self {
            Self::Node => Subject::Node(nobody),
            Self::Gateway => Subject::Gateway(nobody),
            Self::Requester => Subject::Requester,
            Self::KeyService => Subject::KeyService,
        }
    }
}

const fn usual_operation(action: Action) -> OperationKind {
    match action {
        Action::Store | Action::Process | Action::HoldKey | Action::Index | Action::Log => OperationKind::PutObject,
        Action::Retrieve | Action::Relay => OperationKind::GetObject,
        Action::Query => OperationKind::ListObjects,
        Action::Repair => OperationKind::Repair,
        Action::Administer => OperationKind::DeleteObject,
    }
}

/// Noon of a day, in UTC.
fn noon(day: &str) -> Result<UnixMillis, ParseError> {
    let parsed = Date::parse(day, format_description!("[year]-[month]-[day]"));
    let parsed = parsed.map_err(|_| ParseError::new("day", day, "YYYY-MM-DD"))?;
    Ok(UnixMillis::from(OffsetDateTime::new_utc(parsed, time::Time::MIDNIGHT)).plus_millis(12 * 60 * 60 * 1000))
}
