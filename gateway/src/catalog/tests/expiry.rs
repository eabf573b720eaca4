//! What a worker that follows lifecycle rules may end, and what it must leave.

use super::*;
use crate::catalog::{Due, Ending, Walk};

/// Stands for the rules that everything here is judged by.
const RULES: &str = "rules";

impl World {
    async fn with_rules(versioned: bool) -> Self {
        let mut world = Self::new().await;
        if versioned {
            world.catalog.set_versioning(&world.bucket, true).await.unwrap();
            world.bucket = world.catalog.bucket(&world.bucket.name).await.unwrap();
        }
        world.catalog.set_setting(&world.bucket, Setting::Lifecycle, Some(&RULES)).await.unwrap();
        world
    }

    async fn versions(&self) -> Vec<ListedVersion> {
        let query = ListVersionsQuery { prefix: String::new(), delimiter: None, after: None, max_keys: 1_000 };
        self.catalog.list_versions(&self.bucket, query).await.unwrap().versions
    }

    /// Everything that is there, judged to end in that way.
    async fn judged(&self, ending: Ending) -> Vec<Due> {
        let due = |listed: ListedVersion| Due { key: key(&listed.key), entry: listed.entry, ending };
        self.versions().await.into_iter().map(due).collect()
    }

    /// Whether each has ended.
    async fn end(&self, due: Vec<Due>) -> Vec<bool> {
        let rules = (Setting::Lifecycle, &RULES);
        let ended = self.catalog.end_versions(self.stamp(), &self.lease(), &self.bucket, rules, due).await.unwrap();
        ended.iter().map(Option::is_some).collect()
    }
}

#[test]
fn what_was_judged_ends_and_what_was_written_since_stays() {
    run(async {
        let world = World::with_rules(false).await;
        world.put("a", "1").await.unwrap();
        world.put("b", "1").await.unwrap();
        let due = world.judged(Ending::Expire).await;
        world.put("b", "1").await.unwrap();
        assert_eq!(world.end(due.clone()).await, [true, false]);
        assert_eq!((world.etag("a").await, world.etag("b").await), (None, Some("1".to_owned())));
        assert_eq!(world.end(due).await, [false, false], "what is gone does not end again");
    });
}

#[test]
fn what_was_judged_by_other_rules_stays() {
    run(async {
        let world = World::with_rules(false).await;
        world.put("a", "1").await.unwrap();
        let due = world.judged(Ending::Expire).await;
        world.catalog.set_setting(&world.bucket, Setting::Lifecycle, Some(&"other rules")).await.unwrap();
        assert_eq!(world.end(due.clone()).await, [false]);
        world.catalog.set_setting::<&str>(&world.bucket, Setting::Lifecycle, None).await.unwrap();
        assert_eq!(world.end(due).await, [false]);
        assert!(world.etag("a").await.is_some());
    });
}

#[test]
fn an_object_that_was_tagged_anew_stays() {
    run(async {
        let world = World::with_rules(false).await;
        world.put("a", "1").await.unwrap();
        let due = world.judged(Ending::Expire).await;
        let tags = vec![("keep".to_owned(), "yes".to_owned())];
        let classification = Classification::default();
        let (stamp, at) = (world.stamp(), key("a"));
        let tagged = world.catalog.set_object_tags(stamp, &world.bucket, &at, None, tags, classification);
        tagged.await.unwrap();
        assert_eq!(world.end(due).await, [false]);
    });
}

