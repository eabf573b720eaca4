//! Multi-megabyte buffers that are used again: a fresh one costs a page fault per 4 KiB, a tenth of the work on a segment.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// A shelf of equal buffers. Cloning shares the shelf.
///
/// Memory that is handed out is not counted: whoever takes buffers bounds them. At most `spare_max` lie unused.
#[derive(Debug, Clone)]
pub struct BufferPool {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    buffer_bytes: usize,
    spare_max: usize,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// A shelf of buffers of `buffer_bytes`, keeping at most `spare_max` that nobody uses. For sealing, the size is
    /// [`sealed_bytes_max`](crate::sealed_bytes_max) of the profile.
    #[must_use]
    pub fn new(buffer_bytes: usize, spare_max: usize) -> Self {
        Self { shelf: Arc::new(Shelf { buffer_bytes, spare_max, spare: Mutex::default() }) }
    }

    /// A buffer of `bytes`; its content is whatever was there before. Lengths over the shelf's, or under a quarter of it,
    /// get memory of their own.
    #[must_use]
    pub fn take(&self, bytes: usize) -> PooledBuffer {
        let shelf = &self.shelf;
        if bytes > shelf.buffer_bytes || bytes < shelf.buffer_bytes / 4 {
            return PooledBuffer { memory: vec![0; bytes], bytes, home: None };
        }
        let spare = shelf.spare().pop();
        let memory = spare.unwrap_or_else(|| vec![0; shelf.buffer_bytes]);
        PooledBuffer { memory, bytes, home: Some(Arc::clone(shelf)) }
    }

    /// How many buffers lie unused.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.shelf.spare().len()
    }
}

impl Shelf {
    /// A panic elsewhere cannot leave a list of buffers half changed, so a poisoned lock is as good as any.
    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes back to its shelf when dropped, also as [`Bytes`] when the last slice of it is dropped.
pub struct PooledBuffer {
    memory: Vec<u8>,
    bytes: usize,
    home: Option<Arc<Shelf>>,
}

impl PooledBuffer {
    /// Makes the buffer immutable and shareable without copying.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Makes the buffer `bytes` long, keeping its content; what is added holds anything.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if self.memory.len() < bytes {
            self.memory.resize(bytes, 0);
            self.home = None;
        }
        self.bytes = bytes;
    }
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(..self.bytes).unwrap_or_default()
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.bytes).unwrap_or_default()
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PooledBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PooledBuffer({} bytes)", self.bytes)
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        if let Some(shelf) = self.home.take() {
            let mut spare = shelf.spare();
            if spare.len() < shelf.spare_max {
                spare.push(std::mem::take(&mut self.memory));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_the_last_slice_is_dropped() {
        let pool = BufferPool::new(1 << 20, 1);
        let frozen = pool.take(1 << 20).freeze();
        let (head, tail) = (frozen.slice(..10), frozen.slice(10..));
        let address = frozen.as_ptr();
        drop((frozen, head));
        assert_eq!(pool.spare(), 0);
        drop(tail);
        assert_eq!(pool.spare(), 1);
        assert_eq!(pool.take(1 << 19).as_ptr(), address);
    }

    #[test]
    fn the_shelf_keeps_no_more_than_its_limit_and_nothing_of_another_size() {
        let pool = BufferPool::new(1 << 20, 1);
        drop([pool.take(1 << 20), pool.take(1 << 20)]);
        drop([pool.take(16), pool.take(1 << 21)]);
        assert_eq!(pool.spare(), 1);
    }

    #[test]
    fn a_buffer_that_grew_keeps_its_content() {
        let pool = BufferPool::new(64, 1);
        let mut buffer = pool.take(64);
        buffer.fill(7);
        buffer.resize(128);
        assert_eq!(buffer[..64], [7; 64]);
        assert_eq!(buffer.len(), 128);
    }
}
