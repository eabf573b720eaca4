//! Extents: the segments of one body, in pages of sealed records and shard locations.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use domicile_types::{CodeProfile, NodeId, ShardCid};
use serde::{Deserialize, Serialize};

use super::{CatalogError, compact};
use crate::state::StoredRow;

/// Sixteen random bytes that name the segments of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExtentId([u8; 16]);

impl ExtentId {
    /// From sixteen bytes, which the caller drew at random. Never used twice: a retry is another extent.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One page of one extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageAt {
    /// Of which extent.
    pub extent: ExtentId,
    /// Which page, from 0.
    pub page: u32,
}

impl PageAt {
    /// The page that a row's key ends with: sixteen bytes of extent, four of page.
    pub(super) fn from_key(key: &[u8]) -> Result<Self, CatalogError> {
        let damaged = CatalogError::Inconsistent { what: "a key that names no page" };
        let split = key.len().checked_sub(20).and_then(|at| key.get(at..)).and_then(<[u8]>::split_first_chunk::<16>);
        let Some((extent, page)) = split else { return Err(damaged) };
        let Ok(page) = <[u8; 4]>::try_from(page) else { return Err(damaged) };
        Ok(Self { extent: ExtentId::from_bytes(*extent), page: u32::from_be_bytes(page) })
    }
}

/// The shape of a body: enough to tell which page holds which byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Which extent.
    pub id: ExtentId,
    /// Bytes of plaintext.
    pub bytes: u64,
    /// Plaintext bytes of every segment but the last, which has what is left.
    pub segment_bytes: u32,
    /// Segments to a page; the last page has what is left. The chunker's `segments_per_page`, as pages of the manifest
    /// and of locations are the same segments.
    pub segments_per_page: u16,
    /// How its segments are coded.
    #[serde(with = "compact::profile")]
    pub profile: CodeProfile,
}

impl Extent {
    /// How many segments there are. An empty body has none.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.bytes.div_ceil(u64::from(self.segment_bytes.max(1)))
    }

    /// Plaintext bytes of segment `segment`; none past the end.
    #[must_use]
    pub fn segment_plaintext_bytes(&self, segment: u64) -> u64 {
        let whole = u64::from(self.segment_bytes.max(1));
        self.bytes.saturating_sub(segment.saturating_mul(whole)).min(whole)
    }

    /// How many pages there are.
    #[must_use]
    pub fn pages(&self) -> u32 {
        saturated(self.segments().div_ceil(u64::from(self.segments_per_page.max(1))))
    }

    /// The pages that hold the segments of `range` of the plaintext.
    #[must_use]
    pub fn pages_of(&self, range: &Range<u64>) -> Range<u32> {
        if range.start >= range.end.min(self.bytes) {
            return 0..0;
        }
        let page_bytes = u64::from(self.segment_bytes.max(1)) * u64::from(self.segments_per_page.max(1));
        saturated(range.start / page_bytes)..saturated(range.end.min(self.bytes).div_ceil(page_bytes))
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A shard and the node that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardAt {
    /// Its name.
    pub cid: ShardCid,
    /// Where it was sent.
    pub node: NodeId,
}

/// Some consecutive segments of an extent: [`Extent::segments_per_page`] of them, fewer in the last page.
///
/// What lies where is 34 bytes a shard and 32 a node. The largest pages that the chunker's manifest makes (30 KiB of
/// sealed records) name some 870 shards: 58 KB if no two are on the same node, and then the sealed records are stored in a
/// row of their own. Those of small objects stand in the same row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtentPage {
    /// The sealed records of these segments; opaque here. Empty until the body ends.
    pub sealed: Bytes,
    /// Per segment, where each shard lies, in the order of the shards.
    pub segments: Vec<Vec<ShardAt>>,
    /// Where shards may lie that no segment counts on: puts that failed or went unanswered. Swept with the rest.
    pub strays: Vec<ShardAt>,
}

/// Sealed records up to this size stand in the row of their page.
const SEALED_INLINE_BYTES_MAX: usize = 4 * 1024;

impl ExtentPage {
    /// Every shard that may exist because of this page.
    pub fn shards(&self) -> impl Iterator<Item = ShardAt> + '_ {
        self.segments.iter().flatten().chain(&self.strays).copied()
    }

    /// The row of the page, and the sealed records where they are a row of their own.
    pub(super) fn to_rows(&self) -> (StoredPage, Option<Bytes>) {
        let mut nodes = Vec::new();
        let mut index_of = HashMap::new();
        let mut stored = |shard: &ShardAt| {
            let index = *index_of.entry(shard.node).or_insert_with(|| {
                nodes.push(compact::node_bytes(&shard.node));
                saturated(u64::try_from(nodes.len() - 1).unwrap_or(u64::MAX))
            });
            (compact::cid_bytes(&shard.cid), index)
        };
        let segments = self.segments.iter().map(|shards| shards.iter().map(&mut stored).collect()).collect();
        let strays = self.strays.iter().map(&mut stored).collect();
        let apart = self.sealed.len() > SEALED_INLINE_BYTES_MAX;
        let sealed = if apart { Sealed::Apart } else { Sealed::Inline(self.sealed.clone()) };
        (StoredPage { sealed, nodes, segments, strays }, apart.then(|| self.sealed.clone()))
    }
}

/// The stored form: each node once, shards refer to it by index.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPage {
    sealed: Sealed,
    nodes: Vec<[u8; 32]>,
    segments: Vec<Vec<([u8; 32], u32)>>,
    strays: Vec<([u8; 32], u32)>,
}

#[derive(Serialize, Deserialize)]
enum Sealed {
    Inline(Bytes),
    Apart,
}

impl StoredRow for StoredPage {
    const NAME: &'static str = "extent page";
    const VERSION: u8 = 1;
}

impl StoredPage {
    /// Every node that holds, or may hold, a shard of the page.
    pub(super) fn nodes(&self) -> &[[u8; 32]] {
        &self.nodes
    }

    /// The same page, its sealed records untouched, with shards where `page` has them.
    pub(super) fn relocated(self, page: &ExtentPage) -> Self {
        let (mut stored, _) = ExtentPage { sealed: Bytes::new(), ..page.clone() }.to_rows();
        stored.sealed = self.sealed;
        stored
    }

    /// Whether the sealed records are a row of their own.
    pub(super) fn is_apart(&self) -> bool {
        matches!(self.sealed, Sealed::Apart)
    }

    /// The page, with its sealed records where those are `apart`.
    pub(super) fn into_page(self, apart: Option<Bytes>) -> Result<ExtentPage, CatalogError> {
        let damaged = || CatalogError::Inconsistent { what: "a shard that names a node beyond its page's table" };
        let shard = |(cid, index): &([u8; 32], u32)| {
            let node = usize::try_from(*index).ok().and_then(|index| self.nodes.get(index));
            let node = NodeId::from_public_key(*node.ok_or_else(damaged)?);
            Ok::<_, CatalogError>(ShardAt { cid: ShardCid::from_digest(*cid), node })
        };
        let shards = |shards: &Vec<_>| shards.iter().map(shard).collect::<Result<Vec<_>, _>>();
        let segments = self.segments.iter().map(shards).collect::<Result<_, _>>()?;
        let strays = shards(&self.strays)?;
        let sealed = match (self.sealed, apart) {
            (Sealed::Inline(sealed), _) => sealed,
            (Sealed::Apart, sealed) => sealed.unwrap_or_default(),
        };
        Ok(ExtentPage { sealed, segments, strays })
    }
}
