//! Buckets and plain objects.

use domicile_chunker::{SEALED_VALUE_BYTES_MAX, segment_bytes_max};

use super::*;
use crate::state::StoreError;
use crate::state::fault::{Fault, FaultyStore};

#[test]
fn bucket_names_are_global_and_listed_per_tenant() {
    run(async {
        let world = World::new().await;
        let create = |name, owner, id| world.catalog.create_bucket(world.stamp(), new_bucket(name, owner, id));
        assert!(matches!(create("training", "lab-a", 2).await, Err(CatalogError::BucketAlreadyOwnedByYou { .. })));
        assert!(matches!(create("training", "lab-b", 3).await, Err(CatalogError::BucketAlreadyExists { .. })));
        create("archive", "lab-a", 4).await.unwrap();
        create("test-set", "lab-a", 5).await.unwrap();
        create("other", "lab-b", 6).await.unwrap();
        let tenant = TenantId::parse("lab-a").unwrap();
        let names = |page: BucketPage| page.buckets.iter().map(|b| b.name.to_string()).collect::<Vec<_>>();
        let page = world.catalog.list_buckets(&tenant, "", None, 2).await.unwrap();
        assert!(page.truncated);
        assert_eq!(names(page), ["archive", "test-set"]);
        let page = world.catalog.list_buckets(&tenant, "t", Some("test-set"), 2).await.unwrap();
        assert!(!page.truncated);
        assert_eq!(names(page), ["training"]);
        assert!(world.catalog.bucket(&bucket_name("absent")).await.is_err());
    });
}

#[test]
fn a_head_comes_back_as_it_was_put() {
    run(async {
        let world = World::new().await;
        let pending = world.begin("a/b").await.unwrap();
        let commit = put_commit(&pending, 9 << 20, "e1", Preconditions::default());
        let (object, shape, recorded) = (commit.object.clone(), commit.extent.clone(), commit.pages.clone());
        let stamp = world.stamp();
        let outcome = world.catalog.commit_put(stamp, &pending, commit).await.unwrap();
        assert_eq!(outcome, PutOutcome { last_modified: stamp.now, version: None, replaced: None });
        let head = world.catalog.get_object(&world.bucket, &key("a/b")).await.unwrap();
        assert_eq!((head.object.clone(), head.data, head.upload), (object, pending.data(), pending.upload()));
        // Three segments of 4 MiB, two to a page: the last byte is in page 1.
        let spans = world.catalog.spans(&head, (9 << 20) - 1..u64::MAX).await.unwrap();
        assert_eq!(spans, [Span { part: 0, extent: shape, range: (9 << 20) - 1..9 << 20 }]);
        assert_eq!(spans[0].pages(), 1..2);
        let pages = world.catalog.extent_pages(&spans[0].extent, 0..2).await.unwrap();
        assert_eq!(pages, recorded.into_iter().map(|(_, page)| page).collect::<Vec<_>>());
        assert!(world.catalog.extent_pages(&spans[0].extent, 0..3).await.is_err());
        assert!(world.catalog.spans(&head, 9 << 20..u64::MAX).await.unwrap().is_empty());
    });
}

#[test]
fn an_empty_object_has_no_pages() {
    let empty = extent(ExtentId::from_bytes([1; 16]), 0);
    assert_eq!((empty.segments(), empty.pages(), empty.pages_of(&(0..10))), (0, 0, 0..0));
    let full = extent(ExtentId::from_bytes([1; 16]), 16 << 20);
    assert_eq!((full.segments(), full.pages(), full.pages_of(&(8 << 20..(8 << 20) + 1))), (4, 2, 1..2));
    assert_eq!(full.pages_of(&(0..8 << 20)), 0..1);
}

