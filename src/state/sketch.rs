//! How many different values there are in a sliding window, when there are too many to keep: a HyperLogLog whose registers
//! remember when.
//!
//! A value falls into one of 4096 registers, and has a rank, geometrically distributed. Of a register a window needs the
//! highest rank in it; so it keeps each mark (time, rank) until a later one has at least its rank (Chabchoub and Hébrail,
//! Sliding HyperLogLog, ICDMW 2010). Whatever the order of events, the marks are the same. A late event's window ends before
//! marks that may have displaced those in it: they count for it too, so that it reads as of the newest event with the
//! beginning of its own window, too many rather than too few. The number of values is
//! estimated as by Ertl (New cardinality estimation algorithms for HyperLogLog sketches, arXiv:1702.01284, algorithm 6),
//! without bias at any size; its standard error is 1.04 / sqrt(4096) = 1.6 %.

mod stored;

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::summary::Summary;
use super::window::{feed, out_of_reach};

/// log2 of the number of registers.
const REGISTER_BITS: u32 = 12;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// Ranks go from 1 to this.
const RANK_MAX: u32 = u64::BITS - REGISTER_BITS + 1;

/// A value of this rank was seen at this time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    time_ms: i64,
    rank: u8,
}

/// The values of one key.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    /// By register: by time, with ranks that descend. None before the first value.
    registers: Vec<Vec<Mark>>,
    marks: usize,
    counted: Counted,
}

/// What was counted last, and for which times that holds: most events change nothing of it.
#[derive(Clone, Debug, Default)]
struct Counted {
    from_ms: i64,
    until_ms: i64,
    reach_ms: i64,
    /// By register, the highest rank; 0 for none.
    ranks: Vec<u8>,
    values: f64,
}

impl Sketch {
    /// Whether no value was added.
    pub(super) fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// Adds a value that was there at a time.
    pub(super) fn add(&mut self, value: u64, time_ms: i64) {
        if self.is_empty() {
            self.registers.resize_with(REGISTERS, Vec::new);
        }
        let hash = mix(value);
        let register = (hash & (REGISTERS as u64 - 1)) as usize;
        let rank = ((hash >> REGISTER_BITS | 1 << (u64::BITS - REGISTER_BITS)).trailing_zeros() + 1) as u8;
        let marks = &mut self.registers[register];
        let place = marks.partition_point(|mark| mark.time_ms < time_ms);
        if marks[place..].iter().any(|mark| mark.rank >= rank) {
            return;
        }
        let end = place + marks[place..].iter().take_while(|mark| mark.time_ms == time_ms).count();
        let start = marks[..place].partition_point(|mark| mark.rank > rank);
        self.marks = self.marks + 1 - (end - start);
        marks.splice(start..end, [Mark { time_ms, rank }]);
        self.counted.note(register, rank, time_ms);
    }

    /// How many different values there are in `(t - reach, t]`; with those of later times, if there are any.
    pub(super) fn count(&mut self, time_ms: i64, reach_ms: i64) -> u64 {
        if self.is_empty() {
            return 0;
        }
        if !(self.counted.from_ms <= time_ms && time_ms < self.counted.until_ms) {
            self.counted = self.recount(time_ms, reach_ms);
        }
        self.counted.values as u64
    }

    fn recount(&self, time_ms: i64, reach_ms: i64) -> Counted {
        let mut counted =
            Counted { from_ms: i64::MIN, until_ms: i64::MAX, reach_ms, ranks: vec![0; REGISTERS], values: 0.0 };
        for (marks, rank) in self.registers.iter().zip(&mut counted.ranks) {
            let seen = marks.partition_point(|mark| out_of_reach(mark.time_ms, time_ms, reach_ms));
            if let Some(mark) = marks.get(seen) {
                *rank = mark.rank;
                counted.until_ms = counted.until_ms.min(mark.time_ms.saturating_add(reach_ms));
            }
            if let Some(gone) = seen.checked_sub(1) {
                counted.from_ms = counted.from_ms.max(marks[gone].time_ms.saturating_add(reach_ms));
            }
        }
        counted.values = estimate(&counted.ranks);
        counted
    }
}

impl Counted {
    /// Keeps the count true, or gives it up.
    fn note(&mut self, register: usize, rank: u8, time_ms: i64) {
        if let Some(known) = self.ranks.get_mut(register).filter(|known| **known < rank) {
            *known = rank;
            self.until_ms = self.until_ms.min(time_ms.saturating_add(self.reach_ms));
            self.values = estimate(&self.ranks);
        }
    }
}

