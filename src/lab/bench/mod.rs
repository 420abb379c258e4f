//! Measurements of this machine: what the engine does, step by step, on a population whose size is known.
//!
//! The steps are timed apart, over the same batches and in interleaved rounds, and the middle round counts: these machines
//! are shared. Ratios between figures of one run are worth more than the figures. It reads no clock of its own.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::EngineOptions;
use crate::lab::Replay;
use crate::lab::population::Population;
use crate::ruleset::program::RuleSet;
use crate::signals::{SignalConfig, SignalError};

pub use report::{Report, Size, Steps, render_json, render_table};

/// Events judged together while measuring: a batch of the daemon's.
const BATCH_EVENTS: usize = 256;
/// Events a second of event time: a million events span 1000 s, and windows of minutes slide.
const EVENTS_PER_SECOND: f64 = 1000.0;
/// Any number does, as long as it is always the same one.
const SEED: u64 = 42;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sizes of the population, in accounts.
    pub accounts: Vec<u64>,
    /// Events a round.
    pub events: usize,
    /// Rounds; the middle one counts.
    pub rounds: usize,
    /// The clock.
    pub monotonic: fn() -> Instant,
}

/// One population being measured.
struct Subject {
    accounts: u64,
    population: Population,
    replay: Replay,
    text: String,
    lines: Vec<u8>,
    rounds: Vec<Steps>,
}

/// Measures every size, in interleaved rounds. `say` is told what is being done.
///
/// # Errors
///
/// If a database or list that signals need is broken.
pub fn run(rules: &Arc<RuleSet>, plan: &Plan, mut say: impl FnMut(&str)) -> Result<Vec<Report>, SignalError> {
    let mut subjects = Vec::new();
    for accounts in &plan.accounts {
        say(&format!("{accounts} accounts: every one opens"));
        subjects.push(Subject::new(rules, *accounts)?);
    }
    for round in 1..=plan.rounds {
        for subject in &mut subjects {
            say(&format!("{} accounts: round {round} of {}", subject.accounts, plan.rounds));
            let steps = subject.round(plan.events, plan.monotonic);
            subject.rounds.push(steps);
        }
    }
    Ok(subjects.into_iter().map(|subject| subject.report(plan)).collect())
}

impl Subject {
    fn new(rules: &Arc<RuleSet>, accounts: u64) -> Result<Subject, SignalError> {
        let signals = SignalConfig::default();
        let options = EngineOptions { state_max_bytes: usize::MAX, ..EngineOptions::default() };
        let mut subject = Subject {
            accounts,
            population: Population::new(accounts, EVENTS_PER_SECOND, SEED),
            replay: Replay::new(Arc::clone(rules), &signals, options)?,
            text: String::new(),
            lines: Vec::new(),
            rounds: Vec::new(),
        };
        for from in (0..accounts).step_by(BATCH_EVENTS) {
            subject.text.clear();
            for account in from..accounts.min(from + BATCH_EVENTS as u64) {
                subject.population.write_opening(account, &mut subject.text);
            }
            subject.replay.judge(&subject.text);
        }
        Ok(subject)
    }

    fn round(&mut self, events: usize, monotonic: fn() -> Instant) -> Steps {
        let mut steps = Steps::default();
        let timed = |step: &mut Duration, work: &mut dyn FnMut()| {
            let start = monotonic();
            work();
            *step += monotonic().duration_since(start);
        };
        for _ in 0..events.div_ceil(BATCH_EVENTS) {
            self.text.clear();
            for _ in 0..BATCH_EVENTS {
                self.population.write_next(&mut self.text);
            }
            let (replay, text, lines) = (&mut self.replay, &self.text, &mut self.lines);
            timed(&mut steps.parse, &mut || drop(replay.parse(text)));
            timed(&mut steps.derive, &mut || replay.derive());
            timed(&mut steps.judge, &mut || replay.decide());
            lines.clear();
            timed(&mut steps.write, &mut || replay.write(lines));
            steps.events += replay.events();
        }
        steps
    }

    fn report(mut self, plan: &Plan) -> Report {
        self.rounds.sort_by_key(|steps| steps.judge);
        let steps = self.rounds.get(self.rounds.len() / 2).copied().unwrap_or_default();
        let caches = self.replay.deriver().cache_counts();
        let state = self.replay.engine().size();
        let sizes = state.features.iter().map(|feature| Size {
            feature: feature.feature.clone(),
            keys: feature.keys,
            bytes: feature.bytes,
        });
        Report {
            accounts: self.accounts,
            devices: self.population.devices(),
            addresses: self.population.addresses(),
            user_agents: self.population.user_agents(),
            rounds: plan.rounds,
            steps,
            caches,
            sizes: sizes.collect(),
            identities: state.identities,
            identity_bytes: state.identity_bytes,
            state_bytes: state.bytes(),
        }
    }
}
