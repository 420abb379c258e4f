//! What can be asked of the machine between two batches, without an event: nothing is counted, and no verdict depends on it.

use super::holds::EventOf;
use super::judgement::{Judgement, Judgements};
use super::machine::Engine;
use super::record::write_recalled;
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
        let current = judgement.would_be.is_none().then(|| self.after_review(&judgement, of)).flatten();
        let judgement = Judgement { current, ..judgement };
        let mut out = Vec::new();
        write_recalled(&mut out, of, &judgement, &judgements);
        Some(out)
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
