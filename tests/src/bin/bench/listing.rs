//! A page of a listing, by the number of keys in the bucket: what it costs must not depend on that.
//!
//! The keys are not put one by one: one object is, and the rows that it left in the store are written again under every other
//! key, in the store's own transactions.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use domicile::catalog::{
    Bucket, BucketId, Catalog, CatalogConfig, ContentHeaders, Extent, ExtentId, ExtentPage, JudgingEpoch, ListQuery,
    ListStart, NewBody, NewBucket, NewObject, Preconditions, PutCommit, ShardAt, Stamp,
};
use domicile::clock::Clock;
use domicile::state::{
    IfLost, KeyRange, KeyedRow, Order, Owner, Read as _, RocksConfig, RocksStore, StoreError, transact, view,
};
use domicile_types::{
    BucketName, Classification, CodeProfile, DataId, NodeId, ObjectKey, PackId, RegionName, RequestId, ShardCid,
    SuiteId, TenantId, UploadId,
};
use tokio::runtime::Runtime;

use crate::Effort;
use crate::disk;
use crate::process::own_cpu_seconds;
use crate::report::{Cell, Table};
use crate::stopwatch::{float, now, percentile};

/// As long as every other key, and none of them.
const SEED: &str = "data/shard-zzzzzz/0000.jpg";
const KEYS_PER_GROUP: u64 = 1000;
/// Keys in the bucket when it is listed first.
const FEW_KEYS: u64 = 20_000;
/// Rows of one transaction: below the store's own limit.
const ROWS_AT_ONCE: usize = 900;
const PAGES: u64 = 200;
const NOTES: [&str; 2] = [
    "The catalog on RocksDB in this process: what a gateway does for ListObjectsV2 below S3's XML, decision and log. Pages of 1,000 \
     entries that begin at places all over the bucket; with a delimiter each entry is a folder of 1,000 keys.",
    "CPU: of this process, RocksDB's threads included. Load: keys a second while they are written, syncs included.",
];

/// Fills a bucket in `folder`, and lists it when it has few keys and when it has all.
pub(crate) fn run(folder: &Path, effort: Effort) -> Result<Table> {
    disk::empty(folder)?;
    disk::must_hold(folder, effort.listing_keys.saturating_mul(600))?;
    let clock = Clock;
    let store = Arc::new(RocksStore::open(&RocksConfig::new(folder), Arc::new(move || clock.now()))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let config =
        CatalogConfig { token_key: clock.random(), process: Owner(clock.random()), sweep_grace_millis: 3_600_000 };
    let catalog = Catalog::new(Arc::<RocksStore>::clone(&store), config);
    let bucket = runtime.block_on(catalog.create_bucket(stamp(clock), new_bucket(clock)?))?;
    runtime.block_on(put(&catalog, &bucket, clock))?;
    let rows = seed_rows(&store)?;

    let mut table = Table::new("listing", "Listing pages", &NOTES);
    let mut loaded = 0;
    for keys in [FEW_KEYS, effort.listing_keys] {
        eprintln!("bench: listing, {keys} keys");
        let (start, cpu) = (now(), own_cpu_seconds()?);
        load(&store, &rows, loaded..keys)?;
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), own_cpu_seconds()? - cpu);
        let added = float(keys - loaded);
        loaded = keys;
        for (what, delimiter) in [("keys", None), ("folders", Some("/"))] {
            let mut row = pages(&runtime, &catalog, &bucket, keys, delimiter)?;
            row.splice(0..0, [("what", Cell::text(format!("a page of {what}, of {keys} keys")))]);
            row.extend([
                ("load keys/s", Cell::Number(added / seconds, 0)),
                ("load CPU \u{b5}s/key", Cell::Number(cpu * 1e6 / added, 1)),
                ("disk bytes/key", Cell::Number(float(bytes_below(folder)?) / float(keys), 0)),
            ]);
            table.row(row);
        }
    }
    drop((catalog, store));
    disk::remove(folder)?;
    Ok(table)
}

