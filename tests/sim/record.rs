//! What was taken in, in which order, as seen from outside: and what an engine says of it that was never disturbed.
//!
//! The record is kept by whoever drives the process, from what it handed over and what was judged of it, never from the journal.
//! After a crash it is cut where the next process says that its journal ends: what that has lost must not have been told.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use refguard::alerts::{AlertLines, AlertOptions, Alerts};
use refguard::engine::{Engine, EngineOptions, Judgements, Outcome, wanted_after, write_verdict};
use refguard::event::{DeadLetter, EventBatch, ParseOptions, Parser, Place, Position, Reason};
use refguard::ruleset::program::RuleSet;
use refguard::signals::{CacheSizes, Deriver, SignalConfig};
use refguard::stream::kafka::record_position;
use refguard::stream::pipeline::Notice;

use crate::log::{Sent, TOPIC};
use crate::trace;

/// The source's name in the configuration.
pub(crate) const SOURCE: &str = "mixed";

/// How alerts are gathered: few, and told soon.
pub(crate) const ALERTS: AlertOptions =
    AlertOptions { quiet_ms: 8000, interval_ms: 3000, open_max: 6, per_rule_max: 2 };

/// What signals need. Their caches are small: they would be most of what a short life costs.
pub(crate) static SIGNALS: LazyLock<SignalConfig> = LazyLock::new(|| {
    let cache = CacheSizes { phones: 16, user_agents: 16, addresses: 16 };
    SignalConfig { cache, ..SignalConfig::default() }
});

/// One input.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// What the source said, and the records that came: partition and offset.
    Work(Vec<Notice>, Vec<(u32, u64)>),
    /// Other rules took over.
    Rules(Arc<RuleSet>),
}

/// All inputs, each with the number of the journal's entry behind its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) inputs: Vec<(u64, Input)>,
    /// Inputs that were read and not judged.
    pub(crate) read: VecDeque<Input>,
}

impl Record {
    /// The journal of the next process ends before this entry.
    pub(crate) fn cut(&mut self, next: u64) {
        self.inputs.retain(|(entry, _)| *entry <= next);
        self.read.clear();
    }

    /// The rules that were in force last.
    pub(crate) fn rules(&self) -> Option<&Arc<RuleSet>> {
        self.inputs.iter().rev().find_map(|(_, input)| if let Input::Rules(rules) = input { Some(rules) } else { None })
    }

    /// These rules are in force before this entry.
    pub(crate) fn note_rules(&mut self, rules: &Arc<RuleSet>, next: u64) {
        if self.rules().is_none_or(|known| known.hash != rules.hash) {
            trace(|| format!("rules {} take over before entry {next}", rules.hash));
            self.inputs.push((next, Input::Rules(Arc::clone(rules))));
        }
    }

    /// Whether a source said something and no records came with it that let time pass.
    pub(crate) fn has_ticks_alone(&self) -> bool {
        let is_tick = |notice: &Notice| matches!(notice, Notice::Tick(..));
        self.inputs.iter().any(|(_, input)| match input {
            Input::Work(notices, records) => records.is_empty() && notices.iter().any(is_tick),
            Input::Rules(_) => false,
        })
    }

    /// The records, in the order of judging.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, u64)> {
        self.inputs.iter().flat_map(|(_, input)| match input {
            Input::Work(_, records) => records.clone(),
            Input::Rules(_) => Vec::new(),
        })
    }
}

/// An engine that is never disturbed, and what it says: verdicts, dead letters, alerts, changes of decisions.
pub(crate) struct Undisturbed {
    engine: Engine,
    parser: Parser,
    deriver: Deriver,
    alerts: Alerts,
    batch: EventBatch,
    judgements: Judgements,
    pub(crate) said: [Vec<Vec<u8>>; 4],
}

fn deriver(wanted: refguard::signals::Wanted) -> Deriver {
    Deriver::new(wanted, &SIGNALS).expect("the defaults need no file")
}

