//! What a record does to the index: one definition, for the writer, for replay and for rebuilding.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use domicile_types::{DataId, ShardCid};

use super::format::{RecordHeader, RecordKind, StoreId};
use super::rows::{Applied, ClaimRow, FileRow, ShardRow, ShardState, Totals, decode_store_id, meta};
use crate::database::{Change, Database, DatabaseError, Table};

/// The index: a view of the node's database.
#[derive(Clone)]
pub(crate) struct Index {
    database: Arc<Database>,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordPlace {
    pub(crate) file: u32,
    /// Of the payload, from the start of the file.
    pub(crate) payload_offset: u64,
}

/// Bytes that nothing refers to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeadBytes {
    pub(crate) file: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Index {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    pub(crate) fn shard(&self, cid: &ShardCid) -> Result<Option<ShardRow>, DatabaseError> {
        decode(Table::Shards, self.database.get(Table::Shards, cid.digest())?, ShardRow::decode)
    }

    pub(crate) fn claim(&self, cid: &ShardCid, data: &DataId) -> Result<Option<ClaimRow>, DatabaseError> {
        decode(Table::Claims, self.database.get(Table::Claims, &ClaimRow::key(cid, data))?, ClaimRow::decode)
    }

    fn file(&self, file: u32) -> Result<Option<FileRow>, DatabaseError> {
        decode(Table::Files, self.database.get(Table::Files, &FileRow::key(file))?, FileRow::decode)
    }

    /// Every segment file that the index knows, in order.
    pub(crate) fn files(&self) -> Result<BTreeMap<u32, FileRow>, DatabaseError> {
        let rows = self.database.scan(Table::Files, &[])?;
        let decoded = rows.iter().map(|(key, value)| Some((FileRow::file_of_key(key)?, FileRow::decode(value)?)));
        decoded.collect::<Option<_>>().ok_or_else(|| Table::Files.bad_row())
    }

    /// Reads every shard's row, in the order of their CIDs.
    pub(crate) fn each_shard(&self, mut visit: impl FnMut(&ShardRow)) -> Result<(), DatabaseError> {
        self.database.visit(Table::Shards, |_, value| ShardRow::decode(value).map(|row| visit(&row)))
    }

    /// Reads every claim.
    pub(crate) fn each_claim(&self, mut visit: impl FnMut(&ClaimRow)) -> Result<(), DatabaseError> {
        self.database.visit(Table::Claims, |_, value| ClaimRow::decode(value).map(|row| visit(&row)))
    }

    /// [`Index::each_shard`], with their names.
    pub(crate) fn each_shard_named(&self, mut visit: impl FnMut(ShardCid, &ShardRow)) -> Result<(), DatabaseError> {
        self.database.visit(Table::Shards, |key, value| {
            visit(ShardCid::from_digest(key.try_into().ok()?), &ShardRow::decode(value)?);
            Some(())
        })
    }

    /// [`Index::each_claim`], with whose they are.
    pub(crate) fn each_claim_named(
        &self,
        mut visit: impl FnMut((ShardCid, DataId), &ClaimRow),
    ) -> Result<(), DatabaseError> {
        self.database.visit(Table::Claims, |key, value| {
            visit(ClaimRow::of_key(key)?, &ClaimRow::decode(value)?);
            Some(())
        })
    }

    /// Shards behind `after`, in the order of their names, until `visit` says that it has enough.
    pub(crate) fn shards_after(
        &self,
        after: Option<&ShardCid>,
        mut visit: impl FnMut(ShardCid, &ShardRow) -> ControlFlow<()>,
    ) -> Result<(), DatabaseError> {
        let from = after.map(|cid| [&cid.digest()[..], &[0]].concat()).unwrap_or_default();
        self.database.visit_from(Table::Shards, &from, |key, value| {
            Some(visit(ShardCid::from_digest(key.try_into().ok()?), &ShardRow::decode(value)?))
        })
    }

    /// Claims behind `after`, in the order of shard and data id, until `visit` says that it has enough.
    pub(crate) fn claims_after(
        &self,
        after: Option<&(ShardCid, DataId)>,
        mut visit: impl FnMut((ShardCid, DataId), ClaimRow) -> ControlFlow<()>,
    ) -> Result<(), DatabaseError> {
        // The first key behind `after`.
        let from = after.map(|(cid, data)| [&ClaimRow::key(cid, data)[..], &[0]].concat()).unwrap_or_default();
        self.database.visit_from(Table::Claims, &from, |key, value| {
            Some(visit(ClaimRow::of_key(key)?, ClaimRow::decode(value)?))
        })
    }

    pub(crate) fn store_id(&self) -> Result<Option<StoreId>, DatabaseError> {
        decode(Table::Meta, self.database.get(Table::Meta, meta::STORE_ID)?, decode_store_id)
    }

    pub(crate) fn set_store_id(&self, store: StoreId) -> Result<(), DatabaseError> {
        self.database.put(Table::Meta, meta::STORE_ID, &store)
    }

    pub(crate) fn applied(&self) -> Result<Option<Applied>, DatabaseError> {
        decode(Table::Meta, self.database.get(Table::Meta, meta::APPLIED)?, Applied::decode)
    }

    pub(crate) fn totals(&self) -> Result<Totals, DatabaseError> {
        let row = decode(Table::Meta, self.database.get(Table::Meta, meta::TOTALS)?, Totals::decode)?;
        Ok(row.unwrap_or_default())
    }

    pub(crate) fn begin(&self) -> Result<Transaction, DatabaseError> {
        Ok(Transaction {
            totals: self.totals()?,
            index: self.clone(),
            shards: HashMap::new(),
            claims: HashMap::new(),
            files: HashMap::new(),
            dead: Vec::new(),
        })
    }
}

fn decode<T>(table: Table, row: Option<Vec<u8>>, read: fn(&[u8]) -> Option<T>) -> Result<Option<T>, DatabaseError> {
    row.map(|bytes| read(&bytes).ok_or_else(|| table.bad_row())).transpose()
}

/// Changes to the index that become visible together, or not at all. Reads see the changes made so far.
pub(crate) struct Transaction {
    index: Index,
    shards: HashMap<ShardCid, Option<ShardRow>>,
    claims: HashMap<(ShardCid, DataId), Option<ClaimRow>>,
    files: HashMap<u32, Option<FileRow>>,
    totals: Totals,
    dead: Vec<DeadBytes>,
}

impl Transaction {
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    pub(crate) fn shard(&mut self, cid: &ShardCid) -> Result<Option<&ShardRow>, DatabaseError> {
        if !self.shards.contains_key(cid) {
            self.shards.insert(*cid, self.index.shard(cid)?);
        }
        Ok(self.shards.get(cid).and_then(Option::as_ref))
    }

