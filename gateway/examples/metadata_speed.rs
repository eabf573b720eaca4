//! How fast metadata is: commits and small puts per second by the number of writers, and a listing page by the number of
//! objects. Writes to the folder given, or to one in the current folder: the disk that is measured is that folder's.
//!
//! `cargo run --release --ignore-rust-version -p domicile --example metadata_speed [FOLDER]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use domicile::catalog::{
    Bucket, BucketId, Catalog, CatalogConfig, ContentHeaders, Extent, ExtentId, ExtentPage, JudgingEpoch, ListQuery,
    ListStart, NewBody, NewBucket, NewObject, Preconditions, PutCommit, ShardAt, Stamp,
};
use domicile::clock::Clock;
use domicile::state::{IfLost, Owner, Read, RocksConfig, RocksStore, Store, StoreError, transact};
use domicile_types::{
    BucketName, Classification, CodeProfile, DataId, NodeId, ObjectKey, PackId, RegionName, RequestId, ShardCid,
    SuiteId, TenantId, UploadId,
};

const WRITERS: [u32; 3] = [1, 16, 64];

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("metadata-speed"), PathBuf::from);
    let clock = Clock;
    let store = RocksStore::open(&RocksConfig::new(&folder), Arc::new(move || clock.now()))?;
    let store = Arc::new(store);
    for writers in WRITERS {
        commits(&store, writers)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let config =
        CatalogConfig { token_key: clock.random(), process: Owner(clock.random()), sweep_grace_millis: 3_600_000 };
    let catalog = Catalog::new(Arc::<RocksStore>::clone(&store), config);
    let bucket = runtime.block_on(catalog.create_bucket(stamp(clock), new_bucket(clock)?))?;
    let mut objects = 0;
    for writers in WRITERS {
        let puts = if writers == 1 { 1_000 } else { 20_000 };
        runtime.block_on(small_puts(&store, &catalog, &bucket, writers, puts))?;
        objects += puts;
        runtime.block_on(listing(&catalog, &bucket, objects))?;
    }
    drop((catalog, store));
    std::fs::remove_dir_all(&folder).context("removing what was written")
}

