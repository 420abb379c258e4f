//! The terms that most conditions are made of: a whole number in a range, or a claim that is true or not.
//!
//! A probe looks something up and compares it. It calls nothing, so that running one needs no stack, and the six
//! comparisons with a constant are one: whether the number lies in a range. Times are whole milliseconds here; what does
//! not fit that is left to the steps that count in nanoseconds.

use super::compare::Comparison;
use super::interpret::ask;
use super::node::Question;
use super::program::mismatch;
use super::{Facts, Fault, ReadIndex, ReadingValue};
use crate::event::{Field, Signal};

/// A term that costs a lookup. A trailing `bool` is the answer at which it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    /// A reading that is an int.
    Int(ReadIndex, Range),
    /// How many members a set has.
    Size(ReadIndex, Range),
    /// A reading that is an instant or a span, in milliseconds.
    Ms(ReadIndex, Range),
    /// How long after a reading's instant a field's lies, in milliseconds.
    Since(Field, ReadIndex, Range),
    /// How long after the second field's instant the first's lies, in milliseconds; nothing where the second is absent.
    SinceField(Field, Field, Range),
    /// An int of the event.
    Field(Field, Range),
    /// A signal that is a flag.
    Flag(Signal, bool),
    /// A reading that is a bool.
    Claim(ReadIndex, bool),
    /// `known(f)` and its kin.
    Ask(Question, ReadIndex, bool),
    /// Whether the event came with a field.
    Has(Field, bool),
}

impl Probe {
    /// Whether it holds.
    #[inline]
    pub(super) fn holds<F: Facts>(&self, facts: &F) -> Result<bool, Fault> {
        match self {
            Probe::Int(read, range) => match facts.reading(*read).value {
                ReadingValue::Int(value) => Ok(range.has(value)),
                value => Err(mismatch(value)),
            },
            Probe::Size(read, range) => match facts.reading(*read).value {
                ReadingValue::Set { size } => match i64::try_from(size) {
                    Ok(size) => Ok(range.has(size)),
                    Err(_) => Err(Fault::Overflow),
                },
                value => Err(mismatch(value)),
            },
            Probe::Ms(read, range) => match facts.reading(*read).value {
                ReadingValue::TimestampMs(value) | ReadingValue::DurationMs(value) => Ok(range.has(value)),
                value => Err(mismatch(value)),
            },
            Probe::Since(field, read, range) => match facts.reading(*read).value {
                ReadingValue::TimestampMs(from) | ReadingValue::DurationMs(from) => {
                    range.has_span(from, facts.timestamp_ms(*field))
                }
                value => Err(mismatch(value)),
            },
            Probe::SinceField(_, from, _) if !facts.has(*from) => Err(Fault::Unknown),
            Probe::SinceField(field, from, range) => {
                range.has_span(facts.timestamp_ms(*from), facts.timestamp_ms(*field))
            }
            Probe::Field(field, range) => Ok(range.has(facts.int(*field))),
            Probe::Flag(signal, wanted) => Ok(facts.signal_flag(*signal) == *wanted),
            Probe::Claim(read, wanted) => match facts.reading(*read).value {
                ReadingValue::Bool(value) => Ok(value == *wanted),
                value => Err(mismatch(value)),
            },
            Probe::Ask(question, read, wanted) => Ok(ask(*question, *read, facts) == *wanted),
            Probe::Has(field, wanted) => Ok(facts.has(*field) == *wanted),
        }
    }

    /// The probe that holds where this one does not, and has no value where this one has none.
    pub(super) fn negated(self) -> Probe {
        match self {
            Probe::Int(read, range) => Probe::Int(read, range.negated()),
            Probe::Size(read, range) => Probe::Size(read, range.negated()),
            Probe::Ms(read, range) => Probe::Ms(read, range.negated()),
            Probe::Since(field, read, range) => Probe::Since(field, read, range.negated()),
            Probe::SinceField(field, from, range) => Probe::SinceField(field, from, range.negated()),
            Probe::Field(field, range) => Probe::Field(field, range.negated()),
            Probe::Flag(signal, wanted) => Probe::Flag(signal, !wanted),
            Probe::Claim(read, wanted) => Probe::Claim(read, !wanted),
            Probe::Ask(question, read, wanted) => Probe::Ask(question, read, !wanted),
            Probe::Has(field, wanted) => Probe::Has(field, !wanted),
        }
    }
}

