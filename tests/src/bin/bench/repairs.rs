//! A node drained of what it holds: how fast, at what cost, and how many bytes move for each that has a new holder.

use anyhow::Result;

use crate::Effort;
use crate::client::Verb;
use crate::disk::GIB;
use crate::fleet::Fleet;
use crate::objects::phase;
use crate::report::{Cell, Table};
use crate::stopwatch::float;

const OBJECT_BYTES: u64 = 64 << 20;

/// Stores objects, drains the node that holds most, measures, deletes.
pub(crate) fn run(fleet: &Fleet, effort: Effort) -> Result<Table> {
    let objects = 16 * effort.times;
    let notes = [
        "Shards of a node that leaves in good order are copied as they are: one byte is read for each that is stored, where a lost \
         node's shards are rebuilt from k others. From the order to the statement that nothing is left, old copies deleted with \
         receipts; the five seconds for which old copies stay are within.",
    ];
    let mut table = Table::new("repairs", format!("a node drained of {objects} objects of 64 MiB"), &notes);
    eprintln!("bench: {objects} objects of 64 MiB, then a node drained");
    fleet.measure(phase(Verb::Put, "repair", objects, OBJECT_BYTES, 4))?;
    let drained = fleet.drain_the_fullest()?;
    let stored = float(drained.stored_bytes);
    let per_gib = |cpu_seconds: f64| Cell::Number(cpu_seconds / (stored / GIB), 2);
    let written = drained.used.gateway.written_bytes + drained.used.nodes.written_bytes;
    table.row(vec![
        ("what", Cell::text("drain")),
        ("shards", Cell::Number(float(drained.shards), 0)),
        ("MB/s", Cell::Number(stored / 1e6 / drained.seconds, 1)),
        ("gateway CPU-s/GiB", per_gib(drained.used.gateway.cpu_seconds)),
        ("nodes CPU-s/GiB", per_gib(drained.used.nodes.cpu_seconds)),
        ("read", Cell::Number(float(drained.fetched_bytes) / stored, 2)),
        ("written", Cell::Number(float(written) / stored, 2)),
        ("gateway MiB", Cell::Number(float(drained.used.gateway.peak_bytes) / 1_048_576.0, 0)),
    ]);
    fleet.measure(phase(Verb::Delete, "repair", objects, 0, 16))?;
    Ok(table)
}
