//! Completion of a multipart upload: plan, then one transaction of few rows.

use std::collections::BTreeMap;

use bytes::Bytes;
use domicile_chunker::OBJECT_BYTES_MAX;
use domicile_types::{ObjectKey, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, BucketId, unchanged_bucket};
use super::garbage::Debris;
use super::judging::{JudgingEpoch, still_judged_by};
use super::object::{Body, Checksum, NewObject, ObjectHead, PartIndex, PartPage, Preconditions};
use super::protection::Encryption;
use super::put::{PutOutcome, fits, put_head};
use super::read::PartList;
use super::upload::{PART_NUMBER_MAX, Part, Upload, check_number};
use super::version::{Version, VersionId};
use super::{Catalog, CatalogError, Stamp, garbage, keys};
use crate::state::{KeyRange, Order, Read, StoredRow, Tx, decode, limits};

/// Least bytes of every part but the last (Amazon S3's user guide, "Amazon S3 multipart upload limits").
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Where a list of parts goes on in the next row: a row's limit less the largest part entry.
const PART_LIST_BYTES: usize = limits::VALUE_BYTES_MAX - 1024;
/// Most parts of one list: the sweeper unfolds a list in one transaction, a row for each part.
const PART_LIST_PARTS: usize = 600;
/// How long a completion is answered again as it was: longer than any client tries. One day.
pub(super) const COMPLETION_KEPT_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// Most rows of a sealed manifest root: 4 MiB.
const ROOT_PAGES_MAX: usize = 64;

/// A part as a completion names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedPart {
    /// Its number.
    pub number: u16,
    /// Its ETag, without quotes; some clients send none.
    pub etag: Option<String>,
    /// Checksums that the client repeats; each must be the part's.
    pub checksums: Vec<Checksum>,
}

/// What a completion will be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletionPlan {
    /// The upload.
    pub upload: Upload,
    /// Its key.
    pub key: ObjectKey,
    /// The parts, in order: for the object's ETag and checksums, and for the root of the manifest.
    pub parts: Vec<Part>,
    /// Bytes of all of them.
    pub size: u64,
}

/// What [`Catalog::plan_completion`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedCompletion {
    /// To be completed.
    Ready(Box<CompletionPlan>),
    /// Completed before: a client that repeats itself gets the same answer, whatever became of the object since.
    Completed(Box<Completed>),
}

/// What a completion answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    bucket: BucketId,
    /// Hash of the object's key. The key itself is kept with what exists alone.
    key: [u8; 32],
    /// The object's ETag, without quotes.
    pub etag: String,
    /// Its checksums.
    pub checksums: Vec<Checksum>,
    /// How many parts it has.
    pub parts: u32,
    /// Its size in bytes.
    pub size: u64,
    /// When it was committed.
    pub last_modified: UnixMillis,
    /// Which version it became; none where versioning was not enabled.
    pub version: Option<VersionId>,
    /// What its data key is wrapped under.
    pub encryption: Encryption,
}

impl StoredRow for Completed {
    const NAME: &'static str = "completed upload";
    const VERSION: u8 = 1;
}

/// What a completion adds to the plan.
#[derive(Debug, Clone)]
pub struct NewCompletion {
    /// The object's ETag, without quotes.
    pub etag: String,
    /// Its checksums.
    pub checksums: Vec<Checksum>,
    /// The sealed root of the manifest, in pieces that fit a row each; opaque here.
    pub root: Vec<Bytes>,
    /// Judged in the transaction.
    pub conditions: Preconditions,
    /// By what the placement of all parts was judged, or judged again: the commit fails when that has changed.
    pub judged: JudgingEpoch,
}

impl Catalog {
    /// Checks a completion against the stored parts. Writes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NoParts`], [`CatalogError::InvalidPartOrder`], [`CatalogError::InvalidPart`],
    /// [`CatalogError::EntityTooSmall`], [`CatalogError::EntityTooLarge`], [`CatalogError::NoSuchUpload`].
    pub async fn plan_completion(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        upload: UploadId,
        requested: Vec<RequestedPart>,
    ) -> Result<PlannedCompletion, CatalogError> {
        let (bucket, key) = (bucket.id, key.clone());
        self.read(move |view| {
            let Some(present) = view.get_row::<Upload>(&keys::upload(bucket, &key, upload))? else {
                let completed: Option<Completed> = view.get_row(&keys::completed(upload))?;
                let completed =
                    completed.filter(|completed| completed.bucket == bucket && completed.key == hash_of(&key));
                return completed
                    .map(|completed| PlannedCompletion::Completed(Box::new(completed)))
                    .ok_or(CatalogError::NoSuchUpload);
            };
            check_order(&requested)?;
            let requested = last_of_each(&requested);
            let stored = stored_parts(view, upload)?;
            let parts: Vec<Part> =
                requested.into_iter().map(|wanted| matching(&stored, wanted)).collect::<Result<_, _>>()?;
            let size = check_sizes(&parts)?;
            Ok(PlannedCompletion::Ready(Box::new(CompletionPlan { upload: present, key: key.clone(), parts, size })))
        })
        .await
    }