/// Transactions as a put makes them: two reads, two rows, one deletion.
fn commits(store: &Arc<RocksStore>, writers: u32) -> Result<()> {
    let each = if writers == 1 { 2_000 } else { 20_000 / writers };
    let before = store.commits_and_batches();
    let start = now();
    let threads: Vec<_> = (0..writers)
        .map(|writer| {
            let store = Arc::clone(store);
            std::thread::spawn(move || (0..each).try_for_each(|n| commit(&*store, &format!("{writers}/{writer}/{n}"))))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = store.commits_and_batches();
    let (commits, syncs) = (float(after.0 - before.0), float(after.1 - before.1));
    println!("{writers:3} writers: {:8.0} commits/s, {:6.0} syncs/s", commits / seconds, syncs / seconds);
    Ok(())
}

fn commit(store: &dyn Store, name: &str) -> Result<(), StoreError> {
    transact(store, IfLost::Report, |tx| {
        tx.get(b"~bucket")?;
        tx.get(format!("~object/{name}").as_bytes())?;
        tx.put(format!("~object/{name}").into_bytes(), vec![1; 400])?;
        tx.put(format!("~extent/{name}").into_bytes(), vec![1; 1_200])?;
        tx.delete(format!("~pending/{name}").into_bytes())
    })
}

/// Puts of small objects through the catalog: two commits each.
async fn small_puts(store: &RocksStore, catalog: &Catalog, bucket: &Bucket, writers: u32, puts: u32) -> Result<()> {
    let before = store.commits_and_batches();
    let start = now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (catalog, bucket) = (catalog.clone(), bucket.clone());
            tokio::spawn(async move {
                for n in 0..puts / writers {
                    put(&catalog, &bucket, &format!("images/{writers}/{writer}/{n}.jpg")).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let syncs = float(store.commits_and_batches().1 - before.1);
    println!(
        "{writers:3} writers: {:8.0} puts/s, {:.2} syncs per put",
        f64::from(puts) / seconds,
        syncs / f64::from(puts)
    );
    Ok(())
}

async fn put(catalog: &Catalog, bucket: &Bucket, key: &str) -> Result<()> {
    let (clock, key) = (Clock, ObjectKey::parse(key)?);
    let extent = ExtentId::from_bytes(clock.random());
    let node = |n| NodeId::from_public_key([n; 32]);
    let shards = (0..3).map(|n| ShardAt { cid: ShardCid::of(extent.as_bytes()), node: node(n) }).collect();
    let page = ExtentPage { sealed: vec![7; 250].into(), segments: vec![shards], strays: Vec::new() };
    let body = NewBody {
        extent,
        data: DataId::from_bytes(clock.random()),
        upload: UploadId::from_bytes(clock.random()),
        pages: vec![(0, page)],
    };
    let none = Preconditions::default();
    let pending = catalog.begin_put(stamp(clock), bucket, &key, body, &none).await?;
    let bytes = 16 * 1024;
    let profile = CodeProfile::RS_4_2.whole_copies();
    let extent = Extent { id: extent, bytes, segment_bytes: 1 << 20, segments_per_page: 200, profile };
    let commit = PutCommit {
        object: new_object(bytes)?,
        extent,
        pages: Vec::new(),
        conditions: none,
        judged: JudgingEpoch::default(),
    };
    catalog.commit_put(stamp(clock), &pending, commit).await?;
    Ok(())
}

/// One page of 1,000 keys from the middle, and one of groups.
async fn listing(catalog: &Catalog, bucket: &Bucket, objects: u32) -> Result<()> {
    let middle = ListStart::After("images/16/4".to_owned());
    for (what, delimiter, start) in [("keys", None, middle), ("groups", Some("/".to_owned()), ListStart::Beginning)] {
        let prefix = if delimiter.is_some() { "images/64/" } else { "" }.to_owned();
        let query = ListQuery { prefix, delimiter, start, max_keys: 1_000 };
        catalog.list_objects(bucket, query.clone()).await?;
        let start = now();
        let page = catalog.list_objects(bucket, query).await?;
        let entries = page.objects.len() + page.common_prefixes.len();
        println!("{objects:8} objects: a page of {entries} {what} in {:?}", start.elapsed());
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Counts here stay far below where f64 counts in twos.
#[allow(clippy::as_conversions, reason = "there is no lossless conversion, and none is needed")]
fn float(count: u64) -> f64 {
    count as f64
}

fn stamp(clock: Clock) -> Stamp {
    Stamp { now: clock.now(), request: RequestId::from_bytes(clock.random()) }
}

fn new_bucket(clock: Clock) -> Result<NewBucket> {
    Ok(NewBucket {
        id: BucketId::from_bytes(clock.random()),
        name: BucketName::parse("measured")?,
        owner: TenantId::parse("measurer")?,
        region: RegionName::parse("cn")?,
        packs: vec![PackId::parse("cn-data-export")?],
        tags: Vec::new(),
        classification: Classification::default(),
        wrapped_key: Bytes::new(),
        object_lock: false,
    })
}

fn new_object(size: u64) -> Result<NewObject> {
    Ok(NewObject {
        size,
        etag: "0123456789abcdef0123456789abcdef".to_owned(),
        headers: ContentHeaders { content_type: Some("image/jpeg".to_owned()), ..ContentHeaders::default() },
        metadata: Vec::new(),
        checksums: Vec::new(),
        tags: Vec::new(),
        classification: Classification::default(),
        wrapped_key: vec![7; 105].into(),
        suite: SuiteId::ChaCha20Poly1305,
        packs: vec![PackId::parse("cn-data-export")?],
        protection: Default::default(),
    })
}
