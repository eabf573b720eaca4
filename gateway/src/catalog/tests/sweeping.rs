//! Garbage and orphans.

use super::*;

#[test]
fn replaced_bytes_stay_for_the_grace_period_and_go_then() {
    run(async {
        let world = World::new().await;
        world.put("k", "e1").await.unwrap();
        let first = world.catalog.get_object(&world.bucket, &key("k")).await.unwrap();
        world.put("k", "e2").await.unwrap();
        world.clock.advance(GRACE_MILLIS - 1);
        assert_eq!(world.sweep(&[1]).await, []);
        let spans = world.catalog.spans(&first, 0..10).await.unwrap();
        world.catalog.extent_pages(&spans[0].extent, 0..1).await.unwrap();
        world.clock.advance(1);
        assert_eq!(
            world.sweep(&[1]).await,
            all_shards(&spans[0].extent)
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert!(world.catalog.extent_pages(&spans[0].extent, 0..1).await.is_err());
        assert_eq!(world.etag("k").await.as_deref(), Some("e2"));
    });
}

#[test]
fn only_bodies_of_processes_that_are_gone_are_orphans() {
    run(async {
        let world = World::new().await;
        let mine = world.begin("mine").await.unwrap();
        let other = World {
            catalog: World::catalog(Arc::clone(world.catalog.store()), 2),
            bucket: world.bucket.clone(),
            clock: world.clock.clone(),
            ids: Arc::clone(&world.ids),
        };
        let theirs = other.begin("theirs").await.unwrap();
        let shape = extent(theirs.extent(), 5 << 20);
        other.catalog.record_pages(&theirs, pages(&shape)).await.unwrap();
        assert_eq!(world.sweep(&[1, 2]).await, []);
        let mut expected = all_shards(&shape);
        expected.sort_unstable();
        assert_eq!(world.sweep(&[1]).await, expected);
        let late = put_commit(&theirs, 5 << 20, "late", Preconditions::default());
        let outcome = other.catalog.commit_put(other.stamp(), &theirs, late).await;
        assert!(matches!(outcome, Err(CatalogError::NotPending)));
        let commit = put_commit(&mine, 10, "e1", Preconditions::default());
        world.catalog.commit_put(world.stamp(), &mine, commit).await.unwrap();
    });
}

#[test]
fn strays_are_swept_with_the_rest() {
    run(async {
        let world = World::new().await;
        let pending = world.begin("k").await.unwrap();
        let mut commit = put_commit(&pending, 10, "e1", Preconditions::default());
        let stray = ShardAt { cid: ShardCid::of(b"stray"), node: NodeId::from_public_key([77; 32]) };
        commit.pages[0].1.strays.push(stray);
        world.catalog.commit_put(world.stamp(), &pending, commit).await.unwrap();
        world.delete("k").await.unwrap();
        world.clock.advance(GRACE_MILLIS);
        assert!(world.sweep(&[1]).await.contains(&stray));
    });
}

#[test]
fn garbage_that_is_put_off_lets_other_garbage_pass() {
    run(async {
        let world = World::new().await;
        for at in ["a", "b"] {
            world.put(at, "e").await.unwrap();
            world.delete(at).await.unwrap();
            world.clock.advance(1);
        }
        world.clock.advance(GRACE_MILLIS);
        let (lease, now) = (world.lease(), world.now());
        let first = world.catalog.next_sweeps(&lease, now, 1).await.unwrap().remove(0);
        world.catalog.postpone_sweep(&lease, &first, now.plus_millis(50)).await.unwrap();
        let second = world.catalog.next_sweeps(&lease, now, 1).await.unwrap().remove(0);
        assert_ne!(first.shards, second.shards);
        world.catalog.finish_sweeps(&lease, &[second]).await.unwrap();
        assert_eq!(world.catalog.next_sweeps(&lease, now, 1).await.unwrap(), []);
        world.clock.advance(50);
        let again = world.catalog.next_sweeps(&lease, world.now(), 1).await.unwrap().remove(0);
        assert_eq!((&again.shards, again.garbage.attempts), (&first.shards, 1));
    });
}

#[test]
fn a_sweeper_without_its_lease_changes_nothing() {
    run(async {
        let world = World::new().await;
        world.put("k", "e").await.unwrap();
        world.delete("k").await.unwrap();
        world.clock.advance(GRACE_MILLIS);
        let lease = world.lease();
        let sweep = world.catalog.next_sweeps(&lease, world.now(), 1).await.unwrap().remove(0);
        world.clock.advance(HOUR_MILLIS);
        let rows = world.rows(b'e');
        assert!(matches!(
            world.catalog.finish_sweeps(&lease, std::slice::from_ref(&sweep)).await,
            Err(CatalogError::Lease(_))
        ));
        let due = world.now();
        assert!(matches!(world.catalog.postpone_sweep(&lease, &sweep, due).await, Err(CatalogError::Lease(_))));
        assert_eq!(world.rows(b'e'), rows);
        world.begin("j").await.unwrap();
        let reaped = world.catalog.reap_orphans(&lease, Vec::new(), due).await;
        assert!(matches!(reaped, Err(CatalogError::Lease(_))));
    });
}

#[test]
fn garbage_names_no_object_key() {
    run(async {
        let world = World::new().await;
        world.put("patients/zhang-san.dcm", "e").await.unwrap();
        world.delete("patients/zhang-san.dcm").await.unwrap();
        let everything = crate::state::KeyRange::prefix(b"");
        let rows = view(&**world.catalog.store(), |view| {
            crate::state::Read::scan(view, &everything, 1_000, crate::state::Order::Ascending)
        });
        let holds = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"zhang");
        assert!(rows.unwrap().iter().all(|found| !holds(&found.key) && !holds(&found.row.value)));
        assert_eq!(world.rows(b'g').len(), 1);
    });
}
