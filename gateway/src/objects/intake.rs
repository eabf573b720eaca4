//! A body on its way in: bytes become sealed segments and digests, off the request's own thread, in bounded memory.
//!
//! ```text
//! body ──> pump ──> encoder thread ──> sealed segments ──> (sender)
//!            └────> digest thread ───> MD5, checksums
//! ```
//! The pump takes room for a segment before it lets its first byte through; the room is given back when the segment's shards
//! are stored. So memory is bounded over all uploads together, and a slow fleet slows the clients down.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use domicile_chunker::{CipherSegment, DataKey, EncodeError, Encoder, EncoderConfig, SaltSeed, SealedSegment};
use domicile_chunker::{sealed_bytes_max, segment_bytes_max};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::digest::{BodyDigests, Digested};
use super::error::Error;
use super::request::{BodyError, BodyStream, ExpectedDigests};

/// Bodies up to this size are taken whole: threads and channels would cost more than the work.
const SMALL_BYTES_MAX: usize = 128 * 1024;
/// Pieces of the body that may wait for a thread.
const PIECES_WAITING_MAX: usize = 4;
/// The largest body of one request: S3's limit for PutObject and UploadPart.
pub(super) const BODY_BYTES_MAX: u64 = 5 << 30;

/// A sealed segment, with the room that it takes up.
pub(super) struct Sealed {
    /// The segment.
    pub(super) segment: SealedSegment,
    /// Given back when dropped.
    pub(super) room: OwnedSemaphorePermit,
}

/// A body being taken in.
pub(super) struct Intake {
    segments: mpsc::Receiver<Sealed>,
    end: oneshot::Receiver<Result<Digested, Error>>,
}

/// What an intake is told.
pub(super) struct IntakeConfig {
    /// The encoder's settings.
    pub(super) encoder: EncoderConfig,
    /// Fresh random bytes for the salts.
    pub(super) salts: SaltSeed,
    /// Decoded length, where declared.
    pub(super) content_length: Option<u64>,
    /// What the body must hash to.
    pub(super) expected: ExpectedDigests,
    /// Room for segments, one permit per KiB.
    pub(super) buffers: Arc<Semaphore>,
}

impl Intake {
    /// Begins to take the body in.
    pub(super) fn start(key: &DataKey, config: IntakeConfig, body: BodyStream) -> Self {
        let (segments_to, segments) = mpsc::channel(1);
        let (end_to, end) = oneshot::channel();
        let encoder = Encoder::new(key, config.encoder.clone(), config.salts);
        let intake = Task {
            encoder,
            room_kib: room_kib(&config.encoder),
            segment_bytes: segment_bytes_max(config.encoder.profile),
            content_length: config.content_length,
            expected: config.expected,
            buffers: config.buffers,
            segments_to,
        };
        tokio::spawn(async move {
            // Nobody listens when the request is gone; then there is nothing to tell.
            let _ = end_to.send(intake.run(body).await);
        });
        Self { segments, end }
    }

    /// The next segment; `None` when the body has ended, well or badly.
    pub(super) async fn next(&mut self) -> Option<Sealed> {
        self.segments.recv().await
    }

    /// The digests, all claims checked; or what was wrong with the body. After the last segment.
    pub(super) async fn finish(self) -> Result<Digested, Error> {
        drop(self.segments);
        self.end.await.unwrap_or_else(|source| Err(internal("taking in the body", source)))
    }
}

fn room_kib(config: &EncoderConfig) -> u32 {
    // Ciphertext and parity of one segment, and as much again as its plaintext while it arrives.
    let bytes = sealed_bytes_max(config.profile) + SMALL_BYTES_MAX;
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX)
}

/// A small body, and its shards: at the most three times its length under every code on offer, and some for rounding.
fn small_room_kib(body_bytes: usize) -> u32 {
    u32::try_from(4 * body_bytes / 1024).unwrap_or(u32::MAX).saturating_add(64)
}

struct Task {
    encoder: Encoder,
    room_kib: u32,
    segment_bytes: usize,
    content_length: Option<u64>,
    expected: ExpectedDigests,
    buffers: Arc<Semaphore>,
    segments_to: mpsc::Sender<Sealed>,
}

/// What goes to the encoder: room before the first byte of every segment, and bytes that never cross a segment's end.
enum Piece {
    Room(OwnedSemaphorePermit),
    Bytes(Bytes),
}

impl Task {
    async fn run(self, mut body: BodyStream) -> Result<Digested, Error> {
        let mut head = BytesMut::new();
        while head.len() <= SMALL_BYTES_MAX {
            match body.next().await {
                Some(piece) => head.extend_from_slice(&piece.map_err(|error| body_error(error, head.len()))?),
                None => return self.small(head.freeze()).await,
            }
        }
        self.large(head.freeze(), body).await
    }

    async fn small(self, body: Bytes) -> Result<Digested, Error> {
        check_length(self.content_length, body.len())?;
        let room = take_room(&self.buffers, small_room_kib(body.len())).await?;
        let work = spawn_blocking(move || {
            let mut digests = BodyDigests::new(&self.expected);
            digests.update(&body);
            // Claims are checked before anything is sent: a small body with a wrong checksum touches no node.
            let digested = digests.finish(self.expected)?;
            let mut encoder = self.encoder;
            let mut segments = Vec::new();
            let mut rest: &[u8] = &body;
            while let Some(segment) = encoder.push(&mut rest).map_err(encode_error)? {
                segments.push(segment.code());
            }
            segments.extend(encoder.finish().map_err(encode_error)?.map(CipherSegment::code));
            Ok::<_, Error>((digested, segments))
        });
        let (digested, segments) = work.await.map_err(|source| internal("sealing the body", source))??;
        // A body this small has one segment, whatever the code.
        if let Some(segment) = segments.into_iter().next() {
            let _ = self.segments_to.send(Sealed { segment, room }).await;
        }
        Ok(digested)
    }

