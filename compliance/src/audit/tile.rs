//! Tiles and entry bundles of <https://c2sp.org/tlog-tiles>: a log as files that any C2SP tool reads.
//!
//! ```text
//! tile/<L>/<N>[.p/<W>]        W (256) hashes of 32 bytes: the complete nodes at level 8L, from 256N on
//! tile/entries/<N>[.p/<W>]    W (256) entries, each a big-endian u16 length and that many bytes
//! ```
//!
//! `<N>` is written in groups of three digits, all but the last with an `x` before it: 1234067 is `x001/x234/067`.
//!
//! *In scope*: names, contents, what is finished when a leaf is added, and proofs from tiles.
//! *Out of scope*: pruning. This log keeps everything.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::tree::{EdgeTree, NodeSource, TreeHash};

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Tree levels that one tile spans.
pub const TILE_HEIGHT: u32 = 8;
/// Tile levels that a log of fewer than 2^64 leaves can have.
const TILE_LEVELS_MAX: u32 = 8;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of complete nodes at tree level `8 * level`.
    Hashes {
        /// 0 to 7.
        level: u32,
    },
    /// The entries themselves.
    Entries,
}

/// The name of one tile file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileName {
    /// What it holds.
    pub kind: TileKind,
    /// Its position in its level.
    pub index: u64,
    /// 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

impl fmt::Display for TileName {
    /// The path below the log's prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl TileName {
    /// Where the tile lies in the log's directory.
    #[must_use]
    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }

    /// Every tile and bundle that a log of `size` entries consists of, entries first, then by level.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let level_tiles =
            move |kind: TileKind, nodes: u64| {
                let full = nodes / u64::from(TILE_WIDTH);
                let partial = u16::try_from(nodes % u64::from(TILE_WIDTH)).unwrap_or(0);
                (0..full)
                    .map(move |index| Self { kind, index, width: TILE_WIDTH })
                    .chain((partial > 0).then_some(Self { kind, index: full, width: partial }))
            };
        level_tiles(TileKind::Entries, size).chain(
            (0..TILE_LEVELS_MAX)
                .flat_map(move |level| level_tiles(TileKind::Hashes { level }, size >> (TILE_HEIGHT * level))),
        )
    }
}

/// A tile with its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its name.
    pub name: TileName,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Cuts a growing log into tiles. Memory: one partial tile per level and one partial bundle.
#[derive(Debug, Default)]
pub struct TileBuilder {
    tree: EdgeTree,
    bundle: Vec<u8>,
    levels: Vec<Vec<u8>>,
}

impl TileBuilder {
    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root of all leaves.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.tree.root()
    }

    /// Adds a leaf of at most 65,535 bytes; hands over the tiles that it makes full.
    pub fn push(&mut self, leaf: &[u8], finished: impl FnMut(Tile)) {
        self.push_hashed(leaf, TreeHash::of_leaf(leaf), finished);
    }

    /// [`TileBuilder::push`] where the leaf's hash is known already.
    pub(super) fn push_hashed(&mut self, leaf: &[u8], hash: TreeHash, mut finished: impl FnMut(Tile)) {
        let index = self.tree.size();
        self.tree.push(hash);
        self.tree.forget_before(index);
        let length = u16::try_from(leaf.len()).unwrap_or_else(|_| unreachable!("leaves are at most 8 KiB"));
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(leaf);
        let width = u64::from(TILE_WIDTH);
        if (index + 1).is_multiple_of(width) {
            let name = TileName { kind: TileKind::Entries, index: index / width, width: TILE_WIDTH };
            finished(Tile { name, bytes: std::mem::take(&mut self.bundle) });
        }
        let mut node = index;
        for level in 0..TILE_LEVELS_MAX {
            let Ok(hash) = self.tree.node(TILE_HEIGHT * level, node) else { return };
            let slot = usize::try_from(level).unwrap_or(0);
            if self.levels.len() == slot {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(slot) else { return };
            hashes.extend_from_slice(hash.digest());
            if !(node + 1).is_multiple_of(width) {
                return;
            }
            let name = TileName { kind: TileKind::Hashes { level }, index: node / width, width: TILE_WIDTH };
            finished(Tile { name, bytes: std::mem::take(hashes) });
            node /= width;
        }
    }

    /// The partial tiles and the partial bundle of the log as it is now.
    pub fn partials(&self) -> impl Iterator<Item = Tile> + '_ {
        TileName::all_partial(self.size()).map(|name| {
            let bytes = match name.kind {
                TileKind::Entries => self.bundle.clone(),
                TileKind::Hashes { level } => {
                    usize::try_from(level).ok().and_then(|slot| self.levels.get(slot)).cloned().unwrap_or_default()
                }
            };
            Tile { name, bytes }
        })
    }
}

