//! `distinct`, `set`, and `first` since a key was last idle: when each value was present.
//!
//! A value's events are merged into runs `[start, last]`: an event joins a run when it is less than the window away from
//! it. An event at s is in the window of t when s <= t < s + window; within a run no gap is as long as the window, so
//! the value is in the window at t exactly when start <= t < last + window for one of its runs. This takes one run for
//! a value however often it comes, is exact for late events too, and neither order nor repetition matters.
//!
//! With one value and the retention for a window, `first` is the start of the run that t is in.
//!
//! Runs are kept in the order of value, then start: members are wanted sorted, and a value is found by bisection. A
//! hash index would have to sort for each reading; moving half of 4096 runs for a new value takes 2 us and is rare.

mod stored;

use prefetch_index::prefetch_index;
use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::sketch::Sketch;
use super::window::{Answer, Lost, Window, feed, out_of_reach};
use super::{Op, Value};

/// Runs that a slot holds.
const FEW: usize = 2;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Number,
    Members,
    Start,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PresenceRule {
    pub(super) reach_ms: i64,
    pub(super) entries_max: usize,
    pub(super) view: View,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    value: u64,
    start_ms: i64,
    last_ms: i64,
}

impl Run {
    #[inline]
    fn end_ms(&self, reach_ms: i64) -> i64 {
        self.last_ms.saturating_add(reach_ms)
    }

    #[inline]
    fn covers(&self, time_ms: i64, reach_ms: i64) -> bool {
        self.start_ms <= time_ms && time_ms < self.end_ms(reach_ms)
    }
}

/// The runs of one key.
#[derive(Debug)]
pub(super) enum Presence {
    Few { runs: [Run; FEW], len: u8, truncated: bool },
    Many(Runs),
}

/// Runs in memory of their own, and how many of them cover any t from `from_ms` to before `until_ms`: in order, a reading
/// costs a comparison until the next value leaves.
#[derive(Debug)]
pub(super) struct Runs {
    runs: Vec<Run>,
    count: u32,
    truncated: bool,
    from_ms: i64,
    until_ms: i64,
}

/// How the runs changed: at which times a value is present that was not.
enum Change {
    None,
    /// A run of one event.
    Added,
    /// A run reaches from the first time to before the second instead of not at all.
    Widened(i64, i64),
}

impl Default for Presence {
    fn default() -> Presence {
        Presence::Few { runs: [Run::default(); FEW], len: 0, truncated: false }
    }
}

impl Presence {
    #[inline]
    fn runs(&self) -> &[Run] {
        match self {
            Presence::Few { runs, len, .. } => &runs[..*len as usize],
            Presence::Many(many) => &many.runs,
        }
    }

    #[inline]
    fn runs_mut(&mut self) -> &mut [Run] {
        match self {
            Presence::Few { runs, len, .. } => &mut runs[..*len as usize],
            Presence::Many(many) => &mut many.runs,
        }
    }

