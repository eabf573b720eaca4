//! Law that changes while something is being stored: real nodes, a real log, and bodies that publish a pack half way.

use std::sync::Arc;

use bytes::Bytes;
use domicile_compliance::pack::PackFiles;
use domicile_types::{Entry, ObjectKey, OperationKind, PackId, RequestId, TenantId};

use super::request::{
    BodyStream, Caller, CompleteUpload, CompletedPart, CreateUpload, ExpectedDigests, GetObject, ObjectHeaders,
    PutObject, PutPart, Tags, UploadRef, WriteConditions,
};
use super::{Error, Gateway};
use crate::catalog::{Bucket, Protection};
use crate::judging::PublishError;
use crate::judging::facts::{self, Facts};
use crate::testing::{
    self,
    fleet::{Fleet, start_fleet},
};

pub(crate) const FACTS: &str = r#"
title = "A pack for tests"
as_of = "2026-11-22"
home = "home"
default_cite = "Test Act s. 1"
shard_is_data = true
retention_days = 30
evidence_minimum = "declared"
algorithms = "any"
key_jurisdiction = "cn"
classes = []

[groups.home]
members = [{ places = ["CN"] }]

[groups.straits]
members = [{ places = ["SG"] }]
"#;

pub(crate) const AT_HOME: &str = r#"
@id("at-home")
@cite("Test Act s. 2")
permit (principal, action, resource) when { context.place.within.home };
"#;

pub(crate) const NO_STRAITS: &str = r#"
@id("no-straits")
@cite("Test Act s. 3")
forbid (principal is Node, action in [Action::"Store", Action::"Repair"], resource)
when { context has party && context.party.incorporated.within.straits };
"#;

pub(crate) const NO_PLAINTEXT: &str = r#"
@id("no-plaintext")
@cite("Test Act s. 4")
forbid (principal is Gateway, action == Action::"Process", resource);
"#;

/// A scenario in which `rule` decides.
pub(crate) fn case(rule: &str, subject: &str, action: &str, expect: &str) -> String {
    format!(
        r#"
        [[case]]
        name = "{rule}"
        subject = "{subject}"
        action = "{action}"
        places = ["CN"]
        party = "sg"
        expect = "{expect}"
        rules = ["{rule}"]
        "#
    )
}

/// A version of the pack: what is the same in all, and `more`. `note` makes its hash another.
pub(crate) fn pack(note: &str, more: &[&str]) -> PackFiles {
    let mut cases = r#"[parties.sg]
        id = "sg"
        name = "Straits"
        incorporated = "SG"
        headquartered = "SG"
        "#
    .to_owned();
    cases.push_str(&case("at-home", "requester", "Retrieve", "allow"));
    for rule in more {
        cases.push_str(&match *rule {
            NO_STRAITS => case("no-straits", "node", "Store", "deny"),
            _ => case("no-plaintext", "gateway", "Process", "deny"),
        });
    }
    PackFiles {
        folder: "cn-data-export".into(),
        facts: FACTS.to_owned(),
        rules: [&[AT_HOME], more].concat().concat(),
        cases,
        sources: note.to_owned(),
    }
}

pub(crate) fn id() -> PackId {
    PackId::parse("cn-data-export").unwrap()
}

pub(crate) fn caller(gateway: &Gateway) -> Caller {
    let request = RequestId::from_bytes(gateway.clock.random());
    Caller::worker(&TenantId::parse("tenant-a").unwrap(), "AKID", request)
}

pub(crate) async fn publish(gateway: &Gateway, files: PackFiles) {
    assert!(gateway.publish_pack(&caller(gateway), id(), files).await.unwrap().changed);
}

/// Bytes of a body; more than whole copies are kept of, so that it is coded.
const HALF: usize = 80 * 1024;

/// A body that has `files` published between its halves.
pub(crate) fn halves(gateway: &Gateway, files: Option<PackFiles>) -> BodyStream {
    let gateway = gateway.clone();
    let first = futures::stream::iter([Ok(Bytes::from(vec![1; HALF]))]);
    let second = futures::stream::once(async move {
        if let Some(files) = files {
            publish(&gateway, files).await;
        }
        Ok(Bytes::from(vec![2; HALF]))
    });
    Box::pin(futures::StreamExt::chain(first, second))
}

pub(crate) fn put_request(bucket: &Bucket, key: &str, body: BodyStream) -> PutObject {
    PutObject {
        bucket: bucket.name.clone(),
        key: ObjectKey::parse(key).unwrap(),
        body,
        content_length: u64::try_from(2 * HALF).ok(),
        headers: ObjectHeaders::default(),
        tags: Tags::new(),
        expected: ExpectedDigests::default(),
        conditions: WriteConditions::default(),
        protection: Protection::default(),
    }
}

