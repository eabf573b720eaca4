//! Multipart uploads.

use super::*;

const MIB: u64 = 1 << 20;

impl World {
    pub(super) fn new_upload(&self) -> NewUpload {
        let object = new_object(0, "");
        NewUpload {
            upload: UploadId::from_bytes(self.id()),
            data: DataId::from_bytes(self.id()),
            wrapped_key: object.wrapped_key,
            headers: object.headers,
            metadata: object.metadata,
            tags: object.tags,
            classification: object.classification,
            checksum: Some((ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject)),
            suite: object.suite,
            packs: object.packs,
            protection: object.protection,
        }
    }

    pub(super) async fn create_upload(&self, at: &str) -> Upload {
        self.catalog.create_upload(self.stamp(), &self.bucket, &key(at), self.new_upload()).await.unwrap()
    }

    pub(super) async fn part(&self, at: &str, upload: &Upload, number: u16, size: u64) -> Result<Part, CatalogError> {
        let body = self.body(upload.new.data, upload.new.upload);
        let pending = self.catalog.begin_part(self.stamp(), &self.bucket, &key(at), number, body).await?;
        let extent = extent(pending.extent(), size);
        let etag = format!("etag-{number}-{size}");
        let commit =
            PartCommit { pages: pages(&extent), extent, etag, checksums: Vec::new(), judged: JudgingEpoch::default() };
        self.catalog.commit_part(self.stamp(), &pending, commit).await
    }

    pub(super) async fn plan(
        &self,
        at: &str,
        upload: &Upload,
        requested: &[(u16, &str)],
    ) -> Result<PlannedCompletion, CatalogError> {
        let requested = requested.iter().map(|(number, etag)| RequestedPart {
            number: *number,
            etag: Some((*etag).to_owned()),
            checksums: Vec::new(),
        });
        self.catalog.plan_completion(&self.bucket, &key(at), upload.new.upload, requested.collect()).await
    }

    pub(super) async fn complete(&self, plan: PlannedCompletion) -> Result<(ObjectHead, PutOutcome), CatalogError> {
        let PlannedCompletion::Ready(plan) = plan else { panic!("completed before") };
        let root = vec![Bytes::from_static(b"root 0"), Bytes::from_static(b"root 1")];
        let completion = NewCompletion {
            etag: "whole-2".to_owned(),
            checksums: Vec::new(),
            root,
            conditions: Preconditions::default(),
            judged: JudgingEpoch::default(),
        };
        self.catalog.complete_upload(self.stamp(), &self.bucket, *plan, completion).await
    }
}

#[test]
fn parts_in_any_order_become_one_object() {
    run(async {
        let world = World::new().await;
        world.put("k", "before").await.unwrap();
        let upload = world.create_upload("k").await;
        let second = world.part("k", &upload, 7, 3).await.unwrap();
        let first = world.part("k", &upload, 2, 9 * MIB).await.unwrap();
        assert_eq!(world.etag("k").await.as_deref(), Some("before"));
        let plan = world.plan("k", &upload, &[(2, "etag-2-9437184"), (7, "etag-7-3")]).await.unwrap();
        let (head, outcome) = world.complete(plan).await.unwrap();
        assert_eq!(outcome.replaced.unwrap().etag, "before");
        assert_eq!(head, world.catalog.get_object(&world.bucket, &key("k")).await.unwrap());
        assert_eq!((head.object.size, head.object.etag.as_str(), head.data), (9 * MIB + 3, "whole-2", upload.new.data));
        let spans = world.catalog.spans(&head, 9 * MIB - 1..9 * MIB + 2).await.unwrap();
        let tail = Span { part: 2, extent: first.extent.clone(), range: 9 * MIB - 1..9 * MIB };
        assert_eq!(spans, [tail, Span { part: 7, extent: second.extent.clone(), range: 0..2 }]);
        let parts = world.catalog.object_parts(&head, 0, 10).await.unwrap();
        assert_eq!(parts, (vec![first.clone(), second.clone()], false));
        assert_eq!(world.catalog.object_parts(&head, 0, 1).await.unwrap(), (vec![first], true));
        assert_eq!(world.catalog.object_parts(&head, 2, 1).await.unwrap(), (vec![second], false));
        let root = world.catalog.manifest_root(&head).await.unwrap();
        assert_eq!(root, [Bytes::from_static(b"root 0"), Bytes::from_static(b"root 1")]);
        assert!(matches!(world.part("k", &upload, 1, 3).await, Err(CatalogError::NoSuchUpload)));
    });
}

