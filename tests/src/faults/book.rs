//! What was written, and whether that was acknowledged. The content of an object follows from its key, so that every byte
//! that ever comes back can be told from what it should be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use futures::StreamExt;
use tokio::time::{Instant, sleep};

use super::{LOOK, PATIENCE};

/// Reads at once when everything is read back.
const READS_AT_ONCE: usize = 6;

/// The book. Clones share it.
#[derive(Clone)]
pub struct Book {
    s3: aws_sdk_s3::Client,
    bucket: String,
    pages: Arc<Mutex<Pages>>,
    turn: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Pages {
    written: BTreeMap<String, Written>,
    /// Request ids of reads that gave bytes.
    reads: Vec<String>,
}

#[derive(Clone, Copy)]
struct Written {
    bytes: usize,
    acknowledged: bool,
}

/// What a read came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The whole object, byte by byte what was written.
    Whole,
    /// 404.
    Absent,
    /// Refused with this status, or broken off (no status).
    Refused(Option<u16>, String),
}

/// What reading back came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checked {
    /// Acknowledged, and there.
    pub acknowledged: usize,
    /// Not acknowledged, but there, whole.
    pub whole: usize,
    /// Not acknowledged, and not there.
    pub absent: usize,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, whole, absent } = self;
        write!(f, "{acknowledged} acknowledged objects read back, of others {whole} are whole and {absent} absent")
    }
}

impl Book {
    pub(super) fn new(s3: aws_sdk_s3::Client, bucket: &str) -> Self {
        Self { s3, bucket: bucket.to_owned(), pages: Arc::default(), turn: Arc::default() }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an object of that name holds.
    #[must_use]
    pub fn content(key: &str, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        blake3::Hasher::new().update(key.as_bytes()).finalize_xof().fill(&mut content);
        content
    }

    /// Notes that an object was written by other means, acknowledged or not.
    pub fn note(&self, key: &str, bytes: usize, acknowledged: bool) {
        self.pages().written.insert(key.to_owned(), Written { bytes, acknowledged });
    }

    /// Writes an object. `Ok(Err(..))`: it was not acknowledged, and why.
    ///
    /// # Errors
    /// Where the key was used before: its content would not tell which write it is of.
    pub async fn put(&self, key: &str, bytes: usize) -> Result<Result<(), Refusal>> {
        let used = self.pages().written.insert(key.to_owned(), Written { bytes, acknowledged: false });
        ensure!(used.is_none(), "{key} was written before");
        Ok(self.send(key, bytes).await)
    }

    async fn send(&self, key: &str, bytes: usize) -> Result<(), Refusal> {
        let body = ByteStream::from(Self::content(key, bytes));
        match self.s3.put_object().bucket(&self.bucket).key(key).body(body).send().await {
            Ok(_) => {
                self.note(key, bytes, true);
                Ok(())
            }
            Err(error) => Err(Refusal::of(&error)),
        }
    }

    /// Writes an object that must be acknowledged. A 503 says that the client may come again, and it does: on a machine that
    /// is busy with other things, several nodes at once may be slow to answer.
    ///
    /// # Errors
    /// Where it is refused for another reason, or for too long.
    pub async fn must_put(&self, key: &str, bytes: usize) -> Result<()> {
        let begun = Instant::now();
        let mut answer = self.put(key, bytes).await?;
        while let Err(refusal) = answer {
            ensure!(refusal.status == Some(503) && begun.elapsed() < PATIENCE, "PUT {key}: {refusal}");
            sleep(LOOK).await;
            answer = self.send(key, bytes).await;
        }
        Ok(())
    }

    /// Reads an object and compares it.
    ///
    /// # Errors
    /// Where other bytes come than were written.
    pub async fn get(&self, key: &str) -> Result<Found> {
        let written = self.pages().written.get(key).copied().with_context(|| format!("{key} was never written"))?;
        let got = match self.s3.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(got) => got,
            Err(error) => {
                let refusal = Refusal::of(&error);
                return Ok(if refusal.status == Some(404) { Found::Absent } else { refusal.into() });
            }
        };
        if let Some(request) = got.request_id() {
            self.pages().reads.push(request.to_owned());
        }
        let promised = got.content_length();
        let content = Self::content(key, written.bytes);
        let mut body = got.body;
        let mut at = 0;
        loop {
            match body.next().await {
                Some(Ok(piece)) => {
                    let expected = content.get(at..at + piece.len());
                    ensure!(expected == Some(&piece[..]), "{key} differs from what was written, at or after byte {at}");
                    at += piece.len();
                }
                Some(Err(error)) => return Ok(Found::Refused(None, format!("broken off at byte {at}: {error}"))),
                None => break,
            }
        }
        ensure!(at == content.len(), "{key} came back with {at} bytes of {} ({promised:?} promised)", content.len());
        Ok(Found::Whole)
    }

