//! What each aggregate costs: nanoseconds of an operation and bytes of an entry, with many keys.
//!
//! An engine for each aggregate has that as its only feature, and one has none: they judge the same batches in turns, so
//! that each finds the caches as cold as the others leave them, and what the one without a feature takes is subtracted.
//! Accounts come in steps of a prime, several times each: at first a key is made, then entries are added to it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::packs::made;
use super::{BenchError, Plan};
use crate::engine::{Engine, EngineOptions, Judgements};
use crate::event::write_time_ms;
use crate::lab::Replay;
use crate::signals::SignalConfig;

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_767_225_600_000;
/// An account comes once in so long, in milliseconds.
const PASS_MS: i64 = 3_600_000;
/// How often each account comes: the first time makes its key, and the entries of the last are the fourth.
const PASSES: usize = 4;
/// Events judged together.
const BATCH_EVENTS: u64 = 256;
/// Accounts are taken in steps of this prime.
const STRIDE: u64 = 7_368_787;

/// By name: what is defined beside the key, and a condition that reads it and does not hold.
const AGGREGATES: [(&str, &str, &str); 15] = [
    ("none", "", "event.amount_minor < 0"),
    ("count", "aggregate: count, window: 30d", "f < 0"),
    ("count, bucket", "aggregate: count, window: 30d, bucket: 1d", "f < 0"),
    ("sum", "aggregate: sum, value: event.amount_minor, window: 30d", "f < 0"),
    ("avg", "aggregate: avg, value: event.amount_minor, window: 30d", "f < 0.0"),
    ("min", "aggregate: min, value: event.amount_minor, window: 30d", "f < 0"),
    ("max", "aggregate: max, value: event.amount_minor, window: 30d", "f < 0"),
    ("distinct", "aggregate: distinct, value: event.device_id, window: 30d", "f < 0"),
    ("set", "aggregate: set, value: event.device_id, window: 30d", "size(f) < 0"),
    ("first", "aggregate: first, window: 30d", "event.time - f < duration(\"-1h\")"),
    ("last", "aggregate: last, retention: 90d", "event.time - f < duration(\"-1h\")"),
    ("previous", "aggregate: previous, value: event.amount_minor, retention: 90d", "f < 0"),
    ("rate", "aggregate: rate, limit: 10, per: 1h, burst: 10", "f"),
    ("sequence", "aggregate: sequence, within: 30d, steps: [{on: [login.succeeded]}, {on: [login.failed]}]", "f > 1"),
    ("component", "aggregate: component, links: [event.device_id], window: 30d", "f < 0"),
];

/// What one aggregate costs.
#[derive(Clone, Debug)]
pub struct AggregateCost {
    /// Its name.
    pub name: &'static str,
    /// Nanoseconds to count and read an event that makes a key.
    pub new_key_ns: f64,
    /// Nanoseconds to count and read an event of a key that is there; the middle one of the later passes.
    pub known_key_ns: f64,
    /// Bytes of a key with one entry.
    pub key_bytes: f64,
    /// Bytes of each further entry.
    pub entry_bytes: f64,
}

/// What all of them cost.
#[derive(Clone, Debug)]
pub struct AggregateCosts {
    /// How many keys each had.
    pub keys: u64,
    /// By name, in the order of the contract of rule files.
    pub aggregates: Vec<AggregateCost>,
}

/// One engine, and what it took in each pass.
struct Lane {
    name: &'static str,
    engine: Engine,
    judgements: Judgements,
    took: [Duration; PASSES],
    bytes: [usize; PASSES],
}

impl Lane {
    fn new(name: &'static str, definition: &str, condition: &str) -> Lane {
        // Identities cost the same in every engine, and are not what is measured.
        let options = EngineOptions { dedup_span_ms: 1, state_max_bytes: usize::MAX, ..EngineOptions::default() };
        Lane {
            name,
            engine: Engine::new(made(pack(definition, condition)), options),
            judgements: Judgements::default(),
            took: [Duration::ZERO; PASSES],
            bytes: [0; PASSES],
        }
    }

    fn table_bytes(&mut self) -> usize {
        self.engine.size().features.iter().map(|feature| feature.bytes).sum()
    }
}

/// A pack with one feature, or none.
fn pack(definition: &str, condition: &str) -> String {
    let on = if definition.contains("sequence") { "" } else { "on: [login.succeeded], " };
    let feature = match definition {
        "" => String::new(),
        of => format!("features:\n  f: {{{on}key: [event.account_id], {of}}}\n"),
    };
    format!(
        "version: 1\npack: p\n{feature}rules:\n  - {{id: r, on: [login.succeeded], when: '{condition}', score: 1}}\n"
    )
}

