//! Another rule set in force: counts, completeness, decisions, tallies and thresholds over it.

use refguard::engine::{EngineOptions, Policy, ProgramPolicy, Thresholds};
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

use super::{HOUR_MS, SECOND_MS, Story, by_word, matched, pack, summary};

const HEAD: &str = "version: 1\npack: story\n";

fn rules_of(rules: &str) -> String {
    format!("{HEAD}rules:\n{rules}")
}

impl Story {
    pub(super) fn reload(&mut self, pack: &str) {
        self.replay.reload(pack::rules(pack), &SignalConfig::default()).unwrap();
    }
}

/// Two counts by device: `kept` over an hour, and `other` over so many.
fn counting(hours: i64) -> String {
    let count = |name: &str, hours: i64| {
        format!("  {name}: {{on: [login.succeeded], key: [device.id], aggregate: count, window: {hours}h}}\n")
    };
    let told = "{kept} {complete(kept)} {other} {complete(other)}";
    let rule = format!(
        "  - {{id: told, on: [login.succeeded], when: kept >= 0 || other >= 0, score: 1, message: '{told}'}}\n"
    );
    format!("{HEAD}features:\n{}{}rules:\n{rule}", count("kept", 1), count("other", hours))
}

#[test]
fn an_unchanged_feature_keeps_its_counts_and_a_changed_one_starts_empty_and_incomplete() {
    let mut story = Story::with_pack(&counting(2), EngineOptions::default());
    let mut times = Vec::new();
    let mut random = 7_u64;
    let mut now_ms = 0;
    let reload_at = 60;
    for at in 0..400 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        now_ms += (random >> 33) as i64 % (4 * 60 * SECOND_MS);
        if at == reload_at {
            story.reload(&counting(3));
        }
        // Some come out of order, but none late.
        let time_ms = now_ms - if at % 5 == 0 { (random >> 40) as i64 % (HOUR_MS / 2) } else { 0 };
        let device = format!("d{}", (random >> 50) % 4);
        let verdict = story.tell("login.succeeded", time_ms, json!({"account_id": "a", "device_id": device}));
        times.push((time_ms, device.clone()));
        let count = |from: usize, reach_ms: i64| {
            let within = |(time, by): &&(i64, String)| time_ms - reach_ms < *time && *time <= time_ms && *by == device;
            times[from..].iter().filter(within).count()
        };
        let first_ms = times[0].0;
        let since_ms = times[..reload_at.min(times.len())].iter().map(|(time, _)| *time).max().unwrap();
        let (from, other_ms, other_complete) = if at < reload_at {
            (0, 2 * HOUR_MS, time_ms - 2 * HOUR_MS >= first_ms)
        } else {
            (reload_at, 3 * HOUR_MS, time_ms - 3 * HOUR_MS > since_ms)
        };
        let expected = format!(
            "{} {} {} {other_complete}",
            count(0, HOUR_MS),
            time_ms - HOUR_MS >= first_ms,
            count(from, other_ms)
        );
        assert_eq!(verdict["rules"][0]["message"], expected, "event {at}");
    }
    assert!(now_ms > 8 * HOUR_MS, "both became complete: {now_ms}");
}

#[test]
fn a_feature_that_comes_before_the_first_event_has_seen_everything() {
    let mut story = Story::with_pack(&counting(2), EngineOptions::default());
    story.reload(&counting(3));
    story.tell("login.succeeded", 0, json!({"account_id": "a", "device_id": "d"}));
    let verdict = story.tell("login.succeeded", 3 * HOUR_MS, json!({"account_id": "a", "device_id": "d"}));
    assert_eq!(verdict["rules"][0]["message"], "1 true 1 true");
}

#[test]
fn a_decision_outlives_the_rule_and_the_signal_that_it_was_made_by() {
    let decides = "  - {id: net, on: [login.succeeded], when: 'event.channel == \"x\"', score: 0, decide: [{subject: ip, verdict: hold}]}\n";
    let mut story = Story::of(decides);
    let made = story.tell("login.succeeded", 0, json!({"account_id": "a", "ip": "198.51.100.7", "channel": "x"}));
    story.reload(&rules_of(&by_word(&[("flag", "action: flag")])));
    let from = |ip: &str| json!({"account_id": "b", "ip": ip});
    let met = story.tell("reward.requested", 1, from("::ffff:198.51.100.7"));
    assert_eq!((summary(&met), &met["decisions"]), (("hold", "decision", 0), &made["created"]));
    story.reload(&rules_of(&by_word(&[("flag", "action: challenge")])));
    assert_eq!(story.tell("reward.requested", 2, from("198.51.100.7"))["verdict"], "hold", "over a second reload too");
    assert_eq!(story.tell("reward.requested", 3, from("198.51.100.8"))["verdict"], "allow");
}

