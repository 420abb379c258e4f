//! What is bounded stays so, whoever floods.

use std::fmt::Write as _;

use super::*;

/// Judges events of these accounts and programs, ten a second, in batches. Answers how many records there were.
fn flood(story: &mut Story, events: usize, of: impl Fn(usize) -> (String, String)) -> (usize, usize) {
    let (mut records, mut bytes, mut lines) = (0, 0, AlertLines::default());
    for first in (0..events).step_by(1000) {
        let mut text = String::new();
        for number in first..first + 1000 {
            let (account, program) = of(number);
            let time = jiff::Timestamp::from_millisecond(START_MS + number as i64 * 100).unwrap();
            writeln!(
                text,
                r#"{{"specversion":"1.0","id":"{number}","source":"/s","type":"login.succeeded","time":"{time:.3}","data":{{"account_id":"{account}","program":"{program}","channel":"flag"}}}}"#
            )
            .unwrap();
        }
        assert_eq!(story.replay.judge(&text), []);
        lines.clear();
        story.replay.gather(&mut story.alerts, &mut lines);
        records += lines.iter().len();
        bytes += lines.text().len();
        assert_eq!(lines.counts.open.iter().sum::<usize>(), story.alerts.open());
    }
    (records, bytes)
}

#[test]
fn a_million_groups_are_a_thousand_alerts_and_one_for_the_rest() {
    const EVENTS: usize = 1_000_000;
    let mut story = Story::of(&by_word(&[("flag", "action: flag")]));
    let (records, bytes) = flood(&mut story, EVENTS, |number| (format!("a{number}"), "default".to_owned()));
    // 28 hours: the first thousand were quiet for a day, and others took their place.
    let counts = story.alerts.counts();
    assert_eq!(counts.events.iter().sum::<u64>(), EVENTS as u64);
    assert!(story.alerts.open() <= 1001);
    assert_eq!(counts.closed[1], 0, "nothing was displaced");
    let rest = counts.events[2];
    assert!(rest > 990_000, "{counts:?}");
    assert!(records < 5000 && bytes < 5_000_000, "{records} records of {bytes} bytes");
    let gathered = story.end().into_iter().find(|record| record["gathered"] == true).unwrap();
    assert_eq!((&gathered["group"], gathered["count"].as_u64()), (&json!({}), Some(rest)));
    assert_eq!((&gathered["accounts_total"], &gathered["accounts_more"]), (&json!(500), &json!(true)));
}

#[test]
fn past_the_bound_of_all_the_quietest_is_displaced_and_says_so() {
    let options = AlertOptions { open_max: 100, per_rule_max: 1_000_000, ..AlertOptions::default() };
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), EngineOptions::default(), options);
    const EVENTS: usize = 200_000;
    let (records, _) = flood(&mut story, EVENTS, |number| (format!("a{number}"), format!("p{number}")));
    let counts = story.alerts.counts();
    assert_eq!((story.alerts.open(), counts.events), (100, [EVENTS as u64, 0, 0]));
    assert_eq!((counts.closed[1], records), (EVENTS as u64 - 100, 2 * EVENTS - 100));
}

#[test]
fn made_up_programs_share_what_one_may_have_and_displace_nobody() {
    let named = |name: &str| (name.to_owned(), ProgramPolicy::default());
    let policy = Policy { programs: vec![named("gold")], ..Policy::default() };
    let options = EngineOptions { policy, ..EngineOptions::default() };
    let alerting = AlertOptions { per_rule_max: 50, open_max: 200, ..AlertOptions::default() };
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), options, alerting);
    // One event in a thousand is of a program that is configured, and of an account of its own.
    let of = |number: usize| match number % 1000 {
        0 => (format!("honest-{number}"), "gold".to_owned()),
        _ => ("a".to_owned(), format!("p{number}")),
    };
    const EVENTS: usize = 40_000;
    let (records, _) = flood(&mut story, EVENTS, of);
    let counts = story.alerts.counts();
    assert_eq!((story.alerts.open(), counts.closed[1]), (50 + 1 + 40, 0), "{counts:?}");
    let gathered = (EVENTS - 40 - 50) as u64;
    assert_eq!(counts.events, [50 + 40, 0, gathered], "{counts:?}");
    assert!(records < 200, "{records}");
    let told = story.end();
    let of_gold = told.iter().filter(|record| record["program"] == "gold").count();
    assert_eq!(of_gold, 0, "nothing of them is left to tell");
    assert!(told.iter().any(|record| record["gathered"] == true), "{told:?}");
    // The names that had alerts before the share was used up still do.
    let joined =
        story.tell("login.succeeded", 4_100_000, json!({"account_id": "a", "program": "p1", "channel": "flag"}));
    assert!(joined.iter().all(|record| record["program"] == "p1" && record["gathered"] == false), "{joined:?}");
}

#[test]
fn who_grows_is_not_displaced_by_who_came_later() {
    let options = AlertOptions { open_max: 3, per_rule_max: 9, ..AlertOptions::default() };
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), EngineOptions::default(), options);
    for (at, account) in ["a", "b", "c", "a"].into_iter().enumerate() {
        story.tell("login.succeeded", at as i64, login(account, "flag"));
    }
    let told = story.tell("login.succeeded", 9, login("d", "flag"));
    assert_eq!(changes(&told), [("flag", "closed"), ("flag", "opened")]);
    assert_eq!((&told[0]["group"]["event.account_id"], &told[0]["closed_by"]), (&json!("b"), &json!("displaced")));
    let told = story.tell("login.succeeded", 10, login("b", "flag"));
    assert_eq!(told[0]["group"]["event.account_id"], "c");
}

#[test]
fn what_was_gathered_finds_alerts_of_its_own_again_once_there_is_room() {
    let options = AlertOptions { per_rule_max: 2, quiet_ms: HOUR_MS, ..AlertOptions::default() };
    let mut story = Story::with(&by_word(&[("flag", "action: flag")]), EngineOptions::default(), options);
    let of = |record: &Value| {
        let group = record["group"]["event.account_id"].as_str().unwrap_or("rest");
        format!("{} {group} {}", record["change"].as_str().unwrap(), record["count"])
    };
    for (at_ms, account, expected) in [
        (0, "a", &["opened a 1"][..]),
        (0, "b", &["opened b 1"]),
        (0, "c", &["opened rest 1"]),
        (0, "d", &["grown rest 2"]),
        (30 * MINUTE_MS, "a", &["grown a 2"]),
        (50 * MINUTE_MS, "c", &[]),
        (61 * MINUTE_MS, "b", &["closed b 1", "opened b 1"]),
    ] {
        let told = story.tell("login.succeeded", at_ms, login(account, "flag"));
        assert_eq!(told.iter().map(of).collect::<Vec<_>>(), expected, "{account} at {at_ms}");
    }
    assert_eq!(story.alerts.counts().events, [3, 1, 3]);
    // The horizon lies an hour behind: at 1:31 is the time of `a`, the rest and `b` have seen more since.
    assert_eq!(story.pass(151 * MINUTE_MS).iter().map(of).collect::<Vec<_>>(), ["closed a 2", "grown rest 3"]);
    let told = story.tell("login.succeeded", 151 * MINUTE_MS, login("c", "flag"));
    assert_eq!(told.iter().map(of).collect::<Vec<_>>(), ["opened c 1"]);
}
