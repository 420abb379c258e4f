//! What the engine does with rules: thresholds, parties, shadow, decisions, repeats, late events, full memory.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::sync::Arc;

use refguard::engine::{EngineOptions, Policy, ProgramPolicy, Thresholds};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

#[path = "engine/absence.rs"]
mod absence;
#[path = "engine/attributes.rs"]
mod attributes;
#[path = "engine/backfill.rs"]
mod backfill;
#[path = "engine/breaker.rs"]
mod breaker;
#[path = "engine/by_id.rs"]
mod by_id;
#[path = "engine/components.rs"]
mod components;
#[path = "engine/decisions.rs"]
mod decisions;
#[path = "engine/erasure.rs"]
mod erasure;
#[path = "engine/holds.rs"]
mod holds;
#[path = "engine/known.rs"]
mod known;
#[path = "engine/lift.rs"]
mod lift;
#[path = "engine/lists.rs"]
mod lists;
#[path = "engine/observed.rs"]
mod observed;
#[path = "engine/overrides.rs"]
mod overrides;
#[path = "support/pack.rs"]
mod pack;
#[path = "engine/referrer.rs"]
mod referrer;
#[path = "engine/reload.rs"]
mod reload;
#[path = "engine/sandbox.rs"]
mod sandbox;
#[path = "engine/seen.rs"]
mod seen;

/// 2026-05-01T00:00:00Z.
const START_MS: i64 = 1_777_593_600_000;
const SECOND_MS: i64 = 1000;
const HOUR_MS: i64 = 3_600_000;

/// An engine under one pack's rules.
struct Story {
    replay: Replay,
    events: usize,
}

impl Story {
    /// `rules` is what stands under `rules:`, indented by two.
    fn of(rules: &str) -> Story {
        Story::with(rules, EngineOptions::default())
    }

    fn with(rules: &str, options: EngineOptions) -> Story {
        Story::with_pack(&format!("version: 1\npack: story\nrules:\n{rules}"), options)
    }

    fn with_pack(text: &str, options: EngineOptions) -> Story {
        let replay = Replay::new(pack::rules(text), &SignalConfig::default(), options).unwrap();
        Story { replay, events: 0 }
    }

    /// An event at so many milliseconds from the start, with these fields of `data`; the verdict.
    fn tell(&mut self, kind: &str, at_ms: i64, data: Value) -> Value {
        self.events += 1;
        let id = format!("e{}", self.events);
        self.tell_as(&id, kind, at_ms, data).expect("an id that was not used before")
    }

    /// The same with an id; `None` if it was refused.
    fn tell_as(&mut self, id: &str, kind: &str, at_ms: i64, data: Value) -> Option<Value> {
        let line = self.line(id, kind, at_ms, data);
        line.map(|line| serde_json::from_str(&line).unwrap())
    }

    fn line(&mut self, id: &str, kind: &str, at_ms: i64, data: Value) -> Option<String> {
        let time = jiff::Timestamp::from_millisecond(START_MS + at_ms).unwrap();
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/shop", "type": kind, "time": format!("{time:.3}"), "data": data,
        });
        assert_eq!(self.replay.judge(&format!("{event}\n")), []);
        let mut out = Vec::new();
        self.replay.write(&mut out);
        (!out.is_empty()).then(|| String::from_utf8(out).unwrap())
    }
}

fn matched(verdict: &Value) -> Vec<(&str, &str)> {
    let rules = verdict["rules"].as_array().unwrap();
    rules.iter().map(|rule| (rule["id"].as_str().unwrap(), rule["mode"].as_str().unwrap())).collect()
}

fn summary(verdict: &Value) -> (&str, &str, i64) {
    let text = |name: &str| verdict[name].as_str().unwrap();
    (text("verdict"), text("cause"), verdict["score"].as_i64().unwrap())
}

/// Rules that match by the channel's words: `{id, fields}`.
fn by_word(rules: &[(&str, &str)]) -> String {
    let rule = |(word, rest): &(&str, &str)| {
        format!(
            "  - {{id: {word}, on: [login.succeeded, reward.requested, referral.completed], when: 'event.channel.contains(\"{word}\")', {rest}}}\n"
        )
    };
    rules.iter().map(rule).collect()
}

