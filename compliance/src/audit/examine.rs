//! One walk over all leaves that checks everything the files of a log claim: tiles, bundles, root, signature, and every
//! checkpoint that somebody else has seen. Opening a log, verifying it and verifying an export are this walk.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::note::VerifierKey;
use super::tile::{Tile, TileBuilder, TileError, TileKind, TileName, read_tile};
use super::tree::{EdgeTree, TreeHash};
use super::wal::WalFault;

/// A checkpoint that somebody holds: a node, a witness, an earlier export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCheckpoint {
    /// Who has seen it, for the report.
    pub by: String,
    /// What was seen.
    pub checkpoint: SignedCheckpoint,
}

/// What is wrong with a log, and where.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// A leaf in the write-ahead log.
    #[error(transparent)]
    Wal(#[from] WalFault),
    /// There is no signed checkpoint.
    #[error("{path} is missing: there is no log here, or its checkpoint was removed")]
    NoCheckpoint {
        /// Where it should be.
        path: PathBuf,
    },
    /// The stored checkpoint, or one that was seen, is not by this log.
    #[error("the checkpoint {what} is not to be believed")]
    Checkpoint {
        /// A path, or who has seen it.
        what: String,
        /// Why.
        source: CheckpointError,
    },
    /// Entries are gone from the end.
    #[error(
        "the tail is cut off: {by} holds a signed checkpoint of {size} entries, and only {stored} are stored; entries \
         {stored} to {last} are gone: restore them from a backup or an export"
    )]
    TailCut {
        /// Who holds the checkpoint.
        by: String,
        /// How many entries it covers.
        size: u64,
        /// How many there are.
        stored: u64,
        /// The last that is gone.
        last: u64,
    },
    /// The entry is not the one that was hashed into the tree.
    #[error("entry {index} was changed: its bytes do not hash to leaf {index} in {tile}")]
    AlteredEntry {
        /// Its index.
        index: u64,
        /// The tile that holds the leaf's hash.
        tile: TileName,
    },
    /// Some entry of a span, or its hash, is not the one that was hashed into the tree.
    #[error("among entries {first} to {last} one was changed, with its hash: they do not hash to what {tile} says")]
    AlteredSpan {
        /// The first that it may be.
        first: u64,
        /// The last.
        last: u64,
        /// The tile that holds the hash of the span.
        tile: TileName,
    },
    /// What stands at an index is the entry after it.
    #[error("entry {index} was removed: what stands in its place hashes to leaf {next} in {tile}")]
    RemovedEntry {
        /// Its index.
        index: u64,
        /// The index of the entry that stands there.
        next: u64,
        /// The tile that holds the hashes.
        tile: TileName,
    },
    /// The entries are right and the tile is not.
    #[error(
        "tile {path} is corrupt from byte {byte} on, while the entries and the signed root agree; find out why, then \
         delete the file: the gateway writes it anew when it starts"
    )]
    CorruptTile {
        /// The tile's file.
        path: PathBuf,
        /// The first byte that differs.
        byte: usize,
        /// The entry that the byte belongs to: the first below the hash, or the one in the bundle.
        entry: u64,
    },
    /// A tile that should be there is not.
    #[error("tile {path} is missing; the gateway writes missing tiles anew when it starts")]
    MissingTile {
        /// The tile's file.
        path: PathBuf,
    },
    /// A bundle that does not hold the entries that its name promises.
    #[error("bundle {path} breaks off or runs on at entry {entry}")]
    BundleShape {
        /// The bundle's file.
        path: PathBuf,
        /// The entry where it does.
        entry: u64,
    },
    /// The file that says which entries an export holds cannot be read.
    #[error("{path} does not say which entries were exported (`<first> <end>`)")]
    Range {
        /// The file.
        path: PathBuf,
    },
    /// Entries and tiles agree with each other and not with the signature.
    #[error(
        "the first {size} entries do not have the root that {path} was signed for: entries and tiles were rewritten"
    )]
    RootMismatch {
        /// How many entries the checkpoint covers.
        size: u64,
        /// The checkpoint's file.
        path: PathBuf,
    },
    /// Another history than the one somebody saw, under the log's own signature.
    #[error(
        "the log was forked: {by} holds a signed checkpoint of {size} entries with another root; the histories part \
         between entry {agreed} and entry {size}"
    )]
    Forked {
        /// Who holds it.
        by: String,
        /// How many entries it covers.
        size: u64,
        /// Up to where the log agrees with what was seen.
        agreed: u64,
    },
    /// The disk did not answer.
    #[error("{path} cannot be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LogFault {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// The name of the newest published checkpoint in a log's directory.
