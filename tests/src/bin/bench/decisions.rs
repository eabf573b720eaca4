//! Decisions per second and core, with nothing remembered: what judging costs.

use std::path::Path;

use anyhow::{Context, Result};
use domicile_compliance::{Ask, Circumstances, Grounds, Lawbook, Question};
use domicile_types::{
    Action, Classification, EvidenceGrade, NodeId, OperationKind, PackId, Party, PartyId, Place, Subject, SubjectFacts,
    UnixMillis,
};

use crate::Effort;
use crate::report::{Cell, Table};
use crate::stopwatch::{float, timed, today, widen};

const NOTES: [&str; 2] = [
    "Every question is another, by what it states of the data, so no answer is remembered. One ask: may this requester \
     retrieve this. GetObject: the eleven asks of gateway, requester and six nodes.",
    "With n packs a question is put to the first n by name, and all must allow. CPU seconds of one thread.",
];

/// How many packs are asked.
const PACKS: [usize; 3] = [1, 5, 20];

/// Decides many questions of one ask and of eleven.
pub(crate) fn run(policies: &Path, effort: Effort) -> Result<Table> {
    eprintln!("bench: decisions");
    let failed = || format!("{} cannot be used: run at the workspace's root, or give --policies", policies.display());
    let lawbook = Lawbook::load(policies).with_context(failed)?;
    let mut table = Table::new("decisions", "Decisions, nothing remembered", &NOTES);
    for packs in PACKS {
        let ids: Vec<PackId> = lawbook.packs().map(|pack| pack.id().clone()).take(packs).collect();
        let whole = question(&ids)?;
        let mut one = whole.clone();
        one.asks.retain(|ask: &Ask| ask.action == Action::Retrieve);
        for (what, question) in [("one ask", one), ("GetObject", whole)] {
            let rounds = 20_000 * u64::from(effort.times) / widen(ids.len() * question.asks.len()).max(1);
            let mut questions: Vec<Question> = Vec::new();
            for number in 0..rounds.max(50) {
                let mut other = question.clone();
                other.classification.subjects = Some(number);
                questions.push(other);
            }
            let took = timed(|| {
                questions.iter().for_each(|question| drop(std::hint::black_box(lawbook.decide(question))));
                Ok(())
            })?;
            let micros = took.wall.as_secs_f64() * 1e6 / float(widen(questions.len()));
            table.row(vec![
                ("packs", Cell::Number(float(widen(ids.len())), 0)),
                ("question", Cell::Text(what.to_owned())),
                ("asks", Cell::Number(float(widen(question.asks.len())), 0)),
                ("decisions/s and core", Cell::Number(1e6 / micros, 0)),
                ("us/decision", Cell::Number(micros, 1)),
                ("us/ask and pack", Cell::Number(micros / float(widen(ids.len() * question.asks.len())), 2)),
            ]);
        }
    }
    Ok(table)
}

/// A GetObject within one country, of personal data.
fn question(packs: &[PackId]) -> Result<Question> {
    let place = Place::parse("DE")?;
    let party = |id: &str| -> Result<Party> {
        Ok(Party {
            id: PartyId::parse(id)?,
            name: id.to_owned(),
            incorporated: place,
            headquartered: place,
            owners: Vec::new(),
            controlled_by: None,
            certifications: Vec::new(),
        })
    };
    let facts = |subject, id: &str| -> Result<SubjectFacts> {
        Ok(SubjectFacts { subject, places: vec![place], evidence: EvidenceGrade::Observed, party: Some(party(id)?) })
    };
    let nodes: Vec<SubjectFacts> = (1..=6)
        .map(|seed| facts(Subject::Node(NodeId::from_public_key([seed; 32])), "operator"))
        .collect::<Result<_>>()?;
    let classification = Classification::from_tags([("domicile:class", "personal"), ("domicile:sensitive", "0")])?;
    Ok(Circumstances {
        packs,
        classification: &classification,
        gateway: &facts(Subject::Gateway(NodeId::from_public_key([9; 32])), "gateway")?,
        requester: Some(&facts(Subject::Requester, "reader")?),
        nodes: &nodes,
        now: UnixMillis::from(today()),
        located_warnings: &[],
        grounds: Grounds::NONE,
    }
    .question(OperationKind::GetObject))
}
