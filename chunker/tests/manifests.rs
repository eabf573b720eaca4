//! Manifests from end to end: parts assembled, sealed in pages, walked by ranges that open only the pages they touch.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "all of this file is tests, of which the lints see only the functions marked so"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_chunker::*;
use domicile_types::{BucketName, CodeProfile, DataId, ObjectKey, PackId, ShardCid, SuiteId, TenantId, UploadId};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

struct Fixture {
    tenant: TenantId,
    bucket: BucketName,
    key: ObjectKey,
}

impl Fixture {
    fn new() -> Self {
        Self {
            tenant: TenantId::parse("tenant-a").unwrap(),
            bucket: BucketName::parse("training").unwrap(),
            key: ObjectKey::parse("set/0001.tar").unwrap(),
        }
    }

    fn object(&self) -> ObjectName<'_> {
        ObjectName { tenant: &self.tenant, bucket: &self.bucket, key: &self.key, version: "null" }
    }

    fn part(&self, part: u32) -> PartContext {
        PartContext { tenant: self.tenant.clone(), data: new().data, upload: new().upload, part }
    }
}

fn new() -> NewManifest {
    NewManifest {
        data: DataId::from_bytes([1; 16]),
        upload: UploadId::from_bytes([2; 16]),
        packs: vec![PackId::parse("eu-gdpr").unwrap()],
    }
}

fn data_key() -> DataKey {
    DataKey::from_bytes([3; 32])
}

fn seal_id(n: u32) -> SealId {
    let mut bytes = [7; SealId::BYTES];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SealId::from_random(bytes)
}

/// Made-up records: the manifest does not look into them.
fn records(bytes: u64, suite: SuiteId, profile: CodeProfile, salt: u8) -> Vec<SegmentRecord> {
    let cut = Cut::new(profile, bytes);
    (0..cut.segments())
        .map(|at| {
            let layout = cut.layout(at).unwrap();
            let index = u32::try_from(at).unwrap();
            let names = if profile.k() == 1 { 1 } else { profile.n() };
            let cid = |shard| ShardCid::of(&[&[salt][..], &index.to_be_bytes(), &[shard]].concat());
            let final_tag = if layout.is_full() { [salt; TAG_BYTES] } else { [0; TAG_BYTES] };
            SegmentRecord {
                index,
                layout,
                suite,
                salt: [salt; 24],
                commitment: [salt ^ 1; 32],
                final_tag,
                cids: (0..u8::try_from(names).unwrap()).map(cid).collect(),
            }
        })
        .collect()
}

/// What a store holds, and which pages were read from it.
#[derive(Default)]
struct Store {
    head: Vec<u8>,
    pages: BTreeMap<PageName, Vec<u8>>,
    loads: Vec<PageName>,
}

impl Store {
    fn keep(&mut self, pages: Vec<SealedPage>) {
        for page in pages {
            assert!(page.bytes.len() <= SEALED_VALUE_BYTES_MAX);
            assert!(self.pages.insert(page.name, page.bytes).is_none(), "two pages of one name");
        }
    }

    fn keep_all(&mut self, sealed: SealedManifest) {
        assert!(sealed.head.len() <= SEALED_VALUE_BYTES_MAX);
        self.head = sealed.head;
        self.keep(sealed.pages);
    }

    fn read(&mut self, mut plan: ReadPlan) -> Vec<SegmentRead> {
        let mut reads = Vec::new();
        loop {
            match plan.step().unwrap() {
                ReadStep::Done => return reads,
                ReadStep::Segment(read) => reads.push(read),
                ReadStep::Page(name) => {
                    assert_eq!(plan.step().unwrap(), ReadStep::Page(name), "asking again gives the same page");
                    self.loads.push(name);
                    plan.supply(&data_key(), name, &self.pages[&name]).unwrap();
                }
            }
        }
    }
}

/// Every part's records as they were sealed, by part number.
type Truth = Vec<(u32, Vec<SegmentRecord>)>;

