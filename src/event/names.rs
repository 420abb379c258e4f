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
    slots: [u8; SLOTS],
}

impl<const N: usize> NameTable<N> {
    /// The table of these names. Fails to compile with more than 127 of them.
    pub(super) const fn new(names: [&'static str; N]) -> NameTable<N> {
        assert!(N < SLOTS / 2, "a name table holds at most 127 names");
        let mut slots = [FREE; SLOTS];
        let mut index = 0;
        while index < N {
            let mut slot = slot_of(names[index].as_bytes());
            while slots[slot] != FREE {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = index as u8;
            index += 1;
        }
        NameTable { names, slots }
    }

    /// The index of a name; `None` for one that is not in the table.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let mut slot = slot_of(name.as_bytes());
        loop {
            let index = self.slots[slot];
            if index == FREE {
                return None;
            }
            if self.names[index as usize] == name {
                return Some(index as usize);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// Where the search for a name begins: its length, first and last eight bytes (zero-padded), multiplied and folded.
#[inline]
const fn slot_of(name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64),
            _ => match (name.first(), name.last()) {
                (Some(first), Some(last)) => (*first as u64, *last as u64),
                _ => (0, 0),
            },
        },
    };
    // Odd constants from the fractional digits of the golden ratio and of pi; a test watches how well they spread.
    let mixed = (first ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ last.wrapping_mul(0x2437_54a3_0a59_8bd1).rotate_left(32);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_nothing_else() {
        const TABLE: NameTable<6> = NameTable::new(["", "a", "ip", "email", "account_id", "account_is"]);
        for (index, name) in TABLE.names.iter().enumerate() {
            assert_eq!(TABLE.find(name), Some(index), "{name}");
            assert_eq!(TABLE.find(&format!("{name}x")), None);
        }
        assert_eq!(TABLE.find("account_ic"), None);
        assert_eq!(TABLE.find("é"), None);
    }
}
