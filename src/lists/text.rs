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
}

impl TextSet {
    /// Adds a text.
    ///
    /// # Errors
    ///
    /// None today: the signature is that of the other kinds.
    pub(super) fn insert(&mut self, text: &str) -> Result<(), String> {
        self.texts.insert(text.into());
        Ok(())
    }

    /// Whether the text is in the set.
    #[inline]
    pub fn contains(&self, text: &str) -> bool {
        self.texts.contains(text)
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
