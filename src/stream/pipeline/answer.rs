//! Who waits for what becomes of events, on its way with them through the pipeline.
//!
//! Events of an inbox are numbered as they are taken; a parcel has the numbers from its first one on. So what was refused in
//! one thread and what was judged in another come together again. Invariant: nobody is answered before the journal has the
//! events on the disk.

use std::fmt;

use super::work::Work;
use crate::engine::Outcome;
use crate::event::{NoAct, Reason};
use crate::stream::inbox::{Answer, Answered, NO_ACT, Parcel};

/// A parcel whose events are in a work.
pub(super) struct Waiting {
    /// The number of its first event.
    first: u64,
    events: usize,
    answer: Answer,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Waiting").field("first", &self.first).field("events", &self.events).finish()
    }
}

/// Why the event of this number is not valid.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) number: u64,
    pub(super) code: &'static str,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(number: u64, reason: &Reason) -> Refusal {
        Refusal { number, code: reason.code(), detail: reason.to_string() }
    }
}

impl Work {
    /// Takes a parcel in, whose events have the numbers from this one on; answers the number behind them.
    pub(super) fn take_parcel(&mut self, parcel: Parcel, first: u64) -> u64 {
        let Parcel { text, events, answer } = parcel;
        let base = self.batch.input.len();
        self.batch.input.push_str(&text);
        let ranges = events.iter().map(|range| base + range.start..base + range.end);
        self.origin.lines.extend(ranges.zip(first..));
        self.waiting.push(Waiting { first, events: events.len(), answer });
        first + events.len() as u64
    }

    /// Notes that the event of a number is not valid, for who waits for it.
    pub(super) fn refuse(&mut self, number: u64, reason: &Reason) {
        self.refusals.push(Refusal::new(number, reason));
    }

    /// Notes that what has a number is no act.
    pub(super) fn refuse_act(&mut self, number: u64, why: &NoAct) {
        self.refusals.push(Refusal { number, code: NO_ACT, detail: why.to_string() });
    }

    /// Whether somebody waits for what becomes of its events.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Answers everybody who waits; the verdicts are written.
    pub(super) fn answer(&mut self) {
        let Some(first) = self.waiting.first().map(|waiting| waiting.first) else { return };
        let count = self.waiting.iter().map(|waiting| waiting.events).sum();
        let mut answers: Vec<Option<Answered>> = vec![None; count];
        let mut put = |number: u64, answered: Answered| {
            if let Some(place) = number.checked_sub(first).and_then(|at| answers.get_mut(at as usize)) {
                *place = Some(answered);
            }
        };
        for (line, event) in self.verdicts.iter() {
            let duplicate = self.judgements.events[event].outcome == Outcome::Repeat;
            let line = String::from_utf8_lossy(line).into_owned();
            put(self.batch.events[event].position.offset, Answered::Verdict { line, duplicate });
        }
        for (number, outcome) in self.acted.drain(..) {
            put(number, Answered::Acted(outcome));
        }
        for Refusal { number, code, detail } in self.refusals.drain(..) {
            put(number, Answered::Refused { code, detail });
        }
        let mut answers = answers.into_iter();
        for Waiting { events, answer, .. } in self.waiting.drain(..) {
            // What was neither judged nor refused cannot be; who waits notices that the answer is gone.
            if let Some(answered) = answers.by_ref().take(events).collect::<Option<Vec<Answered>>>() {
                answer(answered);
            }
        }
    }
}
