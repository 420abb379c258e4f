//! A table of known names, built at compile time, that finds one in a few nanoseconds.
//!
//! Every member of every event is looked up by name, so a chain of comparisons over forty names would cost more than
//! the rest of parsing. It imports nothing. Invariant: at most 127 names, none of them twice.

/// How many slots a table has; a power of two, at least twice the names.
const SLOTS: usize = 256;
/// A slot that holds no name.
const FREE: u8 = u8::MAX;

/// Open addressing over a cheap hash of a name's length and its outer bytes.
#[derive(Debug)]
pub(super) struct NameTable<const N: usize> {
    names: [&'static str; N],
    ends: [Ends; N],
    slots: [u8; SLOTS],
}

impl<const N: usize> NameTable<N> {
    /// The table of these names. Fails to compile with more than 127 of them.
    pub(super) const fn new(names: [&'static str; N]) -> NameTable<N> {
        assert!(N < SLOTS / 2, "a name table holds at most 127 names");
        let mut slots = [FREE; SLOTS];
        let mut ends = [Ends { first: 0, last: 0 }; N];
        let mut index = 0;
        while index < N {
            ends[index] = Ends::of(names[index].as_bytes());
            let mut slot = ends[index].slot(names[index].len());
            while slots[slot] != FREE {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = index as u8;
            index += 1;
        }
        NameTable { names, ends, slots }
    }

    /// The index of a name; `None` for one that is not in the table.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let ends = Ends::of(name.as_bytes());
        let mut slot = ends.slot(name.len());
        loop {
            let index = self.slots[slot] as usize;
            let known = self.names.get(index)?;
            // Up to sixteen bytes the ends are the whole.
            if self.ends[index] == ends && known.len() == name.len() && (name.len() <= 16 || *known == name) {
                return Some(index);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// The first and the last bytes of a name: eight of each, or four, or what there is. Together with the
/// length they are the whole of a name of up to sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
}

impl Ends {
    #[inline]
    const fn of(name: &[u8]) -> Ends {
        if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            return Ends { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last) };
        }
        if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            return Ends { first: u32::from_le_bytes(*first) as u64, last: u32::from_le_bytes(*last) as u64 };
        }
        match name {
            [] => Ends { first: 0, last: 0 },
            [one] => Ends { first: *one as u64, last: 0 },
            [first, last] => Ends { first: *first as u64, last: *last as u64 },
            [first, middle, last, ..] => Ends { first: *first as u64 | (*middle as u64) << 8, last: *last as u64 },
        }
    }

    /// Where the search begins.
    #[inline]
    const fn slot(self, length: usize) -> usize {
        // Odd constants from the fractional digits of the golden ratio and of pi.
        let mixed = (self.first ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ self.last.wrapping_mul(0x2437_54a3_0a59_8bd1).rotate_left(32);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_nothing_else() {
        const TABLE: NameTable<7> = NameTable::new(["", "a", "ip", "abc", "email", "account_id", "account_created_at"]);
        for (index, name) in TABLE.names.iter().enumerate() {
            assert_eq!(TABLE.find(name), Some(index), "{name}");
            assert_eq!(TABLE.find(&format!("{name}x")), None);
        }
        for name in ["account_ic", "account_xreated_at", "account_creatxd_at", "axc", "abd", "é", "b", "\0"] {
            assert_eq!(TABLE.find(name), None, "{name}");
        }
    }
}
