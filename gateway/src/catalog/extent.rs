//! Extents: the segments of one body, in pages of sealed records and shard locations.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use domicile_types::{CodeProfile, NodeId, ShardCid};
use serde::{Deserialize, Serialize};

use super::compact;
use crate::state::{StoredRow, limits};

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

/// The shape of a body: enough to tell which page holds which byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Which extent.
    pub id: ExtentId,
    /// Bytes of plaintext.
    pub bytes: u64,
    /// Plaintext bytes of every segment but the last, which has what is left.
    pub segment_bytes: u32,
    /// Segments to a page; the last page has what is left. See [`segments_per_page`].
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

/// How many segments of `profile` surely fit one page.
///
/// Per segment, with n shards: up to 160 + 64 n bytes of sealed record, and per shard 32 (CID) + 3 (node, as index) + 32
/// (node's own entry, at worst one each). 8 KiB stay for strays, 1 KiB for what sealing adds.
#[must_use]
pub fn segments_per_page(profile: CodeProfile) -> u16 {
    let per_segment = 163 + 131 * profile.n();
    u16::try_from((limits::VALUE_BYTES_MAX - 9 * 1024) / per_segment).unwrap_or(u16::MAX)
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredPage", into = "StoredPage")]
pub struct ExtentPage {
    /// The sealed records of these segments; opaque here. Empty until the page is full or the body ends.
    pub sealed: Bytes,
    /// Per segment, where each shard lies, in the order of the shards.
    pub segments: Vec<Vec<ShardAt>>,
    /// Where shards may lie that no segment counts on: puts that failed or went unanswered. Swept with the rest.
    pub strays: Vec<ShardAt>,
}

impl ExtentPage {
    /// Every shard that may exist because of this page.
    pub fn shards(&self) -> impl Iterator<Item = ShardAt> + '_ {
        self.segments.iter().flatten().chain(&self.strays).copied()
    }
}

impl StoredRow for ExtentPage {
    const NAME: &'static str = "extent page";
    const VERSION: u8 = 1;
}

/// The stored form: each node once, shards refer to it by index.
#[derive(Serialize, Deserialize)]
struct StoredPage {
    sealed: Bytes,
    nodes: Vec<[u8; 32]>,
    segments: Vec<Vec<([u8; 32], u32)>>,
    strays: Vec<([u8; 32], u32)>,
}

impl From<ExtentPage> for StoredPage {
    fn from(page: ExtentPage) -> Self {
        let mut nodes = Vec::new();
        let mut index_of = HashMap::new();
        let mut stored = |shard: &ShardAt| {
            let index = *index_of.entry(shard.node).or_insert_with(|| {
                nodes.push(compact::node_bytes(&shard.node));
                saturated(u64::try_from(nodes.len() - 1).unwrap_or(u64::MAX))
            });
            (compact::cid_bytes(&shard.cid), index)
        };
        let segments = page.segments.iter().map(|shards| shards.iter().map(&mut stored).collect()).collect();
        let strays = page.strays.iter().map(&mut stored).collect();
        Self { sealed: page.sealed, nodes, segments, strays }
    }
}

impl TryFrom<StoredPage> for ExtentPage {
    type Error = &'static str;

    fn try_from(stored: StoredPage) -> Result<Self, Self::Error> {
        let shard = |(cid, index): &([u8; 32], u32)| {
            let node = usize::try_from(*index).ok().and_then(|index| stored.nodes.get(index));
            let node = NodeId::from_public_key(*node.ok_or("a shard names a node beyond the page's table")?);
            Ok::<_, &'static str>(ShardAt { cid: ShardCid::from_digest(*cid), node })
        };
        let shards = |shards: &Vec<_>| shards.iter().map(shard).collect::<Result<Vec<_>, _>>();
        let segments = stored.segments.iter().map(shards).collect::<Result<_, _>>()?;
        let strays = shards(&stored.strays)?;
        Ok(Self { sealed: stored.sealed, segments, strays })
    }
}
