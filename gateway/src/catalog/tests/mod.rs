//! Tests of the catalog: single behaviours in `objects`, `listings` and `multipart`, all of them together against a model
//! in `model`.

mod expiry;
mod holders;
mod identities;
mod listings;
mod model;
mod multipart;
mod objects;
mod sharing;
mod sweeping;
mod versions;
mod versions_model;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domicile_types::{
    BucketName, Classification, CodeProfile, DataId, NodeId, ObjectKey, PackId, RegionName, RequestId, ShardCid,
    SuiteId, TenantId, UnixMillis, UploadId,
};

use super::*;
use crate::state::conformance::TestClock;
use crate::state::{Held, MemoryStore, acquire_lease};

/// How long swept bytes wait in these tests.
const GRACE_MILLIS: u64 = 1_000;
const HOUR_MILLIS: u64 = 3_600_000;
/// What is judged by in these tests.
const LAW: JudgingEpoch = JudgingEpoch(0);

/// A catalog with one bucket, and a source of identifiers that never repeat.
struct World {
    catalog: Catalog,
    bucket: Bucket,
    clock: TestClock,
    ids: Arc<AtomicU64>,
}

fn on_memory() -> (Arc<dyn Store>, TestClock) {
    let clock = TestClock::default();
    (Arc::new(MemoryStore::new(clock.store_clock())), clock)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn bucket_name(text: &str) -> BucketName {
    BucketName::parse(text).unwrap()
}

impl World {
    async fn on(store: Arc<dyn Store>, clock: TestClock) -> Self {
        let ids = Arc::new(AtomicU64::new(1));
        let catalog = Self::catalog(store, 1);
        let stamp = Stamp { now: UnixMillis(1_000_000), request: RequestId::from_bytes([0; 16]) };
        let bucket = catalog.create_bucket(stamp, new_bucket("training", "lab-a", 1)).await.unwrap();
        Self { catalog, bucket, clock, ids }
    }

    async fn new() -> Self {
        let (store, clock) = on_memory();
        Self::on(store, clock).await
    }

    fn catalog(store: Arc<dyn Store>, process: u8) -> Catalog {
        let config =
            CatalogConfig { token_key: [7; 32], process: Owner([process; 16]), sweep_grace_millis: GRACE_MILLIS };
        Catalog::new(store, config)
    }

    fn id(&self) -> [u8; 16] {
        u128::from(self.ids.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }

    fn now(&self) -> UnixMillis {
        (self.clock.store_clock())()
    }

    fn stamp(&self) -> Stamp {
        Stamp { now: self.now(), request: RequestId::from_bytes(self.id()) }
    }

    fn body(&self, data: DataId, upload: UploadId) -> NewBody {
        NewBody { extent: ExtentId::from_bytes(self.id()), data, upload, pages: Vec::new() }
    }

    fn fresh_body(&self) -> NewBody {
        self.body(DataId::from_bytes(self.id()), UploadId::from_bytes(self.id()))
    }

    async fn begin(&self, at: &str) -> Result<Pending, CatalogError> {
        let (body, none) = (self.fresh_body(), Preconditions::default());
        self.catalog.begin_put(self.stamp(), &self.bucket, &key(at), body, &none).await
    }

    async fn put_if(&self, at: &str, etag: &str, conditions: Preconditions) -> Result<PutOutcome, CatalogError> {
        let pending = self.begin(at).await?;
        let outcome = self.catalog.commit_put(self.stamp(), &pending, put_commit(&pending, 10, etag, conditions)).await;
        if outcome.is_err() {
            self.catalog.abandon(self.stamp(), &pending).await?;
        }
        outcome
    }

    async fn put(&self, at: &str, etag: &str) -> Result<PutOutcome, CatalogError> {
        self.put_if(at, etag, Preconditions::default()).await
    }

    async fn etag(&self, at: &str) -> Option<String> {
        match self.catalog.get_object(&self.bucket, &key(at)).await {
            Ok(head) => Some(head.object.etag),
            Err(CatalogError::NoSuchKey) => None,
            Err(error) => panic!("{error}"),
        }
    }

    async fn delete(&self, at: &str) -> Result<Deleted, CatalogError> {
        self.catalog.delete_object(self.stamp(), &self.bucket, &key(at), &Preconditions::default()).await
    }

    fn lease(&self) -> Held {
        acquire_lease(&**self.catalog.store(), &LeaseName::new("sweep"), Owner([9; 16]), HOUR_MILLIS).unwrap()
    }

    /// Sweeps what is due, as a sweeper with obedient nodes would. Returns every shard that nodes were told to delete.
    async fn sweep(&self, alive: &[u8]) -> Vec<ShardAt> {
        let lease = self.lease();
        let alive: Vec<Owner> = alive.iter().map(|process| Owner([*process; 16])).collect();
        while self.catalog.reap_orphans(&lease, alive.clone(), self.now()).await.unwrap() > 0 {}
        let mut swept = Vec::new();
        loop {
            let sweeps = self.catalog.next_sweeps(&lease, self.now(), 16).await.unwrap();
            if sweeps.is_empty() {
                return swept;
            }
            swept.extend(sweeps.iter().flat_map(|sweep| sweep.shards.iter().copied()));
            self.catalog.finish_sweeps(&lease, &sweeps).await.unwrap();
        }
    }

    /// The keys of all rows of a table.
    fn rows(&self, table: u8) -> Vec<Vec<u8>> {
        let range = crate::state::KeyRange::prefix(&[table]);
        let rows = view(&**self.catalog.store(), |view| {
            crate::state::Read::scan(view, &range, 10_000, crate::state::Order::Ascending)
        });
        rows.unwrap().into_iter().map(|found| found.key).collect()
    }
}

fn new_bucket(name: &str, owner: &str, id: u8) -> NewBucket {
    NewBucket {
        id: BucketId::from_bytes([id; 16]),
        name: bucket_name(name),
        owner: TenantId::parse(owner).unwrap(),
        region: RegionName::parse("cn").unwrap(),
        packs: vec![PackId::parse("cn-data-export").unwrap()],
        tags: Vec::new(),
        classification: Classification::default(),
        wrapped_key: Bytes::from_static(b"kek"),
        object_lock: false,
    }
}

fn extent(id: ExtentId, bytes: u64) -> Extent {
    Extent { id, bytes, segment_bytes: 4 << 20, segments_per_page: 2, profile: CodeProfile::RS_4_2 }
}

fn new_object(size: u64, etag: &str) -> NewObject {
    NewObject {
        size,
        etag: etag.to_owned(),
        headers: ContentHeaders { content_type: Some("image/png".to_owned()), ..ContentHeaders::default() },
        metadata: vec![("camera".to_owned(), "left".to_owned())],
        checksums: vec![Checksum {
            algorithm: ChecksumAlgorithm::Crc32,
            kind: ChecksumKind::FullObject,
            value: Bytes::from_static(&[1, 2, 3, 4]),
        }],
        tags: vec![("domicile:class".to_owned(), "health".to_owned())],
        classification: Classification::from_tags([("domicile:class", "health"), ("domicile:origin", "CN")]).unwrap(),
        wrapped_key: Bytes::from_static(b"wrapped data key"),
        suite: SuiteId::Aes256Gcm,
        packs: vec![PackId::parse("cn-data-export").unwrap()],
        protection: Protection::default(),
    }
}

/// A commit of a body of `size` bytes with all its pages.
fn put_commit(pending: &Pending, size: u64, etag: &str, conditions: Preconditions) -> PutCommit {
    let extent = extent(pending.extent(), size);
    PutCommit {
        object: new_object(size, etag),
        pages: pages(&extent),
        extent,
        conditions,
        judged: JudgingEpoch::default(),
    }
}

/// Every page of an extent, complete: the shards are named by extent, segment and position.
fn pages(extent: &Extent) -> Vec<(u32, ExtentPage)> {
    let per_page = u64::from(extent.segments_per_page);
    (0..extent.pages())
        .map(|number| {
            let first = u64::from(number) * per_page;
            let segments = first..extent.segments().min(first + per_page);
            let segments = segments.map(|segment| shards(extent, segment)).collect();
            let sealed = Bytes::from(format!("sealed page {number}"));
            (number, ExtentPage { sealed, segments, strays: Vec::new() })
        })
        .collect()
}

fn shards(extent: &Extent, segment: u64) -> Vec<ShardAt> {
    (0..6_u8)
        .map(|position| {
            let name = [&extent.id.as_bytes()[..], &segment.to_be_bytes(), &[position]].concat();
            ShardAt { cid: ShardCid::of(&name), node: NodeId::from_public_key([position; 32]) }
        })
        .collect()
}

/// All shards of an extent.
fn all_shards(extent: &Extent) -> Vec<ShardAt> {
    (0..extent.segments()).flat_map(|segment| shards(extent, segment)).collect()
}
