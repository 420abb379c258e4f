//! `count`, `sum`, `avg`, `min` and `max` by buckets: one number for all events of a bucket of time, instead of one for each.
//!
//! It is for keys that see thousands of events in a window. A bucket holds the times `[n * bucket, (n + 1) * bucket)`, and
//! stands under the last of them. A window counts every bucket that it touches, whole: it sees all that a recount of the
//! window sees, and of the two buckets that its edges cut the rest too. An event that is counted twice counts twice, since
//! nothing is left of it alone: the memory of identities is what keeps repeats away.

use std::ops::Range;

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::entries::{Entries, Entry, range};
use super::numbers::{Choice, Total};
use super::spec::Number;
use super::summary::{Addend, Buckets};
use super::timed::{Fold, Rule, Timed};
use super::window::{Answer, Lost, feed};
use super::{Op, Value};

/// `count`.
pub(super) type BucketCount = Timed<Counting, Part<()>, 2>;
/// `sum` and `avg` of ints.
pub(super) type BucketIntSum = Timed<Summing, Part<i128>, 1>;
/// `sum` and `avg` of doubles.
pub(super) type BucketDoubleSum = Timed<Summing, Part<f64>, 1>;
/// `min` and `max`.
pub(super) type BucketExtreme = Timed<Comparing, Peak, 2>;

/// What is computed, and how wide a bucket is, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<K> {
    pub(super) kind: K,
    pub(super) bucket_ms: i64,
}

impl<K> By<K> {
    /// The last instant of the bucket that a time lies in.
    #[inline]
    fn end_ms(&self, time_ms: i64) -> i64 {
        time_ms.div_euclid(self.bucket_ms).saturating_add(1).saturating_mul(self.bucket_ms).saturating_sub(1)
    }
}

/// How many events a bucket holds, and what they add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part<S> {
    end_ms: i64,
    count: u64,
    sum: S,
}

/// The least or greatest value of a bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peak {
    end_ms: i64,
    value: u64,
}

impl<S: Addend> Entry for Part<S> {
    type Order = i64;
    type Weight = ();

    fn time_ms(&self) -> i64 {
        self.end_ms
    }

    fn order(&self) -> i64 {
        self.end_ms
    }

    fn weight(&self) {}

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.end_ms as u64);
        feed(hasher, self.count);
        feed(hasher, self.sum.bits());
    }

    const STORED_BYTES: usize = 16 + S::STORED_BYTES;
    const KNOWS_EVENTS: bool = false;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.end_ms);
        writer.word(self.count);
        self.sum.store(writer);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Part<S>, Broken> {
        Ok(Part { end_ms: reader.time()?, count: reader.word()?, sum: S::restore(reader)? })
    }
}

impl Entry for Peak {
    type Order = i64;
    type Weight = ();

    fn time_ms(&self) -> i64 {
        self.end_ms
    }

    fn order(&self) -> i64 {
        self.end_ms
    }

    fn weight(&self) {}

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.end_ms as u64);
        feed(hasher, self.value);
    }

    const STORED_BYTES: usize = 16;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.end_ms);
        writer.word(self.value);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Peak, Broken> {
        Ok(Peak { end_ms: reader.time()?, value: reader.word()? })
    }
}

/// Adds what one event brings to its bucket, which is nearly always the newest.
#[inline]
fn merge<E: Entry<Order = i64>, const N: usize>(entries: &mut Entries<E, N>, one: E, into: impl FnOnce(&mut E)) {
    let slice = entries.as_slice();
    let place = match slice.last() {
        Some(newest) if one.order() == newest.order() => Ok(slice.len() - 1),
        Some(newest) if one.order() < newest.order() => slice.binary_search_by_key(&one.order(), E::order),
        _ => Err(slice.len()),
    };
    match place {
        Ok(place) => into(&mut entries.as_mut_slice()[place]),
        Err(place) => entries.insert_at(place, one),
    }
}

/// The buckets that the window touches. An event can be felt for a bucket longer than the window is, so that is the reach.
#[inline]
fn touched<E: Entry, K>(entries: &[E], rule: &Rule<By<K>>, time_ms: i64) -> Range<usize> {
    let window_ms = rule.reach_ms.saturating_sub(rule.kind.bucket_ms - 1);
    range(entries, time_ms.saturating_sub(window_ms), rule.kind.end_ms(time_ms))
}

/// How many events these buckets hold, and what they add up to, oldest first; with what is summarised of older ones, up to
/// the end of the last bucket.
#[inline]
fn total<S: Addend, K>(
    entries: &[Part<S>],
    rule: &Rule<By<K>>,
    time_ms: i64,
    summary: Option<&mut Buckets<S>>,
) -> (u64, S) {
    let end_ms = rule.kind.end_ms(time_ms);
    let before = summary.map_or((0, S::default()), |summary| summary.total(end_ms, rule.reach_ms));
    let within = entries[touched(entries, rule, time_ms)].iter();
    within.fold(before, |(count, sum), part| (count + part.count, sum.plus(part.sum)))
}

#[inline]
fn add<S: Addend, const N: usize>(entries: &mut Entries<Part<S>, N>, one: Part<S>) {
    merge(entries, one, |part| {
        part.count += 1;
        part.sum = part.sum.plus(one.sum);
    });
}

#[derive(Debug)]
pub(super) struct Counting;

impl Fold<Part<()>, 2> for Counting {
    type Kind = By<()>;
    type Summary = Buckets<()>;