#[test]
fn the_fullest_page_of_every_profile_is_stored_and_read_and_swept() {
    run(async {
        for profile in CodeProfile::CODED.into_iter().chain([CodeProfile::RS_4_2.whole_copies()]) {
            let world = World::new().await;
            // No two shards on the same node, and a retry of many.
            let mut nodes = 0_u64..;
            let mut shard = || {
                let mut node = [0; 32];
                node[..8].copy_from_slice(&nodes.next().unwrap().to_be_bytes());
                ShardAt { cid: ShardCid::of(&node), node: NodeId::from_public_key(node) }
            };
            // As the chunker's manifest: 30 KiB of records, 72 bytes and 32 per shard's name each.
            let names = if profile.k() == 1 { 1 } else { profile.n() };
            let per_page = u16::try_from(30 * 1024 / (72 + 32 * names)).unwrap();
            let segments = (0..per_page).map(|_| (0..profile.n()).map(|_| shard()).collect()).collect();
            let strays = (0..80).map(|_| shard()).collect();
            let page = ExtentPage { sealed: vec![7; SEALED_VALUE_BYTES_MAX + 100].into(), segments, strays };
            let mut expected: Vec<ShardAt> = page.shards().collect();
            expected.sort_unstable();
            let pending = world.begin("k").await.unwrap();
            let segment_bytes = u32::try_from(segment_bytes_max(profile)).unwrap();
            let bytes = u64::from(segment_bytes) * u64::from(per_page);
            let shape = Extent { id: pending.extent(), bytes, segment_bytes, segments_per_page: per_page, profile };
            world.catalog.record_pages(&pending, vec![(0, page.clone())]).await.unwrap();
            let (object, conditions) = (new_object(bytes, "e"), Preconditions::default());
            let commit = PutCommit {
                object,
                extent: shape.clone(),
                pages: Vec::new(),
                conditions,
                judged: JudgingEpoch::default(),
            };
            world.catalog.commit_put(world.stamp(), &pending, commit).await.unwrap();
            assert_eq!(world.catalog.extent_pages(&shape, 0..1).await.unwrap(), [page], "{profile}");
            world.delete("k").await.unwrap();
            world.clock.advance(GRACE_MILLIS);
            assert_eq!(world.sweep(&[1]).await, expected);
            assert_eq!([b'e', b's', b'g'].map(|table| world.rows(table).len()), [0; 3]);
        }
    });
}

#[test]
fn an_overwrite_returns_what_it_replaced() {
    run(async {
        let world = World::new().await;
        world.put("k", "e1").await.unwrap();
        let first = world.catalog.get_object(&world.bucket, &key("k")).await.unwrap();
        let replaced = world.put("k", "e2").await.unwrap().replaced.unwrap();
        assert_eq!((replaced.data, replaced.size, replaced.etag.as_str()), (first.data, 10, "e1"));
        let removed = world.delete("k").await.unwrap().removed.unwrap();
        assert_eq!(removed.etag, "e2");
        assert_eq!(world.delete("k").await.unwrap().removed, None);
        assert_eq!(world.etag("k").await, None);
    });
}

#[test]
fn conditions_are_judged_when_the_put_commits() {
    run(async {
        let world = World::new().await;
        let any = || Some(EtagMatch::Any);
        let one = |etag: &str| Some(EtagMatch::OneOf(vec!["other".to_owned(), etag.to_owned()]));
        let none = Preconditions::default;
        let create = || Preconditions { if_none_match: any(), ..none() };
        let update = |etag| Preconditions { if_match: one(etag), ..none() };
        assert!(matches!(world.put_if("k", "e1", update("e0")).await, Err(CatalogError::NoSuchKey)));
        world.put_if("k", "e1", create()).await.unwrap();
        assert!(matches!(world.put_if("k", "e2", create()).await, Err(CatalogError::PreconditionFailed)));
        assert!(matches!(world.put_if("k", "e2", update("e0")).await, Err(CatalogError::PreconditionFailed)));
        world.put_if("k", "e2", update("e1")).await.unwrap();
        let unlike = Preconditions { if_none_match: one("e2"), ..none() };
        assert!(matches!(world.put_if("k", "e3", unlike).await, Err(CatalogError::PreconditionFailed)));
        let delete = |conditions: Preconditions| {
            let world = &world;
            async move { world.catalog.delete_object(world.stamp(), &world.bucket, &key("k"), &conditions).await }
        };
        let sized = |size| Preconditions { if_size: Some(size), ..none() };
        assert!(matches!(delete(sized(11)).await, Err(CatalogError::PreconditionFailed)));
        assert!(matches!(delete(update("e1")).await, Err(CatalogError::PreconditionFailed)));
        assert!(delete(sized(10)).await.unwrap().removed.is_some());
        assert_eq!(delete(update("e2")).await.unwrap(), Deleted::default(), "nothing to hold it against");
    });
}

