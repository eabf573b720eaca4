//! Versions against a model: for each key, everything that was written and not removed, in the order it was written.
//!
//! The model knows nothing of rows that are current or aside; it looks for the last of a list. What it says must be what
//! the catalog shows: in listings page by page, in reads by id and without, and in what nodes are told to delete.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::state::{RocksConfig, RocksStore};

#[derive(Debug, Clone)]
enum Step {
    Put {
        key: &'static str,
        retained: bool,
    },
    PutIf {
        key: &'static str,
        matches: bool,
    },
    Delete {
        key: &'static str,
        if_match: Option<bool>,
    },
    /// Deletes the version that is `at` places below the newest; beyond the last, one that never was.
    DeleteVersion {
        key: &'static str,
        at: usize,
        bypass: bool,
    },
    DeleteMany {
        entries: Vec<(&'static str, Option<usize>)>,
    },
    Versioning {
        enabled: bool,
    },
    Hold {
        key: &'static str,
        at: usize,
        on: bool,
    },
    Retain {
        key: &'static str,
        at: usize,
        compliance: bool,
        bypass: bool,
        wants: Option<u64>,
    },
    Wait {
        millis: u64,
    },
    List {
        prefix: &'static str,
        delimiter: Option<&'static str>,
        max_keys: usize,
    },
    Sweep,
}

const KEYS: [&str; 6] = ["a", "a/1", "a/2", "ab", "b/1", "\u{e9}"];

fn a_key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.to_vec())
}

fn a_step() -> impl Strategy<Value = Step> {
    let at = 0..4_usize;
    prop_oneof![
        9 => (a_key(), prop::bool::weighted(0.2)).prop_map(|(key, retained)| Step::Put { key, retained }),
        1 => (a_key(), any::<bool>()).prop_map(|(key, matches)| Step::PutIf { key, matches }),
        4 => (a_key(), prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(key, if_match)| Step::Delete { key, if_match }),
        5 => (a_key(), at.clone(), any::<bool>()).prop_map(|(key, at, bypass)| Step::DeleteVersion { key, at, bypass }),
        1 => prop::collection::vec((a_key(), prop::option::of(at.clone())), 1..6)
            .prop_map(|entries| Step::DeleteMany { entries }),
        2 => any::<bool>().prop_map(|enabled| Step::Versioning { enabled }),
        1 => (a_key(), at.clone(), any::<bool>()).prop_map(|(key, at, on)| Step::Hold { key, at, on }),
        2 => (a_key(), at, any::<bool>(), any::<bool>(), prop::option::of(0..4_000_u64)).prop_map(
            |(key, at, compliance, bypass, wants)| Step::Retain { key, at, compliance, bypass, wants }
        ),
        1 => (1..2_000_u64).prop_map(|millis| Step::Wait { millis }),
        3 => (
            prop::sample::select(vec!["", "a", "a/", "b"]),
            prop::option::of(Just("/")),
            1..5_usize
        )
            .prop_map(|(prefix, delimiter, max_keys)| Step::List { prefix, delimiter, max_keys }),
        1 => Just(Step::Sweep),
    ]
}

/// A version of the model. Without an extent it is a delete marker.
#[derive(Debug, Clone)]
struct Entry {
    id: VersionId,
    etag: String,
    extent: Option<Extent>,
    lock: Lock,
}

impl Entry {
    fn is_locked(&self, now: UnixMillis, bypass: bool) -> bool {
        let retained = self
            .lock
            .retention
            .is_some_and(|retention| now < retention.until && !(bypass && retention.mode == RetentionMode::Governance));
        self.extent.is_some() && (retained || self.lock.legal_hold)
    }
}

struct Run {
    world: World,
    /// Whether versions can be locked; then versioning is always enabled.
    lockable: bool,
    versioning: Versioning,
    /// Oldest first.
    keys: BTreeMap<&'static str, Vec<Entry>>,
    ledger: Vec<Extent>,
    swept: BTreeSet<ShardAt>,
}

type Checked = Result<(), TestCaseError>;

