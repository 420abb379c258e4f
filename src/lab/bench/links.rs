//! Linked accounts in shapes that are known: how many events a second an engine takes whose only feature is a component.
//!
//! Every account comes once a day, in an order that has nothing to do with who is linked with whom: on the first day
//! the links are made, on later days all of them are made anew in a later generation. As with growing tables, each batch
//! counts by the least of several rounds that do exactly the same.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::figures::median;
use super::packs::BuiltIn;
use super::{BenchError, Plan};
use crate::engine::EngineOptions;
use crate::event::write_time_ms;
use crate::lab::Replay;
use crate::signals::SignalConfig;

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_767_225_600_000;
const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 3;
/// How often every shape is measured.
const ROUNDS: usize = 3;
/// Events judged together: the batch whose longest wait is told.
const BATCH_EVENTS: u64 = 256;
/// Accounts are taken in steps of this prime.
const STRIDE: u64 = 7_368_787;

/// The shapes: the name, and how many accounts one has; `None`: all of them.
const SHAPES: [(&str, Kind, Option<u64>); 4] = [
    ("rings of 10", Kind::Ring, Some(10)),
    ("chains of 1000", Kind::Chain, Some(1000)),
    ("stars of 19", Kind::Star, Some(19)),
    ("one chain of all", Kind::Chain, None),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Each account shares a value with the next one, the last with the first.
    Ring,
    /// Each account shares a value with the next one.
    Chain,
    /// All share one value: as many as a value links.
    Star,
}

/// Figures of one shape.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// Events of a day: an account each.
    pub accounts: u64,
    /// Events a second of the engine, on the day on which links are made.
    pub made_per_second: f64,
    /// The same on the later days, on which they are renewed.
    pub renewed_per_second: f64,
    /// Of 256 events: one batch in a thousand took longer.
    pub p999: Duration,
    /// The longest batch; each counts by the least of the rounds.
    pub longest: Duration,
    /// Accounts and values remembered.
    pub nodes: usize,
    /// Bytes of the component, everything counted.
    pub bytes: usize,
}

/// Measures each shape with so many accounts.
pub(super) fn measure(accounts: u64, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Vec<Shape>, BenchError> {
    let measured = SHAPES.iter().map(|(name, kind, size)| {
        say(&format!("{accounts} linked accounts: {name}"));
        shape(name, *kind, size.unwrap_or(accounts), accounts, plan.monotonic)
    });
    measured.collect()
}

fn shape(
    name: &'static str,
    kind: Kind,
    size: u64,
    accounts: u64,
    monotonic: fn() -> Instant,
) -> Result<Shape, BenchError> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // The memory of a round is given back before the next.
        rounds.push(round(kind, size.min(accounts), accounts, monotonic)?);
    }
    let batches = rounds[0].waits.len();
    let least = |batch: usize| rounds.iter().map(|round| round.waits[batch]).min().unwrap_or_default();
    let mut waits: Vec<Duration> = (0..batches).map(least).collect();
    waits.sort_unstable();
    let rate = |days: fn(&Round) -> (u64, Duration)| {
        median(rounds.iter().map(|round| {
            let (days, spent) = days(round);
            (accounts * days) as f64 / spent.as_secs_f64()
        }))
    };
    Ok(Shape {
        name,
        accounts,
        made_per_second: rate(|round| (1, round.by_day[0])),
        renewed_per_second: rate(|round| (DAYS as u64 - 1, round.by_day[1..].iter().sum())),
        p999: waits[batches * 999 / 1000],
        longest: waits.last().copied().unwrap_or_default(),
        nodes: rounds[0].nodes,
        bytes: rounds[0].bytes,
    })
}

/// What one round saw.
struct Round {
    /// Time spent, by day.
    by_day: [Duration; DAYS as usize],
    /// By batch.
    waits: Vec<Duration>,
    nodes: usize,
    bytes: usize,
}

fn round(kind: Kind, size: u64, accounts: u64, monotonic: fn() -> Instant) -> Result<Round, BenchError> {
    let options = EngineOptions { state_max_bytes: usize::MAX, ..EngineOptions::default() };
    let mut replay = Replay::new(BuiltIn::LINKS.rules(), &SignalConfig::default(), options)?;
    let mut text = String::new();
    let mut by_day = [Duration::ZERO; DAYS as usize];
    let mut waits = Vec::new();
    for (day, spent) in (0..).zip(&mut by_day) {
        for from in (0..accounts).step_by(BATCH_EVENTS as usize) {
            text.clear();
            for at in from..accounts.min(from + BATCH_EVENTS) {
                // Coprime with every number of accounts that it does not divide.
                let account = (u128::from(at) * u128::from(STRIDE) % u128::from(accounts)) as u64;
                let of_day_ms = (DAY_MS as u128 * u128::from(at) / u128::from(accounts)) as i64;
                write_event(&mut text, START_MS + day * DAY_MS + of_day_ms, account, kind, size);
            }
            replay.parse(&text);
            replay.derive();
            let start = monotonic();
            replay.decide();
            let took = monotonic().duration_since(start);
            *spent += took;
            waits.push(took);
        }
    }
    let size = replay.engine().size();
    let component = size.features.first();
    Ok(Round { by_day, waits, nodes: component.map_or(0, |of| of.keys), bytes: component.map_or(0, |of| of.bytes) })
}

fn write_event(out: &mut String, time_ms: i64, account: u64, kind: Kind, size: u64) {
    let mut time = Vec::new();
    write_time_ms(&mut time, time_ms);
    let time = String::from_utf8_lossy(&time);
    let (of, place) = (account / size, account % size);
    let (device, card) = match kind {
        Kind::Star => (of, None),
        // The last of a chain has no next one.
        Kind::Chain => (account, (place + 1 < size).then_some(account + 1)),
        Kind::Ring => (account, Some(of * size + (place + 1) % size)),
    };
    let card = card.map_or(String::new(), |card| format!(",\"payment_fingerprint\":\"v{card}\""));
    writeln!(
        out,
        "{{\"specversion\":\"1.0\",\"id\":\"{account}-{time_ms}\",\"source\":\"/bench\",\"type\":\"login.succeeded\",\"time\":\"{time}\",\
         \"data\":{{\"account_id\":\"a{account}\",\"device_id\":\"v{device}\"{card}}}}}"
    )
    .expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_linked_as_their_names_say() {
        let component = |kind, size: u64| {
            let rules = BuiltIn::LINKS.rules();
            let mut replay = Replay::new(rules, &SignalConfig::default(), EngineOptions::default()).expect("no lists");
            let mut text = String::new();
            (0..40).for_each(|at| write_event(&mut text, START_MS, at * 7 % 40, kind, size));
            (0..40).for_each(|at| write_event(&mut text, START_MS + 1, at * 7 % 40, kind, size));
            assert_eq!(replay.judge(&text), []);
            use crate::ruleset::cel::{Facts as _, ReadIndex};
            let sizes: Vec<_> = replay.last_facts().map(|(_, facts)| facts.reading(ReadIndex(0)).value).collect();
            sizes[sizes.len() - 40..].to_vec()
        };
        use crate::ruleset::cel::ReadingValue::Int;
        assert_eq!(component(Kind::Ring, 10), vec![Int(10); 40]);
        assert_eq!(component(Kind::Chain, 8), vec![Int(8); 40]);
        assert_eq!(component(Kind::Chain, 40), vec![Int(40); 40]);
        assert_eq!(component(Kind::Star, 4), vec![Int(4); 40]);
    }
}