#[test]
fn verdict_and_cause_follow_rule_then_score_then_decision() {
    let rules = by_word(&[
        ("s19", "score: 19"),
        ("s20", "score: 20"),
        ("s40", "score: 40"),
        ("s60", "score: 60"),
        ("s80", "score: 80"),
        ("flag", "action: flag"),
        ("hold", "action: hold, score: 10"),
        ("decide", "score: 0, decide: [{subject: account, verdict: hold}]"),
    ]);
    for (channel, expected) in [
        ("", ("allow", "none", 0)),
        ("s19", ("allow", "none", 19)),
        ("s20", ("flag", "score", 20)),
        ("s19 s20", ("flag", "score", 39)),
        ("s40", ("challenge", "score", 40)),
        ("s60", ("hold", "score", 60)),
        ("s20 s40", ("hold", "score", 60)),
        ("s80", ("block", "score", 80)),
        ("s80 s60", ("block", "score", 140)),
        ("flag", ("flag", "rule", 0)),
        ("flag s20", ("flag", "rule", 20)),
        ("flag s40", ("challenge", "score", 40)),
        ("hold s40", ("hold", "rule", 50)),
        ("hold s60 s20", ("block", "score", 90)),
    ] {
        let mut story = Story::of(&rules);
        let verdict = story.tell("reward.requested", 0, json!({"account_id": "a", "channel": channel}));
        assert_eq!(summary(&verdict), expected, "{channel}");
        assert_eq!(verdict["hold_id"].is_string(), expected.0 == "hold", "{channel}");
    }
    let mut story = Story::of(&rules);
    story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": "decide"}));
    for (channel, expected) in [
        ("", ("hold", "decision", 0)),
        ("flag", ("hold", "decision", 0)),
        ("s60", ("hold", "score", 60)),
        ("hold", ("hold", "rule", 10)),
        ("s80", ("block", "score", 80)),
    ] {
        let verdict = story.tell("reward.requested", 1, json!({"account_id": "a", "channel": channel}));
        assert_eq!(summary(&verdict), expected, "{channel}");
    }
}

