//! The golden vectors: each good one seals to its bytes and opens, each bad one fails with the error its name promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "all of this file is tests, of which the lints see only the functions marked so"
)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use domicile_chunker::*;
use domicile_types::{
    BucketName, CodeProfile, DataId, ObjectKey, PackId, Place, ShardCid, SuiteId, TenantId, UploadId,
};
use serde_json::{Value, json};

fn vectors(prefix: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn hex<const N: usize>(value: &Value) -> [u8; N] {
    HEXLOWER.decode(text(value).as_bytes()).unwrap().try_into().unwrap()
}

fn base64(value: &Value) -> Vec<u8> {
    BASE64.decode(text(value).as_bytes()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i + (i >> 8)) & 255).unwrap()).collect()
}

fn key(vector: &Value) -> DataKey {
    DataKey::from_bytes(hex(&vector["data_key"]))
}

struct Segment {
    context: SegmentContext,
    record: SegmentRecord,
    shards: Option<Vec<Bytes>>,
}

fn segment(vector: &Value) -> Segment {
    let place = &vector["place"];
    let part = PartContext {
        tenant: TenantId::parse(text(&place["tenant"])).unwrap(),
        data: DataId::from_bytes(hex(&place["data"])),
        upload: UploadId::from_bytes(hex(&place["upload"])),
        part: u32::try_from(number(&place["part"])).unwrap(),
    };
    let context = part.segment(u32::try_from(number(&place["segment"])).unwrap());
    let profile = CodeProfile::parse(text(&vector["profile"])).unwrap();
    let suite = u8::try_from(number(&place["suite"])).unwrap();
    let cids = vector["cids"].as_array().unwrap().iter().map(|cid| ShardCid::from_digest(hex(cid))).collect();
    let record = SegmentRecord {
        index: context.segment,
        layout: SegmentLayout::new(profile, number(&vector["plaintext_bytes"])).unwrap(),
        suite: SuiteId::try_from(suite).unwrap(),
        salt: hex(&vector["salt"]),
        commitment: hex(&vector["commitment"]),
        final_tag: hex(&vector["final_tag"]),
        cids,
    };
    let shards = vector
        .get("shards")
        .map(|shards| shards.as_array().unwrap().iter().map(|shard| Bytes::from(base64(shard))).collect());
    Segment { context, record, shards }
}

#[test]
fn good_segments_seal_to_their_bytes_and_open() {
    let mut seen = 0;
    for (name, vector) in vectors("segment-") {
        if vector["expect"] != json!({"plaintext": "pattern"}) {
            continue;
        }
        seen += 1;
        let Segment { context, record, shards } = segment(&vector);
        let (profile, plaintext) = (record.profile(), pattern(record.plaintext_bytes()));
        let pool = BufferPool::new(sealed_bytes_max(profile), 1);
        let sealed =
            seal_segment(&key(&vector), &context, record.suite, profile, record.salt, &plaintext, &pool).unwrap();
        assert_eq!(sealed.record, record, "{name}");
        assert!(shards.is_none_or(|shards| shards == sealed.shards), "{name}: other shards");
        let read = SegmentRead::whole(context, Arc::new(record), 0);
        let mut slots: Vec<_> = sealed.shards.into_iter().map(Some).collect();
        let mut output = vec![0; plaintext.len()];
        assert_eq!(open_segment(&key(&vector), &read, &mut slots, &pool, &mut output), Ok(vec![]), "{name}");
        assert!(output == plaintext, "{name}: other plaintext");
    }
    assert_eq!(seen, 8);
}

