//! Version 1 of the encodings inside the seal. Integers are big-endian; FORMAT.md has the tables.

use domicile_types::{CodeProfile, DataId, PackId, ShardCid, SuiteId, TenantId, UploadId};

use super::wire::Reader;
use super::{Content, Manifest, ManifestError, OBJECT_BYTES_MAX, PACKS_MAX, PARTS_MAX, Part, PartEntry, SealId, Table};
use crate::layout::{TAG_BYTES, widen};
use crate::message::{COMMITMENT_BYTES, SALT_BYTES};
use crate::segment::{PART_WHOLE, SegmentRecord};

/// The version byte of heads and pages.
pub(super) const VERSION: u8 = 1;
/// number 2, bytes 8, suite 1, k 1, m 1, seal 20.
pub(super) const ENTRY_BYTES: usize = 13 + SealId::BYTES;
/// What records (or entries) may take on a page. A row of 64 KiB holds a page, beside it every shard's name and node once more, and
/// each node's identity (67 bytes a shard at the most), and 8 KiB for strays: 18 KiB leave room for that under every profile.
const PAGE_BYTES_MAX: usize = 18 * 1024;
/// What records (or entries) may take in a head.
const INLINE_BYTES_MAX: usize = 16 * 1024;
const PARTS_PER_PAGE: usize = PAGE_BYTES_MAX / ENTRY_BYTES;
const PARTS_INLINE_MAX: usize = INLINE_BYTES_MAX / ENTRY_BYTES;

const INLINE: u8 = 0;
const PAGED: u8 = 1;
const LISTED: u8 = 2;
const TABLED: u8 = 3;

/// Suite and profile that stand in the entry of an empty part, which has no segments.
pub(super) fn empty_part() -> (SuiteId, CodeProfile) {
    (SuiteId::ChaCha20Poly1305, CodeProfile::RS_4_2)
}

/// The longest record of a profile: that of a full segment.
const fn record_bytes_max(profile: CodeProfile) -> usize {
    SALT_BYTES + COMMITMENT_BYTES + TAG_BYTES + 32 * SegmentRecord::cids_kept(profile)
}

/// How many segments a page holds; the last page may hold fewer.
pub(super) const fn segments_per_page(profile: CodeProfile) -> u64 {
    widen(PAGE_BYTES_MAX / record_bytes_max(profile))
}

/// How many pages the records of a part take.
pub(super) fn segment_pages(entry: &PartEntry) -> u32 {
    u32::try_from(entry.cut().segments().div_ceil(segments_per_page(entry.profile))).unwrap_or(u32::MAX)
}

/// How many pages a table of `parts` takes.
pub(super) fn table_pages(parts: u32) -> u32 {
    parts.div_ceil(u32::try_from(PARTS_PER_PAGE).unwrap_or(u32::MAX))
}

/// Whether the records of an object put whole stand in its head.
pub(super) fn fits_inline(entry: &PartEntry) -> bool {
    entry.cut().segments() <= widen(INLINE_BYTES_MAX / record_bytes_max(entry.profile))
}

/// Whether this many entries stand in the head.
pub(super) const fn parts_fit_inline(parts: usize) -> bool {
    parts <= PARTS_INLINE_MAX
}

/// The entries of each page of a table.
pub(super) fn table_chunks(entries: &[(u64, PartEntry)]) -> impl Iterator<Item = &[(u64, PartEntry)]> {
    entries.chunks(PARTS_PER_PAGE)
}

/// How many entries page `page` of a table of `parts` holds.
fn entries_on_page(parts: u32, page: u32) -> usize {
    let parts = usize::try_from(parts).unwrap_or(0);
    let before = usize::try_from(page).unwrap_or(usize::MAX).saturating_mul(PARTS_PER_PAGE);
    parts.saturating_sub(before).min(PARTS_PER_PAGE)
}

pub(super) fn encode_entry(entry: &PartEntry) -> Vec<u8> {
    let number = u16::try_from(entry.number).unwrap_or(u16::MAX);
    let (k, m) = split(entry.profile);
    let mut out = Vec::with_capacity(ENTRY_BYTES);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&entry.bytes.to_be_bytes());
    out.extend_from_slice(&[entry.suite.into(), k, m]);
    out.extend_from_slice(entry.seal.as_bytes());
    out
}

