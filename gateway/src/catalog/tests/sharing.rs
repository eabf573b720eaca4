//! Copies that share a body: it stays as long as any of them does, and not longer.

use std::collections::BTreeSet;

use super::*;

const MIB: u64 = 1 << 20;

impl World {
    /// What a copy of `at` would be decided on now.
    pub(super) async fn source(&self, at: &str) -> ShareSource {
        let head = self.catalog.get_object(&self.bucket, &key(at)).await.unwrap();
        ShareSource { bucket: self.bucket.clone(), key: key(at), head }
    }

    pub(super) async fn share(
        &self,
        source: &ShareSource,
        to: &str,
        etag: &str,
    ) -> Result<Option<PutOutcome>, CatalogError> {
        let wrapped_key = Bytes::from(format!("wrapped for {to}"));
        let object = NewObject { etag: etag.to_owned(), wrapped_key, ..source.head.object.clone() };
        let upload = UploadId::from_bytes(self.id());
        let copy =
            SharingCopy { object, upload, conditions: Preconditions::default(), judged: JudgingEpoch::default() };
        self.catalog.commit_sharing_copy(self.stamp(), &self.bucket, &key(to), source.clone(), copy).await
    }

    async fn extents(&self, at: &str) -> Vec<Extent> {
        let head = self.catalog.get_object(&self.bucket, &key(at)).await.unwrap();
        let spans = self.catalog.spans(&head, 0..u64::MAX).await.unwrap();
        spans.into_iter().map(|span| span.extent).collect()
    }

    async fn swept_after_grace(&self) -> BTreeSet<ShardAt> {
        self.clock.advance(GRACE_MILLIS);
        self.sweep(&[1]).await.into_iter().collect()
    }
}

fn shards_of(extents: &[Extent]) -> BTreeSet<ShardAt> {
    extents.iter().flat_map(all_shards).collect()
}

#[test]
fn a_copy_outlives_its_source_and_the_last_takes_the_bytes_away() {
    run(async {
        let world = World::new().await;
        world.put("first", "e1").await.unwrap();
        let body = world.extents("first").await;
        let source = world.source("first").await;
        for copy in ["second", "third"] {
            world.share(&source, copy, "e1").await.unwrap().unwrap();
            assert_eq!(world.extents(copy).await, body);
        }
        world.delete("first").await.unwrap();
        world.delete("third").await.unwrap();
        assert_eq!(world.swept_after_grace().await, BTreeSet::new());
        let head = world.catalog.get_object(&world.bucket, &key("second")).await.unwrap();
        let sealed_as = head.sealed_as.unwrap();
        assert_eq!((sealed_as.key.as_str(), sealed_as.upload), ("first", source.head.upload));
        assert_eq!(head.object.wrapped_key, Bytes::from_static(b"wrapped for second"));
        world.catalog.extent_pages(&body[0], 0..1).await.unwrap();
        world.delete("second").await.unwrap();
        assert_eq!(world.swept_after_grace().await, shards_of(&body));
        assert_eq!(world.rows(b'd').len(), 0);
    });
}

#[test]
fn a_copy_of_a_copy_is_sealed_as_the_first() {
    run(async {
        let world = World::new().await;
        world.put("first", "e1").await.unwrap();
        let first = world.source("first").await;
        world.share(&first, "second", "e1").await.unwrap().unwrap();
        world.delete("first").await.unwrap();
        let second = world.source("second").await;
        world.share(&second, "third", "e1").await.unwrap().unwrap();
        let third = world.source("third").await;
        assert_eq!(third.head.sealed_as, second.head.sealed_as);
        assert_eq!(third.head.data, first.head.data);
    });
}

#[test]
fn a_copy_of_what_was_replaced_meanwhile_shares_nothing() {
    run(async {
        let world = World::new().await;
        world.put("from", "e1").await.unwrap();
        let source = world.source("from").await;
        world.put("from", "e2").await.unwrap();
        assert_eq!(world.share(&source, "to", "e1").await.unwrap(), None);
        world.delete("from").await.unwrap();
        assert_eq!(world.share(&source, "to", "e1").await.unwrap(), None);
        assert_eq!((world.etag("to").await, world.rows(b'd').len()), (None, 0));
        assert_eq!(world.swept_after_grace().await.len(), 12, "both bodies of one segment");
    });
}

#[test]
fn a_copy_onto_itself_or_onto_another_sharer_keeps_the_bytes() {
    run(async {
        let world = World::new().await;
        world.put("k", "e1").await.unwrap();
        let body = world.extents("k").await;
        let outcome = world.share(&world.source("k").await, "k", "e2").await.unwrap().unwrap();
        assert_eq!(outcome.replaced.unwrap().etag, "e1");
        assert_eq!(world.rows(b'd').len(), 1, "one version names it again");
        world.share(&world.source("k").await, "l", "e3").await.unwrap().unwrap();
        world.share(&world.source("k").await, "l", "e4").await.unwrap().unwrap();
        assert_eq!(world.swept_after_grace().await, BTreeSet::new());
        assert_eq!(world.extents("l").await, body);
        world.put("l", "e5").await.unwrap();
        world.put("k", "e6").await.unwrap();
        assert_eq!(world.swept_after_grace().await, shards_of(&body));
    });
}

#[test]
fn parts_are_shared_and_unfolded_when_the_last_copy_goes() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("whole").await;
        for (number, size) in [(1, 9 * MIB), (2, 77)] {
            world.part("whole", &upload, number, size).await.unwrap();
        }
        let plan = world.plan("whole", &upload, &[(1, "etag-1-9437184"), (2, "etag-2-77")]).await.unwrap();
        world.complete(plan).await.unwrap();
        let body = world.extents("whole").await;
        world.share(&world.source("whole").await, "copy", "whole-2").await.unwrap().unwrap();
        world.delete("whole").await.unwrap();
        assert_eq!(world.swept_after_grace().await, BTreeSet::new());
        assert_eq!(world.extents("copy").await, body);
        let head = world.catalog.get_object(&world.bucket, &key("copy")).await.unwrap();
        assert_eq!(world.catalog.manifest_root(&head).await.unwrap().len(), 2);
        world.delete("copy").await.unwrap();
        assert_eq!(world.swept_after_grace().await, shards_of(&body));
        for table in [b'e', b'q', b'r', b'd'] {
            assert_eq!(world.rows(table).len(), 0, "{}", char::from(table));
        }
    });
}

#[test]
fn a_condition_that_does_not_hold_leaves_no_claim_behind() {
    run(async {
        let world = World::new().await;
        world.put("from", "e1").await.unwrap();
        world.put("to", "e2").await.unwrap();
        let source = world.source("from").await;
        let conditions = Preconditions { if_none_match: Some(EtagMatch::Any), ..Preconditions::default() };
        let copy = SharingCopy {
            object: source.head.object.clone(),
            upload: UploadId::from_bytes(world.id()),
            conditions,
            judged: JudgingEpoch::default(),
        };
        let refused = world.catalog.commit_sharing_copy(world.stamp(), &world.bucket, &key("to"), source, copy).await;
        assert!(matches!(refused, Err(CatalogError::PreconditionFailed)));
        assert_eq!((world.etag("to").await.as_deref(), world.rows(b'd').len()), (Some("e2"), 2));
    });
}
