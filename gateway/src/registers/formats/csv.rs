//! CSV that Excel opens as it is meant: RFC 4180 with a byte order mark, so that Chinese is read as UTF-8, and with no cell that
//! is taken for a formula.

use std::io::Write;

use csv::{Terminator, WriterBuilder};

use crate::registers::columns::{COLUMNS, Cell};
use crate::registers::index::RegisterError;
use crate::registers::record::EventRecord;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct CsvRows<W: Write>(csv::Writer<W>);

impl<W: Write> CsvRows<W> {
    pub(super) fn begin(mut sink: W) -> Result<Self, RegisterError> {
        sink.write_all(BYTE_ORDER_MARK)?;
        let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(sink);
        csv.write_record(COLUMNS.iter().map(|column| column.name)).map_err(fault)?;
        Ok(Self(csv))
    }

    pub(super) fn write(&mut self, rows: &[EventRecord]) -> Result<(), RegisterError> {
        for row in rows {
            self.0.write_record(COLUMNS.iter().map(|column| text((column.cell)(row)))).map_err(fault)?;
        }
        Ok(self.0.flush()?)
    }

    pub(super) fn finish(mut self) -> Result<(), RegisterError> {
        Ok(self.0.flush()?)
    }
}

fn fault(error: csv::Error) -> RegisterError {
    RegisterError::Format { format: "csv", reason: error.to_string() }
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Text(text) => text.map(harmless).unwrap_or_default(),
        Cell::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        Cell::Flag(flag) => flag.map(|flag| flag.to_string()).unwrap_or_default(),
        Cell::Time(time) => {
            let millis = time.and_then(|time| u64::try_from(time).ok());
            millis.map(|millis| domicile_types::UnixMillis(millis).to_string()).unwrap_or_default()
        }
    }
}

/// An apostrophe before what a spreadsheet would calculate or run.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"] {
            assert_eq!(harmless(formula.to_owned()), format!("'{formula}"));
        }
        for plain in ["scan.dcm", "1-2", "数据", ""] {
            assert_eq!(harmless(plain.to_owned()), plain);
        }
    }
}