pub(super) fn decode_entry(bytes: &[u8]) -> Result<PartEntry, ManifestError> {
    let mut reader = Reader::new(bytes);
    let entry = read_entry(&mut reader)?;
    reader.end().map(|()| entry)
}

fn read_entry(reader: &mut Reader<'_>) -> Result<PartEntry, ManifestError> {
    let number = u32::from(reader.u16("part number")?);
    if number > PARTS_MAX {
        return Err(ManifestError::Malformed { field: "part number" });
    }
    let bytes = reader.u64("part length")?;
    if bytes > OBJECT_BYTES_MAX {
        return Err(ManifestError::Malformed { field: "part length" });
    }
    let [suite, k, m] = reader.array("suite and profile")?;
    let suite = SuiteId::try_from(suite).map_err(|_| ManifestError::Malformed { field: "suite" })?;
    let profile = CodeProfile::new(k, m).map_err(|_| ManifestError::Malformed { field: "profile" })?;
    if bytes == 0 && (suite, profile) != empty_part() {
        return Err(ManifestError::Malformed { field: "suite or profile of an empty part" });
    }
    let seal = SealId(reader.array("seal id")?);
    Ok(PartEntry { number, bytes, suite, profile, seal })
}

/// Entries in ascending order of part numbers, with their offsets, the first of which is `start`.
fn read_entries(reader: &mut Reader<'_>, count: usize, start: u64) -> Result<Vec<(u64, PartEntry)>, ManifestError> {
    let mut entries: Vec<(u64, PartEntry)> = Vec::with_capacity(count.min(PARTS_PER_PAGE));
    let (mut offset, mut before) = (start, PART_WHOLE);
    for _ in 0..count {
        let entry = read_entry(reader)?;
        if entry.number <= before {
            return Err(ManifestError::Malformed { field: "order of part numbers" });
        }
        before = entry.number;
        entries.push((offset, entry));
        offset = end_of(offset, &entry)?;
    }
    Ok(entries)
}

/// Where a part that begins at `offset` ends.
pub(super) fn end_of(offset: u64, entry: &PartEntry) -> Result<u64, ManifestError> {
    let end = offset.checked_add(entry.bytes).filter(|end| *end <= OBJECT_BYTES_MAX);
    end.ok_or(ManifestError::Malformed { field: "object length" })
}

pub(super) fn encode_entries(entries: &[(u64, PartEntry)]) -> Vec<u8> {
    entries.iter().flat_map(|(_, entry)| encode_entry(entry)).collect()
}

/// The entries of page `page` of a table.
pub(super) fn decode_parts_page(
    table: &Table,
    page: u32,
    bytes: &[u8],
) -> Result<Vec<(u64, PartEntry)>, ManifestError> {
    let start = usize::try_from(page).ok().and_then(|page| table.starts.get(page)).copied();
    let start = start.ok_or(ManifestError::Malformed { field: "page number" })?;
    let mut reader = Reader::new(bytes);
    let entries = read_entries(&mut reader, entries_on_page(table.parts, page), start)?;
    reader.end().map(|()| entries)
}

pub(super) fn encode_records(records: &[SegmentRecord]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        out.extend_from_slice(&record.salt);
        out.extend_from_slice(&record.commitment);
        if record.layout.is_full() {
            out.extend_from_slice(&record.final_tag);
        }
        record.cids.iter().for_each(|cid| out.extend_from_slice(cid.digest()));
    }
    out
}

/// The records on page `page` of a part.
pub(super) fn decode_segments_page(
    entry: &PartEntry,
    page: u32,
    bytes: &[u8],
) -> Result<Vec<SegmentRecord>, ManifestError> {
    if page >= segment_pages(entry) {
        return Err(ManifestError::Malformed { field: "page number" });
    }
    let per_page = segments_per_page(entry.profile);
    let first = u64::from(page) * per_page;
    let count = entry.cut().segments().saturating_sub(first).min(per_page);
    let mut reader = Reader::new(bytes);
    let records = read_records(&mut reader, entry, first, count)?;
    reader.end().map(|()| records)
}

