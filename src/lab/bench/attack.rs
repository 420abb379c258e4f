//! An attack on the memory: random device ids at full speed, and among them honest accounts that are recounted.
//!
//! One event in a hundred is an honest account's at its own device; all others are of a few accounts, each at a device that
//! nobody has seen. All lie within the windows, so that an honest key counts exactly the events that it has sent. Half of the
//! honest accounts come from the beginning on, half of them when the memory is full.

use std::fmt::Write as _;
use std::time::Duration;

use super::packs::BuiltIn;
use super::{BATCH_EVENTS, BenchError, Plan};
use crate::engine::{EngineOptions, FeatureSize};
use crate::event::write_time_ms;
use crate::lab::Replay;
use crate::ruleset::cel::{Facts as _, ReadIndex, ReadSource, ReadingValue};
use crate::ruleset::program::RuleSet;
use crate::signals::SignalConfig;

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_767_225_600_000;
/// Events a second of event time: 50 million of them lie within 14 hours.
const EVENTS_PER_SECOND: u64 = 1000;
/// One event in so many is an honest account's.
const HONEST_EVERY: u64 = 100;
/// Events for each honest account of either half.
const EVENTS_AN_ACCOUNT: u64 = 5000;
/// Accounts that the attacker has.
const ATTACKERS: u64 = 100;

/// An attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Events in all.
    pub events: u64,
    /// Bound of the state, in bytes.
    pub max_bytes: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct AttackReport {
    /// Events in all.
    pub events: u64,
    /// Bound of the state, in bytes.
    pub max_bytes: usize,
    /// The most bytes that the state had, as it was measured after every 256 events.
    pub state_bytes_most: usize,
    /// The most memory of the process, in bytes, from its start on; where the system tells it.
    pub process_bytes_most: Option<u64>,
    /// The parts of the state in the end.
    pub parts: Vec<FeatureSize>,
    /// By feature: what honest accounts read.
    pub honest: Vec<(String, Honest)>,
    /// After how many events the first part was saturated.
    pub saturated_after: Option<u64>,
    /// Events a second of the engine before that.
    pub before_per_second: f64,
    /// And from then on.
    pub after_per_second: f64,
}

/// What honest accounts read of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Honest {
    /// Readings of keys that were there before the feature was saturated.
    pub known: u64,
    /// Those among them that are not exact.
    pub known_not_exact: u64,
    /// Readings of keys that came later.
    pub later: u64,
    /// Those among them that say of themselves that they are not exact.
    pub later_not_exact: u64,
    /// Readings that say that they are exact and differ from the recount: there must be none.
    pub different: u64,
}

/// A feature that is recounted: where it is read, and what was seen of it.
struct Watched {
    name: String,
    read: ReadIndex,
    /// Whether it counts events; else it counts different values, of which an honest key has one.
    counts: bool,
    saturated_at: Option<u64>,
    honest: Honest,
}

/// An honest account: when it came, and how often.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    first: u64,
    events: u64,
}

