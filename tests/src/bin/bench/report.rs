//! Figures as people read them (Markdown tables, ready for a README) and as programs do (JSON).

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// What was measured, as far as it is done.
pub(crate) struct Report {
    is_full: bool,
    tables: Vec<Table>,
}

/// One table.
pub(crate) struct Table {
    /// In JSON the table goes by this name.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What the figures are, and how they were taken.
    pub(crate) notes: Vec<String>,
    rows: Vec<Vec<(&'static str, Cell)>>,
}

/// One figure.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String),
    /// With so many decimals in the table; JSON has all of them.
    Number(f64, usize),
    /// Could not be had.
    Absent,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number, decimals) if number.is_finite() => format!("{number:.decimals$}"),
            Self::Number(..) | Self::Absent => "-".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number, _) => json!(number),
            Self::Absent => Value::Null,
        }
    }
}

impl Table {
    pub(crate) fn new(name: &'static str, title: impl Into<String>, notes: &[&str]) -> Self {
        let notes = notes.iter().map(|note| (*note).to_owned()).collect();
        Self { name, title: title.into(), notes, rows: Vec::new() }
    }

    /// Adds a row: the name of each column with its figure. Every row of a table has the same columns.
    pub(crate) fn row(&mut self, cells: Vec<(&'static str, Cell)>) {
        self.rows.push(cells);
    }

    fn markdown(&self) -> String {
        let header: Vec<String> = self.rows.first().into_iter().flatten().map(|(name, _)| (*name).to_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(|(_, cell)| cell.shown()).collect());
        let lines: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
        let columns = lines.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max())
            .map(|width| width.unwrap_or(0).max(3))
            .collect();
        let mut text = format!("### {}\n\n", self.title);
        for (number, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let padded = if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                let _infallible = write!(text, "| {padded} ");
            }
            text.push_str("|\n");
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width.saturating_sub(1));
                    let _infallible =
                        if column == 0 { write!(text, "| {dashes}- ") } else { write!(text, "| {dashes}: ") };
                }
                text.push_str("|\n");
            }
        }
        for note in &self.notes {
            let _infallible = write!(text, "\n{note}\n");
        }
        text
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<(&'static str, Cell)>| -> Map<String, Value> {
            row.iter().map(|(name, cell)| ((*name).to_owned(), cell.json())).collect()
        };
        json!({ "title": self.title, "notes": self.notes, "rows": self.rows.iter().map(object).collect::<Vec<_>>() })
    }
}

impl Report {
    pub(crate) fn begin(is_full: bool) -> Self {
        println!("{}\n", machine());
        Self { is_full, tables: Vec::new() }
    }

    /// Adds a table and prints it at once: who waits for the rest has something to read.
    pub(crate) fn add(&mut self, table: Table) {
        println!("{}", table.markdown());
        self.tables.push(table);
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let tables: Map<String, Value> =
            self.tables.iter().map(|table| (table.name.to_owned(), table.json())).collect();
        let all = json!({ "machine": machine(), "full": self.is_full, "tables": tables });
        let failed = || format!("{} cannot be written: give --json FILE", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        fs::write(path, serde_json::to_vec_pretty(&all)?).with_context(failed)?;
        println!("as JSON: {}", path.display());
        Ok(())
    }
}

/// Processor, cores, kernel, and how busy the machine is with other things.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().into())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg");
    format!(
        "{cores} cores of {}, {} memory, Linux {}, load before the run {}",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_says_where_a_figure_is_missing() {
        let mut table = Table::new("t", "Title", &["A note."]);
        table.row(vec![("what", Cell::text("put")), ("MB/s", Cell::Number(12.345, 1))]);
        table.row(vec![("what", Cell::text("get")), ("MB/s", Cell::Absent)]);
        let expected = "### Title\n\n| what | MB/s |\n| ---- | ---: |\n| put  | 12.3 |\n| get  |    - |\n\nA note.\n";
        assert_eq!(table.markdown(), expected);
        assert_eq!(table.json()["rows"][1]["MB/s"], Value::Null);
    }
}
