//! Tables that grow to many keys, an entry each: what a key takes, and the longest that anything has to wait meanwhile.
//!
//! The same accounts open in the same order in several rounds. What the tables do at a given account is the same in all
//! of them, and what another process did to this one is not: so the least of the rounds counts for each batch, and the
//! longest wait over all batches is the tables' own.

use std::time::{Duration, Instant};

use super::packs::BuiltIn;
use super::{BenchError, Plan, SEED};
use crate::engine::EngineOptions;
use crate::lab::Replay;
use crate::lab::population::Population;
use crate::signals::SignalConfig;

/// Events of a timed batch: what the engine plans and applies together.
const BATCH_ACCOUNTS: u64 = 32;
/// Keys a second of event time: so many that none leaves before the end.
const KEYS_PER_SECOND: f64 = 1000.0;
/// How often everything is grown.
const ROUNDS: usize = 3;
/// Waits are looked at from this share of the keys on.
const FROM_SHARE: u64 = 10;

/// The memory of one table.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it computes.
    pub aggregate: String,
    /// Its keys.
    pub keys: usize,
    /// Its bytes, everything counted.
    pub bytes: usize,
}

/// What was seen while the tables grew.
#[derive(Clone, Debug)]
pub struct Growth {
    /// Keys of each table in the end.
    pub keys: u64,
    /// By name.
    pub tables: Vec<Table>,
    /// Bytes that an identity takes, its first verdict included.
    pub identity_bytes: f64,
    /// Bytes of the whole state.
    pub state_bytes: usize,
    /// Events of a timed batch; each is one new key in every table.
    pub batch_events: u64,
    /// Rounds.
    pub rounds: usize,
    /// The middle batch.
    pub median: Duration,
    /// One batch in a thousand took longer.
    pub p999: Duration,
    /// The longest batch.
    pub longest: Duration,
    /// The longest batch of any single round, other processes included.
    pub longest_seen: Duration,
}

/// Grows every table to so many keys.
pub(super) fn measure(keys: u64, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Growth, BenchError> {
    let mut waits = Waits::default();
    let mut grown = None;
    for round in 1..=ROUNDS {
        say(&format!("five tables grow to {keys} keys each: round {round} of {ROUNDS}"));
        // The memory of the round before is given back first.
        drop(grown.take());
        grown = Some(grow(keys, plan.monotonic, &mut waits)?);
    }
    let mut replay = grown.expect("there is a round");
    let state = replay.engine().size();
    let tables = state.features.iter().map(|feature| Table {
        aggregate: feature.feature.trim_start_matches("grown_").to_owned(),
        keys: feature.keys,
        bytes: feature.bytes,
    });
    let mut least = waits.least;
    least.sort_unstable();
    let place = |permille: usize| least.get(least.len() * permille / 1000).copied().unwrap_or_default();
    Ok(Growth {
        keys,
        tables: tables.collect(),
        identity_bytes: state.identity_bytes as f64 / state.identities.max(1) as f64,
        state_bytes: state.bytes(),
        batch_events: BATCH_ACCOUNTS,
        rounds: ROUNDS,
        median: place(500),
        p999: place(999),
        longest: least.last().copied().unwrap_or_default(),
        longest_seen: waits.longest_seen,
    })
}

/// How long batches took.
#[derive(Debug, Default)]
struct Waits {
    /// By batch: the least of the rounds.
    least: Vec<Duration>,
    longest_seen: Duration,
}

impl Waits {
    fn note(&mut self, batch: usize, took: Duration) {
        match self.least.get_mut(batch) {
            Some(least) => *least = took.min(*least),
            None => self.least.push(took),
        }
        self.longest_seen = self.longest_seen.max(took);
    }
}

fn grow(keys: u64, monotonic: fn() -> Instant, waits: &mut Waits) -> Result<Replay, BenchError> {
    let options = EngineOptions { state_max_bytes: usize::MAX, ..EngineOptions::default() };
    let mut replay = Replay::new(BuiltIn::GROWTH.rules(), &SignalConfig::default(), options)?;
    let mut population = Population::new(keys, KEYS_PER_SECOND, SEED);
    let mut text = String::new();
    let mut batch = 0;
    for from in (0..keys).step_by(BATCH_ACCOUNTS as usize) {
        text.clear();
        for account in from..keys.min(from + BATCH_ACCOUNTS) {
            population.write_opening(account, &mut text);
        }
        replay.parse(&text);
        replay.derive();
        let start = monotonic();
        replay.decide();
        let took = monotonic().duration_since(start);
        if from >= keys / FROM_SHARE {
            waits.note(batch, took);
            batch += 1;
        }
    }
    Ok(replay)
}
