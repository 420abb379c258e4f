//! `last` and `previous`: the latest event before this one, by time and then arrival.
//!
//! A late event may be evaluated at any time from the horizon on, so all entries from the horizon on are kept, and the
//! newest one before it: what it sees is then still there. Entries of equal time stand in the order of arrival.

use super::entries::{Entries, Entry, Stamp, Valued};
use super::timed::{Fold, Rule, Timed};
use super::window::{Answer, Lost, out_of_reach};
use super::{Op, Value};

/// `last`.
pub(super) type Last = Timed<Latest, Stamp, 2>;
/// `previous`.
pub(super) type Previous = Timed<Latest, Valued, 2>;

#[derive(Debug)]
pub(super) struct Latest;

/// An entry that knows its event and what it answers.
pub(super) trait Remembered: Entry {
    fn new(op: &Op) -> Self;
    fn event(&self) -> u64;
    fn answer(&self) -> Value;
}

impl Remembered for Stamp {
    fn new(op: &Op) -> Stamp {
        Stamp { time_ms: op.time_ms, event: op.event }
    }

    fn event(&self) -> u64 {
        self.event
    }

    fn answer(&self) -> Value {
        Value::Time(self.time_ms)
    }
}

impl Remembered for Valued {
    fn new(op: &Op) -> Valued {
        Valued { time_ms: op.time_ms, event: op.event, value: op.value }
    }

    fn event(&self) -> u64 {
        self.event
    }

    fn answer(&self) -> Value {
        Value::Scalar(self.value)
    }
}

impl<E: Remembered> Fold<E, 2> for Latest {
    type Kind = ();
    type Summary = ();

    fn nothing(_kind: ()) -> Value {
        Value::Unknown
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], _kind: &()) -> E {
        E::new(op)
    }

    #[inline]
    fn insert(entries: &mut Entries<E, 2>, entry: E, _kind: &()) {
        let place = until(entries.as_slice(), entry.time_ms());
        if position(&entries.as_slice()[..place], entry.time_ms(), entry.event()).is_none() {
            entries.insert_at(place, entry);
        }
    }

    #[inline]
    fn expire(entries: &mut Entries<E, 2>, rule: &Rule<()>, horizon_ms: i64) {
        let slice = entries.as_slice();
        let before = match slice {
            [first, ..] if first.time_ms() < horizon_ms => slice.partition_point(|entry| entry.time_ms() < horizon_ms),
            _ => return,
        };
        let newest_is_gone = out_of_reach(slice[before - 1].time_ms(), horizon_ms, rule.reach_ms);
        entries.drop_front(if newest_is_gone { before } else { before - 1 });
    }

    #[inline]
    fn keeps_all(entries: &[E], rule: &Rule<()>, horizon_ms: i64) -> bool {
        match entries {
            [only] => !out_of_reach(only.time_ms(), horizon_ms, rule.reach_ms),
            entries => entries.first().is_some_and(|oldest| oldest.time_ms() >= horizon_ms),
        }
    }

    #[inline]
    fn read(entries: &mut Entries<E, 2>, rule: &Rule<()>, op: &Op, lost: Lost<'_, ()>) -> Answer {
        let slice = entries.as_slice();
        let place = until(slice, op.time_ms);
        // At whichever key it is read: what comes before this event is not the event itself.
        let own = position(&slice[..place], op.time_ms, op.event);
        let latest = own.unwrap_or(place).checked_sub(1).map(|place| &slice[place]);
        let seen = latest.filter(|entry| !out_of_reach(entry.time_ms(), op.time_ms, rule.reach_ms));
        let value = seen.map_or(Value::Unknown, E::answer);
        // What was dropped is no matter when something later was found.
        let dropped_ms = lost.newest_ms.filter(|dropped| seen.is_none_or(|entry| entry.time_ms() <= *dropped));
        Answer::new(value, seen.is_some(), dropped_ms, op.time_ms, rule.reach_ms)
    }
}

/// How many entries have a time of at most `time_ms`.
#[inline]
fn until<E: Entry>(entries: &[E], time_ms: i64) -> usize {
    match entries.last() {
        Some(last) if last.time_ms() > time_ms => entries.partition_point(|entry| entry.time_ms() <= time_ms),
        _ => entries.len(),
    }
}

/// Where this event stands among entries that end with its time.
#[inline]
fn position<E: Remembered>(entries: &[E], time_ms: i64, event: u64) -> Option<usize> {
    let equals = entries.iter().rev().take_while(|entry| entry.time_ms() == time_ms);
    equals.enumerate().find(|(_, entry)| entry.event() == event).map(|(back, _)| entries.len() - 1 - back)
}