/// Lists pages that begin all over the bucket; each must begin where it should.
fn pages(
    runtime: &Runtime,
    catalog: &Catalog,
    bucket: &Bucket,
    keys: u64,
    delimiter: Option<&str>,
) -> Result<Vec<(&'static str, Cell)>> {
    let groups = keys / KEYS_PER_GROUP;
    let mut millis = Vec::new();
    let (mut entries, cpu) = (0, own_cpu_seconds()?);
    for number in 0..PAGES {
        // Far enough from the end for a whole page, where there are so many.
        let room = if delimiter.is_some() { 1000 } else { 2 };
        let group = (number * 7919) % groups.saturating_sub(room).max(1);
        let after = key(group * KEYS_PER_GROUP);
        let query = ListQuery {
            prefix: "data/".to_owned(),
            delimiter: delimiter.map(str::to_owned),
            start: ListStart::After(after.clone()),
            max_keys: 1000,
        };
        let start = now();
        let page = runtime.block_on(catalog.list_objects(bucket, query))?;
        millis.push(start.elapsed().as_secs_f64() * 1000.0);
        entries += page.objects.len() + page.common_prefixes.len();
        let first = page.objects.first().map(|object| object.key.as_str());
        // The group that the marker is in is shown again: its name sorts before the marker.
        let first = first.or(page.common_prefixes.first().map(String::as_str));
        ensure!(first.is_some_and(|first| *first > *"data/"), "the page after {after} begins with {first:?}");
    }
    let cpu = own_cpu_seconds()? - cpu;
    millis.sort_unstable_by(f64::total_cmp);
    Ok(vec![
        ("entries", Cell::Number(float(u64::try_from(entries)?) / float(PAGES), 0)),
        ("p50 ms", Cell::Number(percentile(&millis, 0.5), 2)),
        ("p99 ms", Cell::Number(percentile(&millis, 0.99), 2)),
        ("CPU ms/page", Cell::Number(cpu * 1000.0 / float(PAGES), 2)),
    ])
}

/// The key of that number: sorted as numbers are.
fn key(number: u64) -> String {
    format!("data/shard-{:06}/{:04}.jpg", number / KEYS_PER_GROUP, number % KEYS_PER_GROUP)
}

/// Writes the seed's rows under other keys.
fn load(store: &RocksStore, rows: &[KeyedRow], numbers: std::ops::Range<u64>) -> Result<()> {
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let batch: Vec<String> = numbers.by_ref().take(ROWS_AT_ONCE / rows.len()).map(key).collect();
        transact(store, IfLost::Report, |tx| {
            for key in &batch {
                for row in rows {
                    tx.put(renamed(&row.key, key), row.row.value.clone())?;
                }
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}

fn position(key: &[u8]) -> Option<usize> {
    key.windows(SEED.len()).position(|window| window == SEED.as_bytes())
}

fn renamed(row_key: &[u8], key: &str) -> Vec<u8> {
    let mut renamed = row_key.to_vec();
    if let Some(at) = position(row_key) {
        renamed.splice(at..at + SEED.len(), key.bytes());
    }
    renamed
}

/// The rows that name the seed in their key.
fn seed_rows(store: &RocksStore) -> Result<Vec<KeyedRow>> {
    let all = view(store, |view| view.scan(&KeyRange::prefix(b""), 1000, Order::Ascending))?;
    let rows: Vec<KeyedRow> = all.into_iter().filter(|row| position(&row.key).is_some()).collect();
    ensure!((1..10).contains(&rows.len()), "an object has left {} rows", rows.len());
    Ok(rows)
}

async fn put(catalog: &Catalog, bucket: &Bucket, clock: Clock) -> Result<()> {
    let key = ObjectKey::parse(SEED)?;
    let extent = ExtentId::from_bytes(clock.random());
    let node = |n| NodeId::from_public_key([n; 32]);
    let shards = (0..6).map(|n| ShardAt { cid: ShardCid::of(&[n]), node: node(n) }).collect();
    let page = ExtentPage { sealed: vec![7; 350].into(), segments: vec![shards], strays: Vec::new() };
    let body = NewBody {
        extent,
        data: DataId::from_bytes(clock.random()),
        upload: UploadId::from_bytes(clock.random()),
        pages: vec![(0, page)],
    };
    let none = Preconditions::default();
    let pending = catalog.begin_put(stamp(clock), bucket, &key, body, &none).await?;
    let bytes = 100 << 10;
    let profile = CodeProfile::RS_4_2;
    let extent = Extent { id: extent, bytes, segment_bytes: 4 << 20, segments_per_page: 200, profile };
    let object = NewObject {
        size: bytes,
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
    };
    let commit = PutCommit { object, extent, pages: Vec::new(), conditions: none, judged: JudgingEpoch::default() };
    catalog.commit_put(stamp(clock), &pending, commit).await?;
    Ok(())
}

fn stamp(clock: Clock) -> Stamp {
    Stamp { now: clock.now(), request: RequestId::from_bytes(clock.random()) }
}

fn new_bucket(clock: Clock) -> Result<NewBucket> {
    Ok(NewBucket {
        id: BucketId::from_bytes(clock.random()),
        name: BucketName::parse("listed")?,
        owner: TenantId::parse("lister")?,
        region: RegionName::parse("cn")?,
        packs: vec![PackId::parse("cn-data-export")?],
        tags: Vec::new(),
        classification: Classification::default(),
        wrapped_key: Bytes::new(),
        object_lock: false,
    })
}

/// Bytes of the files below a folder.
fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        bytes += if entry.path().is_dir() { bytes_below(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
