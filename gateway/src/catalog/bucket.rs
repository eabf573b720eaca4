//! Buckets: a global name, an owner, and the region whose packs rule over everything inside.

use bytes::Bytes;
use domicile_types::{BucketName, Classification, ObjectKey, PackId, RegionName, TenantId, UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::garbage::Origin;
use super::upload::Upload;
use super::version::Versioning;
use super::{Catalog, CatalogError, Stamp, compact, garbage, keys};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, Tx, decode};

/// Sixteen random bytes that tell a bucket from any earlier or later one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketId([u8; 16]);

impl BucketId {
    /// From sixteen bytes, which the caller drew at random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Key and value of a tag, in the order the client gave them. Limits on number and length are the S3 edge's.
pub type Tags = Vec<(String, String)>;

/// A bucket as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Which of all buckets that ever had this name.
    pub id: BucketId,
    /// Its name, unique over all tenants.
    pub name: BucketName,
    /// Whose it is.
    pub owner: TenantId,
    /// The residency region that `LocationConstraint` named.
    pub region: RegionName,
    /// The packs of that region when the bucket was made, in their order.
    pub packs: Vec<PackId>,
    /// When it was made.
    pub created: UnixMillis,
    /// Its tags.
    pub tags: Tags,
    /// What objects inherit that do not say otherwise.
    #[serde(with = "compact::classification")]
    pub classification: Classification,
    /// Grows whenever `packs`, `tags` or `classification` change: a put that was decided under another is refused.
    pub policy_version: u64,
    /// Grows whenever one of its settings changes; zero as long as none was ever set.
    pub settings_version: u64,
    /// The bucket's key, wrapped under its owner's root key; opaque here. Deleting the row shreds the bucket.
    pub wrapped_key: Bytes,
    /// Whether it keeps replaced versions.
    pub versioning: Versioning,
    /// Whether its versions can be locked. Then versioning cannot be suspended any more.
    pub object_lock: bool,
}

impl StoredRow for Bucket {
    const NAME: &'static str = "bucket";
    const VERSION: u8 = 3;
}

impl Bucket {
    /// What a sweeper must know of it when it is gone.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            tenant: self.owner.clone(),
            bucket: self.name.clone(),
            region: self.region.clone(),
            packs: self.packs.clone(),
        }
    }
}

/// A bucket to be made.
#[derive(Debug, Clone)]
pub struct NewBucket {
    /// Drawn at random by the caller.
    pub id: BucketId,
    /// The name asked for.
    pub name: BucketName,
    /// Who asks.
    pub owner: TenantId,
    /// The residency region.
    pub region: RegionName,
    /// Its packs.
    pub packs: Vec<PackId>,
    /// Tags given with the request, mostly none.
    pub tags: Tags,
    /// The classification that the tags state.
    pub classification: Classification,
    /// The bucket's key, wrapped.
    pub wrapped_key: Bytes,
    /// Whether its versions can be locked, which has versioning enabled from the start.
    pub object_lock: bool,
}

/// A page of a tenant's buckets, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPage {
    /// In the order of their names.
    pub buckets: Vec<Bucket>,
    /// Whether there are more after the last of them.
    pub truncated: bool,
}

/// Uploads that are given up in one transaction when their bucket is deleted.
const UPLOADS_PER_ROUND: usize = 300;

impl Catalog {
    /// Makes a bucket.
    ///
    /// # Errors
    /// [`CatalogError::BucketAlreadyOwnedByYou`], [`CatalogError::BucketAlreadyExists`].
    pub async fn create_bucket(&self, stamp: Stamp, new: NewBucket) -> Result<Bucket, CatalogError> {
        let once = stamp.once("create-bucket", &[new.name.as_str().as_bytes()]);
        self.write(once, move |tx| {
            if let Some(present) = tx.get_row::<Bucket>(&keys::bucket(&new.name))? {
                let bucket = new.name.clone();
                return Err(match present.owner == new.owner {
                    true => CatalogError::BucketAlreadyOwnedByYou { bucket },
                    false => CatalogError::BucketAlreadyExists { bucket },
                });
            }
            let NewBucket { id, name, owner, region, packs, tags, classification, wrapped_key, object_lock } =
                new.clone();
            let created = stamp.now;
            let bucket = Bucket {
                id,
                name,
                owner,
                region,
                packs,
                created,
                tags,
                classification,
                policy_version: 1,
                settings_version: 0,
                wrapped_key,
                versioning: if object_lock { Versioning::Enabled } else { Versioning::Never },
                object_lock,
            };
            tx.put_row(keys::bucket(&bucket.name), &bucket)?;
            tx.put(keys::tenant_bucket(&bucket.owner, &bucket.name), Vec::new())?;
            Ok(bucket)
        })
        .await
    }

    /// The bucket of that name.
    pub async fn bucket(&self, name: &BucketName) -> Result<Bucket, CatalogError> {
        let name = name.clone();
        self.read(move |view| find_bucket(view, &name)).await
    }

