//! The audit log of one gateway.
//!
//! ```text
//! <dir>/lock                 held while a process has the log open
//! <dir>/log.vkey             the log's public key, as a C2SP verifier key
//! <dir>/checkpoint           the newest published checkpoint
//! <dir>/tile/...             tiles and entry bundles (c2sp.org/tlog-tiles)
//! <dir>/wal/...              the leaves as they were committed
//! <dir>/side/values          what commitments hide; erasable
//! <dir>/side/inputs          the inputs of decisions, by their hash
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use domicile_types::{Commitment, ENTRY_BYTES_MAX, Entry, NodeId, Record, RequestId, ShardCid};
use futures_channel::oneshot;
use parking_lot::Mutex;

use super::checkpoint::SignedCheckpoint;
use super::commit::{Committed, Committer, Head, HeadState, SpaceLimits};
use super::config::{Clock, LogConfig, LogLimits};
use super::event::Event;
use super::examine::LogFault;
use super::inputs::{InputStore, InputsError};
use super::note::VerifierKey;
use super::publish::{PublishError, Published, Publisher, create_dirs};
use super::queue::{Abandoned, AppendError, EntryClass, Queue};
use super::recover::{self, Replayed};
use super::side::{Opening, SideError, SideStore};
use super::tile::TileName;
use super::wal::{Position, WalDir, WalFault, WalWriter};
use super::zeroed::replace_file;