/// Checks `reads` byte by byte of their positions against the parts in order.
fn assert_reads(reads: &[SegmentRead], truth: &Truth, range: std::ops::Range<u64>) {
    let mut at = range.start;
    let mut start = 0;
    let mut reads = reads.iter();
    for (part, records) in truth {
        for record in records {
            let end = start + record.plaintext_bytes() as u64;
            if !range.is_empty() && start < range.end && end > range.start {
                let read = reads.next().expect("a read for every touched segment");
                assert_eq!((read.context().part, read.context().segment), (*part, record.index));
                assert_eq!(read.record(), record);
                assert_eq!(read.object_offset(), at);
                let wanted = (range.start.max(start) - start) as usize..(range.end.min(end) - start) as usize;
                assert_eq!(read.wanted(), wanted);
                at += wanted.len() as u64;
            }
            start = end;
        }
    }
    assert!(reads.next().is_none(), "no read too many");
    assert_eq!(at, range.end);
}

fn put_whole(fixture: &Fixture, bytes: u64, profile: CodeProfile) -> (Store, Arc<Manifest>, Truth) {
    let records = records(bytes, SuiteId::Aes256Gcm, profile, 9);
    let part = Part::assemble(PART_WHOLE, records.clone(), seal_id(0)).unwrap();
    let mut store = Store::default();
    store.keep_all(seal_object(&data_key(), &fixture.object(), new(), part, [4; 24]).unwrap());
    let manifest = Arc::new(open_manifest(&data_key(), &fixture.object(), &store.head).unwrap());
    (store, manifest, vec![(PART_WHOLE, records)])
}

fn put_parts(fixture: &Fixture, lengths: &[(u32, u64)]) -> (Store, Arc<Manifest>, Truth) {
    let mut store = Store::default();
    let (mut entries, mut truth) = (Vec::new(), Vec::new());
    for (number, bytes) in lengths {
        let profile = if *bytes <= 32 << 10 { CodeProfile::new(1, 2).unwrap() } else { CodeProfile::RS_4_2 };
        let records = records(*bytes, SuiteId::default(), profile, (number % 251) as u8);
        let part = Part::assemble(*number, records.clone(), seal_id(*number)).unwrap();
        store.keep(seal_part(&data_key(), &fixture.part(*number), &part).unwrap());
        let entry = PartEntry::decode(&part.entry().encode()).unwrap();
        assert_eq!(entry, *part.entry());
        assert_eq!(entry, PartEntry::new(*number, *bytes, SuiteId::default(), profile, seal_id(*number)));
        entries.push(entry);
        truth.push((*number, records));
    }
    let table = seal_id(u32::MAX);
    store.keep_all(seal_multipart(&data_key(), &fixture.object(), new(), &entries, table, [4; 24]).unwrap());
    let manifest = Arc::new(open_manifest(&data_key(), &fixture.object(), &store.head).unwrap());
    assert_eq!(manifest.parts(), Some(u32::try_from(lengths.len()).unwrap()));
    (store, manifest, truth)
}

#[test]
fn a_small_object_is_one_value() {
    let fixture = Fixture::new();
    let (mut store, manifest, truth) = put_whole(&fixture, 248 << 20, CodeProfile::RS_4_2);
    assert!(store.pages.is_empty() && manifest.pages().is_empty());
    assert_eq!((manifest.data(), manifest.upload()), (new().data, new().upload));
    assert_eq!(manifest.packs(), new().packs);
    assert_reads(&store.read(manifest.plan_all()), &truth, 0..248 << 20);
}

#[test]
fn an_empty_object_has_no_segments() {
    let fixture = Fixture::new();
    let (mut store, manifest, truth) = put_whole(&fixture, 0, CodeProfile::RS_4_2);
    assert_eq!(manifest.bytes(), 0);
    assert_reads(&store.read(manifest.plan_all()), &truth, 0..0);
    assert!(manifest.plan_read(0..1).is_err());
}

