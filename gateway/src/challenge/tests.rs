//! Challenges of real nodes.

use domicile_placement::NodeState;
use domicile_types::{BucketName, Entry, ObjectKey, OperationKind, TenantId};

use super::*;
use crate::objects::{Caller, PutObject};
use crate::testing;
use crate::testing::fleet::{Fleet, start_fleet};

async fn with_an_object(folder: &std::path::Path, bytes: usize) -> Fleet {
    let fleet = start_fleet(folder, &["CN"; 6]).await;
    let gateway = &fleet.running.gateway;
    testing::bucket(gateway, "training", "tenant-a", "cn").await;
    let caller =
        Caller::worker(&TenantId::parse("tenant-a").unwrap(), "test", RequestId::from_bytes(gateway.clock.random()));
    let (bucket, key) = (BucketName::parse("training").unwrap(), ObjectKey::parse("a").unwrap());
    gateway.put_object(&caller, PutObject::plain(bucket, key, "x".repeat(bytes))).await.unwrap();
    fleet
}

/// A shard, and the page that it is of.
async fn a_shard(gateway: &Gateway) -> (Mendable, ShardAt) {
    let at = gateway.catalog.all_pages(None, 1).await.unwrap()[0];
    let page = gateway.catalog.mendable(at).await.unwrap().unwrap();
    let shard = page.page.segments[0][0];
    (page, shard)
}

/// Takes a shard away from its holder, as a node would that throws away what it is paid for.
async fn lose(gateway: &Gateway, page: &Mendable, shard: ShardAt) {
    let claim = &page.claims[0];
    let packs = claim.all_packs();
    let matter = Matter {
        operation: OperationKind::Sweep,
        packs: &packs,
        classification: &claim.classification,
        bucket: Some(&claim.origin.bucket),
        key: None,
        nodes: vec![gateway.directory.roster().get(&shard.node).unwrap().facts()],
    };
    let scope = Scope { data: Some(page.data), ..Scope::default() };
    let request = RequestId::from_bytes(gateway.clock.random());
    let intent = gateway.authorize_background(&claim.origin.tenant, "test", request, &matter, scope).await.unwrap();
    gateway.nodes.delete(shard.node, &Ticketed::new(intent).unwrap(), &shard.cid).await.unwrap().unwrap();
}

#[actix_web::test]
async fn whoever_holds_its_shards_proves_it_by_a_few_bytes_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = with_an_object(folder.path(), 200_000).await;
    let gateway = &fleet.running.gateway;
    let before = gateway.log.len();
    let round = round(gateway, &mut BTreeMap::new()).await.unwrap();
    assert_eq!((round.met, round.unmet.len()), (6, 0));
    assert!(round.bytes <= 6 * GROUP_BYTES, "{}", round.bytes);
    let intent = (before..gateway.log.len()).find_map(|index| match gateway.log.read(index).unwrap().entry {
        Entry::Intent(intent) => Some(intent),
        _ => None,
    });
    let intent = intent.expect("an intent was logged");
    assert_eq!(intent.operation, OperationKind::Challenge);
    assert_eq!(intent.budget.node_bytes_max, GROUP_BYTES);
    for standing in gateway.directory.standings() {
        assert_eq!(standing.delays.best(gateway.clock.now()).map(|best| best.samples), Some(1));
    }
    fleet.stop().await;
}

#[actix_web::test]
async fn a_shard_that_is_gone_is_found_told_with_its_log_index_and_left_to_repair() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = with_an_object(folder.path(), 20_000).await;
    let gateway = &fleet.running.gateway;
    let (page, shard) = a_shard(gateway).await;
    lose(gateway, &page, shard).await;
    let mut asked = BTreeMap::new();
    let result = round(gateway, &mut asked).await.unwrap();
    assert_eq!(result.unmet, [(shard.node, Fault::Missing)]);
    assert_eq!(gateway.catalog.damaged_pages(None, 10).await.unwrap(), [page.at]);
    gateway.warden.step().await.unwrap();
    let standing = gateway.directory.standing(&shard.node).unwrap();
    let failure = standing.judged.failures[0];
    assert_eq!((failure.cid, failure.fault), (shard.cid, Fault::Missing));
    let entry = gateway.log.read(failure.log_index).unwrap().entry;
    assert!(matches!(entry, Entry::Intent(intent) if intent.operation == OperationKind::Challenge));
    assert!((0..gateway.log.len()).any(|index| matches!(
        gateway.log.read(index).unwrap().entry,
        Entry::Incident { what, node: Some(node), .. } if what == "shard-not-proved" && node == shard.node
    )));
    assert_ne!(standing.state, NodeState::Corrupt, "one shard is one shard");
    fleet.stop().await;
}

#[actix_web::test]
async fn an_empty_fleet_and_a_fleet_without_objects_are_not_challenged() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = start_fleet(folder.path(), &["CN"]).await;
    let round = round(&fleet.running.gateway, &mut BTreeMap::new()).await.unwrap();
    assert_eq!(round, Round::default());
    fleet.stop().await;
}
