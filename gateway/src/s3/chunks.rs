//! The framing of `aws-chunked` bodies that nobody signed: chunks with their sizes in front, then trailers.
//!
//! Signed bodies are taken apart where their signatures are verified. What comes without a signature comes here, for clients
//! that send a trailing checksum with anonymous requests. Sizes and trailers are bounded; whatever is not exactly of this
//! form, or ends early, fails the body, so that nothing of it is stored.
//!
//! ```text
//! body    = *chunk "0" CRLF *trailer CRLF
//! chunk   = size-in-hex CRLF bytes CRLF
//! trailer = name ":" value CRLF
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::checksum::text_header;

/// The longest line of a size, in bytes: sixteen digits.
const SIZE_BYTES_MAX: usize = 16;
/// All trailers together, in bytes.
const TRAILERS_BYTES_MAX: usize = 4 * 1024;

/// Why the framing is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkFault {
    /// It ended before its last chunk and its trailers.
    #[error("the aws-chunked body is incomplete")]
    Incomplete,
    /// It is not of the form above.
    #[error("the body is not well-formed aws-chunked data")]
    Malformed,
}

/// The trailers of a body, once it has been read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Trailers(Arc<Mutex<Option<HeaderMap>>>);

impl Trailers {
    /// The trailers; none where the body did not end as it should.
    pub(super) fn take(&self) -> Option<HeaderMap> {
        self.0.lock().take()
    }
}

/// Whether a request's body is framed in chunks, signed or not.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(http::header::CONTENT_ENCODING);
    let encoded = encodings.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    encoded.map(str::trim).any(|encoding| encoding.eq_ignore_ascii_case("aws-chunked"))
        || text_header(headers, "x-amz-content-sha256").is_some_and(|mode| mode.starts_with("STREAMING-"))
}

/// What a body says without its framing.
pub(super) struct Unchunked<S> {
    framed: S,
    ended: bool,
    read: BytesMut,
    at: At,
    trailers: Trailers,
}

/// Where in the framing the next byte stands.
enum At {
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    ChunkEnd,
    Trailers(HeaderMap, usize),
    End,
}

impl<S> Unchunked<S> {
    /// Takes a body apart; its trailers will be in the second value.
    pub(super) fn new(framed: S) -> (Self, Trailers) {
        let trailers = Trailers::default();
        let unchunked = Self { framed, ended: false, read: BytesMut::new(), at: At::Size, trailers: trailers.clone() };
        (unchunked, trailers)
    }

    /// The next bytes of data in what has been read; `None` where more must be read first, or all is read.
    fn step(&mut self) -> Result<Option<Bytes>, ChunkFault> {
        loop {
            match &mut self.at {
                At::Size => {
                    let Some(line) = line(&mut self.read, SIZE_BYTES_MAX)? else { return Ok(None) };
                    let text = std::str::from_utf8(&line).map_err(|_| ChunkFault::Malformed)?;
                    // A sign would be taken as part of a number.
                    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
                    let size =
                        digits.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(ChunkFault::Malformed)?;
                    self.at = if size == 0 { At::Trailers(HeaderMap::new(), 0) } else { At::Data(size) };
                }
                At::Data(0) => self.at = At::ChunkEnd,
                At::Data(_) if self.read.is_empty() => return Ok(None),
                At::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(self.read.len());
                    *left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                    return Ok(Some(self.read.split_to(take).freeze()));
                }
                At::ChunkEnd => {
                    let Some(line) = line(&mut self.read, 0)? else { return Ok(None) };
                    debug_assert!(line.is_empty(), "a line of no more than no bytes");
                    self.at = At::Size;
                }
                At::Trailers(found, bytes) => {
                    let Some(line) = line(&mut self.read, TRAILERS_BYTES_MAX.saturating_sub(*bytes))? else {
                        return Ok(None);
                    };
                    if line.is_empty() {
                        *self.trailers.0.lock() = Some(std::mem::take(found));
                        self.at = At::End;
                        continue;
                    }
                    *bytes = bytes.saturating_add(line.len());
                    let (name, value) = trailer(&line).ok_or(ChunkFault::Malformed)?;
                    if found.insert(name, value).is_some() {
                        return Err(ChunkFault::Malformed);
                    }
                }
                At::End if self.read.is_empty() => return Ok(None),
                At::End => return Err(ChunkFault::Malformed),
            }
        }
    }
}