#[test]
fn bad_segments_fail_with_the_error_of_their_fault() {
    let mut seen = 0;
    for (name, vector) in vectors("segment-") {
        let expect = &vector["expect"];
        if *expect == json!({"plaintext": "pattern"}) {
            continue;
        }
        seen += 1;
        let Segment { context, record, shards } = segment(&vector);
        let at = record.index;
        let plaintext = pattern(record.plaintext_bytes());
        let slots = shards.unwrap_or_else(|| vec![Bytes::from(vec![0; record.shard_bytes()]); record.profile().n()]);
        let mut slots: Vec<_> = slots.into_iter().map(Some).collect();
        let read = SegmentRead::whole(context, Arc::new(record), 0);
        let mut output = vec![0; plaintext.len()];
        let result = open_segment(&key(&vector), &read, &mut slots, &BufferPool::new(0, 0), &mut output);
        let Some(error) = expect.get("error") else {
            let corrupt: Vec<usize> = expect["corrupt"].as_array().unwrap().iter().map(number).collect();
            assert_eq!(result, Ok(corrupt), "{name}");
            assert!(output == plaintext, "{name}: other plaintext");
            continue;
        };
        let expected = match text(error) {
            "CommitmentMismatch" => OpenError::CommitmentMismatch { segment: at },
            "FinalTagForged" => OpenError::FinalTagForged { segment: at },
            "ChunkForged" => OpenError::ChunkForged { segment: at, chunk: number(&expect["chunk"]) },
            "TooFewShards" => {
                let (have, need) = (number(&expect["have"]), number(&expect["need"]));
                OpenError::Rebuild { segment: at, source: ReconstructError::TooFewShards { have, need } }
            }
            other => panic!("{name} expects {other}"),
        };
        assert_eq!(result, Err(expected), "{name}");
    }
    assert_eq!(seen, 19);
}

struct Names {
    tenant: TenantId,
    bucket: BucketName,
    key: ObjectKey,
    version: String,
}

impl Names {
    fn of(object: &Value) -> Self {
        Self {
            tenant: TenantId::parse(text(&object["tenant"])).unwrap(),
            bucket: BucketName::parse(text(&object["bucket"])).unwrap(),
            key: ObjectKey::parse(text(&object["key"])).unwrap(),
            version: text(&object["version"]).to_owned(),
        }
    }

    fn object(&self) -> ObjectName<'_> {
        ObjectName { tenant: &self.tenant, bucket: &self.bucket, key: &self.key, version: &self.version }
    }
}

#[test]
fn wrapped_keys_open_or_fail_with_the_error_of_their_fault() {
    let mut seen = 0;
    for (name, vector) in vectors("key-") {
        seen += 1;
        let names = Names::of(&vector["binding"]["object"]);
        let context = WrapContext {
            object: names.object(),
            kek_version: u32::try_from(number(&vector["binding"]["kek_version"])).unwrap(),
            jurisdiction: Place::parse(text(&vector["binding"]["jurisdiction"])).unwrap(),
        };
        let bytes = HEXLOWER.decode(text(&vector["wrapped"]).as_bytes()).unwrap();
        let kek = Kek::from_bytes(hex(&vector["kek"]));
        let opened = WrappedKey::parse(&bytes).and_then(|wrapped| unwrap_data_key(&kek, &context, &wrapped));
        match vector["expect"].get("error").map(text) {
            None => {
                // Keys do not show themselves: that it is the right one shows in what it wraps to, under the derived KEK.
                let root = RootKey::from_bytes(hex(&vector["root_key"]));
                let kek = root.tenant_key(&names.tenant, &context.jurisdiction).bucket_key(&names.bucket, 3);
                let again = wrap_data_key(&kek, &context, hex(&vector["nonce"]), &opened.unwrap());
                assert_eq!(again.as_bytes()[..], bytes, "{name}");
                let known = wrap_data_key(&kek, &context, hex(&vector["nonce"]), &key(&vector["expect"]));
                assert_eq!(again, known, "{name}");
            }
            Some("WrongKek") => assert_eq!(opened.unwrap_err(), UnwrapError::WrongKek, "{name}"),
            Some("WrongContext") => assert_eq!(opened.unwrap_err(), UnwrapError::WrongContext, "{name}"),
            Some("Length") => assert_eq!(opened.unwrap_err(), UnwrapError::Length { bytes: 104 }, "{name}"),
            Some("Version") => assert_eq!(opened.unwrap_err(), UnwrapError::Version { version: 2 }, "{name}"),
            Some(other) => panic!("{name} expects {other}"),
        }
    }
    assert_eq!(seen, 11);
}

