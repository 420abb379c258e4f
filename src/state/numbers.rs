//! `count`, `sum`, `avg`, `min`, `max`, and `first` over a window: folds of the events in `(t - window, t]`.

use super::entries::{Entries, Moment, Named, Stamp, Valued};
use super::spec::Number;
use super::summary::Buckets;
use super::timed::{Fold, Rule, Timed};
use super::window::{Answer, Lost};
use super::{Op, Value};

/// `count`.
pub(super) type Count = Timed<Counting, Stamp, 2>;
/// `sum` and `avg` of ints.
pub(super) type IntSum = Timed<Summing, Valued, 1>;
/// `sum` and `avg` of doubles.
pub(super) type DoubleSum = Timed<Summing, Named, 1>;
/// `min` and `max`.
pub(super) type Extreme = Timed<Comparing, Valued, 1>;
/// `first` over a window. Any event can become the earliest as others leave, so every time is kept.
pub(super) type FirstTime = Timed<Earliest, Moment, 4>;

#[derive(Debug)]
pub(super) struct Counting;

impl Fold<Stamp, 2> for Counting {
    type Kind = ();
    type Summary = Buckets<()>;

    fn nothing(_kind: ()) -> Value {
        Value::Int(0)
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], _kind: &()) -> Stamp {
        Stamp { time_ms: op.time_ms, event: op.event }
    }

    fn summarise(entry: &Stamp, rule: &Rule<()>, summary: &mut Buckets<()>) {
        summary.add(rule.reach_ms, entry.time_ms, ());
    }

    #[inline]
    fn read(entries: &mut Entries<Stamp, 2>, rule: &Rule<()>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer {
        let (range, _) = entries.window(op.time_ms, rule.reach_ms);
        let summarised = lost.summary.map_or(0, |summary| summary.total(op.time_ms, rule.reach_ms).0);
        let count = range.len() as u64 + summarised;
        Answer::new(Value::Int(count as i64), count > 0, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

/// Whether a sum is divided by the number of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Total {
    Sum,
    Mean,
}

#[derive(Debug)]
pub(super) struct Summing;

impl Fold<Valued, 1> for Summing {
    type Kind = Total;
    type Summary = Buckets<i128>;

    fn nothing(kind: Total) -> Value {
        match kind {
            Total::Sum => Value::Int(0),
            Total::Mean => Value::Unknown,
        }
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], _kind: &Total) -> Valued {
        Valued { time_ms: op.time_ms, event: op.event, value: op.value }
    }

    fn summarise(entry: &Valued, rule: &Rule<Total>, summary: &mut Buckets<i128>) {
        summary.add(rule.reach_ms, entry.time_ms, i128::from(entry.value as i64));
    }

    #[inline]
    fn read(entries: &mut Entries<Valued, 1>, rule: &Rule<Total>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer {
        let (range, tally) = entries.window(op.time_ms, rule.reach_ms);
        let (summarised, before) = lost.summary.map_or((0, 0), |summary| summary.total(op.time_ms, rule.reach_ms));
        let count = range.len() as u64 + summarised;
        let kept: i128 = match tally {
            Some(bits) => i128::from(bits as i64),
            None => entries.as_slice()[range].iter().map(|entry| i128::from(entry.value as i64)).sum(),
        };
        let sum = before + kept;
        let value = match rule.kind {
            Total::Sum => i64::try_from(sum).map_or(Value::Overflow, Value::Int),
            Total::Mean if count == 0 => Value::Unknown,
            Total::Mean => Value::Double(sum as f64 / count as f64),
        };
        Answer::new(value, count > 0, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

/// Floats do not add up to the same in another order, so they are added anew each time, oldest first.
impl Fold<Named, 1> for Summing {
    type Kind = Total;
    type Summary = Buckets<f64>;

    fn nothing(kind: Total) -> Value {
        match kind {
            Total::Sum => Value::Double(0.0),
            Total::Mean => Value::Unknown,
        }
    }

    fn entry(op: &Op, id: &[u8; 16], _kind: &Total) -> Named {
        let bits = u128::from_be_bytes(*id);
        Named { time_ms: op.time_ms, id: [(bits >> 64) as u64, bits as u64], event: op.event, value: op.value }
    }

    fn summarise(entry: &Named, rule: &Rule<Total>, summary: &mut Buckets<f64>) {
        summary.add(rule.reach_ms, entry.time_ms, f64::from_bits(entry.value));
    }

    fn read(entries: &mut Entries<Named, 1>, rule: &Rule<Total>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer {
        let (range, _) = entries.window(op.time_ms, rule.reach_ms);
        let (summarised, before) = lost.summary.map_or((0, 0.0), |summary| summary.total(op.time_ms, rule.reach_ms));
        let count = range.len() as u64 + summarised;
        let sum = entries.as_slice()[range].iter().fold(before, |sum, entry| sum + f64::from_bits(entry.value));
        let value = match rule.kind {
            Total::Sum => Value::Double(sum),
            Total::Mean if count == 0 => Value::Unknown,
            Total::Mean => Value::Double(sum / count as f64),
        };
        Answer::new(value, count > 0, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

/// Which of the values, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Least(Number),
    Greatest(Number),
}

#[derive(Debug)]
pub(super) struct Comparing;

impl Fold<Valued, 1> for Comparing {
    type Kind = Choice;
    type Summary = ();

    fn nothing(_kind: Choice) -> Value {
        Value::Unknown
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], _kind: &Choice) -> Valued {
        Valued { time_ms: op.time_ms, event: op.event, value: op.value }
    }

    #[inline]
    fn read(entries: &mut Entries<Valued, 1>, rule: &Rule<Choice>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer {
        let (range, _) = entries.window(op.time_ms, rule.reach_ms);
        let values = entries.as_slice()[range].iter().map(|entry| entry.value);
        let ints = values.clone().map(|bits| bits as i64);
        let doubles = values.map(f64::from_bits);
        let value = match rule.kind {
            Choice::Least(Number::Int) => ints.min().map(Value::Int),
            Choice::Greatest(Number::Int) => ints.max().map(Value::Int),
            Choice::Least(Number::Double) => doubles.min_by(f64::total_cmp).map(Value::Double),
            Choice::Greatest(Number::Double) => doubles.max_by(f64::total_cmp).map(Value::Double),
        };
        Answer::new(value.unwrap_or(Value::Unknown), value.is_some(), lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}

#[derive(Debug)]
pub(super) struct Earliest;

impl Fold<Moment, 4> for Earliest {
    type Kind = ();
    type Summary = ();

    fn nothing(_kind: ()) -> Value {
        Value::Unknown
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], _kind: &()) -> Moment {
        Moment { time_ms: op.time_ms }
    }

    #[inline]
    fn read(entries: &mut Entries<Moment, 4>, rule: &Rule<()>, op: &Op, lost: Lost<'_, Self::Summary>) -> Answer {
        let (range, _) = entries.window(op.time_ms, rule.reach_ms);
        let earliest = entries.as_slice()[range].first().map(|entry| Value::Time(entry.time_ms));
        Answer::new(earliest.unwrap_or(Value::Unknown), earliest.is_some(), lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}