/// The numbers from `low` to `low + width`, or all others. `low + width` does not leave 64 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    low: i64,
    width: u64,
    inside: bool,
}

/// The longest spans of time that are in range, in whole milliseconds: 64 bits of nanoseconds, as in
/// [`time::duration`](super::time::duration).
const SPAN_MAX_MS: i64 = i64::MAX / 1_000_000;

impl Range {
    /// The numbers for which a comparison with this one holds.
    pub(super) fn of(comparison: Comparison, value: i64) -> Range {
        let between = |low: i64, high: i64| Range { low, width: high.wrapping_sub(low) as u64, inside: true };
        let nothing = Range { inside: false, ..between(i64::MIN, i64::MAX) };
        match comparison {
            Comparison::Equal => between(value, value),
            Comparison::NotEqual => between(value, value).negated(),
            Comparison::Less => value.checked_sub(1).map_or(nothing, |high| between(i64::MIN, high)),
            Comparison::LessOrEqual => between(i64::MIN, value),
            Comparison::Greater => value.checked_add(1).map_or(nothing, |low| between(low, i64::MAX)),
            Comparison::GreaterOrEqual => between(value, i64::MAX),
        }
    }

    fn negated(self) -> Range {
        Range { inside: !self.inside, ..self }
    }

    /// Whether a number is one of them.
    #[inline]
    fn has(&self, value: i64) -> bool {
        (value.wrapping_sub(self.low) as u64 <= self.width) == self.inside
    }

    /// Whether the time from one instant to another, in milliseconds, is one of them; a time has no value that is out of
    /// the range of durations.
    #[inline]
    fn has_span(&self, from_ms: i64, to_ms: i64) -> Result<bool, Fault> {
        match to_ms.checked_sub(from_ms) {
            Some(span_ms) if (-SPAN_MAX_MS..=SPAN_MAX_MS).contains(&span_ms) => Ok(self.has(span_ms)),
            _ => Err(Fault::Overflow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_numbers_for_which_the_comparison_does() {
        let comparisons = [
            Comparison::Equal,
            Comparison::NotEqual,
            Comparison::Less,
            Comparison::LessOrEqual,
            Comparison::Greater,
            Comparison::GreaterOrEqual,
        ];
        let ends = [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, 2, i64::MAX - 1, i64::MAX];
        for comparison in comparisons {
            for constant in ends {
                let range = Range::of(comparison, constant);
                for value in ends {
                    assert_eq!(range.has(value), comparison.of(&value, &constant), "{value} {comparison:?} {constant}");
                    assert_eq!(range.negated().has(value), !range.has(value), "not {value} {comparison:?} {constant}");
                }
            }
        }
    }

    #[test]
    fn spans_have_the_range_of_durations() {
        let any = Range::of(Comparison::GreaterOrEqual, i64::MIN);
        for (from_ms, to_ms) in [(0, 0), (0, SPAN_MAX_MS), (0, -SPAN_MAX_MS), (1, SPAN_MAX_MS + 1), (-1, SPAN_MAX_MS)] {
            let in_nanoseconds = super::super::time::duration((i128::from(to_ms) - i128::from(from_ms)) * 1_000_000);
            assert_eq!(any.has_span(from_ms, to_ms), in_nanoseconds.map(|_| true), "from {from_ms} to {to_ms}");
        }
        for (from_ms, to_ms) in [(i64::MIN, 0), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, i64::MIN)] {
            assert_eq!(any.has_span(from_ms, to_ms), Err(Fault::Overflow), "from {from_ms} to {to_ms}");
        }
    }
}
