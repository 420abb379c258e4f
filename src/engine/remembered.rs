//! First verdicts, for those who send an event again.
//!
//! Nearly every verdict is a plain `allow`, which is remembered as nothing at all. The rest are kept in the order of
//! arrival, and leave when the identity they belong to is forgotten. Messages and evidence are not kept.

use std::collections::VecDeque;

use super::judgement::{Judgement, Judgements, Outcome};
use crate::event::Verdict;
use crate::state::{Dedup, Entry};

/// What is stored beside an identity whose verdict is a plain `allow`.
const PLAIN: u32 = 0;

#[derive(Clone, Debug)]
struct First {
    entry: Entry,
    judgement: Judgement,
    rules: Box<[u8]>,
    decisions: Box<[u8]>,
    created: Box<[u8]>,
}

/// The verdicts that are more than a plain `allow`.
#[derive(Debug)]
pub(super) struct Remembered {
    firsts: VecDeque<First>,
    /// Number of the first in the queue; numbers start at 1 and wrap, [`PLAIN`] left out.
    front: u32,
    bytes: usize,
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        Remembered { firsts: VecDeque::new(), front: 1, bytes: 0 }
    }

    /// Remembers the verdict on a new event.
    pub(super) fn remember(
        &mut self,
        dedup: &mut Dedup,
        entry: Entry,
        judgement: &Judgement,
        judgements: &Judgements,
        rules: &[u8],
    ) {
        let plain = Judgement { parties: judgement.parties, ..Judgement::default() };
        let allowed = judgement.parties.is_none_or(|parties| parties == (Verdict::Allow, Verdict::Allow));
        let bare = Judgement {
            rules: plain.rules,
            evidence: plain.evidence,
            decisions: plain.decisions,
            created: plain.created,
            ..*judgement
        };
        if bare == plain && allowed && rules.is_empty() && judgements.piece(judgement.decisions).is_empty() {
            return;
        }
        let first = First {
            entry,
            judgement: *judgement,
            rules: rules.into(),
            decisions: judgements.piece(judgement.decisions).into(),
            created: judgements.piece(judgement.created).into(),
        };
        self.bytes += first.bytes();
        dedup.set_verdict(entry, self.number(self.firsts.len()));
        self.firsts.push_back(first);
    }

    /// The first verdict on the event of this identity.
    pub(super) fn recall(&self, dedup: &Dedup, entry: Entry, parties: bool, out: &mut Judgements) -> Judgement {
        let number = dedup.verdict(entry).unwrap_or(PLAIN);
        let Some(first) = self.at(number) else {
            let parties = parties.then_some((Verdict::Allow, Verdict::Allow));
            return Judgement { outcome: Outcome::Repeat, parties, ..Judgement::default() };
        };
        Judgement {
            outcome: Outcome::Repeat,
            rules: out.add_bytes(&first.rules),
            evidence: out.add_bytes(&[]),
            decisions: out.add_bytes(&first.decisions),
            created: out.add_bytes(&first.created),
            ..first.judgement
        }
    }

    /// Drops verdicts whose identities are forgotten.
    pub(super) fn trim(&mut self, dedup: &Dedup) {
        while self.firsts.front().is_some_and(|first| dedup.verdict(first.entry).is_none()) {
            if let Some(first) = self.firsts.pop_front() {
                self.bytes -= first.bytes();
                self.front = self.number(1);
            }
        }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the verdict at a place of the queue.
    fn number(&self, place: usize) -> u32 {
        // Numbers run over 1..=u32::MAX: one less than a power of two of them.
        let zero_based = (u64::from(self.front) - 1 + place as u64) % u64::from(u32::MAX);
        zero_based as u32 + 1
    }

    fn at(&self, number: u32) -> Option<&First> {
        if number == PLAIN {
            return None;
        }
        let place = (u64::from(number) + u64::from(u32::MAX) - u64::from(self.front)) % u64::from(u32::MAX);
        self.firsts.get(place as usize)
    }
}

impl First {
    fn bytes(&self) -> usize {
        size_of::<First>() + self.rules.len() + self.decisions.len() + self.created.len()
    }
}
