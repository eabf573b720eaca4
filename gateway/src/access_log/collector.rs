//! Gathers records bucket by bucket and writes them when there are enough of them, or when they have waited long enough.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::HEXUPPER;
use domicile_types::{BucketName, RequestId, UnixMillis};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::record::Record;
use super::target::{AccessLogging, Source};
use crate::admin::with_causes;
use crate::catalog::{Bucket, Setting};
use crate::objects::{Error, Gateway};

/// Records between the listeners and the collector. Above that they are lost, and counted.
const IN_FLIGHT_MAX: usize = 10_000;
/// Bytes of one log object.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Buckets whose records are gathered at a time; another one waits for the next round.
const BATCHES_MAX: usize = 1_000;
/// How long it is believed that a bucket logs, or does not.
const BELIEVED_MILLIS: u64 = 10_000;
/// Buckets of which that is remembered.
const REMEMBERED_MAX: usize = 10_000;
/// How often batches are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often a batch is tried before it is given up.
const ATTEMPTS_MAX: u32 = 5;

/// Where listeners hand their records over.
pub(crate) struct AccessLogs {
    notes: mpsc::Sender<Note>,
    taken: Mutex<Option<mpsc::Receiver<Note>>>,
    /// Until when it is believed that a bucket does not log.
    silent: Mutex<HashMap<BucketName, UnixMillis>>,
    lost: AtomicU64,
}

enum Note {
    Record(BucketName, Box<Record>),
    WriteAll(oneshot::Sender<()>),
}

impl AccessLogs {
    pub(crate) fn new() -> Self {
        let (notes, taken) = mpsc::channel(IN_FLIGHT_MAX);
        Self { notes, taken: Mutex::new(Some(taken)), silent: Mutex::default(), lost: AtomicU64::new(0) }
    }

    /// Whether records about the bucket may be wanted: most buckets do not log, and their requests should not pay for it.
    pub(crate) fn may_want(&self, bucket: &BucketName, now: UnixMillis) -> bool {
        self.silent.lock().get(bucket).is_none_or(|until| *until <= now)
    }

    /// Hands over a record. It never waits.
    pub(crate) fn note(&self, bucket: BucketName, record: Record) {
        if self.notes.try_send(Note::Record(bucket, Box::new(record))).is_err() {
            self.lose(1, "more came than could be gathered");
        }
    }

    /// A bucket's logging has changed.
    pub(crate) fn changed(&self, bucket: &BucketName) {
        self.silent.lock().remove(bucket);
    }

    fn keeps_silent(&self, bucket: BucketName, until: UnixMillis) {
        let mut silent = self.silent.lock();
        if silent.len() >= REMEMBERED_MAX {
            silent.clear();
        }
        silent.insert(bucket, until);
    }

    fn lose(&self, records: u64, why: &str) {
        let lost = self.lost.fetch_add(records, Ordering::Relaxed).saturating_add(records);
        tracing::error!(records, lost_since_start = lost, why, "access log records are lost");
    }
}

/// Writes everything that was noted so far. For a gateway that stops.
pub(crate) async fn write_all(gateway: &Gateway) {
    let (done, all_written) = oneshot::channel();
    if gateway.access_logs.notes.send(Note::WriteAll(done)).await.is_ok() {
        // An error means that the collector is gone, and with it what it had.
        let _ = all_written.await;
    }
}

/// Runs until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let Some(mut notes) = gateway.access_logs.taken.lock().take() else { return };
    let mut collector = Collector { gateway, batches: HashMap::new() };
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            note = notes.recv() => match note {
                Some(Note::Record(bucket, record)) => collector.gather(bucket, &record).await,
                Some(Note::WriteAll(done)) => {
                    collector.write(|_, _| true).await;
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                None => return,
            },
            _ = tick.tick() => {
                let now = collector.gateway.clock.now();
                let wait = collector.gateway.config.access_log_seconds.saturating_mul(1_000);
                collector.write(|batch, _| batch.began.plus_millis(wait) <= now || batch.text.len() >= BATCH_BYTES_MAX).await;
            }
        }
    }
}

