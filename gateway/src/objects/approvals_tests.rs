//! Exports under approvals: real nodes, the real law of China, a reader in the United States.

use std::sync::Arc;

use bytes::Bytes;
use domicile_types::{
    ApprovalChange, ApprovalId, BucketName, Entry, Intent, MechanismId, ObjectKey, OperationKind, OutcomeStatus,
    PackId, RequestId, TenantId, UnixMillis,
};
use futures::StreamExt;

use super::approvals::ApprovalError;
use super::request::{
    Caller, ExpectedDigests, GetObject, KeyHolder, ObjectHeaders, Principal, PutObject, WriteConditions,
};
use super::{Error, Gateway};
use crate::approvals::record::tests::{party, place};
use crate::approvals::{Actor, Order, Quota, Recipient, Refusal, State, Terms, TermsError, Use};
use crate::catalog::Protection;
use crate::testing::{
    self,
    fleet::{Fleet, start_fleet},
};

const DAY: u64 = 86_400_000;
const MIB: usize = 1 << 20;

struct Stage {
    fleet: Fleet,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// A bucket in China with an object of so many bytes about fifty individuals, five of them with sensitive information:
    /// without a contract it does not leave.
    async fn set(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fleet = start_fleet(folder.path(), &["CN"; 6]).await;
        let stage = Self { fleet, _folder: folder };
        testing::bucket(stage.gateway(), "training", "tenant-a", "cn").await;
        stage.put("set/1", bytes).await;
        stage
    }

    fn gateway(&self) -> &Gateway {
        &self.fleet.running.gateway
    }

    async fn put(&self, key: &str, bytes: usize) {
        let tags = [("domicile:class", "personal"), ("domicile:subjects", "50"), ("domicile:sensitive", "5")];
        let body: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let request = PutObject {
            bucket: BucketName::parse("training").unwrap(),
            key: ObjectKey::parse(key).unwrap(),
            body: Box::pin(futures::stream::iter([Ok(Bytes::from(body))])),
            content_length: u64::try_from(bytes).ok(),
            headers: ObjectHeaders::default(),
            tags: tags.map(|(tag, value)| (tag.to_owned(), value.to_owned())).into(),
            expected: ExpectedDigests::default(),
            conditions: WriteConditions::default(),
            protection: Protection::default(),
        };
        self.gateway().put_object(&self.caller("127.0.0.1", "AKID"), request).await.unwrap();
    }

    fn caller(&self, address: &str, key: &str) -> Caller {
        let tenant = TenantId::parse("tenant-a").unwrap();
        let request = RequestId::from_bytes(self.gateway().clock.random());
        Caller {
            principal: Principal::Key(KeyHolder::of_tenant(tenant.clone(), key)),
            is_gateway: false,
            address: Some(address.parse().unwrap()),
            ..Caller::worker(&tenant, key, request)
        }
    }

    /// The reader, who sits in the United States.
    fn abroad(&self) -> Caller {
        self.caller("127.1.0.9", "AKID")
    }

    fn terms(&self, bytes: u64) -> Terms {
        Terms {
            tenant: TenantId::parse("tenant-a").unwrap(),
            bucket: BucketName::parse("training").unwrap(),
            prefix: "set/".to_owned(),
            purpose: "training".to_owned(),
            necessity: "the model is trained there".to_owned(),
            recipient: Recipient {
                party: party("acme"),
                contact: "dpo@acme.example".to_owned(),
                places: [place("US")].into(),
            },
            actors: [Actor::AccessKey("AKID".to_owned())].into(),
            pack: PackId::parse("cn-data-export").unwrap(),
            mechanism: MechanismId::parse("standard-contract").unwrap(),
            instrument: "standard contract of 2 May".to_owned(),
            authority_number: Some("JD-42".to_owned()),
            quota: Quota { subjects: Some(60), bytes },
            operations: [Use::Retrieve, Use::Query].into(),
            effective: None,
            expires: self.gateway().clock.now().plus_millis(30 * DAY),
            assessment: "PIA-7".to_owned(),
            renews: None,
        }
    }

    async fn ask(&self, terms: Terms) -> Result<ApprovalId, ApprovalError> {
        let officer = self.caller("127.0.0.1", "token/officer/olga");
        self.gateway().request_approval(&officer, "olga", terms, None).await.map(|approval| approval.id)
    }

    async fn order(&self, person: &str, id: &ApprovalId, order: Order) -> Result<State, ApprovalError> {
        let caller = self.caller("127.0.0.1", &format!("token/approver/{person}"));
        let reason = Some("as agreed");
        self.gateway().order_approval(&caller, person, id, order, reason).await.map(|approval| approval.state)
    }

    async fn approved(&self, bytes: u64) -> ApprovalId {
        let id = self.ask(self.terms(bytes)).await.unwrap();
        assert_eq!(self.order("anna", &id, Order::Approve).await.unwrap(), State::Active);
        id
    }