    async fn large(self, head: Bytes, body: BodyStream) -> Result<Digested, Error> {
        let (to_encoder, encoder_in) = mpsc::channel(PIECES_WAITING_MAX);
        let (to_digests, digests_in) = mpsc::channel(PIECES_WAITING_MAX);
        let digests = BodyDigests::new(&self.expected);
        let (encoder, segments_to) = (self.encoder, self.segments_to);
        let encoding = spawn_blocking(move || encode(encoder, encoder_in, &segments_to));
        let digesting = spawn_blocking(move || digest(digests, digests_in));
        let mut pump = Pump {
            to_encoder,
            to_digests,
            buffers: self.buffers,
            room_kib: self.room_kib,
            segment_bytes: self.segment_bytes,
            left_in_segment: 0,
            received: 0,
            limit: self.content_length.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX),
        };
        let pumped = pump.run(head, body).await;
        let received = pump.received;
        drop(pump);
        let digests = digesting.await.map_err(|source| internal("hashing the body", source))?;
        let encoded = encoding.await.map_err(|source| internal("sealing the body", source))?;
        pumped?;
        encoded?;
        check_length(self.content_length, usize::try_from(received).unwrap_or(usize::MAX))?;
        digests.finish(self.expected)
    }
}

struct Pump {
    to_encoder: mpsc::Sender<Piece>,
    to_digests: mpsc::Sender<Bytes>,
    buffers: Arc<Semaphore>,
    room_kib: u32,
    segment_bytes: usize,
    left_in_segment: usize,
    received: u64,
    limit: u64,
}

impl Pump {
    async fn run(&mut self, head: Bytes, mut body: BodyStream) -> Result<(), Error> {
        self.push(head).await?;
        while let Some(piece) = body.next().await {
            let received = usize::try_from(self.received).unwrap_or(usize::MAX);
            self.push(piece.map_err(|error| body_error(error, received))?).await?;
        }
        Ok(())
    }

    async fn push(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.received > self.limit {
            return Err(Error::EntityTooLarge { limit: self.limit });
        }
        // A thread that has ended says itself why, when it is joined: here it only means to stop.
        let stopped = |_| Error::Unavailable("the upload was stopped".to_owned());
        self.to_digests.send(bytes.clone()).await.map_err(|_| stopped(()))?;
        while !bytes.is_empty() {
            if self.left_in_segment == 0 {
                let room = take_room(&self.buffers, self.room_kib).await?;
                self.to_encoder.send(Piece::Room(room)).await.map_err(|_| stopped(()))?;
                self.left_in_segment = self.segment_bytes;
            }
            let piece = bytes.split_to(bytes.len().min(self.left_in_segment));
            self.left_in_segment -= piece.len();
            self.to_encoder.send(Piece::Bytes(piece)).await.map_err(|_| stopped(()))?;
        }
        Ok(())
    }
}

/// The encoder's thread. Ends early, without error, when nobody takes the segments any more.
fn encode(mut encoder: Encoder, mut pieces: mpsc::Receiver<Piece>, to: &mpsc::Sender<Sealed>) -> Result<(), Error> {
    let mut room = None;
    while let Some(piece) = pieces.blocking_recv() {
        let bytes = match piece {
            Piece::Room(permit) => {
                room = Some(permit);
                continue;
            }
            Piece::Bytes(bytes) => bytes,
        };
        let mut rest: &[u8] = &bytes;
        while let Some(segment) = encoder.push(&mut rest).map_err(encode_error)? {
            let Some(room) = room.take() else { return Err(Error::Unavailable("a segment without room".to_owned())) };
            if to.blocking_send(Sealed { segment: segment.code(), room }).is_err() {
                return Ok(());
            }
        }
    }
    if let (Some(segment), Some(room)) = (encoder.finish().map_err(encode_error)?, room) {
        let _ = to.blocking_send(Sealed { segment: segment.code(), room });
    }
    Ok(())
}

/// The digests' thread.
fn digest(mut digests: BodyDigests, mut pieces: mpsc::Receiver<Bytes>) -> BodyDigests {
    while let Some(bytes) = pieces.blocking_recv() {
        digests.update(&bytes);
    }
    digests
}

async fn take_room(buffers: &Arc<Semaphore>, kib: u32) -> Result<OwnedSemaphorePermit, Error> {
    let room = Arc::clone(buffers).acquire_many_owned(kib).await;
    room.map_err(|_| Error::Unavailable("the gateway is shutting down".to_owned()))
}

fn check_length(declared: Option<u64>, received: usize) -> Result<(), Error> {
    let received = u64::try_from(received).unwrap_or(u64::MAX);
    match declared {
        Some(declared) if received < declared => Err(Error::IncompleteBody { received }),
        Some(declared) if received > declared => Err(Error::EntityTooLarge { limit: declared }),
        _ => Ok(()),
    }
}

fn body_error(error: BodyError, received: usize) -> Error {
    match error {
        BodyError::BadSignature(_) => Error::BodySignature,
        BodyError::Incomplete(_) | BodyError::Unreadable(_) => {
            Error::IncompleteBody { received: u64::try_from(received).unwrap_or(u64::MAX) }
        }
    }
}

fn encode_error(source: EncodeError) -> Error {
    internal("sealing the body", source)
}

/// Wraps what should not happen.
pub(super) fn internal<E: std::error::Error + Send + Sync + 'static>(doing: &'static str, source: E) -> Error {
    Error::Internal { doing, source: Box::new(source) }
}