#[test]
fn a_completion_that_is_repeated_finds_its_object() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("k").await;
        world.part("k", &upload, 1, 3).await.unwrap();
        let plan = world.plan("k", &upload, &[(1, "etag-1-3")]).await.unwrap();
        let (head, _) = world.complete(plan).await.unwrap();
        let again = world.plan("k", &upload, &[(1, "etag-1-3")]).await.unwrap();
        let PlannedCompletion::Completed(first) = &again else { panic!("{again:?}") };
        assert_eq!((&first.etag, first.size, first.parts), (&head.object.etag, 3, 1));
        world.put("k", "later").await.unwrap();
        assert_eq!(world.plan("k", &upload, &[(1, "etag-1-3")]).await.unwrap(), again);
        world.delete("k").await.unwrap();
        assert_eq!(world.plan("k", &upload, &[(1, "etag-1-3")]).await.unwrap(), again);
        let elsewhere = world.plan("j", &upload, &[(1, "etag-1-3")]).await;
        assert!(matches!(elsewhere, Err(CatalogError::NoSuchUpload)));
        world.clock.advance(complete::COMPLETION_KEPT_MILLIS);
        world.sweep(&[1]).await;
        let outcome = world.plan("k", &upload, &[(1, "etag-1-3")]).await;
        assert!(matches!(outcome, Err(CatalogError::NoSuchUpload)));
        assert!(world.rows(b'f').is_empty() && world.rows(b'g').is_empty());
    });
}

#[test]
fn a_completion_names_stored_parts_in_order_each_large_enough() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("k").await;
        world.part("k", &upload, 1, 5 * MIB).await.unwrap();
        world.part("k", &upload, 2, 5 * MIB - 1).await.unwrap();
        world.part("k", &upload, 3, 1).await.unwrap();
        let (one, two, three) = ((1, "etag-1-5242880"), (2, "etag-2-5242879"), (3, "etag-3-1"));
        let plan = |parts: Vec<(u16, &'static str)>| {
            let (world, upload) = (&world, &upload);
            async move { world.plan("k", upload, &parts).await }
        };
        assert!(matches!(plan(vec![]).await, Err(CatalogError::NoParts)));
        assert!(matches!(plan(vec![two, one]).await, Err(CatalogError::InvalidPartOrder { number: 1 })));
        // A part sent twice and named twice: the last one counts.
        assert!(
            matches!(plan(vec![(1, "stale"), one]).await, Ok(PlannedCompletion::Ready(plan)) if plan.parts.len() == 1)
        );
        assert!(matches!(plan(vec![one, (1, "stale")]).await, Err(CatalogError::InvalidPart { number: 1 })));
        assert!(matches!(plan(vec![one, (4, "x")]).await, Err(CatalogError::InvalidPart { number: 4 })));
        assert!(matches!(plan(vec![(0, "x")]).await, Err(CatalogError::InvalidPart { number: 0 })));
        assert!(matches!(plan(vec![(1, "other")]).await, Err(CatalogError::InvalidPart { number: 1 })));
        assert!(matches!(plan(vec![one, two, three]).await, Err(CatalogError::EntityTooSmall { number: 2, .. })));
        assert!(matches!(plan(vec![one, two]).await, Ok(PlannedCompletion::Ready(_))));
        assert!(matches!(plan(vec![one, three]).await, Ok(PlannedCompletion::Ready(_))));
        let other_key = world.plan("j", &upload, &[one]).await;
        assert!(matches!(other_key, Err(CatalogError::NoSuchUpload)));
    });
}

#[test]
fn a_part_replaced_after_the_plan_stops_the_completion() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("k").await;
        world.part("k", &upload, 1, 3).await.unwrap();
        let plan = world.plan("k", &upload, &[(1, "etag-1-3")]).await.unwrap();
        world.part("k", &upload, 1, 3).await.unwrap();
        assert!(matches!(world.complete(plan).await, Err(CatalogError::InvalidPart { number: 1 })));
        assert_eq!(world.etag("k").await, None);
    });
}