    fn wanted(key: &str) -> GetObject {
        GetObject {
            bucket: BucketName::parse("training").unwrap(),
            key: ObjectKey::parse(key).unwrap(),
            version: None,
            range: None,
            part_number: None,
            conditions: Default::default(),
        }
    }

    /// Bytes that arrived, and whether the body ended as it should.
    async fn read(&self, caller: &Caller) -> Result<(usize, bool), Error> {
        let mut body = self.gateway().get_object(caller, Self::wanted("set/1")).await?.body;
        let mut bytes = 0;
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => bytes += piece.len(),
                Err(_) => return Ok((bytes, false)),
            }
        }
        Ok((bytes, true))
    }

    async fn entries(&self) -> Vec<Entry> {
        let log = Arc::clone(&self.gateway().log);
        let read = move || {
            let mut found = Vec::new();
            log.publish().unwrap();
            log.entries(0..log.len(), |stored| {
                found.push(serde_json::from_slice::<domicile_types::Record>(&stored.leaf).unwrap().entry);
                true
            })
            .unwrap();
            found
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    async fn changes(&self, id: &ApprovalId) -> Vec<ApprovalChange> {
        let of = |entry| match entry {
            Entry::Approval { what, approval, .. } if approval == *id => Some(what),
            _ => None,
        };
        self.entries().await.into_iter().filter_map(of).collect()
    }

    async fn reads(&self) -> Vec<Intent> {
        let of = |entry| match entry {
            Entry::Intent(intent) if intent.operation == OperationKind::GetObject && intent.charge.is_some() => {
                Some(intent)
            }
            _ => None,
        };
        self.entries().await.into_iter().filter_map(of).collect()
    }

    async fn used(&self, id: &ApprovalId) -> (u64, u64) {
        let used = self.gateway().catalog.approvals_used(vec![*id]).await.unwrap();
        (used[0].counts.subjects, used[0].counts.bytes)
    }
}

fn denied(read: Result<(usize, bool), Error>) -> String {
    match read {
        Err(Error::Denied(denial)) => denial.explanation,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_from_abroad_stands_on_an_approval_is_charged_and_says_so_in_the_log() {
    let stage = Stage::set(100_000).await;
    let told = denied(stage.read(&stage.abroad()).await);
    assert!(told.contains("contract-or-certification-required"), "{told}");
    let id = stage.ask(stage.terms(1_000_000)).await.unwrap();
    let told = denied(stage.read(&stage.abroad()).await);
    assert!(told.contains(&format!("approval {id} is asked for and not approved")), "{told}");
    let alone = stage.order("Olga", &id, Order::Approve).await;
    assert!(matches!(alone, Err(ApprovalError::Refused(Refusal::SamePerson(_)))), "{alone:?}");
    stage.order("anna", &id, Order::Approve).await.unwrap();

    assert_eq!(stage.read(&stage.abroad()).await.unwrap(), (100_000, true));
    assert_eq!(stage.read(&stage.abroad()).await.unwrap(), (100_000, true));
    stage.gateway().head_object(&stage.abroad(), Stage::wanted("set/1")).await.unwrap();
    assert_eq!(stage.used(&id).await, (50, 200_000), "individuals once, bytes each time, nothing for HEAD");
    let other = stage.caller("127.1.0.9", "OTHER");
    denied(stage.read(&other).await);
    // At home nothing is charged.
    assert_eq!(stage.read(&stage.caller("127.0.0.1", "AKID")).await.unwrap(), (100_000, true));
    assert_eq!(stage.used(&id).await, (50, 200_000));

    let reads = stage.reads().await;
    assert_eq!(reads.len(), 2);
    for intent in &reads {
        assert!(intent.decision.export);
        let charge = intent.charge.as_ref().unwrap();
        assert_eq!((&charge.approvals, charge.counts.bytes, charge.counts.subjects), (&vec![id], 100_000, 50));
        assert_eq!(charge.recipient, Some(party("acme").id));
    }
    let totals: Vec<_> = reads.iter().map(|intent| &intent.charge.as_ref().unwrap().totals[0]).collect();
    assert_eq!((totals[0].ledger.as_str(), totals[0].before.subjects, totals[0].after.subjects), ("year", 0, 50));
    assert_eq!((totals[1].before.subjects, totals[1].after.bytes), (50, 200_000));
    assert_eq!(stage.changes(&id).await[..2], [ApprovalChange::Requested, ApprovalChange::Approved]);
    stage.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_ends_in_mid_stream_ends_the_stream_at_its_last_byte() {
    let stage = Stage::set(10 * MIB).await;
    let id = stage.approved(7_000_001).await;
    assert_eq!(stage.read(&stage.abroad()).await.unwrap(), (7_000_001, false));
    let told = denied(stage.read(&stage.abroad()).await);
    assert!(told.contains("is used up"), "{told}");
    assert_eq!(stage.used(&id).await.1, 7_000_001);
    assert_eq!(stage.gateway().approvals.table().get(&id).unwrap().state, State::Consumed);
    assert_eq!(stage.reads().await[0].range, Some((0, 7_000_001)));
    let entries = stage.entries().await;
    let in_mid_stream = entries.iter().any(|entry| match entry {
        Entry::Denied(intent) => intent.decision.warnings.iter().any(|told| told.contains("used up")),
        _ => false,
    });
    assert!(in_mid_stream);
    let changes = stage.changes(&id).await;
    assert!(
        changes.ends_with(&[ApprovalChange::Warned, ApprovalChange::Consumed])
            || changes.contains(&ApprovalChange::Consumed)
    );
    assert_eq!(changes.iter().filter(|what| **what == ApprovalChange::Consumed).count(), 1);
    stage.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_come_at_once_are_served_the_quota_and_not_a_byte_more() {
    let stage = Stage::set(300_000).await;
    let id = stage.approved(1_000_001).await;
    let caller = stage.abroad();
    let reads = futures::future::join_all((0..12).map(|_| stage.read(&caller))).await;
    let served: usize = reads.into_iter().map(|read| read.map_or(0, |(bytes, _)| bytes)).sum();
    assert_eq!(served, 1_000_001, "twelve readers want 3600000");
    assert_eq!(stage.used(&id).await, (50, 1_000_001));
    stage.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_a_read_at_its_next_segment_and_the_rest_is_given_back() {
    let stage = Stage::set(30 * MIB).await;
    let id = stage.approved(100 * 1024 * 1024).await;
    let mut body = stage.gateway().get_object(&stage.abroad(), Stage::wanted("set/1")).await.unwrap().body;
    let mut bytes = body.next().await.unwrap().unwrap().len();
    assert_eq!(stage.order("anna", &id, Order::Revoke).await.unwrap(), State::Revoked);
    let mut ended = None;
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => bytes += piece.len(),
            Err(error) => ended = Some(error),
        }
    }
    assert!(ended.is_some() && bytes < 30 * MIB, "{bytes}");
    denied(stage.read(&stage.abroad()).await);
    assert_eq!(stage.used(&id).await, (50, u64::try_from(bytes).unwrap()));
    let sent = stage.entries().await.into_iter().find_map(|entry| match entry {
        Entry::Outcome(outcome) if outcome.status == OutcomeStatus::Aborted => Some(outcome.bytes),
        _ => None,
    });
    assert_eq!(sent, u64::try_from(bytes).ok());
    stage.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_suspended_is_refused_until_it_is_resumed_by_another_person() {
    let stage = Stage::set(1_000).await;
    let id = stage.approved(1_000_000).await;
    stage.order("olga", &id, Order::Suspend).await.unwrap();
    let told = denied(stage.read(&stage.abroad()).await);
    assert!(told.contains("is suspended"), "{told}");
    assert!(stage.order("olga", &id, Order::Resume).await.is_err());
    stage.order("anna", &id, Order::Resume).await.unwrap();
    assert_eq!(stage.read(&stage.abroad()).await.unwrap(), (1_000, true));
    // Another object of fifty individuals has no room in a quota of sixty.
    stage.put("set/2", 10).await;
    let second = stage.gateway().get_object(&stage.abroad(), Stage::wanted("set/2")).await;
    let told = denied(second.map(|_| (0, true)));
    assert!(told.contains("no room for this object"), "{told}");
    stage.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_make_no_sense_are_refused_with_the_reason() {
    let stage = Stage::set(10).await;
    let terms = |change: fn(&mut Terms)| {
        let mut terms = stage.terms(1);
        change(&mut terms);
        terms
    };
    let past = stage.ask(terms(|terms| terms.expires = UnixMillis(1))).await;
    assert!(matches!(past, Err(ApprovalError::Terms(TermsError::PastExpiry { .. }))), "{past:?}");
    let mechanism = stage.ask(terms(|terms| terms.mechanism = MechanismId::parse("wish").unwrap())).await;
    assert!(matches!(mechanism, Err(ApprovalError::Terms(TermsError::UnknownMechanism { .. }))), "{mechanism:?}");
    let pack = stage.ask(terms(|terms| terms.pack = PackId::parse("atlantis").unwrap())).await;
    assert!(matches!(pack, Err(ApprovalError::Dataset(_))), "{pack:?}");
    let tenant = stage.ask(terms(|terms| terms.tenant = TenantId::parse("tenant-b").unwrap())).await;
    assert!(matches!(tenant, Err(ApprovalError::Dataset(_))), "{tenant:?}");
    let own = stage.ask(terms(|terms| terms.actors = [Actor::User("olga".to_owned())].into())).await;
    assert!(matches!(own, Err(ApprovalError::Refused(Refusal::HoldsKey { .. }))), "{own:?}");
    let nobody = stage.gateway().request_approval(&stage.abroad(), " ", stage.terms(1), None).await;
    assert!(matches!(nobody, Err(ApprovalError::Terms(TermsError::Text { .. }))), "{nobody:?}");
    assert_eq!(stage.gateway().approvals.table().all().count(), 0);
    stage.fleet.stop().await;
}
