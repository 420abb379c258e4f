//! What is left of the entries that a key lost to its bound: less than they were, and enough for a value near the true one.

use std::fmt::Debug;

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::window::{feed, out_of_reach};

/// The summary of the entries that one key lost.
pub(super) trait Summary: Debug + Default {
    /// Drops what no reading from `horizon_ms` on can see.
    fn expire(&mut self, _horizon_ms: i64, _reach_ms: i64) {}

    /// Bytes allocated.
    fn bytes(&self) -> usize {
        0
    }

    fn digest(&self, _hasher: &mut SipHasher13) {}

    fn store(&self, _writer: &mut ByteWriter) {}

    /// Reads what [`Summary::store`] wrote.
    fn restore(_reader: &mut ByteReader<'_>) -> Result<Self, Broken> {
        Ok(Self::default())
    }
}

/// Nothing is left: the value is that of the entries that are kept.
impl Summary for () {}

/// A window is cut into so many buckets, so a value is off by what one of them holds at most.
const BUCKETS: i64 = 64;

/// What a bucket adds up.
pub(super) trait Addend: Copy + Debug + Default {
    #[must_use]
    fn plus(self, other: Self) -> Self;

    fn bits(self) -> u64;

    /// Bytes that it takes in a checkpoint.
    const STORED_BYTES: usize;

    fn store(self, writer: &mut ByteWriter);

    /// Reads what [`Addend::store`] wrote.
    fn restore(reader: &mut ByteReader<'_>) -> Result<Self, Broken>;
}

impl Addend for () {
    fn plus(self, _other: ()) {}

    fn bits(self) -> u64 {
        0
    }

    const STORED_BYTES: usize = 0;

    fn store(self, _writer: &mut ByteWriter) {}

    fn restore(_reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        Ok(())
    }
}

impl Addend for i128 {
    fn plus(self, other: i128) -> i128 {
        self + other
    }

    fn bits(self) -> u64 {
        self as u64
    }

    const STORED_BYTES: usize = 16;

    fn store(self, writer: &mut ByteWriter) {
        writer.wide(self as u128);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<i128, Broken> {
        Ok(reader.wide()? as i128)
    }
}

impl Addend for f64 {
    fn plus(self, other: f64) -> f64 {
        self + other
    }

    fn bits(self) -> u64 {
        self.to_bits()
    }

    const STORED_BYTES: usize = 8;

    fn store(self, writer: &mut ByteWriter) {
        writer.word(self.to_bits());
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<f64, Broken> {
        reader.word().map(f64::from_bits)
    }
}

/// How many entries, and their sum, by the part of time that they lie in. Parts are multiples of a 64th of the window.
#[derive(Debug, Default)]
pub(super) struct Buckets<S>(Vec<Bucket<S>>);

#[derive(Clone, Copy, Debug)]
struct Bucket<S> {
    /// Entries have times in `[number * width, (number + 1) * width)`.
    number: i64,
    count: u64,
    sum: S,
}

fn width_ms(reach_ms: i64) -> i64 {
    (reach_ms / BUCKETS).max(1)
}

impl<S: Addend> Buckets<S> {
    /// Adds an entry.
    pub(super) fn add(&mut self, reach_ms: i64, time_ms: i64, value: S) {
        self.add_all(reach_ms, time_ms, 1, value);
    }

    /// Adds what stands for so many entries.
    pub(super) fn add_all(&mut self, reach_ms: i64, time_ms: i64, count: u64, value: S) {
        let number = time_ms.div_euclid(width_ms(reach_ms));
        let place = match self.0.binary_search_by_key(&number, |bucket| bucket.number) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, Bucket { number, count: 0, sum: S::default() });
                place
            }
        };
        let bucket = &mut self.0[place];
        bucket.count += count;
        bucket.sum = bucket.sum.plus(value);
    }

    /// How many entries, and their sum, in `(t - reach, t]`. A bucket that the window cuts counts whole: what it counts is
    /// never less than what is there.
    pub(super) fn total(&self, time_ms: i64, reach_ms: i64) -> (u64, S) {
        let width_ms = width_ms(reach_ms);
        let first = time_ms.saturating_sub(reach_ms).saturating_add(1).div_euclid(width_ms);
        let last = time_ms.div_euclid(width_ms);
        let within = self.0.iter().filter(|bucket| first <= bucket.number && bucket.number <= last);
        within.fold((0, S::default()), |(count, sum), bucket| (count + bucket.count, sum.plus(bucket.sum)))
    }
}

impl<S: Addend> Summary for Buckets<S> {
    fn expire(&mut self, horizon_ms: i64, reach_ms: i64) {
        let width_ms = width_ms(reach_ms);
        let newest_ms = |number: i64| number.saturating_add(1).saturating_mul(width_ms).saturating_sub(1);
        self.0.retain(|bucket| !out_of_reach(newest_ms(bucket.number), horizon_ms, reach_ms));
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Bucket<S>>()
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        for bucket in &self.0 {
            feed(hasher, bucket.number as u64);
            feed(hasher, bucket.count);
            feed(hasher, bucket.sum.bits());
        }
    }

    fn store(&self, writer: &mut ByteWriter) {
        writer.count(self.0.len());
        for bucket in &self.0 {
            writer.time(bucket.number);
            writer.word(bucket.count);
            bucket.sum.store(writer);
        }
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Buckets<S>, Broken> {
        let count = reader.count(16 + S::STORED_BYTES)?;
        let mut buckets: Vec<Bucket<S>> = Vec::with_capacity(count);
        for _ in 0..count {
            let bucket = Bucket { number: reader.time()?, count: reader.word()?, sum: S::restore(reader)? };
            if buckets.last().is_some_and(|last| last.number >= bucket.number) {
                return Err(Broken("the parts of a summary are out of order"));
            }
            buckets.push(bucket);
        }
        Ok(Buckets(buckets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_off_by_one_bucket_at_most_and_never_too_low() {
        let reach_ms = 6400;
        let mut buckets = Buckets::<i128>::default();
        let times: Vec<i64> = (0..40_000).map(|step| step * 7 % 13_001).collect();
        for time_ms in &times {
            buckets.add(reach_ms, *time_ms, i128::from(*time_ms));
        }
        assert!(buckets.0.len() <= 131);
        for now_ms in (0..20_000).step_by(37) {
            let within =
                |since_ms: i64| times.iter().filter(|time| (since_ms + 1..=now_ms).contains(*time)).count() as u64;
            let (count, sum) = buckets.total(now_ms, reach_ms);
            let until_end = times.iter().filter(|time| **time > now_ms && **time / 100 == now_ms / 100).count() as u64;
            let least = within(now_ms - reach_ms);
            assert!(count >= least && count <= within(now_ms - reach_ms - 100) + until_end, "{count} at {now_ms}");
            assert!(count == 0 || sum > 0);
        }
        buckets.expire(20_000, reach_ms);
        assert_eq!(buckets.total(20_000, reach_ms), (0, 0));
        assert_eq!(buckets.0.len(), 0, "what is out of reach has left");
    }
}
