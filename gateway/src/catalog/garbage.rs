//! Garbage: what nodes still hold of objects that are no more, and the steps in which a sweeper takes it away.
//!
//! A garbage row refers; it never lists. [`Catalog::next_sweeps`] unfolds rows that refer to parts into rows that name one
//! extent each, in transactions of bounded size, until there is an extent whose shards can be deleted from nodes. Every
//! step is under a lease: a sweeper that lost it changes nothing.
//!
//! Shards of one extent are deleted page by page: nodes first, then [`Catalog::finish_sweeps`] removes the page. A crash in
//! between asks the nodes once more, which is harmless.

use bytes::Bytes;
use domicile_types::{BucketName, DataId, PackId, RegionName, TenantId, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::claim::end_claim;
use super::deletion::{extent_swept, extents_found};
use super::extent::{ExtentId, PageAt, ShardAt, StoredPage};
use super::holders::index_holders;
use super::put::{PendingRow, discard_pending};
use super::read::PartList;
use super::upload::{Part, Upload};
use super::{Catalog, CatalogError, compact, keys};
use crate::state::{Held, IfLost, KeyRange, KeyedRow, Order, Owner, Read, StoredRow, Tx, View, decode, require_lease};

/// Part rows that one transaction unfolds: three writes each.
const PARTS_UNFOLDED: usize = 300;
/// Pages that are swept at once.
const SWEEPS_AT_ONCE_MAX: usize = 100;
/// Rows that one transaction of finished sweeps writes at the most.
const SWEEP_WRITES_MAX: usize = 900;
/// Rows of a page beside one for every node that holds shards of it: page, its history, sealed records, damages, extent,
/// garbage.
const ROWS_OF_A_PAGE: usize = 6;
/// Pending rows that one transaction reaps: two writes each.
const ORPHANS_REAPED: usize = 400;

/// Whose the data was and under which rules: what a deletion is decided and logged by when its bucket may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Whose.
    pub tenant: TenantId,
    /// In which bucket. The object's key is not kept.
    pub bucket: BucketName,
    /// The bucket's residency region.
    pub region: RegionName,
    /// The bucket's packs.
    pub packs: Vec<PackId>,
}

/// What a garbage row refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Debris {
    /// The pages of one extent.
    Extent(ExtentId),
    /// The lists of parts of a completed multipart object, and all those parts.
    Parts,
    /// The part rows of an upload that ended, and the parts among them that `kept` does not name.
    Upload {
        /// The upload.
        #[serde(with = "compact::upload_id")]
        upload: UploadId,
        /// Bit n - 1, counted from the lowest of the first byte: the object keeps part n.
        kept: Bytes,
    },
    /// The answer of a completed upload: nothing on nodes.
    Completion(#[serde(with = "compact::upload_id")] UploadId),
}

/// A garbage row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// Whose it was.
    pub origin: Origin,
    /// What its shards are stored under.
    #[serde(with = "compact::data_id")]
    pub data: DataId,
    /// What to take away.
    pub debris: Debris,
    /// How often nodes did not answer.
    pub attempts: u32,
    /// Whether it is the end of a body, which is recorded until it is stated; otherwise of a part or an attempt.
    pub last: bool,
}

impl StoredRow for Garbage {
    const NAME: &'static str = "garbage";
    const VERSION: u8 = 2;
}

impl Garbage {
    fn key(&self, due: UnixMillis) -> Vec<u8> {
        match &self.debris {
            Debris::Extent(extent) => keys::garbage(due, 1, extent.as_bytes()),
            Debris::Parts => keys::garbage(due, 2, self.data.as_bytes()),
            Debris::Upload { upload, .. } => keys::garbage(due, 3, upload.as_bytes()),
            Debris::Completion(upload) => keys::garbage(due, 4, upload.as_bytes()),
        }
    }
}

/// Shards to delete from nodes now: all that one page of an extent names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Whose they were, and what they are stored under.
    pub garbage: Garbage,
    /// The shards. Some may never have been stored, or are gone already.
    pub shards: Vec<ShardAt>,
    row: Vec<u8>,
    page: Vec<u8>,
}