    /// Makes the planned parts the current object of the key. Parts that the plan leaves out become garbage.
    ///
    /// # Errors
    /// What `conditions` refuse; [`CatalogError::InvalidPart`] when a part was replaced since the plan;
    /// [`CatalogError::NoSuchUpload`] when the upload was completed or aborted since.
    pub async fn complete_upload(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        plan: CompletionPlan,
        completion: NewCompletion,
    ) -> Result<(ObjectHead, PutOutcome), CatalogError> {
        let NewCompletion { etag, checksums, root, conditions, judged } = completion;
        fits("the sealed manifest root, in rows,", root.len(), ROOT_PAGES_MAX)?;
        let upload = plan.upload.new.upload;
        let (index, lists) = part_lists(&plan.parts, u32::try_from(root.len()).unwrap_or(u32::MAX))?;
        let head = head_of(&plan, etag, checksums, stamp, index);
        let once = stamp.once("complete-upload", &[upload.as_bytes()]);
        let due = self.sweep_due(stamp);
        let forgotten = stamp.now.plus_millis(COMPLETION_KEPT_MILLIS);
        let (given, mut result) = (bucket.clone(), head.clone());
        let (version, outcome) = self
            .write(once, move |tx| {
                let bucket = unchanged_bucket(tx, &given)?;
                still_judged_by(tx, judged)?;
                let row = keys::upload(bucket.id, &plan.key, upload);
                let present: Upload = tx.get_row(&row)?.ok_or(CatalogError::NoSuchUpload)?;
                let stored = stored_parts(tx, upload)?;
                for planned in &plan.parts {
                    if stored.get(&planned.number) != Some(planned) {
                        return Err(CatalogError::InvalidPart { number: planned.number });
                    }
                }
                put_lists(tx, &head, &lists, &root)?;
                tx.delete(row)?;
                let kept = kept_bits(&plan.parts);
                garbage::discard(tx, &bucket.origin(), present.new.data, Debris::Upload { upload, kept }, stamp.now)?;
                let (version, outcome) = put_head(tx, &bucket, &plan.key, head.clone(), &conditions, due)?;
                tx.put_row(keys::completed(upload), &completed(&bucket, &plan, &head, &outcome))?;
                garbage::discard(tx, &bucket.origin(), head.data, Debris::Completion(upload), forgotten)?;
                Ok((version, outcome))
            })
            .await?;
        result.version = version;
        Ok((result, outcome))
    }
}

fn check_order(requested: &[RequestedPart]) -> Result<(), CatalogError> {
    if requested.is_empty() {
        return Err(CatalogError::NoParts);
    }
    for part in requested {
        check_number(part.number).map_err(|_| CatalogError::InvalidPart { number: part.number })?;
    }
    match requested.windows(2).find(|pair| matches!(pair, [a, b] if a.number > b.number)) {
        Some([_, second]) => Err(CatalogError::InvalidPartOrder { number: second.number }),
        _ => Ok(()),
    }
}

/// A part that was sent twice may be named twice: the last one counts, as it does for parts themselves.
fn last_of_each(requested: &[RequestedPart]) -> Vec<&RequestedPart> {
    let named: BTreeMap<u16, &RequestedPart> = requested.iter().map(|part| (part.number, part)).collect();
    named.into_values().collect()
}

fn hash_of(key: &ObjectKey) -> [u8; 32] {
    *blake3::hash(key.as_str().as_bytes()).as_bytes()
}

fn completed(bucket: &Bucket, plan: &CompletionPlan, head: &ObjectHead, outcome: &PutOutcome) -> Completed {
    Completed {
        bucket: bucket.id,
        key: hash_of(&plan.key),
        etag: head.object.etag.clone(),
        checksums: head.object.checksums.clone(),
        parts: u32::try_from(plan.parts.len()).unwrap_or(u32::MAX),
        size: plan.size,
        last_modified: outcome.last_modified,
        version: outcome.version,
        encryption: head.object.protection.encryption.clone(),
    }
}

