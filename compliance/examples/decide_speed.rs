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
    let packs = [PackId::parse("cn-data-export")?];
    for (operation, fleet) in [(OperationKind::GetObject, 6_u8), (OperationKind::PutObject, 20)] {
        let nodes: Result<Vec<_>, _> =
            (1..=fleet).map(|seed| at(Subject::Node(NodeId::from_public_key([seed; 32])), "CN")).collect();
        let question = Circumstances {
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
        let (cold, _) = timed(|| lawbook.decide(&question));
        let rounds = 2000;
        let (warm, _) = timed(|| (0..rounds).for_each(|_| drop(lawbook.decide(&question))));
        println!("{operation:?}, {} asks: {cold:?} at first, {:?} after", question.asks.len(), warm / rounds);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an example is a shell: it measures")]
fn timed<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = what();
    (start.elapsed(), result)
}
