//! Who holds what, what a repair is told, and what it may change.

use super::*;

impl World {
    async fn first_page(&self, at: &str) -> PageAt {
        let head = self.catalog.get_object(&self.bucket, &key(at)).await.unwrap();
        let spans = self.catalog.spans(&head, 0..1).await.unwrap();
        PageAt { extent: spans[0].extent.id, page: 0 }
    }

    async fn mendable(&self, at: &str) -> Mendable {
        self.catalog.mendable(self.first_page(at).await).await.unwrap().unwrap()
    }

    async fn pages_of(&self, node: u8) -> Vec<PageAt> {
        self.catalog.pages_of_node(&holder(node), None, 100).await.unwrap()
    }
}

fn holder(number: u8) -> NodeId {
    NodeId::from_public_key([number; 32])
}

fn elsewhere(shard: ShardAt, node: u8) -> ShardAt {
    ShardAt { node: holder(node), ..shard }
}

fn moving(found: &Mendable, shard: usize, node: u8) -> Move {
    let from = found.page.segments[0][shard];
    Move { segment: 0, shard, from, to: elsewhere(from, node), cause: ResidueCause::Unlawful }
}

#[test]
fn a_node_is_found_by_what_it_holds_page_by_page() {
    run(async {
        let world = World::new().await;
        let pending = world.begin("big").await.unwrap();
        let commit = put_commit(&pending, 20 << 20, "e", Preconditions::default());
        world.catalog.commit_put(world.stamp(), &pending, commit).await.unwrap();
        world.put("small", "e").await.unwrap();
        let pages = world.pages_of(3).await;
        assert_eq!(pages.len(), 4, "three pages of two segments each, and one");
        assert_eq!(world.catalog.count_pages_of_node(&holder(3)).await.unwrap(), 4);
        assert_eq!(world.catalog.pages_of_node(&holder(3), Some(pages[1]), 1).await.unwrap(), [pages[2]]);
        assert_eq!(world.pages_of(6).await, []);
        assert_eq!(world.catalog.all_pages(Some(pages[0]), 100).await.unwrap(), pages[1..]);
    });
}

#[test]
fn a_repair_is_told_what_every_sharer_is_under() {
    run(async {
        let world = World::new().await;
        world.put("first", "e").await.unwrap();
        let mut source = world.source("first").await;
        world.share(&source, "alike", "e").await.unwrap().unwrap();
        source.head.object.packs.push(PackId::parse("eu-gdpr").unwrap());
        let object = source.head.object.clone();
        let copy = SharingCopy {
            object,
            upload: UploadId::from_bytes(world.id()),
            conditions: Default::default(),
            judged: LAW,
        };
        let to = key("stricter");
        world.catalog.commit_sharing_copy(world.stamp(), &world.bucket, &to, source, copy).await.unwrap().unwrap();
        let found = world.mendable("first").await;
        let packs: Vec<_> = found.claims.iter().map(|claim| claim.all_packs().len()).collect();
        assert_eq!(found.claims.len(), 2, "two of the three are under the same");
        assert!(packs.contains(&1) && packs.contains(&2), "{packs:?}");
        world.delete("stricter").await.unwrap();
        assert_eq!(world.mendable("first").await.claims.len(), 1);
        let classes = Classification::from_tags([("domicile:class", "biometric")]).unwrap();
        let (alike, tags) = (key("alike"), Vec::new());
        let set = world.catalog.set_object_tags(world.stamp(), &world.bucket, &alike, None, tags, classes.clone());
        set.await.unwrap();
        let found = world.mendable("first").await;
        assert!(found.claims.iter().any(|claim| claim.classification == classes));
        assert_eq!((found.part, found.extent.profile), (0, CodeProfile::RS_4_2));
    });
}

#[test]
fn parts_of_an_upload_in_progress_are_repaired_and_those_replaced_are_not() {
    run(async {
        let world = World::new().await;
        let upload = world.create_upload("k").await;
        let first = world.part("k", &upload, 1, 9 << 20).await.unwrap();
        let again = world.part("k", &upload, 1, 77).await.unwrap();
        let page = |part: &Part| PageAt { extent: part.extent.id, page: 0 };
        assert_eq!(world.catalog.mendable(page(&first)).await.unwrap(), None);
        let found = world.catalog.mendable(page(&again)).await.unwrap().unwrap();
        assert_eq!((found.part, found.data), (1, upload.new.data));
        world.catalog.abort_upload(world.stamp(), &world.bucket, &key("k"), upload.new.upload).await.unwrap();
        assert_eq!(world.catalog.mendable(page(&again)).await.unwrap(), None);
    });
}

