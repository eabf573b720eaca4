//! A measurement, not a test: it asserts no time. Run it with
//! `cargo test --release -p domicile-storage-node --test data_plane -- --ignored --nocapture speed`.

use std::time::Instant;

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
