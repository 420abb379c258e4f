//! History that is counted and not judged.

use refguard::engine::Backfill;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

use super::{HOUR_MS, START_MS, Story, pack};

const PACK: &str = "
version: 1
pack: story
features:
  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 24h}
rules:
  - {id: many, on: [login.succeeded], when: logins > 2, score: 60, decide: [{subject: account, verdict: block, ttl: 7d}]}
  - {id: whole, on: [login.succeeded], when: complete(logins), score: 0}
";

/// A login of one account at so many hours from the start.
fn login(id: &str, hours: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(START_MS + hours * HOUR_MS).unwrap();
    let data = json!({"account_id": "a"});
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/shop", "type": "login.succeeded", "time": format!("{time:.3}"), "data": data,
    });
    format!("{event}\n")
}

fn story() -> Story {
    Story::with_pack(PACK, Default::default())
}

fn judge(story: &mut Story, line: &str) -> Value {
    assert_eq!(story.replay.judge(line), []);
    let mut out = Vec::new();
    story.replay.write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

fn rules(verdict: &Value) -> Vec<&str> {
    verdict["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect()
}

#[test]
fn history_decides_nothing_and_counts() {
    let mut story = story();
    story.replay.backfill(&[login("1", 0), login("2", 1), login("3", 2), login("4", 3)].concat(), &mut Backfill::Whole);
    assert_eq!(story.replay.engine().decisions().len(), 0);
    assert!(story.replay.engine().tally().rule_matches.iter().flatten().all(|matches| *matches == 0));
    let verdict = judge(&mut story, &login("5", 4));
    assert_eq!((rules(&verdict), &verdict["decisions"]), (vec!["many"], &json!([])));
}

#[test]
fn an_event_of_the_history_is_judged_once_and_not_counted_again() {
    let mut story = story();
    story.replay.backfill(&[login("1", 0), login("2", 1)].concat(), &mut Backfill::Whole);
    let verdict = judge(&mut story, &login("2", 1));
    assert_eq!((rules(&verdict), verdict.get("duplicate")), (vec![], None), "2 logins, not 3");
    assert_eq!(judge(&mut story, &login("2", 1))["duplicate"], true);
    assert_eq!(rules(&judge(&mut story, &login("3", 2))), ["many"]);
}

#[test]
fn history_that_goes_back_a_whole_window_makes_a_feature_complete() {
    let mut story = story();
    story.replay.backfill(&login("1", 20), &mut Backfill::Whole);
    assert_eq!(rules(&judge(&mut story, &login("2", 30))), [""; 0]);
    story.replay.engine().backfilled(&Backfill::Whole, START_MS + 6 * HOUR_MS);
    assert_eq!(rules(&judge(&mut story, &login("3", 30))), ["many", "whole"]);
}

#[test]
fn a_feature_that_came_with_a_reload_is_complete_once_it_is_filled() {
    let mut story = story();
    for (id, hours) in [("1", 0), ("2", 26), ("3", 27)] {
        judge(&mut story, &login(id, hours));
    }
    let other = PACK.replace("window: 24h", "window: 25h");
    story.replay.reload(pack::rules(&other), &SignalConfig::default()).unwrap();
    let before = judge(&mut story, &login("4", 28));
    assert_eq!(rules(&before), [""; 0], "it began empty");
    let mut into = story.replay.engine().begin_backfill(&["logins".to_owned(), "gone".to_owned()]);
    assert_eq!(story.replay.engine().backfill_reach_ms(&into), Some(25 * HOUR_MS));
    // What was judged since is among it, and counted once.
    let history = [login("1", 0), login("2", 26), login("3", 27), login("4", 28)].concat();
    story.replay.backfill(&history, &mut into);
    story.replay.engine().backfilled(&into, START_MS);
    let after = judge(&mut story, &login("5", 28));
    assert_eq!(rules(&after), ["many", "whole"]);
    let count = |verdict: &Value| verdict["evidence"][0]["value"].clone();
    assert_eq!(count(&after), 4);
}

#[test]
fn a_feature_that_changes_while_it_is_filled_drops_out() {
    let mut story = story();
    judge(&mut story, &login("1", 0));
    let other = PACK.replace("window: 24h", "window: 25h");
    let reload =
        |story: &mut Story, text: &str| story.replay.reload(pack::rules(text), &SignalConfig::default()).unwrap();
    reload(&mut story, &other);
    let mut into = story.replay.engine().begin_backfill(&["logins".to_owned()]);
    story.replay.backfill(&login("1", 0), &mut into);
    // Changed and changed back: its table is another.
    reload(&mut story, PACK);
    reload(&mut story, &other);
    story.replay.backfill(&login("0", 0), &mut into);
    story.replay.engine().backfilled(&into, START_MS - 30 * HOUR_MS);
    assert_eq!(rules(&judge(&mut story, &login("2", 1))), [""; 0], "not told to be complete");
    assert_eq!(story.replay.engine().backfill_reach_ms(&into), None);
}
