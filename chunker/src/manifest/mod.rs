//! The sealed manifest: which segments make up an object, in which order, and what each needs to be opened.
//!
//! A manifest is a *head*, one value, and *pages* beside it, so that an object of 50 TiB still fits a store whose values
//! have at most 64 KiB, and a range read opens only the pages it needs:
//!
//! ```text
//! head ─┬─ inline records                                   (object put whole, up to about 250 MiB)
//!       ├─ pages of records                                 (object put whole)
//!       ├─ entries of parts ── pages of records             (multipart, up to 496 parts)
//!       └─ pages of entries ── pages of records             (multipart)
//! ```
//!
//! Pages of a part are sealed when the part is done, so completing an upload of 10,000 parts writes a dozen values.

mod seal;
mod v1;
mod wire;

use std::fmt;

use domicile_types::{CodeProfile, DataId, PackId, SuiteId, TenantId, UploadId};

pub use self::seal::{NewManifest, SealedManifest, SealedPage, open_manifest, seal_multipart, seal_object, seal_part};
pub(crate) use self::seal::{open_parts_page, open_segments_page};
use crate::segment::{Cut, PART_WHOLE, PartContext, SegmentRecord};

/// The largest sealed head or page. A store whose values have 64 KiB has as much room again for what goes beside it.
pub const SEALED_VALUE_BYTES_MAX: usize = 32 * 1024;
/// The largest object: 50 TiB, S3's limit.
pub const OBJECT_BYTES_MAX: u64 = 50 << 40;
/// The most parts of an object, S3's limit.
pub const PARTS_MAX: u32 = 10_000;
/// The most packs that one object is under.
pub const PACKS_MAX: usize = 32;

/// Twenty random bytes that name one sealing: of a part's pages, or of a table of parts. A part that is uploaded again is
/// sealed under another, and the head names which one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealId([u8; Self::BYTES]);

impl SealId {
    /// Its length.
    pub const BYTES: usize = 20;

    /// From twenty bytes just drawn at random; never used for two sealings.
    #[must_use]
    pub const fn from_random(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of a page: what its row is stored under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageName {
    /// The sealing it belongs to.
    pub seal: SealId,
    /// Its number in that sealing, from zero.
    pub page: u32,
}

/// How many segments of `profile` one page of records holds. Whoever keeps more beside a page (where each shard lies, say)
/// cuts it at the same places.
#[must_use]
pub fn segments_per_page(profile: CodeProfile) -> u16 {
    u16::try_from(v1::segments_per_page(profile)).unwrap_or(u16::MAX)
}

/// One part as the head (or a table of parts) lists it. 33 bytes; not secret, and useless if altered: its pages are bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartEntry {
    number: u32,
    bytes: u64,
    suite: SuiteId,
    profile: CodeProfile,
    seal: SealId,
}

impl PartEntry {
    /// Length of the encoded form.
    pub const BYTES: usize = v1::ENTRY_BYTES;

    /// The entry of a part whose pages were sealed under `seal`: what [`Part::entry`] was when it was stored. An entry that
    /// says anything else than that one opens no page.
    #[must_use]
    pub fn new(number: u32, bytes: u64, suite: SuiteId, profile: CodeProfile, seal: SealId) -> Self {
        if bytes == 0 {
            let (suite, profile) = v1::empty_part();
            return Self { number, bytes, suite, profile, seal };
        }
        Self { number, bytes, suite, profile, seal }
    }

    /// The part number: 1 to 10,000, or [`PART_WHOLE`].
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Plaintext length.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The cipher of all its segments.
    #[must_use]
    pub const fn suite(&self) -> SuiteId {
        self.suite
    }

    /// The code of all its segments.
    #[must_use]
    pub const fn profile(&self) -> CodeProfile {
        self.profile
    }

    /// Which sealing holds its pages.
    #[must_use]
    pub const fn seal(&self) -> SealId {
        self.seal
    }

    /// How it is cut into segments.
    #[must_use]
    pub const fn cut(&self) -> Cut {
        Cut::new(self.profile, self.bytes)
    }

    /// The names of its pages, in order.
    pub fn pages(&self) -> impl Iterator<Item = PageName> + use<> {
        let seal = self.seal;
        (0..v1::segment_pages(self)).map(move |page| PageName { seal, page })
    }

    /// Names of page `page` and the segments on it.
    pub(crate) fn page_of(&self, segment: u64) -> (PageName, u64) {
        let per_page = v1::segments_per_page(self.profile);
        let page = u32::try_from(segment / per_page).unwrap_or(u32::MAX);
        (PageName { seal: self.seal, page }, segment % per_page)
    }

    /// The bytes to keep while the upload is open.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        v1::encode_entry(self)
    }

    /// The inverse of [`PartEntry::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        v1::decode_entry(bytes)
    }
}

/// A finished part in memory: its entry, and the records of its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    entry: PartEntry,
    records: Vec<SegmentRecord>,
}

/// Records that do not make up a part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// A part number over 10,000.
    #[error("part number {number} is not in 0 to {PARTS_MAX}")]
    Number {
        /// The number.
        number: u32,
    },
    /// Record `at` is of another segment.
    #[error("record {at} is of segment {index}: records are given in order, none missing")]
    OutOfOrder {
        /// Position in the list.
        at: usize,
        /// The segment it is of.
        index: u32,
    },
    /// Record `at` has another suite or profile than the first.
    #[error("segment {at} has another suite or profile than the first")]
    Mixed {
        /// Position in the list.
        at: usize,
    },
    /// Record `at` is not the last and yet not full.
    #[error("segment {at} is not full and not the last")]
    NotFull {
        /// Position in the list.
        at: usize,
    },
    /// Record `at` does not have one name per shard.
    #[error("segment {at} has {names} shard names")]
    Names {
        /// Position in the list.
        at: usize,
        /// How many it has.
        names: usize,
    },
}

