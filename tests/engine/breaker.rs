//! Breakers: when one opens, what its matches are worth then, and when it closes; recounted by brute force.

use refguard::engine::{BREAKER_MATCHES_MIN, BreakerOpening, EngineOptions};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

use super::{HOUR_MS, SECOND_MS, START_MS, Story, by_word, matched, pack, summary};

const MINUTE_MS: i64 = 60 * SECOND_MS;

/// A breaker that opens at 5 % of 100 events.
const BREAKER: &str = "breaker: {share: 5%, over: 10m, rearm: 1h}";

/// What the rule `b` says of a verdict: action, score, mode, breaker.
fn of_b(verdict: &Value) -> (Value, Value, Value, Value) {
    let rule = verdict["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "b").expect("it matched");
    (rule["action"].clone(), rule["score"].clone(), rule["mode"].clone(), rule["breaker"].clone())
}

fn tell(story: &mut Story, at_ms: i64, channel: &str) -> Value {
    story.tell("reward.requested", at_ms, json!({"account_id": "a", "channel": channel}))
}

/// So many events, a second apart, of which the last so many match.
fn flood(story: &mut Story, from_ms: i64, events: i64, matches: i64) -> i64 {
    for at in 0..events {
        tell(story, from_ms + at * SECOND_MS, if at >= events - matches { "b" } else { "" });
    }
    from_ms + events * SECOND_MS
}

#[test]
fn a_breaker_trips_holds_says_so_and_resets() {
    let rules = by_word(&[("b", &format!("action: block, score: 80, {BREAKER}")), ("other", "score: 30")]);
    let mut story = Story::of(&rules);
    let full = (json!("block"), json!(80), json!("enforce"), Value::Null);
    let eased = (json!("hold"), json!(0), json!("enforce"), json!("open"));
    // Ten matches among a hundred are more than 5 %, but the tenth is the hundredth event.
    let at_ms = flood(&mut story, 0, 99, 9);
    assert_eq!(story.replay.engine().open_breakers().collect::<Vec<_>>(), [(0, 0)]);
    let tripping = tell(&mut story, at_ms, "b");
    assert_eq!((summary(&tripping), of_b(&tripping)), (("block", "rule", 80), full.clone()), "that one counts in full");
    assert_eq!(story.replay.engine().open_breakers().collect::<Vec<_>>(), [(0, 1)]);
    let opening = BreakerOpening { rule: "b".to_owned(), program: "default".to_owned(), at_ms: START_MS + at_ms };
    assert_eq!(story.replay.engine().take_breaker_openings(), [opening]);
    assert_eq!(story.replay.engine().take_breaker_openings(), []);

    let open = tell(&mut story, at_ms + 1, "b other");
    assert_eq!((summary(&open), of_b(&open)), (("hold", "rule", 30), eased.clone()), "the other's score stays");
    assert_eq!(open["rules"][1]["breaker"], Value::Null);
    let elsewhere =
        story.tell("reward.requested", at_ms + 2, json!({"account_id": "a", "channel": "b", "program": "p"}));
    assert_eq!(of_b(&elsewhere), full, "by program");
    // Out of order: in the order of arrival it is open.
    assert_eq!(of_b(&tell(&mut story, at_ms - MINUTE_MS, "b")), eased);
    assert_eq!(of_b(&tell(&mut story, at_ms + HOUR_MS - 1, "b")), eased);
    assert_eq!(of_b(&tell(&mut story, at_ms + HOUR_MS, "b")), full, "closed");
    assert_eq!(story.replay.engine().open_breakers().collect::<Vec<_>>(), [(0, 0)]);
    // It counts anew: what matched before it opened, and while it was open, is forgotten.
    let again_ms = flood(&mut story, at_ms + HOUR_MS + 1, 98, 8);
    assert_eq!(of_b(&tell(&mut story, again_ms, "b")), full, "the hundredth event and tenth match");
    assert_eq!(of_b(&tell(&mut story, again_ms, "b")), eased);
    assert_eq!(story.replay.engine().tally().rule_matches[0][1], 0, "what counts for less is no shadow");
}

#[test]
fn few_events_or_matches_open_no_breaker() {
    assert_eq!(BREAKER_MATCHES_MIN, 10);
    for (events, matches, opens) in
        [(99, 99, false), (100, 100, true), (150, 9, false), (150, 10, true), (201, 10, false)]
    {
        let mut story = Story::of(&by_word(&[("b", &format!("action: block, {BREAKER}"))]));
        let at_ms = flood(&mut story, 0, events, matches);
        let open = of_b(&tell(&mut story, at_ms, "b")).3 == "open";
        assert_eq!(open, opens, "{matches} of {events}");
    }
    // Past the span they count no longer.
    let mut story = Story::of(&by_word(&[("b", &format!("action: block, {BREAKER}"))]));
    let at_ms = flood(&mut story, 0, 99, 99) + 11 * MINUTE_MS;
    assert_eq!(of_b(&tell(&mut story, at_ms, "b")).3, Value::Null);
    assert_eq!(of_b(&tell(&mut story, at_ms, "b")).3, Value::Null);
}

#[test]
fn an_open_breaker_never_makes_a_match_heavier() {
    let many = "breaker: {share: 5%, over: 10m, then: THEN, rearm: 1h, min_events: 10}";
    for (rule, then, expected) in [
        ("action: block", None, ("hold", "rule", "enforce")),
        ("action: hold", None, ("hold", "rule", "enforce")),
        ("action: block", Some("challenge"), ("challenge", "rule", "enforce")),
        ("action: block", Some("shadow"), ("allow", "none", "shadow")),
        ("action: challenge", Some("hold"), ("challenge", "rule", "enforce")),
        ("action: flag", Some("hold"), ("flag", "rule", "enforce")),
        ("action: flag", None, ("allow", "none", "shadow")),
        ("score: 80", Some("hold"), ("hold", "rule", "enforce")),
        ("score: 40", Some("hold"), ("challenge", "rule", "enforce")),
        ("score: 5", Some("hold"), ("allow", "none", "enforce")),
        ("score: 80", None, ("allow", "none", "shadow")),
        ("score: 80, action: flag", Some("challenge"), ("challenge", "rule", "enforce")),
    ] {
        let breaker = match then {
            Some(then) => many.replace("THEN", then),
            None => many.replace("then: THEN, ", ""),
        };
        let mut story = Story::of(&by_word(&[("b", &format!("{rule}, {breaker}"))]));
        let at_ms = flood(&mut story, 0, 10, 10);
        let verdict = tell(&mut story, at_ms, "b");
        let (word, cause, score) = summary(&verdict);
        let mode = of_b(&verdict).2;
        assert_eq!(
            (word, cause, mode.as_str().unwrap(), score),
            (expected.0, expected.1, expected.2, 0),
            "{rule}, {then:?}"
        );
        assert_eq!(of_b(&verdict).3, "open");
    }
}

#[test]
fn what_is_decided_while_it_is_open_is_no_graver_than_it_says() {
    let decide = "decide: [{subject: account, verdict: block, ttl: 1h}]";
    let breaker = "breaker: {share: 5%, over: 10m, rearm: 1h, min_events: 10}";
    let mut story = Story::of(&by_word(&[("b", &format!("action: block, {breaker}, {decide}"))]));
    let told = |story: &mut Story, account: &str, channel: &str| {
        story.tell("reward.requested", 11_000, json!({"account_id": account, "channel": channel}))
    };
    flood(&mut story, 0, 10, 10);
    assert_eq!(told(&mut story, "a", "")["verdict"], "block", "decided before");
    assert_eq!(told(&mut story, "c", "b")["created"].as_array().unwrap().len(), 1);
    assert_eq!(summary(&told(&mut story, "c", "")), ("hold", "decision", 0));
    let shadow = breaker.replace("rearm", "then: shadow, rearm");
    let mut story = Story::of(&by_word(&[("b", &format!("action: block, {shadow}, {decide}"))]));
    flood(&mut story, 0, 10, 10);
    assert_eq!(told(&mut story, "c", "b")["created"], json!([]));
    assert_eq!(summary(&told(&mut story, "c", "")), ("allow", "none", 0));
}

#[test]
fn what_does_not_count_opens_no_breaker() {
    let breaker = "action: block, breaker: {share: 5%, over: 10m, rearm: 1h, min_events: 10}";
    let open = |rule: String, options: EngineOptions| {
        let mut story = Story::with(&by_word(&[("b", &rule)]), options);
        let at_ms = flood(&mut story, 0, 50, 50);
        of_b(&tell(&mut story, at_ms, "b")).3 == "open"
    };
    assert!(open(breaker.to_owned(), EngineOptions::default()));
    for more in ["mode: shadow", "rollout: 0%"] {
        assert!(!open(format!("{breaker}, {more}"), EngineOptions::default()), "{more}");
    }
    let in_tests = EngineOptions { every_rule_in_force: true, ..EngineOptions::default() };
    assert!(!open(breaker.to_owned(), in_tests), "the tests in rule files");
    // Late events are judged, and counted nowhere.
    let options = EngineOptions { allowed_lateness_ms: MINUTE_MS, ..EngineOptions::default() };
    let mut story = Story::with(&by_word(&[("b", breaker)]), options);
    tell(&mut story, HOUR_MS, "");
    (0..50).for_each(|at| assert_eq!(tell(&mut story, at, "b")["late"], true));
    assert_eq!(of_b(&tell(&mut story, HOUR_MS, "b")).3, Value::Null);
}

#[test]
fn a_reload_keeps_the_breaker_of_a_rule_that_judges_as_before() {
    let rules = |rule: &str| format!("version: 1\npack: story\nrules:\n{}", by_word(&[("a", "score: 1"), ("b", rule)]));
    let breaker = "breaker: {share: 5%, over: 10m, rearm: 1h, min_events: 10}";
    let block = format!("action: block, {breaker}");
    for (changed, stays) in [
        (rules(&block), true),
        (rules(&format!("score: 3, {block}")), true),
        (rules(&block).replace("  - {id: a,", "  - {id: c,"), true),
        (rules(&block.replace("5%", "6%")), false),
        (rules(&block).replace("contains(\"b\")'", "contains(\"b\") || event.channel == \"x\"'"), false),
    ] {
        let mut story = Story::with_pack(&rules(&block), EngineOptions::default());
        let at_ms = flood(&mut story, 0, 10, 10);
        story.replay.reload(pack::rules(&changed), &SignalConfig::default()).unwrap();
        assert_eq!(of_b(&tell(&mut story, at_ms, "b")).3 == "open", stays, "{changed}");
    }
}

// -- by brute force -----------------------------------------------------------------------------------------------

const LATENESS_MS: i64 = 20 * SECOND_MS;
const OVER_MS: i64 = 64 * SECOND_MS;
const REARM_MS: i64 = 30 * SECOND_MS;
const MIN_EVENTS: usize = 20;
const SHARE_PERMILLE: usize = 300;
const PROGRAMS: [&str; 3] = ["default", "p", "q"];

#[derive(Clone, Copy)]
struct Told {
    program: usize,
    time_ms: i64,
    matches: bool,
}

/// Quiet times and floods, out of order and late, programs that fall silent.
fn history(seed: u64, events: usize) -> Vec<Told> {
    let mut random = seed;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut now_ms = 0;
    let event = |at: usize| {
        now_ms += draw(1500) as i64 + if draw(200) == 0 { 120 * SECOND_MS } else { 0 };
        let back_ms = if draw(4) == 0 { draw(30_000) as i64 } else { 0 };
        let program = if at / 700 % 3 == 2 { draw(3) } else { draw(2) } as usize;
        let percent = if (at / 150).is_multiple_of(2) { 10 } else { 60 };
        Told { program, time_ms: now_ms - back_ms, matches: draw(100) < percent }
    };
    (0..events).map(event).collect()
}

/// For each event, whether the breaker is open for it: by the definition, over everything that came.
fn recount(history: &[Told]) -> Vec<bool> {
    let slice_ms = OVER_MS / 32;
    let mut state = PROGRAMS.map(|_| (Vec::<(i64, bool)>::new(), None::<i64>, i64::MIN));
    let mut watermark_ms = i64::MIN;
    let open = |told: &Told| {
        watermark_ms = watermark_ms.max(told.time_ms);
        let horizon_ms = watermark_ms - LATENESS_MS;
        let (counted, opened_ms, now_ms) = &mut state[told.program];
        let as_of_ms = told.time_ms.max(horizon_ms);
        *now_ms = (*now_ms).max(as_of_ms);
        if opened_ms.is_some_and(|opened_ms| *now_ms >= opened_ms + REARM_MS) {
            *opened_ms = None;
        }
        if opened_ms.is_some() {
            return true;
        }
        if told.time_ms >= horizon_ms {
            counted.push(((START_MS + told.time_ms).div_euclid(slice_ms), told.matches));
            let newest = counted.iter().map(|(slice, _)| *slice).max().unwrap();
            let in_span = || counted.iter().filter(|(slice, _)| *slice > newest - 32);
            let (judged, matches) = (in_span().count(), in_span().filter(|(_, matches)| *matches).count());
            if judged >= MIN_EVENTS && matches >= 10 && matches * 1000 > judged * SHARE_PERMILLE {
                *opened_ms = Some(*now_ms);
                counted.clear();
            }
        }
        false
    };
    history.iter().map(open).collect()
}

fn lines(rules: &str, history: &[Told], size: usize) -> Vec<String> {
    let options = EngineOptions { allowed_lateness_ms: LATENESS_MS, ..EngineOptions::default() };
    let text = format!("version: 1\npack: story\nrules:\n{rules}");
    let mut replay = Replay::new(pack::rules(&text), &SignalConfig::default(), options).unwrap();
    let mut out = Vec::new();
    let events: Vec<String> = history
        .iter()
        .enumerate()
        .map(|(at, told)| {
            let time = jiff::Timestamp::from_millisecond(START_MS + told.time_ms).unwrap();
            let channel = if told.matches { "b other" } else { "other" };
            let data = json!({"account_id": "a", "program": PROGRAMS[told.program], "channel": channel});
            let event = json!({
                "specversion": "1.0", "id": format!("e{at}"), "source": "/shop", "type": "reward.requested",
                "time": format!("{time:.3}"), "data": data,
            });
            format!("{event}\n")
        })
        .collect();
    for batch in events.chunks(size) {
        assert_eq!(replay.judge(&batch.concat()), []);
        replay.write(&mut out);
    }
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn breakers_open_and_close_as_a_recount_says_whatever_the_batch_size() {
    let breaker = "breaker: {share: 30%, over: 64s, rearm: 30s, min_events: 20}";
    let with = by_word(&[("b", &format!("action: block, {breaker}")), ("other", "score: 1")]);
    let without = by_word(&[("b", "action: block"), ("other", "score: 1")]);
    let (mut open, mut opened) = (0, 0);
    for seed in 0..5 {
        let history = history(seed, 6000);
        let told = lines(&with, &history, 1);
        let plain = lines(&without, &history, 32);
        let expected = recount(&history);
        for (at, (told, plain)) in told.iter().zip(&plain).enumerate() {
            let (told, plain): (Value, Value) =
                (serde_json::from_str(told).unwrap(), serde_json::from_str(plain).unwrap());
            if history[at].matches {
                let is_open = of_b(&told).3 == "open";
                assert_eq!(is_open, expected[at], "seed {seed}, event {at}");
                assert_eq!(told["verdict"], if is_open { "hold" } else { "block" });
                open += usize::from(is_open);
            } else {
                assert_eq!(told["verdict"], "allow");
            }
            opened += usize::from(expected[at] && !expected[at.max(1) - 1]);
            let other = |verdict: &Value| verdict["rules"].as_array().unwrap().last().cloned();
            assert_eq!(other(&told), other(&plain), "no other rule notices");
        }
        assert_eq!(matched(&serde_json::from_str(&plain[0]).unwrap()).last(), Some(&("other", "enforce")));
        for size in [7, 32, 1000] {
            assert!(lines(&with, &history, size) == told, "seed {seed}, batches of {size}");
        }
    }
    assert!(open > 1000 && opened > 100, "{open} matches met an open breaker, {opened} times one was open anew");
}