    fn insert(&mut self, place: usize, run: Run) {
        match self {
            Presence::Few { runs, len, .. } if (*len as usize) < FEW => {
                runs.copy_within(place..*len as usize, place + 1);
                runs[place] = run;
                *len += 1;
            }
            Presence::Few { runs, truncated, .. } => {
                let mut many = Runs { runs: Vec::new(), count: 0, truncated: *truncated, from_ms: 0, until_ms: 0 };
                many.runs.reserve_exact(FEW * 2);
                many.runs.extend_from_slice(runs);
                many.runs.insert(place, run);
                *self = Presence::Many(many);
            }
            Presence::Many(many) => {
                if many.runs.len() == many.runs.capacity() {
                    many.runs.reserve_exact(many.runs.len() / 2);
                }
                many.runs.insert(place, run);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        match self {
            Presence::Few { runs, len, .. } => {
                runs.copy_within(place + 1..*len as usize, place);
                *len -= 1;
            }
            Presence::Many(many) => {
                many.runs.remove(place);
            }
        }
    }

    /// Drops the runs that cover no t from the horizon on.
    fn drop_expired(&mut self, reach_ms: i64, horizon_ms: i64) {
        match self {
            Presence::Few { len, .. } => {
                for place in (0..*len as usize).rev() {
                    if out_of_reach(self.runs()[place].last_ms, horizon_ms, reach_ms) {
                        self.remove(place);
                    }
                }
            }
            Presence::Many(many) => many.runs.retain(|run| !out_of_reach(run.last_ms, horizon_ms, reach_ms)),
        }
    }

    /// Notes that a value is present at a time.
    #[inline]
    fn mark(&mut self, rule: &PresenceRule, value: u64, time_ms: i64, horizon_ms: i64) -> Change {
        let reach_ms = rule.reach_ms;
        let place = self.runs().partition_point(|run| (run.value, run.start_ms) <= (value, time_ms));
        let (before, after) = self.runs_mut().split_at_mut(place);
        let left = before.last_mut().filter(|run| run.value == value && time_ms < run.end_ms(reach_ms));
        let right = after.first_mut();
        let right = right.filter(|run| run.value == value && run.start_ms < time_ms.saturating_add(reach_ms));
        match (left, right) {
            (Some(left), None) => {
                let end_ms = left.end_ms(reach_ms);
                left.last_ms = left.last_ms.max(time_ms);
                let new_end_ms = left.end_ms(reach_ms);
                if new_end_ms > end_ms { Change::Widened(end_ms, new_end_ms) } else { Change::None }
            }
            (None, Some(right)) => {
                let start_ms = std::mem::replace(&mut right.start_ms, time_ms);
                Change::Widened(time_ms, start_ms)
            }
            (Some(left), Some(right)) => {
                let gap = Change::Widened(left.end_ms(reach_ms), right.start_ms);
                left.last_ms = right.last_ms;
                self.remove(place);
                gap
            }
            (None, None) => {
                let place = if self.makes_room(rule, horizon_ms) {
                    self.runs().partition_point(|run| (run.value, run.start_ms) <= (value, time_ms))
                } else {
                    place
                };
                self.insert(place, Run { value, start_ms: time_ms, last_ms: time_ms });
                Change::Added
            }
        }
    }

    /// Before memory grows or the bound bites, what is no longer visible leaves; whether it was looked for.
    fn makes_room(&mut self, rule: &PresenceRule, horizon_ms: i64) -> bool {
        let capacity = match self {
            Presence::Few { .. } => FEW,
            Presence::Many(many) => many.runs.capacity(),
        };
        let full = self.runs().len() >= capacity.min(rule.entries_max);
        if full {
            self.drop_expired(rule.reach_ms, horizon_ms);
        }
        full
    }

    /// Drops the run that ended first; answers when it ended.
    fn drop_oldest(&mut self) -> Option<i64> {
        let oldest = |(_, run): &(usize, &Run)| (run.last_ms, run.value);
        let (place, last_ms) =
            self.runs().iter().enumerate().min_by_key(oldest).map(|(place, run)| (place, run.last_ms))?;
        self.remove(place);
        if let Presence::Many(many) = self {
            many.forget_count();
        }
        Some(last_ms)
    }

    /// How many values are in the window at t.
    #[inline]
    fn count(&mut self, time_ms: i64, reach_ms: i64) -> u32 {
        match self {
            Presence::Few { runs, len, .. } => {
                runs[..*len as usize].iter().filter(|run| run.covers(time_ms, reach_ms)).count() as u32
            }
            Presence::Many(many) => many.count(time_ms, reach_ms),
        }
    }
}

impl Runs {
    #[inline]
    fn count(&mut self, time_ms: i64, reach_ms: i64) -> u32 {
        if !(self.from_ms <= time_ms && time_ms < self.until_ms) {
            (self.count, self.from_ms, self.until_ms) = (0, i64::MIN, i64::MAX);
            for run in &self.runs {
                let (start_ms, end_ms) = (run.start_ms, run.end_ms(reach_ms));
                if time_ms < start_ms {
                    self.until_ms = self.until_ms.min(start_ms);
                } else if end_ms <= time_ms {
                    self.from_ms = self.from_ms.max(end_ms);
                } else {
                    self.count += 1;
                    self.from_ms = self.from_ms.max(start_ms);
                    self.until_ms = self.until_ms.min(end_ms);
                }
            }
        }
        self.count
    }

    fn forget_count(&mut self) {
        self.until_ms = self.from_ms;
    }

    /// Keeps the count true where that is cheap.
    #[inline]
    fn recount(&mut self, change: &Change, time_ms: i64, reach_ms: i64) {
        match *change {
            Change::None => {}
            Change::Added => {
                let from_ms = self.from_ms.max(time_ms);
                let until_ms = self.until_ms.min(time_ms.saturating_add(reach_ms));
                if from_ms < until_ms {
                    (self.count, self.from_ms, self.until_ms) = (self.count + 1, from_ms, until_ms);
                }
            }
            Change::Widened(start_ms, end_ms) => {
                if start_ms < self.until_ms && self.from_ms < end_ms {
                    self.forget_count();
                }
            }
        }
    }
}

impl Window for Presence {
    type Rule = PresenceRule;
    type Summary = Sketch;
    const ENTRY_BYTES: usize = size_of::<Run>();
    const KNOWS_EVENTS: bool = true;

    fn nothing(rule: &PresenceRule) -> Value {
        match rule.view {
            View::Number => Value::Int(0),
            View::Members => Value::Set { size: 0, kept: 0, start: None },
            View::Start => Value::Unknown,
        }
    }

    #[inline]
    fn add(&mut self, rule: &PresenceRule, op: &Op, _id: &[u8; 16]) {
        let value = if rule.view == View::Start { 0 } else { op.value };
        let change = self.mark(rule, value, op.time_ms, op.horizon_ms);
        if let Presence::Many(many) = self {
            many.recount(&change, op.time_ms, rule.reach_ms);
        }
    }

    #[cold]
    fn has_room(&mut self, rule: &PresenceRule, _horizon_ms: i64, few: usize) -> bool {
        // What has left is for the sweep to find: looking for it at each refusal would take as long as there are runs.
        let capacity = match self {
            Presence::Few { .. } => FEW,
            Presence::Many(many) => many.runs.capacity(),
        };
        self.runs().len() < capacity.max(few).min(rule.entries_max)
    }

    #[inline]
    fn overflows(&self, rule: &PresenceRule) -> bool {
        self.runs().len() > rule.entries_max
    }

    #[cold]
    fn summarise(&mut self, rule: &PresenceRule, op: &Op, summary: &mut Sketch) -> Option<i64> {
        if rule.view != View::Start {
            if summary.is_empty() {
                // From here on the sketch has every value, those that are kept as well.
                self.runs().iter().for_each(|run| summary.add(run.value, run.last_ms));
            }
            summary.add(op.value, op.time_ms);
        }
        let mut newest_ms = None;
        while self.overflows(rule) {
            newest_ms = newest_ms.max(self.drop_oldest());
        }
        newest_ms
    }

    #[inline]
    fn read(&mut self, rule: &PresenceRule, op: &Op, lost: Lost<'_, Sketch>, members: &mut Vec<u64>) -> Answer {
        let (time_ms, reach_ms) = (op.time_ms, rule.reach_ms);
        // An estimate can be less than what is kept.
        let sketched = lost.summary.map_or(0, |sketch| sketch.count(time_ms, reach_ms));
        let sketched = u32::try_from(sketched).unwrap_or(u32::MAX);
        let (value, known) = match rule.view {
            View::Number => {
                let count = self.count(time_ms, reach_ms).max(sketched);
                (Value::Int(i64::from(count)), count > 0)
            }
            View::Members if op.members => {
                let start = members.len();
                let count = self.count(time_ms, reach_ms) as usize;
                let runs = self.runs();
                if count == runs.len() {
                    members.extend(runs.iter().map(|run| run.value));
                } else {
                    let present = runs.iter().filter(|run| run.covers(time_ms, reach_ms));
                    members.extend(present.map(|run| run.value));
                }
                let kept = (members.len() - start) as u32;
                let size = kept.max(sketched);
                (Value::Set { size, kept, start: (kept > 0).then_some(start as u32) }, size > 0)
            }
            View::Members => {
                let kept = self.count(time_ms, reach_ms);
                let size = kept.max(sketched);
                (Value::Set { size, kept, start: None }, size > 0)
            }
            View::Start => match self.runs().iter().find(|run| run.covers(time_ms, reach_ms)) {
                Some(run) => (Value::Time(run.start_ms), true),
                None => (Value::Unknown, false),
            },
        };
        Answer::new(value, known, lost.newest_ms, time_ms, reach_ms)
    }

    #[inline]
    fn is_settled(&self, rule: &PresenceRule, horizon_ms: i64) -> bool {
        match self {
            Presence::Few { runs, len, .. } => {
                let runs = &runs[..*len as usize];
                !runs.is_empty() && !runs.iter().any(|run| out_of_reach(run.last_ms, horizon_ms, rule.reach_ms))
            }
            Presence::Many(_) => false,
        }
    }

    fn expire(&mut self, rule: &PresenceRule, horizon_ms: i64) -> bool {
        self.drop_expired(rule.reach_ms, horizon_ms);
        if let Presence::Many(many) = self {
            let len = many.runs.len();
            if len <= FEW {
                let mut runs = [Run::default(); FEW];
                runs[..len].copy_from_slice(&many.runs);
                *self = Presence::Few { runs, len: len as u8, truncated: many.truncated };
            } else if len * 4 <= many.runs.capacity() {
                many.runs.shrink_to(len * 2);
            }
        }
        self.runs().is_empty()
    }

    #[inline]
    fn is_truncated(&self) -> bool {
        match self {
            Presence::Few { truncated, .. } => *truncated,
            Presence::Many(many) => many.truncated,
        }
    }

    fn set_truncated(&mut self, value: bool) {
        match self {
            Presence::Few { truncated, .. } => *truncated = value,
            Presence::Many(many) => many.truncated = value,
        }
    }

    #[inline]
    fn spilled_bytes(&self) -> usize {
        match self {
            Presence::Few { .. } => 0,
            Presence::Many(many) => many.runs.capacity() * size_of::<Run>(),
        }
    }

    #[inline]
    fn prefetch(&self) {
        if let Presence::Many(many) = self {
            // Where a search begins, and where it ends when there are few.
            prefetch_index(&many.runs, many.runs.len() / 2);
            prefetch_index(&many.runs, 0);
        }
    }

    fn store(&self, writer: &mut ByteWriter) {
        stored::store(self.runs(), writer);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Presence, Broken> {
        stored::restore(reader)
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        for run in self.runs() {
            feed(hasher, run.value);
            feed(hasher, run.start_ms as u64);
            feed(hasher, run.last_ms as u64);
        }
    }
}
