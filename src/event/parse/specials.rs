//! Where the strings of a text end: the bytes that a plain one cannot hold, found a block at a time.
//!
//! Most strings of an event are shorter than a block, and a block holds several: looked at as a whole, by vector
//! instructions, it costs half an instruction a byte, and a string that ends in it a dozen more, whatever its length. Nothing
//! is left to guess for the processor, as it is where each string is a loop (Langdale, Lemire: "Parsing gigabytes of JSON per
//! second", VLDB Journal 28, 2019). It imports pure crates.

use wide::u8x16;

/// Bytes of a block: a bit each.
const BLOCK_BYTES: usize = 64;

/// The block that was looked at last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Specials {
    /// Its number, counted from 1; 0: none was.
    block: usize,
    /// A bit for each byte that is special, the first one lowest.
    bits: u64,
}

impl Specials {
    /// The first `"`, `\` or control character at or behind a place.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut number = from / BLOCK_BYTES;
        if self.block != number + 1 {
            self.look(bytes, number)?;
        }
        let mut bits = self.bits >> (from % BLOCK_BYTES) << (from % BLOCK_BYTES);
        while bits == 0 {
            number += 1;
            self.look(bytes, number)?;
            bits = self.bits;
        }
        Some(number * BLOCK_BYTES + bits.trailing_zeros() as usize)
    }

    /// Looks at a block; `None` behind the last.
    #[inline(never)]
    fn look(&mut self, bytes: &[u8], number: usize) -> Option<()> {
        let rest = bytes.get(number * BLOCK_BYTES..).filter(|rest| !rest.is_empty())?;
        self.block = number + 1;
        self.bits = match (rest.first_chunk(), bytes.last_chunk()) {
            (Some(block), _) => special_bits(block),
            // The last bytes, with those before them: a copy would have to be waited for.
            (None, Some(block)) => special_bits(block) >> (BLOCK_BYTES - rest.len()),
            (None, None) => {
                let mut padded = [b' '; BLOCK_BYTES];
                padded[..rest.len()].copy_from_slice(rest);
                special_bits(&padded)
            }
        };
        Some(())
    }
}

/// A bit for each byte that is special, the first one lowest.
#[inline]
fn special_bits(block: &[u8; BLOCK_BYTES]) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    let special = |lane: &[u8; 16]| {
        let lane = u8x16::new(*lane);
        let is = |byte| lane.simd_eq(u8x16::splat(byte));
        let is_control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
        u64::from((is_control | is(b'"') | is(b'\\')).to_bitmask())
    };
    lanes.iter().zip(0..).fold(0, |bits, (lane, place)| bits | special(lane) << (16 * place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_special(byte: u8) -> bool {
        matches!(byte, 0..0x20 | b'"' | b'\\')
    }

    #[test]
    fn every_byte_at_every_place_of_a_block() {
        for byte in 0..=u8::MAX {
            for place in 0..BLOCK_BYTES {
                let mut block = [b'a'; BLOCK_BYTES];
                block[place] = byte;
                assert_eq!(special_bits(&block), u64::from(is_special(byte)) << place, "{byte:#04x} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn is_what_a_search_finds(
            bytes in prop::collection::vec(prop_oneof![9 => Just(b'a'), 1 => any::<u8>()], 0..300),
            places in prop::collection::vec(0usize..310, 1..20),
        ) {
            let mut specials = Specials::default();
            for from in places {
                let found = (from..bytes.len()).find(|at| is_special(bytes[*at]));
                prop_assert_eq!(specials.next(&bytes, from), found, "from {}", from);
            }
        }
    }
}
