//! A node as a process of its own, killed in the middle of its work.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use domicile_storage_node::{IDENTITY_FILE, load_or_create, run_file, start, system_clock};
use domicile_types::{OperationKind, ShardCid};

use crate::fixture::{NodeClient, TestGateway, bytes, data, node_config, wanted};

const CONFIG: &str = "DOMICILE_TEST_NODE_CONFIG";

/// Not a test: the process that [`spawn_node`] starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child process of other tests"]
async fn node_process() {
    if let Some(config) = std::env::var_os(CONFIG) {
        run_file(config.as_ref()).await.unwrap();
    }
}

/// Starts a node with the data directory `directory` as a process, and waits until it answers.
pub(crate) async fn spawn_node(directory: &std::path::Path, gateway: &TestGateway) -> (Child, NodeClient) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = node_config(directory, &[gateway]);
    config.listen = free;
    let key = load_or_create(directory, &[42; 32]).unwrap();
    assert!(directory.join(IDENTITY_FILE).exists());
    let path = directory.join("node.toml");
    std::fs::write(&path, config.to_toml().unwrap()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "killed::node_process"])
        .env(CONFIG, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = NodeClient::new(&key_of(gateway), key.id(), free);
    while client.http.get(format!("{}/v1/status", client.base)).send().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    (child, client)
}

fn key_of(gateway: &TestGateway) -> domicile_types::IdentityKey {
    domicile_types::IdentityKey::from_seed(&gateway.key.signing_key().to_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_between_write_and_acknowledgement_loses_nothing_that_it_acknowledged() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(ShardCid, u64)> = Vec::new();
    for round in 0..3u64 {
        let (mut child, client) = spawn_node(directory.path(), &gateway).await;
        let ticket = gateway.ticket(&wanted(OperationKind::PutObject));
        let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
        for writer in 0..4u64 {
            let (client, ticket, done) = (client.clone(), ticket.clone(), done.clone());
            tokio::spawn(async move {
                for number in 0..1000 {
                    let seed = round * 1_000_000 + writer * 1_000 + number;
                    let shard = bytes(seed, 100_000);
                    let request = client.http.put(client.url(&ShardCid::of(&shard)));
                    let request = request.header(domicile_node_protocol::TICKET_HEADER, &ticket);
                    let request = request.header(domicile_node_protocol::DATA_HEADER, data(1).to_string());
                    match request.body(shard.clone()).send().await {
                        Ok(answer) if answer.status() == 201 => drop(done.send((ShardCid::of(&shard), seed))),
                        _ => return,
                    }
                }
            });
        }
        drop(done);
        for _ in 0..25 {
            acknowledged.push(finished.recv().await.unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(late) = finished.recv().await {
            acknowledged.push(late);
        }
    }
    let node = start(node_config(directory.path(), &[&gateway]), system_clock()).await.unwrap();
    let client = gateway.client(node.id(), node.address());
    let ticket = gateway.ticket(&wanted(OperationKind::GetObject));
    for (cid, seed) in &acknowledged {
        let answer = client.get(&ticket, cid).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &bytes(*seed, 100_000)[..]));
    }
    assert!(acknowledged.len() >= 75);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_ends_in_good_order_with_its_counts_written_down() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let (mut child, client) = spawn_node(directory.path(), &gateway).await;
    let ticket = gateway.ticket(&wanted(OperationKind::PutObject));
    for seed in 0..3 {
        assert_eq!(client.put(&ticket, data(1), &bytes(seed, 1_000)).await.status, 201);
    }
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended:?}");
    let node = start(node_config(directory.path(), &[&gateway]), system_clock()).await.unwrap();
    let status = gateway.client(node.id(), node.address()).status().await;
    assert_eq!((status.shards, status.stored.requests, status.stored.bytes), (3, 3, 3_000));
    node.stop().await.unwrap();
}