pub(super) const CHECKPOINT_FILE: &str = "checkpoint";

/// Reads and verifies the published checkpoint; nothing where there is none.
pub(super) fn read_checkpoint(dir: &Path, log: &VerifierKey) -> Result<Option<SignedCheckpoint>, LogFault> {
    let path = dir.join(CHECKPOINT_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogFault::io(&path)(error)),
    };
    let fault = |source| LogFault::Checkpoint { what: path.display().to_string(), source };
    let checkpoint = SignedCheckpoint::parse(&text).map_err(fault)?;
    checkpoint.verify(log).map_err(fault)?;
    Ok(Some(checkpoint))
}

/// The walk. Feed it every leaf in order, then [`Examiner::finish`].
pub(super) struct Examiner {
    dir: PathBuf,
    published: Option<SignedCheckpoint>,
    seen: VecDeque<SeenCheckpoint>,
    agreed: u64,
    /// Up to the published size, and the tiles on the way.
    pub(super) builder: TileBuilder,
    /// Over all leaves.
    pub(super) tree: EdgeTree,
    /// Whether bundles are copies to compare, or (in an export) where the leaves come from.
    compares_bundles: bool,
    /// Leaf hashes of the tile in progress, until it is compared.
    recent: Vec<TreeHash>,
    /// The first tile or bundle that differs, and the first tile of leaf hashes that does: it names the entry best.
    first_difference: Option<Difference>,
    first_leaf_difference: Option<Difference>,
    missing: Vec<Tile>,
    tiles_checked: u64,
}

/// A tile on disk that is not what the leaves give.
struct Difference {
    name: TileName,
    byte: usize,
    entry: u64,
    /// For a tile of leaf hashes: the entry at `entry` hashes to the next leaf of the tile.
    is_shifted: bool,
}

/// A log that is whole.
pub(super) struct Examined {
    pub(super) builder: TileBuilder,
    pub(super) tree: EdgeTree,
    pub(super) published: Option<SignedCheckpoint>,
    pub(super) missing: Vec<Tile>,
    pub(super) tiles_checked: u64,
}

impl Examiner {
    /// `seen` must be verified already.
    pub(super) fn new(dir: &Path, published: Option<SignedCheckpoint>, mut seen: Vec<SeenCheckpoint>) -> Self {
        seen.sort_by_key(|seen| seen.checkpoint.size());
        Self {
            dir: dir.to_owned(),
            published,
            seen: seen.into(),
            agreed: 0,
            builder: TileBuilder::default(),
            tree: EdgeTree::default(),
            compares_bundles: true,
            recent: Vec::new(),
            first_difference: None,
            first_leaf_difference: None,
            missing: Vec::new(),
            tiles_checked: 0,
        }
    }

    fn published_size(&self) -> u64 {
        self.published.as_ref().map_or(0, SignedCheckpoint::size)
    }

    /// For an export: its bundles are the leaves, so there is nothing to hold them against but the tiles.
    pub(super) fn of_export(dir: &Path, published: SignedCheckpoint, seen: Vec<SeenCheckpoint>) -> Self {
        Self { compares_bundles: false, ..Self::new(dir, Some(published), seen) }
    }