impl Part {
    /// Puts the records of an encoder's segments together, in order. `seal` is drawn for this part and this attempt.
    pub fn assemble(number: u32, records: Vec<SegmentRecord>, seal: SealId) -> Result<Self, PartError> {
        if number > PARTS_MAX {
            return Err(PartError::Number { number });
        }
        let (suite, profile) = records.first().map_or_else(v1::empty_part, |first| (first.suite, first.profile()));
        let mut bytes = 0;
        for (at, record) in records.iter().enumerate() {
            if usize::try_from(record.index) != Ok(at) {
                return Err(PartError::OutOfOrder { at, index: record.index });
            }
            if (record.suite, record.profile()) != (suite, profile) {
                return Err(PartError::Mixed { at });
            }
            if at + 1 < records.len() && !record.layout.is_full() {
                return Err(PartError::NotFull { at });
            }
            if record.cids.len() != SegmentRecord::cids_kept(profile) {
                return Err(PartError::Names { at, names: record.cids.len() });
            }
            bytes += crate::layout::widen(record.plaintext_bytes());
        }
        Ok(Self { entry: PartEntry { number, bytes, suite, profile, seal }, records })
    }

    /// What the head will list.
    #[must_use]
    pub const fn entry(&self) -> &PartEntry {
        &self.entry
    }

    /// The records, in order.
    #[must_use]
    pub fn records(&self) -> &[SegmentRecord] {
        &self.records
    }
}

/// An opened head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    tenant: TenantId,
    data: DataId,
    upload: UploadId,
    packs: Vec<PackId>,
    bytes: u64,
    content: Content,
}

/// Where the records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Put whole, records in the head.
    Inline(Part),
    /// Put whole, records on pages.
    Paged(PartEntry),
    /// Multipart, entries in the head, each with its offset in the object.
    Listed(Vec<(u64, PartEntry)>),
    /// Multipart, entries on pages.
    Tabled(Table),
}

/// A table of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// How many parts.
    pub(crate) parts: u32,
    /// Which sealing holds the pages.
    pub(crate) seal: SealId,
    /// Offset in the object of each page's first part.
    pub(crate) starts: Vec<u64>,
}

impl Manifest {
    /// The data id that nodes know the shards by.
    #[must_use]
    pub const fn data(&self) -> DataId {
        self.data
    }

    /// The upload that wrote them.
    #[must_use]
    pub const fn upload(&self) -> UploadId {
        self.upload
    }

    /// The packs that the object was stored under.
    #[must_use]
    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// Length of the object.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many parts the object was uploaded in; `None` when it was put whole.
    #[must_use]
    pub fn parts(&self) -> Option<u32> {
        match &self.content {
            Content::Inline(_) | Content::Paged(_) => None,
            Content::Listed(entries) => Some(u32::try_from(entries.len()).unwrap_or(u32::MAX)),
            Content::Tabled(table) => Some(table.parts),
        }
    }

    /// The only part, when the object was put whole.
    #[must_use]
    pub const fn whole(&self) -> Option<&PartEntry> {
        match &self.content {
            Content::Inline(part) => Some(&part.entry),
            Content::Paged(entry) => Some(entry),
            Content::Listed(_) | Content::Tabled(_) => None,
        }
    }

    /// Names of the pages that the head alone can tell: of records, or of the table of parts where there is one. The parts of a
    /// table have pages of their own ([`PartEntry::pages`]); [`Manifest::plan_all`] comes by every page.
    #[must_use]
    pub fn pages(&self) -> Vec<PageName> {
        match &self.content {
            Content::Inline(_) => Vec::new(),
            Content::Paged(entry) => entry.pages().collect(),
            Content::Listed(entries) => entries.iter().flat_map(|(_, entry)| entry.pages()).collect(),
            Content::Tabled(table) => {
                (0..v1::table_pages(table.parts)).map(|page| PageName { seal: table.seal, page }).collect()
            }
        }
    }

    /// The context of part `number`.
    #[must_use]
    pub fn part_context(&self, number: u32) -> PartContext {
        PartContext { tenant: self.tenant.clone(), data: self.data, upload: self.upload, part: number }
    }

    pub(crate) const fn content(&self) -> &Content {
        &self.content
    }
}

/// Why a head or page does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than any head or page, or shorter than its own frame.
    #[error("a sealed manifest value is not {bytes} bytes long: the row is damaged")]
    Length {
        /// The length found.
        bytes: usize,
    },
    /// Written by a later release.
    #[error("manifest has version {version}, this release reads 1: upgrade before reading")]
    Version {
        /// The version byte.
        version: u8,
    },
    /// Another key or another name, or altered.
    #[error("manifest value was not sealed under this key for this object, or was altered")]
    Forged,
    /// Sealed by us and yet not a manifest: a defect, or a release that broke the format.
    #[error("manifest does not decode: {field}")]
    Malformed {
        /// What does not decode.
        field: &'static str,
    },
    /// What is to be sealed goes over a limit.
    #[error("manifest goes over a limit: {limit}")]
    Limit {
        /// Which.
        limit: &'static str,
    },
}

const _: () = assert!(PART_WHOLE == 0, "part numbers of S3 begin at 1");