impl Undisturbed {
    pub(crate) fn new(rules: &Arc<RuleSet>, options: EngineOptions) -> Undisturbed {
        let engine = Engine::new(Arc::clone(rules), options);
        Undisturbed {
            parser: Parser::new(ParseOptions::default()),
            deriver: deriver(engine.wanted()),
            alerts: Alerts::new(ALERTS, Arc::clone(rules)),
            engine,
            batch: EventBatch::default(),
            judgements: Judgements::default(),
            said: Default::default(),
        }
    }

    /// Takes the next input; `sent` has what partitions hold.
    pub(crate) fn take(&mut self, input: &Input, sent: &[Vec<Sent>]) {
        match input {
            Input::Work(notices, records) => self.judge(notices, records, sent),
            Input::Rules(rules) => {
                if rules.hash != self.engine.rules().hash {
                    self.deriver = deriver(wanted_after(self.engine.wanted(), rules));
                    self.engine.reload(Arc::clone(rules));
                }
            }
        }
    }

    fn judge(&mut self, notices: &[Notice], records: &[(u32, u64)], sent: &[Vec<Sent>]) {
        self.judgements.clear();
        self.batch.clear();
        for notice in notices {
            match *notice {
                Notice::Assigned(partition) => self.engine.assign(partition),
                Notice::Revoked(partition) => self.engine.revoke(partition),
                Notice::Tick(partition, clock_ms) => self.engine.tick(partition, clock_ms),
            }
        }
        if notices.iter().any(|notice| matches!(notice, Notice::Tick(..))) {
            self.engine.pass_time(&mut self.judgements);
            self.engine.note_time(&mut self.judgements);
            self.engine.end_holds(&mut self.judgements);
        }
        let mut letters: Vec<(Position, Vec<u8>)> = Vec::new();
        for (partition, offset) in records {
            let sent = &sent[*partition as usize];
            let record = &sent[sent.partition_point(|record| record.offset < *offset)];
            let position = Position { partition: *partition, offset: *offset, item: 0 };
            let at = Place { position, ingest_time_ms: record.time_ms };
            let start = self.batch.input.len();
            self.batch.input.push_str(&record.value);
            let range = start..self.batch.input.len();
            if let Err(reason) = self.parser.parse_structured(&mut self.batch, range, at) {
                letters.push((position, letter(&reason, at, record.value.as_bytes())));
            }
        }
        let mut signals = Vec::new();
        self.deriver.derive(&mut self.batch, &mut signals);
        self.engine.judge(&self.batch, &signals, &mut self.judgements);
        let rules = self.engine.rules();
        for (event, judgement) in self.batch.events.iter().zip(&self.judgements.events) {
            if judgement.outcome == Outcome::IdReused {
                let at = Place { position: event.position, ingest_time_ms: event.ingest_time_ms };
                let raw = self.batch.text(event.raw).as_bytes();
                letters.push((event.position, letter(&Reason::IdReused, at, raw)));
                continue;
            }
            let mut line = Vec::new();
            write_verdict(&mut line, &self.batch, event, judgement, &self.judgements, &rules.hash);
            self.said[0].push(line);
        }
        letters.sort_by_key(|(position, _)| *position);
        self.said[1].extend(letters.into_iter().map(|(_, letter)| letter));
        let mut lines = AlertLines::default();
        self.alerts.take(&self.batch, &self.judgements, rules, &mut lines);
        self.said[2].extend(lines.iter().map(|(_, line)| line.to_vec()));
        for change in &self.judgements.changed {
            self.said[3].push(self.judgements.piece(change.line).to_vec());
            // By nothing, a topic that is compacted forgets the subject.
            self.said[3].extend(change.after.is_none().then(Vec::new));
        }
    }
}

fn letter(reason: &Reason, at: Place, raw: &[u8]) -> Vec<u8> {
    let position = record_position(TOPIC, at.position.partition as i32, at.position.offset);
    let letter = DeadLetter {
        reason,
        source: SOURCE,
        position: &position,
        ingest_time_ms: at.ingest_time_ms,
        raw,
        whole: None,
        headers: &[],
    };
    let mut line = Vec::new();
    letter.write(&mut line);
    line.pop();
    line
}
