//! What a change would make of what is stored, and what is told when it has come.

use std::collections::BTreeSet;

use domicile_types::{Entry, Place};

use super::{Supposition, rescan};
use crate::objects::Gateway;
use crate::objects::rejudge_tests::{NO_STRAITS, caller, halves, id, pack, publish, put_request};
use crate::testing::{self, fleet::start_fleet};

/// Names of the incidents in the log that name a shard: the repair worker beside may tell of the same without one.
async fn incidents(gateway: &Gateway) -> Vec<String> {
    let gateway = gateway.clone();
    let read = move || {
        let mut found = Vec::new();
        let incident = |record: domicile_types::Record| match record.entry {
            Entry::Incident { what, shard: Some(_), .. } => Some(what),
            _ => None,
        };
        gateway
            .log
            .entries(0..gateway.log.len(), |stored| {
                found.extend(incident(stored.record().unwrap()));
                true
            })
            .unwrap();
        found
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_tells_what_would_move_and_what_could_not_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Under 4+2 each of the six holds a shard of every segment, and there is nobody else.
    let fleet = start_fleet(folder.path(), &["CN", "CN", "CN", "CN", "CN", "SG"]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "scanned", "tenant-a", "cn").await;
    gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, None))).await.unwrap();
    let before = gateway.judging.law().epoch;

    let now = gateway.impact(Supposition::default()).await.unwrap();
    assert_eq!((now.pages, now.objects, now.shards), (1, 0, 0));

    let narrower = Supposition { packs: vec![(id(), pack("two", &[NO_STRAITS]))], moved: Vec::new() };
    let impact = gateway.impact(narrower).await.unwrap();
    assert_eq!((impact.objects, impact.shards, impact.stuck_objects, impact.stuck_shards), (1, 1, 1, 1));
    assert!(impact.bytes > 0 && impact.bytes == impact.stuck_bytes);
    let [node] = impact.nodes.as_slice() else { panic!("{impact:?}") };
    assert_eq!(node.node, fleet.nodes[5].id());
    assert_eq!(node.rules, BTreeSet::from(["cn-data-export/no-straits".to_owned()]));
    let [told] = impact.buckets.as_slice() else { panic!("{impact:?}") };
    assert_eq!((told.bucket.as_str(), told.objects, told.stuck_shards), ("scanned", 1, 1));

    let abroad = vec![(fleet.nodes[0].id(), Place::parse("US").unwrap())];
    let impact = gateway.impact(Supposition { packs: Vec::new(), moved: abroad }).await.unwrap();
    assert_eq!((impact.shards, impact.nodes[0].node), (1, fleet.nodes[0].id()));

    assert_eq!(gateway.judging.law().epoch, before);
    assert_eq!(incidents(gateway).await, Vec::<String>::new());
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_after_a_change_finds_what_may_not_stay_and_tells_once_of_what_can_go_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = start_fleet(folder.path(), &["CN", "CN", "CN", "CN", "CN", "SG"]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let bucket = testing::bucket(gateway, "scanned", "tenant-a", "cn").await;
    gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, None))).await.unwrap();
    assert_eq!(rescan::scan(gateway).await.unwrap(), Some(0));
    publish(gateway, pack("two", &[NO_STRAITS])).await;
    for _ in 0..2 {
        assert_eq!(rescan::scan(gateway).await.unwrap(), Some(1));
        assert_eq!(incidents(gateway).await, ["unlawful-and-no-room"]);
    }
    // The law gives way, and nothing is left to tell.
    publish(gateway, pack("three", &[])).await;
    assert_eq!(rescan::scan(gateway).await.unwrap(), Some(0));
    fleet.stop().await;
}
