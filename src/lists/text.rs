//! Sets of texts, and the hash that they use.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Hashes a text in one pass, the same on every machine and at every start.
///
/// What is looked up comes from strangers, what is stored from the operator: nobody outside can fill a bucket, so the
/// hash needs speed and no secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, byte: u8) {
        // What `str` adds behind its bytes: a text is hashed alone here, so that nothing has to be told apart.
        self.0 = self.0.rotate_left(5) ^ u64::from(byte);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes [`TextHasher`]s.
pub type TextBuildHasher = BuildHasherDefault<TextHasher>;

/// A set of texts, compared byte by byte.
#[derive(Clone, Debug, Default)]
pub struct TextSet {
    texts: HashSet<Box<str>, TextBuildHasher>,
    shapes: Shapes,
}

impl TextSet {
    /// Adds a text.
    ///
    /// # Errors
    ///
    /// None today: the signature is that of the other kinds.
    pub(super) fn insert(&mut self, text: &str) -> Result<(), String> {
        self.texts.insert(text.into());
        self.shapes.insert(text);
        Ok(())
    }

    /// Whether the text is in the set.
    #[inline]
    pub fn contains(&self, text: &str) -> bool {
        self.shapes.may_have(text) && self.texts.contains(text)
    }

    /// How many texts it holds.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// Which lengths, first and last bytes the texts of a set have, as bits: most texts that are asked for are not in a short
/// list, and need not be hashed to be known for strangers. In a long list every bit is set, and nothing is lost but this.
#[derive(Clone, Copy, Debug, Default)]
struct Shapes([u64; 4]);

impl Shapes {
    fn insert(&mut self, text: &str) {
        let (word, bit) = Shapes::place(text);
        self.0[word] |= bit;
    }

    #[inline]
    fn may_have(&self, text: &str) -> bool {
        let (word, bit) = Shapes::place(text);
        self.0[word] & bit != 0
    }

    #[inline]
    fn place(text: &str) -> (usize, u64) {
        let end = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(*byte));
        let bytes = text.as_bytes();
        let shape = bytes.len() * 59 + end(bytes.first()) * 7 + end(bytes.last()) * 29;
        (shape / 64 % 4, 1 << (shape % 64))
    }
}
