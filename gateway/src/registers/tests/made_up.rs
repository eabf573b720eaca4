//! Entries as a gateway would have written them, from a counter.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use domicile_compliance::audit::{CommitmentDomain, StoredEntry, TreeHash};
use domicile_types::{
    ApprovalChange, ApprovalId, Budget, Charge, Classification, Commitment, CountMethod, Counts, DataClass, DataId,
    Decision, Entry, FleetChange, IdentityKey, Intent, KeyChange, Limb, NodeId, Obligation, OperationKind, OperatorId,
    Outcome, OutcomeStatus, PackId, PackVersion, PartyId, Place, Record, RequestId, RuleRef, Salt, ShardCid, Total,
    UnixMillis, Verdict,
};

use super::super::{Index, Inputs, Sources};
use super::LOG;

pub(super) const SECRET: [u8; 32] = [5; 32];

/// The beginning of an hour of 1 May 2026, in UTC.
pub(super) fn hour(hour: u64) -> UnixMillis {
    UnixMillis(1_777_593_600_000 + hour * 3_600_000)
}

/// A log's worth of records, with what lies beside it.
pub(super) struct Book {
    pub(super) records: Vec<Record>,
    values: BTreeMap<Commitment, (CommitmentDomain, Vec<u8>)>,
    /// What commitments were to, erased or not.
    known: BTreeMap<[u8; 32], String>,
}

fn place(text: &str) -> Place {
    Place::parse(text).unwrap()
}

fn pack(name: &str) -> PackVersion {
    PackVersion { pack: PackId::parse(name).unwrap(), as_of: "2026-01-01".to_owned(), hash: "ab".repeat(32) }
}

impl Book {
    pub(super) fn of(records: u64) -> Self {
        let mut book = Self { records: Vec::new(), values: BTreeMap::new(), known: BTreeMap::new() };
        for n in 0..records {
            let entry = book.entry(n);
            book.add(n, entry);
        }
        book
    }

    fn add(&mut self, n: u64, entry: Entry) {
        // Two minutes apart, and now and then the clock goes back.
        let time = UnixMillis(hour(0).0 + n * 120_000 - if n % 31 == 30 { 600_000 } else { 0 });
        let gateway = IdentityKey::from_seed(&[1; 32]).id();
        let request = RequestId::from_bytes([u8::try_from(n % 251).unwrap(); 16]);
        self.records.push(Record { v: Record::VERSION, time, gateway, request, entry });
    }

    pub(super) fn node(&self) -> NodeId {
        IdentityKey::from_seed(&[3; 32]).id()
    }

    pub(super) fn data(&self) -> DataId {
        DataId::from_bytes([2; 16])
    }

    fn commit(&mut self, domain: CommitmentDomain, value: &str, salt: u64) -> Commitment {
        let commitment = domain.commit(&Salt([u8::try_from(salt).unwrap(); 32]), value.as_bytes());
        self.values.insert(commitment, (domain, value.as_bytes().to_vec()));
        self.known.insert(*commitment.digest(), value.to_owned());
        commitment
    }

    /// The value behind a commitment; nothing that could be asked for once it is erased.
    pub(super) fn value(&self, digest: [u8; 32]) -> String {
        let value = self.values.get(&Commitment::from_digest(digest)).map(|(_, value)| value.clone());
        value.map_or_else(|| "(erased)".to_owned(), |value| String::from_utf8(value).unwrap())
    }

    pub(super) fn commitments(&self, value: &str) -> Vec<Commitment> {
        let found = self.values.iter().filter(|(_, (_, known))| known == value.as_bytes());
        found.map(|(commitment, _)| *commitment).collect()
    }

    pub(super) fn erase(&mut self, commitment: Commitment) {
        self.values.remove(&commitment);
        let n = u64::try_from(self.records.len()).unwrap();
        self.add(n, Entry::Erased { commitment, reason: "request-17".to_owned() });
    }

    pub(super) fn correct(&mut self, of: u64) {
        let by = self.commit(CommitmentDomain::Actor, "domicile/token/officer", 0);
        let n = u64::try_from(self.records.len()).unwrap();
        self.add(n, Entry::Correction { of, reason: "the recipient was another".to_owned(), by });
    }

