//! Sets of hashes, as ascending slices: what two of them have in common.
//!
//! Most accounts have one or two devices and a busy one has hundreds, so what is fastest depends on both sizes. All ways
//! lean on hashes being spread evenly, as those of state are, for their speed alone: of any others they give the same.

/// The longest slice that is looked through from end to end.
const SHORT: usize = 8;
/// The longest slice whose members are looked up one by one in any other.
const FEW: usize = 4;
/// How many times as long as that a slice must be for its members to be looked up one by one, however many these are.
const SKEWED: usize = 16;
/// The longest slice that is put into a [`Filter`]: with more, most questions would come through.
const FILTERED_MAX: usize = 1024;
/// How far a member is searched by walking, from where it would stand among evenly spread ones.
const WALK_MAX: usize = 16;

/// How many hashes two ascending slices have in common.
pub fn overlap(a: &[u64], b: &[u64]) -> i64 {
    common::<false>(a, b) as i64
}

/// Whether two ascending slices have a hash in common.
pub(super) fn meet(a: &[u64], b: &[u64]) -> bool {
    common::<true>(a, b) > 0
}

/// How many hashes two ascending slices have in common; `ANY`: not counted further than to one.
#[inline]
fn common<const ANY: bool>(a: &[u64], b: &[u64]) -> usize {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if many.len() <= SHORT {
        count::<ANY>(few, |hash| many.iter().fold(false, |found, other| found | (*other == hash)))
    } else if few.len() <= FEW || few.len() * SKEWED <= many.len() {
        count::<ANY>(few, |hash| has(many, hash))
    } else if few.len() <= FILTERED_MAX {
        filtered::<ANY>(few, many)
    } else {
        merged::<ANY>(few, many)
    }
}

#[inline]
fn count<const ANY: bool>(hashes: &[u64], is_common: impl Fn(u64) -> bool) -> usize {
    if ANY {
        usize::from(hashes.iter().any(|hash| is_common(*hash)))
    } else {
        hashes.iter().filter(|hash| is_common(**hash)).count()
    }
}

/// Whether an ascending slice has a hash: searched around where it would stand if all were spread evenly.
#[inline]
fn has(hashes: &[u64], hash: u64) -> bool {
    let guess = ((u128::from(hash) * hashes.len() as u128) >> 64) as usize;
    let (below, from) = hashes.split_at(guess);
    match from.first() {
        Some(first) if *first <= hash => match from.iter().take(WALK_MAX).find(|other| **other >= hash) {
            Some(found) => *found == hash,
            None => from.binary_search(&hash).is_ok(),
        },
        _ => match below.iter().rev().take(WALK_MAX).find(|other| **other <= hash) {
            Some(found) => *found == hash,
            None => below.binary_search(&hash).is_ok(),
        },
    }
}

/// The shorter in a filter, through which the longer is asked for: no question waits for the one before it.
#[inline(never)]
fn filtered<const ANY: bool>(few: &[u64], many: &[u64]) -> usize {
    let filter = Filter::of(few);
    count::<ANY>(many, |hash| filter.may_have(hash) && has(few, hash))
}

/// Says of most hashes that are not in a slice that they are not: a bit for each of their last twelve bits.
struct Filter([u64; 64]);

impl Filter {
    fn of(hashes: &[u64]) -> Filter {
        let mut bits = [0; 64];
        hashes.iter().for_each(|hash| bits[Filter::word(*hash)] |= 1 << (hash % 64));
        Filter(bits)
    }

    #[inline]
    fn may_have(&self, hash: u64) -> bool {
        self.0[Filter::word(hash)] >> (hash % 64) & 1 == 1
    }

    fn word(hash: u64) -> usize {
        (hash / 64 % 64) as usize
    }
}

/// In one pass without branches on which slice is ahead, since that is chance.
#[inline(never)]
fn merged<const ANY: bool>(few: &[u64], many: &[u64]) -> usize {
    let (mut at_few, mut at_many, mut common) = (0, 0, 0);
    while let (Some(one), Some(other)) = (few.get(at_few), many.get(at_many)) {
        common += usize::from(one == other);
        if ANY && common > 0 {
            break;
        }
        at_few += usize::from(one <= other);
        at_many += usize::from(other <= one);
    }
    common
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn agrees(a: &BTreeSet<u64>, b: &BTreeSet<u64>) -> Result<(), TestCaseError> {
        let common = a.intersection(b).count() as i64;
        let slice = |set: &BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
        let (a, b) = (slice(a), slice(b));
        prop_assert_eq!((overlap(&a, &b), overlap(&b, &a)), (common, common));
        prop_assert_eq!((meet(&a, &b), meet(&b, &a)), (common > 0, common > 0));
        Ok(())
    }

    /// Hashes as state makes them: spread over all of 64 bits.
    fn spread(hash: u64) -> u64 {
        hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    proptest! {
        #[test]
        fn overlap_is_the_size_of_the_intersection(
            few in prop::collection::btree_set(0u64..400, 0..20),
            many in prop::collection::btree_set(0u64..400, 0..300),
        ) {
            agrees(&few, &many)?;
            agrees(&few.iter().copied().map(spread).collect(), &many.iter().copied().map(spread).collect())?;
        }

        #[test]
        fn many_and_few_are_compared_alike(
            ends in (0u64..600, 0u64..5000),
            step in 1u64..40,
            start in 0u64..3000,
        ) {
            // The longer set is all of a range, the shorter every so many from some place on, within it or behind it.
            let many: BTreeSet<u64> = (0..ends.1).collect();
            let few: BTreeSet<u64> = (0..ends.0).map(|at| start + at * step).collect();
            agrees(&few, &many)?;
            agrees(&few.iter().copied().map(spread).collect(), &many.iter().copied().map(spread).collect())?;
        }
    }

    #[test]
    fn sets_that_are_too_many_to_filter_are_merged() {
        let (even, odd) = ((0..1500).map(|at| at * 2), (0..1500).map(|at| at * 2 + 1));
        let (even, odd): (Vec<u64>, Vec<u64>) = (even.collect(), odd.collect());
        assert_eq!((overlap(&even, &odd), meet(&even, &odd)), (0, false));
        assert_eq!((overlap(&even, &even), meet(&even, &even)), (1500, true));
        let mut last = odd;
        last.push(2998);
        last.sort_unstable();
        assert_eq!((overlap(&even, &last), meet(&last, &even)), (1, true));
    }

    #[test]
    fn hashes_that_are_not_spread_are_found() {
        let crowded: Vec<u64> = (0..300).chain(u64::MAX - 300..=u64::MAX).collect();
        assert!(crowded.iter().all(|hash| has(&crowded, *hash)));
        assert!([300, u64::MAX / 2, u64::MAX - 301].iter().all(|hash| !has(&crowded, *hash)));
        assert!(!has(&[], 5) && has(&[5], 5) && !has(&[u64::MAX], 0) && has(&[u64::MAX], u64::MAX));
    }
}
