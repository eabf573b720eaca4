//! Measurements, run by hand: `cargo test --release -p domicile --lib -- --ignored --nocapture measure_`.

use std::time::Instant;

use super::*;
use crate::state::{RocksConfig, RocksStore, encode};

fn rocks(dir: &std::path::Path) -> (Arc<RocksStore>, TestClock) {
    let clock = TestClock::default();
    (Arc::new(RocksStore::open(&RocksConfig::new(dir), clock.store_clock()).unwrap()), clock)
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure_small_puts_per_second() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let (store, clock) = rocks(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = Arc::new(runtime.block_on(World::on(Arc::clone(&store) as Arc<dyn Store>, clock)));
    for writers in [1_usize, 16, 64] {
        let each = if writers == 1 { 1_000 } else { 20_000 / writers };
        let before = store.commits_and_batches();
        let start = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let world = Arc::clone(&world);
                runtime.spawn(async move {
                    for n in 0..each {
                        world.put(&format!("images/{writers}/{writer}/{n}.jpg"), "e").await.unwrap();
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
        let seconds = start.elapsed().as_secs_f64();
        let after = store.commits_and_batches();
        let puts = writers * each;
        println!(
            "{writers:3} writers: {:7.0} puts/s (two commits each), {:.2} syncs per put",
            f64::from(u32::try_from(puts).unwrap()) / seconds,
            f64::from(u32::try_from(after.1 - before.1).unwrap()) / f64::from(u32::try_from(puts).unwrap()),
        );
    }
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure_listing_pages_by_bucket_size() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let (store, clock) = rocks(dir.path());
    run(async {
        let world = World::on(Arc::clone(&store) as Arc<dyn Store>, clock).await;
        let mut written = 0_u32;
        for target in [10_000_u32, 100_000, 1_000_000] {
            while written < target {
                load(&*store, &world, written);
                written += 500;
            }
            let middle = ListStart::After(format!("shard-{:04}/{:08}", target / 2_000, target / 2));
            for (what, delimiter, start) in [
                ("1,000 keys, from the first", None, ListStart::Beginning),
                ("1,000 keys, from the middle", None, middle),
                ("1,000 groups of 1,000 keys or fewer", Some("/".to_owned()), ListStart::Beginning),
            ] {
                let query = ListQuery { delimiter, start, ..listings::all() };
                world.catalog.list_objects(&world.bucket, query.clone()).await.unwrap();
                let start = Instant::now();
                let page = world.catalog.list_objects(&world.bucket, query).await.unwrap();
                let shown = page.objects.len() + page.common_prefixes.len();
                println!("{target:8} objects, {what}: {shown} entries in {:?}", start.elapsed());
            }
        }
    });
}

/// Writes 500 heads directly.
fn load(store: &dyn Store, world: &World, first: u32) {
    transact(store, IfLost::Report, |tx| {
        for n in first..first + 500 {
            let (data, upload) = (DataId::from_bytes(world.id()), UploadId::from_bytes(world.id()));
            let body = Body::Whole(extent(ExtentId::from_bytes(world.id()), 10));
            let object = new_object(10, "0123456789abcdef0123456789abcdef");
            let head = ObjectHead { object, last_modified: UnixMillis(1), data, upload, body };
            let at = key(&format!("shard-{:04}/{n:08}", n / 1_000));
            tx.put(keys::object(world.bucket.id, &at), encode(&head)?)?;
        }
        Ok::<(), crate::state::StoreError>(())
    })
    .unwrap();
}