/// Opens the head and walks all of it, or the range that the vector wants; gives the number of segments.
fn walk(vector: &Value) -> Result<(Arc<Manifest>, usize), (Option<PageName>, ManifestError)> {
    let names = Names::of(&vector["object"]);
    let head = base64(&vector["head"]);
    let manifest = Arc::new(open_manifest(&key(vector), &names.object(), &head).map_err(|error| (None, error))?);
    let range = match vector.get("read") {
        None => 0..manifest.bytes(),
        Some(range) => range[0].as_u64().unwrap()..range[1].as_u64().unwrap(),
    };
    let mut plan = manifest.plan_read(range).unwrap();
    let mut segments = 0;
    loop {
        match plan.step().unwrap() {
            ReadStep::Done => return Ok((manifest, segments)),
            ReadStep::Segment(_) => segments += 1,
            ReadStep::Page(name) => {
                let row = vector["pages"].as_array().unwrap().iter().find(|row| {
                    hex(&row["seal"]) == *name.seal.as_bytes() && number(&row["page"]) == name.page as usize
                });
                match plan.supply(&key(vector), name, &base64(&row.expect("page")["bytes"])) {
                    Ok(()) => {}
                    Err(ReadError::Page { page, source }) => return Err((Some(page), source)),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn manifests_open_or_fail_with_the_error_of_their_fault() {
    let mut seen = 0;
    for (name, vector) in vectors("manifest-") {
        seen += 1;
        let expect = &vector["expect"];
        let result = walk(&vector);
        let Some(error) = expect.get("error").map(text) else {
            let (manifest, segments) = result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(json!(manifest.bytes()), expect["bytes"], "{name}");
            assert_eq!(json!(manifest.packs()), expect["packs"], "{name}");
            assert_eq!(json!(segments), expect["segments"], "{name}");
            assert_eq!(json!(manifest.parts()), expect.get("parts").cloned().unwrap_or(Value::Null), "{name}");
            let names = Names::of(&vector["object"]);
            let again = manifest.seal_head(&key(&vector), &names.object(), hex(&vector["nonce"])).unwrap();
            assert!(again == base64(&vector["head"]), "{name}: sealing gives another head");
            continue;
        };
        let (page, got) = result.err().unwrap_or_else(|| panic!("{name} opened"));
        assert_eq!(page.map(|page| page.page as usize), expect.get("page").map(number), "{name}");
        match (error, got) {
            ("Forged", ManifestError::Forged) | ("Length", ManifestError::Length { .. }) => {}
            ("Version", ManifestError::Version { version: 2 }) => {}
            ("Malformed", ManifestError::Malformed { field }) => assert_eq!(field, text(&expect["field"]), "{name}"),
            (_, got) => panic!("{name} gave {got:?}"),
        }
    }
    assert_eq!(seen, 34);
}

#[test]
fn pages_seal_to_their_bytes() {
    for name in ["manifest-paged", "manifest-tabled"] {
        let (_, vector) = vectors(name).into_iter().next().unwrap();
        let (manifest, names) = (walk(&vector).unwrap().0, Names::of(&vector["object"]));
        let new = NewManifest {
            data: manifest.data(),
            upload: manifest.upload(),
            packs: ["cn-data-export", "eu-gdpr"].map(|pack| PackId::parse(pack).unwrap()).into(),
        };
        let nonce = hex(&vector["nonce"]);
        let sealed = if let Some(entry) = manifest.whole() {
            let part = Part::assemble(PART_WHOLE, records(&manifest, &vector), entry.seal()).unwrap();
            seal_object(&key(&vector), &names.object(), new, part, nonce).unwrap()
        } else {
            // Part n has 3 bytes and the seal id n.
            let entry = |n: u32| {
                let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 1, 2];
                bytes[..2].copy_from_slice(&n.to_be_bytes()[2..]);
                bytes.extend_from_slice(&[0; 16]);
                bytes.extend_from_slice(&n.to_be_bytes());
                PartEntry::decode(&bytes).unwrap()
            };
            let entries: Vec<_> = (1..560).map(entry).collect();
            let table = manifest.pages()[0].seal;
            seal_multipart(&key(&vector), &names.object(), new, &entries, table, nonce).unwrap()
        };
        assert!(sealed.head == base64(&vector["head"]), "{name}: another head");
        for (page, row) in sealed.pages.iter().zip(vector["pages"].as_array().unwrap()) {
            assert!(page.bytes == base64(&row["bytes"]), "{name}: another page {:?}", page.name);
        }
        assert_eq!(sealed.pages.len(), 2);
    }
}

fn records(manifest: &Arc<Manifest>, vector: &Value) -> Vec<SegmentRecord> {
    let mut plan = manifest.plan_all();
    let mut records = Vec::new();
    loop {
        match plan.step().unwrap() {
            ReadStep::Done => return records,
            ReadStep::Segment(read) => records.push(read.record().clone()),
            ReadStep::Page(name) => {
                let row = &vector["pages"][name.page as usize];
                plan.supply(&key(vector), name, &base64(&row["bytes"])).unwrap();
            }
        }
    }
}
