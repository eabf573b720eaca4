//! The catalog against a model: a `BTreeMap` of what each key holds, and a ledger of every shard that was ever announced.
//!
//! Whatever happens, crashes included, a shard is either part of something that can be read or continued, or nodes are told
//! to delete it: never both, and in the end never neither.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::state::{RocksConfig, RocksStore};

/// What a step does with a body that it began.
#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    Abandon,
    /// Nothing: as if the task had vanished.
    Forget,
}

#[derive(Debug, Clone)]
enum Step {
    Put {
        key: String,
        create_only: bool,
        end: End,
    },
    Copy {
        from: String,
        to: String,
    },
    Delete {
        key: String,
    },
    DeleteMany {
        keys: Vec<String>,
    },
    CreateUpload {
        key: String,
    },
    Part {
        upload: usize,
        number: u16,
        large: bool,
        end: End,
    },
    Complete {
        upload: usize,
        keep: u8,
    },
    Abort {
        upload: usize,
    },
    List {
        prefix: String,
        delimiter: Option<String>,
        max_keys: usize,
        by_token: bool,
    },
    Sweep {
        wait: bool,
    },
    /// A repair of a page of the extent that was begun so many back: it gives one shard to another node, or stops half-way.
    Mend {
        extent: usize,
        position: u8,
        node: u8,
        commit: bool,
    },
    Restart,
}

fn a_key() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "/", "ab/", "\u{e9}", "0"]), 1..4)
        .prop_map(|pieces| pieces.concat())
}

fn an_end() -> impl Strategy<Value = End> {
    prop_oneof![6 => Just(End::Commit), 1 => Just(End::Abandon), 1 => Just(End::Forget)]
}

fn a_step() -> impl Strategy<Value = Step> {
    let upload = 0..4_usize;
    prop_oneof![
        8 => (a_key(), any::<bool>(), an_end()).prop_map(|(key, create_only, end)| Step::Put { key, create_only, end }),
        4 => (a_key(), a_key()).prop_map(|(from, to)| Step::Copy { from, to }),
        3 => a_key().prop_map(|key| Step::Delete { key }),
        1 => prop::collection::vec(a_key(), 1..5).prop_map(|keys| Step::DeleteMany { keys }),
        2 => a_key().prop_map(|key| Step::CreateUpload { key }),
        6 => (upload.clone(), 1..5_u16, any::<bool>(), an_end())
            .prop_map(|(upload, number, large, end)| Step::Part { upload, number, large, end }),
        2 => (upload.clone(), any::<u8>()).prop_map(|(upload, keep)| Step::Complete { upload, keep }),
        1 => upload.prop_map(|upload| Step::Abort { upload }),
        4 => (
            prop_oneof![Just(String::new()), a_key()],
            prop::option::of(prop::sample::select(vec!["/".to_owned(), "b".to_owned(), "b/".to_owned()])),
            1..6_usize,
            any::<bool>()
        )
            .prop_map(|(prefix, delimiter, max_keys, by_token)| Step::List { prefix, delimiter, max_keys, by_token }),
        2 => any::<bool>().prop_map(|wait| Step::Sweep { wait }),
        4 => (0..4_usize, 0..6_u8, 10..13_u8, prop::bool::weighted(0.8))
            .prop_map(|(extent, position, node, commit)| Step::Mend { extent, position, node, commit }),
        1 => Just(Step::Restart),
    ]
}

/// An object of the model: its ETag and its bodies.
#[derive(Debug, Clone)]
struct ModelObject {
    etag: String,
    extents: Vec<Extent>,
}

struct ModelUpload {
    key: String,
    upload: Upload,
    parts: BTreeMap<u16, Part>,
}

/// Opens the store anew after a restart.
type Reopen = Box<dyn FnMut() -> Arc<dyn Store>>;

struct Run {
    world: Option<World>,
    reopen: Reopen,
    process: u8,
    objects: BTreeMap<String, ModelObject>,
    uploads: Vec<ModelUpload>,
    /// Extents that were begun by this process and neither committed nor abandoned.
    forgotten: Vec<Extent>,
    /// Every extent ever begun.
    ledger: Vec<Extent>,
    swept: BTreeSet<ShardAt>,
    /// Where shards are that were moved.
    moved: BTreeMap<ShardCid, NodeId>,
    /// Where they were, and what nodes were told to delete of it.
    left: BTreeSet<ShardAt>,
    dropped: BTreeSet<ShardAt>,
}