#[test]
fn of_two_creations_at_once_one_wins() {
    run(async {
        let world = World::new().await;
        let (one, two) = (world.begin("k").await.unwrap(), world.begin("k").await.unwrap());
        let create = Preconditions { if_none_match: Some(EtagMatch::Any), ..Preconditions::default() };
        let commit = |pending: &Pending, etag: &str| put_commit(pending, 10, etag, create.clone());
        world.catalog.commit_put(world.stamp(), &two, commit(&two, "two")).await.unwrap();
        let late = world.catalog.commit_put(world.stamp(), &one, commit(&one, "one")).await;
        assert!(matches!(late, Err(CatalogError::PreconditionFailed)));
        assert_eq!(world.etag("k").await.as_deref(), Some("two"));
    });
}

#[test]
fn a_put_decided_under_rules_that_changed_is_refused() {
    run(async {
        let world = World::new().await;
        let pending = world.begin("k").await.unwrap();
        let health = Classification::from_tags([("domicile:class", "health")]).unwrap();
        let changed = world.catalog.set_bucket_tags(world.stamp(), &world.bucket, Vec::new(), health).await.unwrap();
        assert_eq!(changed.policy_version, 2);
        let commit = put_commit(&pending, 10, "e1", Preconditions::default());
        let outcome = world.catalog.commit_put(world.stamp(), &pending, commit).await;
        assert!(matches!(outcome, Err(CatalogError::PolicyChanged { .. })));
        assert!(matches!(world.begin("k").await, Err(CatalogError::PolicyChanged { .. })));
    });
}

#[test]
fn a_deleted_bucket_does_not_come_back_with_its_name() {
    run(async {
        let world = World::new().await;
        world.put("k", "e1").await.unwrap();
        let refused = world.catalog.delete_bucket(world.stamp(), &world.bucket).await;
        assert!(matches!(refused, Err(CatalogError::BucketNotEmpty { .. })));
        let pending = world.begin("late").await.unwrap();
        world.delete("k").await.unwrap();
        world.catalog.delete_bucket(world.stamp(), &world.bucket).await.unwrap();
        world.catalog.create_bucket(world.stamp(), new_bucket("training", "lab-b", 9)).await.unwrap();
        let commit = put_commit(&pending, 10, "e1", Preconditions::default());
        let outcome = world.catalog.commit_put(world.stamp(), &pending, commit).await;
        assert!(matches!(outcome, Err(CatalogError::NoSuchBucket { .. })));
        assert!(matches!(world.put("k", "e1").await, Err(CatalogError::NoSuchBucket { .. })));
    });
}

#[test]
fn an_abandoned_put_cannot_be_committed() {
    run(async {
        let world = World::new().await;
        let pending = world.begin("k").await.unwrap();
        world.catalog.abandon(world.stamp(), &pending).await.unwrap();
        world.catalog.abandon(world.stamp(), &pending).await.unwrap();
        let commit = put_commit(&pending, 10, "e1", Preconditions::default());
        let recorded = world.catalog.record_pages(&pending, commit.pages.clone()).await;
        assert!(matches!(recorded, Err(CatalogError::NotPending)));
        let outcome = world.catalog.commit_put(world.stamp(), &pending, commit).await;
        assert!(matches!(outcome, Err(CatalogError::NotPending)));
    });
}

#[test]
fn many_deletions_answer_in_order_each_for_itself() {
    run(async {
        let world = World::new().await;
        for n in 0..300 {
            world.put(&format!("k{n:03}"), "e1").await.unwrap();
        }
        let mut batch: Vec<_> = (0..301).map(|n| Deletion::of(key(&format!("k{n:03}")))).collect();
        batch[7].conditions.if_match = Some(EtagMatch::OneOf(vec!["e0".to_owned()]));
        let outcomes = world.catalog.delete_objects(world.stamp(), &world.bucket, batch).await.unwrap();
        assert!(matches!(outcomes[7], Err(CatalogError::PreconditionFailed)));
        assert!(matches!(&outcomes[300], Ok(Deleted { removed: None, .. })));
        assert_eq!(outcomes.iter().filter(|o| matches!(o, Ok(Deleted { removed: Some(_), .. }))).count(), 299);
        let left = world.catalog.list_objects(&world.bucket, listings::all()).await.unwrap();
        assert_eq!(left.objects.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["k007"]);
    });
}