fn stored_parts(read: &mut impl Read, upload: UploadId) -> Result<BTreeMap<u16, Part>, CatalogError> {
    let rows = read.scan(&KeyRange::prefix(&keys::parts(upload)), PART_NUMBER_MAX.into(), Order::Ascending)?;
    rows.iter()
        .map(|found| {
            let part: Part = decode(&found.row.value)?;
            Ok((part.number, part))
        })
        .collect()
}

fn matching(stored: &BTreeMap<u16, Part>, wanted: &RequestedPart) -> Result<Part, CatalogError> {
    let invalid = CatalogError::InvalidPart { number: wanted.number };
    let Some(part) = stored.get(&wanted.number) else { return Err(invalid) };
    let etag_matches = wanted.etag.as_ref().is_none_or(|etag| *etag == part.etag);
    let same =
        |named: &Checksum| part.checksums.iter().any(|c| c.algorithm == named.algorithm && c.value == named.value);
    if etag_matches && wanted.checksums.iter().all(same) { Ok(part.clone()) } else { Err(invalid) }
}

/// The bytes of all parts, if each but the last is large enough.
fn check_sizes(parts: &[Part]) -> Result<u64, CatalogError> {
    if let Some((_, all_but_last)) = parts.split_last()
        && let Some(small) = all_but_last.iter().find(|part| part.extent.bytes < PART_BYTES_MIN)
    {
        let (number, bytes) = (small.number, small.extent.bytes);
        return Err(CatalogError::EntityTooSmall { number, bytes, minimum: PART_BYTES_MIN });
    }
    let bytes = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.extent.bytes));
    if bytes > OBJECT_BYTES_MAX {
        return Err(CatalogError::EntityTooLarge { bytes, maximum: OBJECT_BYTES_MAX });
    }
    Ok(bytes)
}

/// Spreads the parts over rows.
fn part_lists(parts: &[Part], root_pages: u32) -> Result<(PartIndex, Vec<PartList>), CatalogError> {
    let mut index = PartIndex { parts: u32::try_from(parts.len()).unwrap_or(u32::MAX), pages: Vec::new(), root_pages };
    let mut lists: Vec<PartList> = Vec::new();
    let (mut filled, mut offset) = (0, 0);
    for part in parts {
        let bytes = encoded_bytes(part)?;
        match lists.last_mut() {
            Some(list) if filled + bytes <= PART_LIST_BYTES && list.parts.len() < PART_LIST_PARTS => {
                filled += bytes;
                list.parts.push(part.clone());
            }
            _ => {
                filled = bytes;
                index.pages.push(PartPage { first_number: part.number, starts_at: offset });
                lists.push(PartList { parts: vec![part.clone()] });
            }
        }
        offset += part.extent.bytes;
    }
    Ok((index, lists))
}

fn encoded_bytes(row: &impl Serialize) -> Result<usize, CatalogError> {
    postcard::experimental::serialized_size(row).map_err(|_| CatalogError::Inconsistent { what: "a part's row" })
}

fn put_lists(tx: &mut Tx<'_>, head: &ObjectHead, lists: &[PartList], root: &[Bytes]) -> Result<(), CatalogError> {
    for (page, list) in (0..).zip(lists) {
        tx.put_row(keys::part_list_page(head.data, page), list)?;
    }
    for (page, sealed) in (0..).zip(root) {
        fits("a piece of the sealed manifest root", sealed.len(), limits::VALUE_BYTES_MAX)?;
        tx.put(keys::root_page(head.data, page), sealed.to_vec())?;
    }
    Ok(())
}

fn head_of(
    plan: &CompletionPlan,
    etag: String,
    checksums: Vec<Checksum>,
    stamp: Stamp,
    index: PartIndex,
) -> ObjectHead {
    let new = plan.upload.new.clone();
    ObjectHead {
        version: Version::unset(),
        object: NewObject {
            size: plan.size,
            etag,
            headers: new.headers,
            metadata: new.metadata,
            checksums,
            tags: new.tags,
            classification: new.classification,
            wrapped_key: new.wrapped_key,
            suite: new.suite,
            packs: new.packs,
            protection: new.protection,
        },
        last_modified: stamp.now,
        data: new.data,
        upload: new.upload,
        body: Body::Parts(index),
        sealed_as: None,
    }
}

/// One bit for every part number from 1: whether the object keeps that part. 1,250 bytes at the most.
fn kept_bits(parts: &[Part]) -> Bytes {
    let mut bits = vec![0_u8; parts.last().map_or(0, |last| usize::from(last.number).div_ceil(8))];
    for part in parts {
        let at = usize::from(part.number - 1);
        if let Some(byte) = bits.get_mut(at / 8) {
            *byte |= 1 << (at % 8);
        }
    }
    bits.into()
}
