//! The engine without threads: lines of JSON in, judgements out, in the caller's own thread.
//!
//! For tests in rule files and for benchmarks, which want one step at a time. It is the same parser, deriver, engine and
//! writer as the daemon's, so what it says is what the daemon will say.

use std::sync::Arc;

use crate::alerts::{AlertLines, Alerts};
use crate::engine::{
    ActOutcome, Backfill, Engine, EngineOptions, Judgement, Judgements, Outcome, Said, wanted_after, write_verdict,
};
use crate::event::{Act, Event, EventBatch, ParseOptions, Parser, Place, Position, Reason, Signals};
use crate::ruleset::cel::Facts;
use crate::ruleset::program::RuleSet;
use crate::signals::{Deriver, SignalConfig, SignalError};

/// An engine with everything that feeds it.
#[derive(Debug)]
pub struct Replay {
    parser: Parser,
    deriver: Deriver,
    engine: Engine,
    batch: EventBatch,
    signals: Vec<Signals>,
    judgements: Judgements,
    partition: u32,
    line: u64,
}

impl Replay {
    /// A replay from empty state. Events may lie in the future: their times are made up.
    ///
    /// # Errors
    ///
    /// If a database or list that signals need is broken.
    pub fn new(rules: Arc<RuleSet>, signals: &SignalConfig, options: EngineOptions) -> Result<Replay, SignalError> {
        let engine = Engine::new(rules, options);
        Ok(Replay {
            parser: Parser::new(ParseOptions { allow_future: true }),
            deriver: Deriver::new(engine.wanted(), signals)?,
            engine,
            batch: EventBatch::default(),
            signals: Vec::new(),
            judgements: Judgements::default(),
            partition: 0,
            line: 0,
        })
    }

    /// Puts another rule set in force for the lines from here on.
    ///
    /// # Errors
    ///
    /// As [`Replay::new`]; then nothing has changed.
    pub fn reload(&mut self, rules: Arc<RuleSet>, signals: &SignalConfig) -> Result<(), SignalError> {
        self.deriver = Deriver::new(wanted_after(self.engine.wanted(), &rules), signals)?;
        self.engine.reload(rules);
        Ok(())
    }

    /// Goes on with another machine, such as one that was read from a checkpoint.
    ///
    /// # Errors
    ///
    /// As [`Replay::new`]; then nothing has changed.
    pub fn go_on_with(&mut self, engine: Engine, signals: &SignalConfig) -> Result<(), SignalError> {
        self.deriver = Deriver::new(engine.wanted(), signals)?;
        self.engine = engine;
        Ok(())
    }

    /// Takes an act of a person in, behind the events that were judged.
    ///
    /// # Errors
    ///
    /// As [`Replay::new`]; then the act is taken in, and events are derived as before.
    pub fn act(&mut self, act: &Act) -> Result<ActOutcome, SignalError> {
        self.judgements.clear();
        let outcome = self.engine.act(act, &mut self.judgements);
        if !self.deriver.wanted().covers(self.engine.wanted()) {
            self.deriver = Deriver::new(self.engine.wanted(), self.deriver.config())?;
        }
        Ok(outcome)
    }

    /// What is said of what people and time did, with the last batch or act.
    pub fn said(&self) -> &[Said] {
        &self.judgements.said
    }

    /// What has become of decisions with the last batch or act, as their log tells it, a line each; only where that is wanted.
    pub fn changes(&self) -> impl Iterator<Item = &[u8]> {
        self.judgements.changed.iter().map(|changed| self.judgements.piece(changed.line))
    }

    /// The machine.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The deriver.
    pub fn deriver(&self) -> &Deriver {
        &self.deriver
    }

    /// The lines from here on come from this partition of the log.
    pub fn go_on_in(&mut self, partition: u32) {
        self.partition = partition;
    }

    /// Reads lines, an event each, and judges the valid ones. Answers why the others are not valid, by line.
    pub fn judge(&mut self, lines: &str) -> Vec<(u64, Reason)> {
        let refused = self.parse(lines);
        self.derive();
        self.decide();
        refused
    }

    /// Reads lines of history, an event each, and counts the valid ones without judging them.
    pub fn backfill(&mut self, lines: &str, into: &mut Backfill) {
        self.parse(lines);
        self.derive();
        self.judgements.clear();
        self.engine.backfill(&self.batch, &self.signals, into);
    }

    /// First step: text to events.
    pub fn parse(&mut self, lines: &str) -> Vec<(u64, Reason)> {
        let mut refused = Vec::new();
        self.batch.clear();
        self.batch.input.push_str(lines);
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', lines.as_bytes()).map(|end| end + 1);
        let unended = !lines.is_empty() && !lines.ends_with('\n');
        for end in ends.chain(unended.then_some(lines.len())) {
            let line = &lines[start..end];
            self.line += 1;
            let text = line.trim_end();
            if !text.is_empty() {
                let at = Place {
                    position: Position { partition: self.partition, offset: self.line, item: 0 },
                    ingest_time_ms: 0,
                };
                let range = start..start + text.len();
                if let Err(reason) = self.parser.parse_structured(&mut self.batch, range, at) {
                    refused.push((self.line, reason));
                }
            }
            start = end;
        }
        refused
    }

    /// Second step: events to signals.
    pub fn derive(&mut self) {
        self.deriver.derive(&mut self.batch, &mut self.signals);
    }

    /// Third step: events and signals to judgements.
    pub fn decide(&mut self) {
        self.judgements.clear();
        self.engine.judge(&self.batch, &self.signals, &mut self.judgements);
    }

    /// Fourth step: appends the verdicts of the last batch, a line each; a reused id has none.
    pub fn write(&self, out: &mut Vec<u8>) {
        let hash = &self.engine.rules().hash;
        for (event, judgement) in self.batch.events.iter().zip(&self.judgements.events) {
            if judgement.outcome != Outcome::IdReused {
                write_verdict(out, &self.batch, event, judgement, &self.judgements, hash);
                out.push(b'\n');
            }
        }
    }

    /// Gathers the alerts of the last batch, and appends what there is to tell.
    pub fn gather(&self, alerts: &mut Alerts, out: &mut AlertLines) {
        alerts.take(&self.batch, &self.judgements, self.engine.rules(), out);
    }

    /// What conditions saw of the last events of the last batch, a few dozen at most, in order.
    pub fn last_facts(&self) -> impl Iterator<Item = (&Event, impl Facts + '_)> + '_ {
        self.engine.last_facts(&self.batch, &self.signals)
    }

    /// The events of the last batch, and the texts they point into.
    pub fn batch(&self) -> &EventBatch {
        &self.batch
    }

    /// What was derived of the last batch, a row an event.
    pub fn signals(&self) -> &[Signals] {
        &self.signals
    }

    /// How many events the last batch had.
    pub fn events(&self) -> usize {
        self.batch.events.len()
    }

    /// The judgements of the last batch.
    pub fn judgements(&self) -> &[Judgement] {
        &self.judgements.events
    }
}
