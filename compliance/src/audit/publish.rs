//! The publisher: one thread that writes tiles, bundles and the `checkpoint` file behind the committer.
//!
//! It reads the committed leaves back from the write-ahead log, so that its memory does not grow with its lag, and holds
//! the root it computes from them against the signed one. The order on disk is: tiles and bundles durable, then the
//! checkpoint that covers them. A crash in between leaves tiles that no checkpoint names yet; they are written again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::SignedCheckpoint;
use super::commit::{FatalError, Head, HeadState, OnFatal, POSITION_EVERY, chain};
use super::examine::CHECKPOINT_FILE;
use super::tile::{TILE_WIDTH, Tile, TileBuilder, TileName};
use super::wal::{Position, WalDir, WalFault, WalSpare};
use super::zeroed::{replace_file, sync_dir};

/// Leaves that are read back between two writes of tiles: about 4 MiB of them.
const LEAVES_PER_STEP: u64 = 4096;

/// The state of the publishing thread.
pub(super) struct Publisher {
    pub(super) dir: PathBuf,
    pub(super) wal: WalDir,
    pub(super) spare: Arc<WalSpare>,
    pub(super) head: Arc<Head>,
    pub(super) published: Arc<Published>,
    pub(super) builder: TileBuilder,
    /// Where the first leaf that the builder lacks stands.
    pub(super) next: Position,
    /// Full tiles that are not on the disk yet.
    pub(super) unwritten: Vec<Tile>,
    /// Tiles that were written since the last publication.
    pub(super) filled: Vec<TileName>,
    /// Partial tiles of the published checkpoint, and of the one before. They are on the disk, and never written again: a
    /// crash in mid-write would damage what the published checkpoint needs.
    pub(super) partials: [Vec<TileName>; 2],
    pub(super) pace: Duration,
    /// Where leaf `256 * n` stands, for all leaves in the builder.
    pub(super) positions: Arc<parking_lot::Mutex<Vec<Position>>>,
    pub(super) on_fatal: OnFatal,
}

/// How far publishing has come.
#[derive(Default)]
pub(super) struct Published {
    state: parking_lot::Mutex<PublishedState>,
    moved: parking_lot::Condvar,
}

#[derive(Default, Clone)]
struct PublishedState {
    checkpoint: Option<Arc<SignedCheckpoint>>,
    attempts: u64,
    error: Option<String>,
    is_over: bool,
}

/// Why the newest checkpoint is not in the log's directory yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The disk refused a tile. It will be tried again.
    #[error("tiles cannot be written: {reason}")]
    Disk {
        /// What the disk said.
        reason: String,
    },
    /// The log is closed.
    #[error("the audit log is closed")]
    Closed,
}

impl Published {
    pub(super) fn starting_at(checkpoint: Option<Arc<SignedCheckpoint>>) -> Self {
        let state = PublishedState { checkpoint, ..PublishedState::default() };
        Self { state: parking_lot::Mutex::new(state), moved: parking_lot::Condvar::new() }
    }

    pub(super) fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.state.lock().checkpoint.clone()
    }

    pub(super) fn attempts(&self) -> u64 {
        self.state.lock().attempts
    }

    /// Waits until `size` is published, or an attempt after `attempts` has failed.
    pub(super) fn wait(&self, size: u64, attempts: u64) -> Result<Arc<SignedCheckpoint>, PublishError> {
        let mut state = self.state.lock();
        loop {
            if let Some(checkpoint) = state.checkpoint.as_ref().filter(|checkpoint| checkpoint.size() >= size) {
                return Ok(Arc::clone(checkpoint));
            }
            if let Some(reason) = state.error.clone().filter(|_| state.attempts > attempts) {
                return Err(PublishError::Disk { reason });
            }
            if state.is_over {
                return Err(PublishError::Closed);
            }
            self.moved.wait(&mut state);
        }
    }

    fn update(&self, change: impl FnOnce(&mut PublishedState)) {
        change(&mut self.state.lock());
        self.moved.notify_all();
    }
}

enum StepError {
    /// Try again later.
    Disk(String),
    /// The log contradicts itself.
    Fatal(FatalError),
}

impl Publisher {
    /// Runs until the log closes.
    pub(super) fn run(mut self) {
        loop {
            let size = self.builder.size();
            let failed = self.published.state.lock().error.is_some();
            let head = self.head.wait(failed.then_some(self.pace), |head| {
                head.is_closing || (head.checkpoint.size() > size && !failed) || head.wanted > size
            });
            if let Err(fault) = self.spare.prepare_after(head.end.segment) {
                tracing::warn!(error = %chain(&fault), "the audit log's next segment cannot be made yet");
            }
            let result = self.publish(&head);
            let is_over = head.is_closing;
            match result {
                Ok(()) => self.published.update(|state| {
                    state.checkpoint = Some(Arc::clone(&head.checkpoint));
                    state.error = None;
                    state.attempts += 1;
                    state.is_over = is_over;
                }),
                Err(StepError::Disk(reason)) => {
                    tracing::error!(%reason, "the audit log's tiles cannot be written yet");
                    self.published.update(|state| {
                        state.error = Some(reason);
                        state.attempts += 1;
                        state.is_over = is_over;
                    });
                }
                Err(StepError::Fatal(error)) => {
                    tracing::error!(error = %chain(&error), "audit log: fatal");
                    (self.on_fatal)(&error);
                    self.published.update(|state| state.is_over = true);
                    return;
                }
            }
            if is_over {
                return;
            }
            let published = self.builder.size();
            self.head.wait(Some(self.pace), |head| head.is_closing || head.wanted > published);
        }
    }

