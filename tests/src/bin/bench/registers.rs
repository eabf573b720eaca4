//! Registers over many entries: what the first page of a question costs, whatever it is narrowed by.

use std::path::Path;

use anyhow::{Context, Result};
use domicile::registers::{Index, Inputs, Query, Register, Sources};
use domicile_compliance::audit::{CommitmentDomain, StoredEntry, TreeHash};
use domicile_types::{
    ApprovalId, Budget, Charge, Classification, Commitment, Counts, DataClass, DataId, Decision, Entry, IdentityKey,
    Intent, Limb, NodeId, OperationKind, Outcome, OutcomeStatus, PackId, PackVersion, Place, Record, RequestId,
    RuleRef, UnixMillis, Verdict,
};

use crate::Effort;
use crate::disk;
use crate::report::{Cell, Table};
use crate::stopwatch::{float, median, timed};

const LOG: &str = "bench.invalid/log";
const NOTES: [&str; 2] = [
    "Entries have the form of the log's (JSON, hashed) and are taken in by the gateway's own code: half of them intents and denied \
     attempts of a thousand actors in fifty buckets over a year, half their outcomes. One in twenty is an export, one in a hundred \
     is denied, one in a thousand stands on an approval.",
    "A page is 100 rows with what they show; CPU is of the asking thread, the median of nine askings. First: the very first \
     asking, of which much was still on the disk.",
];
const PAGE_ROWS: usize = 100;
const ASKINGS: usize = 9;
const ENTRIES_AT_ONCE: u64 = 5_000;
const BEGIN_MILLIS: u64 = 1_767_225_600_000;
const YEAR_MILLIS: u64 = 365 * 86_400_000;
const ACTORS: u64 = 1_000;
const BUCKETS: u64 = 50;

/// Fills an index in `folder`, and asks it.
pub(crate) fn run(folder: &Path, effort: Effort) -> Result<Table> {
    disk::empty(folder)?;
    let entries = effort.register_entries;
    eprintln!("bench: registers, an index of {entries} entries");
    let making = Making::of(entries)?;
    let index = Index::open(&folder.join("index"), LOG, [7; 32])?;
    let filled = timed(|| {
        let mut at = 0;
        while at < entries {
            let end = entries.min(at + ENTRIES_AT_ONCE);
            let batch: Result<Vec<_>> = (at..end).map(|n| making.stored(n)).collect();
            index.apply(&batch?, &making)?;
            at = end;
        }
        Ok(())
    })?;
    index.settle();
    let mut table = Table::new("registers", format!("Registers: the first page over {entries} entries"), &NOTES);
    for (what, query) in questions()? {
        let (mut rows, mut cpu, mut first) = (0, Vec::new(), None);
        for _ in 0..ASKINGS {
            let took = timed(|| {
                rows = index.page(LOG, &query, None, PAGE_ROWS)?.rows.len();
                Ok(())
            })?;
            let millis = took.cpu.as_secs_f64() * 1e3;
            first.get_or_insert(millis);
            cpu.push(millis);
        }
        table.row(vec![
            ("asked", Cell::text(what)),
            ("rows", Cell::Number(float(u64::try_from(rows)?), 0)),
            ("CPU ms", Cell::Number(median(cpu), 2)),
            ("first CPU ms", first.map_or(Cell::Absent, |first| Cell::Number(first, 2))),
            ("taken in, entries/CPU-s", Cell::Number(float(entries) / filled.cpu.as_secs_f64(), 0)),
        ]);
    }
    drop(index);
    disk::remove(folder)?;
    Ok(table)
}

fn questions() -> Result<Vec<(&'static str, Query)>> {
    let asked: [(&str, Register, &[(&str, &str)]); 10] = [
        ("decisions", Register::Decisions, &[]),
        ("exports, newest first", Register::Exports, &[("order", "newest")]),
        ("exports of a month", Register::Exports, &[("from", "2026-07-01"), ("to", "2026-08-01")]),
        ("of a bucket, denied", Register::Decisions, &[("bucket", "bucket-7"), ("verdict", "deny")]),
        ("exports of an actor to DE", Register::Exports, &[("actor", "tenant-3/key-103"), ("to-place", "DE")]),
        (
            "denied in a month to US",
            Register::Exports,
            &[("verdict", "deny"), ("to-place", "US"), ("from", "2026-11-01")],
        ),
        ("of a tenant and class", Register::Exports, &[("tenant", "tenant-4"), ("class", "genomic")]),
        ("by an approval", Register::Exports, &[("basis", "01010101010101010101010101010101")]),
        (
            "by a rule, one operation",
            Register::Decisions,
            &[("basis", "cn-data-export/abroad"), ("operation", "get-object")],
        ),
        (
            "nothing has both",
            Register::Decisions,
            &[("to-place", "DE"), ("operation", "put-object"), ("verdict", "deny")],
        ),
    ];
    asked
        .into_iter()
        .map(|(what, register, filters)| Ok((what, Query::parse(register, filters.iter().copied())?)))
        .collect()
}

/// What entries are made from.
struct Making {
    entries: u64,
    gateway: NodeId,
    packs: Vec<PackVersion>,
    pack: PackId,
    home: Place,
    abroad: [Place; 4],
    classes: [DataClass; 3],
}

