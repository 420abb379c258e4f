//! First verdicts, for those who send an event again.
//!
//! Nearly every verdict is a plain `allow`, which is remembered as nothing at all. The rest are kept in the order of
//! arrival, found by bisection, and leave when the identity they belong to is forgotten. Messages and evidence are not
//! kept. They are kept apart from the identities because these are looked up for a whole chunk at once: an identity may
//! be forgotten at a later event of the chunk, and the repeat before it is still to be answered.

use std::collections::VecDeque;

use super::judgement::{Judgement, Judgements, Outcome, Piece};
use crate::event::{Cause, Verdict};
use crate::state::Entry;

#[derive(Clone, Debug)]
struct First {
    entry: Entry,
    judgement: Judgement,
    rules: Box<[u8]>,
    decisions: Box<[u8]>,
    created: Box<[u8]>,
}

/// The verdicts that are more than a plain `allow`, by entry, ascending.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    firsts: VecDeque<First>,
    bytes: usize,
}

impl Remembered {
    /// Remembers the verdict on a new event; `rules` are the elements of `rules` without messages.
    pub(super) fn remember(&mut self, entry: Entry, judgement: &Judgement, judgements: &Judgements, rules: &[u8]) {
        let (decisions, created) = (judgements.piece(judgement.decisions), judgements.piece(judgement.created));
        if is_plain(judgement) && rules.is_empty() && decisions.is_empty() {
            return;
        }
        let first = First {
            entry,
            judgement: *judgement,
            rules: rules.into(),
            decisions: decisions.into(),
            created: created.into(),
        };
        self.bytes += first.bytes();
        self.firsts.push_back(first);
    }

    /// The first verdict on the event of this identity. `parties` tells whether the event has a referrer and a referee,
    /// `observe_only` whether its program is only observed.
    pub(super) fn recall(&self, entry: Entry, parties: bool, observe_only: bool, out: &mut Judgements) -> Judgement {
        let Ok(place) = self.firsts.binary_search_by_key(&entry, |first| first.entry) else {
            return Judgement {
                outcome: Outcome::Repeat,
                parties: parties.then_some((Verdict::Allow, Verdict::Allow)),
                would_be: observe_only.then_some(Verdict::Allow),
                ..Judgement::default()
            };
        };
        let first = &self.firsts[place];
        Judgement {
            outcome: Outcome::Repeat,
            rules: out.add_bytes(&first.rules),
            evidence: Piece::default(),
            decisions: out.add_bytes(&first.decisions),
            created: out.add_bytes(&first.created),
            ..first.judgement
        }
    }

    /// Drops the verdicts on identities before this one, which are forgotten.
    pub(super) fn trim(&mut self, oldest: Entry) {
        while self.firsts.front().is_some_and(|first| first.entry < oldest) {
            if let Some(first) = self.firsts.pop_front() {
                self.bytes -= first.bytes();
            }
        }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whether an event's program, fields and repetition alone say everything but its rules and decisions.
fn is_plain(judgement: &Judgement) -> bool {
    let allowed = |verdict| verdict == Verdict::Allow;
    let Judgement { verdict, would_be, cause, score, parties, late, .. } = *judgement;
    let nobody_stopped = parties.is_none_or(|(referrer, referee)| allowed(referrer) && allowed(referee));
    allowed(verdict) && would_be.is_none_or(allowed) && cause == Cause::None && score == 0 && nobody_stopped && !late
}

impl First {
    fn bytes(&self) -> usize {
        size_of::<First>() + self.rules.len() + self.decisions.len() + self.created.len()
    }
}