    fn publish(&mut self, head: &HeadState) -> Result<(), StepError> {
        let size = head.checkpoint.size();
        let is_current = self.published.checkpoint().is_some_and(|published| published.size() == size);
        if is_current && self.unwritten.is_empty() {
            return Ok(());
        }
        self.write_tiles(&[])?;
        while self.builder.size() < size {
            self.read_back(size)?;
            self.write_tiles(&[])?;
        }
        if self.builder.root() != *head.checkpoint.root() {
            let reason = format!("the {size} entries read back have the root {}", self.builder.root());
            return Err(StepError::Fatal(FatalError::ReadBack(reason.into())));
        }
        let current: Vec<TileName> = TileName::all_partial(size).collect();
        let [last, _] = &self.partials;
        let partials: Vec<Tile> = self.builder.partials().filter(|tile| !last.contains(&tile.name)).collect();
        self.write_tiles(&partials)?;
        let path = self.dir.join(CHECKPOINT_FILE);
        let disk = |error: io::Error| StepError::Disk(format!("{}: {error}", path.display()));
        replace_file(&path, head.checkpoint.to_string().as_bytes()).map_err(disk)?;
        self.remove_old_partials(current);
        Ok(())
    }

    fn read_back(&mut self, size: u64) -> Result<(), StepError> {
        let first = self.builder.size();
        let count = (size - first).min(LEAVES_PER_STEP);
        let (builder, unwritten) = (&mut self.builder, &mut self.unwritten);
        let mut positions = Vec::new();
        let read = self.wal.read_from(self.next, first, count, |frame| {
            if frame.index.is_multiple_of(POSITION_EVERY) {
                positions.push(frame.position);
            }
            builder.push(frame.leaf, |tile| unwritten.push(tile));
            true
        });
        self.positions.lock().extend(positions);
        match read {
            Ok(next) => {
                self.next = next;
                Ok(())
            }
            Err(WalFault::Io { path, source }) => {
                // Leaves before the error are in the builder already: nothing can be resumed from here.
                let error = io::Error::new(source.kind(), format!("{}: {source}", path.display()));
                Err(StepError::Fatal(FatalError::ReadBack(error.into())))
            }
            Err(fault) => Err(StepError::Fatal(FatalError::ReadBack(Box::new(fault)))),
        }
    }

    /// Writes the waiting full tiles and `partials`, and returns when all of them are durable.
    fn write_tiles(&mut self, partials: &[Tile]) -> Result<(), StepError> {
        if self.unwritten.is_empty() && partials.is_empty() {
            return Ok(());
        }
        let tiles: Vec<&Tile> = self.unwritten.iter().chain(partials).collect();
        write_durably(&self.dir, &tiles).map_err(|error| StepError::Disk(error.to_string()))?;
        self.filled.extend(self.unwritten.drain(..).map(|tile| tile.name));
        Ok(())
    }

    /// Keeps the partial tiles of this checkpoint and the one before: a reader may be between the two. Partial tiles of
    /// tiles that are full now go: whoever wants them finds the full one instead, as the specification has it.
    fn remove_old_partials(&mut self, current: Vec<TileName>) {
        let [last, before] = std::mem::take(&mut self.partials);
        for name in before.iter().filter(|name| !current.contains(name) && !last.contains(name)) {
            let path = name.path(&self.dir);
            drop(fs::remove_file(&path));
            // Fails while it holds another width, as it should.
            drop(path.parent().map(fs::remove_dir));
        }
        self.partials = [current, last];
        for full in self.filled.drain(..).filter(|name| name.width == TILE_WIDTH) {
            let partial = TileName { width: 1, ..full }.path(&self.dir);
            drop(partial.parent().map(fs::remove_dir_all));
        }
    }
}

/// Writes tiles, then makes them and the directories they appeared in durable.
pub(super) fn write_durably(dir: &Path, tiles: &[&Tile]) -> io::Result<()> {
    let mut files = Vec::with_capacity(tiles.len());
    let mut parents = BTreeSet::new();
    for tile in tiles {
        let path = tile.name.path(dir);
        if let Some(parent) = path.parent() {
            create_dirs(parent)?;
            parents.insert(parent.to_owned());
        }
        let mut file = File::create(&path)?;
        file.write_all(&tile.bytes)?;
        files.push(file);
    }
    files.iter().try_for_each(File::sync_all)?;
    parents.iter().try_for_each(|parent| File::open(parent)?.sync_all())
}

/// `mkdir -p`, each new directory durable in its parent.
pub(super) fn create_dirs(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dirs(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_dir(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
