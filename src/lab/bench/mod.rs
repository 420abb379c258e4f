//! Measurements of this machine: what refguard does on a population whose size is known, part by part.
//!
//! Whatever is compared takes turns in one run, and medians count: these machines are shared. Ratios between figures of
//! one run are worth more than the figures. It reads no clock of its own, and drives the parser, engine and threads
//! that the daemon runs. A functional test is `tests/bench.rs`.

mod aggregates;
mod attack;
mod checkpoint;
mod conditions;
mod figures;
mod folder;
mod growth;
mod http;
mod interpreter;
mod kafka;
mod links;
mod packs;
mod paths;
mod redis;
mod report;
mod steps;
mod stream;
mod workload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::lab::population::Population;
use crate::ruleset::program::RuleSet;
use crate::signals::SignalError;
use crate::stream::StreamError;
use crate::stream::checkpoint::CheckpointError;
use crate::stream::disk::Folder;
use crate::stream::redis::RedisOptions;

pub use aggregates::{AggregateCost, AggregateCosts};
pub use attack::{Attack, AttackReport, Honest};
pub use checkpoint::{CheckpointCosts, Waits};
pub use conditions::{Condition, Conditions};
pub use growth::{Growth, Table};
pub use http::{
    BacklogReport, CallReport, HttpPlan, HttpReport, Waited, measure_http, render_http_json, render_http_table,
};
pub use links::Shape;
pub use packs::BuiltIn;
pub use paths::PathReport;
pub use redis::RedisReport;
pub use report::{Report, render_json, render_table};
pub use steps::{Size, Steps, StepsReport};
pub use stream::{StreamPlan, StreamReport, Took, measure_stream, render_stream_json, render_stream_table};
pub use workload::WorkloadReport;

/// Events judged together while the steps are measured.
const BATCH_EVENTS: usize = 256;
/// The most events that a source hands over at once: as a daemon's by default.
const READ_EVENTS_MAX: usize = 1024;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// Any number does, as long as it is always the same one.
const SEED: u64 = 42;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sizes of the population, in accounts, at least one; paths are measured with the first.
    pub accounts: Vec<u64>,
    /// Events that an account sends in a day of event time, on average: decides how much windows hold.
    pub daily: f64,
    /// Events a round.
    pub events: usize,
    /// Rounds; the middle one counts.
    pub rounds: usize,
    /// The rules to measure with instead of the built-in ones. Conditions are then left out: the interpreter knows the
    /// built-in ones only.
    pub rules: Option<Arc<RuleSet>>,
    /// Whether steps, conditions and the path from file to file are measured.
    pub usual: bool,
    /// The comparison workload's events, if it is measured.
    pub workload: Option<Traffic>,
    /// Bootstrap address of a cluster, if the path from topic to topic is measured.
    pub kafka: Option<String>,
    /// Where a state can be shared, if the comparison workload is measured over that too.
    pub redis: Option<RedisOptions>,
    /// To how many keys each of the tables grows, if that is measured.
    pub growth: Option<u64>,
    /// How many keys each aggregate has, if their costs are measured.
    pub aggregates: Option<u64>,
    /// How many accounts are linked in each shape, if that is measured.
    pub links: Option<u64>,
    /// The attack on the memory, if that is measured.
    pub attack: Option<Attack>,
    /// Of how many keys checkpoints are written, if that is measured.
    pub checkpoint: Option<u64>,
    /// The clock.
    pub monotonic: fn() -> Instant,
}

impl Plan {
    /// A population of so many accounts, from its beginning.
    fn population(&self, accounts: u64) -> Population {
        Population::new(accounts, accounts as f64 * self.daily / SECONDS_PER_DAY, SEED)
    }
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// The first population makes them up.
    MadeUp,
    /// A file, an event a line.
    File(PathBuf),
}

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A source or a sink.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A database or list that signals need is broken.
    #[error(transparent)]
    Signals(#[from] SignalError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(Box<CheckpointError>),
    /// The daemon that is measured.
    #[error("the daemon that is measured: {0}")]
    Daemon(std::io::Error),
    /// A call of the measurement.
    #[error("a call was not answered: {0}")]
    Call(#[from] std::io::Error),
    /// There is no runtime for those who ask.
    #[error("a runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    /// There is no place for made-up events.
    #[error("made-up events cannot be written to {}: {source}", path.display())]
    Folder {
        /// Where they were to go.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Measures what the plan says. `say` is told what is being done.
///
/// # Errors
///
/// The first part that cannot be measured ends it all.
pub fn run(plan: &Plan, mut say: impl FnMut(&str)) -> Result<Report, BenchError> {
    let rules = plan.rules.clone().unwrap_or_else(|| BuiltIn::BENCH.rules());
    let mut report = Report::default();
    if plan.usual {
        let mut subjects = steps::measure(&rules, plan, &mut say)?;
        if plan.rules.is_none() {
            say("conditions, compiled and interpreted");
            report.conditions = Some(conditions::measure(&mut subjects[0], plan.rounds, plan.monotonic));
        }
        report.steps = subjects.into_iter().map(steps::Subject::report).collect();
    }
    let folder = folder::Folder::new()?;
    if plan.usual {
        say("file to verdict lines, with the engine and without");
        let events = folder.events(plan)?;
        let run = |middle: paths::Middle<'_>| paths::run_file(&events, &folder.verdicts(), middle, plan.monotonic);
        report.file = Some(paths::compare(&rules, plan, run)?);
    }
    if let Some(traffic) = &plan.workload {
        say("the comparison workload");
        let events = match traffic {
            Traffic::MadeUp => folder.events(plan)?,
            Traffic::File(path) => path.clone(),
        };
        report.workload = Some(workload::measure(&events, &folder.verdicts(), plan)?);
    }
    if let Some(broker) = &plan.kafka {
        say("topic to topic, with the engine and without");
        report.kafka = Some(kafka::measure(&rules, broker, plan)?);
    }
    if let Some(options) = &plan.redis {
        say("the comparison workload over Redis, its calls alone, and a function of the servers");
        let events = match &plan.workload {
            Some(Traffic::File(path)) => path.clone(),
            _ => folder.events(plan)?,
        };
        report.redis = Some(redis::measure(options, &events, &folder.verdicts(), plan)?);
    }
    if let Some(keys) = plan.growth {
        report.growth = Some(growth::measure(keys, plan, &mut say)?);
    }
    if let Some(keys) = plan.aggregates {
        report.aggregates = Some(aggregates::measure(keys, plan, &mut say)?);
    }
    if let Some(accounts) = plan.links {
        report.links = Some(links::measure(accounts, plan, &mut say)?);
    }
    if let Some(attack) = plan.attack {
        report.attack = Some(attack::measure(attack, plan, &mut say)?);
    }
    if let Some(keys) = plan.checkpoint {
        report.checkpoint = Some(checkpoint::measure(keys, &Folder::at(folder.path()), plan, &mut say)?);
    }
    Ok(report)
}