impl<S, E> Stream for Unchunked<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: From<ChunkFault>,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match this.step() {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(None) if this.ended => {
                    let whole = matches!(this.at, At::End);
                    this.at = At::End;
                    return Poll::Ready((!whole).then(|| Err(ChunkFault::Incomplete.into())));
                }
                Ok(None) => {}
                Err(fault) => {
                    (this.at, this.ended) = (At::End, true);
                    this.read.clear();
                    this.trailers.take();
                    return Poll::Ready(Some(Err(fault.into())));
                }
            }
            match std::task::ready!(Pin::new(&mut this.framed).poll_next(context)) {
                Some(Ok(bytes)) => this.read.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    (this.at, this.ended) = (At::End, true);
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.ended = true,
            }
        }
    }
}

/// Takes a line of at most `bytes_max` bytes and its CRLF from what was read; `None` where its end has not come yet.
fn line(read: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, ChunkFault> {
    match read.windows(2).take(bytes_max.saturating_add(1)).position(|pair| pair == b"\r\n") {
        Some(end) => {
            let line = read.split_to(end).freeze();
            read.advance(2);
            Ok(Some(line))
        }
        None if read.len() > bytes_max.saturating_add(1) => Err(ChunkFault::Malformed),
        None => Ok(None),
    }
}

fn trailer(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let text = std::str::from_utf8(line).ok()?;
    let (name, value) = text.split_once(':')?;
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use proptest::prelude::*;

    use super::*;

    /// What comes of a body that arrives in pieces of so many bytes.
    fn read(body: &[u8], piece: usize) -> (Result<Vec<u8>, ChunkFault>, Option<HeaderMap>) {
        let pieces: Vec<Result<Bytes, ChunkFault>> =
            body.chunks(piece.max(1)).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
        let (mut unchunked, trailers) = Unchunked::new(futures::stream::iter(pieces));
        let mut whole = Vec::new();
        let outcome = futures::executor::block_on(async {
            while let Some(piece) = unchunked.next().await {
                whole.extend_from_slice(&piece?);
            }
            Ok(())
        });
        (outcome.map(|()| whole), trailers.take())
    }

    #[test]
    fn chunks_and_trailers_are_told_apart_however_they_arrive() {
        let body = b"5\r\nhello\r\n1\r\n \r\nA\r\n0123\r\n6789\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n";
        for piece in 1..=body.len() {
            let (bytes, trailers) = read(body, piece);
            assert_eq!(bytes.unwrap(), b"hello 0123\r\n6789", "{piece}");
            assert_eq!(trailers.unwrap().get("x-amz-checksum-crc32").unwrap(), "AAAAAA==");
        }
        assert_eq!(read(b"0\r\n\r\n", 1), (Ok(Vec::new()), Some(HeaderMap::new())));
    }

    #[test]
    fn what_ends_early_or_goes_on_is_refused() {
        let body = b"5\r\nhello\r\n0\r\na:b\r\n\r\n";
        for end in 0..body.len() {
            assert_eq!(read(&body[..end], 3), (Err(ChunkFault::Incomplete), None), "{end}");
        }
        let longest = format!("0\r\na:{}\r\n\r\n", "b".repeat(TRAILERS_BYTES_MAX));
        for bad in [
            "5\r\nhelloo\r\n0\r\n\r\n",
            "5\nhello, hello, hello\n0\n\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5;chunk-signature=00\r\nhello\r\n0\r\n\r\n",
            "\r\n",
            "10000000000000000\r\n",
            "g\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\na:b\r\na:c\r\n\r\n",
            "0\r\n\r\nmore",
            longest.as_str(),
        ] {
            let (outcome, trailers) = read(bad.as_bytes(), 7);
            assert_eq!((outcome, trailers.is_some()), (Err(ChunkFault::Malformed), false), "{bad:?}");
        }
    }

    #[test]
    fn a_body_says_that_it_is_in_chunks_by_encoding_or_mode() {
        let says = |name: &'static str, value: &str| {
            is_chunked(&HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]))
        };
        assert!(says("content-encoding", "gzip, AWS-chunked"));
        assert!(says("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
        assert!(!says("content-encoding", "gzip") && !says("x-amz-content-sha256", "UNSIGNED-PAYLOAD"));
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out_as_it_was(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6), piece in 1..50usize) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(read(&body, piece).0.unwrap(), chunks.concat());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), piece in 1..50usize) {
            let _ = read(&body, piece);
        }
    }
}
