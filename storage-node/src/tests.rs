//! Nodes with real sockets on a disk that fails, and with clocks that are wrong.

#[allow(dead_code, reason = "shared with the tests of the data plane, which use all of it")]
#[path = "../tests/data_plane/fixture.rs"]
mod fixture;

use std::sync::Arc;

use domicile_compliance::audit::Clock;
use domicile_node_protocol::{AnnouncementError, NodeCondition, RefusalCode, SignedAnnouncement};
use domicile_types::{OperationKind, ShardCid};
use parking_lot::Mutex;

use self::fixture::{TestGateway, bytes, data, node_config, wanted};
use crate::daemon::start_on;
use crate::store::{Fault, FaultyDisk};
use crate::{NodeConfig, RunningNode, start, system_clock};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_fails_a_write_serves_and_takes_nothing_and_says_so() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), &[&gateway]);
    let fault = Arc::new(Mutex::new(Fault::None));
    let disk = Box::new(FaultyDisk(Arc::clone(&fault)));
    let node = start_on(disk, config.clone(), system_clock()).await.unwrap();
    let client = gateway.client(node.id(), node.address());
    let put = gateway.ticket(&wanted(OperationKind::PutObject));
    let shard = bytes(1, 100_000);
    let cid = client.put(&put, data(1), &shard).await.receipt().cid;
    assert_eq!(node.node.condition(), NodeCondition::Serving);

    *fault.lock() = Fault::Sync;
    assert_eq!(client.put(&put, data(1), &bytes(2, 100_000)).await.refusal(), RefusalCode::Unavailable);
    *fault.lock() = Fault::None;
    assert_eq!(client.put(&put, data(1), &bytes(3, 100_000)).await.refusal(), RefusalCode::Unavailable);
    let get = gateway.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(client.get(&get, &cid).await.body, shard);
    let challenge = gateway.ticket(&wanted(OperationKind::Challenge));
    assert_eq!(client.challenge(&challenge, &cid, "bytes=5-6").await.status, 200);
    let delete = gateway.ticket(&wanted(OperationKind::DeleteObject));
    assert_eq!(client.delete(&delete, &cid).await.refusal(), RefusalCode::Unavailable);
    let announced = node.node.announcement(node.address());
    let announced = SignedAnnouncement::verify(announced.as_bytes(), system_clock()()).unwrap();
    assert_eq!(announced.condition, NodeCondition::DiskFault);
    node.stop().await.unwrap();

    let node = started_again(config).await;
    let client = gateway.client(node.id(), node.address());
    assert_eq!(client.get(&get, &cid).await.refusal(), RefusalCode::StaleTicket, "its spending may be lost");
    let get = gateway.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(client.get(&get, &cid).await.body, shard);
    assert_eq!(client.get(&get, &ShardCid::of(&bytes(2, 100_000))).await.refusal(), RefusalCode::NotFound);
    let put = gateway.ticket(&wanted(OperationKind::PutObject));
    assert_eq!(client.put(&put, data(1), &bytes(2, 100_000)).await.status, 201);
    assert_eq!(node.node.condition(), NodeCondition::Serving);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_above_its_high_water_mark_announces_that_it_is_full_and_refuses_shards() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let mut config = node_config(directory.path(), &[&gateway]);
    config.capacity_bytes = 20 << 20;
    config.upkeep.high_water_percent = 50;
    let node = start(config, system_clock()).await.unwrap();
    let client = gateway.client(node.id(), node.address());
    let put = gateway.ticket(&wanted(OperationKind::PutObject));
    let mut taken = 0;
    loop {
        let answer = client.put(&put, data(1), &bytes(taken, 1_000_000)).await;
        if answer.status != 201 {
            assert_eq!(answer.refusal(), RefusalCode::Full);
            break;
        }
        taken += 1;
    }
    assert!((8..=10).contains(&taken), "{taken} shards of 1 MB in 10 MiB");
    let announced = node.node.announcement(node.address());
    let announced = SignedAnnouncement::verify(announced.as_bytes(), system_clock()()).unwrap();
    assert_eq!((announced.condition, announced.capacity_bytes), (NodeCondition::Full, 20 << 20));
    assert!(announced.free_bytes < 2 << 20);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_off_is_refused_by_both_sides_with_a_reason() {
    const HOUR: u64 = 3_600_000;
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let ahead: Clock = Arc::new(|| system_clock()().plus_millis(HOUR));
    let behind: Clock = Arc::new(|| domicile_types::UnixMillis(system_clock()().0 - HOUR));
    for (clock, is_ahead) in [(ahead, true), (behind, false)] {
        let directory = tempfile::tempdir().unwrap();
        let node = start(node_config(directory.path(), &[&gateway]), clock).await.unwrap();
        let client = gateway.client(node.id(), node.address());
        let put = gateway.ticket(&wanted(OperationKind::PutObject));
        let answer = client.put(&put, data(1), &bytes(1, 1_000)).await;
        assert_eq!(answer.refusal(), RefusalCode::StaleTicket);
        let reason = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(is_ahead || reason.contains("set the clocks"), "{reason}");
        let announced = node.node.announcement(node.address());
        match SignedAnnouncement::verify(announced.as_bytes(), system_clock()()) {
            Err(AnnouncementError::FromTheFuture { .. }) => assert!(is_ahead),
            Err(AnnouncementError::Expired { .. }) => assert!(!is_ahead),
            other => panic!("{other:?}"),
        }
        node.stop().await.unwrap();
    }
}

/// Starts a node that was just stopped in this process: a read that it had begun may hold its index a moment longer.
async fn started_again(config: NodeConfig) -> RunningNode {
    for _ in 0..200 {
        match start(config.clone(), system_clock()).await {
            Err(error) if format!("{error:?}").contains("lock hold by current process") => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            started => return started.unwrap(),
        }
    }
    panic!("the index of the node before is still held");
}
