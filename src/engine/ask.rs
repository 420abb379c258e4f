//! What can be asked of the machine between two batches, without an event: nothing is counted, and no verdict depends on it.

use super::holds::EventOf;
use super::judgement::{Judgement, Judgements};
use super::machine::Engine;
use super::named::Named;
use super::record::write_recalled;
use crate::event::Verdict;
use crate::state::{Entry, Scalar};

impl Engine {
    /// The first verdict on an event that was judged within `dedup.span`, as JSON: what is remembered of it, without its
    /// type, account, time, parties, messages and evidence. `None`: nothing is remembered of such an event.
    pub fn recall(&mut self, program: &str, source: &str, id: &str) -> Option<Vec<u8>> {
        let entry = self.judged(program, source, id)?;
        let observe_only = self.only_observes(program);
        let mut judgements = Judgements::default();
        // Of a plain `allow` nobody knows whether it had two parties: they are told of no event.
        let judgement = self.remembered.recall(entry, false, observe_only, &mut judgements);
        let of = EventOf { program, source, id, account: "", time_ms: self.dedup.time_ms(entry) };
        let current = judgement.would_be.is_none().then(|| self.current_by_name(entry, &judgement, of)).flatten();
        let judgement = Judgement { current, ..judgement };
        let mut out = Vec::new();
        write_recalled(&mut out, of, &judgement, &judgements);
        Some(out)
    }

    /// What the verdict on an event is now, of which no more is there than what is remembered.
    fn current_by_name(&self, entry: Entry, judgement: &Judgement, of: EventOf<'_>) -> Option<Verdict> {
        let hold = judgement.held.and_then(|name| self.holds.get(name.number(of)));
        let as_of_ms = self.words_as_of_ms().max(of.time_ms);
        let word = match (self.named.find(entry).and_then(Named::read), hold) {
            (Some(named), _) => self.word_on(named.keys(), as_of_ms),
            (None, Some(hold)) => self.word_on(hold.subjects.iter().copied(), as_of_ms),
            (None, None) => None,
        };
        word.or_else(|| self.after_review(judgement, of))
    }

    /// The identity of an event that was judged within `dedup.span`.
    pub(super) fn judged(&mut self, program: &str, source: &str, id: &str) -> Option<Entry> {
        self.programs.trim();
        let place = self.programs.place(program, &self.policy, &self.rules, &self.hasher);
        let part = |text| self.hasher.part(Scalar::Text(text));
        let first = self.programs.get(place).part;
        self.dedup.judged(self.hasher.key(first, &[part(source), part(id)]))
    }
}