impl Summary for Sketch {
    fn expire(&mut self, horizon_ms: i64, reach_ms: i64) {
        for marks in &mut self.registers {
            let gone = marks.partition_point(|mark| out_of_reach(mark.time_ms, horizon_ms, reach_ms));
            self.marks -= marks.drain(..gone).len();
        }
    }

    fn bytes(&self) -> usize {
        // The vectors of registers grow by doubling: half again as many as are in use.
        let of_register = size_of::<Vec<Mark>>() + size_of::<u8>();
        self.registers.len() * of_register + self.marks * size_of::<Mark>() * 3 / 2
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        for mark in self.registers.iter().flatten() {
            feed(hasher, mark.time_ms as u64);
            feed(hasher, u64::from(mark.rank));
        }
    }

    fn store(&self, writer: &mut ByteWriter) {
        stored::store(self, writer);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Sketch, Broken> {
        stored::restore(reader)
    }
}

/// Spreads the bits of a value: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mix(value: u64) -> u64 {
    let mut hash = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

fn estimate(ranks: &[u8]) -> f64 {
    let mut registers = [0u32; RANK_MAX as usize + 1];
    ranks.iter().for_each(|rank| registers[usize::from(*rank)] += 1);
    let all = REGISTERS as f64;
    let [none, ranked @ .., highest] = &registers;
    let mut sum = all * tau(1.0 - f64::from(*highest) / all);
    for registers in ranked.iter().rev() {
        sum = 0.5 * (sum + f64::from(*registers));
    }
    sum += all * sigma(f64::from(*none) / all);
    all / (2.0 * std::f64::consts::LN_2) * (all / sum)
}

fn sigma(share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

fn tau(share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative errors of 100 sketches of so many values.
    fn errors(values: u64) -> Vec<f64> {
        let error = |sketch: u64| {
            let mut counted = Sketch::default();
            (0..values).for_each(|value| counted.add(sketch << 40 | value, value as i64));
            counted.count(values as i64, i64::MAX) as f64 / values as f64 - 1.0
        };
        (0..100).map(error).collect()
    }

    #[test]
    fn the_standard_error_is_as_promised_at_any_size() {
        for values in [100, 5000, 10_000, 20_000, 60_000] {
            let errors = errors(values);
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            let deviation = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
            assert!(deviation < 0.02, "{values} values: {deviation}");
            assert!(mean.abs() < 0.008, "{values} values: {mean} on average");
        }
    }

    #[test]
    fn values_leave_with_the_window_and_after_a_burst_the_error_is_as_before() {
        const REACH_MS: i64 = 50_000;
        let mut sketch = Sketch::default();
        let mut value = 0;
        let mut add = |sketch: &mut Sketch, time_ms, count| {
            for _ in 0..count {
                value += 1;
                sketch.add(value, time_ms);
            }
        };
        // A burst of 200,000 values, then one every 10 ms: 5000 in a window.
        add(&mut sketch, 0, 200_000);
        for time_ms in (10..=3 * REACH_MS).step_by(10) {
            add(&mut sketch, time_ms, 1);
            let true_count = (time_ms / 10).min(5000) + if time_ms < REACH_MS { 200_000 } else { 0 };
            let error = sketch.count(time_ms, REACH_MS) as f64 / true_count as f64 - 1.0;
            assert!(error.abs() < 0.08, "{error} at {time_ms}: five times the standard error");
            if time_ms % 10_000 == 0 {
                sketch.expire(time_ms, REACH_MS);
            }
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter_and_what_is_counted_is_what_is_recounted() {
        let events: Vec<(u64, i64)> =
            (0..30_000).map(|step: i64| ((step * 31 % 9001) as u64, step * 7919 % 100_000)).collect();
        let (mut one, mut other) = (Sketch::default(), Sketch::default());
        for (place, (value, time_ms)) in events.iter().enumerate() {
            one.add(*value, *time_ms);
            let now_ms = time_ms + 500;
            let fresh = one.recount(now_ms, 30_000).values as u64;
            if place % 97 == 0 {
                assert_eq!(one.count(now_ms, 30_000), fresh);
            }
            if place % 7 == 0 {
                assert_eq!(one.count(50_000, 30_000), one.recount(50_000, 30_000).values as u64);
            }
        }
        events.iter().rev().chain(&events).for_each(|(value, time_ms)| other.add(*value, *time_ms));
        assert_eq!(one.marks, other.marks);
        assert_eq!(one.marks, one.registers.iter().map(Vec::len).sum::<usize>());
        for now_ms in (0..140_000).step_by(1000) {
            assert_eq!(one.count(now_ms, 30_000), other.count(now_ms, 30_000));
        }
    }
}