/// Records that `debris` may be swept from `due` on.
pub(super) fn discard(
    tx: &mut Tx<'_>,
    origin: &Origin,
    data: DataId,
    debris: Debris,
    due: UnixMillis,
) -> Result<(), CatalogError> {
    put_garbage(tx, (origin, data), debris, due, false)
}

/// Records that a body, which nobody needs any more, may be swept from `due` on.
pub(super) fn discard_body(
    tx: &mut Tx<'_>,
    origin: &Origin,
    data: DataId,
    debris: Debris,
    due: UnixMillis,
) -> Result<(), CatalogError> {
    put_garbage(tx, (origin, data), debris, due, true)
}

fn put_garbage(
    tx: &mut Tx<'_>,
    (origin, data): (&Origin, DataId),
    debris: Debris,
    due: UnixMillis,
    last: bool,
) -> Result<(), CatalogError> {
    let garbage = Garbage { origin: origin.clone(), data, debris, attempts: 0, last };
    Ok(tx.put_row(garbage.key(due), &garbage)?)
}

/// Records that an upload and all its parts are garbage. Its row is the caller's to delete.
pub(super) fn give_up_upload(
    tx: &mut Tx<'_>,
    origin: &Origin,
    upload: &Upload,
    due: UnixMillis,
) -> Result<(), CatalogError> {
    end_claim(tx, upload.new.data, upload.new.upload)?;
    let debris = Debris::Upload { upload: upload.new.upload, kept: Bytes::new() };
    discard(tx, origin, upload.new.data, debris, due)
}

impl Catalog {
    /// Shards to delete next, of what is due at `now`: at most `limit` (and 100) pages, each of another extent. None when
    /// nothing is due.
    ///
    /// # Errors
    /// [`CatalogError::Lease`] when `lease` is lost.
    pub async fn next_sweeps(&self, lease: &Held, now: UnixMillis, limit: usize) -> Result<Vec<Sweep>, CatalogError> {
        let limit = limit.clamp(1, SWEEPS_AT_ONCE_MAX);
        loop {
            let due = KeyRange::new(keys::GARBAGE, keys::garbage_due(now.plus_millis(1)));
            let (sweeps, to_unfold) = self.read(move |view| due_sweeps(view, &due, limit)).await?;
            if !sweeps.is_empty() || to_unfold.is_empty() {
                return Ok(sweeps);
            }
            for row in to_unfold {
                let lease = lease.clone();
                self.write(IfLost::Repeat, move |tx| {
                    require_lease(tx, &lease)?;
                    unfold(tx, &row, now)
                })
                .await?;
            }
        }
    }

    /// Removes pages whose shards are deleted from their nodes, and the garbage rows of extents that have no more.
    pub async fn finish_sweeps(&self, lease: &Held, sweeps: &[Sweep]) -> Result<(), CatalogError> {
        for batch in batches(sweeps) {
            let (lease, batch) = (lease.clone(), batch.to_vec());
            self.write(IfLost::Repeat, move |tx| {
                require_lease(tx, &lease)?;
                batch.iter().try_for_each(|sweep| finish_sweep(tx, sweep))
            })
            .await?;
        }
        Ok(())
    }

    /// Puts the garbage of `sweep` off until `due`, because a node does not answer. What else is due comes first then.
    pub async fn postpone_sweep(&self, lease: &Held, sweep: &Sweep, due: UnixMillis) -> Result<(), CatalogError> {
        let (lease, row) = (lease.clone(), sweep.row.clone());
        self.write(IfLost::Repeat, move |tx| {
            require_lease(tx, &lease)?;
            let Some(mut garbage) = tx.get_row::<Garbage>(&row)? else { return Ok(()) };
            garbage.attempts = garbage.attempts.saturating_add(1);
            tx.delete(row.clone())?;
            Ok(tx.put_row(garbage.key(due), &garbage)?)
        })
        .await
    }