struct Collector {
    gateway: Gateway,
    batches: HashMap<(BucketName, AccessLogging), Batch>,
}

/// Lines about one bucket for one target.
struct Batch {
    source: Bucket,
    text: String,
    records: u64,
    began: UnixMillis,
    attempts: u32,
    /// Not to be tried before.
    due: UnixMillis,
}

impl Collector {
    async fn gather(&mut self, name: BucketName, record: &Record) {
        let now = self.gateway.clock.now();
        let until = now.plus_millis(BELIEVED_MILLIS);
        let found = async {
            let bucket = self.gateway.catalog.bucket(&name).await?;
            let logging = self.gateway.catalog.setting::<AccessLogging>(&bucket, Setting::Logging).await?;
            Ok::<_, crate::catalog::CatalogError>((bucket, logging))
        };
        let (source, logging) = match found.await {
            Ok((bucket, Some(logging))) => (bucket, logging),
            Ok((_, None)) | Err(crate::catalog::CatalogError::NoSuchBucket { .. }) => {
                return self.gateway.access_logs.keeps_silent(name, until);
            }
            Err(error) => return self.gateway.access_logs.lose(1, &with_causes(&error)),
        };
        let batches = self.batches.len();
        let key = (name, logging);
        if batches >= BATCHES_MAX && !self.batches.contains_key(&key) {
            return self.gateway.access_logs.lose(1, "records about too many buckets are being gathered");
        }
        let line = record.line(source.owner.as_str(), &source.name);
        let fresh = || Batch { source, text: String::new(), records: 0, began: now, attempts: 0, due: now };
        let batch = self.batches.entry(key).or_insert_with(fresh);
        // What cannot be written does not grow without end.
        if batch.text.len() >= BATCH_BYTES_MAX * 2 {
            return self.gateway.access_logs.lose(1, "they cannot be written as fast as they come");
        }
        batch.text.push_str(&line);
        batch.text.push('\n');
        batch.records += 1;
    }

    /// Writes the batches that are `ready`.
    async fn write(&mut self, ready: impl Fn(&Batch, &AccessLogging) -> bool) {
        let now = self.gateway.clock.now();
        let due = |(key, batch): (&(BucketName, AccessLogging), &Batch)| {
            (ready(batch, &key.1) && batch.due <= now).then(|| key.clone())
        };
        let due: Vec<_> = self.batches.iter().filter_map(due).collect();
        for key in due {
            let Some(mut batch) = self.batches.remove(&key) else { continue };
            match deliver(&self.gateway, &key.1, &batch).await {
                Ok(()) => {}
                Err(error) if may_pass(&error) && batch.attempts < ATTEMPTS_MAX => {
                    tracing::warn!(bucket = %key.0, error = with_causes(&error), "access log records are put off");
                    batch.attempts += 1;
                    batch.due = now.plus_millis(1_000 << batch.attempts);
                    self.batches.insert(key, batch);
                }
                Err(error) => {
                    tracing::error!(bucket = %key.0, error = with_causes(&error), "access log records are refused");
                    self.gateway.access_logs.lose(batch.records, "the target bucket did not take them");
                }
            }
        }
    }
}

/// Whether trying again may help.
fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable(_) | Error::TooFewNodes { .. } | Error::LogUnavailable(_) | Error::Internal { .. }
    )
}

async fn deliver(gateway: &Gateway, logging: &AccessLogging, batch: &Batch) -> Result<(), Error> {
    let Bucket { owner, region, name, .. } = &batch.source;
    let source = Source { owner, region, bucket: name };
    let unique = HEXUPPER.encode(&gateway.clock.random::<8>());
    let key = logging.key(&source, &unique, batch.began, gateway.clock.now());
    let key = key.ok_or_else(|| Error::InvalidArgument("the prefix makes keys that are too long".to_owned()))?;
    let request = RequestId::from_bytes(gateway.clock.random());
    gateway.put_access_log(&batch.source, logging, key, batch.text.clone(), request).await
}
