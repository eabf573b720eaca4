//! PUT, GET and ranges through a gateway and its nodes, all of them processes of their own on this machine.

use anyhow::Result;

use crate::Effort;
use crate::client::{Verb, Work};
use crate::disk::GIB;
use crate::fleet::{Fleet, Measured};
use crate::report::{Cell, Table};
use crate::stopwatch::float;

const LARGE_BYTES: u64 = 64 << 20;
const SMALL_BYTES: u64 = 16 << 10;
/// What image datasets are made of.
const MEDIUM_BYTES: u64 = 100 << 10;
const FILE_BYTES_MIN: u64 = 10 << 10;
const RANGE_BYTES: u64 = 64 << 10;

const NOTES: [&str; 4] = [
    "`domicile demo`: one gateway, 20 nodes (8 of them lawful for the bucket), and the client, all on this machine, over \
     HTTP to the gateway and TLS 1.3 to the nodes. MB/s (10^6 bytes) and requests/s are what all of them together reach \
     while they share the cores.",
    "CPU-s/GiB: processor seconds per GiB of user data, of the client's process, of the gateway's, and of all nodes' \
     together. MiB: peak of resident memory in the phase, of the gateway and of the largest node. Written: bytes that gateway \
     and nodes made the kernel write, per user byte. Shard bytes: what nodes served, per user byte.",
    "Latency is until the last byte of the answer. The client compares every byte that it reads with what it wrote.",
    "A range of 64 KiB from a random byte on touches 5 chunks of 16,400 bytes but for one start in 16,384: 1.25 is the least.",
];

/// Every phase, on one fleet.
pub(crate) fn run(fleet: &Fleet, effort: Effort) -> Result<Table> {
    let mut table = Table::new("objects", "Objects through gateway and nodes", &NOTES);
    let large = 8 * effort.times;
    let small = 2000 * effort.times;
    let phases = [
        ("PUT 64 MiB, 1 at once", phase(Verb::Put, "large-1", large, LARGE_BYTES, 1)),
        ("PUT 64 MiB, 4 at once", phase(Verb::Put, "large-4", large, LARGE_BYTES, 4)),
        ("PUT 64 MiB, SHA-256 signed, 1 at once", phase(Verb::PutSigned, "signed", large / 2, LARGE_BYTES, 1)),
        ("GET 64 MiB, 1 at once", phase(Verb::Get, "large-1", large, LARGE_BYTES, 1)),
        ("GET 64 MiB, 4 at once", phase(Verb::Get, "large-4", large, LARGE_BYTES, 4)),
        ("GET 64 KiB ranges of 64 MiB, 1 at once", ranges("large-1", 300 * effort.times, 1)),
        ("GET 64 KiB ranges of 64 MiB, 16 at once", ranges("large-1", 1500 * effort.times, 16)),
        ("PUT 16 KiB, 32 at once", phase(Verb::Put, "small", small, SMALL_BYTES, 32)),
        ("GET 16 KiB, 32 at once", phase(Verb::Get, "small", small, SMALL_BYTES, 32)),
        ("PUT 100 KiB, 32 at once", phase(Verb::Put, "medium", small, MEDIUM_BYTES, 32)),
        ("GET 100 KiB, 32 at once", phase(Verb::Get, "medium", small, MEDIUM_BYTES, 32)),
        ("PUT files of 10 to 100 KiB, 64 at once", files(Verb::Put, effort)),
        ("GET files of 10 to 100 KiB, 64 at once", files(Verb::Get, effort)),
    ];
    for (name, work) in phases {
        eprintln!("bench: {name}");
        table.row(row(name, &fleet.measure(work)?));
    }
    for (name, objects) in
        [("large-1", large), ("large-4", large), ("signed", large / 2), ("small", small), ("medium", small)]
    {
        fleet.measure(phase(Verb::Delete, name, objects, 0, 32))?;
    }
    fleet.measure(files(Verb::Delete, effort))?;
    Ok(table)
}

/// A dataset of small files.
fn files(verb: Verb, effort: Effort) -> Work {
    Work { object_bytes_min: FILE_BYTES_MIN, ..phase(verb, "files", effort.small_files, MEDIUM_BYTES, 64) }
}

/// One request per object.
pub(crate) fn phase(verb: Verb, name: &str, objects: u32, object_bytes: u64, at_once: usize) -> Work {
    Work {
        verb,
        name: name.to_owned(),
        objects,
        object_bytes,
        object_bytes_min: object_bytes,
        requests: objects,
        at_once,
    }
}

fn ranges(name: &str, requests: u32, at_once: usize) -> Work {
    let verb = Verb::GetRange { bytes: RANGE_BYTES };
    Work { verb, requests, ..phase(verb, name, 1, LARGE_BYTES, at_once) }
}

/// The figures of one phase.
pub(crate) fn row(name: &str, measured: &Measured) -> Vec<(&'static str, Cell)> {
    let Measured { done, used } = measured;
    let answered = float(done.requests - done.failed);
    let user_bytes = float(done.bytes);
    let per_gib = |cpu_seconds: f64| Cell::Number(cpu_seconds / (user_bytes / GIB), 2);
    let mebibytes = |bytes: u64| Cell::Number(float(bytes) / 1_048_576.0, 0);
    let written = used.gateway.written_bytes + used.nodes.written_bytes;
    let served = used.served_bytes.map_or(Cell::Absent, |bytes| Cell::Number(float(bytes) / user_bytes, 2));
    vec![
        ("what", Cell::text(name)),
        ("requests", Cell::Number(answered, 0)),
        ("failed", Cell::Number(float(done.failed), 0)),
        ("MB/s", Cell::Number(user_bytes / 1e6 / done.seconds, 1)),
        ("requests/s", Cell::Number(answered / done.seconds, 1)),
        ("p50 ms", Cell::Number(done.p50_millis, 1)),
        ("p99 ms", Cell::Number(done.p99_millis, 1)),
        ("client CPU-s/GiB", per_gib(done.cpu_seconds)),
        ("gateway CPU-s/GiB", per_gib(used.gateway.cpu_seconds)),
        ("nodes CPU-s/GiB", per_gib(used.nodes.cpu_seconds)),
        ("gateway CPU ms/request", Cell::Number(used.gateway.cpu_seconds * 1000.0 / answered, 2)),
        ("gateway MiB", mebibytes(used.gateway.peak_bytes)),
        ("node MiB", mebibytes(used.nodes.peak_bytes)),
        ("written", Cell::Number(float(written) / user_bytes, 2)),
        ("shard bytes", served),
    ]
}