#[test]
fn parts_and_uploads_are_listed_by_pages() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("dir/b").await;
        for number in [9, 1, 4] {
            world.part("dir/b", &upload, number, 3).await.unwrap();
        }
        let list = |after, limit| {
            let (world, id) = (&world, upload.new.upload);
            async move { world.catalog.list_parts(&world.bucket, &key("dir/b"), id, after, limit).await.unwrap() }
        };
        let numbers = |page: &PartPageOf| page.parts.iter().map(|part| part.number).collect::<Vec<_>>();
        let page = list(0, 2).await;
        assert_eq!((numbers(&page), page.truncated, &page.upload), (vec![1, 4], true, &upload));
        let page = list(4, 2).await;
        assert_eq!((numbers(&page), page.truncated), (vec![9], false));

        let later = world.create_upload("dir/b").await;
        world.create_upload("a").await;
        world.create_upload("dir/sub/x").await;
        let query = |after: Option<(String, Option<UploadId>)>, max_uploads| ListUploadsQuery {
            prefix: "dir/".to_owned(),
            delimiter: Some("/".to_owned()),
            after,
            max_uploads,
        };
        let list = |query| world.catalog.list_uploads(&world.bucket, query);
        let page = list(query(None, 10)).await.unwrap();
        let both = vec![(key("dir/b"), upload.clone()), (key("dir/b"), later.clone())];
        assert_eq!(
            (&page.uploads, &page.common_prefixes, page.truncated),
            (&both, &vec!["dir/sub/".to_owned()], false)
        );
        let page = list(query(None, 1)).await.unwrap();
        assert_eq!((page.uploads.len(), page.next_upload_marker), (1, Some(upload.new.upload)));
        let page = list(query(Some((page.next_key_marker.unwrap(), page.next_upload_marker)), 1)).await.unwrap();
        assert_eq!((&page.uploads[0].1, page.truncated), (&later, true));
        let page = list(query(Some(("dir/b".to_owned(), None)), 1)).await.unwrap();
        assert_eq!((page.uploads.len(), page.common_prefixes.len(), page.truncated), (0, 1, false));
    });
}

#[test]
fn ten_thousand_parts_complete_in_one_transaction_and_are_read_by_range() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("k").await;
        let mut requested = Vec::new();
        for number in 1..=PART_NUMBER_MAX {
            let part = world.part("k", &upload, number, 5 * MIB).await.unwrap();
            requested.push(RequestedPart { number, etag: Some(part.etag), checksums: Vec::new() });
        }
        let id = upload.new.upload;
        let plan = world.catalog.plan_completion(&world.bucket, &key("k"), id, requested).await.unwrap();
        let (head, _) = world.complete(plan).await.unwrap();
        let Body::Parts(index) = &head.body else { panic!("one extent") };
        assert_eq!((index.parts, index.pages.len()), (10_000, 17));
        let middle = 5 * MIB * 7_000 - 1..5 * MIB * 7_000 + 1;
        let spans = world.catalog.spans(&head, middle).await.unwrap();
        assert_eq!(spans.iter().map(|span| span.part).collect::<Vec<_>>(), [7_000, 7_001]);
        assert_eq!(spans[0].range, 5 * MIB - 1..5 * MIB);
        let all = world.catalog.spans(&head, 0..u64::MAX).await.unwrap();
        assert_eq!(all.len(), 10_000);
        for number in [1, 600, 601, 10_000] {
            let (offset, part) = world.catalog.object_part(&head, number).await.unwrap().unwrap();
            assert_eq!((offset, part.number), (5 * MIB * (u64::from(number) - 1), number));
        }
        assert_eq!(world.catalog.object_part(&head, 0).await.unwrap(), None);
        let (parts, more) = world.catalog.object_parts(&head, 9_998, 10).await.unwrap();
        assert_eq!((parts.iter().map(|part| part.number).collect::<Vec<_>>(), more), (vec![9_999, 10_000], false));
        // The parts' own rows are leftovers of the upload now: sweeping them takes away no shard.
        assert_eq!(world.sweep(&[1]).await, []);
        assert_eq!(world.rows(b'p').len(), 0);
        assert_eq!(world.rows(b'q').len(), 17);
        world.delete("k").await.unwrap();
        world.clock.advance(GRACE_MILLIS + complete::COMPLETION_KEPT_MILLIS);
        assert_eq!(world.sweep(&[1]).await.len(), 10_000 * 2 * 6);
        let left: Vec<usize> = [b'e', b'g', b'q', b'r', b'w', b'u'].map(|table| world.rows(table).len()).into();
        assert_eq!(left, [0; 6]);
    });
}

#[test]
fn deleting_a_bucket_gives_up_its_uploads() {
    run(async {
        let world = World::new().await;
        let mut shards = Vec::new();
        for n in 0..301 {
            let at = format!("k{n}");
            let upload = world.create_upload(&at).await;
            shards.extend(all_shards(&world.part(&at, &upload, 1, 3).await.unwrap().extent));
        }
        world.catalog.delete_bucket(world.stamp(), &world.bucket).await.unwrap();
        world.clock.advance(GRACE_MILLIS);
        let mut swept = world.sweep(&[1]).await;
        swept.sort_unstable();
        shards.sort_unstable();
        assert_eq!(swept, shards);
    });
}
