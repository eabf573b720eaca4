//! A measurement, not a test: it asserts no time. Run it with
//! `cargo test --release -p domicile-storage-node --test data_plane -- --ignored --nocapture speed`.

use std::time::Instant;

use domicile_node_protocol::{LeafHash, ResolvedRange};
use domicile_storage_node::proof::verify_slice;
use domicile_storage_node::store::{Errand, StoreConfig, VerifiedShard};
use domicile_types::{OperationKind, ShardCid};
use futures::StreamExt;

use crate::fixture::{TestGateway, bytes, data, wanted};
use crate::killed::spawn_node;

const SHARD_BYTES: usize = 1_049_600;
const SHARDS: u64 = 512;

/// CPU-seconds that a process has used.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures time")]
async fn speed() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut child, client) = spawn_node(directory.path(), &gateway).await;
    let shards: Vec<Vec<u8>> = (0..SHARDS).map(|seed| bytes(seed, SHARD_BYTES)).collect();
    let cids: Vec<ShardCid> = shards.iter().map(|shard| ShardCid::of(shard)).collect();
    let gib = (SHARDS * SHARD_BYTES as u64) as f64 / f64::from(1u32 << 30);
    println!("| {SHARDS} x 1 MiB | in flight | MB/s | node CPU-s/GiB | client CPU-s/GiB |");
    for (round, in_flight) in [1usize, 16].into_iter().enumerate() {
        let under = data(u8::try_from(round).unwrap() + 1);
        let put = gateway.ticket(&crate::fixture::Wanted { data: under, ..wanted(OperationKind::PutObject) });
        let get = gateway.ticket(&crate::fixture::Wanted { data: under, ..wanted(OperationKind::GetObject) });
        let before = (cpu_seconds(child.id()), cpu_seconds(std::process::id()), Instant::now());
        let answers = futures::stream::iter(&shards).map(|shard| client.put(&put, under, shard));
        answers.buffer_unordered(in_flight).for_each(|answer| async move { assert_eq!(answer.status, 201) }).await;
        report("put", in_flight, gib, before, child.id());
        for kind in ["get", "get again"] {
            let before = (cpu_seconds(child.id()), cpu_seconds(std::process::id()), Instant::now());
            let budgeted = if kind == "get" {
                &get
            } else {
                &gateway.ticket(&crate::fixture::Wanted { data: under, ..wanted(OperationKind::GetObject) })
            };
            let answers = futures::stream::iter(&cids).map(|cid| client.get(budgeted, cid));
            answers.buffer_unordered(in_flight).for_each(|answer| async move { assert_eq!(answer.status, 200) }).await;
            report(kind, in_flight, gib, before, child.id());
        }
        let ranges = gateway.ticket(&crate::fixture::Wanted { data: under, ..wanted(OperationKind::GetObject) });
        let started = Instant::now();
        let answers = futures::stream::iter(&cids).map(|cid| client.get_range(&ranges, cid, "bytes=164000-229599"));
        answers.buffer_unordered(in_flight).for_each(|answer| async move { assert_eq!(answer.status, 206) }).await;
        println!("| 64 KiB ranges | {in_flight} | {:.0} requests/s |", SHARDS as f64 / started.elapsed().as_secs_f64());
        let delete = gateway.ticket(&crate::fixture::Wanted { data: under, ..wanted(OperationKind::DeleteObject) });
        for cid in &cids {
            assert_eq!(client.delete(&delete, cid).await.status, 200);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn report(what: &str, in_flight: usize, gib: f64, before: (f64, f64, Instant), node: u32) {
    let seconds = before.2.elapsed().as_secs_f64();
    let (node, client) = (cpu_seconds(node) - before.0, cpu_seconds(std::process::id()) - before.1);
    let rate = gib * 1073.741_824 / seconds;
    println!("| {what} | {in_flight} | {rate:.0} | {:.2} | {:.2} |", node / gib, client / gib);
}

/// What a challenge costs, per shard: a range of one byte, each of another shard.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures time")]
async fn speed_of_challenges() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut child, client) = spawn_node(directory.path(), &gateway).await;
    let put = gateway.ticket(&wanted(OperationKind::PutObject));
    let shards: Vec<Vec<u8>> = (0..SHARDS).map(|seed| bytes(seed, SHARD_BYTES)).collect();
    let cids: Vec<ShardCid> = shards.iter().map(|shard| ShardCid::of(shard)).collect();
    let answers = futures::stream::iter(&shards).map(|shard| client.put(&put, data(1), shard));
    answers.buffer_unordered(16).for_each(|answer| async move { assert_eq!(answer.status, 201) }).await;
    println!(
        "| challenges of 1 MiB shards, in flight | challenges/s | node CPU-ms each | gateway CPU-ms each | bytes each |"
    );
    for in_flight in [1usize, 16] {
        let ticket = gateway.ticket(&wanted(OperationKind::Challenge));
        let (node, own, started) = (cpu_seconds(child.id()), cpu_seconds(std::process::id()), Instant::now());
        let answers = futures::stream::iter(&cids).map(|cid| {
            let (client, ticket) = (&client, &ticket);
            async move {
                let answer = client.challenge(ticket, cid, "bytes=600000-600000").await;
                let range = ResolvedRange { start: 600_000, end: 600_001 };
                verify_slice(cid, SHARD_BYTES as u64, range, &answer.body).unwrap();
                answer.body.len()
            }
        });
        let sizes: Vec<usize> = answers.buffer_unordered(in_flight).collect().await;
        let (rate, each) = (SHARDS as f64 / started.elapsed().as_secs_f64(), 1000.0 / SHARDS as f64);
        let (node, own) = ((cpu_seconds(child.id()) - node) * each, (cpu_seconds(std::process::id()) - own) * each);
        println!("| {in_flight} | {rate:.0} | {node:.2} | {own:.2} | {} |", sizes.iter().sum::<usize>() / sizes.len());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How fast a store reads all it has, and how fast it empties a segment file of which half is live.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn speed_of_upkeep() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let node = domicile_types::IdentityKey::from_seed(&[1; 32]).id();
    let config = StoreConfig {
        node,
        directory: directory.path().to_owned(),
        capacity_bytes: 4 << 30,
        high_water_percent: 95,
        segment_bytes_max: 256 << 20,
        rebuild_index: false,
    };
    let store = domicile_storage_node::store::open(&config, [7; 16]).unwrap().store;
    let errand = Errand {
        data: data(1),
        ticket: LeafHash::from_digest([1; 32]),
        gateway: node,
        now: domicile_types::UnixMillis(1),
    };
    let mut cids = Vec::new();
    for seed in 0..SHARDS {
        let shard = bytes::Bytes::from(bytes(seed, SHARD_BYTES));
        let cid = ShardCid::of(&shard);
        let put = store.put(VerifiedShard::of(&cid, shard).unwrap(), errand);
        futures::executor::block_on(put).unwrap();
        cids.push(cid);
    }
    let mib = |bytes: u64, started: Instant| bytes as f64 / f64::from(1u32 << 20) / started.elapsed().as_secs_f64();
    let own = || cpu_seconds(std::process::id());
    let gib = |bytes: u64| bytes as f64 / f64::from(1u32 << 30);
    let (started, before) = (Instant::now(), own());
    let (mut after, mut read) = (None, 0);
    loop {
        let step = store.scrub_step(after.as_ref(), 4 << 20).unwrap();
        let Some(last) = step.last else { break };
        (after, read) = (Some(last), read + step.bytes);
    }
    println!("| scrub | {:.0} MiB/s | {:.2} CPU-s/GiB |", mib(read, started), (own() - before) / gib(read));
    for cid in cids.iter().step_by(2) {
        futures::executor::block_on(store.delete(*cid, errand)).unwrap();
    }
    let used = store.totals().used_bytes;
    let (started, before, mut moved) = (Instant::now(), own(), 0);
    let mut plan = store.plan_compaction().unwrap().unwrap();
    while let Some(bytes) = store.compact_step(&mut plan).unwrap() {
        moved += bytes;
    }
    let rate = mib(moved, started);
    println!("| compaction | {rate:.0} MiB/s moved | {:.2} CPU-s/GiB moved |", (own() - before) / gib(moved));
    println!("| used before and after | {} | {} MiB |", used >> 20, store.totals().used_bytes >> 20);
}