#[test]
fn a_range_read_loads_one_page_per_276_mib_and_no_more() {
    let fixture = Fixture::new();
    let bytes = (5 << 30) - 5;
    let (mut store, manifest, truth) = put_whole(&fixture, bytes, CodeProfile::RS_4_2);
    assert_eq!(store.pages.len(), 19);
    assert_eq!(segments_per_page(CodeProfile::RS_4_2), 69);
    assert_eq!(manifest.pages(), store.pages.keys().copied().collect::<Vec<_>>());
    for (range, pages) in [
        (0..1, 1),
        ((276 << 20) - 1..(276 << 20), 1),
        ((276 << 20) - 1..(276 << 20) + 1, 2),
        (bytes - 65_536..bytes, 1),
        (0..bytes, 19),
        (7..7, 0),
    ] {
        store.loads.clear();
        let reads = store.read(manifest.plan_read(range.clone()).unwrap());
        assert_reads(&reads, &truth, range);
        assert_eq!(store.loads.len(), pages);
    }
}

#[test]
fn an_object_of_10000_parts_is_completed_with_18_pages_and_read_by_two() {
    let fixture = Fixture::new();
    let lengths: Vec<_> = (1..=10_000).map(|number| (number, 5 << 20)).collect();
    let (mut store, manifest, truth) = put_parts(&fixture, &lengths);
    assert_eq!(manifest.pages().len(), 18);
    assert_eq!(store.pages.len(), 10_018);
    let middle = manifest.bytes() / 2 - 100..manifest.bytes() / 2 - 30;
    assert_reads(&store.read(manifest.plan_read(middle.clone()).unwrap()), &truth, middle);
    assert_eq!(store.loads.len(), 2);
    assert_reads(&store.read(manifest.plan_all()), &truth, 0..manifest.bytes());
}

#[test]
fn a_page_that_was_not_asked_for_is_refused() {
    let fixture = Fixture::new();
    let (store, manifest, _) = put_whole(&fixture, 1 << 30, CodeProfile::RS_4_2);
    let mut plan = manifest.plan_all();
    let page = manifest.pages()[1];
    let refused = Err(ReadError::PageNotAsked { page });
    assert_eq!(plan.supply(&data_key(), page, &store.pages[&page]), refused);
    assert!(matches!(plan.step(), Ok(ReadStep::Page(first)) if first.page == 0));
    assert_eq!(plan.supply(&data_key(), page, &store.pages[&page]), refused);
}

#[test]
fn a_copy_within_its_tenant_shares_pages_and_has_its_own_head() {
    let fixture = Fixture::new();
    let (mut store, manifest, truth) = put_whole(&fixture, 1 << 30, CodeProfile::RS_4_2);
    let key = ObjectKey::parse("copy").unwrap();
    let name = ObjectName { key: &key, ..fixture.object() };
    let head = manifest.seal_head(&data_key(), &name, [5; 24]).unwrap();
    assert_eq!(open_manifest(&data_key(), &fixture.object(), &head), Err(ManifestError::Forged));
    let copy = Arc::new(open_manifest(&data_key(), &name, &head).unwrap());
    assert_reads(&store.read(copy.plan_all()), &truth, 0..1 << 30);

    let tenant = TenantId::parse("tenant-b").unwrap();
    let elsewhere = ObjectName { tenant: &tenant, ..name };
    assert!(matches!(manifest.seal_head(&data_key(), &elsewhere, [6; 24]), Err(ManifestError::Limit { .. })));
}

#[test]
fn a_part_is_assembled_only_from_its_segments_in_order() {
    let good = records(9 << 20, SuiteId::default(), CodeProfile::RS_4_2, 1);
    let assemble = |change: &dyn Fn(&mut Vec<SegmentRecord>)| {
        let mut records = good.clone();
        change(&mut records);
        Part::assemble(1, records, seal_id(1))
    };
    assert!(assemble(&|_| {}).is_ok());
    assert_eq!(assemble(&|r| r.swap(0, 1)), Err(PartError::OutOfOrder { at: 0, index: 1 }));
    assert_eq!(assemble(&|r| drop(r.remove(1))), Err(PartError::OutOfOrder { at: 1, index: 2 }));
    assert_eq!(assemble(&|r| r[1].suite = SuiteId::Aes256Gcm), Err(PartError::Mixed { at: 1 }));
    assert_eq!(assemble(&|r| r[1].layout = r[2].layout), Err(PartError::NotFull { at: 1 }));
    assert_eq!(assemble(&|r| r[1].cids.truncate(5)), Err(PartError::Names { at: 1, names: 5 }));
    assert_eq!(Part::assemble(10_001, vec![], seal_id(1)), Err(PartError::Number { number: 10_001 }));
}

