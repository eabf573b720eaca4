//! The columns of CSV and Parquet: the fields of a record, flat and typed, under the names that JSON has.

use super::facts::kebab;
use super::record::EventRecord;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8. Lists are joined with `; `.
    Text,
    /// A signed integer of 64 bits.
    Number,
    /// `true` or `false`.
    Flag,
    /// Milliseconds since 1970 in UTC; in CSV in RFC 3339.
    Time,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Of a text column.
    Text(Option<String>),
    /// Of a number column.
    Number(Option<i64>),
    /// Of a flag column.
    Flag(Option<bool>),
    /// Of a time column.
    Time(Option<i64>),
}

/// A column.
pub struct Column {
    /// Its name: the field's.
    pub name: &'static str,
    /// What it holds.
    pub holds: ColumnType,
    /// Its cell in a row.
    pub cell: fn(&EventRecord) -> Cell,
}

const fn column(name: &'static str, holds: ColumnType, cell: fn(&EventRecord) -> Cell) -> Column {
    Column { name, holds, cell }
}

/// Every column, in order. Programs rely on names and order: new ones come last.
pub const COLUMNS: [Column; 58] = [
    column("log", ColumnType::Text, |row| Cell::Text(Some(row.log.clone()))),
    column("index", ColumnType::Number, |row| Cell::Number(number(Some(row.index)))),
    column("leaf_hash", ColumnType::Text, |row| Cell::Text(Some(row.leaf_hash.clone()))),
    column("time", ColumnType::Time, |row| Cell::Time(number(Some(row.time.0)))),
    column("gateway", ColumnType::Text, |row| Cell::Text(Some(row.gateway.clone()))),
    column("request", ColumnType::Text, |row| Cell::Text(Some(row.request.clone()))),
    column("kind", ColumnType::Text, |row| Cell::Text(Some(row.kind.clone()))),
    column("operation", ColumnType::Text, |row| Cell::Text(Some(row.operation.clone()))),
    column("state", ColumnType::Text, |row| Cell::Text(Some(row.state.name().to_owned()))),
    column("verdict", ColumnType::Text, |row| Cell::Text(row.verdict.map(|verdict| kebab(&verdict)))),
    column("export", ColumnType::Flag, |row| Cell::Flag(Some(row.export))),
    column("limbs", ColumnType::Text, |row| Cell::Text(joined(&row.limbs))),
    column("tenant", ColumnType::Text, |row| Cell::Text(row.tenant.clone())),
    column("actor", ColumnType::Text, |row| Cell::Text(row.actor.clone())),
    column("address", ColumnType::Text, |row| Cell::Text(row.address.clone())),
    column("bucket", ColumnType::Text, |row| Cell::Text(row.bucket.clone())),
    column("key", ColumnType::Text, |row| Cell::Text(row.key.clone())),
    column("opened", ColumnType::Flag, |row| Cell::Flag(Some(row.opened))),
    column("data", ColumnType::Text, |row| Cell::Text(row.data.clone())),
    column("classes", ColumnType::Text, |row| Cell::Text(joined(&row.classes))),
    column("origin", ColumnType::Text, |row| Cell::Text(row.origin.clone())),
    column("subjects", ColumnType::Number, |row| Cell::Number(number(row.subjects))),
    column("sensitive_subjects", ColumnType::Number, |row| Cell::Number(number(row.sensitive_subjects))),
    column("important", ColumnType::Flag, |row| Cell::Flag(row.important)),
    column("bytes_authorised", ColumnType::Number, |row| Cell::Number(number(row.bytes_authorised))),
    column("bytes_sent", ColumnType::Number, |row| Cell::Number(number(row.bytes_sent))),
    column("http_status", ColumnType::Number, |row| Cell::Number(row.http_status.map(i64::from))),
    column("recipient", ColumnType::Text, |row| Cell::Text(row.recipient.clone())),
    column("charged_subjects", ColumnType::Number, |row| Cell::Number(number(row.charged_subjects))),
    column("charged_sensitive", ColumnType::Number, |row| Cell::Number(number(row.charged_sensitive))),
    column("charged_bytes", ColumnType::Number, |row| Cell::Number(number(row.charged_bytes))),
    column("count_method", ColumnType::Text, |row| Cell::Text(row.count_method.clone())),
    column("totals", ColumnType::Text, |row| Cell::Text(totals(row))),
    column("from_places", ColumnType::Text, |row| Cell::Text(joined(&row.from_places))),
    column("to_places", ColumnType::Text, |row| Cell::Text(joined(&row.to_places))),
    column("requester_places", ColumnType::Text, |row| Cell::Text(joined(&row.requester_places))),
    column("gateway_place", ColumnType::Text, |row| Cell::Text(row.gateway_place.clone())),
    column("node_places", ColumnType::Text, |row| Cell::Text(joined(&row.node_places))),
    column("requester_evidence", ColumnType::Number, |row| Cell::Number(row.requester_evidence.map(i64::from))),
    column("nodes_evidence", ColumnType::Number, |row| Cell::Number(row.nodes_evidence.map(i64::from))),
    column("packs", ColumnType::Text, |row| Cell::Text(joined(&row.packs))),
    column("rules", ColumnType::Text, |row| Cell::Text(joined(&row.rules))),
    column("cites", ColumnType::Text, |row| Cell::Text(joined(&row.cites))),
    column("obligations", ColumnType::Text, |row| Cell::Text(joined(&row.obligations))),
    column("mechanisms", ColumnType::Text, |row| Cell::Text(joined(&row.mechanisms))),
    column("approvals", ColumnType::Text, |row| Cell::Text(joined(&row.approvals))),
    column("inputs", ColumnType::Text, |row| Cell::Text(row.inputs.clone())),
    column("warnings", ColumnType::Text, |row| Cell::Text(joined(&row.warnings))),
    column("started", ColumnType::Time, |row| Cell::Time(number(row.started.map(|time| time.0)))),
    column("ended", ColumnType::Time, |row| Cell::Time(number(row.ended.map(|time| time.0)))),
    column("outcome_index", ColumnType::Number, |row| Cell::Number(number(row.outcome_index))),
    column("node", ColumnType::Text, |row| Cell::Text(row.node.clone())),
    column("operator", ColumnType::Text, |row| Cell::Text(row.operator.clone())),
    column("subject", ColumnType::Text, |row| Cell::Text(row.subject.clone())),
    column("reasons", ColumnType::Text, |row| Cell::Text(joined(&row.reasons))),
    column("record_hash", ColumnType::Text, |row| Cell::Text(row.record_hash.clone())),
    column("detail", ColumnType::Text, |row| Cell::Text(row.detail.clone())),
    column("corrected_by", ColumnType::Text, |row| Cell::Text(joined(&row.corrected_by))),
];

/// A count beyond `i64` stays at its greatest.
fn number(number: Option<u64>) -> Option<i64> {
    number.map(|number| i64::try_from(number).unwrap_or(i64::MAX))
}

/// Nothing for an empty list.
fn joined<T: ToString>(items: &[T]) -> Option<String> {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Ledgers in one cell, as JSON: `[{"pack":...,"ledger":...,"before":{...},"after":{...}}]`.
fn totals(row: &EventRecord) -> Option<String> {
    if row.totals.is_empty() { None } else { serde_json::to_string(&row.totals).ok() }
}
