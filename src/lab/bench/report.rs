//! The figures of a measurement, as a table for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::signals::CacheCounts;

/// How long the steps of one round took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// Text to events.
    pub parse: Duration,
    /// Events to signals.
    pub derive: Duration,
    /// Events and signals to judgements: the engine alone.
    pub judge: Duration,
    /// Judgements to lines.
    pub write: Duration,
    /// Events in the round.
    pub events: usize,
}

/// The memory of one feature.
#[derive(Clone, Debug)]
pub struct Size {
    /// Its name.
    pub feature: String,
    /// Keys.
    pub keys: usize,
    /// Bytes, everything counted.
    pub bytes: usize,
}

/// What was measured of one population.
#[derive(Clone, Debug)]
pub struct Report {
    /// Accounts.
    pub accounts: u64,
    /// Different devices it can show.
    pub devices: u64,
    /// Different addresses it can show.
    pub addresses: u64,
    /// Different user agents it can show.
    pub user_agents: u64,
    /// Rounds measured; the figures are those of the middle one by the engine's time.
    pub rounds: usize,
    /// The middle round.
    pub steps: Steps,
    /// How often a remembered raw value could be used.
    pub caches: CacheCounts,
    /// By feature.
    pub sizes: Vec<Size>,
    /// Identities remembered.
    pub identities: usize,
    /// Their bytes.
    pub identity_bytes: usize,
    /// Bytes of the whole state.
    pub state_bytes: usize,
}

impl Report {
    fn nanos(&self, step: Duration) -> f64 {
        step.as_nanos() as f64 / self.steps.events.max(1) as f64
    }

    fn per_second(&self, step: Duration) -> f64 {
        self.steps.events as f64 / step.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// All steps one after the other on one core.
    fn all(&self) -> Duration {
        self.steps.parse + self.steps.derive + self.steps.judge + self.steps.write
    }

    fn keys(&self) -> usize {
        self.sizes.iter().map(|size| size.keys).sum()
    }
}

/// A table, a line a population, then a line a feature of the last one.
pub fn render_table(reports: &[Report]) -> String {
    let mut out = String::from(
        "   accounts  engine events/s  all steps events/s  ns/event: parse  derive  engine  write  state MiB  (feature, key)s\n",
    );
    let written = reports.iter().try_for_each(|report| {
        writeln!(
            out,
            "{:>11}  {:>15.0}  {:>18.0}  {:>15.0}  {:>6.0}  {:>6.0}  {:>5.0}  {:>9.1}  {:>15}",
            report.accounts,
            report.per_second(report.steps.judge),
            report.per_second(report.all()),
            report.nanos(report.steps.parse),
            report.nanos(report.steps.derive),
            report.nanos(report.steps.judge),
            report.nanos(report.steps.write),
            report.state_bytes as f64 / f64::from(1 << 20),
            report.keys(),
        )
    });
    let last = reports.last().map_or(Ok(()), |report| {
        writeln!(out, "\nmemory at {} accounts, a feature a line:", report.accounts)?;
        report.sizes.iter().try_for_each(|size| {
            let each = size.bytes as f64 / size.keys.max(1) as f64;
            writeln!(out, "  {:<28} {:>10} keys  {each:>7.1} bytes a key", size.feature, size.keys)
        })?;
        let each = report.identity_bytes as f64 / report.identities.max(1) as f64;
        writeln!(out, "  {:<28} {:>10} kept  {each:>7.1} bytes each", "identities", report.identities)?;
        let agents = report.caches.user_agents;
        writeln!(
            out,
            "distinct: {} devices, {} addresses, {} user agents; user agents known again: {} of {}",
            report.devices,
            report.addresses,
            report.user_agents,
            agents.hits,
            agents.hits + agents.misses
        )
    });
    written.and(last).expect("writing to a string cannot fail");
    out
}

/// The same figures for programs.
pub fn render_json(reports: &[Report]) -> Value {
    let one = |report: &Report| {
        json!({
            "accounts": report.accounts,
            "distinct": {
                "devices": report.devices, "addresses": report.addresses, "user_agents": report.user_agents,
            },
            "rounds": report.rounds,
            "events_per_round": report.steps.events,
            "engine_events_per_second": report.per_second(report.steps.judge),
            "all_steps_events_per_second": report.per_second(report.all()),
            "ns_per_event": {
                "parse": report.nanos(report.steps.parse), "derive": report.nanos(report.steps.derive),
                "engine": report.nanos(report.steps.judge), "write": report.nanos(report.steps.write),
            },
            "caches": {
                "user_agents": {"hits": report.caches.user_agents.hits, "misses": report.caches.user_agents.misses},
                "phones": {"hits": report.caches.phones.hits, "misses": report.caches.phones.misses},
                "addresses": {"hits": report.caches.addresses.hits, "misses": report.caches.addresses.misses},
            },
            "features": report.sizes.iter().map(|size| json!({
                "feature": size.feature, "keys": size.keys, "bytes": size.bytes,
            })).collect::<Vec<_>>(),
            "identities": {"count": report.identities, "bytes": report.identity_bytes},
            "state_bytes": report.state_bytes,
        })
    };
    Value::Array(reports.iter().map(one).collect())
}