#[test]
fn what_goes_over_a_limit_is_not_sealed() {
    let fixture = Fixture::new();
    let entry = |number| *Part::assemble(number, vec![], seal_id(number)).unwrap().entry();
    let seal = |new, entries: &[PartEntry]| {
        seal_multipart(&data_key(), &fixture.object(), new, entries, seal_id(0), [0; 24]).map(|_| ())
    };
    assert_eq!(seal(new(), &[entry(1), entry(2)]), Ok(()));
    let is_limit = |result| assert!(matches!(result, Err(ManifestError::Limit { .. })), "{result:?}");
    is_limit(seal(new(), &[]));
    is_limit(seal(new(), &[entry(2), entry(1)]));
    is_limit(seal(new(), &[entry(1), entry(1)]));
    is_limit(seal(new(), &[entry(PART_WHOLE)]));
    is_limit(seal(new(), &[PartEntry::new(10_001, 1, SuiteId::default(), CodeProfile::RS_4_2, seal_id(1))]));
    is_limit(seal(NewManifest { packs: [new().packs, new().packs].concat(), ..new() }, &[entry(1)]));
    let packs = (0..33).map(|i| PackId::parse(&format!("pack-{i}")).unwrap()).collect();
    is_limit(seal(NewManifest { packs, ..new() }, &[entry(1)]));
    let part = Part::assemble(1, vec![], seal_id(1)).unwrap();
    is_limit(seal_part(&data_key(), &fixture.part(2), &part).map(|_| ()));
    is_limit(seal_object(&data_key(), &fixture.object(), new(), part, [0; 24]).map(|_| ()));
}

fn config(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn any_range_of_any_parts_is_planned_as_the_parts_say(
        lengths in prop::collection::vec(prop_oneof![Just(0u64), 1u64..70_000, 1u64..40 << 20, Just(8u64 << 20)], 1..12),
        step in 1u32..700,
        range in any::<(u64, u64)>(),
    ) {
        let fixture = Fixture::new();
        let lengths: Vec<_> = (1..).step_by(step as usize).zip(lengths).collect();
        let (mut store, manifest, truth) = put_parts(&fixture, &lengths);
        let (a, b) = (range.0 % (manifest.bytes() + 1), range.1 % (manifest.bytes() + 1));
        let range = a.min(b)..a.max(b);
        assert_reads(&store.read(manifest.plan_read(range.clone()).unwrap()), &truth, range);
    }

    #[test]
    fn any_profile_pages_and_any_range_come_back(
        (k, m) in (1u8..60, 0u8..60),
        segments in 0u64..400,
        tail in 1u64..1 << 20,
        range in any::<(u64, u64)>(),
    ) {
        let fixture = Fixture::new();
        let profile = CodeProfile::new(k, m).unwrap();
        let bytes = segments * Cut::new(profile, 0).segment_bytes() + tail;
        let (mut store, manifest, truth) = put_whole(&fixture, bytes, profile);
        let (a, b) = (range.0 % (bytes + 1), range.1 % (bytes + 1));
        let range = a.min(b)..a.max(b);
        assert_reads(&store.read(manifest.plan_read(range.clone()).unwrap()), &truth, range);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let fixture = Fixture::new();
        prop_assert!(open_manifest(&data_key(), &fixture.object(), &bytes).is_err());
        prop_assert!(WrappedKey::parse(&bytes).is_err() || bytes.len() == WRAPPED_KEY_BYTES);
        if let Ok(entry) = PartEntry::decode(&bytes) {
            prop_assert_eq!(entry.encode(), bytes);
        }
    }
}
