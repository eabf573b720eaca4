//! The node's RocksDB: the index of the shard store, and the node's evidence (tickets, receipts, counters, checkpoints).
//!
//! Writes are not synced one by one. A killed process loses none of them (the kernel has them); a power cut may lose the
//! last second, after which [`Database::sync`] was due. What must survive a power cut stands in the segment files.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompactionStyle, Options, WriteBatch,
};

/// A column family: one table of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// CID -> where the shard is.
    Shards,
    /// CID and data id -> who stored it, under which ticket.
    Claims,
    /// Segment file number -> what is live in it.
    Files,
    /// Store id, applied position, totals.
    Meta,
    /// Gateway and log index -> the ticket's text.
    Tickets,
    /// Gateway and log index -> bytes spent of the ticket's budget.
    Spent,
    /// CID, data id, verb and time -> signed receipt.
    Receipts,
    /// Name -> count.
    Counters,
    /// Gateway and tree size -> root hash; gateway alone -> largest checkpoint.
    Checkpoints,
    /// Gateway and operation -> largest lease epoch.
    Epochs,
}

impl Table {
    const ALL: [Self; 10] = [
        Self::Shards,
        Self::Claims,
        Self::Files,
        Self::Meta,
        Self::Tickets,
        Self::Spent,
        Self::Receipts,
        Self::Counters,
        Self::Checkpoints,
        Self::Epochs,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Shards => "shards",
            Self::Claims => "claims",
            Self::Files => "files",
            Self::Meta => "meta",
            Self::Tickets => "tickets",
            Self::Spent => "spent",
            Self::Receipts => "receipts",
            Self::Counters => "counters",
            Self::Checkpoints => "checkpoints",
            Self::Epochs => "epochs",
        }
    }
}

/// A failure of the database. It holds derived and evidential state, so its owner stops serving.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// RocksDB said so.
    #[error("the node's database failed")]
    RocksDb(#[from] rocksdb::Error),
    /// A table that the database was opened with is gone.
    #[error("the node's database lacks the table {0}")]
    NoTable(&'static str),
    /// A row does not decode.
    #[error("a row of the table {0} does not decode: the database is damaged or of another version")]
    BadRow(&'static str),
}

/// An open database.
pub(crate) struct Database {
    db: DB,
    /// Whether anything was written since the last sync.
    unsynced: AtomicBool,
}

impl Database {
    /// Opens the database in `directory`; makes it if `create`.
    pub(crate) fn open(directory: &Path, create: bool) -> Result<Self, DatabaseError> {
        let mut options = Options::default();
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        options.set_max_total_wal_size(64 << 20);
        options.set_keep_log_file_num(4);
        options.set_max_open_files(256);
        options.set_paranoid_checks(true);
        let cache = Cache::new_lru_cache(32 << 20);
        let tables = Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache)));
        Ok(Self { db: DB::open_cf_descriptors(&options, directory, tables)?, unsynced: AtomicBool::new(true) })
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        Ok(self.db.get_cf(self.table(table)?, key)?)
    }

    pub(crate) fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DatabaseError> {
        self.db.put_cf(self.table(table)?, key, value)?;
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Applies all of `changes`, or none of them.
    pub(crate) fn write(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        let mut batch = WriteBatch::default();
        for Change { table, key, value } in changes {
            let handle = self.table(*table)?;
            match value {
                Some(value) => batch.put_cf(handle, key, value),
                None => batch.delete_cf(handle, key),
            }
        }
        self.db.write(batch)?;
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Rows whose keys start with `prefix`, in key order.
    pub(crate) fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, DatabaseError> {
        let handle = self.table(table)?;
        let mut rows = Vec::new();
        for row in self.db.iterator_cf(handle, rocksdb::IteratorMode::From(prefix, rocksdb::Direction::Forward)) {
            let (key, value) = row?;
            if !key.starts_with(prefix) {
                break;
            }
            rows.push((key, value));
        }
        Ok(rows)
    }

    /// Hands every row of `table` to `visit`, in key order, without keeping them; `None` from it is a row that does not decode.
    pub(crate) fn visit(
        &self,
        table: Table,
        mut visit: impl FnMut(&[u8], &[u8]) -> Option<()>,
    ) -> Result<(), DatabaseError> {
        for row in self.db.iterator_cf(self.table(table)?, rocksdb::IteratorMode::Start) {
            let (key, value) = row?;
            visit(&key, &value).ok_or_else(|| table.bad_row())?;
        }
        Ok(())
    }

    /// Hands the rows of `table` from `from` on to `visit`, in key order, until it has enough; `None` from it is a row that does
    /// not decode.
    pub(crate) fn visit_from(
        &self,
        table: Table,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Option<ControlFlow<()>>,
    ) -> Result<(), DatabaseError> {
        let mode = rocksdb::IteratorMode::From(from, rocksdb::Direction::Forward);
        for row in self.db.iterator_cf(self.table(table)?, mode) {
            let (key, value) = row?;
            if visit(&key, &value).ok_or_else(|| table.bad_row())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Makes everything written so far durable. Costs nothing if nothing was written.
    pub(crate) fn sync(&self) -> Result<(), DatabaseError> {
        if self.unsynced.swap(false, Ordering::AcqRel) {
            self.db.flush_wal(true)?;
        }
        Ok(())
    }

    fn table(&self, table: Table) -> Result<&ColumnFamily, DatabaseError> {
        self.db.cf_handle(table.name()).ok_or(DatabaseError::NoTable(table.name()))
    }
}

/// Key and value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// One put (`Some`) or delete (`None`) of an atomic write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) table: Table,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Table {
    /// The error for a row of this table that does not decode.
    pub(crate) const fn bad_row(self) -> DatabaseError {
        DatabaseError::BadRow(self.name())
    }
}

fn table_options(table: Table, cache: &Cache) -> Options {
    let mut options = Options::default();
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    options.set_block_based_table_factory(&blocks);
    options.set_compaction_style(DBCompactionStyle::Level);
    let busy = matches!(table, Table::Shards | Table::Claims | Table::Tickets);
    options.set_write_buffer_size(if busy { 16 << 20 } else { 2 << 20 });
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_atomic_scans_stop_at_the_prefix_and_a_reopened_database_has_them() {
        let directory = tempfile::tempdir().unwrap();
        {
            let database = Database::open(directory.path(), true).unwrap();
            let put = |key: &[u8]| Change { table: Table::Claims, key: key.to_vec(), value: Some(b"v".to_vec()) };
            database.write(&[put(b"aa1"), put(b"aa2"), put(b"ab1"), put(b"b")]).unwrap();
            database.write(&[Change { table: Table::Claims, key: b"aa2".to_vec(), value: None }]).unwrap();
        }
        let database = Database::open(directory.path(), false).unwrap();
        let keys: Vec<_> = database.scan(Table::Claims, b"a").unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"aa1".as_slice().into(), b"ab1".as_slice().into()]);
    }

    #[test]
    fn a_missing_database_is_not_made_unless_asked() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Database::open(&directory.path().join("absent"), false).is_err());
    }
}