impl Run {
    async fn new(store: Arc<dyn Store>, clock: TestClock, lockable: bool) -> Self {
        let mut world = World::on(store, clock).await;
        if lockable {
            let new = NewBucket { object_lock: true, ..new_bucket("locked", "lab-a", 2) };
            world.bucket = world.catalog.create_bucket(world.stamp(), new).await.unwrap();
        }
        let versioning = world.bucket.versioning;
        let (keys, ledger, swept) = Default::default();
        Self { world, lockable, versioning, keys, ledger, swept }
    }

    fn newest(&self, at: &str) -> Option<&Entry> {
        self.keys.get(at).and_then(|versions| versions.last())
    }

    /// The id of the version `below` places under the newest.
    fn id_at(&self, at: &str, below: usize) -> VersionId {
        let versions = self.keys.get(at).map(Vec::as_slice).unwrap_or_default();
        let found = versions.len().checked_sub(below + 1).and_then(|index| versions.get(index));
        found.map_or(VersionId::Id([0x77; 16]), |entry| entry.id)
    }

    fn find(&mut self, at: &'static str, id: VersionId) -> Option<&mut Entry> {
        self.keys.get_mut(at).and_then(|versions| versions.iter_mut().find(|entry| entry.id == id))
    }

    async fn step(&mut self, step: Step) -> Checked {
        match step {
            Step::Put { key, retained } => self.put(key, retained, None).await,
            Step::PutIf { key, matches } => self.put(key, false, Some(matches)).await,
            Step::Delete { key, if_match } => self.delete(key, if_match).await,
            Step::DeleteVersion { key, at, bypass } => {
                let id = self.id_at(key, at);
                let what = Deletion { bypass_governance: bypass, ..Deletion::of_version(super::key(key), id) };
                let outcome = self.world.catalog.delete(self.world.stamp(), &self.world.bucket, what).await;
                let expected = self.remove(key, id, bypass);
                Self::compare(outcome, expected)
            }
            Step::DeleteMany { entries } => self.delete_many(&entries).await,
            Step::Versioning { enabled } => {
                let outcome = self.world.catalog.set_versioning(&self.world.bucket, enabled).await;
                prop_assert_eq!(outcome.is_ok(), enabled || !self.lockable);
                if outcome.is_ok() {
                    // As every request does, which begins with the bucket's row.
                    self.world.bucket = self.world.catalog.bucket(&self.world.bucket.name).await.unwrap();
                    self.versioning = if enabled { Versioning::Enabled } else { Versioning::Suspended };
                }
                Ok(())
            }
            Step::Hold { key, at, on } => {
                let (id, lockable) = (self.id_at(key, at), self.lockable);
                let world = &self.world;
                let outcome =
                    world.catalog.set_legal_hold(world.stamp(), &world.bucket, &super::key(key), Some(id), on).await;
                match self.find(key, id).filter(|entry| lockable && entry.extent.is_some()) {
                    Some(entry) => {
                        prop_assert!(outcome.is_ok(), "{outcome:?}");
                        entry.lock.legal_hold = on;
                    }
                    None => prop_assert!(outcome.is_err()),
                }
                Ok(())
            }
            Step::Retain { key, at, compliance, bypass, wants } => {
                self.retain(key, at, compliance, bypass, wants).await
            }
            Step::Wait { millis } => {
                self.world.clock.advance(millis);
                Ok(())
            }
            Step::List { prefix, delimiter, max_keys } => self.list(prefix, delimiter, max_keys).await,
            Step::Sweep => self.sweep().await,
        }
    }