#[test]
fn a_page_counts_on_new_copies_and_the_old_ones_are_to_be_deleted() {
    run(async {
        let world = World::new().await;
        world.put("k", "e").await.unwrap();
        let (found, lease) = (world.mendable("k").await, world.lease());
        let moved = moving(&found, 2, 40);
        assert_eq!(
            world.catalog.announce_copies(&lease, &found, LAW, vec![moved.to]).await.unwrap(),
            Announced::Recorded
        );
        assert_eq!(world.pages_of(40).await, [found.at], "a crash now leaves nothing unknown");
        assert!(world.mendable("k").await.page.strays.contains(&moved.to));
        let now = world.now();
        assert!(world.catalog.commit_moves(&lease, &found, LAW, vec![moved], vec![], now).await.unwrap());
        let after = world.mendable("k").await;
        assert_eq!((after.page.segments[0][2], after.page.strays.len()), (moved.to, 0));
        assert_eq!(world.pages_of(2).await, []);
        let head = world.catalog.get_object(&world.bucket, &key("k")).await.unwrap();
        let spans = world.catalog.spans(&head, 0..1).await.unwrap();
        let read = world.catalog.extent_pages(&spans[0].extent, 0..1).await.unwrap();
        assert_eq!(read[0].sealed, Bytes::from_static(b"sealed page 0"), "what is sealed stays as it is");
        let orders = world.catalog.residue_of(&holder(2), None, 10).await.unwrap();
        assert_eq!(orders.len(), 1);
        assert_eq!((orders[0].shard, orders[0].data), (moved.from, found.data));
        assert_eq!(world.catalog.nodes_with_residue().await.unwrap(), [holder(2)]);
        // Back to where it was: not while the old copy there is still to be deleted.
        let back = moving(&after, 2, 2);
        let announced = world.catalog.announce_copies(&lease, &after, LAW, vec![back.to]).await.unwrap();
        assert_eq!(announced, Announced::BeingDeleted(vec![holder(2)]));
        let gone = Gone { data: found.data, shard: moved.from, receipt: Some("signed".to_owned()) };
        world.catalog.finish_deletions(&lease, vec![gone]).await.unwrap();
        assert_eq!(world.rows(b'R').len(), 1, "the receipt is kept");
        assert_eq!(world.catalog.count_residue_of(&holder(2)).await.unwrap(), 0);
        let announced = world.catalog.announce_copies(&lease, &after, LAW, vec![back.to]).await.unwrap();
        assert_eq!(announced, Announced::Recorded);
    });
}

#[test]
fn what_was_judged_otherwise_is_not_moved() {
    run(async {
        let world = World::new().await;
        world.put("k", "e").await.unwrap();
        let (found, lease, now) = (world.mendable("k").await, world.lease(), world.now());
        let moved = moving(&found, 0, 40);
        let classes = Classification::from_tags([("domicile:class", "biometric")]).unwrap();
        let (at, tags) = (key("k"), Vec::new());
        world.catalog.set_object_tags(world.stamp(), &world.bucket, &at, None, tags, classes).await.unwrap();
        let announced = world.catalog.announce_copies(&lease, &found, LAW, vec![moved.to]).await.unwrap();
        assert_eq!(announced, Announced::Changed);
        assert!(!world.catalog.commit_moves(&lease, &found, LAW, vec![moved], vec![], now).await.unwrap());
        let found = world.mendable("k").await;
        let elsewhere = Move { from: elsewhere(moved.from, 41), ..moved };
        assert!(!world.catalog.commit_moves(&lease, &found, LAW, vec![elsewhere], vec![], now).await.unwrap());
        world.delete("k").await.unwrap();
        assert!(!world.catalog.commit_moves(&lease, &found, LAW, vec![moved], vec![], now).await.unwrap());
        world.clock.advance(HOUR_MILLIS);
        assert!(matches!(
            world.catalog.announce_copies(&lease, &found, LAW, vec![moved.to]).await,
            Err(CatalogError::Lease(_))
        ));
    });
}

#[test]
fn a_page_that_was_repaired_while_it_was_swept_is_swept_again() {
    run(async {
        let world = World::new().await;
        world.put("k", "e").await.unwrap();
        let (found, lease) = (world.mendable("k").await, world.lease());
        let moved = moving(&found, 0, 40);
        world.catalog.announce_copies(&lease, &found, LAW, vec![moved.to]).await.unwrap();
        world.delete("k").await.unwrap();
        world.clock.advance(GRACE_MILLIS);
        let mut sweep = world.catalog.next_sweeps(&lease, world.now(), 1).await.unwrap().remove(0);
        assert!(sweep.shards.contains(&moved.to));
        // As if the sweeper had read the page before the copy was announced.
        sweep.shards.retain(|shard| *shard != moved.to);
        world.catalog.finish_sweeps(&lease, &[sweep]).await.unwrap();
        assert!(world.sweep(&[1]).await.contains(&moved.to));
        assert_eq!(world.rows(b'm'), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn damages_are_remembered_until_the_shard_lies_elsewhere() {
    run(async {
        let world = World::new().await;
        world.put("k", "e").await.unwrap();
        let (found, lease, now) = (world.mendable("k").await, world.lease(), world.now());
        let moved = moving(&found, 1, 40);
        assert!(world.catalog.note_damaged(found.at, moved.from).await.unwrap());
        assert!(world.catalog.note_damaged(found.at, moved.from).await.unwrap());
        assert!(!world.catalog.note_damaged(found.at, moved.to).await.unwrap(), "no page counts on that one");
        let found = world.mendable("k").await;
        assert_eq!(found.damaged, [moved.from]);
        assert_eq!(world.catalog.damaged_pages(None, 10).await.unwrap(), [found.at]);
        assert!(world.catalog.commit_moves(&lease, &found, LAW, vec![moved], vec![], now).await.unwrap());
        assert_eq!(world.mendable("k").await.damaged, []);
        assert_eq!(world.catalog.damaged_pages(None, 10).await.unwrap(), []);
    });
}