type Checked = Result<(), TestCaseError>;

impl Run {
    async fn new(mut reopen: Reopen, clock: TestClock) -> Self {
        let world = Some(World::on(reopen(), clock).await);
        let (objects, uploads, forgotten, ledger) = Default::default();
        let (moved, left, dropped) = Default::default();
        let swept = BTreeSet::new();
        Self { world, reopen, process: 1, objects, uploads, forgotten, ledger, swept, moved, left, dropped }
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    async fn step(&mut self, step: Step) -> Checked {
        match step {
            Step::Put { key, create_only, end } => self.put(key, create_only, end).await,
            Step::Copy { from, to } => self.copy(&from, to).await,
            Step::Delete { key } => {
                let removed = self.world().delete(&key).await.unwrap().removed.map(|removed| removed.etag);
                prop_assert_eq!(removed, self.objects.remove(&key).map(|object| object.etag));
                Ok(())
            }
            Step::DeleteMany { keys } => self.delete_many(&keys).await,
            Step::CreateUpload { key } => {
                let upload = self.world().create_upload(&key).await;
                self.uploads.push(ModelUpload { key, upload, parts: BTreeMap::new() });
                Ok(())
            }
            Step::Part { upload, number, large, end } => self.part(upload, number, large, end).await,
            Step::Complete { upload, keep } => self.complete(upload, keep).await,
            Step::Abort { upload } => {
                if upload < self.uploads.len() {
                    let gone = self.uploads.swap_remove(upload);
                    let (world, id) = (self.world(), gone.upload.new.upload);
                    world.catalog.abort_upload(world.stamp(), &world.bucket, &key(&gone.key), id).await.unwrap();
                }
                Ok(())
            }
            Step::List { prefix, delimiter, max_keys, by_token } => {
                self.list(prefix, delimiter, max_keys, by_token).await
            }
            Step::Sweep { wait } => self.sweep(wait).await,
            Step::Mend { extent, position, node, commit } => self.mend(extent, position.into(), node, commit).await,
            Step::Restart => {
                self.restart();
                Ok(())
            }
        }
    }

    /// Begins the body that `pending` announced: from here on its shards may exist.
    async fn record(&mut self, pending: &Pending, size: u64) -> Extent {
        let extent = extent(pending.extent(), size);
        self.world().catalog.record_pages(pending, pages(&extent)).await.unwrap();
        self.ledger.push(extent.clone());
        extent
    }

    async fn put(&mut self, at: String, create_only: bool, end: End) -> Checked {
        let pending = self.world().begin(&at).await.unwrap();
        let extent = self.record(&pending, 10).await;
        let etag = format!("etag-{}", self.ledger.len());
        let world = self.world();
        if matches!(end, End::Commit) {
            let if_none_match = create_only.then_some(EtagMatch::Any);
            let conditions = Preconditions { if_none_match, ..Preconditions::default() };
            let commit = put_commit(&pending, 10, &etag, conditions);
            let outcome = world.catalog.commit_put(world.stamp(), &pending, commit).await;
            let present = self.objects.get(&at);
            if create_only && present.is_some() {
                prop_assert!(matches!(outcome, Err(CatalogError::PreconditionFailed)));
                world.catalog.abandon(world.stamp(), &pending).await.unwrap();
                return Ok(());
            }
            let replaced = outcome.unwrap().replaced.map(|replaced| replaced.etag);
            prop_assert_eq!(replaced, present.map(|object| object.etag.clone()));
            self.objects.insert(at, ModelObject { etag, extents: vec![extent] });
        } else if matches!(end, End::Abandon) {
            world.catalog.abandon(world.stamp(), &pending).await.unwrap();
        } else {
            self.forgotten.push(extent);
        }
        Ok(())
    }

    async fn copy(&mut self, from: &str, to: String) -> Checked {
        let Some(ModelObject { extents, .. }) = self.objects.get(from).cloned() else { return Ok(()) };
        let (world, etag) = (self.world(), format!("copy-{}", self.ledger.len()));
        let source = world.source(from).await;
        let outcome = world.share(&source, &to, &etag).await.unwrap().unwrap();
        let replaced = outcome.replaced.map(|replaced| replaced.etag);
        prop_assert_eq!(replaced, self.objects.get(&to).map(|object| object.etag.clone()));
        self.objects.insert(to, ModelObject { etag, extents });
        Ok(())
    }

    async fn delete_many(&mut self, keys: &[String]) -> Checked {
        let world = self.world();
        let batch = keys.iter().map(|at| Deletion::of(key(at))).collect();
        let outcomes = world.catalog.delete_objects(world.stamp(), &world.bucket, batch).await.unwrap();
        for (at, outcome) in keys.iter().zip(outcomes) {
            let removed = outcome.unwrap().removed.map(|removed| removed.etag);
            prop_assert_eq!(removed, self.objects.remove(at).map(|object| object.etag));
        }
        Ok(())
    }

    async fn part(&mut self, index: usize, number: u16, large: bool, end: End) -> Checked {
        let Some(ModelUpload { key: at, upload, .. }) = self.uploads.get(index) else { return Ok(()) };
        let (at, upload) = (key(at), upload.clone());
        let world = self.world();
        let body = world.body(upload.new.data, upload.new.upload);
        let pending = world.catalog.begin_part(world.stamp(), &world.bucket, &at, number, body).await.unwrap();
        let extent = self.record(&pending, if large { 9 << 20 } else { 77 }).await;
        let world = self.world();
        match end {
            End::Commit => {
                let etag = format!("part-{}", self.ledger.len());
                let commit = PartCommit {
                    extent,
                    pages: Vec::new(),
                    etag,
                    checksums: Vec::new(),
                    judged: JudgingEpoch::default(),
                };
                let part = world.catalog.commit_part(world.stamp(), &pending, commit).await.unwrap();
                self.uploads[index].parts.insert(number, part);
            }
            End::Abandon => world.catalog.abandon(world.stamp(), &pending).await.unwrap(),
            End::Forget => self.forgotten.push(extent),
        }
        Ok(())
    }

    async fn complete(&mut self, index: usize, keep: u8) -> Checked {
        let Some(ModelUpload { key: at, upload, parts }) = self.uploads.get(index) else { return Ok(()) };
        let kept: Vec<&Part> = parts.values().filter(|part| keep >> part.number & 1 == 1).collect();
        let requested: Vec<(u16, &str)> = kept.iter().map(|part| (part.number, part.etag.as_str())).collect();
        let world = self.world();
        let plan = world.plan(at, upload, &requested).await;
        let too_small = kept.split_last().is_some_and(|(_, rest)| rest.iter().any(|part| part.extent.bytes == 77));
        if kept.is_empty() {
            prop_assert!(matches!(plan, Err(CatalogError::NoParts)));
            return Ok(());
        }
        if too_small {
            let refused = matches!(plan, Err(CatalogError::EntityTooSmall { .. }));
            prop_assert!(refused);
            return Ok(());
        }
        let (head, outcome) = world.complete(plan.unwrap()).await.unwrap();
        let replaced = outcome.replaced.map(|replaced| replaced.etag);
        prop_assert_eq!(replaced, self.objects.get(at).map(|object| object.etag.clone()));
        let extents = kept.iter().map(|part| part.extent.clone()).collect();
        let object = ModelObject { etag: head.object.etag, extents };
        let at = self.uploads.swap_remove(index).key;
        self.objects.insert(at, object);
        Ok(())
    }

    async fn list(&self, prefix: String, delimiter: Option<String>, max_keys: usize, by_token: bool) -> Checked {
        let mut expected = BTreeSet::new();
        for at in self.objects.keys().filter(|at| at.starts_with(&prefix)) {
            let rest = &at[prefix.len()..];
            let group = delimiter.as_ref().and_then(|d| rest.find(d).map(|found| found + d.len()));
            expected.insert(group.map_or((at.clone(), false), |end| (at[..prefix.len() + end].to_owned(), true)));
        }
        let mut seen = Vec::new();
        let mut start = ListStart::Beginning;
        loop {
            let query = ListQuery { prefix: prefix.clone(), delimiter: delimiter.clone(), start, max_keys };
            let page = self.world().catalog.list_objects(&self.world().bucket, query).await.unwrap();
            let mut entries: Vec<_> = page.objects.iter().map(|object| (object.key.clone(), false)).collect();
            for object in &page.objects {
                prop_assert_eq!(&object.etag, &self.objects[&object.key].etag);
            }
            entries.extend(page.common_prefixes.iter().map(|group| (group.clone(), true)));
            entries.sort();
            prop_assert!(entries.len() == max_keys || !page.truncated);
            seen.extend(entries);
            prop_assert_eq!(page.truncated, seen.len() < expected.len());
            start = match (page.next_token, page.next_marker) {
                (Some(token), _) if by_token => ListStart::Token(token),
                (_, Some(marker)) => ListStart::After(marker),
                _ => break,
            };
        }
        prop_assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
        Ok(())
    }

    /// Extents that can be read or continued.
    fn live(&self) -> impl Iterator<Item = &Extent> {
        let objects = self.objects.values().flat_map(|object| &object.extents);
        let parts = self.uploads.iter().flat_map(|upload| upload.parts.values().map(|part| &part.extent));
        objects.chain(parts).chain(&self.forgotten)
    }

    async fn sweep(&mut self, wait: bool) -> Checked {
        if wait {
            self.world().clock.advance(GRACE_MILLIS);
        }
        let swept = self.world().sweep(&[self.process]).await;
        let live: BTreeSet<ShardAt> = self.live().flat_map(|extent| self.all_moved(extent)).collect();
        prop_assert!(swept.iter().all(|shard| !live.contains(shard)), "a live shard was swept");
        self.swept.extend(swept);
        Ok(())
    }

    /// All shards of an extent, where they are now.
    fn all_moved(&self, extent: &Extent) -> Vec<ShardAt> {
        all_shards(extent).into_iter().map(|shard| self.moved_shard(shard)).collect()
    }

    fn moved_shard(&self, shard: ShardAt) -> ShardAt {
        ShardAt { node: self.moved.get(&shard.cid).copied().unwrap_or(shard.node), ..shard }
    }

    fn moved_page(&self, mut page: ExtentPage) -> ExtentPage {
        page.segments.iter_mut().flatten().for_each(|shard| *shard = self.moved_shard(*shard));
        page
    }

    /// Moves a shard of the first page of an extent, if somebody needs it, and has the old copy deleted. A repair that stops
    /// half-way is taken up by the same repair, as its target is on the page.
    async fn mend(&mut self, back: usize, position: usize, node: u8, commit: bool) -> Checked {
        let Some(extent) = self.ledger.iter().rev().nth(back).cloned() else { return Ok(()) };
        let world = self.world();
        let needed = self.live().any(|live| live.id == extent.id);
        let being_written = self.forgotten.iter().any(|forgotten| forgotten.id == extent.id);
        let at = PageAt { extent: extent.id, page: 0 };
        let found = world.catalog.mendable(at).await.unwrap();
        // Parts that a completion left out are found, too, until the sweeper unfolds them.
        prop_assert!(found.is_some() || !needed || being_written);
        let Some(found) = found else { return Ok(()) };
        let from = found.page.segments[0][position];
        let to = ShardAt { node: NodeId::from_public_key([node; 32]), ..from };
        if from == to {
            return Ok(());
        }
        let lease = world.lease();
        let announced = world.catalog.announce_copies(&lease, &found, LAW, vec![to]).await.unwrap();
        prop_assert_eq!(announced, Announced::Recorded);
        let moved = Move { segment: 0, shard: position, from, to, cause: ResidueCause::Lost };
        let (moves, given_up) = if commit { (vec![moved], vec![]) } else { (vec![], vec![(to, ResidueCause::Stray)]) };
        prop_assert!(world.catalog.commit_moves(&lease, &found, LAW, moves, given_up, world.now()).await.unwrap());
        let old = if commit { from } else { to };
        let orders = world.catalog.residue_of(&old.node, None, 10).await.unwrap();
        prop_assert_eq!(orders.iter().map(|order| order.shard).collect::<Vec<_>>(), [old]);
        let gone = orders.iter().map(|order| Gone { data: order.data, shard: order.shard, receipt: None }).collect();
        world.catalog.finish_deletions(&lease, gone).await.unwrap();
        self.dropped.extend(orders.iter().map(|order| order.shard));
        self.left.insert(old);
        if commit {
            self.moved.insert(to.cid, to.node);
        }
        Ok(())
    }

    /// The process ends without a word, and another starts.
    fn restart(&mut self) {
        let World { bucket, clock, ids, catalog } = self.world.take().unwrap();
        drop(catalog);
        self.process += 1;
        let catalog = World::catalog((self.reopen)(), self.process);
        self.world = Some(World { catalog, bucket, clock, ids });
        self.forgotten.clear();
    }

    /// Everything that is not live must have been swept, every object must be readable, and no row must be left over.
    async fn settle(&mut self) -> Checked {
        self.restart();
        self.world().clock.advance(complete::COMPLETION_KEPT_MILLIS);
        self.sweep(true).await?;
        let world = self.world();
        for (at, object) in &self.objects {
            let head = world.catalog.get_object(&world.bucket, &key(at)).await.unwrap();
            prop_assert_eq!(&head.object.etag, &object.etag);
            let spans = world.catalog.spans(&head, 0..u64::MAX).await.unwrap();
            let extents: Vec<_> = spans.iter().map(|span| span.extent.clone()).collect();
            prop_assert_eq!(&extents, &object.extents);
            for extent in &extents {
                let stored = world.catalog.extent_pages(extent, 0..extent.pages()).await.unwrap();
                let expected: Vec<_> = pages(extent).into_iter().map(|(_, page)| self.moved_page(page)).collect();
                prop_assert_eq!(stored, expected);
            }
        }
        let live: BTreeSet<ExtentId> = self.live().map(|extent| extent.id).collect();
        let gone = self.ledger.iter().filter(|extent| !live.contains(&extent.id));
        prop_assert_eq!(&self.swept, &gone.flat_map(|extent| self.all_moved(extent)).collect());
        let live: BTreeMap<ExtentId, u32> = self.live().map(|extent| (extent.id, extent.pages())).collect();
        let pages: usize = live.values().map(|pages| usize::try_from(*pages).unwrap()).sum();
        let claims = self.objects.len() + self.uploads.len();
        let held: BTreeSet<(ExtentId, u32, NodeId)> = self
            .live()
            .flat_map(pages_with_numbers)
            .flat_map(|(id, number, page)| {
                self.moved_page(page).shards().map(move |at| (id, number, at.node)).collect::<Vec<_>>()
            })
            .collect();
        let parts: usize = self.uploads.iter().map(|upload| upload.parts.len()).sum();
        let counted = [b's', b'e', b'w', b'g', b'p', b'u', b'o', b'd', b'x', b'm', b'z', b'D']
            .map(|table| world.rows(table).len());
        let (uploads, objects) = (self.uploads.len(), self.objects.len());
        prop_assert_eq!(counted, [0, pages, 0, 0, parts, uploads, objects, claims, live.len(), held.len(), 0, 0]);
        prop_assert_eq!(&self.dropped, &self.left);
        Ok(())
    }
}

fn pages_with_numbers(extent: &Extent) -> Vec<(ExtentId, u32, ExtentPage)> {
    pages(extent).into_iter().map(|(number, page)| (extent.id, number, page)).collect()
}

fn check(reopen: Reopen, clock: TestClock, steps: Vec<Step>) -> Checked {
    run(async {
        let mut run = Run::new(reopen, clock).await;
        for step in steps {
            run.step(step).await?;
        }
        run.settle().await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_catalog_in_memory_behaves_as_the_model(steps in prop::collection::vec(a_step(), 1..60)) {
        let (store, clock) = on_memory();
        check(Box::new(move || Arc::clone(&store)), clock, steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_catalog_on_rocksdb_behaves_as_the_model_over_restarts(steps in prop::collection::vec(a_step(), 1..60)) {
        let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
        let store_clock = clock.store_clock();
        // Opening fails while the store of before is open, so every restart really closes and opens.
        let reopen = move || {
            let config = RocksConfig::new(dir.path().join("state"));
            let store: Arc<dyn Store> = Arc::new(RocksStore::open(&config, Arc::clone(&store_clock)).unwrap());
            store
        };
        check(Box::new(reopen), clock, steps)?;
    }
}