    async fn put(&mut self, at: &'static str, retained: bool, if_match: Option<bool>) -> Checked {
        let now = self.world.now();
        let pending = self.world.begin(at).await.unwrap();
        let extent = extent(pending.extent(), 10);
        self.world.catalog.record_pages(&pending, pages(&extent)).await.unwrap();
        self.ledger.push(extent.clone());
        let etag = format!("etag-{}", self.ledger.len());
        let present = self.newest(at).filter(|entry| entry.extent.is_some()).map(|entry| entry.etag.clone());
        let wanted = if_match.map(|matches| match (&present, matches) {
            (Some(present), true) => present.clone(),
            _ => "another".to_owned(),
        });
        let conditions = Preconditions {
            if_match: wanted.clone().map(|etag| EtagMatch::OneOf(vec![etag])),
            ..Preconditions::default()
        };
        let mut commit = put_commit(&pending, 10, &etag, conditions);
        let mut lock = Lock::default();
        if retained && self.lockable {
            let until = now.plus_millis(1_500);
            lock.retention = Some(Retention { mode: RetentionMode::Governance, until });
            commit.object.protection.lock = lock;
        }
        let outcome = self.world.catalog.commit_put(self.world.stamp(), &pending, commit).await;
        if wanted.is_some() && wanted != present {
            let refused = match present {
                Some(_) => matches!(outcome, Err(CatalogError::PreconditionFailed)),
                None => matches!(outcome, Err(CatalogError::NoSuchKey)),
            };
            prop_assert!(refused, "{outcome:?}");
            self.world.catalog.abandon(self.world.stamp(), &pending).await.unwrap();
            return Ok(());
        }
        let outcome = outcome.unwrap();
        let null = self.versioning != Versioning::Enabled;
        prop_assert_eq!(outcome.version.is_none(), null);
        let replaced = null.then(|| self.take_null(at)).flatten().filter(|entry| entry.extent.is_some());
        prop_assert_eq!(outcome.replaced.map(|removed| removed.etag), replaced.map(|entry| entry.etag));
        let id = outcome.version.unwrap_or(VersionId::Null);
        let versions = self.keys.entry(at).or_default();
        prop_assert!(versions.iter().all(|entry| entry.id != id), "an id that names two versions");
        versions.push(Entry { id, etag, extent: Some(extent), lock });
        Ok(())
    }

    /// Takes the null version away, wherever it is.
    fn take_null(&mut self, at: &str) -> Option<Entry> {
        let versions = self.keys.get_mut(at)?;
        let found = versions.iter().position(|entry| entry.id == VersionId::Null)?;
        Some(versions.remove(found))
    }

    /// Removes a version for good. What the catalog should say of it.
    fn remove(&mut self, at: &'static str, id: VersionId, bypass: bool) -> Result<Deleted, ()> {
        let (now, shown) = (self.world.now(), self.versioning != Versioning::Never);
        let versions = self.keys.entry(at).or_default();
        let Some(found) = versions.iter().position(|entry| entry.id == id) else {
            return Ok(Deleted { removed: None, version: shown.then_some(id), marker: false });
        };
        if versions[found].is_locked(now, bypass) {
            return Err(());
        }
        let entry = versions.remove(found);
        Ok(Deleted { removed: None, version: Some(id), marker: entry.extent.is_none() })
    }

    /// Deletes without naming a version. `written`: the marker's id, as the catalog chose it.
    fn delete_newest(&mut self, at: &'static str, written: Option<VersionId>) -> Result<Deleted, ()> {
        match self.versioning {
            Versioning::Never => {
                self.keys.remove(at);
                return Ok(Deleted::default());
            }
            Versioning::Enabled => {}
            Versioning::Suspended => drop(self.take_null(at)),
        }
        let id = if self.versioning == Versioning::Suspended { VersionId::Null } else { written.ok_or(())? };
        let marker = Entry { id, etag: String::new(), extent: None, lock: Lock::default() };
        self.keys.entry(at).or_default().push(marker);
        Ok(Deleted { removed: None, version: Some(id), marker: true })
    }

    fn compare(outcome: Result<Deleted, CatalogError>, expected: Result<Deleted, ()>) -> Checked {
        match (outcome, expected) {
            (Ok(deleted), Ok(expected)) => prop_assert_eq!(Deleted { removed: None, ..deleted }, expected),
            (Err(CatalogError::ObjectLocked), Err(())) => {}
            (outcome, expected) => prop_assert!(false, "{outcome:?}, not {expected:?}"),
        }
        Ok(())
    }

    async fn delete(&mut self, at: &'static str, if_match: Option<bool>) -> Checked {
        let newest = self.newest(at).cloned();
        let mut what = Deletion::of(key(at));
        if let Some(matches) = if_match {
            let etag = newest.as_ref().filter(|_| matches).map_or("another", |entry| entry.etag.as_str());
            what.conditions.if_match = Some(EtagMatch::OneOf(vec![etag.to_owned()]));
        }
        let outcome = self.world.catalog.delete(self.world.stamp(), &self.world.bucket, what).await;
        match (if_match, newest) {
            (Some(_), None) => prop_assert_eq!(outcome.unwrap(), Deleted::default()),
            (Some(false), Some(_)) => prop_assert!(matches!(outcome, Err(CatalogError::PreconditionFailed))),
            _ => {
                let written = outcome.as_ref().ok().and_then(|deleted| deleted.version);
                let expected = self.delete_newest(at, written);
                return Self::compare(outcome, expected);
            }
        }
        Ok(())
    }