    pub(crate) fn claim(&mut self, cid: &ShardCid, data: &DataId) -> Result<Option<ClaimRow>, DatabaseError> {
        if let Some(row) = self.claims.get(&(*cid, *data)) {
            return Ok(*row);
        }
        let row = self.index.claim(cid, data)?;
        self.claims.insert((*cid, *data), row);
        Ok(row)
    }

    /// Every claim on a shard.
    pub(crate) fn claims_of(&mut self, cid: &ShardCid) -> Result<Vec<(DataId, ClaimRow)>, DatabaseError> {
        for (key, _) in self.index.database.scan(Table::Claims, cid.digest())? {
            let (_, data) = ClaimRow::of_key(&key).ok_or_else(|| Table::Claims.bad_row())?;
            self.claim(cid, &data)?;
        }
        let of_shard = self.claims.iter().filter(|((of, _), _)| of == cid);
        Ok(of_shard.filter_map(|((_, data), row)| row.map(|row| (*data, row))).collect())
    }

    fn file(&mut self, file: u32) -> Result<&mut FileRow, DatabaseError> {
        if !matches!(self.files.get(&file), Some(Some(_))) {
            let row = self.index.file(file)?.unwrap_or_default();
            self.files.insert(file, Some(row));
        }
        self.files.get_mut(&file).and_then(Option::as_mut).ok_or_else(|| Table::Files.bad_row())
    }

