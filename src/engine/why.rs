//! Why a verdict was given, from what was recorded when it was: the verdict as it was said, each feature that its rules read with its
//! key, the decisions that it met.
//!
//! Recorded for verdicts that are more than a plain `allow`, where that is wanted ([`EngineOptions::evidence_bytes`](super::EngineOptions)). It
//! is written as JSON at once, since what it says of an event is gone with the event's chunk.

use super::chunk::Entry;
use super::decide::evidence_order;
use super::explain::{DecisionExplained, explain_decisions, rendered};
use super::facts::Row;
use super::judgement::{Judgement, Judgements};
use super::machine::Engine;
use super::record::{write_value, write_verdict};
use crate::event::json::{write_string, write_timestamp};
use crate::event::{Event, EventBatch, Signals};
use crate::ruleset::cel::{Facts, ReadIndex, ReadKey, ReadSource};
use crate::state;

/// What is known of why a verdict was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// What was recorded: an object with `verdict`, `features` and `decisions`. `None`: nothing was, since nothing spoke against the
    /// event, or it is no longer kept.
    pub recorded: Option<Vec<u8>>,
    /// What is remembered of the verdict in any case: see [`Engine::recall`].
    pub recalled: Vec<u8>,
}

impl Engine {
    /// Why the verdict on an event was given that was judged within `dedup.span`. `None`: nothing is remembered of such an event.
    pub fn why(&mut self, program: &str, source: &str, id: &str) -> Option<Why> {
        let recalled = self.recall(program, source, id)?;
        let entry = self.judged(program, source, id)?;
        Some(Why { recorded: self.recorded.find(entry).map(<[u8]>::to_vec), recalled })
    }

    /// Records what the verdict on an event of the chunk rests on.
    pub(super) fn record_why(
        &mut self,
        (batch, events, signals): (&EventBatch, &[Event], &[Signals]),
        at: usize,
        entry: state::Entry,
        (judgement, judgements): (&Judgement, &Judgements),
    ) {
        // Put back below: what is written borrows the rest of the machine.
        let mut recorded = std::mem::take(&mut self.recorded);
        recorded.record(entry, |out| self.write_why((batch, events, signals), at, (judgement, judgements), out));
        self.recorded = recorded;
    }

    fn write_why(
        &self,
        (batch, events, signals): (&EventBatch, &[Event], &[Signals]),
        at: usize,
        (judgement, judgements): (&Judgement, &Judgements),
        out: &mut Vec<u8>,
    ) {
        let ground = self.ground(batch, events, signals);
        let row = self.chunk.row(&ground, at);
        out.extend_from_slice(b"{\"verdict\":");
        write_verdict(out, batch, &events[at], judgement, judgements, &self.rules.hash);
        out.extend_from_slice(b",\"features\":[");
        for (place, read) in self.reads_of_matches().into_iter().enumerate() {
            self.write_read(read, &row, place == 0, out);
        }
        out.extend_from_slice(b"],\"decisions\":[");
        if judgement.decisions != super::judgement::Piece::default() {
            let entry: &Entry = &self.chunk.entries[at];
            let met = explain_decisions(&self.decisions, &self.hasher, &row, entry.as_of_ms(row.event), self.sequence);
            for (place, decision) in met.iter().enumerate() {
                write_decision(decision, place == 0, out);
            }
        }
        out.extend_from_slice(b"]}");
    }

    /// The features that the rules read which matched the event that was decided last, by name, each at its own key first.
    fn reads_of_matches(&self) -> Vec<ReadIndex> {
        let rules = self.scratch.matched().map(|place| &self.rules.rules[place as usize]);
        let mut reads: Vec<ReadIndex> = rules.flat_map(|rule| rule.evidence()).collect();
        reads.sort_unstable_by_key(|read| evidence_order(&self.rules, *read));
        reads.dedup();
        reads.retain(|read| matches!(self.rules.reads.get(*read).source, ReadSource::Feature { .. }));
        reads
    }

    fn write_read(&self, read: ReadIndex, row: &Row<'_>, is_first: bool, out: &mut Vec<u8>) {
        let ReadSource::Feature { feature, key } = &self.rules.reads.get(read).source else { return };
        let of = &self.rules.features[feature.0 as usize];
        let parts = match key {
            ReadKey::Own => &of.key,
            ReadKey::At(parts) | ReadKey::Same(parts) => parts,
        };
        out.extend_from_slice(if is_first { b"{\"feature\":" } else { b",{\"feature\":" });
        write_string(out, &of.name);
        out.extend_from_slice(b",\"aggregate\":");
        write_string(out, of.aggregate.name());
        out.extend_from_slice(b",\"key\":[");
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_string(out, &rendered(part, row));
        }
        let reading = row.reading(read);
        out.extend_from_slice(b"],\"own\":");
        write_flag(*key == ReadKey::Own, out);
        out.extend_from_slice(b",\"value\":");
        write_value(out, &reading);
        for (name, flag) in
            [(",\"known\":", reading.known), (",\"exact\":", reading.exact), (",\"complete\":", reading.complete)]
        {
            out.extend_from_slice(name.as_bytes());
            write_flag(flag, out);
        }
        out.push(b'}');
    }
}

fn write_flag(flag: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

fn write_decision(of: &DecisionExplained, is_first: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if is_first { b"{\"id\":" } else { b",{\"id\":" });
    write_string(out, &of.id);
    for (name, text) in
        [(",\"kind\":", of.kind.name()), (",\"subject\":", of.subject.as_str()), (",\"verdict\":", of.verdict.name())]
    {
        out.extend_from_slice(name.as_bytes());
        write_string(out, text);
    }
    for (name, text) in [(",\"rule\":", &of.rule), (",\"by\":", &of.by)] {
        out.extend_from_slice(name.as_bytes());
        match text {
            Some(text) => write_string(out, text),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b",\"created\":");
    write_timestamp(out, of.created_ms);
    out.extend_from_slice(b",\"expires\":");
    match of.expires_ms {
        Some(expires_ms) => write_timestamp(out, expires_ms),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}
