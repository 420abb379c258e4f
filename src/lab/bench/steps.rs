//! The steps of the engine, timed apart, over the same batches, at every size of the population.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BATCH_EVENTS, Plan};
use crate::engine::EngineOptions;
use crate::lab::Replay;
use crate::lab::population::Population;
use crate::ruleset::program::RuleSet;
use crate::signals::{SignalConfig, SignalError};

pub use report::{Size, Steps, StepsReport};

/// One population being measured.
pub(super) struct Subject {
    pub accounts: u64,
    daily: f64,
    pub population: Population,
    pub replay: Replay,
    text: String,
    lines: Vec<u8>,
    rounds: Vec<Steps>,
}

/// Measures every size, in interleaved rounds; the populations are left as they are then.
pub(super) fn measure(
    rules: &Arc<RuleSet>,
    plan: &Plan,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Subject>, SignalError> {
    let mut subjects = Vec::new();
    for accounts in &plan.accounts {
        say(&format!("{accounts} accounts: every one opens"));
        subjects.push(Subject::new(rules, plan, *accounts)?);
    }
    for round in 1..=plan.rounds {
        for subject in &mut subjects {
            say(&format!("{} accounts: round {round} of {}", subject.accounts, plan.rounds));
            let steps = subject.round(plan.events, plan.monotonic);
            subject.rounds.push(steps);
        }
    }
    Ok(subjects)
}

impl Subject {
    fn new(rules: &Arc<RuleSet>, plan: &Plan, accounts: u64) -> Result<Subject, SignalError> {
        let signals = SignalConfig::default();
        let options = EngineOptions { state_max_bytes: usize::MAX, ..EngineOptions::default() };
        let mut subject = Subject {
            accounts,
            daily: plan.daily,
            population: plan.population(accounts),
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

    /// Judges the next batch of the population.
    pub(super) fn judge_next(&mut self) {
        self.make_batch();
        self.replay.judge(&self.text);
    }

    fn make_batch(&mut self) {
        self.text.clear();
        for _ in 0..BATCH_EVENTS {
            self.population.write_next(&mut self.text);
        }
    }

    fn round(&mut self, events: usize, monotonic: fn() -> Instant) -> Steps {
        let mut steps = Steps::default();
        let timed = |step: &mut Duration, work: &mut dyn FnMut()| {
            let start = monotonic();
            work();
            *step += monotonic().duration_since(start);
        };
        for _ in 0..events.div_ceil(BATCH_EVENTS) {
            self.make_batch();
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

    pub(super) fn report(mut self) -> StepsReport {
        self.rounds.sort_by_key(|steps| steps.judge);
        let steps = self.rounds.get(self.rounds.len() / 2).copied().unwrap_or_default();
        let caches = self.replay.deriver().cache_counts();
        let state = self.replay.engine().size();
        let sizes = state.features.iter().map(|feature| Size {
            feature: feature.feature.clone(),
            keys: feature.keys,
            bytes: feature.bytes,
        });
        StepsReport {
            accounts: self.accounts,
            daily: self.daily,
            devices: self.population.devices(),
            addresses: self.population.addresses(),
            user_agents: self.population.user_agents(),
            rounds: self.rounds.len(),
            steps,
            caches,
            sizes: sizes.collect(),
            identities: state.identities,
            identity_bytes: state.identity_bytes,
            state_bytes: state.bytes(),
        }
    }
}