    /// Makes garbage of bodies that were begun by processes not among `alive`, the caller's own among these. Returns how
    /// many; call it again until it returns 0.
    pub async fn reap_orphans(&self, lease: &Held, alive: Vec<Owner>, now: UnixMillis) -> Result<usize, CatalogError> {
        let mut range = KeyRange::prefix(keys::PENDING);
        loop {
            let page = range.clone();
            let rows = self.read(move |view| Ok(view.scan(&page, ORPHANS_REAPED, Order::Ascending)?)).await?;
            let Some(last) = rows.last() else { return Ok(0) };
            range = range.after(&last.key);
            let mut orphans = Vec::new();
            for found in rows {
                if !alive.contains(&decode::<PendingRow>(&found.row.value)?.owner) {
                    orphans.push(found.key);
                }
            }
            if !orphans.is_empty() {
                let lease = lease.clone();
                return self
                    .write(IfLost::Repeat, move |tx| {
                        require_lease(tx, &lease)?;
                        reap(tx, &orphans, now)
                    })
                    .await;
            }
        }
    }
}

/// The first page of each extent that is due, and the rows that name no extent with pages.
fn due_sweeps(view: &mut View<'_>, due: &KeyRange, limit: usize) -> Result<(Vec<Sweep>, Vec<Vec<u8>>), CatalogError> {
    let (mut sweeps, mut to_unfold) = (Vec::new(), Vec::new());
    for found in view.scan(due, limit, Order::Ascending)? {
        let garbage: Garbage = decode(&found.row.value)?;
        let first = match &garbage.debris {
            Debris::Extent(extent) => view.scan(&KeyRange::prefix(&keys::extent(*extent)), 1, Order::Ascending)?.pop(),
            Debris::Parts | Debris::Upload { .. } | Debris::Completion(_) => None,
        };
        let Some(KeyedRow { key, row }) = first else {
            to_unfold.push(found.key);
            continue;
        };
        let page = decode::<StoredPage>(&row.value)?.into_page(None)?;
        let mut shards: Vec<ShardAt> = page.shards().collect();
        shards.sort_unstable();
        shards.dedup();
        sweeps.push(Sweep { garbage, shards, row: found.key, page: key });
    }
    Ok((sweeps, to_unfold))
}

/// One bounded step: an extent without pages is done; parts become extents of their own.
fn unfold(tx: &mut Tx<'_>, row: &[u8], now: UnixMillis) -> Result<(), CatalogError> {
    let Some(garbage) = tx.get_row::<Garbage>(row)? else { return Ok(()) };
    let Garbage { origin, data, debris, .. } = &garbage;
    let done = match debris {
        Debris::Extent(extent) => {
            let done = tx.scan(&KeyRange::prefix(&keys::extent(*extent)), 1, Order::Ascending)?.is_empty();
            if done {
                tx.delete(keys::extent_known(*extent))?;
                count_swept(tx, &garbage)?;
            }
            done
        }
        Debris::Parts => unfold_list(tx, origin, *data, now)?,
        Debris::Upload { upload, kept } => unfold_upload(tx, origin, *data, *upload, kept, now)?,
        Debris::Completion(upload) => {
            tx.delete(keys::completed(*upload))?;
            true
        }
    };
    if done {
        tx.delete(row.to_vec())?;
    }
    Ok(())
}

/// `sweeps` in as many transactions as their rows need.
fn batches(sweeps: &[Sweep]) -> Vec<&[Sweep]> {
    let (mut batches, mut rest) = (Vec::new(), sweeps);
    while !rest.is_empty() {
        let mut writes = 0;
        let fitting = rest.iter().take_while(|sweep| {
            writes += ROWS_OF_A_PAGE + sweep.shards.len();
            writes <= SWEEP_WRITES_MAX
        });
        // A page alone always fits: it names at most some 870 shards.
        let (batch, others) = rest.split_at(fitting.count().clamp(1, rest.len()));
        batches.push(batch);
        rest = others;
    }
    batches
}