    fn intent(&mut self, n: u64) -> Intent {
        // A process has its own commitments: three processes.
        let salt = n / 70 % 3;
        let denied = n % 5 == 2;
        let operation = [
            OperationKind::GetObject,
            OperationKind::PutObject,
            OperationKind::HeadObject,
            OperationKind::Repair,
            OperationKind::DeleteObject,
            OperationKind::ListObjects,
        ][usize::try_from(n / 2 % 6).unwrap()];
        let actor = ["tenant-a/KEY1", "tenant-b/KEY2", "tenant-b/KEY2 user ann"][usize::try_from(n % 3).unwrap()];
        let bucket = ["genomes", "faces"][usize::try_from(n / 3 % 2).unwrap()];
        let requester = ["CN-GD", "DE", "US", "unknown"][usize::try_from(n % 4).unwrap()];
        let rule = RuleRef {
            pack: PackId::parse("cn-data-export").unwrap(),
            rule: if denied { "retrieval-abroad" } else { "at-home" }.to_owned(),
            cite: "Guideline of 2024, Art. 1".to_owned(),
            limb: denied.then_some(Limb(2)),
        };
        let charged = n % 7 == 0 && !denied;
        let approval = ApprovalId::from_bytes([7; 16]);
        Intent {
            operation,
            actor: self.commit(CommitmentDomain::Actor, actor, salt),
            address: self.commit(CommitmentDomain::Address, "192.0.2.7", salt),
            bucket: Some(self.commit(CommitmentDomain::Bucket, bucket, salt)),
            key: Some(self.commit(CommitmentDomain::Key, &format!("scan-{}.dcm", n % 5), salt)),
            requester_places: vec![place(requester)],
            gateway_place: place("CN"),
            decision: Decision {
                verdict: if denied { Verdict::Deny } else { Verdict::Allow },
                export: requester != "CN-GD",
                rules: vec![rule],
                obligations: vec![Obligation("log".to_owned())],
                approvals: if charged { vec![approval] } else { Vec::new() },
                packs: if n % 2 == 0 {
                    vec![pack("cn-data-export"), pack("eu-gdpr")]
                } else {
                    vec![pack("cn-data-export")]
                },
                // The made-up inputs follow from it.
                inputs: format!("{n:064x}"),
                warnings: Vec::new(),
            },
            data: (n % 3 != 1).then(|| DataId::from_bytes([u8::try_from(n % 4).unwrap(); 16])),
            range: (operation == OperationKind::GetObject).then_some((0, 1000 + n)),
            node_places: if denied { Vec::new() } else { vec![place("CN"), place("CN-SH")] },
            shards: Vec::new(),
            budget: Budget { node_bytes_max: 1 << 20 },
            expires: hour(24),
            epoch: 0,
            worker: (n % 9 == 4).then(|| self.node()),
            charge: charged.then(|| Charge {
                recipient: Some(PartyId::parse("lab-berlin").unwrap()),
                approvals: vec![approval],
                counts: Counts { subjects: 12, sensitive: 3, bytes: 1000 + n },
                totals: vec![Total {
                    pack: PackId::parse("cn-data-export").unwrap(),
                    ledger: "year".to_owned(),
                    since: hour(0),
                    before: Counts { subjects: 12, sensitive: 3, bytes: 100 },
                    after: Counts { subjects: 24, sensitive: 6, bytes: 1100 + n },
                    method: CountMethod::Sum,
                }],
            }),
        }
    }

    fn entry(&mut self, n: u64) -> Entry {
        match n % 10 {
            0 | 2 | 4 | 6 | 7 => {
                let intent = self.intent(n);
                if intent.decision.verdict == Verdict::Deny { Entry::Denied(intent) } else { Entry::Intent(intent) }
            }
            1 | 5 | 8 if n >= 3 => {
                let status = [
                    OutcomeStatus::Completed,
                    OutcomeStatus::Aborted,
                    OutcomeStatus::Failed,
                    OutcomeStatus::AssumedWhole,
                ][usize::try_from(n / 10 % 4).unwrap()];
                let intent = n - if n % 10 == 8 { 2 } else { 1 };
                Entry::Outcome(Outcome { intent, status, bytes: n, http_status: 200 })
            }
            3 => self.fleet(n),
            9 => self.other(n),
            _ => Entry::Incident { what: "shard-corrupt".to_owned(), node: Some(self.node()), shard: None },
        }
    }