/// Decisions of the log about `operation`: of which hashes of the pack, and whether it was denied.
async fn decisions(gateway: &Gateway, operation: OperationKind) -> Vec<(String, bool)> {
    let log = Arc::clone(&gateway.log);
    let read = move || {
        let mut found = Vec::new();
        log.publish().unwrap();
        log.entries(0..log.len(), |stored| {
            let record: domicile_types::Record = serde_json::from_slice(&stored.leaf).unwrap();
            let (intent, denied) = match record.entry {
                Entry::Intent(intent) => (intent, false),
                Entry::Denied(intent) => (intent, true),
                _ => return true,
            };
            if intent.operation == operation {
                found.push((intent.decision.packs[0].hash.clone(), denied));
            }
            true
        })
        .unwrap();
        found
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn read_request(bucket: &Bucket, key: &str) -> GetObject {
    GetObject {
        bucket: bucket.name.clone(),
        key: ObjectKey::parse(key).unwrap(),
        version: None,
        range: None,
        part_number: None,
        conditions: Default::default(),
    }
}

async fn read(gateway: &Gateway, bucket: &Bucket, key: &str) -> Result<Vec<u8>, Error> {
    let read = gateway.get_object(&caller(gateway), read_request(bucket, key)).await?;
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read.body).await.unwrap();
    Ok(pieces.concat())
}

fn whole() -> Vec<u8> {
    [vec![1; HALF], vec![2; HALF]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_a_change_of_law_overtakes_commits_under_the_new_law_where_it_still_may() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = start_fleet(folder.path(), &["CN", "CN", "CN", "CN", "CN", "SG"]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "races", "tenant-a", "cn").await;
    let overtaken = put_request(&bucket, "k", halves(gateway, Some(pack("two", &[]))));
    gateway.put_object(&caller(gateway), overtaken).await.unwrap();
    let (one, two) = (pack("one", &[]).hash(), pack("two", &[]).hash());
    assert_eq!(decisions(gateway, OperationKind::PutObject).await, [(one, false), (two.clone(), false)]);
    assert_eq!(read(gateway, &bucket, "k").await.unwrap(), whole());
    // Nothing overtakes this one, and it is judged once.
    gateway.put_object(&caller(gateway), put_request(&bucket, "l", halves(gateway, None))).await.unwrap();
    assert_eq!(decisions(gateway, OperationKind::PutObject).await.get(2..), Some(&[(two, false)][..]));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_would_lie_where_it_may_not_any_more_is_refused_and_nothing_of_it_is_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    // Under 4+2 each of the six holds a shard of every segment.
    let fleet = start_fleet(folder.path(), &["CN", "CN", "CN", "CN", "CN", "SG"]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "races", "tenant-a", "cn").await;
    let narrower = pack("two", &[NO_STRAITS]);
    let refused =
        gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, Some(narrower)))).await;
    // Nothing was sent by the law before, and by the new one there are too few nodes for it.
    assert!(matches!(&refused, Err(Error::TooFewNodes { packs, .. }) if packs == &[id()]), "{refused:?}");
    assert!(matches!(read(gateway, &bucket, "k").await, Err(Error::NoSuchKey)));
    let again = gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, None))).await;
    assert!(matches!(&again, Err(Error::TooFewNodes { packs, .. }) if packs == &[id()]), "{again:?}");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_the_new_law_denies_altogether_is_denied_with_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = start_fleet(folder.path(), &["CN"; 6]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "races", "tenant-a", "cn").await;
    let denying = pack("two", &[NO_PLAINTEXT]);
    let denied = gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, Some(denying)))).await;
    let Err(Error::Denied(denial)) = denied else { panic!("{denied:?}") };
    assert_eq!(denial.rule().unwrap().rule, "no-plaintext");
    let (one, two) = (pack("one", &[]).hash(), pack("two", &[NO_PLAINTEXT]).hash());
    assert_eq!(decisions(gateway, OperationKind::PutObject).await, [(one, false), (two, true)]);
    fleet.stop().await;
}

/// Waits until some nodes hold shards; their indices.
async fn holders(fleet: &Fleet) -> Vec<usize> {
    loop {
        let mut holders = Vec::new();
        for (index, node) in fleet.nodes.iter().enumerate() {
            let status = fleet.running.gateway.nodes.status(node.id()).await.unwrap();
            holders.extend((status.shards > 0).then_some(index));
        }
        if holders.len() >= 6 {
            return holders;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_commits_no_shard_at_a_node_that_turned_up_abroad_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Arc::new(start_fleet(folder.path(), &["CN"; 7]).await);
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "races", "tenant-a", "cn").await;
    let moving = Arc::clone(&fleet);
    // Six of the seven hold the first segment under 4+2. One of them turns out to be abroad before the body ends.
    let first = futures::stream::iter([Ok(Bytes::from(vec![1; 5 << 20]))]);
    let rest = futures::stream::once(async move {
        let gateway = &moving.running.gateway;
        let mut known = Facts::of(&gateway.directory.roster());
        let holder = holders(&moving).await[0];
        moving.hear_of(holder, "CN", "127.1.0.1");
        gateway.warden.step().await.unwrap();
        assert!(facts::look(gateway, &mut known).await.unwrap());
        Ok(Bytes::from(vec![2; 1000]))
    });
    let body: BodyStream = Box::pin(futures::StreamExt::chain(first, rest));
    let mut request = put_request(&bucket, "k", body);
    request.content_length = Some((5 << 20) + 1000);
    let refused = gateway.put_object(&caller(gateway), request).await;
    assert!(matches!(&refused, Err(Error::Unavailable(told)) if told.contains("send it again")), "{refused:?}");
    assert!(matches!(read(gateway, &bucket, "k").await, Err(Error::NoSuchKey)));
    gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, None))).await.unwrap();
    assert_eq!(read(gateway, &bucket, "k").await.unwrap(), whole());
    Arc::into_inner(fleet).unwrap().stop().await;
}

