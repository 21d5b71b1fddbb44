//! A piece of received bytes, and the promise that bytes given to the kernel stay where they are.

use std::cell::RefCell;
use std::ops::Deref;

use portico_core::limits;

use super::uring::buffers::RingBuffer;

/// Bytes from one receive. Gives its buffer back when dropped.
pub(crate) struct Chunk {
    storage: Storage,
    start: u32,
    end: u32,
}

enum Storage {
    Empty,
    Heap(Vec<u8>),
    /// A whole buffer of this thread's pool.
    Pooled(Box<[u8]>),
    Ring(RingBuffer),
}

/// # Safety
/// `bytes` must return the same memory, unchanged, for as long as the value lives, also when the
/// value itself is moved: the kernel reads it while an operation is in flight.
pub(crate) unsafe trait StableBytes: Unpin + 'static {
    fn bytes(&self) -> &[u8];
}

// SAFETY: the elements of a `Vec` are on the heap; nobody pushes to it while the operation owns it.
unsafe impl StableBytes for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

// SAFETY: static memory does not move.
unsafe impl StableBytes for &'static [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

// SAFETY: the storage is a heap allocation or a buffer of the ring's mapping, both of a fixed
// place.
unsafe impl StableBytes for Chunk {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// The first `length` bytes of a text; what follows is for the sender's own use.
pub(crate) struct Leading {
    pub(crate) text: Vec<u8>,
    pub(crate) length: usize,
}

// SAFETY: as for `Vec`.
unsafe impl StableBytes for Leading {
    fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

thread_local! {
    /// Buffers of this thread that nobody holds: what readiness-driven receives read into.
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Free buffers kept by a thread; more are given back to the allocator.
const POOLED_MAX: usize = 64;

impl Chunk {
    pub(crate) const EMPTY: Chunk = Chunk { storage: Storage::Empty, start: 0, end: 0 };

    pub(super) fn from_ring(buffer: RingBuffer, length: usize) -> Self {
        Self { storage: Storage::Ring(buffer), start: 0, end: length as u32 }
    }

    /// `length` bytes at the start of a buffer from [`pool_buffer`].
    pub(super) fn from_pool(buffer: Box<[u8]>, length: usize) -> Self {
        Self { storage: Storage::Pooled(buffer), start: 0, end: length as u32 }
    }

    /// Drops the first `count` bytes; with the last one the buffer is given back.
    pub(crate) fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "advance past the end of a chunk");
        self.start += count as u32;
        if self.start == self.end {
            self.clear();
        }
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.end = self.start + length as u32;
        }
    }

    /// Gives the buffer back.
    pub(crate) fn clear(&mut self) {
        *self = Self::EMPTY;
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        let end = u32::try_from(bytes.len()).expect("a chunk is at most a few buffers long");
        Self { storage: Storage::Heap(bytes), start: 0, end }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &self.storage {
            Storage::Empty => &[],
            Storage::Heap(bytes) => bytes.as_slice(),
            Storage::Pooled(buffer) => buffer,
            Storage::Ring(buffer) => buffer.memory(),
        };
        &all[self.start as usize..self.end as usize]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Storage::Pooled(buffer) = std::mem::replace(&mut self.storage, Storage::Empty) {
            return_to_pool(buffer);
        }
    }
}

pub(super) fn pool_buffer() -> Box<[u8]> {
    POOL.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| vec![0; limits::RECEIVE_BUFFER_BYTES].into_boxed_slice())
}

pub(super) fn return_to_pool(buffer: Box<[u8]>) {
    // It is gone where the thread ends with a panic.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOLED_MAX {
            pool.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_a_window() {
        let mut chunk = Chunk::from(b"hello world".to_vec());
        chunk.advance(6);
        assert_eq!(&*chunk, b"world");
        chunk.truncate(2);
        assert_eq!(&*chunk, b"wo");
        chunk.truncate(9);
        assert_eq!(&*chunk, b"wo");
        assert!(Chunk::EMPTY.is_empty());
    }

    #[test]
    fn pooled_buffers_come_back() {
        let buffer = pool_buffer();
        let at = buffer.as_ptr();
        drop(Chunk::from_pool(buffer, 10));
        let again = pool_buffer();
        assert_eq!(again.as_ptr(), at);
    }
}
