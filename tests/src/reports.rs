//! Reports without a gateway: a made-up log of exports, and the program that makes PDFs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use domicile_compliance::report::{Gathering, LogState, Material, NodeFacts};
use domicile_types::{
    Budget, Charge, Classification, Commitment, Counts, DataClass, Decision, Entry, EvidenceGrade, IdentityKey, Intent,
    OperationKind, Outcome, OutcomeStatus, PackId, PackVersion, PartyId, Place, Record, RequestId, RuleRef, UnixMillis,
    Verdict,
};

/// When the made-up period begins: 21 September 2026.
pub const START: UnixMillis = UnixMillis(1_789_948_800_000);
/// How long it is: 30 days.
const PERIOD_MILLIS: u64 = 30 * 86_400_000;
/// Destinations, in turn.
const PLACES: [&str; 5] = ["DE", "HK", "SG", "US", "unknown"];

/// What `exports` reads from abroad leave in a log, every tenth of them refused, with one person more each time.
///
/// # Errors
/// None that depends on `exports`, up to what a report takes.
pub fn material(exports: u64) -> Result<Material> {
    let mut gathering = Gathering::new(START, START.plus_millis(PERIOD_MILLIS), None);
    let gateway = IdentityKey::from_seed(&[7; 32]).id();
    let mut index = 1_000;
    for nth in 0..exports {
        let refused = nth % 10 == 9;
        let intent = intent(nth, refused)?;
        let (bytes, time) =
            (intent.range.map_or(0, |(_, end)| end), START.plus_millis(nth * (PERIOD_MILLIS / exports.max(1))));
        let request = u128::from(nth).to_be_bytes();
        let record =
            |entry| Record { v: Record::VERSION, time, gateway, request: RequestId::from_bytes(request), entry };
        gathering.take(index, record(if refused { Entry::Denied(intent) } else { Entry::Intent(intent) }))?;
        if !refused {
            let outcome = Outcome { intent: index, status: OutcomeStatus::Completed, bytes, http_status: 200 };
            gathering.take(index + 1, record(Entry::Outcome(outcome)))?;
        }
        index += 2;
    }
    let classification = Classification {
        classes: BTreeSet::from([DataClass::parse("personal")?, DataClass::parse("health")?]),
        ..Classification::default()
    };
    Ok(Material {
        period: (START, START.plus_millis(PERIOD_MILLIS)),
        made: START.plus_millis(PERIOD_MILLIS + 3_600_000),
        log: LogState {
            gateway,
            place: Place::parse("CN")?,
            key: "domicile.example/cn+1b2c3d4e+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh".to_owned(),
            size: index,
            root: "mJ0yJ0bGkq3k1mZ0m8Yy4o4b1mJ0yJ0bGkq3k1mZ0m8=".to_owned(),
        },
        gathered: gathering.finish(),
        names: BTreeMap::from([
            // A character that no font of the renderer has, in a name that somebody chose.
            (Commitment::from_digest([3; 32]), "医学影像-train \u{1f600}".to_owned()),
        ]),
        classes: BTreeMap::from([("cd".repeat(32), classification)]),
        nodes: nodes()?,
        shards: Some(BTreeMap::from([
            (Place::parse("CN")?, 96),
            (Place::parse("CN-GD")?, 24),
            (Place::parse("HK")?, 3),
            (Place::parse("DE")?, 1),
        ])),
        bucket: None,
        deletions: None,
        packs: Vec::new(),
    })
}

fn nodes() -> Result<Vec<NodeFacts>> {
    let places = ["CN", "CN", "CN-GD", "HK", "DE", "US", "NZ", "BR"];
    let node = |(nth, place): (u8, &str)| -> Result<NodeFacts> {
        Ok(NodeFacts {
            id: IdentityKey::from_seed(&[nth; 32]).id(),
            place: Place::parse(place)?,
            operator: format!("operator-{nth}"),
            controller: format!("controller-{}", nth / 2),
            evidence: if nth % 2 == 0 { EvidenceGrade::Measured } else { EvidenceGrade::Observed },
            fenced: nth == 5,
        })
    };
    (1..).zip(places).map(node).collect()
}

fn intent(nth: u64, refused: bool) -> Result<Intent> {
    let pack = PackId::parse("cn-data-export")?;
    let place = usize::try_from(nth)? % PLACES.len();
    let verdict = if refused { Verdict::Deny } else { Verdict::Allow };
    let rule = if refused { "no-rule-permits" } else { "standard-contract" };
    let bytes = 1_048_576 + nth;
    Ok(Intent {
        operation: OperationKind::GetObject,
        actor: Commitment::from_digest([1; 32]),
        address: Commitment::from_digest([2; 32]),
        bucket: Some(Commitment::from_digest([3; 32])),
        key: Some(Commitment::from_digest([4; 32])),
        requester_places: vec![Place::parse(PLACES.get(place).copied().unwrap_or("unknown"))?],
        gateway_place: Place::parse("CN")?,
        decision: Decision {
            verdict,
            export: true,
            rules: vec![RuleRef {
                pack: pack.clone(),
                rule: rule.to_owned(),
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
        range: Some((0, bytes)),
        node_places: Vec::new(),
        shards: Vec::new(),
        budget: Budget { node_bytes_max: bytes },
        expires: START.plus_millis(PERIOD_MILLIS),
        epoch: 0,
        worker: None,
        charge: (!refused)
            .then(|| -> Result<Charge> {
                let counts = Counts { subjects: nth + 1, sensitive: nth / 2, bytes };
                Ok(Charge { recipient: Some(PartyId::parse("acme-gmbh")?), counts, ..Charge::default() })
            })
            .transpose()?,
    })
}

/// What the renderer makes of a report's JSON.
///
/// # Errors
/// What it says against it.
pub fn rendered(renderer: &Path, report: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(renderer)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", renderer.display()))?;
    // It reads all of it before it writes anything, or refuses.
    let written = child.stdin.take().context("the renderer has no standard input")?.write_all(report);
    let done = child.wait_with_output()?;
    ensure!(done.status.success(), "{} made nothing: {}", renderer.display(), String::from_utf8_lossy(&done.stderr));
    written.context("the renderer did not read the report")?;
    Ok(done.stdout)
}
