//! Alerts against a recount that knows the whole log: which event belongs to which alert, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const EVENTS: usize = 120_000;
const QUIET_MS: i64 = 6 * HOUR_MS;
const LATENESS_MS: i64 = HOUR_MS;

/// Two rules, which a word of the channel makes match: by account, and by campaign.
const RULES: &str = "  - {id: by-account, on: [login.succeeded], when: 'event.channel.contains(\"x\")', action: flag}
  - {id: by-campaign, on: [login.succeeded], when: 'event.channel.contains(\"y\")', score: 45, severity: high, group_by: [event.campaign]}\n";

struct Told {
    id: String,
    at_ms: i64,
    program: &'static str,
    account: String,
    campaign: String,
    channel: &'static str,
}

/// The same numbers for the same seed.
fn log(mut seed: u64) -> Vec<Told> {
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let event = |number: usize| {
        // A late one in fifty; the rest come up to half an hour out of order. A day has some 4,000 events.
        let back_ms = if draw(50) == 0 { draw(12 * HOUR_MS as u64) } else { draw(30 * MINUTE_MS as u64) } as i64;
        Told {
            id: number.to_string(),
            at_ms: 20 * HOUR_MS + number as i64 * 21_600 - back_ms,
            program: ["default", "gold"][draw(2) as usize],
            account: format!("a{}", draw(300) * draw(3)),
            campaign: format!("c{}", draw(40)),
            channel: ["", "", "x", "y", "xy"][draw(5) as usize],
        }
    };
    (0..EVENTS).map(event).collect()
}

impl Told {
    fn line(&self) -> String {
        let Told { program, account, campaign, channel, .. } = self;
        let data = json!({"program": program, "account_id": account, "campaign": campaign, "channel": channel});
        line(&self.id, "login.succeeded", self.at_ms, data)
    }
}

/// All records of a log that is judged in batches of this size, and what is open at its end.
fn judged(log: &[Told], batch: usize) -> (Vec<u8>, AlertLines, usize) {
    let options =
        AlertOptions { quiet_ms: QUIET_MS, open_max: usize::MAX, per_rule_max: usize::MAX, ..AlertOptions::default() };
    let mut story = Story::with(RULES, EngineOptions::default(), options);
    let mut lines = AlertLines::default();
    for part in log.chunks(batch) {
        let text: String = part.iter().map(Told::line).collect();
        assert_eq!(story.replay.judge(&text), []);
        story.replay.gather(&mut story.alerts, &mut lines);
    }
    let open = story.alerts.open();
    story.alerts.end(&mut lines);
    (lines.text().to_vec(), lines, open)
}

/// What an alert must say at its end.
#[derive(Clone, Debug, Default, PartialEq)]
struct Expected {
    events: Vec<String>,
    first_ms: i64,
    last_ms: i64,
    as_of_ms: i64,
    accounts: BTreeSet<String>,
    verdict: &'static str,
}

/// By program, rule and group: its alerts, in order.
fn recount(log: &[Told]) -> BTreeMap<(String, String, String), Vec<Expected>> {
    let mut found: BTreeMap<_, Vec<Expected>> = BTreeMap::new();
    let mut newest_ms = i64::MIN;
    for event in log {
        newest_ms = newest_ms.max(event.at_ms);
        let as_of_ms = event.at_ms.max(newest_ms - LATENESS_MS);
        let verdict = if event.channel.contains('y') { "challenge" } else { "flag" };
        for (rule, word, group) in [("by-account", 'x', &event.account), ("by-campaign", 'y', &event.campaign)] {
            if !event.channel.contains(word) {
                continue;
            }
            let alerts = found.entry((event.program.to_owned(), rule.to_owned(), group.clone())).or_default();
            if alerts.last().is_none_or(|alert| as_of_ms >= alert.as_of_ms + QUIET_MS) {
                let first = Expected {
                    first_ms: i64::MAX,
                    last_ms: i64::MIN,
                    as_of_ms: i64::MIN,
                    verdict: "flag",
                    ..Expected::default()
                };
                alerts.push(first);
            }
            let alert = alerts.last_mut().unwrap();
            alert.events.push(event.id.clone());
            alert.first_ms = alert.first_ms.min(event.at_ms);
            alert.last_ms = alert.last_ms.max(event.at_ms);
            alert.as_of_ms = alert.as_of_ms.max(as_of_ms);
            alert.accounts.insert(event.account.clone());
            if verdict == "challenge" {
                alert.verdict = verdict;
            }
        }
    }
    found
}

