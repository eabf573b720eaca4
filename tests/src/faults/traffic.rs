//! Clients that write and read while something breaks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::{Book, Found, World};

/// The pause between two requests of one client: the faults are the test, not the load.
const PACE: Duration = Duration::from_millis(25);
/// Lengths of what is written, in turn: within a row of metadata, one segment, and several with an odd end.
const LENGTHS: [usize; 6] = [700, 66_000, 300_001, 66_000, 17, 5_000_003];
const WRITERS: usize = 2;
const READERS: usize = 2;

/// Clients at work.
pub struct Traffic {
    prefix: String,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<Result<()>>>,
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    over: AtomicBool,
    put: AtomicU64,
    got: AtomicU64,
    refused: Mutex<Vec<String>>,
}

impl Traffic {
    /// Starts clients that write under `prefix` and read what was acknowledged there.
    #[must_use]
    pub fn start(book: &Book, prefix: &str) -> Self {
        let tally = Arc::<Tally>::default();
        let mut clients = Vec::new();
        for writer in 0..WRITERS {
            let (book, tally, prefix) = (book.clone(), Arc::clone(&tally), format!("{prefix}{writer}-"));
            clients.push(tokio::spawn(write(book, tally, prefix)));
        }
        for _ in 0..READERS {
            clients.push(tokio::spawn(read(book.clone(), Arc::clone(&tally), prefix.to_owned())));
        }
        Self { prefix: prefix.to_owned(), tally, clients }
    }

    /// Waits until so many more writes and as many more reads were answered as they should be.
    ///
    /// # Errors
    /// Where they are not, or a read gave other bytes than were written.
    pub async fn goes_on(&self, world: &World, more: u64) -> Result<()> {
        let count = || (self.tally.put.load(Ordering::Relaxed), self.tally.got.load(Ordering::Relaxed));
        let (put, got) = count();
        let what = format!("{more} more writes and reads under {}", self.prefix);
        let waited = world.until(&what, || async {
            if self.clients.iter().any(JoinHandle::is_finished) {
                return Ok(Some(false));
            }
            let now = count();
            Ok((now.0 >= put + more && now.1 >= got + more).then_some(true))
        });
        match waited.await.with_context(|| format!("refused so far: {:?}", self.refused()))? {
            true => Ok(()),
            false => bail!("a client gave up: a read gave other bytes than were written"),
        }
    }

    /// What was refused or broken off, since the start; not writes that may come again (503).
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.tally.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the clients; what was refused or broken off, as in [`Traffic::refused`].
    ///
    /// # Errors
    /// Where a read gave other bytes than were written.
    pub async fn end(self) -> Result<Vec<String>> {
        self.tally.over.store(true, Ordering::Relaxed);
        let refused = Arc::clone(&self.tally);
        for client in self.clients {
            client.await??;
        }
        let refused = refused.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(refused)
    }
}

impl Tally {
    fn refuse(&self, what: String) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

async fn write(book: Book, tally: Arc<Tally>, prefix: String) -> Result<()> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (number, bytes) in LENGTHS.into_iter().cycle().enumerate() {
        pace.tick().await;
        if tally.over.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{prefix}{number}");
        match book.put(&key, bytes).await? {
            Ok(()) => drop(tally.put.fetch_add(1, Ordering::Relaxed)),
            // Too few nodes answer at this moment, and it says so: no fault as long as it goes on.
            Err(refusal) if refusal.status == Some(503) => {}
            Err(refusal) => tally.refuse(format!("PUT {key}: {refusal}")),
        }
    }
    Ok(())
}

async fn read(book: Book, tally: Arc<Tally>, prefix: String) -> Result<()> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !tally.over.load(Ordering::Relaxed) {
        pace.tick().await;
        let Some(key) = book.any(&prefix) else { continue };
        match book.get(&key).await? {
            Found::Whole => drop(tally.got.fetch_add(1, Ordering::Relaxed)),
            Found::Absent => bail!("{key} was acknowledged, and is not there"),
            Found::Refused(status, why) => tally.refuse(format!("GET {key}: {status:?} {why}")),
        }
    }
    Ok(())
}