    /// Reads `bytes` from `start` on, which must come.
    ///
    /// # Errors
    /// Where they do not, or others do.
    pub async fn must_get_range(&self, key: &str, start: usize, bytes: usize) -> Result<()> {
        let written = self.pages().written.get(key).copied().with_context(|| format!("{key} was never written"))?;
        let content = Self::content(key, written.bytes);
        let expected = content.get(start..(start + bytes).min(content.len())).context("a range of the object")?;
        let range = format!("bytes={start}-{}", start + bytes - 1);
        let got = self.s3.get_object().bucket(&self.bucket).key(key).range(&range).send().await;
        let got = got.map_err(|error| anyhow::anyhow!("GET {key} {range}: {}", Refusal::of(&error)))?;
        if let Some(request) = got.request_id() {
            self.pages().reads.push(request.to_owned());
        }
        let body = got.body.collect().await.with_context(|| format!("GET {key} {range}"))?;
        ensure!(body.into_bytes() == expected, "{key}: {range} differs from what was written");
        Ok(())
    }

    /// Begins to read an object and stops after the first piece; the rest is never asked for.
    ///
    /// # Errors
    /// Where nothing comes.
    pub async fn begin_get(&self, key: &str) -> Result<ByteStream> {
        let mut got = self.s3.get_object().bucket(&self.bucket).key(key).send().await?;
        let piece = got.body.next().await.context("a body")??;
        ensure!(!piece.is_empty(), "the first piece is empty");
        self.pages().reads.extend(got.request_id().map(str::to_owned));
        Ok(got.body)
    }

    /// Reads an object that must come.
    ///
    /// # Errors
    /// Where it does not, or other bytes do.
    pub async fn must_get(&self, key: &str) -> Result<()> {
        match self.get(key).await? {
            Found::Whole => Ok(()),
            other => bail!("GET {key}: {other:?}"),
        }
    }

    /// An acknowledged object under `prefix`, each time another.
    #[must_use]
    pub fn any(&self, prefix: &str) -> Option<String> {
        let pages = self.pages();
        let under = pages.written.iter().filter(|(key, written)| written.acknowledged && key.starts_with(prefix));
        let keys: Vec<&String> = under.map(|(key, _)| key).collect();
        // Neighbours in turn are far from each other in the list: a step of the golden section.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(618_033_989);
        (!keys.is_empty()).then(|| keys.get(turn % keys.len()).map(|key| (*key).clone())).flatten()
    }

    /// Request ids of all reads that gave bytes.
    #[must_use]
    pub fn reads(&self) -> Vec<String> {
        self.pages().reads.clone()
    }

    /// Reads back everything under `prefix`.
    ///
    /// # Errors
    /// Where an acknowledged object is not what was written, or another is there in part.
    pub async fn read_back(&self, prefix: &str) -> Result<Checked> {
        let all: Vec<(String, Written)> = {
            let pages = self.pages();
            let under = pages.written.iter().filter(|(key, _)| key.starts_with(prefix));
            under.map(|(key, written)| (key.clone(), *written)).collect()
        };
        let mut reads = futures::stream::iter(all)
            .map(|(key, written)| async move { (self.get(&key).await, key, written) })
            .buffer_unordered(READS_AT_ONCE);
        let mut checked = Checked::default();
        while let Some((found, key, written)) = reads.next().await {
            match (found?, written.acknowledged) {
                (Found::Whole, true) => checked.acknowledged += 1,
                (Found::Whole, false) => checked.whole += 1,
                (Found::Absent, false) => checked.absent += 1,
                (other, acknowledged) => bail!("{key} (acknowledged: {acknowledged}) reads back as {other:?}"),
            }
        }
        Ok(checked)
    }
}

/// Why a request was not answered as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; none where the connection failed.
    pub status: Option<u16>,
    /// In words.
    pub why: String,
}

impl Refusal {
    /// From the client's error.
    #[must_use]
    pub fn of<E: std::error::Error + 'static>(error: &SdkError<E>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        Self { status, why: DisplayErrorContext(error).to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.status, self.why)
    }
}

impl From<Refusal> for Found {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.status, refusal.why)
    }
}
