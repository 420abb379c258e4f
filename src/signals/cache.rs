//! Remembers what was derived from raw values, in memory that is taken once and never grows.
//!
//! A set-associative table: the hash of a key picks a set of four slots, in which whole keys are compared, so that a
//! cache can never answer for another key. The least recently used slot of a set is overwritten. Nothing here depends
//! on time or chance: the same questions in the same order hit and miss alike.

use xxhash_rust::xxh3::xxh3_64;

use super::text::beginning;

const WAYS: usize = 4;

/// How often something was remembered, and how often it had to be worked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Answers that were remembered.
    pub hits: u64,
    /// Answers that were worked out.
    pub misses: u64,
}

/// How often the caches of a [`Deriver`](super::Deriver) knew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Telephone numbers.
    pub phones: CacheUse,
    /// User agents.
    pub user_agents: CacheUse,
    /// Raw device attributes.
    pub devices: CacheUse,
    /// Network addresses, in databases.
    pub addresses: CacheUse,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot<V> {
    /// Hash of the key; 0 for an empty slot.
    tag: u64,
    /// When it was last used, in questions asked.
    used: u64,
    key_len: u32,
    value: V,
}

/// Values by key, as many as it has room for.
#[derive(Debug)]
pub(super) struct Cache<V> {
    slots: Box<[Slot<V>]>,
    /// The key of slot `i` starts at `i * key_bytes_max`.
    keys: Box<[u8]>,
    key_bytes_max: usize,
    /// Number of sets less one; the number of sets is a power of two.
    set_mask: u64,
    asked: u64,
    counts: CacheUse,
}

impl<V: Copy + Default> Cache<V> {
    /// Room for at least `entries` values (none for 0), with keys of at most `key_bytes_max` bytes; a longer key is
    /// never remembered.
    pub(super) fn new(entries: usize, key_bytes_max: usize) -> Cache<V> {
        let sets = if entries == 0 { 0 } else { entries.div_ceil(WAYS).next_power_of_two() };
        Cache {
            slots: vec![Slot::default(); sets * WAYS].into(),
            keys: vec![0; sets * WAYS * key_bytes_max].into(),
            key_bytes_max,
            set_mask: (sets as u64).saturating_sub(1),
            asked: 0,
            counts: CacheUse::default(),
        }
    }

    /// The value of the key: as remembered, or else as made.
    pub(super) fn get_or_make(&mut self, key: &[u8], make: impl FnOnce() -> V) -> V {
        if self.slots.is_empty() || key.len() > self.key_bytes_max {
            self.counts.misses += 1;
            return make();
        }
        self.asked += 1;
        let hash = xxh3_64(key);
        let tag = hash | 1;
        let first = (hash >> 32 & self.set_mask) as usize * WAYS;
        for index in first..first + WAYS {
            let slot = &mut self.slots[index];
            let start = index * self.key_bytes_max;
            if slot.tag == tag && &self.keys[start..start + slot.key_len as usize] == key {
                slot.used = self.asked;
                self.counts.hits += 1;
                return slot.value;
            }
        }
        self.counts.misses += 1;
        let value = make();
        let oldest = (first..first + WAYS).min_by_key(|index| self.slots[*index].used).unwrap_or(first);
        let start = oldest * self.key_bytes_max;
        self.keys[start..start + key.len()].copy_from_slice(key);
        self.slots[oldest] = Slot { tag, used: self.asked, key_len: key.len() as u32, value };
        value
    }

    /// How often it knew.
    pub(super) fn counts(&self) -> CacheUse {
        self.counts
    }
}

/// A short text that is remembered in place, cut at `N` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Short<N> {
        Short { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Short<N> {
    /// The text, or as much of its beginning as there is room for.
    pub(super) fn new(text: &str) -> Short<N> {
        const { assert!(N <= u8::MAX as usize, "the length is a byte") };
        let text = beginning(text, N);
        let mut short = Short { bytes: [0; N], len: text.len() as u8 };
        short.bytes[..text.len()].copy_from_slice(text.as_bytes());
        short
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn square(key: u16) -> u32 {
        u32::from(key) * u32::from(key) + 1
    }

    proptest! {
        #[test]
        fn answers_as_if_nothing_were_remembered(keys in prop::collection::vec(0..200u16, 0..2000), entries in 0..100usize) {
            let mut cache = Cache::new(entries, 2);
            for key in &keys {
                prop_assert_eq!(cache.get_or_make(&key.to_le_bytes(), || square(*key)), square(*key));
            }
            let counts = cache.counts();
            prop_assert_eq!(counts.hits + counts.misses, keys.len() as u64);
        }
    }

    #[test]
    fn keeps_the_recently_used() {
        let mut cache = Cache::new(4, 2);
        for key in [1u16, 2, 3, 4, 1, 5] {
            cache.get_or_make(&key.to_le_bytes(), || square(key));
        }
        assert_eq!(cache.counts(), CacheUse { hits: 1, misses: 5 });
        cache.get_or_make(&1u16.to_le_bytes(), || unreachable!("1 was used after 2"));
        let mut made = false;
        cache.get_or_make(&2u16.to_le_bytes(), || {
            made = true;
            square(2)
        });
        assert!(made);
    }

    #[test]
    fn a_long_key_and_a_key_with_zeros_are_told_apart() {
        let mut cache = Cache::new(4, 3);
        assert_eq!(cache.get_or_make(b"a", || 1), 1);
        assert_eq!(cache.get_or_make(b"a\0", || 2), 2);
        assert_eq!(cache.get_or_make(b"a\0\0", || 3), 3);
        assert_eq!(cache.get_or_make(b"long", || 4), 4);
        assert_eq!(cache.get_or_make(b"long", || 5), 5);
        assert_eq!(cache.get_or_make(b"", || 6), 6);
        assert_eq!(cache.get_or_make(b"a", || 7), 1);
    }

    #[test]
    fn a_short_text_is_cut_between_characters() {
        assert_eq!(Short::<4>::new("ab").as_str(), "ab");
        assert_eq!(Short::<4>::new("abcdef").as_str(), "abcd");
        assert_eq!(Short::<4>::new("abcé").as_str(), "abc");
    }
}