fn read_records(
    reader: &mut Reader<'_>,
    entry: &PartEntry,
    first: u64,
    count: u64,
) -> Result<Vec<SegmentRecord>, ManifestError> {
    let mut records = Vec::new();
    for index in first..first + count {
        let layout = entry.cut().layout(index).map_err(|_| ManifestError::Malformed { field: "segment length" })?;
        let salt = reader.array("salt")?;
        let commitment = reader.array("commitment")?;
        let final_tag = if layout.is_full() { reader.array("final tag")? } else { [0; TAG_BYTES] };
        let cids = (0..SegmentRecord::cids_kept(entry.profile))
            .map(|_| reader.array("shard name").map(ShardCid::from_digest))
            .collect::<Result<_, _>>()?;
        let index = u32::try_from(index).map_err(|_| ManifestError::Malformed { field: "segment count" })?;
        records.push(SegmentRecord { index, layout, suite: entry.suite, salt, commitment, final_tag, cids });
    }
    Ok(records)
}

pub(super) fn encode_head(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(manifest.data.as_bytes());
    out.extend_from_slice(manifest.upload.as_bytes());
    out.extend_from_slice(&manifest.bytes.to_be_bytes());
    out.push(u8::try_from(manifest.packs.len()).unwrap_or(u8::MAX));
    for pack in &manifest.packs {
        out.push(u8::try_from(pack.as_str().len()).unwrap_or(u8::MAX));
        out.extend_from_slice(pack.as_str().as_bytes());
    }
    match &manifest.content {
        Content::Inline(part) => {
            out.push(INLINE);
            out.extend_from_slice(&encode_entry(&part.entry));
            out.extend_from_slice(&encode_records(&part.records));
        }
        Content::Paged(entry) => {
            out.push(PAGED);
            out.extend_from_slice(&encode_entry(entry));
        }
        Content::Listed(entries) => {
            out.push(LISTED);
            out.extend_from_slice(&u16::try_from(entries.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&encode_entries(entries));
        }
        Content::Tabled(table) => {
            out.push(TABLED);
            out.extend_from_slice(&u16::try_from(table.parts).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(table.seal.as_bytes());
            table.starts.iter().for_each(|start| out.extend_from_slice(&start.to_be_bytes()));
        }
    }
    out
}

pub(super) fn decode_head(tenant: TenantId, bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let mut reader = Reader::new(bytes);
    let data = DataId::from_bytes(reader.array("data id")?);
    let upload = UploadId::from_bytes(reader.array("upload id")?);
    let bytes = reader.u64("object length")?;
    let packs = read_packs(&mut reader)?;
    let (content, end) = match reader.u8("kind of content")? {
        INLINE => read_inline(&mut reader)?,
        PAGED => read_paged(&mut reader)?,
        LISTED => read_listed(&mut reader)?,
        TABLED => read_table(&mut reader, bytes)?,
        _ => return Err(ManifestError::Malformed { field: "kind of content" }),
    };
    if end != bytes || bytes > OBJECT_BYTES_MAX {
        return Err(ManifestError::Malformed { field: "object length" });
    }
    reader.end()?;
    Ok(Manifest { tenant, data, upload, packs, bytes, content })
}

fn read_packs(reader: &mut Reader<'_>) -> Result<Vec<PackId>, ManifestError> {
    let malformed = ManifestError::Malformed { field: "packs" };
    let count = usize::from(reader.u8("packs")?);
    if count > PACKS_MAX {
        return Err(malformed);
    }
    let mut packs: Vec<PackId> = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::from(reader.u8("packs")?);
        let text = std::str::from_utf8(reader.take(length, "packs")?).map_err(|_| malformed.clone())?;
        let pack = PackId::parse(text).map_err(|_| malformed.clone())?;
        if packs.contains(&pack) {
            return Err(malformed);
        }
        packs.push(pack);
    }
    Ok(packs)
}

fn read_whole(reader: &mut Reader<'_>) -> Result<PartEntry, ManifestError> {
    let entry = read_entry(reader)?;
    if entry.number == PART_WHOLE { Ok(entry) } else { Err(ManifestError::Malformed { field: "part number" }) }
}

fn read_inline(reader: &mut Reader<'_>) -> Result<(Content, u64), ManifestError> {
    let entry = read_whole(reader)?;
    if !fits_inline(&entry) {
        return Err(ManifestError::Malformed { field: "too many inline records" });
    }
    let records = read_records(reader, &entry, 0, entry.cut().segments())?;
    Ok((Content::Inline(Part { entry, records }), entry.bytes))
}

fn read_paged(reader: &mut Reader<'_>) -> Result<(Content, u64), ManifestError> {
    let entry = read_whole(reader)?;
    if fits_inline(&entry) {
        return Err(ManifestError::Malformed { field: "records that belong inline" });
    }
    Ok((Content::Paged(entry), entry.bytes))
}

fn read_listed(reader: &mut Reader<'_>) -> Result<(Content, u64), ManifestError> {
    let count = usize::from(reader.u16("part count")?);
    if count == 0 || !parts_fit_inline(count) {
        return Err(ManifestError::Malformed { field: "part count" });
    }
    let entries = read_entries(reader, count, 0)?;
    let end = entries.last().map_or(Ok(0), |(offset, entry)| end_of(*offset, entry))?;
    Ok((Content::Listed(entries), end))
}

/// The table's own pages say where the last part ends; until they are read, `bytes` is taken at its (sealed) word.
fn read_table(reader: &mut Reader<'_>, bytes: u64) -> Result<(Content, u64), ManifestError> {
    let parts = u32::from(reader.u16("part count")?);
    if parts > PARTS_MAX || usize::try_from(parts).is_ok_and(parts_fit_inline) {
        return Err(ManifestError::Malformed { field: "part count" });
    }
    let seal = SealId(reader.array("seal id")?);
    let starts: Vec<u64> = (0..table_pages(parts)).map(|_| reader.u64("start of a page")).collect::<Result<_, _>>()?;
    let ascending = starts.first() == Some(&0) && starts.is_sorted() && starts.last().is_some_and(|s| *s <= bytes);
    if !ascending {
        return Err(ManifestError::Malformed { field: "start of a page" });
    }
    Ok((Content::Tabled(Table { parts, seal, starts }), bytes))
}

/// k and m as bytes. A profile has at most 128 shards.
fn split(profile: CodeProfile) -> (u8, u8) {
    (u8::try_from(profile.k()).unwrap_or(u8::MAX), u8::try_from(profile.m()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant() -> TenantId {
        TenantId::parse("tenant-a").unwrap()
    }

    fn entry(number: u16, bytes: u64, k: u8) -> Vec<u8> {
        let mut out = number.to_be_bytes().to_vec();
        out.extend_from_slice(&bytes.to_be_bytes());
        out.extend_from_slice(&[1, k, 2]);
        out.extend_from_slice(&[7; SealId::BYTES]);
        out
    }

    /// Heads of every kind, as bytes.
    fn any_head() -> impl Strategy<Value = Vec<u8>> {
        let kinds = prop_oneof![
            Just((5 << 20, [&[INLINE][..], &entry(0, 5 << 20, 4), &[8; 2 * 248 + 16]].concat())),
            Just((1 << 30, [&[PAGED][..], &entry(0, 1 << 30, 4)].concat())),
            Just((12, [&[LISTED, 0, 2][..], &entry(3, 5, 1), &entry(9, 7, 1)].concat())),
            Just((600, [&[TABLED, 2, 0x58][..], &[7; SealId::BYTES], &[0; 8], &558u64.to_be_bytes()].concat())),
        ];
        kinds.prop_map(|(bytes, rest): (u64, Vec<u8>)| {
            [&[1; 32][..], &bytes.to_be_bytes(), b"\x02\x01a\x02eu", &rest].concat()
        })
    }

    proptest! {
        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(
            head in any_head(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
            is_cut in prop::bool::weighted(0.2),
        ) {
            let whole = decode_head(tenant(), &head).map(|manifest| encode_head(&manifest));
            prop_assert_eq!(whole.as_ref(), Ok(&head));
            let mut mutated = head.clone();
            mutated[at.index(head.len())] = byte;
            if is_cut {
                mutated.truncate(cut.index(head.len()));
            }
            if let Ok(manifest) = decode_head(tenant(), &mutated) {
                prop_assert_eq!(encode_head(&manifest), mutated);
            }
        }

        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), page in any::<u32>()) {
            if let Ok(manifest) = decode_head(tenant(), &bytes) {
                prop_assert_eq!(encode_head(&manifest), bytes.clone());
            }
            let whole = decode_entry(&entry(0, 1 << 40, 4)).unwrap();
            prop_assert!(decode_segments_page(&whole, page, &bytes).is_err());
            let table = Table { parts: 600, seal: whole.seal, starts: vec![0, 558] };
            prop_assert!(decode_parts_page(&table, page, &bytes).is_err());
        }
    }
}
