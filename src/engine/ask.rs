//! What can be asked of the machine between two batches, without an event: nothing is counted, and no verdict depends on it.

use super::holds::EventOf;
use super::judgement::{Judgement, Judgements};
use super::machine::Engine;
use super::record::write_recalled;
use crate::state::Scalar;

impl Engine {
    /// The first verdict on an event that was judged within `dedup.span`, as JSON: what is remembered of it, without its
    /// type, account, time, parties, messages and evidence. `None`: nothing is remembered of such an event.
    pub fn recall(&mut self, program: &str, source: &str, id: &str) -> Option<Vec<u8>> {
        self.programs.trim();
        let place = self.programs.place(program, &self.policy, &self.rules, &self.hasher);
        let of = self.programs.get(place);
        let part = |text| self.hasher.part(Scalar::Text(text));
        let entry = self.dedup.judged(self.hasher.key(of.part, &[part(source), part(id)]))?;
        let mut judgements = Judgements::default();
        // Of a plain `allow` nobody knows whether it had two parties: they are told of no event.
        let judgement = self.remembered.recall(entry, false, of.observe_only, &mut judgements);
        let of = EventOf { program, source, id, account: "", time_ms: self.dedup.time_ms(entry) };
        let current = judgement.would_be.is_none().then(|| self.after_review(&judgement, of)).flatten();
        let judgement = Judgement { current, ..judgement };
        let mut out = Vec::new();
        write_recalled(&mut out, of, &judgement, &judgements);
        Some(out)
    }
}
