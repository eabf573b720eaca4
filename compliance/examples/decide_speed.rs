//! How long decisions take: `cargo run --release --example decide_speed -p domicile-compliance`.

use std::path::Path;
use std::time::{Duration, Instant};

use domicile_compliance::{Circumstances, Grounds, Lawbook};
use domicile_types::{
    Classification, EvidenceGrade, NodeId, OperationKind, PackId, ParseError, Place, Subject, SubjectFacts, UnixMillis,
};

/// 2026-11-22T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_305_600_000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let (load, lawbook) = timed(|| Lawbook::load(&policies));
    let lawbook = lawbook?;
    println!("load {} packs: {load:?}", lawbook.packs().count());
    let at = |subject, place: &str| {
        let places = vec![Place::parse(place)?];
        Ok::<_, ParseError>(SubjectFacts { subject, places, evidence: EvidenceGrade::Observed, party: None })
    };
    let gateway = at(Subject::Gateway(NodeId::from_public_key([0; 32])), "CN")?;
    let requester = at(Subject::Requester, "CN")?;
    let all: Vec<PackId> = lawbook.packs().map(|pack| pack.id().clone()).collect();
    for packs in [1, 5, 20] {
        let packs: Vec<PackId> = all.iter().take(packs).cloned().collect();
        for (operation, fleet) in
            [(OperationKind::HeadBucket, 0_u8), (OperationKind::GetObject, 6), (OperationKind::PutObject, 20)]
        {
            let nodes: Result<Vec<_>, _> =
                (1..=fleet).map(|seed| at(Subject::Node(NodeId::from_public_key([seed; 32])), "CN")).collect();
            let mut question = Circumstances {
                packs: &packs,
                classification: &Classification::default(),
                gateway: &gateway,
                requester: Some(&requester),
                nodes: &nodes?,
                now: NOW,
                located_warnings: &[],
                grounds: Grounds::NONE,
            }
            .question(operation);
            // What is stated of the data differs from question to question, so no answer is remembered.
            let rounds: u32 = 300;
            let (cold, ()) = timed(|| {
                for number in 0..rounds {
                    question.classification.subjects = Some(number.into());
                    drop(lawbook.decide(&question));
                }
            });
            let (warm, ()) = timed(|| (0..rounds).for_each(|_| drop(lawbook.decide(&question))));
            let asked = u32::try_from(question.asks.len() * packs.len())?;
            println!(
                "{operation:?}, {} asks of {} packs: {:?} at first, {:?} per ask and pack, {:?} when remembered",
                question.asks.len(),
                packs.len(),
                cold / rounds,
                cold / rounds / asked,
                warm / rounds
            );
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an example is a shell: it measures")]
fn timed<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = what();
    (start.elapsed(), result)
}