    /// At most `limit` (and 1,000) buckets of `tenant` whose names begin with `prefix` and come after `after`.
    pub async fn list_buckets(
        &self,
        tenant: &TenantId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BucketPage, CatalogError> {
        let base = keys::tenant_buckets(tenant);
        let mut range = KeyRange::prefix(&[&base, prefix.as_bytes()].concat());
        if let Some(after) = after {
            range = range.after(&[&base, after.as_bytes()].concat());
        }
        let limit = limit.min(1_000);
        self.read(move |view| {
            let mut rows = view.scan(&range, limit + 1, Order::Ascending)?;
            let truncated = rows.len() > limit;
            rows.truncate(limit);
            let mut buckets = Vec::with_capacity(rows.len());
            for found in rows {
                let name = found.key.get(base.len()..).unwrap_or_default();
                let row = view.get_row(&[b"b", name].concat())?;
                buckets.push(row.ok_or(CatalogError::Inconsistent { what: "a tenant's bucket without its row" })?);
            }
            Ok(BucketPage { buckets, truncated })
        })
        .await
    }

    /// Replaces a bucket's tags and the classification that they state. Puts decided before are refused.
    pub async fn set_bucket_tags(
        &self,
        stamp: Stamp,
        bucket: &Bucket,
        tags: Tags,
        classification: Classification,
    ) -> Result<Bucket, CatalogError> {
        let mut subject = vec![&bucket.id.as_bytes()[..]];
        subject.extend(tags.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        let once = stamp.once("set-bucket-tags", &subject);
        let given = bucket.clone();
        self.write(once, move |tx| {
            let mut bucket = same_bucket(tx, &given)?;
            bucket.tags.clone_from(&tags);
            bucket.classification = classification.clone();
            bucket.policy_version += 1;
            tx.put_row(keys::bucket(&bucket.name), &bucket)?;
            Ok(bucket)
        })
        .await
    }

    /// Deletes an empty bucket. Its uploads in progress are given up.
    ///
    /// # Errors
    /// [`CatalogError::BucketNotEmpty`], [`CatalogError::NoSuchBucket`].
    pub async fn delete_bucket(&self, stamp: Stamp, bucket: &Bucket) -> Result<(), CatalogError> {
        let due = self.sweep_due(stamp);
        loop {
            let given = bucket.clone();
            let done = self.write(IfLost::Report, move |tx| delete_round(tx, &given, due)).await?;
            if done {
                return Ok(());
            }
        }
    }
}

/// Gives up a round of uploads; deletes the bucket with the last of them. Whether that is done.
fn delete_round(tx: &mut Tx<'_>, given: &Bucket, due: UnixMillis) -> Result<bool, CatalogError> {
    let bucket = same_bucket(tx, given)?;
    let mut is_empty =
        |rows: Vec<u8>| Ok::<_, CatalogError>(tx.scan(&KeyRange::prefix(&rows), 1, Order::Ascending)?.is_empty());
    if !is_empty(keys::objects(bucket.id))? || !is_empty(keys::versions(bucket.id))? {
        return Err(CatalogError::BucketNotEmpty { bucket: bucket.name });
    }
    let uploads = keys::uploads(bucket.id);
    let rows = tx.scan(&KeyRange::prefix(&uploads), UPLOADS_PER_ROUND, Order::Ascending)?;
    let more = rows.len() == UPLOADS_PER_ROUND;
    for found in rows {
        let upload: Upload = decode(&found.row.value)?;
        garbage::give_up_upload(tx, &bucket.origin(), &upload, due)?;
        tx.delete(found.key)?;
    }
    if more {
        return Ok(false);
    }
    super::settings::delete_all(tx, bucket.id)?;
    tx.delete(keys::bucket(&bucket.name))?;
    tx.delete(keys::tenant_bucket(&bucket.owner, &bucket.name))?;
    Ok(true)
}

/// The bucket of that name.
pub(super) fn find_bucket(read: &mut impl Read, name: &BucketName) -> Result<Bucket, CatalogError> {
    let row = read.get_row(&keys::bucket(name))?;
    row.ok_or_else(|| CatalogError::NoSuchBucket { bucket: name.clone() })
}

/// The bucket that `given` was read from, as it is now; not another that took its name since.
pub(super) fn same_bucket(read: &mut impl Read, given: &Bucket) -> Result<Bucket, CatalogError> {
    let bucket = find_bucket(read, &given.name)?;
    if bucket.id == given.id { Ok(bucket) } else { Err(CatalogError::NoSuchBucket { bucket: given.name.clone() }) }
}

/// The same, and under the same rules: what was decided by `given` still stands.
pub(super) fn unchanged_bucket(read: &mut impl Read, given: &Bucket) -> Result<Bucket, CatalogError> {
    let bucket = same_bucket(read, given)?;
    if bucket.policy_version == given.policy_version {
        Ok(bucket)
    } else {
        Err(CatalogError::PolicyChanged { bucket: bucket.name })
    }
}

/// The object key and upload id of an upload row's key.
pub(super) fn split_upload_key(base: &[u8], row: &[u8]) -> Result<(ObjectKey, UploadId), CatalogError> {
    let damaged = CatalogError::Inconsistent { what: "an upload row's key" };
    let rest = row.strip_prefix(base).unwrap_or_default();
    let split = rest.len().checked_sub(17).and_then(|at| rest.split_at_checked(at));
    let Some((key, [0, id @ ..])) = split else { return Err(damaged) };
    let key = std::str::from_utf8(key).ok().and_then(|text| ObjectKey::parse(text).ok());
    let id = <[u8; 16]>::try_from(id).ok().map(UploadId::from_bytes);
    key.zip(id).ok_or(damaged)
}