/// Removes a page, if nodes were told of all that it names: a repair that began before the body became garbage may have
/// written more into it since. Then it is swept once more.
fn finish_sweep(tx: &mut Tx<'_>, sweep: &Sweep) -> Result<(), CatalogError> {
    if let Some(stored) = tx.get_row::<StoredPage>(&sweep.page)? {
        let at = PageAt::from_key(&sweep.page)?;
        let nodes = stored.nodes().to_vec();
        if stored.into_page(None)?.shards().any(|shard| sweep.shards.binary_search(&shard).is_err()) {
            return Ok(());
        }
        index_holders(tx, at, &nodes, &[])?;
        tx.delete(keys::damaged(at))?;
        tx.delete(keys::sealed_beside(&sweep.page))?;
        tx.delete(sweep.page.clone())?;
    }
    finish_extent(tx, &sweep.row)
}

/// Removes the garbage row of an extent that has no pages any more.
fn finish_extent(tx: &mut Tx<'_>, row: &[u8]) -> Result<(), CatalogError> {
    let Some(garbage) = tx.get_row::<Garbage>(row)? else { return Ok(()) };
    let Debris::Extent(extent) = garbage.debris else { return Ok(()) };
    if tx.scan(&KeyRange::prefix(&keys::extent(extent)), 1, Order::Ascending)?.is_empty() {
        tx.delete(keys::extent_known(extent))?;
        tx.delete(row.to_vec())?;
        count_swept(tx, &garbage)?;
    }
    Ok(())
}

/// Counts an extent off what is left of a body.
fn count_swept(tx: &mut Tx<'_>, garbage: &Garbage) -> Result<(), CatalogError> {
    if garbage.last { extent_swept(tx, garbage.data) } else { Ok(()) }
}

/// Unfolds one list of parts; with the last, the manifest's root goes too. Whether that is all.
fn unfold_list(tx: &mut Tx<'_>, origin: &Origin, data: DataId, now: UnixMillis) -> Result<bool, CatalogError> {
    let Some(found) = tx.scan(&KeyRange::prefix(&keys::part_list(data)), 1, Order::Ascending)?.pop() else {
        let roots = tx.scan(&KeyRange::prefix(&keys::roots(data)), PARTS_UNFOLDED, Order::Ascending)?;
        for root in roots {
            tx.delete(root.key)?;
        }
        extents_found(tx, data, 0, true)?;
        return Ok(true);
    };
    let parts = decode::<PartList>(&found.row.value)?.parts;
    extents_found(tx, data, parts.len(), false)?;
    for part in parts {
        discard_body(tx, origin, data, Debris::Extent(part.extent.id), now)?;
    }
    tx.delete(found.key)?;
    Ok(false)
}

/// Unfolds some part rows of an upload. Whether those were all.
fn unfold_upload(
    tx: &mut Tx<'_>,
    origin: &Origin,
    data: DataId,
    upload: UploadId,
    kept: &[u8],
    now: UnixMillis,
) -> Result<bool, CatalogError> {
    let rows = tx.scan(&KeyRange::prefix(&keys::parts(upload)), PARTS_UNFOLDED, Order::Ascending)?;
    let all = rows.len() < PARTS_UNFOLDED;
    for found in rows {
        let part: Part = decode(&found.row.value)?;
        let at = usize::from(part.number.saturating_sub(1));
        let is_kept = kept.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        if !is_kept {
            tx.delete(keys::extent_known(part.extent.id))?;
            discard(tx, origin, data, Debris::Extent(part.extent.id), now)?;
        }
        tx.delete(found.key)?;
    }
    Ok(all)
}

fn reap(tx: &mut Tx<'_>, orphans: &[Vec<u8>], now: UnixMillis) -> Result<usize, CatalogError> {
    let mut reaped = 0;
    for key in orphans {
        let Some(row) = tx.get_row::<PendingRow>(key)? else { continue };
        let id = key.strip_prefix(keys::PENDING).and_then(|id| id.try_into().ok());
        let extent = ExtentId::from_bytes(id.ok_or(CatalogError::Inconsistent { what: "a pending row's key" })?);
        discard_pending(tx, extent, row, now)?;
        reaped += 1;
    }
    Ok(reaped)
}