fn time_ms(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond() - START_MS
}

/// Holds the last record of an alert against the recount.
fn assert_said(record: &Value, expected: &Expected) {
    let count = expected.events.len();
    assert_eq!(record["count"], count, "{record:#}");
    assert_eq!((time_ms(&record["first_seen"]), time_ms(&record["last_seen"])), (expected.first_ms, expected.last_ms));
    assert_eq!(record["verdict"], expected.verdict);
    assert_eq!(record["first_event"]["id"], expected.events[0]);
    assert_eq!(record["last_event"]["id"], expected.events[count - 1]);
    assert_eq!((&record["accounts_total"], &record["accounts_more"]), (&json!(expected.accounts.len()), &json!(false)));
    let named: BTreeSet<String> =
        record["accounts"].as_array().unwrap().iter().map(|account| account.as_str().unwrap().to_owned()).collect();
    assert_eq!(named.len(), expected.accounts.len().min(20));
    assert!(named.is_subset(&expected.accounts));
}

#[test]
fn alerts_are_those_of_a_recount() {
    let log = log(7);
    let (_, lines, open) = judged(&log, 1024);
    let mut by_id: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut opened: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for (at, record) in records(&lines).into_iter().enumerate() {
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let id = text("id");
        let known = by_id.entry(id.clone()).or_default();
        if known.is_empty() {
            let group = record["group"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
            opened.entry((text("program"), text("rule"), group)).or_default().push(id);
        }
        let last = known.last();
        assert_eq!(record["revision"], known.len() + 1, "record {at}");
        assert_eq!(record["change"] == "opened", last.is_none());
        assert!(last.is_none_or(|last| last["state"] == "open" && last["count"].as_i64() <= record["count"].as_i64()));
        known.push(record);
    }
    let expected = recount(&log);
    assert!(expected.keys().eq(opened.keys()), "the same groups");
    let newest_ms = log.iter().map(|event| event.at_ms).max().unwrap();
    // Time was last looked at up to 1024 events before the end.
    let looked_ms = log[..EVENTS / 1024 * 1024].iter().map(|event| event.at_ms).max().unwrap();
    let (mut still_open, mut alerts) = (0, 0);
    for (group, expected) in &expected {
        let ids = &opened[group];
        assert_eq!(ids.len(), expected.len(), "{group:?}");
        for (id, expected) in ids.iter().zip(expected) {
            let records = &by_id[id];
            let last = records.last().unwrap();
            assert_said(last, expected);
            let count = expected.events.len();
            let hours = (expected.as_of_ms - expected.first_ms) / HOUR_MS + 2;
            let most = 4 + count.ilog2() as usize + hours.max(2) as usize + 1;
            assert!(records.len() <= most, "{} records of {count} events in {hours} h", records.len());
            let quiet_from_ms = expected.as_of_ms + QUIET_MS;
            let is_last = Some(id) == ids.last();
            assert!(!is_last || last["state"] == "closed" || quiet_from_ms > looked_ms - LATENESS_MS, "{last:#}");
            assert!(last["state"] == "open" || !is_last || quiet_from_ms <= newest_ms - LATENESS_MS, "{last:#}");
            still_open += usize::from(last["state"] == "open");
            alerts += 1;
        }
    }
    assert_eq!(still_open, open);
    assert!(
        alerts > 2000 && open > 50 && alerts > 10 * open,
        "{alerts} alerts, {open} of them open: the log shows both"
    );
}

#[test]
fn the_size_of_batches_changes_no_byte() {
    let log = &log(11)[..20_000];
    let (expected, lines, _) = judged(log, 1000);
    assert!(lines.iter().len() > 1000);
    for batch in [1, 7, 32] {
        assert!(judged(log, batch).0 == expected, "batches of {batch}");
    }
}