impl Making {
    fn of(entries: u64) -> Result<Self> {
        let pack = PackId::parse("cn-data-export")?;
        let version = PackVersion { pack: pack.clone(), as_of: "2026-01-01".to_owned(), hash: "ab".repeat(32) };
        let place = Place::parse;
        Ok(Self {
            entries,
            gateway: IdentityKey::from_seed(&[1; 32]).id(),
            packs: vec![version],
            pack,
            home: place("CN")?,
            abroad: [place("DE")?, place("US")?, place("SG")?, Place::Unknown],
            classes: [DataClass::parse("personal")?, DataClass::parse("genomic")?, DataClass::parse("public")?],
        })
    }

    /// Entry `n` as the log would have stored it.
    fn stored(&self, n: u64) -> Result<StoredEntry> {
        let entry = if n % 2 == 0 { self.intent(n / 2)? } else { outcome(n) };
        let time = UnixMillis(BEGIN_MILLIS + YEAR_MILLIS / self.entries * n);
        let record = Record { v: Record::VERSION, time, gateway: self.gateway, request: id(n), entry };
        let leaf = serde_json::to_vec(&record).context("a record is plain data")?;
        Ok(StoredEntry { index: n, leaf_hash: TreeHash::of_leaf(&leaf), leaf })
    }

    fn intent(&self, n: u64) -> Result<Entry> {
        let roll = spread(n);
        let (denied, export, approved) = (roll % 100 == 0, roll % 20 == 0, roll % 1_000 == 20);
        let operation = match roll / 1_000 % 10 {
            0 => OperationKind::PutObject,
            1 => OperationKind::HeadObject,
            2 => OperationKind::ListObjects,
            _ => OperationKind::GetObject,
        };
        // What is denied is never a PUT.
        let operation = if denied { OperationKind::GetObject } else { operation };
        let abroad = usize::try_from(roll / 10_000 % 4).ok().and_then(|at| self.abroad.get(at));
        let requester = *abroad.filter(|_| export).unwrap_or(&self.home);
        let rule = RuleRef {
            pack: self.pack.clone(),
            rule: if export { "abroad" } else { "at-home" }.to_owned(),
            cite: "Provisions of 2024, Art. 5".to_owned(),
            limb: export.then_some(Limb(2)),
        };
        let approval = ApprovalId::from_bytes([1; 16]);
        let intent = Intent {
            operation,
            actor: committed(1, roll % ACTORS),
            address: committed(2, roll % ACTORS),
            bucket: Some(committed(3, roll / 7 % BUCKETS)),
            key: Some(committed(4, roll / 11 % 100_000)),
            requester_places: vec![requester],
            gateway_place: self.home,
            decision: Decision {
                verdict: if denied { Verdict::Deny } else { Verdict::Allow },
                export,
                rules: vec![rule],
                obligations: Vec::new(),
                approvals: if approved { vec![approval] } else { Vec::new() },
                packs: self.packs.clone(),
                inputs: format!("{n:064x}"),
                warnings: Vec::new(),
            },
            data: Some(DataId::from_bytes(*id(roll / 11 % 100_000).as_bytes())),
            range: (operation == OperationKind::GetObject).then_some((0, 1 << 20)),
            node_places: vec![self.home],
            shards: Vec::new(),
            budget: Budget { node_bytes_max: 1 << 20 },
            expires: UnixMillis(BEGIN_MILLIS + 2 * YEAR_MILLIS),
            epoch: 0,
            worker: None,
            charge: approved.then(|| Charge {
                recipient: None,
                approvals: vec![approval],
                counts: Counts { subjects: 10, sensitive: 0, bytes: 1 << 20 },
                totals: Vec::new(),
            }),
        };
        Ok(if denied { Entry::Denied(intent) } else { Entry::Intent(intent) })
    }
}

impl Sources for Making {
    fn opened(&self, commitment: &Commitment) -> Option<(CommitmentDomain, Vec<u8>)> {
        let (kind, rest) = commitment.digest().split_first()?;
        let number = u64::from_be_bytes(*rest.first_chunk::<8>()?);
        let (domain, text) = match kind {
            1 => (CommitmentDomain::Actor, format!("tenant-{}/key-{number}", number % 20)),
            2 => (CommitmentDomain::Address, format!("192.0.2.{}", number % 256)),
            3 => (CommitmentDomain::Bucket, format!("bucket-{number}")),
            _ => (CommitmentDomain::Key, format!("key-{number}")),
        };
        Some((domain, text.into_bytes()))
    }

    fn inputs(&self, name: &str) -> Option<Inputs> {
        let n = u64::from_str_radix(name.get(48..)?, 16).ok()?;
        let class = self.classes.get(usize::try_from(spread(n) / 13 % 3).ok()?)?.clone();
        let classification =
            Classification { classes: [class].into(), subjects: Some(10), ..Classification::default() };
        Some(Inputs { classification, requester_evidence: Some(1), nodes_evidence: Some(0), ..Inputs::default() })
    }
}

fn outcome(n: u64) -> Entry {
    Entry::Outcome(Outcome { intent: n - 1, status: OutcomeStatus::Completed, bytes: 1 << 20, http_status: 200 })
}

/// A number that looks like chance, and is the same every time (the finaliser of MurmurHash3).
const fn spread(n: u64) -> u64 {
    let n = (n ^ (n >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let n = (n ^ (n >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ (n >> 33)
}

/// A commitment that says what it hides, so that nothing has to be remembered.
fn committed(kind: u8, number: u64) -> Commitment {
    let mut digest = [0; 32];
    digest.iter_mut().zip(std::iter::once(kind).chain(number.to_be_bytes())).for_each(|(to, from)| *to = from);
    Commitment::from_digest(digest)
}

fn id(number: u64) -> RequestId {
    let mut bytes = [1; 16];
    bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    RequestId::from_bytes(bytes)
}