impl TileName {
    /// The partial ones among [`TileName::all`].
    pub fn all_partial(size: u64) -> impl Iterator<Item = Self> {
        let last = move |kind: TileKind, nodes: u64| {
            let width = u16::try_from(nodes % u64::from(TILE_WIDTH)).unwrap_or(0);
            (width > 0).then_some(Self { kind, index: nodes / u64::from(TILE_WIDTH), width })
        };
        last(TileKind::Entries, size).into_iter().chain(
            (0..TILE_LEVELS_MAX)
                .filter_map(move |level| last(TileKind::Hashes { level }, size >> (TILE_HEIGHT * level))),
        )
    }
}

/// A bundle that is not a sequence of length-prefixed entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the entry bundle ends inside its entry {position}")]
pub struct BundleCut {
    /// Position in the bundle of the entry that is incomplete.
    pub position: usize,
}

/// Splits a bundle into its entries.
pub fn bundle_entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], BundleCut>> {
    let (mut rest, mut position) = (bundle, 0);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parts = rest
            .split_first_chunk::<2>()
            .and_then(|(length, after)| after.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let Some((entry, after)) = parts else {
            rest = &[];
            return Some(Err(BundleCut { position }));
        };
        rest = after;
        position += 1;
        Some(Ok(entry))
    })
}

/// Proofs from the tiles of a log of `size` entries. Keeps the last tile it read.
#[derive(Debug)]
pub struct TileReader {
    dir: PathBuf,
    size: u64,
    last: RefCell<Option<Tile>>,
}

/// A tile that cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// It cannot be read.
    #[error("tile {path} cannot be read; if it is gone, restart the gateway: it writes missing tiles anew")]
    Io {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not as long as its name says.
    #[error("tile {path} has {actual} bytes, its name promises {expected}")]
    Length {
        /// Its file.
        path: PathBuf,
        /// By its name.
        expected: usize,
        /// On disk.
        actual: usize,
    },
    /// The log is not that long.
    #[error("node {index} at level {level} lies beyond the log's {size} entries")]
    Beyond {
        /// Tree level.
        level: u32,
        /// Position in the level.
        index: u64,
        /// The log's size.
        size: u64,
    },
}

impl TileReader {
    /// Reads the tiles below `dir` of a log of `size` entries.
    #[must_use]
    pub fn new(dir: &Path, size: u64) -> Self {
        Self { dir: dir.to_owned(), size, last: RefCell::new(None) }
    }

    /// The hashes `[from, from + count)` of the tile at `level`.
    fn hashes(&self, level: u32, index: u64, from: usize, count: usize) -> Result<Vec<TreeHash>, TileError> {
        let nodes = self.size >> (TILE_HEIGHT * level);
        let left = nodes.saturating_sub(index * u64::from(TILE_WIDTH)).min(u64::from(TILE_WIDTH));
        let width = u16::try_from(left).unwrap_or(TILE_WIDTH);
        if from + count > usize::from(width) {
            return Err(TileError::Beyond { level: TILE_HEIGHT * level, index, size: self.size });
        }
        let name = TileName { kind: TileKind::Hashes { level }, index, width };
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|tile| tile.name != name) {
            *last = Some(Tile { name, bytes: read_tile(&self.dir, &name)? });
        }
        let bytes = last.as_ref().map_or(&[][..], |tile| &tile.bytes);
        let (hashes, _) = bytes.as_chunks::<{ TreeHash::BYTES }>();
        Ok(hashes.iter().skip(from).take(count).map(|digest| TreeHash::from_digest(*digest)).collect())
    }
}

impl NodeSource for TileReader {
    type Error = TileError;

    fn node(&self, level: u32, index: u64) -> Result<TreeHash, TileError> {
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let first = index << height;
        let from = usize::try_from(first % u64::from(TILE_WIDTH)).unwrap_or(0);
        let mut hashes = self.hashes(tile_level, first / u64::from(TILE_WIDTH), from, 1 << height)?;
        while hashes.len() > 1 {
            hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| TreeHash::of_children(left, right)).collect();
        }
        hashes.pop().ok_or(TileError::Beyond { level, index, size: self.size })
    }
}