#[test]
fn what_is_remembered_of_accounts_and_repeats_stays() {
    let facts = |more: &str| {
        let rule = "  - {id: told, on: [login.succeeded], when: account.new_device, score: 20, message: '{account.first_seen}'}\n";
        rules_of(&format!("{rule}{more}"))
    };
    let mut story = Story::with_pack(&facts(""), EngineOptions::default());
    let data = json!({"account_id": "a", "device_id": "d", "country": "SA"});
    let first = story.tell_as("one", "login.succeeded", 0, data.clone()).unwrap();
    assert_eq!(summary(&first), ("flag", "score", 20));
    let country = "  - {id: country, on: [login.succeeded], when: account.new_country, score: 7}\n";
    story.reload(&facts(country));
    let repeat = story.tell_as("one", "login.succeeded", 0, data.clone()).unwrap();
    assert_eq!((&repeat["duplicate"], &repeat["verdict"]), (&json!(true), &json!("flag")));
    assert!(story.tell_as("one", "login.succeeded", 0, json!({"account_id": "b"})).is_none(), "the id is taken");
    let second = story.tell("login.succeeded", SECOND_MS, data.clone());
    assert_eq!(matched(&second), [("country", "enforce")], "the device is known, countries begin now");
    assert_eq!(matched(&story.tell("login.succeeded", 2 * SECOND_MS, data)), []);
}

#[test]
fn tallies_go_by_id_and_thresholds_by_type() {
    let mut policy = Policy::default();
    let strict = Thresholds { flag: 1, challenge: 2, hold: 3, block: 4 };
    policy.default = ProgramPolicy { by_type: vec![("shop.visited".to_owned(), strict)], ..ProgramPolicy::default() };
    let options = EngineOptions { policy, ..EngineOptions::default() };
    let words = |words: &[(&str, &str)]| rules_of(&by_word(words));
    let mut story = Story::with_pack(&words(&[("b", "score: 1"), ("c", "score: 1")]), options);
    let tell = |story: &mut Story, channel: &str| {
        story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": channel}))
    };
    (0..3).for_each(|_| drop(tell(&mut story, "b")));
    tell(&mut story, "c");
    let visited = "  - {id: visit, on: [shop.visited], when: 'event.channel == \"b\"', score: 3}\n";
    story.reload(&format!("{}{visited}", words(&[("a", "score: 1"), ("b", "score: 2")])));
    assert_eq!(story.replay.engine().tally().rule_matches, [[0, 0], [3, 0], [0, 0]]);
    assert_eq!(summary(&tell(&mut story, "a b")), ("allow", "none", 3));
    assert_eq!(story.replay.engine().tally().rule_matches, [[1, 0], [4, 0], [0, 0]]);
    let visit: Value = story.tell("shop.visited", 0, json!({"account_id": "a", "channel": "b"}));
    assert_eq!(summary(&visit), ("hold", "score", 3), "a type that only the new set names has its thresholds");
}

#[test]
fn an_expired_rule_stops_and_no_other_notices() {
    let rules = |expires: &str| by_word(&[("ends", expires), ("other", "score: 30")]);
    let mut story = Story::of(&rules("score: 40, expires: 2026-05-02"));
    for (at_ms, ends) in [(0, true), (24 * HOUR_MS - 1, true), (24 * HOUR_MS, false), (25 * HOUR_MS, false)] {
        let told = story.tell("reward.requested", at_ms, json!({"account_id": "a", "channel": "ends other"}));
        let both = [("ends", "enforce"), ("other", "enforce")];
        assert_eq!(matched(&told), if ends { &both[..] } else { &both[1..] }, "{at_ms}");
        assert_eq!(told["score"], if ends { 70 } else { 30 });
    }
    // The same word of the log, an instant earlier: it is by event time that a rule ends.
    let late = story.tell("reward.requested", 24 * HOUR_MS - 1, json!({"account_id": "a", "channel": "ends"}));
    assert_eq!(matched(&late), [("ends", "enforce")]);
}