#[test]
fn tags_and_wrapped_keys_can_be_replaced() {
    run(async {
        let world = World::new().await;
        world.put("k", "e1").await.unwrap();
        let tags = vec![("domicile:class".to_owned(), "public".to_owned())];
        let public = Classification::from_tags([("domicile:class", "public")]).unwrap();
        let (bucket, at) = (&world.bucket, key("k"));
        world.catalog.set_object_tags(world.stamp(), bucket, &at, None, tags.clone(), public.clone()).await.unwrap();
        let (old, new) = (Bytes::from_static(b"wrapped data key"), Bytes::from_static(b"wrapped anew"));
        let wrapped = || (old.clone(), new.clone());
        world.catalog.rewrap_object(world.stamp(), bucket, &at, None, wrapped()).await.unwrap();
        assert!(world.catalog.rewrap_object(world.stamp(), bucket, &at, None, wrapped()).await.is_err());
        let head = world.catalog.get_object(bucket, &at).await.unwrap();
        let object = NewObject { tags, classification: public, wrapped_key: new, ..new_object(10, "e1") };
        assert_eq!(head.object, object);
    });
}

#[test]
fn a_put_whose_commit_was_lost_is_made_once_and_not_refused_for_itself() {
    run(async {
        let (clock, faults) = (TestClock::default(), [Fault::None, Fault::None, Fault::LoseAnswer]);
        let store = FaultyStore::new(MemoryStore::new(clock.store_clock()), faults);
        let world = World::on(Arc::new(store), clock).await;
        let create = Preconditions { if_none_match: Some(EtagMatch::Any), ..Preconditions::default() };
        // Without its idempotency row the second attempt would find the first one's object, and refuse.
        let outcome = world.put_if("k", "e1", create).await.unwrap();
        assert_eq!(outcome.replaced, None);
        assert_eq!(world.etag("k").await.as_deref(), Some("e1"));
    });
}

#[test]
fn heads_and_pages_that_are_too_large_are_refused() {
    run(async {
        let world = World::new().await;
        let pending = world.begin("k").await.unwrap();
        let mut commit = put_commit(&pending, 10, "e1", Preconditions::default());
        commit.object.metadata = vec![("note".to_owned(), "x".repeat(40_000))];
        let outcome = world.catalog.commit_put(world.stamp(), &pending, commit).await;
        assert!(matches!(outcome, Err(CatalogError::TooLarge { maximum: 32_768, .. })));
        let page = ExtentPage { sealed: vec![0; 70_000].into(), ..ExtentPage::default() };
        let outcome = world.catalog.record_pages(&pending, vec![(0, page)]).await;
        assert!(matches!(outcome, Err(CatalogError::TooLarge { maximum: 65_536, .. })));
        let strays = all_shards(&extent(pending.extent(), 2_000 << 20));
        let outcome =
            world.catalog.record_pages(&pending, vec![(0, ExtentPage { strays, ..ExtentPage::default() })]).await;
        assert!(matches!(outcome, Err(CatalogError::TooLarge { maximum: 65_536, .. })));
        let commit = put_commit(&pending, 11, "e", Preconditions::default());
        world.catalog.commit_put(world.stamp(), &pending, commit).await.unwrap();
    });
}

#[test]
fn a_store_error_reaches_the_caller() {
    run(async {
        let (clock, faults) = (TestClock::default(), [Fault::None, Fault::LoseCommit]);
        let store = FaultyStore::new(MemoryStore::new(clock.store_clock()), faults);
        let world = World::on(Arc::new(store), clock).await;
        let outcome = world.catalog.delete_bucket(world.stamp(), &world.bucket).await;
        assert!(matches!(outcome, Err(CatalogError::Store(StoreError::CommitUnknown { .. }))));
    });
}