    /// Takes the next leaf.
    pub(super) fn leaf(&mut self, leaf: &[u8]) -> Result<(), LogFault> {
        self.leaf_hashed(leaf, TreeHash::of_leaf(leaf))
    }

    /// Takes the hash of the next leaf, whose bytes are not part of an export.
    pub(super) fn leaf_hash(&mut self, hash: TreeHash) -> Result<(), LogFault> {
        self.leaf_hashed(&[], hash)
    }

    fn leaf_hashed(&mut self, leaf: &[u8], hash: TreeHash) -> Result<(), LogFault> {
        self.compare_seen()?;
        self.tree.push(hash);
        self.tree.forget_before(self.tree.size());
        if self.builder.size() < self.published_size() {
            self.recent.push(hash);
            let mut finished = Vec::new();
            self.builder.push_hashed(leaf, hash, |tile| finished.push(tile));
            finished.into_iter().try_for_each(|tile| self.compare(tile))?;
            if self.builder.size().is_multiple_of(u64::from(super::tile::TILE_WIDTH)) {
                self.recent.clear();
            }
            if self.builder.size() == self.published_size() {
                self.conclude()?;
            }
        }
        Ok(())
    }

    /// All leaves were fed.
    pub(super) fn finish(mut self) -> Result<Examined, LogFault> {
        self.compare_seen()?;
        let stored = self.tree.size();
        if stored < self.published_size() {
            self.compare_begun();
            self.blame_entries()?;
            let by = self.dir.join(CHECKPOINT_FILE).display().to_string();
            return Err(tail_cut(by, self.published_size(), stored));
        }
        if let Some(seen) = self.seen.pop_front() {
            return Err(tail_cut(seen.by, seen.checkpoint.size(), stored));
        }
        Ok(Examined {
            builder: self.builder,
            tree: self.tree,
            published: self.published,
            missing: self.missing,
            tiles_checked: self.tiles_checked,
        })
    }

    /// Holds the root of all leaves so far against what was seen at this size.
    fn compare_seen(&mut self) -> Result<(), LogFault> {
        while self.seen.front().is_some_and(|seen| seen.checkpoint.size() == self.tree.size()) {
            let Some(seen) = self.seen.pop_front() else { break };
            if *seen.checkpoint.root() != self.tree.root() {
                // The tile in progress may say which entry is wrong; it is not compared before it is full.
                self.compare_begun();
                self.blame_entries()?;
                return Err(LogFault::Forked { by: seen.by, size: seen.checkpoint.size(), agreed: self.agreed });
            }
            self.agreed = seen.checkpoint.size();
        }
        Ok(())
    }

    fn compare(&mut self, tile: Tile) -> Result<(), LogFault> {
        if tile.name.kind == TileKind::Entries && !self.compares_bundles {
            return Ok(());
        }
        let on_disk = match read_tile(&self.dir, &tile.name) {
            Ok(bytes) => bytes,
            Err(TileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.missing.push(tile);
                return Ok(());
            }
            Err(TileError::Io { path, source }) => return Err(LogFault::Io { path, source }),
            Err(TileError::Length { path, .. }) => std::fs::read(&path).map_err(LogFault::io(&path))?,
            Err(TileError::Beyond { .. }) => Vec::new(),
        };
        self.tiles_checked += 1;
        if on_disk != tile.bytes {
            self.note_difference(&tile, &on_disk);
        }
        Ok(())
    }

    fn note_difference(&mut self, tile: &Tile, on_disk: &[u8]) {
        let difference = self.difference(tile, on_disk);
        let slot = match tile.name.kind {
            TileKind::Hashes { level: 0 } => &mut self.first_leaf_difference,
            _ => &mut self.first_difference,
        };
        slot.get_or_insert(difference);
    }