    fn nothing(_kind: By<()>) -> Value {
        Value::Int(0)
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], kind: &By<()>) -> Part<()> {
        Part { end_ms: kind.end_ms(op.time_ms), count: 1, sum: () }
    }

    #[inline]
    fn insert(entries: &mut Entries<Part<()>, 2>, entry: Part<()>, _kind: &By<()>) {
        add(entries, entry);
    }

    fn summarise(entry: &Part<()>, rule: &Rule<By<()>>, summary: &mut Buckets<()>) {
        summary.add_all(rule.reach_ms, entry.end_ms, entry.count, ());
    }

    fn read(entries: &mut Entries<Part<()>, 2>, rule: &Rule<By<()>>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer {
        let (count, ()) = total(entries.as_slice(), rule, op.time_ms, lost.summary);
        Answer::new(Value::Int(count as i64), count > 0, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

#[derive(Debug)]
pub(super) struct Summing;

impl Fold<Part<i128>, 1> for Summing {
    type Kind = By<Total>;
    type Summary = Buckets<i128>;

    fn nothing(kind: By<Total>) -> Value {
        match kind.kind {
            Total::Sum => Value::Int(0),
            Total::Mean => Value::Unknown,
        }
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], kind: &By<Total>) -> Part<i128> {
        Part { end_ms: kind.end_ms(op.time_ms), count: 1, sum: i128::from(op.value as i64) }
    }

    #[inline]
    fn insert(entries: &mut Entries<Part<i128>, 1>, entry: Part<i128>, _kind: &By<Total>) {
        add(entries, entry);
    }

    fn summarise(entry: &Part<i128>, rule: &Rule<By<Total>>, summary: &mut Buckets<i128>) {
        summary.add_all(rule.reach_ms, entry.end_ms, entry.count, entry.sum);
    }

    fn read(
        entries: &mut Entries<Part<i128>, 1>,
        rule: &Rule<By<Total>>,
        op: &Op,
        lost: Lost<'_, Self::Summary>,
    ) -> Answer {
        let (count, sum) = total(entries.as_slice(), rule, op.time_ms, lost.summary);
        let value = match rule.kind.kind {
            Total::Sum => i64::try_from(sum).map_or(Value::Overflow, Value::Int),
            Total::Mean if count == 0 => Value::Unknown,
            Total::Mean => Value::Double(sum as f64 / count as f64),
        };
        Answer::new(value, count > 0, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

/// Within a bucket in the order of arrival, then bucket by bucket.
impl Fold<Part<f64>, 1> for Summing {
    type Kind = By<Total>;
    type Summary = Buckets<f64>;

    fn nothing(kind: By<Total>) -> Value {
        match kind.kind {
            Total::Sum => Value::Double(0.0),
            Total::Mean => Value::Unknown,
        }
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], kind: &By<Total>) -> Part<f64> {
        Part { end_ms: kind.end_ms(op.time_ms), count: 1, sum: f64::from_bits(op.value) }
    }

    #[inline]
    fn insert(entries: &mut Entries<Part<f64>, 1>, entry: Part<f64>, _kind: &By<Total>) {
        add(entries, entry);
    }

    fn summarise(entry: &Part<f64>, rule: &Rule<By<Total>>, summary: &mut Buckets<f64>) {
        summary.add_all(rule.reach_ms, entry.end_ms, entry.count, entry.sum);
    }

    fn read(
        entries: &mut Entries<Part<f64>, 1>,
        rule: &Rule<By<Total>>,
        op: &Op,
        lost: Lost<'_, Self::Summary>,
    ) -> Answer {
        let (count, sum) = total(entries.as_slice(), rule, op.time_ms, lost.summary);
        let value = match rule.kind.kind {
            Total::Sum => Value::Double(sum),
            Total::Mean if count == 0 => Value::Unknown,
            Total::Mean => Value::Double(sum / count as f64),
        };
        Answer::new(value, count > 0, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

impl Choice {
    /// The one of two values, by their bits, that is chosen.
    #[inline]
    fn of(self, one: u64, other: u64) -> u64 {
        let takes_other = match self {
            Choice::Least(Number::Int) => (other as i64) < one as i64,
            Choice::Greatest(Number::Int) => other as i64 > one as i64,
            Choice::Least(Number::Double) => f64::from_bits(other).total_cmp(&f64::from_bits(one)).is_lt(),
            Choice::Greatest(Number::Double) => f64::from_bits(other).total_cmp(&f64::from_bits(one)).is_gt(),
        };
        if takes_other { other } else { one }
    }

    fn value(self, bits: u64) -> Value {
        match self {
            Choice::Least(Number::Int) | Choice::Greatest(Number::Int) => Value::Int(bits as i64),
            Choice::Least(Number::Double) | Choice::Greatest(Number::Double) => Value::Double(f64::from_bits(bits)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Comparing;

impl Fold<Peak, 2> for Comparing {
    type Kind = By<Choice>;
    type Summary = ();

    fn nothing(_kind: By<Choice>) -> Value {
        Value::Unknown
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], kind: &By<Choice>) -> Peak {
        Peak { end_ms: kind.end_ms(op.time_ms), value: op.value }
    }

    #[inline]
    fn insert(entries: &mut Entries<Peak, 2>, entry: Peak, kind: &By<Choice>) {
        merge(entries, entry, |peak| peak.value = kind.kind.of(peak.value, entry.value));
    }

    fn read(entries: &mut Entries<Peak, 2>, rule: &Rule<By<Choice>>, op: &Op, lost: Lost<'_, ()>) -> Answer {
        let slice = entries.as_slice();
        let values = slice[touched(slice, rule, op.time_ms)].iter().map(|peak| peak.value);
        let chosen = values.reduce(|one, other| rule.kind.kind.of(one, other));
        let value = chosen.map_or(Value::Unknown, |bits| rule.kind.kind.value(bits));
        Answer::new(value, chosen.is_some(), lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}