    /// Does to the index what `record` says.
    pub(crate) fn apply(&mut self, record: &RecordHeader, place: RecordPlace) -> Result<(), DatabaseError> {
        match record.kind {
            RecordKind::Stored => {
                self.store_bytes(record, place)?;
                self.add_claim(record, place.file)
            }
            RecordKind::Claimed => self.add_claim(record, place.file),
            RecordKind::Released => self.release(record),
            RecordKind::Damaged => {
                self.give_up_bytes(record, place)?;
                self.add_claim(record, place.file)
            }
        }
    }

    /// New bytes for a shard: the first, or a replacement of damaged ones.
    fn store_bytes(&mut self, record: &RecordHeader, place: RecordPlace) -> Result<(), DatabaseError> {
        let replaced = self.shard(&record.cid)?.cloned();
        let claims = replaced.as_ref().map_or(0, |row| row.claims);
        match replaced {
            Some(row) => {
                if row.state == ShardState::Corrupt {
                    self.totals.corrupt_shards = self.totals.corrupt_shards.saturating_sub(1);
                }
                self.bury(&row)?;
            }
            None => {
                self.totals.shards += 1;
                self.totals.shard_bytes += u64::from(record.shard_bytes);
            }
        }
        self.file(place.file)?.live += 1;
        let row = ShardRow {
            sequence: record.sequence,
            file: place.file,
            payload_offset: place.payload_offset,
            shard_bytes: record.shard_bytes,
            claims,
            state: ShardState::Live,
            groups: record.groups.clone(),
        };
        self.shards.insert(record.cid, Some(row));
        Ok(())
    }

    /// The bytes are known to be damaged and are not kept; the row stays, so that the shard is known to be corrupt.
    fn give_up_bytes(&mut self, record: &RecordHeader, place: RecordPlace) -> Result<(), DatabaseError> {
        let before = self.shard(&record.cid)?.cloned();
        if before.as_ref().is_none_or(|row| row.state == ShardState::Live) {
            self.totals.corrupt_shards += 1;
        }
        match &before {
            Some(row) => self.bury(row)?,
            // In a rebuild: the file that held the bytes is gone, because this record replaced what was in it.
            None => {
                self.totals.shards += 1;
                self.totals.shard_bytes += u64::from(record.shard_bytes);
            }
        }
        self.file(place.file)?.live += 1;
        let lost = ShardRow {
            sequence: record.sequence,
            file: place.file,
            payload_offset: place.payload_offset,
            shard_bytes: record.shard_bytes,
            claims: before.map_or(0, |row| row.claims),
            state: ShardState::Corrupt,
            groups: Vec::new(),
        };
        self.shards.insert(record.cid, Some(lost));
        Ok(())
    }

    /// A claim that is there already is recorded in `file` from now on.
    fn add_claim(&mut self, record: &RecordHeader, file: u32) -> Result<(), DatabaseError> {
        match self.claim(&record.cid, &record.data)? {
            Some(before) => {
                let row = self.file(before.file)?;
                row.live = row.live.saturating_sub(1);
            }
            None => {
                // In a rebuild: the bytes were recorded again behind this, and every claim on them behind those.
                let Some(mut row) = self.shard(&record.cid)?.cloned() else { return Ok(()) };
                row.claims += 1;
                self.shards.insert(record.cid, Some(row));
            }
        }
        self.file(file)?.live += 1;
        let RecordHeader { sequence, ticket, gateway, time, .. } = *record;
        let claim = ClaimRow { sequence, file, ticket, gateway, time };
        self.claims.insert((record.cid, record.data), Some(claim));
        Ok(())
    }

