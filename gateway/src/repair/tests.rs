//! Repairs over real nodes, a real log and real bytes.

use bytes::Bytes;
use domicile_types::{DataId, FleetChange, NodeId, ObjectKey, RequestId, TenantId};

use super::{Queue, note_damaged, step};
use crate::catalog::{Bucket, PageAt, Protection, Residue, ResidueCause, ShardAt, ToDelete};
use crate::objects::{Caller, ExpectedDigests, Gateway, GetObject, ObjectHeaders, PutObject, Tags, WriteConditions};
use crate::testing::{
    self,
    fleet::{Fleet, start_fleet},
};

/// More than whole copies are kept of, so that it is coded 4+2: one segment.
const BODY_BYTES: usize = 200_000;
/// How often is looked for what must come. Copies stay for some seconds after a move, so this takes as long.
const STEPS_MAX: usize = 400;

fn caller(gateway: &Gateway) -> Caller {
    let request = RequestId::from_bytes(gateway.clock.random());
    Caller::worker(&TenantId::parse("tenant-a").unwrap(), "AKID", request)
}

fn body() -> Vec<u8> {
    (0..BODY_BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

async fn put(gateway: &Gateway) -> Bucket {
    let bucket = testing::bucket(gateway, "repairs", "tenant-a", "cn").await;
    let request = PutObject {
        bucket: bucket.name.clone(),
        key: ObjectKey::parse("k").unwrap(),
        body: Box::pin(futures::stream::iter([Ok(Bytes::from(body()))])),
        content_length: u64::try_from(BODY_BYTES).ok(),
        headers: ObjectHeaders::default(),
        tags: Tags::new(),
        expected: ExpectedDigests::default(),
        conditions: WriteConditions::default(),
        protection: Protection::default(),
    };
    gateway.put_object(&caller(gateway), request).await.unwrap();
    bucket
}

async fn read(gateway: &Gateway, bucket: &Bucket) -> Vec<u8> {
    let request = GetObject {
        bucket: bucket.name.clone(),
        key: ObjectKey::parse("k").unwrap(),
        version: None,
        range: None,
        part_number: None,
        conditions: Default::default(),
    };
    let read = gateway.get_object(&caller(gateway), request).await.unwrap();
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read.body).await.unwrap();
    pieces.concat()
}

/// The only page there is, and where its six shards lie.
async fn page(gateway: &Gateway) -> (PageAt, Vec<ShardAt>) {
    let at = gateway.catalog.all_pages(None, 10).await.unwrap()[0];
    let found = gateway.catalog.mendable(at).await.unwrap().unwrap();
    (at, found.page.segments[0].clone())
}

/// Eight nodes at home, six of which hold the object.
async fn stored(folder: &std::path::Path) -> (Fleet, Bucket, Vec<ShardAt>) {
    let fleet = start_fleet(folder, &["CN"; 8]).await;
    let bucket = put(&fleet.running.gateway).await;
    let shards = page(&fleet.running.gateway).await.1;
    (fleet, bucket, shards)
}

/// Goes on until `is_so`.
async fn until<F: Future<Output = bool>>(gateway: &Gateway, mut is_so: impl FnMut() -> F) {
    let mut queue = Queue::default();
    for _ in 0..STEPS_MAX {
        if is_so().await {
            return;
        }
        if !step(gateway, &mut queue).await.unwrap() {
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }
    panic!("not after {STEPS_MAX} steps");
}

async fn holds(gateway: &Gateway, node: NodeId) -> bool {
    page(gateway).await.1.iter().any(|shard| shard.node == node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_gives_its_shards_to_others_deletes_them_and_is_stated_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, bucket, shards) = stored(folder.path()).await;
    let gateway = &fleet.running.gateway;
    let node = shards[2].node;
    gateway.drain(&caller(gateway), &node, true).await.unwrap();
    until(gateway, || async { gateway.drained(&node).await.unwrap().statement.is_some() }).await;
    let view = gateway.drained(&node).await.unwrap();
    assert_eq!((view.pages, view.to_delete, view.statement.unwrap().shards), (0, 0, Some(0)));
    let after = page(gateway).await.1;
    assert!(after.iter().all(|shard| shard.node != node));
    assert_eq!(after.iter().zip(&shards).filter(|(now, then)| now != then).count(), 1, "one shard moved, no other");
    assert_eq!(gateway.nodes.status(after[2].node).await.unwrap().shards, 1);
    assert_eq!(read(gateway, &bucket).await, body());
    gateway.drain(&caller(gateway), &node, false).await.unwrap();
    assert_eq!(gateway.drained(&node).await.unwrap().statement, None);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_moved_abroad_is_left_at_once_and_what_it_held_is_rebuilt_at_home() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, bucket, shards) = stored(folder.path()).await;
    let gateway = &fleet.running.gateway;
    let node = shards[0].node;
    let index = fleet.nodes.iter().position(|running| running.id() == node).unwrap();
    // An address in the US.
    fleet.hear_of(index, "CN", "127.1.0.77");
    gateway.warden.step().await.unwrap();
    until(gateway, || async { !holds(gateway, node).await }).await;
    assert_eq!(read(gateway, &bucket).await, body());
    // Over a connection from before it may be told to delete what it holds; else it keeps its orders.
    let orders = gateway.catalog.residue_of(&node, None, 10).await.unwrap();
    assert!(orders.iter().all(|order| order.shard == shards[0]), "{orders:?}");
    let [_, stored_bytes, fetched_bytes, ..] = gateway.repairs.done.figures();
    assert_eq!(fetched_bytes, 4 * stored_bytes, "rebuilt from four others, not copied from abroad");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_shard_is_made_anew_on_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, bucket, shards) = stored(folder.path()).await;
    let gateway = &fleet.running.gateway;
    let at = page(gateway).await.0;
    note_damaged(gateway, at, shards[5]);
    until(gateway, || async { !holds(gateway, shards[5].node).await }).await;
    assert_eq!(gateway.catalog.mendable(at).await.unwrap().unwrap().damaged, []);
    assert_eq!(read(gateway, &bucket).await, body());
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_a_crash_cut_off_is_taken_up_and_leaves_no_stray_with_a_node_that_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, _, shards) = stored(folder.path()).await;
    let gateway = &fleet.running.gateway;
    let at = page(gateway).await.0;
    let judged = gateway.catalog.mendable(at).await.unwrap().unwrap();
    let used: Vec<NodeId> = shards.iter().map(|shard| shard.node).collect();
    let spare: Vec<NodeId> = fleet.nodes.iter().map(|node| node.id()).filter(|node| !used.contains(node)).collect();
    let lease = super::lease(gateway).await.unwrap();
    // It was recorded where the copy would be, and then the gateway ended.
    let target = ShardAt { cid: shards[1].cid, node: spare[0] };
    let by = gateway.judging.law().epoch;
    gateway.catalog.announce_copies(&lease, &judged, by, vec![target]).await.unwrap();
    assert_eq!(gateway.catalog.pages_of_node(&spare[0], None, 10).await.unwrap(), [at]);
    gateway.order_node(&caller(gateway), &spare[0], FleetChange::Draining, |it| it.orders.drain = true).await.unwrap();
    until(gateway, || async { gateway.drained(&spare[0]).await.unwrap().statement.is_some() }).await;
    assert!(gateway.catalog.mendable(at).await.unwrap().unwrap().page.strays.is_empty());
    assert_eq!(page(gateway).await.1, shards, "nothing else was moved");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_nothing_counts_on_are_found_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, bucket, shards) = stored(folder.path()).await;
    let gateway = &fleet.running.gateway;
    assert_eq!(gateway.sweep_orphans().await.unwrap(), 0, "what is counted on is no orphan");
    // The rows of the object go, as if the catalog had come from an older backup: the shards stay.
    let at = page(gateway).await.0;
    gateway.catalog.forget_page(at).await.unwrap();
    assert_eq!(gateway.sweep_orphans().await.unwrap(), 6);
    let node = shards[3].node;
    until(gateway, || async { gateway.nodes.status(node).await.unwrap().shards == 0 }).await;
    assert_eq!(gateway.sweep_orphans().await.unwrap(), 0);
    drop(bucket);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_lie_on_a_node_that_is_gone_for_good_is_residue_until_somebody_attests_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, _, shards) = stored(folder.path()).await;
    let gateway = &fleet.running.gateway;
    let node = shards[0].node;
    let lease = super::lease(gateway).await.unwrap();
    let origin = gateway.catalog.mendable(page(gateway).await.0).await.unwrap().unwrap().claims[0].origin.clone();
    let residue = Residue { origin, since: gateway.clock.now(), cause: ResidueCause::Lost };
    // A copy that is not counted on any more, of a body of its own.
    let data = DataId::from_bytes([9; 16]);
    gateway.catalog.order_deletions(&lease, vec![ToDelete { shard: shards[0], data, residue }]).await.unwrap();
    assert_eq!(gateway.catalog.count_residue_of(&node).await.unwrap(), 1);
    assert_eq!(gateway.attest_end(&caller(gateway), &node).await.unwrap(), 1);
    assert_eq!(gateway.catalog.count_residue_of(&node).await.unwrap(), 0);
    fleet.stop().await;
}