async fn upload(gateway: &Gateway, bucket: &Bucket) -> (UploadRef, CompletedPart) {
    let key = ObjectKey::parse("whole").unwrap();
    let create = CreateUpload {
        bucket: bucket.name.clone(),
        key: key.clone(),
        headers: ObjectHeaders::default(),
        tags: Tags::new(),
        protection: Protection::default(),
        checksum_algorithm: None,
        full_object_checksum: false,
    };
    let created = gateway.create_upload(&caller(gateway), create).await.unwrap();
    let upload = UploadRef { bucket: bucket.name.clone(), key, upload: created.upload };
    let part = PutPart {
        upload: upload.clone(),
        part_number: 1,
        body: halves(gateway, None),
        content_length: u64::try_from(2 * HALF).ok(),
        expected: ExpectedDigests::default(),
    };
    let stored = gateway.put_part(&caller(gateway), part).await.unwrap();
    (upload, CompletedPart { part_number: 1, etag: stored.etag, checksum: None })
}

fn complete_request((upload, part): &(UploadRef, CompletedPart)) -> CompleteUpload {
    CompleteUpload {
        upload: upload.clone(),
        parts: vec![part.clone()],
        checksum: None,
        object_size: None,
        conditions: WriteConditions::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_from_before_a_change_of_law_are_judged_again_when_their_upload_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = start_fleet(folder.path(), &["CN", "CN", "CN", "CN", "CN", "SG"]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "races", "tenant-a", "cn").await;
    let before = upload(gateway, &bucket).await;
    publish(gateway, pack("two", &[NO_STRAITS])).await;
    let refused = gateway.complete_upload(&caller(gateway), complete_request(&before)).await;
    assert!(matches!(&refused, Err(Error::Unavailable(_))), "{refused:?}");
    // The law changes once more, and the same parts may lie where they lie.
    publish(gateway, pack("three", &[])).await;
    gateway.complete_upload(&caller(gateway), complete_request(&before)).await.unwrap();
    assert_eq!(read(gateway, &bucket, "whole").await.unwrap(), whole());
    // What led to no commit has no entry of its own: the completion's says that it failed.
    let hashes = [pack("one", &[]), pack("three", &[])].map(|pack| (pack.hash(), false));
    assert_eq!(decisions(gateway, OperationKind::UploadPart).await, hashes);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_does_not_load_or_hold_leaves_the_old_one_in_force_and_one_that_does_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let before = gateway.judging.law();
    let broken = PackFiles { rules: "permit (".to_owned(), ..pack("", &[]) };
    let refused = gateway.publish_pack(&caller(gateway), id(), broken).await;
    assert!(matches!(refused, Err(PublishError::Unloadable(_))), "{refused:?}");
    let told = pack("", &[]);
    let untrue = PackFiles { cases: told.cases.replace("allow", "deny"), ..told };
    let refused = gateway.publish_pack(&caller(gateway), id(), untrue).await;
    assert!(matches!(refused, Err(PublishError::CasesFail { .. })), "{refused:?}");
    assert!(Arc::ptr_eq(&before, &gateway.judging.law()));
    let published = gateway.publish_pack(&caller(gateway), id(), pack("new", &[])).await.unwrap();
    assert!(published.changed && published.epoch > before.epoch);
    let same = gateway.publish_pack(&caller(gateway), id(), pack("new", &[])).await.unwrap();
    assert!(!same.changed && same.epoch == published.epoch && same.log_index.is_none());
    let packs = published.packs.clone();
    drop(before);
    running.stop().await;
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let law = gateway.judging.law();
    assert_eq!(law.epoch, published.epoch);
    assert_eq!(law.lawbook.packs().map(|pack| pack.version().clone()).collect::<Vec<_>>(), packs);
    // The folder's own version comes back when it is asked for.
    let reloaded = gateway.reload_packs(&caller(gateway)).await.unwrap();
    assert!(reloaded.changed && reloaded.packs != packs);
    running.stop().await;
}