    async fn delete_many(&mut self, entries: &[(&'static str, Option<usize>)]) -> Checked {
        let named: Vec<_> = entries.iter().map(|(at, below)| (*at, below.map(|below| self.id_at(at, below)))).collect();
        let deletions = named.iter().map(|(at, id)| Deletion { version: *id, ..Deletion::of(key(at)) }).collect();
        let world = &self.world;
        let outcomes = world.catalog.delete_objects(world.stamp(), &world.bucket, deletions).await.unwrap();
        for ((at, id), outcome) in named.into_iter().zip(outcomes) {
            let written = outcome.as_ref().ok().and_then(|deleted| deleted.version);
            let expected = match id {
                Some(id) => self.remove(at, id, false),
                None => self.delete_newest(at, written),
            };
            Self::compare(outcome, expected)?;
        }
        Ok(())
    }

    async fn retain(
        &mut self,
        at: &'static str,
        below: usize,
        compliance: bool,
        bypass: bool,
        wants: Option<u64>,
    ) -> Checked {
        let (id, now, lockable) = (self.id_at(at, below), self.world.now(), self.lockable);
        let mode = if compliance { RetentionMode::Compliance } else { RetentionMode::Governance };
        let new = wants.map(|millis| Retention { mode, until: now.plus_millis(millis) });
        let world = &self.world;
        let outcome = world.catalog.set_retention(world.stamp(), &world.bucket, &key(at), Some(id), new, bypass).await;
        let Some(entry) = self.find(at, id).filter(|entry| lockable && entry.extent.is_some()) else {
            prop_assert!(outcome.is_err());
            return Ok(());
        };
        let old = entry.lock.retention.filter(|old| now < old.until);
        let may = match (old, new) {
            (None, _) => true,
            (Some(old), Some(new)) if new.mode == old.mode && new.until >= old.until => true,
            (Some(old), _) => bypass && old.mode == RetentionMode::Governance,
        };
        prop_assert_eq!(outcome.is_ok(), may, "{:?} to {:?}: {:?}", old, new, outcome);
        if may {
            entry.lock.retention = new;
        }
        Ok(())
    }

    async fn list(&self, prefix: &str, delimiter: Option<&str>, max_keys: usize) -> Checked {
        let mut expected: Vec<(String, Option<(VersionId, bool)>)> = Vec::new();
        for (at, versions) in self.keys.iter().filter(|(at, _)| at.starts_with(prefix)) {
            let rest = &at[prefix.len()..];
            let group = delimiter.and_then(|delimiter| rest.find(delimiter)).map(|end| &at[..=prefix.len() + end]);
            match group {
                Some(_) if versions.is_empty() => {}
                Some(group) if expected.last().is_some_and(|(last, _)| last == group) => {}
                Some(group) => expected.push((group.to_owned(), None)),
                None => {
                    let newest_first = versions.iter().rev().enumerate();
                    expected.extend(newest_first.map(|(n, entry)| ((*at).to_owned(), Some((entry.id, n == 0)))));
                }
            }
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let query = ListVersionsQuery {
                prefix: prefix.to_owned(),
                delimiter: delimiter.map(str::to_owned),
                after,
                max_keys,
            };
            let page = self.world.catalog.list_versions(&self.world.bucket, query).await.unwrap();
            let versions = page
                .versions
                .iter()
                .map(|listed| (listed.key.clone(), Some((listed.entry.version().id(), listed.is_latest))));
            let mut entries: Vec<_> = versions.collect();
            prop_assert_eq!(entries.len() + page.common_prefixes.len() == max_keys || !page.truncated, true);
            for group in &page.common_prefixes {
                let place = entries.partition_point(|(at, _)| at < group);
                entries.insert(place, (group.clone(), None));
            }
            seen.extend(entries);
            prop_assert_eq!(page.truncated, seen.len() < expected.len());
            let Some(key) = page.next_key_marker else { break };
            let marker = page.next_version_marker.map(|text| VersionMarker::parse(&text).unwrap());
            after = Some((key, marker));
        }
        prop_assert_eq!(seen, expected);
        Ok(())
    }

    fn live(&self) -> impl Iterator<Item = &Extent> {
        self.keys.values().flatten().filter_map(|entry| entry.extent.as_ref())
    }

    async fn sweep(&mut self) -> Checked {
        self.world.clock.advance(GRACE_MILLIS);
        let swept = self.world.sweep(&[1]).await;
        let live: BTreeSet<ShardAt> = self.live().flat_map(all_shards).collect();
        prop_assert!(swept.iter().all(|shard| !live.contains(shard)), "a live shard was swept");
        self.swept.extend(swept);
        Ok(())
    }

    /// Every version reads as the model says, what is gone was swept, and no row is left over.
    async fn settle(&mut self) -> Checked {
        self.sweep().await?;
        for max_keys in [1, 2, 1_000] {
            self.list("", None, max_keys).await?;
        }
        let world = &self.world;
        let (mut current, mut aside, mut nulls_aside) = (0, 0, 0);
        for (at, versions) in &self.keys {
            let newest = world.catalog.object_version(&world.bucket, &key(at), None).await;
            match versions.last() {
                None => prop_assert!(matches!(newest, Err(CatalogError::NoSuchKey))),
                Some(entry) if entry.extent.is_none() => {
                    let marker = matches!(&newest, Err(CatalogError::DeleteMarker { newest: true, .. }));
                    prop_assert!(marker, "{newest:?}");
                }
                Some(entry) => prop_assert_eq!(&newest.unwrap().object.etag, &entry.etag),
            }
            for (n, entry) in versions.iter().rev().enumerate() {
                let is_current = n == 0 && entry.extent.is_some();
                current += usize::from(is_current);
                aside += usize::from(!is_current);
                nulls_aside += usize::from(!is_current && entry.id == VersionId::Null);
                let found = world.catalog.object_version(&world.bucket, &key(at), Some(entry.id)).await;
                match &entry.extent {
                    None => {
                        let marker = matches!(&found, Err(CatalogError::DeleteMarker { newest: false, .. }));
                        prop_assert!(marker, "{found:?}");
                    }
                    Some(extent) => {
                        let head = found.unwrap();
                        prop_assert_eq!(&head.object.etag, &entry.etag);
                        prop_assert_eq!(head.object.protection.lock, entry.lock);
                        let stored = world.catalog.extent_pages(extent, 0..extent.pages()).await.unwrap();
                        prop_assert_eq!(stored.len(), 1);
                    }
                }
            }
        }
        let counted = [b'o', b'v', b'n', b'e', b'w', b'g'].map(|table| world.rows(table).len());
        prop_assert_eq!(counted, [current, aside, nulls_aside, self.live().count(), 0, 0]);
        let live: BTreeSet<ExtentId> = self.live().map(|extent| extent.id).collect();
        let gone = self.ledger.iter().filter(|extent| !live.contains(&extent.id));
        prop_assert_eq!(&self.swept, &gone.flat_map(all_shards).collect());
        let emptied = self.keys.values().all(Vec::is_empty);
        let deleted = world.catalog.delete_bucket(world.stamp(), &world.bucket).await;
        prop_assert_eq!(deleted.is_ok(), emptied, "{:?}", deleted);
        Ok(())
    }
}

fn check(store: Arc<dyn Store>, clock: TestClock, lockable: bool, steps: Vec<Step>) -> Checked {
    run(async {
        let mut run = Run::new(store, clock, lockable).await;
        for step in steps {
            run.step(step).await?;
        }
        run.settle().await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn versions_in_memory_behave_as_the_model(
        lockable in any::<bool>(),
        steps in prop::collection::vec(a_step(), 1..60)
    ) {
        let (store, clock) = on_memory();
        check(store, clock, lockable, steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn versions_on_rocksdb_behave_as_the_model(
        lockable in any::<bool>(),
        steps in prop::collection::vec(a_step(), 1..60)
    ) {
        let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
        let config = RocksConfig::new(dir.path().join("state"));
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(&config, clock.store_clock()).unwrap());
        check(store, clock, lockable, steps)?;
    }
}
