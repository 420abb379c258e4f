//! Alerts: what calls for one, how matches are gathered, when one is told of, and that nothing floods.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::sync::Arc;

use refguard::alerts::{AlertLines, AlertOptions, Alerts};
use refguard::engine::{EngineOptions, Policy, ProgramPolicy};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

#[path = "alerts/attack.rs"]
mod attack;
#[path = "alerts/causes.rs"]
mod causes;
#[path = "alerts/groups.rs"]
mod groups;
#[path = "alerts/life.rs"]
mod life;
#[path = "support/pack.rs"]
mod pack;
#[path = "alerts/recount.rs"]
mod recount;
#[path = "alerts/schema.rs"]
mod schema;

/// 2026-05-01T00:00:00Z.
const START_MS: i64 = 1_777_593_600_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// An engine under one pack's rules, and its alerts.
struct Story {
    replay: Replay,
    alerts: Alerts,
    events: usize,
}

impl Story {
    /// `rules` is what stands under `rules:`, indented by two.
    fn of(rules: &str) -> Story {
        Story::with(rules, EngineOptions::default(), AlertOptions::default())
    }

    fn with(rules: &str, options: EngineOptions, alerting: AlertOptions) -> Story {
        let rules = pack::rules(&format!("version: 1\npack: story\nrules:\n{rules}"));
        let alerts = Alerts::new(alerting, Arc::clone(&rules));
        Story { replay: Replay::new(rules, &SignalConfig::default(), options).unwrap(), alerts, events: 0 }
    }

    /// An event at so many milliseconds from the start; the records that come of it.
    fn tell(&mut self, kind: &str, at_ms: i64, data: Value) -> Vec<Value> {
        self.events += 1;
        let id = format!("e{}", self.events);
        self.tell_as(&id, kind, at_ms, data)
    }

    fn tell_as(&mut self, id: &str, kind: &str, at_ms: i64, data: Value) -> Vec<Value> {
        let line = line(id, kind, at_ms, data);
        assert_eq!(self.replay.judge(&line), []);
        let mut lines = AlertLines::default();
        self.replay.gather(&mut self.alerts, &mut lines);
        records(&lines)
    }

    /// Lines that call for nothing, until the engine has looked at the time.
    fn pass(&mut self, at_ms: i64) -> Vec<Value> {
        let mut told = Vec::new();
        for _ in 0..1024 {
            told.extend(self.tell("login.failed", at_ms, json!({"account_id": "nobody"})));
        }
        told
    }

    fn end(&mut self) -> Vec<Value> {
        let mut lines = AlertLines::default();
        self.alerts.end(&mut lines);
        records(&lines)
    }
}

/// An event as a line.
fn line(id: &str, kind: &str, at_ms: i64, data: Value) -> String {
    let time = jiff::Timestamp::from_millisecond(START_MS + at_ms).unwrap();
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/shop", "type": kind, "time": format!("{time:.3}"), "data": data,
    });
    format!("{event}\n")
}

fn records(lines: &AlertLines) -> Vec<Value> {
    let record = |(id, line): (&str, &[u8])| {
        let record: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(record["id"], id);
        schema::assert_true(&record);
        record
    };
    lines.iter().map(record).collect()
}

/// Rule and change of each record.
fn changes(records: &[Value]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record["rule"].as_str().unwrap(), record["change"].as_str().unwrap())).collect()
}

/// Rules that match by the channel's words: `{id, fields}`.
fn by_word(rules: &[(&str, &str)]) -> String {
    let rule = |(word, rest): &(&str, &str)| {
        format!(
            "  - {{id: {word}, on: [login.succeeded, referral.completed], when: 'event.channel.contains(\"{word}\")', {rest}}}\n"
        )
    };
    rules.iter().map(rule).collect()
}

fn login(account: &str, channel: &str) -> Value {
    json!({"account_id": account, "channel": channel})
}