/// Reads a hash tile or a bundle whole; a hash tile must have exactly its width.
pub fn read_tile(dir: &Path, name: &TileName) -> Result<Vec<u8>, TileError> {
    let path = name.path(dir);
    let bytes = fs::read(&path).map_err(|source| TileError::Io { path: path.clone(), source })?;
    if let TileKind::Hashes { .. } = name.kind {
        let expected = usize::from(name.width) * TreeHash::BYTES;
        if bytes.len() != expected {
            return Err(TileError::Length { path, expected, actual: bytes.len() });
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tlog_tiles::HashReader;

    use super::super::tree::{consistency_path, inclusion_path, root};
    use super::*;

    fn leaf(index: u64) -> Vec<u8> {
        format!("leaf number {index}").into_bytes()
    }

    fn build(size: u64) -> (TileBuilder, BTreeMap<TileName, Vec<u8>>) {
        let (mut builder, mut tiles) = (TileBuilder::default(), BTreeMap::new());
        for index in 0..size {
            builder.push(&leaf(index), |tile| assert!(tiles.insert(tile.name, tile.bytes).is_none()));
        }
        for tile in builder.partials() {
            assert!(tiles.insert(tile.name, tile.bytes).is_none());
        }
        (builder, tiles)
    }

    fn write(dir: &Path, tiles: &BTreeMap<TileName, Vec<u8>>) {
        for (name, bytes) in tiles {
            fs::create_dir_all(name.path(dir).parent().unwrap()).unwrap();
            fs::write(name.path(dir), bytes).unwrap();
        }
    }

    #[test]
    fn a_tile_is_named_as_the_specification_shows() {
        let name = TileName { kind: TileKind::Hashes { level: 3 }, index: 1_234_067, width: 256 };
        assert_eq!(name.to_string(), "tile/3/x001/x234/067");
        let partial = TileName { kind: TileKind::Entries, index: 0, width: 17 };
        assert_eq!(partial.to_string(), "tile/entries/000.p/17");
    }

    #[test]
    fn seventy_thousand_entries_have_the_tiles_that_the_specification_counts() {
        let count = |kind| TileName::all(70_000).filter(|name| name.kind == kind).collect::<Vec<_>>();
        let level_0 = count(TileKind::Hashes { level: 0 });
        assert_eq!((level_0.len(), level_0.last().unwrap().width), (274, 112));
        let level_1 = count(TileKind::Hashes { level: 1 });
        assert_eq!(level_1.iter().map(|name| name.width).collect::<Vec<_>>(), [256, 17]);
        assert_eq!(count(TileKind::Hashes { level: 2 }).iter().map(|name| name.width).collect::<Vec<_>>(), [1]);
        assert_eq!(count(TileKind::Entries).len(), 274);
    }

    #[test]
    fn the_builder_writes_exactly_the_tiles_of_its_size() {
        for size in [0, 1, 255, 256, 257, 600, 65_535, 65_536, 66_000] {
            let (builder, tiles) = build(size);
            let names: Vec<_> = tiles.keys().copied().collect();
            let mut expected: Vec<_> = TileName::all(size).collect();
            expected.sort();
            assert_eq!(names, expected, "{size}");
            assert_eq!(builder.size(), size);
        }
    }

    #[test]
    fn tiles_equal_those_of_the_crate_tlog_tiles() {
        struct Stored(Vec<tlog_tiles::Hash>);
        impl HashReader for Stored {
            fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
                Ok(indexes.iter().map(|i| self.0[usize::try_from(*i).unwrap()]).collect())
            }
        }
        let size = 66_000;
        let mut stored = Stored(Vec::new());
        for index in 0..size {
            let hashes = tlog_tiles::stored_hashes(index, &leaf(index), &stored).unwrap();
            stored.0.extend(hashes);
        }
        let (builder, tiles) = build(size);
        let theirs = tlog_tiles::tree_hash(size, &stored).unwrap();
        assert_eq!(builder.root().digest(), &theirs.0);
        for (name, bytes) in &tiles {
            let TileKind::Hashes { level } = name.kind else { continue };
            let level = u8::try_from(level).unwrap();
            let tile = tlog_tiles::Tile::new(8, level, name.index, u32::from(name.width), false);
            assert_eq!(tile.path(), name.to_string().replacen("tile/", "tile/8/", 1));
            assert_eq!(&tile.read_data(&stored).unwrap(), bytes, "{name}");
        }
    }

    #[test]
    fn a_bundle_gives_back_its_entries_and_names_the_one_that_is_cut() {
        let (_, tiles) = build(3);
        let bundle = &tiles[&TileName { kind: TileKind::Entries, index: 0, width: 3 }];
        let entries: Vec<_> = bundle_entries(bundle).map(Result::unwrap).collect();
        assert_eq!(entries, [leaf(0), leaf(1), leaf(2)]);
        let cut = bundle_entries(&bundle[..bundle.len() - 1]).last();
        assert_eq!(cut, Some(Err(BundleCut { position: 2 })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn proofs_from_tiles_equal_proofs_from_memory(size in 1u64..3000, seed in any::<u64>()) {
            let dir = tempfile::tempdir().unwrap();
            let (builder, tiles) = build(size);
            write(dir.path(), &tiles);
            let mut tree = EdgeTree::default();
            (0..size).for_each(|index| tree.push(TreeHash::of_leaf(&leaf(index))));
            let reader = TileReader::new(dir.path(), size);
            prop_assert_eq!(root(size, &reader).unwrap(), builder.root());
            let (index, old) = (seed % size, seed % size + 1);
            prop_assert_eq!(
                inclusion_path(index, size, &reader).unwrap(),
                inclusion_path(index, size, &tree).unwrap()
            );
            prop_assert_eq!(
                consistency_path(old, size, &reader).unwrap(),
                consistency_path(old, size, &tree).unwrap()
            );
        }
    }
}