#[test]
fn thresholds_are_those_of_the_program_and_type() {
    let low = Thresholds { flag: 1, challenge: 2, hold: 3, block: 4 };
    let named = ProgramPolicy { by_type: vec![("reward.requested".to_owned(), low)], ..ProgramPolicy::default() };
    let policy = Policy { programs: vec![("vip".to_owned(), named)], ..Policy::default() };
    let mut story = Story::with(&by_word(&[("s3", "score: 3")]), EngineOptions { policy, ..EngineOptions::default() });
    let mut verdict = |program: &str, kind: &str| {
        let verdict = story.tell(kind, 0, json!({"account_id": "a", "program": program, "channel": "s3"}));
        verdict["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict("vip", "reward.requested"), "hold");
    assert_eq!(verdict("vip", "login.succeeded"), "allow");
    assert_eq!(verdict("", "reward.requested"), "allow");
}

#[test]
fn each_party_meets_the_rules_that_apply_to_it() {
    let rules = by_word(&[
        ("referrer", "score: 40, applies_to: referrer"),
        ("referee", "score: 40, applies_to: referee"),
        ("both", "score: 20"),
        ("stop", "action: block, applies_to: referrer"),
    ]);
    for (channel, verdict, referrer, referee) in [
        ("", "allow", "allow", "allow"),
        ("referrer", "challenge", "challenge", "allow"),
        ("referee", "challenge", "allow", "challenge"),
        ("both", "flag", "flag", "flag"),
        ("referrer both", "hold", "hold", "flag"),
        ("referrer referee", "block", "challenge", "challenge"),
        ("stop", "block", "block", "allow"),
    ] {
        let mut story = Story::of(&rules);
        let data = json!({"account_id": "b", "referrer_id": "a", "channel": channel});
        let told = story.tell("referral.completed", 0, data);
        assert_eq!(told["verdict"], verdict, "{channel}");
        assert_eq!(told["parties"], json!({"referrer": referrer, "referee": referee}), "{channel}");
    }
    let mut story = Story::of(&rules);
    assert_eq!(story.tell("login.succeeded", 0, json!({"account_id": "b", "channel": "both"}))["parties"], json!({}));
}

#[test]
fn shadow_rules_are_told_and_move_nothing() {
    let rules = by_word(&[
        ("x-real", "score: 20"),
        ("x-shadow", "score: 80, action: block, mode: shadow, decide: [{subject: account, verdict: block}]"),
        ("x-off", "score: 80, mode: 'off'"),
        ("x-nobody", "score: 80, rollout: 0%"),
        ("x-everybody", "score: 5, rollout: 100%"),
    ]);
    let mut story = Story::of(&rules);
    let verdict = story.tell(
        "login.succeeded",
        0,
        json!({"account_id": "a", "channel": "x-real x-shadow x-off x-nobody x-everybody"}),
    );
    assert_eq!(summary(&verdict), ("flag", "score", 25));
    let expected = [("x-everybody", "enforce"), ("x-nobody", "shadow"), ("x-real", "enforce"), ("x-shadow", "shadow")];
    assert_eq!(matched(&verdict), expected);
    assert_eq!(verdict["created"], json!([]));
    assert_eq!(story.replay.engine().decisions().len(), 0);
    // By rule id: everybody, nobody, off, real, shadow.
    assert_eq!(story.replay.engine().tally().rule_matches, [[1, 0], [0, 1], [0, 0], [1, 0], [0, 1]]);
}

#[test]
fn rollout_takes_a_stable_share_of_the_accounts() {
    let rules = by_word(&[("quarter", "score: 20, rollout: 25%"), ("half", "score: 20, rollout: 50%")]);
    let mut story = Story::of(&rules);
    let mut enforced = [0; 2];
    let mut both = 0;
    for account in 0..2000 {
        let mut modes = Vec::new();
        for at_ms in [0, SECOND_MS] {
            let data = json!({"account_id": format!("account-{account}"), "channel": "quarter half"});
            let verdict = story.tell("login.succeeded", at_ms, data);
            modes.push(matched(&verdict).iter().map(|(_, mode)| *mode == "enforce").collect::<Vec<_>>());
        }
        assert_eq!(modes[0], modes[1], "an account stays where it is");
        (0..2).for_each(|rule| enforced[rule] += usize::from(modes[0][rule]));
        both += usize::from(modes[0] == [true, true]);
    }
    let [half, quarter] = enforced;
    assert!((900..1100).contains(&half) && (420..580).contains(&quarter), "{half} {quarter}");
    assert!((190..310).contains(&both), "rules take their accounts apart from one another: {both}");
}

#[test]
fn an_expired_rule_no_longer_counts() {
    let mut story = Story::of(&by_word(&[("x", "score: 20, expires: 2026-05-02")]));
    let mut rules =
        |at_ms: i64| matched(&story.tell("login.succeeded", at_ms, json!({"account_id": "a", "channel": "x"}))).len();
    assert_eq!((rules(24 * HOUR_MS - 1), rules(24 * HOUR_MS), rules(24 * HOUR_MS - 1)), (1, 0, 1));
}

#[test]
fn exceptions_spare_and_errors_do_not_match() {
    let rules = "  - {id: divides, on: [order.placed], when: 100 / event.amount_minor > 1, score: 20}\n  \
                   - {id: spares, on: [order.placed], when: event.amount_minor >= 0, except: ['event.channel == \"pos\"'], score: 1}\n  \
                   - {id: spares-badly, on: [order.placed], when: event.amount_minor >= 0, except: [100 / event.amount_minor > 1], score: 1}\n";
    let mut story = Story::of(rules);
    let mut rules = |amount: i64, channel: &str| {
        let data = json!({"account_id": "a", "amount_minor": amount, "channel": channel});
        let verdict = story.tell("order.placed", 0, data);
        matched(&verdict).iter().map(|(id, _)| (*id).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rules(10, ""), ["divides", "spares"]);
    assert_eq!(rules(10, "pos"), ["divides"]);
    assert_eq!(rules(1000, "pos"), ["spares-badly"]);
    assert_eq!(rules(0, "pos"), ["spares-badly"], "what errs neither matches nor spares");
    assert_eq!(story.replay.engine().tally().rule_errors, [1, 0, 1]);
}

#[test]
fn a_rule_waits_for_a_whole_window_if_it_is_told_to() {
    let text = "version: 1\npack: p\nfeatures:\n  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}\n  \
                before: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h, offset: 1h}\n\
                rules:\n  - {id: now, on: [login.succeeded], when: logins > 0, score: 20, when_incomplete: shadow}\n  \
                - {id: shifted, on: [login.succeeded], when: before >= 0, score: 20, when_incomplete: shadow}\n  \
                - {id: soon, on: [login.succeeded], when: logins > 0, score: 1, when_incomplete: enforce}\n";
    let mut story = Story::with_pack(text, EngineOptions::default());
    for (at_ms, now, shifted) in [
        (0, "shadow", "shadow"),
        (HOUR_MS - 1, "shadow", "shadow"),
        (HOUR_MS, "enforce", "shadow"),
        (2 * HOUR_MS - 1, "enforce", "shadow"),
        (2 * HOUR_MS, "enforce", "enforce"),
    ] {
        let verdict = story.tell("login.succeeded", at_ms, json!({"account_id": "a"}));
        assert_eq!(matched(&verdict), [("now", now), ("shifted", shifted), ("soon", "enforce")], "{at_ms}");
    }
    // At a key with an empty part there is nothing to read, but as much has been seen.
    let text = text.replace("event.account_id", "event.channel");
    let mut story = Story::with_pack(&text, EngineOptions::default());
    story.tell("login.succeeded", 0, json!({"account_id": "a"}));
    let verdict = story.tell("login.succeeded", 2 * HOUR_MS - 1, json!({"account_id": "a"}));
    assert_eq!(matched(&verdict), [("shifted", "shadow")]);
    let verdict = story.tell("login.succeeded", 2 * HOUR_MS, json!({"account_id": "a"}));
    assert_eq!(matched(&verdict), [("shifted", "enforce")]);
}

#[test]
fn an_observed_program_is_never_stopped() {
    let observed = ProgramPolicy { observe_only: true, ..ProgramPolicy::default() };
    let policy = Policy { programs: vec![("watched".to_owned(), observed)], ..Policy::default() };
    let options = EngineOptions { policy, ..EngineOptions::default() };
    let mut story = Story::with(&by_word(&[("bad", "action: hold, score: 60")]), options);
    let data = |channel: &str| json!({"program": "watched", "account_id": "b", "referrer_id": "a", "channel": channel});
    for (channel, would_be) in [("bad", "hold"), ("", "allow")] {
        let id = format!("e-{channel}");
        let first = story.tell_as(&id, "referral.completed", 0, data(channel)).unwrap();
        assert_eq!((&first["verdict"], &first["would_be"]), (&json!("allow"), &json!(would_be)));
        assert_eq!(first["parties"], json!({"referrer": "allow", "referee": "allow"}));
        assert_eq!(first["hold_id"], Value::Null);
        let again = story.tell_as(&id, "referral.completed", 0, data(channel)).unwrap();
        assert_eq!((&again["duplicate"], &again["would_be"]), (&json!(true), &json!(would_be)));
    }
}

const REPEATED: [(&str, &str); 2] = [
    (
        "x",
        "action: hold, score: 30, message: \"{event.account_id} again\", tags: [a, b], decide: [{subject: device, verdict: block}]",
    ),
    ("y", "score: 1, mode: shadow"),
];

#[test]
fn a_repeat_is_answered_with_the_first_verdict() {
    let text = format!(
        "version: 1\npack: p\nfeatures:\n  logins: {{on: [reward.requested], key: [event.account_id], aggregate: count, window: 1h}}\nrules:\n{}  - {{id: z, on: [reward.requested], when: logins > 0, score: 1}}\n",
        by_word(&REPEATED)
    );
    let mut story = Story::with_pack(&text, EngineOptions::default());
    let data = || json!({"account_id": "a", "device_id": "d", "referrer_id": "r", "channel": "xy"});
    let first = story.tell_as("e", "reward.requested", 0, data()).unwrap();
    assert_eq!(first["evidence"], json!([{"feature": "logins", "value": 1, "exact": true}]));
    assert_eq!(summary(&first), ("hold", "rule", 31));
    let mut expected = first.clone();
    expected["evidence"] = json!([]);
    (0..3).for_each(|rule| expected["rules"][rule]["message"] = Value::Null);
    expected["duplicate"] = json!(true);
    expected["current"] = json!("hold");
    // The device is blocked by now, which changes nothing: verdicts are not revised.
    for _ in 0..2 {
        assert_eq!(story.tell_as("e", "reward.requested", 0, data()).unwrap(), expected);
    }
    let next = story.tell("reward.requested", 1, json!({"account_id": "a"}));
    assert_eq!(next["evidence"][0]["value"], 2, "repeats were not counted");
    assert_eq!(story.replay.engine().tally().rule_matches, [[1, 0], [0, 1], [2, 0]]);
    // A plain one.
    let plain = story.tell_as("p", "order.placed", 1, json!({"account_id": "q"})).unwrap();
    let mut expected = plain.clone();
    expected["duplicate"] = json!(true);
    expected["current"] = json!("allow");
    assert_eq!(story.tell_as("p", "order.placed", 1, json!({"account_id": "q"})).unwrap(), expected);
}

#[test]
fn a_reused_id_is_refused_and_not_remembered() {
    let mut story = Story::of(&by_word(&REPEATED));
    let data = |amount: i64| json!({"account_id": "a", "amount_minor": amount});
    assert!(story.tell_as("e", "order.placed", 0, data(1)).is_some());
    assert!(story.tell_as("e", "order.placed", 0, data(2)).is_none());
    assert!(story.tell_as("e", "order.placed", 0, data(2)).is_none(), "its content was not remembered");
    assert!(story.tell_as("e", "order.placed", 1, data(1)).is_none(), "the time belongs to the content");
    assert_eq!(story.tell_as("e", "order.placed", 0, data(1)).unwrap()["duplicate"], true);
    let other = json!({"account_id": "a", "amount_minor": 2, "program": "other"});
    assert!(story.tell_as("e", "order.placed", 0, other).is_some(), "a program has its own names");
    // Beyond the span, with the watermark moved on, it is a new event.
    story.tell("order.placed", 24 * HOUR_MS, json!({"account_id": "b"}));
    let anew = story.tell_as("e", "order.placed", 24 * HOUR_MS, data(2)).unwrap();
    assert_eq!(anew.get("duplicate"), None);
}

#[test]
fn a_repeat_knows_its_verdict_though_its_identity_is_forgotten_in_the_same_batch() {
    let rules = by_word(&[("x", "action: block")]);
    let line = |id: &str, hour: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/s\",\"type\":\"login.succeeded\",\"time\":\"2026-05-{:02}T00:00:00Z\",\"data\":{{\"account_id\":\"a\",\"channel\":\"x\"}}}}\n",
            1 + hour / 24
        )
    };
    let lines = [line("e", 0), line("e", 0), line("f", 96), line("g", 96), line("h", 96)];
    let run = |size: usize| {
        let mut story = Story::of(&rules);
        let mut out = Vec::new();
        for batch in lines.chunks(size) {
            story.replay.judge(&batch.concat());
            story.replay.write(&mut out);
        }
        String::from_utf8(out).unwrap()
    };
    assert_eq!(run(5), run(1));
    assert!(run(5).lines().nth(1).unwrap().contains("\"current\":\"block\""), "{}", run(5));
}

#[test]
fn a_late_event_is_judged_and_feeds_nothing() {
    let text = "version: 1\npack: p\nfeatures:\n  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 5h}\n\
                rules:\n  - {id: any, on: [login.succeeded], when: logins >= 0, score: 20}\n";
    let mut story = Story::with_pack(text, EngineOptions::default());
    let mut told = |at_ms: i64| {
        let verdict = story.tell("login.succeeded", at_ms, json!({"account_id": "a"}));
        (verdict["evidence"][0]["value"].as_i64().unwrap(), verdict["late"] == true, verdict["verdict"] == "flag")
    };
    assert_eq!(told(3 * HOUR_MS), (1, false, true));
    assert_eq!(told(2 * HOUR_MS), (1, false, true), "exactly the allowed lateness");
    assert_eq!(told(2 * HOUR_MS - 1), (1, true, true));
    assert_eq!(told(3 * HOUR_MS), (3, false, true));
}

#[test]
fn members_stand_in_their_order() {
    let rules = by_word(&[(
        "held",
        "action: hold, score: 80, title: T, severity: high, kind: limit, customer: c_1, tags: [t, u], message: \"{event.account_id} \\\"q\\\"\", decide: [{subject: account, verdict: block}]",
    )]);
    let low = Policy {
        default: ProgramPolicy {
            thresholds: Thresholds { flag: 900, challenge: 900, hold: 900, block: 900 },
            ..ProgramPolicy::default()
        },
        ..Policy::default()
    };
    let mut story = Story::with(&rules, EngineOptions { policy: low, ..EngineOptions::default() });
    let data = json!({"account_id": "b", "referrer_id": "a", "channel": "held"});
    let line = story.line("e1", "referral.completed", 1, data).unwrap();
    let hash = Arc::clone(story.replay.engine().rules()).hash.clone();
    let verdict: Value = serde_json::from_str(&line).unwrap();
    let (hold, created) = (verdict["hold_id"].as_str().unwrap(), verdict["created"][0].as_str().unwrap());
    assert_eq!(
        line,
        format!(
            "{{\"specversion\":\"1\",\"event_id\":\"e1\",\"source\":\"/shop\",\"program\":\"default\",\
             \"type\":\"referral.completed\",\"account_id\":\"b\",\"time\":\"2026-05-01T00:00:00.001Z\",\
             \"verdict\":\"hold\",\"cause\":\"rule\",\"score\":80,\"parties\":{{\"referrer\":\"hold\",\"referee\":\"hold\"}},\
             \"rules\":[{{\"id\":\"held\",\"action\":\"hold\",\"score\":80,\"severity\":\"high\",\"kind\":\"limit\",\
             \"mode\":\"enforce\",\"customer\":\"c_1\",\"message\":\"b \\\"q\\\"\",\"tags\":[\"t\",\"u\"]}}],\
             \"evidence\":[],\"decisions\":[],\"created\":[\"{created}\"],\"hold_id\":\"{hold}\",\"ruleset\":\"{hash}\"}}\n"
        )
    );
    let line = story.line("e2", "survey.submitted", 1, json!({})).unwrap();
    assert_eq!(
        line,
        format!(
            "{{\"specversion\":\"1\",\"event_id\":\"e2\",\"source\":\"/shop\",\"program\":\"default\",\
             \"type\":\"survey.submitted\",\"account_id\":null,\"time\":\"2026-05-01T00:00:00.001Z\",\
             \"verdict\":\"allow\",\"cause\":\"none\",\"score\":0,\"parties\":{{}},\"rules\":[],\"evidence\":[],\
             \"decisions\":[],\"created\":[],\"hold_id\":null,\"ruleset\":\"{hash}\"}}\n"
        )
    );
}

#[test]
fn a_fact_in_a_key_is_looked_up_for_a_type_that_only_reads() {
    let text = "version: 1\npack: p\nfeatures:\n  fresh: {on: [login.succeeded], key: [event.account_id, account.new_device], aggregate: count, window: 1h}\n\
                rules:\n  - {id: any, on: [order.placed], when: fresh >= 0, score: 1}\n";
    let mut story = Story::with_pack(text, EngineOptions::default());
    story.tell("login.succeeded", 0, json!({"account_id": "a", "device_id": "d"}));
    let read = |story: &mut Story, device: &str| {
        story.tell("order.placed", 1, json!({"account_id": "a", "device_id": device}))["evidence"][0]["value"].clone()
    };
    assert_eq!((read(&mut story, "other"), read(&mut story, "d")), (json!(1), json!(0)));
}

#[test]
fn a_full_memory_refuses_new_keys_and_says_so() {
    let text = "version: 1\npack: p\nfeatures:\n  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 30d}\n\
                rules:\n  - {id: any, on: [login.succeeded], when: logins >= 0, score: 1}\n  \
                - {id: new-device, on: [login.succeeded], when: account.new_device, score: 1}\n";
    let options = EngineOptions { state_max_bytes: 3 << 20, dedup_max_entries: 1000, ..EngineOptions::default() };
    let mut story = Story::with_pack(text, options);
    let tell = |story: &mut Story, account: usize| {
        let data = json!({"account_id": format!("account-{account}"), "device_id": "d"});
        let verdict = story.tell("login.succeeded", 0, data);
        let evidence = &verdict["evidence"][0];
        let new_device = matched(&verdict).iter().any(|(id, _)| *id == "new-device");
        (evidence["value"].as_i64().unwrap(), evidence["exact"].as_bool().unwrap(), new_device)
    };
    let mut account = 0;
    while tell(&mut story, account).1 {
        account += 1;
        assert!(account < 200_000, "the bound is never met");
    }
    let size = story.replay.engine().size();
    assert!(size.features[0].saturated && size.bytes() < 4 << 20, "{size:?}");
    assert!(account > 1000, "{account}");
    assert_eq!(tell(&mut story, 0).0, 2, "a key that exists keeps its count");
    assert_eq!(tell(&mut story, 0), (3, true, false));
    // Both tables are full by now: a refused key reads as nothing, not exact, and nothing is claimed of its devices.
    for other in account..account + 3000 {
        tell(&mut story, other);
    }
    assert_eq!(tell(&mut story, account + 1), (0, false, false));
    assert_eq!(tell(&mut story, account + 1), (0, false, false));
}
