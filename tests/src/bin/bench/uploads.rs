//! Sixteen large uploads at once: what they cost in memory.

use std::path::Path;

use anyhow::Result;

use crate::Effort;
use crate::client::Verb;
use crate::disk::{GIB, must_hold};
use crate::fleet::Fleet;
use crate::objects::{phase, row};
use crate::report::{Cell, Table};
use crate::stopwatch::float;

const UPLOADS: u32 = 16;
/// What the gateway is to stay under.
const TARGET_MIB: f64 = 384.0;

/// Whether the disk holds them: 6 shards for 4, and something to spare.
pub(crate) fn check_space(folder: &Path, effort: Effort) -> Result<()> {
    must_hold(folder, u64::from(UPLOADS) * effort.upload_bytes * 8 / 5 + (2 << 30))
}

/// Uploads, measures, deletes.
pub(crate) fn run(fleet: &Fleet, effort: Effort) -> Result<Table> {
    let gib = float(effort.upload_bytes) / GIB;
    let notes = [
        "Each upload is one PUT whose body the client makes as it sends; none is in memory anywhere as a whole. The share of \
         the target is of the gateway's peak of resident memory; it does not depend on the uploads' length once all flow.",
    ];
    let mut table = Table::new("uploads", format!("{UPLOADS} uploads of {gib:.2} GiB at once"), &notes);
    eprintln!("bench: {UPLOADS} uploads of {gib:.2} GiB at once");
    let measured = fleet.measure(phase(Verb::Put, "upload", UPLOADS, effort.upload_bytes, 16))?;
    let peak = float(measured.used.gateway.peak_bytes) / 1_048_576.0;
    let mut figures = row(&format!("{UPLOADS} x {gib:.2} GiB"), &measured);
    figures.push(("% of 384 MiB", Cell::Number(100.0 * peak / TARGET_MIB, 0)));
    table.row(figures);
    fleet.measure(phase(Verb::Delete, "upload", UPLOADS, 0, 16))?;
    Ok(table)
}
