//! What registers are handed on as. Each format is written as rows come: memory does not grow with their number.

mod cef;
mod csv;
pub(super) mod ocsf;
mod parquet;

use std::io::Write;

use self::csv::CsvRows;
use self::parquet::ParquetRows;
use super::index::RegisterError;
use super::record::EventRecord;

/// A format that rows can be streamed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object to a line.
    Jsonl,
    /// RFC 4180 in UTF-8 with a byte order mark; cells that spreadsheets would calculate begin with an apostrophe.
    Csv,
    /// Apache Parquet with typed columns, compressed with Snappy.
    Parquet,
    /// OCSF 1.8 API Activity (class 6003), one JSON object to a line.
    Ocsf,
    /// ArcSight Common Event Format 0, one event to a line.
    Cef,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Jsonl, Self::Csv, Self::Parquet, Self::Ocsf, Self::Cef];

    /// The name in paths and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl | Self::Ocsf => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Cef => "text/plain; charset=utf-8",
        }
    }
}

/// Writes rows in a format.
pub struct Writer<W: Write + Send>(Rows<W>);

enum Rows<W: Write + Send> {
    Lines(W, fn(&EventRecord) -> Result<String, RegisterError>),
    Csv(Box<CsvRows<W>>),
    Parquet(Box<ParquetRows<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file in `sink`.
    ///
    /// # Errors
    /// [`RegisterError`]: the sink does not take its beginning.
    pub fn begin(format: Format, sink: W) -> Result<Self, RegisterError> {
        Ok(Self(match format {
            Format::Jsonl => Rows::Lines(sink, json_line),
            Format::Csv => Rows::Csv(Box::new(CsvRows::begin(sink)?)),
            Format::Parquet => Rows::Parquet(Box::new(ParquetRows::begin(sink)?)),
            Format::Ocsf => Rows::Lines(sink, |row| Ok(ocsf::event(row).to_string())),
            Format::Cef => Rows::Lines(sink, |row| Ok(cef::line(row))),
        }))
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn write(&mut self, rows: &[EventRecord]) -> Result<(), RegisterError> {
        match &mut self.0 {
            Rows::Lines(sink, line) => rows.iter().try_for_each(|row| {
                let line = line(row)?;
                sink.write_all(line.as_bytes())?;
                Ok(sink.write_all(b"\n")?)
            }),
            Rows::Csv(csv) => csv.write(rows),
            Rows::Parquet(parquet) => parquet.write(rows),
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn finish(self) -> Result<(), RegisterError> {
        match self.0 {
            Rows::Lines(mut sink, _) => Ok(sink.flush()?),
            Rows::Csv(csv) => csv.finish(),
            Rows::Parquet(parquet) => parquet.finish(),
        }
    }
}

fn json_line(row: &EventRecord) -> Result<String, RegisterError> {
    serde_json::to_string(row).map_err(|error| RegisterError::Format { format: "jsonl", reason: error.to_string() })
}