#[test]
fn where_versions_are_kept_an_expired_object_is_hidden_by_a_marker() {
    run(async {
        let world = World::with_rules(true).await;
        world.put("a", "1").await.unwrap();
        assert_eq!(world.end(world.judged(Ending::Expire).await).await, [true]);
        let versions = world.versions().await;
        assert_eq!(versions.iter().map(|v| v.entry.object().is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(world.end(world.judged(Ending::Remove).await).await, [false, true], "the newest is not removed");
        assert_eq!(world.versions().await.len(), 1);
    });
}

#[test]
fn a_version_that_became_current_again_is_not_removed() {
    run(async {
        let world = World::with_rules(true).await;
        world.put("a", "1").await.unwrap();
        let newer = world.put("a", "2").await.unwrap().version.unwrap();
        let older = world.judged(Ending::Remove).await.pop().unwrap();
        let deletion = Deletion::of_version(key("a"), newer);
        world.catalog.delete(world.stamp(), &world.bucket, deletion).await.unwrap();
        assert_eq!(world.end(vec![older]).await, [false]);
        assert_eq!(world.etag("a").await.as_deref(), Some("1"));
    });
}

#[test]
fn a_marker_goes_only_when_nothing_else_of_its_key_is_left() {
    run(async {
        let world = World::with_rules(true).await;
        let version = world.put("a", "1").await.unwrap().version.unwrap();
        world.delete("a").await.unwrap();
        let marker = world.judged(Ending::RemoveMarker).await.remove(0);
        assert_eq!(world.end(vec![marker.clone()]).await, [false], "it hides a version");
        let deletion = Deletion::of_version(key("a"), version);
        world.catalog.delete(world.stamp(), &world.bucket, deletion).await.unwrap();
        world.put("a", "2").await.unwrap();
        assert_eq!(world.end(vec![marker.clone()]).await, [false], "it is the newest no more");
        let newest = world.versions().await.remove(0).entry.version().id();
        world.catalog.delete(world.stamp(), &world.bucket, Deletion::of_version(key("a"), newest)).await.unwrap();
        assert_eq!(world.end(vec![marker]).await, [true]);
        assert!(world.versions().await.is_empty());
    });
}

#[test]
fn what_is_locked_stays_and_the_rest_of_its_page_goes() {
    run(async {
        let mut world = World::with_rules(true).await;
        world.catalog.enable_object_lock(&world.bucket).await.unwrap();
        world.bucket = world.catalog.bucket(&world.bucket.name).await.unwrap();
        for at in ["a", "b", "c"] {
            let version = world.put(at, "1").await.unwrap().version;
            world.put(at, "2").await.unwrap();
            let (stamp, bucket, at) = (world.stamp(), &world.bucket, &key(at));
            match at.as_str() {
                "a" => world.catalog.set_legal_hold(stamp, bucket, at, version, true).await.unwrap(),
                "b" => {
                    let until = world.now().plus_millis(HOUR_MILLIS);
                    let retention = Some(Retention { mode: RetentionMode::Governance, until });
                    let set = world.catalog.set_retention(stamp, bucket, at, version, retention, false);
                    set.await.unwrap();
                }
                _ => {}
            }
        }
        let due = world.judged(Ending::Remove).await;
        assert_eq!(world.end(due).await, [false, false, false, false, false, true]);
        assert_eq!(world.versions().await.len(), 5);
    });
}

#[test]
fn more_than_a_transaction_holds_ends_in_several() {
    run(async {
        let world = World::with_rules(true).await;
        for number in 0..300 {
            // A marker needs no body.
            world.delete(&format!("{number:03}")).await.unwrap();
        }
        assert_eq!(world.end(world.judged(Ending::RemoveMarker).await).await, [true; 300]);
        assert!(world.versions().await.is_empty());
    });
}

#[test]
fn without_its_lease_a_worker_ends_nothing() {
    run(async {
        let world = World::with_rules(false).await;
        world.put("a", "1").await.unwrap();
        let due = world.judged(Ending::Expire).await;
        let lease = world.lease();
        world.catalog.release_lease(lease.clone()).await.unwrap();
        let rules = (Setting::Lifecycle, &RULES);
        let ended = world.catalog.end_versions(world.stamp(), &lease, &world.bucket, rules, due).await;
        assert!(matches!(ended, Err(CatalogError::Lease(_))));
        assert!(world.catalog.note_walk(&lease, None).await.is_err());
        assert!(world.etag("a").await.is_some());
    });
}

#[test]
fn uploads_are_given_up_once_and_their_shards_are_swept() {
    run(async {
        let world = World::with_rules(false).await;
        let (kept, old) = (world.create_upload("kept").await, world.create_upload("old").await);
        let mut shards = all_shards(&world.part("old", &old, 1, 3).await.unwrap().extent);
        world.part("kept", &kept, 1, 3).await.unwrap();
        let due = vec![(key("old"), old.new.upload)];
        let end = || world.catalog.end_uploads(world.stamp(), world.lease(), &world.bucket, &due);
        assert_eq!((end().await.unwrap(), end().await.unwrap()), (1, 0));
        assert!(world.catalog.upload(&world.bucket, &key("kept"), kept.new.upload).await.is_ok());
        let gone = world.catalog.upload(&world.bucket, &key("old"), old.new.upload).await;
        assert!(matches!(gone, Err(CatalogError::NoSuchUpload)));
        let mut swept = world.sweep(&[1]).await;
        swept.sort_unstable();
        shards.sort_unstable();
        assert_eq!(swept, shards);
    });
}

#[test]
fn a_walk_goes_on_where_it_was_left() {
    run(async {
        let world = World::new().await;
        let lease = world.lease();
        assert_eq!(world.catalog.walk(&lease).await.unwrap(), None);
        let walk = Walk { bucket: bucket_name("training"), key: "a/b".to_owned() };
        world.catalog.note_walk(&lease, Some(walk.clone())).await.unwrap();
        assert_eq!(world.catalog.walk(&lease).await.unwrap(), Some(walk));
        world.catalog.note_walk(&lease, None).await.unwrap();
        assert_eq!(world.catalog.walk(&lease).await.unwrap(), None);
    });
}

#[test]
fn buckets_of_all_tenants_come_in_the_order_of_their_names() {
    run(async {
        let world = World::new().await;
        for (name, owner, id) in [("zebra", "lab-a", 2), ("alpha", "lab-b", 3)] {
            world.catalog.create_bucket(world.stamp(), new_bucket(name, owner, id)).await.unwrap();
        }
        let names = |first: Option<&str>, limit| {
            let first = first.map(bucket_name);
            let catalog = world.catalog.clone();
            async move {
                let buckets = catalog.all_buckets(first.as_ref(), limit).await.unwrap();
                buckets.into_iter().map(|bucket| bucket.name.to_string()).collect::<Vec<_>>()
            }
        };
        assert_eq!(names(None, 10).await, ["alpha", "training", "zebra"]);
        assert_eq!(names(Some("training"), 1).await, ["training"]);
    });
}
