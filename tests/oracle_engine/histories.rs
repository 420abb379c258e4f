//! History that is counted and not judged: what is judged afterwards sees the same values as if all had been judged.

use refguard::engine::Backfill;
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::Value;

use crate::random::Random;
use crate::{History, pack, replay, world};

const RULES: &str = include_str!("../data/oracle/oracle.yaml");
/// Rules before those with the features.
const OTHERS: &str =
    "version: 1\npack: p\nrules:\n  - {id: r, on: [login.succeeded], when: 'event.amount_minor > 100', score: 1}\n";

fn text(lines: &[(String, Option<world::Fact>)]) -> String {
    lines.iter().map(|(line, _)| line.as_str()).collect()
}

/// Judges lines, and adds what is said of each event's features to what was said of its first arrival.
fn judge(replay: &mut Replay, lines: &[(String, Option<world::Fact>)], told: &mut Vec<(String, Value)>) {
    replay.judge(&text(lines));
    let mut out = Vec::new();
    replay.write(&mut out);
    for line in String::from_utf8(out).unwrap().lines() {
        let verdict: Value = serde_json::from_str(line).unwrap();
        if verdict.get("duplicate").is_none() {
            let event = format!("{} {} {}", verdict["source"], verdict["event_id"], verdict["time"]);
            told.push((event, verdict["evidence"].clone()));
        }
    }
}

/// What the events from a place on were told, when all of the history is judged.
fn judged(history: &History, from: usize) -> Vec<(String, Value)> {
    let mut replay = replay(&pack::rules(RULES));
    judge(&mut replay, &history[..from], &mut Vec::new());
    let mut told = Vec::new();
    judge(&mut replay, &history[from..], &mut told);
    told
}

/// Compares what was told with what is told when all is judged. Only events of the history that come again are told more:
/// they are judged then. Answers how many were compared.
fn compare(told: Vec<(String, Value)>, all: Vec<(String, Value)>) -> usize {
    let mut all = all.into_iter().peekable();
    let mut compared = 0;
    for (event, evidence) in told {
        if let Some((_, expected)) = all.next_if(|(next, _)| *next == event) {
            assert_eq!(evidence, expected, "{event}");
            compared += 1;
        }
    }
    assert_eq!(all.next(), None, "not told");
    compared
}

#[test]
fn whole_history_leaves_the_state_that_judging_would_have_left() {
    let mut events = 0;
    for seed in 600..606 {
        let history = world::history(&mut Random(seed), 3000);
        for (split, size) in [(700, 1), (1500, 32), (2500, 1000)] {
            let mut replay = replay(&pack::rules(RULES));
            for lines in history[..split].chunks(size) {
                replay.backfill(&text(lines), &mut Backfill::Whole);
            }
            let mut told = Vec::new();
            for lines in history[split..].chunks(size) {
                judge(&mut replay, lines, &mut told);
            }
            events += compare(told, judged(&history, split));
        }
    }
    assert!(events > 15_000, "{events} events were compared");
}

#[test]
fn features_that_come_later_are_filled_while_others_are_judged() {
    let rules = pack::rules(RULES);
    let names: Vec<String> = rules.features.iter().map(|feature| feature.name.clone()).collect();
    let mut events = 0;
    for seed in 700..710 {
        let history = world::history(&mut Random(seed), 3000);
        for (from, to, size) in [(400, 900, 1), (1000, 1900, 32), (1500, 2000, 1000)] {
            let mut replay = replay(&pack::rules(OTHERS));
            let mut told = Vec::new();
            judge(&mut replay, &history[..from], &mut told);
            replay.reload(pack::rules(RULES), &SignalConfig::default()).unwrap();
            let mut into = replay.engine().begin_backfill(&names);
            // History and what is judged take turns, and overlap by a few events.
            let mut past = history[..from + 20].chunks(size);
            for lines in history[from..to].chunks(size) {
                judge(&mut replay, lines, &mut told);
                if let Some(lines) = past.next() {
                    replay.backfill(&text(lines), &mut into);
                }
            }
            past.for_each(|lines| replay.backfill(&text(lines), &mut into));
            let first_ms = history.iter().find_map(|(_, fact)| fact.as_ref()).unwrap().time_ms;
            replay.engine().backfilled(&into, first_ms);
            told.clear();
            judge(&mut replay, &history[to..], &mut told);
            events += compare(told, judged(&history, to));
        }
    }
    assert!(events > 30_000, "{events} events were compared");
}