/// Measures every aggregate with so many keys.
pub(super) fn measure(keys: u64, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<AggregateCosts, BenchError> {
    let mut lanes = AGGREGATES.map(|(name, definition, condition)| Lane::new(name, definition, condition));
    // What it reads of events is what all of them want.
    let mut source =
        Replay::new(Arc::clone(lanes[0].engine.rules()), &SignalConfig::default(), EngineOptions::default())?;
    let mut text = String::new();
    for pass in 0..PASSES {
        say(&format!("{keys} keys of each aggregate: pass {} of {PASSES}", pass + 1));
        for from in (0..keys).step_by(BATCH_EVENTS as usize) {
            text.clear();
            for place in from..keys.min(from + BATCH_EVENTS) {
                write_event(&mut text, place, pass, keys);
            }
            source.parse(&text);
            source.derive();
            for lane in &mut lanes {
                lane.judgements.clear();
                let start = (plan.monotonic)();
                lane.engine.judge(source.batch(), source.signals(), &mut lane.judgements);
                lane.took[pass] += (plan.monotonic)().duration_since(start);
            }
        }
        for lane in &mut lanes {
            lane.bytes[pass] = lane.table_bytes();
        }
    }
    Ok(AggregateCosts { keys, aggregates: costs(&lanes, keys) })
}

fn costs(lanes: &[Lane], keys: u64) -> Vec<AggregateCost> {
    let Some((without, lanes)) = lanes.split_first() else { return Vec::new() };
    let ns = |lane: &Lane, pass: usize| {
        let (with, without) = (lane.took[pass].as_nanos() as f64, without.took[pass].as_nanos() as f64);
        (with - without) / keys as f64
    };
    let cost = |lane: &Lane| {
        let mut known: Vec<f64> = (1..PASSES).map(|pass| ns(lane, pass)).collect();
        known.sort_by(f64::total_cmp);
        let (first, last) = (lane.bytes[0] as f64, lane.bytes[PASSES - 1] as f64);
        AggregateCost {
            name: lane.name,
            new_key_ns: ns(lane, 0),
            known_key_ns: known[known.len() / 2],
            key_bytes: first / keys as f64,
            entry_bytes: (last - first) / (keys * (PASSES as u64 - 1)) as f64,
        }
    };
    lanes.iter().map(cost).collect()
}

/// The login of the account at this place of a pass, with a device of its own for each pass.
fn write_event(out: &mut String, place: u64, pass: usize, keys: u64) {
    let account = (u128::from(place) * u128::from(STRIDE) % u128::from(keys)) as u64;
    let time_ms = START_MS + pass as i64 * PASS_MS + (place as i64 * PASS_MS / keys as i64);
    let mut time = Vec::new();
    write_time_ms(&mut time, time_ms);
    let time = String::from_utf8_lossy(&time);
    let written = writeln!(
        out,
        "{{\"specversion\":\"1.0\",\"id\":\"{pass}-{place}\",\"source\":\"/bench\",\"type\":\"login.succeeded\",\"time\":\"{time}\",\
         \"data\":{{\"account_id\":\"a{account}\",\"device_id\":\"d{account}-{pass}\",\"amount_minor\":{}}}}}",
        account % 1000 + pass as u64
    );
    written.expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregate_counts_every_event() {
        for (name, definition, condition) in AGGREGATES {
            let rules = made(pack(definition, condition));
            assert_eq!(rules.features.len(), usize::from(name != "none"), "{name}");
            let mut replay =
                Replay::new(rules, &SignalConfig::default(), EngineOptions::default()).expect("there are no lists");
            let mut text = String::new();
            (0..50).for_each(|place| write_event(&mut text, place, 0, 50));
            (0..50).for_each(|place| write_event(&mut text, place, 1, 50));
            assert_eq!(replay.judge(&text), [], "{name}");
            let keys: Vec<usize> = replay.engine().size().features.iter().map(|feature| feature.keys).collect();
            // A component counts values beside accounts.
            let expected = if name == "component" { 150 } else { 50 };
            assert!(name == "none" || keys[0] == expected, "{name}: {keys:?}");
            assert!(replay.judgements().iter().all(|judgement| judgement.score == 0), "{name}");
        }
    }
}