    fn fleet(&mut self, n: u64) -> Entry {
        let changes = [FleetChange::EvidenceFiled, FleetChange::Quarantined, FleetChange::Online];
        Entry::Fleet {
            what: changes[usize::try_from(n / 10 % 3).unwrap()],
            operator: Some(OperatorId::parse("op-1").unwrap()),
            node: Some(self.node()),
            reasons: vec!["delay-bound".to_owned(), "place-contradicted".to_owned()],
            record: Some("cd".repeat(32)),
            by: (n % 20 == 3).then(|| self.commit(CommitmentDomain::Actor, "domicile/token/officer", 0)),
        }
    }

    fn other(&mut self, n: u64) -> Entry {
        let by = self.commit(CommitmentDomain::Actor, "domicile/token/officer", 0);
        match n / 10 % 6 {
            0 => Entry::Approval {
                what: ApprovalChange::Revoked,
                approval: ApprovalId::from_bytes([7; 16]),
                record: "ef".repeat(32),
                reasons: Vec::new(),
                by: Some(by),
            },
            1 => Entry::Viewed { what: "registers/exports".to_owned(), rows: 3, by },
            2 => Entry::Key {
                what: KeyChange::Made,
                key: "bucket-key".to_owned(),
                jurisdiction: "cn".to_owned(),
                place: place("CN"),
            },
            3 => Entry::Deleted {
                data: self.data(),
                bucket: self.commit(CommitmentDomain::Bucket, "genomes", n / 70 % 3),
                shredded: hour(1),
                receipts: 6,
                receipts_hash: "12".repeat(32),
                residue: 0,
            },
            4 => Entry::Report {
                report: "export-register".to_owned(),
                hash: "34".repeat(32),
                format: "pdf".to_owned(),
                period: (hour(0), hour(1)),
                by: Some(by),
            },
            _ => Entry::Started { packs: vec![pack("cn-data-export")], closed_intents: 2 },
        }
    }

    /// Entries that are shown in every format: some that spreadsheets and collectors could take for something else.
    pub(super) fn add_showcase(&mut self) {
        for n in [0, 2, 7, 12, 14] {
            let entry = self.entry(n);
            self.add(n, entry);
        }
        let status = OutcomeStatus::Completed;
        self.add(15, Entry::Outcome(Outcome { intent: 0, status, bytes: 1000, http_status: 206 }));
        self.add(
            16,
            Entry::Incident {
                what: "=cmd|' /C calc'!A0\\=|".to_owned(),
                node: Some(self.node()),
                shard: Some(ShardCid::from_digest([9; 32])),
            },
        );
        for n in [3, 9, 19, 29, 39, 49, 59] {
            let entry = if n == 3 { self.fleet(n) } else { self.other(n) };
            self.add(20 + n, entry);
        }
        self.correct(1);
    }

    pub(super) fn index(&self, folder: &Path, step: usize) -> Index {
        self.index_some(folder, step, 0..self.records.len())
    }

    pub(super) fn index_some(&self, folder: &Path, step: usize, range: Range<usize>) -> Index {
        let index = Index::open(folder, LOG, SECRET).unwrap();
        self.take_in(&index, step, range);
        index
    }

    pub(super) fn take_in(&self, index: &Index, step: usize, range: Range<usize>) {
        let stored: Vec<StoredEntry> = range
            .map(|at| {
                let leaf = serde_json::to_vec(&self.records[at]).unwrap();
                StoredEntry { index: u64::try_from(at).unwrap(), leaf_hash: TreeHash::of_leaf(&leaf), leaf }
            })
            .collect();
        stored.chunks(step).for_each(|batch| index.apply(batch, self).unwrap());
    }
}

impl Sources for Book {
    fn opened(&self, commitment: &Commitment) -> Option<(CommitmentDomain, Vec<u8>)> {
        self.values.get(commitment).cloned()
    }

    fn inputs(&self, name: &str) -> Option<Inputs> {
        let n = u64::from_str_radix(name, 16).unwrap();
        let classes = if n % 2 == 0 { "personal" } else { "public" };
        Some(Inputs {
            classification: Classification {
                classes: [DataClass::parse(classes).unwrap()].into(),
                origin: Some(place("CN")),
                subjects: Some(n),
                sensitive_subjects: None,
                important: (n % 4 == 0).then_some(false),
            },
            mechanisms: if n % 7 == 0 { vec!["cac-security-assessment".to_owned()] } else { Vec::new() },
            requester_evidence: Some(1),
            nodes_evidence: Some(0),
            store_places: vec![place("DE"), place("CN")],
        })
    }
}
