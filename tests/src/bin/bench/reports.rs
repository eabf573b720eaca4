//! Reports that officers file: what a register of a thousand exports costs.

use std::path::Path;

use anyhow::Result;
use domicile_compliance::report::{Language, ReportKind, html, report};
use domicile_tests::reports::{material, rendered};

use crate::Effort;
use crate::process::children_cpu_seconds;
use crate::report::{Cell, Table};
use crate::stopwatch::{float, median, timed, widen};

const ROWS: u64 = 1_000;

/// Makes the register in every form, several times.
pub(crate) fn run(renderer: &Path, effort: Effort) -> Result<Table> {
    let notes = [
        "From what was read of the log to the file: figures, tables and the entries behind them. CPU-s of PDF is that of the program that \
         sets it, its start and fonts within; the middle of three runs.",
    ];
    let mut table = Table::new("reports", format!("a register of {ROWS} exports"), &notes);
    eprintln!("bench: reports of {ROWS} rows");
    let material = material(ROWS)?;
    for (name, language) in [("English", Language::En), ("Chinese", Language::Zh)] {
        for form in ["json", "html", "pdf"] {
            let mut seconds = Vec::new();
            let mut bytes = 0;
            for _ in 0..3 * effort.times {
                let before = children_cpu_seconds()?;
                let took = timed(|| {
                    let report = report(ReportKind::ExportRegister, language, &material);
                    let file = match form {
                        "html" => html(&report).into_bytes(),
                        "pdf" => rendered(renderer, &serde_json::to_vec(&report)?)?,
                        _ => serde_json::to_vec_pretty(&report)?,
                    };
                    bytes = file.len();
                    Ok(())
                })?;
                seconds.push(took.cpu.as_secs_f64() + children_cpu_seconds()? - before);
            }
            table.row(vec![
                ("form", Cell::text(format!("{form}, {name}"))),
                ("CPU-s", Cell::Number(median(seconds), 3)),
                ("KiB", Cell::Number(float(widen(bytes)) / 1024.0, 0)),
            ]);
        }
    }
    Ok(table)
}