    /// Holds the leaves of the tile in progress against the tile on disk, which may hold more.
    fn compare_begun(&mut self) {
        let ours = self.builder.partials().find(|tile| matches!(tile.name.kind, TileKind::Hashes { level: 0 }));
        let Some(ours) = ours else { return };
        let published = self.published_size();
        let on_disk = TileName::all(published)
            .find(|name| name.kind == ours.name.kind && name.index == ours.name.index)
            .and_then(|name| read_tile(&self.dir, &name).ok());
        if let Some(on_disk) = on_disk.filter(|bytes| !bytes.starts_with(&ours.bytes)) {
            self.note_difference(&ours, &on_disk);
        }
    }

    fn difference(&self, tile: &Tile, on_disk: &[u8]) -> Difference {
        let same = tile.bytes.iter().zip(on_disk).take_while(|(ours, theirs)| ours == theirs).count();
        let position = same / TreeHash::BYTES;
        let first = tile.name.index * u64::from(super::tile::TILE_WIDTH);
        let (entry, is_shifted) = match tile.name.kind {
            TileKind::Entries => (first + entry_at(&tile.bytes, same), false),
            TileKind::Hashes { level } => {
                let node = first + u64::try_from(position).unwrap_or(0);
                let next = on_disk.as_chunks::<{ TreeHash::BYTES }>().0.get(position + 1);
                let ours = self.recent.get(position).map(TreeHash::digest);
                (node << (super::tile::TILE_HEIGHT * level), level == 0 && next.is_some() && next == ours)
            }
        };
        Difference { name: tile.name, byte: same, entry, is_shifted }
    }

    /// At the published size: partial tiles, then the signed root.
    fn conclude(&mut self) -> Result<(), LogFault> {
        let partials: Vec<Tile> = self.builder.partials().collect();
        partials.into_iter().try_for_each(|tile| self.compare(tile))?;
        let Some(published) = &self.published else { return Ok(()) };
        if *published.root() != self.builder.root() {
            self.blame_entries()?;
            let path = self.dir.join(CHECKPOINT_FILE);
            return Err(LogFault::RootMismatch { size: self.published_size(), path });
        }
        match self.first_leaf_difference.as_ref().or(self.first_difference.as_ref()) {
            None => Ok(()),
            Some(difference) => Err(LogFault::CorruptTile {
                path: difference.name.path(&self.dir),
                byte: difference.byte,
                entry: difference.entry,
            }),
        }
    }

    /// The entries cannot go on: names the entry that the tiles say is wrong, else `otherwise`.
    pub(super) fn blame(mut self, otherwise: LogFault) -> LogFault {
        self.compare_begun();
        self.blame_entries().err().unwrap_or(otherwise)
    }

    /// The root is wrong: where a tile of leaf hashes differed, it says which entry.
    fn blame_entries(&self) -> Result<(), LogFault> {
        match self.first_leaf_difference.as_ref().or(self.first_difference.as_ref()) {
            Some(Difference { name, entry, is_shifted: true, .. }) => {
                Err(LogFault::RemovedEntry { index: *entry, next: entry + 1, tile: *name })
            }
            Some(Difference { name, entry, .. }) => match name.kind {
                TileKind::Hashes { level } if level > 0 => {
                    let last = *entry + (1 << (super::tile::TILE_HEIGHT * level)) - 1;
                    Err(LogFault::AlteredSpan { first: *entry, last, tile: *name })
                }
                _ => Err(LogFault::AlteredEntry { index: *entry, tile: *name }),
            },
            None => Ok(()),
        }
    }
}

fn tail_cut(by: String, size: u64, stored: u64) -> LogFault {
    LogFault::TailCut { by, size, stored, last: size.saturating_sub(1) }
}

/// The position in its bundle of the entry that byte `at` belongs to.
fn entry_at(bundle: &[u8], at: usize) -> u64 {
    let (mut end, mut position) = (0, 0);
    for entry in super::tile::bundle_entries(bundle).flatten() {
        end += 2 + entry.len();
        if at < end {
            break;
        }
        position += 1;
    }
    position
}
