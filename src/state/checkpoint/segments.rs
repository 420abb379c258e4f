//! Gathers items into segments of bounded length, until somebody takes these.
//!
//! What is walked over and what is written ahead of the walk, because it changes, goes into the same segments: whoever
//! changes a value has nobody to hand them to. Invariant: a segment begins with the prefix and holds whole items.

use super::ByteWriter;

/// How long a segment becomes before the next item begins a new one.
const SEGMENT_BYTES: usize = 256 << 10;
/// What a segment is made for at first: the bound and an item.
const SEGMENT_CAPACITY: usize = SEGMENT_BYTES + (4 << 10);

/// Segments with one prefix, which says what is in them. One is 256 KiB long, or longer by its last item.
#[derive(Clone, Debug)]
pub struct Segments {
    prefix: Vec<u8>,
    open: ByteWriter,
    full: Vec<Vec<u8>>,
    /// One that was handed over, to be filled again.
    spare: Vec<u8>,
    /// Bytes of the segments that are full or were.
    passed: usize,
}

impl Segments {
    /// No segment yet.
    pub fn new(prefix: &[u8]) -> Segments {
        let (open, full, spare) = (ByteWriter::default(), Vec::new(), Vec::new());
        Segments { prefix: prefix.to_vec(), open, full, spare, passed: 0 }
    }

    /// Where the next item goes.
    #[inline]
    pub fn item(&mut self) -> &mut ByteWriter {
        if self.open.bytes.is_empty() || self.open.bytes.len() >= SEGMENT_BYTES {
            self.begin();
        }
        &mut self.open
    }

    #[cold]
    fn begin(&mut self) {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.reserve(SEGMENT_CAPACITY);
        bytes.extend_from_slice(&self.prefix);
        let before = std::mem::replace(&mut self.open.bytes, bytes);
        if !before.is_empty() {
            self.passed += before.len();
            self.full.push(before);
        }
    }

    /// How many bytes were written, in all.
    pub fn bytes(&self) -> usize {
        self.passed + self.open.bytes.len()
    }

    /// Hands over the segments that are full, in order.
    pub fn hand_over(&mut self, put: &mut dyn FnMut(&[u8])) {
        for segment in self.full.drain(..) {
            put(&segment);
            self.spare = segment;
        }
    }

    /// Hands over all of them: nothing more comes.
    pub fn finish(&mut self, put: &mut dyn FnMut(&[u8])) {
        self.hand_over(put);
        if !self.open.bytes.is_empty() {
            put(&self.open.bytes);
        }
        *self = Segments::new(&self.prefix);
    }
}