    fn release(&mut self, record: &RecordHeader) -> Result<(), DatabaseError> {
        let Some(claim) = self.claim(&record.cid, &record.data)? else { return Ok(()) };
        self.claims.insert((record.cid, record.data), None);
        let row = self.file(claim.file)?;
        row.live = row.live.saturating_sub(1);
        let Some(mut shard) = self.shard(&record.cid)?.cloned() else {
            return Err(Table::Shards.bad_row());
        };
        shard.claims = shard.claims.saturating_sub(1);
        if shard.claims > 0 {
            self.shards.insert(record.cid, Some(shard));
            return Ok(());
        }
        if shard.state == ShardState::Corrupt {
            self.totals.corrupt_shards = self.totals.corrupt_shards.saturating_sub(1);
        }
        self.totals.shards = self.totals.shards.saturating_sub(1);
        self.totals.shard_bytes = self.totals.shard_bytes.saturating_sub(u64::from(shard.shard_bytes));
        self.bury(&shard)?;
        self.shards.insert(record.cid, None);
        Ok(())
    }

    /// The bytes of `row` are referred to no longer.
    fn bury(&mut self, row: &ShardRow) -> Result<(), DatabaseError> {
        let file = self.file(row.file)?;
        file.live = file.live.saturating_sub(1);
        if !row.has_bytes() {
            return Ok(());
        }
        let end = row.payload_offset.saturating_add(u64::from(row.shard_bytes));
        self.dead.push(DeadBytes { file: row.file, start: row.payload_offset, end });
        Ok(())
    }

    /// Marks the bytes of record `sequence` as damaged, if they are still the shard's; whether they were.
    pub(crate) fn mark_corrupt(&mut self, cid: &ShardCid, sequence: u64) -> Result<bool, DatabaseError> {
        let Some(mut row) = self.shard(cid)?.cloned() else { return Ok(false) };
        if row.sequence != sequence || row.state == ShardState::Corrupt {
            return Ok(false);
        }
        row.state = ShardState::Corrupt;
        self.totals.corrupt_shards += 1;
        self.shards.insert(*cid, Some(row));
        Ok(true)
    }

    /// `file` now reaches to `end`.
    pub(crate) fn extend_file(&mut self, file: u32, end: u64) -> Result<(), DatabaseError> {
        let row = self.file(file)?;
        let grown = end.saturating_sub(row.end);
        row.end = row.end.max(end);
        self.totals.used_bytes += grown;
        Ok(())
    }

    /// `bytes` of `file` were given back to the file system.
    pub(crate) fn punched(&mut self, file: u32, bytes: u64) -> Result<(), DatabaseError> {
        self.file(file)?.punched += bytes;
        self.totals.used_bytes = self.totals.used_bytes.saturating_sub(bytes);
        Ok(())
    }

    /// `file` is gone.
    pub(crate) fn remove_file(&mut self, file: u32) -> Result<(), DatabaseError> {
        let row = *self.file(file)?;
        self.totals.used_bytes = self.totals.used_bytes.saturating_sub(row.used_bytes());
        self.files.insert(file, None);
        Ok(())
    }

    /// Makes the changes visible in one atomic write; the bytes that are dead because of them.
    pub(crate) fn commit(self, applied: Option<Applied>) -> Result<Vec<DeadBytes>, DatabaseError> {
        let mut changes = Vec::new();
        let mut set = |table, key: Vec<u8>, value| changes.push(Change { table, key, value });
        for (cid, row) in &self.shards {
            set(Table::Shards, cid.digest().to_vec(), row.as_ref().map(ShardRow::encode));
        }
        for ((cid, data), row) in &self.claims {
            set(Table::Claims, ClaimRow::key(cid, data), row.as_ref().map(ClaimRow::encode));
        }
        for (file, row) in &self.files {
            set(Table::Files, FileRow::key(*file).to_vec(), row.map(FileRow::encode));
        }
        set(Table::Meta, meta::TOTALS.to_vec(), Some(self.totals.encode()));
        if let Some(applied) = applied {
            set(Table::Meta, meta::APPLIED.to_vec(), Some(applied.encode()));
        }
        self.index.database.write(&changes)?;
        Ok(self.dead)
    }
}
