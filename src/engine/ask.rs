//! What can be asked of the machine between two batches, without an event: nothing is counted, and no verdict depends on it.

use super::decide::hold_id;
use super::judgement::{Judgement, Judgements};
use super::machine::Engine;
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
        let current = if judgement.verdict == Verdict::Hold && judgement.held && judgement.would_be.is_none() {
            self.after_review(program, source, id)
        } else {
            None
        };
        let judgement = Judgement { current, ..judgement };
        let mut out = Vec::new();
        write_recalled(&mut out, (program, source, id), &judgement, &judgements, &hold_id(program, source, id));
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
