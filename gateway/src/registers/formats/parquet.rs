//! Parquet: one row group for some thousand rows, so that memory stays what one of them takes.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::registers::columns::{COLUMNS, Cell, Column, ColumnType};
use crate::registers::index::RegisterError;
use crate::registers::record::EventRecord;

/// Rows of a row group. A row has some 2 KiB.
const GROUP_ROWS: usize = 8_192;

pub(super) struct ParquetRows<W: Write + Send> {
    file: SerializedFileWriter<W>,
    waiting: Vec<EventRecord>,
}

impl<W: Write + Send> ParquetRows<W> {
    pub(super) fn begin(sink: W) -> Result<Self, RegisterError> {
        let schema = parse_message_type(&schema()).map_err(fault)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("domicile".to_owned())
            .build();
        let file = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties)).map_err(fault)?;
        Ok(Self { file, waiting: Vec::new() })
    }

    pub(super) fn write(&mut self, rows: &[EventRecord]) -> Result<(), RegisterError> {
        self.waiting.extend_from_slice(rows);
        if self.waiting.len() >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), RegisterError> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        self.file.close().map(drop).map_err(fault)
    }

    fn write_group(&mut self) -> Result<(), RegisterError> {
        let rows = std::mem::take(&mut self.waiting);
        let mut group = self.file.next_row_group().map_err(fault)?;
        for column in &COLUMNS {
            write_column(&mut group, column, &rows).map_err(fault)?;
        }
        group.close().map(drop).map_err(fault)
    }
}

fn fault(error: ParquetError) -> RegisterError {
    RegisterError::Format { format: "parquet", reason: error.to_string() }
}

fn schema() -> String {
    let columns = COLUMNS.iter().map(|Column { name, holds, .. }| match holds {
        ColumnType::Text => format!("OPTIONAL BYTE_ARRAY {name} (STRING);"),
        ColumnType::Number => format!("OPTIONAL INT64 {name};"),
        ColumnType::Flag => format!("OPTIONAL BOOLEAN {name};"),
        ColumnType::Time => format!("OPTIONAL INT64 {name} (TIMESTAMP(MILLIS,true));"),
    });
    format!("message register {{ {} }}", columns.collect::<Vec<_>>().join(" "))
}

fn write_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &Column,
    rows: &[EventRecord],
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General(format!("the column {} is not in the schema", column.name));
    let mut writer = group.next_column()?.ok_or_else(missing)?;
    let (mut texts, mut numbers, mut flags) = (Vec::new(), Vec::new(), Vec::new());
    let levels: Vec<i16> = rows
        .iter()
        .map(|row| {
            let is_there = match (column.cell)(row) {
                Cell::Text(text) => text.map(|text| texts.push(ByteArray::from(text.into_bytes()))).is_some(),
                Cell::Number(number) | Cell::Time(number) => number.map(|number| numbers.push(number)).is_some(),
                Cell::Flag(flag) => flag.map(|flag| flags.push(flag)).is_some(),
            };
            i16::from(is_there)
        })
        .collect();
    match column.holds {
        ColumnType::Text => writer.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None)?,
        ColumnType::Number | ColumnType::Time => {
            writer.typed::<Int64Type>().write_batch(&numbers, Some(&levels), None)?
        }
        ColumnType::Flag => writer.typed::<BoolType>().write_batch(&flags, Some(&levels), None)?,
    };
    writer.close()
}
