//! Versions of one key, step by step.

use super::*;

impl World {
    pub(super) async fn versioned(enabled: bool) -> Self {
        let world = Self::new().await;
        world.versioning(enabled).await;
        world
    }

    async fn versioning(&self, enabled: bool) {
        self.catalog.set_versioning(&self.bucket, enabled).await.unwrap();
    }

    async fn put_version(&self, at: &str, etag: &str) -> VersionId {
        self.put(at, etag).await.unwrap().version.unwrap()
    }

    async fn read(&self, at: &str, version: VersionId) -> Result<String, CatalogError> {
        // The bucket's row is read anew: what a caller knows of versioning may be old.
        let bucket = self.catalog.bucket(&self.bucket.name).await?;
        self.catalog.object_version(&bucket, &key(at), Some(version)).await.map(|head| head.object.etag)
    }

    async fn remove(&self, at: &str, version: VersionId) -> Result<Deleted, CatalogError> {
        self.catalog.delete(self.stamp(), &self.bucket, Deletion::of_version(key(at), version)).await
    }
}

#[test]
fn an_overwritten_version_stays_and_a_deletion_leaves_a_marker() {
    run(async {
        let world = World::versioned(true).await;
        let first = world.put_version("k", "e1").await;
        let second = world.put_version("k", "e2").await;
        assert_ne!(first, second);
        assert_eq!(world.etag("k").await.as_deref(), Some("e2"));
        assert_eq!(world.read("k", first).await.unwrap(), "e1");
        let deleted = world.delete("k").await.unwrap();
        assert!(deleted.marker && deleted.removed.is_none());
        assert_eq!(world.etag("k").await, None);
        let marker = deleted.version.unwrap();
        assert!(matches!(world.read("k", marker).await, Err(CatalogError::DeleteMarker { newest: false, .. })));
        assert_eq!(world.read("k", second).await.unwrap(), "e2");
        // Without the marker, the object is back.
        let undone = world.remove("k", marker).await.unwrap();
        assert!(undone.marker && undone.version == Some(marker));
        assert_eq!(world.etag("k").await.as_deref(), Some("e2"));
        assert!(world.remove("k", second).await.unwrap().removed.is_some());
        assert_eq!(world.etag("k").await.as_deref(), Some("e1"));
        assert!(matches!(world.read("k", second).await, Err(CatalogError::NoSuchVersion)));
        let nothing = world.remove("k", second).await.unwrap();
        assert_eq!(nothing, Deleted { removed: None, version: Some(second), marker: false });
    });
}

#[test]
fn what_was_there_before_versioning_is_the_null_version() {
    run(async {
        let world = World::new().await;
        assert_eq!(world.put("k", "plain").await.unwrap().version, None);
        world.versioning(true).await;
        let named = world.put_version("k", "named").await;
        assert_eq!(world.read("k", VersionId::Null).await.unwrap(), "plain");
        world.versioning(false).await;
        // Suspended: the null version is replaced, wherever it lies, and the named one stays.
        let outcome = world.put("k", "null again").await.unwrap();
        assert_eq!(outcome.replaced.unwrap().etag, "plain");
        assert_eq!(world.read("k", VersionId::Null).await.unwrap(), "null again");
        assert_eq!(world.read("k", named).await.unwrap(), "named");
        let deleted = world.delete("k").await.unwrap();
        assert_eq!((deleted.version, deleted.marker), (Some(VersionId::Null), true));
        assert_eq!(deleted.removed.unwrap().etag, "null again");
        assert_eq!(world.etag("k").await, None);
        world.remove("k", VersionId::Null).await.unwrap();
        assert_eq!(world.etag("k").await.as_deref(), Some("named"));
        assert_eq!([b'v', b'n'].map(|table| world.rows(table).len()), [0, 0]);
    });
}

#[test]
fn a_bucket_with_nothing_but_a_marker_is_not_empty() {
    run(async {
        let world = World::versioned(true).await;
        let marker = world.delete("k").await.unwrap().version.unwrap();
        let refused = world.catalog.delete_bucket(world.stamp(), &world.bucket).await;
        assert!(matches!(refused, Err(CatalogError::BucketNotEmpty { .. })));
        world.remove("k", marker).await.unwrap();
        world.catalog.delete_bucket(world.stamp(), &world.bucket).await.unwrap();
    });
}

#[test]
fn locked_versions_resist_and_others_of_the_same_request_do_not() {
    run(async {
        let mut world = World::new().await;
        let new = NewBucket { object_lock: true, ..new_bucket("locked", "lab-a", 7) };
        world.bucket = world.catalog.create_bucket(world.stamp(), new).await.unwrap();
        let (kept, free) = (world.put_version("k", "kept").await, world.put_version("j", "free").await);
        world.catalog.set_legal_hold(world.stamp(), &world.bucket, &key("k"), Some(kept), true).await.unwrap();
        let both = vec![Deletion::of_version(key("k"), kept), Deletion::of_version(key("j"), free)];
        let outcomes = world.catalog.delete_objects(world.stamp(), &world.bucket, both).await.unwrap();
        assert!(matches!(outcomes[0], Err(CatalogError::ObjectLocked)));
        assert!(outcomes[1].is_ok());
        assert_eq!(world.read("k", kept).await.unwrap(), "kept");
        assert!(matches!(world.read("j", free).await, Err(CatalogError::NoSuchVersion)));
        // A marker above it removes nothing, so it is allowed.
        assert!(world.delete("k").await.unwrap().marker);
        let suspended = world.catalog.set_versioning(&world.bucket, false).await;
        assert!(matches!(suspended, Err(CatalogError::InvalidBucketState { .. })));
    });
}

#[test]
fn a_page_of_versions_costs_what_it_shows() {
    run(async {
        let world = World::versioned(true).await;
        for at in ["a/1", "a/2", "b"] {
            for n in 0..40 {
                world.put(at, &format!("e{n}")).await.unwrap();
            }
        }
        let list = |after, max_keys, delimiter: Option<&str>| {
            let query =
                ListVersionsQuery { prefix: String::new(), delimiter: delimiter.map(str::to_owned), after, max_keys };
            world.catalog.list_versions(&world.bucket, query)
        };
        let page = list(None, 50, None).await.unwrap();
        assert_eq!((page.versions.len(), page.truncated), (50, true));
        assert_eq!(page.next_key_marker.as_deref(), Some("a/2"));
        assert_eq!(page.versions.iter().filter(|listed| listed.is_latest).count(), 2);
        assert!(page.versions[1].noncurrent_since.is_some());
        let marker = VersionMarker::parse(&page.next_version_marker.unwrap());
        let page = list(Some(("a/2".to_owned(), marker)), 1_000, None).await.unwrap();
        assert_eq!((page.versions.len(), page.truncated), (70, false));
        assert!(!page.versions[0].is_latest);
        let page = list(None, 1_000, Some("/")).await.unwrap();
        assert_eq!((page.versions.len(), page.common_prefixes), (40, vec!["a/".to_owned()]));
        let page = list(Some(("a/".to_owned(), None)), 1, Some("/")).await.unwrap();
        assert_eq!(page.versions[0].key, "b");
        // A key marker alone goes on behind all versions of that key.
        let page = list(Some(("a/1".to_owned(), None)), 1, None).await.unwrap();
        assert_eq!((page.versions[0].key.as_str(), page.versions[0].is_latest), ("a/2", true));
    });
}