/// Lets the attack run.
pub(super) fn measure(attack: Attack, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<AttackReport, BenchError> {
    let options = EngineOptions { state_max_bytes: attack.max_bytes, ..EngineOptions::default() };
    let rules = BuiltIn::ATTACK.rules();
    let mut watched = watched(&rules);
    let mut replay = Replay::new(rules, &SignalConfig::default(), options)?;
    let mut accounts = vec![Account::default(); 2 * honest_accounts(attack.events) as usize];
    let (mut text, mut state_bytes_most, mut saturated_after) = (String::new(), 0, None);
    let mut spent = [(0, Duration::ZERO); 2];
    for from in (0..attack.events).step_by(BATCH_EVENTS) {
        let to = attack.events.min(from + BATCH_EVENTS as u64);
        if from % (attack.events / 10).max(1) < BATCH_EVENTS as u64 {
            say(&format!("attack: {from} of {} events", attack.events));
        }
        text.clear();
        (from..to).for_each(|number| write_event(&mut text, number, attack.events));
        replay.parse(&text);
        replay.derive();
        let start = (plan.monotonic)();
        replay.decide();
        let (events, time) = &mut spent[usize::from(saturated_after.is_some())];
        *time += (plan.monotonic)().duration_since(start);
        *events += to - from;
        check(&replay, from, attack.events, &mut accounts, &mut watched);
        for change in replay.engine().take_saturation_changes() {
            say(&format!(
                "attack: after {to} events {} is limited to {:?} at {} of {} bytes",
                change.part, change.limit, change.bytes, change.state_bytes
            ));
        }
        let size = replay.engine().size();
        state_bytes_most = state_bytes_most.max(size.bytes());
        for of in &mut watched {
            if size.features.iter().any(|size| size.saturated && size.feature == of.name) {
                of.saturated_at.get_or_insert(to);
            }
        }
        if size.features.iter().chain(&size.others).any(|part| part.saturated) {
            saturated_after.get_or_insert(to);
        }
    }
    let size = replay.engine().size();
    let rate = |(events, time): (u64, Duration)| if events == 0 { 0.0 } else { events as f64 / time.as_secs_f64() };
    Ok(AttackReport {
        events: attack.events,
        max_bytes: attack.max_bytes,
        state_bytes_most,
        process_bytes_most: process_bytes_most(),
        parts: size.features.into_iter().chain(size.others).collect(),
        honest: watched.into_iter().map(|of| (of.name, of.honest)).collect(),
        saturated_after,
        before_per_second: rate(spent[0]),
        after_per_second: rate(spent[1]),
    })
}

/// The features of the pack, each where a rule reads it.
fn watched(rules: &RuleSet) -> Vec<Watched> {
    let places = rules.reads.reads().iter().zip(0..);
    let found = places.filter_map(|(read, place)| match &read.source {
        ReadSource::Feature { feature, .. } => Some((&rules.features[feature.0 as usize], ReadIndex(place))),
        _ => None,
    });
    let watched = found.map(|(feature, read)| Watched {
        name: feature.name.clone(),
        read,
        counts: feature.value.is_none(),
        saturated_at: None,
        honest: Honest::default(),
    });
    watched.collect()
}

/// How many honest accounts there are from the beginning on, and as many later.
fn honest_accounts(events: u64) -> u64 {
    (events / EVENTS_AN_ACCOUNT).max(1)
}

/// The honest account of an event; `None`: the event is the attacker's.
fn honest(number: u64, events: u64) -> Option<u64> {
    if !number.is_multiple_of(HONEST_EVERY) {
        return None;
    }
    let (turn, accounts) = (number / HONEST_EVERY, honest_accounts(events));
    let comes_later = number >= events / 2 && !turn.is_multiple_of(2);
    Some(turn / 2 % accounts + if comes_later { accounts } else { 0 })
}

fn write_event(out: &mut String, number: u64, events: u64) {
    let mut time = Vec::new();
    write_time_ms(&mut time, START_MS + (number * 1000 / EVENTS_PER_SECOND) as i64);
    let time = String::from_utf8_lossy(&time);
    let (account, device) = match honest(number, events) {
        Some(account) => (format!("honest-{account}"), format!("home-{account}")),
        // By an odd factor, so that all of them differ.
        None => {
            (format!("attacker-{}", number % ATTACKERS), format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        }
    };
    writeln!(
        out,
        "{{\"specversion\":\"1.0\",\"id\":\"{number}\",\"source\":\"/bench\",\"type\":\"login.succeeded\",\"time\":\"{time}\",\
         \"data\":{{\"account_id\":\"{account}\",\"device_id\":\"{device}\"}}}}"
    )
    .expect("writing to a string cannot fail");
}

/// Compares what the honest accounts among the last events read with the recount.
fn check(replay: &Replay, from: u64, events: u64, accounts: &mut [Account], watched: &mut [Watched]) {
    for ((_, facts), number) in replay.last_facts().zip(from..) {
        let Some(account) = honest(number, events) else { continue };
        let account = &mut accounts[account as usize];
        if account.events == 0 {
            account.first = number;
        }
        account.events += 1;
        for of in &mut *watched {
            let reading = facts.reading(of.read);
            let expected = if of.counts { account.events as i64 } else { 1 };
            let honest = &mut of.honest;
            honest.different += u64::from(reading.exact && reading.value != ReadingValue::Int(expected));
            if of.saturated_at.is_none_or(|at| account.first < at) {
                honest.known += 1;
                honest.known_not_exact += u64::from(!reading.exact);
            } else {
                honest.later += 1;
                honest.later_not_exact += u64::from(!reading.exact);
            }
        }
    }
}

/// The most memory that the process had, as Linux tells it.
fn process_bytes_most() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}