/// Why a log cannot be opened. The gateway must not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Limits that contradict each other.
    #[error("the audit log's limits do not fit: {rule}")]
    Limits {
        /// What must hold.
        rule: &'static str,
    },
    /// Another process has it open.
    #[error("{dir} is in use by another process: stop that gateway first")]
    InUse {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The directory holds another log.
    #[error("{path} holds the key {found}, but this gateway's log has the key {expected}: wrong directory or identity")]
    OtherLog {
        /// The key file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// This gateway's.
        expected: String,
    },
    /// What is stored contradicts itself, or what was signed.
    #[error("the audit log is damaged, and the gateway does not start on it")]
    Damaged(#[from] LogFault),
    /// An entry is not a record that this version reads.
    #[error("entry {index} of the audit log is not a record that this version reads")]
    Unreadable {
        /// Its index.
        index: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// The store of committed values is damaged.
    #[error("the store of committed values cannot be opened")]
    Side(#[from] SideError),
    /// The store of decision inputs is damaged.
    #[error("the store of decision inputs cannot be opened")]
    Inputs(#[from] InputsError),
    /// The disk did not answer.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The entries that a start makes could not be recorded.
    #[error("the start of the gateway cannot be recorded")]
    Append(#[source] AppendError),
}

impl From<WalFault> for OpenError {
    fn from(fault: WalFault) -> Self {
        Self::Damaged(fault.into())
    }
}

/// Why a value was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// It is gone already.
    #[error("what {commitment} hides was erased before")]
    Erased {
        /// The commitment.
        commitment: Commitment,
    },
    /// It was never here.
    #[error("{commitment} is not a commitment of this log's store")]
    Unknown {
        /// The commitment.
        commitment: Commitment,
    },
    /// The erasure cannot be recorded, so it was not done.
    #[error("the erasure cannot be recorded, and was not done")]
    Append(#[from] AppendError),
    /// The store does not answer.
    #[error(transparent)]
    Side(#[from] SideError),
}

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Entries found.
    pub entries: u64,
    /// Intents of the run before that had no outcome: closed now as "assume the whole range left".
    pub closed_intents: Vec<(u64, Record)>,
    /// Bytes of a batch that a crash tore. It was never acknowledged, and is dropped.
    pub dropped_bytes: u64,
    /// Tiles that were missing, written anew from the entries.
    pub rewritten_tiles: Vec<String>,
}

/// An open log. Dropping it commits what waits, publishes, and closes.
pub struct AuditLog {
    pub(super) core: Arc<LogCore>,
    side: SideStore,
    inputs: InputStore,
    published: Arc<Published>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: File,
}

/// What outlives the handle where an intent is still in progress.
pub(super) struct LogCore {
    pub(super) dir: PathBuf,
    pub(super) queue: Arc<Queue>,
    pub(super) head: Arc<Head>,
    pub(super) positions: Arc<Mutex<Vec<Position>>>,
    pub(super) gateway: NodeId,
    pub(super) clock: Clock,
    verifier: VerifierKey,
    segment_bytes: u64,
    log_bytes_max: u64,
}

/// An entry on its way. It is recorded whether or not this is awaited.
#[must_use = "an operation may begin only after its intent is durable"]
pub struct Appending(Pushed);

/// Where the answer of the committer arrives.
type Pushed = Result<oneshot::Receiver<Result<Committed, AppendError>>, AppendError>;

impl Future for Appending {
    type Output = Result<Committed, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Err(error) => Poll::Ready(Err(*error)),
            Ok(receiver) => Pin::new(receiver).poll(context).map(|sent| sent.unwrap_or(Err(AppendError::Closed))),
        }
    }
}

impl Appending {
    pub(super) const fn refused(error: AppendError) -> Self {
        Self(Err(error))
    }

    /// Blocks this thread until the entry is durable. Not for async code.
    pub fn wait(self) -> Result<Committed, AppendError> {
        block_on(self)
    }
}

impl LogCore {
    pub(super) fn append(&self, request: RequestId, entry: Entry) -> Appending {
        Appending(self.push(request, entry, None))
    }

    pub(super) fn push(&self, request: RequestId, entry: Entry, abandoned: Option<Abandoned>) -> Pushed {
        let class = match &entry {
            Entry::Intent(_) | Entry::Denied(_) => EntryClass::Ordinary,
            Entry::Outcome(_)
            | Entry::Erased { .. }
            | Entry::Started { .. }
            | Entry::Incident { .. }
            | Entry::Fleet { .. }
            | Entry::Judging { .. }
            | Entry::Deleted { .. }
            | Entry::Approval { .. }
            | Entry::Proposal { .. }
            | Entry::Report { .. }
            | Entry::Viewed { .. }
            | Entry::Key { .. }
            | Entry::Correction { .. } => EntryClass::Control,
        };
        let record = Record { v: Record::VERSION, time: (self.clock)(), gateway: self.gateway, request, entry };
        self.queue.push(encode(&record)?.into(), class, abandoned)
    }
}

impl AuditLog {
    /// Opens or creates the log in `dir`: replays and checks everything in it, drops what a crash tore, closes what was
    /// open, and records the start. Refuses where anything stored contradicts itself or what was signed.
    ///
    /// Reads every entry: some 6 seconds per million, measured on two busy cores.
    pub fn open(dir: &Path, config: LogConfig) -> Result<(Self, Recovery), OpenError> {
        if let Some(rule) = config.limits.fault() {
            return Err(OpenError::Limits { rule });
        }
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path: path.clone(), source }
        };
        create_dirs(&dir.join("wal")).map_err(io(dir))?;
        create_dirs(&dir.join("side")).map_err(io(dir))?;
        let lock = lock(dir)?;
        check_key(dir, config.signer.verifier())?;
        let replayed = recover::replay(dir, config.signer.verifier())?;
        let mut recovery = Recovery {
            entries: replayed.examined.tree.size(),
            closed_intents: Vec::new(),
            dropped_bytes: replayed.end.torn_bytes,
            rewritten_tiles: replayed.examined.missing.iter().map(|tile| tile.name.to_string()).collect(),
        };
        let open_intents = replayed.open_intents.clone();
        let packs = config.packs.clone();
        let log = Self::start(dir, config, replayed, lock)?;
        recovery.closed_intents = log.close_intents(open_intents)?;
        let closed_intents = u64::try_from(recovery.closed_intents.len()).unwrap_or(u64::MAX);
        let started = Entry::Started { packs, closed_intents };
        log.core.append(RequestId::from_bytes([0; 16]), started).wait().map_err(OpenError::Append)?;
        Ok((log, recovery))
    }

    fn start(dir: &Path, config: LogConfig, replayed: Replayed, lock: File) -> Result<Self, OpenError> {
        let Replayed { examined, end, next, positions, erased, .. } = replayed;
        let side = SideStore::open(&dir.join("side/values"))?;
        let inputs = InputStore::open(&dir.join("side/inputs"))?;
        for commitment in &erased {
            // The entry was durable and the process ended before the value was overwritten.
            side.erase(commitment)?;
        }
        let wal = WalDir::new(dir);
        let writer = WalWriter::open(wal.clone(), &end, config.limits.segment_bytes, config.open_device)?;
        let head = recover::sign_head(&examined.tree, &config.signer);
        let head = Arc::new(Head::new(HeadState {
            checkpoint: Arc::new(head),
            end: writer.end(),
            is_closing: false,
            wanted: 0,
        }));
        let queue = Arc::new(Queue::new(config.limits.queue_entries_max));
        let positions = Arc::new(Mutex::new(positions));
        let published_size = examined.published.as_ref().map_or(0, SignedCheckpoint::size);
        let published = Arc::new(Published::starting_at(examined.published.map(Arc::new)));
        let publisher = Publisher {
            dir: dir.to_owned(),
            wal,
            spare: writer.spare(),
            head: Arc::clone(&head),
            published: Arc::clone(&published),
            builder: examined.builder,
            next,
            unwritten: examined.missing,
            filled: Vec::new(),
            partials: [TileName::all_partial(published_size).collect(), Vec::new()],
            pace: Duration::from_millis(config.limits.publish_millis_min),
            positions: Arc::clone(&positions),
            on_fatal: Arc::clone(&config.on_fatal),
        };
        let core = Arc::new(LogCore {
            dir: dir.to_owned(),
            queue: Arc::clone(&queue),
            head: Arc::clone(&head),
            positions,
            gateway: config.gateway,
            clock: config.clock,
            verifier: config.signer.verifier().clone(),
            segment_bytes: config.limits.segment_bytes,
            log_bytes_max: config.limits.log_bytes_max,
        });
        let LogLimits { segment_bytes, log_bytes_max, reserve_bytes, .. } = config.limits;
        let committer = Committer {
            queue,
            head,
            wal: writer,
            tree: examined.tree,
            signer: config.signer,
            space: SpaceLimits { segment_bytes, log_bytes_max, reserve_bytes },
            synced_together: vec![side.values(), inputs.values()],
            on_fatal: config.on_fatal,
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map_err(|source| OpenError::Io { path: dir.to_owned(), source })
        };
        let mut threads = vec![spawn("audit-commit", Box::new(move || committer.run()))?];
        match spawn("audit-publish", Box::new(move || publisher.run())) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                core.queue.close();
                return Err(error);
            }
        }
        Ok(Self { core, side, inputs, published, threads: Mutex::new(threads), _lock: lock })
    }

    /// Records that each of `open` ended in the dark.
    fn close_intents(&self, open: Vec<u64>) -> Result<Vec<(u64, Record)>, OpenError> {
        let mut closed = Vec::with_capacity(open.len());
        let mut waiting = Vec::with_capacity(open.len());
        for index in open {
            let record = self.read(index).map_err(|error| recover::unreadable(index, error))?;
            let Entry::Intent(intent) = &record.entry else { continue };
            waiting.push(self.core.append(record.request, recover::assumed_whole(index, intent)));
            closed.push((index, record));
        }
        waiting.into_iter().try_for_each(|outcome| outcome.wait().map(drop)).map_err(OpenError::Append)?;
        Ok(closed)
    }

    /// Records what became of the fleet, of what is judged by, or of something deleted: an entry that is no operation's.
    /// Durable before whatever follows from it is done, if the caller waits.
    pub fn note(&self, request: RequestId, event: Event) -> Appending {
        self.core.append(request, event.into())
    }

    /// Records something that must be looked at.
    pub fn incident(&self, request: RequestId, what: &str, node: Option<NodeId>, shard: Option<ShardCid>) -> Appending {
        self.core.append(request, Entry::Incident { what: what.to_owned(), node, shard })
    }

    /// Erases what a commitment hides, and records that it was. The entry is durable before the value goes: a crash in
    /// between is made good at the next open. Blocks on the disk.
    pub fn erase(&self, request: RequestId, commitment: Commitment, reason: &str) -> Result<Committed, EraseError> {
        match self.side.open_commitment(&commitment)? {
            Opening::Value { .. } => {}
            Opening::Erased => return Err(EraseError::Erased { commitment }),
            Opening::Unknown => return Err(EraseError::Unknown { commitment }),
        }
        let erased = Entry::Erased { commitment, reason: reason.to_owned() };
        let committed = self.core.append(request, erased).wait()?;
        self.side.erase(&commitment)?;
        Ok(committed)
    }

    /// What commitments hide.
    #[must_use]
    pub const fn side(&self) -> &SideStore {
        &self.side
    }

    /// The inputs of decisions.
    #[must_use]
    pub const fn inputs(&self) -> &InputStore {
        &self.inputs
    }

    /// The newest signed checkpoint: over everything that was acknowledged.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<SignedCheckpoint> {
        self.core.head.get().checkpoint
    }

    /// The log's public key.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.core.verifier
    }

    /// Bytes of the write-ahead log that are used, and how many may be: what the committer goes by.
    #[must_use]
    pub fn space(&self) -> (u64, u64) {
        let end = self.core.head.get().end;
        (end.segment.saturating_mul(self.core.segment_bytes).saturating_add(end.offset), self.core.log_bytes_max)
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.core.dir
    }

    /// Whose log it is.
    #[must_use]
    pub fn gateway(&self) -> NodeId {
        self.core.gateway
    }

    /// Blocks until tiles and the `checkpoint` file cover everything acknowledged so far. Not for async code.
    pub fn publish(&self) -> Result<Arc<SignedCheckpoint>, PublishError> {
        let attempts = self.published.attempts();
        let size = self.checkpoint().size();
        self.core.head.update(|head| head.wanted = head.wanted.max(size));
        self.published.wait(size, attempts)
    }

    /// Commits what waits, publishes it, and lets nothing more in. Intents still in progress are closed at the next start.
    pub fn close(&self) {
        self.core.queue.close();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the audit log panicked");
            }
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditLog({})", self.core.dir.display())
    }
}

/// The log's public key lies beside it under this name.
pub const KEY_FILE: &str = "log.vkey";

fn encode(record: &Record) -> Result<Vec<u8>, AppendError> {
    let leaf = serde_json::to_vec(record).unwrap_or_else(|error| unreachable!("records are plain data: {error}"));
    if leaf.len() > ENTRY_BYTES_MAX { Err(AppendError::TooLong { bytes: leaf.len() }) } else { Ok(leaf) }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let io = |source| OpenError::Io { path: path.clone(), source };
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

fn check_key(dir: &Path, verifier: &VerifierKey) -> Result<(), OpenError> {
    let path = dir.join(KEY_FILE);
    let io = |source| OpenError::Io { path: path.clone(), source };
    let expected = verifier.to_string();
    match fs::read_to_string(&path) {
        Ok(found) if found.trim_end() == expected => Ok(()),
        Ok(found) => Err(OpenError::OtherLog {
            path: path.clone(),
            found: found.trim_end().chars().take(200).collect(),
            expected,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace_file(&path, format!("{expected}\n").as_bytes()).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

/// Drives a future whose progress is made by other threads.
pub(super) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
