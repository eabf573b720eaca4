//! What became of a body that was deleted: from the row that shredded its key to the last receipt.
//!
//! The record begins in the transaction that takes the last claim away, and with it the last wrapping of the data key. It counts
//! the extents that are still to be swept and the copies that nodes are still to delete; when no extent is left it is due to be
//! stated, and again when the last copy is gone that could not be had before. The object's name is kept as a hash.

use domicile_types::{BucketName, DataId, ObjectKey, UnixMillis};
use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::garbage::Origin;
use super::object::{Body, ObjectHead};
use super::version::Versioning;
use super::{Catalog, CatalogError, keys};
use crate::state::{Held, IfLost, KeyRange, Order, Read, StoredRow, Tx, decode, require_lease};

/// Records of one object's deletions that are shown, newest first.
const SHOWN_MAX: usize = 100;

/// The end of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRecord {
    /// Whose it was.
    pub origin: Origin,
    /// Which version, where the bucket has any.
    pub version: Option<String>,
    /// When the last wrapping of its data key went.
    pub shredded: UnixMillis,
    /// Extents whose shards are still to be deleted, as far as they are known; lists of parts may name more.
    extents_left: u32,
    lists_left: bool,
    /// Copies that nodes are still to delete.
    pub residue: u64,
    /// Indices of the entries in the log that stated it, oldest first; the last one holds.
    pub stated: Vec<u64>,
}

impl StoredRow for DeletionRecord {
    const NAME: &'static str = "deletion";
    const VERSION: u8 = 1;
}

impl DeletionRecord {
    /// Whether every node was asked for every shard.
    #[must_use]
    pub const fn is_swept(&self) -> bool {
        self.extents_left == 0 && !self.lists_left
    }
}

impl Catalog {
    /// The deletions of what was once at `key`, newest first, each with its data id.
    pub async fn deletions(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<(DataId, DeletionRecord)>, CatalogError> {
        let range = KeyRange::prefix(&keys::deletions_of(&name_hash(bucket, key)));
        self.read(move |view| {
            let mut records = Vec::new();
            for found in view.scan(&range, SHOWN_MAX, Order::Descending)? {
                let data = found.key.last_chunk::<16>().copied().map(DataId::from_bytes);
                let data = data.ok_or(CatalogError::Inconsistent { what: "a deletion's key" })?;
                if let Some(record) = view.get_row(&keys::deletion(data))? {
                    records.push((data, record));
                }
            }
            Ok(records)
        })
        .await
    }

    /// At most `limit` deletions that are to be stated.
    pub async fn deletions_to_state(&self, limit: usize) -> Result<Vec<(DataId, DeletionRecord)>, CatalogError> {
        self.read(move |view| {
            let mut records = Vec::new();
            for found in view.scan(&KeyRange::prefix(keys::TO_STATE), limit, Order::Ascending)? {
                let data = found.key.last_chunk::<16>().copied().map(DataId::from_bytes);
                let data = data.ok_or(CatalogError::Inconsistent { what: "a deletion's key" })?;
                if let Some(record) = view.get_row(&keys::deletion(data))? {
                    records.push((data, record));
                }
            }
            Ok(records)
        })
        .await
    }

    /// Notes the entry that stated a deletion as `record` says it. If it has changed since, it is to be stated once more.
    pub async fn note_stated(
        &self,
        lease: &Held,
        data: DataId,
        record: &DeletionRecord,
        log_index: u64,
    ) -> Result<(), CatalogError> {
        let (lease, stated) = (lease.clone(), record.clone());
        self.write(IfLost::Repeat, move |tx| {
            require_lease(tx, &lease)?;
            let Some(mut record) = tx.get_row::<DeletionRecord>(&keys::deletion(data))? else { return Ok(()) };
            if record.residue == stated.residue {
                tx.delete(keys::to_state(data))?;
            }
            if !record.stated.contains(&log_index) {
                record.stated.push(log_index);
            }
            Ok(tx.put_row(keys::deletion(data), &record)?)
        })
        .await
    }
}

/// Begins the record of a body whose last claim goes in this transaction.
pub(super) fn begin_deletion(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    head: &ObjectHead,
    now: UnixMillis,
) -> Result<(), CatalogError> {
    let (extents_left, lists_left) = match &head.body {
        Body::Whole(_) => (1, false),
        Body::Parts(_) => (0, true),
    };
    let version = (bucket.versioning != Versioning::Never).then(|| head.version.id().to_string());
    let origin = bucket.origin();
    let record =
        DeletionRecord { origin, version, shredded: now, extents_left, lists_left, residue: 0, stated: Vec::new() };
    tx.put(keys::deletion_of(&name_hash(&bucket.name, key), now, head.data), Vec::new())?;
    Ok(tx.put_row(keys::deletion(head.data), &record)?)
}

/// Changes the record of a deletion, if there is one, and notes that it is to be stated where that has come.
pub(super) fn change_deletion(
    tx: &mut Tx<'_>,
    data: DataId,
    change: impl FnOnce(&mut DeletionRecord),
) -> Result<(), CatalogError> {
    let Some(mut record) = tx.get_row::<DeletionRecord>(&keys::deletion(data))? else { return Ok(()) };
    let before = (record.is_swept(), record.residue);
    change(&mut record);
    let swept_now = record.is_swept() && !before.0;
    let residue_gone = record.is_swept() && record.residue == 0 && before.1 > 0;
    if swept_now || residue_gone {
        tx.put(keys::to_state(data), Vec::new())?;
    }
    Ok(tx.put_row(keys::deletion(data), &record)?)
}

/// So many more extents are known to be left; `all` of them, if no list of parts is left.
pub(super) fn extents_found(tx: &mut Tx<'_>, data: DataId, count: usize, all: bool) -> Result<(), CatalogError> {
    change_deletion(tx, data, |record| {
        record.extents_left = record.extents_left.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        record.lists_left = !all;
    })
}

/// An extent of the body has been swept.
pub(super) fn extent_swept(tx: &mut Tx<'_>, data: DataId) -> Result<(), CatalogError> {
    change_deletion(tx, data, |record| record.extents_left = record.extents_left.saturating_sub(1))
}

/// All that is kept of an object's name.
fn name_hash(bucket: &BucketName, key: &ObjectKey) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("domicile 2026-11-22 name of a deleted object");
    // A bucket's name has no NUL.
    hasher.update(bucket.as_str().as_bytes()).update(&[0]).update(key.as_str().as_bytes());
    *hasher.finalize().as_bytes()
}

/// One page of the receipts for the shards of a body: the texts, and what to ask `after` for the next.
pub type ReceiptPage = (Vec<String>, Option<Vec<u8>>);

impl Catalog {
    /// Receipts of nodes for deleted shards of a body, in the order of their rows: a page of them, those behind `after`.
    pub async fn deletion_receipts(&self, data: DataId, after: Option<Vec<u8>>) -> Result<ReceiptPage, CatalogError> {
        let mut range = KeyRange::prefix(&keys::receipts(data));
        if let Some(after) = &after {
            range = range.after(after);
        }
        self.read(move |view| {
            let rows = view.scan(&range, 16, Order::Ascending)?;
            let next = if rows.len() == 16 { rows.last().map(|found| found.key.clone()) } else { None };
            let mut receipts = Vec::new();
            for found in rows {
                receipts.extend(decode::<super::residue::KeptReceipts>(&found.row.value)?.receipts);
            }
            Ok((receipts, next))
        })
        .await
    }
}
