//! Data directories that are moved, copied and mixed up, and peers of another version.

use std::path::Path;

use domicile_node_protocol::RefusalCode;
use domicile_storage_node::{NodeConfig, NodeError, start, system_clock};
use domicile_types::OperationKind;

use crate::fixture::{Pair, bytes, data, node_config, wanted};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_on_another_disk_is_the_same_node_but_believes_no_ticket_from_before() {
    let pair = Pair::start().await;
    let shard = bytes(1, 100_000);
    let cid = pair.store(&shard).await;
    let get = pair.ticket(OperationKind::GetObject);
    assert_eq!(pair.client.get(&get, &cid).await.status, 200);
    let id = pair.node.id();
    let Pair { gateway, directory, node, .. } = pair;
    node.stop().await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    copy(directory.path(), elsewhere.path());

    let node = start(node_config(elsewhere.path(), &[&gateway]), system_clock()).await.unwrap();
    assert_eq!(node.id(), id);
    let client = gateway.client(node.id(), node.address());
    assert_eq!(client.get(&get, &cid).await.refusal(), RefusalCode::StaleTicket, "the other copy may have spent it");
    let get = gateway.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(client.get(&get, &cid).await.body, shard);
    node.stop().await.unwrap();
    // Where it is now is where it belongs.
    let node = start(node_config(elsewhere.path(), &[&gateway]), system_clock()).await.unwrap();
    let client = gateway.client(node.id(), node.address());
    assert_eq!(client.get(&get, &cid).await.status, 200);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_were_copied_to_another_node_are_refused_and_left_alone() {
    let pair = Pair::start().await;
    pair.store(&bytes(1, 100_000)).await;
    let Pair { gateway, directory, node, .. } = pair;
    node.stop().await.unwrap();
    for (with_index, rebuild_index) in [(true, false), (false, true)] {
        let other = tempfile::tempdir().unwrap();
        copy(&directory.path().join("segments"), &other.path().join("segments"));
        if with_index {
            copy(&directory.path().join("index"), &other.path().join("index"));
        }
        let config = NodeConfig { rebuild_index, ..node_config(other.path(), &[&gateway]) };
        let refused = start(config, system_clock()).await.err().unwrap();
        let NodeError::Store(refused) = refused else { panic!("{refused:?}") };
        assert!(refused.to_string().contains("give each node a data directory of its own"), "{refused}");
        assert!(other.path().join("segments/00000001.seg").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_of_the_protocol_is_refused_by_name() {
    let pair = Pair::start().await;
    let request = pair.client.http.get(format!("{}/v2/shards/x", pair.client.base));
    let answer = pair.client.send(request).await;
    assert_eq!(answer.refusal(), RefusalCode::BadRequest);
    let reason = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(reason.contains("versions 1 to 1") && reason.contains("version 2"), "{reason}");
    assert_eq!(pair.client.put(&pair.ticket(OperationKind::PutObject), data(1), b"x").await.status, 201);
    pair.node.stop().await.unwrap();
}
